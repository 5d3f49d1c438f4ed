"""Mechanism 3: acting times against closed forms and simulations, the splitting pattern against kernels."""

import json

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import egan_theory as eg
from egan_theory.experiment import Experiment
from egan_theory.predict import splitting as module
from egan_theory.predict.response import LEVEL, LONGEST, acting_times
from egan_theory.predict.splitting import margin, margins, splitting
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.symbolic.linearize import oscillator_blocks
from egan_theory.tables.updates import UpdateRule

#: acting times of the flow are resolved to 2^-24 of 1/|J|; of large powers of a matrix less is left
FLOW = 1e-6
SAME = 1e-10
FLOW_RULE = UpdateRule("flow")


def oscillator(a, w):
    """s^2 + a s + w^2 = 0 in (W, x)."""
    return np.array([[[-a, -w], [w, 0.0]]])


# -- acting times -----------------------------------------------------------------------------------------------------


def test_undamped_mode_acts_within_a_quarter_period():
    assert acting_times(oscillator(0, 3.0), FLOW_RULE)[0] == pytest.approx(np.arccos(LEVEL) / 3, rel=FLOW)


def test_overdamped_mode_acts_at_its_slow_rate():
    """a >> w: x = exp(-t w^2/a), to first order in (w/a)^2."""
    assert acting_times(oscillator(200.0, 1.0), FLOW_RULE)[0] == pytest.approx(200.0, rel=3 / 200**2)


def closed_form():
    """x(t) of SymPy's solution of x'' + a x' + w^2 x = 0, x(0) = 1, x'(0) = 0."""
    t, a, w = sp.symbols("t a w", positive=True)
    x = sp.Function("x")
    ode = sp.Eq(x(t).diff(t, 2) + a * x(t).diff(t) + w**2 * x(t), 0)
    solution = sp.dsolve(ode, x(t), ics={x(0): 1, x(t).diff(t).subs(t, 0): 0}).rhs
    return sp.lambdify((t, a, w), solution.rewrite(sp.exp), "numpy")


SOLUTION = closed_form()


@settings(max_examples=60, deadline=None)
@given(zeta=st.floats(0.0, 30.0), w=st.floats(1e-3, 1e3))
def test_acting_time_is_the_first_crossing_of_the_solution(zeta, w):
    a = 2 * zeta * w + 1e-9 * w
    if abs(zeta - 1) < 1e-3:
        return  # the closed form of the critical mode cancels

    def x(tau):
        return SOLUTION(tau / w, a + 0j, w + 0j).real - LEVEL

    grid = np.linspace(0, 4 * zeta + 4, 4000)
    first = np.argmax(x(grid) < 0)
    expected = brentq(x, grid[first - 1], grid[first]) / w
    assert acting_times(oscillator(a, w), FLOW_RULE)[0] == pytest.approx(expected, rel=FLOW)


@pytest.mark.parametrize("rule", ["alternating", "extragradient", "flow", "optimistic", "simultaneous"])
def test_small_steps_follow_the_flow(rule):
    """Every rule at learning rates h and h/2: the distance to the flow halves or is gone."""
    errors = []
    for h in (0.04, 0.02):
        J = h * oscillator(0.5, 1.0)
        times = acting_times(J, UpdateRule(rule)), acting_times(J, FLOW_RULE)
        errors.append(abs(times[0][0] / times[1][0] - 1))
    assert errors[0] < 0.1 and (errors[1] <= 0.6 * errors[0] or errors[1] < 1e-3)


def test_memory_rules_start_as_the_simulator_does():
    """Iterated step by step, momentum and optimistic memory included."""
    J = oscillator(0.02, 0.05)[0]
    for rule in (
        UpdateRule("simultaneous", momentum_discriminator=0.6),
        UpdateRule("alternating", critic_steps=3, momentum_generator=0.4),
        UpdateRule("optimistic"),
        UpdateRule("extragradient"),
    ):
        Vw, Vx = (lambda w, x: J[0, 0] * w + J[0, 1] * x), (lambda w, x: J[1, 0] * w + J[1, 1] * x)
        state, steps = rule.start(0.0, 1.0, Vw, Vx), 0
        while state[1] > LEVEL:
            before, state = state[1], rule.step(state, Vw, Vx)
            steps += 1
        expected = steps - 1 + (before - LEVEL) / (before - state[1])
        assert acting_times(J[None], rule)[0] == pytest.approx(expected, rel=SAME)


