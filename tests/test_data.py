"""The reference runs in data/ are those that data/regenerate.py makes today."""

import sys
from pathlib import Path

import numpy as np

import egan_theory as eg

DATA = Path(__file__).parent.parent / "data"
sys.path.insert(0, str(DATA))
import regenerate  # noqa: E402

#: rounding of other processors, grown over 1500 steps, relative to the kick
SAME = 1e-6


def test_reference_run_is_regenerated():
    name, exp = "ring_kicked.nc", regenerate.EXPERIMENTS["ring_kicked.nc"]
    stored, fresh = eg.open_runs(DATA / name), eg.simulate(exp)
    assert stored.attrs["experiment"] == exp.to_toml()
    assert np.abs(stored["particles"] - fresh["particles"]).max() <= SAME * exp.run.kick
