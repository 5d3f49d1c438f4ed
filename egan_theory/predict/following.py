"""The orbits that are born at a threshold of the spread equilibrium, followed through the range of a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..base.errors import InputError
from ..nonlinear.circle import Orbit, resampled
from ..nonlinear.continuation import Direction, Point, Scales, Walk, at_value, direction
from ..nonlinear.floquet import Floquet, along_orbit, floquet
from ..nonlinear.normal import NormalForm
from ..nonlinear.orbits import Condition, Equations, NoOrbit
from ..nonlinear.systems import Dynamics, family, parting
from ..nonlinear.transverse import SplitMap
from ..problem.problem import Problem
from .crossings import Axis

Array = np.ndarray

#: lengths along a branch are counted in this part of the discriminator's length scale, and in the range
PART = 1.0
#: first step, and largest, in these units
FIRST, LARGEST = 0.004, 0.1
#: the first orbit is within this part of the range of its threshold
BEGIN = 0.01
#: and within so many times the distance at which the amplitude equation is good to 5 %
WITHIN = 2.0
#: angles that an orbit is first taken with
ANGLES = 9
#: a branch whose particles are this many data radii from their places has left
FAR = 1.0
#: branches whose size and angle agree to this part are one
SAME = 0.01
#: angles at which the particles are looked at
LOOKED = 128
#: why a branch ends where the work that was allowed does
SPENT = "following it further would take more work than was allowed"


class OutOfWork(Exception):
    """The work that was allowed is spent."""


@dataclass(frozen=True, eq=False)
class Found:
    """An orbit with its multipliers, and the growth rate per step (flow: per time) of displacements of zero sum of
    particles on one point (None where no two particles share one); fold: the branch turns back in the parameter."""

    orbit: Orbit
    floquet: Floquet
    parting: float | None
    fold: bool = False


@dataclass(eq=False)
class Followed:
    """A branch: the threshold's normal form, orbits in the order of the branch, and why it ends at either end."""

    form: NormalForm
    found: list[Found] = field(default_factory=list)
    reason: str = ""


