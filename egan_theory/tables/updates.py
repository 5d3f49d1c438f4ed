"""The update rules, each written once and used three times.

A rule is a function of a state (w, x, *memory) and of two velocity functions ``Vw(w, x)``, ``Vx(w, x)`` that already
contain the learning rates. It uses only +, - and multiplication by numbers. Given the nonlinear velocities it is the
simulator's step; given linear ones and identity columns it is the update matrix; given SymPy ones it is the map whose
Jury conditions the derivation prints. Rules that need more of the players than two velocities take ``Opponents``.

Sources: simultaneous, alternating: Mescheder et al. 2018; heavy ball: Polyak 1964, Gidel et al. 2019; extragradient:
Korpelevich 1976; optimistic: Daskalakis et al. 2018; best response: Li, Madry, Peebles, Schmidt 2018; averages: Ge et
al. 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..base.errors import InputError, NotLinearizable

#: an averaging time that grows with training: all the past weighs alike
UNIFORM = "uniform"

#: largest |s| times substep of a flow: Runge-Kutta is stable to 2.8, and follows a mode to 3e-4 at 0.5
SUBSTEP = 0.5
#: Runge-Kutta steps per unit of time, at most
MOST_SUBSTEPS = 10_000

Velocity = Callable[[Any, Any], Any]
State = tuple[Any, ...]


@dataclass(frozen=True)
class Opponents:
    """What a player answers to besides the present opponent.

    push(x): what the discriminator sees of the particles, so that it can be averaged over time (linear theory: x);
    facing(w, x, q): the discriminator's velocity if it sees q in place of push(x);
    best(w, x, q): the w at which that velocity vanishes, q = None standing for push(x); w: where to look first.
    """

    best: Callable[[Any, Any, Any], Any] | None = None
    push: Callable[[Any], Any] | None = None
    facing: Callable[[Any, Any, Any], Any] | None = None


def linear_opponents(Vw: Velocity, solve: Callable[[Any], Any]) -> Opponents:
    """Those of velocities that are linear in (w, x): ``solve`` applies the inverse of w -> Vw(w, 0)."""
    return Opponents(
        best=lambda w, x, q: -solve(Vw(0 * w, x if q is None else q)),
        push=lambda x: x,
        facing=lambda w, x, q: Vw(w, q),
    )


@dataclass(frozen=True)
class UpdateRule:
    """An update rule with its numbers.

    rule: flow | simultaneous | alternating | extragradient | optimistic (adam: simulation.networks.stepper);
    best_response | best_response_flow: the discriminator is at its optimum for the particles it sees;
    critic_steps >= 1 (alternating);
    momentum_* in [0, 1) (simultaneous, alternating); substeps: Runge-Kutta steps per unit time (flows);
    average_generator, average_discriminator: times over which the opponent averages that player exponentially, 0: not
    at all, UNIFORM: over all of the past alike (flows, simultaneous, alternating, best_response).

    A uniform average is an exponential one over a time that grows as training does. With v_n the player after n steps
    and v(t) that of a flow,

        mean_(n+1) = mean_n + (v_(n+1) - mean_n)/(n + 2),   d mean/dt = (v - mean)/(t + 1)

    so that the start counts as one step, in a flow as one unit of time. The state then carries its clock, one number.
    """

    rule: str = "simultaneous"
    critic_steps: Any = 1
    momentum_discriminator: Any = 0.0
    momentum_generator: Any = 0.0
    substeps: int = 4
    average_generator: Any = 0.0
    average_discriminator: Any = 0.0

    @property
    def continuous(self) -> bool:
        return self.rule in ("flow", "best_response_flow")

    def resolving(self, fastest: float) -> UpdateRule:
        """The flow with substeps enough for modes of that rate (largest |s|). Raises InputError beyond MOST_SUBSTEPS:
        the same flow in slower time, with smaller learning rates, has an end."""
        needed = fastest / SUBSTEP
        times = needed / MOST_SUBSTEPS
        if not times <= 1:
            raise InputError(
                "update.substeps",
                f"be at most {MOST_SUBSTEPS} per unit of time (divide both learning rates by {times:.2g}"
                " or more and multiply run.steps by it, or take a discrete rule)",
                f"{needed:.3g} for the fastest mode, of rate {fastest:.3g} per unit of time",
            )
        return replace(self, substeps=max(self.substeps, math.ceil(needed)))

    @property
    def responds(self) -> bool:
        """Whether the discriminator has no dynamics of its own: it is at its optimum for what it sees."""
        return self.rule in RESPONSES

    @property
    def memory(self) -> tuple[str, ...]:
        """Blocks the state carries besides (w, x): "w" or "x" name the block each copies the shape of, "q" is the
        averaged push (linear theory: of the shape of x), "t" is the clock of uniform averages, one number."""
        if self.rule == "optimistic":
            return ("w", "x")
        return (*self._momenta, *self.averages, *(("t",) if self.uniform else ()))

    @property
    def _momenta(self) -> tuple[str, ...]:
        return tuple(
            block for block, m in (("w", self.momentum_discriminator), ("x", self.momentum_generator)) if _nonzero(m)
        )

    @property
    def averages(self) -> tuple[str, ...]:
        """The averages in the state: "q" of the push of the particles, "w" of the discriminator."""
        return tuple(block for block, t in self._times.items() if _nonzero(t))

    @property
    def uniform(self) -> tuple[str, ...]:
        """Those of ``averages`` that weigh all of the past alike."""
        return tuple(block for block, t in self._times.items() if isinstance(t, str))

    @property
    def _times(self) -> dict[str, Any]:
        return {"q": self.average_generator, "w": self.average_discriminator}

    def average_time(self, block: str, state: State) -> Any:
        """The time over which the step that led to ``state`` averaged "q" or "w"."""
        if block not in self.uniform:
            return self._times[block]
        return state[-1] + (0 if self.continuous else 1)

    def with_time(self, time: Any) -> UpdateRule:
        """The rule whose uniform averages are exponential ones over ``time``: what it is at one moment."""
        q, w = (time if isinstance(t, str) else t for t in (self.average_generator, self.average_discriminator))
        return replace(self, average_generator=q, average_discriminator=w)

    def check_autonomous(self) -> None:
        """Raise NotLinearizable where the map changes as training goes on."""
        if self.uniform:
            rule = "be a time to have a spectrum: uniform averages have powers of time, see egan power-laws"
            raise NotLinearizable("memory", f"{rule} or eg.power_laws", repr(UNIFORM))

    def _present(self, memory: Any) -> tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]:
        """(averages, the times over which they average now, clock) from the end of a state's memory."""
        clock = tuple(memory[len(self.averages) :])
        mean = dict(zip(self.averages, memory, strict=False))
        elapsed = clock[0] + (1 if self.continuous else 2) if clock else None
        return mean, {block: elapsed if block in self.uniform else self._times[block] for block in mean}, clock

    def start(self, w: Any, x: Any, Vw: Velocity, Vx: Velocity, opponents: Opponents | None = None) -> State:
        """State at step 0: at rest for momentum; averages are those of the start; optimistic steps begin with the
        current velocity, so that the first step is a plain one."""
        if self.rule == "optimistic":
            return (w, x, Vw(w, x), Vx(w, x))
        others = self._opponents(opponents)
        if self.responds:
            w = others.best(w, x, None)
        averages = tuple(w if block == "w" else others.push(x) for block in self.averages)
        momenta = (0 * {"w": w, "x": x}[block] for block in self._momenta)
        return (w, x, *momenta, *averages, *((0.0,) if self.uniform else ()))

    def step(self, state: State, Vw: Velocity, Vx: Velocity, opponents: Opponents | None = None) -> State:
        """One generator step (flow: one unit of time)."""
        if self.responds or self.averages:
            return RICH_STEPS[self.rule](self, state, Vw, Vx, self._opponents(opponents))
        return STEPS[self.rule](self, state, Vw, Vx)

    def velocity(self, state: State, Vw: Velocity, Vx: Velocity, opponents: Opponents | None = None) -> State:
        """d(state)/dt of the flows, averages and clock included; a discriminator at its optimum has velocity 0."""
        w, x, *memory = state
        others = self._opponents(opponents)
        mean, times, clock = self._present(memory)
        q = mean.get("q")
        if self.responds:
            w = others.best(w, x, q)
        dw = 0 * w if self.responds else Vw(w, x) if q is None else others.facing(w, x, q)
        out = [dw, Vx(mean.get("w", w), x)]
        if q is not None:
            out.append((others.push(x) - q) / times["q"])
        if "w" in mean:
            out.append((w - mean["w"]) / times["w"])
        return (*out, *(1.0 for _ in clock))

    def _opponents(self, opponents: Opponents | None) -> Any:
        if opponents is None and (self.responds or self.averages):
            raise InputError("update.rule", "be one without best response or averages here", repr(self.rule))
        return opponents


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


