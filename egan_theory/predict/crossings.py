"""Where a margin changes sign along one parameter of an experiment: a scan, refined by Brent's method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from ..base.errors import InputError
from ..experiment import Experiment

#: values of a parameter scanned
SCAN_POINTS = 101
#: default range of a parameter: this factor either side of its value
FACTOR = 100.0
#: default ranges of the parameters that have bounds of their own
BOUNDED = {
    "generator.kernel.ratio": (0.0, 1.0),
    "update.momentum_discriminator": (0.0, 0.99),
    "update.momentum_generator": (0.0, 0.99),
}
#: times in steps, 0 or at least 1
IN_STEPS = ("memory.generator", "memory.discriminator")
#: a range wider than this factor is scanned evenly in the logarithm
LOGARITHMIC = 10.0
#: accuracy of a crossing, relative to its scale: what 64 halvings of a scan interval leave is less
POSITION = 1e-14
#: an extremum that reaches beyond zero by this part of the change towards its neighbours does so by rounding
TANGENT = 1e-12


@dataclass(frozen=True)
class Axis:
    """One real parameter of an experiment over [low, high]; ``log``: scanned evenly in its logarithm."""

    path: str
    low: float
    high: float
    log: bool

    def to_scale(self, value: float) -> float:
        return math.log(value) if self.log else value

    def from_scale(self, u: float) -> float:
        value = math.exp(u) if self.log else u
        return min(max(value, self.low), self.high)  # exp(log(high)) may lie beyond

    def between(self, low: float, high: float, points: int) -> np.ndarray:
        """``points`` values from low to high, both included, even on this axis's scale."""
        u = np.linspace(self.to_scale(low), self.to_scale(high), points)
        values = np.array([self.from_scale(float(v)) for v in u])
        values[0], values[-1] = low, high
        return values

    def grid(self, points: int = SCAN_POINTS) -> np.ndarray:
        return self.between(self.low, self.high, points)


def spelled(given: Any) -> list[Any]:
    """[PATH, LOW, HIGH, ...] of "PATH=LOW:HIGH:..." or of a list or tuple of them; [None] of anything else."""
    if isinstance(given, str):
        path, _, rest = given.partition("=")
        return [path, *rest.split(":")]
    return list(given) if isinstance(given, list | tuple) and given else [None]


