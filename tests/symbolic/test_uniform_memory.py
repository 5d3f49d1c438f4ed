"""Play against uniform averages: exponents from SymPy against recursions and integrations written out here, and against
the nonlinear simulator; the state's averages against means of what was played; refusals."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.comparison.powers import TERMS, fit_power, running_average
from egan_theory.linear import update_matrix
from egan_theory.linear.resolved import resolved_rule
from egan_theory.predict.play import laws
from egan_theory.symbolic import play
from egan_theory.symbolic.linearize import symbols as y
from egan_theory.symbolic.maps import update_matrices
from egan_theory.tables.updates import UNIFORM, UpdateRule, linear_opponents

GENERATOR, DISCRIMINATOR = {"average_generator": UNIFORM}, {"average_discriminator": UNIFORM}
BOTH = GENERATOR | DISCRIMINATOR
RULES = ("flow", "simultaneous", "alternating", "best_response", "best_response_flow")
#: exponents fitted over some thousand steps
FITTED = 2e-3
#: an exact kernel's dictionary against its Fourier modes (tolerance 1e-6), over some ten steps of the size of a length
DICTIONARY = 1e-4
#: slopes of logarithms at late times T, whose corrections fall as 1/T
SLOPE = 1e-2


def block(a, w2, d=0.0):
    return np.array([[[-a, -np.sqrt(w2)], [np.sqrt(w2), -d]]])


def law(rule, a, w2, d=0.0):
    return {name: float(values[0]) for name, values in laws(rule, block(a, w2, d)).items()}


def recursion(rule, a, w2, d=0.0, steps=2500):
    """x_0 ... x_steps of one mode of a discrete rule, plain numbers, every average a sum over its whole history."""
    q_averaged, w_averaged, omega = "q" in rule.uniform, "w" in rule.uniform, np.sqrt(w2)
    x = 1.0
    w = -omega * x / a if rule.rule == "best_response" else 0.0
    xs, sum_x, sum_w = [x], x, w
    for n in range(1, steps + 1):
        faced = sum_x / n if q_averaged else x
        before = sum_w / n if w_averaged else w
        w = -omega * faced / a if rule.rule == "best_response" else w - a * w - omega * faced
        sum_w += w
        seen = before if rule.rule == "simultaneous" else sum_w / (n + 1) if w_averaged else w
        x += omega * seen - d * x
        sum_x += x
        xs.append(x)
    return np.array(xs)


def integral(rule, a, w2, d, T):
    """x and its average (x(0) + int x)/T at elapsed times T of a flow, by LSODA."""
    omega, responds = np.sqrt(w2), rule.responds

    def slope(t, state):
        w, x, q, D, _ = state
        faced = q if "q" in rule.uniform else x
        if responds:
            w = -omega * faced / a
        follows = D if "w" in rule.uniform else w
        return [
            0.0 if responds else -a * w - omega * faced, omega * follows - d * x,
            (x - q) / (t + 1), (w - D) / (t + 1), x,
        ]  # fmt: skip

    w = -omega / a if responds else 0.0
    found = solve_ivp(slope, (0, T[-1]), [w, 1, 1, w, 1], "LSODA", T - 1, rtol=1e-10, atol=1e-16)
    return found.y[1], found.y[4] / T


def slope_between(T, v, early, late):
    i, j = np.searchsorted(T, [early, late])
    return float(np.log(np.abs(v[j] / v[i])) / np.log(T[j] / T[i]))


# -- the derivation -------------------------------------------------------------------------------------------------


def test_exponents_of_the_rules():
    """-1/4 + w2/(2 a^2) and -3/4 + ..., thresholds a^2/2 and 3 a^2/2; alternating steps 1 - a times that term."""
    term = y.w2 / (2 * y.a**2)
    for memory in (GENERATOR, DISCRIMINATOR):
        for rule in RULES:
            found = play.powers(UpdateRule(rule, **memory))
            extra = 0 if "best" in rule else (1 - y.a) * term if rule == "alternating" else term
            assert sp.simplify(found.last - extra + sp.Rational(1, 4)) == 0
            assert sp.simplify(found.average - extra + sp.Rational(3, 4)) == 0
    assert play.thresholds() == (y.a**2 / 2, 3 * y.a**2 / 2)
    tau = sp.Symbol("tau", positive=True)
    mixed = play.powers(UpdateRule("flow", average_generator=UNIFORM, average_discriminator=tau))
    assert sp.simplify(mixed.last + sp.Rational(1, 4) - term * (1 + y.a * tau)) == 0


def test_wave_solves_its_equation():
    """The WKB form leaves a residue that falls faster than the terms it balances, at any coefficients."""
    wave, values = play.slow_wave(), {play.p2: 0.7, play.p3: 1.3, play.n0: 0.4, play.n1: -0.6}
    phase = 2 * sp.I * wave.rate * sp.sqrt(play.T)
    r = (sp.exp(phase) * play.T**wave.power).subs(values)
    equation = values[play.p2] * r.diff(play.T, 2) + values[play.p3] * r.diff(play.T, 3)
    equation += values[play.n0] * r / play.T + values[play.n1] * (r / play.T).diff(play.T)
    residue = [abs(complex((equation / r).subs(play.T, 10**k).evalf(40))) for k in (6, 8)]
    assert residue[0] / residue[1] == pytest.approx(100**2, rel=0.05)  # order 1/T^2; c1 takes care of T^(-3/2)


def test_best_responses_are_bessel_functions():
    """qbar = J_1(2 sqrt(k T))/sqrt(T), k = w2/a, solves the flow that the rule itself states."""
    T, k = sp.symbols("T k", positive=True)
    q = sp.besselj(1, 2 * sp.sqrt(k * T)) / sp.sqrt(T)
    x = sp.diff(T * q, T)
    rule = UpdateRule("best_response_flow", **GENERATOR)

    def Vw(w, x):
        return -y.a * w - sp.sqrt(k * y.a) * x

    others = linear_opponents(Vw, lambda v: -v / y.a)
    _, dx, dq, dt = rule.velocity((sp.S(0), x, q, T - 1), Vw, lambda w, x: sp.sqrt(k * y.a) * w, others)
    assert dt == 1 and sp.simplify(dq - sp.diff(q, T)) == 0
    assert sp.simplify(sp.expand_func(sp.diff(x, T) - dx)) == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(RULES), st.sampled_from([GENERATOR, DISCRIMINATOR]), st.floats(0.1, 0.9), st.floats(0.01, 1.0))
def test_numbers_are_those_of_the_symbols(rule, memory, a, w2):
    rule = UpdateRule(rule, **memory)
    found, exact = law(rule, a, w2), play.powers(rule)
    at = {y.a: a, y.w2: w2}
    assert found["last"] == pytest.approx(float(exact.last.subs(at)), abs=1e-9)
    assert found["average"] == pytest.approx(max(float(exact.average.subs(at)), found["average"]), abs=1e-9)
    D, N = play.slow_equation(rule)
    rate = float(sp.sqrt(N.coeff(y.s, 0) / D.coeff(y.s, 2)).subs(at))
    assert found["phase_rate"] == pytest.approx(2 * rate, rel=1e-9)


# -- against recursions and integrations ----------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [GENERATOR, DISCRIMINATOR], ids=["q", "D"])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "best_response"])
def test_exponents_of_steps(rule, memory):
    """Steps that are not small, on both sides of both thresholds."""
    rule = UpdateRule(rule, **memory)
    for w2 in (0.1, 0.3, 0.5):  # w2/a^2 = 0.4, 1.2, 2
        predicted, x = law(rule, 0.5, w2), recursion(rule, 0.5, w2)
        T = np.arange(1.0, len(x) + 1)
        average, late = running_average(T, x[None])[0], 50 + 3 * predicted["onset"] <= T
        for name, v in (("last", x), ("average", average)):
            measured, *_ = fit_power(T[late], v[late, None], predicted["phase_rate"] / 2, name == "average")
            assert measured == pytest.approx(predicted[name], abs=FITTED), (w2, name)
    assert law(UpdateRule("simultaneous", **memory), 0.5, 0.1)["last"] < 0  # the settings are on both sides
    assert law(UpdateRule("simultaneous", **memory), 0.5, 0.3)["average"] < 0 < predicted["last"] + 0.3


@pytest.mark.parametrize("memory", [GENERATOR, DISCRIMINATOR], ids=["q", "D"])
def test_exponents_of_flows(memory):
    T = np.linspace(1, 2000, 6000)
    for rule, a, w2, d in (
        ("flow", 0.5, 0.1, 0.0), ("best_response_flow", 0.5, 0.1, 0.0), ("flow", 0.0, 0.1, 0.5),
    ):  # fmt: skip
        rule = UpdateRule(rule, **memory)
        predicted, (x, average), late = law(rule, a, w2, d), integral(rule, a, w2, d, T), T > 100
        measured, *_ = fit_power(T[late], x[late, None], predicted["phase_rate"] / 2)
        assert measured == pytest.approx(predicted["last"], abs=FITTED)
        measured, *_ = fit_power(T[late], average[late, None], predicted["phase_rate"] / 2, constant=True)
        share = "w" in rule.uniform and a == 0  # the start's share 1/T is larger than the wave
        assert predicted["average"] == pytest.approx(-1.0 if share else measured, abs=FITTED)


@pytest.mark.parametrize("player", ["average_generator", "average_discriminator"])
def test_one_average_over_a_time(player):
    """The other player's exponential average acts like less damping."""
    other = {"average_generator": "average_discriminator"}.get(player, "average_generator")
    rule = UpdateRule("alternating", **{player: UNIFORM, other: 3.0})
    J, T = block(0.5, 0.1), np.arange(1.0, 2502)
    x, late = iterated(rule, J, 2500)[1], T > 60
    predicted = law(rule, 0.5, 0.1)
    measured, *_ = fit_power(T[late], x[late], predicted["phase_rate"] / 2)
    assert measured == pytest.approx(predicted["last"], abs=FITTED)
    assert predicted["last"] > law(replace(rule, **{other: 0.0}), 0.5, 0.1)["last"] + 0.1


