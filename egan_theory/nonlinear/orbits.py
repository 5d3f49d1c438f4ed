"""Closed orbits of a map or flow: fixed points, cycles of two steps and invariant circles, by harmonic balance.

Eq. (INV, invariant-circle). An orbit is a function z(phi) of an angle on which one step (of a flow: time) acts as a
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
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.linalg

from ..base.errors import InputError
from .krylov import factors, gmres

Array = np.ndarray

#: harmonics that the preconditioner couples: 0 ... LOW
LOW = 1
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


class System(Protocol):
    """A map of R^n, or a flow (``continuous``): ``advance`` is a step or a velocity, ``products`` its derivative at
    every z times a v, both (k, n) -> (k, n)."""

    size: int
    continuous: bool

    def advance(self, z: Array) -> Array: ...

    def products(self, z: Array, v: Array) -> Array: ...


#: the system at a value of the parameter
Family = Callable[[float], System]


class NoOrbit(RuntimeError):
    """Newton's method found none."""


def wavenumbers(m: int) -> Array:
    """k of the m coefficients of ``fft``: 0 ... K, -K ... -1."""
    return np.rint(np.fft.fftfreq(m) * m)


def symbol(m: int, theta: float, continuous: bool) -> Array:
    """(m,) what a rotation by theta (flow: omega d/dphi) multiplies the coefficients by."""
    k = wavenumbers(m)
    return 1j * k * theta if continuous else np.exp(1j * k * theta)


def symbol_slope(m: int, theta: float, continuous: bool) -> Array:
    """The derivative of ``symbol`` in theta."""
    k = wavenumbers(m)
    return 1j * k if continuous else 1j * k * np.exp(1j * k * theta)


def multiplied(z: Array, factors: Array) -> Array:
    """Real values (m, ...) whose Fourier coefficients are those of z times ``factors`` (m,)."""
    return np.fft.ifft(factors.reshape(-1, *(1,) * (z.ndim - 1)) * np.fft.fft(z, axis=0), axis=0).real


@dataclass(frozen=True, eq=False)
class Orbit:
    """``points`` (m, n): z at the angles 2 pi j / m; ``angle``: theta, radians per step (flow: per unit time; 0 of a
    fixed point); ``value``: the parameter."""

    points: Array
    angle: float
    value: float
    continuous: bool = False

    @property
    def m(self) -> int:
        return len(self.points)

    @property
    def circle(self) -> bool:
        """Whether it has an angle of its own."""
        return self.m > 2

    @property
    def harmonics(self) -> int:
        return (self.m - 1) // 2

    @property
    def period(self) -> float:
        """Steps (flow: time) of one turn; inf of a fixed point."""
        return 2 * np.pi / abs(self.angle) if self.angle else np.inf

    @cached_property
    def coefficients(self) -> Array:
        """(m, n) Fourier coefficients, in the order of ``wavenumbers``."""
        return np.fft.fft(self.points, axis=0) / self.m

    @cached_property
    def derivative(self) -> Array:
        """(m, n) dz/dphi at the angles."""
        return multiplied(self.points, 1j * wavenumbers(self.m) * (self.m > 2))

    @property
    def centre(self) -> Array:
        return self.points.mean(axis=0)

    @property
    def tail(self) -> float:
        """Size of the highest two harmonics over that of the first; 0 where there are no harmonics to leave out."""
        if not self.circle:
            return 0.0
        size = np.linalg.norm(self.coefficients[1 : self.harmonics + 1], axis=1)
        return float(size[-2:].max() / max(size[0], np.finfo(float).tiny)) if len(size) > 2 else 1.0

    def at(self, phi: Array) -> Array:
        """(len(phi), n) points at other angles."""
        k = wavenumbers(self.m)
        return (np.exp(1j * np.multiply.outer(phi, k)) @ self.coefficients).real

    def resampled(self, m: int) -> Orbit:
        """The same with m angles (odd)."""
        if m == self.m or not self.circle:
            return self
        return replace(self, points=resampled(self.points, m))


