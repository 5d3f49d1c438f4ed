"""Sweeps: the plan, the bytes of the store whatever happens to it, what it holds, failures, and who reads it."""

import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base import files as files_module
from egan_theory.base import locks
from egan_theory.base.errors import EganError, InputError, MissingExtra
from egan_theory.cli.app import main
from egan_theory.cli.sweep import summary
from egan_theory.comparison.compare import compare
from egan_theory.problem.field import VARIABLE
from egan_theory.runs.interval import recording_interval
from egan_theory.runs.outcome import KEPT, Outcome, have_left
from egan_theory.runs.schema import validate_runs
from egan_theory.runs.store import LOCK
from egan_theory.sweeps import cells as cells_module
from egan_theory.sweeps import run as run_module
from egan_theory.sweeps import store as store_module
from egan_theory.sweeps import workers as workers_module
from egan_theory.sweeps.agreement import accuracy, compare_sweep, phase_of_sweep
from egan_theory.sweeps.batch import DIVERGED, DONE, FAILED, PENDING, columns, run_batch
from egan_theory.sweeps.complete import complete
from egan_theory.sweeps.phase import simulate_phase
from egan_theory.sweeps.plan import make_plan, read_plan
from egan_theory.sweeps.reading import DIGEST, metadata_digest, plan_of
from tests.builders import RING, posix

#: cells simulated side by side and alone differ by rounding, which a few hundred steps amplify
TOGETHER = 1e-7
AXES = ("penalty.r1=0.2:2000:3:log", "generator.kernel.ratio=0:0.6:2")


def experiment(**run):
    run = {"steps": 60, "record_every": 4} | run
    return eg.Experiment.from_toml_string(RING).replace({f"run.{name}": value for name, value in run.items()})


def files(store):
    return {str(p.relative_to(store)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in store.rglob("*") if p.is_file()}  # fmt: skip


def here(text, batches, workers):
    """Batches in this process."""
    for i in batches:
        yield i, run_batch(text, i)


@contextmanager
def held(store):
    """As another process has it."""
    lock = locks.lock(store / LOCK)
    yield
    lock.release()


# -- the plan ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    order=st.permutations(["discriminator.length_scale", "penalty.r1", "generator.kernel.ratio"]),
    seeds=st.integers(1, 3),
    batch=st.integers(1, 9),
)
def test_plan(points, order, seeds, batch):
    """Every cell once, in batches; neighbours share what cannot be simulated side by side as far as possible."""
    axes = [f"{path}=0.1:0.5:{n}" for path, n in zip(order, points, strict=False)]
    batch = None if batch is None else min(batch, int(np.prod(points)) * seeds)
    plan = make_plan(experiment(), axes, seeds=seeds, batch=batch)
    assert plan.cells == np.prod(points) * seeds
    assert [c for i in range(plan.batches) for c in plan.span(i)] == list(range(plan.cells))
    columns = plan.columns(np.arange(plan.cells))
    assert len(set(zip(*(v.tolist() for v in columns.values()), strict=True))) == plan.cells
    fixed = [columns[a.path] for a in plan.axes if a.path not in VARIABLE] + [columns["run.seed"]]
    groups = np.prod([len(np.unique(v)) for v in fixed])
    changes = sum(np.any(np.diff(np.array(fixed), axis=1) != 0, axis=0))
    assert changes == groups - 1
    again = read_plan(plan.text)
    assert again == plan and again.attrs == plan.attrs
    cell = plan.cells // 2
    assert all(plan.member(cell).get(k) == v[cell] for k, v in columns.items())


def test_batches_are_bounded():
    wide = make_plan(experiment(), ["penalty.r1=0.1:1:2000", "generator.kernel.ratio=0:0.5:5"])
    assert wide.batch * 2 == 100
    assert make_plan(experiment(), ["penalty.r1=0.1:1:64"]).batches >= 16
    heavy = experiment(steps=40_000, record_every=1).replace({"generator.particles": 60})
    assert make_plan(heavy, ["penalty.r1=0.1:1:2000"]).batch == 1


def test_axes_are_texts_or_tuples():
    texts = make_plan(experiment(), ["penalty.r1=0.1:10:3:log", "generator.kernel.ratio=0:0.5:2"])
    assert make_plan(experiment(), [("penalty.r1", 0.1, 10, 3, "log"), ("generator.kernel.ratio", 0, 0.5, 2)]) == texts


def test_batch_is_at_most_the_number_of_cells():
    axes = ["penalty.r1=0:1:3"]
    assert make_plan(experiment(), axes, batch=3).batch == 3
    with pytest.raises(InputError, match="batch: must be at most the number of cells, 3, but found 4"):
        make_plan(experiment(), axes, batch=4)


