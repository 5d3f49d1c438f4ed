"""Stores of sweeps with damaged files: read right or refused by the name of the file, and repaired by --resume."""

import json
import os
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.runs.store import LOCK
from egan_theory.sweeps.batch import PENDING
from tests.builders import RING, posix

pytestmark = posix
AXES = ["penalty.r1=0.1:1:3"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep of three batches."""
    from egan_theory.sweeps import run
    from egan_theory.sweeps.batch import run_batch

    store = tmp_path_factory.mktemp("whole") / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "in_processes", lambda text, left, workers: ((i, run_batch(text, i)) for i in left))
        eg.sweep(experiment(), AXES, store, batch=1)
    return store


def experiment():
    return eg.Experiment.from_toml_string(RING, changes={"run.steps": 8, "run.record_every": 1})


def files(store):
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file() and p.name != LOCK}


def exchanged(store):
    one, other = store / "final/c/0/0/0/0", store / "final/c/2/0/0/0"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def replaced(file, make):
    file.unlink()
    make(file)


def edited(store, change):
    data = json.loads((store / "zarr.json").read_text())
    change(data)
    (store / "zarr.json").write_text(json.dumps(data))


CHUNK = "final/c/1/0/0/0"
#: damage, and the file that a message names; "": it is read as it was; None: cells are pending
DAMAGE = {
    "a chunk lost": (lambda s: (s / CHUNK).unlink(), CHUNK),
    "a chunk of fill values lost": (lambda s: (s / "diverged_at/c/1/0").unlink(), "diverged_at/c/1/0"),
    "a chunk cut": (lambda s: os.truncate(s / CHUNK, 20), CHUNK),
    "an empty chunk": (lambda s: os.truncate(s / "status/c/1", 0), "status/c/1"),
    "one bit": (lambda s: flipped(s / CHUNK), CHUNK),
    "two chunks exchanged": (exchanged, "final/c/"),
    "a pipe": (lambda s: replaced(s / CHUNK, os.mkfifo), CHUNK),
    "a folder": (lambda s: replaced(s / CHUNK, os.mkdir), CHUNK),
    "a link": (lambda s: linked(s / CHUNK), CHUNK),
    "a folder of chunks that is a link": (lambda s: linked(s / "final/c"), "final/c"),
    "an array lost": (lambda s: shutil.rmtree(s / "final"), "final/c/"),
    "a record lost": (lambda s: (s / "complete/1.json").unlink(), None),
    "a record cut": (lambda s: os.truncate(s / "complete/1.json", 30), "complete/1.json"),
    "a record of another batch": (lambda s: shutil.copy(s / "complete/0.json", s / "complete/1.json"), "c/1"),
    "a record that is a pipe": (lambda s: replaced(s / "complete/1.json", os.mkfifo), "complete/1.json"),
    "a coordinate lost": (lambda s: (s / "penalty_r1/c/0").unlink(), ""),
    "a coordinate that is a pipe": (lambda s: replaced(s / "seed/c/0", os.mkfifo), ""),
    "an array without metadata": (lambda s: (s / "final/zarr.json").unlink(), ""),
    "metadata of an array": (lambda s: (s / "final/zarr.json").write_text("{}"), ""),
    "an attribute": (lambda s: edited(s, lambda d: d["attributes"].update(schema_version="7")), "zarr.json"),
    "a byte order": (lambda s: edited(s, swapped), "zarr.json"),
    "a unit": (
        lambda s: edited(s, lambda d: arrays(d)["final"]["attributes"].update(units="mm")), "zarr.json"
    ),
}  # fmt: skip


def arrays(data):
    return data["consolidated_metadata"]["metadata"]


def swapped(data):
    (codec,) = [c for c in arrays(data)["final"]["codecs"] if c["name"] == "bytes"]
    codec["configuration"]["endian"] = "big"


def flipped(file):
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def linked(file):
    """To the same bytes outside of the store, which are nobody's to write to."""
    outside = next(p for p in file.parents if p.name == "s.zarr").with_name("outside")
    file.rename(outside)
    file.symlink_to(outside)


#: one of each kind; the others take longer together
QUICK = ("a chunk lost", "one bit", "a pipe", "a record lost", "a coordinate lost", "a byte order")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in DAMAGE])
def test_damage_is_named_and_repaired(name, whole, tmp_path, in_this_process):
    damage, named = DAMAGE[name]
    before, known = files(whole), eg.open_sweep(whole).load()
    store = shutil.copytree(whole, tmp_path / "s.zarr")
    damage(store)
    outside = tmp_path / "outside"
    kept = outside.read_bytes() if outside.is_file() else None
    if named:
        with pytest.raises(InputError, match=r"must be (as it was written|a regular file)") as error:
            eg.open_sweep(store).load()
        assert str(store) in error.value.field and named in error.value.field
    else:
        found = eg.open_sweep(store).load()
        done = found["status"] != PENDING
        assert int(done.sum()) == (2 if named is None else 3)
        xr.testing.assert_identical(found.isel(cell=done.values), known.isel(cell=done.values))
    eg.sweep(experiment(), AXES, store, batch=1, resume=True)
    assert files(store) == before
    assert kept is None or outside.read_bytes() == kept


