"""The smallest and largest mu^2 of an exact kernel without its matrix: Lanczos iteration on products, with residuals.

The largest come from Lanczos iteration on R^T H R (see ``structured``). The smallest would need thousands of its steps,
and a factorization for shift-invert needs the matrix; they come from Lanczos iteration on the inverse instead, applied
by conjugate gradients with A (x) 1, the stiffness across the data's directions, as preconditioner. Both end with a
Rayleigh-Ritz step on the true operator. The part across the data's directions is solved densely, all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg as sla
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ..base.errors import InputError, NotLinearizable
from ..base.threads import threads_for
from ..problem.problem import EPS, Problem
from .limits import Estimate
from .structured import ALL_VECTORS, Split, split

#: largest |H v - mu^2 v| / |H| of an eigenpair that is returned
RESIDUAL = 1e-8
#: relative tolerances of Lanczos iteration for the largest: of those returned, and of the search for missed copies,
#: which a Rayleigh-Ritz step follows that squares its error
LANCZOS, SEARCH = 1e-9, 1e-5
#: and for the smallest, with that of the conjugate gradients inside it: tightened until the residuals are small enough
#: (relative to |H|, of which they are a small part)
INVERSE = ((1e-4, 1e-5), (1e-7, 1e-9), (1e-10, 1e-12))
INVERSE_SEARCH = (1e-3, 1e-4)
MAX_STEPS = 4000
#: eigenvalues this near, relative, are one: a copy of the last one listed changes nothing
SAME = 1e-6
#: vectors that Lanczos iteration keeps, at least: of products, which are cheap, and of inverses, which are not
KEPT, KEPT_INVERSE = 40, 14


@dataclass(frozen=True)
class Extremes:
    """Ascending mu2 (n,) with ``multiplicity`` and ``residual`` |H v - mu^2 v| / |H| of each eigenpair.

    The first ``smallest`` rows are the smallest eigenvalues there are, the others the largest; products: how many
    products with H it took. cut: whether the last of the smallest, and the first of the largest, have further copies
    that are not counted; False where all of the last group are there.
    """

    mu2: np.ndarray
    multiplicity: np.ndarray
    residual: np.ndarray
    smallest: int
    products: int
    cut: tuple[bool, bool] = (False, False)


def extremes(problem: Problem, count: int = 10) -> Extremes:
    """The ``count`` smallest and ``count`` largest mu^2 of an exact kernel (see ``structured.applies``), and what
    equals the last of them as far as it is known.

    Raises NotLinearizable if the smallest ones are below the rounding of the largest, or an iteration does not end.
    """
    if count < 1:
        raise InputError("extreme", "be at least 1", count)
    with threads_for(len(problem.Y) * problem.Y.size):
        return _extremes(split(problem), count)


def _extremes(parts: Split, count: int) -> Extremes:
    n, M = parts.size, len(parts.p)
    Estimate(
        "extreme eigenvalues", 8.0 * (6 * M * M + (6 * max(KEPT, 2 * count) + 8 * count) * n), 1e3 * count * M * n
    ).check("fewer points; nothing smaller exists")
    counter = [0]
    beyond = (np.nan, np.nan)  # the next eigenvalues in the data's directions, where not all are known
    if n <= max(ALL_VECTORS, 4 * count):
        values, vectors = sla.eigh(parts.matrix(), lower=True, check_finite=False)
        inside = values, np.linalg.norm(_products(parts, vectors, counter) - vectors * values, axis=0)
    else:
        *high, above = _largest(parts, count, counter)
        *low, below = _smallest(parts, count, float(high[0].max()), counter)
        inside, beyond = (np.concatenate([low[0], high[0]]), np.concatenate([low[1], high[1]])), (below, above)
    outside: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty(0))
    if parts.complement:
        across = parts.across()
        values, vectors = np.linalg.eigh(across)
        outside = values, np.linalg.norm(across @ vectors - vectors * values, axis=0)
    mu2, residual = (np.concatenate(pair) for pair in zip(inside, outside, strict=True))
    multiplicity = np.repeat([1, parts.complement], [len(inside[0]), len(outside[0])])
    norm = float(np.abs(mu2).max(initial=0.0)) or 1.0
    order = np.argsort(mu2, kind="stable")
    low_rows = order[mu2[order] <= mu2[order[:count][-1]] * (1 + SAME)]
    high_rows = order[mu2[order] >= mu2[order[-count:][0]] * (1 - SAME)]
    chosen = np.concatenate([low_rows, np.setdiff1d(high_rows, low_rows)])
    chosen = chosen[np.argsort(mu2[chosen], kind="stable")]
    ends = mu2[low_rows[-1]], mu2[high_rows[0]]
    cut = tuple(bool(np.isclose(value, end, rtol=SAME, atol=0)) for value, end in zip(beyond, ends, strict=True))
    found = Extremes(
        mu2[chosen], multiplicity[chosen], residual[chosen] / norm, len(low_rows), counter[0], (cut[0], cut[1])
    )
    if found.residual.max() > RESIDUAL:
        raise NotLinearizable(
            "extreme", f"give residuals of at most {RESIDUAL:g} (ask for fewer)", f"{found.residual.max():.2g}"
        )
    return found


def _products(parts: Split, V: np.ndarray, counter: list[int]) -> np.ndarray:
    counter[0] += V.shape[1]
    return np.stack([parts.apply(v) for v in V.T], axis=1)


def _operator(parts: Split, counter: list[int]) -> LinearOperator:
    def matvec(u: np.ndarray) -> np.ndarray:
        counter[0] += 1
        return parts.apply(u.ravel())

    return LinearOperator((parts.size, parts.size), matvec=matvec, dtype=float)


def _leading(
    operator: LinearOperator, count: int, tolerance: float, kept: int, seed: int = 0, without: np.ndarray | None = None
) -> np.ndarray:
    """(n, count) orthonormal, the leading eigenvectors by Lanczos iteration with at least ``kept`` vectors; orthogonal
    to the columns ``without``."""
    n = operator.shape[0]
    v0 = np.random.default_rng(seed).standard_normal(n)
    if without is not None:
        outer, V = operator, without

        def matvec(u: np.ndarray) -> np.ndarray:
            w = outer.matvec(u - V @ (V.T @ u))
            return w - V @ (V.T @ w)

        operator, v0 = LinearOperator((n, n), matvec=matvec, dtype=float), v0 - V @ (V.T @ v0)
    try:
        _, found = eigsh(operator, k=count, which="LA", v0=v0, tol=tolerance, ncv=min(max(kept, 2 * count + 4), n))
    except ArpackNoConvergence:
        raise NotLinearizable("extreme", "be a number of eigenvalues that Lanczos iteration finds", count) from None
    return found


class _Pairs(NamedTuple):
    """Rayleigh-Ritz pairs of H, ascending: values (k,), vectors (n, k), norms of the residuals (k,)."""

    values: np.ndarray
    vectors: np.ndarray
    residual: np.ndarray


def _ritz(parts: Split, V: np.ndarray, counter: list[int]) -> _Pairs:
    """On the span of V's columns."""
    V, _ = np.linalg.qr(V)
    HV = _products(parts, V, counter)
    values, rotation = np.linalg.eigh((V.T @ HV + HV.T @ V) / 2)
    vectors = V @ rotation
    return _Pairs(values, vectors, np.linalg.norm(HV @ rotation - vectors * values, axis=0))


