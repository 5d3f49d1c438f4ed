"""The state of the players and how a rule moves it: what all update rules share. The rules are in ``updates``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from ..base.errors import InputError, NotLinearizable
from ..base.parameters import Parameter

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


#: step(rule, state, Vw, Vx, opponents); opponents may be None where the rule has no use for them
Step = Callable[["UpdateRule", State, Velocity, Velocity, Any], State]


@dataclass(frozen=True)
class Rule:
    """One update rule: all that is known about it. ``step`` makes one generator step (of a flow one unit of time).

    parameters: the fields of [update] that it has, beside its name; a momentum above 0 adds a block to the state.
    blocks: further blocks of its state (see UpdateRule.blocks), ``begin(w, x, Vw, Vx)`` what they hold at step 0.
    continuous: a flow. responds: the discriminator is at its optimum for what it sees. averages: opponents may be
    averaged. affine: without momentum and with one critic step, trace and determinant of a mode's map are affine in its
    stiffness mu^2. networks: no linear map of the velocities, so that simulations of networks have it and
    linearizations do not. text: how the derivation introduces its map; invariant: the map's eigenvalues follow from
    trace and determinant of a mode's Jacobian alone. examples: settings of its parameters that tests go through.
    """

    name: str
    title: str
    step: Step
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()
    begin: Callable[[Any, Any, Velocity, Velocity], State] | None = None
    continuous: bool = False
    responds: bool = False
    averages: bool = False
    affine: bool = False
    networks: bool = False
    text: str = ""
    invariant: bool = False
    examples: tuple[Mapping[str, Any], ...] = ()


RULES: dict[str, Rule] = {}


def update(name: str, title: str, **facts: Any) -> Callable[[Step], Step]:
    """Decorator: the step becomes that of a new entry of RULES; ``facts``: the other fields of Rule."""

    def entered(step: Step) -> Step:
        RULES[name] = Rule(name, title, step, **facts)
        return step

    return entered


@dataclass(frozen=True)
class UpdateRule:
    """An update rule with its numbers.

    rule: a name of RULES; critic_steps, momentum_*, substeps: those parameters where the rule has them; own: (name,
    value) of parameters that only this rule has, which are attributes, too;
    average_generator, average_discriminator: times over which the opponent averages that player exponentially, 0: not
    at all, UNIFORM: over all of the past alike (rules with ``averages``).

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
    own: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, rule: str, numbers: Mapping[str, Any], generator: Any = 0.0, discriminator: Any = 0.0) -> UpdateRule:
        """The rule with its parameters from ``numbers`` and the times of the averages of both players."""
        known = {name: numbers[name] for name in numbers if name in {f.name for f in fields(cls)}}
        own = tuple((name, numbers[name]) for name in RULES[rule].parameters if name not in known)
        return cls(rule, **known, average_generator=generator, average_discriminator=discriminator, own=own)

    def __getattr__(self, name: str) -> Any:
        for key, value in self.__dict__.get("own", ()):
            if key == name:
                return value
        entry = RULES.get(self.__dict__.get("rule", ""))
        if entry is not None and name in entry.parameters:
            return entry.parameters[name].default
        raise AttributeError(name)

    @cached_property
    def entry(self) -> Rule:
        return RULES[self.rule]

    @property
    def continuous(self) -> bool:
        return self.entry.continuous

    @property
    def time_unit(self) -> str:
        """What training time is counted in."""
        return "time" if self.continuous else "step"

    @property
    def rate_unit(self) -> str:
        return f"1/{self.time_unit}"

    @property
    def plain_flow(self) -> bool:
        """Whether the modes of the rule are those of the players' Jacobian itself."""
        return self.continuous and not self.responds and not self.averages

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
        return self.entry.responds

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Blocks the state carries besides (w, x): "w" or "x" name the block each copies the shape of, "q" is the
        averaged push (linear theory: of the shape of x), "t" is the clock of uniform averages, one number."""
        return (*self.entry.blocks, *self.momenta, *self.averages, *(("t",) if self.uniform else ()))

    @cached_property
    def momenta(self) -> tuple[str, ...]:
        """The players that have momentum: "w", "x"."""
        names = {"w": "momentum_discriminator", "x": "momentum_generator"}
        return tuple(b for b, n in names.items() if n in self.entry.parameters and _nonzero(getattr(self, n)))

    @cached_property
    def averages(self) -> tuple[str, ...]:
        """The averages in the state: "q" of the push of the particles, "w" of the discriminator."""
        return tuple(block for block, t in self._times.items() if _nonzero(t))

    @cached_property
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
        """State at step 0: at rest for momentum; averages are those of the start; blocks of its own as it says."""
        others = self._opponents(opponents)
        if self.responds:
            w = others.best(w, x, None)
        own = () if self.entry.begin is None else self.entry.begin(w, x, Vw, Vx)
        averages = tuple(w if block == "w" else others.push(x) for block in self.averages)
        momenta = (0 * {"w": w, "x": x}[block] for block in self.momenta)
        return (w, x, *own, *momenta, *averages, *((0.0,) if self.uniform else ()))

    def step(self, state: State, Vw: Velocity, Vx: Velocity, opponents: Opponents | None = None) -> State:
        """One generator step (flow: one unit of time)."""
        return self.entry.step(self, state, Vw, Vx, self._opponents(opponents))

    def decrement(self, state: State, Vw: Velocity, Vx: Velocity, opponents: Opponents | None = None) -> State:
        """What one generator step adds to the state. What it adds to the players and their averages is summed by itself
        (``Carried``): small changes of them keep all their digits, which a difference of two states loses."""
        kept = {0, 1, *range(len(state) - len(self.averages), len(state))}
        self.check_autonomous()
        before = tuple(Carried(v, 0 * v) if i in kept else v for i, v in enumerate(state))
        after = self.entry.step(self, before, Vw, Vx, self._opponents(opponents))
        return tuple(a.change if isinstance(a, Carried) else a - v for a, v in zip(after, state, strict=True))

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


@dataclass(frozen=True)
class Carried:
    """start + change, the sum not taken: what is added goes into the change. Of what a rule does with a player, it
    knows sums, and products with numbers; the difference of two is their values' one."""

    start: Any
    change: Any

    #: arrays leave sums and products with it to it
    __array_ufunc__ = None

    @property
    def value(self) -> Any:
        return self.start + self.change

    def __add__(self, other: Any) -> Carried:
        return Carried(self.start, self.change + other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Carried):
            return (self.start - other.start) + (self.change - other.change)
        return Carried(self.start, self.change - other)

    def __rsub__(self, other: Any) -> Any:
        return other - self.value

    def __mul__(self, factor: Any) -> Carried:
        return Carried(factor * self.start, factor * self.change)

    __rmul__ = __mul__


