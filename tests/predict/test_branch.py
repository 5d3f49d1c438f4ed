"""Bifurcation diagrams against simulations, linear theory and normal forms; curves over two parameters."""

from functools import cache

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from analyses.orbits import decay
from egan_theory.nonlinear.systems import Dynamics
from egan_theory.nonlinear.transverse import SplitMap
from egan_theory.predict import branch as branch_module
from egan_theory.predict.curves import curves
from egan_theory.problem.problem import Problem

RATIO = "generator.kernel.ratio"
VALUE = 0.33


def ring(**changes):
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 3},
        generator={"particles": 6, "learning_rate": 0.1},
        discriminator={"features": 24, "learning_rate": 0.3, "length_scale": 0.6, "seed": 1},
        penalty={"r1": 0.0, "weight_decay": 0.1},
    )
    return exp.replace(changes)


@cache
def diagram():
    return eg.branch(ring(), RATIO, 0.2, 0.5, at=[VALUE], collapsed=0)


def state_at(value):
    return next(o for o in diagram().orbits if o.value == pytest.approx(value, abs=1e-12))


def run(steps, z, count):
    out = [z]
    for _ in range(count):
        out.append(steps.step(out[-1][None])[0])
    return np.array(out)


def test_the_diagram_begins_at_the_threshold_with_the_normal_form():
    found = diagram()
    threshold = eg.thresholds(ring(), RATIO, 0.2, 0.5, mechanisms=["collective instability"]).thresholds[0]
    (born,) = found.branches
    assert born.threshold == threshold.value and born.criticality == "supercritical"
    assert [p.stable for p in found.equilibrium] == [True, False] and found.equilibrium[1].low == threshold.value
    first = found.orbits[0]
    assert first.value - threshold.value < 0.01
    law = threshold.normal_form.rms_amplitude * np.sqrt(first.value - threshold.value)
    assert first.rms == pytest.approx(law, rel=0.02)
    assert born.reason == "end of the range" and found.orbits[-1].value == 0.5 and found.status == "finished"
    assert born.modes_kept == 1 and all(o.stable for o in found.orbits) and born.changes == ()


def test_orbits_are_what_simulations_settle_on():
    exp, state = ring().replace({RATIO: VALUE}), state_at(VALUE)
    steps = 6000
    exp = exp.replace({"run.steps": steps, "run.kick": 0.02, "run.record_every": 1, "run.start": "kick", "run.runs": 1})
    late = eg.simulate(exp)["particles"].isel(run=0, time=slice(-1500, None)).transpose("time", ...).values
    moved = late - exp.points.coordinates[exp.assignment]
    y = moved[:, 0, 0] - moved[:, 0, 0].mean()
    up = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    times = up + y[up] / (y[up] - y[up + 1])
    turns = moved[up[0] : up[-1]]
    assert (times[-1] - times[0]) / (len(times) - 1) == pytest.approx(state.period, rel=1e-4)
    assert np.sqrt((turns**2).sum(-1).mean()) == pytest.approx(state.rms, rel=2e-3)
    assert np.linalg.norm(turns.mean(1), axis=-1).max() == pytest.approx(state.centroid, rel=1e-2)


def test_the_leading_multiplier_is_the_decay_of_a_perturbation():
    state, steps = state_at(VALUE), Dynamics(Problem(ring().replace({RATIO: VALUE})))
    predicted, measured = decay(steps, state.solution)
    assert np.exp(predicted) == pytest.approx(np.hypot(state.multiplier_re, state.multiplier_im))
    assert measured == pytest.approx(predicted, rel=2e-3)


