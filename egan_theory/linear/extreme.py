"""The smallest and largest mu^2 of an exact kernel without its matrix: Lanczos iteration on products, with residuals.

The largest come from Lanczos iteration on R^T H R (see ``structured``). The smallest would need thousands of its steps,
and a factorization for shift-invert needs the matrix; they come from Lanczos iteration on the inverse instead, applied
by conjugate gradients with A (x) 1, the stiffness across the data's directions, as preconditioner. Both end with a
Rayleigh-Ritz step on the true operator. The part across the data's directions is solved densely, all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg as sla
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ..errors import InputError, NotLinearizable
from ..experiment import Experiment
from .memory import Estimate
from .structured import ALL_VECTORS, EPS, Split, split

#: largest |H v - mu^2 v| / |H| of an eigenpair that is returned
RESIDUAL = 1e-8
#: relative tolerance of Lanczos iteration for the largest
LANCZOS = 1e-9
#: and for the smallest, with that of the conjugate gradients inside it: tightened until the residuals are small enough
#: (relative to |H|, of which they are a small part; the Rayleigh-Ritz step squares the error of the eigenvalues)
INVERSE = ((1e-4, 1e-6), (1e-7, 1e-9), (1e-10, 1e-12))
MAX_STEPS = 4000
#: eigenvalues this near, relative, are one: a copy of the last one listed changes nothing
SAME = 1e-6
#: vectors that Lanczos iteration keeps, at least
KEPT = 24


@dataclass(frozen=True)
class Extremes:
    """Ascending mu2 (n,) with ``multiplicity`` and ``residual`` |H v - mu^2 v| / |H| of each eigenpair.

    The first ``smallest`` rows are the smallest eigenvalues there are, the others the largest; products: how many
    products with H it took.
    """

    mu2: np.ndarray
    multiplicity: np.ndarray
    residual: np.ndarray
    smallest: int
    products: int


def extremes(exp: Experiment, count: int = 10) -> Extremes:
    """The ``count`` smallest and ``count`` largest distinct mu^2 of an exact kernel (see ``structured.applies``).

    Raises NotLinearizable if the smallest ones are below the rounding of the largest, or an iteration does not end.
    """
    if count < 1:
        raise InputError("extreme", "be at least 1", count)
    parts = split(exp)
    n, M = parts.size, len(parts.p)
    Estimate("extreme eigenvalues", 8.0 * (6 * M * M + (6 * KEPT + 8 * count) * n), 1e3 * count * M * n).check(
        "fewer points; nothing smaller exists"
    )
    counter = [0]
    if n <= max(ALL_VECTORS, 4 * count):
        values, vectors = sla.eigh(parts.matrix(), lower=True, check_finite=False)
        inside = values, np.linalg.norm(_products(parts, vectors, counter) - vectors * values, axis=0)
    else:
        high = _largest(parts, count, counter)
        low = _smallest(parts, count, float(high[0].max()), counter)
        inside = np.concatenate([low[0], high[0]]), np.concatenate([low[1], high[1]])
    outside: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty(0))
    if parts.complement:
        across = parts.across()
        values, vectors = np.linalg.eigh(across)
        outside = values, np.linalg.norm(across @ vectors - vectors * values, axis=0)
    mu2, residual = (np.concatenate(pair) for pair in zip(inside, outside, strict=True))
    multiplicity = np.repeat([1, parts.complement], [len(inside[0]), len(outside[0])])
    norm = float(np.abs(mu2).max(initial=0.0)) or 1.0
    order = np.argsort(mu2, kind="stable")
    low_rows = order[:count]
    chosen = np.concatenate([low_rows, np.setdiff1d(order[-count:], low_rows)])
    chosen = chosen[np.argsort(mu2[chosen], kind="stable")]
    found = Extremes(mu2[chosen], multiplicity[chosen], residual[chosen] / norm, min(count, len(low_rows)), counter[0])
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
    operator: LinearOperator, count: int, tolerance: float, seed: int = 0, without: np.ndarray | None = None
) -> np.ndarray:
    """(n, count) orthonormal, the leading eigenvectors by Lanczos iteration; orthogonal to the columns ``without``."""
    n = operator.shape[0]
    v0 = np.random.default_rng(seed).standard_normal(n)
    if without is not None:
        outer, V = operator, without

        def matvec(u: np.ndarray) -> np.ndarray:
            w = outer.matvec(u - V @ (V.T @ u))
            return w - V @ (V.T @ w)

        operator, v0 = LinearOperator((n, n), matvec=matvec, dtype=float), v0 - V @ (V.T @ v0)
    kept = max(KEPT, 2 * count + 4)
    try:
        _, found = eigsh(operator, k=count, which="LA", v0=v0, tol=tolerance, ncv=min(kept, n))
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
    parts: Split, operator: LinearOperator, found: _Pairs, tolerance: float, largest: bool, counter: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(values, residual norms) with the copies that were missed: from one start, Lanczos iteration sees one vector of
    each eigenspace, and the others by rounding alone. What is orthogonal to all that was found is searched for better
    ones until it has none."""
    count = len(found.values)
    chosen = slice(1, None) if largest else slice(count)
    for seed in range(1, count + 1):
        more = _leading(operator, 1, tolerance, seed, found.vectors)
        both = _ritz(parts, np.concatenate([found.vectors, more], axis=1), counter)
        better = _Pairs(both.values[chosen], both.vectors[:, chosen], both.residual[chosen])
        if np.allclose(better.values, found.values, rtol=SAME, atol=0):
            break
        found = better
    return found.values, found.residual


