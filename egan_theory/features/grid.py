"""Fourier modes on a full wavevector grid: D and its adjoint by non-uniform FFTs, O(n + modes log modes)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .base import Array
from .fourier import FourierFeatures
from .weighted import THREADED, WeightedForm, transform

#: points times modes up to which products of one-dimensional exponentials are faster than a non-uniform FFT
SEPARABLE = 150_000


class FourierGrid:
    """psi = amplitude [cos k.x, sin k.x] and a constant, k = 2 pi n / length, over n in prod_a [-m_a, m_a], d <= 3.

    One of each pair +-n, in the order and with the weights of ``FourierFeatures`` (``dense``), which serves complex
    points and whole feature matrices. ``length`` (d,): sides of the periodic box; ``count`` (d,): the m_a;
    ``amplitude`` (F,) with F = (prod (2 m_a + 1) - 1)/2. Sums over few points are exact to rounding, those over many
    have relative error TRANSFORM_SHARE * tolerance (finufft: Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput.
    41, C479, 2019). ``domain`` (2, d): the corners between which the modes stand for a kernel without periods; None for
    a periodic box. ``attrs``: what a record says of them.
    """

    def __init__(
        self,
        length: Array,
        count: Array,
        amplitude: Array,
        constant: float,
        tolerance: float,
        domain: Array | None = None,
        attrs: dict[str, Any] | None = None,
    ) -> None:
        self.length, self.count = np.asarray(length, dtype=float), np.asarray(count, dtype=int)
        self.shape = tuple(int(s) for s in 2 * self.count + 1)
        self.dense = FourierFeatures(grid_wavevectors(self.length, self.count), amplitude, constant)
        self.amplitude, self.constant = amplitude, constant
        self.wavevectors = np.ascontiguousarray(self.dense.omega.T)
        self.slopes = 1j * self.wavevectors
        self.size = self.dense.size
        self.tolerance, self.domain, self.attrs = tolerance, domain, attrs or {}
        self._plans: list[Any] = []

    def at(self, X: Array) -> Any:
        if np.iscomplexobj(X):
            return self.dense.at(X)
        few = X.shape[-2] * self.size <= SEPARABLE
        return _LocatedGrid(self, X, _Separable(self, X) if few else _NonUniform(self, X))

    def gradient_rank(self, X: Array) -> int:
        return self.dense.gradient_rank(X)

    def outside(self, X: Array, reach: Array | float = 0.0) -> Array:
        """Which sets of points X (..., n, d) have one outside the domain, or closer to its faces than reach: (...,)."""
        if self.domain is None:
            return np.zeros(X.shape[:-2], dtype=bool)
        low, high = X.min(axis=-2) - reach, X.max(axis=-2) + reach
        return ~((low >= self.domain[0]) & (high <= self.domain[1])).all(axis=-1)

    def weighted(self, X: Array, weights: Array) -> WeightedForm:
        """Products with sum_n weight_n psi psi^T and sum_n weight_n grad psi . grad psi^T at a cost without n."""
        return WeightedForm(self, X, weights)

    # -- weights and coefficients --------------------------------------------------------------------------------------

    def coefficients(self, w: Array) -> tuple[Array, Array]:
        """(c (..., F), mean (...,)) with D = mean + 2 Re sum c exp(i k.x), for real weights (..., P)."""
        F = len(self.amplitude)
        return 0.5 * self.amplitude * (w[..., :F] - 1j * w[..., F : 2 * F]), self.constant * w[..., -1]

    def weights(self, g: Array, total: Array) -> Array:
        """(..., P): sum_n a_n psi(x_n) from g = sum_n a_n exp(-i k.x_n) (..., F) and total = sum_n a_n (...,)."""
        parts = (self.amplitude * g.real, -self.amplitude * g.imag, (self.constant * total)[..., None])
        return np.concatenate(parts, axis=-1)

    def plan(self) -> Any:
        """A transform of type 2 whose points may be set; give it back to ``_plans`` when done."""
        if self._plans:
            return self._plans.pop()
        return transform(self.shape, self.tolerance, 1)


def grid_wavevectors(length: Array, count: Array) -> Array:
    """(F, d) wavevectors 2 pi n / length, |n_a| <= count_a, one of each pair +-n: those after n = 0 in C order."""
    axes = [2 * np.pi / L * np.arange(-m, m + 1) for L, m in zip(length, count, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return np.ascontiguousarray(grid[len(grid) // 2 + 1 :])


class _Sums(Protocol):
    """The two sums at fixed points: X (*batch, n, d) with batches of J fields in front."""

    def synthesis(self, c: Array, mean: Array) -> Array:
        """mean + 2 Re sum_k c_k exp(i k.x_n): (J, *batch, n) for c (J, *batch, F), mean (J, *batch)."""

    def analysis(self, s: Array) -> tuple[Array, Array]:
        """(sum_n s_n exp(-i k.x_n) (J, *batch, F), sum_n s_n) for real s (J, *batch, n), batch that of the points."""


class _LocatedGrid:
    """The features at real points X (..., n, d); complex weights and adjoint coefficients go in two parts."""

    def __init__(self, grid: FourierGrid, X: Array, sums: _Sums) -> None:
        self.grid, self.X, self.sums = grid, X, sums

    def value(self, w: Array) -> Array:
        if np.iscomplexobj(w):
            return self.value(w.real) + 1j * self.value(w.imag)
        c, mean = self.grid.coefficients(w)
        return self.sums.synthesis(c[None], mean[None])[0]

    def gradient(self, w: Array) -> Array:
        if np.iscomplexobj(w):
            return self.gradient(w.real) + 1j * self.gradient(w.imag)
        c, _ = self.grid.coefficients(w)
        k = self.grid.slopes
        c = k.reshape(len(k), *(1,) * (c.ndim - 1), -1) * c
        return np.moveaxis(self.sums.synthesis(c, np.zeros(c.shape[:-1])), 0, -1)

    def hessian(self, w: Array) -> Array:
        if np.iscomplexobj(w):
            return self.hessian(w.real) + 1j * self.hessian(w.imag)
        c, k = -self.grid.coefficients(w)[0], self.grid.wavevectors
        d = len(k)
        pairs = [(a, b) for a in range(d) for b in range(a, d)]
        c = np.stack([k[a] * k[b] * c for a, b in pairs])
        f = self.sums.synthesis(c, np.zeros(c.shape[:-1]))
        return np.stack(
            [np.stack([f[pairs.index((min(a, b), max(a, b)))] for b in range(d)], -1) for a in range(d)], -2
        )

    def adjoint(self, a: Array, b: Array | None) -> Array:
        a = np.asarray(a)
        if np.iscomplexobj(a) or (b is not None and np.iscomplexobj(b)):
            return self.adjoint(a.real, None if b is None else b.real) + 1j * self.adjoint(
                a.imag, None if b is None else np.imag(b)
            )
        if b is None:
            if a.shape != self.X.shape[:-1]:
                a = np.broadcast_to(a, np.broadcast_shapes(a.shape, self.X.shape[:-1]))
            g, total = self.sums.analysis(a[None])
            return self.grid.weights(g[0], total[0])
        batch = np.broadcast_shapes(a.shape, b.shape[:-1], self.X.shape[:-1])
        s = np.stack([np.broadcast_to(a, batch), *(np.broadcast_to(b[..., i], batch) for i in range(b.shape[-1]))])
        g, total = self.sums.analysis(s)
        along = g[0]
        for ik, part in zip(self.grid.slopes, g[1:], strict=True):
            along = along - ik * part
        return self.grid.weights(along, total[0])

    def psi(self) -> Array:
        return self.grid.dense.at(self.X).psi()

    def grad(self) -> Array:
        return self.grid.dense.at(self.X).grad()


class _Separable:
    """exp(i k.x) as products of one-dimensional exponentials, summed one axis after the other by matrix products.

    On the first axis only n_0 >= 0 is kept (the fields are real): plane 0 whole, the others twice.
    """

    def __init__(self, grid: FourierGrid, X: Array) -> None:
        self.shape = (int(grid.count[0]) + 1, *grid.shape[1:])
        self.middle = int(np.prod(self.shape[1:])) // 2
        self.exponentials = []
        for axis, (L, m) in enumerate(zip(grid.length, grid.count, strict=True)):
            powers = _powers(np.exp(2j * np.pi / L * X[..., axis]), int(m))
            if axis:
                powers = np.concatenate([powers[..., :0:-1].conj(), powers], axis=-1)
            self.exponentials.append(powers)

    def synthesis(self, c: Array, mean: Array) -> Array:
        planes = np.concatenate([c[..., : self.middle][..., ::-1].conj(), mean[..., None], c], axis=-1)
        planes[..., 2 * self.middle + 1 :] *= 2
        batch = planes.shape[:-1]
        E = self.exponentials
        if len(E) == 1:
            return (E[0] @ planes[..., None])[..., 0].real
        # contract the last axis by a matrix product, the others point by point
        table = planes.reshape(*batch, -1, self.shape[-1])
        sums = E[-1] @ np.swapaxes(table, -1, -2)
        sums = sums.reshape(*sums.shape[:-1], *self.shape[:-1])
        for powers in reversed(E[1:-1]):
            sums = (sums @ powers[..., :, None])[..., 0]
        return np.einsum("...nk,...nk->...n", sums, E[0]).real

    def analysis(self, s: Array) -> tuple[Array, Array]:
        E = self.exponentials
        left = s[..., None] * E[0].conj()
        if len(E) == 1:
            g = left.sum(-2)
        else:
            for powers in E[1:-1]:
                left = (left[..., :, None] * powers.conj()[..., None, :]).reshape(*left.shape[:-1], -1)
            g = np.swapaxes(left, -1, -2) @ E[-1].conj()
            g = g.reshape(*g.shape[:-2], -1)
        return g[..., self.middle + 1 :], g[..., self.middle].real


def _powers(z: Array, m: int) -> Array:
    """(..., m + 1): 1, z, ..., z^m by doubling."""
    out = np.empty((*z.shape, m + 1), dtype=complex)
    out[..., 0] = 1
    have, step = 1, z
    while have <= m:
        more = min(have, m + 1 - have)
        np.multiply(out[..., :more], step[..., None], out=out[..., have : have + more])
        have, step = have + more, step * step
    return out


class _NonUniform:
    """Non-uniform FFTs, one set of points at a time; two real fields share one complex transform."""

    def __init__(self, grid: FourierGrid, X: Array) -> None:
        self.grid, self.batch, self.n = grid, X.shape[:-2], X.shape[-2]
        n = self.n
        scale = 2 * np.pi / grid.length
        self.plans, self.finite = [], []
        self.pooled = n < THREADED
        for points in X.reshape(-1, n, X.shape[-1]):
            plan = grid.plan() if self.pooled else transform(grid.shape, grid.tolerance, n)
            phases = np.multiply(points.T, scale[:, None], order="C")
            finite = bool(np.isfinite(phases.sum()))
            plan.setpts(*(phases if finite else 0 * np.nan_to_num(phases)))
            self.plans.append(plan)
            self.finite.append(finite)

    def __del__(self) -> None:
        if getattr(self, "pooled", False):
            self.grid._plans.extend(self.plans)

    def _sets(self, batch: tuple[int, ...]) -> list[tuple[int, Any]]:
        """(index of the set of points, index into fields of shape (batch, ...)) pairs."""
        if not self.batch:
            return [(0, i) for i in np.ndindex(batch)]
        sets = np.broadcast_to(np.arange(len(self.plans)).reshape(self.batch), batch)
        return [(int(sets[i]), i) for i in np.ndindex(batch)]

    def synthesis(self, c: Array, mean: Array) -> Array:
        batch = c.shape[1:-1]
        if batch != self.batch:
            batch = np.broadcast_shapes(batch, self.batch)
            c, mean = np.broadcast_to(c, (len(c), *batch, c.shape[-1])), np.broadcast_to(mean, (len(c), *batch))
        out = np.empty((len(c), *batch, self.n))
        for which, i in self._sets(batch):
            for j in range(0, len(c), 2):
                paired = j + 1 < len(c)
                pair = self._packed(c[(j, *i)], mean[(j, *i)], *((c[(j + 1, *i)], mean[(j + 1, *i)]) if paired else ()))
                f = self.plans[which].execute(pair.reshape(self.grid.shape))
                out[(j, *i)] = f.real if self.finite[which] else np.nan
                if paired:
                    out[(j + 1, *i)] = f.imag if self.finite[which] else np.nan
        return out

    @staticmethod
    def _packed(c: Array, mean: Any, other: Array | None = None, other_mean: Any = 0.0) -> Array:
        """Coefficients (2 F + 1,) over +-n of the complex field f + i g from those of the real f and g."""
        F = len(c)
        out = np.empty(2 * F + 1, dtype=complex)
        turned = 0.0 if other is None else 1j * other
        out[F] = mean + 1j * other_mean
        np.add(c, turned, out=out[F + 1 :])
        np.subtract(c, turned, out=out[F - 1 :: -1] if F else out[:0])
        np.conjugate(out[:F], out=out[:F])
        return out

    def analysis(self, s: Array) -> tuple[Array, Array]:
        batch = s.shape[1:-1]  # holds that of the points
        F = len(self.grid.amplitude)
        g = np.empty((len(s), *batch, F), dtype=complex)
        for which, i in self._sets(batch):
            for j in range(0, len(s), 2):
                paired = j + 1 < len(s)
                strengths = s[(j, *i)] + 1j * s[(j + 1, *i)] if paired else s[(j, *i)].astype(complex)
                G = self.plans[which].execute_adjoint(strengths).ravel()
                if not self.finite[which]:
                    G[:] = np.nan
                above, below = G[F + 1 :], G[:F][::-1].conj()
                if paired:
                    g[(j, *i)], g[(j + 1, *i)] = 0.5 * (above + below), -0.5j * (above - below)
                else:
                    g[(j, *i)] = above
        return g, s.sum(-1)
