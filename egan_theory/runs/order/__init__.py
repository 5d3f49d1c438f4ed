"""Order parameters: how a cloud of particles compares with its target, as functions on xarray with named dims.

A cloud has dims (particle, component), a target (point, component); further dims of the cloud (run, time, lrD, phi)
broadcast. Particles have equal masses; target points have ``weights`` (equal ones by default). A cloud with a
non-finite coordinate (a run that diverged) gives NaN. ``period``: side of a periodic box, for the measures that have a
meaning there; the cloud is then unwrapped about its circular mean, which needs a cloud that does not fill the box.

Each function states its value for the target itself (one particle on each point) and for a fresh draw (N particles
drawn from the target's M points). Definitions agree with the order parameters of arXiv:2212.04580.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

from ...base.dataset import shown
from .coverage import COSINE, Metric, covered_share, entropy_deficit, expected_entropy_deficit, modes_covered
from .distance import centroid_displacement, energy_distance, mmd2
from .shape import mean_abs_cosine, participation_ratio, spread


@shown
def order_parameters(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    weights: Any = None,
    period: float | None = None,
    radius: float | None = None,
    metric: Metric = "euclidean",
    cosine: float = COSINE,
) -> xr.Dataset:
    """How a cloud of particles compares with its target: all order parameters, over the cloud's further dims.

    The value for the target itself (attribute ``target_value``) has one particle on each point, whatever the weights.
    Measures of direction (mean_abs_cosine, covered_share) are left out in a periodic box.

    Args:
        weights: of the target's points, equal ones by default.
        period: side of a periodic box.
        radius: length within which a particle covers a point; default: half the smallest distance of two points.
        metric: of the nearest point, "euclidean" or "cosine".
        cosine: cosine distance, 1 - cos, within which a point counts as covered.

    Returns:
        A Dataset of all measures, each with its ``target_value``.

    Shapes:
        cloud (..., particle, component), target (point, component), weights (point); every measure (...):

        - modes_covered [1], entropy_deficit [nat], participation_ratio [1], mmd2 [1]
        - spread [length], energy_distance [length], centroid_displacement [1]: in data radii
        - mean_abs_cosine [1], covered_share [1]: of direction, not in a periodic box

    Units:
        In brackets above, and attribute ``units`` of each.

    Raises:
        InputError: dims, shapes or numbers that do not fit.

    Source:
        Definitions agree with the order parameters of arXiv:2212.04580; egan_theory.runs.order.
    """

    def everything(x: xr.DataArray) -> dict[str, xr.DataArray]:
        out = {
            "modes_covered": modes_covered(x, target, radius=radius, period=period),
            "entropy_deficit": entropy_deficit(x, target, weights=weights, metric=metric, period=period),
            "spread": spread(x, period=period),
            "participation_ratio": participation_ratio(x, period=period),
            "centroid_displacement": centroid_displacement(x, target, weights=weights, period=period),
            "energy_distance": energy_distance(x, target, weights=weights, period=period),
            "mmd2": mmd2(x, target, weights=weights, period=period),
        }
        if period is None:
            out["mean_abs_cosine"] = mean_abs_cosine(x)
            out["covered_share"] = covered_share(x, target, cosine=cosine)
        return out

    itself = everything(target.rename(point="particle"))
    values = everything(cloud)
    for name, value in values.items():
        value.attrs["target_value"] = float(itself[name])
    return xr.Dataset(values)


__all__ = [
    "centroid_displacement",
    "covered_share",
    "energy_distance",
    "entropy_deficit",
    "expected_entropy_deficit",
    "mean_abs_cosine",
    "mmd2",
    "modes_covered",
    "order_parameters",
    "participation_ratio",
    "spread",
]
