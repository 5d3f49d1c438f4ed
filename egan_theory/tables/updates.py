"""The update rules, each one entry of RULES, written once and used three times.

A rule's step is a function of a state (w, x, *blocks) and of two velocity functions ``Vw(w, x)``, ``Vx(w, x)`` that
already contain the learning rates. It uses only +, - and multiplication by numbers. Given the nonlinear velocities it
is the simulator's step; given linear ones and identity columns it is the update matrix; given SymPy ones it is the map
whose Jury conditions the derivation prints. Rules that need more of the players than two velocities take ``Opponents``.

Sources: simultaneous, alternating: Mescheder et al. 2018; heavy ball: Polyak 1964, Gidel et al. 2019; extragradient:
Korpelevich 1976; optimistic: Daskalakis et al. 2018; best response: Li, Madry, Peebles, Schmidt 2018; averages: Ge et
al. 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base.errors import InputError
from ..base.parameters import collected, fraction, whole
from .stepping import (
    MOST_SUBSTEPS,
    RULES,
    SUBSTEP,
    UNIFORM,
    Opponents,
    Rule,
    State,
    UpdateRule,
    Velocity,
    linear_opponents,
    play,
    update,
    value_of,
)

__all__ = [
    "LINEAR_RULES",
    "MOST_SUBSTEPS",
    "PARAMETERS",
    "RULES",
    "SUBSTEP",
    "UNIFORM",
    "Opponents",
    "Rule",
    "State",
    "UpdateRule",
    "Velocity",
    "linear_opponents",
    "rules_with",
    "value_of",
]

SUBSTEPS = {
    "substeps": whole(4, 1, MOST_SUBSTEPS, "Runge-Kutta steps per unit of time", idle=True),
}
MOMENTA = {
    "momentum_discriminator": fraction(0.0, "heavy ball (adam: beta_1)", before="substeps"),
    "momentum_generator": fraction(0.0, "heavy ball (adam: beta_1)", before="substeps"),
}
CRITIC_STEPS = {
    "critic_steps": whole(1, 1, 10_000, "discriminator steps per generator step", before="momentum_discriminator"),
}


@update(
    "flow",
    "gradient flow, in continuous time",
    parameters=SUBSTEPS,
    continuous=True,
    averages=True,
    affine=True,
    examples=({"substeps": 2},),
)
def _flow(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    """Classical fourth-order Runge-Kutta of ``UpdateRule.velocity`` over one unit of time."""
    h = 1 / rule.substeps

    def ahead(state: State, t: float, k: State) -> State:
        return tuple(v + t * dv for v, dv in zip(state, k, strict=True))

    for _ in range(rule.substeps):
        k1 = rule.velocity(state, Vw, Vx, others)
        k2 = rule.velocity(ahead(state, h / 2, k1), Vw, Vx, others)
        k3 = rule.velocity(ahead(state, h / 2, k2), Vw, Vx, others)
        k4 = rule.velocity(ahead(state, h, k3), Vw, Vx, others)
        slope = tuple(a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True))
        state = ahead(state, h / 6, slope)
        if rule.responds:
            q = state[2] if "q" in rule.averages else None
            state = (others.best(state[0], state[1], q), *state[1:])
    return state


@update(
    "simultaneous",
    "simultaneous steps",
    parameters=MOMENTA,
    averages=True,
    affine=True,
    invariant=True,
    examples=(
        {"momentum_discriminator": 0.5},
        {"momentum_generator": 0.35},
        {"momentum_discriminator": 0.5, "momentum_generator": 0.35},
    ),
    text="both players move from the present state",
)
def _simultaneous(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    return play(rule, state, Vw, Vx, others, 1, ahead=False)


@update(
    "alternating",
    "alternating steps",
    parameters=CRITIC_STEPS | MOMENTA,
    averages=True,
    affine=True,
    examples=({"critic_steps": 3}, {"critic_steps": 2, "momentum_discriminator": 0.4, "momentum_generator": 0.25}),
    text="the generator sees the new discriminator, which may take several critic steps",
)
def _alternating(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    return play(rule, state, Vw, Vx, others, rule.critic_steps, ahead=True)


@update(
    "extragradient",
    "extragradient steps",
    invariant=True,
    text="the velocities are taken at a look-ahead point",
)
def _extragradient(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    w, x = state
    wh, xh = w + Vw(w, x), x + Vx(w, x)
    return w + Vw(wh, xh), x + Vx(wh, xh)


@update(
    "optimistic",
    "optimistic steps",
    blocks=("w", "x"),
    begin=lambda w, x, Vw, Vx: (Vw(w, x), Vx(w, x)),  # the first step is then a plain one
    invariant=True,
    text="twice the present velocity minus the previous one",
)
def _optimistic(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    w, x, vw_old, vx_old = state
    vw, vx = Vw(w, x), Vx(w, x)
    return w + 2 * vw - vw_old, x + 2 * vx - vx_old, vw, vx


@update("best_response", "steps against a discriminator at its best response", responds=True, averages=True)
def _best_response(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    return play(rule, state, Vw, Vx, others, None, ahead=True)


@update(
    "best_response_flow",
    "the flow of a discriminator at its best response",
    parameters=SUBSTEPS,
    continuous=True,
    responds=True,
    averages=True,
)
def _response_flow(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    return _flow(rule, state, Vw, Vx, others)


@update("adam", "Adam, for simulations of two networks (no theory covers it)", parameters=MOMENTA, networks=True)
def _adam(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any) -> State:
    raise InputError("update.rule", "be a map of the velocities here", repr(rule.rule))  # see simulation.networks


#: fields of [update] beside ``rule``
PARAMETERS = collected(entry.parameters for entry in RULES.values())


def rules_with(fact: Callable[[Rule], bool]) -> tuple[str, ...]:
    """The names of the rules of which that is so."""
    return tuple(name for name, entry in RULES.items() if fact(entry))


#: rules that linearizations have, and all simulations
LINEAR_RULES = rules_with(lambda entry: not entry.networks)
