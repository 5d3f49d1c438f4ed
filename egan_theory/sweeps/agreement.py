"""Prediction against a sweep: cell by cell, reading one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from ..comparison.agreement import Agreement, Quantity
from ..comparison.compare import E_FOLDS, compare
from ..comparison.phase import COVERED, MEASURED, UNION
from ..errors import InputError
from ..experiment import Experiment
from ..predict.phase import QUICK, PhaseAxis
from ..predict.threshold import MECHANISMS
from .batch import DIVERGED, DONE, FAILED, PENDING, STATUS
from .plan import Plan
from .store import plan_of, sweep_runs


@dataclass(frozen=True)
class _Cells:
    """The small variables of the cells of one batch."""

    cells: range
    values: dict[str, np.ndarray]


def compare_sweep(
    exp: Experiment,
    ds: xr.Dataset,
    *,
    mechanisms: Sequence[str] = QUICK,
    progress: Callable[[int, int], None] | None = None,
) -> Agreement:
    """Predicted against measured for each cell of a sweep (``open_sweep``), named by its values.

    Kicked starts: "rate", the decay rate of the slowest mode against the late slope of the deviation's norm; of a
    recorded sweep every quantity of ``compare`` instead. Random starts: "collapse", 1 where a mechanism predicts it (0
    where none does), against the share of runs that end with fewer than half of the modes covered, with its binomial
    error. Cells that failed or are pending are listed in ``unmatched``.

    Memory: one batch, and one row per cell. ``exp`` must be the sweep's: not checked here (check_experiment).
    """
    plan = plan_of(ds)
    quantities: list[Quantity] = []
    unmatched: list[dict[str, str]] = []
    kicked = plan.exp.run.start == "kick"
    method = "decay rate against the late slope of the deviation's norm" if kicked else "margins against final clouds"
    names = ["status", "reason", "covered", *(["rate", "rate_stderr", "predicted_rate"] if kicked else [])]
    for part in _batches(plan, ds[names]):
        if kicked:
            found, missed = _recorded(plan, ds, part) if plan.record else _rates(plan, part)
        else:
            found, missed = _collapse(plan, part, mechanisms)
        quantities += found
        unmatched += missed
        if progress is not None:
            progress(part.cells.stop, plan.cells)
    assumptions = () if kicked else tuple(f"{m}: {a}" for m in mechanisms for a in MECHANISMS[m].assumptions)
    return Agreement(tuple(quantities), tuple(unmatched), f"cell by cell: {method}", assumptions)


def _batches(plan: Plan, ds: xr.Dataset) -> Iterator[_Cells]:
    for i in range(plan.batches):
        cells = plan.span(i)
        part = ds.isel(cell=slice(cells.start, cells.stop)).load()
        yield _Cells(cells, {str(n): v.values for n, v in part.data_vars.items()})


def cell_name(plan: Plan, cell: int) -> str:
    """The values of a cell: "penalty.r1=0.1, run.seed=0" (the seed where there are several)."""
    chosen = {k: v for k, v in plan.changes(cell).items() if k != "run.seed" or plan.seeds > 1}
    digits = {axis.path: _digits(axis.values) for axis in plan.axes}
    return ", ".join(f"{k}={v:.{digits[k]}g}" if k in digits else f"{k}={v}" for k, v in chosen.items())


@lru_cache(maxsize=16)
def _digits(values: tuple[float, ...]) -> int:
    """As many as tell the values of an axis apart, 4 at least."""
    return next(n for n in range(4, 18) if n == 17 or len({f"{v:.{n}g}" for v in values}) == len(values))


def _missing(plan: Plan, part: _Cells, k: int) -> dict[str, str] | None:
    status = int(part.values["status"][k])
    if status in (DONE, DIVERGED):  # what diverged has grown before
        return None
    why = str(part.values["reason"][k]) if status == FAILED else STATUS[status]
    return {"name": cell_name(plan, part.cells[k]), "reason": why}


def _rates(plan: Plan, part: _Cells) -> tuple[list[Quantity], list[dict[str, str]]]:
    quantities, unmatched = [], []
    unit = "1/time" if plan.exp.update_rule.continuous else "1/step"
    for k, cell in enumerate(part.cells):
        missed = _missing(plan, part, k)
        rate, error, predicted = (float(part.values[n][k]) for n in ("rate", "rate_stderr", "predicted_rate"))
        no_rates = str(part.values["reason"][k])
        if missed is None and (why := no_rates or _unusable(predicted, rate, plan.member(cell).run.steps)):
            missed = {"name": cell_name(plan, cell), "reason": why}
        if missed is not None:
            unmatched.append(missed)
            continue
        quantities.append(Quantity(f"rate[{cell_name(plan, cell)}]", predicted, rate, error, abs(predicted), unit))
    return quantities, unmatched


def _unusable(predicted: float, rate: float, steps: int) -> str:
    """Why a predicted and a measured rate cannot be compared; empty if they can."""
    if not np.isfinite(predicted):
        return "no mode decays or grows"
    if abs(predicted) * steps < E_FOLDS:
        return f"the runs show {abs(predicted) * steps:.2g} e-folds of the slowest mode, {E_FOLDS:g} are needed"
    return "" if np.isfinite(rate) else "too few samples in the linear regime and above the rounding floor"


def _recorded(plan: Plan, ds: xr.Dataset, part: _Cells) -> tuple[list[Quantity], list[dict[str, str]]]:
    quantities, unmatched = [], []
    for k, cell in enumerate(part.cells):
        missed = _missing(plan, part, k)
        if missed is not None:
            unmatched.append(missed)
            continue
        name = cell_name(plan, cell)
        try:
            found = compare(*sweep_runs(ds, cell))
        except InputError as error:
            unmatched.append({"name": name, "reason": str(error)})
            continue
        quantities += [replace(q, name=f"{q.name}[{name}]") for q in found.quantities]
        unmatched += [{"name": f"{u['name']}[{name}]", "reason": u["reason"]} for u in found.unmatched]
    return quantities, unmatched


def _collapse(
    plan: Plan, part: _Cells, mechanisms: Sequence[str]
) -> tuple[list[Quantity], list[dict[str, str]]]:  # fmt: skip
    quantities, unmatched, chosen, members = [], [], [], []
    for k, cell in enumerate(part.cells):
        missed = _missing(plan, part, k)
        if missed is not None:
            unmatched.append(missed)
        else:
            chosen.append(k)
            members.append(plan.member(cell))
    if not members:
        return [], unmatched
    margins = np.array([MECHANISMS[m].margins(members) for m in mechanisms])
    for k, margin in zip(chosen, margins.T, strict=True):
        ends = part.values["covered"][k] < COVERED
        share = float(ends.mean())
        error = float(np.sqrt(share * (1 - share) / len(ends)))
        why = ", ".join(m for m, v in zip(mechanisms, margin, strict=True) if v > 0)
        name = f"collapse[{cell_name(plan, part.cells[k])}]"
        quantities.append(Quantity(name, float(bool(why)), share, error, 1.0, "1", why))
    return quantities, unmatched


def phase_of_sweep(ds: xr.Dataset, first: str, second: str) -> xr.Dataset:
    """A sweep over two fields, from random starts, as a simulated phase diagram (comparison.phase.simulate_phase); its
    seeds are further runs. Failed cells are NaN.

    Raises InputError: other axes, kicked starts, cells not simulated yet.
    """
    from .store import sweep_grid

    plan = plan_of(ds)
    paths = [a.path for a in plan.axes]
    if sorted(paths) != sorted([first, second]):
        raise InputError(
            "--sweep", f"vary {first} and {second}", f"a sweep over {' and '.join(paths) or 'seeds alone'}"
        )
    if plan.exp.run.start != "random":
        raise InputError("--sweep", 'have run.start = "random" (a kicked cloud starts uncollapsed)', plan.exp.run.start)
    pending = int((ds["status"] == PENDING).sum())
    if pending:
        raise InputError("--sweep", "be complete", f"{pending} of {plan.cells} cells not simulated yet")
    grid = sweep_grid(ds[[*MEASURED.values(), "diverged_at"]])
    named = {first.replace(".", "_"): "first", second.replace(".", "_"): "second"}
    stacked = grid.rename(named | {"run": "repeat"}).stack(run=("seed", "repeat"), create_index=False)
    out = stacked.drop_vars(["seed", "repeat"], errors="ignore").transpose("second", "first", "run")
    axes: dict[str, PhaseAxis] = {named[a.path.replace(".", "_")]: a for a in plan.axes}
    out = out.rename({order: name for name, order in MEASURED.items() if name != order})
    coords = {
        n: (n, np.array(a.values), {"long_name": a.path, "units": "1", "log": int(a.log)}) for n, a in axes.items()
    }
    attrs = {k: ds.attrs[k] for k in ("experiment", "versions", "schema_version")}
    return out.assign_coords(coords).assign_attrs(attrs | {"seed": plan.exp.run.seed, "start": "random"})


def accuracy(agreement: Agreement) -> dict[str, Any]:
    """Of the "collapse" quantities: shares of the collapsed and of the other cells that were predicted, and their mean.

    A cell has collapsed when more than half of its runs have."""
    rows = [q for q in agreement.quantities if q.name.startswith("collapse[")]
    collapsed, predicted = np.array([[q.measured > 0.5, q.predicted > 0.5] for q in rows], dtype=bool).reshape(-1, 2).T
    mean = lambda v: float(v.mean()) if len(v) else float("nan")  # noqa: E731
    sensitivity, specificity = mean(predicted[collapsed]), mean(~predicted[~collapsed])
    return {
        "mechanism": UNION, "sensitivity": sensitivity, "specificity": specificity,
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }  # fmt: skip
