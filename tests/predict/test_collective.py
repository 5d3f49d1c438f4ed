"""Collective instability: closed forms against the exact spectrum, limits, the simulated step, and its own promises."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.seen import seen
from egan_theory.predict import collective, fastest
from egan_theory.predict.collective import collective_instability, fastest_mode, jury_polynomials, margin, margins
from egan_theory.predict.crossings import SCAN_POINTS, Axis, axis_of, sign_changes
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.simulation.run import simulate
from egan_theory.symbolic import characteristic_polynomial, momentum_values, symbols
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.stepjac import step_jacobian

#: closed form against root of the exact spectrum, relative
SAME = 1e-9
#: eigenvalues computed twice, times the size of the numbers
ROUNDING = 1e-11
RATIO = "generator.kernel.ratio"
#: rules that can lose stability about D = D*
RULES = [
    {"rule": "simultaneous"},
    {"rule": "alternating"},
    {"rule": "alternating", "critic_steps": 3},
    {"rule": "simultaneous", "momentum_discriminator": 0.5},
    {"rule": "simultaneous", "momentum_generator": 0.3},
    {"rule": "alternating", "momentum_discriminator": 0.4, "momentum_generator": 0.2},
    {"rule": "extragradient"},
    {"rule": "optimistic"},
]


def ring(ratio=0.0, **tables):
    """Five points, two particles each, weight decay alone unless said otherwise."""
    tables.setdefault("penalty", {"weight_decay": 0.2})
    tables.setdefault("discriminator", {"features": 30, "learning_rate": 0.3, "length_scale": 0.7})
    generator = {"learning_rate": 0.05, "kernel": {"ratio": ratio}} | tables.pop("generator", {})
    return small(Ring(modes=5), particles=10, generator=generator, **tables)


def critical_ring(rule, ratio=0.4):
    """A ring whose generator's rate is critical at that ratio, by the exact spectrum."""
    exp = ring(ratio, update=rule)
    rate = collective_instability(exp, "generator.learning_rate", 1e-4, 1e4, closed_form=False).values[0]
    return exp.replace({"generator.learning_rate": rate})


# -- the closed form -------------------------------------------------------------------------------------------------


def test_simultaneous_steps_with_weight_decay():
    """max mu^2 = nu/(eta_G b c), independent of eta_D; mu^2 from the definition S^(1/2) H S^(1/2)."""
    for eta_D in (0.01, 0.1, 1.0):
        exp = ring(discriminator={"features": 30, "learning_rate": eta_D, "length_scale": 0.7})
        found = collective_instability(exp)
        assert found.method == "closed-form" and found.unstable_side == ("above",) and found.value is not None
        at = exp.replace({RATIO: found.value})
        B = seen(Problem(at)).mean
        root = np.kron(Problem(at).coupling_root, np.eye(2))
        largest = np.linalg.eigvalsh(root @ B @ B.T @ root).max()
        assert largest == pytest.approx(at.penalty.weight_decay / at.generator.learning_rate, rel=SAME)


@pytest.mark.parametrize(
    ("rule", "vary"),
    [(rule, RATIO) for rule in RULES]
    + [
        (RULES[0], "generator.learning_rate"),
        (RULES[2], "discriminator.learning_rate"),
        (RULES[5], "generator.kernel.diagonal"),
        (RULES[3], "penalty.weight_decay"),
        (RULES[6], "generator.learning_rate"),
        (RULES[7], "discriminator.learning_rate"),
    ],
)
def test_closed_form_is_the_root_of_the_exact_spectrum(rule, vary):
    exp = critical_ring(rule)
    if vary != RATIO:
        exp = exp.replace({RATIO: 0.3})
    closed = collective_instability(exp, vary)
    exact = collective_instability(exp, vary, closed_form=False)
    assert (closed.method, exact.method) == ("closed-form", "root of the exact spectrum")
    assert closed.unstable_side == exact.unstable_side and len(closed.values) >= (vary == RATIO)
    np.testing.assert_allclose(closed.values, exact.values, rtol=SAME)


@pytest.mark.parametrize(
    ("target", "loss"),
    [(Grid(side=4, dimension=1), "hinge"), (Grid(side=2, dimension=3), "wasserstein"), (Ring(modes=3), "logistic")],
)
def test_targets_and_losses(target, loss):
    """kappa > 0 (logistic) leaves no closed form; Brent's method then takes over by itself."""
    points = len(target.points().coordinates)
    exp = small(target, particles=2 * points, loss=loss, penalty={"weight_decay": 0.3},
                discriminator={"features": 24, "learning_rate": 0.5})  # fmt: skip
    exp = exp.replace({RATIO: 0.5})
    rates = collective_instability(exp, "generator.learning_rate", 1e-3, 1e3)
    assert rates.method == ("closed-form" if loss != "logistic" else "root of the exact spectrum")
    exp = exp.replace({"generator.learning_rate": rates.values[0]})
    found = collective_instability(exp)
    assert min(abs(v - 0.5) for v in found.values) < SAME
    exact = collective_instability(exp, closed_form=False)
    np.testing.assert_allclose(found.values, exact.values, rtol=SAME)


