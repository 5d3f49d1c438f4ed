"""The eigenvalues of a step that are about to grow, with their right and left eigenvectors, and solves beside them.

Dense: inverse iteration of a block (so that double eigenvalues are found twice) with one LU factorization, not a whole
eigendecomposition.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

Array = np.ndarray
EPS = float(np.finfo(float).eps)
#: vectors of the block, and the largest residual of an eigenpair, relative to |A|
BLOCK, ITERATIONS, RESIDUAL = 8, 60, 1e-9
#: the shift stands this part of the unit beside the eigenvalue that is known
BESIDE = 3e-6
#: reciprocal condition below which zeta - A is singular, and what may be left over of its right side
SINGULAR, LEFT_OVER = 1e-11, 1e-7


class Refused(Exception):
    """No normal form here: the message says why, in a user's words."""


@dataclass(frozen=True)
class CriticalSpace:
    """values (k,): eigenvalues of A, of a pair the one with Im > 0; right, left (n, k): A q = value q,
    p^H A = value p^H, p_i^H q_j = 1 if i = j else 0; ``real``: eigenvalues and vectors are real.
    ``continuous``: A is a rate, the eigenvalues of a power z^n are sums and not products."""

    values: Array
    right: Array
    left: Array
    real: bool
    continuous: bool

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def all_values(self) -> Array:
        """(m,): with the conjugates behind."""
        return self.values if self.real else np.concatenate([self.values, self.values.conj()])

    @property
    def all_right(self) -> Array:
        """(m, n): the vectors of ``all_values``."""
        q = self.right.T
        return q if self.real else np.concatenate([q, q.conj()])

    def combined(self, *indices: int) -> complex:
        """The eigenvalue of the product of these coordinates: one step multiplies it by that (flow: its rate)."""
        chosen = self.all_values[list(indices)]
        return complex(chosen.sum() if self.continuous else chosen.prod())

    def chosen(self, which: Array | list[int]) -> CriticalSpace:
        return CriticalSpace(self.values[which], self.right[:, which], self.left[:, which], self.real, self.continuous)


