"""Closed orbits of a map or flow: fixed points, cycles of two steps and invariant circles, by harmonic balance.

Eq. (111, invariant-circle). An orbit is a function z(phi) of an angle on which one step (of a flow: time) acts as a
rotation,

    map:   F(z(phi)) = z(phi + theta)            flow:   V(z(phi)) = omega z'(phi)

z is a trigonometric polynomial of degree K, given by its values at m = 2K + 1 equidistant angles, where the equation is
demanded (Fourier collocation: Schilder, Osinga and Vogt, SIAM J. Appl. Dyn. Syst. 4, 459 (2005)). On the coefficient
of e^(i k phi) the right side is multiplication by a symbol, e^(i k theta) or i k omega. m = 1 is a fixed point, m = 2 a
cycle of two steps (theta = pi): both have no angle to find. Else theta is unknown, and where the angle begins is fixed
by the integral condition <z', z - reference> = 0.

Newton's method with GMRES on products of the derivative with vectors, at all angles at once. Preconditioner: the
harmonics |k| <= LOW with the rows and columns of theta and the parameter, coupled by the Fourier coefficients of the
derivative along the orbit, and every other harmonic alone with the mean derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..base.errors import InputError
from .circle import Array, Orbit, System, multiplied, resampled, symbol, symbol_slope
from .krylov import gmres
from .preconditioner import Preconditioner

#: Newton steps; a step that changes the orbit by less than this part of its amplitude is the last
NEWTON_STEPS, CONVERGED = 12, 1e-9
#: what GMRES leaves of the residual of a Newton step, and the most iterations it takes
INNER, INNER_STEPS = 1e-4, 80
#: a preconditioner with which GMRES took more iterations than this is made anew
STALE = 25
#: central difference of the map in the parameter: step, relative to the parameter's scale
DIFFERENCE = 1e-5
#: harmonics of the highest two orders over those of the first, above which the orbit is taken with more
TAIL = 1e-7
#: most harmonics, and how many are added at a time
MOST_HARMONICS, MORE = 48, 4


#: the system at a value of the parameter
Family = Callable[[float], System]


class NoOrbit(RuntimeError):
    """Newton's method found none."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One more equation, ``<row, unknowns> = target``: on the points (m, n, averaged over the angles, may be None), the
    angle and the parameter."""

    points: Array | None
    angle: float
    value: float
    target: float

    def resampled(self, m: int) -> Condition:
        return self if self.points is None or len(self.points) == m else replace(self, points=resampled(self.points, m))


class Equations:
    """The equations of orbits of a family, and their linear solves."""

    def __init__(self, family: Family, scale: float) -> None:
        """scale: of the parameter, for its difference."""
        self.family, self.scale = family, scale
        self._preconditioner: Preconditioner | None = None
        self.products = 0

    def residual(self, orbit: Orbit) -> Array:
        """(m, n) left minus right side."""
        ahead = self.family(orbit.value).advance(orbit.points)
        return ahead - multiplied(orbit.points, symbol(orbit.m, orbit.angle, orbit.continuous))

    def slope(self, orbit: Orbit) -> Array:
        """(m, n) derivative of the residual in the parameter, a central difference: exact where the system is
        quadratic in it."""
        h = DIFFERENCE * self.scale

        def ahead(steps: int) -> Array:
            return self.family(orbit.value + steps * h).advance(orbit.points)

        try:
            return (ahead(1) - ahead(-1)) / (2 * h)
        except InputError:  # an end of what the experiment allows: to one side, of the same order
            side = 1 if self._allowed(orbit.value + 2 * h) else -1
            return side * (4 * ahead(side) - ahead(2 * side) - 3 * ahead(0)) / (2 * h)

    def _allowed(self, value: float) -> bool:
        try:
            self.family(value)
        except InputError:
            return False
        return True

    def solve(
        self, orbit: Orbit, rows: list[Condition], f: Array, g: Array, tolerance: float = INNER
    ) -> tuple[Array, float, float]:
        """(dz, dtheta, dvalue) of  J (dz, dtheta, dvalue) = f,  rows . (dz, dtheta, dvalue) = g."""
        system = self.family(orbit.value)
        m, n = orbit.points.shape
        factors = symbol(m, orbit.angle, orbit.continuous)
        columns = self._columns(orbit)
        weights = [np.zeros((m, n)) if row.points is None else row.points / m for row in rows]
        borders = np.array([[row.angle, row.value] for row in rows])[:, -len(columns) :]

        def apply(u: Array) -> Array:
            v, extra = u[: m * n].reshape(m, n), u[m * n :]
            self.products += m
            top = system.products(orbit.points, v) - multiplied(v, factors)
            top = top + sum(c * x for c, x in zip(columns, extra, strict=True))
            bottom = [np.vdot(weight, v) for weight in weights] + borders @ extra
            return np.concatenate([top.ravel(), bottom])

        right = np.concatenate([f.ravel(), g])
        fresh = self._preconditioner is None or not self._preconditioner.fits(orbit)
        while True:
            known = Preconditioner(system, orbit) if fresh else self._preconditioner
            assert known is not None
            u, steps, left = gmres(
                apply, right, known.bordered(orbit, columns, weights, borders), tolerance, INNER_STEPS
            )
            if left <= tolerance or fresh:
                break
            fresh = True
        self._preconditioner = known if steps <= STALE else None
        extra = u[m * n :]
        return u[: m * n].reshape(m, n), float(extra[0]) if orbit.circle else 0.0, float(extra[-1])

    def _columns(self, orbit: Orbit) -> list[Array]:
        """Derivatives of the residual in the angle (of circles) and the parameter."""
        slope = self.slope(orbit)
        if not orbit.circle:
            return [slope]
        return [-multiplied(orbit.points, symbol_slope(orbit.m, orbit.angle, orbit.continuous)), slope]

    def newton(self, guess: Orbit, condition: Condition, reference: Array | None = None) -> tuple[Orbit, int]:
        """(orbit, steps) next to the guess that fulfils the condition. ``reference`` (m, n): dz/dphi of what the angle
        is measured along (default: the guess's own). Raises NoOrbit."""
        along = guess.derivative if reference is None else resampled(reference, guess.m)
        condition = condition.resampled(guess.m)
        rows = [condition]
        if guess.circle:
            rows.insert(0, Condition(along, 0.0, 0.0, float(np.vdot(along, guess.points) / guess.m)))
        orbit, before = guess, np.inf
        for step in range(1, NEWTON_STEPS + 1):
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    f = self.residual(orbit)
            except InputError:  # a value that the experiment refuses
                break
            if not np.isfinite(f).all():
                break
            g = np.array([row.target - _dot(row, orbit) for row in rows])
            dz, dtheta, dvalue = self.solve(orbit, rows, -f, g)
            orbit = replace(orbit, points=orbit.points + dz, angle=orbit.angle + dtheta, value=orbit.value + dvalue)
            change = float(np.sqrt((dz**2).mean()))
            if not np.isfinite(change) or change > 10 * before:
                break
            amplitude = float(np.sqrt(((orbit.points - orbit.centre) ** 2).mean())) if orbit.m > 1 else 1.0
            if change <= CONVERGED * max(amplitude, 1e-6 * float(np.abs(orbit.points).max())):
                return orbit, step
            before = change
        raise NoOrbit

    def resolved(self, orbit: Orbit, condition: Condition, reference: Array | None = None) -> tuple[Orbit, int]:
        """``newton``, with more harmonics until the last do not count. Raises NoOrbit."""
        while True:
            orbit, steps = self.newton(orbit, condition, reference)
            if orbit.tail <= TAIL:
                return orbit, steps
            if orbit.harmonics + MORE > MOST_HARMONICS:
                raise NoOrbit
            orbit = orbit.resampled(orbit.m + 2 * MORE)


def _dot(row: Condition, orbit: Orbit) -> float:
    on_points = 0.0 if row.points is None else float(np.vdot(row.points, orbit.points)) / orbit.m
    return on_points + row.angle * orbit.angle + row.value * orbit.value
