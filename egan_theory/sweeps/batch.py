"""One batch of a sweep: its cells simulated and measured, as the arrays that the store holds. Runs in any process."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..runs.interval import recording_interval
from ..runs.outcome import UNKNOWN
from ..runs.schema import ATTRS
from .cells import DIRECTIONAL, MEASURES, final_clouds, measured, rates, reason, simulated
from .plan import Plan, check_points, read_plan

#: what ``status`` says of a cell
PENDING, DONE, DIVERGED, FAILED = range(4)
STATUS = ("pending", "done", "diverged", "failed")
#: variables of the run schema that ``record`` keeps of every cell
RECORDED = ("particles", "discriminator", "force")


@dataclass(frozen=True)
class Column:
    """A stored variable: dims, value where there is none, long_name and units."""

    dims: tuple[str, ...]
    fill: float | int | str
    long_name: str
    units: str

    @property
    def dtype(self) -> type:
        return type(self.fill)


def columns(plan: Plan) -> dict[str, Column]:
    """The variables of the plan's store, ``status`` last: a batch is complete when its status is there."""
    nan, run, exp = float("nan"), ("cell", "run"), plan.exp
    unit = exp.update_rule.rate_unit
    out = {"final": Column((*run, "particle", "component"), nan, "particle positions at the last sample", "length")}
    directions = exp.points.period is None
    out |= {n: Column(run, nan, *text) for n, text in MEASURES.items() if directions or n not in DIRECTIONAL}
    if exp.run.start == "kick":
        out["rate"] = Column(("cell",), nan, "decay rate of the deviation's norm, late slope", unit)
        out["rate_stderr"] = Column(("cell",), nan, "its standard error", unit)
        out["predicted_rate"] = Column(("cell",), nan, "predicted decay rate of the slowest mode", unit)
    if plan.record:
        for name in RECORDED:
            dims = ("particle", "component") if name != "discriminator" else ("particle",)
            out[name] = Column((*run, "time", *dims), nan, *ATTRS[name])
    out["diverged_at"] = Column(run, -1, *ATTRS["diverged_at"])
    out["outcome"] = Column(run, UNKNOWN, ATTRS["outcome"][0] + ", -1: not simulated", ATTRS["outcome"][1])
    out["reason"] = Column(("cell",), "", "why the cell failed, or has no rates", "1")
    out["status"] = Column(("cell",), PENDING, "state of the cell", "1")
    return out


def coordinates(plan: Plan) -> dict[str, xr.Variable]:
    """The coordinates of the plan's store: axes and seed over the cells, the times of recorded samples."""
    cells = plan.columns(np.arange(plan.cells))
    names = {axis.path: axis.name for axis in plan.axes} | {"run.seed": "seed"}
    out = {
        names[path]: xr.Variable("cell", values, {"long_name": path, "units": "1"}) for path, values in cells.items()
    }
    if plan.record:
        values = np.arange(plan.sizes["time"]) * float(plan.exp.run.record_every)
        about = {"long_name": "training time", "units": plan.exp.update_rule.time_unit}
        out["time"] = xr.Variable("time", values, about)
    return out


def run_batch(text: str, batch: int) -> dict[str, np.ndarray]:
    """The arrays (cell, ...) of a batch of the plan that ``text`` describes (``Plan.text``).

    A cell that fails keeps its reason, others go on. Raises KeyboardInterrupt when interrupted; InputError where the
    target's file, which every cell reads, is not what it was.
    """
    plan = read_plan(text)
    check_points(text)
    cells = plan.span(batch)
    table = columns(plan)
    sizes = plan.sizes | {"cell": len(cells)}
    out: dict[str, Any] = {n: np.full([sizes[d] for d in c.dims], c.fill, object if c.dtype is str else c.dtype)
           for n, c in table.items()}  # fmt: skip
    members: list[Experiment] = []
    rows: list[int] = []
    for row, cell in enumerate(cells):
        try:
            members.append(_member(plan, cell))
            rows.append(row)
        except InputError as error:
            _failed(out, row, error)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for group, ds in simulated(members):
            if isinstance(ds, Exception):
                _failed(out, rows[group[0]], ds)
                continue
            _fill(out, [rows[i] for i in group], [members[i] for i in group], ds, plan)
    check_points(text)
    return out


def _member(plan: Plan, cell: int) -> Experiment:
    exp = plan.member(cell)
    if plan.record or exp.run.start == "kick":
        return exp
    return exp.replace({"run.record_every": recording_interval(exp)})  # what outcomes need, no more


def _fill(out: dict[str, Any], rows: list[int], members: list[Experiment], ds: xr.Dataset, plan: Plan) -> None:
    """What was found of cells simulated side by side; each has ``run.runs`` runs of ``ds``, in turn."""
    runs = members[0].run.runs
    try:
        clouds = final_clouds(ds)
        found = measured(members[0], clouds)
    except Exception as error:
        for row in rows:
            _failed(out, row, error)
        return
    for k, (row, exp) in enumerate(zip(rows, members, strict=True)):
        own = slice(k * runs, (k + 1) * runs)
        try:
            part = ds.isel(run=own)
            if "rate" in out:
                try:
                    for name, value in rates(exp, part).items():
                        out[name][row] = value
                except NotLinearizable as error:  # nothing to compare with: no fault of the simulation
                    out["reason"][row] = reason(error)
            cloud = clouds.values[own]
            out["final"][row, :, : cloud.shape[1], : cloud.shape[2]] = cloud
            for name, values in found.items():
                out[name][row] = values[own]
            if plan.record:
                for name in RECORDED:
                    values = part[name].values
                    out[name][(row, *(slice(n) for n in values.shape))] = values
            lost = part["diverged_at"].values
            out["diverged_at"][row], out["outcome"][row] = lost, part["outcome"].values
            out["status"][row] = DIVERGED if np.any(lost >= 0) else DONE
        except Exception as error:
            _failed(out, row, error)


def _failed(out: dict[str, Any], row: int, error: Exception) -> None:
    out["status"][row], out["reason"][row] = FAILED, reason(error)
