"""Attributes and variables of any kind in runs: written as text or refused before the work, never lost half-way."""

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.base.netcdf import save
from egan_theory.runs.reading import open_runs
from egan_theory.show.own import fitted

TEXTS = [
    (None, "null"), (True, "true"), (np.bool_(False), "false"), ({"b": [1, None]}, '{"b": [1, null]}'),
    ([1, "a"], '[1, "a"]'), ([[1, 2], [3]], "[[1, 2], [3]]"), (np.array(["a", "b"]), '["a", "b"]'), ("nul\0", "nul "),
    (np.array([True]), "[true]"), (2**70, str(2**70)), (1 + 2j, '"(1+2j)"'),
    (np.datetime64("2020-01-01"), '"2020-01-01"'),
    ("sur\udc80", "sur?"), (b"bytes", "bytes"), ({1: 2}, '{"1": 2}'), ({(1, 2): 3}, "{(1, 2): 3}"), (10**5000, "a int"),
]  # fmt: skip
AS_THEY_ARE = [
    "text", "", 1, 2.5, np.float32(2), np.int64(3), np.array([1.0, 2.0]), [1, 2], (1, 2.5), ["a", "b"],
    np.zeros((2, 2)),
]  # fmt: skip


def dataset(**attrs) -> xr.Dataset:
    return xr.Dataset({"a": ("x", [1.0, 2.0], dict(attrs))}, attrs=attrs)


@pytest.mark.parametrize(("value", "text"), TEXTS, ids=lambda v: str(type(v).__name__))
def test_attributes_that_netcdf_does_not_have_are_text(value, text, tmp_path):
    ds = dataset(k=value)
    save(ds, tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        assert back.attrs["k"] == back["a"].attrs["k"] == text
    assert ds.attrs["k"] is value  # the caller's is as it was


@pytest.mark.parametrize("value", AS_THEY_ARE, ids=str)
def test_attributes_that_netcdf_has_are_as_they_are(value, tmp_path):
    save(dataset(k=value), tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(np.asarray(back.attrs["k"]), np.asarray(value))


@pytest.mark.parametrize(("name", "written"), [(1, "1"), ("", "attribute"), ("DIMENSION_LIST", "DIMENSION_LIST_")])
def test_names_of_attributes(name, written, tmp_path):
    save(xr.Dataset({"a": ("x", [1.0])}, attrs={name: "v"}), tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as back:
        assert back.attrs[written] == "v"


def test_numbers_are_not_packed_as_they_once_were(tmp_path):
    """A file that packed its numbers as 16-bit integers must not round what is put in their place."""
    ds = xr.Dataset({"a": ("x", [0.1, 0.2])})
    ds.to_netcdf(
        tmp_path / "p.nc", engine="h5netcdf", encoding={"a": {"dtype": "int16", "scale_factor": 1e-2, "_FillValue": -9}}
    )
    with xr.open_dataset(tmp_path / "p.nc", engine="h5netcdf") as read:
        changed = read.load().copy()
    changed["a"][:] = [0.123456, 0.2]
    save(changed, tmp_path / "q.nc")
    with xr.open_dataset(tmp_path / "q.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back["a"], [0.123456, 0.2])


@pytest.mark.parametrize(
    "values", [np.ones(21, complex), np.array([1, "a", None] * 7, dtype=object)], ids=["complex", "mixed"]
)
def test_variables_that_netcdf_does_not_have_are_refused_before_the_work(values, tmp_path):
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 2}, generator={"particles": 2}, discriminator={"features": 8},
        run={"steps": 40, "record_every": 2, "runs": 1},
    )  # fmt: skip
    runs = eg.simulate(exp)[["particles"]].assign(extra=("time", values))
    for write in (lambda: save(runs, tmp_path / "x.nc"), lambda: fitted(exp, runs)):
        with pytest.raises(InputError, match="variable extra: must hold real numbers or text"):
            write()
    assert list(tmp_path.iterdir()) == []
    text = runs.assign(extra=("time", np.array(["a"] * 21, dtype=object)))
    save(text, tmp_path / "x.nc")
    assert open_runs(tmp_path / "x.nc")["extra"].values.tolist() == ["a"] * 21


@pytest.mark.parametrize("attrs", [{"note": None}, {"amp": True}, {"config": {"lr": 1}}], ids=["none", "bool", "dict"])
def test_runs_of_a_tracking_tool_are_ready_for_the_report(attrs, tmp_path):
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 2}, generator={"particles": 2}, discriminator={"features": 8},
        run={"steps": 40, "record_every": 2, "runs": 1},
    )  # fmt: skip
    own = fitted(exp, eg.simulate(exp)[["particles"]].assign_attrs(attrs))
    own.to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
