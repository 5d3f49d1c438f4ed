"""Eigenvalues with a bound on their rounding errors, of small blocks and of dense matrices; the only place of bounds.

Everything here is of d: s itself for flows, z - 1 for steps (``UpdateRule.decrement``), whose rate is

    -log|1 + d| = -log1p(2 Re d + |d|^2) / 2

so that nothing cancels that is not zero to begin with. An eigenvalue of M + E, |E| <= e, is within e times its
condition |x| |y| / |y^H x| of that of M (x, y its vectors: Wilkinson 1965), as far as that is less than the gap g to
the next one; two that coalesce, with h = condition * g the part of M that couples them, move by half of
sqrt(g^2 + 4 h e) - g at most:

    bound = 2 condition e / (1 + sqrt(1 + 4 condition e / g)),    e = ROOMY eps |M|_F of the balanced matrix

Of 2 x 2 blocks with entries known to E (K, 2, 2), trace and determinant are known entry by entry, which is far more:
their roots keep the digits that the entries have, however small they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import matrix_balance
from scipy.spatial import cKDTree

Array = np.ndarray
EPS = float(np.finfo(float).eps)
#: smallest number there is: what underflows to 0 may be that
LEAST = float(np.finfo(float).smallest_subnormal)
#: roundings that an entry of a block, and of a dense matrix with its eigenvalues, may have behind it
ROOM, ROOMY = 4.0, 4.0
#: condition up to which eigenvalues that agree are taken for separate ones of one eigenspace, not for coalescing ones
SIMPLE = 1e3
#: of what slow players remember; part of what memory forgets by itself below which they are slow
ITERATIONS, SLOW = 14, 0.05
#: sweeps of balancing a small matrix
SWEEPS = 6
#: |z| below which it is found as itself, not as 1 + d
SMALL = 0.5


class Roots(NamedTuple):
    """d (..., m); error: bound on its rounding error; drift: Re d of flows, 2 Re d + |d|^2 = |z|^2 - 1 of steps, with
    a bound on its own error, which may be far smaller. z: multipliers."""

    d: Array
    error: Array
    drift: Array
    drift_error: Array
    z: Array

    def at(self, index: Array) -> Roots:
        """Taken along the last axis."""
        return Roots(*(np.take_along_axis(v, index, axis=-1) for v in self))

    def logarithms(self, continuous: bool) -> tuple[Array, Array, Array]:
        """(s, bound on its error, bound on that of its real part): d itself, or log(1 + d) per step, -inf for z = 0."""
        if continuous:
            return self.d, self.error, self.drift_error
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = np.abs(self.z)
            real = np.where(size < SMALL, np.log(size), np.log1p(np.maximum(self.drift, -1)) / 2)
            angle = np.where(self.z.imag == 0, np.where(self.z.real < 0, np.pi, 0.0), np.angle(self.z))
            s = real + 1j * np.where(size == 0, 0.0, angle)
            # near z = 0 the logarithm is steep on one side alone: |z| + error is what says that a mode decays
            part = self.error / size
            # a z of 0 decays, if its error leaves no doubt
            none = np.where(self.error < SMALL, 0.0, np.inf)
            error = np.where(size == 0, none, np.log1p(part) + np.minimum(part, np.pi))
            rate_error = np.where(size == 0, none, np.log1p(np.minimum(self.drift_error / (2 * size**2), part)))
            rate_error = rate_error + np.where(size == 0, 0.0, EPS * np.abs(real))
        return s, error, rate_error


def of_numbers(d: Array, error: Array, continuous: bool) -> Roots:
    """Roots that are known to ``error`` as they are."""
    d = d.astype(complex)
    if continuous:
        return Roots(d, error, d.real, error, np.exp(d))
    return Roots(d, error, 2 * d.real + np.abs(d) ** 2, (2 * np.abs(1 + d) + error) * error, 1 + d)


def spread(function: Callable[[Array], Array], blocks: Array, errors: Array) -> Array:
    """How far the errors of the entries (..., 2, 2) move a smooth ``function`` of them: to first order the sum over
    entries of |derivative| error (complex steps, without differences), and ROOM roundings of the result."""
    moved = ROOM * EPS * np.abs(function(blocks))
    for i, j in np.ndindex(2, 2):
        shifted = blocks.astype(complex)
        shifted[..., i, j] += 1j * errors[..., i, j]
        moved = moved + np.abs(function(shifted).imag)
    return moved + LEAST


def volume_errors(function: Callable[[Array], Array], blocks: Array, errors: Array, steps: int) -> Array:
    """``spread`` of a product of so many 1 + (entry of the diagonal), less 1; of none that is not 1 there is none."""
    found = spread(function, blocks, errors) + EPS * np.log2(steps) * np.abs(function(blocks))
    diagonal = (blocks[:, 0, 0] != 0) | (blocks[:, 1, 1] != 0) | (errors[:, 0, 0] > 0) | (errors[:, 1, 1] > 0)
    return np.where(diagonal, found, 0.0)


def moved(function: Callable[[Array], Array], at: Array, error: Array) -> Array:
    """How far ``error`` of a number >= 0 moves a function of it, with ROOM roundings of the result."""
    found = function(at)
    apart = [np.abs(function(np.maximum(at + e, 0)) - found) for e in (error, -error)]
    return np.asarray(np.maximum(*apart) + ROOM * EPS * np.abs(found) + LEAST * (found != 0))


def singular_errors(mu: Array, squares: float = EPS) -> Array:
    """Bounds on the errors of singular values of a matrix, which are all of them, from an SVD; ``squares``: part of the
    matrix's squared norm to which its products are known, which small mu then are not to EPS of the norm."""
    norm = float(np.linalg.norm(mu))
    if squares <= EPS:
        return np.full(mu.shape, ROOMY * EPS * norm)
    return ROOMY * EPS * norm + root_errors(mu**2, ROOMY * squares * norm**2)