def _largest(parts: Split, count: int, counter: list[int]) -> tuple[np.ndarray, np.ndarray]:
    operator = _operator(parts, counter)
    found = _ritz(parts, _leading(operator, count, LANCZOS), counter)
    return _completed(parts, operator, found, LANCZOS, True, counter)


def _smallest(parts: Split, count: int, norm: float, counter: list[int]) -> tuple[np.ndarray, np.ndarray]:
    for tolerance, inner in INVERSE:
        inverse = Inverse(parts, inner, counter)
        operator = LinearOperator((parts.size, parts.size), matvec=inverse, dtype=float)
        found = _ritz(parts, _leading(operator, count, tolerance), counter)
        if found.residual.max() <= RESIDUAL * norm:
            break
    return _completed(parts, operator, found, tolerance, False, counter)


class Inverse:
    """b -> (R^T H R)^-1 b by preconditioned conjugate gradients to a relative ``tolerance`` in the energy norm."""

    def __init__(self, parts: Split, tolerance: float, counter: list[int]) -> None:
        self.parts, self.tolerance, self.counter = parts, tolerance, counter
        values, vectors = np.linalg.eigh(parts.across())
        if not values[0] > EPS * len(values) * values[-1]:
            raise NotLinearizable(
                "discriminator.length_scale",
                "separate the target points: their smallest stiffness is below the rounding of the largest",
                f"a ratio of {values[0] / values[-1]:.2g}",
            )
        self.preconditioner = (vectors / values) @ vectors.T

    def __call__(self, b: np.ndarray) -> np.ndarray:
        P, shape = self.preconditioner, (self.parts.columns, -1)
        r = b.ravel().copy()
        x, z = np.zeros_like(r), (P @ r.reshape(shape)).ravel()
        p, energy = z.copy(), float(r @ z)
        stop = self.tolerance**2 * energy
        for _ in range(MAX_STEPS):
            if energy <= stop:
                return x
            self.counter[0] += 1
            q = self.parts.apply(p)
            step = energy / float(p @ q)
            x += step * p
            r -= step * q
            z = (P @ r.reshape(shape)).ravel()
            before, energy = energy, float(r @ z)
            p = z + (energy / before) * p
        raise NotLinearizable(
            "discriminator.length_scale",
            "give a stiffness that conjugate gradients invert (a smaller one, or egan spectrum without --extreme)",
            f"no convergence in {MAX_STEPS} steps",
        )
