"""Off equilibrium: how fast ends follow the means, and how close the optimal discriminator brings them.

Near the true means p - q = -sum_j dmu_j v_j(x), v_j = (x - mu_j) phi(x - mu_j)/2: of first order in dmu, and so is TV.

Ends. An end relaxes to its zero of p - q at rate eta_D |(p - q)'| = eta_D ratio TV, with a ratio that depends on the
direction of dmu alone. n inner steps follow the optimum down to the total variation t only if n eta_D ratio t is
well above 1: the number needed grows as 1/t, and at equilibrium no number is enough (kappa = 0).

Means. TV is homogeneous of degree 1, so dmu . grad TV = TV and a step of rate eta with optimal intervals gives

    |dmu'|^2 = |dmu|^2 - 2 eta TV + eta^2 |grad TV|^2

The distance falls while TV > eta |grad TV|^2/2: every run comes below max |grad TV|^2 eta/2 and stays of that order.
"""

from __future__ import annotations

import numpy as np

from .intervals import TRUE_MEANS, WINDOW, best_intervals, excess_slope, total_variation
from .training import force_on_ends_by_means, generator_force

#: distance from the true means at which the limit is evaluated: corrections are of this relative order
NEAR = 1e-4
DIRECTIONS = 720


def _around() -> np.ndarray:
    angle = 2 * np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    return TRUE_MEANS + NEAR * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def slope_range() -> tuple[float, float, float]:
    """Range over directions of dmu of |(p - q)'|/TV at the zeros, zeros weighted by the square of their pull on the
    means.

    Returns:
        Smallest, mean and largest ratio.

    Units:
        Per standard deviation squared of the components.

    Raises: nothing of its own.

    Source:
        Module docstring; the model of Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884).
    """
    means = _around()
    ends = best_intervals(means)
    inside = np.abs(ends) < WINDOW
    weight = inside * (force_on_ends_by_means(ends, means) ** 2).sum(-1)
    slope = (weight * np.abs(excess_slope(ends, means))).sum(-1) / weight.sum(-1)
    ratio = slope / total_variation(means)
    return float(ratio.min()), float(ratio.mean()), float(ratio.max())


def cusp_amplitude(rate: float) -> float:
    """eta max |grad TV|^2/2: the total variation below which steps of rate eta no longer approach surely.

    Returns:
        A total variation.

    Units:
        rate per step with means in standard deviations; the result is a pure number.

    Raises: nothing of its own.

    Source:
        Module docstring; the model of Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884).
    """
    means = _around()
    force = generator_force(best_intervals(means), means)
    return float(rate * (force**2).sum(-1).max() / 2)