@pytest.mark.parametrize("address", ["", "nowhere"])
@pytest.mark.parametrize("error", [OSError("timed out"), ValueError("no port"), TypeError("a transport's word")])
def test_an_unusable_scheduler_leaves_no_store(address, error, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")

    def refuses(*_, **__):
        raise error

    monkeypatch.setattr(distributed, "Client", refuses)
    with pytest.raises(InputError, match="scheduler: must be "):
        eg.sweep(experiment(), ["penalty.r1=0:1:3"], tmp_path / "s.zarr", scheduler=address)
    assert list(tmp_path.iterdir()) == []


def test_refused_plans():
    exp = experiment()
    for axes, options, field in (
        ([], {}, "at least one field"),
        (["penalty.r1=0:1:3"] * 2, {}, "penalty.r1 twice"),
        (["run.seed=0:3:4"], {}, "vary run.seed"),
        (["run.runs=1:3:3"], {}, "vary run.runs"),
        (["run.steps=20:40:2"], {"record": True}, "vary run.steps"),
        (["penalty.r1=0:1:3"], {"seeds": 0}, "seeds: must be at least 1"),
        (["penalty.r1=0:1:3"], {"batch": 0}, "batch: must be at least 1"),
    ):
        with pytest.raises(InputError, match=field):
            make_plan(exp, axes, **options)
    with pytest.raises(InputError, match="workers"):
        eg.sweep(exp, AXES, "nowhere.zarr", workers=0)
    with pytest.raises(InputError, match="workers"):
        eg.sweep(exp, AXES, "nowhere.zarr", workers=1, scheduler="tcp://127.0.0.1:1")
    own = exp.replace({"discriminator.kernel": eg.kernel_from_profile(lambda u: 1 / (1 + u) ** 2)})
    with pytest.raises(InputError, match="named kernel"):
        eg.sweep(own, AXES, "nowhere.zarr")


# -- the same bytes ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of the process, as far as the store can tell."""


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_anywhere_and_resumed(tmp_path, in_this_process, monkeypatch, seed):
    """Each time at a random chunk of a random batch, with results coming in another order and debris left behind."""
    exp, whole, store = experiment(steps=12), tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    reference = eg.sweep(exp, AXES, whole, seeds=2, batch=3).load()
    rng = random.Random(seed)

    def shuffled(text, batches, workers):
        yield from here(text, rng.sample(batches, len(batches)), workers)

    class Fragile:
        def __init__(self, array, folder):
            self.array, self.folder = array, folder

        def __setitem__(self, key, value):
            if rng.random() < 0.06:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / ".tmp-0123").write_bytes(b"half")
                raise Killed
            self.array[key] = value

    class Dying(store_module.Writer):
        def __init__(self, path, plan):
            super().__init__(path, plan)
            self.arrays = {name: Fragile(array, path / name / "c") for name, array in self.arrays.items()}

    monkeypatch.setattr(run_module, "in_processes", shuffled)
    deaths = 0
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "Writer", Dying)
        while not (store / "status" / "c").is_dir() or store_module.todo(store, make_plan(exp, AXES, seeds=2, batch=3)):
            try:
                eg.sweep(exp, AXES, store, seeds=2, batch=3, resume=True)
            except Killed:
                deaths += 1
                part = eg.open_sweep(store)  # readable at any time; what is not pending is complete
                known = part["status"].values != PENDING
                xr.testing.assert_identical(part.isel(cell=known).load(), reference.isel(cell=known))
    eg.sweep(exp, AXES, store, seeds=2, batch=3, resume=True)
    assert files(store) == files(whole)
    assert deaths > 1


@pytest.mark.slow
@posix
def test_a_killed_worker_is_replaced(tmp_path, in_this_process, monkeypatch):
    """Two processes, one of them killed: the bytes are those of this process alone."""
    exp, whole, store = experiment(), tmp_path / "whole.zarr", tmp_path / "workers.zarr"
    eg.sweep(exp, AXES, whole, batch=1)
    monkeypatch.setattr(run_module, "in_processes", workers_module.in_processes)
    killed = []

    def progress(done, total):
        import multiprocessing

        if done and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    before = dict(os.environ)
    ds = eg.sweep(exp, AXES, store, batch=1, workers=2, progress=progress)
    assert killed and files(store) == files(whole) and dict(os.environ) == before
    assert not np.any(ds["status"].values == PENDING)


def test_workers_that_always_die(monkeypatch, tmp_path):
    import concurrent.futures

    class Broken(concurrent.futures.ThreadPoolExecutor):
        _processes = None

        def __init__(self, *_, **__):
            super().__init__(1)

        def submit(self, *_):
            raise concurrent.futures.process.BrokenProcessPool

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Broken)
    with pytest.raises(EganError, match=r"3 times in a row.*--resume"):
        eg.sweep(experiment(), AXES, tmp_path / "s.zarr", workers=1)


