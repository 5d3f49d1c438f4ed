"""How far a cloud is from its target: centroid, energy distance, maximum mean discrepancy."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ...base.errors import InputError
from .arrays import centre_and_radius, centroid, checked_target, distances, over_clouds, pairs, wrapped


def centroid_displacement(
    cloud: xr.DataArray, target: xr.DataArray, *, weights: Any = None, period: float | None = None
) -> xr.DataArray:
    """|centroid of the cloud - mean of the target| / R, in data radii: R is the target's own ``spread``.

    Target itself: 0. Fresh draw: 1/sqrt(N) (rms). A target of a single point has no radius: NaN, or inf off it.
    """
    y, w = checked_target(target, weights)
    centre, radius = centre_and_radius(y, w, period)

    def measure(x: np.ndarray) -> np.ndarray:
        shift = wrapped(centroid(x, period) - centre, period)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt((shift**2).sum(-1)) / radius

    return over_clouds(measure, cloud, y, "distance of the centroid from the target's mean, in data radii", "1")


def energy_distance(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    weights: Any = None,
    normalised: bool = False,
    period: float | None = None,
) -> xr.DataArray:
    """2 E|x - y| - E|x - x'| - E|y - y'| (length) over all pairs, a particle with itself included (V-statistic).

    ``normalised``: divided by 2 E|x - y|, between 0 and 1. Szekely and Rizzo, J. Stat. Plan. Inference 143, 1249
    (2013). Target itself: 0. Fresh draw: A/N on average, A = E|y - y'| of the target (normalised: about 1/(2N)).
    """
    y, w = checked_target(target, weights)
    own = w @ distances(y[None], y, period)[0] @ w

    def measure(x: np.ndarray) -> np.ndarray:
        cross = 2 * (distances(x, y, period).mean(-2) @ w)
        distance = cross - pairs(x, x, period).mean((-1, -2)) - own
        with np.errstate(invalid="ignore", divide="ignore"):
            return distance / cross if normalised else distance

    name = "energy distance to the target"
    return over_clouds(measure, cloud, y, name + " / 2E|x - y|" * normalised, "1" if normalised else "length")


def mmd2(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    length_scale: float | None = None,
    weights: Any = None,
    period: float | None = None,
) -> xr.DataArray:
    """Squared maximum mean discrepancy E k(x,x') + E k(y,y') - 2 E k(x,y), k = exp(-r^2/(2 l^2)), over all pairs.

    V-statistic, never negative; Gretton et al., JMLR 13, 723 (2012), equation (5). Default l: the median distance
    between two different target points. In a periodic box r is the distance to the nearest image.
    Target itself: 0. Fresh draw: (1 - E k(y,y'))/N on average. A cloud far away: 1/N to 1, plus E k(y,y').
    """
    y, w = checked_target(target, weights)
    between = distances(y[None], y, period)[0]
    if length_scale is None:
        apart = between[np.triu_indices(len(y), 1)]
        length_scale = float(np.median(apart)) if len(apart) else 1.0
    if not (np.isfinite(length_scale) and length_scale > 0):
        raise InputError("length_scale", "be finite and greater than 0", length_scale)
    kernel = lambda r: np.exp(-0.5 * (r / length_scale) ** 2)  # noqa: E731
    own = w @ kernel(between) @ w

    def measure(x: np.ndarray) -> np.ndarray:
        cross = kernel(distances(x, y, period)).mean(-2) @ w
        return np.maximum(kernel(pairs(x, x, period)).mean((-1, -2)) + own - 2 * cross, 0.0)

    return over_clouds(measure, cloud, y, f"squared MMD, Gaussian kernel of length scale {length_scale:.6g}", "1")
