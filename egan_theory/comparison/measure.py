"""The exponents that recorded runs show, each next to the predicted one, with standard errors; and what is not seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..fits.joint import Fit, Series, Unit, project, solve, units
from ..fits.scatter import Scatter, few, scatter
from .modes import Observation, named

#: a mode is measured when it does not decay by more than this many e-folds between two samples
FASTEST = 2.0
#: ... when it changes by at least this part of itself during the runs
SLOWEST = 0.05
#: ... and when the energy of its signal is this many times the noise's in its place, and this many of the noise's own
#: standard deviations above it: weaker ones are fitted to peaks of the noise
SEEN, CLEAR = 8.0, 10.0
#: ... and when its exponent's standard error, both as predicted and as fitted, is at most this part of what tells
#: exponents apart in its time: beyond, errors are not symmetric, nor known from the fit's curvature
RESOLVED = 0.2
#: gain of a fit per free exponent, in units of the noise's variance, from which the predicted exponents are wrong
WRONG = 25.0
#: times that modes are sorted into seen and not seen
PASSES = 4
#: modes fitted with exponents of their own, the slowest of those seen; the others keep the predicted ones
FREE = 24
#: rounds in which the weights of positions, forces and values follow their residuals
ROUNDS = 2
#: part of the recorded rms that the predicted modes may leave besides noise before other rates are tried, and those
#: rates, relative to the predicted ones
LEFT, OTHERS = 0.05, np.geomspace(0.4, 2.5, 47)


@dataclass(frozen=True)
class Measured:
    """One predicted exponent, per unit of the runs' time, and what the runs show; errors of Re and Im in ``stderr``."""

    predicted: complex
    measured: complex
    stderr: complex
    note: str