@pytest.mark.parametrize("vary", ["penalty.r1", "penalty.r2", "generator.learning_rate", "penalty.weight_decay"])
def test_gradient_penalty_on_commuting_modes(vary):
    """phi = 0: R1 and R2 commute with the dynamics, modes stay oscillators with a affine in the strength."""
    exp = ring(penalty={"r1": 0.1, "r2": 0.05, "weight_decay": 0.02})
    exp = exp.replace({"generator.learning_rate": 0.6})
    closed = collective_instability(exp, vary)
    exact = collective_instability(exp, vary, closed_form=False)
    assert closed.method == "closed-form" and closed.values and closed.unstable_side == exact.unstable_side
    np.testing.assert_allclose(closed.values, exact.values, rtol=SAME)


def test_r1_alone_makes_every_mode_cross_at_once():
    """a_k - w_k^2 = eta_D beta_k (lam - eta_G b c r): one strength for all, lam = eta_G r, r = omega s_a/p_a."""
    exp = ring(penalty={"r1": 0.1})
    found = collective_instability(exp, "penalty.r1")
    s_over_p = exp.omega * np.sum(exp.masses[:2] ** 2) / 0.2
    assert found.values[0] == pytest.approx(exp.generator.learning_rate * s_over_p, rel=SAME)
    assert found.unstable_side[0] == "below"


def test_ratio_on_the_periodic_box():
    """There the collective part of Gamma does not act: w^2 falls as 1 - phi, and ratios below the threshold are
    unstable; twice the particles' coupling moves it as 1 - phi_c = const/g1."""
    exp = small(Uniform(side=9), particles=9, penalty={"weight_decay": 0.1},
                discriminator={"features": 0, "length_scale": 0.1, "learning_rate": 0.2})  # fmt: skip
    exp = exp.replace({"generator.learning_rate": 1e-3})
    rate = collective_instability(exp.replace({RATIO: 0.5}), "generator.learning_rate").values[0]
    exp = exp.replace({"generator.learning_rate": rate})
    found = collective_instability(exp)
    assert found.method == "closed-form" and found.unstable_side == ("below",)
    assert found.value == pytest.approx(0.5, rel=SAME)
    assert collective_instability(exp, closed_form=False).value == pytest.approx(0.5, rel=SAME)
    doubled = exp.replace({"generator.kernel.diagonal": 2.0})
    assert collective_instability(doubled).value == pytest.approx(0.75, rel=SAME)
    assert found.mode["wavenumber"] > 0 and found.mode["translation"] == 0 and not found.mode["collective"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RULES), st.floats(1e-3, 5), st.floats(1e-3, 5))
def test_jury_polynomials_decide_as_the_roots_of_the_polynomial(rule, a, w2):
    rule = UpdateRule(**rule)
    poly = characteristic_polynomial(rule).as_expr().subs(momentum_values(rule)).subs({symbols.a: a, symbols.w2: w2})
    import sympy as sp

    radius = np.abs(np.roots([float(c) for c in sp.Poly(poly, symbols.z).all_coeffs()])).max()
    if abs(radius - 1) > ROUNDING**0.5:
        assert all(c(np.array(a), np.array(w2)) > 0 for c in jury_polynomials(rule)) == (radius < 1)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(RULES), st.integers(2, 6), st.floats(0.02, 2.0), st.floats(0.05, 1.5), st.integers(0, 10**6))
def test_the_flow_is_always_stable_and_maps_follow_it_at_small_steps(rule, modes, decay, scale, seed):
    """|w|^2/eta_D + |theta|^2/eta_G never grows: no threshold for the flow, whatever the penalties."""
    exp = small(
        Ring(modes=modes), particles=modes, loss="logistic", update={"rule": "flow"},
        penalty={"weight_decay": decay, "r1": scale, "consensus": 0.1},
        generator={"kernel": {"ratio": 0.7}, "learning_rate": 0.1},
        discriminator={"features": 20, "learning_rate": 0.2, "length_scale": scale, "seed": seed},
    )  # fmt: skip
    assert margin(exp) <= 0
    found = collective_instability(exp)
    assert found.values == () and found.method == "closed-form"
    tiny = {"discriminator.learning_rate": 1e-4, "generator.learning_rate": 5e-5}
    assert margin(Experiment(**exp.model_dump() | {"update": rule}).replace(tiny)) <= 0


