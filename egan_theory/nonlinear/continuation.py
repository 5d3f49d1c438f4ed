"""A branch of closed orbits along a parameter, followed by its arclength: Eq. (ARC, pseudo-arclength).

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

from .orbits import Condition, Equations, NoOrbit, Orbit, resampled

Array = np.ndarray

#: Newton steps above which the next step is shorter, and below which it is longer, by these factors
MANY, FEW = 6, 4
SHORTER, LONGER = 0.5, 1.5
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
    direction: tuple[Array, float, float]
    arclength: float
    fold: bool = False


@dataclass(frozen=True, eq=False)
class Scales:
    """What lengths along a branch are measured by: ``weights`` (n,), z_scale, mu_scale."""

    weights: Array
    points: float
    value: float

    def condition(self, direction: tuple[Array, float, float], orbit: Orbit, step: float) -> Condition:
        """<direction, . - orbit> = step."""
        dz, _, dvalue = direction
        row = self.weights * dz / self.points**2
        value = dvalue / self.value**2
        return Condition(row, 0.0, value, float(np.vdot(row, orbit.points)) / orbit.m + value * orbit.value + step)

    def length(self, direction: tuple[Array, float, float]) -> float:
        dz, _, dvalue = direction
        square = float((self.weights * dz**2).sum(-1).mean()) / self.points**2
        return float(np.sqrt(square + (dvalue / self.value) ** 2))

    def unit(self, direction: tuple[Array, float, float]) -> tuple[Array, float, float]:
        size = self.length(direction)
        return direction[0] / size, direction[1] / size, direction[2] / size


def direction(equations: Equations, scales: Scales, orbit: Orbit, before: tuple[Array, float, float]) -> tuple:
    """The branch's direction at an orbit, on the side of the direction ``before``."""
    before = (resampled(before[0], orbit.m), *before[1:])
    rows = [scales.condition(before, orbit, 0.0)]
    g = [1.0]
    if orbit.circle:
        rows.insert(0, Condition(orbit.derivative, 0.0, 0.0, 0.0))
        g.insert(0, 0.0)
    return scales.unit(equations.solve(orbit, rows, np.zeros_like(orbit.points), np.array(g)))


def follow(
    equations: Equations,
    scales: Scales,
    start: Orbit,
    towards: tuple[Array, float, float],
    *,
    first: float,
    largest: float,
    inside: Callable[[Orbit], bool],
    most: int = 200,
) -> Iterator[Point]:
    """Orbits of a branch from ``start`` (not itself given) in the direction ``towards``, until ``inside`` does not hold
    (the first orbit for which it does not is the last), ``most`` are found or no smaller step converges. Folds come as
    points of their own, in order."""
    heading, last, arclength = scales.unit(towards), start, 0.0
    previous: Point | None = None
    step = first
    for _ in range(most):
        while True:
            guess = replace(
                last,
                points=last.points + step * resampled(heading[0], last.m),
                angle=last.angle + step * heading[1],
                value=last.value + step * heading[2],
            )
            try:
                orbit, newton = equations.resolved(guess, scales.condition(heading, last, step))
                break
            except NoOrbit:
                step *= SHORTER
                if step < SMALLEST_STEP * largest:
                    return
        ahead = direction(equations, scales, orbit, heading)
        arclength += step
        here = Point(orbit, ahead, arclength)
        if previous is not None and previous.direction[2] * ahead[2] < 0:
            found = _fold(equations, scales, previous, here)
            if found is not None:
                yield found
        yield here
        if not inside(orbit):
            return
        if newton > MANY:
            step *= SHORTER
        elif newton <= FEW:
            step = min(step * LONGER, largest)
        heading, last, previous = ahead, orbit, here


def _fold(equations: Equations, scales: Scales, a: Point, b: Point) -> Point | None:
    """Where dmu/ds = 0 between two points: regula falsi (Illinois) in the step from the first."""
    low, high = 0.0, b.arclength - a.arclength
    f, g = a.direction[2], b.direction[2]
    found = None
    for _ in range(FOLD_STEPS):
        step = (low * g - high * f) / (g - f)
        guess = replace(
            a.orbit,
            points=a.orbit.points + step * a.direction[0],
            angle=a.orbit.angle + step * a.direction[1],
            value=a.orbit.value + step * a.direction[2],
        )
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


def at_value(equations: Equations, orbit: Orbit, value: float, slope: tuple | None = None) -> Orbit:
    """The orbit at a value of the parameter next to a known one; ``slope``: the branch's direction there. Raises
    NoOrbit."""
    if slope is not None and slope[2]:
        t = (value - orbit.value) / slope[2]
        orbit = replace(orbit, points=orbit.points + t * resampled(slope[0], orbit.m), angle=orbit.angle + t * slope[1])
    return equations.resolved(replace(orbit, value=value), Condition(None, 0.0, 1.0, value))[0]
