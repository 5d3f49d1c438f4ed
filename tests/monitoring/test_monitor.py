"""What a monitor measures and records of a loop, on a game of known numbers; what fails leaves the loop alone."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.monitoring.monitor import Monitor
from egan_theory.monitoring.pace import share_said
from egan_theory.runs.recording import WriteError
from tests.monitoring.doubles import Clock, Double, Network
from tests.runs.test_recording_hard import ignored, in_a_fork, needs_fork

LATENTS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])


def monitor(path, D=None, G=None, make=Double, clock=None, **settings):
    D, G = D or Network(1.0, 0.0), G or Network(0.0, 2.0)
    given = {"loss": "wasserstein", "penalty": {"r1": 0.5}, "latents": LATENTS, "optimizers": (0.1, 0.1), "say": None,
             "data": np.zeros((3, 2)), "every": 10} | settings  # fmt: skip
    out = Monitor(D, G, path=path, **given)
    out._make = make
    if clock is not None:
        out._clock = clock
    return out


def train(m, D, G, steps, rate=0.1, r1=0.5, **losses):
    """Simultaneous gradient steps of the double's game."""
    for step in steps:
        d = r1 * D.weights - G.weights
        D.weights, G.weights = D.weights - rate * d, G.weights - rate * D.weights
        m.step(step, **{name: f(step) for name, f in losses.items()})


@pytest.fixture
def run(tmp_path):
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    with monitor(tmp_path / "runs.nc", D, G) as m:
        train(m, D, G, range(35), loss_discriminator=lambda s: float(s), loss_generator=lambda s: -2.0 * s)
    return eg.open_runs(tmp_path / "runs.nc")


def test_a_plain_loop_has_its_multipliers(run):
    z = Double(Network(1.0), Network(1.0), data=None, latents=LATENTS, optimizers=(0.1, 0.1), loss="",
               penalty={"r1": 0.5}).eigenvalues()  # fmt: skip
    known = np.isfinite(run["multiplier_re"].values[0, :, 0])
    assert run["time"].values[known].tolist() == [0, 10, 20, 30]
    found = run["multiplier_re"].values[0, known] + 1j * run["multiplier_im"].values[0, known]
    for row in found:
        row = row[np.isfinite(row)]
        np.testing.assert_allclose(row, np.full(len(row), z[z.imag > 0][0]), atol=1e-8)
    assert np.nanmax(run["multiplier_residual"]) < 1e-6
    np.testing.assert_allclose(run["multiplier_share"].values[0, known, 0], 0.5, atol=1e-8)  # |psi| = |theta| there
    assert run.attrs["status"] == "finished" and run["particles"].shape[2:] == (3, 2)


def test_losses_are_means_since_the_last_sample(run):
    time = run["time"].values
    before = np.concatenate([[-1], time[:-1]])
    means = [np.mean(np.arange(a + 1, b + 1)) for a, b in zip(before, time, strict=True)]
    np.testing.assert_allclose(run["loss_discriminator"].values[0], means)
    np.testing.assert_allclose(run["loss_generator"].values[0], -2.0 * np.array(means))
    assert time[-1] == 34  # the end of the loop is not lost


def test_what_else_is_recorded(run):
    known = np.isfinite(run["multiplier_re"].values[0, :, 0])
    for name in ("kernel_g1", "kernel_g2", "kernel_share"):  # all samples move together
        np.testing.assert_allclose(run[name].values[0, known], 1, atol=1e-12)
    assert np.all(run["strength_r1"] == 0.5)
    assert np.isnan(run["kernel_share"].values[0, ~known]).all()
    assert np.all(run["monitor_products"].values[0, known] > 0)
    asked = json.loads(run.attrs["monitor"])
    assert asked["every"] == 10 and asked["loss"] == "wasserstein" and asked["penalty"] == {"r1": 0.5}