# -- rules with best responses and averages --------------------------------------------------------------------------


def _rich(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Opponents) -> State:
    """Simultaneous, alternating and best_response steps with averages; each average follows the step of its player."""
    w, x, *rest = state
    memory = dict(zip(rule._momenta, rest, strict=False))
    mean, times, clock = rule._present(rest[len(memory) :])
    assert others.push is not None and others.facing is not None

    def faced(w: Any) -> Any:
        return others.facing(w, x, mean["q"]) if "q" in mean else Vw(w, x)  # type: ignore[misc]

    seen = mean.get("w", w)
    if rule.rule == "best_response":
        assert others.best is not None
        w = others.best(w, x, mean.get("q"))
    else:
        for _ in range(rule.critic_steps if rule.rule == "alternating" else 1):
            w = w + _push(rule.momentum_discriminator, memory, "w", faced(w))
    if "w" in mean:
        mean["w"] = mean["w"] + (w - mean["w"]) / times["w"]
    if rule.rule != "simultaneous":
        seen = mean.get("w", w)
    x = x + _push(rule.momentum_generator, memory, "x", Vx(seen, x))
    if "q" in mean:
        mean["q"] = mean["q"] + (others.push(x) - mean["q"]) / times["q"]
    return (w, x, *memory.values(), *mean.values(), *(n + 1 for n in clock))


