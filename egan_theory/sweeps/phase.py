"""Simulated phase diagrams, and how well each mechanism predicts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.spelling import one_of
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..predict.crossings import changed
from ..predict.kinds import criticalities, likeliest, predicted_kinds
from ..predict.mechanism import MECHANISMS
from ..predict.phase import QUICK, AxisLike, PhaseAxis, diagram_axes, diagram_coordinates
from ..problem.field import VARIABLE
from ..runs.interval import MEMORY, record_bytes, recording_interval
from ..runs.outcome import FLAGS, UNKNOWN, WORDS, shares
from ..runs.schema import ATTRS
from ..simulation.memory import check_cell
from .cells import MEASURES, final_clouds, measured, simulated
from .confusion import confusion_dataset

#: runs simulated side by side
LANES = 100
#: what a simulated diagram shows, by the names of sweeps.cells.measured
MEASURED = {
    "covered": "covered",
    "deficit": "entropy_deficit",
    "spread": "spread",
    "displacement": "centroid_displacement",
}
#: mechanisms that kinds are predicted by: those that follow the start, and those whose margin needs no simulation
DEFAULT = tuple(name for name, mechanism in MECHANISMS.items() if name in QUICK or mechanism.tells_kinds)


@takes_experiment
@shown
def simulate_phase(
    exp: Experiment,
    first: AxisLike,
    second: AxisLike,
    *,
    runs: int | None = None,
    start: str = "random",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """What becomes of runs of ``run.steps`` from random starts (or start = "kick"), over two fields of the experiment.

    ``runs`` of them per cell, default ``run.runs``; every cell sees the same starts. NaN, and outcome -1, where the
    experiment refuses the two values together.

    Args:
        first: "PATH=LOW:HIGH:POINTS[:log]" or a tuple of these.
        second: likewise.

    Returns:
        A Dataset; ``eg.compare_phase`` and ``eg.plot.phase`` take it.

    Shapes:
        - outcome (second, first, run): eg.Outcome of each run
        - share (kind, second, first) [1]: of the runs with each
        - covered (second, first, run) [1]: share of the target's modes with a particle
        - deficit (second, first, run) [nat], spread (second, first, run) [length], displacement (second, first, run)
          [1]: as in runs.order, the displacement in data radii
        - diverged_at (second, first, run) [step or time]: -1: not

    Units:
        In brackets above; first and second in the unit of their field.

    Raises:
        InputError: a bad axis or equal ones.
        KeyboardInterrupt: when interrupted.

    Source:
        none, a simulation; order parameters as in arXiv:2212.04580.
    """
    axes = diagram_axes(exp, first, second)
    runs = exp.run.runs if runs is None else runs
    base = exp.replace({"run.start": start, "run.runs": runs, "run.record_every": 1})
    check_cell(base, {}, recorded=False)
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
    for at in range(0, len(members), size):
        part = members[at : at + size]
        for group, ds in simulated(part):
            if isinstance(ds, Exception):
                raise ds
            found = measured(part[group[0]], final_clouds(ds))
            values = {n: found[order] for n, order in MEASURED.items()}
            values |= {n: ds[n].values for n in ("diverged_at", "outcome")}
            for k, i in enumerate(group):
                for n in names:
                    out[n][cells[at + i]] = values[n][k * runs : (k + 1) * runs]
        if progress is not None:
            progress(min(at + size, len(members)), len(members))
    text = {n: MEASURES[order] for n, order in MEASURED.items()}
    text |= {"diverged_at": ATTRS["diverged_at"], "outcome": ("outcome of the run (-1: none)", "1")}
    ds = xr.Dataset(
        {n: (("second", "first", "run"), v, dict(zip(("long_name", "units"), text[n], strict=True)))
         for n, v in out.items()},
        coords=diagram_coordinates(axes),
        attrs={**provenance(base), "steps": exp.run.steps, "start": start},
    )  # fmt: skip
    ds["outcome"].attrs |= FLAGS
    return with_shares(ds)


def with_shares(ds: xr.Dataset) -> xr.Dataset:
    """A simulated diagram with ``share`` (kind, second, first), the share of a cell's runs with each outcome."""
    values = shares(ds["outcome"].transpose("second", "first", "run").values)
    attrs = {"long_name": "share of the runs with this outcome", "units": "1"}
    return ds.assign(share=(("kind", "second", "first"), values, attrs)).assign_coords(kind=list(WORDS))


@takes_experiment
@shown
def compare_phase(
    exp: Experiment,
    simulated: xr.Dataset,
    *,
    mechanisms: Sequence[str] = DEFAULT,
    progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """Predicted against simulated kinds of outcome, cell by cell.

    Returns:
        A Dataset; ``eg.plot.confusion`` draws it.

    Shapes:
        - simulated_kind (second, first): the outcome (eg.Outcome) that most of a cell's runs have, of those with modes
          lost where more than half have lost modes, else of the others; -1 for cells without runs, which count for
          nothing
        - probability (kind, second, first) [1]: of each outcome, predicted (predict.kinds) from the start that the
          simulated runs had
        - predicted_kind (second, first): likewise, -1: no statement
        - confusion (kind, predicted) [1]: how many cells were simulated of a kind and predicted of one
        - recall (kind), precision (kind) [1]
        - sensitivity (), specificity (), balanced_accuracy (), stderr () [1]: of modes kept against lost
          (sweeps.confusion)

    Units:
        Pure numbers; first and second in the unit of their field.

    Raises:
        InputError: an unknown mechanism.

    Source:
        The mechanisms of ``eg.thresholds``; Eq. (67, threshold-simultaneous), Eq. (79, macro-particles).
    """
    axes = [PhaseAxis.of(simulated[n]) for n in ("first", "second")]
    mechanisms = [one_of("mechanism", name, MECHANISMS) for name in mechanisms]
    base = exp.replace({"run.start": simulated.attrs.get("start", "random"), "run.runs": simulated.sizes["run"]})
    members = np.empty((len(axes[1].values), len(axes[0].values)), dtype=object)
    for r, c in np.ndindex(members.shape):
        members[r, c] = changed(base, {axes[0].path: axes[0].values[c], axes[1].path: axes[1].values[r]})
    if progress is not None:
        progress("predicting kinds", 0, 1)
    probability = predicted_kinds(members, mechanisms, lambda margin: criticalities(base, axes, margin))
    if progress is not None:
        progress("predicting kinds", 1, 1)
    observed = likeliest(shares(simulated["outcome"].transpose("second", "first", "run").values))
    predicted = likeliest(probability)
    dims = ("second", "first")
    found = xr.Dataset(
        {
            "simulated_kind": (
                dims,
                observed,
                {"long_name": "most frequent outcome (-1: no runs)", "units": "1", **FLAGS},
            ),
            "predicted_kind": (
                dims,
                predicted,
                {"long_name": "predicted outcome (-1: no statement)", "units": "1", **FLAGS},
            ),
            "probability": (("kind", *dims), probability, {"long_name": "predicted probability", "units": "1"}),
        },
        coords={"kind": list(WORDS), **{name: simulated[name] for name in ("first", "second")}},
        attrs={
            **provenance(base),
            "method": "the likeliest kind at every simulated cell",
            "assumptions": "; ".join(f"{name}: {text}" for name in mechanisms for text in MECHANISMS[name].assumptions),
        },
    )
    return found.merge(confusion_dataset(observed, predicted))


__all__ = ["compare_phase", "simulate_phase", "with_shares"]
