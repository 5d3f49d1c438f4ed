"""An exact kernel's dictionary near given points, by polynomials: for kernels that cost much at every point.

Around each centre y, in the box |x_a - y_a| <= r, the functionals of the dictionary and their gradients are polynomials
of total degree DEGREE in (x - y)/r, fitted (Chebyshev basis) to their exact values at NODES^d Chebyshev nodes. The box
is made smaller until both differ from exact values at points between the nodes by at most TOLERANCE of their largest.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.polynomial import chebyshev

from .base import Array

#: half the side of a box to begin with, in length scales; it is made smaller by SHRINK at most SHRINKS times
RADIUS, SHRINK, SHRINKS = 0.02, 4.0, 3
#: total degree of the polynomials, nodes along a coordinate, and points per centre at which they are checked
DEGREE, NODES, PROBES = 5, 7, 2
#: largest difference from exact values, as a part of the largest of them
TOLERANCE = 1e-11
#: more coordinates than this need too many nodes
DIMENSIONS = 3


class Near:
    """psi and grad psi at points near ``centres`` (M, d).

    exact(X, order) -> raw functionals (n, P) or their gradients (n, d, P); solve: from raw to orthonormal ones.
    """

    def __init__(self, centres: Array, radius: float, table: Array, powers: Array) -> None:
        self.centres, self.radius, self.table, self.powers = centres, radius, table, powers

    @classmethod
    def of(
        cls, exact: Callable[[Array, int], Array], solve: Callable[[Array], Array], centres: Array, length: float
    ) -> Near | None:
        """None where no box is good enough, or the dimension is above DIMENSIONS."""
        M, d = centres.shape
        if d > DIMENSIONS:
            return None
        powers = np.array([p for p in product(range(DEGREE + 1), repeat=d) if sum(p) <= DEGREE])
        nodes = np.array(list(product(np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES), repeat=d)))
        inverse = np.linalg.pinv(_basis(nodes, powers))
        probes = np.random.default_rng(0).uniform(-1, 1, (PROBES, d))
        for shrunk in range(SHRINKS + 1):
            radius = RADIUS * length / SHRINK**shrunk
            fitted = inverse @ _both(exact, centres, radius * nodes)
            there = _both(exact, centres, radius * probes)
            wrong = np.abs(_basis(probes, powers) @ fitted - there)
            # values and gradients have units of their own
            cut = there.shape[-1] // (1 + d)
            parts = ((slice(None), slice(None), s) for s in (slice(0, cut), slice(cut, None)))
            if all(wrong[at].max() <= TOLERANCE * np.abs(there[at]).max() for at in parts):
                table = solve(fitted.reshape(M, len(powers), 1 + d, -1))
                return cls(centres, radius, table.reshape(M, len(powers), -1), powers)
        return None

    def at(self, X: Array) -> tuple[Array, Array] | None:
        """(psi (n, P), grad psi (n, d, P)) at X (n, d); None if one of them is in no box."""
        way = X[:, None] - self.centres
        which = np.argmin((way**2).sum(-1), axis=1)
        u = np.take_along_axis(way, which[:, None, None], axis=1)[:, 0] / self.radius
        if not np.abs(u).max(initial=0.0) <= 1:
            return None
        basis, d = _basis(u, self.powers), X.shape[1]
        out = np.empty((len(X), self.table.shape[-1]))
        for centre in np.unique(which):
            own = which == centre
            out[own] = basis[own] @ self.table[centre]
        both = out.reshape(len(X), 1 + d, -1)
        return both[:, 0], both[:, 1:]


def _basis(u: Array, powers: Array) -> Array:
    """(n, terms) products of Chebyshev polynomials at u (n, d)."""
    one = chebyshev.chebvander(u, DEGREE)  # (n, d, DEGREE + 1)
    out = one[:, 0, powers[:, 0]]
    for a in range(1, u.shape[1]):
        out = out * one[:, a, powers[:, a]]
    return out


def _both(exact: Callable[[Array, int], Array], centres: Array, ways: Array) -> Array:
    """(M, ways, P + d P) exact functionals and gradients around every centre."""
    X = (centres[:, None] + ways).reshape(-1, centres.shape[1])
    parts = [exact(X, order).reshape(len(centres), len(ways), -1) for order in (0, 1)]
    return np.concatenate(parts, axis=-1)


__all__ = ["Near"]
