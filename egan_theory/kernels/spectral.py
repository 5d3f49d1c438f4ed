"""Radial Fourier transforms by quadrature, and wavevectors drawn from a radial spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.errors import InputError

Profile = Callable[[np.ndarray], np.ndarray]

_OCTAVES_BELOW = 45  # panels halve towards r = 0 this many times below the profile's own scale
_OCTAVES_ABOVE = 90  # at k = 0 panels double this many times above it
_WHOLE_RANGE = 1000.0  # with k R below this the whole range R of the profile is integrated, without a window
_LEVELS = ((16, 12.0), (24, 15.0), (36, 19.0), (64, 24.0))  # (Gauss points per panel, width of the window in k r)
_BATCH = 2_000_000  # quadrature points held at once


def radial_fourier(profile_r: Profile, k: Any, dimension: int, tolerance: float = 1e-9) -> np.ndarray:
    """F(k) = int f(|r|) exp(-i k.r) dr over R^dimension = S int_0^inf f(r) r^(d-1) Omega_d(k r) dr.

    S is the area of the unit sphere and Omega_d(x) = Gamma(d/2) (2/x)^(d/2-1) J_(d/2-1)(x): cos x, J_0(x), sin(x)/x in
    d = 1, 2, 3.  ``profile_r`` maps an array of r > 0 to real values; k is an array of wavenumbers >= 0, and the result
    has its shape.

    Method: Gauss-Legendre panels in x = k r that double from far below the profile's own scale up to half a period and
    then follow the oscillation.  A profile that outlives the range is cut by a window erfc((x - c)/s)/2, whose error is
    exp(-s^2/4) for a profile analytic on r > 0.  Points and window grow until two levels agree to ``tolerance`` of F(k)
    plus tolerance/1000 of the integral of |f Omega|.  At k = 0 a power-law tail is summed as a geometric series, and a
    divergent integral is inf.

    Raises InputError if the profile is not finite or not decaying, or if the levels do not agree (a jump or kink).
    """
    wavenumber = np.asarray(k, dtype=float)
    flat = wavenumber.ravel()
    if not np.all(np.isfinite(flat)) or np.any(flat < 0):
        raise InputError("k", "be finite wavenumbers >= 0")
    if dimension < 1:
        raise InputError("dimension", "be an integer >= 1", dimension)
    scale, reach = _extent(profile_r, dimension)
    out = np.empty(flat.shape)
    if np.any(flat == 0):
        out[flat == 0] = _at_zero(profile_r, dimension, scale, tolerance)
    waves = np.flatnonzero(flat > 0)
    waves = waves[np.argsort(flat[waves])]  # similar wavenumbers share their panels
    for i in _octaves(flat[waves]):
        out[waves[i]] = _oscillating(profile_r, flat[waves[i]], dimension, scale, reach, tolerance)
    return out.reshape(wavenumber.shape)


def sample_radial(
    density: Profile, total: float, scale: float, count: int, dimension: int, rng: np.random.Generator
) -> np.ndarray:
    """(count, dimension) wavevectors with probability density K_k / total: inverse CDF of |k|, uniform direction.

    ``density`` maps k to K_k; ``total`` = (2 pi)^d K(0); ``scale`` is a typical wavenumber.  The CDF is tabulated on a
    logarithmic grid.  Raises InputError if its mass differs from 1 by more than 1 %.
    """
    from scipy.integrate import cumulative_simpson
    from scipy.interpolate import PchipInterpolator

    log_k = np.linspace(math.log(1e-6 * scale), math.log(1e4 * scale), 1001)
    k = np.exp(log_k)
    spectrum = _until_lost(density, k)
    weight = sphere_area(dimension) * spectrum * k**dimension / total  # density of log k
    start = weight[0] / dimension  # mass below the grid, where K_k is flat
    cdf = np.maximum.accumulate(start + cumulative_simpson(weight, x=log_k, initial=0.0))
    if not abs(cdf[-1] - 1) <= 0.01:
        raise InputError(
            "discriminator.kernel", "have a spectrum whose mass is K(0)", f"{cdf[-1]:.6g} of it on the grid"
        )
    rising = np.concatenate(([True], np.diff(cdf) > 0))
    quantile = PchipInterpolator(cdf[rising] / cdf[-1], log_k[rising], extrapolate=False)
    level = rng.random((count, 1))
    low = cdf[0] / cdf[-1]
    with np.errstate(divide="ignore"):
        below = k[0] * (level / low) ** (1 / dimension)
    modulus = np.where(level <= low, below, np.exp(quantile(np.maximum(level, low))))
    direction = rng.standard_normal((count, dimension))
    return modulus * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def sphere_area(dimension: int) -> float:
    """Area of the unit sphere in R^d: 2 pi^(d/2) / Gamma(d/2)."""
    return 2 * math.exp(0.5 * dimension * math.log(math.pi) - math.lgamma(0.5 * dimension))


def _until_lost(density: Profile, k: np.ndarray) -> np.ndarray:
    """K_k on a rising grid, zero from where it sinks below what the quadrature can tell from rounding error."""
    spectrum = np.zeros(k.shape)
    peak = 0.0
    for start in range(0, k.size, 50):
        part = slice(start, start + 50)
        spectrum[part] = np.maximum(density(k[part]), 0.0)
        peak = max(peak, float(spectrum[part].max()))
        if spectrum[part].max() < 1e-12 * peak:
            break
    spectrum[spectrum < 1e-12 * peak] = 0.0
    return spectrum


def _evaluate(profile_r: Profile, r: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        f = np.asarray(profile_r(r), dtype=float)
    f = np.broadcast_to(f, r.shape)
    if not np.all(np.isfinite(f)):
        bad = r[~np.isfinite(f)].flat[0]
        raise InputError("profile", "be finite for r > 0", f"a value that is not at r = {bad:.6g}")
    return f


def _extent(profile_r: Profile, dimension: int) -> tuple[float, float]:
    """(radius where |f| first falls to half its largest value, radius beyond which f r^d does not count)."""
    r = np.geomspace(1e-12, 1e12, 1921)
    f = np.abs(_evaluate(profile_r, r))
    top = f.max()
    if top == 0:
        return 1.0, 1.0
    peak = int(np.argmax(f))
    low = np.flatnonzero(f[peak:] < 0.5 * top)
    if low.size == 0 or f[-1] > 0.5 * top:
        raise InputError("profile", "decay to zero as r grows", f"{f[-1]:.3g} at r = {r[-1]:.3g}, of at most {top:.3g}")
    scale = float(r[peak + low[0]])
    with np.errstate(divide="ignore"):
        log_mass = np.log(f) + dimension * np.log(r)
    counts = np.flatnonzero(log_mass > log_mass.max() + math.log(1e-18))
    return scale, float(r[min(counts[-1] + 1, r.size - 1)])


def _octaves(k: np.ndarray) -> list[np.ndarray]:
    """Positions of the sorted wavenumbers, grouped by factor of two."""
    label = np.floor(np.log2(k / k[0])).astype(int) if k.size else np.array([], int)
    return [np.flatnonzero(label == i) for i in np.unique(label)]


def _at_zero(profile_r: Profile, dimension: int, scale: float, tolerance: float) -> float:
    edges = scale * 2.0 ** np.arange(-_OCTAVES_BELOW, _OCTAVES_ABOVE + 1)
    edges = np.concatenate(([0.0], edges))
    area = sphere_area(dimension)
    previous = math.nan
    for points, _ in _LEVELS:
        r, w = _panels(edges, points)
        terms = w * _evaluate(profile_r, r) * r ** (dimension - 1)
        panels = area * terms.reshape(-1, points).sum(axis=1)
        total, size = float(panels.sum()), area * float(np.abs(terms).sum())
        if panels[-1] != 0 and panels[-2] != 0:
            # Panels of a power law shrink by one factor, so the tail beyond the last is a geometric series.
            ratio = float(panels[-1] / panels[-2])
            if ratio > 1 - 1e-3:
                return math.copysign(math.inf, panels[-1])
            total += float(panels[-1]) * ratio / (1 - ratio)
        error = abs(total - previous)
        if error <= tolerance * abs(total) + 1e-3 * tolerance * size:
            return total
        previous = total
    raise _not_converged(0.0, error, size)


def _oscillating(
    profile_r: Profile, k: np.ndarray, dimension: int, scale: float, reach: float, tolerance: float
) -> np.ndarray:
    """One group of wavenumbers on common panels in x = k r."""
    top = float(k.max()) * reach
    lowest = min(math.pi, float(k.min()) * scale) * 2.0**-_OCTAVES_BELOW
    fan = math.pi * 2.0 ** np.arange(-math.ceil(math.log2(math.pi / lowest)), 1)
    previous = np.full(k.shape, math.nan)
    for points, width in _LEVELS:
        whole = top <= _WHOLE_RANGE
        centre = 6.5 * width
        end = top if whole else centre + 6.5 * width
        edges = np.concatenate(([0.0], fan, math.pi * np.arange(2, max(2, math.ceil(end / math.pi)) + 1)))
        x, w = _panels(edges, points)
        weight = w * x ** (dimension - 1) * _omega(x, dimension)
        if not whole:
            from scipy.special import erfc

            weight = weight * 0.5 * erfc((x - centre) / width)
        weight = weight * sphere_area(dimension)
        value, size = np.empty(k.shape), np.empty(k.shape)
        step = max(1, _BATCH // x.size)
        for start in range(0, k.size, step):
            part = slice(start, start + step)
            f = _evaluate(profile_r, x / k[part, None])
            value[part] = f @ weight / k[part] ** dimension
            size[part] = np.abs(f) @ np.abs(weight) / k[part] ** dimension
        error = np.abs(value - previous)
        if np.all(error <= tolerance * np.abs(value) + 1e-3 * tolerance * size):
            return value
        previous = value
    worst = int(np.argmax(error / size))
    raise _not_converged(float(k[worst]), float(error[worst]), float(size[worst]))


def _not_converged(k: float, error: float, size: float) -> InputError:
    return InputError(
        "profile",
        "be smooth enough for its Fourier integral to converge",
        f"a change of {error:.3g} between the last two quadratures at k = {k:.6g} (integral of the modulus {size:.3g})",
    )


def _panels(edges: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()


def _omega(x: np.ndarray, dimension: int) -> np.ndarray:
    if dimension == 1:
        return np.cos(x)
    if dimension == 3:
        return np.sinc(x / math.pi)
    from scipy.special import hyp0f1, j0

    return j0(x) if dimension == 2 else hyp0f1(0.5 * dimension, -0.25 * x**2)
