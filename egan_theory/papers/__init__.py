"""Models of single papers, each with its own theory, simulation and commands. The core knows none of them."""

from ..base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "egan_theory.papers")
