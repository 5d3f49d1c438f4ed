"""z^mu K_mu(z) as a function of w = z^2, for the Matern profile and the rational-quadratic spectrum."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

LARGEST_BESSEL_ORDER = 30.0  # above it the uniform expansion is exact to rounding and cannot overflow
LARGEST_CLOSED_ORDER = 10.5  # half-integers up to here use their polynomial times exp(-z)
_DEBYE_TERMS = 14
_TAYLOR_RATIO = 1e-6  # below it the third Taylor term in Im(w) is under rounding error


def bessel_power(mu: float, w: np.ndarray) -> np.ndarray:
    """z^mu K_mu(z) / norm(mu) at z = sqrt(w), w real or complex, with norm(mu) = 2^(mu-1) Gamma(mu) if mu > 0, else 1.

    So the value at w = 0 is 1 for mu > 0 and inf for mu <= 0.  On the branch cut w < 0 it is the mean of the two
    branches, -(pi/2) y^mu Y_mu(y) / norm with y = sqrt(-w), which is real.

    Derivatives follow from d/dw [z^mu K_mu(z)] = -(1/2) z^(mu-1) K_(mu-1)(z) (DLMF 10.29.4).
    """
    w = np.asarray(w)
    if mu > LARGEST_BESSEL_ORDER:
        return _debye(mu, w)
    if not np.iscomplexobj(w):
        return _on_real_axis(mu, w)
    x, y = w.real, w.imag
    out = np.empty(w.shape, complex)
    real = y == 0
    out[real] = _on_real_axis(mu, x[real])
    # The Bessel routines round real and imaginary parts together, which would drown a complex step's imaginary part.
    step = ~real & (x > 0) & (np.abs(y) * np.maximum(1.0, np.sqrt(np.abs(x))) <= _TAYLOR_RATIO * x)
    if np.any(step):
        xs, ys = x[step], y[step]
        f = [norm(mu - j) / norm(mu) * (-0.5) ** j * _on_real_axis(mu - j, xs) for j in range(3)]
        out[step] = (f[0] - 0.5 * ys**2 * f[2]) + 1j * (ys * f[1])
    rest = ~real & ~step
    out[rest] = _off_axis(mu, w[rest])
    return out


def norm(mu: float) -> float:
    """Limit of z^mu K_mu(z) at z = 0 if mu > 0; 1 otherwise, where that limit is infinite."""
    return 2.0 ** (mu - 1) * math.gamma(mu) if mu > 0 else 1.0


def _on_real_axis(mu: float, w: np.ndarray) -> np.ndarray:
    if _half_integer(mu):
        cut = w < 0
        if not np.any(cut):
            return _closed(mu, w)
        return _closed(mu, w.astype(complex)).real
    from scipy.special import kv, yv

    out = np.full(w.shape, 1.0 if mu > 0 else np.inf)
    for side, function, factor in ((w > 0, kv, 1.0), (w < 0, yv, -0.5 * math.pi)):
        ws = w[side]
        if ws.size == 0:
            continue
        z = np.sqrt(np.abs(ws))
        bessel = function(mu, z)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            value = factor * z**mu * bessel / norm(mu)
        value = np.where(bessel == 0, 0.0, value)
        if mu > 1:  # overflow of the Bessel function: the next term of the power series is already under rounding error
            value = np.where(np.isinf(bessel), 1 - ws / (4 * (mu - 1)), value)
        out[side] = value
    return out


def _off_axis(mu: float, w: np.ndarray) -> np.ndarray:
    if _half_integer(mu):
        return _closed(mu, w)
    from scipy.special import kv

    z = np.sqrt(w)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        value = z**mu * kv(mu, z) / norm(mu)
    value = np.where(z.real > 1000, 0, value)  # K_mu underflows there, and the library returns nan instead
    return np.where(np.isfinite(value), value, 1 - w / (4 * (mu - 1))) if mu > 1 else value


def _half_integer(mu: float) -> bool:
    return abs(mu) <= LARGEST_CLOSED_ORDER and (abs(mu) - 0.5).is_integer()


def _closed(mu: float, w: np.ndarray) -> np.ndarray:
    """sqrt(pi/2) exp(-z) sum_i (m+i)!/(i! (m-i)!) 2^-i z^(m-i), m = |mu| - 1/2; times z^(2 mu) if mu < 0.

    Source: DLMF 10.49.12.
    """
    m = round(abs(mu) - 0.5)
    z = np.sqrt(w)
    total = np.zeros_like(z)
    for i in range(m + 1):  # Horner, from the highest power z^m
        total = total * z + math.factorial(m + i) / (math.factorial(i) * math.factorial(m - i)) * 2.0**-i
    value = math.sqrt(math.pi / 2) / norm(mu) * np.exp(-z) * total
    if mu > 0:
        return value
    zero = z == 0
    return np.where(zero, np.inf, value / np.where(zero, 1, z) ** round(-2 * mu))


def _debye(mu: float, w: np.ndarray) -> np.ndarray:
    """Uniform expansion for large order (DLMF 10.41.4) divided by itself at w = 0: no root of w, so analytic there."""
    from scipy.special import log1p

    x2 = w / mu**2
    s = np.sqrt(1 + x2)
    excess = x2 / (1 + s)  # s - 1 without cancellation
    series = [np.polynomial.polynomial.polyval(1 / s, u) / (-mu) ** k for k, u in enumerate(_debye_polynomials())]
    at_zero = sum(float(np.sum(u)) / (-mu) ** k for k, u in enumerate(_debye_polynomials()))
    return np.exp(mu * (log1p(excess / 2) - excess)) / np.sqrt(s) * (sum(series) / at_zero)


@lru_cache(maxsize=1)
def _debye_polynomials() -> tuple[np.ndarray, ...]:
    """U_k(p): U_0 = 1, U_(k+1) = p^2 (1 - p^2) U_k' / 2 + (1/8) int_0^p (1 - 5 t^2) U_k dt (DLMF 10.41.9)."""
    poly = np.polynomial.Polynomial
    polynomials = [poly([1.0])]
    for _ in range(_DEBYE_TERMS):
        u = polynomials[-1]
        polynomials.append(poly([0, 0, 0.5, 0, -0.5]) * u.deriv() + (poly([1.0, 0, -5.0]) * u).integ() / 8)
    return tuple(p.coef for p in polynomials)
