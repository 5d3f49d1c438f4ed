"""Functions of an angle by their values at equidistant angles, and closed orbits that are such functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

Array = np.ndarray


class System(Protocol):
    """A map of R^n, or a flow (``continuous``): ``advance`` is a step or a velocity, ``products`` its derivative at
    every z times a v, both (k, n) -> (k, n)."""

    @property
    def size(self) -> int: ...

    @property
    def continuous(self) -> bool: ...

    def advance(self, z: Array) -> Array: ...

    def products(self, z: Array, v: Array) -> Array: ...


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


def jacobians(system: System, z: Array) -> Array:
    """(k, n, n) derivatives at points (k, n)."""
    n = z.shape[1]
    eye = np.eye(n)
    return np.stack([system.products(np.broadcast_to(point, (n, n)), eye).T for point in z])
