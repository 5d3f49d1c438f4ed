"""The update rules, each written once and used three times.

A rule is a function of a state (w, x, *memory) and of two velocity functions ``Vw(w, x)``, ``Vx(w, x)`` that already
contain the learning rates. It uses only +, - and multiplication by numbers. Given the nonlinear velocities it is the
simulator's step; given linear ones and identity columns it is the update matrix; given SymPy ones it is the map whose
Jury conditions the derivation prints.

Sources: simultaneous, alternating: Mescheder et al. 2018; heavy ball: Polyak 1964, Gidel et al. 2019; extragradient:
Korpelevich 1976; optimistic: Daskalakis et al. 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import InputError

Velocity = Callable[[Any, Any], Any]
State = tuple[Any, ...]


@dataclass(frozen=True)
class UpdateRule:
    """An update rule with its numbers.

    rule: flow | simultaneous | alternating | extragradient | optimistic; critic_steps >= 1 (alternating);
    momentum_* in [0, 1) (simultaneous, alternating); substeps: Runge-Kutta steps per unit time (flow).
    """

    rule: str = "simultaneous"
    critic_steps: Any = 1
    momentum_discriminator: Any = 0.0
    momentum_generator: Any = 0.0
    substeps: int = 4

    @property
    def continuous(self) -> bool:
        return self.rule == "flow"

    @property
    def memory(self) -> tuple[str, ...]:
        """Blocks the state carries besides (w, x): "w" or "x" name the block each copies the shape of."""
        if self.rule == "optimistic":
            return ("w", "x")
        return tuple(
            block for block, m in (("w", self.momentum_discriminator), ("x", self.momentum_generator)) if _nonzero(m)
        )

    def start(self, w: Any, x: Any, Vw: Velocity, Vx: Velocity) -> State:
        """State at step 0: at rest for momentum; optimistic steps begin with the current velocity, so that the
        first step is a plain one."""
        if self.rule == "optimistic":
            return (w, x, Vw(w, x), Vx(w, x))
        return (w, x, *(0 * {"w": w, "x": x}[block] for block in self.memory))

    def step(self, state: State, Vw: Velocity, Vx: Velocity) -> State:
        """One generator step (flow: one unit of time)."""
        return STEPS[self.rule](self, state, Vw, Vx)


def _nonzero(m: Any) -> bool:
    return not (isinstance(m, int | float) and m == 0)


def _heavy_ball(rule: UpdateRule, state: State) -> tuple[Any, Any, dict[str, Any]]:
    w, x, *memory = state
    return w, x, dict(zip(rule.memory, memory, strict=True))


def _push(momentum: Any, memory: dict[str, Any], block: str, velocity: Any) -> Any:
    """Heavy ball: the increment is velocity + momentum * previous increment."""
    if block not in memory:
        return velocity
    memory[block] = velocity + momentum * memory[block]
    return memory[block]


def _simultaneous(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity) -> State:
    w, x, memory = _heavy_ball(rule, state)
    vw, vx = Vw(w, x), Vx(w, x)
    w = w + _push(rule.momentum_discriminator, memory, "w", vw)
    x = x + _push(rule.momentum_generator, memory, "x", vx)
    return (w, x, *memory.values())


def _alternating(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity) -> State:
    w, x, memory = _heavy_ball(rule, state)
    for _ in range(rule.critic_steps):
        w = w + _push(rule.momentum_discriminator, memory, "w", Vw(w, x))
    x = x + _push(rule.momentum_generator, memory, "x", Vx(w, x))
    return (w, x, *memory.values())


def _extragradient(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity) -> State:
    w, x = state
    wh, xh = w + Vw(w, x), x + Vx(w, x)
    return w + Vw(wh, xh), x + Vx(wh, xh)


def _optimistic(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity) -> State:
    w, x, vw_old, vx_old = state
    vw, vx = Vw(w, x), Vx(w, x)
    return w + 2 * vw - vw_old, x + 2 * vx - vx_old, vw, vx


def _flow(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity) -> State:
    """Classical fourth-order Runge-Kutta over one unit of time in ``substeps`` equal steps."""
    w, x = state
    h = 1 / rule.substeps
    for _ in range(rule.substeps):
        w1, x1 = Vw(w, x), Vx(w, x)
        a, b = w + h / 2 * w1, x + h / 2 * x1
        w2, x2 = Vw(a, b), Vx(a, b)
        a, b = w + h / 2 * w2, x + h / 2 * x2
        w3, x3 = Vw(a, b), Vx(a, b)
        a, b = w + h * w3, x + h * x3
        w4, x4 = Vw(a, b), Vx(a, b)
        w, x = w + h / 6 * (w1 + 2 * w2 + 2 * w3 + w4), x + h / 6 * (x1 + 2 * x2 + 2 * x3 + x4)
    return w, x


STEPS: dict[str, Callable[[UpdateRule, State, Velocity, Velocity], State]] = {
    "flow": _flow,
    "simultaneous": _simultaneous,
    "alternating": _alternating,
    "extragradient": _extragradient,
    "optimistic": _optimistic,
}


def check_rule(rule: str) -> None:
    if rule not in STEPS:
        raise InputError("update.rule", f"be one of {', '.join(STEPS)}", repr(rule))