def _completed(
    parts: Split,
    search: Callable[[int, np.ndarray], np.ndarray],
    more: Callable[[int, np.ndarray], np.ndarray],
    found: _Pairs,
    chosen: slice,
    counter: list[int],
) -> tuple[np.ndarray, np.ndarray, float]:
    """(values, residual norms, the next eigenvalue) with the copies that were missed: from one start, Lanczos
    iteration sees one vector of each eigenspace, and the others by rounding alone. What is orthogonal to all that was
    found is searched for better ones until it has none; ``search`` tells whether there is one, ``more`` finds it, both
    by a seed and what is known."""

    def joined(extra: np.ndarray) -> tuple[_Pairs, float]:
        both = _ritz(parts, np.concatenate([found.vectors, extra], axis=1), counter)
        pairs = _Pairs(both.values[chosen], both.vectors[:, chosen], both.residual[chosen])
        return pairs, float(np.delete(both.values, chosen)[0])

    for seed in range(1, len(found.values) + 1):
        better, beyond = joined(search(seed, found.vectors))
        if np.allclose(better.values, found.values, rtol=SAME, atol=0):
            break
        found, beyond = joined(more(seed, found.vectors))
    return found.values, found.residual, beyond


def _largest(parts: Split, count: int, counter: list[int]) -> tuple[np.ndarray, np.ndarray, float]:
    operator = _operator(parts, counter)
    found = _ritz(parts, _leading(operator, count, LANCZOS, KEPT), counter)

    def one(tolerance: float) -> Callable[[int, np.ndarray], np.ndarray]:
        return lambda seed, known: _leading(operator, 1, tolerance, KEPT, seed, known)

    return _completed(parts, one(SEARCH), one(LANCZOS), found, slice(1, None), counter)


