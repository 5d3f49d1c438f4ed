"""What random probes say of a generator's tangent kernel, through products with it alone.

Theta = J P J^T acts on (N, d): N latents, d output dimensions. What commutes with permutations of the latents and with
rotations of the output has two eigenvalues: on outputs that move together, u = 1 (x) e, and on those that sum to zero
over the latents,

    beta = tr[(11^T/N (x) 1) Theta] / d = g1 + (N - 1) g2,   alpha = tr[(C (x) 1) Theta] / ((N - 1) d) = g1 - g2,

C = 1 - 11^T/N. One probe is a random vector of each kind, uniform on the sphere of its space (radius the root of its
dimension), so that E u u^T is the projector on it: u.Theta u and |Theta u|^2 are unbiased (Hutchinson 1989), and of a
kernel that is its two numbers they have no scatter at all. With permutations alone there are two matrices over the
output instead, M = tr_latents[(11^T/N (x) 1) Theta] and R = tr_latents[(C (x) 1) Theta] / (N - 1). What follows from
several means is corrected for its bias, and given its error, by leaving out one probe at a time (Quenouille 1956, Tukey
1958): for what is quadratic in one mean that correction is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Array = np.ndarray
#: random directions of the output along which R is seen
SKETCH = 16
Product = Callable[[Array], Array]


@dataclass(frozen=True)
class Probed:
    """Per probe, or once from the whole kernel (``exact``), of one batch of N latents with d outputs.

    alpha, beta (n,): the two eigenvalues; square (n,): |Theta|_F^2; traces (n, N, N): tr Theta_ij / d, unbiased each,
    symmetric; common (n,): |M|_F^2; relative (n, k, d): R S, S (d, k) with E S S^T = 1; blocks (N, N) of |Theta_ij|_F^2
    and whole (N, d, N, d), Theta, where exact, else None.
    """

    alpha: Array
    beta: Array
    square: Array
    traces: Array
    dimension: int
    common: Array
    relative: Array
    whole: Array | None = None

    @property
    def latents(self) -> int:
        return self.traces.shape[-1]

    @property
    def exact(self) -> bool:
        return self.whole is not None


def probed(product: Product, latents: int, dimension: int, probes: int, rng: np.random.Generator) -> Probed:
    """``product``: (N, d) -> (N, d), Theta u; 2 products a probe (one where there is a single latent)."""
    N, d = latents, dimension
    alpha, beta, square, common = np.zeros((4, probes))
    sketch = rng.standard_normal((d, SKETCH)) / np.sqrt(SKETCH)
    traces, relative = np.zeros((probes, N, N)), np.zeros((probes, SKETCH, d))
    for p in range(probes):
        e = rng.standard_normal(d)
        e *= np.sqrt(d) / np.linalg.norm(e)
        y = product(np.tile(e, (N, 1)))
        rows = y @ e / d  # sum_j tr Theta_ij / d
        beta[p], square[p], traces[p] = rows.mean(), (y**2).sum() / N, rows[:, None] / N
        common[p] = (y.mean(0) ** 2).sum()
        if N > 1:
            v = rng.standard_normal((N, d))
            v -= v.mean(0)
            v *= np.sqrt((N - 1) * d) / np.linalg.norm(v)
            w = product(v)
            alpha[p] = (v * w).sum() / ((N - 1) * d)
            square[p] += (w**2).sum()
            traces[p] += w @ v.T / d
            relative[p] = (v @ sketch).T @ w / (N - 1)
    return Probed(alpha, beta, square, (traces + traces.transpose(0, 2, 1)) / 2, d, common, relative)


def whole(product: Product, latents: int, dimension: int) -> Probed:
    """From all N d columns of Theta, (N d)^2 numbers."""
    N, d = latents, dimension
    theta = np.stack([product(u.reshape(N, d)).ravel() for u in np.eye(N * d)], axis=1)
    theta = ((theta + theta.T) / 2).reshape(N, d, N, d)
    return _known(theta)


def _known(theta: Array) -> Probed:
    """Of all of Theta (N, d, N, d)."""
    N, d = theta.shape[:2]
    traces = np.einsum("iaja->ij", theta) / d
    g1, g2 = two_of(traces)
    M, own = theta.mean((0, 2)) * N, np.einsum("iaib->ab", theta) / N
    R = (own * N - M) / (N - 1) if N > 1 else 0 * M
    alpha, beta, square, common = np.array([[g1 - g2], [g1 + (N - 1) * g2], [(theta**2).sum()], [(M**2).sum()]])
    return Probed(alpha, beta, square, traces[None], d, common, R[None], theta)


def two_of(traces: Array) -> tuple[float, float]:
    """(mean of the diagonal, mean off it) of (N, N); of one latent the second is 0."""
    N = len(traces)
    g1 = float(np.trace(traces)) / N
    return g1, (float(traces.sum()) - N * g1) / (N * (N - 1)) if N > 1 else 0.0


class Numbers(NamedTuple):
    """What is estimated. share: the part of |Theta|_F^2 in the two-number kernel, its best approximation by such
    kernels; the rest in traces that differ between latents, in traces that differ between pairs, and in blocks Theta_ij
    that are no multiples of the identity over the output. The four sum to 1. two_matrices: the part in the nearest
    kernel that has one d x d matrix for a sample with itself and one for all pairs."""

    g1: float
    g2: float
    ratio: float
    share: float
    unequal_diagonal: float
    unequal_pairs: float
    not_identity: float
    two_matrices: float


def numbers(means: list[Probed]) -> Array:
    """``Numbers`` from the means over probes, of each batch, averaged over the batches (ratio: of the averages)."""
    found = np.array([_of_batch(m) for m in means]).mean(0)
    g1, g2 = found[:2]
    return np.concatenate([[g1, g2, g2 / g1 if g1 else np.nan], found[2:]])


def _of_batch(m: Probed) -> tuple[float, ...]:
    N, d, alpha, beta, T = m.latents, m.dimension, m.alpha.mean(), m.beta.mean(), m.traces.mean(0)
    g1, g2, square = ((N - 1) * alpha + beta) / N, (beta - alpha) / N, m.square.mean()
    if N == 1:
        g2 = 0.0
    two = d * ((N - 1) * alpha**2 + beta**2)  # |two-number kernel|^2 = d (N g1^2 + N (N - 1) g2^2)
    if not square > 0:
        return (g1, g2, *(np.nan,) * 5)
    off = T.copy()
    np.fill_diagonal(off, 0)
    own, other = two_of(T)
    diagonal = d * float(((np.diag(T) - own) ** 2).sum())
    pairs = d * (float((off**2).sum()) - N * (N - 1) * other**2)
    matrices = (N - 1) * float((m.relative.mean(0) ** 2).sum()) + m.common.mean()
    parts = (two, diagonal, pairs, square - two - diagonal - pairs, matrices)
    return (g1, g2, *(part / square for part in parts))


def without(probed: Probed, p: int) -> Probed:
    """All probes but one."""
    kept = np.arange(len(probed.alpha)) != p
    parts = {f: getattr(probed, f)[kept] for f in ("alpha", "beta", "square", "traces", "common", "relative")}
    return Probed(dimension=probed.dimension, **parts)


def estimated(batches: list[Probed]) -> tuple[Numbers, Array]:
    """(numbers, their standard errors over probes): bias and errors by leaving out one probe, the same of all batches.

    Exact ones have error 0; of a single probe errors are NaN."""
    plain = numbers(batches)
    if batches[0].exact:
        return Numbers(*map(float, plain)), np.zeros(len(plain))
    n = len(batches[0].alpha)
    if n < 2:
        return Numbers(*map(float, plain)), np.full(len(plain), np.nan)
    left = np.array([numbers([without(b, p) for b in batches]) for p in range(n)])
    corrected = n * plain - (n - 1) * left.mean(0)
    error = np.sqrt((n - 1) / n * ((left - left.mean(0)) ** 2).sum(0))
    return _within(corrected, min(b.latents for b in batches)), error


def _within(values: Array, N: int) -> Numbers:
    """Kept where the exact ones lie: the correction may lead out by less than the error."""
    out = Numbers(*(float(v) for v in values))
    ratio = float(np.clip(out.ratio, -1 / (N - 1), 1)) if N > 1 else 0.0
    return out._replace(ratio=ratio, share=float(np.clip(out.share, 0, 1)))


def over_latents(batches: list[Probed], error: Array) -> Array:
    """Standard errors of ``numbers`` from the latents alone (independent ones), given those over the probes.

    Several batches: by leaving out one of them. One batch: by leaving out one latent, of g1, g2 and their ratio, and
    where exact of all; NaN otherwise. What probes add to that scatter is subtracted."""
    if len(batches) > 1:
        B = len(batches)
        left = np.array([numbers([b for i, b in enumerate(batches) if i != k]) for k in range(B)])
        variance = (B - 1) / B * ((left - left.mean(0)) ** 2).sum(0)
        return np.sqrt(np.maximum(variance - error**2, 0))
    one = batches[0]
    N, out = one.latents, np.full(len(Numbers._fields), np.nan)
    if N < 3:
        return out
    if one.exact:
        left = np.array([numbers([_without_latent(one, i)]) for i in range(N)])
        return np.sqrt((N - 1) / N * ((left - left.mean(0)) ** 2).sum(0))
    each = np.array([_influences(T) for T in one.traces])  # (probe, number, latent)
    n = len(each)
    mean = each.mean(0)
    noise = each.var(0, ddof=1).mean(1) / n if n > 1 else np.zeros(len(mean))
    out[:2] = np.sqrt(np.maximum(mean.var(1, ddof=1) - noise, 0) / N)
    g1, g2 = two_of(one.traces.mean(0))
    along = each[:, 1] / g1 - each[:, 0] * g2 / g1**2  # of the ratio, to first order
    noise = along.var(0, ddof=1).mean() / n if n > 1 else 0.0
    out[2] = np.sqrt(max(along.mean(0).var(ddof=1) - noise, 0) / N)
    return out


def _influences(T: Array) -> Array:
    """(2, N): what each latent contributes to g1, the mean of one, and to g2, the mean of two (Hajek's projection)."""
    N = len(T)
    own = np.diag(T)
    return np.array([own, 2 * (T.sum(1) - own) / (N - 1)])


def _without_latent(p: Probed, i: int) -> Probed:
    assert p.whole is not None
    kept = np.delete(np.arange(p.latents), i)
    return _known(p.whole[kept][:, :, kept])


__all__ = ["Numbers", "Probed", "estimated", "numbers", "over_latents", "probed", "two_of", "whole"]