def test_path_angle_is_the_cosine_of_field_and_path(tmp_path):
    """By finite differences of the loop's own potentials: v = (theta - s psi, -psi)."""
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    places = []
    with monitor(tmp_path / "runs.nc", D, G) as m:
        for step in range(21):
            if step % 10 == 0:
                places.append(np.concatenate([D.weights, G.weights]))
            m.step(step)
            d = 0.5 * D.weights - G.weights
            D.weights, G.weights = D.weights - 0.1 * d, G.weights - 0.1 * D.weights
    run = eg.open_runs(tmp_path / "runs.nc")
    for i, step in ((1, 10), (2, 20)):
        w = places[i] - places[i - 1]
        for name, place in (("path_angle_start", 0), ("path_angle", 1), ("path_angle_beyond", 1.25)):
            psi, theta = np.split(places[i - 1] + place * w, 2)
            v = np.concatenate([theta - 0.5 * psi, -psi])
            expected = w @ v / np.linalg.norm(w) / np.linalg.norm(v)
            assert run[name].sel(time=step).item() == pytest.approx(expected, abs=1e-12)
    assert np.isnan(run["path_angle"].values[0, 0])  # no way has been gone yet


def test_the_advice_is_for_the_steps_that_remain(tmp_path, monkeypatch):
    asked = []

    def advise(game, *, horizon):
        asked.append(horizon)
        return SimpleNamespace(best=3.0 * game.strengths["r1"], edge=None if horizon < 5 else 40.0)

    monkeypatch.setattr("egan_theory.advice.advise.advise", advise)
    with monitor(tmp_path / "r.nc", horizon=32) as m:
        for step in range(41):
            m.step(step)
    assert asked == [32, 22, 12, 2, 1]
    run = eg.open_runs(tmp_path / "r.nc")
    known = run["time"].isin([0, 10, 20, 30, 40]).values
    np.testing.assert_array_equal(run["strength_advised"].values[0, known], 1.5)
    np.testing.assert_array_equal(run["strength_edge"].values[0, known], [40, 40, 40, np.nan, np.nan])


# -- time --------------------------------------------------------------------------------------------------------------


def test_time_of_loop_and_analyses_is_counted_and_the_share_is_kept(tmp_path):
    """A step takes 1 s, a product 0.05 s: after an analysis of p products the next is p 0.05/0.03 s later."""
    clock, said = Clock(), []
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    make = partial(Double, clock=clock, cost=0.05)
    with monitor(tmp_path / "r.nc", D, G, make, clock, every=None, products=60, say=said.append) as m:
        for step in range(1000):
            clock.pass_(1.0)
            m.step(step)
        overhead = m.overhead
    run = eg.open_runs(tmp_path / "r.nc")
    spent, trained = run["monitor_seconds"].values[0], run["training_seconds"].values[0]
    assert spent.sum() + trained.sum() == pytest.approx(clock.now - 1.0) and trained.sum() == pytest.approx(999)
    assert spent.sum() / trained.sum() == pytest.approx(overhead, rel=0.05)
    products = run["monitor_products"].values[0]
    known = np.isfinite(products)
    assert known.sum() > 20 and np.allclose(spent[known][1:], 0.05 * products[known][1:], atol=1e-9)
    assert spent.sum() <= 0.03 * trained.sum() + spent[known].max()
    assert "a product takes 0.05 s, at most 60 of them about 3 s an analysis" in said[0]
    assert (
        "a training step takes 1 s: about 100 steps between two for these products, at 3% of the training time"
        in said[0]
    )


def test_the_cost_of_given_steps_is_said(tmp_path):
    clock, said = Clock(), []
    make = partial(Double, clock=clock, cost=0.5)
    with monitor(tmp_path / "r.nc", make=make, clock=clock, every=10, say=said.append) as m:
        for step in range(30):
            clock.pass_(1.0)
            m.step(step)
    assert "a product takes 0.5 s" in said[0] and "every" not in said[0]
    took = 0.5 * eg.open_runs(tmp_path / "r.nc")["monitor_products"].sel(time=10).item()
    assert f"every 10 steps, that is an estimated {share_said(took / 10)}" in said[1] and len(said) == 2
    assert f"every={np.ceil(took / 0.03):.0f} would keep 3%" in said[1]


