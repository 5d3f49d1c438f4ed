"""Multipliers of optimisers at a checkpoint: the equations of theory.md, and the entries' own steps."""

import numpy as np
import pytest
import sympy as sp

from egan_theory.symbolic import checkpoint as c
from egan_theory.symbolic import derive
from egan_theory.tables.updates import UpdateRule
from tests.symbolic.latex_values import value

EQUATIONS = derive().equations


def test_frozen_adam_is_heavy_ball_with_its_own_scale():
    """Both are z^2 - (1 + beta - gain) z + beta; the equation of theory.md is that of Adam."""
    z, beta, P, h = c.z, c.beta, c.P, c.h
    assert sp.expand(c.frozen().as_expr() - c.heavy_ball().as_expr().subs(P, (1 - beta) * P)) == 0
    assert sp.expand(c.frozen().as_expr() - ((z - 1) * (z - beta) + (1 - beta) * P * h * z)) == 0
    assert sp.expand(c.heavy_ball().as_expr().subs(beta, 0) - z * (z - 1 + P * h)) == 0


def test_the_frozen_map_follows_from_the_live_one():
    """Off rest they differ by r = m g/v; at rest the live one has the frozen multipliers, and beta_2."""
    z, beta, beta2, P, h, r = c.z, c.beta, c.beta2, c.P, c.h, c.r
    whole = (z - 1) * (z - beta) * (z - beta2)
    expected = whole + P * h * z * ((1 - beta) * (z - beta2) - (1 - beta2) * r * (z - beta))
    assert sp.simplify(c.live().as_expr() - expected) == 0
    assert sp.expand(c.live().as_expr().subs(r, 0) - (z - beta2) * c.frozen().as_expr()) == 0


def test_lazy_penalties_and_averages_are_those_of_the_text():
    k, s = 3, sp.Symbol("s", positive=True)
    expected = (1 - c.P * (c.h + k * s)) * (1 - c.P * c.h) ** (k - 1)
    assert sp.expand(c.lazy(k) - expected) == 0
    at = {"b": 0.9, "omega": 0.7}
    found = float(abs(c.averaging().subs({sp.Symbol(n, positive=True): v for n, v in at.items()}).evalf()))
    assert found == pytest.approx(abs((1 - 0.9) / (np.exp(0.7j) - 0.9)), rel=1e-12)
    printed = EQUATIONS["averaged-weights"].parts[0][2]
    assert value(printed, {"b": 0.9, r"\omega": 0.7}) == pytest.approx(found, rel=1e-12)


def test_momentum_is_that_of_the_update_rules():
    """The heavy ball of tables.updates, whose velocity has the learning rate in it."""
    rule = UpdateRule("simultaneous", momentum_discriminator=0.4)
    state = (1.0, 0.0, *(0.3 for _ in rule.blocks))
    step, h = 0.2, 1.7
    w, _, *memory = rule.step(state, lambda w, x: -step * h * w, lambda w, x: 0.0 * x, None)
    after = rule.step((w, 0.0, *memory), lambda w, x: -step * h * w, lambda w, x: 0.0 * x, None)[0]
    trace = float(c.heavy_ball().all_coeffs()[1].subs({c.P: step, c.h: h, c.beta: 0.4}))
    assert after == pytest.approx(-trace * w - 0.4 * 1.0)
