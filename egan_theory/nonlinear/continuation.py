"""A branch of closed orbits along a parameter, followed by its arclength: Eq. (112, pseudo-arclength).

From an orbit (z, theta, mu) and the branch's direction there, the next one solves the equations of the orbit and
<direction, change> = step (Keller, in Applications of Bifurcation Theory, 1977), so that folds in mu are passed. The
length of a change is

    |dz|^2_W / z_scale^2 + (dmu / mu_scale)^2,    |dz|^2_W the mean over the angle of sum W dz^2

with weights W >= 0 of the components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .circle import Orbit, resampled
from .orbits import Condition, Equations, NoOrbit

Array = np.ndarray

#: (dz (m, n), dtheta, dmu) per arclength
Direction = tuple[Array, float, float]

#: why a branch ends
END_OF_RANGE, SINGULAR_END = "end of the range", "end of the range, where no isolated orbit was found"
#: part of the way to an end of the range that is gone where there is no orbit at the end itself
SHORT = 0.9
#: ... unless the last orbit is within this part of the parameter's scale of the end
NEAR_END = 0.02
#: the direction is found to this part: near a threshold the parameter's share of it is small
EXACT = 1e-9
#: Newton steps above which the next step is shorter, and below which it is longer, by these factors
MANY, FEW = 6, 4
SHORTER, LONGER = 0.5, 2.0
#: smallest step over the largest
SMALLEST_STEP = 1e-4
#: a fold is placed to this part of the parameter's scale
FOLD = 1e-7
FOLD_STEPS = 12


@dataclass(frozen=True, eq=False)
class Point:
    """One orbit of a branch: ``direction`` = (dz, dtheta, dmu) / d arclength; ``arclength`` from the start; fold: the
    parameter turns back here."""

    orbit: Orbit
    direction: Direction
    arclength: float
    fold: bool = False


@dataclass(frozen=True, eq=False)
class Scales:
    """What lengths along a branch are measured by: ``weights`` (n,), z_scale, mu_scale."""

    weights: Array
    points: float
    value: float

    def condition(self, direction: Direction, orbit: Orbit, step: float) -> Condition:
        """<direction, . - orbit> = step."""
        dz, _, dvalue = direction
        row = self.weights * dz / self.points**2
        value = dvalue / self.value**2
        return Condition(row, 0.0, value, float(np.vdot(row, orbit.points)) / orbit.m + value * orbit.value + step)

    def length(self, direction: Direction) -> float:
        dz, _, dvalue = direction
        square = float((self.weights * dz**2).sum(-1).mean()) / self.points**2
        return float(np.sqrt(square + (dvalue / self.value) ** 2))

    def unit(self, direction: Direction) -> Direction:
        size = self.length(direction)
        return direction[0] / size, direction[1] / size, direction[2] / size


def direction(equations: Equations, scales: Scales, orbit: Orbit, before: Direction) -> Direction:
    """The branch's direction at an orbit, on the side of the direction ``before``."""
    before = (resampled(before[0], orbit.m), *before[1:])
    rows = [scales.condition(before, orbit, 0.0)]
    g = [1.0]
    if orbit.circle:
        rows.insert(0, Condition(orbit.derivative, 0.0, 0.0, 0.0))
        g.insert(0, 0.0)
    return scales.unit(equations.solve(orbit, rows, np.zeros_like(orbit.points), np.array(g), EXACT))


