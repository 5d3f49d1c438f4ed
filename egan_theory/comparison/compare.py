"""Prediction against runs: the slowest visible eigenvalues, measured with standard errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

from ..experiment import Experiment
from ..linear import eigenvalues, linearize
from ..outcome import Outcome, outcomes, tally
from ..predict.spectrum import merged
from ..schema import validate_runs
from .agreement import Agreement, Quantity
from .estimate import EigenvalueFit, blind_eigenvalues, convergence_rate, fit_exponentials
from .modes import ModalSignals, Modes, modal_coordinates
from .powers import compare_powers

#: how many of the slowest visible modes are compared
MODES = 5
#: a mode is visible when its amplitude is at least this part of the largest mode's, and above second-order effects
#: (the displacement over the length scale, relative to the largest mode)
VISIBLE = 1e-3
#: ... when it does not decay by more than this many e-folds between two samples
FASTEST = 2.0
#: ... and when it changes by at least this part of itself during the runs
SLOWEST = 0.05
#: eigenvalues that part by less than this in |s| t during the runs may be seen as one
UNRESOLVED = 0.3
#: ... if a single exponential fits the signals to this part of their size
ONE_EXPONENTIAL = 1e-3
#: a measured frequency of a real mode within these many standard errors, or this part of |s|, of 0 is no frequency
REAL_SIGMAS, REAL = 3.0, 1e-9
#: e-folds a run must show before its late slope is called a convergence rate
E_FOLDS = 4.0
#: a blindly fitted eigenvalue within this part of |s| of a predicted one is matched with it
MATCH = 0.5


def compare(exp: Experiment, runs: xr.Dataset, modes: int = MODES) -> Agreement:
    """Predicted against measured: eigenvalues of the ``modes`` slowest visible modes and the convergence rate.

    Quantities "s1.re", "s1.im", ... are the k-th slowest visible mode's, per unit of the runs' time; "rate" is the
    asymptotic decay of the deviation's norm. Measured eigenvalues are fits of free exponents (variable projection) to
    the modal coordinates of the displacements (and of D and grad D where recorded); standard errors are the larger of
    the fit's and the jackknife's over runs. Modes that are predicted but not seen, and runs that cannot be used, are
    listed in ``unmatched``. ``runs``: any Dataset of the run schema. Training against uniform averages has exponents of
    time instead: "p1.last", "p1.average", ... (comparison.powers).

    Raises InputError for runs that do not fit the schema or the experiment, NotLinearizable.
    """
    if exp.update_rule.uniform:
        return compare_powers(exp, runs, modes)
    runs = validate_runs(runs)
    found = modal_coordinates(exp, runs)
    unit = "1/time" if exp.update_rule.continuous else "1/step"
    unmatched = [*found.notes, *_gone(exp, runs)]
    method = "modal coordinates, variable projection, jackknife over runs"
    if found.clusters:
        quantities, missed = _from_modes(found, modes, unit)
    else:
        quantities, missed = _blind(exp, found, modes, unit)
        method = "blind: principal components, variable projection, bagging"
    unmatched += missed
    rate = _rate(exp, found, unit)
    if isinstance(rate, Quantity):
        quantities.append(rate)
    else:
        unmatched.append({"name": "rate", "reason": rate})
    return Agreement(
        tuple(quantities),
        tuple(unmatched),
        method,
        (
            *linearize(exp).assumptions,
            "samples within the linear regime",
            "one noise size for all samples",
            *_drifts(runs),
        ),
    )


def _gone(exp: Experiment, runs: xr.Dataset) -> list[dict[str, str]]:
    """That runs left the target: whatever was measured before, they are no support for a stable equilibrium."""
    codes = outcomes(runs, exp)
    gone = codes[codes >= Outcome.ESCAPED]
    reason = f"of {len(codes)} runs {tally(gone)}; compared are their samples near equilibrium alone"
    return [{"name": "outcome", "reason": reason}] if len(gone) else []


def _drifts(runs: xr.Dataset) -> list[str]:
    """How far the tangent kernels of networks moved, which the prediction takes to be constant."""
    out = []
    for player, name in (("discriminator", "kernel_drift"), ("generator", "generator_drift")):
        if name in runs and np.isfinite(runs[name]).any():
            out.append(
                f"the {player}'s tangent kernel moved by at most {float(runs[name].max()):.1e} of itself in the runs"
            )
    if "generator_kernel_error" in runs.attrs:
        error = float(runs.attrs["generator_kernel_error"])
        out.append(f"the generator's own kernel at its start is {error:.1e} of itself away from that of infinite width")
    return out


def slowest_measured(exp: Experiment, runs: xr.Dataset, modes: int = MODES) -> tuple[float, float]:
    """Decay rate min(-Re s) of the slowest mode as measured in ``runs``, and its standard error.

    The ``modes`` predicted slowest modes that the runs show are fitted as ``compare`` does, each with an exponent of
    its own; modes too slow to change during the runs included. (nan, nan) where the modes cannot be told apart.
    """
    found = modal_coordinates(exp, validate_runs(runs))
    quantities = _from_modes(found, modes, "", slowest=0.0)[0] if found.clusters else []
    rates = [(-q.measured, q.stderr) for q in quantities if q.name.endswith(".re")]
    return min(rates, default=(float("nan"), float("nan")))


def _pair(index: int, s: complex, fit: complex, error: complex, unit: str, note: str) -> list[Quantity]:
    real = Quantity(f"s{index}.re", s.real, fit.real, error.real, abs(s), unit, note)
    imaginary = Quantity(f"s{index}.im", s.imag, fit.imag, error.imag, abs(s), unit, note)
    # zero against zero says nothing: a real mode's frequency is listed only when one was measured
    silent = s.imag == 0 and (abs(imaginary.z) <= REAL_SIGMAS or imaginary.relative_error <= REAL)
    return [real] if silent else [real, imaginary]


def _from_modes(
    found: Modes, modes: int, unit: str, slowest: float = SLOWEST
) -> tuple[list[Quantity], list[dict[str, str]]]:
    times = found.times
    step = float(np.median(np.diff(times)))
    span = times[-1] - times[0]
    largest = max(c.amplitude for c in found.clusters)
    quantities: list[Quantity] = []
    unmatched: list[dict[str, str]] = []
    index = 0
    for cluster in found.clusters:
        amplitude = cluster.amplitude
        if index >= modes:
            break
        name = ", ".join(f"{s:.4g}" for s in cluster.predicted)
        if amplitude < max(VISIBLE, found.second_order) * largest:
            unmatched.append({"name": f"mode {name}", "reason": f"amplitude {amplitude / largest:.1g} of the largest"})
            continue
        if -cluster.predicted.real.max() * step > FASTEST:
            unmatched.append({"name": f"mode {name}", "reason": "decays between two samples"})
            continue
        if np.abs(cluster.predicted).max() * span < slowest:
            unmatched.append({"name": f"mode {name}", "reason": f"changes by less than {slowest:.0%} during the runs"})
            continue
        cluster = _resolved(times, cluster)
        r = len(cluster.predicted)
        fit = fit_exponentials(times, cluster.signals, r, initial=cluster.predicted, real=False)
        if not np.all(np.isfinite(fit.values)):
            unmatched.append({"name": f"mode {name}", "reason": fit.status})
            continue
        note = "" if fit.ok else fit.status
        if r > 1:
            note = "; ".join(filter(None, [note, f"fitted together with {r - 1} close by"]))
        values = _unaliased(fit.values, cluster.predicted, 2 * np.pi / step)
        if np.abs(values.imag).max() > np.pi / step:
            note = "; ".join(filter(None, [note, f"frequency known up to multiples of {2 * np.pi / step:.4g}"]))
        for i, j in zip(*linear_sum_assignment(np.abs(cluster.predicted[:, None] - values)), strict=True):
            # the member below the axis belongs to the conjugate above it
            if index < modes and cluster.predicted[i].imag >= 0:
                index += 1
                quantities += _pair(index, cluster.predicted[i], values[j], fit.stderr[j], unit, note)
    return quantities, unmatched


def _unaliased(values: np.ndarray, predicted: np.ndarray, rate: float) -> np.ndarray:
    """Samples taken at this angular rate show frequencies modulo it: of all that fit alike, the one nearest to a
    prediction beyond the Nyquist frequency rate/2."""
    if np.abs(predicted.imag).max() <= rate / 2:
        return values
    nearest = predicted[np.abs(np.exp(2j * np.pi * (values.imag[:, None] - predicted.imag) / rate) - 1).argmin(1)]
    return values + 1j * rate * np.rint((nearest.imag - values.imag) / rate)


def _resolved(times: np.ndarray, cluster: ModalSignals) -> ModalSignals:
    """The cluster with one eigenvalue, the mean of its own, where the runs are too short to tell them apart and show
    no more than one exponential."""
    s = cluster.predicted
    if len(s) == 1 or np.abs(s - s.mean()).max() * (times[-1] - times[0]) > UNRESOLVED:
        return cluster
    single = fit_exponentials(times, cluster.signals, 1, initial=s[:1], real=False)
    if not single.residual < ONE_EXPONENTIAL:
        return cluster
    return replace(cluster, predicted=np.array([s.mean()]))


def _blind(exp: Experiment, found: Modes, modes: int, unit: str) -> tuple[list[Quantity], list[dict[str, str]]]:
    values = merged(eigenvalues(linearize(exp)))
    chosen = values.coupled & values.resolved & (values.s.imag >= 0) & np.isfinite(values.s)
    predicted = values.s[chosen][np.argsort(values.rates[chosen], kind="stable")]
    fit: EigenvalueFit = blind_eigenvalues(found.times, found.displacement, None)
    above = np.flatnonzero(np.isfinite(fit.values) & (fit.values.imag >= 0))
    if not len(above):
        return [], [{"name": "eigenvalues", "reason": fit.status}]
    distance = np.abs(predicted[:, None] - fit.values[above]) / np.abs(predicted)[:, None]
    rows, columns = linear_sum_assignment(distance)
    quantities: list[Quantity] = []
    unmatched: list[dict[str, str]] = []
    index = 0
    matched = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if distance[i, j] <= MATCH}
    for i, s in enumerate(predicted):
        if index >= modes:
            break
        if i not in matched:
            if len(unmatched) < modes:
                unmatched.append({"name": f"mode {s:.4g}", "reason": "no fitted eigenvalue near it"})
            continue
        index += 1
        j = above[matched[i]]
        quantities += _pair(index, s, fit.values[j], fit.stderr[j], unit, "" if fit.ok else fit.status)
    if len(matched) < len(predicted):
        reason = f"{len(predicted) - len(matched)} of {len(predicted)} predicted modes have no fitted eigenvalue near"
        unmatched.append({"name": "all modes", "reason": reason})
    left = set(range(len(above))) - set(matched.values())
    unmatched += [{"name": f"measured {fit.values[above[j]]:.4g}", "reason": "no predicted mode near it"} for j in left]
    return quantities, unmatched


def _rate(exp: Experiment, found: Modes, unit: str) -> Quantity | str:
    predicted = eigenvalues(linearize(exp)).slowest(coupled_only=True)
    times = found.times
    span = times[-1] - times[0]
    norms = found.norms[:, : len(times)]
    if not np.isfinite(predicted) or predicted * span < E_FOLDS:
        return f"the runs show {max(predicted * span, 0):.2g} e-folds of the slowest mode, {E_FOLDS:g} are needed"
    rate, error = convergence_rate(times, norms)
    if not np.isfinite(rate):
        return "too few samples above the rounding floor"
    return Quantity("rate", predicted, rate, error, abs(predicted), unit)
