"""Simulated phase diagrams, and how well each mechanism predicts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..predict.crossings import changed
from ..predict.phase import QUICK, AxisLike, PhaseAxis, diagram_axes, diagram_coordinates, phase
from ..problem.field import VARIABLE
from ..runs.outcome import FLAGS, MEMORY, UNKNOWN, WORDS, modes_are_lost, record_bytes, recording_interval, shares
from ..runs.schema import ATTRS
from .cells import MEASURES, final_clouds, measured, simulated

#: a cell has lost modes when more than this share of its runs has
MOST = 0.5
#: runs simulated side by side
LANES = 100
#: what a simulated diagram shows, by the names of sweeps.cells.measured
MEASURED = {
    "covered": "covered",
    "deficit": "entropy_deficit",
    "spread": "spread",
    "displacement": "centroid_displacement",
}
#: the prediction that modes are lost by one mechanism or another
UNION = "any mechanism"


def simulate_phase(
    exp: Experiment,
    first: AxisLike,
    second: AxisLike,
    *,
    runs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """What becomes of runs of ``run.steps`` from random starts, over two fields of the experiment.

    ``outcome`` (second, first, run): outcome.Outcome of each run, and ``share`` (kind, second, first) of the runs with
    each; ``covered``: share of the target's modes with a particle (outcome.covered_modes); ``deficit``, ``spread``,
    ``displacement`` as in order; ``diverged_at`` (-1: not). ``runs`` of them per cell, default ``run.runs``; every cell
    sees the same starts. NaN, and outcome -1, where the experiment refuses the two values together.

    Raises InputError, and KeyboardInterrupt when interrupted.
    """
    axes = diagram_axes(exp, first, second)
    runs = exp.run.runs if runs is None else runs
    base = exp.replace({"run.start": "random", "run.runs": runs, "run.record_every": 1})
    cells, members = [], []
    for r, c in np.ndindex(len(axes[1].values), len(axes[0].values)):
        member = changed(base, {axes[0].path: axes[0].values[c], axes[1].path: axes[1].values[r]})
        if member is not None:
            cells.append((r, c))
            members.append(member.replace({"run.record_every": recording_interval(member)}))
    together = all(a.path in VARIABLE for a in axes)
    names = (*MEASURED, "diverged_at", "outcome")
    out = {n: np.full((len(axes[1].values), len(axes[0].values), runs), np.nan) for n in names}
    out["outcome"] = np.full_like(out["outcome"], UNKNOWN, dtype=np.int8)
    fits = int(MEMORY // (record_bytes(base) * (exp.run.steps // recording_interval(base) + 1)))
    size = max(min(LANES // runs, fits), 1) if together else 1
    for start in range(0, len(members), size):
        part = members[start : start + size]
        for group, ds in simulated(part):
            if isinstance(ds, Exception):
                raise ds
            found = measured(part[group[0]], final_clouds(ds))
            values = {n: found[order] for n, order in MEASURED.items()}
            values |= {n: ds[n].values for n in ("diverged_at", "outcome")}
            for k, i in enumerate(group):
                for n in names:
                    out[n][cells[start + i]] = values[n][k * runs : (k + 1) * runs]
        if progress is not None:
            progress(min(start + size, len(members)), len(members))
    text = {n: MEASURES[order] for n, order in MEASURED.items()}
    text |= {"diverged_at": ATTRS["diverged_at"], "outcome": ("outcome of the run (-1: none)", "1")}
    ds = xr.Dataset(
        {n: (("second", "first", "run"), v, dict(zip(("long_name", "units"), text[n], strict=True)))
         for n, v in out.items()},
        coords=diagram_coordinates(axes),
        attrs={**provenance(base), "steps": exp.run.steps, "start": "random"},
    )  # fmt: skip
    ds["outcome"].attrs |= FLAGS
    return with_shares(ds)


def with_shares(ds: xr.Dataset) -> xr.Dataset:
    """A simulated diagram with ``share`` (kind, second, first), the share of a cell's runs with each outcome."""
    values = shares(ds["outcome"].transpose("second", "first", "run").values)
    attrs = {"long_name": "share of the runs with this outcome", "units": "1"}
    return ds.assign(share=(("kind", "second", "first"), values, attrs)).assign_coords(kind=list(WORDS))


def accuracies(predicted: np.ndarray, lost: np.ndarray) -> dict[str, Any]:
    """Of predictions (..., cell) that cells lose modes: ``sensitivity``, the share of the ``lost`` that were predicted,
    ``specificity``, the share of the others that were not, ``balanced_accuracy``, their mean (1/2: no better than
    chance), and ``stderr``, its binomial error, which takes cells as independent. NaN where no or every cell is lost.
    """
    n1, n0 = np.sum(lost), np.sum(~lost)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = (predicted & lost).sum(-1) / n1, (~predicted & ~lost).sum(-1) / n0
        variance = sensitivity * (1 - sensitivity) / n1 + specificity * (1 - specificity) / n0
    balanced = (sensitivity + specificity) / 2
    return {
        "sensitivity": sensitivity, "specificity": specificity, "balanced_accuracy": balanced,
        "stderr": np.sqrt(variance) / 2,
    }  # fmt: skip


def compare_phase(
    exp: Experiment,
    simulated: xr.Dataset,
    *,
    mechanisms: Sequence[str] = QUICK,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """Each mechanism, and their union, against a simulated diagram, cell by cell.

    ``lost`` (second, first): more than half of the runs neither settle nor circle with every mode kept
    (outcome.Outcome); -1 for cells without runs, which count for neither.
    ``predicted`` (mechanism, second, first): margin > 0, evaluated at every cell; no statement counts as no loss. Over
    mechanism: ``sensitivity``, ``specificity``, ``balanced_accuracy`` and its ``stderr`` (``accuracies``).
    """
    axes = (PhaseAxis.of(simulated[n]) for n in ("first", "second"))
    begun = exp.replace({"run.start": "random", "run.runs": simulated.sizes["run"]})
    predicted = phase(begun, *axes, mechanisms=mechanisms, block=1, progress=progress)
    each = predicted["margin"].values > 0
    guesses = np.concatenate([each, each.any(0, keepdims=True)])
    codes = simulated["outcome"].transpose("second", "first", "run").values
    known = (codes != UNKNOWN).any(-1)
    lost = modes_are_lost(codes).sum(-1) > MOST * (codes != UNKNOWN).sum(-1)
    text = {
        "sensitivity": "share of the cells that lost modes predicted",
        "specificity": "share of the other cells not predicted",
        "balanced_accuracy": "balanced accuracy",
        "stderr": "its standard error",
    }
    found = accuracies(guesses[:, known], lost[known])
    return xr.Dataset(
        {
            "lost": (("second", "first"), np.where(known, lost, UNKNOWN).astype(np.int8),
                     {"long_name": f"more than {MOST:.0%} of the runs lost modes (-1: no runs)", "units": "1"}),
            "predicted": (("mechanism", "second", "first"), guesses.astype(np.int8),
                          {"long_name": "loss of modes predicted", "units": "1"}),
            **{n: ("mechanism", found[n], {"long_name": long, "units": "1"}) for n, long in text.items()},
        },
        coords={
            "mechanism": [*predicted["mechanism"].values.tolist(), UNION],
            **{name: simulated[name] for name in ("first", "second")},
        },
        attrs=predicted.attrs | {"method": "margins at every simulated cell"},
    )  # fmt: skip


__all__ = ["compare_phase", "simulate_phase", "with_shares"]