@pytest.mark.parametrize("records", [True, False])
def test_a_store_without_its_root_is_overwritten_if_asked(whole, tmp_path, in_this_process, records):
    """What was simulated is not thrown away unasked, and what is of somebody else never."""
    store = shutil.copytree(whole, tmp_path / "s.zarr")
    (store / "zarr.json").unlink()
    if not records:
        shutil.rmtree(store / "complete")
    before = files(store)
    for how in ({}, {"resume": True}) if records else ():  # without them no batch is complete
        with pytest.raises(InputError, match=r"output: must be the Zarr store of a sweep, but found .*s\.zarr"):
            eg.sweep(experiment(), AXES, store, batch=1, **how)
    other = store / "final" / "thesis.tex"
    other.write_text("x")
    with pytest.raises(InputError, match=r"output: must hold nothing but the sweep .*, but found .*thesis\.tex"):
        eg.sweep(experiment(), AXES, store, batch=1, overwrite=True)
    assert files(store) == before | {"final/thesis.tex": b"x"}
    other.unlink()
    eg.sweep(experiment(), AXES, store, batch=1, overwrite=True)
    assert files(store) == files(whole)


@pytest.mark.parametrize("begun", ["locked", "store", "array"])
def test_folders_of_others_are_not_overwritten(begun, whole, tmp_path, in_this_process):
    """With a lock as ours, in a store that is whole, and another's array."""
    store = tmp_path / "s.zarr"
    if begun == "store":
        shutil.copytree(whole, store)
    elif begun == "array":
        zarr.create_array(store / "status", shape=(3,), dtype=int)[:] = 1
    store.mkdir(exist_ok=True)
    (store / LOCK).touch()
    (store / "notes.txt").write_text("x")
    before = files(store)
    for how in ({}, {"overwrite": True}):
        with pytest.raises(InputError, match="output: must "):
            eg.sweep(experiment(), AXES, store, batch=1, **how)
    assert files(store) == before


def test_a_damaged_store_can_be_overwritten(whole, tmp_path, in_this_process):
    store = shutil.copytree(whole, tmp_path / "s.zarr")
    edited(store, lambda d: d["attributes"].update(schema_version="7"))
    with pytest.raises(InputError, match="checksum"):
        eg.sweep(experiment(), AXES, store, batch=1)
    eg.sweep(experiment(), AXES, store, batch=1, overwrite=True)
    assert files(store) == files(whole)


def test_a_former_store_that_lost_a_chunk(whole, tmp_path):
    """Of version 3, without records: what its status says is done has all of its chunks."""
    store = shutil.copytree(whole, tmp_path / "s.zarr")
    shutil.rmtree(store / "complete")
    edited(store, lambda d: (d["attributes"].pop("digest"), d["attributes"].update(sweep_version="3")))
    xr.testing.assert_equal(eg.open_sweep(store).load(), eg.open_sweep(whole).load())
    (store / "status/c/0").unlink()
    found = eg.open_sweep(store)
    assert found["status"].values.tolist()[0] == PENDING and np.isnan(found["final"].values[0]).all()
    (store / CHUNK).unlink()
    with pytest.raises(InputError, match=f"{CHUNK}: must be as it was written"):
        eg.open_sweep(store).load()
