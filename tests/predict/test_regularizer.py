"""The strength for a training of stated length: what it leaves, by other routes, and what is advised."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.comparison.compare import slowest_measured
from egan_theory.experiment.targets import Ring
from egan_theory.predict.asymptotic import fastest_strength
from egan_theory.predict.left import FLAT, SAFETY, choose, left_over
from egan_theory.predict.regularizer import best_regularizer
from tests.builders import small
from tests.stepjac import step_jacobian

FLOW = {"rule": "flow"}
#: what is left, by powers of the simulator's step
SAME = 1e-7
#: the least of a scan, after refinement of the strength to 1e-4
LEAST = 1e-4


def ring(**options):
    return small(Ring(modes=4), **{"discriminator": {"features": 30}, **options})


def by_step(exp, strength, time):
    """What is left from the simulator's own step alone: (of all coordinates, of those that can move)."""
    exp = exp.replace({"penalty.r1": strength})
    n = exp.generator.particles * exp.dimension
    P = np.linalg.matrix_power(step_jacobian(exp), time)
    block = P[exp.discriminator.features :, exp.discriminator.features :][:n, :n]
    return np.sqrt((block**2).sum() / n)


@pytest.mark.parametrize(
    "exp",
    [
        ring(loss="logistic", particles=8, generator={"kernel": {"ratio": 0.2}}, update={"rule": "alternating"}),
        ring(loss="wasserstein"),
    ],
)
def test_best_is_the_minimum_of_powers_of_the_simulators_step(exp):
    best = best_regularizer(exp, "r1", 60)
    assert best.left == pytest.approx(by_step(exp, best.best, 60), rel=SAME)
    assert best.left_without == pytest.approx(by_step(exp, 0.0, 60), rel=SAME)
    assert best.left_at_half == pytest.approx(by_step(exp, best.best / 2, 60), rel=SAME)
    assert best.left_at_double == pytest.approx(by_step(exp, 2 * best.best, 60), rel=SAME)
    allowed = np.geomspace(1e-3, best.edge / SAFETY, 120)
    assert min(by_step(exp, s, 60) for s in allowed) >= best.left * (1 - LEAST)


def test_edge_is_where_the_simulators_step_loses_stability():
    exp = ring(loss="wasserstein")
    best = best_regularizer(exp, "r1", 60)

    def radius(strength):
        z = np.abs(np.linalg.eigvals(step_jacobian(exp.replace({"penalty.r1": strength}))))
        return z[np.abs(z - 1) > 1e-9].max()

    assert radius(0.999 * best.edge) < 1 < radius(1.001 * best.edge)
    assert best.share_of_edge == pytest.approx(best.best / best.edge) and best.share_of_edge <= 1 / SAFETY


@pytest.mark.parametrize("penalty", ["r1", "weight_decay"])
def test_tends_to_the_fastest_strength(penalty):
    """3 decades of horizons: the best strength and the decay of what is left approach those of the slowest mode."""
    exp = ring(update=FLOW, generator={"kernel": {"ratio": 0.0}})
    limit = fastest_strength(exp, penalty)
    assert limit.method == "closed-form"
    away = []
    for folds in (10, 40, 160):
        best = best_regularizer(exp, penalty, folds / limit.rate)
        assert best.asymptotic.best == limit.best and best.asymptotic.rate == limit.rate
        away.append(abs(np.log(best.optimum / limit.best)))
        assert -np.log(best.moving) == pytest.approx(folds, abs=2 * np.log(folds) + 3)
    assert away[2] < away[1] < away[0] and away[2] < 0.02


def test_an_exact_kernel_is_given_a_strength_for_the_time_there_is():
    """The softest modes of a smooth kernel take 10^7 units of time: best for them is no advice."""
    for length in (1.0, 2.0):
        exp = eg.Experiment(
            target={"kind": "ring", "modes": 8},
            generator={"particles": 8, "learning_rate": 0.01, "kernel": {"ratio": 0.05}},
            discriminator={"kernel": "gaussian", "length_scale": length, "features": 0, "learning_rate": 0.1},
            loss={"kind": "logistic"},
            penalty={},
            update=FLOW,
        )
        best = best_regularizer(exp)
        assert best.horizon == exp.run.steps
        grid = np.geomspace(1e-3, 1e8, 111)
        left = [left_over(exp.replace({"penalty.r1": s})).total for s in grid]
        assert best.left <= min(left) * (1 + LEAST) < best.left_without
        assert 0.3 < best.best / grid[int(np.argmin(left))] < 3
        assert best.asymptotic.best > 30 * best.best
        # half and double: the curve is flat there, unlike that of the slowest rate
        assert best.left_at_half < 1.2 * best.left > best.left_at_double / 1.3


def test_nothing_helps_within_a_short_time():
    exp = ring(loss="wasserstein")
    best = best_regularizer(exp, "r1", 1)
    assert best.best == 0.0 and not best.helps and best.left == best.left_without
    assert "no strength of penalty.r1 helps within 1 steps" in best.remarks[0]
    data = best.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data and data["best"] == 0.0


