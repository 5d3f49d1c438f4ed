"""Stability of closed orbits: Eq. (113, floquet).

A small deviation v from an invariant circle moves by the derivative along it, and grows by one factor per step in the
right frame,

    map:   F'(z(phi)) v(phi) = Lambda v(phi + theta)          flow:   V'(z) v = omega v' + sigma v

v has a factor e^(i k phi) to spare, which turns Lambda by e^(-i k theta); what is unique is the multiplier over one
turn, M = Lambda^(2 pi / theta) (flow: e^(2 pi sigma / omega)). One of them is 1, that of v = z'. The orbit is stable
when all others are below 1 in modulus.

The leading ones come from a reduced problem (the slowest directions of the mean derivative, a few harmonics: Hill's
method) and are then made exact by Newton's method on (v, Lambda), with GMRES and the reduced problem as preconditioner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .circle import Array, Orbit, System, jacobians, symbol, wavenumbers
from .hill import Reduced
from .krylov import gmres

#: multipliers computed
COUNT = 4
#: problems of at most this many unknowns are solved whole
WHOLE = 480
#: of a reduced mode's square that may lie in its highest harmonics
EDGE = 0.2
#: Newton's method: steps, and residual of v = 1 at which it ends
STEPS, SMALL = 6, 1e-8
INNER, INNER_STEPS = 3e-3, 30
#: exponents closer than this, relative to the angle, are one
SAME = 1e-6
#: vectors of norm 1 with a larger product are one
ONE = 1 - 1e-5


@dataclass(frozen=True, eq=False)
class Floquet:
    """exponents: (count,) complex, log Lambda per step (flow: sigma), largest real part first, the one of the motion
    along the orbit left out; multipliers: (count,) complex over one turn (of a fixed point: one step, or unit of time);
    vectors: (count, m, n) complex; residuals: (count,)."""

    exponents: Array
    multipliers: Array
    vectors: Array
    residuals: Array

    @property
    def stable(self) -> bool:
        return bool((self.exponents.real < 0).all())

    @property
    def unstable(self) -> int:
        return int((self.exponents.real >= 0).sum())


def floquet(system: System, orbit: Orbit, count: int = COUNT) -> Floquet:
    """The ``count`` leading multipliers of an orbit."""
    if not orbit.circle:
        return _of_cycle(jacobians(system, orbit.points), orbit, count)
    along = np.fft.fft(orbit.derivative, axis=0) / orbit.m
    return _result(_leading(system, orbit, count, along / np.linalg.norm(along)), orbit, count)


def along_orbit(matrices: Array, orbit: Orbit, count: int) -> Floquet:
    """The same of a linear map (of a flow: velocity) that is ``matrices`` (m, p, p) at the orbit's angles."""
    if not orbit.circle:
        return _of_cycle(matrices, orbit, count)
    there = replace(orbit, points=matrices[:, 0])
    return _result(_leading(_Linear(matrices), there, count, None), orbit, count)


@dataclass(frozen=True, eq=False)
class _Linear:
    """A system of which only the derivative at the orbit's angles is known."""

    matrices: Array
    continuous: bool = False

    @property
    def size(self) -> int:
        return self.matrices.shape[1]

    def advance(self, z: Array) -> Array:
        raise NotImplementedError

    def products(self, z: Array, v: Array) -> Array:
        return np.einsum("kij,kj->ki", self.matrices, v)


def _leading(system: System, orbit: Orbit, count: int, along: Array | None) -> list[tuple[complex, Array, float]]:
    """(eigenvalue, Fourier coefficients (m, n) of norm 1, residual) of as many families, leaving out ``along``, the
    motion along the orbit, whose eigenvalue is known; without it the problem is a small one."""
    m, n = orbit.points.shape
    operator = _Operator(system, orbit)
    reduced = None
    if along is None or m * n <= WHOLE:
        dense = np.stack([np.fft.ifft(operator(v), axis=0).real.ravel() * m for v in _units(m, n)], axis=1)
        values, vectors = np.linalg.eig(dense)
        vectors = np.fft.fft(vectors.T.reshape(-1, m, n), axis=1)
        vectors /= np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    else:
        reduced = Reduced(system, orbit)
        values, vectors = reduced.pairs()
    chosen = _families(values, vectors, orbit, count + 1)
    if along is not None:
        chosen.remove(max(chosen, key=lambda i: abs(np.vdot(along, vectors[i]))))
    pairs: list[tuple[complex, Array, float]] = []
    for place, i in enumerate(chosen):
        twin = [j for j, k in enumerate(chosen[:place]) if values[i].imag and values[k] == values[i].conj()]
        if reduced is None:
            pairs.append((complex(values[i]), vectors[i], 0.0))
        elif twin:
            value, v, left = pairs[twin[0]]
            pairs.append((value.conjugate(), np.roll(v[::-1], 1, axis=0).conj(), left))
        else:
            pairs.append(_refined(operator, reduced, complex(values[i]), vectors[i]))
    known = [] if along is None else [along]
    out = []
    for value, v, left in pairs:  # two guesses may lead to one
        if all(abs(np.vdot(u, v)) < ONE for u in known):
            out.append((value, v, left))
            known.append(v)
    return out