class Walk:
    """The orbits of a branch from ``start`` (not itself given) in the direction ``towards``, an iterator of Points.

    It ends at the ends of ``bounds`` (low, high), where the last orbit is placed exactly; before an orbit of which
    ``ended`` says so; after ``most``; or where no step converges. ``reason``: which. Folds come as points of their own,
    in order.
    """

    def __init__(
        self,
        equations: Equations,
        scales: Scales,
        start: Orbit,
        towards: Direction,
        *,
        first: float,
        largest: float,
        bounds: tuple[float, float],
        ended: Callable[[Orbit], str | None] = lambda orbit: None,
        most: int = 60,
    ) -> None:
        self.equations, self.scales, self.bounds, self.ended = equations, scales, bounds, ended
        self.start, self.towards, self.first, self.largest, self.most = start, towards, first, largest, most
        self.reason = ""

    def __iter__(self) -> Iterator[Point]:
        equations, scales, (low, high) = self.equations, self.scales, self.bounds
        heading, last, arclength, step = scales.unit(self.towards), self.start, 0.0, self.first
        before: Point | None = None
        for _ in range(self.most):
            while True:
                guess = _ahead(last, heading, step)
                if before is not None and not low < guess.value < high:
                    end = self._end(before, low if guess.value <= low else high)
                    if end is not None:
                        yield from end
                        return
                try:
                    orbit, newton = equations.resolved(guess, scales.condition(heading, last, step))
                    if low <= orbit.value <= high:
                        break
                except NoOrbit:
                    pass
                step *= SHORTER
                if step < SMALLEST_STEP * self.largest:
                    self.reason = "no nearby orbit was found"
                    return
            over = self.ended(orbit)
            if over is not None:
                self.reason = over
                return
            here = Point(orbit, direction(equations, scales, orbit, heading), arclength + step)
            if before is not None:
                yield from self._turned(before, here)
            yield here
            arclength, heading, last, before = here.arclength, here.direction, orbit, here
            if newton > MANY:
                step *= SHORTER
            elif newton <= FEW:
                step = min(step * LONGER, self.largest)
        self.reason = f"{self.most} orbits were found"

    def _end(self, before: Point, value: float) -> list[Point] | None:
        """The branch's last point: the orbit at an end of the range, or, where there is none (neutral modes), shortly
        before, or no more; None where it turns back."""
        self.reason = END_OF_RANGE
        left = value - before.orbit.value
        for there in (value, before.orbit.value + SHORT * left):
            try:
                orbit = at_value(self.equations, before.orbit, there, before.direction, halvings=0)
                break
            except NoOrbit:
                self.reason = SINGULAR_END
                if abs(left) <= NEAR_END * self.scales.value:
                    return []
        else:
            return None
        heading = direction(self.equations, self.scales, orbit, before.direction)
        if heading[2] * before.direction[2] < 0:
            return None
        change = (resampled(before.orbit.points, orbit.m) - orbit.points, 0.0, before.orbit.value - orbit.value)
        return [Point(orbit, heading, before.arclength + self.scales.length(change))]

    def _turned(self, before: Point, here: Point) -> Iterator[Point]:
        if before.direction[2] * here.direction[2] < 0:
            found = _fold(self.equations, self.scales, before, here)
            if found is not None:
                yield found


def _ahead(orbit: Orbit, heading: Direction, step: float) -> Orbit:
    """The orbit, moved along a direction."""
    dz, dtheta, dvalue = heading
    points = orbit.points + step * resampled(dz, orbit.m)
    return replace(orbit, points=points, angle=orbit.angle + step * dtheta, value=orbit.value + step * dvalue)


def _fold(equations: Equations, scales: Scales, a: Point, b: Point) -> Point | None:
    """Where dmu/ds = 0 between two points: regula falsi (Illinois) in the step from the first."""
    low, high = 0.0, b.arclength - a.arclength
    f, g = a.direction[2], b.direction[2]
    found = None
    for _ in range(FOLD_STEPS):
        step = (low * g - high * f) / (g - f)
        guess = _ahead(a.orbit, a.direction, step)
        try:
            orbit, _ = equations.resolved(guess, scales.condition(a.direction, a.orbit, step))
        except NoOrbit:
            return found
        ahead = direction(equations, scales, orbit, a.direction)
        found = Point(orbit, ahead, a.arclength + step, fold=True)
        h = ahead[2]
        # the parameter is flat in the arclength here: what is left of it is of second order
        if abs(h) * (high - low) <= FOLD * scales.value:
            break
        if h * g > 0:
            high, g, f = step, h, f / 2
        else:
            low, f, g = step, h, g / 2
    return found


def at_value(
    equations: Equations, orbit: Orbit, value: float, heading: Direction | None = None, halvings: int = 6
) -> Orbit:
    """The orbit at a value of the parameter near a known one; ``heading``: the branch's direction there. Goes there in
    2^halvings parts where it must. Raises NoOrbit."""
    parts = 1
    for _ in range(halvings + 1):
        try:
            found = orbit
            for there in np.linspace(orbit.value, value, parts + 1)[1:]:
                guess = found
                if found is orbit and heading is not None and heading[2]:
                    guess = _ahead(found, heading, (there - found.value) / heading[2])
                found = equations.resolved(replace(guess, value=float(there)), Condition(None, 0.0, 1.0, float(there)))[
                    0
                ]
            return replace(found, value=value)
        except NoOrbit:
            parts *= 2
    raise NoOrbit
