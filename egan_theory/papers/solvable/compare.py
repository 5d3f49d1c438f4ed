"""The ODE's end state against finite-n runs, with error bars."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...base.errors import InputError
from ...comparison.agreement import Agreement, Quantity
from .model import Solvable
from .ode import solve_ode
from .records import dataset_state
from .regimes import WINDOWS, Regime, classify, coverage


def compare_solvable(
    model: Solvable,
    runs: xr.Dataset,
    ode: xr.Dataset | None = None,
    found: tuple[Regime, ...] | None = None,
    larger: xr.Dataset | None = None,
) -> Agreement:
    """Mean overlaps |P_lm| and coverages over the last fifth of the time: predicted by the ODE, measured over runs.

    stderr: standard error of the mean over runs, or n^-1/2 with one run. Left out: |P_lm| that the ODE puts below
    n^-1/2, where the sign is not decided; everything of a cycle, whose phases finite n scatters.
    Finite n also shifts the mean, by noise of the start that grows with q and by drift along the line of fixed points.
    ``larger``, runs at a larger n', shows how much: what goes as n^-1/2 or faster is at n no more than
    |mean(n) - mean(n')|/(1 - sqrt(n/n')), which stderr then contains. Without them shifts show as large z.

    Returns:
        A table of quantities; runs of another regime are in ``unmatched``.

    Shapes:
        runs, ode and larger: overlaps (run, time, ...) of the shared form.

    Units:
        Pure numbers.

    Raises:
        InputError: too few records to tell the regime, or ``larger`` of no larger n.

    Source:
        The ODE of Wang, Hu, Lu (arXiv:1805.08349).
    """
    ode = solve_ode(model) if ode is None else ode
    (predicted,) = classify(ode)
    found = classify(runs, n=model.n) if found is None else found
    method = "macroscopic ODE against finite-n runs, means over the last fifth of the time"
    shifts = "shifts by finite n are not in the standard errors"
    if larger is not None:
        if not (size := int(larger.attrs.get("n", 0))) > model.n:
            raise InputError("larger", f"be runs of more than n = {model.n} dimensions", size)
        shifts = (
            f"standard errors contain shifts by finite n, of order n^-1/2 or less, as large as {larger.sizes['run']} "
            f"runs at n = {size} show them"
        )
    assumptions = (f"n = {model.n}: fluctuations of order {model.n**-0.5:.2g}; {shifts}",)
    kept = [i for i, r in enumerate(found) if r.label == predicted.label]
    unmatched = []
    if len(kept) < len(found):
        other = ", ".join(sorted({r.label for r in found if r.label != predicted.label}))
        unmatched.append({"name": f"{len(found) - len(kept)} of {len(found)} runs", "reason": f"regime {other}"})
    if predicted.label in ("oscillation", "diverged", "undecided") or not kept:
        reason = f"the ODE's regime is {predicted.label}" if kept else "no run has the ODE's regime"
        return Agreement((), (*unmatched, {"name": "end state", "reason": reason}), method, assumptions)
    ends = _late(ode)[0]
    means = _late(runs)[kept]
    beyond = None if larger is None else _alike(larger, predicted)
    if larger is not None and beyond is None:
        unmatched.append({"name": f"shifts by finite n at n = {size}", "reason": "no run there has the ODE's regime"})
    names = [f"|P{i + 1}{j + 1}|" for i in range(model.d) for j in range(model.d)]
    names += [f"coverage of feature {i + 1}" for i in range(model.d)]
    floor = model.n**-0.5
    quantities = []
    for k, name in enumerate(names):
        if ends[k] < floor:
            unmatched.append({"name": name, "reason": f"the ODE has {ends[k]:.2g}, below n^-1/2"})
            continue
        error = float(means[:, k].std(ddof=1) / np.sqrt(len(kept))) if len(kept) > 1 else floor
        mean, note = float(means[:, k].mean()), ""
        if beyond is not None:
            there = float(beyond[:, k].mean())
            shift = abs(mean - there) / (1 - np.sqrt(model.n / size))
            note = (
                f"differs from the ODE by {mean - ends[k]:.2g} at n = {model.n} and by {there - ends[k]:.2g} at "
                f"n = {size}; standard error over runs {error:.2g}, with what finite n can shift {shift:.2g}"
            )
            error = float(np.hypot(error, shift))
        quantities.append(Quantity(name, float(ends[k]), mean, error, float(ends[k]), note=note))
    return Agreement(tuple(quantities), tuple(unmatched), method, assumptions)


def _alike(runs: xr.Dataset, predicted: Regime) -> np.ndarray | None:
    """``_late`` of the runs of that regime; None where there are none."""
    kept = [i for i, r in enumerate(classify(runs, n=int(runs.attrs["n"]))) if r.label == predicted.label]
    return _late(runs)[kept] if kept else None


def _late(ds: xr.Dataset) -> np.ndarray:
    """(run, d^2 + d) late means of |P| and of the coverage."""
    time, state = ds["time"].values, dataset_state(ds)
    late = time >= time[0] + WINDOWS[1][0] * (time[-1] - time[0])
    P = np.abs(state.P[:, late]).mean(1)
    finite = np.isfinite(state.z).all(1)
    covered = np.full((len(P), P.shape[-1]), np.nan)
    covered[finite] = coverage(type(state)(*(v[finite][:, late] for v in state))).mean(1)
    return np.concatenate([P.reshape(len(P), -1), covered], axis=1)
