"""What is left of a kick: the linear theory against powers of the Jacobian of the simulator's own step."""

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy.linalg import expm

from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.linear.kick import block_answers, kick
from egan_theory.problem.problem import Problem
from egan_theory.tables.losses import single_losses
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.stepjac import at_equilibrium, derivative, field_jacobian

#: |P_xx|^2 of T steps, relative: rounding of a matrix power, and of the Jacobian taken by complex steps
SAME = 1e-8
RULES = {
    "flow": UpdateRule("flow"),
    "simultaneous": UpdateRule("simultaneous"),
    "alternating 3": UpdateRule("alternating", critic_steps=3),
    "momenta": UpdateRule("alternating", 2, 0.4, 0.25),
    "extragradient": UpdateRule("extragradient"),
    "optimistic": UpdateRule("optimistic"),
    "averages": UpdateRule("simultaneous", average_generator=3.0, average_discriminator=4.0),
    "averaged flow": UpdateRule("flow", average_generator=3.0),
}
STEPS = 40


def by_simulation(exp, rule, time, place=None):
    """|P_xx|_F^2 from the Jacobian of the simulator's own step (flows: of its field), on every particle."""
    field, w, x = at_equilibrium(exp) if place is None else place
    nw, n = w.size, x.size
    if rule.rule == "flow" and not rule.averages:
        P = expm(time * field_jacobian(field, w, x))
        return float((P[nw : nw + n, nw : nw + n] ** 2).sum())
    start = rule.start(w, x, field.Vw, field.Vx, field.opponents)
    first = derivative(lambda w, x: rule.start(w, x, field.Vw, field.Vx, field.opponents), (w, x))[:, nw:]
    advance = rule.velocity if rule.continuous else rule.step
    J = derivative(lambda *state: advance(state, field.Vw, field.Vx, field.opponents), start)
    P = (expm(time * J) if rule.continuous else np.linalg.matrix_power(J, time)) @ first
    return float((P[nw : nw + n] ** 2).sum())


def check(exp, rules=RULES):
    place, found = at_equilibrium(exp), kick(Problem(exp))
    for name, rule in rules.items():
        if exp.penalty.consensus and rule.averages:
            continue
        expected = by_simulation(exp, rule, STEPS, place)
        if expected > 1e6 * found.size:  # grows: rounding too
            assert found.moving(rule, STEPS) > 1e5 * found.size, name
            continue
        assert found.frozen + found.moving(rule, STEPS) == pytest.approx(expected, rel=SAME), name


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("penalty", [{}, {"r1": 0.4}, {"weight_decay": 0.2}, {"consensus": 0.3, "r1": 0.1}])
@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
def test_equals_powers_of_the_simulators_step(loss, penalty, ratio):
    exp = small(Ring(modes=3), loss=loss, penalty=penalty, generator={"particles": 6, "kernel": {"ratio": ratio}})
    check(exp)


