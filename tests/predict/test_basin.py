"""The state reached from the start: gains of the macro-particles, probabilities, and signs against simulations."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.predict import basin
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.predict.threshold import thresholds
from egan_theory.predict.transverse import clustered, gains
from egan_theory.problem.problem import Problem
from egan_theory.runs.outcome import Outcome, modes_are_lost
from egan_theory.sweeps.phase import compare_phase, simulate_phase
from tests.builders import small

NAME = "state reached from the start"
RATIO = "generator.kernel.ratio"


def ring(ratio=0.0, particles=12, **run):
    """The narrow start of four points with weight decay: free particles cover them, a nearly rigid cloud cannot."""
    exp = small(eg.Ring(modes=4), particles=particles, penalty={"weight_decay": 0.05},
                discriminator={"features": 64, "length_scale": 0.7, "learning_rate": 0.1},
                generator={"learning_rate": 0.01})  # fmt: skip
    fields = {"start": "random", "spread": 0.35, "steps": 1500, "runs": 1} | run
    return exp.replace({RATIO: ratio} | {f"run.{n}": v for n, v in fields.items()})


@pytest.mark.parametrize("normalisation", ["sum", "mean"])
def test_macro_particles_keep_both_eigenvalues(normalisation):
    """Gamma of N and of n particles, as matrices: n M acts on particles of mass 1/n as N M on those of mass 1/N."""
    exp = ring(0.3, particles=24).replace({"generator.normalisation": normalisation})
    many, few = Problem(exp), clustered(Problem(exp), 6)

    def eigenvalues(p):
        gamma = p.omega * (p.g2 * np.ones((p.N, p.N)) + (p.g1 - p.g2) * np.eye(p.N)) / p.N
        return np.unique(np.linalg.eigvalsh(gamma).round(12))

    np.testing.assert_allclose(eigenvalues(few), eigenvalues(many))
    assert gains(few).collective == pytest.approx(gains(many).collective)


def test_probability_of_few_draws():
    mean, error = basin.posterior(np.array([0, 1, 2]), 2)
    np.testing.assert_allclose(mean, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(error**2, [3 / 80, 1 / 20, 3 / 80])  # Beta(l + 1, n - l + 1)


@pytest.mark.parametrize(("ratio", "lost"), [(0.0, False), (0.9, True)])
def test_sign_against_simulation(ratio, lost):
    exp = ring(ratio, runs=6)
    found = eg.reached(exp, draws=8)
    runs = modes_are_lost(eg.simulate(exp)["outcome"].values)
    assert (runs.mean() > 0.5) == lost == (found.margin > 0)
    assert abs(found.lost - 0.5) > 2 * found.stderr and found.saving < 1 and found.particles == 12
    assert sum(found.kinds.values()) == pytest.approx(1) and set(found.kinds) == {o.word for o in Outcome}
    assert basin.margins([exp])[0] == basin.margin(exp) and (basin.margin(exp) > 0) == lost
    assert "lost" in repr(found) and found.margin == 2 * found.lost - 1


def test_many_particles_are_as_few():
    """The reduced problem does not know N but through the gains: with collective gain given, 12 stand for 1200."""
    exp = ring(0.0, particles=1200)
    found = eg.reached(exp, draws=4)
    assert found.particles == 12 and found.clusters == 4 and found.margin < 0
    rigid = eg.reached(exp.replace({RATIO: 0.5}), draws=4)
    assert rigid.margin > 0


def test_kicked_starts_stay():
    """Beyond the linear threshold of the default ring, a small kick circles and keeps all modes."""
    exp = eg.Experiment(penalty={"weight_decay": 0.05, "r1": 0.0}).replace({RATIO: 0.3, "run.kick": 0.02})
    exp = exp.replace({"run.steps": 2000})
    assert MECHANISMS["collective instability"](exp) > 0
    found = eg.reached(exp, draws=4)
    assert found.margin < 0 and found.particles == 8


def test_threshold_of_a_probability():
    found = thresholds(ring(), RATIO, 0.0, 0.9, mechanisms=[NAME]).thresholds[0]
    low, high = found.bracket
    assert low <= found.value <= high and found.unstable_side[0] == "above" and "probability" in found.method
    inside = [eg.simulate(ring(r, runs=5))["outcome"].values for r in (0.5 * low, min(1.6 * high, 0.95))]
    assert [bool(modes_are_lost(codes).mean() > 0.5) for codes in inside] == [False, True]
    refused = thresholds(ring().replace({"discriminator.features": 0}), RATIO, 0.0, 0.9, mechanisms=[NAME])
    assert refused.thresholds[0].value is None and "exact kernel" in refused.thresholds[0].reason


def test_kicks_have_no_width_to_vary():
    (found,) = thresholds(ring(start="kick"), "run.spread", 0.1, 1.0, mechanisms=[NAME]).thresholds
    assert found.value is None and found.reason.startswith("run.start: must be 'random'")


def test_diagram_against_simulation():
    exp = ring(steps=1000)
    axes = (f"{RATIO}=0:0.9:5", "discriminator.learning_rate=0.03:0.3:3:log")
    simulated = simulate_phase(exp, *axes, runs=2)
    found = compare_phase(exp, simulated, mechanisms=[NAME])
    assert float(found["balanced_accuracy"]) > 0.8
    np.testing.assert_allclose(found["probability"].sum("kind"), 1.0)
    predicted = eg.phase(exp, *axes, mechanisms=[NAME])
    assert predicted["evaluated"].values.all() and np.abs(predicted["margin"].values).max() < 1


def test_large_diagrams_are_sampled_evenly(monkeypatch):
    """Every cell gets the mean of what is around, and no cell is far from an evaluated one."""
    exps = np.empty((40, 40), dtype=object)
    for r, c in np.ndindex(exps.shape):
        exps[r, c] = ring(0.01 + 0.02 * c)
    exps[3, 5] = None
    monkeypatch.setattr(basin, "_codes", lambda exps, draws, clusters, kinds=False: (
        np.array([[3 * (e.get(RATIO) > 0.4)] * draws for e in exps]), None))  # fmt: skip
    margins, evaluated = basin.diagram(exps)
    told = basin.kinds(exps)  # the same draws, kind by kind
    lost = told[modes_are_lost(np.array(Outcome))].sum(0)
    known = ~np.isnan(margins)
    np.testing.assert_array_equal(known, np.isfinite(told).all(0))
    np.testing.assert_allclose(told.sum(0)[known], 1.0)
    np.testing.assert_array_equal(margins[known] > 0, lost[known] > 0.5)
    assert 0.8 * basin.CELLS < evaluated.sum() < 1.2 * basin.CELLS and np.isnan(margins[3, 5])
    assert (margins[:, :16] < 0).all() or np.isnan(margins[:, :16]).sum() == 1
    assert np.nanmax(margins[:, :16]) < 0 < margins[:, 24:].min()
    rows, columns = np.nonzero(evaluated)
    for r, c in np.ndindex(exps.shape):
        assert ((rows - r) ** 2 + (columns - c) ** 2).min() <= 4**2


def test_bad_input():
    with pytest.raises(InputError, match="draws: must be at least 1"):
        eg.reached(ring(), draws=0)
    with pytest.raises(InputError, match="clusters: must be at least 1"):
        eg.reached(ring(), clusters=0)
    with pytest.raises(InputError, match="features"):
        eg.reached(ring().replace({"discriminator.features": 0}))
    assert np.isnan(basin.margins([ring().replace({"discriminator.features": 0})])).all()