@pytest.mark.parametrize("rule", ["flow", "best_response_flow"])
def test_both_players_damped(rule):
    """A likelihood term: one average T^(-1 - n0/p); two of them waves in log T that fall as 1/T."""
    a, w2, d, T = 0.5, 0.2, 0.4, np.geomspace(1, 2e4, 4000)
    for memory in (GENERATOR, DISCRIMINATOR):
        one = UpdateRule(rule, **memory)
        predicted, (x, average) = law(one, a, w2, d), integral(one, a, w2, d, T)
        assert predicted["last"] == pytest.approx(-1 - w2 / (a * d))
        for name, v in (("last", x), ("average", average)):
            assert slope_between(T, v, 2e3, 8e3) == pytest.approx(predicted[name], abs=SLOPE), name
    both = UpdateRule(rule, **BOTH)
    predicted, (x, average), late = law(both, a, w2, d), integral(both, a, w2, d, T), T > 500
    assert predicted["last"] == predicted["average"] == -1 and predicted["phase_power"] == 0
    phase = predicted["phase_rate"] * np.log(T[late])
    waves = np.stack([np.cos(phase), np.sin(phase)], -1)
    for v in (x, average):
        scaled = (v * T)[late]
        left = scaled - waves @ np.linalg.lstsq(waves, scaled, rcond=None)[0]
        assert np.abs(left).max() < SLOPE * np.abs(scaled).max()