def _rich_flow(rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Opponents) -> State:
    """Classical Runge-Kutta of ``UpdateRule.velocity``."""
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
            assert others.best is not None
            q = state[2] if "q" in rule.averages else None
            state = (others.best(state[0], state[1], q), *state[1:])
    return state


#: rules in which the discriminator is at its optimum: discrete generator steps, and their flow
RESPONSES = ("best_response", "best_response_flow")
RICH_STEPS: dict[str, Callable[[UpdateRule, State, Velocity, Velocity, Opponents], State]] = {
    "best_response": _rich,
    "simultaneous": _rich,
    "alternating": _rich,
    "flow": _rich_flow,
    "best_response_flow": _rich_flow,
}

STEPS: dict[str, Callable[[UpdateRule, State, Velocity, Velocity], State]] = {
    "flow": _flow,
    "simultaneous": _simultaneous,
    "alternating": _alternating,
    "extragradient": _extragradient,
    "optimistic": _optimistic,
}


#: rules that are no linear maps of the velocities: simulations of networks have them, linearizations do not
NETWORK_RULES = ("adam",)


def check_rule(rule: str) -> None:
    if rule not in (*STEPS, *RESPONSES):
        raise InputError("update.rule", f"be one of {', '.join((*STEPS, *RESPONSES))}", repr(rule))
