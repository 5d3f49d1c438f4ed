"""Non-uniform FFTs, and quadratic forms of D under weighted points that never move, as convolutions."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .base import Array

#: the transform's own relative error, as part of the map's tolerance
TRANSFORM_SHARE = 0.1
#: points from which on threads pay
THREADED = 100_000


def transform(shape: tuple[int, ...], tolerance: float, points: int) -> Any:
    """A transform of type 2 of so many points, which may be set: modes of that shape, right to its share of the map's
    tolerance."""
    import finufft

    eps, count = TRANSFORM_SHARE * tolerance, 1 if points < THREADED else threads()
    return finufft.Plan(2, shape, 1, eps, 1, dtype="complex128", nthreads=count)


def threads() -> int:
    """Threads for large transforms: OMP_NUM_THREADS where it is set, otherwise the cores this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WeightedForm:
    """Quadratic forms of D under fixed weighted points, for a FourierGrid ``grid``: convolutions with
    p_q = sum_n weight_n exp(-i q.x_n),

        sum_n weight_n f(x_n) exp(-i k.x_n) = sum_k' p_(k - k') c_k'

    by FFTs on a grid of 4 m + 1 points an axis or more, where no product of three modes folds back onto a kept one.
    """

    def __init__(self, grid: Any, X: Array, weights: Array) -> None:
        from scipy.fft import next_fast_len

        self.grid = grid
        self.points = tuple(int(next_fast_len(4 * int(m) + 1, real=True)) for m in grid.count)
        self.axes = tuple(range(-len(self.points), 0))
        double = tuple(4 * int(m) + 1 for m in grid.count)
        plan = transform(double, grid.tolerance, len(X))
        scale = 2 * np.pi / grid.length
        plan.setpts(*(np.ascontiguousarray(X[:, a] * scale[a]) for a in range(X.shape[1])))
        p = plan.execute_adjoint(np.asarray(weights, dtype=complex)).reshape(double)
        spectrum = np.zeros(self.points, dtype=complex)
        spectrum[np.ix_(*(np.arange(-2 * m, 2 * m + 1) for m in grid.count))] = p
        self.density = np.fft.ifftn(spectrum).real  # sum_q p_q exp(i q.x) / (number of grid points)
        n = np.rint(grid.wavevectors * grid.length[:, None] / (2 * np.pi)).astype(int)
        self.index = np.ravel_multi_index(tuple(n), self.points, mode="wrap")
        self.reflected = np.ravel_multi_index(tuple(-n), self.points, mode="wrap")

    def _convolved(self, c: Array, mean: Array) -> tuple[Array, Array]:
        """(g (J, ..., F), total) of the fields with coefficients c (J, ..., F) and means, weighted."""
        from scipy.fft import fftn, ifftn

        spectrum = np.zeros((*c.shape[:-1], int(np.prod(self.points))), dtype=complex)
        spectrum[..., self.index], spectrum[..., self.reflected], spectrum[..., 0] = c, c.conj(), mean
        # two real fields of a gradient would fit one complex transform; the grid is small against the points
        f = ifftn(spectrum.reshape(*c.shape[:-1], *self.points), axes=self.axes, overwrite_x=True, norm="forward").real
        g = fftn(f * self.density, axes=self.axes, overwrite_x=True).reshape(*c.shape[:-1], -1)
        return g[..., self.index], g[..., 0].real

    def values(self, w: Array) -> Array:
        """sum_n weight_n D(x_n) psi(x_n), (..., P)."""
        if np.iscomplexobj(w):
            return self.values(w.real) + 1j * self.values(w.imag)
        c, mean = self.grid.coefficients(w)
        return self.grid.weights(*self._convolved(c, mean))

    def gradients(self, w: Array) -> Array:
        """sum_n weight_n grad D(x_n) . grad psi(x_n), (..., P)."""
        if np.iscomplexobj(w):
            return self.gradients(w.real) + 1j * self.gradients(w.imag)
        c, _ = self.grid.coefficients(w)
        k = self.grid.wavevectors.reshape(len(self.points), *(1,) * (c.ndim - 1), -1)
        g, _ = self._convolved(1j * k * c, np.zeros((len(k), *c.shape[:-1])))
        return self.grid.weights(-1j * (k * g).sum(0), np.zeros(c.shape[:-1]))
