"""The collapsed state along a parameter, for a diagram: many orbits of a collapsed cluster side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..problem.problem import Problem
from .cluster import SIGMAS, STEPS, follow
from .collapsed import _lane_key
from .crossings import Axis, changed

#: windows of the time average: values at which it stays undecided are told so, a diagram need not settle them
WINDOWS = 2


@dataclass(frozen=True)
class Collapsed(Record):
    """All particles at one point, at one value: exponent, stderr: growth rate of small displacements of zero sum (NaN
    for a cluster that escapes); attracts: None where the exponent is within SIGMAS standard errors of 0, or it escapes;
    radius: rms distance of the point from the target's mean; width: of the cloud, 0."""

    value: float
    exponent: float
    stderr: float
    attracts: bool | None
    escapes: bool
    radius: float
    width: float = 0.0


def collapsed_along(exp: Experiment, axis: Axis, points: int) -> tuple[Collapsed, ...]:
    """The collapsed state at ``points`` values of the axis; none where there is no such state (unequal masses)."""
    values = axis.grid(points)
    lanes: dict[tuple, list[tuple[float, Problem]]] = {}
    for value in values:
        member = changed(exp, {axis.path: float(value)})
        if member is None:
            continue
        problem = Problem(member)
        try:
            shared, _ = _lane_key(problem)
        except InputError:
            continue
        lanes.setdefault(shared, []).append((float(value), problem))
    out = []
    for group in lanes.values():
        for (value, problem), lane in zip(
            group, follow([p for _, p in group], None, None, STEPS, WINDOWS, detail=True), strict=True
        ):
            top, error = float(lane.exponents[0]), float(lane.stderr[0])
            escaped = lane.escaped_at >= 0
            mean = problem.p @ problem.Y
            radius = np.nan if escaped or lane.path is None else np.sqrt(((lane.path - mean) ** 2).sum(-1).mean())
            decided = not escaped and abs(top) > SIGMAS * error
            out.append(Collapsed(value, top, error, bool(top < 0) if decided else None, escaped, float(radius)))
    return tuple(sorted(out, key=lambda state: state.value))
