"""The description of an experiment: one file, read and checked once, that drives everything else."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
