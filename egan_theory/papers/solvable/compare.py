"""The ODE's end state against finite-n runs, with error bars."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...comparison.agreement import Agreement, Quantity
from .model import Solvable
from .ode import solve_ode
from .records import dataset_state
from .regimes import WINDOWS, Regime, classify, coverage


def compare_solvable(
    model: Solvable, runs: xr.Dataset, ode: xr.Dataset | None = None, found: tuple[Regime, ...] | None = None
) -> Agreement:
    """Mean overlaps |P_lm| and coverages over the last fifth of the time: predicted by the ODE, measured over runs.

    stderr: standard error of the mean over runs, or n^-1/2 with one run. Left out: |P_lm| that the ODE puts below
    n^-1/2, where the sign is not decided; everything of a cycle, whose phases finite n scatters.
    Deterministic shifts of order 1/n are not removed: with many runs they show as large z.

    Returns:
        A table of quantities; runs of another regime are in ``unmatched``.

    Shapes:
        runs and ode: overlaps (run, time, ...) of the shared form.

    Units:
        Pure numbers.

    Raises:
        InputError: too few records to tell the regime.

    Source:
        The ODE of Wang, Hu, Lu (arXiv:1805.08349).
    """
    ode = solve_ode(model) if ode is None else ode
    (predicted,) = classify(ode)
    found = classify(runs, n=model.n) if found is None else found
    method = "macroscopic ODE against finite-n runs, means over the last fifth of the time"
    assumptions = (
        f"n = {model.n}: fluctuations of order {model.n**-0.5:.2g}; shifts of order 1/n, "
        "as of P along the line of fixed points, are not removed and count as error",
    )
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
    names = [f"|P{i + 1}{j + 1}|" for i in range(model.d) for j in range(model.d)]
    names += [f"coverage of feature {i + 1}" for i in range(model.d)]
    floor = model.n**-0.5
    quantities = []
    for k, name in enumerate(names):
        if ends[k] < floor:
            unmatched.append({"name": name, "reason": f"the ODE has {ends[k]:.2g}, below n^-1/2"})
            continue
        error = float(means[:, k].std(ddof=1) / np.sqrt(len(kept))) if len(kept) > 1 else floor
        quantities.append(Quantity(name, float(ends[k]), float(means[:, k].mean()), error, float(ends[k])))
    return Agreement(tuple(quantities), tuple(unmatched), method, assumptions)


def _late(ds: xr.Dataset) -> np.ndarray:
    """(run, d^2 + d) late means of |P| and of the coverage."""
    time, state = ds["time"].values, dataset_state(ds)
    late = time >= time[0] + WINDOWS[1][0] * (time[-1] - time[0])
    P = np.abs(state.P[:, late]).mean(1)
    finite = np.isfinite(state.z).all(1)
    covered = np.full((len(P), P.shape[-1]), np.nan)
    covered[finite] = coverage(type(state)(*(v[finite][:, late] for v in state))).mean(1)
    return np.concatenate([P.reshape(len(P), -1), covered], axis=1)
