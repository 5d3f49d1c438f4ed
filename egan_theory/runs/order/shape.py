"""The shape of a cloud by itself: how wide it is, how many directions it fills."""

from __future__ import annotations

import numpy as np
import xarray as xr

from .arrays import centred, directions, over_clouds


def mean_abs_cosine(cloud: xr.DataArray) -> xr.DataArray:
    """Mean |cos| of the angle between distinct particles, seen from the origin of coordinates.

    Target itself: its own mean over distinct pairs, c. Fresh draw: 1/M + (1 - 1/M) c on average (pairs drawn from the
    same point have cosine 1). Particles on one ray or line through the origin: 1. One particle: NaN. It depends on
    where the origin is: a centroid that runs away sends it to 1 without any contraction.
    """

    def measure(x: np.ndarray) -> np.ndarray:
        N = x.shape[-2]
        unit = directions(x)
        total = np.abs(unit @ np.swapaxes(unit, -1, -2))
        diagonal = np.trace(total, axis1=-2, axis2=-1)
        return (total.sum((-1, -2)) - diagonal) / (N * (N - 1)) if N > 1 else np.full(len(x), np.nan)

    return over_clouds(measure, cloud, None, "mean |cos| between distinct particles", "1")


def spread(cloud: xr.DataArray, *, period: float | None = None) -> xr.DataArray:
    """Rms distance of the particles from their centroid (length): 0 for a collapsed cloud.

    Target itself: the target's own, R. Fresh draw: R sqrt(1 - 1/N) (rms).
    """
    measure = lambda x: np.sqrt((centred(x, period) ** 2).sum(-1).mean(-1))  # noqa: E731
    return over_clouds(measure, cloud, None, "rms distance from the centroid", "length")


def participation_ratio(cloud: xr.DataArray, *, period: float | None = None) -> xr.DataArray:
    """(sum ev)^2 / sum ev^2 over the eigenvalues of the cloud's covariance: how many directions it fills.

    Between 1 and min(N - 1, d). Target itself: the target's own, r. Fresh draw of a Gaussian target, n = N - 1, to
    leading order in its fluctuations: (n r + 2)/(n + 1 + r); white noise has r = d. No spread at all: NaN.
    """

    def measure(x: np.ndarray) -> np.ndarray:
        c = centred(x, period)
        size = np.sqrt((c**2).sum((-1, -2), keepdims=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            c = c / size  # scaled: squares of squares neither overflow nor underflow
        # the N x N and the d x d products have the same eigenvalues: take the smaller
        gram = c @ np.swapaxes(c, -1, -2) if c.shape[-2] <= c.shape[-1] else np.swapaxes(c, -1, -2) @ c
        return 1 / (gram**2).sum((-1, -2))

    return over_clouds(measure, cloud, None, "participation ratio of the covariance", "1")