def resampled(z: Array, m: int) -> Array:
    """Values at m equidistant angles of a trigonometric polynomial given at len(z) of them; both odd."""
    if m == len(z):
        return z
    keep = (min(len(z), m) - 1) // 2
    Z, new = np.fft.fft(z, axis=0) / len(z), np.zeros((m, *z.shape[1:]), dtype=complex)
    new[: keep + 1] = Z[: keep + 1]
    if keep:
        new[-keep:] = Z[-keep:]
    values = np.fft.ifft(new, axis=0) * m
    return values if np.iscomplexobj(z) else values.real


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
        self._preconditioner: _Preconditioner | None = None
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
            known = _Preconditioner(system, orbit) if fresh else self._preconditioner
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


def jacobians(system: System, z: Array) -> Array:
    """(k, n, n) derivatives at points (k, n)."""
    n = z.shape[1]
    eye = np.eye(n)
    return np.stack([system.products(np.broadcast_to(point, (n, n)), eye).T for point in z])


class _Preconditioner:
    """Fourier coefficients of the derivative along an orbit, up to the order 2 LOW, and what is made of them."""

    def __init__(self, system: System, orbit: Orbit) -> None:
        m = orbit.m if orbit.m <= 2 else 4 * LOW + 1
        self.m = min(orbit.m, 3)  # a circle's serves circles of any resolution
        along = jacobians(system, resampled(orbit.points, m) if orbit.circle else orbit.points)
        self.coefficients = np.fft.fft(along, axis=0) / m
        self.known: dict[complex, tuple] = {}

    def fits(self, orbit: Orbit) -> bool:
        """Whether it is of orbits of this kind."""
        return min(orbit.m, 3) == self.m

    def _single(self, s: complex) -> tuple:
        """LU factors of the mean derivative minus a symbol."""
        if s not in self.known:
            if len(self.known) > 4 * MOST_HARMONICS:
                self.known.clear()
            mean = self.coefficients[0]
            self.known[s] = factors(mean - s * np.eye(len(mean)))
        return self.known[s]

    def bordered(self, orbit: Orbit, columns: list[Array], weights: list[Array], borders: Array) -> Callable:
        """The inverse, applied to (m n + rows,) vectors."""
        m, n = orbit.points.shape
        s = symbol(m, orbit.angle, orbit.continuous)
        low = np.arange(m) if m <= 2 else np.concatenate([np.arange(LOW + 1), np.arange(m - LOW, m)])
        k, orders = wavenumbers(m)[low].astype(int), len(self.coefficients)
        size, extra = len(low) * n, len(columns)
        big = np.zeros((size + extra, size + extra), dtype=complex)
        for i in range(len(low)):
            for j in range(len(low)):
                block = big[i * n : (i + 1) * n, j * n : (j + 1) * n]
                block += self.coefficients[(k[i] - k[j]) % orders]
                if i == j:
                    block[np.diag_indices(n)] -= s[low[i]]
        for j, column in enumerate(columns):
            big[:size, size + j] = (np.fft.fft(column, axis=0) / m)[low].ravel()
        for i, weight in enumerate(weights):
            big[size + i, :size] = np.fft.fft(weight, axis=0)[low].conj().ravel()
        big[size:, size:] = borders
        known = factors(big)
        high = range(LOW + 1, (m - 1) // 2 + 1) if m > 2 else range(0)

        def inverse(u: Array) -> Array:
            R = np.fft.fft(u[: m * n].reshape(m, n), axis=0) / m
            out = np.zeros_like(R)
            solved = scipy.linalg.lu_solve(known, np.concatenate([R[low].ravel(), u[m * n :]]), check_finite=False)
            out[low] = solved[:size].reshape(len(low), n)
            for q in high:
                out[q] = scipy.linalg.lu_solve(self._single(complex(s[q])), R[q], check_finite=False)
                out[-q] = out[q].conj()
            return np.concatenate([(np.fft.ifft(out, axis=0) * m).real.ravel(), solved[size:].real])

        return inverse