@pytest.mark.parametrize("rule", ["flow", "simultaneous", "optimistic"])
def test_uncoupled_mode_never_acts(rule):
    blocks = np.concatenate([oscillator(0.1, 0.0), oscillator(0.0, 0.0), oscillator(0.1, 0.1)])
    times = acting_times(blocks, UpdateRule(rule))
    assert np.isinf(times[:2]).all() and np.isfinite(times[2])
    assert acting_times(np.empty((0, 2, 2)), UpdateRule(rule)).shape == (0,) and LONGEST >= 60


# -- the pattern ------------------------------------------------------------------------------------------------------


def two_modes(distance=0.8, **discriminator):
    target = {"kind": "grid", "side": 2, "dimension": 1, "spacing": distance}
    return Experiment(
        target=target,
        generator={"particles": 4, "learning_rate": 0.02, "kernel": {"ratio": 0.1, "diagonal": 1.3}},
        discriminator={"features": 0, "learning_rate": 0.1, "length_scale": 0.5} | discriminator,
        penalty={"r1": 0.0},
        update={"rule": "flow"},
    )


@pytest.mark.parametrize("distance", [0.2, 0.8, 3.0])
def test_two_modes_in_closed_form(distance):
    """|y|^2 h^2 = (3/2) K(0) + K(Delta)/2 - 2 K(Delta/2) with p = 1/2, h = Delta/2 for v = +-2 n (h v = Delta/2)."""
    exp = two_modes(distance)

    def K(r):
        return np.exp(-(r**2) / (2 * 0.5**2))

    h = distance / 4
    square = (1.5 * K(0) + 0.5 * K(distance) - 2 * K(distance / 2)) / h**2
    # Q = sum p^2 |v|^2 / s, s = (g1 - g2) p ("sum", equal masses): sum_m p |v|^2 / (g1 - g2) = 4/(g1 - g2)
    w2 = 0.1 * 0.02 * 1.3 * 0.9 * square / 4
    assert splitting(exp).frequency ** 2 == pytest.approx(w2, rel=1e-6)
    assert splitting(exp).time == pytest.approx(np.arccos(LEVEL) / np.sqrt(w2), rel=1e-6)


def test_acceleration_of_merged_modes_is_that_of_the_field():
    """The model's own statement, on the nonlinear field: merged particles drive D at rate c h |y| along y."""
    exp = two_modes(0.9, features=200, kernel="matern", smoothness=2.5)
    field = Field(Problem(exp))
    x = np.zeros((4, 1))  # merged at the centre
    dw = field.Vw(np.zeros(field.features.size), x)
    patterns = module._patterns_of(Problem(exp))
    h = 0.9 / 4
    assert np.linalg.norm(dw) == pytest.approx(0.1 * h * np.sqrt(patterns.square[0]), rel=SAME)
    # mean force along the way: -v.(D(own) - D(merged))/h, from 4000 points of the path
    w = dw / np.linalg.norm(dw)
    path = np.linspace(0, 0.45, 4001)[:, None]
    slope = field.features.at(path).gradient(w)[:, 0]
    back = field.features.at(-path).gradient(w)[:, 0]
    mean = 2 * (slope.mean() - back.mean()) / 2  # v = 2 n on A, -2 n on B, p = 1/2 each
    assert mean == pytest.approx(np.sqrt(patterns.square[0]), rel=1e-3)


def test_secant_becomes_the_tangent_pattern():
    """Delta << l with an alternating pair: |y|^2 -> |B^T p v|^2 of the merged pair's own curvature, here K''''."""
    times = [splitting(two_modes(d)).frequency / d for d in (0.02, 0.01)]
    # 1.5 K(0) + 0.5 K(D) - 2 K(D/2) = K''''(0) (1/2 - 2/16) D^4/24: |y|^2 = K'''' D^2/4, K'''' = 3/l^4
    expected = np.sqrt(0.1 * 0.02 * 1.3 * 0.9 / 4 * (3 / 0.5**4) / 4)
    assert times == pytest.approx([expected, expected], rel=1e-2)


