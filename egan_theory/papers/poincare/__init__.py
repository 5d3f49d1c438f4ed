"""The function-space operator of a user's data (after Khrulkov, Babenko, Oseledets 2021, arXiv:2102.04448).

With a discriminator that is orthonormal on the data (K(x, y) = delta(x - y)/p(x)) a GAN's modes are the eigenfunctions
of the weighted Laplacian -div(p grad .)/p, and the slowest is the one with the smallest nonzero eigenvalue xi_1, one
over the Poincare constant of the data:

    s^2 + (a + gamma xi) s + c^2 xi = 0

    found = poincare(points); found.xi, found.stderr, found.converged
    implied_r1(found.xi, exp)
"""

import sys
import warnings
from types import ModuleType
from typing import Any

from ...base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "eg.poincare")


class _Callable(ModuleType):
    """``eg.poincare(points)``, the former name of ``eg.poincare.poincare``, goes with the next version."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        message = "egan_theory.poincare(...) is now egan_theory.poincare.poincare(...)"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.poincare(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