def test_full_disk(tmp_path, in_this_process, monkeypatch):
    """One line that says what to do; the store is readable; afterwards the same bytes."""
    exp, whole, store = experiment(), tmp_path / "whole.zarr", tmp_path / "full.zarr"
    eg.sweep(exp, AXES, whole, batch=2)
    writes = []
    original = store_module.Writer

    class Full(original):
        def __init__(self, path, plan):
            super().__init__(path, plan)
            first = next(iter(self.arrays))
            array = self.arrays[first]

            class Array:
                def __setitem__(self, key, value):
                    writes.append(key)
                    if len(writes) == 2:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    array[key] = value

            self.arrays[first] = Array()

    monkeypatch.setattr(run_module, "Writer", Full)
    with pytest.raises(EganError, match=r"No space left on device; 1 of 3 batches are stored.*--resume") as error:
        eg.sweep(exp, AXES, store, batch=2)
    assert "\n" not in str(error.value) and not list(store.rglob(".tmp-*"))
    assert (eg.open_sweep(store)["status"].values != PENDING).tolist() == [True] * 2 + [False] * 4
    monkeypatch.setattr(run_module, "Writer", original)
    eg.sweep(exp, AXES, store, batch=2, resume=True)
    assert files(store) == files(whole)


# -- whose store ------------------------------------------------------------------------------------------------------


def test_refused_stores(tmp_path, in_this_process):
    exp, store = experiment(), tmp_path / "s.zarr"
    eg.sweep(exp, AXES, store, batch=4)
    before = files(store)
    with pytest.raises(InputError, match=r"output: must not be there yet .*--resume.*--overwrite"):
        eg.sweep(exp, AXES, store)
    for changed, options, field in (
        (exp.replace({"penalty.weight_decay": 0.1}), {}, r"penalty\.weight_decay: must be 0\.0 as in .*found 0\.1"),
        (exp.replace({"run.seed": 5}), {}, r"run\.seed: must be 0"),
        (
            exp,
            {"axes": AXES[:1], "batch": 3},
            r"vary: must be .*kernel\.ratio=0\.0:0\.6:2, but found penalty",
        ),
        (exp, {"seeds": 2}, "seeds: must be .* 1, but found 2"),
        (exp, {"record": True}, "record: must"),
        (exp, {"batch": 5}, "batch: must be .* 4, but found 5"),
        (exp, {"overwrite": True}, "--resume"),
    ):
        with pytest.raises(InputError, match=field):
            eg.sweep(changed, **({"axes": AXES, "path": store, "batch": 4, "resume": True} | options))
    assert files(store) == before
    for options in ({"resume": True}, {"overwrite": True}):
        with held(store), pytest.raises(InputError, match="another process"):
            eg.sweep(exp, AXES, store, batch=4, **options)
    assert files(store) == before
    eg.sweep(exp, AXES[:1], store, overwrite=True)
    assert eg.open_sweep(store).sizes["cell"] == 3 and [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("x")
    for path in (precious, tmp_path / "nothing"):
        with pytest.raises(InputError, match="Zarr store of a sweep"):
            eg.open_sweep(path)
    with pytest.raises(InputError, match="Zarr store of a sweep"):
        eg.sweep(exp, AXES, precious, overwrite=True)
    assert (precious / "thesis.tex").read_text() == "x"


AXIS = {"path": "penalty.r1", "values": [0.1, 1.0], "log": False}
ATTRIBUTES = [
    *((name, None, rf"attribute {name}: must be") for name in
      ("experiment", "axes", "seeds", "record", "batch", "target_sha256", "versions", "schema_version")),
    *((name, value, rf"attribute {name}: must be") for name, value in
      (("experiment", 3), ("experiment", "[run"), ("axes", "penalty.r1"), ("axes", {"0": AXIS}), ("seeds", 0),
       ("seeds", True), ("seeds", 1.0), ("record", 1), ("batch", "1"), ("batch", 0), ("versions", ["1"]))),
    ("experiment", "[run]\nstep = 3\n", "run.step: must be one of the known keys"),
    ("axes", [3], "attribute axes: must hold axes"),
    ("axes", [{"path": "penalty.r1", "values": [0.1, 1.0]}], "attribute axes: must hold axes"),
    ("axes", [AXIS | {"values": []}], "attribute axes: must hold axes"),
    ("axes", [AXIS | {"values": ["0.1"]}], "attribute axes: must hold axes"),
    ("axes", [AXIS | {"values": [True]}], "attribute axes: must hold axes"),
    ("axes", [AXIS | {"path": 3}], "attribute axes: must hold axes"),
    ("axes", [AXIS | {"path": "penalty.r3"}], "penalty.r3: must be a field"),
    ("axes", [AXIS | {"path": "loss.kind"}], "attribute axes: must hold numbers that loss.kind can be"),
    ("axes", [AXIS | {"path": "generator.particles"}], "attribute axes: must hold numbers that generator.particles"),
    ("axes", [AXIS | {"path": "run.seed", "values": [1, 2]}], "attribute axes: must name different fields"),
    ("axes", [AXIS, AXIS], "attribute axes: must name different fields"),
    ("axes", [AXIS | {"values": [0.1, 0.2, 0.3]}], r"array final: must have dims .* of sizes \(3, 2, 6, 2\)"),
    ("seeds", 4, r"array final: must have dims .* of sizes \(8, 2, 6, 2\)"),
    ("seeds", 2**62, "must have cells that fit in memory"),
    ("sweep_version", 2**62, "have sweep_version 1 or 2"),
    ("record", True, "array particles: must be present|json: must be as it was written"),
]  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    store = tmp_path_factory.mktemp("sweep") / "s.zarr"
    plan = make_plan(experiment(steps=8), ["penalty.r1=0.1:1:2"], batch=1)
    store_module.prepare(store, plan, resume=False, overwrite=False).release()
    for i in range(plan.batches):
        store_module.Writer(store, plan).write(i, run_batch(plan.text, i))
    return store


@pytest.mark.parametrize(("name", "value", "message"), ATTRIBUTES)
def test_attributes_of_a_store_are_checked(name, value, message, filled, tmp_path, capsys):
    store = shutil.copytree(filled, tmp_path / "s.zarr")
    group = json.loads((store / "zarr.json").read_text())
    if value is None:
        del group["attributes"][name]
    else:
        group["attributes"][name] = value
    (store / "zarr.json").write_text(json.dumps(group))
    signed(store)
    with pytest.raises(InputError, match=message) as error:
        eg.open_sweep(store)
    assert str(store) in str(error.value)
    file = tmp_path / "e.toml"
    file.write_text(experiment(steps=8).to_toml())
    assert main(["compare", str(file), str(store)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda store: edit_arrays(store, lambda arrays: arrays.pop("final")), "array final: must be present"),
        (
            lambda store: edit_arrays(store, lambda arrays: arrays["rate"].update(shape=[9])),
            "must be a Zarr store that can be read",
        ),
        (lambda store: edit_arrays(store, lambda arrays: arrays["rate"].update(shape="x")), "must be"),
        (
            lambda store: (store / "rate" / "c" / "0").write_bytes(b"x" * 40),
            "s.zarr/rate/c/0: must be as it was written",
        ),
        (lambda store: unknown_status(store), "array status: must hold numbers from 0 to 3"),
    ],
    ids=["an array gone", "another size", "no size", "a damaged chunk", "an unknown status"],
)
def test_arrays_of_a_store_are_checked(damage, message, filled, tmp_path, capsys):
    store = shutil.copytree(filled, tmp_path / "s.zarr")
    damage(store)
    file = tmp_path / "e.toml"
    file.write_text(experiment(steps=8).to_toml())
    code, err = main(["compare", str(file), str(store)]), capsys.readouterr().err
    assert code == 2 and re.search(message, err) and err.count("\n") == 1, err