# -- what fails --------------------------------------------------------------------------------------------------------


def test_an_analysis_that_fails_is_recorded_and_the_next_one_made(tmp_path):
    failing, said = [], []

    class Failing(Double):
        def product(self, v):
            if failing:
                raise RuntimeError("out of memory\n on device")
            return super().product(v)

        def push(self, *a, **b):
            if failing:
                raise InputError("latents", "be at least 2", 1)
            return super().push(*a, **b)

    with monitor(tmp_path / "r.nc", make=Failing, say=said.append) as m:
        for step in range(41):
            failing[:] = [1] if step in (10, 20) else []
            m.step(step)
    run = eg.open_runs(tmp_path / "r.nc")
    assert np.isfinite(run["multiplier_re"][0, :, 0]).sel(time=[0, 10, 20, 30, 40]).values.tolist() == [1, 0, 0, 1, 1]
    assert np.isnan(run["kernel_share"].sel(time=20)) and np.isfinite(run["particles"].sel(time=20)).all()
    notes = json.loads(run.attrs["notes"])
    assert [10, 10, "multipliers: RuntimeError: out of memory on device"] in notes
    assert [20, 20, "kernel: latents: must be at least 2, but found 1"] in notes
    assert sum("out of memory" in line for line in said) == 1 and run.attrs["status"] == "finished"


def test_training_that_diverges_goes_on_and_says_when(tmp_path):
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    with monitor(tmp_path / "r.nc", D, G) as m:
        for step in range(41):
            if step == 25:
                G.weights = G.weights * np.nan
            m.step(step, loss_generator=np.nan if step > 25 else 1.0)
    run = eg.open_runs(tmp_path / "r.nc")
    assert run.attrs["status"] == f"diverged at step {run['diverged_at'].item()}" and run["diverged_at"].item() == 25
    assert np.isfinite(run["multiplier_re"][0, :, 0]).sel(time=[0, 10, 20, 30, 40]).values.tolist() == [1, 1, 1, 0, 0]
    assert json.loads(run.attrs["notes"]) == [[30, 40, "game: G: must have finite weights, but found 2 that are not"]]


def test_a_full_disk_stops_no_training(tmp_path, monkeypatch):
    said = []
    m = monitor(tmp_path / "r.nc", say=said.append)
    m.step(0)
    monkeypatch.setattr(m._samples.writer, "log", lambda *_, **__: (_ for _ in ()).throw(WriteError("no space left")))
    for step in range(1, 30):
        m.step(step)
    assert sum("no space left; training goes on" in line for line in said) == 1
    monkeypatch.undo()
    m.step(30)
    m.close()
    assert eg.open_runs(tmp_path / "r.nc")["time"].values.tolist() == [0, 30]


@pytest.mark.parametrize(("settings", "says"), [
    ({"every": 0}, "every: must be a whole number of at least 1"),
    ({"every": 2.5}, "every: must be a whole number"),
    ({"products": 1}, "products: must be a whole number of at least 4"),
    ({"share": 0}, "share: must be above 0"),
    ({"share": "3 %"}, "share: must be above 0"),
    ({"horizon": 0}, "horizon: must be a number of steps above 0"),
    ({"parts": ("spectrum",)}, "parts: must be some of multipliers, path, kernel"),
    ({"parts": "kernel"}, "parts: must be some of"),
])  # fmt: skip
def test_bad_settings_are_refused(tmp_path, settings, says):
    with pytest.raises(InputError, match=says):
        monitor(tmp_path / "r.nc", **settings)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_used_is_refused_at_the_first_step_and_leaves_nothing(tmp_path):
    def refusing(*_, **__):
        raise InputError("loss", "be one of the table", "nothing")

    for make, settings, says in (
        (refusing, {}, "loss: must be one of the table"),
        (Double, {"data": None}, "data: must be given"),
        (Double, {"optimizers": None}, "D, G and optimizers: must be given"),
    ):
        m = monitor(tmp_path / "r.nc", make=make, **settings)
        with pytest.raises(InputError, match=says):
            m.step(0)
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError, match="particle"), monitor(tmp_path / "r.nc", experiment=eg.Experiment()) as m:
        m.step(0)
    m = monitor(tmp_path / "s.nc")
    m.step(0)
    with pytest.raises(InputError, match="particles: must be a name"):
        m.step(1, particles=1.0)
    m.close()


