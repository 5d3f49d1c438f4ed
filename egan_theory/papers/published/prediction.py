"""Class probabilities on a grid of (lrD, phi) from a fit."""

from __future__ import annotations

import xarray as xr

from ...base.dataset import shown
from ...experiment.provenance import versions
from .fit import PublishedFit, rates_and_ratios
from .importer import PARAMETERS
from .theory import log_margins, probabilities

_WORDS = {
    "memorised": "probability that at least half of the images lie within cosine 0.10 of a particle",
    "frozen": "probability that the participation ratio exceeds 54",
    "runaway": "probability that the centroid is displaced by more than 0.3 data radii",
}


@shown
def predict_published(fit: PublishedFit, grid: xr.Dataset, name: str = "grid") -> xr.Dataset:
    """Class probabilities on the coordinates lrD and phi of ``grid``, from a fit.

    The two coordinates span a grid, or run along one dimension together. Nothing but the coordinates of ``grid`` is
    used.

    Returns:
        A Dataset on these coordinates.

    Shapes:
        - p_memorised, p_frozen, p_runaway (lrD, phi) or (run) [1]: probabilities in [0, 1]
        - margin_memorised, margin_frozen, margin_runaway (lrD, phi) or (run) [1]: how far inside the class, in ln(rate)
          or ln(amplitude)

    Units:
        Pure numbers; lrD as published.

    Raises:
        InputError: coordinates that are missing or out of range (lrD > 0, phi from 0 to 1).

    Source:
        Data of arXiv:2212.04580; Eq. (50, map-simultaneous).
    """
    lrD, phi = rates_and_ratios(grid, name)
    a, b = xr.broadcast(lrD, phi)
    margins = log_margins(a.values, b.values, fit.time_scale, fit.gain)
    chances = probabilities(margins)
    data = {}
    for kind, p in chances.items():
        data[f"p_{kind}"] = (a.dims, p, {"long_name": _WORDS[kind], "units": "1"})
        words = f"ln(rate or amplitude) by which the prediction lies inside the class {kind}"
        data[f"margin_{kind}"] = (a.dims, margins[kind], {"long_name": words, "units": "1"})
    coords = {str(c.name): (c.dims, c.values, {"long_name": PARAMETERS[str(c.name)], "units": "1"}) for c in (lrD, phi)}
    attrs = {
        "time_scale": fit.time_scale,
        "gain": fit.gain,
        "fit_digest": fit.digest,
        "method": fit.method,
        "assumptions": "; ".join(fit.assumptions),
        "versions": versions(),
    }
    return xr.Dataset(data, coords, attrs)