def _smallest(parts: Split, count: int, norm: float, counter: list[int]) -> tuple[np.ndarray, np.ndarray, float]:
    def leading(
        count: int, tolerances: tuple[float, float], seed: int = 0, known: np.ndarray | None = None
    ) -> np.ndarray:
        inverse = Inverse(parts, tolerances[1], counter)
        operator = LinearOperator((parts.size, parts.size), matvec=inverse, dtype=float)
        return _leading(operator, count, tolerances[0], KEPT_INVERSE, seed, known)

    def one(tolerances: tuple[float, float]) -> Callable[[int, np.ndarray], np.ndarray]:
        return lambda seed, known: leading(1, tolerances, seed, known)

    for tolerances in INVERSE:
        found = _ritz(parts, leading(count, tolerances), counter)
        if found.residual.max() <= RESIDUAL * norm:
            break
    return _completed(parts, one(INVERSE_SEARCH), one(tolerances), found, slice(count), counter)


class Inverse:
    """b -> (R^T H R)^-1 b by preconditioned conjugate gradients to a relative ``tolerance`` in the energy norm.

    They run on H itself, between R^-T and R^-1, unless R is no square matrix (a rigid cloud)."""

    def __init__(self, parts: Split, tolerance: float, counter: list[int]) -> None:
        self.parts, self.tolerance, self.counter = parts, tolerance, counter
        values, vectors = np.linalg.eigh(parts.across() if parts.rigid else parts.first)
        if not values[0] > EPS * len(values) * values[-1]:
            raise NotLinearizable(
                "discriminator.length_scale",
                "separate the target points: their smallest stiffness is below the rounding of the largest",
                f"a ratio of {values[0] / values[-1]:.2g}",
            )
        self.preconditioner = (vectors / values) @ vectors.T

    def __call__(self, b: np.ndarray) -> np.ndarray:
        parts, r = self.parts, b.reshape(self.parts.columns, -1)
        if parts.rigid:
            return self._solve(parts.apply, r.copy()).ravel()
        return parts.root_inverse(self._solve(parts.product, parts.root_inverse(r, transposed=True))).ravel()

    def _solve(self, product: Callable[[np.ndarray], np.ndarray], r: np.ndarray) -> np.ndarray:
        P = self.preconditioner
        x, z = np.zeros_like(r), P @ r
        p, energy = z.copy(), float(np.vdot(r, z))
        stop = self.tolerance**2 * energy
        for _ in range(MAX_STEPS):
            if energy <= stop:
                return x
            self.counter[0] += 1
            q = product(p)
            step = energy / float(np.vdot(p, q))
            x += step * p
            r -= step * q
            z = P @ r
            before, energy = energy, float(np.vdot(r, z))
            p *= energy / before
            p += z
        raise NotLinearizable(
            "discriminator.length_scale",
            "give a stiffness that conjugate gradients invert (a smaller one, or egan spectrum without --extreme)",
            f"no convergence in {MAX_STEPS} steps",
        )
