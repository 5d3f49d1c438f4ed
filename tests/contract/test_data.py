"""The reference runs in data/ are those that data/regenerate.py makes today."""

import runpy
from pathlib import Path

import numpy as np
import xarray as xr

import egan_theory as eg

DATA = Path(__file__).parents[2] / "data"
#: as the script makes them
EXPERIMENTS = runpy.run_path(str(DATA / "regenerate.py"))["EXPERIMENTS"]

#: rounding of other processors, grown over 1500 steps, relative to the kick
SAME = 1e-6


def test_reference_run_is_regenerated():
    name, exp = "ring_kicked.nc", EXPERIMENTS["ring_kicked.nc"]
    stored, fresh = eg.open_runs(DATA / name), eg.simulate(exp)
    assert eg.Experiment.from_toml_string(stored.attrs["experiment"]) == exp
    assert np.abs(stored["particles"] - fresh["particles"]).max() <= SAME * exp.run.kick


def test_stored_collapse():
    """On either side of the predicted critical ratio: all modes, or nearly none."""
    kept = {}
    for name in ("ring_spread.nc", "ring_collapsed.nc"):
        runs, exp = eg.open_runs(DATA / name), EXPERIMENTS[name]
        assert eg.Experiment.from_toml_string(runs.attrs["experiment"]) == exp
        points = xr.DataArray(exp.points.coordinates, dims=("point", "component"))
        kept[name] = eg.order_parameters(runs["particles"].isel(time=slice(-10, None)), points)["modes_covered"]
        critical = eg.collective_instability(exp, "generator.kernel.ratio").value
        assert (exp.generator.kernel.ratio < critical) == (name == "ring_spread.nc")
    assert (kept["ring_spread.nc"] == 8).all() and (kept["ring_collapsed.nc"] <= 3).all()
