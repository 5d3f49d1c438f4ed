"""Amplitude equations: the slow dynamics of the critical modes, and the orbits that they have.

In the frame that turns with the critical eigenvalue (lambda_0 per step) and with delta = mu - mu_c

    dz/dt = (L_0 + delta L_1) z + Q(z, z)/2 + K(z, z, z)/6      per step (flow: per unit of time),

L_0 = diag(log(lambda_l/lambda_0)), L_1 = P^H (dA/dmu) Q / lambda_0, K = T/lambda_0 (reduced.Reduced; flow: without the
division), Q of a single eigenvalue +1 alone. One simple mode: |z|^2 = -delta Re L_1 / Re K', K' = T/2 of a pair, T/6 of
a real one. Two modes (a symmetric pair, or one that symmetry nearly makes) have several families of orbits, which are
sought numerically on C^2: relative equilibria dz/dt = i Omega z, with their stability among the critical modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .reduced import Reduced

Array = np.ndarray
#: Newton's method from so many random states, and what it has to reach
STARTS, STEPS, CONVERGED = 60, 60, 1e-11
#: two orbits whose amplitude, frequency and growth rates agree to this are one up to symmetry
SAME = 1e-5
#: a growth rate below this part of the largest decay rate is zero: the phase, or a symmetry
NEUTRAL = 1e-6


@dataclass(frozen=True)
class State:
    """A solution of the amplitude equations: z (k,); shift: its frequency beside the critical one (radians per step;
    flow: per time); growth (2k - 1 or k,): growth rates of perturbations among the critical modes, largest first, the
    phase left out; stable: none above zero."""

    z: Array
    shift: float
    growth: Array

    @property
    def stable(self) -> bool:
        return bool(self.growth.max(initial=-np.inf) <= NEUTRAL * np.abs(self.growth).max(initial=0.0))


@dataclass(frozen=True)
class AmplitudeEquations:
    """linear_0, linear_1 (k, k); quadratic (k, m, m), cubic (k, m, m, m); gram (k, k): weighted products of what the
    critical vectors do to the particles, so that the mean square displacement is 2 z^H gram z of an orbit, z^T gram z
    of real modes."""

    linear_0: Array
    linear_1: Array
    quadratic: Array
    cubic: Array
    gram: Array
    real: bool

    @property
    def size(self) -> int:
        return len(self.linear_0)

    def velocity(self, z: Array, delta: float) -> Array:
        """dz/dt, (k,)."""
        full = z if self.real else np.concatenate([z, z.conj()])
        linear = (self.linear_0 + delta * self.linear_1) @ z
        second = np.einsum("lij,i,j->l", self.quadratic, full, full) / 2
        return linear + second + np.einsum("lijk,i,j,k->l", self.cubic, full, full, full) / 6

    def mean_square(self, z: Array) -> float:
        """Mean square displacement of the particles on the orbit, lowest order."""
        return float((1 if self.real else 2) * (z.conj() @ self.gram @ z).real)

    def simple(self) -> tuple[complex, complex]:
        """(L_1, K') of one mode: dz/dt = delta L_1 z + K' |z|^2 z."""
        assert self.size == 1
        factor = 1 / 6 if self.real else 1 / 2
        term = self.cubic[0, 0, 0, 0] if self.real else self.cubic[0, 0, 0, 1]
        return complex(self.linear_1[0, 0]), complex(factor * term)

    # -- several modes -------------------------------------------------------------------------------------------

    def flat(self, z: Array) -> Array:
        return z.real if self.real else np.concatenate([z.real, z.imag])

    def state(self, y: Array) -> Array:
        return y if self.real else y[: self.size] + 1j * y[self.size :]

    def jacobian(self, z: Array, delta: float, shift: float) -> Array:
        """Of the flat velocity in the frame of the orbit."""
        full = z if self.real else np.concatenate([z, z.conj()])
        k = self.size
        D = np.einsum("lij,j->li", self.quadratic, full) + np.einsum("lijk,j,k->li", self.cubic, full, full) / 2
        direct = self.linear_0 + delta * self.linear_1 + D[:, :k]
        if self.real:
            return direct.real
        direct = direct - 1j * shift * np.eye(k)
        conjugate = D[:, k:]
        plus, minus = direct + conjugate, direct - conjugate
        return np.block([[plus.real, -minus.imag], [plus.imag, minus.real]])

    def _residual(self, y: Array, shift: float, delta: float) -> Array:
        z = self.state(y)
        return self.flat(self.velocity(z, delta) - 1j * shift * z) if not self.real else self.velocity(z, delta)

    def states(self, delta: float) -> list[State]:
        """All solutions other than z = 0 that Newton's method finds at mu_c + delta, stable ones first, then the
        largest. One of each family that a symmetry connects."""
        k = self.size
        rng = np.random.default_rng(0)
        rate = np.abs(np.linalg.eigvals(self.linear_0 + delta * self.linear_1).real).max()
        top = np.abs(self.cubic).max() / (6 if self.real else 2)
        size = np.sqrt(rate / top) if top > 0 else 1.0
        if np.abs(self.quadratic).max() > 0:
            size = min(size, 2 * rate / np.abs(self.quadratic).max())
        starts = [rng.standard_normal(k) if self.real else rng.standard_normal(k) + 1j * rng.standard_normal(k)
                  for _ in range(STARTS)]  # fmt: skip
        starts += list(np.eye(k) if self.real else np.eye(k) + 0j)
        found: list[State] = []
        for z in starts:
            state = self._newton(size * z, delta, rate, size)
            if state is not None and not any(self._same(state, other, size, rate) for other in found):
                found.append(state)
        return sorted(found, key=lambda s: (not s.stable, -self.mean_square(s.z)))

    def _newton(self, z: Array, delta: float, rate: float, size: float) -> State | None:
        y, shift = self.flat(z), 0.0
        if not self.real:
            v = self.velocity(z, delta)
            shift = float((z.conj() @ v).imag / (z.conj() @ z).real)
        for _ in range(STEPS):
            F = self._residual(y, shift, delta)
            if np.abs(F).max() <= CONVERGED * rate * size:
                break
            z = self.state(y)
            J = self.jacobian(z, delta, shift)
            if not self.real:
                J = np.concatenate([J, self.flat(-1j * z)[:, None]], axis=1)
            step = np.linalg.lstsq(J, -F, rcond=1e-12)[0]
            length = np.linalg.norm(step[: len(y)])
            step = step * min(1.0, size / max(float(length), 1e-300))
            y = y + step[: len(y)]
            if not self.real:
                shift += step[-1]
        else:
            return None
        z = self.state(y)
        if np.linalg.norm(z) < 1e-4 * size or not np.all(np.isfinite(y)):
            return None
        growth = np.linalg.eigvals(self.jacobian(z, delta, shift)).real
        if not self.real:  # the phase's own zero
            growth = np.delete(growth, np.argmin(np.abs(growth)))
        return State(z, shift, np.sort(growth)[::-1])

    def _same(self, one: State, other: State, size: float, rate: float) -> bool:
        return (
            abs(np.sqrt(self.mean_square(one.z)) - np.sqrt(self.mean_square(other.z)))
            <= SAME * np.sqrt(self.mean_square(one.z) + self.mean_square(other.z))
            and abs(one.shift - other.shift) <= SAME * rate
            and bool(np.all(np.abs(one.growth - other.growth) <= 1e2 * SAME * rate))
        )


def equations(reduced: Reduced, slope: Array, gram: Array, reference: complex | None = None) -> AmplitudeEquations:
    """slope (k, k): P^H (dA/dmu) Q; gram: see AmplitudeEquations; reference: lambda_0 (default: the first)."""
    space = reduced.space
    first = space.values[0] if reference is None else reference
    if space.continuous:
        base = 1j * np.imag(first)
        linear_0, divisor = np.diag(space.values - base), 1.0
    else:
        base = first / abs(first)
        linear_0, divisor = np.diag(np.log(space.values.astype(complex) / base)), base
    parts = [linear_0, slope / divisor, reduced.quadratic / divisor, reduced.cubic / divisor]
    if space.real:
        parts = [np.real(part) for part in parts]
    linear, slopes, quadratic, cubic = parts
    return AmplitudeEquations(linear, slopes, quadratic, cubic, gram, space.real)


__all__ = ["AmplitudeEquations", "State", "equations"]