def test_never_within_a_factor_of_the_edge_unless_asked():
    exp = ring(loss="wasserstein", discriminator={"features": 30, "learning_rate": 0.9},
               generator={"learning_rate": 0.2})  # fmt: skip
    careful = best_regularizer(exp, "r1", 40)
    daring = best_regularizer(exp, "r1", 40, safety=1.0)
    assert careful.best <= careful.edge / 2 * (1 + 1e-9)
    assert careful.edge == pytest.approx(daring.edge, rel=1e-3)
    assert careful.edge / 2 < daring.best <= daring.edge and daring.left < careful.left
    assert careful.limited and "edge of stability" in " ".join(careful.remarks)


def test_consensus_of_a_flow_has_no_best_strength_or_leaves_nothing():
    """The more consensus, the faster every mode of the flow: no number from the end of a scan may pass for the best."""
    best = best_regularizer(ring(update=FLOW, loss="wasserstein"), "consensus", 100)
    assert np.isnan(best.best) or best.moving < 1e-13
    assert best.left_at_double <= max(best.left, 1e-13)
    assert best.asymptotic.best is None and best.to_dict()["asymptotic"]["best"] is None


def test_modes_that_hardly_move_the_particles_take_no_part():
    """kappa > 0: D's values at the data relax at 1e-9, whatever R1; the particles do not wait for them."""
    exp = ring(update=FLOW, loss="logistic", discriminator={"features": 0, "length_scale": 2.0})
    values = eg.eigenvalues(eg.linearize(exp.replace({"penalty.r1": 1.0})))
    slow = values.coupled & values.resolved & ~values.carried
    assert slow.any() and values.slowest(coupled_only=True) < 0.5 * values.slowest_carried()


def test_horizons_that_are_none():
    for horizon in (0, -3, np.nan, np.inf, 2.5, "2000", True, [2000]):
        with pytest.raises(InputError, match=r"horizon: must be a whole number of steps > 0"):
            best_regularizer(ring(), "r1", horizon)
    assert best_regularizer(ring(update=FLOW), "r1", 2.5).horizon == 2.5
    with pytest.raises(InputError, match="safety: must be a number of at least 1"):
        best_regularizer(ring(), safety=0.5)


@given(
    st.lists(st.floats(1e-6, 10, allow_nan=False), min_size=3, max_size=40),
    st.floats(1e-6, 10),
    st.one_of(st.none(), st.floats(1e-3, 1e3)),
    st.floats(1, 10),
)
@settings(max_examples=200, deadline=None)
def test_choice(left, without, edge, safety):
    """Allowed, as good as the least, gentle, and none where none is as good."""
    left = np.array(left)
    strengths = np.geomspace(1e-2, 1e2, len(left))
    choice = choose(strengths, left, without, edge, safety)
    allowed = strengths <= (np.inf if edge is None else edge / safety)
    if not allowed.any():
        assert choice.best == 0 and not choice.helps and choice.limited
        return
    least = left[allowed].min()
    assert choice.helps == (without > (1 + FLAT) * least)
    assert choice.low <= choice.optimum <= choice.high
    if choice.helps:
        i = int(np.flatnonzero(strengths == choice.best)[0])
        assert allowed[i] and left[i] <= (1 + FLAT) * least
    assert choice.limited == bool(left.min() * (1 + FLAT) < least)


def test_the_slowest_measured_mode_is_one_that_moves_the_particles():
    """At length 1.5 a mode of D's values at the data decays at 1.2e-4 whatever R1; simulated particles do not wait."""
    exp = ring(loss="logistic", penalty={"r1": 3.0}, discriminator={"features": 30, "length_scale": 1.5})
    exp = exp.replace({"run.steps": 4000, "run.record_every": 20, "run.runs": 4, "run.kick": 1e-5})
    values = eg.eigenvalues(eg.linearize(exp))
    assert values.slowest(coupled_only=True) < 0.1 * values.slowest_carried()
    rate, error = slowest_measured(exp, eg.simulate(exp))
    assert abs(rate - values.slowest_carried()) < max(4 * error, 1e-4 * rate)


def test_a_wide_range_is_advised_at_its_gentle_end():
    """Two decades within half a per cent of the least: the lower end; half a decade: the least itself."""
    strengths = np.geomspace(1e-2, 1e2, 41)
    for decades, best in ((2.0, 0.1), (0.4, 1.0)):
        left = np.where(np.abs(np.log10(strengths)) <= decades / 2 + 1e-9, 0.5025, 0.8)
        left[20] = 0.5  # the least, at strength 1
        choice = choose(strengths, left, 0.9)
        assert choice.optimum == pytest.approx(1.0) and choice.best == pytest.approx(best)
        assert choice.high / choice.low == pytest.approx(10**decades)
    close = choose(strengths, 1 / strengths, 200.0, edge=10.0, safety=2.0)
    assert close.best == pytest.approx(10**0.6) and close.limited  # the last strength of the grid up to 5