def edit_arrays(store, change):
    """In the metadata of all arrays that the group holds."""
    group = json.loads((store / "zarr.json").read_text())
    change(group["consolidated_metadata"]["metadata"])
    (store / "zarr.json").write_text(json.dumps(group))
    signed(store)


def signed(store):
    """With the checksum of what its metadata now are, as if they had been written so."""
    group = json.loads((store / "zarr.json").read_text())
    group["attributes"].pop(DIGEST)
    digest = metadata_digest(group, group["attributes"])
    group["attributes"][DIGEST] = digest
    (store / "zarr.json").write_text(json.dumps(group))


def unknown_status(store):
    zarr.open_group(store, mode="r+", use_consolidated=False)["status"][0] = 7
    complete(store, plan_of(eg.open_sweep(store)), 0)


def as_before(store, version):
    """As stores of an earlier version were: without records and checksum."""
    shutil.rmtree(store / "complete")
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    attrs = dict(group.attrs)
    del attrs[DIGEST]
    group.attrs.put(attrs | {"sweep_version": version})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(group.store)


def on_points(file):
    return eg.Experiment(
        target={"kind": "points", "path": str(file)}, generator={"particles": 3}, run={"steps": 4, "record_every": 1},
        discriminator={"features": 8},
    )  # fmt: skip


def test_changed_points_and_versions_are_refused(tmp_path, in_this_process, monkeypatch):
    points = tmp_path / "p.npy"
    np.save(points, np.eye(3))
    exp = on_points(points)
    store = tmp_path / "s.zarr"
    eg.sweep(exp, AXES, store)
    np.save(points, 2 * np.eye(3))
    fresh = eg.Experiment.from_toml_string(exp.to_toml())
    with pytest.raises(InputError, match="target: must have the points"):
        eg.sweep(fresh, AXES, store, resume=True)
    monkeypatch.setattr("egan_theory.sweeps.plan._versions", lambda: "egan-theory 99")
    with pytest.raises(InputError, match=r"versions: must be .*egan-theory 99"):
        eg.sweep(exp, AXES, store, resume=True)


# -- what it holds ----------------------------------------------------------------------------------------------------


