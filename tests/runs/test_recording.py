"""Runs logged from a loop of one's own: what is written, what survives a kill or a full disk, what theory says."""

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.advice.advise import advise_from_gram
from egan_theory.advice.practice import samples_of
from egan_theory.base import files
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.features import feature_map
from egan_theory.kernels.wide.recursion import gp_kernel
from egan_theory.runs import recording
from egan_theory.runs.reading import parts_of
from egan_theory.runs.recording import WriteError
from egan_theory.runs.schema import ATTRS, DIMS, validate_runs
from egan_theory.runs.unfinished import store_of
from egan_theory.tables.architecture import Architecture

#: a measured eigenvalue agrees within this many standard errors; eleven numbers are looked at
SIGMAS = 4.5
#: ... and a loop that differs by 2 % in one strength is told apart by at least this many: well beyond the agreement
WRONG_SIGMAS = 2 * SIGMAS
#: memory that joining may need: block, HDF5's caches, the allocator (bytes); the recording has nearly four times that
MEMORY = 32 * 2**20


def sample(step, runs=1, particles=4, dimension=2):
    """Different numbers at every step, run, particle and component, made without a state."""
    index = np.arange(runs * particles * dimension).reshape(runs, particles, dimension)
    return np.sin(1.0 + index + 100.0 * step)


def record(path, steps, **settings):
    with eg.RunWriter(path, **settings) as w:
        for step in steps:
            w.log(step, sample(step), loss_discriminator=0.5 * step)


def check_samples(ds, steps):
    np.testing.assert_array_equal(ds["time"], steps)
    np.testing.assert_array_equal(ds["particles"], np.stack([sample(s) for s in steps], axis=1))
    np.testing.assert_array_equal(ds["loss_discriminator"], [[0.5 * s for s in steps]])


# -- what is written -----------------------------------------------------------------------------------------------


def test_every_variable_of_training_is_in_the_schema_with_name_and_unit(tmp_path):
    path = tmp_path / "runs.nc"
    scalars = {name: 0.1 for name, dims in DIMS.items() if dims == ("run", "time")}
    assert {"loss_generator", "loss_discriminator", "kernel_drift", "path_angle"} <= scalars.keys()
    series = {name: np.full(3, 0.1) for name, dims in DIMS.items() if dims[-1] == "multiplier"}
    with eg.RunWriter(path, target=np.eye(2), assignment=[0, 0, 1, 1], mass=[0.25] * 4, seed=7) as w:
        for step in range(3):
            w.log(
                step, sample(step), discriminator=np.ones((4, 1)), force=np.ones((4, 2)), fid=np.float32(3),
                parameters_discriminator=np.ones(5), parameters_generator=np.ones((1, 3)), **scalars, **series,
            )  # fmt: skip
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        missing = set(DIMS) - set(ds.data_vars)
        assert missing == {"weights", "target_weight", "outcome"}  # outcomes are judged when they are asked for
        assert ds["fid"].dims == ("run", "time")
        for name in set(DIMS) - missing:
            assert ds[name].dims == DIMS[name]
            assert (ds[name].attrs["long_name"], ds[name].attrs["units"]) == ATTRS[name]
        assert all({"long_name", "units"} <= ds[name].attrs.keys() for name in ds.variables)
        assert ds.attrs["status"] == "finished" and ds.attrs["seed"] == 7 and ds["time"].attrs["units"] == "step"
    validate_runs(eg.open_runs(path))
    assert os.listdir(tmp_path) == ["runs.nc"]


def test_old_files_stay_valid_and_optional_variables_are_checked(tmp_path):
    record(tmp_path / "a.nc", range(3))
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds.attrs["schema_version"] == "1"
    validate_runs(ds[["particles"]])
    for name in ("kernel_drift", "loss_generator", "parameters_generator"):
        with pytest.raises(InputError, match=f"{name}: must have dims"):
            validate_runs(ds.assign({name: ("time", np.zeros(3))}).isel(run=[0, 0]))


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4, 1)])
def test_one_run_in_one_dimension_has_three_spellings(tmp_path, shape):
    with eg.RunWriter(tmp_path / "a.nc") as w:
        w.log(0, np.arange(4.0).reshape(shape))
    assert eg.open_runs(tmp_path / "a.nc")["particles"].shape == (1, 1, 4, 1)


