"""The cells of a sweep, simulated side by side where they can be, and what is measured of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import xarray as xr

from ..base.errors import MissingExtra
from ..comparison.modes import deviation_norms
from ..comparison.strength import MIN_SAMPLES, late_rate
from ..experiment import Experiment
from ..experiment.provenance import flat
from ..linear import eigenvalues, linearize
from ..problem.field import VARIABLE
from ..problem.problem import Problem
from ..runs.order import order_parameters
from ..runs.outcome import covered_modes
from ..simulation.run import simulate

#: a run has left the linear regime when a particle has moved this part of the discriminator's length scale
LINEAR = 0.02
#: long_name and units of what ``measured`` finds
MEASURES = {
    "covered": ("share of the target's modes covered", "1"),
    "modes_covered": ("target points with a particle within the radius", "1"),
    "entropy_deficit": ("deficit of the nearest-image entropy", "nat"),
    "spread": ("rms distance from the centroid", "length"),
    "participation_ratio": ("participation ratio of the covariance", "1"),
    "centroid_displacement": ("displacement of the centroid, in data radii", "1"),
    "energy_distance": ("energy distance to the target", "length"),
    "mmd2": ("squared MMD, Gaussian kernel, median length scale", "1"),
    "mean_abs_cosine": ("mean |cos| between distinct particles", "1"),
    "covered_share": ("share of target points within cosine distance of a particle", "1"),
}
#: those of directions, which have no meaning in a periodic box
DIRECTIONAL = ("mean_abs_cosine", "covered_share")
#: longest reason of a failed cell that is kept
REASON = 200


def simulated(members: Sequence[Experiment]) -> Iterator[tuple[list[int], xr.Dataset | Exception]]:
    """(indices, runs) of the members, neighbours that differ in problem.field.VARIABLE only side by side.

    Where those fail, each half of them; one that fails alone comes with its exception. Raises KeyboardInterrupt when
    interrupted, MissingExtra.
    """
    for _, group in groupby(range(len(members)), key=lambda i: _fixed(members[i])):
        yield from _halving(members, list(group))


def _halving(members: Sequence[Experiment], group: list[int]) -> Iterator[tuple[list[int], xr.Dataset | Exception]]:
    found: xr.Dataset | Exception
    try:
        found = _simulate([members[i] for i in group])
    except MissingExtra:  # no fault of the cell
        raise
    except Exception as error:
        if len(group) > 1:  # one of them cannot be simulated: the others must not suffer
            middle = len(group) // 2
            for half in (group[:middle], group[middle:]):
                yield from _halving(members, half)
            return
        found = error
    yield group, found


def _fixed(exp: Experiment) -> dict:
    """The experiment but for the fields that may differ between runs side by side."""
    return {field: value for field, value in flat(exp.model_dump()).items() if field not in VARIABLE}


def _simulate(members: list[Experiment]) -> xr.Dataset:
    ds = simulate(members[0], variants=members) if len(members) > 1 else simulate(members[0])
    if ds.attrs["status"] == "interrupted":
        raise KeyboardInterrupt
    return ds


def final_clouds(ds: xr.Dataset) -> xr.DataArray:
    """(run, particle, component): the last sample of every run, NaN where it diverged."""
    alive = xr.DataArray(ds["diverged_at"].values < 0, dims="run")
    return ds["particles"].isel(time=-1, drop=True).where(alive).transpose("run", "particle", "component")


def measured(exp: Experiment, cloud: xr.DataArray) -> dict[str, np.ndarray]:
    """Order parameters (run,) of final clouds, and ``covered``, the share of the target's modes (0 if diverged)."""
    points = xr.DataArray(exp.points.coordinates, dims=("point", "component"))
    found = order_parameters(cloud, points, weights=exp.points.weights, period=exp.points.period)
    return {str(n): v.values for n, v in found.assign(covered=covered_modes(exp, cloud)).data_vars.items()}


def rates(exp: Experiment, ds: xr.Dataset) -> dict[str, float]:
    """Decay rate of kicked runs while all are in the linear regime, with its error, and the predicted slowest rate."""
    rate = error = float("nan")
    x = ds["particles"].values
    moved = np.abs(x - x[:, :1]).max((0, 2, 3))
    beyond = ~(moved <= LINEAR * exp.discriminator.length_scale)  # NaN after a divergence is beyond, too
    linear = int(np.argmax(beyond)) if beyond.any() else len(beyond)
    if linear >= MIN_SAMPLES:
        near = ds.isel(time=slice(linear))
        rate, error = late_rate(near["time"].values, deviation_norms(Problem(exp), near))
    predicted = eigenvalues(linearize(exp)).slowest(coupled_only=True)
    return {"rate": rate, "rate_stderr": error, "predicted_rate": predicted}


def reason(error: Exception) -> str:
    """One line: what a cell failed of."""
    text = " ".join(str(error).split()) or "no message"
    name = "" if type(error).__module__.startswith("egan_theory") else f"{type(error).__name__}: "
    return (name + text)[:REASON]
