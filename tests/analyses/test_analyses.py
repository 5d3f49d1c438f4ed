"""The analyses are importable, reproduce with their seed, and their numbers say what they claim."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analyses import best_strength, critical_damping, draws, kicked_modes, phase_diagrams
from egan_theory import Experiment, InputError
from egan_theory.experiment.targets import TARGETS
from egan_theory.linear.resolved import resolved_rule
from egan_theory.tables.losses import single_losses
from tests.analyses.drawing import labelled
from tests.entries import STEPS


def draws_figure(figure, tmp_path):
    assert isinstance(figure, Figure) and figure.axes
    figure.savefig(tmp_path / "figure.png", dpi=30)
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_kicked_modes(tmp_path):
    """Fitted eigenvalues within 1 % or 3 standard errors of the prediction, in every experiment drawn."""
    ds = labelled(kicked_modes, "--seed 11 --draws 2", tmp_path)
    assert ds.sizes["draw"] == 2 and ds["agrees"].values.tolist() == [1, 1]
    assert float(ds["median_relative"].max()) <= 1e-3 and np.all(ds["modes"] >= 1)
    assert len(set(ds["experiment"].values)) == 2


def test_draws_cover_the_tables():
    """Every loss, rule and computed target occurs among random draws, which are reproducible."""
    drawn = [draws.draw_experiment(np.random.default_rng([0, i])) for i in range(60)]
    assert {e.loss.kind for e in drawn} == set(single_losses())
    assert {e.update.rule for e in drawn} == set(STEPS)
    assert {e.target.kind for e in drawn} == set(TARGETS) - {"points"}
    assert {e.discriminator.features == 0 for e in drawn} == {True, False}
    assert drawn[0] == draws.draw_experiment(np.random.default_rng([0, 0]))


def test_a_flow_that_the_package_refuses_as_too_stiff_is_drawn_again(monkeypatch):
    """Laplace features have heavy tails: consensus makes some flows 10^5 times faster than their learning rates."""
    target = {"kind": "ring", "modes": 3}
    stiff = Experiment(target=target, penalty={"r1": 1e9}, update={"rule": "flow"})
    with pytest.raises(InputError, match=r"update\.substeps"):
        resolved_rule(stiff)
    drawn = iter([stiff, Experiment(target=target)])
    monkeypatch.setattr(draws, "_draw", lambda rng, runs: next(drawn))
    assert draws.draw_experiment(np.random.default_rng(0)).update.rule == "simultaneous"


@pytest.mark.slow
def test_kicked_modes_over_more_draws():
    ds = kicked_modes.study(5, 6)
    assert int(ds["agrees"].sum()) == 6


@pytest.mark.slow
def test_best_strength(tmp_path):
    """The advised strength leaves at most 1.02 times the least of a sweep around it; theory and simulation agree."""
    ds = labelled(best_strength, "--seed 3 --draws 2", tmp_path)
    assert ds.sizes["draw"] == 2 and np.all(ds["ratio"] <= best_strength.WITHIN) and np.all(ds["error"] < 1e-3)


@pytest.mark.slow
def test_critical_damping(tmp_path):
    """On the built-in ring the fastest simulated strength is next to the predicted one, ends are far slower."""
    ds = labelled(critical_damping, "--seed 0 --draws 3", tmp_path)
    rate = ds["rate"].values
    assert int(np.nanargmax(rate)) == 1 and float(ds["strength"][1]) == pytest.approx(ds.attrs["best"])
    assert rate[1] == pytest.approx(ds.attrs["best_rate"], rel=0.05)
    assert max(rate[0], rate[2]) < 0.5 * rate[1]
    last = ds["deviation"].isel(time=-1)
    assert float(last.sel(factor=1.0)) < float(last.sel(factor=0.2)) and float(last.sel(factor=1.0)) < float(
        last.sel(factor=5.0)
    )


@pytest.mark.slow
def test_phase_diagrams(tmp_path):
    """On a coarse grid: the grid's collapse is told from its survival far better than by chance (seed not tuned to)."""
    ds, _ = phase_diagrams.study(5, 3, 5)
    own = ds.sel(predictor=phase_diagrams.START)
    accuracy, stderr = own["balanced_accuracy"].values, own["stderr"].values
    assert (ds["confusion"].sum(("kind", "predicted")) == 25).all()
    assert ds["covered"].shape == (3, 5, 5) and len(set(ds["family"].values)) == 3
    assert accuracy[2] - 3 * stderr[2] > 0.5
    assert np.all((ds["covered"] >= 0) & (ds["covered"] <= 1))
    draws_figure(phase_diagrams.figure(ds), tmp_path)