def test_no_threshold_is_an_answer():
    found = collective_instability(ring(penalty={"weight_decay": 5.0}))
    assert found.values == () and found.value is None and found.mode is None and found.margin < 0
    assert found.to_dict()["value"] is None
    assert "values         none" in repr(found) and ">none</td>" in found._repr_html_()


# -- the margin against the simulated step ---------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_margin_is_that_of_the_simulated_step(rule):
    """At both sides of the threshold: spectral radius of the simulator's own step, zero modes (z = 1) apart."""
    exp = critical_ring(rule, 0.4)
    for ratio, sign in ((0.36, -1), (0.44, 1)):
        at = exp.replace({RATIO: ratio})
        z = np.linalg.eigvals(step_jacobian(at))
        radius = np.abs(z[np.abs(z - 1) > 1e-7]).max()
        # weights that no datum sees decay by themselves and move no particle: slower than the others at most
        assert np.sign(margin(at)) == sign
        if sign > 0:
            assert margin(at) == pytest.approx(radius - 1, abs=1e-7)


@pytest.mark.parametrize("rule", [RULES[0], RULES[1], RULES[7]], ids=str)
def test_kicked_runs_grow_above_and_decay_below(rule):
    exp = critical_ring(rule, 0.3)
    exp = Experiment(**exp.model_dump() | {"run": {"steps": 2500, "record_every": 25, "runs": 1, "kick": 1e-7}})
    runs = simulate(exp, variants=[exp.replace({RATIO: r}) for r in (0.24, 0.36)])
    force = np.linalg.norm(runs["force"].values, axis=(-2, -1))
    kicked, late = force[0, 1:20].max(), force[:, -20:].max(-1)  # both runs begin with the same kick
    assert late[0] < kicked / 100 and late[1] > kicked * 100


def test_margins_of_many():
    exps = [ring(0.0), ring(0.9), small(Ring(modes=5), particles=3)]
    values = margins(exps)
    assert values[0] == margin(exps[0]) and values[1] == margin(exps[1])
    assert np.isnan(values[2])  # fewer particles than points: no equilibrium
    with pytest.raises(NotLinearizable):
        margin(exps[2])


def test_neutral_modes_do_not_fool_the_margin():
    """No damping at all: the flow is neutral, to rounding, and neutral is not unstable; simultaneous steps grow."""
    neutral = ring(0.5, penalty={}, update={"rule": "flow"})
    assert margin(neutral) == 0
    noisy = ring(0.5, penalty={"instance_noise": 0.05}, update={"rule": "flow"})
    assert len(linearize(noisy).blocks) and margin(noisy) == 0
    steps = ring(0.5, penalty={})
    z = eigenvalues(linearize(steps)).z
    assert margin(steps) == pytest.approx(np.abs(z).max() - 1) and margin(steps) > 0


# -- the unstable mode ------------------------------------------------------------------------------------------------


def test_the_mode_of_a_strong_collective_coupling_is_a_translation():
    """phi = 1: all particles move alike, so the mode is a uniform translation exactly."""
    exp = ring(1.0)
    mode = fastest_mode(Problem(exp))
    assert mode["translation"] == pytest.approx(1, abs=ROUNDING) and mode["collective"]
    values = eigenvalues(linearize(exp))
    z = values.z[values.coupled & values.resolved]
    assert np.hypot(mode["multiplier_re"], mode["multiplier_im"]) == pytest.approx(np.abs(z).max(), rel=SAME)


def test_two_points_move_together_or_apart():
    """M = 2, d = 1: modes are x_1 + x_2 and x_1 - x_2 by symmetry; overlap with a translation 1 or 0."""
    exp = small(Grid(side=2, dimension=1), particles=2, penalty={"weight_decay": 0.2},
                discriminator={"features": 0, "learning_rate": 0.3, "length_scale": 0.8})  # fmt: skip
    assert fastest_mode(Problem(exp.replace({RATIO: 0.9})))["translation"] == pytest.approx(1, abs=ROUNDING)
    # independent particles and a negative correlation of forces (distance beyond the length scale): moving apart
    apart = exp.replace({"discriminator.length_scale": 0.3, "generator.learning_rate": 1.0, RATIO: 0.0})
    gradients = seen(Problem(apart)).mean @ seen(Problem(apart)).mean.T
    assert gradients[0, 1] < 0
    assert fastest_mode(Problem(apart))["translation"] == pytest.approx(0, abs=ROUNDING)


