"""Prediction against runs: the slowest visible eigenvalues, measured with standard errors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment

from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..fits.decay import fitted_rate
from ..fits.estimate import blind_eigenvalues
from ..fits.rounding import too_coarse, unchanged
from ..linear import eigenvalues, linearize
from ..predict.spectrum import merged
from ..problem.problem import Problem
from ..runs.outcome import have_left, modes_are_lost, outcomes, tally
from ..runs.positions import with_positions
from ..runs.schema import validate_runs
from .agreement import Agreement, Quantity
from .measure import SLOWEST, Measured, Measurement, measure
from .modes import Observation, named, observed_modes
from .powers import compare_powers

#: the field of an error about all of them
RUNS = "runs"
#: how many of the slowest visible modes are compared
MODES = 5
#: displacements over the length scale from which on runs that start farther away are tried, too
NEARER = (0.01, 0.001)
#: a measured frequency of a real mode within these many standard errors, or this part of |s|, of 0 is no frequency
REAL_SIGMAS, REAL = 3.0, 1e-9
#: e-folds a run must show before its late slope is called a convergence rate
E_FOLDS = 4.0
#: relative difference below which two rates are one
SAME = 1e-6
#: times that the slope is read off the fit with its residuals in another order
REPLICAS = 2
#: part of the recorded rms deviation that the prediction may leave besides noise: the larger of this and of so many
#: times the displacement over the length scale; beyond, the eigenvalues are fitted without its eigenvectors
OFF, BEYOND = 0.01, 10.0
#: rounding of the recorded positions, as a part of the displacements, beyond which it hides how they move
ROUNDED = 0.3
#: an eigenvalue fitted so is compared with a predicted one within this part of |s|; beyond FAR, all are alike
MATCH, FAR = 0.5, 1e3
#: what is not matched where it is all of the prediction
EVERY = "all modes"
#: bags of samples that such a fit's errors are taken from
BAGS = 10
UNEXPLAINED = (
    "the predicted modes leave {:.0%} of the recorded deviation (rms) unexplained, besides {:.1%} of noise from sample "
    "to sample: the runs are of another experiment, near another equilibrium, or moved by what the theory leaves out"
)
BLIND = "without the prediction's eigenvectors: principal components, variable projection, bagging"
METHOD = "all predicted modes at once, variable projection; errors from noise, second order and scatter between runs"


@takes_experiment
def compare(exp: Experiment, runs: xr.Dataset, modes: int = MODES) -> Agreement:
    """Predicted against measured: eigenvalues of the ``modes`` slowest visible modes and the convergence rate.

    Quantities "s1.re", "s1.im", ... are the k-th slowest visible mode's, per unit of the runs' time; "rate" is the
    asymptotic decay of the deviation's norm. Measured eigenvalues are free exponents of a fit of all predicted modes to
    the displacements (and to D and grad D where recorded), at whatever times were recorded (fits.joint); their
    standard errors hold the noise, the terms of second order in the displacement, and differences between runs
    (fits.scatter). Training against uniform averages has exponents of time instead: "p1.last", "p1.average", ...
    (comparison.powers).

    Args:
        runs: any Dataset of the run schema.
        modes: how many modes are listed.

    Returns:
        A table of quantities: predicted, measured, stderr, z, relative_error. Modes that are predicted but not seen,
            and runs that cannot be used, are listed in ``unmatched``, as is what the predicted modes leave unexplained.

    Shapes:
        runs: particles (run, time, particle, component), time (time), optional discriminator and force, see
        egan_theory.runs.schema.

    Units:
        Rates and eigenvalues per unit of the runs' time ("1/step" or "1/time"), positions in lengths.

    Raises:
        InputError: runs that do not fit the schema or the experiment.
        NotLinearizable: no equilibrium to predict about.

    Assumes:
        Samples within the linear regime, one noise size for all positions and another for D and its gradient.

    Source:
        Eq. (17, mode-roots), Eq. (37, finite-modes); variable projection: Golub and Pereyra 1973.

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), discriminator=eg.Discriminator(features=0))
        >>> exp = exp.replace({"penalty.r1": 0.3, "run.steps": 1000})
        >>> first = eg.compare(exp, eg.simulate(exp)).quantities[0]
        >>> first.name, abs(first.relative_error) < 0.01
        ('s1.re', True)
    """
    runs = validate_runs(runs)
    try:
        return compare_powers(exp, runs, modes) if exp.update_rule.uniform else _compared(exp, runs, modes)
    except InputError as error:
        raise _in_words(error, exp, runs) from None


def _in_words(error: InputError, exp: Experiment, runs: xr.Dataset) -> InputError:
    """The error that runs cannot be compared, with what they are where that is the reason: a training of networks that
    no experiment describes, or runs that lost modes."""
    with suppress(InputError):  # they are of something else
        codes = outcomes(runs, exp)
        if modes_are_lost(codes).any():
            found = f"{error.found}; " if error.found is not None else ""
            error = type(error)(error.field, error.must, f"{found}of {len(codes)} runs: {tally(codes)}")
    if "monitor_version" in runs.attrs and "experiment" not in runs.attrs:
        rule = "hold runs of the experiment (egan simulate, eg.RunWriter, or eg.Monitor with experiment=)"
        found = f"a training of networks that eg.Monitor recorded, which egan monitor reads; {error}"
        return InputError(RUNS, rule, found)
    return error


def _compared(exp: Experiment, runs: xr.Dataset, modes: int) -> Agreement:
    runs = with_positions(runs)
    found, measured = _observed(exp, runs)
    unit = exp.update_rule.rate_unit
    unmatched = [*found.notes, *_gone(exp, runs)]
    method, left, off = METHOD, measured.unexplained, max(OFF, BEYOND * found.second_order)
    hidden = too_coarse(runs, found.displacement, ROUNDED)
    if reason := hidden or _at_rest(exp, runs, found):
        unmatched.append({"name": EVERY, "reason": reason})
        if left > off and not hidden:  # at rest, but elsewhere
            unmatched.append({"name": EVERY, "reason": UNEXPLAINED.format(left, measured.noise)})
        return Agreement((), tuple(unmatched), METHOD, linearize(exp).assumptions)
    pairs, unseen = list(measured.modes), list(measured.unseen)
    if left > off:
        # wrong rates give wrong shares of positions and forces in a mode, but often the right displacements
        measured = measure(replace(found, blocks=found.blocks[:1]), refit=True)
        pairs, unseen = list(measured.modes), list(measured.unseen)
        if measured.unexplained > off:
            method, (pairs, unseen) = BLIND, _blind(exp, found, modes)
        unmatched.append({"name": EVERY, "reason": UNEXPLAINED.format(left, measured.noise)})
    quantities = [q for k, m in enumerate(pairs[:modes]) for q in _pair(k + 1, m, unit)]
    unmatched += unseen
    rate = _rate(exp, found.times, measured, unit)
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
            "one noise size for all recorded positions, another for D and its gradient",
            *_drifts(runs),
        ),
    )


def _gone(exp: Experiment, runs: xr.Dataset) -> list[dict[str, str]]:
    """That runs left the target: whatever was measured before, they are no support for a stable equilibrium."""
    codes = outcomes(runs, exp)
    gone = codes[have_left(codes)]
    reason = f"of {len(codes)} runs {tally(gone)}; compared are their samples near equilibrium alone"
    return [{"name": "outcome", "reason": reason}] if len(gone) else []


def _observed(exp: Experiment, runs: xr.Dataset, slowest: float = SLOWEST) -> tuple[Observation, Measurement]:
    """The linear samples and what they show. Runs that come near equilibrium from afar: from the distance on at which
    most modes are seen; closer, there is less of the second order, but of the signal, too."""
    found = observed_modes(Problem(exp), runs)
    best = found, measure(found, slowest)
    for limit in NEARER:
        if found.second_order <= limit:
            continue
        try:
            found = observed_modes(Problem(exp), runs, limit)
        except InputError:  # too few samples there
            break
        measured = measure(found, slowest)
        if len(measured.modes) > len(best[1].modes):
            best = found, measured
    return best


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
    its own; modes too slow to change during the runs included, zero modes and those that hardly move the particles
    (``Eigenvalues.carried``) not. (nan, nan) where none is seen, and where no position changes beyond rounding
    (``at_rest``).
    """
    runs = with_positions(validate_runs(runs))
    observed, found = _observed(exp, runs, slowest=0.0)
    if _at_rest(exp, runs, observed):
        return float("nan"), float("nan")
    values = eigenvalues(linearize(exp), ratios=False)
    decisive, others = values.s[values.decisive], values.s[~values.decisive]

    def counts(s: complex) -> bool:
        near, far = (np.abs(s - v).min(initial=np.inf) for v in (decisive, others))
        return bool(near <= far and near < abs(s))  # else it is a zero mode, which ``values`` leaves out

    rates = [(-m.measured.real, m.stderr.real) for m in found.modes if counts(m.predicted)][:modes]
    return min(rates, default=(float("nan"), float("nan")))


