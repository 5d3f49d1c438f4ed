"""The stiffness S^(1/2) H S^(1/2) of an exact kernel, split by what the data's own directions are.

H_ij = d_x d_y K(y_i, y_j) of a radial or dot-product kernel K = k(u) is
(Eq. (38, stiffness-radial); Eq. (39, stiffness-dot))

    radial, u = |x - y|^2:  H_ij = -2 k'_ij 1 - 4 k''_ij r r^T,  r = y_i - y_j
    dot, u = x.y:           H_ij = k'_ij 1 + k''_ij y_j y_i^T

so that on every direction orthogonal to all r (to all y) it acts as the (M, M) matrix A = -2 k' (or k') alone: d - m
equal copies of an M-dimensional problem, and one (M m)-dimensional problem in the m directions of the data, where the
same formulas hold with the coordinates in those directions. The generator's coupling S = diag(s) + c p p^T has the root

    S = R R^T,   R = D^(1/2) (1 + gamma q q^T),   D = diag(s),  q ~ D^(-1/2) p,  (1 + gamma)^2 = 1 + c |D^(-1/2) p|^2

(R = sqrt(c) p for a rigid cloud), so that R^T H R is D^(1/2) H D^(1/2) plus an update of rank 2 m. Exact: nothing is
dropped but rounding. Points that coincide are merged; their coupling adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg as sla

from ..base.errors import NotLinearizable
from ..kernels.base import FORCE_AT_DATA, check_range
from ..problem.problem import EPS, Problem, kept
from .banded import BANDWIDTH, eigenvalues_in_place
from .checks import refuse_changed
from .limits import Estimate

#: up to this size every eigenvector is computed; above it those of SAMPLED eigenvalues
ALL_VECTORS = 400
SAMPLED = 48
INSTEAD = "egan spectrum --extreme K needs no matrix; or allow more with --memory GB"


@dataclass(frozen=True)
class Split:
    """Y (M, m): distinct points in the data's directions; ``complement`` = d - m; first, second (M, M): A and k''
    (0 on the diagonal of a radial kernel); s, p (M,), c: the coupling."""

    Y: np.ndarray
    complement: int
    first: np.ndarray
    second: np.ndarray
    radial: bool
    s: np.ndarray
    p: np.ndarray
    c: float

    @property
    def rigid(self) -> bool:
        """No relative motion: S = c p p^T."""
        return not np.any(self.s)

    @property
    def columns(self) -> int:
        """Columns of R."""
        return 1 if self.rigid else len(self.p)

    @property
    def size(self) -> int:
        """Dimension of the problem in the data's directions."""
        return self.columns * self.Y.shape[1]

    @cached_property
    def _update(self) -> tuple[np.ndarray, float]:
        q = self.p / np.sqrt(self.s)
        length = float(np.linalg.norm(q))
        return q / length, float(np.expm1(0.5 * np.log1p(self.c * length**2)))

    def root(self, u: np.ndarray) -> np.ndarray:
        """R u, (M, ...) from (columns, ...)."""
        if self.rigid:
            return np.sqrt(self.c) * np.multiply.outer(self.p, u[0])
        q, gamma = self._update
        return self._scaled(u) + np.multiply.outer(gamma * np.sqrt(self.s) * q, np.tensordot(q, u, 1))

    def root_transposed(self, v: np.ndarray) -> np.ndarray:
        """R^T v, (columns, ...) from (M, ...)."""
        if self.rigid:
            return np.sqrt(self.c) * np.tensordot(self.p, v, 1)[None]
        q, gamma = self._update
        return self._scaled(v) + np.multiply.outer(gamma * q, np.tensordot(np.sqrt(self.s) * q, v, 1))

    def _scaled(self, v: np.ndarray) -> np.ndarray:
        """D^(1/2) v."""
        return (v.T * np.sqrt(self.s)).T

    def root_inverse(self, v: np.ndarray, transposed: bool = False) -> np.ndarray:
        """R^-1 v or R^-T v (not for a rigid cloud)."""
        q, gamma = self._update
        scale = np.sqrt(self.s)

        def rank_one(u: np.ndarray) -> np.ndarray:
            return u - gamma / (1 + gamma) * np.multiply.outer(q, np.tensordot(q, u, 1))

        return (rank_one(v).T / scale).T if transposed else rank_one((v.T / scale).T)

    def across(self) -> np.ndarray:
        """R^T A R: the stiffness on each of the ``complement`` directions."""
        return self.root_transposed(np.ascontiguousarray(self.root_transposed(self.first).T))

    def product(self, v: np.ndarray) -> np.ndarray:
        """H v in the data's directions, (M, m); memory O(M^2 + M m)."""
        Y = self.Y
        if self.radial:
            along = self.second * (Y @ v.T - (Y * v).sum(-1))
            return self.first @ v - 4 * (along.sum(1)[:, None] * Y - along @ Y)
        return self.first @ v + (self.second * (v @ Y.T).T) @ Y

    def apply(self, u: np.ndarray) -> np.ndarray:
        """R^T H R u in the data's directions, flat (size,) or (size, 1)."""
        m = self.Y.shape[1]
        return self.root_transposed(self.product(self.root(u.reshape(self.columns, m)))).reshape(u.shape)

    def matrix(self) -> np.ndarray:
        """R^T H R in the data's directions, Fortran order, lower triangle filled."""
        m, n = self.Y.shape[1], self.size
        if self.rigid:
            return np.asfortranarray(self.c * np.einsum("j,jab->ab", self.p, self._contracted(self.p)))
        a = np.empty((n, n), order="F")
        scale = np.sqrt(self.s)
        q, gamma = self._update
        w = scale[:, None, None] * self._contracted(q * scale)
        t = np.einsum("j,jab->ab", q, w)
        for i in range(len(self.p)):
            block = scale[i] * scale[i:, None, None] * self._row(i)
            if gamma:
                block += (gamma * q[i]) * (w[i:] + gamma * q[i:, None, None] * t)
                block += gamma * q[i:, None, None] * w[i].T
            # row i, columns i..: its transpose is the block column below the diagonal
            a.T[i * m : (i + 1) * m, i * m :] = np.swapaxes(block, 0, 1).reshape(m, -1)
        return a

    def _row(self, i: int) -> np.ndarray:
        """H_ij for j = i..., (M - i, m, m)."""
        Y, m = self.Y[i:], self.Y.shape[1]
        if self.radial:
            r = self.Y[i] - Y
            block = (-4 * self.second[i, i:, None] * r)[:, :, None] * r[:, None, :]
        else:
            block = (self.second[i, i:, None] * Y)[:, :, None] * self.Y[i]
        block[:, np.arange(m), np.arange(m)] += self.first[i, i:, None]
        return block

    def _contracted(self, g: np.ndarray) -> np.ndarray:
        """sum_i g_i H_ij, (M, m, m)."""
        M, m = self.Y.shape
        out = np.empty((M, m, m))
        for j in range(M):
            weight = g * self.second[:, j]
            if self.radial:
                r = self.Y - self.Y[j]
                out[j] = -4 * (r.T * weight) @ r
            else:
                out[j] = np.outer(self.Y[j], weight @ self.Y)
        out[:, np.arange(m), np.arange(m)] += (g @ self.first)[:, None]
        return out

    def moments(self) -> tuple[float, float]:
        """(trace, squared Frobenius norm) of S^(1/2) H S^(1/2) over all d directions, from the closed form alone:

        tr S H = sum_ij S_ij tr H_ij
        tr (S H)^2 = sum_ij s_i s_j |H_ij|^2 + 2 c sum_i s_i |(p^T H)_i|^2 + c^2 |p^T H p|^2
        """
        d, A = self.Y.shape[1] + self.complement, self.first
        gram = self.Y @ self.Y.T
        square = np.diag(gram)
        if self.radial:
            u = np.maximum(square[:, None] + square - 2 * gram, 0)
            trace, rank_one = -4 * self.second * u, 16 * self.second**2 * u**2
        else:
            trace, rank_one = self.second * gram, self.second**2 * np.outer(square, square)
        S = np.diag(self.s) + self.c * np.outer(self.p, self.p)
        first = float(np.sum(S * (d * A + trace)))
        squares = float(self.s @ (d * A**2 + 2 * A * trace + rank_one) @ self.s)
        if self.c:
            w, along = self._contracted(self.p), self.p @ A
            t = np.einsum("j,jab->ab", self.p, w)
            squares += 2 * self.c * float(self.s @ ((w**2).sum((1, 2)) + self.complement * along**2))
            squares += self.c**2 * float((t**2).sum() + self.complement * (along @ self.p) ** 2)
        return first, squares

    def estimate(self) -> Estimate:
        """Memory and work of all eigenvalues."""
        n, M = self.size, len(self.p)
        memory = 8.0 * (n * n + 8 * n * BANDWIDTH + 6 * self.Y.size * self.Y.shape[1] + 8 * M * M + n * SAMPLED)
        return Estimate(
            f"all {n} eigenvalues in the data's directions", memory, 4 / 3 * n**3 + 60.0 * n * n * BANDWIDTH
        )