def _lu(M: Array) -> tuple[Array, Array]:
    """LU factors, of a singular matrix, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)  # whether it is one is judged by its condition
        return scipy.linalg.lu_factor(M, check_finite=False)


def nearby(A: Array, target: complex, count: int = BLOCK) -> tuple[Array, Array, Array]:
    """Up to ``count`` eigenvalues of A nearest to ``target`` that inverse iteration resolves, nearest first, with right
    and left eigenvectors (n, k), biorthonormal."""
    n = len(A)
    count = min(count, n)
    shift = target + BESIDE * max(abs(target), EPS) * (1 + 1j)
    lu = _lu(shift * np.eye(n) - A)
    rng = np.random.default_rng(0)
    spaces = []
    for trans in (0, 2):
        V = np.linalg.qr(rng.standard_normal((n, count)) + 1j * rng.standard_normal((n, count)))[0]
        for _ in range(ITERATIONS):
            new = np.linalg.qr(scipy.linalg.lu_solve(lu, V, trans=trans, check_finite=False))[0]
            turned = np.linalg.norm(new - V @ (V.conj().T @ new), axis=0)[: max(count // 2, 1)].max()
            V = new
            if turned < 1e-13:
                break
        spaces.append(V)
    V, W = spaces
    small = V.conj().T @ (A @ V)
    values, Y = np.linalg.eig(small)
    order = np.argsort(np.abs(values - target), kind="stable")
    values, right = values[order], V @ Y[:, order]
    right = right / np.linalg.norm(right, axis=0)
    good = np.linalg.norm(A @ right - right * values, axis=0) <= RESIDUAL * max(float(np.linalg.norm(A, 1)), 1.0)
    k = int(np.argmin(good)) if not good.all() else len(good)
    if k == 0:
        raise Refused("the eigenvector that becomes unstable could not be resolved")
    values, right = values[:k], right[:, :k]
    values_l, Z = np.linalg.eig(W.conj().T @ (A.conj().T @ W))
    order = np.argsort(np.abs(values_l.conj() - target), kind="stable")[:k]
    left = W @ Z[:, order]
    # within groups of equal eigenvalues the bases are anyone's: made biorthonormal there
    left = left @ np.linalg.inv(left.conj().T @ right).conj().T
    return values, right, left


class Resolvent:
    """(zeta - A)^-1 b for several zeta, with one factorization each. ``resonant``: directions (right, left) with that
    eigenvalue that are kept out, so that the solution has no component there."""

    def __init__(self, A: Array, scale: float = 0.0) -> None:
        """scale: what zeta - A is singular against, where it is part of a larger matrix."""
        self.A, self.scale = A, scale
        self._kept: dict[tuple[complex, bool], tuple] = {}

    def __call__(self, zeta: complex, b: Array, resonant: CriticalSpace | None = None) -> Array:
        """(n,) or (n, j). Raises Refused where zeta is another eigenvalue and b has a component there."""
        real = abs(np.imag(zeta)) == 0
        key = complex(np.round(zeta, 13)), resonant is not None
        if key not in self._kept:
            M = (np.real(zeta) if real else zeta) * np.eye(len(self.A)) - self.A
            if resonant is not None:
                M = M + resonant.right @ resonant.left.conj().T
            self._kept[key] = self._factored(M)
        how, factors, M = self._kept[key]
        if resonant is not None:
            b = b - resonant.right @ (resonant.left.conj().T @ b)
        if how == "lu":
            return scipy.linalg.lu_solve(factors, b, check_finite=False)
        U, sigma, Vh = factors
        kept = sigma > SINGULAR * max(sigma[0], self.scale)
        x = Vh[kept].conj().T @ ((U[:, kept].conj().T @ b).T / sigma[kept]).T
        left_over = np.linalg.norm(M @ x - b, axis=0)
        if np.any(left_over > LEFT_OVER * np.linalg.norm(b, axis=0)):
            raise Refused(
                "the orbit pushes the state along a direction that nothing damps (multiplier 1 to rounding: weights "
                "without decay, particles on points so close that the discriminator does not tell them apart, or a "
                "cloud that may slide on a periodic box), so that it drifts and has no fixed size; weight decay, "
                "however small, bounds weights"
            )
        return x

    def _factored(self, M: Array) -> tuple:
        if self.scale:
            return "svd", np.linalg.svd(M), M
        lu = _lu(M)
        condition = scipy.linalg.get_lapack_funcs("gecon", (lu[0],))
        rcond, _ = condition(lu[0], np.linalg.norm(M, 1))
        if rcond > SINGULAR:
            return "lu", lu, M
        return "svd", np.linalg.svd(M), M


@dataclass(frozen=True)
class Split:
    """A of n coordinates that falls apart: ``core`` (c,) and T groups ``others`` (T, k) that it treats alike."""

    core: Array
    others: Array
    size: int

    def embedded(self, v: Array) -> Array:
        """(n, k) from the core's columns (c, k)."""
        out = np.zeros((self.size, *v.shape[1:]), dtype=v.dtype)
        out[self.core] = v
        return out


class SplitResolvent:
    """``Resolvent`` of such a matrix: A on the core (c, c), one (k, k) on every other group."""

    def __init__(self, split: Split, core: Array, one: Array) -> None:
        self.split = split
        self.core, self.one = Resolvent(core), Resolvent(one, max(1.0, float(np.abs(core).max())))

    def __call__(self, zeta: complex, b: Array, resonant: CriticalSpace | None = None) -> Array:
        s, within = self.split, resonant
        if resonant is not None:
            within = replace(resonant, right=resonant.right[s.core], left=resonant.left[s.core])
        found = self.core(zeta, b[s.core], within)
        groups = b[s.others]  # (T, k), or with columns (T, k, j)
        columns = np.moveaxis(groups, 1, 0).reshape(groups.shape[1], -1)
        rest = self.one(zeta, columns)
        out = np.zeros(b.shape, dtype=np.result_type(found, rest))
        out[s.core] = found
        out[s.others] = np.moveaxis(rest.reshape(groups.shape[1], len(groups), *b.shape[1:]), 0, 1)
        return out


__all__ = ["CriticalSpace", "Refused", "Resolvent", "Split", "SplitResolvent", "nearby"]
