"""A quantity as a curve over strengths of a penalty: scanned, its least refined, and where it stops to hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from scipy.optimize import minimize_scalar

from ..base.config import LARGEST
from ..base.errors import NotLinearizable
from ..experiment import Experiment
from .left import Left, left_over
from .margin import growth

Array = np.ndarray
T = TypeVar("T")

#: the edge of stability is looked for at this many strengths per decade and then refined to this relative accuracy
EDGE_PER_DECADE, EDGE_TOLERANCE = 2, 1e-4


class Curve(Generic[T]):
    """``value`` of the experiment at strengths of the penalty at ``path``, each computed once; ``missing`` where there
    is no equilibrium, or beyond what may be given."""

    def __init__(
        self,
        exp: Experiment,
        path: str,
        value: Callable[[Experiment], T],
        missing: T,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.exp, self.path, self.value, self.missing, self.progress = exp, path, value, missing, progress
        self.known: dict[float, T] = {}

    def at(self, strength: float) -> T:
        strength = float(strength)
        if strength not in self.known:
            try:
                given = strength <= LARGEST
                self.known[strength] = self.value(self.exp.replace({self.path: strength})) if given else self.missing
            except NotLinearizable:
                self.known[strength] = self.missing
        return self.known[strength]

    def over(self, strengths: Array) -> list[T]:
        """At each strength; progress is told of the new ones."""
        new = [s for s in map(float, strengths) if s not in self.known]
        for i, strength in enumerate(new):
            self.at(strength)
            if self.progress is not None:
                self.progress(i + 1, len(new))
        return [self.at(s) for s in strengths]


class LeftCurve(Curve[Left]):
    """What ``time`` leaves of a kick (predict.left); NaN where there is no equilibrium. Called: of what can move."""

    def __init__(
        self, exp: Experiment, path: str, time: float, progress: Callable[[int, int], None] | None = None
    ) -> None:
        super().__init__(exp, path, lambda at: left_over(at, time), Left(*4 * (float("nan"),)), progress)

    def __call__(self, strengths: Array) -> Array:
        return np.array([left.moving for left in self.over(strengths)])

    def visible(self, strengths: Array) -> Array:
        """The same, or the least that can be told from nothing; inf where it overflows or there is no equilibrium."""
        found = np.array([max(left.moving, left.resolution) for left in self.over(strengths)])
        return np.where(np.isfinite(found), found, np.inf)

    def resolution(self, strengths: Array) -> float:
        return max((v.resolution for v in self.over(strengths) if np.isfinite(v.resolution)), default=0.0)


def least_of(values: Array) -> Array:
    """Index of the least finite value, along the last axis."""
    return np.asarray(np.argmin(np.where(np.isfinite(values), values, np.inf), axis=-1))


def widened(
    value: Callable[[Array], Array], strengths: Array, factor: float, points: int, times: int, limit: float = np.inf
) -> Array:
    """Ascending ``strengths``, continued upwards by ``factor`` in ``points`` steps while every row of ``value``,
    (..., strength), is least at their end below ``limit``; ``times`` times at most."""
    for _ in range(times):
        if limit <= strengths[-1] or not np.all(least_of(value(strengths)) == len(strengths) - 1):
            break
        strengths = np.append(strengths, strengths[-1] * np.geomspace(1, factor, points + 1)[1:])
    return strengths


def finer(value: Callable[[Array], Array], strengths: Array, limit: float, decades: float, per_decade: int) -> Array:
    """Ascending ``strengths`` with more of them around the least of those up to ``limit``, and the limit itself."""
    inside = strengths[strengths <= limit]
    if not len(inside):
        return strengths
    close = inside[least_of(value(inside))] * 10 ** np.linspace(-decades, decades, int(2 * decades * per_decade) + 1)
    return np.union1d(strengths, [*close[close < limit], *([limit] if np.isfinite(limit) else [])])


def refined(value: Callable[[float], float], low: float, high: float, tolerance: float) -> tuple[float, float]:
    """(strength, value) of the least ``value`` seen by a bounded minimisation over the logarithm of the strength, to
    this relative accuracy of it; what is not finite counts as the largest number."""
    seen: dict[float, float] = {}

    def objective(u: float) -> float:
        strength = float(np.exp(u))
        found = float(value(strength))
        seen[strength] = found if np.isfinite(found) else float(np.finfo(float).max)
        return seen[strength]

    minimize_scalar(objective, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": tolerance})
    return min(seen.items(), key=lambda item: item[1])


def last_holding(holds: Callable[[float], bool], inside: float, outside: float, tolerance: float) -> float:
    """The strength farthest from ``inside``, where it holds, on the way to ``outside``, where it does not: by bisection
    of the logarithm, to a relative accuracy."""
    a, b = np.log(inside), np.log(outside)
    while abs(b - a) > tolerance:
        middle = (a + b) / 2
        a, b = (middle, b) if holds(float(np.exp(middle))) else (a, middle)
    return float(np.exp(a))


def stability_edge(exp: Experiment, path: str, strengths: Array) -> tuple[float | None, bool]:
    """(largest strength at which every mode decays, or None; whether any strength is stable)."""
    curve = Curve(exp, path, lambda at: growth(at) <= 0, False)
    low, high = strengths[0], strengths[-1]
    tried = np.geomspace(low, high, int(np.ceil(np.log10(high / low) * EDGE_PER_DECADE)) + 1)
    verdict = np.array(curve.over(tried))
    if verdict[-1] or not verdict.any():
        return None, bool(verdict.any())
    last = int(np.flatnonzero(verdict)[-1])
    return last_holding(curve.at, tried[last], tried[last + 1], EDGE_TOLERANCE), True


__all__ = ["Curve", "LeftCurve", "finer", "last_holding", "least_of", "refined", "stability_edge", "widened"]
