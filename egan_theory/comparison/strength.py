"""Best strength of a penalty: simulated convergence rates against the predicted curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..errors import InputError
from ..experiment import Experiment
from ..penalties import get_penalty
from ..predict.regularizer import Regularizer, rates_over
from ..provenance import provenance
from ..simulation.condense import condensed
from ..simulation.run import simulate
from .agreement import Agreement, Quantity
from .estimate import fit_exponentials
from .modes import deviation

#: e-folds of the fastest predicted rate that a sweep simulates, if ``steps`` is not given
SWEEP_E_FOLDS = 18.0
#: part of the kick's size in length scales below which second-order effects hide the decay
SECOND_ORDER = 1e-2
#: a late window is one second-order mode if a fitted pair leaves less than this part of it
ONE_MODE = 0.01
#: real rates this close to each other, relative to the faster, are nearly critical
NEARLY_CRITICAL = 0.3
#: fewest samples a slope is fitted to
MIN_SAMPLES = 8
#: records per run of a sweep
RECORDS = 400
#: strengths that cannot be simulated side by side: they change the feature map's nodes
SEPARATE = ("instance_noise",)


def sweep_strength(
    exp: Experiment,
    penalty: str,
    strengths: Sequence[float] | np.ndarray,
    *,
    runs: int = 4,
    steps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Simulated convergence rate at each strength of ``penalty.<penalty>``, from kicked runs of the nonlinear model.

    Every strength sees the same kicks; particles that share a point move as one (simulation.condensed). ``rate`` is
    the asymptotic decay rate of the deviation's norm (NaN where a run diverged), ``rate_stderr`` its error,
    ``predicted_rate`` that of the linear theory, over coordinate ``strength``.
    ``steps``: by default enough for 18 e-folds of the best predicted rate.
    """
    key = get_penalty(penalty).key
    path = f"penalty.{key}"
    strengths = np.asarray(strengths, dtype=float)
    if strengths.ndim != 1 or not len(strengths) or np.any(strengths < 0) or not np.all(np.isfinite(strengths)):
        raise InputError("strengths", "be a list of finite numbers >= 0", strengths)
    predicted = rates_over(exp, key, strengths)
    if steps is None:
        fastest = np.nanmax(predicted)
        if not fastest > 0:
            raise InputError(path, "have a strength at which the dynamics converge (or give steps)", fastest)
        steps = int(np.ceil(SWEEP_E_FOLDS / fastest))
    base = condensed(exp).replace(
        {"run.steps": steps, "run.record_every": max(steps // RECORDS, 1), "run.runs": runs, "run.start": "kick"}
    )
    variants = [base.replace({path: float(s)}) for s in strengths]
    if key in SEPARATE:
        parts = []
        for i, variant in enumerate(variants):
            parts.append(simulate(variant))
            if progress is not None:
                progress(i + 1, len(variants))
    else:
        together = simulate(variants[0], variants=variants, progress=progress)
        parts = [together.isel(run=slice(i * runs, (i + 1) * runs)) for i in range(len(variants))]
    if any(part.attrs["status"] == "interrupted" for part in parts):
        raise KeyboardInterrupt
    rate, error = np.full((2, len(strengths)), np.nan)
    for i, (variant, part) in enumerate(zip(variants, parts, strict=True)):
        if np.all(part["diverged_at"].values < 0):
            coordinates, norms = deviation(variant, part)
            floor = SECOND_ORDER * base.run.kick / exp.discriminator.length_scale
            rate[i], error[i] = late_rate(part["time"].values, coordinates, norms, floor)
    unit = "1/time" if exp.update_rule.continuous else "1/step"
    return xr.Dataset(
        {
            "rate": ("strength", rate, {"long_name": "simulated convergence rate", "units": unit}),
            "rate_stderr": ("strength", error, {"long_name": "its standard error", "units": unit}),
            "predicted_rate": ("strength", predicted, {"long_name": "predicted convergence rate", "units": unit}),
        },
        coords={"strength": ("strength", strengths, {"long_name": path, "units": "1"})},
        attrs={**provenance(base), "penalty": key, "steps": steps, "runs": runs},
    )


def late_rate(times: np.ndarray, coordinates: np.ndarray, norms: np.ndarray, floor: float) -> tuple[float, float]:
    """``late_slope``, or the decay of one second-order mode where the same window shows no more than that.

    coordinates (run, time, channel). A single mode near critical damping decays as (A + B t) exp(-s t), which biases a
    slope by several per cent; a pair m +- sqrt(d) fitted to the coordinates has no such bias. It is taken if it leaves
    less than 1 % of them and oscillates or is nearly critical.
    """
    slope, error = late_slope(times, norms, floor)
    window = late_window(times, np.sqrt((norms**2).mean(0)), floor)
    if len(window) < MIN_SAMPLES or not np.any(coordinates[:, window]):
        return slope, error
    late = coordinates[:, window] / np.abs(coordinates[:, window]).max()
    pair = fit_exponentials(times[window], late, 2)
    if not (pair.ok and pair.residual < ONE_MODE):
        return slope, error
    slow, fast = np.sort(-pair.values.real)
    if pair.values[0].imag == 0 and fast - slow > NEARLY_CRITICAL * fast:
        return slope, error
    return float(slow), float(max(pair.stderr[0].real, abs(slope - slow) / 10))


def late_window(times: np.ndarray, size: np.ndarray, floor: float) -> np.ndarray:
    """Indices of the last half of the time during which ``size`` (time,) is above ``floor`` times its maximum."""
    above = size > floor * size.max()
    last = len(size) if above.all() else int(np.argmin(above))
    return np.flatnonzero(times[:last] >= (times[0] + times[last - 1]) / 2)


def late_slope(times: np.ndarray, norms: np.ndarray, floor: float) -> tuple[float, float]:
    """Decay rate of the rms norm over runs, (run, time), and its error: a line through log norm over the last half of
    the time during which the norm is above ``floor`` times its maximum.

    The error is the larger of the jackknife over runs and half the change of slope between the halves of that window.
    (nan, nan) with fewer than 8 samples there. Oscillations average out over runs of different phase; a decay with a
    prefactor t (coalescing modes) reads low by about 0.7 over the e-folds of the window.
    """

    def slope(rows: np.ndarray, part: str = "all") -> float:
        size = np.sqrt((rows**2).mean(0))
        window = late_window(times, size, floor)
        if len(window) < MIN_SAMPLES or not np.all(size[window] > 0):
            return float("nan")
        middle = len(window) // 2
        chosen = {"all": window, "early": window[:middle], "late": window[middle:]}[part]
        return float(-np.polyfit(times[chosen], np.log(size[chosen]), 1)[0])

    rate = slope(norms)
    drift = abs(slope(norms, "early") - slope(norms, "late")) / 2
    n = len(norms)
    scatter = 0.0
    if n > 1:
        left_out = np.array([slope(np.delete(norms, i, axis=0)) for i in range(n)])
        scatter = float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
    return rate, max(drift, scatter)


def compare_strength(regularizer: Regularizer, swept: xr.Dataset) -> Agreement:
    """The predicted best strength and rate against a sweep.

    "best_strength" compares with the strength of the largest simulated rate; its stderr is half the spacing of the
    sweep there. "best_rate" compares the predicted best rate with
    the largest simulated one. Points that diverged or did not converge are listed.
    """
    strength, rate, error = swept["strength"].values, swept["rate"].values, swept["rate_stderr"].values
    unmatched = [
        {"name": f"strength {s:.4g}", "reason": "diverged, or too few samples above the rounding floor"}
        for s, r in zip(strength, rate, strict=True)
        if not np.isfinite(r)
    ]
    positive = np.flatnonzero(strength > 0)
    if np.isfinite(rate[positive]).sum() < 3 or regularizer.best <= 0:
        unmatched.append({"name": "best_strength", "reason": "fewer than three strengths could be measured"})
        return Agreement((), tuple(unmatched), "strength sweep")
    order = positive[np.argsort(strength[positive])]
    # a strength that diverges is slower than any that converges: the best one may sit next to such a cliff
    u, e = np.log(strength[order]), error[order]
    r = np.where(np.isfinite(rate[order]), rate[order], -np.inf)
    i = int(np.argmax(r))
    if i in (0, len(u) - 1):
        unmatched.append({"name": "best_strength", "reason": "the largest simulated rate is at the end of the sweep"})
        return Agreement((), tuple(unmatched), "strength sweep")
    best = float(np.exp(u[i]))
    spacing = best * (u[i + 1] - u[i - 1]) / 4
    unit = swept["rate"].attrs["units"]
    return Agreement(
        (
            Quantity("best_strength", regularizer.best, best, float(spacing), regularizer.best, "1",
                     "error: half the spacing of the sweep"),
            Quantity("best_rate", regularizer.rate, float(r[i]), float(e[i]), abs(regularizer.rate), unit,
                     "largest simulated rate of the sweep, at its own strength"),
        ),
        tuple(unmatched),
        "strength sweep",
        regularizer.assumptions,
    )  # fmt: skip


__all__ = ["compare_strength", "sweep_strength"]
