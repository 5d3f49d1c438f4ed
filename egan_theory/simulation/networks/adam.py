"""Adam (Kingma and Ba 2015, algorithm 1) on both players at once: a rule for simulations of networks alone.

    m <- beta_1 m + (1 - beta_1) F,   v <- beta_2 v + (1 - beta_2) F^2,   step eta m' / (sqrt(v') + epsilon)

with m' = m / (1 - beta_1^t), v' = v / (1 - beta_2^t). The step is not a linear map of F near equilibrium, so no
linearization of it exists. beta_1 is the player's momentum in ``[update]``; beta_2 and epsilon are the usual ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...experiment import Experiment

BETA_2, EPSILON = 0.999, 1e-8

Gradient = Callable[[Any, Any], Any]
State = tuple[Any, ...]


def adam_start(w: Any, g: Any) -> State:
    """(w, g, m_w, v_w, m_g, v_g, t)."""
    return (w, g, 0 * w, 0 * w, 0 * g, 0 * g, 0.0 * w[..., 0])


def adam_step(exp: Experiment, state: State, Fw: Gradient, Fg: Gradient, eta_D: Any, eta_G: Any) -> State:
    """One simultaneous step up the players' own gradients."""
    w, g, mw, vw, mg, vg, t = state
    t = t + 1
    dw, mw, vw = _moments(Fw(w, g), mw, vw, t, exp.update.momentum_discriminator)
    dg, mg, vg = _moments(Fg(w, g), mg, vg, t, exp.update.momentum_generator)
    return (w + eta_D * dw, g + eta_G * dg, mw, vw, mg, vg, t)


def _moments(F: Any, m: Any, v: Any, t: Any, beta: float) -> tuple[Any, Any, Any]:
    m, v = beta * m + (1 - beta) * F, BETA_2 * v + (1 - BETA_2) * F * F
    return m / (1 - beta**t) / ((v / (1 - BETA_2**t)) ** 0.5 + EPSILON), m, v