class Follower:
    """What following branches along one axis needs; values of the parameter are those of the axis' scale.

    work: most that is done for orbits in all, counted in angles times coordinates squared of each (a core does about
    10^6 in a second); ``spent``: of it."""

    def __init__(self, problem: Problem, axis: Axis, radius: float, work: float | None = None) -> None:
        self.problem, self.axis, self.radius = problem, axis, radius
        self.work, self.spent, self.stopped = np.inf if work is None else work, 0.0, False
        self.family = family(problem, axis.path, axis.from_scale)
        self.low, self.high = axis.to_scale(axis.low), axis.to_scale(axis.high)
        self.equations = Equations(self.family, self.high - self.low)
        self.length = PART * problem.exp.discriminator.length_scale

    def spend(self, orbit: Orbit) -> None:
        """Count an orbit. Raises OutOfWork where one more like it is too many."""
        angles, coordinates = orbit.points.shape
        self.spent += angles * coordinates**2
        self.afford(angles, coordinates)

    def afford(self, angles: int, coordinates: int) -> None:
        """Raises OutOfWork where there is not enough left for such an orbit."""
        if self.spent + angles * coordinates**2 > self.work:
            self.stopped = True
            raise OutOfWork

    def rms(self, orbit: Orbit) -> float:
        """Displacement of the particles from their places at rest, rms over particles and one turn."""
        here = self.family(orbit.value)
        return float(np.sqrt(((orbit.points - here.rest) ** 2 @ here.weights).mean()))

    def look(self, point: Point) -> Found:
        """The orbit's multipliers. Raises NoOrbit."""
        orbit = point.orbit
        here = self.family(orbit.value)
        try:
            return Found(orbit, floquet(here, orbit), self._parting(here, orbit), point.fold)
        except np.linalg.LinAlgError as error:
            raise NoOrbit(f"the multipliers of an orbit could not be computed ({error})") from None

    def _parting(self, here: Dynamics, orbit: Orbit) -> float | None:
        if not (here.steps.groups.counts > 1).any() or self.problem.ratio == 1:
            return None
        split = SplitMap(here.steps.problem)
        matrices = parting(split, orbit.points)
        return max(float(along_orbit(matrices[:, g], orbit, 1).exponents[0].real) for g in range(matrices.shape[1]))

    def walks(self, form: NormalForm) -> list[Walk]:
        """Ways along the branch: from its threshold, or from the orbit that the amplitude equations give beyond it to
        both sides. Raises NoOrbit, InputError."""
        here = self.family(self.axis.to_scale(form.threshold))
        m = {"flip": 2, "pitchfork": 1, "transcritical": 1}.get(form.bifurcation, ANGLES)
        phi = 2 * np.pi * np.arange(m) / m
        wave = np.multiply.outer(np.exp(1j * phi), form.shape)
        wave = 2 * wave.real if m > 2 else wave.real
        scales = Scales(here.weights, self.length, self.high - self.low)
        angle = {1: 0.0, 2: np.pi}.get(m, float(form.angle or 0.0))
        if form.at is None:
            start = Orbit(np.tile(here.rest, (m, 1)), angle, self.axis.to_scale(form.threshold), here.continuous)
            # no further than the amplitude equation is good for
            reach = BEGIN * (self.axis.high - self.axis.low)
            if form.valid_to is not None:
                reach = min(reach, WITHIN * abs(form.valid_to - form.threshold))
            small = (form.rms_amplitude or np.inf) * reach**form.exponent
            return [self._walk(scales, start, (wave, 0.0, 0.0), min(FIRST, small / self.length))]
        value, away = self.axis.to_scale(form.at), abs(form.at - form.threshold)
        shift = (form.frequency_shift or 0.0) * (form.at - form.threshold)
        guess = Orbit(self.family(value).rest + away**form.exponent * wave, angle + shift, value, here.continuous)
        start = self.equations.resolved(guess, Condition(None, 0.0, 1.0, value))[0]
        if self.rms(start) < 0.1 * self.rms(guess):
            raise NoOrbit  # the equilibrium itself
        ahead = direction(self.equations, scales, start, (np.zeros_like(start.points), 0.0, 1.0))
        return [self._walk(scales, start, way) for way in (ahead, _turned(ahead))]

    def _walk(self, scales: Scales, start: Orbit, towards: Direction, first: float = FIRST) -> Walk:
        before = [start]

        def ended(orbit: Orbit) -> str | None:
            last, before[0] = before[0], orbit
            if self.rms(orbit) > FAR * self.radius:
                return f"particles further than {FAR:g} data radii from their places"
            rest = self.family(orbit.value).rest
            away, was = orbit.points - rest, resampled(last.points, orbit.m) - rest
            if last is not start and float(((away * was) @ self.family(orbit.value).weights).sum()) < 0:
                return "back at the equilibrium"
            return None

        return Walk(
            self.equations, scales, start, towards, first=first, largest=LARGEST, bounds=(self.low, self.high),
            ended=ended,
        )  # fmt: skip

    def follow(self, form: NormalForm, told: Callable[[float], None]) -> Iterator[Followed]:
        """The branch, yielded again with every orbit that is found, so that what there is at an interruption counts."""
        out = Followed(form)
        try:
            self.afford(ANGLES, form.shape.size)
            walks = self.walks(form)
        except OutOfWork:
            out.reason = SPENT
            yield out
            return
        except (NoOrbit, InputError, np.linalg.LinAlgError) as error:
            out.reason = str(error) or "no orbit was found at the start"
            yield out
            return
        reasons = []
        for i, walk in enumerate(walks):
            try:
                if i == 1:
                    out.found.reverse()
                    out.found.append(self.look(Point(walk.start, walk.towards, 0.0)))
                for point in walk:
                    out.found.append(self.look(point))
                    yield out
                    told(point.orbit.value)
                    self.spend(point.orbit)
                reasons.append(walk.reason)
            except OutOfWork:
                reasons.append(SPENT)
                break
            except (NoOrbit, np.linalg.LinAlgError) as error:
                reasons.append(str(error) or "an orbit could not be looked at")
        out.reason = "; ".join(dict.fromkeys(reasons))
        yield out

    def first_fold(self, form: NormalForm) -> float | None:
        """The value of the field where the branch first turns back; None where it does not in the range. Raises
        OutOfWork."""
        try:
            self.afford(ANGLES, form.shape.size)
            for walk in self.walks(form):
                for point in walk:
                    if point.fold:
                        return self.axis.from_scale(point.orbit.value)
                    self.spend(point.orbit)
        except (NoOrbit, InputError, np.linalg.LinAlgError):
            pass
        return None

    def insert(self, branch: Followed, values: Sequence[float]) -> None:
        """Orbits at these values of the field, wherever the branch passes them."""
        for given in values:
            value, i = self.axis.to_scale(given), 0
            while i + 1 < len(branch.found):
                a, b = branch.found[i].orbit, branch.found[i + 1].orbit
                if (a.value - value) * (b.value - value) < 0:
                    near = min(a, b, key=lambda o: abs(o.value - value))
                    try:
                        orbit = at_value(self.equations, near, value)
                        found = self.look(Point(orbit, (orbit.points, 0.0, 1.0), 0.0))
                    except NoOrbit:
                        break
                    branch.found.insert(i + 1, found)
                    i += 1
                i += 1

    def same(self, a: Followed, b: Followed) -> bool:
        """Whether b's middle orbit is one of a's."""
        if not b.found:
            return False
        middle = b.found[len(b.found) // 2].orbit
        for left, right in zip(a.found, a.found[1:], strict=False):
            u, v = left.orbit, right.orbit
            if u.circle != middle.circle or not min(u.value, v.value) <= middle.value <= max(u.value, v.value):
                continue
            t = (middle.value - u.value) / (v.value - u.value) if v.value != u.value else 0.0
            size = self.rms(u) ** 2 * (1 - t) + self.rms(v) ** 2 * t
            angle = u.angle * (1 - t) + v.angle * t
            if abs(np.sqrt(size) / self.rms(middle) - 1) < SAME and abs(angle - middle.angle) <= SAME * abs(angle):
                return True
        return False


def _turned(ahead: Direction) -> Direction:
    return -ahead[0], -ahead[1], -ahead[2]


def looked_at(follower: Follower, orbit: Orbit) -> tuple[Array, Array]:
    """(positions (angle, M, d), those at rest (M, d)) along an orbit."""
    here = follower.family(orbit.value)
    states = orbit.points if not orbit.circle else orbit.at(2 * np.pi * np.arange(LOOKED) / LOOKED)
    return here.steps.positions(states), here.steps.positions(here.rest)


__all__ = ["SPENT", "Followed", "Follower", "Found", "OutOfWork", "looked_at"]