def at_rest(exp: Experiment, runs: xr.Dataset) -> str:
    """Why no rate can be measured in ``runs`` whose particles do not move beyond rounding; empty where they do."""
    runs = with_positions(validate_runs(runs))
    return _at_rest(exp, runs, observed_modes(Problem(exp), runs))


def _at_rest(exp: Experiment, runs: xr.Dataset, found: Observation) -> str:
    moved = found.blocks[0].y
    if not moved.any():  # ``measure`` says so
        return ""
    change = float(np.sqrt(((moved - moved[:, :1]) ** 2).mean((0, 2))).max())
    # how many steps a flow was solved in is not known: at least one per record
    span = float(np.ptp(found.times))
    return unchanged(runs, change, span, len(found.times) - 1 if exp.update_rule.continuous else span)


def _blind(exp: Experiment, found: Observation, modes: int) -> tuple[list[Measured], list[dict[str, str]]]:
    """Exponents fitted without the prediction's shapes, each next to the nearest predicted one."""
    values = merged(eigenvalues(linearize(exp)))
    chosen = values.coupled & values.sized & (values.s.imag >= 0) & np.isfinite(values.s)
    predicted = values.s[chosen][np.argsort(values.rates[chosen], kind="stable")]
    fit = blind_eigenvalues(found.times, found.blocks[0].y, None, trials=BAGS)
    above = np.flatnonzero(np.isfinite(fit.values) & (fit.values.imag >= 0))
    if not len(above):
        return [], [{"name": "eigenvalues", "reason": fit.status}]
    distance = np.abs(predicted[:, None] - fit.values[above]) / np.abs(predicted)[:, None]
    rows, columns = linear_sum_assignment(np.minimum(distance, FAR))
    matched = {int(i): above[int(j)] for i, j in zip(rows, columns, strict=True) if distance[i, j] <= MATCH}
    note = "" if fit.ok else fit.status
    pairs = [Measured(complex(predicted[i]), fit.values[j], fit.stderr[j], note) for i, j in sorted(matched.items())]
    missed = [{"name": f"mode {named(s, found.unit)}", "reason": "no fitted eigenvalue near it"}
              for i, s in enumerate(predicted) if i not in matched]  # fmt: skip
    left = set(above.tolist()) - set(matched.values())
    alone = [
        {"name": f"measured {named(fit.values[j], found.unit)}", "reason": "no predicted mode near it"}
        for j in sorted(left)
    ]
    return pairs, missed[:modes] + alone


