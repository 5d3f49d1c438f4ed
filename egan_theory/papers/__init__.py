"""Models of single papers, each with its own theory, simulation and commands. The core knows none of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
