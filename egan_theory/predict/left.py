"""What training of a stated length leaves of a kick, and the strength to choose for it.

    left(T; strength)^2 = E |dx(T)|^2 / E |dx(0)|^2 = |P_xx(T)|_F^2 / (N d)

for an isotropic kick of the particles with the discriminator at rest, exact on the linear dynamics (linear.kick).
Coordinates that never move (particles on one point against each other, directions that D does not feel) stay in it
whatever the strength, so that strengths are compared by what is left of the others, ``moving``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..linear.kick import kick
from ..problem.problem import Problem

#: strengths that leave at most this much more than the least are as good: nobody can tell them apart
FLAT = 0.01
#: ... and if they span this factor or more, the range is the answer and its lower end the advice
WIDE = 10.0
#: less than this part of a kick is below the second order of the simulated one: no number is told below it
RESOLVED = 1e-7
#: an advised strength is at most the largest stable one divided by this
SAFETY = 2.0


class Left(NamedTuple):
    """rms displacement of the particles at the horizon over that of the kick; inf where it overflows.

    Attributes:
        total: [1] of all coordinates.
        moving: [1] of those that can move.
        frozen: [1] the total if nothing were left of those that can move.
        resolution: [1] less than this is rounding.
    """

    total: float
    moving: float
    frozen: float
    resolution: float

    def __repr__(self) -> str:
        return f"Left(total {self.total:.4g}, moving {self.moving:.4g}, frozen {self.frozen:.4g} of the kick)"


def horizon_of(exp: Experiment, horizon: float | None) -> float:
    """The length of training in steps (flows: units of time), default run.steps; InputError unless it is one."""
    if horizon is None:
        return float(exp.run.steps)
    number = isinstance(horizon, Real) and not isinstance(horizon, bool | np.bool_)
    whole = number and (exp.update_rule.continuous or float(horizon).is_integer())
    if not (number and np.isfinite(horizon) and horizon > 0 and whole):
        rule = "be a time > 0" if exp.update_rule.continuous else "be a whole number of steps > 0"
        raise InputError("horizon", rule, repr(horizon) if isinstance(horizon, str) else horizon)
    return float(horizon)


@takes_experiment
def left_over(exp: Experiment, horizon: float | None = None) -> Left:
    """What ``horizon`` steps (flows: units of time; default run.steps) leave of a kick of the particles.

        total^2 = |P_xx(T)|_F^2 / (N d),   P_xx the particles' block of the propagator

    Returns:
        total, moving, frozen, resolution: numbers, see egan_theory.predict.left.Left.

    Units:
        Pure numbers: rms displacement at the horizon over that of the kick.

    Raises:
        InputError: a horizon that is no time > 0 (of steps: no whole number).
        NotLinearizable: no equilibrium to be kicked from.

    Assumes:
        The kick is small and starts at equilibrium; not checked.

    Source:
        Eq. (27, left).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> eg.left_over(exp, 400).moving < eg.left_over(exp, 200).moving < 1
        True
    """
    time = horizon_of(exp, horizon)
    kicked = kick(Problem(exp))
    square, moved = kicked.moving(exp.update_rule, time), kicked.size - kicked.frozen
    parts = (square + kicked.frozen) / kicked.size, square / moved if moved else 1.0, kicked.frozen / kicked.size
    total, moving, frozen = map(float, np.sqrt(parts))
    return Left(total, moving, frozen, kicked.resolution)


@dataclass(frozen=True)
class ForHorizon(Record):
    """The strength of a penalty for training of ``horizon`` steps, and what it leaves of a small isotropic kick.

    Of several draws: rms of what is left, mean of the rates, smallest edge.

    Attributes:
        best: [unit of the penalty] the advised strength, 0 if none helps.
        horizon: [steps; flow: time] length of training.
        left: [1] rms displacement of the particles at the horizon over that of the kick, at ``best``.
        left_without: [1] the same at strength 0 (nan: no equilibrium, inf: it overflows).
        left_at_half: [1] the same at best/2.
        left_at_double: [1] the same at 2 best.
        frozen: [1] the part of ``left`` that no strength changes.
        moving: [1] as left, of the coordinates that can move.
        moving_without: [1] as left_without, of the coordinates that can move.
        moving_at_half: [1] as left_at_half, of the coordinates that can move.
        moving_at_double: [1] as left_at_double, of the coordinates that can move.
        low: [unit of the penalty] smallest strength that leaves at most 1 % more than the least.
        high: [unit of the penalty] largest such strength.
        edge: [unit of the penalty] largest strength at which every mode decays, None if there is no such limit.
        rate: [1/step; flow: 1/time] slowest decay rate of the modes by which the particles converge, at ``best``.
        rate_at_half: [1/step; flow: 1/time] the same at best/2.
        rate_at_double: [1/step; flow: 1/time] the same at 2 best.
        asymptotic: what would be best for a training without end, an eg.Fastest.
        unit: "steps" or "units of time".
        assumptions: what is taken for granted, in words.
        strengths: [unit of the penalty] (n,) strengths of the scanned curve.
        lefts: [1] (n,) what each leaves of all coordinates.

    Source:
        Eq. (27, left).
    """

    best: float
    horizon: float
    left: float
    left_without: float
    left_at_half: float
    left_at_double: float
    frozen: float
    moving: float
    moving_without: float
    moving_at_half: float
    moving_at_double: float
    low: float
    high: float
    edge: float | None
    rate: float
    rate_at_half: float
    rate_at_double: float
    asymptotic: Any
    unit: str
    assumptions: tuple[str, ...]
    strengths: np.ndarray = field(repr=False, compare=False)
    lefts: np.ndarray = field(repr=False, compare=False)

    @property
    def share_of_edge(self) -> float | None:
        """best/edge [1], None without an edge."""
        return None if not self.edge else self.best / self.edge

    @property
    def span(self) -> str:
        """The horizon with its unit."""
        return f"{self.horizon:g} {'units of time' if 'time' in self.unit else 'steps'}"

    @property
    def rate_unit(self) -> str:
        """Of decay rates."""
        return "1/time" if "time" in self.unit else "1/step"

    def grid(self) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Titles of columns, and rows, for readers: the shown attributes and their values."""
        head, rows = super().grid()
        left = {self._label(key) for key in self.SHOWN if key.startswith(("left", "moving"))}
        return head, [(label, in_table(value) if label in left else value) for label, value in rows]

    @property
    def never_moves(self) -> list[str]:
        """The remark on what is frozen, if anything is."""
        text = f"{part(self.frozen)} of the kick never moves, whatever the strength (what is 'left' is of the rest)"
        return [text] if self.frozen > 0 else []