def test_every_cell_is_the_run_of_its_experiment(tmp_path, in_this_process):
    exp = experiment(start="random")
    ds = eg.sweep(exp, [*AXES, "generator.particles=4:6:2"], tmp_path / "s.zarr", seeds=2, batch=5)
    grid = eg.sweep_grid(ds)
    assert grid["final"].dims == (
        "penalty_r1", "generator_kernel_ratio", "generator_particles", "seed", "run", "particle", "component",
    )  # fmt: skip
    rng, lost = np.random.default_rng(3), 0
    for cell in rng.permutation(ds.sizes["cell"])[:8]:
        one = ds.isel(cell=cell)
        changes = {
            "penalty.r1": float(one["penalty_r1"]), "generator.kernel.ratio": float(one["generator_kernel_ratio"]),
            "generator.particles": int(one["generator_particles"]), "run.seed": int(one["seed"]),
        }  # fmt: skip
        runs = eg.simulate(exp.replace(changes | {"run.record_every": recording_interval(exp)}))
        np.testing.assert_array_equal(one["diverged_at"].values, runs["diverged_at"].values)
        diverged = runs["diverged_at"].values >= 0
        lost += diverged.any()
        assert int(one["status"]) == 1 + diverged.any()
        last = runs["particles"].values[:, -1]
        last[diverged] = np.nan
        found = one["final"].values
        np.testing.assert_allclose(found[:, : last.shape[1]], last, rtol=TOGETHER, atol=TOGETHER)
        assert np.isnan(found[:, last.shape[1] :]).all()
        np.testing.assert_array_equal(one["outcome"].values, runs["outcome"].values)
        spread = np.sqrt(((last - last.mean(1, keepdims=True)) ** 2).sum(-1).mean(-1))
        np.testing.assert_allclose(one["spread"].values, spread, rtol=1e-6)
        at = {"penalty_r1": one["penalty_r1"], "generator_kernel_ratio": one["generator_kernel_ratio"],
              "generator_particles": one["generator_particles"], "seed": one["seed"]}  # fmt: skip
        np.testing.assert_array_equal(grid["final"].sel(at).values, found)
    assert lost and np.all(ds["covered"].values[ds["diverged_at"].values >= 0] == 0)


def test_opened_lazily_with_and_without_dask(tmp_path, in_this_process, monkeypatch):
    pytest.importorskip("dask.array")
    store = tmp_path / "s.zarr"
    eg.sweep(experiment(), AXES, store)
    opened = [eg.open_sweep(store)]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dask.array", None)
        opened.append(eg.open_sweep(store))
    for ds in opened:
        assert not any(ds[name].variable._in_memory for name in ds.data_vars)
    assert opened[0].chunks and not opened[1].chunks
    xr.testing.assert_identical(opened[0].load(), opened[1].load())


def test_recorded_cells_are_runs(tmp_path, in_this_process):
    exp = experiment(steps=200)
    ds = eg.sweep(exp, ["penalty.r1=0.5:1:3"], tmp_path / "s.zarr", record=True, batch=2)
    member, runs = eg.sweep_runs(ds, 1)
    assert member == exp.replace({"penalty.r1": 0.75})
    validate_runs(runs)
    alone = eg.simulate(member)
    for name in ("particles", "discriminator", "force"):
        scale = np.abs(alone[name].values).max()
        np.testing.assert_allclose(runs[name].values, alone[name].values, atol=TOGETHER * scale)
    np.testing.assert_array_equal(runs["time"].values, alone["time"].values)
    ours = {q.name: q.measured for q in compare(member, runs).quantities}
    theirs = {q.name: q.measured for q in compare(member, alone.drop_vars("weights")).quantities}
    assert ours and ours == pytest.approx(theirs, rel=1e-4)
    found = compare_sweep(exp, ds)
    assert {q.name for q in found.quantities if "r1=0.75" in q.name} == {f"{n}[penalty.r1=0.75]" for n in ours}
    for cell, field in ((7, "cell: must be 0 to 2"), (-1, "cell")):
        with pytest.raises(InputError, match=field):
            eg.sweep_runs(ds, cell)
    with pytest.raises(InputError, match="open_sweep"):
        eg.sweep_grid(runs)


@pytest.mark.slow
def test_kicked_rates_against_theory(tmp_path, in_this_process):
    """Well damped modes decay, unstable ones grow, at the predicted rates; what cannot be said is listed."""
    exp = experiment(steps=1500, record_every=5)
    axes = ["penalty.r1=0.1:1.5:4", "generator.kernel.ratio=0:0.9:2"]
    ds = eg.sweep(exp, axes, tmp_path / "s.zarr")
    found = compare_sweep(exp, ds)
    assert len(found.quantities) + len(found.unmatched) == 8 and len(found.quantities) >= 5
    for q in found.quantities:
        assert abs(q.measured - q.predicted) < max(3 * q.stderr, 0.05 * abs(q.predicted)), q
    for cell in range(8):
        member = make_plan(exp, axes).member(cell)
        slowest = eg.spectrum(member).attrs["slowest_rate"]
        assert float(ds["predicted_rate"][cell]) == pytest.approx(slowest, rel=1e-6)
    short = compare_sweep(exp, eg.sweep(experiment(steps=8), axes, tmp_path / "short.zarr"))
    assert not short.quantities and all("e-folds" in u["reason"] for u in short.unmatched)


# -- failures ---------------------------------------------------------------------------------------------------------


