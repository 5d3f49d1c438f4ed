"""Simulated phase diagrams, and how well each mechanism predicts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..dynamics import VARIABLE
from ..errors import InputError
from ..experiment import Experiment
from ..predict.crossings import changed
from ..predict.phase import QUICK, PhaseAxis, parse_axes, phase
from ..provenance import provenance
from ..sweeps.cells import final_clouds, measured, mode_centres, simulated

#: a cell has collapsed when its runs cover fewer than this share of the target's modes at the end, on average
COVERED = 0.5
#: experiments simulated side by side
LANES = 100
#: what a simulated diagram shows, by the names of sweeps.cells.measured
MEASURED = {
    "covered": "covered",
    "deficit": "entropy_deficit",
    "spread": "spread",
    "displacement": "centroid_displacement",
}
#: the prediction that collapse is due to one mechanism or another
UNION = "any mechanism"


def simulate_phase(
    exp: Experiment,
    first: PhaseAxis | str,
    second: PhaseAxis | str,
    *,
    runs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Order parameters at the end of ``run.steps`` from random starts, over two fields of the experiment.

    ``covered`` (second, first, run): share of the target's modes (``mode_centres``) with a particle within half the
    smallest distance between two of them; ``deficit``, ``spread``, ``displacement`` as in order;
    ``diverged_at`` (-1: not). A run that diverged covers nothing. Every cell sees the same starts. NaN where the
    experiment refuses the two values together.

    Raises InputError, and KeyboardInterrupt when interrupted.
    """
    axes = parse_axes(exp, (first, second))
    if axes[0].path == axes[1].path:
        raise InputError("vary", "name two different fields", axes[0].path)
    base = exp.replace({"run.start": "random", "run.runs": runs, "run.record_every": exp.run.steps})
    cells, members = [], []
    for r, c in np.ndindex(len(axes[1].values), len(axes[0].values)):
        member = changed(base, {axes[0].path: axes[0].values[c], axes[1].path: axes[1].values[r]})
        if member is not None:
            cells.append((r, c))
            members.append(member)
    together = all(a.path in VARIABLE for a in axes)
    names = (*MEASURED, "diverged_at")
    out = {n: np.full((len(axes[1].values), len(axes[0].values), runs), np.nan) for n in names}
    size = LANES if together else 1
    for start in range(0, len(members), size):
        part = members[start : start + size]
        for group, ds in simulated(part):
            if isinstance(ds, Exception):
                raise ds
            found = measured(part[group[0]], final_clouds(ds))
            values = {n: found[order] for n, order in MEASURED.items()} | {"diverged_at": ds["diverged_at"].values}
            for k, i in enumerate(group):
                for n in names:
                    out[n][cells[start + i]] = values[n][k * runs : (k + 1) * runs]
        if progress is not None:
            progress(min(start + size, len(members)), len(members))
    text = {
        "covered": ("share of the target's modes covered", "1"),
        "deficit": ("deficit of the nearest-point entropy", "nat"),
        "spread": ("rms distance from the centroid", "length"),
        "displacement": ("displacement of the centroid, in data radii", "1"),
        "diverged_at": ("step at which the run diverged (-1: not)", "step"),
    }
    return xr.Dataset(
        {n: (("second", "first", "run"), v, dict(zip(("long_name", "units"), text[n], strict=True)))
         for n, v in out.items()},
        coords={n: (n, np.array(a.values), {"long_name": a.path, "units": "1", "log": int(a.log)})
                for n, a in zip(("first", "second"), axes, strict=True)},
        attrs={**provenance(base), "steps": exp.run.steps, "start": "random"},
    )  # fmt: skip


def compare_phase(
    exp: Experiment,
    simulated: xr.Dataset,
    *,
    mechanisms: Sequence[str] = QUICK,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """Each mechanism, and their union, against a simulated diagram, cell by cell.

    ``collapsed`` (second, first): fewer than half of the modes are covered, on average over runs. ``predicted``
    (mechanism, second, first): margin > 0, evaluated at every cell; no statement counts as no collapse. Over
    mechanism: ``sensitivity`` (share of the collapsed cells that were predicted), ``specificity`` (share of the others
    that were not), ``balanced_accuracy``, their mean (1/2: no better than chance), and ``stderr``, its binomial error,
    which takes cells as independent. NaN where the simulation shows only one outcome. Cells without a share of
    covered modes (NaN: they failed in a sweep) count for neither.
    """
    axes = [
        PhaseAxis(simulated[n].attrs["long_name"], tuple(simulated[n].values.tolist()), bool(simulated[n].attrs["log"]))
        for n in ("first", "second")
    ]
    predicted = phase(exp, *axes, mechanisms=mechanisms, block=1, progress=progress)
    each = predicted["margin"].values > 0
    guesses = np.concatenate([each, each.any(0, keepdims=True)])
    covered = simulated["covered"].mean("run").values
    collapsed, spread = covered < COVERED, covered >= COVERED  # neither where nothing is known
    with np.errstate(invalid="ignore", divide="ignore"):
        n1, n0 = collapsed.sum(), spread.sum()
        sensitivity = (guesses & collapsed).sum((1, 2)) / n1
        specificity = (~guesses & spread).sum((1, 2)) / n0
        variance = sensitivity * (1 - sensitivity) / n1 + specificity * (1 - specificity) / n0
    row = lambda v, name: ("mechanism", v, {"long_name": name, "units": "1"})  # noqa: E731
    return xr.Dataset(
        {
            "collapsed": (("second", "first"), collapsed.astype(np.int8),
                          {"long_name": f"fewer than {COVERED:.0%} of the modes covered", "units": "1"}),
            "predicted": (("mechanism", "second", "first"), guesses.astype(np.int8),
                          {"long_name": "collapse predicted", "units": "1"}),
            "sensitivity": row(sensitivity, "share of the collapsed cells predicted"),
            "specificity": row(specificity, "share of the other cells not predicted"),
            "balanced_accuracy": row((sensitivity + specificity) / 2, "balanced accuracy"),
            "stderr": row(np.sqrt(variance) / 2, "its standard error"),
        },
        coords={"mechanism": [*mechanisms, UNION], "first": simulated["first"], "second": simulated["second"]},
        attrs=predicted.attrs | {"method": "margins at every simulated cell"},
    )  # fmt: skip


__all__ = ["compare_phase", "mode_centres", "simulate_phase"]
