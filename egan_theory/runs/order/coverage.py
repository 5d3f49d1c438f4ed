"""How many of the target's points a cloud covers, and how evenly."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy.special import gammaln, xlogy

from ...base.errors import InputError
from .arrays import checked_target, cosine_distances, distances, mode_radius, nearest_particle, over_clouds

Metric = Literal["euclidean", "cosine"]
#: cosine distance within which a published image counts as covered
COSINE = 0.10


def modes_covered(
    cloud: xr.DataArray, target: xr.DataArray, *, radius: float | None = None, period: float | None = None
) -> xr.DataArray:
    """Number of target points with at least one particle within ``radius`` (length; both inclusive).

    Default radius: half the smallest distance between two target points, so that no particle covers two.
    Target itself: M. Fresh draw: M (1 - (1 - 1/M)^N) on average.
    """
    y, _ = checked_target(target)
    reach = mode_radius(y, radius, period)
    measure = lambda x: (nearest_particle(x, y, period) <= reach).sum(-1)  # noqa: E731
    return over_clouds(measure, cloud, y, "target points with a particle within the radius", "1")


def covered_share(cloud: xr.DataArray, target: xr.DataArray, *, cosine: float = COSINE) -> xr.DataArray:
    """Share of the target points with a particle within cosine distance 1 - cos <= ``cosine`` of them.

    Target itself: 1. Fresh draw: 1 - (1 - 1/M)^N on average, more where points lie that close to each other.
    A particle at the origin has no direction: its cosine with everything is taken as 0.
    """
    y, _ = checked_target(target)
    measure = lambda x: (cosine_distances(x, y).min(-2) <= cosine).mean(-1)  # noqa: E731
    name = f"share of target points within cosine distance {cosine:g} of a particle"
    return over_clouds(measure, cloud, y, name, "1")


def entropy_deficit(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    weights: Any = None,
    metric: Metric = "euclidean",
    period: float | None = None,
) -> xr.DataArray:
    """Deficit of the nearest-image entropy: sum_i p_i ln(p_i / weight_i), nat; ln M + sum p ln p for equal weights.

    p_i: share of the particles whose nearest target point is i (of several equally near, the first).
    Target itself (its weights the particles' shares): 0, the least. Fresh draw: ``expected_entropy_deficit``.
    One point only: -ln of its weight (ln M), the most. The published "diversity" is this number with metric "cosine".
    """
    y, w = checked_target(target, weights)
    if metric not in ("euclidean", "cosine"):
        raise InputError("metric", "be 'euclidean' or 'cosine'", repr(metric))
    if metric == "cosine" and period is not None:
        raise InputError("metric", "be 'euclidean' in a periodic box: directions have no meaning there", repr(metric))

    def measure(x: np.ndarray) -> np.ndarray:
        distance = cosine_distances(x, y) if metric == "cosine" else distances(x, y, period)
        nearest = distance.argmin(-1)
        p = (nearest[..., None] == np.arange(len(y))).mean(-2)
        # adding 0 turns the -0 of rounding into 0
        return np.maximum(xlogy(p, p / w).sum(-1), 0.0) + 0.0

    return over_clouds(measure, cloud, y, "deficit of the nearest-image entropy", "nat")


def expected_entropy_deficit(particles: int, points: int) -> float:
    """Mean ``entropy_deficit`` of N particles drawn from M equally likely points: ln M + M E[(n/N) ln(n/N)].

    n is binomial(N, 1/M). Exact sum; about (M - 1)/(2N) when N >> M.
    """
    if particles < 1 or points < 1:
        raise InputError("particles and points", "be at least 1", (particles, points))
    N, M = particles, points
    if M == 1:
        return 0.0
    n = np.arange(1, N + 1)
    log_choose = gammaln(N + 1) - gammaln(n + 1) - gammaln(N - n + 1)
    probability = np.exp(log_choose - n * np.log(M) + (N - n) * np.log1p(-1 / M))
    return float(np.log(M) + M * np.sum(probability * xlogy(n / N, n / N)))