@dataclass(frozen=True)
class Measurement:
    """``modes``: measured, slowest predicted first, one of each conjugate pair; ``unseen``: name and reason of others;
    ``noise``, ``unexplained``: parts of the recorded rms deviation that are noise from sample to sample, and neither
    noise nor the predicted modes."""

    modes: tuple[Measured, ...]
    unseen: tuple[dict[str, str], ...]
    noise: float
    unexplained: float
    fitted: np.ndarray  # (run, T, n), and what it leaves
    residual: np.ndarray

    def size(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """(T,) rms over runs of the deviation's norm: as recorded, or of the fit, its residuals shuffled in time."""
        left = self.residual if rng is None else rng.permutation(self.residual, axis=1)
        return np.sqrt(((self.fitted + left) ** 2).sum(-1).mean(0))


def measure(found: Observation, slowest: float = SLOWEST, refit: bool = False) -> Measurement:
    """Fit of all modes (``joint``) with errors (``scatter``); ``slowest``: as SLOWEST. ``refit``: errors are at least
    those of fits that leave out one run each: where the prediction does not hold, runs may be near different
    equilibria."""
    span = found.times[-1] - found.times[0]
    step = float(np.median(np.diff(found.times))) / span
    size = [np.sqrt((b.y**2).mean()) for b in found.blocks]
    if not size[0] > 0:
        still = np.zeros(found.blocks[0].y.shape)
        return Measurement((), ({"name": "all modes", "reason": "no particle moves"},), 0.0, 0.0, still, still)
    weights = [1 / x if x > 0 else 1.0 for x in size]
    series = _series(found, weights, span)
    fit = project(series, series.start, [])
    for _ in range(ROUNDS if len(found.blocks) > 1 else 0):
        weights = _weights(series, fit, found, weights)
        series = _series(found, weights, span)
        fit = project(series, series.start, [])
    moving = found.blocks[0].y.shape[-1]
    unseen = {i: r for i, u in enumerate(series.units) if (r := _unmeasurable(u, step, slowest))}
    candidates = [i for i in range(len(series.units)) if i not in unseen]
    fit, errors, weak = _seen(series, series.start, moving, candidates)
    if np.sqrt(errors.rest) > LEFT:
        other = min((_faster(series, k) for k in OTHERS), key=lambda p: project(series, p, []).cost)
        again = _seen(series, other, moving, candidates)
        if again[0].cost < fit.cost:
            fit, errors, weak = again
    if refit and len(series.y) > 1:
        errors = replace(errors, covariance=_without_one(series, fit, errors))
    unseen |= weak
    names = [
        {
            "name": f"mode {', '.join(named(s / span, found.unit) for s in u.predicted if s.imag >= 0)}",
            "reason": unseen[i],
        }
        for i, u in sorted(enumerate(series.units), key=lambda p: -p[1].predicted.real.max())
        if i in unseen and u.moves and u.predicted.any()
    ]
    modes = _measured(series, fit, errors, found, span, [i for i in range(len(series.units)) if i not in unseen])
    left = fit.residual.T.reshape(series.y.shape)
    noise, rest = np.sqrt(errors.noise), np.sqrt(errors.rest)
    return Measurement(tuple(modes), tuple(names), float(noise), float(rest), series.y - left, left)


def _series(found: Observation, weights: list[float], span: float) -> Series:
    y = np.concatenate([w * b.y for w, b in zip(weights, found.blocks, strict=True)], axis=-1)
    shapes = np.concatenate([w * b.modes for w, b in zip(weights, found.blocks, strict=True)])
    return Series((found.times - found.times[0]) / span, y, tuple(units(found.s * span, shapes, found.moves)))


def _weights(series: Series, fit: Fit, found: Observation, weights: list[float]) -> list[float]:
    """Such that all blocks leave residuals of one size."""
    out, first = [], 0
    residual = fit.residual.reshape(*series.y.shape[1:], -1)
    for weight, block in zip(weights, found.blocks, strict=True):
        last = first + block.y.shape[-1]
        left = np.sqrt(
            (residual[:, first:last] ** 2).mean() / np.maximum((series.y[..., first:last] ** 2).mean(), 1e-300)
        )
        rms = np.sqrt((block.y**2).mean())
        out.append(1 / (max(left, 1e-12) * rms) if rms > 0 else weight)
        first = last
    return out


def _faster(series: Series, factor: float) -> np.ndarray:
    """Parameters of the predicted exponents times a factor."""
    return np.array([x * factor ** (j + 1) for u in series.units for j, x in enumerate(u.parameters)])


def _unmeasurable(unit: Unit, step: float, slowest: float) -> str:
    if not unit.moves or not unit.predicted.any():
        return "does not move the particles"
    if -unit.predicted.real.max() * step > FASTEST:
        return "decays between two samples"
    if np.abs(unit.predicted).max() < slowest:
        return f"changes by less than {slowest:.0%} during the runs"
    return ""


def _seen(series: Series, start: np.ndarray, moving: int, chosen: list[int]) -> tuple[Fit, Scatter, dict[int, str]]:
    """The fit, from ``start``, with free exponents of those of the ``chosen`` modes that are seen, its errors, and why
    the others are not."""
    weak: dict[int, str] = {}
    predicted = project(series, start, [])
    errors = scatter(series, predicted, moving)
    fit, noise, off = predicted, errors.sigma2, False
    for _ in range(PASSES):
        missed = {i: r for i in chosen if (r := _weak(series, fit if off else predicted, noise, i))}
        if len(fit.free):
            missed |= {i: r for i in chosen if i not in missed and (r := _blurred(series, fit, errors, i))}
            if not off:
                expected = project(series, start, chosen)
                known = scatter(series, expected, moving, errors)
                missed |= {i: r for i in chosen if i not in missed and (r := _blurred(series, expected, known, i))}
        slow = sorted((i for i in chosen if i not in missed), key=lambda i: -series.units[i].predicted.real.max())
        missed |= {i: f"the {FREE} slower ones are compared" for i in slow[FREE:]}
        if len(fit.free) and not missed:
            break
        weak |= missed
        chosen = [i for i in chosen if i not in missed]
        fit = solve(series, start, chosen)
        errors = scatter(series, fit, moving)
        noise = errors.local
        if not chosen:
            break
        # where other exponents fit far better, what the predicted ones leave tells nothing of what can be seen
        off = off or predicted.cost - fit.cost > WRONG * len(fit.free) * noise
    return fit, errors, weak


def _without_one(series: Series, fit: Fit, errors: Scatter) -> np.ndarray:
    """The covariance, widened to the jackknife over runs where that is larger."""
    runs = len(series.y)
    chosen = [i for i in range(len(series.units)) if np.isin(series.parameters_of([i]), fit.free).all()]
    left_out = [replace(series, y=np.delete(series.y, r, axis=0)) for r in range(runs)]
    p = np.array([solve(other, fit.p, chosen).p[fit.free] for other in left_out])
    variance = (runs - 1) / runs * ((p - p.mean(0)) ** 2).sum(0) * few(runs - 1) ** 2
    own = np.diag(errors.covariance)
    factor = np.sqrt(np.maximum(variance / np.maximum(own, 1e-300), 1.0))
    return errors.covariance * np.outer(factor, factor)


def _weak(series: Series, fit: Fit, noise: float, unit: int) -> str:
    """Why a mode's signal is no signal; empty if it is."""
    columns = series.columns_of(unit)
    a = fit.amplitudes[columns]
    inverse = np.linalg.pinv(fit.inverse[columns, columns], hermitian=True)
    energy = float(np.einsum("cr,cd,dr->", a, inverse, a)) / max(noise, 1e-300)
    if energy > SEEN * a.size and energy - a.size > CLEAR * np.sqrt(2 * a.size):
        return ""
    return f"not seen: its signal is {np.sqrt(energy / a.size):.2g} times the noise"


def _blurred(series: Series, fit: Fit, errors: Scatter, unit: int) -> str:
    """Why an exponent is not known well enough to be told from its neighbours; empty if it is."""
    at = series.parameters_of([unit])
    s, error = series.layout.exponents(fit.p)[at], _stderr(series, fit, errors)[at]
    # of two that are about to coalesce the difference is known badly, and rightly so
    worst = float(np.maximum(error.real, error.imag).min())
    if worst <= RESOLVED * max(1.0, np.abs(s.real).min()):
        return ""
    return f"not seen: the error of its exponent would be {worst / np.abs(s).max():.0%} of it"


def _stderr(series: Series, fit: Fit, errors: Scatter) -> np.ndarray:
    covariance = np.zeros((len(fit.p), len(fit.p)))
    covariance[np.ix_(fit.free, fit.free)] = errors.covariance
    return series.layout.stderr(fit.p, covariance)


def _measured(
    series: Series, fit: Fit, errors: Scatter, found: Observation, span: float, chosen: list[int]
) -> list[Measured]:
    values, stderr = series.layout.exponents(fit.p) / span, _stderr(series, fit, errors) / span
    spread = np.concatenate([np.full(len(u.predicted), u.spread) for u in series.units]) / span
    # nothing resolves an exponent below rounding
    floor = np.finfo(float).eps * np.maximum(np.abs(values), 1 / span)
    im: np.ndarray = np.where(stderr.imag > 0, np.hypot(np.maximum(stderr.imag, floor), spread.imag), 0)
    stderr = np.asarray(np.hypot(np.maximum(stderr.real, floor), spread.real) + 1j * im)
    even = np.ptp(np.diff(found.times)) <= 1e-9 * span
    rate = 2 * np.pi / float(np.median(np.diff(found.times)))
    out = []
    for i in chosen:
        at, predicted = series.parameters_of([i]), series.units[i].predicted / span
        note = "" if fit.converged else "the fit did not settle"
        if even and np.abs(values[at].imag).max() > rate / 2:
            note = "; ".join(filter(None, [note, f"frequency known up to multiples of {rate:.4g}"]))
        for a, b in zip(*linear_sum_assignment(np.abs(predicted[:, None] - values[at])), strict=True):
            if predicted[a].imag >= 0:
                out.append(Measured(complex(predicted[a]), complex(values[at][b]), complex(stderr[at][b]), note))
    return sorted(out, key=lambda m: -m.predicted.real)
