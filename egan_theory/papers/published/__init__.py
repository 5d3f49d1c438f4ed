"""The published MNIST runs (data of arXiv:2212.04580): reading them, and what the linear theory says of them.

The data are read from a user's own clone of the authors' repository; none of them is part of this package.
"""

from ...base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "eg.published")