@dataclass(frozen=True)
class Stiffness:
    """mu^2 of S^(1/2) H S^(1/2), one row per eigenvalue of either part, ascending, with ``multiplicity``.

    residual: largest |H v - mu^2 v| / |H| of the ``checked`` eigenpairs in the data's directions (all of them, or a
    sample evenly spaced in rank) and of all on the others; trace_error, norm_error: relative differences of
    sum mu^2 and sum mu^4 from their closed forms, which check every eigenvalue at once.
    """

    mu2: np.ndarray
    multiplicity: np.ndarray
    residual: float
    checked: int
    trace_error: float
    norm_error: float


def applies(problem: Problem) -> bool:
    """Whether the stiffness is that of an exact radial or dot-product kernel at points of open space."""
    disc, kernel = problem.exp.discriminator, problem.kernel
    if kernel is None or disc.features or disc.evaluation != "direct" or problem.exp.penalty.instance_noise:
        return False
    if problem.box is not None or problem.likelihood is not None or problem.packing is not None:
        return False
    return kernel.kind in ("stationary", "dot")


def not_of_stiffness(problem: Problem) -> tuple[str, ...]:
    """Fields on which the stiffness of an exact kernel at points of open space does not depend."""
    return (
        "loss", "penalty", "update", "memory", "run", "discriminator.learning_rate", "generator.learning_rate",
        "discriminator.seed", "discriminator.tolerance",
    )  # fmt: skip


