"""The description of an experiment: one file, read and checked once, that drives everything else."""

from ..base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "egan_theory.experiment")
