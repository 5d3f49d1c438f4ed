"""Best strength of a penalty: simulated convergence rates against the predicted curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..predict.asymptotic import Fastest, rates_over
from ..problem.problem import Problem
from ..runs.outcome import have_left
from ..simulation.condense import condensed
from .agreement import Agreement, Quantity
from .compare import at_rest, slowest_measured
from .modes import deviation_norms
from .variants import SEPARATE, simulated, sweep_axis

#: e-folds of the fastest predicted rate that a sweep simulates, if ``steps`` is not given
SWEEP_E_FOLDS = 12.0
#: kick of a sweep's runs in length scales: second-order effects and rounding are then both small, and modes that hardly
#: move the particles can be told from them
KICK = 1e-7
#: part of its maximum below which the deviation's norm is not used
FLOOR = 1e-6
#: fewest samples a slope is fitted to
MIN_SAMPLES = 8
#: records per run of a sweep
RECORDS = 400
#: e-folds of predicted growth after which a strength is not followed further
GROWTH = 6.0
#: strengths closer than this (relative) are the same
SELF = 1e-9
#: why a strength has no rate
UNMEASURED = (
    "escaped, diverged, too few samples above the rounding floor, or no change of the positions beyond rounding"
)


@takes_experiment
@shown
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

    Every strength sees the same kicks, 1e-7 length scales; particles that share a point move as one
    (simulation.condensed).

    Args:
        steps: by default enough for 12 e-folds of the best predicted rate.

    Returns:
        A Dataset; ``eg.compare_strength`` and ``eg.plot.rate_curve`` take it.

    Shapes:
        - rate (strength), rate_stderr (strength) [1/step; flow: 1/time]: of the slowest mode as measured in the runs
          (``slowest_measured``); where the modes cannot be told apart, ``rate_slope``; minus the growth rate where the
          deviation grows; NaN if a run left, or where no position changes beyond rounding
        - rate_slope (strength): late slope of the deviation's norm, a cross-check that does not use the theory's
          eigenvectors but is biased near critical damping (``late_slope``)
        - predicted_rate (strength): that of the linear theory

    Units:
        All rates as above; strengths in the unit of the penalty.

    Raises:
        InputError: a penalty that is none, strengths below 0, or no strength that converges and no ``steps``.
        NotLinearizable: no equilibrium to be kicked from.

    Source:
        Eq. (17, mode-roots), Eq. (37, finite-modes).
    """
    key, path, strengths = sweep_axis(penalty, strengths)
    predicted = rates_over(exp, key, strengths)
    if steps is None:
        fastest = np.nanmax(predicted)
        if not fastest > 0:
            raise InputError(path, "have a strength at which the dynamics converge (or give steps)", fastest)
        steps = int(np.ceil(SWEEP_E_FOLDS / fastest))
    base = kicked(exp, steps, runs)
    variants = [base.replace({path: float(s)}) for s in strengths]
    # what grows is cut short: far from equilibrium there is nothing to measure, and an exact kernel would grow with it
    grows = predicted * steps < -GROWTH
    for i in map(int, np.flatnonzero(grows)):
        length = max(int(GROWTH / -predicted[i]), 2 * MIN_SAMPLES)
        variants[i] = variants[i].replace({"run.steps": length, "run.record_every": max(length // RECORDS, 1)})
    parts = simulated(variants, [True] * len(variants) if key in SEPARATE else list(grows), progress)
    rate, error, slope = np.full((3, len(strengths)), np.nan)
    for i, (variant, part) in enumerate(zip(variants, parts, strict=True)):
        if have_left(part["outcome"].values).any():  # what it does out there is no rate of convergence
            continue
        try:
            if at_rest(variant, part):  # its slope would be one of rounding, too
                continue
        except (InputError, NotLinearizable):  # it grew out of the linear regime
            pass
        times, norms = part["time"].values, deviation_norms(Problem(variant), part)
        size = np.sqrt((norms**2).mean(0))
        slope[i], slope_error = late_rate(times, norms)
        if slope[i] <= 0 and size[-1] > FLOOR * size.max():  # not converging: no linear regime to fit modes in
            rate[i], error[i] = slope[i], slope_error
            continue
        try:
            rate[i], error[i] = slowest_measured(variant, part)
        except (InputError, NotLinearizable):  # it grew out of the linear regime
            rate[i] = np.nan
        if not np.isfinite(rate[i]):
            rate[i], error[i] = slope[i], slope_error
    unit = exp.update_rule.rate_unit
    names = {
        "rate": (rate, "simulated convergence rate"),
        "rate_stderr": (error, "its standard error"),
        "rate_slope": (slope, "late slope of the deviation's norm"),
        "predicted_rate": (predicted, "predicted convergence rate"),
    }
    return xr.Dataset(
        {k: ("strength", values, {"long_name": text, "units": unit}) for k, (values, text) in names.items()},
        coords={"strength": ("strength", strengths, {"long_name": path, "units": "1"})},
        attrs={**provenance(base), "penalty": key, "steps": steps, "runs": runs},
    )


def kicked(exp: Experiment, steps: int, runs: int) -> Experiment:
    """For ``runs`` of small kicks from equilibrium, particles on one point moving as one (simulation.condensed)."""
    return condensed(exp).replace(
        {
            "run.steps": steps, "run.record_every": max(steps // RECORDS, 1), "run.runs": runs, "run.start": "kick",
            "run.kick": KICK * exp.discriminator.length_scale,
        }
    )  # fmt: skip


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


def late_rate(times: np.ndarray, norms: np.ndarray) -> tuple[float, float]:
    """``late_slope`` above the floor of a sweep; where the norm grows, minus its growth rate over the second half, and
    half its change between the halves of that window."""
    size = np.sqrt((norms**2).mean(0))
    if size[-1] >= size[: len(size) // 3 + 1].max():
        half = len(size) // 2
        t, logs = times[half:], np.log(size[half:])
        slope = lambda part: float(-np.polyfit(t[part], logs[part], 1)[0])  # noqa: E731
        middle = len(t) // 2
        if middle < 2:
            return float("nan"), float("nan")
        return slope(slice(None)), abs(slope(slice(middle)) - slope(slice(middle, None))) / 2
    return late_slope(times, norms, FLOOR)


def compare_strength(fastest: Fastest, swept: xr.Dataset) -> Agreement:
    """The predicted best strength and rate against a sweep.

    "best_strength" compares with the strength of the largest simulated rate; its stderr is half the spacing of the
    sweep there. It is left out, and listed, where that strength is the predicted one itself: a strength that was chosen
    to be simulated agrees with itself. "best_rate" compares the predicted best rate with the largest simulated one.

    Returns:
        Two quantities; points that diverged or did not converge are in ``unmatched``.

    Shapes:
        swept: the Dataset of ``eg.sweep_strength`` over (strength).

    Units:
        The strength in that of the penalty, rates in those of the sweep (1/step or 1/time).

    Raises: nothing of its own.

    Source:
        Eq. (23, best-r1), Eq. (26, best-weight-decay).
    """
    strength, rate, error = swept["strength"].values, swept["rate"].values, swept["rate_stderr"].values
    unmatched = [
        {"name": f"strength {s:.4g}", "reason": UNMEASURED}
        for s, r in zip(strength, rate, strict=True)
        if not np.isfinite(r)
    ]
    positive = np.flatnonzero(strength > 0)
    if np.isfinite(rate[positive]).sum() < 3 or not fastest.best:
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
    quantities = [
        Quantity("best_rate", fastest.rate, float(r[i]), float(e[i]), abs(fastest.rate),
                 swept["rate"].attrs["units"], "largest simulated rate of the sweep, at its own strength")
    ]  # fmt: skip
    if abs(best - fastest.best) <= SELF * best:
        between = f"between its neighbours {np.exp(u[i - 1]):.4g} and {np.exp(u[i + 1]):.4g}"
        reason = (
            f"the largest simulated rate is at the predicted strength, one of those simulated: the best is {between}"
        )
        unmatched.append({"name": "best_strength", "reason": reason})
    else:
        note = "error: half the spacing of the sweep"
        strength_row = Quantity("best_strength", fastest.best, best, float(spacing), fastest.best, "1", note)
        quantities.insert(0, strength_row)
    return Agreement(tuple(quantities), tuple(unmatched), "strength sweep", fastest.assumptions)


__all__ = ["compare_strength", "sweep_strength"]