def _pair(index: int, mode: Measured, unit: str) -> list[Quantity]:
    s, fit, error = mode.predicted, mode.measured, mode.stderr
    if s.imag and not error.imag:  # an exponent measured to be real
        error = complex(error.real, error.real)
    real = Quantity(f"s{index}.re", s.real, fit.real, error.real, abs(s), unit, mode.note)
    imaginary = Quantity(f"s{index}.im", s.imag, fit.imag, error.imag, abs(s), unit, mode.note)
    # zero against zero says nothing: a real mode's frequency is listed only when one was measured
    silent = s.imag == 0 and (abs(imaginary.z) <= REAL_SIGMAS or imaginary.relative_error <= REAL)
    return [real] if silent else [real, imaginary]


def _rate(exp: Experiment, times: np.ndarray, found: Measurement, unit: str) -> Quantity | str:
    """The late slope of the deviation's rms norm. How far faster modes and noise bend it is known from the fit, its
    residuals in another order: there the slowest exponent is at hand."""
    predicted = eigenvalues(linearize(exp), ratios=False).slowest_carried()
    span = times[-1] - times[0]
    if predicted <= 0:
        return "the slowest mode does not decay: the distance from equilibrium ends with no rate of decay"
    if not np.isfinite(predicted) or predicted * span < E_FOLDS:
        return f"the runs show {predicted * span:.2g} e-folds of the slowest mode, {E_FOLDS:g} are needed"
    if not found.modes or abs(found.modes[0].predicted.real + predicted) > SAME * predicted:
        return "the slowest mode is not seen"
    rate, error = fitted_rate(times, found.size())
    slowest, rng = found.modes[0], np.random.default_rng(0)
    again = np.array([fitted_rate(times, found.size(rng))[0] for _ in range(REPLICAS)])
    if not np.isfinite(rate) or not np.isfinite(again).all():
        return "too few samples above the noise"
    bent = (again + slowest.measured.real) ** 2
    stderr = float(np.sqrt(error**2 + bent.mean() + slowest.stderr.real**2))
    return Quantity("rate", predicted, rate, stderr, abs(predicted), unit)
