"""Runs of the user's own, made ready for the report: checked against the experiment, and completed from it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from ..base.attrs import storable
from ..base.errors import InputError
from ..comparison.samples import LINEAR_LIMIT
from ..experiment import Experiment
from ..experiment.provenance import differences as differing
from ..runs.positions import with_positions
from ..runs.schema import validate_runs, variable


def fitted(exp: Experiment, runs: xr.Dataset) -> xr.Dataset:
    """The runs with the experiment's target, masses and, where it can be told, assignment, if they have none.

    Raises InputError for runs that break the schema or have other particles or another dimension.
    """
    runs = storable(with_positions(validate_runs(runs)))  # now, not when all is computed and to be written
    for dim, field, size in (
        ("particle", "generator.particles", exp.generator.particles),
        ("component", "the target's dimension", exp.dimension),
    ):
        if runs.sizes[dim] != size:
            raise InputError(f"runs: dimension {dim}", f"be {field} = {size}", runs.sizes[dim])
    given = {"target": exp.points.coordinates, "target_weight": exp.points.weights, "mass": exp.masses}
    if "target" in runs and runs.sizes["point"] != len(exp.points.weights):
        raise InputError("runs: dimension point", f"be the target's {len(exp.points.weights)}", runs.sizes["point"])
    runs = runs.assign({name: variable(name, data) for name, data in given.items() if name not in runs})
    if "assignment" not in runs and (home := _homes(exp, runs)) is not None:
        runs = runs.assign(assignment=variable("assignment", home))
    return runs


def _homes(exp: Experiment, runs: xr.Dataset) -> np.ndarray | None:
    """(particle,) target point of each particle where all finite samples of all runs lie close to it; else None."""
    if exp.points.period is not None:
        return None
    x, target = runs["particles"].values, runs["target"].values
    home = cKDTree(target).query(x[0, 0])[1]
    away = np.sqrt(((x - target[home]) ** 2).sum(-1))
    return home if np.nanmax(away) < LINEAR_LIMIT * exp.discriminator.length_scale else None


def origin(runs: xr.Dataset) -> str:
    """ "simulated" or "recorded": the simulation says how it started its runs."""
    return "simulated" if "start" in runs.attrs else "recorded"


def differences(exp: Experiment, runs: xr.Dataset) -> list[str]:
    """Fields in which the experiment that the runs were recorded with differs from ``exp``: "field: a, not b". What
    says how to simulate ([run]) does not count, nor runs that do not tell."""
    text = runs.attrs.get("experiment")
    if not isinstance(text, str):
        return []
    try:
        told = Experiment.from_toml_string(text)
    except InputError:
        return []
    shown = lambda value: "not given" if value is None else value  # noqa: E731
    found = differing(told, exp)
    return [f"{f}: {shown(a)}, not {shown(b)}" for f, a, b in found if not f.startswith("run.")]