@pytest.mark.parametrize("path", ["penalty.weight_decay", "penalty.r1", "penalty.r2"])
def test_damping_by_rayleigh_quotient(path):
    """a from the dense matrices of the saddle: A on the unit vector along y."""
    exp = two_modes(0.7, features=80).replace({path: 0.3})
    field = Field(Problem(exp))
    x = np.zeros((4, 1))
    y = field.Vw(np.zeros(80), x)
    u = y / np.linalg.norm(y)
    grad = field.features.at(exp.points.coordinates).grad()[:, 0]
    A = 0.3 * np.eye(80) if path == "penalty.weight_decay" else 0.3 * grad.T @ grad / 2
    assert splitting(exp).damping == pytest.approx(0.1 * u @ A @ u, rel=SAME)


def test_value_curvature_damps():
    exp = two_modes(0.7, features=80).replace({"loss.kind": "least_squares"})
    field = Field(Problem(exp.replace({"loss.kind": "wasserstein"})))
    y = field.Vw(np.zeros(80), np.zeros((4, 1)))
    u = y / np.linalg.norm(y)
    psi = field.features.at(exp.points.coordinates).psi()
    assert splitting(exp).damping == pytest.approx(0.1 * 2 * (psi @ u) @ (psi @ u) / 2, rel=SAME)


def test_collective_time_has_the_collective_eigenvalue():
    """N particles on N points: translation is driven with g1 + (N - 1) g2, from the dense H."""
    exp = Experiment(generator={"particles": 8, "kernel": {"ratio": 0.3}}, penalty={"r1": 0.0}, update={"rule": "flow"})
    Y = exp.points.coordinates
    grad = Field(Problem(exp)).features.at(Y).grad().mean(0)
    strongest = np.linalg.eigvalsh(grad @ grad.T)[-1]
    w2 = 0.1 * 0.01 * (1 + 7 * 0.3) * strongest
    assert splitting(exp).collective_time == pytest.approx(np.arccos(LEVEL) / np.sqrt(w2), rel=1e-6)


def test_local_time_is_equation_3():
    """s^2 + a s + w^2 = 0 at k = pi/Delta, put in by hand."""
    exp = Experiment(target={"kind": "ring", "modes": 12, "radius": 1.5}, generator={"particles": 24},
                     discriminator={"features": 0}, penalty={"r1": 0.4, "weight_decay": 0.02},
                     update={"rule": "flow"})  # fmt: skip
    k = np.pi / (2 * 1.5 * np.sin(np.pi / 12))
    K = np.sqrt(2 * np.pi) * 0.5 * np.exp(-((k * 0.5) ** 2) / 2)
    beta = k**2 * K / (2 * np.pi * 1.5)
    J = oscillator_blocks(A=0.02 + 0.4 * beta, mu=np.sqrt(0.95 * beta), eta_D=0.1, eta_G=0.01, c=1, b=1)
    assert splitting(exp).local_time == pytest.approx(acting_times(J[None], FLOW_RULE)[0], rel=1e-9)


# -- invariances ------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 10), copies=st.integers(1, 4))
def test_units_and_redundant_particles(scale, copies):
    """Lengths scaled with the generator's rate as their square; and copies of a particle at phi = 0 change nothing."""
    exp = two_modes(kernel="matern", smoothness=2.5).replace(
        {"generator.kernel.ratio": 0.0, "penalty.weight_decay": 0.1}
    )
    time = splitting(exp).time
    scaled = exp.replace(
        {"target.spacing": 0.8 * scale, "discriminator.length_scale": 0.5 * scale,
         "generator.learning_rate": 0.02 * scale**2}
    )  # fmt: skip
    assert splitting(scaled).time == pytest.approx(time, rel=1e-6)
    assert splitting(exp.replace({"generator.particles": 2 * copies})).time == pytest.approx(time, rel=1e-9)


def test_margin_is_the_logarithm_of_time_over_steps():
    exp = two_modes().replace({"run.steps": 100})
    result = splitting(exp)
    assert margin(exp) == result.margin == pytest.approx(np.log(result.time / 100), rel=SAME)
    assert result.e_folds == pytest.approx(np.exp(-margin(exp)), rel=SAME)
    at_boundary = exp.replace({"run.steps": round(result.time)})
    assert abs(margin(at_boundary)) < 0.51 / result.time
    assert result.wavenumber == pytest.approx(np.pi / 0.8)