def _units(m: int, n: int) -> Iterator[Array]:
    """Fourier coefficients of functions that are 1 in one component at one angle."""
    for unit in np.eye(m * n):
        yield np.fft.fft(unit.reshape(m, n), axis=0) / m


def _result(pairs: list[tuple[complex, Array, float]], orbit: Orbit, count: int) -> Floquet:
    exponents = np.array([v if orbit.continuous else np.log(complex(v)) for v, *_ in pairs])
    order = np.argsort(-exponents.real, kind="stable")[:count]
    vectors = np.stack([np.fft.ifft(v, axis=0) * orbit.m for _, v, _ in pairs])
    return Floquet(
        exponents[order],
        np.exp(2 * np.pi * exponents[order] / abs(orbit.angle)),
        vectors[order],
        np.array([left for *_, left in pairs])[order],
    )


def _of_cycle(along: Array, orbit: Orbit, count: int) -> Floquet:
    """Of fixed points (m = 1) and cycles of two steps, from the derivatives (m, n, n)."""
    whole = along[0]
    for jacobian in along[1:]:
        whole = jacobian @ whole
    values, vectors = np.linalg.eig(whole)
    values = values.astype(complex)
    with np.errstate(divide="ignore"):
        exponents = values if orbit.continuous else np.log(values) / orbit.m
    order = np.argsort(-exponents.real, kind="stable")[:count]
    multipliers = np.exp(values) if orbit.continuous else values
    shape = np.broadcast_to(vectors.T[order][:, None], (len(order), orbit.m, len(whole)))
    return Floquet(exponents[order], multipliers[order], shape, np.zeros(len(order)))


class _Operator:
    """v -> what Lambda (flow: sigma) times v is, on Fourier coefficients (m, n)."""

    def __init__(self, system: System, orbit: Orbit) -> None:
        self.system, self.orbit, self.m = system, orbit, orbit.m
        self.factors = symbol(orbit.m, orbit.angle, orbit.continuous)[:, None]

    def turned(self, Av: Array, v: Array) -> Array:
        return Av - self.factors * v if self.orbit.continuous else Av / self.factors

    def __call__(self, v: Array) -> Array:
        values = np.fft.ifft(v, axis=0) * self.m
        z = self.orbit.points
        Av = self.system.products(z, values.real) + 1j * self.system.products(z, values.imag)
        return self.turned(np.fft.fft(Av, axis=0) / self.m, v)


def _families(values: Array, vectors: Array, orbit: Orbit, count: int) -> list[int]:
    """The leading eigenvalues, one of every family that differs by factors e^(i k phi): the one whose mean wavenumber
    is nearest to 0; vectors (., m, n)."""
    m = orbit.m
    k = wavenumbers(m)
    share = (np.abs(vectors) ** 2).sum(-1)
    share = share / share.sum(-1, keepdims=True)
    mean = share @ k
    highest = np.abs(k) >= _highest(share) - 0.5
    edge = share[:, highest].sum(-1)
    growth = values.real if orbit.continuous else np.abs(values)
    found: list[int] = []
    for i in np.argsort(-growth, kind="stable"):
        if not -0.5 - 1e-6 < mean[i] <= 0.5 + 1e-6 or edge[i] > EDGE:
            continue
        # a real multiplier below 0 has two such members, each the conjugate of the other
        if any(abs(abs(mean[i]) - 0.5) < 1e-3 and _related(values[i], values[j], orbit) for j in found):
            continue
        found.append(int(i))
        if len(found) == count:
            break
    return found


def _highest(share: Array) -> float:
    """The highest wavenumber at which vectors are not zero."""
    m = share.shape[1]
    return float(np.abs(wavenumbers(m))[share.max(0) > 0].max())


def _related(a: complex, b: complex, orbit: Orbit) -> bool:
    """Whether two eigenvalues are of one family, and differ by one harmonic."""
    step = (a - b) if orbit.continuous else np.log(a / b)
    return min(abs(step - 1j * s * orbit.angle) for s in (1, -1)) < SAME * abs(orbit.angle)


def _refined(operator: _Operator, reduced: Reduced, value: complex, v: Array) -> tuple[complex, Array, float]:
    """(eigenvalue, vector of norm 1, residual) next to an approximate pair."""
    best = (np.inf, value, v)
    row = v
    for _ in range(STEPS):
        r = operator(v) - value * v
        left = float(np.linalg.norm(r))
        if left < best[0]:
            best = (left, value, v)
        if left <= SMALL or left > 10 * best[0]:
            break

        def apply(u: Array, value: complex = value, v: Array = v) -> Array:
            x = u[:-1].reshape(v.shape)
            return np.append((operator(x) - value * x - u[-1] * v).ravel(), np.vdot(row, x))

        right = np.append(-r.ravel(), 0.0)
        u, _, _ = gmres(apply, right, reduced.inverse(value, -v, row), INNER, INNER_STEPS)
        v, value = v + u[:-1].reshape(v.shape), value + u[-1]
        size = np.linalg.norm(v)
        v = v / size
    left, value, v = best
    return complex(value), v, left
