"""Leaps of k steps by four evaluations: order conditions, exactness, and runs against the simulation step by step."""

from itertools import product

import numpy as np
import pytest
import sympy as sp

import egan_theory as eg
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.simulation.accelerated import LaneField, follow, several
from egan_theory.simulation.start import random_starts
from egan_theory.tables.updates import UpdateRule
from tests.builders import small

#: rules with and without memory, of discrete time and a flow
RULES = (
    {"rule": "simultaneous"},
    {"rule": "alternating", "critic_steps": 2},
    {"rule": "simultaneous", "momentum_discriminator": 0.5, "momentum_generator": 0.3},
    {"rule": "optimistic"},
    {"rule": "extragradient"},
    {"rule": "flow"},
)


def tableau(k):
    """(a (4, 4), b (4,)) of the leap, read off: increments are unit vectors, so that stages show their weights."""
    stages = []

    def increment(state):
        stages.append(state[0].copy())
        return (np.eye(4)[len(stages) - 1 : len(stages)],)

    (end,), (third,) = several(increment, (np.zeros((1, 4)),), k)
    np.testing.assert_array_equal(third, [[-1, 3, -3, 1]])
    return np.concatenate(stages), end[0]


def trees(a, b, total):
    """The sums of all rooted trees of up to four vertices of a method; ``total`` adds up."""
    n = range(len(b))
    c = [sum(a[i][j] for j in n) for i in n]
    ac, acc = ([sum(a[i][j] * v[j] for j in n) for i in n] for v in (c, [x * x for x in c]))
    aac = [sum(a[i][j] * ac[j] for j in n) for i in n]
    one = [1] * len(b)
    return [total([b[i] * v[i] for i in n]) for v in (
        one, c, [x**2 for x in c], ac, [x**3 for x in c], [x * y for x, y in zip(c, ac, strict=True)], acc, aac
    )]  # fmt: skip


def test_order_conditions_by_sympy():
    """Of the stages as theory.md has them, for every k: those of k steps of Euler's method of unit length."""
    k, i, j = sp.symbols("k i j", integer=True)

    def steps(f):
        return sp.summation(f, (i, 0, k - 1))

    def before(f):  # the sum over the steps before step i
        return sp.summation(f.subs(i, j), (j, 0, i - 1))

    square = before(i)
    wanted = [steps(f) for f in (i**0, i, i**2, square, i**3, i * square, before(i**2), before(square))]
    a = [
        [0, 0, 0, 0],
        [(k - 1) / sp.Integer(3), 0, 0, 0],
        [-(k - 7) / sp.Integer(3), k - 3, 0, 0],
        [(k**2 - 5 * k + 10) / (k + 2), -(k - 7) * (k - 2) / (k + 2), (k - 1) * (k - 2) / (k + 2), 0],
    ]
    b = [k * (k + 2) / (8 * (k - 1)), *[3 * k * (k - 2) / (8 * (k - 1))] * 2, k * (k + 2) / (8 * (k - 1))]
    for found, right in zip(trees(a, b, sum), wanted, strict=True):
        assert sp.simplify(found - right) == 0
    for number in (2, 3, 4, 7, 11, 40):
        own, weights = tableau(number)
        np.testing.assert_allclose(own, np.array([[sp.sympify(v).subs(k, number) for v in r] for r in a], float))
        np.testing.assert_allclose(weights, np.array([v.subs(k, number) for v in b], float))


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_order_conditions_by_counting(k):
    """A second route: the tableau of k Euler steps itself."""
    a, b = np.tril(np.ones((k, k)), -1), np.ones(k)
    np.testing.assert_allclose(trees(*tableau(k), sum), trees(a, b, sum), rtol=1e-12, atol=1e-12)


def experiment(update):
    return small(eg.Ring(modes=3), particles=6, penalty={"weight_decay": 0.1, "r1": 0.05}, loss="logistic",
                 update=update, discriminator={"features": 8, "learning_rate": 0.02},
                 generator={"learning_rate": 0.02})  # fmt: skip


def whole_step(exp):
    """(F - 1 on arrays, state at the start), in double precision."""
    problem = Problem(exp)
    field, rule = Field(problem), exp.update_rule
    x = random_starts(problem)[:1]
    w = 0.1 * np.random.default_rng(0).standard_normal((1, field.features.size))

    def step(state):
        new = rule.step((state[0], field.place(state[1]), *state[2:]), field.Vw, field.Vx, field.opponents)
        return (new[0], new[1].x, *new[2:])

    first = rule.start(w, field.place(x), field.Vw, field.Vx, field.opponents)
    return step, (first[0], first[1].x, *first[2:])


def after(step, state, k):
    for _ in range(k):
        state = step(state)
    return state