# -- going on ----------------------------------------------------------------------------------------------------------


def test_a_recording_goes_on_from_a_checkpoint(tmp_path):
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    with monitor(tmp_path / "r.nc", D, G) as m:
        train(m, D, G, range(41), loss_generator=float)
        m._samples.note(38, "of a trajectory that is given up")
    with pytest.raises(InputError, match="path: must be a new file"):
        monitor(tmp_path / "r.nc")
    D, G = Network(1.0, 0.0), Network(0.0, 2.0)
    with monitor(tmp_path / "r.nc", D, G, resume=True, at=20) as m:
        train(m, D, G, range(21, 61), loss_generator=float)
    with monitor(tmp_path / "r.nc", D, G, resume=True) as m:
        train(m, D, G, range(50, 71), loss_generator=float)  # steps that are there already are skipped
        assert m.last >= 60
    run = eg.open_runs(tmp_path / "r.nc")
    assert run["time"].values.tolist() == sorted(set(run["time"].values.tolist())) and run["time"].values[-1] == 70
    assert run.attrs["rewound"].startswith("cut back from step 40 to step 20") and run.attrs["notes"] == "[]"
    assert np.all(np.diff(run["loss_generator"].values[0][:-1]) > 0)


def test_a_killed_loop_leaves_what_was_recorded(tmp_path):
    code = textwrap.dedent("""
        import os, signal, sys
        from tests.monitoring.test_monitor import Network, monitor, train
        D, G = Network(1.0, 0.0), Network(0.0, 2.0)
        m = monitor(sys.argv[1], D, G)
        train(m, D, G, range(30))
        m._samples.writer.flush()
        train(m, D, G, range(30, 40))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r.nc")], timeout=120)
    assert done.returncode == -signal.SIGKILL
    run = eg.open_runs(tmp_path / "r.nc")
    assert run.attrs["status"] == "interrupted" and run["time"].values[-1] == 29
    with monitor(tmp_path / "r.nc", resume=True) as m:
        m.step(30)
    assert eg.open_runs(tmp_path / "r.nc")["time"].values[-1] == 30


@needs_fork
@ignored
def test_a_forked_process_leaves_the_monitor_alone(tmp_path):
    with monitor(tmp_path / "r.nc") as m:
        m.step(0)
        assert in_a_fork(lambda: m.__exit__(None, None, None)) == "None"
        assert in_a_fork(lambda: m.step(1)).startswith(
            "InputError: RunWriter: must be used by the process that made it"
        )
        m.step(1)
    assert eg.open_runs(tmp_path / "r.nc")["time"].values[-1] == 1


def test_large_images_are_recorded_few(tmp_path, monkeypatch):
    monkeypatch.setattr("egan_theory.monitoring.samples.NUMBERS", 16)
    for name, settings, count in (("a", {}, 4), ("b", {"particles": 6}, 6), ("c", {"particles": 1}, 1)):
        nets = Network(*np.zeros(4)), Network(*np.zeros(4))
        with monitor(tmp_path / name, *nets, latents=np.zeros((7, 4)), parts=("kernel",), **settings) as m:
            m.step(0)
        assert eg.open_runs(tmp_path / name).sizes["particle"] == count


def test_a_loss_is_a_number(tmp_path):
    with monitor(tmp_path / "runs.nc") as m, pytest.raises(InputError, match="loss_discriminator: must be a number"):
        m.step(0, loss_discriminator="a")
