"""Damaged stores of sweeps: each is refused in one line, read right, or repaired to the byte."""

import json

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("resource")

from analyses import spoilt_stores as script
from tests.analyses.drawing import by_itself

WHOLE = xr.Dataset({"status": ("cell", [1, 1]), "x": ("cell", [0.5, 0.25])})
SAID = json.dumps({"quantities": [{"name": "a"}, {"name": "b"}]})
NAMED = "egan: s.zarr/x/c/0: must be as it was written\n"


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ((0, SAID, "", WHOLE), ""),
        ((2, "", NAMED, "s.zarr/x/c/0: must be as it was written"), ""),
        ((0, json.dumps({"quantities": [{"name": "a"}], "unmatched": ["pending"]}), "", WHOLE), ""),
        ((0, json.dumps({"quantities": [{"name": "a"}], "unmatched": []}), "", WHOLE), "numbers are missing"),
        ((0, json.dumps({"quantities": [{"name": "c"}]}), "", WHOLE), "other numbers were read"),
        ((0, SAID, "", WHOLE.assign(x=("cell", [0.5, np.nan]))), "other values were read"),
        ((0, SAID, "", WHOLE.assign(x=("cell", [0.5, np.nan]), status=("cell", [1, 0]))), ""),
        ((2, "", NAMED, "the codec failed"), "the error names no file"),
        ((2, "", "egan: x: must be as it was written\n", WHOLE), "exit code 2"),
        ((1, "", "egan: unexpected failure, s.zarr\n", WHOLE), "exit code 1"),
        ((2, "half", NAMED, WHOLE), "exit code 2"),
    ],
)
def test_what_is_wrong_is_seen(found, wrong, tmp_path):
    said = script.judged_reading(found, (0, SAID, "", WHOLE), tmp_path / "s.zarr")[1]
    assert said.startswith(wrong) and bool(said) == bool(wrong)


@pytest.mark.slow
def test_few_draws(tmp_path):
    ds = by_itself(script, "--seed 3 --draws 15", tmp_path)
    assert ds.sizes["draw"] == 15 and not [w for w in ds["wrong"].values if w]
    assert set(ds["resuming"].values) <= {"repaired", "refused"} and "repaired" in ds["resuming"].values
