"""The analyses are importable, reproduce with their seed, and their numbers say what they claim."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from egan_theory.experiment.targets import TARGETS
from egan_theory.tables.losses import LOSSES
from tests.entries import STEPS

FOLDER = Path(__file__).parents[2] / "analyses"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def analyses_on_the_path(monkeypatch):
    """As when a script is run; the scripts' own change of the path is undone."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])


def draws_figure(figure, tmp_path):
    assert isinstance(figure, Figure) and figure.axes
    figure.savefig(tmp_path / "figure.png", dpi=30)
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_kicked_modes(tmp_path):
    """Fitted eigenvalues within 1 % or 3 standard errors of the prediction, in every experiment drawn."""
    script = load("kicked_modes")
    ds = script.study(11, 2)
    assert ds.sizes["draw"] == 2 and ds["agrees"].values.tolist() == [1, 1]
    assert float(ds["median_relative"].max()) <= 1e-3 and np.all(ds["modes"] >= 1)
    assert len(set(ds["experiment"].values)) == 2
    draws_figure(script.figure(ds), tmp_path)


def test_draws_cover_the_tables():
    """Every loss, rule and computed target occurs among random draws, which are reproducible."""
    script = load("draws")
    drawn = [script.draw_experiment(np.random.default_rng([0, i])) for i in range(60)]
    assert {e.loss.kind for e in drawn} == set(LOSSES)
    assert {e.update.rule for e in drawn} == set(STEPS)
    assert {e.target.kind for e in drawn} == set(TARGETS) - {"points"}
    assert {e.discriminator.features == 0 for e in drawn} == {True, False}
    assert drawn[0] == script.draw_experiment(np.random.default_rng([0, 0]))


@pytest.mark.slow
def test_kicked_modes_over_more_draws():
    ds = load("kicked_modes").study(5, 12)
    assert int(ds["agrees"].sum()) == 12


@pytest.mark.slow
def test_best_strength(tmp_path):
    """The advised strength leaves at most 1.02 times the least of a sweep around it; theory and simulation agree."""
    script = load("best_strength")
    ds = script.study(3, 2)
    assert ds.sizes["draw"] == 2 and np.all(ds["ratio"] <= script.WITHIN) and np.all(ds["error"] < 1e-3)
    draws_figure(script.figure(ds), tmp_path)


@pytest.mark.slow
def test_critical_damping(tmp_path):
    """On the built-in ring the fastest simulated strength is next to the predicted one, ends are far slower."""
    script = load("critical_damping")
    best, swept, decays = script.study(0, 3)
    rate = swept["rate"].values
    assert int(np.nanargmax(rate)) == 1 and float(swept["strength"][1]) == pytest.approx(best.best)
    assert rate[1] == pytest.approx(best.rate, rel=0.05)
    assert max(rate[0], rate[2]) < 0.5 * rate[1]
    last = decays["deviation"].isel(time=-1)
    assert float(last.sel(factor=1.0)) < float(last.sel(factor=0.2)) and float(last.sel(factor=1.0)) < float(
        last.sel(factor=5.0)
    )
    draws_figure(script.figure(best, swept, decays), tmp_path)


@pytest.mark.slow
def test_phase_diagrams(tmp_path):
    """On a coarse grid: the grid's collapse is told from its survival far better than by chance (seed not tuned to)."""
    script = load("phase_diagrams")
    ds, found = script.study(5, 3, 5)
    accuracy = ds["balanced_accuracy"].sel(mechanism="any mechanism").values
    stderr = ds["stderr"].sel(mechanism="any mechanism").values
    assert ds["covered"].shape == (3, 5, 5) and len(set(ds["family"].values)) == 3
    assert accuracy[2] - 3 * stderr[2] > 0.5
    assert np.all((ds["covered"] >= 0) & (ds["covered"] <= 1))
    draws_figure(script.figure(found, ds["family"].values.tolist()), tmp_path)
