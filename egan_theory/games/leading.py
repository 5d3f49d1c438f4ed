"""Leading multipliers of a training step from products alone: Krylov-Schur iteration (Stewart, SIAM J. Matrix Anal.
Appl. 23, 601 (2001)) with a budget of products.

ARPACK would do but for three things: stopped early, it gives nothing that has not converged; the multipliers farthest
from 1 and those of largest modulus are two runs, though their Krylov space is the same one; and its first pass, which
is the quadrature of the density, is not seen. Tests hold the two equal where both converge.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg as sla
from scipy.linalg.lapack import dtrsen

from ..base.errors import InputError
from ..base.ram import free_memory

Array = np.ndarray
Apply = Callable[[Array], Array]
#: residuals relative to |z - 1|: of a multiplier that has converged, and of one that is worth listing
CONVERGED, LISTED = 1e-5, 0.1
#: |z - 1| below which a multiplier is 1 to rounding
ONE = 1e-10
#: in the choice of those far from 1 multipliers below this modulus count less (their modes are gone within some steps),
#: and so do those of small angle, down to this part (decay, which lies within the others and is hard to find)
GONE, DECAY = 0.8, 0.02
#: products between two looks at the multipliers; vectors kept at least
LOOK, FEWEST = 8, 24
#: part of the free memory that the vectors may take
MEMORY = 0.25


class Spent(Exception):
    """No products are left."""


@dataclass
class Budget:
    """Products that may be made, counted and timed; ``progress(done, total)`` hears of each.

    total: at most so many, never exceeded; used: made so far (a product with one of B batches counts 1/B).
    interrupted: KeyboardInterrupt came; nothing is left then.
    """

    total: float
    progress: Callable[[float, float], None] | None = None
    used: float = 0.0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def left(self) -> int:
        return 0 if self.interrupted else int(self.total - self.used + 1e-9)

    @property
    def each(self) -> float:
        """Seconds per product so far; nan before the first."""
        return self.seconds / self.used if self.used else float("nan")

    def counted(self, apply: Apply, cost: float = 1.0) -> Apply:
        """``apply``, counted. Raises Spent instead of exceeding the total, InputError where a result is not finite."""

        def product(v: Array) -> Array:
            if self.interrupted or self.used + cost > self.total + 1e-9:
                raise Spent
            begin = time.perf_counter()
            try:
                out = np.asarray(apply(v), dtype=float)
                self.used += cost
                if self.progress is not None:
                    self.progress(self.used, self.total)
            except KeyboardInterrupt:
                self.interrupted = True
                raise Spent from None
            finally:
                self.seconds += time.perf_counter() - begin
            if not np.isfinite(out).all():
                raise InputError("game", "have finite derivatives at this checkpoint", "a product that is not finite")
            return out

        return product


@dataclass(frozen=True)
class Leading:
    """Eigenpairs of an (n, n) map, one of each conjugate pair (im >= 0), most telling first.

    values (m,); vectors (n, m), of norm 1; residuals (m,) |A x - z x|; products used; ended: "converged", "invariant"
    (the whole Krylov space was found), "products" (none left) or "interrupted". nodes, weights: quadrature of the
    density of all multipliers in the start's direction, from the first pass; next (n,) and tails (m,): A x = z x +
    tail next, so that products with A of what is listed cost nothing.
    """

    values: Array
    vectors: Array
    residuals: Array
    products: float
    ended: str
    nodes: Array = field(repr=False)
    weights: Array = field(repr=False)
    next: Array = field(repr=False)
    tails: Array = field(repr=False)

    @property
    def precise(self) -> Array:
        """(m,) whether the multiplier has converged: its residual is at most CONVERGED of |z - 1|."""
        return self.residuals <= CONVERGED * np.maximum(np.abs(self.values - 1), ONE)


def leading(
    apply: Apply, n: int, budget: Budget, products: int | None = None, *, count: int = 8, start: Array | None = None,
    seed: int = 0, kept: int | None = None, more: Callable[[Array], int] | None = None,
) -> Leading:  # fmt: skip
    """The ``count`` multipliers farthest from 1 and the ``count`` of largest modulus above 1, conjugate pairs as one.

    At most ``products`` of what the budget has left; ends sooner when all of them have converged. start: (n,) the
    first vector, default random by the seed. kept: vectors held at most, default all that a quarter of the free memory
    holds. more: how many products may follow when these are spent, by the multipliers found until then. Raises
    InputError for derivatives that are not finite.
    """
    if count < 1:
        raise InputError("count", "be at least 1", count)
    limit = min(budget.left, budget.left if products is None else products)
    room = int(MEMORY * free_memory() / (8.0 * n)) if kept is None else kept
    size = min(n, max(min(limit if more is None else budget.left, room), FEWEST))
    first = np.random.default_rng(seed).standard_normal(n) if start is None else np.asarray(start, dtype=float)
    run = _Krylov(budget.counted(apply), n, size, first, count)
    used = budget.used
    ended = "products"
    done = 0
    while done < limit:
        done += 1
        if not run.extend():
            ended = "interrupted" if budget.interrupted else "products"
            break
        if run.invariant:
            ended = "invariant"
            break
        full = run.length == size
        if (done % LOOK == 0 or full) and run.converged():
            ended = "converged"
            break
        if done == limit and more is not None:
            limit, more = limit + min(budget.left, more(run.listed()[0])), None
        if full and done < limit:
            run.restart()
    return run.result(budget.used - used, ended)


def order(z: Array, count: int) -> tuple[Array, Array]:
    """(indices of z with im >= 0, most telling first; which of them are asked for): by turns the farthest from 1, by
    |z - 1| min(1, |z| / GONE)^4, where Re z > 0 times max(|sin arg z|, DECAY), and the largest beyond the unit
    circle."""
    half = np.flatnonzero(z.imag >= 0)
    large = np.abs(z[half])
    turning = np.where(z[half].real < 0, 1.0, np.maximum(np.abs(np.sin(np.angle(z[half]))), DECAY))
    far = np.abs(z[half] - 1) * np.minimum(1.0, large / GONE) ** 4 * turning
    rank = np.empty((2, len(half)), dtype=int)
    rank[0, np.argsort(-far, kind="stable")] = np.arange(len(half))
    rank[1, np.argsort(-large, kind="stable")] = np.arange(len(half))
    rank[1, large <= 1 + ONE] += len(half)
    best = np.argsort(rank.min(0), kind="stable")
    return half[best], (rank.min(0) < count)[best]


class _Krylov:
    """A V_j = V_(j+1) H_(j+1, j) with orthonormal rows V."""

    def __init__(self, apply: Apply, n: int, size: int, start: Array, count: int) -> None:
        norm = float(np.linalg.norm(start))
        if not (np.isfinite(norm) and norm > 0):
            raise InputError("start", "be a finite vector that is not 0", norm)
        self.apply, self.count, self.size = apply, count, size
        self.V = np.empty((size + 1, n))
        self.V[0] = start / norm
        self.H = np.zeros((size + 1, size))
        self.length = 0
        self.invariant = False
        self.first: tuple[Array, Array] | None = None

    def extend(self) -> bool:
        """One product more; False where none could be made."""
        j = self.length
        try:
            w = self.apply(self.V[j]).copy()
        except Spent:
            return False
        before = float(np.linalg.norm(w))
        rows = self.V[: j + 1]
        for _ in range(2):  # twice is enough: rounding
            h = rows @ w
            w -= h @ rows
            self.H[: j + 1, j] += h
        after = float(np.linalg.norm(w))
        self.length = j + 1
        self.invariant = j + 1 == self.V.shape[1] or after <= 1e-13 * max(before, 1e-300)
        self.H[j + 1, j] = 0.0 if self.invariant else after
        self.V[j + 1] = 0.0 if self.invariant else w / after
        return True

    def pairs(self) -> tuple[Array, Array, Array]:
        """Ritz values, vectors in V's coordinates (of norm 1), and the signed residuals along the next vector."""
        j = self.length
        z, Y = np.linalg.eig(self.H[:j, :j])
        return z.astype(complex), Y.astype(complex), self.H[j, :j] @ Y

    def converged(self) -> bool:
        z, _, tails = self.pairs()
        rows, asked = order(z, self.count)
        chosen = rows[asked]
        small = np.abs(tails[chosen]) <= CONVERGED * np.maximum(np.abs(z[chosen] - 1), ONE)
        return bool(small.all()) and int(asked.sum()) >= min(self.count, self.V.shape[1] // 2)

    def restart(self) -> None:
        """Keep the Schur vectors of the most telling half."""
        self._quadrature()
        j = self.length
        T, Q = sla.schur(self.H[:j, :j], output="real")
        z = _block_values(T)
        rows, asked = order(z, self.count)
        most = min(max(j // 2, min(2 * int(asked.sum()), j - 6)), j - 2)
        select = np.zeros(j, dtype=np.int32)
        taken = 0
        for i in rows:
            members = np.flatnonzero((z == z[i]) | (z == np.conj(z[i]))) if z[i].imag else np.array([i])
            if taken + len(members) > most:
                break
            select[members] = 1
            taken = int(select.sum())
        T, Q, _, _, k, _, _, info = dtrsen(select, T, Q, job=b"N", lwork=max(1, j * j), liwork=max(1, j * j))
        if info:  # blocks too near each other to change places: the same space from its eigenvectors
            H = self.H[:j, :j]
            values, Y = np.linalg.eig(H)
            near = [int(np.argmin(np.abs(values - w))) for w in z[select != 0]]
            Q = sla.orth(np.concatenate([Y[:, near].real, Y[:, near].imag], axis=1), rcond=1e-10)
            T, k = Q.T @ H @ Q, Q.shape[1]
        tail = self.H[j, :j] @ Q[:, :k]
        for block in range(0, self.V.shape[1], 65536):  # no second copy of all vectors
            part = slice(block, block + 65536)
            self.V[:k, part] = Q[:, :k].T @ self.V[:j, part]
        self.V[k] = self.V[j]
        self.H[:] = 0.0
        self.H[:k, :k], self.H[k, :k] = T[:k, :k], tail
        self.length = k

    def _quadrature(self) -> None:
        """Of the first pass: e1^T f(H) e1 = sum of weights f(nodes)."""
        j = self.length
        if self.first is None and j:
            z, Y = np.linalg.eig(self.H[:j, :j])
            weights = Y[0] * np.linalg.solve(Y, np.eye(j)[:, 0])
            self.first = z.astype(complex), weights.astype(complex)

    def listed(self) -> tuple[Array, Array]:
        """(multipliers, their rows among ``pairs``) that are asked for and worth listing."""
        z, _, tails = self.pairs()
        rows, asked = order(z, self.count)
        rows = rows[asked]
        good = np.abs(tails[rows]) <= LISTED * np.maximum(np.abs(z[rows] - 1), ONE)
        return z[rows[good]], rows[good]

    def result(self, products: float, ended: str) -> Leading:
        n = self.V.shape[1]
        if not self.length:
            none = np.zeros(0, dtype=complex)
            return Leading(none, np.zeros((n, 0), complex), np.zeros(0), products, ended, none, none, np.zeros(n), none)
        self._quadrature()
        assert self.first is not None
        z, Y, tails = self.pairs()
        chosen = self.listed()[1]
        j = self.length
        rounding = np.finfo(float).eps * float(np.linalg.norm(self.H[:j, :j], 2))
        return Leading(
            z[chosen], self.V[:j].T @ Y[:, chosen], np.maximum(np.abs(tails[chosen]), rounding), products, ended,
            *self.first,
            self.V[j].copy(), tails[chosen],
        )  # fmt: skip


def _block_values(T: Array) -> Array:
    """Eigenvalues of a real Schur form, those of a 2 x 2 block as exact conjugates."""
    z = np.diag(T).astype(complex)
    for i in np.flatnonzero(np.diag(T, -1)):
        pair = np.linalg.eigvals(T[i : i + 2, i : i + 2]).astype(complex)
        z[i], z[i + 1] = pair[0], np.conj(pair[0])
        if z[i].imag < 0:
            z[i], z[i + 1] = z[i + 1], z[i]
    return z


__all__ = ["CONVERGED", "Budget", "Leading", "Spent", "leading", "order"]
