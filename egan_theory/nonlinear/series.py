"""The orbit as a power series beyond the square root: how far from the threshold the amplitude equation holds.

u(phi) = sum_n eps^n U_n(phi) on the orbit, delta = mu - mu_c = sign eps^2, theta = theta_0 + theta_2 eps^2 + ... the
angle per step, with F(u(phi); mu) = u(phi + theta) order by order, harmonic by harmonic (Lindstedt and Poincare; the
composition of F with the series by Taylor arithmetic along the curve eps -> u(phi), on a grid of phases):

    (exp(i k theta_0) - A) U_n,k = N_n,k     k theta_0 not critical;      <p_l, N_n,1> = 0

The second condition at order 3 is the amplitude equation; at order 5 it gives the part of U_3 along the critical
vectors, and with it the mean square displacement delta m (1 + 2 c delta): the amplitude is sqrt(m delta)(1 + c delta).
"""

from __future__ import annotations

import numpy as np

from .amplitude import AmplitudeEquations, State
from .critical import CriticalSpace
from .point import Point

Array = np.ndarray
#: phases of the grid: harmonics up to 5 without aliasing
PHASES = 12


def correction(
    here: Point,
    before: Point,
    after: Point,
    step: float,
    space: CriticalSpace,
    equations: AmplitudeEquations,
    state: State,
    sign: float,
) -> tuple[float, float]:
    """(c, residual): the amplitude is sqrt(m delta) (1 + c |delta|) to the next order; residual: of the amplitude
    equation in this second way of getting it, relative.

    before, after: the map at mu_c -+ step. state: a solution at delta = sign of the equations without L_0. All critical
    eigenvalues are taken as the first one."""  # fmt: skip
    n = here.size
    phases = PHASES if not space.real else (2 if space.values[0].real < 0 and not here.continuous else 1)
    base = space.values[0]
    theta = base.imag if here.continuous else np.angle(base)
    harmonics = np.fft.fftfreq(phases, 1 / phases).round().astype(int)
    zeta = 1j * harmonics * theta if here.continuous else np.exp(1j * harmonics * theta)
    critical = (harmonics == 1) | (phases == 2) & (harmonics == -1) | (phases == 1)
    mirrored = np.isin(harmonics, [-1]) if phases == PHASES else np.zeros(phases, bool)
    theta_2 = 0.0 if space.real else state.shift

    U = np.zeros((5, phases, n))  # U_1 ... U_5 at the phases
    U_hat = np.zeros((5, phases, n), dtype=complex)  # harmonics

    def put(order: int, hat: Array) -> None:
        U_hat[order - 1] = hat
        U[order - 1] = np.fft.ifft(hat * phases, axis=0).real

    first = np.zeros((phases, n), dtype=complex)
    first[critical] = space.right @ state.z
    first[mirrored] = np.conj(space.right @ state.z)
    put(1, first)

    def turned(order: int) -> Array:
        """What the shift of the angle makes of lower orders in u(phi + theta), theta_4 aside, harmonic by harmonic."""
        i = 1j * harmonics[:, None] * theta_2
        z = np.ones((phases, 1)) if here.continuous else zeta[:, None]
        out = np.zeros((phases, n), dtype=complex)
        if order > 2:
            out += z * i * U_hat[order - 3]
        if order > 4 and not here.continuous:
            out += z * i**2 / 2 * U_hat[order - 5]
        return out

    def forcing(order: int) -> Array:
        """N_n,k: all of the order but what U_n itself gives."""
        known = U[:order].copy()
        known[order - 1] = 0.0
        total = here.curve(known)[order - 1]
        if order > 2:
            up, down = after.curve(known[: order - 2]), before.curve(known[: order - 2])
            total = total + sign * (up - down)[order - 3] / (2 * step)
        if order > 4:
            middle = here.curve(known[: order - 4])
            up, down = after.curve(known[: order - 4]), before.curve(known[: order - 4])
            total = total + (up - 2 * middle + down)[order - 5] / (2 * step**2)
        return np.fft.fft(total, axis=0) / phases - turned(order)

    residual = 0.0
    for order in range(2, 6):
        N = forcing(order)
        hat = np.zeros((phases, n), dtype=complex)
        if order in (3, 5):
            at = N[critical][0] @ space.left.conj()
            if order == 3:
                residual = float(np.linalg.norm(at) / max(float(np.linalg.norm(equations.linear_1 @ state.z)), 1e-300))
            else:
                w = _along(equations, state, sign, at / (1.0 if here.continuous else base / abs(base)))
                U_hat[2][critical] += space.right @ w
                U_hat[2][mirrored] += np.conj(space.right @ w)
                put(3, U_hat[2])
                break
        for j in range(phases):
            if phases == PHASES and abs(harmonics[j]) > order:
                continue  # rounding alone
            if critical[j]:
                hat[j] = here.resolvent(base, N[j], space)
            elif mirrored[j]:
                hat[j] = here.resolvent(np.conj(base), N[j], _conjugate(space))
            else:
                hat[j] = here.resolvent(zeta[j], N[j])
        put(order, hat)

    def square(a: Array, b: Array) -> float:
        x, y = here.displacement(a), here.displacement(b)
        return float(np.einsum("m,fmd,fmd->", here.shares, x, y) / phases)

    leading = square(U[0], U[0])
    return (square(U[1], U[1]) + 2 * square(U[0], U[2])) / (2 * leading), residual


def _along(equations: AmplitudeEquations, state: State, sign: float, forced: Array) -> Array:
    """w (k,) with J w + forced = i theta_4 z: J of the amplitude equations at the state."""
    without = AmplitudeEquations(
        0 * equations.linear_0, equations.linear_1, equations.quadratic, equations.cubic, equations.gram, equations.real
    )
    J = without.jacobian(state.z, sign, state.shift)
    flat = without.flat(forced if not equations.real else forced.real)
    if equations.real:
        return np.linalg.lstsq(J, -flat, rcond=1e-9)[0]
    J = np.concatenate([J, without.flat(-1j * state.z)[:, None]], axis=1)
    found = np.linalg.lstsq(J, -flat, rcond=1e-9)[0]
    return without.state(found[:-1])


def _conjugate(space: CriticalSpace) -> CriticalSpace:
    return CriticalSpace(space.values.conj(), space.right.conj(), space.left.conj(), space.real, space.continuous)


__all__ = ["correction"]
