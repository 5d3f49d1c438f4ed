"""Asymptotic decay rates from norms, and the plateau (rounding or noise floor) at which a decay stops telling."""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError
from scipy.optimize import least_squares

from ..base.errors import InputError
from .varpro import Layout, basis, correlation_factor

MIN_SAMPLES = 8  # fewest samples a rate is fitted to
FLOOR_DROP = 1.5  # e-folds the norm must fall before a flat tail counts as a floor
FLOOR_SLOPE = 0.1  # ... and the largest tail slope, relative to the slope before
CLEAR_ERROR = 0.3  # ... which an error above this share of it cannot excuse
ROUNDING = 1e-9  # a flat tail below this share of the maximum is rounding, whatever its drift
ABOVE_FLOOR = 4.0  # samples are used while the fitted decay is above this multiple of the floor
CLEAR_SHARE = 0.25  # ... and while above this share of the e-folds between floor and maximum
DIP = 1.5  # samples under this multiple of the floor are left out: subtracting it would only leave its noise
MODE_SHARE = 0.3  # smallest share at the end of the window that a fitted slow component must have
MIN_FALL = 3.0  # e-folds the window should span where a floor shortens the record
BIC_MARGIN = 10.0
MAX_MODE_SAMPLES = 150


def fitted_rate(times, norms) -> tuple[float, float]:
    """Exponential rate lambda of |u(t)| ~ exp(-lambda t) at late times, and its standard error.

    times: (time,) increasing; norms: (run, time) or (time,), not negative. Both results are per unit of ``times``;
    lambda < 0 means growth. (nan, nan) if no run keeps 8 usable samples.

    Per run: drop all from the first non-finite sample on; cut a floor (see ``floor_cut``), subtract it in quadrature
    and leave out samples under 1.5 floors; keep the last half of the remaining time span (at least 8 samples; above a
    floor at least 3 e-folds, if there are). There fit log|u| by a line and by the norm of one second-order mode,
    log|A phi_0 + B phi_1| (roots m +- sqrt(d): damped oscillation, critical damping with its prefactor t, or two real
    rates). The mode replaces the line if it lowers the BIC by 10 and, where overdamped, its slow component makes up
    30 % of the norm at the end and its rate differs from the line's by 3 errors: it may not extrapolate a rate it
    hardly saw. The line's error includes the change of slope between the halves of the window where that exceeds
    2 errors: a rate still drifting is known no better.

    The result is the median over runs. Its error is the larger of the runs' scatter (3 runs or more) and their fits'
    own error, both for a median of that many runs.
    """
    t = check_times(times)
    rows = np.atleast_2d(np.asarray(norms, dtype=float))
    if rows.ndim != 2 or rows.shape[1] != t.size:
        raise InputError("norms", f"have shape (run, {t.size})", rows.shape)
    if (rows < 0).any():
        raise InputError("norms", "be not negative", float(np.nanmin(rows)))
    found = [r for r in (_run_rate(t, y) for y in rows) if r is not None]
    if not found:
        return float("nan"), float("nan")
    rates, errs = np.array(found).T
    # The median of n > 2 normal values scatters sqrt(pi / 2) wider than their mean.
    widen = np.sqrt(np.pi / 2) if rates.size > 2 else 1.0
    own = np.sqrt(np.mean(errs**2))
    spread = rates.std(ddof=1) if rates.size > 2 else 0.0
    return float(np.median(rates)), float(widen * max(own, spread) / np.sqrt(rates.size))


def check_times(times) -> np.ndarray:
    """Times as a finite, strictly increasing float array; InputError otherwise."""
    t = np.asarray(times, dtype=float)
    if t.ndim != 1 or t.size < 2 or not np.isfinite(t).all() or not (np.diff(t) > 0).all():
        raise InputError("times", "be one-dimensional, finite and strictly increasing", f"shape {t.shape}")
    return t


def finite_length(y: np.ndarray) -> int:
    """Samples before the first that is not finite; y is (time,) or (time, channel)."""
    bad = ~np.isfinite(y.reshape(len(y), -1)).all(axis=1)
    return int(bad.argmax()) if bad.any() else len(y)