POINTS = {"kind": "points", "values": [[0.0, 0.3, 0.1, 0.4], [1.0, -0.2, 0.5, 0.4], [0.2, 0.9, -0.6, 0.4]]}
EXACT = {"features": 0, "kernel": "rational_quadratic"}
CASES = {
    "unequal weights, matched masses": dict(
        target=Ring(modes=3, weights=[0.2, 0.3, 0.5]),
        particles=5, generator={"masses": "matched", "kernel": {"ratio": 0.2}}, penalty={"r1": 0.2}, loss="logistic",
    ),
    "masses that do not match": dict(
        target=Ring(modes=3), particles=4, penalty={"r1": 0.2, "weight_decay": 0.3}, loss="wasserstein",
        discriminator={"features": 40}, generator={"kernel": {"ratio": 0.2}, "per_point": (2, 1, 1)},
    ),
    "box": dict(target=Uniform(side=5, length=2.0, dimension=1), particles=5, penalty={"r1": 0.1, "r2": 0.05},
                discriminator={"features": 0, "length_scale": 0.4}, loss="logistic",
                generator={"kernel": {"ratio": 0.3}}),
    "rigid box": dict(target=Uniform(side=5, length=2.0, dimension=1), particles=5, penalty={"r1": 0.1},
                      discriminator={"features": 0, "length_scale": 0.4}, generator={"kernel": {"ratio": 1.0}}),
    "few points in many dimensions, commuting": dict(
        target=POINTS, particles=6, discriminator=EXACT, penalty={"weight_decay": 0.2},
        generator={"kernel": {"ratio": 0.3}},
    ),
    "few points in many dimensions, independent": dict(
        target=POINTS, particles=6, discriminator=EXACT, penalty={"r1": 0.2}),
    "few points in many dimensions, dense": dict(
        target=POINTS, particles=6, discriminator=EXACT, penalty={"r1": 0.2}, loss="logistic",
        generator={"kernel": {"ratio": 0.3}},
    ),
    "mean normalisation": dict(target=Grid(side=2), particles=8, penalty={"r2": 0.2}, loss="least_squares",
                               generator={"normalisation": "mean", "kernel": {"ratio": 0.4}}),
    "linear kernel": dict(target=Ring(modes=4), particles=4, discriminator={"kernel": "linear"}, penalty={"r1": 0.3},
                          generator={"kernel": {"ratio": 0.4}}),
    "instance noise": dict(target=Ring(modes=3), particles=3, penalty={"instance_noise": 0.2, "r1": 0.1},
                           generator={"kernel": {"ratio": 0.4}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_route(name):
    case = dict(CASES[name])
    check(small(case.pop("target"), **case))


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("loss", single_losses())
def test_remedies(loss, ratio):
    base = small(Ring(modes=3), particles=6, loss=loss, penalty={"weight_decay": 0.4},
                 generator={"kernel": {"ratio": ratio}})  # fmt: skip
    responses = {rule: UpdateRule(rule) for rule in ("best_response", "best_response_flow")}
    check(base, responses)
    check(base.replace({"likelihood.weight": 0.3, "likelihood.bandwidth": 0.7}))
    for kernel in ("product", "additive"):
        check(base.replace({"packing.degree": 2, "packing.kernel": kernel, "discriminator.features": 4}))


def test_closed_form_of_an_oscillator():
    """x(t) from x(0) = 1, w(0) = 0: it solves the block's equation x'' - tr J x' + det J x = 0, x'(0) = J_xx."""
    t, a, b, c, d = sp.symbols("t a b c d")
    root = sp.sqrt((a - d) ** 2 + 4 * b * c)
    s1, s2 = (a + d + root) / 2, (a + d - root) / 2
    x = sp.exp(s2 * t) + (s1 - a) * (sp.exp(s1 * t) - sp.exp(s2 * t)) / (s1 - s2)
    assert sp.simplify(x.subs(t, 0) - 1) == 0
    assert sp.simplify(x.diff(t).subs(t, 0) - d) == 0
    residual = x.diff(t, 2) - (a + d) * x.diff(t) + (a * d - b * c) * x
    assert sp.simplify(sp.expand(residual)) == 0
    blocks = np.array([[[-0.3, -0.4], [0.5, 0.0]], [[-2.0, -0.4], [0.5, -0.1]], [[-1.0, -0.5], [0.5, 0.0]]])
    expected = [expm(block * 3.0)[1, 1] for block in blocks]  # under-, over- and critically damped
    np.testing.assert_allclose(block_answers(blocks, UpdateRule("flow"), 3.0), expected, rtol=1e-12)


def test_slow_branches_keep_their_digits():
    """Damping of 10^6 per unit of time: the slow root is -w^2/a, exp of it must not cancel."""
    a, w2, t = 1e6, 1.0, 1e5
    with mpmath.workdps(40):
        exact = float(mpmath.exp(mpmath.mpf(t) * (mpmath.sqrt(mpmath.mpf(a) ** 2 / 4 - w2) - mpmath.mpf(a) / 2)))
    block = np.array([[[-a, -1.0], [1.0, 0.0]]])
    assert block_answers(block, UpdateRule("flow"), t)[0] == pytest.approx(exact * (1 + w2 / a**2), rel=1e-12)