@pytest.mark.parametrize(
    ("rule", "memory", "a"),
    [("flow", BOTH, 0.5), ("best_response_flow", BOTH, 0.5), ("flow", GENERATOR, 0.0), ("flow", DISCRIMINATOR, 0.0),
     ("flow", BOTH, 0.0)],
)  # fmt: skip
def test_growth(rule, memory, a):
    """log of the peaks = growth_rate T^growth_power + power log T + const: T^(1/3), T^(2/3), T^(1/2)."""
    rule = UpdateRule(rule, **memory)
    predicted = law(rule, a, 0.1)
    assert predicted["last"] == predicted["average"] == np.inf
    power = predicted["growth_power"]
    assert power == pytest.approx({1: 2 / 3, 2: 1 / 2}[len(memory)] if a == 0 else 1 / 3)
    T = np.linspace(1, 4000 if power < 0.4 else 1000, 60_000)
    size = np.abs(integral(rule, a, 0.1, 0.0, T)[0])
    peak = 1 + np.flatnonzero((size[1:-1] > size[:-2]) & (size[1:-1] > size[2:]) & (T[1:-1] > 30))
    columns = np.stack([T[peak] ** power, np.log(T[peak]), np.ones(len(peak))], -1)
    rate = np.linalg.lstsq(columns, np.log(size[peak]), rcond=None)[0][0]
    assert rate == pytest.approx(predicted["growth_rate"], rel=0.05)
    m, u = len(memory) + (0 if a else 1) + 1, len(memory)
    exponent, formula = play.growth(m, u)
    n0_over_p = 0.1 / (a or 1)
    value = float(formula.subs({play.T: 1, play.n0: n0_over_p, sp.Symbol("p", positive=True): 1}))
    assert (float(exponent), value) == pytest.approx((power, predicted["growth_rate"]))