@pytest.mark.parametrize(
    ("given", "stored"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i4", "f8"), ("u1", "f8"), (">f8", "f8")]
)
def test_numbers_of_every_type_are_kept_exactly(tmp_path, given, stored):
    x = (np.arange(8) * 17 % 23).reshape(4, 2).astype(given)
    with eg.RunWriter(tmp_path / "a.nc", chunk=1) as w:
        w.log(0, x)
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds["particles"].dtype == stored
    np.testing.assert_array_equal(ds["particles"][0, 0], x)


def test_a_later_sample_of_higher_precision_loses_none(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc", chunk=1) as w:
        w.log(0, sample(0)[0].astype(np.float32))
        w.log(1, sample(1)[0])
    ds = eg.open_runs(tmp_path / "a.nc")
    np.testing.assert_array_equal(ds["particles"][0, 1], sample(1)[0])


class Tensor:
    """Like a tensor on a device, with a gradient: NumPy may have it only when detached and brought to the host."""

    def __init__(self, values, grad=True, device="cuda"):
        self.values, self.grad, self.device = values, grad, device

    def detach(self):
        return Tensor(self.values, False, self.device)

    def cpu(self):
        return Tensor(self.values, self.grad, "cpu")

    def __array__(self, dtype=None, copy=None):
        if self.grad or self.device != "cpu":
            raise RuntimeError("detach and cpu first")
        return self.values


def test_tensors_and_jax_arrays_are_read_and_their_libraries_not_imported(tmp_path):
    x = sample(1)[0].astype(np.float32)
    with eg.RunWriter(tmp_path / "a.nc") as w:
        w.log(0, Tensor(x), loss_generator=Tensor(np.array(2, np.float32)))
    np.testing.assert_array_equal(eg.open_runs(tmp_path / "a.nc")["particles"][0, 0], x)
    code = "import sys, egan_theory.runs.recording; sys.exit(bool({'torch', 'jax'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    jnp = pytest.importorskip("jax.numpy")
    with eg.RunWriter(tmp_path / "b.nc") as w:
        w.log(0, jnp.asarray(x), loss_generator=jnp.bfloat16(1.5))
    ds = eg.open_runs(tmp_path / "b.nc")
    np.testing.assert_array_equal(ds["particles"][0, 0], x)
    assert ds["loss_generator"].item() == 1.5


def test_samples_are_copies(tmp_path):
    x = sample(0)[0].copy()
    with eg.RunWriter(tmp_path / "a.nc") as w:
        w.log(0, x)
        x += 1  # as an optimizer that works in place does
        w.log(1, x)
    ds = eg.open_runs(tmp_path / "a.nc")
    np.testing.assert_array_equal(ds["particles"][0, 0], sample(0)[0])
    np.testing.assert_array_equal(ds["particles"][0, 1], sample(0)[0] + 1)


def test_divergence_freezes_a_run_as_nan_and_is_said(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc", chunk=2) as w:
        for step in range(0, 50, 10):
            x = sample(step, runs=3)
            if step == 20:
                x[1, 2, 0] = np.inf
            w.log(step, x, loss_generator=np.ones(3), force=np.full_like(x, np.nan if step >= 30 else 1.0))
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds["diverged_at"].values.tolist() == [30, 20, 30]
    assert ds.attrs["status"] == "diverged at step 20"
    finite = np.isfinite(ds["particles"]).all(["particle", "component"]).values
    np.testing.assert_array_equal(finite, [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
    np.testing.assert_array_equal(np.isfinite(ds["loss_generator"]), finite)


def test_what_is_not_measured_at_a_sample_is_nan(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc", chunk=2) as w:
        for step in range(7):
            w.log(step, sample(step), **({"fid": step, "parameters_generator": [1.0, 2.0]} if step in (3, 6) else {}))
    ds = eg.open_runs(tmp_path / "a.nc")
    np.testing.assert_array_equal(ds["fid"][0], [np.nan, np.nan, np.nan, 3, np.nan, np.nan, 6])
    np.testing.assert_array_equal(np.isfinite(ds["parameters_generator"][0, :, 1]), np.isfinite(ds["fid"][0]))


shapes = st.tuples(*(st.integers(1, 4) for _ in range(3)))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, steps=st.integers(1, 8), chunk=st.integers(1, 9), stop=st.integers(0, 8), seed=st.integers(0, 99))
def test_round_trip(tmp_path_factory, shape, steps, chunk, stop, seed):
    """What went in comes out, whatever the sizes, the chunks and where the writer was killed and resumed."""
    path = tmp_path_factory.mktemp("trip") / "runs.nc"
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.1, 2, steps))
    x, D = rng.standard_normal((steps, *shape)), rng.standard_normal((steps, *shape[:2]))
    p = rng.standard_normal((steps, shape[0], 3)).astype(np.float32)
    w = eg.RunWriter(path, chunk=chunk)
    for i in range(steps):
        if i == stop:  # killed: what is in memory is lost, and logged again
            w.abandon()
            w = eg.RunWriter(path, chunk=chunk, resume=True)
            assert w.last == (times[i // chunk * chunk - 1] if i >= chunk else None)
            for j in range(i // chunk * chunk, i):
                w.log(times[j], x[j], discriminator=D[j], parameters_generator=p[j])
        w.log(times[i], x[i], discriminator=D[i], parameters_generator=p[i])
    w.close()
    ds = eg.open_runs(path)
    np.testing.assert_array_equal(ds["time"], times)
    for name, values in (("particles", x), ("discriminator", D), ("parameters_generator", p)):
        np.testing.assert_array_equal(ds[name], np.moveaxis(values, 0, 1))
        assert ds[name].dtype == values.dtype and ds[name].dims == DIMS[name]


# -- unfinished recordings -----------------------------------------------------------------------------------------


def test_an_unfinished_recording_is_read_by_its_name_while_it_is_written(tmp_path):
    path = tmp_path / "runs.nc"
    w = eg.RunWriter(path, target=np.eye(2), chunk=3)
    with pytest.raises(InputError, match="at least one complete chunk"):
        eg.open_runs(path)
    for step in range(7):
        w.log(step, sample(step), loss_discriminator=0.5 * step)
    for name in (path, store_of(path)):
        ds = eg.open_runs(name)
        check_samples(ds, range(6))
        assert ds.attrs["status"] == "interrupted"
        np.testing.assert_array_equal(ds["target"], np.eye(2))
    w.flush()
    check_samples(eg.open_runs(path), range(7))
    w.close()
    assert eg.open_runs(path).attrs["status"] == "finished"
    w.close()  # again: nothing
    with pytest.raises(InputError, match="before close"):
        w.log(9, sample(9))


def test_a_chunk_is_written_when_its_time_is_over(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(recording.clock, "monotonic", lambda: now[0])
    w = eg.RunWriter(tmp_path / "a.nc", seconds=10)
    for step, now[0] in enumerate((0.0, 9.0, 10.5, 11.0, 20.5)):
        w.log(step, sample(step), loss_discriminator=0.5 * step)
    assert eg.open_runs(tmp_path / "a.nc").sizes["time"] == 3
    w.abandon()


def test_resumed_content_is_that_of_an_undisturbed_writer(tmp_path):
    record(tmp_path / "whole.nc", range(20), chunk=4, target=np.eye(2))
    w = eg.RunWriter(tmp_path / "cut.nc", chunk=4, target=np.eye(2))
    for step in range(10):
        w.log(step, sample(step), loss_discriminator=0.5 * step)
    w.abandon()
    left = store_of(tmp_path / "cut.nc") / "particles" / ".tmp-1"
    left.write_bytes(b"half a chunk")
    with eg.RunWriter(tmp_path / "cut.nc", chunk=4, target=np.eye(2), resume=True) as w:
        assert w.last == 7 and not left.exists()
        with pytest.raises(InputError, match="step: must increase, but found 7 after 7"):
            w.log(7, sample(7))
        with pytest.raises(InputError, match="particles: must have the shape"):
            w.log(8, sample(8, particles=5))
        for step in range(8, 20):
            w.log(step, sample(step), loss_discriminator=0.5 * step)
    whole, cut = (eg.open_runs(tmp_path / f"{n}.nc") for n in ("whole", "cut"))
    xr.testing.assert_identical(whole, cut)


def test_a_finished_recording_is_continued(tmp_path):
    record(tmp_path / "a.nc", range(5), chunk=2, resume=True)
    record(tmp_path / "a.nc", range(5, 9), chunk=2, resume=True)
    record(tmp_path / "b.nc", range(9), chunk=2)
    xr.testing.assert_identical(eg.open_runs(tmp_path / "a.nc"), eg.open_runs(tmp_path / "b.nc"))
    assert sorted(os.listdir(tmp_path)) == ["a.nc", "b.nc"]


def test_divergence_is_remembered_by_a_resumed_writer(tmp_path):
    w = eg.RunWriter(tmp_path / "a.nc", chunk=1)
    w.log(0, sample(0))
    w.log(1, np.nan * sample(1))
    w.abandon()
    with eg.RunWriter(tmp_path / "a.nc", chunk=1, resume=True) as w:
        w.log(2, sample(2))
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds.attrs["status"] == "diverged at step 1" and np.isnan(ds["particles"][0, 2]).all()


# -- training that goes on from an earlier checkpoint --------------------------------------------------------------


def recorded_until(path, steps, chunk, finished):
    w = eg.RunWriter(path, chunk=chunk, target=np.eye(2))
    for step in range(steps):
        w.log(step, sample(step), loss_discriminator=0.5 * step)
    w.close() if finished else w.abandon()


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("at", [7, 6.5, 3, 8, 0, -1])
def test_a_recording_is_cut_back_to_a_checkpoint(tmp_path, at, finished):
    """In the middle of a chunk, between chunks, at the start and before it."""
    path = tmp_path / "a.nc"
    recorded_until(path, 12, 4, finished)
    with eg.RunWriter(path, chunk=4, target=np.eye(2), resume=True, at=at) as w:
        kept = max(int(np.floor(at)), -1)
        assert w.last == (kept if kept >= 0 else None)
        for step in range(kept + 1, 15):
            w.log(step, sample(step), loss_discriminator=0.5 * step)
    ds = eg.open_runs(path)
    check_samples(ds, range(15))
    assert ds.attrs["rewound"] == f"cut back from step 11 to step {at:g}" and ds.attrs["status"] == "finished"
    np.testing.assert_array_equal(ds["target"], np.eye(2))
    assert os.listdir(tmp_path) == ["a.nc"]


def test_cut_back_twice_and_not_at_all(tmp_path):
    path = tmp_path / "a.nc"
    recorded_until(path, 9, 2, False)
    record(path, [], resume=True, at=6)
    record(path, range(7, 9), resume=True, at=100)  # the checkpoint is later than all that was recorded
    record(path, range(3, 6), resume=True, at=2)
    ds = eg.open_runs(path)
    check_samples(ds, range(6))
    assert ds.attrs["rewound"] == "cut back from step 7 to step 6; cut back from step 8 to step 2"


def test_a_divergence_after_the_checkpoint_is_forgotten(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc") as w:
        for step in range(6):
            x = sample(step, runs=2)
            x[1] = np.nan if step >= 4 else x[1]
            w.log(step, x)
    with eg.RunWriter(tmp_path / "a.nc", resume=True, at=3) as w:
        w.log(4, sample(4, runs=2))
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds.attrs["status"] == "finished" and ds["diverged_at"].values.tolist() == [-1, -1]
    np.testing.assert_array_equal(ds["particles"][:, 4], sample(4, runs=2))


def test_killed_while_cutting_leaves_a_recording(tmp_path, monkeypatch):
    """All of what was recorded or what is kept, and the same cut completes what was begun."""
    path = tmp_path / "a.nc"
    recorded_until(path, 16, 4, False)

    class Killed(Exception):
        pass

    def dies(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(files, "_rename", dies)
        with pytest.raises(Killed):
            eg.RunWriter(path, chunk=4, target=np.eye(2), resume=True, at=5)
    check_samples(eg.open_runs(path), range(16))
    with eg.RunWriter(path, chunk=4, target=np.eye(2), resume=True, at=5) as w:
        assert w.last == 5
        check_samples(eg.open_runs(path), range(6))
        w.abandon()
    check_samples(eg.open_runs(path), range(6))


def test_what_was_cut_off_does_not_come_back(tmp_path):
    """Scalars of the trajectory that was given up, where the new one does not log them."""
    path = tmp_path / "a.nc"
    with eg.RunWriter(path, chunk=8) as w:
        for step in range(8):
            w.log(step, sample(step), fid=1.0)
        w.abandon()
    with eg.RunWriter(path, chunk=8, resume=True, at=3) as w:
        for step in range(4, 10):
            w.log(step, sample(step))
    np.testing.assert_array_equal(eg.open_runs(path)["fid"][0], [1.0] * 4 + [np.nan] * 6)


@pytest.mark.parametrize("at, must", [("x", "real numbers|array"), (np.nan, "finite"), ([1, 2], "one finite number")])
def test_checkpoints_are_checked(tmp_path, at, must):
    recorded_until(tmp_path / "a.nc", 3, 2, True)
    with pytest.raises(InputError, match=f"at: must .*({must})"):
        eg.RunWriter(tmp_path / "a.nc", resume=True, at=at)
    with pytest.raises(InputError, match="at: must come with resume=True"):
        eg.RunWriter(tmp_path / "b.nc", at=3)
    check_samples(eg.open_runs(tmp_path / "a.nc"), range(3))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_of_the_loop_keeps_everything_logged(tmp_path, error):
    with pytest.raises(error), eg.RunWriter(tmp_path / "a.nc", chunk=4) as w:
        for step in range(10):
            w.log(step, sample(step), loss_discriminator=0.5 * step)
        raise error
    ds = eg.open_runs(tmp_path / "a.nc")
    check_samples(ds, range(10))
    assert ds.attrs["status"] == "interrupted" and os.listdir(tmp_path) == ["a.nc"]


def test_nothing_logged_leaves_nothing(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc"):
        pass
    assert os.listdir(tmp_path) == []


def test_two_writers_on_one_path_are_refused(tmp_path):
    path = tmp_path / "a.nc"
    with eg.RunWriter(path, chunk=1) as w:
        for resume in (False, True):
            with pytest.raises(InputError, match="one RunWriter at a time"):
                eg.RunWriter(path, resume=resume)
        w.log(0, sample(0))
    with pytest.raises(InputError, match=r"new file \(resume=True"):
        eg.RunWriter(path)
    w = eg.RunWriter(tmp_path / "b.nc", chunk=1)
    w.log(0, sample(0))
    w.abandon()
    with pytest.raises(InputError, match="unfinished recording"):
        eg.RunWriter(tmp_path / "b.nc")


def test_files_of_others_are_not_continued_or_replaced(tmp_path):
    path = tmp_path / "a.nc"
    eg.save(eg.simulate(eg.Experiment(run={"steps": 4, "record_every": 1, "runs": 1})), path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="file of RunWriter"):
        eg.RunWriter(path, resume=True)
    with pytest.raises(InputError, match="came while recording"), eg.RunWriter(tmp_path / "b.nc", chunk=1) as w:
        w.log(0, sample(0))
        (tmp_path / "b.nc").write_bytes(before)
    assert path.read_bytes() == before == (tmp_path / "b.nc").read_bytes()
    assert eg.open_runs(store_of(tmp_path / "b.nc")).sizes["time"] == 1


def test_a_missing_or_broken_chunk_is_refused(tmp_path):
    recorded_until(tmp_path / "a.nc", 3, 1, False)
    file = store_of(tmp_path / "a.nc") / "particles" / "c.0.1.0.0"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"^{re.escape(str(file))}: must be as it was written"):
        eg.open_runs(tmp_path / "a.nc")
    file.unlink()
    with pytest.raises(InputError, match=r"a\.nc\.zarr: must hold every chunk of the recording"):
        eg.open_runs(tmp_path / "a.nc")


@pytest.mark.parametrize("left", ["file", "thesis", "sweep"])
def test_what_has_the_name_of_the_store_is_left_alone(tmp_path, left):
    folder = store_of(tmp_path / "a.nc")
    if left == "file":
        folder.write_text("x")
    elif left == "thesis":
        folder.mkdir()
        (folder / "thesis.tex").write_text("x")
    else:
        zarr.create_group(folder, attributes={"sweep_version": "2"})
    before = {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")}
    for resume in (False, True):
        with pytest.raises(InputError, match=r"path: must leave the name of its store free"):
            eg.RunWriter(tmp_path / "a.nc", resume=resume)
    assert before == {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")}


# -- killed, and out of space --------------------------------------------------------------------------------------

LOOP = """
import sys
import numpy as np
import egan_theory as eg
path, chunk, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
index = np.arange(8).reshape(1, 4, 2)
with eg.RunWriter(path, chunk=chunk, resume=True) as w:
    print("started", flush=True)
    for step in range(0 if w.last is None else int(w.last) + 1, steps):
        w.log(step, np.sin(1.0 + index + 100.0 * step), loss_discriminator=0.5 * step)
        if (step + 1) % chunk == 0:
            print(step, flush=True)
    print("joining", flush=True)
print("closed", flush=True)
"""


def killed_at(line, path, chunk=5, steps=10**9):
    """Run LOOP and kill it when it says ``line``; all lines that it said."""
    command = [sys.executable, "-c", LOOP, str(path), str(chunk), str(steps)]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for text in process.stdout:
            said.append(text.strip())
            if said[-1] == line:
                os.kill(process.pid, signal.SIGKILL)
                said += [rest.strip() for rest in process.stdout if rest.endswith("\n")]
                break
    assert process.returncode == (-signal.SIGKILL if line else 0)
    return said


@pytest.mark.parametrize("moment", ["14", *(pytest.param(m, marks=pytest.mark.slow) for m in ("4", "24", "39"))])
def test_a_killed_process_loses_at_most_the_chunk_in_work(tmp_path, moment):
    path = tmp_path / "runs.nc"
    promised = [int(line) for line in killed_at(moment, path) if line.isdigit()]
    assert not path.exists(), "a file at the final name"
    ds = eg.open_runs(path)
    assert ds.sizes["time"] % 5 == 0 and ds.sizes["time"] > promised[-1]
    check_samples(ds, range(ds.sizes["time"]))
    assert ds.attrs["status"] == "interrupted"
    steps = ds.sizes["time"] + 7  # and go on, undisturbed
    killed_at("", path, steps=steps)
    check_samples(eg.open_runs(path), range(steps))


@pytest.mark.parametrize("moment", ["begin", "write", "complete", "close", "closed"])
def test_killed_between_two_lines(tmp_path, moment):
    """The process kills itself between two lines of the package: no half-written file, no sample lost."""
    path = tmp_path / "runs.nc"
    code = textwrap.dedent(f"""
        import os, signal, numpy as np, egan_theory as eg
        from egan_theory.base import files
        from egan_theory.runs import recording, unfinished
        die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        rename = files._rename
        def dying(temporary, file):
            if file.name == "zarr.json" and b'"samples": 20' in temporary.read_bytes():
                die()
            rename(temporary, file)
        if {moment!r} == "begin":
            unfinished.add_array = die
        w = eg.RunWriter({str(path)!r}, target=np.eye(2), chunk=4)
        index = np.arange(8).reshape(1, 4, 2)
        for step in range(20):
            if step == 19 and {moment!r} == "write":
                files._rename = die  # a chunk is written and not renamed
            if step == 19 and {moment!r} == "complete":
                files._rename = dying  # the samples are there, but what says so
            w.log(step, np.sin(1.0 + index + 100.0 * step), loss_discriminator=0.5 * step)
        if {moment!r} == "closed":
            recording.remove = die  # the file is there, its store still too
        else:
            files._rename = die
        w.close()
    """)
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -signal.SIGKILL
    assert path.exists() == (moment == "closed")
    have = {"begin": 0, "write": 16, "complete": 16}.get(moment, 20)
    if have:
        check_samples(eg.open_runs(path), range(have))
    record(path, range(have, 23), chunk=4, target=np.eye(2), resume=True)
    check_samples(eg.open_runs(path), range(23))
    left = [name for name in os.listdir(tmp_path) if name != "runs.nc"]
    assert all(name.startswith(".tmp-") and moment == "close" for name in left)


@contextmanager
def largest_file(size):
    """Every write beyond ``size`` bytes of a file fails, as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_chunk_that_cannot_be_written_is_tried_again(tmp_path):
    path = tmp_path / "a.nc"
    w = eg.RunWriter(path, chunk=4)
    for step in range(7):
        w.log(step, sample(step), loss_discriminator=0.5 * step)
    with largest_file(100):
        with pytest.raises(WriteError, match=r"4 samples, until step 3, are kept in .*; 4 samples since then are in"):
            w.log(7, sample(7), loss_discriminator=3.5)
        assert not list(store_of(path).rglob(".tmp-*"))
        check_samples(eg.open_runs(path), range(4))
        with pytest.raises(WriteError):
            w.close()
    w.close()
    check_samples(eg.open_runs(path), range(8))


@pytest.mark.parametrize("part", [0, 0.3, 0.6, 0.99])
def test_a_file_that_cannot_be_written_leaves_the_store(tmp_path, part):
    """Whatever the place where the disk is full: HDF5 may end the process over a file that it cannot close."""
    path = tmp_path / "a.nc"
    w = eg.RunWriter(path, chunk=4)
    for step in range(80):
        w.log(step, sample(step), loss_discriminator=0.5 * step)
    record(tmp_path / "whole.nc", range(80))
    room = int(part * (tmp_path / "whole.nc").stat().st_size)
    with (
        largest_file(room),
        pytest.raises(WriteError, match=r"file could not be written: .*; 80 samples, until step 79"),
    ):
        w.close()
    assert sorted(os.listdir(tmp_path)) == ["a.nc.zarr", "whole.nc"]
    check_samples(eg.open_runs(path), range(80))
    w.close()
    check_samples(eg.open_runs(path), range(80))


def test_a_full_disk(tmp_path):
    """A real one, of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    try:
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no file system may be mounted here")
    except OSError:
        pytest.skip("there is no mount command")
    try:
        with pytest.raises(WriteError, match=r"No space left on device.*; \d+ samples, until step \d+, are kept"):
            record(disk / "a.nc", range(10**6), chunk=20)
        ds = eg.open_runs(disk / "a.nc")
        assert ds.sizes["time"] >= 20
        check_samples(ds, range(ds.sizes["time"]))
        assert not (disk / "a.nc").exists() and not list(disk.rglob(".tmp-*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_memory_is_that_of_a_block_not_of_the_recording(tmp_path):
    code = textwrap.dedent(f"""
        import resource, numpy as np, egan_theory as eg
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        x = np.random.default_rng(0).standard_normal((8192, 2))
        with eg.RunWriter({str(tmp_path / "warm.nc")!r}) as w:
            for step in range(100):
                w.log(step, x)
        before = peak()
        with eg.RunWriter({str(tmp_path / "a.nc")!r}) as w:
            for step in range(1000):
                w.log(step, x)
        print(peak() - before)
    """)
    used = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (tmp_path / "a.nc").stat().st_size > 3.5 * MEMORY
    assert int(used.stdout) < MEMORY


# -- refused -------------------------------------------------------------------------------------------------------

X = np.ones((4, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, np.ones((1, 1, 4, 2))), "particles: must have shape (N,), (N, d) or (run, N, d)"),
        ((1, np.ones((4, 3, 2, 2))), "images as rows of numbers, x.reshape(N, -1)"),
        ((1, np.ma.masked_less(np.where(np.eye(4, 2), -999, X), 0)), "particles: must have no masked entries"),
        ((1, [np.ma.masked_less([-1.0, 1.0], 0)] * 4), "particles: must have no masked entries"),
        ((1, X, {"loss_generator": np.ma.masked}), "loss_generator: must have no masked entries"),
        ((1, X.astype(object)), "particles: must hold real numbers"),
        ((1, np.ones((3, 2))), "particles: must have the shape (run, N, d) = (1, 4, 2) of the first step"),
        ((1, np.ones((0, 2))), "particles: must have shape"),
        ((1, [["a", "b"]]), "particles: must hold real numbers"),
        ((1, X * 1j), "particles: must hold real numbers"),
        ((1, None), "particles: must hold real numbers"),
        ((1, [[1.0], [1.0, 2.0]]), "particles: must be an array of real numbers"),
        ((0, X), "step: must increase, but found 0 after 0"),
        ((-1, X), "step: must increase"),
        ((np.nan, X), "step: must be one finite number"),
        (([1, 2], X), "step: must be one finite number"),
        (("1", X), "step: must hold real numbers"),
        ((1, X, {"discriminator": np.ones(4)}), "discriminator: must be given at every sample or at none"),
        ((1, X, {"force": X}), "force: must be given at every sample or at none"),
        ((1, X, {"loss_generator": [1.0, 2.0]}), "loss_generator: must have shape (1,) or ()"),
        ((1, X, {"fid": np.ones((1, 1))}), "fid: must have shape (1,) or ()"),
        ((1, X, {"parameters_generator": np.ones((2, 3))}), "parameters_generator: must have shape (run, P)"),
        ((1, X, {"parameters_generator": np.ones(0)}), "parameters_generator: must have shape (run, P)"),
        ((1, X, {"parameters_discriminator": np.ones(4)}), "parameters_discriminator: must have the shape (1, 3)"),
        ((1, X, {"weights": 1.0}), "weights: must be a name that the schema leaves free"),
        ((1, X, {"time": 1.0}), "time: must be a name"),
        ((1, X, {"run": 1.0}), "run: must be a name"),
        ((1, X, {"a/b": 1.0}), "a/b: must be a name"),
    ],
)
def test_malformed_samples_are_refused_in_one_line_and_not_recorded(tmp_path, arguments, message):
    step, x, *more = arguments
    with eg.RunWriter(tmp_path / "a.nc") as w:
        w.log(0, X, parameters_discriminator=np.ones(3))
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            w.log(step, x, **(more[0] if more else {}))
        assert "\n" not in str(caught.value)
        w.log(2, X, loss_generator=1.0)
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds["time"].values.tolist() == [0, 2] and set(ds.data_vars) <= {
        "particles", "parameters_discriminator", "loss_generator", "diverged_at",
    }  # fmt: skip


def test_a_first_sample_that_is_not_finite_is_refused(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc") as w, pytest.raises(InputError, match="finite at the first step"):
        w.log(0, X * np.nan)


EXP = eg.Experiment(target={"kind": "ring", "modes": 2}, generator={"particles": 4})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"experiment": "e.toml"}, "experiment: must be an Experiment, but found str"),
        ({"chunk": 0}, "chunk: must be an integer of at least 1, but found 0"),
        ({"chunk": 1.5}, "chunk: must be an integer"),
        ({"seconds": 0}, "seconds: must be > 0"),
        ({"seed": "x"}, "seed: must be an integer"),
        ({"target": np.ones((2, 2, 2))}, "target: must have dims ('point', 'component')"),
        ({"target": [[np.nan, 1]]}, "target: must be finite"),
        ({"mass": [0.5, 0.6]}, "mass: must be positive and sum to 1"),
        ({"assignment": [0, 5], "target": np.eye(2)}, "assignment: must hold indices of target points"),
        ({"assignment": [0.0, 1.0]}, "assignment: must hold integers"),
        ({"assignment": [0, 1], "mass": [0.2] * 5}, "mass: must have 2 entries along particle"),
        ({"target": np.eye(2), "target_weight": [1.0]}, "target_weight: must have 2 entries along point"),
    ],
)
def test_malformed_writers_are_refused_and_leave_nothing(tmp_path, settings, message):
    with pytest.raises(InputError, match=re.escape(message)):
        eg.RunWriter(tmp_path / "a.nc", **settings)
    assert os.listdir(tmp_path) == []


def test_paths_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match="path: must lie in an existing folder"):
        eg.RunWriter(tmp_path / "none" / "a.nc")
    with pytest.raises(InputError, match="path: must be a file, but found a folder"):
        eg.RunWriter(tmp_path)


def test_what_lies_under_a_mask_is_nowhere_taken_for_a_number():
    masked = np.ma.masked_array(np.arange(8.0).reshape(4, 2), mask=np.eye(4, 2))
    with pytest.raises(InputError, match="data: must have no masked entries"):
        samples_of(masked)
    with pytest.raises(InputError, match="gram: must have no masked entries"):
        advise_from_gram(np.ma.masked_array(np.eye(4), mask=np.eye(4)), 2, 2)
    with pytest.raises(InputError, match="must have no masked entries"):
        gp_kernel(Architecture(), masked)
    runs = xr.Dataset({"particles": (("run", "time", "particle", "component"), masked[None, None])}, {"time": [0]})
    with pytest.raises(InputError, match="variable particles: must be finite at the first time"):
        validate_runs(runs)
    # nothing is masked
    assert samples_of(np.ma.masked_array(masked.data, mask=False))[0].shape == (4, 2)


def test_images_logged_as_they_are(tmp_path):
    images = np.random.default_rng(0).random((6, 5, 5))
    with pytest.warns(UserWarning, match=r"6 runs of 5 particles in 5 dimensions; .* log them as x.reshape\(6, 25\)"):
        eg.RunWriter(tmp_path / "a.nc").log(0, images)
    with pytest.raises(InputError, match=r"particles: must have 25 entries .*; images as rows of numbers"):
        eg.RunWriter(tmp_path / "b.nc", target=images.reshape(6, -1)).log(0, images)
    # several runs of as many particles as dimensions, where the dimension is known
    eg.RunWriter(tmp_path / "c.nc", target=np.eye(5)).log(0, images)


def test_particles_must_fit_the_experiment(tmp_path):
    with eg.RunWriter(tmp_path / "a.nc", EXP) as w:
        with pytest.raises(InputError, match="particles: must have 4 entries along particle, as experiment"):
            w.log(0, np.ones((5, 2)))
        with pytest.raises(InputError, match="particles: must have 2 entries along component"):
            w.log(0, np.ones((4, 3)))
        w.log(0, np.ones((4, 2)))
        w.abandon()
    other = EXP.replace({"penalty.r1": 0.7})
    w = eg.RunWriter(tmp_path / "b.nc", EXP, chunk=1)
    w.log(0, X)
    w.abandon()
    with pytest.raises(InputError, match="experiment: must be that of the recording to resume"):
        eg.RunWriter(tmp_path / "b.nc", other, resume=True)


# -- against the theory --------------------------------------------------------------------------------------------

LOOP_EXPERIMENT = eg.Experiment(
    target={"kind": "ring", "modes": 5},
    generator={"particles": 10, "learning_rate": 0.05, "kernel": {"diagonal": 1.3, "ratio": 0.1}},
    discriminator={"length_scale": 0.6, "features": 24, "learning_rate": 0.3},
    penalty={"r1": 0.6, "weight_decay": 0.02},
    update={"rule": "alternating"},
)


def train(path, r1=0.6, starts=4, steps=1000, seed=3):
    """Equations (1) and (2) of a Wasserstein GAN written out: features w . psi, R1, weight decay, D before G.

    Of the package only the random frequencies are used, which are data of the experiment.
    """
    rng = np.random.default_rng(seed)
    K, a = feature_map(LOOP_EXPERIMENT).omega, feature_map(LOOP_EXPERIMENT).amplitude
    Y = np.array([[np.cos(2 * np.pi * j / 5), np.sin(2 * np.pi * j / 5)] for j in range(5)])
    home = np.repeat(np.arange(5), 2)
    x = (Y + 1e-5 * rng.standard_normal((starts, 5, 2)))[:, home]
    w = np.zeros((starts, 2 * len(K)))
    gamma = 1.3 * (0.9 * np.eye(10) + 0.1)

    def psi(x):
        return np.concatenate([a * np.cos(x @ K.T), a * np.sin(x @ K.T)], -1)

    def slope(x):  # (..., N, d, P)
        return np.concatenate(
            [(-a * np.sin(x @ K.T))[..., None, :] * K.T, (a * np.cos(x @ K.T))[..., None, :] * K.T], -1
        )

    G = slope(Y).reshape(10, -1)
    with eg.RunWriter(path, LOOP_EXPERIMENT, seed=seed) as writer:
        for step in range(steps + 1):
            gap = psi(Y).mean(0) - psi(x).mean(1)
            if step % 5 == 0:
                loss = -(w * gap).sum(-1)
                writer.log(step, x, loss_discriminator=loss, loss_generator=-np.einsum("rnp,rp->r", psi(x), w) / 10)
            w = w + 0.3 * (gap - r1 / 5 * (w @ G.T) @ G - 0.02 * w)
            x = x + 0.05 * np.einsum("ij,rjd->rid", gamma, np.einsum("rndp,rp->rnd", slope(x), w))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("loop") / "runs.nc"
    train(path)
    return path


@pytest.fixture(scope="module")
def experiment_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiment") / "e.toml"
    path.write_text(LOOP_EXPERIMENT.to_toml())
    return path


def test_compare_finds_the_predicted_eigenvalues_in_a_loop_written_by_hand(trained, experiment_file, tmp_path, capsys):
    """Through the command, from particles and time alone."""
    bare = eg.open_runs(trained)[["particles"]].drop_attrs()
    eg.save(bare, tmp_path / "bare.nc")
    assert main(["compare", str(experiment_file), str(tmp_path / "bare.nc"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["quantities"]
    assert [q["name"] for q in found if q["name"].endswith(".im")] == [f"s{k}.im" for k in range(1, 6)]
    assert all(abs(q["z"]) < SIGMAS or q["relative_error"] < 1e-6 for q in found), found
    assert all(0 < q["stderr"] < 1e-3 * abs(q["predicted"]) for q in found if q["name"] != "rate")


@pytest.mark.slow
def test_compare_tells_a_loop_with_another_strength_apart(tmp_path):
    train(tmp_path / "runs.nc", r1=0.612)
    table = eg.compare(LOOP_EXPERIMENT, eg.open_runs(tmp_path / "runs.nc"))
    assert max(abs(q.z) for q in table.quantities) > WRONG_SIGMAS


@pytest.fixture
def page(monkeypatch):
    """The report without its derivation, which is the same for all, and with a coarse section on collapse."""
    from egan_theory.show import collapse, page, stages

    monkeypatch.setattr(collapse, "CELLS", 4)
    monkeypatch.setattr(collapse, "STARTS", 0.0)
    monkeypatch.setattr(stages, "reached", lambda exp: eg.reached(exp, draws=2))
    monkeypatch.setattr(stages, "diagram", lambda exp, tick=None: eg.branch(exp, "generator.kernel.ratio", collapsed=0))
    monkeypatch.setattr(stages, "map_of", lambda *args: collapse.map_of(*args[:3], False, args[4]))
    empty = SimpleNamespace(title="", to_html=lambda *_, **__: "", to_markdown=lambda: "")
    monkeypatch.setattr(page, "derive", lambda: empty)
    return page


def test_report_on_own_runs(trained, experiment_file, tmp_path, capsys, monkeypatch, page):
    from egan_theory.show import stages

    for name in ("simulate", "sweep_left"):
        monkeypatch.setattr(stages, name, lambda *_, **__: pytest.fail("simulated"))
    command = ["report", str(experiment_file), "--runs", str(trained), "-o", str(tmp_path / "out"), "--data", "--json"]
    assert main(command) == 0
    files = {os.path.basename(f) for f in json.loads(capsys.readouterr().out)["files"]}
    assert {"index.html", "runs.nc"} <= files and not {"strength.nc", "random.nc"} & files
    text = (tmp_path / "out" / "index.html").read_text()
    for part in ("cloud", "relaxation", "losses", "eigenvalues"):
        assert f'id="fig-{part}"' in text
    for said in ("What became of the 4 recorded runs: 4 settled. Settled: every mode", "s5.im", "of the runs: 3;"):
        assert said in text
    assert "those of the experiment described" in text and "0 of " in text and "not described by them" not in text
    assert "simulated run" not in text and "another experiment" not in text and "Not possible" not in text
    kept = eg.open_runs(tmp_path / "out" / "runs.nc")
    np.testing.assert_array_equal(kept["particles"], eg.open_runs(trained)["particles"])
    np.testing.assert_array_equal(kept["assignment"], np.repeat(np.arange(5), 2))


@pytest.mark.slow
def test_report_on_an_unfinished_recording_of_another_experiment(trained, experiment_file, tmp_path, monkeypatch, page):
    whole = eg.open_runs(trained)
    w = eg.RunWriter(tmp_path / "cut.nc", LOOP_EXPERIMENT.replace({"penalty.r1": 0.5}), chunk=50)
    for i in range(120):
        w.log(int(whole["time"][i]), whole["particles"][:, i])
    w.abandon()
    command = ["report", str(experiment_file), "--runs", str(tmp_path / "cut.nc"), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "interrupted after step 495" in text
    assert "another experiment (penalty.r1: 0.5, not 0.6)" in text
    assert 'id="fig-losses"' not in text and "of the runs: not recorded" in text


def test_runs_that_do_not_fit_the_report_are_refused(trained, experiment_file, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["report", "--runs", str(trained), "-o", out]) == 2
    assert capsys.readouterr().err == "egan: E.toml: must be given with --runs, but found no experiment file\n"
    assert main(["report", str(experiment_file), "--runs", str(tmp_path / "none.nc"), "-o", out]) == 2
    assert "no such file" in capsys.readouterr().err
    eg.save(eg.open_runs(trained).isel(particle=slice(4))[["particles"]], tmp_path / "few.nc")
    assert main(["report", str(experiment_file), "--runs", str(tmp_path / "few.nc"), "-o", out]) == 2
    assert "runs: dimension particle: must be generator.particles = 10, but found 4" in capsys.readouterr().err
    assert not os.path.exists(out)


def test_losses_are_drawn_with_gaps_bridged(trained):
    ds = eg.open_runs(trained)
    ds["loss_generator"][:, 1::2] = np.nan
    ax = eg.plot.losses(ds)
    assert "steps" in ax.get_xlabel() and "loss" in ax.get_ylabel()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["discriminator, 4 runs", "generator, 4 runs"]
    assert len(ax.lines) == 8 and len(ax.lines[-1].get_xdata()) == (ds.sizes["time"] + 1) // 2
    assert ax.get_yscale() == "linear"
    ds["loss_generator"][0, -3:] = 1e9  # a run that blows up must not flatten the rest
    assert eg.plot.losses(ds).get_yscale() == "symlog"
    assert "no losses" in eg.plot.losses(ds[["particles"]]).texts[0].get_text()


def former_parts(path, steps, chunk):
    """An unfinished recording as it used to be stored: a folder of NetCDF-4 chunks."""
    folder = parts_of(path)
    record(path, range(steps), target=np.eye(2), seed=3)
    folder.mkdir()
    ds = eg.open_runs(path)
    path.unlink()
    del ds.attrs["status"]
    ds[["target"]].drop_vars("time", errors="ignore").to_netcdf(folder / "header.nc", engine="h5netcdf")
    moving = ds.drop_vars("target").drop_attrs(deep=False)
    for i, start in enumerate(range(0, steps, chunk)):
        part = moving.isel(time=slice(start, start + chunk))
        if i:  # not known from the beginning
            part = part.assign(
                fid=(("run", "time"), 1.0 + part["time"].values[None], {"long_name": "fid", "units": "1"})
            )
        part.to_netcdf(folder / f"{i:08d}.nc", engine="h5netcdf")
    return folder


def test_an_unfinished_recording_of_former_parts_is_read_and_continued(tmp_path):
    path = tmp_path / "a.nc"
    folder = former_parts(path, 10, 4)
    (folder / ".tmp-00000003.nc").write_bytes(b"half a chunk")
    for name in (path, folder):
        ds = eg.open_runs(name)
        check_samples(ds, range(10))
        assert ds.attrs["status"] == "interrupted" and ds.attrs["seed"] == 3
        np.testing.assert_array_equal(ds["target"], np.eye(2))
        np.testing.assert_array_equal(ds["fid"][0], [np.nan] * 4 + [1.0 + s for s in range(4, 10)])
    with pytest.raises(InputError, match="unfinished recording"):
        eg.RunWriter(path)
    with pytest.raises(InputError, match="target: must be that of the recording to resume"):
        eg.RunWriter(path, target=2 * np.eye(2), resume=True)
    assert sorted(os.listdir(tmp_path)) == ["a.nc.parts"]
    with eg.RunWriter(path, target=np.eye(2), resume=True, at=8) as w:
        assert w.last == 8 and not folder.exists()
        w.log(9, sample(9), loss_discriminator=4.5)
    check_samples(eg.open_runs(path), range(10))
    assert eg.open_runs(path).attrs["rewound"] == "cut back from step 9 to step 8" and os.listdir(tmp_path) == ["a.nc"]


def test_former_parts_that_are_not_whole_are_refused(tmp_path):
    folder = former_parts(tmp_path / "a.nc", 12, 4)
    whole = (folder / "00000001.nc").read_bytes()
    (folder / "00000001.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"00000001\.nc: must be a readable NetCDF-4 file"):
        eg.open_runs(tmp_path / "a.nc")
    (folder / "00000001.nc").unlink()
    with pytest.raises(InputError, match=r"no 00000001\.nc before 00000002\.nc"):
        eg.open_runs(tmp_path / "a.nc")


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    """Not taken for one that another writer holds."""
    import fcntl

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    record(tmp_path / "a.nc", range(3))
    check_samples(eg.open_runs(tmp_path / "a.nc"), range(3))


@pytest.mark.parametrize("finished", [True, False])
def test_a_resumed_recording_keeps_its_target_and_unit(tmp_path, finished):
    """Another target, mass or assignment is refused, not ignored; time stays time where the experiment is not given."""
    flow = EXP.replace({"update.rule": "flow"})
    w = eg.RunWriter(tmp_path / "a.nc", flow, assignment=[0, 0, 1, 1], chunk=1)
    w.log(0.5, X)
    (w.close if finished else w.abandon)()
    for name, value in (("assignment", [0, 1, 0, 1]), ("mass", [0.1, 0.2, 0.3, 0.4]), ("target", 2 * np.eye(2))):
        with pytest.raises(InputError, match=rf"{name}: must be that of the recording to resume"):
            eg.RunWriter(tmp_path / "a.nc", resume=True, **{name: value})
    with pytest.raises(InputError, match="experiment: must be that of the recording"):
        eg.RunWriter(tmp_path / "a.nc", EXP, resume=True)
    assert (tmp_path / "a.nc").exists() == finished  # what is refused is left as it was
    with eg.RunWriter(tmp_path / "a.nc", resume=True, assignment=[0, 0, 1, 1]) as w:
        w.log(1.5, X)
    ds = eg.open_runs(tmp_path / "a.nc")
    assert ds["time"].attrs["units"] == "time" and ds["time"].values.tolist() == [0.5, 1.5]
    assert ds["assignment"].values.tolist() == [0, 0, 1, 1]


def test_assignments_of_another_type_are_indices():
    exp = eg.Experiment(target={"kind": "ring", "modes": 2}, generator={"particles": 4}, run={"steps": 20, "runs": 1})
    runs = eg.simulate(exp)
    loose = runs.assign(assignment=runs["assignment"].astype(np.float16))
    kept = validate_runs(loose)["assignment"]
    assert kept.dtype == np.int64 and kept.values.tolist() == runs["assignment"].values.tolist()