def test_cells_that_the_experiment_refuses(tmp_path, in_this_process):
    """Odd numbers of features are refused: those cells say so, the others are done."""
    ds = eg.sweep(experiment(), ["discriminator.features=14:18:5"], tmp_path / "s.zarr", batch=3)
    assert ds["status"].values.tolist() == [DONE, FAILED, DONE, FAILED, DONE]
    reasons = ds["reason"].values.tolist()
    assert all(("discriminator.features: must be even" in r) == (i % 2 == 1) for i, r in enumerate(reasons))
    assert np.isnan(ds["final"].values[1::2]).all() and np.isfinite(ds["final"].values[::2]).all()
    assert [u["reason"] for u in compare_sweep(experiment(), ds).unmatched if "even" in u["reason"]] == reasons[1::2]


def test_one_cell_that_breaks_leaves_the_others(tmp_path, in_this_process, monkeypatch):
    original = cells_module.simulate

    def breaks(exp, *, variants=None):
        for member in variants or [exp]:
            if abs(member.penalty.r1 - 20.0) < 1.0:
                raise FloatingPointError("first line\nsecond line " + "x" * 500)
        return original(exp, variants=variants)

    monkeypatch.setattr(cells_module, "simulate", breaks)
    axis = "penalty.r1=0.2:2000:3:log"
    ds = eg.sweep(experiment(), [axis], tmp_path / "s.zarr", batch=3)
    reason = str(ds["reason"].values[1])
    assert ds["status"].values.tolist() == [DONE, FAILED, DIVERGED]
    assert reason.startswith("FloatingPointError: first line second line") and len(reason) == cells_module.REASON


# -- commands ---------------------------------------------------------------------------------------------------------


def words(*axes):
    return [w for a in axes for w in ("--vary", a)]


def test_phase_of_a_sweep_is_the_simulated_diagram(tmp_path, in_this_process):
    exp = experiment(start="random")
    first, second = "generator.kernel.ratio=0:0.8:3", "penalty.r1=0.2:2000:2:log"
    ds = eg.sweep(exp, [second, first], tmp_path / "s.zarr", batch=6)
    ours = phase_of_sweep(ds, "generator.kernel.ratio", "penalty.r1")
    theirs = simulate_phase(exp, first, second, runs=2)
    for name in ("covered", "diverged_at", "deficit"):
        np.testing.assert_allclose(ours[name].values, theirs[name].values, atol=1e-12)
    assert ours["first"].attrs == theirs["first"].attrs and ours["second"].attrs == theirs["second"].attrs
    seeds = eg.sweep(exp, [second, first], tmp_path / "seeds.zarr", seeds=3)
    more = phase_of_sweep(seeds, "generator.kernel.ratio", "penalty.r1")
    assert more.sizes["run"] == 6
    np.testing.assert_allclose(more["covered"].values[..., :2], ours["covered"].values, atol=1e-12)
    with pytest.raises(InputError, match=r"--sweep: must vary penalty.r1 and penalty.r2"):
        phase_of_sweep(ds, "penalty.r1", "penalty.r2")
    with pytest.raises(InputError, match="be complete, but found 2 of 6"):
        known = xr.DataArray(np.arange(6) > 1, dims="cell")
        part = ds.assign(status=ds["status"].where(known, PENDING))
        phase_of_sweep(part, "penalty.r1", "generator.kernel.ratio")
    kicked = eg.sweep(experiment(), [second, first], tmp_path / "k.zarr")
    with pytest.raises(InputError, match=r"run\.start"):
        phase_of_sweep(kicked, "penalty.r1", "generator.kernel.ratio")


def test_a_store_without_outcomes(tmp_path, in_this_process):
    """Of an earlier version: read, its outcomes judged by the final clouds; not continued."""
    exp, axes = experiment(start="random"), ["generator.kernel.ratio=0:0.8:3", "penalty.r1=0.2:2000:2:log"]
    ds = eg.sweep(exp, axes, tmp_path / "s.zarr").load()
    group = zarr.open_group(tmp_path / "s.zarr", mode="r+", use_consolidated=False)
    del group["outcome"]
    as_before(tmp_path / "s.zarr", "1")
    old = eg.open_sweep(tmp_path / "s.zarr")
    assert "outcome" not in old and summary(old, "s.zarr")["outcomes"] == {}
    found, known = (phase_of_sweep(d, "generator.kernel.ratio", "penalty.r1")["outcome"].values for d in (old, ds))
    still = known != Outcome.NOT_SETTLED
    known = np.where(np.isin(known, KEPT), Outcome.SETTLED, known)  # a single sample shows no motion
    np.testing.assert_array_equal(found[still], known[still])
    assert not have_left(found[~still]).any() and (found[~still] != Outcome.NOT_SETTLED).all()
    assert len(compare_sweep(exp, old).quantities) == len(compare_sweep(exp, ds).quantities) == 6
    with pytest.raises(InputError, match="output: must have sweep_version '4' to be continued"):
        eg.sweep(exp, axes, tmp_path / "s.zarr", resume=True)