def test_unstable_steps_grow_exponentially():
    rule = UpdateRule("simultaneous", **GENERATOR)
    found = law(rule, 2.1, 0.1)  # 1 - a = -1.1
    assert found["last"] == np.inf and found["growth_power"] == 1
    x = np.abs(recursion(rule, 2.1, 0.1, steps=600))
    assert np.log(x[600] / x[300]) / 300 == pytest.approx(found["growth_rate"], abs=1e-2)


# -- the state ------------------------------------------------------------------------------------------------------


def iterated(rule, J, steps):
    """(w, x, averages) after every step of the rule on its linear velocities, (steps + 1, modes) each."""

    def Vw(w, x):
        return J[:, 0, 0] * w + J[:, 0, 1] * x

    others = linear_opponents(Vw, lambda v: v / J[:, 0, 0])

    def Vx(w, x):
        return J[:, 1, 0] * w + J[:, 1, 1] * x

    state = rule.start(np.zeros(len(J)), np.ones(len(J)), Vw, Vx, others)
    states = [state]
    for _ in range(steps):
        state = rule.step(state, Vw, Vx, others)
        states.append(state)
    assert state[-1] == steps or not rule.uniform
    return [np.array([s[i] for s in states]) for i in range(2 + len(rule.averages))]


@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "best_response"])
def test_averages_are_means_of_the_past(rule):
    J = np.concatenate([block(0.5, 0.2), block(0.9, 0.7)])
    w, x, q, D = iterated(UpdateRule(rule, **BOTH), J, 50)
    for player, mean in ((x, q), (w, D)):
        for n in (0, 1, 2, 7, 50):
            assert np.allclose(mean[n], player[: n + 1].mean(0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", ["flow", "best_response_flow"])
def test_averages_of_flows(rule):
    """Runge-Kutta of the rule against LSODA of the equations written out, to the order of its substeps."""
    errors = []
    exact, average = integral(UpdateRule(rule, **BOTH), 0.5, 0.2, 0.0, np.arange(1.0, 32))
    for substeps in (4, 8):
        _, x, q, _ = iterated(UpdateRule(rule, substeps=substeps, **BOTH), block(0.5, 0.2), 30)
        errors.append(max(np.abs(x[:, 0] - exact).max(), np.abs(q[:, 0] - average).max()) / np.abs(exact).max())
    assert errors[1] < 1e-4 and errors[0] / errors[1] > 10  # fourth order: 16


def test_a_moment_is_an_exponential_average():
    """The step at clock n is that of an average over n + 2 steps, whose maps linear theory has."""
    J = np.random.default_rng(0).standard_normal((2, 2)) - 2 * np.eye(2)
    rule = UpdateRule("alternating", **BOTH)
    start = np.random.default_rng(1).standard_normal(4)

    def Vw(w, x):
        return J[0, 0] * w + J[0, 1] * x

    others = linear_opponents(Vw, lambda v: v / J[0, 0])
    step = rule.step((*start, 5.0), Vw, lambda w, x: J[1, 0] * w + J[1, 1] * x, others)
    assert np.allclose(step[:-1], update_matrix(rule.with_time(7.0), J, 1) @ start) and step[-1] == 6
    for refuse in (lambda: update_matrix(rule, J, 1), lambda: update_matrices(rule, J)):
        with pytest.raises(NotLinearizable, match="power_laws"):
            refuse()


# -- the nonlinear model --------------------------------------------------------------------------------------------


def box(ratio, rule="simultaneous", memory=None, **changes):
    """One wave at w2 = ratio a^2; three particles on a periodic box."""
    exp = eg.Experiment(
        target={"kind": "uniform", "side": 3, "length": 2.0, "dimension": 1},
        generator={"particles": 3, "learning_rate": 0.1, "kernel": {"ratio": 0.0}},
        discriminator={"length_scale": 0.4, "features": 0, "learning_rate": 1.0},
        penalty={"r1": 0.0}, update={"rule": rule},
        run={"runs": 2, "kick": 1e-7, "seed": 3, "steps": 1000, "record_every": 1},
    )  # fmt: skip
    w2 = float(np.linalg.det(eg.linearize(exp.replace({"update.rule": "flow"})).blocks)[0])
    memory = memory or {"generator": UNIFORM}
    exp = exp.replace({"penalty.weight_decay": np.sqrt(w2 / ratio), **changes})
    return exp.model_copy(update={"memory": memory})


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize(("ratio", "rule"), [(0.3, "simultaneous"), (1.0, "simultaneous"), (2.0, "simultaneous"),
                                             (1.0, "alternating"), (1.0, "best_response")])  # fmt: skip
def test_simulations_have_the_predicted_exponents(ratio, rule, player):
    """Last iterate and average converge both, the average alone, none."""
    exp = box(ratio, rule, {player: UNIFORM})
    found = {q.name: q for q in eg.compare(exp, eg.simulate(exp)).quantities}
    assert set(found) == {"p1.last", "p1.average"}
    for quantity in found.values():
        assert quantity.measured == pytest.approx(quantity.predicted, abs=FITTED)
        assert abs(quantity.z) < 3 and 0 < quantity.stderr < 0.1
    if rule == "simultaneous":
        signs = tuple(np.sign(found[name].measured) for name in ("p1.last", "p1.average"))
        assert signs == {0.3: (-1, -1), 1.0: (1, -1), 2.0: (1, 1)}[ratio]


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["flow", "best_response_flow"])
def test_simulated_flows_have_the_predicted_exponents(rule):
    for ratio, player in ((0.3, "generator"), (2.0, "discriminator")):
        exp = box(ratio, rule, {player: UNIFORM})
        for quantity in eg.compare(exp, eg.simulate(exp)).quantities:
            assert quantity.measured == pytest.approx(quantity.predicted, abs=FITTED)


@pytest.mark.parametrize("rule", RULES)
def test_linear_map_is_the_simulator(rule):
    """The 2 x 2 rule iterated by itself against the nonlinear model, both averages at once."""
    exp = box(1.0, rule, {"generator": UNIFORM, "discriminator": UNIFORM}, **{"run.steps": 60})
    runs = eg.simulate(exp)
    dx = runs["particles"].values - exp.points.coordinates[exp.assignment]
    dx = dx - dx.mean(2, keepdims=True)  # no force moves the centre
    J = eg.linearize(exp.model_copy(update={"memory": {}})).blocks
    x = iterated(resolved_rule(exp), J, 60)[1][:, 0]
    assert (
        np.abs(dx - x[:, None, None] * dx[:, :1]).max() < 1e-5 * np.abs(dx).max()
    )  # kicks of 1e-7 over lengths of 0.4


def test_stiff_flows_are_resolved():
    """A mode that is fast with the present opponent is as fast with averages that have just begun."""
    stiff = box(1e-3, "flow")
    plain = stiff.model_copy(update={"memory": {}})
    assert resolved_rule(stiff).substeps == resolved_rule(plain).substeps > stiff.update.substeps


def test_several_modes_of_a_ring():
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 4}, generator={"particles": 4, "learning_rate": 0.05},
        discriminator={"features": 24, "learning_rate": 0.3}, penalty={"r1": 0.0, "weight_decay": 0.7},
        memory={"discriminator": UNIFORM}, run={"steps": 1500, "record_every": 1, "runs": 2, "kick": 1e-7},
    )  # fmt: skip
    found, table = eg.compare(exp, eg.simulate(exp)), eg.power_laws(exp)
    assert len(found.quantities) == 10 and table.sizes["mode"] == 8
    assert np.all(np.diff(table["last"]) <= 0)
    for q in found.quantities:
        assert q.measured == pytest.approx(q.predicted, abs=5 * FITTED), q.name
    # recorded more rarely, averages are integrals between records
    rare = eg.compare(exp, eg.simulate(exp.replace({"run.record_every": 5})))
    for q in rare.quantities:
        assert q.measured == pytest.approx(q.predicted, abs=5 * FITTED), q.name