def test_margins_are_the_margins():
    exps = [
        two_modes(d).replace({"update.rule": rule, "run.steps": 50 + i})
        for i, (d, rule) in enumerate([(0.5, "flow"), (0.9, "simultaneous"), (2.0, "flow"), (0.5, "optimistic")])
    ]
    ring = Experiment(discriminator={"kernel": "tanh"})
    exps = [*exps, ring]
    np.testing.assert_allclose(margins(exps), [margin(e) for e in exps], rtol=SAME)
    assert len(set(margins(exps))) == 5


def test_a_rigid_cloud_never_splits():
    exp = two_modes().replace({"generator.kernel.ratio": 1.0})
    assert margin(exp) == pytest.approx(np.log(1e18 / 3000)) and splitting(exp).to_dict()["time"] is None
    json.dumps(splitting(exp).to_dict(), allow_nan=False)
    assert np.isfinite(splitting(exp).collective_time)


def test_components_of_a_mixture_are_its_modes():
    means = [[0.0, 0.0], [2.0, 0.0]]
    exp = Experiment(target={"kind": "mixture", "means": means, "std": 0.05, "samples": 40, "seed": 3})
    assert splitting(exp).pairs == 1 and splitting(exp).distance == pytest.approx(2, abs=0.05)
    single = exp.replace({"target.std": 1e-9, "discriminator.features": 400})
    pair = two_modes(2.0, features=400).replace({"generator.kernel.ratio": 0.05, "generator.kernel.diagonal": 1.0})
    assert splitting(single).pairs == splitting(pair).pairs


def test_targets_without_modes():
    box = Experiment(target={"kind": "uniform"}, generator={"particles": 15}, discriminator={"features": 0})
    one = Experiment(target={"kind": "ring", "modes": 1}, generator={"particles": 2})
    for exp, match in ((box, "target.kind: must have distinct modes"), (one, "target: must have at least two modes")):
        with pytest.raises(eg.InputError, match=match):
            splitting(exp)
        with pytest.raises(eg.InputError, match=match):
            margin(exp)
    assert np.isnan(margins([box, two_modes(), one])).tolist() == [True, False, True]
    assert np.isnan(margins([box])).all()


def test_neighbours_of_lattices():
    ring = splitting(Experiment(target={"kind": "ring", "modes": 8}))
    grid = splitting(Experiment(target={"kind": "grid", "side": 3, "dimension": 2}))
    assert (ring.pairs, grid.pairs) == (8, 12)
    assert grid.local_time is not None and ring.distance == pytest.approx(2 * np.sin(np.pi / 8))
    assert splitting(Experiment(discriminator={"kernel": "relu"})).local_time is None


def test_many_modes_are_looked_at_in_part():
    means = np.random.default_rng(0).uniform(-9, 9, (200, 2)).tolist()
    exp = Experiment(
        target={"kind": "mixture", "means": means, "std": 0.0, "samples": 600}, generator={"particles": 600}
    )
    assert splitting(exp).pairs == module.MAX_PAIRS


# -- simulation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothness", [0.5, 1.5, 2.5])
@pytest.mark.parametrize("length", [0.4, 1.6])
def test_merged_pair_splits_in_the_predicted_time(smoothness, length):
    """Two modes, their particles started next to the centre: half of the way to the modes is covered at the predicted
    time within a factor of 3, over kernels and length scales whose times differ a hundredfold."""
    exp = two_modes(1.0, kernel="matern", smoothness=smoothness, length_scale=length, features=400, seed=1).replace(
        {"penalty.r1": 0.5, "update.rule": "simultaneous", "generator.kernel.ratio": 0.0}
    )
    predicted = splitting(exp).time
    field, rule = Field(Problem(exp)), exp.update_rule
    rng = np.random.default_rng(0)
    x = rng.uniform(0.05, 0.15, (8, 4, 1)) * np.array([1, -1, 1, -1])[:, None]
    state = rule.start(np.zeros((8, field.features.size)), x, field.Vw, field.Vx)
    steps = 0
    while np.median(np.abs(state[1])) < 0.25 and steps < 6 * predicted:
        state = rule.step(state, field.Vw, field.Vx)
        steps += 1
    assert predicted / 3 <= steps <= 3 * predicted
