"""What Newton's method for orbits is preconditioned by: low harmonics together, the others each alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from .circle import Array, Orbit, System, jacobians, resampled, symbol, wavenumbers
from .krylov import factors

#: harmonics that are coupled: 0 ... LOW
LOW = 1
#: most factorizations of single harmonics that are kept
KEPT = 192


class Preconditioner:
    """Fourier coefficients of the derivative along an orbit, up to the order 2 LOW, and what is made of them."""

    def __init__(self, system: System, orbit: Orbit) -> None:
        m = orbit.m if orbit.m <= 2 else 4 * LOW + 1
        self.m = min(orbit.m, 3)  # a circle's serves circles of any resolution
        along = jacobians(system, resampled(orbit.points, m) if orbit.circle else orbit.points)
        self.coefficients = np.fft.fft(along, axis=0) / m
        self.known: dict[complex, tuple] = {}

    def fits(self, orbit: Orbit) -> bool:
        """Whether it is of orbits of this kind."""
        return min(orbit.m, 3) == self.m

    def _single(self, s: complex) -> tuple:
        """LU factors of the mean derivative minus a symbol."""
        if s not in self.known:
            if len(self.known) > KEPT:
                self.known.clear()
            mean = self.coefficients[0]
            self.known[s] = factors(mean - s * np.eye(len(mean)))
        return self.known[s]

    def bordered(self, orbit: Orbit, columns: list[Array], weights: list[Array], borders: Array) -> Callable:
        """The inverse, applied to (m n + rows,) vectors."""
        m, n = orbit.points.shape
        s = symbol(m, orbit.angle, orbit.continuous)
        low = np.arange(m) if m <= 2 else np.concatenate([np.arange(LOW + 1), np.arange(m - LOW, m)])
        k, orders = wavenumbers(m)[low].astype(int), len(self.coefficients)
        size, extra = len(low) * n, len(columns)
        big = np.zeros((size + extra, size + extra), dtype=complex)
        for i in range(len(low)):
            for j in range(len(low)):
                block = big[i * n : (i + 1) * n, j * n : (j + 1) * n]
                block += self.coefficients[(k[i] - k[j]) % orders]
                if i == j:
                    block[np.diag_indices(n)] -= s[low[i]]
        for j, column in enumerate(columns):
            big[:size, size + j] = (np.fft.fft(column, axis=0) / m)[low].ravel()
        for i, weight in enumerate(weights):
            big[size + i, :size] = np.fft.fft(weight, axis=0)[low].conj().ravel()
        big[size:, size:] = borders
        known = factors(big)
        high = range(LOW + 1, (m - 1) // 2 + 1) if m > 2 else range(0)

        def inverse(u: Array) -> Array:
            R = np.fft.fft(u[: m * n].reshape(m, n), axis=0) / m
            out = np.zeros_like(R)
            solved = scipy.linalg.lu_solve(known, np.concatenate([R[low].ravel(), u[m * n :]]), check_finite=False)
            out[low] = solved[:size].reshape(len(low), n)
            for q in high:
                out[q] = scipy.linalg.lu_solve(self._single(complex(s[q])), R[q], check_finite=False)
                out[-q] = out[q].conj()
            return np.concatenate([(np.fft.ifft(out, axis=0) * m).real.ravel(), solved[size:].real])

        return inverse