def root_errors(mu2: Array, error: float) -> Array:
    """Bounds on the errors of the roots of numbers >= 0 that are known to ``error``."""
    return np.asarray(error / (np.sqrt(np.maximum(mu2, 0)) + np.sqrt(np.maximum(mu2, 0) + error))) if error else 0 * mu2


def pair_roots(blocks: Array, errors: Array, continuous: bool, volume: tuple[Array, Array] | None = None) -> Roots:
    """(K, 2) of real blocks (K, 2, 2) whose entries are known to ``errors``; ``volume``: |z|^2 - 1 of pairs of steps
    with a bound on its error, where more is known of it than of trace + determinant."""
    (a, b), (c, e) = ((blocks[:, i, 0], blocks[:, i, 1]) for i in (0, 1))
    (da, db), (dc, de) = ((errors[:, i, 0], errors[:, i, 1]) for i in (0, 1))
    d = pair_eigenvalues(blocks)
    product, difference = b * c, (a - e) / 2
    discriminant = difference**2 + product
    # what underflows is not 0: the least number stands for its error
    d_product = np.abs(b) * dc + np.abs(c) * db + db * dc + ROOM * EPS * np.abs(product) + LEAST
    d_trace = da + de + EPS * (np.abs(a) + np.abs(e))
    d_det = np.abs(a) * de + np.abs(e) * da + da * de + d_product + ROOM * EPS * np.abs(a * e)
    root = np.sqrt(np.abs(discriminant))[:, None]
    residual = np.abs(d) * d_trace[:, None] + d_det[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = residual / (root + np.sqrt(root**2 + residual))
    error = np.where(residual == 0, 0.0, error)
    flat = of_numbers(d, error, continuous)
    # of a conjugate pair the real part is half the trace and |d|^2 the determinant
    pair = (discriminant < 0)[:, None]
    trace, det = (a + e)[:, None], (a * e - product)[:, None]
    drift, d_drift = (trace / 2, d_trace[:, None] / 2) if continuous else (trace + det, (d_trace + d_det)[:, None])
    if volume is not None:
        drift, d_drift = (v[:, None] for v in volume)
    # where rounding does not tell a pair from two real roots the error is that of either
    sure = pair & (np.abs(discriminant) > d_product + np.abs(difference) * d_trace)[:, None]
    return flat._replace(drift=np.where(pair, drift, flat.drift), drift_error=np.where(sure, d_drift, flat.drift_error))


def pair_eigenvalues(blocks: Array) -> Array:
    """(K, 2) complex eigenvalues of (K, 2, 2) real blocks, without cancellation in the small root."""
    half = (blocks[:, 0, 0] + blocks[:, 1, 1]) / 2
    difference = (blocks[:, 0, 0] - blocks[:, 1, 1]) / 2
    product = blocks[:, 0, 1] * blocks[:, 1, 0]
    # (tr/2)^2 - det = ((J11 - J22)/2)^2 + J12 J21, formed without the large det
    discriminant = difference**2 + product
    root = np.sqrt(discriminant.astype(complex))
    large = np.where(half >= 0, half + root, half - root)
    det = blocks[:, 0, 0] * blocks[:, 1, 1] - product
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        small = np.where(discriminant >= 0, det / large, np.conj(large))
    small = np.where(large == 0, 0, small)
    return np.stack([large, small], axis=-1)


def dense_roots(matrix: Array, continuous: bool, unit: float = EPS, e: float = 0.0) -> tuple[Roots, Array]:
    """(roots (n,), eigenvectors (n, n)) of a real matrix whose entries are known to ``unit`` of its norm, and to e.

    An imaginary part below its error is none: two real eigenvalues that agree come as a conjugate pair, or not, as the
    rounding has it. A multiplier below its error is 0, where that error leaves no doubt that it decays. Roundings of n
    sums of n products add up like sqrt(n) (Higham and Mary, SIAM J. Sci. Comput. 41, A2815 (2019)).
    """
    d, error, vectors = _eigen(matrix, np.sqrt(max(len(matrix), 1)) * max(unit, EPS), e)
    real = np.abs(d.imag) <= error
    d = np.where(real, d.real, d)
    roots = of_numbers(d, error, continuous)
    if continuous:
        return roots, vectors
    gone = (np.abs(1 + d) <= error) & (error < SMALL)
    return roots._replace(z=np.where(gone, 0, 1 + d)), vectors


def _eigen(
    matrices: Array, unit: float = EPS, more: float = 0.0, errors: Array | None = None
) -> tuple[Array, Array, Array]:
    """(eigenvalues (..., m), bounds on their errors, eigenvectors) of one matrix or of a stack of them, whose entries
    are known to ``unit`` of its norm, to ``more`` and to ``errors`` of their own."""
    if not matrices.size:
        return np.empty(matrices.shape[:-1], dtype=complex), np.empty(matrices.shape[:-1]), np.empty(matrices.shape)
    scale = balance(matrices)
    balanced = matrices * (scale[..., None, :] / scale[..., :, None])
    values, vectors = np.linalg.eig(balanced)
    try:
        inverse = np.linalg.inv(vectors)
    except np.linalg.LinAlgError:
        inverse = np.linalg.pinv(vectors)
    condition = np.linalg.norm(inverse, axis=-1) * np.linalg.norm(vectors, axis=-2)
    e = ROOMY * unit * np.linalg.norm(balanced, axis=(-2, -1))[..., None] + more
    if errors is not None:
        e = e + np.linalg.norm(errors * (scale[..., None, :] / scale[..., :, None]), axis=(-2, -1))[..., None]
    return values.astype(complex), moved_by(e, condition, gaps(values)), scale[..., :, None] * vectors


def balance(matrices: Array) -> Array:
    """Scales (..., m), powers of 2, that make rows and columns of every matrix of one length (Osborne 1960)."""
    if matrices.ndim == 2:
        return np.asarray(matrix_balance(matrices, permute=False, separate=True)[1][0])
    size = np.abs(matrices)
    size[..., np.arange(size.shape[-1]), np.arange(size.shape[-1])] = 0
    scale = np.ones(matrices.shape[:-1])
    for _ in range(SWEEPS):
        for i in range(size.shape[-1]):
            row, column = size[..., i, :].sum(-1), size[..., :, i].sum(-1)
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = np.exp2(np.rint(np.log2(row / column) / 2))
            factor = np.where((row > 0) & (column > 0) & np.isfinite(factor), factor, 1.0)
            scale[..., i] *= factor
            size[..., :, i] *= factor[..., None]
            size[..., i, :] /= factor[..., None]
    return scale


def moved_by(e: Array, condition: Array, gap: Array) -> Array:
    """How far an error of norm e moves eigenvalues (module docstring); those of one eigenspace by e times condition."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        grown = 4 * condition * e / gap
        coalescing = 2 * condition * e / (1 + np.sqrt(1 + grown))
    return e * np.minimum(condition, SIMPLE) + np.where(np.isfinite(grown), coalescing, 0.0)


def gaps(values: Array) -> Array:
    """(..., n) distance of each of n numbers to the next one."""
    if values.shape[-1] < 2:
        return np.full(values.shape, np.inf)
    if values.ndim == 1:
        points = np.stack([values.real, values.imag], axis=-1)
        return np.asarray(cKDTree(points).query(points, k=2)[0][:, 1])
    apart = np.abs(values[..., :, None] - values[..., None, :])
    apart[..., np.arange(values.shape[-1]), np.arange(values.shape[-1])] = np.inf
    return apart.min(-1)


class Divided(NamedTuple):
    """D = [[P, Q], [R, S]] of the players (k of them) and of what they remember, where they are slow: D on the manifold
    memory = L players is X = P + Q L, small as their learning rates are, with all digits of its entries; the rest is
    Y = S - L Q. Of eigenvectors u of Y the players have K u, X K + Q = K Y, memory u + L K u. slow: whether it
    converged."""

    X: Array
    Y: Array
    K: Array
    L: Array
    slow: Array


def divided(D: Array, k: int) -> Divided:
    """By iteration of L = S^-1 (L X - R), for a matrix or for many (..., m, m)."""
    P, Q, R, S = D[..., :k, :k], D[..., :k, k:], D[..., k:, :k], D[..., k:, k:]
    with np.errstate(all="ignore"):
        inverse = _inverse(S)
        L = -inverse @ R
        X = P + Q @ L
        for _ in range(ITERATIONS):
            L = inverse @ (L @ X - R)
            before, X = X, P + Q @ L
        K = np.zeros_like(Q)
        Y = S - L @ Q
        back = _inverse(Y)
        for _ in range(ITERATIONS):
            K = (X @ K + Q) @ back
        change, size = (np.linalg.norm(m, axis=(-2, -1)) for m in (X - before, before))
        part = np.linalg.norm(inverse, axis=(-2, -1)) * size
    return Divided(X, Y, K, L, (change <= 4 * EPS * size) & (part < SLOW))


def _inverse(matrices: Array) -> Array:
    """Inverses; NaN of what has none."""
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        if matrices.ndim == 2:
            return np.full(matrices.shape, np.nan)
        return np.stack([_inverse(m) for m in matrices])


def small_roots(matrices: Array, steps: Array | None, errors: Array | None = None) -> Roots:
    """(K, m) of many small matrices, of d, whose entries are known to ``errors``; ``steps``: those of z, where they are
    steps: those near 0 are of them."""
    d, error, _ = _eigen(matrices, errors=errors)
    roots = of_numbers(d, error, steps is None)
    return roots if steps is None else roots._replace(z=multipliers(d, steps))


def multipliers(d: Array, steps: Array) -> Array:
    """1 + d; those near 0 from the matrices of the steps themselves."""
    z = 1 + d
    near = np.abs(z) < SMALL
    for k in np.flatnonzero(near.any(-1)):
        own = np.linalg.eigvals(steps[k])
        places = np.flatnonzero(near[k])
        places = places[np.argsort(np.abs(z[k, places]), kind="stable")]
        z[k, places] = own[np.argsort(np.abs(own), kind="stable")][: len(places)]
    return z


__all__ = [
    "Divided", "Roots", "balance", "dense_roots", "divided", "moved", "multipliers", "of_numbers", "pair_eigenvalues",
    "pair_roots", "root_errors", "singular_errors", "small_roots", "spread",
    "volume_errors",
]  # fmt: skip
