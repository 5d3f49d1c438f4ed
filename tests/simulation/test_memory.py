"""Memory of simulations: refused before anything is computed, and estimated to within a factor of two."""

import re
import subprocess
import sys
import tracemalloc
from contextlib import nullcontext
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base import ram
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.features import feature_map
from egan_theory.simulation.condense import condensed
from egan_theory.simulation.memory import check_cell, samples, stepping
from egan_theory.sweeps.plan import make_plan
from egan_theory.sweeps.workers import _limited_batch
from tests.cli.test_malformed import bad_input

FREE = ram.free_memory

LARGE = """
[target]
kind = "ring"
[generator]
particles = 1000000
[discriminator]
features = 256
[run]
steps = 10
runs = 1
record_every = 10
start = "random"
"""


# -- what is free ----------------------------------------------------------------------------------------------------


def _group(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_the_control_group(version, tmp_path, monkeypatch):
    limit, used, cached = V1 if version == 1 else V2
    root = tmp_path / "cgroup"
    own = root / ("memory" if version == 1 else "")
    mine = tmp_path / "mine"
    mine.write_text("5:cpu:/x\n4:pids,memory:/job/step\n" if version == 1 else "0::/job/step\n")
    monkeypatch.setattr(ram, "GROUPS", root)
    monkeypatch.setattr(ram, "MINE", mine)
    assert ram._of_the_groups() == np.inf  # no such groups
    none = 2**63 - 4096 if version == 1 else "max"
    stat = f"anon 5\n{cached} 1000\nother 7"
    _group(own / "job" / "step", {limit: none, used: 5000, "memory.stat": stat})
    assert ram._of_the_groups() > 1e18
    _group(own / "job", {limit: 20000, used: 9000, "memory.stat": stat})  # the group around it counts, too
    assert ram._of_the_groups() == 20000 - 8000
    _group(own / "job" / "step", {limit: 9000})
    assert ram._of_the_groups() == 9000 - 4000 == ram.free_memory()
    mine.write_text("4:memory:/only/outside\n" if version == 1 else "0::/only/outside\n")  # as in a container
    _group(own, {limit: 3000, used: 2500, "memory.stat": "nothing here"})
    assert ram._of_the_groups() == 500
    _group(own, {limit: 1000})  # below what is in use already
    assert ram._of_the_groups() == 0
    _group(own, {limit: "nonsense"})
    assert ram._of_the_groups() == np.inf


# -- refused before the work -----------------------------------------------------------------------------------------


@pytest.fixture
def little(monkeypatch):
    """4 GB free, and nothing may be simulated or predicted."""
    monkeypatch.setattr(ram, "free_memory", lambda: 4e9)

    def never(*_, **__):
        raise AssertionError("computed")

    for place in ("simulation.run.Recorder", "sweeps.run.prepare", "predict.phase.phase"):
        monkeypatch.setattr(f"egan_theory.{place}", never)


@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "e.toml", "-o", "runs.nc"],
        ["sweep", "e.toml", "-o", "s.zarr", "--vary", "penalty.r1=0.1:0.2:2", "--workers", "1"],
        ["sweep", "e.toml", "-o", "s.zarr", "--vary", "generator.particles=10:600000:2", "--workers", "2"],
        ["phase", "e.toml", "--vary", "penalty.r1=0.1:0.2:2", "--vary", "generator.kernel.ratio=0.1:0.2:2",
         "--simulate", "2"],
    ],
    ids=lambda command: " ".join(command[:1] + command[5:6]),
)  # fmt: skip
def test_a_step_that_does_not_fit(command, little, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(LARGE)
    line = bad_input(command, tmp_path, capsys)
    assert "generator.particles: must be small enough for a step to fit in memory" in line
    assert "where 3.2 GB can be used" in line


NETWORKS = """
[target]
kind = "ring"
modes = 4
[generator]
particles = 4
[discriminator.architecture]
width = 4000
[generator.architecture]
width = 4000
[run]
runs = 50
steps = 2
record_every = 2
start = "random"
"""


def test_networks_that_do_not_fit(tmp_path, capsys, monkeypatch):
    """Weights of 50 networks of each player; and in a spectrum the tangent kernel of one at 12,000 points."""

    def never(*_, **__):
        raise AssertionError("computed")

    monkeypatch.setattr(ram, "free_memory", lambda: 4e9)
    monkeypatch.setattr("egan_theory.simulation.networks.simulate.simulate_networks", never)
    (tmp_path / "e.toml").write_text(NETWORKS)
    line = bad_input(["simulate", str(tmp_path / "e.toml"), "-o", str(tmp_path / "r.nc")], tmp_path, capsys)
    assert re.search(r"a network's width\), but found 10\d GB for 50 runs side by side, where 3.2 GB can be used", line)
    monkeypatch.setattr("egan_theory.features.networks.tangent._LocatedTangent.psi", never)
    monkeypatch.setattr("egan_theory.features.networks.tangent._LocatedTangent.adjoint", never)
    (tmp_path / "e.toml").write_text(NETWORKS.replace("modes = 4", "modes = 12000").replace("= 4000", "= 40", 1))
    line = bad_input(["spectrum", str(tmp_path / "e.toml"), "--set", "generator.particles=12000"], tmp_path, capsys)
    assert "D: must have few enough weights, at few enough points, for its tangent kernel to fit in memory" in line


def test_cells_that_do_not_fit_on_the_workers_of_a_cluster(little, tmp_path, monkeypatch):
    """Each thread of a worker has its part of the worker's limit, whatever this machine has."""
    limits = {"a": {"memory_limit": 64 * 10**9, "nthreads": 1}, "b": {"memory_limit": 16 * 10**9, "nthreads": 8}}
    client = SimpleNamespace(scheduler_info=lambda: {"workers": limits})
    monkeypatch.setattr(ram, "free_memory", FREE)
    monkeypatch.setattr("egan_theory.sweeps.run.cluster", lambda _: nullcontext(client))
    exp = eg.Experiment.from_toml_string(LARGE)
    with pytest.raises(InputError, match=r"^generator.particles: must be small enough .*, where 1.6 GB can be used$"):
        eg.sweep(exp, ["penalty.r1=0.1:0.2:2"], tmp_path / "s.zarr", scheduler="tcp://there:1")
    with ram.elsewhere(1e15):
        assert ram.free_memory() == 1e15
    with ram.allowing(5e3):
        assert ram.free_memory() == 5e3


@pytest.mark.slow
def test_a_batch_on_a_worker_stays_within_its_limit(tmp_path):
    distributed = pytest.importorskip("distributed")
    one = dict(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
    exp = eg.Experiment.from_toml_string(LARGE.replace("1000000", "8"))
    with distributed.LocalCluster(memory_limit="3GB", **one) as cluster:
        found = eg.sweep(exp, ["penalty.r1=0.1:0.2:2"], tmp_path / "s.zarr", scheduler=cluster.scheduler_address)
        assert found["status"].values.tolist() == [1, 1]
        with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
            plan = make_plan(exp.replace({"generator.particles": 1_000_000}), ["penalty.r1=0.1:0.2:2"])
            values = client.submit(_limited_batch, plan.text, 0).result()
    assert values["status"].tolist() == [3] and "generator.particles: must be small" in values["reason"][0]


def test_a_report_says_that_the_runs_do_not_fit(monkeypatch):
    """The stage that simulates is left out with its reason, as any other that is impossible."""
    monkeypatch.setattr(ram, "free_memory", lambda: 1e6)
    exp = eg.Experiment(generator={"particles": 64}, run={"start": "random"})
    with pytest.raises(InputError, match=r"^generator.particles: must be small enough for a step"):
        eg.simulate(exp.replace({"run.steps": 1, "run.record_every": 1}))
    with pytest.raises(InputError, match=r"^run.record_every: must be large enough for the recording"):
        eg.simulate(exp.replace({"run.steps": 100_000, "run.record_every": 1}))


def test_an_exact_kernel_of_too_many_points(monkeypatch):
    monkeypatch.setattr(ram, "free_memory", lambda: 1e6)
    with pytest.raises(InputError, match=r"^discriminator.features: must be > 0, or the target have fewer points"):
        feature_map(eg.Experiment(target=eg.Ring(modes=100), discriminator={"features": 0}))


def test_a_target_of_too_many_coordinates_in_runs_is_not_read(tmp_path, capsys):
    (tmp_path / "e.toml").write_text(LARGE.replace("1000000", "8"))
    assert main(["simulate", str(tmp_path / "e.toml"), "-o", str(tmp_path / "runs.nc")]) == 0
    capsys.readouterr()
    with h5py.File(tmp_path / "runs.nc", "a") as file:
        del file["target"]
        made = file.create_dataset("target", (20_000_000, 2), "f4", chunks=(10_000, 2), compression="gzip")
        for i, (dim, size) in enumerate((("many", 20_000_000), ("two", 2))):
            scale = file.create_dataset(dim, (size,), "f4", chunks=(min(size, 10_000),))
            scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {size:9d}")
            made.dims[i].attach_scale(scale)
    line = bad_input(["compare", str(tmp_path / "e.toml"), str(tmp_path / "runs.nc")], tmp_path, capsys)
    assert "runs.nc: target: must hold at most 20000000 coordinates" in line
    np.lib.format.open_memmap(tmp_path / "d.npy", "w+", np.uint8, (21_000_000, 1))
    line = bad_input(["advise", str(tmp_path / "e.toml"), "--data", str(tmp_path / "d.npy")], tmp_path, capsys)
    assert "--data: must hold at most 20000000 coordinates" in line


# -- estimates -------------------------------------------------------------------------------------------------------

POLYNOMIAL = {"kernel": "polynomial", "degree": 3}
#: fields that are not {"particles": 1000, "features": 256, "runs": 2, "steps": 3, "record_every": 3, a ring of 8}
CASES = {
    "simultaneous": {},
    "flow": {"update": {"rule": "flow"}, "discriminator": {"learning_rate": 0.01}},
    "optimistic": {"update": {"rule": "optimistic"}},
    "extragradient": {"update": {"rule": "extragradient"}},
    "best response": {"update": {"rule": "best_response"}},
    "averages": {"memory": {"generator": 10.0, "discriminator": 10.0}},
    "consensus": {"penalty": {"consensus": 0.1}},
    "instance noise": {"penalty": {"instance_noise": 0.1}, "particles": 100},
    "instance noise, logistic": {"penalty": {"instance_noise": 0.1}, "loss": {"kind": "logistic"}, "particles": 100},
    "values of D": {"loss": {"kind": "non_saturating"}},
    "likelihood": {"likelihood": {"weight": 0.1, "bandwidth": 0.3}, "particles": 500},
    "ten dimensions": {"target": eg.Grid(side=2, dimension=10), "particles": 1024},
    "many points": {"target": eg.Grid(side=30, dimension=2), "features": 16, "particles": 3000},
    "network features": {"discriminator": {"kernel": "relu"}},
    "polynomial": {"discriminator": POLYNOMIAL, "features": 0, "particles": 4000},
    "projected": {"discriminator": POLYNOMIAL, "features": 64, "particles": 2000},
    "packing": {"packing": {"degree": 2}, "particles": 100},
    "exact": {"features": 0},
    "exact, few": {"features": 0, "particles": 300},
    "fourier": {"discriminator": {"evaluation": "fourier"}, "features": 0, "particles": 3000},
    "box": {"target": eg.Uniform(side=63), "discriminator": {"length_scale": 0.1}, "features": 0},
    "records": {"particles": 100, "features": 16, "steps": 500, "record_every": 1},
    "weights": {"particles": 10, "features": 2000, "steps": 300, "record_every": 1},
    "kick": {"particles": 1000, "features": 16, "steps": 300, "record_every": 1, "start": "kick"},
}


def experiment(target=None, particles=1000, features=256, steps=3, record_every=3, start="random", **tables):
    return eg.Experiment(
        target=target or eg.Ring(modes=8),
        generator={"particles": particles},
        run={"steps": steps, "runs": 2, "record_every": record_every, "start": start},
        **tables | {"discriminator": {"features": features} | tables.get("discriminator", {})},
    )


def estimate(exp, features=None):
    small = condensed(exp) if exp.run.start == "kick" else exp
    again = 0 if small is exp else samples(small, small.run.runs)
    return samples(exp, exp.run.runs) + again + stepping(small, small.run.runs, features)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_estimates_are_within_a_factor_of_two(name):
    exp = experiment(**CASES[name])
    eg.simulate(experiment(particles=8))  # what is imported and made once
    tracemalloc.start()
    try:
        eg.simulate(exp)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 < estimate(exp) / peak < 2, (estimate(exp), peak)


SCRIPT = """
import sys
from egan_theory.cli.app import main
from egan_theory.base import ram
def high():
    return 1024 * int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
text, folder, particles = open(sys.argv[1]).read(), sys.argv[2], sys.argv[3]
for n in ("1000", particles):
    open(f"{folder}/{n}.toml", "w").write(text.replace("1000000", n))
    assert main(["simulate", f"{folder}/{n}.toml", "-o", f"{folder}/{n}.nc", "--json"]) == 0
    print("high", high())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_the_command_stays_within_twice_its_estimate(tmp_path):
    """Everything in one process, the file that is written included."""
    (tmp_path / "e.toml").write_text(LARGE)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "e.toml"), str(tmp_path), "60000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, after = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("high"))
    exp = eg.Experiment.from_toml_string(LARGE.replace("1000000", "60000"))
    assert 0.5 < estimate(exp) / (after - before) < 2, (estimate(exp), after - before)


def test_a_cell_that_cannot_be_simulated_says_so_later():
    check_cell(eg.Experiment(), {"generator.particles": 1}, recorded=True)
    check_cell(eg.Experiment(discriminator={"kernel": "laplace", "features": 0}), {}, recorded=False)