def floor_cut(t: np.ndarray, norm: np.ndarray, rounding_only: bool = False) -> tuple[int, float]:
    """(samples to keep, floor level or 0).

    The norm has a floor if the best "line, then constant" fit of its logarithm puts the corner before the last tenth
    of the samples, after a fall of 1.5 e-folds, and if the slope over the last two thirds of the tail is zero within 3
    errors and, less 2 errors, under a tenth of that before the corner; below 1e-9 of the maximum it need not be zero.
    ``rounding_only`` accepts only the latter. Kept are the samples before the time at which the fitted line is 4 times
    above the fitted constant, and not the last quarter of the e-folds above it. Trailing zeros are cut.
    """
    n = int(np.flatnonzero(norm)[-1]) + 1 if norm.any() else 0
    if n < 2 * MIN_SAMPLES:
        return n, 0.0
    t, norm = t[:n], norm[:n]
    top = norm.max()
    if rounding_only and np.median(norm[-max(n // 10, 4) :]) > ROUNDING * top:
        return n, 0.0
    y = np.log(np.maximum(norm, 1e-300))
    low, high = n // 20 + 4, n - max(n // 10, MIN_SAMPLES)
    i = _corner(t, y, np.unique(np.linspace(low, high, 40).astype(int)))
    near = n // 40 + 1
    i = _corner(t, y, np.arange(max(low, i - near), min(high, i + near) + 1, 1 + near // 40))
    # Next to the corner the decay still shows: the last two thirds tell whether the tail is flat.
    before, after = _line(t[:i], y[:i]), _line(t[i + (n - i) // 3 :], y[i + (n - i) // 3 :])
    level = float(np.median(norm[i:]))
    flat = before[0] < 0 and abs(after[0]) - 2 * min(after[1], CLEAR_ERROR * abs(before[0])) <= FLOOR_SLOPE * abs(
        before[0]
    )
    rounding = level < ROUNDING * top
    still = not rounding_only and abs(after[0]) <= 3 * after[1]
    if not (flat and np.log(top / level) >= FLOOR_DROP and (rounding or still)):
        return n, 0.0
    # Placed by the fitted line, not by the samples: outliers of the floor may not extend the record.
    slope = _line(np.minimum(t, t[i]), y)[0]
    end = t[i] + max(np.log(ABOVE_FLOOR), CLEAR_SHARE * np.log(top / level)) / slope
    return int(np.searchsorted(t, end)), float(np.sqrt(np.mean(norm[i:] ** 2)))


def _corner(t: np.ndarray, y: np.ndarray, candidates: np.ndarray) -> int:
    return int(min(candidates, key=lambda i: _line(np.minimum(t, t[i]), y, widen=False)[2]))


def _line(x: np.ndarray, y: np.ndarray, widen: bool = True) -> tuple[float, float, float]:
    """Slope, its standard error and the squared residual of a straight line."""
    dx, dy = x - x.mean(), y - y.mean()
    var = max(float(dx @ dx), 1e-300)
    slope = float(dx @ dy) / var
    rest = dy - slope * dx
    sse = float(rest @ rest)
    factor = correlation_factor([rest[:, None]]) if widen and sse > 0 and rest.size > 3 else 1.0
    return slope, float(np.sqrt(factor * sse / max(x.size - 2, 1) / var)), sse


def _run_rate(t: np.ndarray, norm: np.ndarray) -> tuple[float, float] | None:
    n = finite_length(norm)
    t, norm = t[:n], norm[:n]
    n, floor = floor_cut(t, norm)
    t, norm = t[:n], norm[:n]
    # Dips to zero or to the floor are crossings of an oscillation: they tell nothing about its envelope.
    ok = norm > DIP * floor
    t, norm = t[ok], np.sqrt(norm[ok] ** 2 - floor**2) if floor else norm[ok]
    if t.size < MIN_SAMPLES:
        return None
    y = np.log(norm)
    first = min(int(np.searchsorted(t, 0.5 * (t[0] + t[-1]))), t.size - MIN_SAMPLES)
    if floor:
        rate = max(-_line(t, y)[0], 1e-300)
        first = min(first, int(np.searchsorted(t, t[-1] - MIN_FALL / rate)))
    t, y = t[first:], y[first:]
    span = t[-1] - t[0]
    x, y = (t - t[0]) / span, y - y.mean()
    slope, err, sse = _line(x, y)
    half = x.size // 2
    if half > 3:
        early, late = _line(x[:half], y[:half]), _line(x[half:], y[half:])
        drift = abs(late[0] - early[0])
        err = np.hypot(err, drift) if drift > 2 * np.hypot(early[1], late[1]) else err
    best = (-float(slope) / span, float(err) / span)
    if x.size < 2 * MIN_SAMPLES or sse <= 1e-20 * x.size:
        return best
    step = -(-x.size // MAX_MODE_SAMPLES)
    return _mode_rate(x[::step], y[::step], span) or best


def _mode_rate(x: np.ndarray, y: np.ndarray, span: float) -> tuple[float, float] | None:
    """Rate of the second-order mode fitted to y = log|u|, or None if a line serves better."""
    layout = Layout(1, 0)
    slope, _, sse = _line(x, y)

    def misfit(v):
        phi, _ = basis(v[:2], layout, x)
        grow = max(0.0, layout.exponents(v[:2])[0].real)  # the basis is divided by its final size
        amp = np.hypot(phi @ np.array([1.0, v[2]]), phi[:, 1] * v[3])
        return v[4] + grow + np.log(np.maximum(amp, 1e-300)) - y

    detrended = y - y.mean() - slope * (x - x.mean())
    grid = np.linspace(x[0], x[-1], x.size)
    power = np.abs(np.fft.rfft(np.interp(grid, x, detrended) * np.hanning(x.size)))
    # |cos(w t)| has half the period of cos(w t). Phase and ellipticity decide between minima: try a few of each.
    omega = np.pi * np.maximum(np.argsort(power[1:])[::-1][:2] + 1, 1)
    tries = [[slope, d, b, c, y[0]] for d in (-(np.pi**2) / 4, 0.0, 1.0) for b, c in ((0.0, 1.0), (2.0, 0.1))]
    tries += [[slope, -(w**2), b * w, c * w, y[0]] for w in omega for b, c in ((0, 0.5), (0, 2), (1, 0.3), (-1, 0.3))]
    tries.sort(key=lambda v: np.var(misfit(np.array(v))))
    best = None
    for v in tries[:3]:
        v0 = np.array(v, dtype=float)
        v0[4] -= np.mean(misfit(v0))
        scale = np.array([1.0, max(1.0, abs(v0[1]) ** 0.5), max(1.0, abs(v0[2])), max(1.0, abs(v0[3])), 1.0])
        try:
            sol = least_squares(misfit, v0, x_scale=scale, loss="soft_l1", max_nfev=40)
        except (ValueError, LinAlgError, FloatingPointError):
            continue
        if best is None or sol.cost < best.cost:
            best = sol
    if best is None:
        return None
    rest = misfit(best.x)
    mode_sse = max(float(rest @ rest), 1e-30 * x.size)
    if x.size * np.log(mode_sse) + 3 * np.log(x.size) > x.size * np.log(sse) - BIC_MARGIN:
        return None
    m, d, b, c, _ = best.x
    if d > 0:
        q = np.sqrt(d)
        phi, _ = basis(best.x[:2], layout, x[[0, -1]])
        slow = 0.5 * np.hypot(1 + b / q, c / q) * np.exp((m + q) - max(0.0, m + q))
        if slow < MODE_SHARE * np.hypot(phi[-1] @ np.array([1.0, b]), c * phi[-1, 1]):
            return None
    cov = np.linalg.pinv(best.jac.T @ best.jac, hermitian=True) * mode_sse / max(x.size - 5, 1)
    cov *= correlation_factor([rest[:, None]])
    rate = -float(layout.exponents(best.x[:2])[0].real)
    err = float(layout.stderr(best.x[:2], cov[:2, :2])[0].real)
    if d > 0 and abs(rate + slope) < 3 * err:
        return None
    return rate / span, err / span