@pytest.mark.parametrize("update", RULES, ids=str)
def test_four_steps_are_exact(update):
    step, state = whole_step(experiment(update))
    found, _ = several(lambda z: tuple(a - b for a, b in zip(step(z), z, strict=True)), state, 4)
    for a, b in zip(found, after(step, state, 4), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("update", [r for r in RULES if not UpdateRule(**r).blocks], ids=str)
def test_error_is_of_fifth_order_in_the_rates(update):
    """Half the learning rates leave a 32nd of the error of a leap of 8 (memory has rates of its own, which are not
    small, and is not part of this); and the error is small against what 8 steps do."""
    errors = []
    for scale in (0.5, 0.25):
        exp = experiment(update)
        exp = exp.replace(
            {f"{p}.learning_rate": scale * exp.get(f"{p}.learning_rate") for p in ("generator", "discriminator")}
        )
        step, state = whole_step(exp)
        state = after(step, state, 2)
        found, _ = several(lambda z, step=step: tuple(a - b for a, b in zip(step(z), z, strict=True)), state, 8)
        right = after(step, state, 8)
        errors.append(max(np.abs(a - b).max() for a, b in zip(found[:2], right[:2], strict=True)))
        assert errors[-1] < 1e-3 * max(np.abs(a - b).max() for a, b in zip(right[:2], state[:2], strict=True))
    assert np.log2(errors[0] / errors[1]) > 4.5


def test_growth_of_oscillations_is_kept():
    """Euler's method on a rotation grows by (1 + s^2)^(1/2) a step; leaps of 10 do as the steps do, not as the flow."""
    s, k = 0.08, 10
    turn = s * np.array([[0.0, 1.0], [-1.0, 0.0]])
    (end,), _ = several(lambda z: (z[0] @ turn,), (np.array([[1.0, 0.0]]),), k)
    right = (1 + s * s) ** (k / 2)
    assert np.linalg.norm(end) - 1 == pytest.approx(right - 1, rel=0.02)


@pytest.mark.parametrize("update", RULES[:3], ids=str)
def test_runs_follow_the_simulation(update):
    """Lanes of different rates at once, each with leaps of its own, against simulate at the same times."""
    exp = experiment(update).replace({"run.start": "random", "run.steps": 200, "run.runs": 1, "run.record_every": 10})
    members = [exp.replace({"discriminator.learning_rate": r, "generator.kernel.ratio": q})
               for r, q in product((0.005, 0.05), (0.0, 0.3))]  # fmt: skip
    right = eg.simulate(exp, variants=members)["particles"].values
    x = np.repeat(random_starts(Problem(exp)), 4, axis=0)
    found = follow([Problem(m) for m in members], x, np.arange(0, 201, 10), tolerance=0.003)
    assert found.x.dtype == np.float32 and (found.diverged_at == -1).all()
    np.testing.assert_allclose(found.x, right, atol=2e-3 * np.ptp(right))
    assert found.evaluations < 1


def test_lanes_are_those_of_the_field():
    exp = experiment(RULES[0])
    members = [Problem(exp.replace({"generator.learning_rate": r})) for r in (0.01, 0.02, 0.03)]
    field = LaneField(members)
    x = np.repeat(random_starts(members[0])[:1], 3, axis=0).astype(np.float32)
    w = np.ones((3, field.features.size), np.float32)
    chosen = np.array([2, 0])
    part = field.lanes(chosen)
    np.testing.assert_allclose(part.Vx(w[chosen], x[chosen]), field.Vx(w, x)[chosen], rtol=1e-5)
    assert field.Vw(w, x).dtype == field.Vx(w, x).dtype == np.float32
    np.testing.assert_allclose(
        field.Vx(w, x), Field(members[0], members).Vx(w.astype(float), x.astype(float)), rtol=1e-4, atol=1e-6
    )


def test_what_diverges_and_what_is_decided_ends():
    exp = experiment(RULES[0]).replace({"run.start": "random"})
    wild = Problem(exp.replace({"generator.learning_rate": 1e6, "discriminator.learning_rate": 50.0}))
    x = np.repeat(random_starts(Problem(exp))[:1], 2, axis=0)
    times = np.arange(0, 101, 2)
    found = follow([Problem(exp), wild], x, times)
    gone = np.abs(found.x[1, -1]).min() > 10 or np.isnan(found.x[1, -1]).all()
    assert found.diverged_at[0] == -1 and gone and np.isfinite(found.x[0]).all()
    asked = []

    def decided(x, time):
        asked.append(time[-1])
        return np.ones(len(x), dtype=bool)

    left = follow([Problem(exp)], x[:1], times, decided=decided)
    assert asked == [10] and (left.x[0, 5:] == left.x[0, 5]).all() and (left.x[0, 4] != left.x[0, 5]).any()
    assert left.evaluations < found.evaluations