def test_masses_that_do_not_match(monkeypatch):
    """Particles off D = D*: the dense Jacobian at the equilibrium that Newton finds; the flow may be unstable there."""
    monkeypatch.setattr(collective, "sign_changes", partial(sign_changes, points=9))
    exp = small(Ring(modes=3), particles=4, penalty={"weight_decay": 0.5}, discriminator={"features": 20})
    found = collective_instability(exp, "penalty.weight_decay", 0.05, 5.0)
    assert found.method == "root of the exact spectrum" and np.isfinite(found.margin)
    mode = fastest_mode(Problem(exp))
    assert 0 <= mode["translation"] <= 1
    field = Field(Problem(exp))
    assert field.features.size + 4 * 2 <= fastest.MAX_VECTORS


# -- axes and scans ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vary", "low", "high", "found"),
    [
        ("generator.particles", None, None, "whole number"),
        ("discriminator.features", 2, 10, "whole number"),
        ("loss.kind", None, None, "wasserstein"),
        ("generator.kernel", None, None, "GeneratorKernel"),
        ("generator.nonsense", None, None, "nonsense"),
        ("penalty.r1", None, None, "penalty.r1=LOW:HIGH"),
        (RATIO, 0.5, 0.5, "LOW < HIGH"),
        (RATIO, 0.0, float("nan"), "finite"),
        (RATIO, -1.0, 1.0, "at least 0"),
        (RATIO, 0.0, 2.0, "at most 1"),
        ("update.momentum_generator", None, None, "extragradient"),
    ],
)
def test_axes_that_cannot_be_varied(vary, low, high, found):
    rule = {"rule": "extragradient"} if vary.startswith("update") else {"rule": "simultaneous"}
    with pytest.raises(InputError, match=r"must .*") as caught:
        axis_of(ring(update=rule), vary, low, high)
    assert found in str(caught.value) or (found == "extragradient" and "update.momentum" in str(caught.value))


def test_default_ranges():
    exp = ring(update={"rule": "alternating"})
    assert axis_of(exp, RATIO) == Axis(RATIO, 0.0, 1.0, False)
    assert axis_of(exp, "update.momentum_generator") == Axis("update.momentum_generator", 0.0, 0.99, False)
    rate = axis_of(exp, "generator.learning_rate")
    assert (rate.low, rate.high, rate.log) == (0.05 / 100, 0.05 * 100, True)
    assert axis_of(exp, "generator.learning_rate", high=0.001).low == 0.05 / 100
    grid = rate.grid(11)
    assert grid[0] == rate.low and grid[-1] == rate.high and np.allclose(np.diff(np.log(grid)), np.log(1e4) / 10)


LINE = Axis("x", 0.0, 1.0, False)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x - 0.3, [(0.3, "above")]),
        (lambda x: (x - 0.2) * (0.7 - x), [(0.2, "above"), (0.7, "below")]),
        (lambda x: -((x - 0.5) ** 2), []),  # touches zero, never above
        (lambda x: (x - 0.503) ** 2, []),  # touches zero from above: a set of measure zero is no window
        (lambda x: 1e-8 - (x - 0.5051) ** 2, [(0.5050, "above"), (0.5052, "below")]),  # narrower than the scan
        (lambda x: (x - 0.5051) ** 2 - 1e-8, [(0.5050, "below"), (0.5052, "above")]),
        (lambda x: 0.0 if x < 0.4037 else x - 0.4, [(0.4037, "above")]),  # neutral, then unstable
        (lambda x: float("nan") if x < 0.5 else x - 0.6, [(0.6, "above")]),
        (lambda x: -1e-12 if x < 0.3 else x - 0.3, [(0.3, "above")]),  # a slow mode hides the other's approach
        (lambda x: float("inf") if x > 0.903 else -1.0, [(0.903, "above")]),
    ],
)
def test_sign_changes(f, expected):
    found, missing = sign_changes(f, LINE)
    assert [c.unstable_side for c in found] == [side for _, side in expected]
    np.testing.assert_allclose([c.value for c in found], [v for v, _ in expected], atol=1e-8)
    assert missing == (50 if np.isnan(f(0.1)) else 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.03, 0.97), min_size=0, max_size=5, unique=True))
def test_all_roots_of_a_polynomial_are_found(roots):
    roots = np.sort(roots)
    if len(roots) > 1 and np.diff(roots).min() < 1e-3:
        return
    # three within a step of the scan are one change of sign and an extremum that may be either pair's
    if len(roots) > 2 and (roots[2:] - roots[:-2]).min() < 1.5 / SCAN_POINTS:
        return
    found, _ = sign_changes(lambda x: float(np.prod(x - roots)), LINE)
    np.testing.assert_allclose([c.value for c in found], roots, atol=1e-9)