def told(at: Mapping[float, Sequence[Left]]) -> dict[str, Any]:
    """The numbers of ``ForHorizon`` on what is left, from that of each draw at 0, 1/2, 1 and 2 times the best."""
    total, moving, frozen = (
        {f: math.hypot(*(one[i] for one in ones)) / math.sqrt(len(ones)) for f, ones in at.items()} for i in range(3)
    )
    return {
        "left": total[1.0], "left_without": total[0.0], "left_at_half": total[0.5], "left_at_double": total[2.0],
        "moving": moving[1.0], "moving_without": moving[0.0], "moving_at_half": moving[0.5],
        "moving_at_double": moving[2.0], "frozen": frozen[1.0],
    }  # fmt: skip


def resolved(value: float) -> bool:
    """Whether a kick can show such a part of it: 0, and what is not below RESOLVED."""
    return not 0 < value < RESOLVED


def plain(value: float) -> str:
    """A power of ten in words: 1e-7."""
    return f"{value:g}".replace("e-0", "e-")


def part(value: float) -> str:
    """A part of the kick in a sentence."""
    if not resolved(value):
        return f"below {plain(RESOLVED)}"
    return f"{value:.3g}" if np.isfinite(value) else "more than can be computed"


def in_table(value: float | None) -> float | str | None:
    """A part of the kick as a table's cell: a number if it is resolved."""
    return value if value is None or resolved(value) else part(value)


def measured_part(value: float, error: float) -> str:
    """``part`` of a simulated kick, with its standard error."""
    return f"{value:.3g} ± {error:.1g}" if resolved(value) else part(value)


@dataclass(frozen=True)
class Choice:
    """A strength for a horizon. best: the advice, 0 if no strength helps; optimum: where least is left; low, high: the
    strengths around it that leave at most 1 % more. helps: whether any leaves less than none does, by more than that.
    limited: whether the margin to the stability edge decides."""

    best: float
    optimum: float
    low: float
    high: float
    helps: bool
    limited: bool


def choose(
    strengths: np.ndarray,
    left: np.ndarray,
    without: float,
    edge: float | None = None,
    safety: float = SAFETY,
    resolution: float = 0.0,
) -> Choice:
    """The strength to take of ascending ``strengths`` > 0 that leave ``left`` (NaN: no equilibrium).

    The least that is left decides, among strengths of at most edge / safety (edge: the largest stable strength, or
    None). Strengths that leave up to 1 % more are as good; where those next to the optimum span a decade or more, the
    gentlest of them is the advice. Less than ``resolution`` is nothing. None is advised (best = 0) where ``without`` is
    as good.
    """
    finite = np.where(np.isfinite(left), np.maximum(left, resolution), np.inf)
    allowed = np.ones(len(strengths), dtype=bool) if edge is None else strengths <= edge / safety
    if not allowed.any() or not np.isfinite(finite[allowed]).any():
        return Choice(0.0, 0.0, 0.0, 0.0, False, bool(edge is not None))
    masked = np.where(allowed, finite, np.inf)
    i = int(np.argmin(masked))
    good = masked <= (1 + FLAT) * masked[i]
    first, last = i, i
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(strengths) - 1 and good[last + 1]:
        last += 1
    low, high, optimum = (float(strengths[j]) for j in (first, last, i))
    best = low if high >= WIDE * low else optimum
    helps = not (np.isfinite(without) and without <= (1 + FLAT) * masked[i])
    limited = bool(edge is not None and finite.min() * (1 + FLAT) < masked[i])
    return Choice(best if helps else 0.0, optimum, low, high, helps, limited)


__all__ = ["FLAT", "SAFETY", "Choice", "ForHorizon", "Left", "choose", "horizon_of", "left_over", "part", "told"]