def test_a_store_whose_outcomes_have_earlier_words(tmp_path, in_this_process):
    """Read by its flag_meanings: what it calls covered had its modes, at rest or not; not continued."""
    exp, axes = experiment(start="random"), ["generator.kernel.ratio=0:0.8:3", "penalty.r1=0.2:2000:2:log"]
    ds = eg.sweep(exp, axes, tmp_path / "s.zarr").load()
    group = zarr.open_group(tmp_path / "s.zarr", mode="r+", use_consolidated=False)
    codes = group["outcome"][:]
    group["outcome"][:] = np.where(codes == Outcome.CIRCLING, 0, codes).astype(codes.dtype)
    group["outcome"].attrs["flag_values"] = list(range(6))
    group["outcome"].attrs["flag_meanings"] = "covered part_of_the_modes_lost not_settled collapsed escaped diverged"
    as_before(tmp_path / "s.zarr", "2")
    old = eg.open_sweep(tmp_path / "s.zarr")
    assert "covered" not in summary(old, "s.zarr")["outcomes"]
    found, known = (phase_of_sweep(d, "generator.kernel.ratio", "penalty.r1")["outcome"] for d in (old, ds))
    assert found.attrs["flag_meanings"] == known.attrs["flag_meanings"]
    same = ~np.isin(known, KEPT)
    np.testing.assert_array_equal(found.values[same], known.values[same])
    assert (found.values[~same] == Outcome.SETTLED).all()
    with pytest.raises(InputError, match="output: must have sweep_version '4' to be continued"):
        eg.sweep(exp, axes, tmp_path / "s.zarr", resume=True)


