"""The function-space operator of a user's data (after Khrulkov, Babenko, Oseledets 2021, arXiv:2102.04448).

With a discriminator that is orthonormal on the data (K(x, y) = delta(x - y)/p(x)) a GAN's modes are the eigenfunctions
of the weighted Laplacian -div(p grad .)/p, and the slowest is the one with the smallest nonzero eigenvalue xi_1, one
over the Poincare constant of the data:

    s^2 + (a + gamma xi) s + c^2 xi = 0

    found = poincare(points); found.xi, found.stderr, found.converged
    implied_r1(found.xi, exp)
"""

from __future__ import annotations

from ...base.lazy import lazily

_HOME = {
    "Poincare": "estimate",
    "poincare": "estimate",
    "graph_laplacian": "graph",
    "ImpliedR1": "strength",
    "implied_r1": "strength",
}

__all__ = sorted(_HOME)


__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
