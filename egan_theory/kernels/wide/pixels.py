"""Inner products of pixels over their channels at the pairs of positions of a first layer, and their derivatives."""

from __future__ import annotations

import numpy as np

from .pairs import Step

Array = np.ndarray


def products(x: Array, y: Array, first: Step) -> Array:
    """x_p . y_q / channels of one point with itself, (S, n)."""
    p, q = first.pairs.T
    return np.einsum("ncs,ncs->sn", x[:, :, p], y[:, :, q]) / x.shape[1]


def cross(x: Array, y: Array, first: Step) -> Array:
    """x_p . y_q / channels, (S, n, m)."""
    p, q = first.pairs.T
    return np.einsum("ncs,mcs->snm", x[:, :, p], y[:, :, q], optimize=True) / x.shape[1]


def by_first(y: Array, first: Step) -> Array:
    """d(x_p . y_q / channels)/dx, (S, n, d)."""
    return _by(y, first, 0)


def by_second(x: Array, first: Step) -> Array:
    """d(x_p . y_q / channels)/dy, (S, n, d)."""
    return _by(x, first, 1)


def _by(z: Array, first: Step, side: int) -> Array:
    n, channels, positions = z.shape
    out = np.zeros((len(first.pairs), n, channels, positions), z.dtype)
    by, other = first.pairs[:, side], first.pairs[:, 1 - side]
    out[np.arange(len(by)), :, :, by] = np.moveaxis(z[:, :, other], 2, 0) / channels
    return out.reshape(len(by), n, channels * positions)


def by_both(channels: int, positions: int, first: Step) -> Array:
    """d^2(x_p . y_q / channels)/dx dy, (S, d, d)."""
    S, (p, q) = len(first.pairs), first.pairs.T
    out = np.zeros((S, channels, positions, channels, positions))
    for ch in range(channels):
        out[np.arange(S), ch, p, ch, q] = 1 / channels
    return out.reshape(S, channels * positions, channels * positions)