def test_commands(tmp_path, in_this_process, capsys):
    toml, store, figure = tmp_path / "e.toml", tmp_path / "s.zarr", tmp_path / "phase.png"
    toml.write_text(experiment(start="random").to_toml())
    assert main(["sweep", str(toml), *words(*AXES), "-o", str(store), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["cells"] == 6 and data["done"] + data["diverged"] == 6 and data["pending"] == data["failed"] == 0
    assert sum(data["outcomes"].values()) == 12 and data["outcomes"]["diverged"] >= data["diverged"] > 0
    assert [a["vary"] for a in data["axes"]] == ["penalty.r1", "generator.kernel.ratio"]
    assert main(["sweep", str(toml), *words(*AXES), "-o", str(store)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["sweep", str(toml), *words(*AXES), "-o", str(store), "--resume"]) == 0
    assert "6 cells (3 penalty.r1 x 2 generator.kernel.ratio x 1 seeds)" in capsys.readouterr().out
    table = tmp_path / "table.nc"
    assert main(["compare", str(toml), str(store), "--json", "-o", str(table)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["quantities"]) == 6 and 0 <= data["accuracy"]["balanced_accuracy"] <= 1
    assert table.is_file()
    found = compare_sweep(experiment(start="random"), eg.open_sweep(store))
    assert accuracy(found)["sensitivity"] == data["accuracy"]["sensitivity"]
    assert main(["compare", str(toml), str(store)]) == 0
    assert "balanced accuracy" in capsys.readouterr().out
    assert main(["phase", str(toml), "--sweep", str(store), "--figure", str(figure), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert np.shape(data["simulated"]["covered"]) == (2, 3) and figure.stat().st_size > 0
    fine = words("penalty.r1=0.2:2000:9:log", "generator.kernel.ratio=0:0.6:5")
    assert main(["phase", str(toml), *fine, "--sweep", str(store), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert np.shape(data["mechanisms"][0]["margin"]) == (5, 9) and np.shape(data["simulated"]["covered"]) == (2, 3)
    other = tmp_path / "other.toml"
    other.write_text(experiment(start="random", steps=61).to_toml())
    for arguments in (["compare", str(other), str(store)], ["phase", str(other), "--sweep", str(store)]):
        assert main(arguments) == 2
        assert "run.steps: must be 60 as in" in capsys.readouterr().err


def test_interrupt_leaves_a_store_and_says_how(tmp_path, monkeypatch, capsys):
    toml, store = tmp_path / "e.toml", tmp_path / "s.zarr"
    toml.write_text(experiment().to_toml())

    def interrupted(text, batches, workers):
        yield batches[0], run_batch(text, batches[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "in_processes", interrupted)
    assert main(["sweep", str(toml), *words(*AXES), "-o", str(store), "--batch", "2"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "2 of 6 cells are in" in err and "--resume" in err
    assert main(["sweep", str(toml), *words(*AXES), "-o", str(tmp_path / "no" / "s.zarr")]) == 2


def test_a_cluster_needs_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"egan-theory\[cluster\]"):
        eg.sweep(experiment(), AXES, tmp_path / "s.zarr", scheduler="tcp://127.0.0.1:1")


# -- what a second process, a changed file or a loss of power must not do --------------------------------------------


def test_a_second_resume_leaves_the_first_alone(tmp_path, in_this_process):
    """Half-written chunks of a sweep at work are its own: they are removed by whoever holds the store, only."""
    exp, store = experiment(steps=12), tmp_path / "s.zarr"
    eg.sweep(exp, AXES, store)
    partial = store / "final" / "c" / ".tmp-123"
    partial.write_bytes(b"half")
    former = store / "final" / "c" / "0.123.partial"
    former.write_bytes(b"half")
    with held(store), pytest.raises(InputError, match="another process"):
        eg.sweep(exp, AXES, store, resume=True)
    assert partial.exists()
    eg.sweep(exp, AXES, store, resume=True)
    assert not partial.exists() and not former.exists()


def test_a_store_that_came_meanwhile_is_checked(tmp_path, in_this_process, monkeypatch):
    """Between the look at it and the lock another process may have begun another sweep."""
    exp, store, claim = experiment(steps=12), tmp_path / "s.zarr", store_module.claim

    def late(folder, refusal):
        monkeypatch.setattr(store_module, "claim", claim)
        eg.sweep(exp, AXES[:1], store)
        return claim(folder, refusal)

    monkeypatch.setattr(store_module, "claim", late)
    with pytest.raises(InputError, match="vary: must be that of"):
        eg.sweep(exp, AXES, store, resume=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_store_is_made_by_one_process_and_begun_anew_after_a_kill(tmp_path, in_this_process, overwrite):
    """One that is killed while it makes the store leaves no store, and nothing in the way."""
    exp, store, whole = experiment(steps=12), tmp_path / "s.zarr", tmp_path / "whole.zarr"
    eg.sweep(exp, AXES, whole)
    if overwrite:
        eg.sweep(exp, AXES[:1], store)
    code = f"""
import os, signal, sys
from pathlib import Path
from egan_theory import Experiment
from egan_theory.sweeps import store
from egan_theory.sweeps.plan import make_plan

def consolidate(group):
    print("held", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)

store.consolidate = consolidate
plan = make_plan(Experiment.from_toml_string({exp.to_toml()!r}), {AXES!r})
store.prepare(Path({str(store)!r}), plan, resume=False, overwrite={overwrite})
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="output: must not be in use"):
            eg.sweep(exp, AXES, store)
        other.stdin.write("die\n")
        other.stdin.flush()
        assert other.wait() == -signal.SIGKILL
    eg.sweep(exp, AXES, store)
    assert files(store) == files(whole)


@pytest.mark.parametrize("when", ["before", "during"])
def test_points_that_change_while_a_sweep_runs(tmp_path, monkeypatch, when):
    """Every cell reads the file: batches of two targets must not end in one store."""
    points = tmp_path / "p.npy"
    np.save(points, np.eye(3))
    exp = on_points(points)
    from egan_theory.sweeps import batch as batch_module

    text = make_plan(exp, AXES, batch=2).text
    run_batch(text, 0)
    if when == "before":
        np.save(points, 2 * np.eye(3))
        monkeypatch.setattr(batch_module, "simulated", lambda *_: pytest.fail("simulated"))
    else:
        original = batch_module.simulated

        def changing(members):
            yield from original(members)
            np.save(points, 2 * np.eye(3))

        monkeypatch.setattr(batch_module, "simulated", changing)
    with pytest.raises(InputError, match="target: must keep its points while a sweep runs"):
        run_batch(text, 1)


def test_data_are_on_the_disk_before_the_record(tmp_path, in_this_process, monkeypatch):
    """A record without its data, after a loss of power, would be taken for a complete batch."""
    exp, store = experiment(steps=12), tmp_path / "s.zarr"
    inodes: list[int] = []
    monkeypatch.setattr(files_module.os, "fsync", lambda handle: inodes.append(os.fstat(handle).st_ino))
    eg.sweep(exp, AXES, store, batch=6)
    synced = {inode: when for when, inode in enumerate(inodes)}
    when = {p.relative_to(store).parts[0]: synced[p.stat().st_ino] for p in store.rglob("c/0*/**/*") if p.is_file()}
    when |= {p.relative_to(store).parts[0]: synced[p.stat().st_ino] for p in store.rglob("c/0") if p.is_file()}
    names = columns(make_plan(exp, AXES)).keys()
    record = synced[(store / "complete" / "0.json").stat().st_ino]
    assert names <= when.keys() and max(when[name] for name in names) < record


def test_cells_without_a_prediction_keep_their_simulation(tmp_path, in_this_process, monkeypatch):
    """A matrix too large to be diagonalised is no fault of the runs: they are stored, with the reason."""
    monkeypatch.setattr("egan_theory.linear.finite.MAX_DENSE", 4)
    exp = experiment().replace({"loss.kind": "logistic"})
    ds = eg.sweep(exp, AXES, tmp_path / "s.zarr")
    kept = ds["status"].values == DONE
    assert kept.any() and np.isfinite(ds["final"].values[kept]).all()
    assert np.isnan(ds["predicted_rate"]).all()
    table = compare_sweep(exp, ds)
    assert not table.quantities and all("dense matrix of at most 4 rows" in u["reason"] for u in table.unmatched)


def test_cells_are_named_apart():
    from egan_theory.sweeps.agreement import cell_name

    plan = make_plan(experiment(), ["penalty.r1=1000:1000.5:6"], seeds=2)
    names = [cell_name(plan, i) for i in range(plan.cells)]
    assert len(set(names)) == plan.cells and names[0] == "penalty.r1=1000, run.seed=0"
    large = make_plan(experiment(seed=123456), ["penalty.r1=0.1:1:2"], seeds=2)
    assert cell_name(large, 3) == "penalty.r1=1, run.seed=123457"
