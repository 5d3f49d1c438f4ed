"""Boundaries by continuation: the curve on which a margin of two parameters vanishes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...base.errors import InputError


def trace_boundary(
    margin: Callable[[float, float], float],
    start: tuple[float, float],
    box: tuple[float, float, float, float],
    *,
    step: float = 0.02,
    points: int = 400,
) -> np.ndarray:
    """(m, 2) points of the curve margin(x, y) = 0 through (near) ``start``, by pseudo-arclength continuation.

    ``box``: x and y limits, (x0, x1, y0, y1); lengths are measured in its sides, ``step`` too. The curve is followed
    both ways until it leaves the box, closes or the margin is not finite. Raises InputError if no zero is near.
    """
    low = np.array([box[0], box[2]], dtype=float)
    size = np.array([box[1] - box[0], box[3] - box[2]], dtype=float)

    def value(u: np.ndarray) -> float:
        return float(margin(*(low + size * u)))

    def gradient(u: np.ndarray) -> np.ndarray:
        shift = 1e-6 * np.eye(2)
        return np.array([(value(u + e) - value(u - e)) / 2e-6 for e in shift])

    def corrected(u: np.ndarray) -> np.ndarray | None:
        for _ in range(20):
            f, g = value(u), gradient(u)
            if not (np.isfinite(f) and np.all(np.isfinite(g)) and g @ g > 0):
                return None
            move = -f * g / (g @ g)
            u = u + move
            if np.linalg.norm(move) < 1e-10:
                return u
        return None

    first = corrected((np.array(start) - low) / size)
    if first is None:
        raise InputError("start", "lie near a zero of the margin", start)
    halves = []
    for sense in (1.0, -1.0):
        path: list[np.ndarray] = []
        u, length = first, step
        while len(path) < points and length > step / 64:
            g = gradient(u)
            tangent = np.array([-g[1], g[0]]) / np.linalg.norm(g)
            tangent *= sense  # the gradient turns with the curve: no reversals
            following = corrected(u + length * tangent)
            if following is None or np.linalg.norm(following - u) > 2 * length:
                length /= 2
                continue
            if np.any(following < 0) or np.any(following > 1):
                if length < step / 8:
                    break
                length /= 2
                continue
            u, length = following, step
            path.append(u)
            if len(path) > 3 and np.linalg.norm(u - first) < step / 2:
                break
        halves.append(path)
    return low + size * np.array([*halves[1][::-1], first, *halves[0]])