def test_particles_that_share_a_place_part_at_the_predicted_rate():
    state = state_at(VALUE)
    split = SplitMap(Problem(ring().replace({RATIO: VALUE})))
    apart = split.apart()[0].reshape(-1, split.size)
    rng = np.random.default_rng(0)
    z = split.embedded(state.solution.points[0]) + 1e-7 * rng.standard_normal(len(apart)) @ apart
    path = run(split, z, int(600 * state.period))
    gap = np.linalg.norm(path @ apart.T, axis=1)
    turn = round(state.period)
    late, early = (np.log(gap[i : i + turn]).mean() for i in (len(gap) - 1 - turn, len(gap) // 2))
    rate = (late - early) / (len(gap) - 1 - turn - len(gap) // 2)
    assert state.particles_part == (rate > 0)
    assert rate == pytest.approx(state.parting, rel=0.05)


def test_dataset_and_json_hold_the_diagram():
    found = diagram()
    ds = found.to_dataset()
    assert ds.sizes["orbit"] == len(found.orbits) and ds["positions"].sizes["place"] == 3
    rest = ring().points.coordinates
    size = np.sqrt(((ds["positions"].values - rest) ** 2).sum(-1).mean((1, 2)))
    assert size == pytest.approx([o.rms for o in found.orbits], rel=1e-3)
    assert set(ds["equilibrium_stable"].values) == {0.0, 1.0}
    assert all(v.attrs.get("units") for v in ds.data_vars.values() if v.dtype.kind == "f")
    data = found.to_dict()
    assert data["orbits"][0].keys() == set(found.orbits[0].KEYS) and "positions" not in data["orbits"][0]
    assert data["branches"][0]["bifurcation"] == "neimark-sacker"


def test_an_interruption_leaves_what_was_found():
    def stop(done, total, label):
        if done > 40:
            raise KeyboardInterrupt

    found = eg.branch(ring(), RATIO, 0.2, 0.5, progress=stop)
    assert found.status == "interrupted" and 0 < len(found.orbits) < len(diagram().orbits)


def test_work_that_does_not_suffice_limits_the_diagram_as_counted():
    whole = diagram()
    each = [o.solution.points.shape[0] * o.solution.points.shape[1] ** 2 for o in whole.orbits]
    part = eg.branch(ring(), RATIO, 0.2, 0.5, collapsed=3, work=2.5 * max(each))
    assert part.status == "limited" and 0 < len(part.orbits) < len(whole.orbits) and len(part.collapsed) == 3
    assert any("more work than was allowed" in born.reason for born in part.branches)
    assert [o.value for o in part.orbits] == [o.value for o in whole.orbits][: len(part.orbits)]
    none = eg.branch(ring(), RATIO, 0.2, 0.5, collapsed=0, work=1)
    assert none.status == "limited" and not none.orbits and none.branches
    with pytest.raises(eg.InputError, match="work: must be > 0"):
        eg.branch(ring(), RATIO, 0.2, 0.5, work=0)


def test_the_collapsed_state_is_that_of_its_own_mechanism():
    from egan_theory.predict.collapsed import collapsed_state
    from egan_theory.predict.crossings import axis_of
    from egan_theory.predict.resting import collapsed_along

    exp = ring()
    for state in collapsed_along(exp, axis_of(exp, RATIO, 0.1, 0.3), 2):
        alone = collapsed_state(exp.replace({RATIO: state.value}), windows=2)
        assert state.exponent == pytest.approx(alone.exponents[0], nan_ok=True)
        assert state.escapes == alone.escaped and state.attracts == (None if alone.escaped else alone.attracts)


@pytest.mark.parametrize(
    "vary, low, high",
    [("loss.kind", 0.0, 1.0), ("generator.particles", 1.0, 2.0), (RATIO, 0.5, 0.4), (RATIO, 0.5, 1.4)],
)
def test_bad_axes_are_refused(vary, low, high):
    with pytest.raises(eg.InputError):
        eg.branch(ring(), vary, low, high)


@pytest.mark.parametrize("wrong", [{"at": [0.6]}, {"at": [np.nan]}, {"collapsed": -1}])
def test_values_outside_of_the_range_are_refused(wrong):
    with pytest.raises(eg.InputError, match=next(iter(wrong))):
        eg.branch(ring(), RATIO, 0.2, 0.5, **wrong)


def test_a_range_beyond_the_threshold_says_that_orbits_begin_outside():
    from egan_theory.show.diagram import diagram_text

    beyond = eg.branch(ring(), RATIO, 0.4, 0.5, collapsed=0)
    assert "No threshold lies in this range" in " ".join(str(part) for part in diagram_text(beyond))
    assert "No threshold lies" not in " ".join(str(part) for part in diagram_text(diagram()))
    from egan_theory.show import plot
    from egan_theory.show.style import detached

    with detached():
        ax = plot.branch(beyond)
    assert list(ax.get_yticks()) == [0.0] and ax.texts[0].get_text() == "no orbits were followed"


def test_exact_kernels_on_a_dictionary_are_refused_with_the_reason():
    with pytest.raises(eg.InputError, match=r"discriminator.evaluation 'fourier', for orbits"):
        Dynamics(Problem(ring(**{"discriminator.features": 0})))


def test_curves_are_the_thresholds_of_every_row():
    exp = ring()
    found = curves(exp, f"{RATIO}=0.1:0.9:5", "discriminator.length_scale=0.5:0.7:3", rows=3)
    for value in (0.5, 0.6, 0.7):
        row = exp.replace({"discriminator.length_scale": value})
        expected = eg.thresholds(row, RATIO, 0.1, 0.9, mechanisms=["collective instability"]).thresholds[0].values
        assert [p.first for p in found.thresholds if p.second == pytest.approx(value)] == pytest.approx(list(expected))
    ds = found.to_dataset()
    assert isinstance(ds, xr.Dataset) and ds.sizes["threshold"] == len(found.thresholds)
    with pytest.raises(eg.InputError, match="real-valued"):
        curves(exp, "generator.particles=3:9:3", f"{RATIO}=0.1:0.9:5")


def test_a_change_of_criticality_is_placed_between_the_rows(monkeypatch):
    """With a coefficient made up: subcritical where the second field is above 0.62."""
    from egan_theory.predict import curves as module

    def row(exp, across, path, value):
        kind = "subcritical" if value > 0.62 else "supercritical"
        return [(module.CurvePoint(value / 2, value, 0, "neimark-sacker", kind, 1.0, ""), None)]

    monkeypatch.setattr(module, "_row", row)
    found = curves(ring(), f"{RATIO}=0.1:0.9:5", "discriminator.length_scale=0.5:0.7:3", rows=3)
    assert [(c.second, c.first) for c in found.changes] == [pytest.approx((0.62, 0.31), abs=1e-3)]


def test_words_and_figure():
    from egan_theory.show import plot
    from egan_theory.show.diagram import diagram_text
    from egan_theory.show.style import detached

    text = " ".join(str(part) for part in diagram_text(diagram()))
    assert "orbits along lines are born" in text and "none is a collapse" in text
    with detached():
        ax = plot.branch(diagram())
    assert ax.get_xlabel() == "kernel ratio g2/g1 (1)" and len(ax.lines) > 3


def test_equilibrium_parts_follow_the_sign_of_the_margin(monkeypatch):
    monkeypatch.setattr(branch_module, "margins", lambda members: np.array([np.nan]))
    from egan_theory.predict.crossings import axis_of

    parts = branch_module._equilibrium(ring(), axis_of(ring(), RATIO, 0.2, 0.5), [0.3])
    assert [p.stable for p in parts] == [None, None]