def value_of(v: Any) -> Any:
    """The number that may be carried."""
    return v.value if isinstance(v, Carried) else v


def _nonzero(m: Any) -> bool:
    return not (isinstance(m, int | float) and m == 0)


def _push(momentum: Any, memory: dict[str, Any], block: str, velocity: Any) -> Any:
    """Heavy ball: the increment is velocity + momentum * previous increment."""
    if block not in memory:
        return velocity
    memory[block] = velocity + momentum * memory[block]
    return memory[block]


def play(
    rule: UpdateRule, state: State, Vw: Velocity, Vx: Velocity, others: Any, critic_steps: int | None, ahead: bool
) -> State:
    """Steps of the discriminator (None: its best response), then one of the generator, which sees the discriminator of
    after those steps if ``ahead``. Each average follows the step of its player."""
    w, x, *rest = state
    memory = dict(zip(rule.momenta, rest, strict=False))
    mean, times, clock = rule._present(rest[len(memory) :])
    seen = mean.get("w", w)
    if critic_steps is None:
        w = others.best(w, x, mean.get("q"))
    else:
        for _ in range(critic_steps):
            velocity = others.facing(w, x, mean["q"]) if "q" in mean else Vw(w, x)
            w = w + _push(rule.momentum_discriminator, memory, "w", velocity)
    if "w" in mean:
        mean["w"] = mean["w"] + (w - mean["w"]) / times["w"]
    if ahead:
        seen = mean.get("w", w)
    x = x + _push(rule.momentum_generator, memory, "x", Vx(seen, x))
    if "q" in mean:
        mean["q"] = mean["q"] + (others.push(x) - mean["q"]) / times["q"]
    return (w, x, *memory.values(), *mean.values(), *(n + 1 for n in clock))