def check_range(low: float, high: float) -> None:
    """Raise InputError unless low < high, both finite."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError("vary", "have a range LOW:HIGH of finite numbers with LOW < HIGH", f"{low:g}:{high:g}")


def parse_range(
    vary: str | Sequence[Any], low: float | None = None, high: float | None = None
) -> tuple[str, float | None, float | None]:
    """(path, low, high) of PATH, "PATH=LOW:HIGH" or (PATH, LOW, HIGH). Raises InputError."""
    if isinstance(vary, str) and "=" not in vary:
        return vary, low, high
    try:
        path, first, last = spelled(vary)
        if not isinstance(path, str) or low is not None or high is not None:
            raise ValueError
        return path, float(first), float(last)
    except (TypeError, ValueError):
        rule = "be PATH, PATH=LOW:HIGH or (PATH, LOW, HIGH) with numbers LOW and HIGH"
        raise InputError("vary", rule, repr(vary)) from None


def axis_of(exp: Experiment, vary: str, low: float | None = None, high: float | None = None) -> Axis:
    """The axis of a dotted field. Default range: [0, 1] for the kernel ratio, [0, 0.99] for momenta, else a factor 100
    either side of the experiment's value (from 1 step on, for times of averages in steps).

    Raises InputError: no real-valued field, a range that is empty or not finite, no default range (value 0), or ends
    that the experiment refuses.
    """
    current = exp.get(vary)
    if isinstance(current, bool) or not isinstance(current, float):
        kind = "a whole number, which cannot be varied continuously" if isinstance(current, int) else repr(current)
        raise InputError("vary", "name a real-valued field of the experiment", f"{vary} = {kind}")
    if low is None or high is None:
        if vary in BOUNDED:
            default = BOUNDED[vary]
        elif current > 0:
            default = (current / FACTOR, current * FACTOR)
            if vary in IN_STEPS and not exp.update_rule.continuous:
                default = (max(1.0, default[0]), default[1])
        else:
            raise InputError("vary", f"come with a range, {vary}=LOW:HIGH", f"{vary} = {current:g}, no scale to go by")
        low, high = (default[0] if low is None else low), (default[1] if high is None else high)
    low, high = float(low), float(high)
    check_range(low, high)
    for end in (low, high):
        exp.replace({vary: end})  # raises InputError in the field's own words
    return Axis(vary, low, high, low > 0 and high > LOGARITHMIC * low)


def changed(exp: Experiment, changes: Mapping[str, float]) -> Experiment | None:
    """The experiment with these values; None where it refuses them (between the ends of an axis, too: an average over
    less than a step)."""
    try:
        return exp.replace(changes)
    except InputError:
        return None


@dataclass(frozen=True)
class Crossing:
    """A sign change at ``value``; unstable_side: "above" or "below" it the margin is positive."""

    value: float
    unstable_side: str


def sign_changes(margin: Callable[[float], float], axis: Axis, points: int = SCAN_POINTS) -> tuple[list[Crossing], int]:
    """All sign changes of ``margin`` that the scan resolves, ascending, and the number of scanned values without one.

    A window of the other sign narrower than the scan shows as an extremum of the right kind next to zero: wherever one
    could reach across zero before the next scanned value, it is followed (bounded minimisation), so that a tangency
    that stays on its side is no crossing and one that does not is two. margin = 0 counts as not positive; NaN as no
    statement: no crossing is sought next to it.
    """
    x = axis.grid(points)
    y = np.array([margin(float(v)) for v in x])
    x, y = _with_extrema(margin, axis, x, y)
    found = []
    for i in changes(y):
        value = _root(margin, axis, float(x[i]), float(x[i + 1]))
        if value is not None:
            found.append(Crossing(value, "above" if y[i + 1] > 0 else "below"))
    return found, int(np.sum(np.isnan(y)))


def changes(y: np.ndarray) -> list[int]:
    """i where the sign changes between y_i and y_(i+1); NaN is no statement."""
    known = ~np.isnan(y)
    return [i for i in range(len(y) - 1) if known[i] and known[i + 1] and (y[i] > 0) != (y[i + 1] > 0)]


def _signed(value: float) -> float:
    """Strictly of the sign that counts: 0 is not positive."""
    return value if value > 0 else min(value, -np.finfo(float).tiny)


def _root(margin: Callable[[float], float], axis: Axis, low: float, high: float) -> float | None:
    """The crossing between two values; None where a value in between has no margin."""
    a, b = axis.to_scale(low), axis.to_scale(high)
    scale = 1.0 if axis.log else max(abs(a), abs(b))  # a logarithm's absolute error is the value's relative one

    def f(u: float) -> float:
        return _signed(margin(axis.from_scale(u)))

    try:
        root = brentq(f, a, b, xtol=POSITION * scale, rtol=4 * np.finfo(float).eps, maxiter=200)
    except ValueError:  # NaN at a value it tried
        return None
    return axis.from_scale(float(root))


def _with_extrema(
    margin: Callable[[float], float], axis: Axis, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The scan with the extrema added that cross zero between its values."""
    extra_x, extra_y = [], []
    for i in range(1, len(x) - 1):
        before, here, after = y[i - 1 : i + 2]
        if not np.all(np.isfinite(y[i - 1 : i + 2])):
            continue
        # sign +1: a maximum below zero, -1: a minimum above
        sign = 1.0 if here <= 0 else -1.0
        reach = max(abs(here - before), abs(here - after))
        is_peak = sign * here >= max(sign * before, sign * after)
        if not is_peak or abs(here) > reach:
            continue
        best = minimize_scalar(
            lambda u, sign=sign: -sign * margin(axis.from_scale(u)),
            bounds=(axis.to_scale(float(x[i - 1])), axis.to_scale(float(x[i + 1]))),
            method="bounded",
            options={"xatol": 1e-10},
        )
        there = -sign * float(best.fun)
        # a tangency, to rounding, is no window
        if np.isfinite(there) and (there > 0) != (here > 0) and abs(there) > TANGENT * reach:
            extra_x.append(axis.from_scale(float(best.x)))
            extra_y.append(there)
    if not extra_x:
        return x, y
    x, y = np.concatenate([x, extra_x]), np.concatenate([y, extra_y])
    order = np.argsort(x, kind="stable")
    return x[order], y[order]


__all__ = ["BOUNDED", "FACTOR", "SCAN_POINTS", "Axis", "Crossing", "axis_of", "changed", "sign_changes"]
