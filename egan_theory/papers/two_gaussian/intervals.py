"""Densities, the best pair of intervals and the total variation, exactly and for many generators at once.

p - q = e^(-x^2/2) sum_i c_i e^(m_i x) with four exponentials. By Descartes' rule of signs for exponential sums (Polya
and Szego, Problems and Theorems in Analysis II, part V, problem 77) it has at most as many zeros as its coefficients,
sorted by exponent, change sign: two positive and two negative ones give at most three. So {p > q} has at most two
components, and two intervals (one of them possibly a half line) attain the total variation.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

TRUE_MEANS = np.array([-1.0, 1.0])
"""Means of the data's two components, array (2,).

Units:
    Standard deviations of the components.

Source:
    A choice for the model of Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884).
"""
#: beyond this many standard deviations outside all means p and q hold less than 1e-18 of the mass
WINDOW = 9.0
#: halvings of the window: its ends are then known to rounding
BISECTIONS = 56


def normal(x: np.ndarray) -> np.ndarray:
    """Density of N(0, 1)."""
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def density(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    """1/2 sum_j N(x; mu_j, 1) for x (..., n), means (..., 2): (..., n)."""
    return normal(x[..., :, None] - means[..., None, :]).sum(-1) / 2


def mass(ends: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Mass of [l_1, r_1] and [l_2, r_2], ends (..., 4), under the mixture with means (..., 2): (...)."""
    cumulative = ndtr(ends[..., :, None] - means[..., None, :]).sum(-1) / 2
    return cumulative[..., 1] - cumulative[..., 0] + cumulative[..., 3] - cumulative[..., 2]


def excess(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(p - q)(x) for x (..., n), means (..., 2)."""
    return density(x, TRUE_MEANS) - density(x, means)


def excess_slope(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(p - q)'(x) for x (..., n), means (..., 2)."""
    true, made = x[..., :, None] - TRUE_MEANS, x[..., :, None] - means[..., None, :]
    return (made * normal(made) - true * normal(true)).sum(-1) / 2


def exponential_zeros(
    sign: np.ndarray, log: np.ndarray, m: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Sign changes of sum_i c_i e^(m_i x) in (low, high): (..., n - 1), sorted, ``high`` where there is none.

    c_i = sign_i e^(log_i) (log -inf for 0) and m (..., n), m ascending. By Rolle's theorem the zeros of f are separated
    by those of (f e^(-m_1 x))', an exponential sum with one term less; between neighbours f e^(-m_1 x) is monotone and
    bisection is exact.
    """
    n = m.shape[-1]
    if n == 1:
        return np.empty((*m.shape[:-1], 0))
    with np.errstate(divide="ignore"):
        lowered = log[..., 1:] + np.log(m[..., 1:] - m[..., :1])
    inner = exponential_zeros(sign[..., 1:], lowered, m[..., 1:], low, high)
    knots = np.concatenate([low[..., None], inner, high[..., None]], axis=-1)
    a, b = knots[..., :-1], knots[..., 1:]

    def side(x: np.ndarray) -> np.ndarray:
        exponent = log[..., None, :] + m[..., None, :] * x[..., :, None]
        scale = np.maximum(exponent.max(-1, keepdims=True), -1e300)  # all coefficients may vanish
        return np.sign(np.einsum("...i,...ki->...k", sign, np.exp(exponent - scale)))

    start = side(a)
    crosses = start * side(b) < 0
    for _ in range(BISECTIONS):
        middle = (a + b) / 2
        left = side(middle) == start
        a, b = np.where(left, middle, a), np.where(left, b, middle)
    return np.sort(np.where(crosses, (a + b) / 2, high[..., None]), axis=-1)


def best_intervals(means: np.ndarray) -> np.ndarray:
    """Ends of the two intervals where p > q; intervals that are not needed lie at the end of the window, where they are
    empty. Half lines end at the window's edge (mass beyond it below 1e-18).

    Returns:
        The ends, ascending.

    Shapes:
        means (..., 2), result (..., 4).

    Units:
        Standard deviations of the components.

    Raises: nothing of its own.

    Source:
        Descartes' rule for exponential sums: Polya and Szego, Problems and Theorems in Analysis II, part V, problem 77.
    """
    means = np.asarray(means, dtype=float)
    m = np.concatenate([np.broadcast_to(TRUE_MEANS, means.shape), means], axis=-1)
    low, high = m.min(-1) - WINDOW, m.max(-1) + WINDOW
    order = np.argsort(m, axis=-1, kind="stable")
    m, sign = np.take_along_axis(m, order, -1), np.array([1.0, 1.0, -1.0, -1.0])[order]
    zeros = exponential_zeros(sign, -(m**2) / 2, m, low, high)
    # between the first two different knots p - q has one sign throughout
    first = (low + zeros[..., 0]) / 2
    opens = excess(first[..., None], means)[..., 0] > 0
    # p > q from the window's edge: (edge, z1), (z2, z3); else (z1, z2), (z3, edge)
    from_edge = np.stack([low, zeros[..., 0], zeros[..., 1], zeros[..., 2]], axis=-1)
    inside = np.stack([zeros[..., 0], zeros[..., 1], zeros[..., 2], high], axis=-1)
    return np.where(opens[..., None], from_edge, inside)


def total_variation(means: np.ndarray) -> np.ndarray:
    """Total variation between data and generator, exact.

    Returns:
        One value per generator.

    Shapes:
        means (..., 2), result (...).

    Units:
        Means in standard deviations of the components, results pure numbers.

    Raises: nothing of its own.

    Source:
        Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884); ``best_intervals`` attain it.
    """
    means = np.asarray(means, dtype=float)
    ends = best_intervals(means)
    return np.maximum(mass(ends, TRUE_MEANS) - mass(ends, means), 0.0)