def test_a_likelihood_term_rescues_two_averages():
    """Both players averaged: play diverges, and converges as 1/T as soon as the likelihood term damps the particles."""
    both = {"generator": UNIFORM, "discriminator": UNIFORM}
    plain = box(1.0, "alternating", both, **{"run.steps": 600})
    damped = plain.model_copy(update={"likelihood": {"weight": 0.5}})
    sizes = []
    for exp in (plain, damped):
        runs = eg.simulate(exp)
        dx = runs["particles"].values - exp.points.coordinates[exp.assignment]
        dx = dx - dx.mean(2, keepdims=True)
        sizes.append(np.abs(dx[:, -200:]).max() / np.abs(dx[:, 0]).max())
    assert sizes[0] > 100 and sizes[1] < 0.05
    assert not eg.power_laws(plain).attrs["converges"] and eg.power_laws(damped).attrs["converges"]
    assert "no exponent" in eg.compare(plain, eg.simulate(plain.replace({"run.steps": 80}))).unmatched[0]["reason"]


def test_a_diverged_run_disturbs_no_other():
    """Frozen runs keep the clock that all share."""
    exp = box(1.0, **{"run.steps": 120, "run.record_every": 4})
    wild = exp.replace({"discriminator.learning_rate": 60.0})
    together, alone = eg.simulate(exp, variants=[wild, exp]), eg.simulate(exp)
    diverged = together["diverged_at"].values
    assert np.all(diverged[:2] > 0) and np.all(diverged[2:] == -1)
    assert np.allclose(together["particles"].values[2:], alone["particles"].values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rule", ["simultaneous", "best_response"])
@pytest.mark.parametrize("time", [UNIFORM, 3.0])
def test_averages_follow_growing_dictionaries(rule, time):
    """An exact kernel from a random start against the same kernel's Fourier modes, which are fixed: an average gets its
    share of the features that a step adds."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 2}, generator={"particles": 2, "learning_rate": 0.1},
        discriminator={"features": 0, "learning_rate": 0.5}, penalty={"r1": 0.0, "weight_decay": 0.3},
        memory={"generator": time, "discriminator": time}, update={"rule": rule},
        run={"steps": 30, "record_every": 10, "runs": 1, "start": "random"},
    )  # fmt: skip
    exact, many = eg.simulate(exp), eg.simulate(exp.replace({"discriminator.evaluation": "fourier"}))
    assert np.ptp(exact["particles"].values[0, :, 0, 0]) > 0.1
    assert np.abs(exact["particles"].values - many["particles"].values).max() < DICTIONARY


# -- input ----------------------------------------------------------------------------------------------------------


def test_toml_round_trip():
    for memory in ({"generator": UNIFORM}, {"generator": 3.0, "discriminator": UNIFORM}):
        exp = eg.Experiment(memory=memory)
        assert eg.Experiment.from_toml_string(exp.to_toml()) == exp and 'uniform"' in exp.to_toml()


@pytest.mark.parametrize("value", ['"unifrom"', "-1.0", "true", "[1.0]", "1e200", "nan", '""', "{}"])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_malformed_times(player, value):
    with pytest.raises(InputError, match=rf"^memory\.{player}: must be a number .* or 'uniform', but found") as found:
        eg.Experiment.from_toml_string(f"[memory]\n{player} = {value}")
    assert "\n" not in str(found.value) and "constrained" not in str(found.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"update": {"rule": "optimistic"}}, "update.rule"),
        ({"penalty": {"consensus": 0.1}}, "penalty.consensus"),
    ],
)
def test_what_has_no_meaning_is_refused(changes, field):
    with pytest.raises(InputError, match=field):
        eg.Experiment(memory={"generator": UNIFORM}, **changes)


@pytest.mark.parametrize(
    "predict",
    [
        eg.linearize, eg.spectrum, lambda exp: eg.best_regularizer(exp, penalty="r1"), eg.learning_times,
        lambda exp: eg.collective_instability(exp, "generator.kernel.ratio", 0.0, 1.0),
        lambda exp: eg.compare_remedies(exp), lambda exp: eg.sweep_strength(exp, "r1", [0.1, 0.2]),
    ],
)  # fmt: skip
def test_no_spectrum(predict):
    with pytest.raises(NotLinearizable, match=r"^memory: must be a time .* eg\.power_laws, but found 'uniform'$"):
        predict(box(1.0))


def test_thresholds_say_why_there_are_none():
    found = eg.thresholds(box(1.0), vary="generator.kernel.ratio").thresholds
    assert all(not threshold.values for threshold in found)


def test_what_has_no_powers_is_refused():
    with pytest.raises(InputError, match="memory: must have a player averaged"):
        eg.power_laws(box(1.0).model_copy(update={"memory": {"generator": 3.0}}))
    with pytest.raises(NotLinearizable, match="independent of each other"):
        eg.power_laws(eg.Experiment(memory={"generator": UNIFORM}, penalty={"r1": 0.1}))
    with pytest.raises(NotLinearizable, match="weight_decay"):
        exp = eg.Experiment(memory={"generator": UNIFORM}, update={"rule": "best_response"}, penalty={"r1": 0.0})
        eg.power_laws(exp)


def test_fit_recovers_a_made_up_power():
    """Its own error covers the truth, also where the expansion has more terms than are fitted."""
    T = np.arange(30.0, 3000.0)
    for p in (-0.8, 0.3):
        wave = sum(T ** (p - j / 2) * np.cos(1.7 * np.sqrt(T) + j) for j in range(TERMS + 2))
        measured, stderr, left = fit_power(T, (wave + 0.3 / T)[:, None], 0.75, constant=True)
        assert abs(measured - p) < 3 * stderr < 0.1 and left < 1e-3
    noise = np.random.default_rng(0).standard_normal((len(T), 1))
    assert fit_power(T, noise, 0.9)[2] > 0.9


def test_phase_diagrams_say_nothing(tmp_path, capsys):
    """No mechanism speaks of such training: no share of cells, rather than a share of 0."""
    import json

    from egan_theory.cli.app import main

    file = tmp_path / "e.toml"
    file.write_text(box(1.0).to_toml())
    axes = ["--vary", "penalty.weight_decay=0.1:1:2", "--vary", "generator.learning_rate=0.01:0.1:2"]
    mechanisms = ("collective instability", "collapsed state", "too slow to split")
    axes += [word for name in mechanisms for word in ("--mechanism", name)]
    assert main(["phase", str(file), *axes, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["mechanisms"]
    assert [(m["share"], m["silent"]) for m in found] == [(None, 4)] * 3


def test_command(tmp_path, capsys):
    """egan power-laws: the numbers of eg.power_laws, and one line for an experiment without them."""
    import json

    from egan_theory.cli.app import main

    exp = box(1.0)
    file = tmp_path / "e.toml"
    file.write_text(exp.to_toml())
    assert main(["power-laws", str(file), "--json", "-o", str(tmp_path / "p.nc")]) == 0
    data, ds = json.loads(capsys.readouterr().out), eg.power_laws(exp)
    assert [mode["last"] for mode in data["modes"]] == ds["last"].values.tolist()
    assert data["converges"] == bool(ds.attrs["converges"]) and (tmp_path / "p.nc").exists()
    assert main(["power-laws", str(file)]) == 0
    assert f"T^{ds['last'].values[0]:.4g}" in capsys.readouterr().out
    file.write_text(eg.Experiment().to_toml())
    assert main(["power-laws", str(file)]) == 2
    assert capsys.readouterr().err.startswith("egan: memory: must have a player averaged")
