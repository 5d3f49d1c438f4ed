"""Second and third differentials of a map at a point, from its Taylor coefficients along lines.

With F(z + t v) = F(z) + sum_j t^j c_j(v) the differentials are the polar forms of c_2 = B(v, v)/2 and
c_3 = C(v, v, v)/6. On a basis e_1 ... e_m all of their components follow from lines along the lattice of integer
combinations sum_a n_a e_a, sum n_a = j, n_a >= 0: as many as there are components, and enough to tell them (the
principal lattice is unisolvent for forms of degree j). Complex arguments by multilinearity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement, permutations

import numpy as np

Array = np.ndarray
#: (k, n) real directions, order -> (k, order, n) Taylor coefficients of t^1 ... t^order
Jets = Callable[[Array, int], Array]


@lru_cache(maxsize=32)
def _lattice(m: int, degree: int) -> tuple[tuple[tuple[int, ...], ...], Array, Array]:
    """(multisets, directions (K, m), inverse (K, K)): inverse @ c_degree(directions) = the components of the
    symmetric form at the multisets."""
    sets = tuple(combinations_with_replacement(range(m), degree))
    directions = np.array([[s.count(a) for a in range(m)] for s in sets], dtype=float)
    # c(v) = form(v, ..., v)/degree! = sum over multisets of prod v_a^n_a / n_a! times the component
    rows = np.stack(
        [
            np.prod(directions ** np.array([s.count(a) for a in range(m)]), axis=1)
            / math.prod(math.factorial(s.count(a)) for a in range(m))
            for s in sets
        ],
        axis=1,
    )
    return sets, directions, np.linalg.inv(rows)


@dataclass(frozen=True)
class Differentials:
    """B and C of a map at a point, from ``jets`` along lines through it."""

    jets: Jets

    def form(self, basis: Array, degree: int) -> Array:
        """Components (m, ..., m, n) of the symmetric differential of that degree (2 or 3) on a real basis (m, n)."""
        m, n = basis.shape
        sets, directions, inverse = _lattice(m, degree)
        size = np.linalg.norm(basis, axis=1)
        size[size == 0] = 1.0
        values = self.jets(directions @ (basis / size[:, None]), degree)[:, degree - 1]
        components = inverse @ values
        out = np.empty((*(m,) * degree, n))
        for s, component in zip(sets, components, strict=True):
            for order in set(permutations(s)):
                out[order] = component * np.prod(size[list(s)])
        return out

    def bilinear(self, u: Array, v: Array) -> Array:
        """B(u_i, v_i), (k, n), of complex vectors (k, n)."""
        k = len(u)
        parts_u, parts_v = np.stack([u.real, u.imag]), np.stack([v.real, v.imag])
        left = np.broadcast_to(parts_u[:, None], (2, 2, *u.shape)).reshape(4 * k, -1)
        right = np.broadcast_to(parts_v[None], (2, 2, *v.shape)).reshape(4 * k, -1)
        real = self._real(np.ascontiguousarray(left), np.ascontiguousarray(right)).reshape(2, 2, k, -1)
        return real[0, 0] - real[1, 1] + 1j * (real[0, 1] + real[1, 0])

    def _real(self, u: Array, v: Array) -> Array:
        """B of real vectors: (c_2(u + v) - c_2(u - v))/2, both of length 1."""
        a, b = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
        out = np.zeros(u.shape)
        some = np.flatnonzero((a > 0) & (b > 0))
        if some.size:
            e, f = u[some] / a[some, None], v[some] / b[some, None]
            c = self.jets(np.concatenate([e + f, e - f]), 2)[:, 1]
            out[some] = (a * b)[some, None] * (c[: len(some)] - c[len(some) :]) / 2
        return out


__all__ = ["Differentials", "Jets"]
