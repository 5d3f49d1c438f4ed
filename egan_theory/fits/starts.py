"""Data-driven starts for the exponents: shift invariance of (Hankel-stacked) samples.

The left singular vectors U of a sum of r exponentials satisfy U[1:] = U[:-1] A with eig A = exp(s dt): exact DMD
without delays, the matrix pencil / ESPRIT on Hankel-stacked samples with them. Times are scaled to start at 0.
"""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError

from .varpro import Group, Layout

MAX_PENCIL = 160  # samples a pencil works on; longer records are block-averaged, which only rescales amplitudes


def starts(groups: list[Group], rank: int, real: bool) -> list[np.ndarray]:
    """Parameter vectors to start from; the last is a spread of guesses that needs no data."""
    big = max(groups, key=lambda g: g.t.size * g.columns)
    t, y = _even(big.t, big.y)
    u, s, _ = np.linalg.svd(y, full_matrices=False)
    y = (u * s)[:, :rank]
    found = []
    coarse = -(-t.size // MAX_PENCIL)
    for block in sorted({1, coarse}):
        n = t.size // block
        z = y[: n * block].reshape(n, block, -1).mean(axis=1)
        if block == 1 and coarse > 1:
            z = z[:MAX_PENCIL]  # fast modes live in the first samples
        dt = (t[1] - t[0]) * block
        for delays in sorted({1, len(z) // 3, len(z) // 2}):
            guess = _pencil(z, delays, rank)
            if guess is not None:
                found.append(encode(guess / dt, rank, real))
    k = np.arange(1, rank + 1)
    spread = -2.0 * k + (0 if real else 1j * np.pi * (k // 2) * (-1.0) ** k)
    return [*found, encode(spread.astype(complex), rank, real)]


def encode(s: np.ndarray, rank: int, real: bool) -> np.ndarray:
    """Parameter vector of the exponents s; a real layout symmetrizes, pairs neighbouring real ones, cuts or pads."""
    s = np.asarray(s, dtype=complex)
    if not real:
        return s[:rank].copy()
    tol = 1e-9 * max(np.abs(s).max(initial=0.0), 1.0)
    upper = s[s.imag > tol]
    flat = np.sort(s[np.abs(s.imag) <= tol].real)[::-1]
    layout = Layout.of(rank, True)
    single = flat[:1] if flat.size % 2 or layout.singles else flat[:0]
    flat = flat[single.size :]
    blocks = [(z.real, -(z.imag**2)) for z in upper]
    blocks += [((a + b) / 2, ((a - b) / 2) ** 2) for a, b in zip(flat[::2], flat[1::2], strict=False)]
    if single.size and not layout.singles:
        blocks.append((single[0] - 0.5, 0.25))
    blocks += [(-1.0 - j, -((np.pi * (1 + j)) ** 2)) for j in range(layout.pairs)]
    p = [x for b in blocks[: layout.pairs] for x in b]
    if layout.singles:
        p.append(single[0] if single.size else -1.0)
    return np.array(p, dtype=float)


def _even(t: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The samples on an even grid (linear interpolation: good enough to start from)."""
    grid = np.linspace(t[0], t[-1], t.size)
    if np.allclose(grid, t, rtol=0, atol=1e-6 * (t[-1] - t[0]) / t.size):
        return t, y
    parts = [np.interp(grid, t, c.real) + (1j * np.interp(grid, t, c.imag) if np.iscomplexobj(y) else 0) for c in y.T]
    return grid, np.stack(parts, axis=1)


def _pencil(z: np.ndarray, delays: int, rank: int) -> np.ndarray | None:
    """Logarithms of the r shift eigenvalues of z (time, column), or None where they do not exist."""
    n, cols = z.shape
    rows = n - delays + 1
    if delays < 1 or rows <= rank or delays * cols < rank:
        return None
    hankel = np.concatenate([z[i : i + rows] for i in range(delays)], axis=1)
    try:
        u = np.linalg.svd(hankel, full_matrices=False)[0][:, :rank]
        eig = np.linalg.eigvals(np.linalg.lstsq(u[:-1], u[1:], rcond=None)[0])
    except LinAlgError:
        return None
    # Shift eigenvalues at 0 have no logarithm; a tiny one stands for a mode that is gone within a sample.
    eig = np.where(np.abs(eig) < 1e-6, 1e-6, eig)
    if eig.size < rank or not np.isfinite(eig).all():
        return None
    log = np.log(eig.astype(complex))
    # A lone negative real shift eigenvalue has no conjugate partner: move it just inside the Nyquist limit.
    return np.where(np.abs(np.abs(log.imag) - np.pi) < 1e-12, log.real + 0.97j * np.pi, log)