def split(problem: Problem) -> Split:
    """The split of a problem to which the route ``applies``.

    Raises NotLinearizable if the kernel has no second derivative at coincident points, and for terms that change the
    stiffness.
    """
    refuse_changed(problem)
    kernel, Y = problem.exp.discriminator.kernel_object, problem.Y
    if kernel.kind == "stationary" and not kernel.differentiable:
        raise NotLinearizable("discriminator.kernel", FORCE_AT_DATA, repr(kernel.name))
    check_range(kernel, Y)
    M, d = Y.shape
    Estimate("the kernel's matrices", 8.0 * (8 * M * M + 4 * M * d), 20.0 * M * M * d).check("fewer points")
    return _split(problem)


@kept(not_of_stiffness)
def _split(problem: Problem) -> Split:
    kernel, Y, (s, p, c) = problem.exp.discriminator.kernel_object, problem.Y, problem.coupling
    Y, inverse = np.unique(Y, axis=0, return_inverse=True)
    add = lambda v: np.bincount(inverse.ravel(), weights=v, minlength=len(Y))  # noqa: E731
    radial = kernel.kind == "stationary"
    inside, complement = directions(Y, radial)
    if radial:
        u = _squared_distances(inside)
        first = -2 * kernel.derivatives(u, 1)[1]
        # r r^T k'' vanishes at r = 0, where k'' itself may not exist
        second = kernel.derivatives(u + np.eye(len(Y)), 2)[2]
        np.fill_diagonal(second, 0)
    else:
        _, first, second = kernel.derivatives(inside @ inside.T, 2)
    return Split(inside, complement, first, second, radial, add(s), add(p), float(c))


def directions(Y: np.ndarray, centred: bool) -> tuple[np.ndarray, int]:
    """(coordinates (M, m) in the data's own directions, number d - m of the others); m >= 1.

    A direction belongs to the data unless its extent is rounding, below eps max(M, d) times the largest.
    """
    X = Y - Y.mean(0) if centred else Y
    d = Y.shape[1]
    scale = np.abs(X).max(initial=0.0)
    if scale == 0:
        return np.zeros((len(Y), 1)), d - 1
    left, sigma, _ = np.linalg.svd(X / scale, full_matrices=False)
    m = int(np.sum(sigma > EPS * max(Y.shape) * sigma[0]))
    if m == d:
        return X, 0
    return scale * left[:, :m] * sigma[:m], d - m


def _squared_distances(Y: np.ndarray) -> np.ndarray:
    """Differences first, one row at a time: near points keep their digits."""
    u = np.stack([((y - Y) ** 2).sum(-1) for y in Y])
    np.fill_diagonal(u, 0)
    return u


def stiffness(problem: Problem) -> Stiffness:
    """All eigenvalues of S^(1/2) H S^(1/2) of a problem to which the route ``applies``; kept for the next strength.

    Raises NotLinearizable when the memory does not suffice, before anything is allocated.
    """
    split(problem).estimate().check(INSTEAD)
    return _stiffness(problem)


@kept(not_of_stiffness)
def _stiffness(problem: Problem) -> Stiffness:
    parts = split(problem)
    a = parts.matrix()
    n = len(a)
    if n <= ALL_VECTORS:
        inside, vectors = sla.eigh(a, lower=True, check_finite=False)
        chosen = np.arange(n)
    else:
        reduced = eigenvalues_in_place(a)
        inside = reduced.values
        chosen = np.unique(np.linspace(0, n - 1, SAMPLED).round().astype(int))
        vectors = reduced.vectors(chosen)
        del reduced
    del a
    norm = float(np.abs(inside).max(initial=0.0))
    residuals = [np.linalg.norm(parts.apply(v) - inside[i] * v) for i, v in zip(chosen, vectors.T, strict=True)]
    outside = np.empty(0)
    if parts.complement:
        across = parts.across()
        outside, across_vectors = np.linalg.eigh(across)
        norm = max(norm, float(np.abs(outside).max()))
        residuals.extend(np.linalg.norm(across @ across_vectors - across_vectors * outside, axis=0))
    mu2 = np.concatenate([inside, outside])
    multiplicity = np.concatenate([np.ones(n, dtype=int), np.full(len(outside), parts.complement, dtype=int)])
    order = np.argsort(mu2, kind="stable")
    trace, squares = parts.moments()
    return Stiffness(
        mu2[order],
        multiplicity[order],
        residual=float(max(residuals)) / norm if norm else 0.0,
        checked=len(chosen) + len(outside),
        trace_error=float(multiplicity @ mu2) / trace - 1 if trace else 0.0,
        norm_error=float(multiplicity @ mu2**2) / squares - 1 if squares else 0.0,
    )
