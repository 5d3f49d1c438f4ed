"""Continuous-time eigenvalues of a near-equilibrium dynamics, with standard errors, from recorded time series.

u(t) = sum_i c_i exp(s_i t): s in inverse units of the given times, Re s < 0 for decay. The exponents are fitted by
variable projection (Golub & Pereyra 1973; optimized DMD: Askham & Kutz 2018), which unlike exact DMD is not biased by
sensor noise; for many channels a PCA reduction and bagging follow BOP-DMD (Sashidhar & Kutz 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError

from ..base.errors import InputError
from .decay import check_times, finite_length, floor_cut
from .starts import encode, starts
from .varpro import Group, Layout, Solution, covariance, degrees_of_freedom, groups_of, jackknife, solve, stack

__all__ = ["EigenvalueFit", "blind_eigenvalues", "fit_exponentials", "fit_mode"]

NYQUIST_SHARE = 0.9  # |Im s| dt / pi above which a frequency may be an alias
SAME = 1e-12  # relative misfit at which a smaller model is exact and a larger one only fits rounding
MAX_RANK = 10  # largest rank tried when it is to be chosen
BAG_SHARE = 0.6  # share of the samples in a bag


@dataclass(frozen=True)
class EigenvalueFit:
    """Fitted exponents, slowest first, conjugate pairs together, the one with Im s > 0 first.

    values: (r,) complex, per unit of the times given. stderr: (r,) complex, errors of Re s and Im s as its real and
    imaginary part. residual: rms misfit relative to the rms of the signals. runs: runs used. status: "ok", or why the
    numbers cannot be trusted; values are NaN where there are none.
    """

    values: np.ndarray
    stderr: np.ndarray
    residual: float
    method: str
    runs: int
    status: str

    @property
    def ok(self) -> bool:
        return self.status == "ok"


@dataclass(frozen=True)
class _Data:
    """Times scaled to [0, 1], the runs (time_i, channel) cut to what can be used, and their squared norm."""

    t: np.ndarray
    span: float
    runs: list[np.ndarray]
    power: float
    nyquist: float
    discarded: float = 0.0  # squared norm of what a projection of the channels left out


def fit_exponentials(times, signals, rank: int, *, initial=None, real: bool = True) -> EigenvalueFit:
    """Least-squares exponents shared by all runs and channels; amplitudes are free per run and channel.

    times: (time,) increasing, not necessarily even. signals: (run, time, channel), real or complex; with ``real`` they
    must be real and the exponents come in conjugate pairs. initial: (rank,) exponents tried as a further start. A run
    ends before its first non-finite sample and where it reaches its rounding floor. All samples weigh alike.

    stderr is the larger of the fit's own (residual variance, widened if the misfit is correlated in time) and, from 3
    runs on, the jackknife over runs. It assumes that the noise has one size over samples, channels and runs.
    """
    data = _prepare(times, signals, real)
    rank = _check_rank(rank)
    method = {1: "single", 2: "pair"}.get(rank, "exponentials")
    guess = None if initial is None else np.asarray(initial, dtype=complex).ravel()
    if guess is not None and (guess.size != rank or not np.isfinite(guess).all()):
        raise InputError("initial", f"hold {rank} finite exponents", f"{guess.size} values")
    layout = Layout.of(rank, real)
    sol, why = _best(data, rank, real, guess)
    return _report(data, layout, sol, why, method)


def fit_mode(times, signals, *, initial=None, overdamped: bool | None = None) -> EigenvalueFit:
    """One damped mode: a single exponential of complex signals; of real ones one real exponent or a pair.

    Real signals: the pair m +- sqrt(d) is fitted with d of either sign (conjugate or two real exponents) and kept over
    the single real exponent if it has the smaller BIC, N log(misfit^2) + (free parameters) log N. ``overdamped`` True
    or False asks for two real exponents or a conjugate pair; data that prefer the other give the coalesced pair d = 0
    with a status that says so. Near coalescence the error of sqrt(d) is that of the interval of d. Else as
    ``fit_exponentials``.
    """
    real = not np.iscomplexobj(signals)
    data = _prepare(times, signals, real)
    guess = None if initial is None else np.asarray(initial, dtype=complex).ravel()
    if not real:
        sol, why = _best(data, 1, False, None if guess is None else guess[:1])
        return _report(data, Layout.of(1, False), sol, why, "single")
    one, why_one = _best(data, 1, True, None)
    two, why = _best(data, 2, True, guess if guess is not None and guess.size == 2 else None)
    if one is not None and overdamped is None:
        if two is None or one.cost <= SAME**2 * data.power or _bic(one) <= _bic(two):
            return _report(data, Layout.of(1, True), one, why_one, "single")
    layout = Layout.of(2, True)
    if two is not None and overdamped is not None and two.p[1] * (1 if overdamped else -1) < 0:
        free = np.array([0])
        two = solve(np.array([two.p[0], 0.0]), layout, groups_of(data.t, data.runs), free=free)
        asked = "overdamped" if overdamped else "oscillating"
        return _report(data, layout, two, f"the data contradict an {asked} mode", "pair", free)
    return _report(data, layout, two, why, "pair")


def blind_eigenvalues(times, signals, rank: int | None, *, trials: int = 40, seed: int = 0) -> EigenvalueFit:
    """Exponents of many channels without a model: joint PCA of all runs, variable projection, bagging over samples.

    signals: (run, time, channel); complex ones get independent exponents. The channels are replaced by their ``rank``
    leading principal components (one SVD over all runs). Each of ``trials`` bags keeps 60 % of the sample times; with k
    of n samples kept the scatter of the bags times k / (n - k) estimates the variance (delete-d jackknife). stderr is
    the larger of that and the errors of ``fit_exponentials``. values are those of the full data.

    rank None: the rank from 1 to 10 of the smallest BIC, N log(misfit^2) + (exponents + amplitudes) log N, of fits to
    the components above the Gavish-Donoho threshold (2.858 median singular values); the search ends after two ranks
    without gain or at a misfit under 1e-10.
    """
    real = not np.iscomplexobj(signals)
    data = _prepare(times, signals, real)
    if rank is None:
        rank = _choose_rank(_reduce(data, None), real)
    rank = _check_rank(rank)
    layout = Layout.of(rank, real)
    small = _reduce(data, rank)
    sol, why = _best(small, rank, real, None)
    bagged = None
    if sol is not None and not why:
        bagged = _bag(small, layout, sol, trials, np.random.default_rng(seed))
    return _report(small, layout, sol, why, "blind", extra=bagged)


def _check_rank(rank: int) -> int:
    if int(rank) != rank or rank < 1:
        raise InputError("rank", "be a positive integer", rank)
    return int(rank)


def _prepare(times, signals, real: bool) -> _Data:
    t = check_times(times)
    y = np.asarray(signals)
    if y.ndim != 3 or y.shape[1] != t.size or 0 in y.shape:
        raise InputError("signals", f"have shape (run, {t.size}, channel)", y.shape)
    if real and np.iscomplexobj(y):
        raise InputError("signals", "be real where real=True", y.dtype)
    y = y.astype(float if real else complex)
    runs = []
    for run in y:
        run = run[: finite_length(run)]
        # Beyond the square root of the largest double the norm itself would overflow.
        big = np.abs(run).max(axis=1, initial=0) > 1e150
        run = run[: int(big.argmax())] if big.any() else run
        if len(run):
            runs.append(run[: floor_cut(t[: len(run)], np.linalg.norm(run, axis=1), rounding_only=True)[0]])
    longest = max((len(r) for r in runs), default=0)
    scale = max((np.abs(r).max(initial=0) for r in runs), default=0.0)
    if longest < 2 or scale == 0:
        return _Data(t[:0], 1.0, [], 0.0, np.inf)
    runs = [r / scale for r in runs]
    span = t[longest - 1] - t[0]
    power = float(sum(np.vdot(r, r).real for r in runs))
    return _Data((t[:longest] - t[0]) / span, span, runs, power, np.pi * span / np.diff(t[:longest]).min())


def _best(data: _Data, rank: int, real: bool, guess: np.ndarray | None) -> tuple[Solution | None, str]:
    """The best local solution over all starts, or None and the reason."""
    layout = Layout.of(rank, real)
    runs = _usable(data, rank)
    groups = groups_of(data.t, runs)
    if not runs or degrees_of_freedom(rank, groups) <= 0:
        return None, f"too few usable samples for {rank} exponents"
    try:
        candidates = starts(groups, rank, real)
    except (LinAlgError, ValueError):
        candidates = [encode(np.zeros(0), rank, real)] if real else []
    if guess is not None:
        candidates.insert(0, encode(guess * data.span, rank, real))
    tried = []
    for p in candidates:
        sol = _attempt(p, layout, groups, 8)
        if sol is not None:
            tried.append(sol)
    tried.sort(key=lambda s: s.cost)
    best: Solution | None = None
    for first in tried[:2]:
        # A second start that already agrees with the first would only repeat it.
        if best is not None and abs(first.cost - best.cost) <= 1e-6 * best.cost:
            continue
        sol = first if first.converged else _attempt(first.p, layout, groups, 200)
        if sol is not None and (best is None or sol.cost < best.cost):
            best = sol
    if best is None:
        return None, "no start gave a finite fit"
    return best, "" if best.converged else "the iteration did not settle"


def _attempt(p: np.ndarray, layout: Layout, groups: list[Group], max_iter: int) -> Solution | None:
    try:
        return solve(p, layout, groups, max_iter)
    except (LinAlgError, ValueError, FloatingPointError):
        return None


def _usable(data: _Data, rank: int) -> list[np.ndarray]:
    return [r for r in data.runs if len(r) > rank]


def _bic(sol: Solution) -> float:
    n = sum(g.t.size * g.columns for g in sol.groups)
    free = n - degrees_of_freedom(sol.p.size, sol.groups)
    return n * np.log(max(sol.cost / n, 1e-300)) + free * np.log(n)


def _report(data, layout, sol, why, method, free=None, extra=None) -> EigenvalueFit:
    rank = 2 * layout.pairs + layout.singles
    runs = _usable(data, rank)
    if sol is None:
        nan = np.full(rank, complex(np.nan, np.nan))
        return EigenvalueFit(nan, nan.copy(), float("nan"), method, len(runs), why)
    values = layout.exponents(sol.p)
    errors = [np.full(rank, complex(np.nan, np.nan))]
    try:
        cov = covariance(sol)
        if free is not None:
            cov = cov * np.outer(np.isin(np.arange(rank), free), np.isin(np.arange(rank), free))
        errors = [layout.stderr(sol.p, cov)]
        if len(runs) >= 3:
            errors.append(layout.stderr(sol.p, jackknife(sol, data.t, runs, free)))
    except (LinAlgError, ValueError):
        why = why or "the covariance could not be computed"
    if extra is not None:
        errors.append(extra)
    stderr = np.max([e.real for e in errors], axis=0) + 1j * np.max([e.imag for e in errors], axis=0)
    # No misfit, however small, resolves an exponent below rounding.
    rounding = np.finfo(float).eps * np.maximum(np.abs(values), 1.0)
    stderr = np.maximum(stderr.real, rounding) + 1j * np.where(stderr.imag > 0, np.maximum(stderr.imag, rounding), 0)
    if (np.abs(values.imag) > NYQUIST_SHARE * data.nyquist).any():
        why = why or "a frequency is near the Nyquist limit and may be an alias"
    elif not np.isfinite(stderr).all():
        why = why or "the standard error is not finite"
    order = np.lexsort((-values.imag, np.abs(values.imag), -values.real))
    residual = float(np.sqrt((sol.cost + data.discarded) / data.power))
    return EigenvalueFit(values[order] / data.span, stderr[order] / data.span, residual, method, len(runs), why or "ok")


def _reduce(data: _Data, rank: int | None) -> _Data:
    """Project all runs on the leading principal components of their channels; ``power`` stays that of all."""
    if not data.runs:
        return data
    _, s, vh = np.linalg.svd(np.concatenate(data.runs), full_matrices=False)
    if rank is None:
        rank = max(int((s > 2.858 * np.median(s)).sum()), 1) if s.size > MAX_RANK else s.size
    v = vh[:rank].conj().T
    lost = float((s[rank:] ** 2).sum())
    return _Data(data.t, data.span, [r @ v for r in data.runs], data.power, data.nyquist, lost)


def _choose_rank(data: _Data, real: bool) -> int:
    best, best_bic, worse = 1, np.inf, 0
    for rank in range(1, MAX_RANK + 1):
        sol, _ = _best(data, rank, real, None)
        if sol is None:
            break
        bic = _bic(sol)
        best, best_bic, worse = (rank, bic, 0) if bic < best_bic else (best, best_bic, worse + 1)
        if worse == 2 or sol.cost <= 1e-20 * data.power:
            break
    return best


def _bag(data: _Data, layout: Layout, sol: Solution, trials: int, rng) -> np.ndarray | None:
    runs = _usable(data, sol.p.size)
    n = min(len(r) for r in runs)
    k = int(BAG_SHARE * n)
    if k <= sol.p.size or k >= n:
        return None
    ps = []
    for _ in range(trials):
        keep = np.sort(rng.choice(data.t.size, int(BAG_SHARE * data.t.size), replace=False))
        groups = groups_of(data.t, runs, keep)
        bag = _attempt(sol.p, layout, groups, 30) if all(g.t.size > sol.p.size for g in groups) else None
        if bag is not None and bag.converged:
            ps.append(stack(bag.p))
    if len(ps) < 5:
        return None
    # Percentiles, not the variance: a bag that falls into another minimum is no measure of this one.
    low, high = np.percentile(ps, [15.87, 84.13], axis=0)
    sd = 0.5 * (high - low) * np.sqrt(k / (n - k))
    dev = np.array(ps) - np.mean(ps, axis=0)
    norm = np.linalg.norm(dev, axis=0)
    norm[norm == 0] = 1.0  # a parameter that no bag moves has no correlations
    corr = (dev / norm).T @ (dev / norm)
    return layout.stderr(sol.p, corr * np.outer(sd, sd))
