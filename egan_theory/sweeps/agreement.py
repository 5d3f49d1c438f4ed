"""Prediction against a sweep: cell by cell, reading one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..comparison.agreement import Agreement, Quantity
from ..comparison.compare import E_FOLDS, compare
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..predict.kinds import MOST, likeliest, predicted_kinds
from ..predict.mechanism import MECHANISMS
from ..predict.phase import diagram_coordinates
from ..runs.outcome import FLAGS, UNKNOWN, Outcome, have_left, modes_are_lost, outcomes, tally
from .batch import DIVERGED, DONE, FAILED, PENDING, STATUS
from .confusion import sided
from .phase import DEFAULT, MEASURED, with_shares
from .plan import Plan
from .reading import loaded, plan_of, sweep_grid, sweep_runs


@dataclass(frozen=True)
class _Cells:
    """The small variables of the cells of one batch."""

    cells: range
    values: dict[str, np.ndarray]


@takes_experiment
def compare_sweep(
    exp: Experiment,
    ds: xr.Dataset,
    *,
    mechanisms: Sequence[str] = DEFAULT,
    progress: Callable[[int, int], None] | None = None,
) -> Agreement:
    """Predicted against measured for each cell of a sweep (``open_sweep``), named by its values.

    Kicked starts: "rate", the decay rate of the slowest mode against the late slope of the deviation's norm; of a
    recorded sweep every quantity of ``compare`` instead; a cell whose modes are all predicted to decay and whose runs
    left the target (escaped, diverged) agrees in nothing and is listed in ``unmatched``. Random starts: "modes lost",
    the predicted probability (predict.kinds; 0 without a statement), against the share of runs that do not keep every
    mode (outcome.Outcome; the note counts them), with its binomial error. Memory: one batch, and one row per cell.

    Returns:
        A table of quantities; cells that failed or are pending are in ``unmatched``.

    Shapes:
        ds: variables over (cell) and (cell, run), as ``open_sweep`` gives them.

    Units:
        Rates per step (flow: per unit of time), shares and probabilities pure numbers.

    Raises:
        InputError: a Dataset that is none of ``open_sweep``, or damaged chunks.

    Assumes:
        ``exp`` is the sweep's; not checked here (sweeps.reading.check_experiment).

    Source:
        Eq. (37, finite-modes); of random starts the sources of ``eg.thresholds``.
    """
    plan = plan_of(ds)
    quantities: list[Quantity] = []
    unmatched: list[dict[str, str]] = []
    kicked = plan.exp.run.start == "kick"
    method = (
        "decay rate against the late slope of the deviation's norm"
        if kicked
        else "predicted against simulated outcomes"
    )
    names = ["status", "reason", "outcome", *(["rate", "rate_stderr", "predicted_rate"] if kicked else [])]
    ds = _with_outcomes(plan, ds)
    for cells, variables in _batches(plan, ds[names]):
        part = _Cells(cells, {str(n): v.values for n, v in variables.data_vars.items()})
        chosen = []
        for k, cell in enumerate(cells):
            if why := _not_comparable(plan, part, k):
                unmatched.append({"name": cell_name(plan, cell), "reason": why})
            elif not kicked:
                chosen.append(k)
            elif not plan.record:
                quantities.append(_rate(plan, part, k))
            else:
                found, missed = _recorded(plan, ds, cell)
                quantities += found
                unmatched += missed
        quantities += _lost(plan, part, chosen, mechanisms)
        if progress is not None:
            progress(cells.stop, plan.cells)
    assumptions = () if kicked else tuple(f"{m}: {a}" for m in mechanisms for a in MECHANISMS[m].assumptions)
    return Agreement(tuple(quantities), tuple(unmatched), f"cell by cell: {method}", assumptions)


def _batches(plan: Plan, ds: xr.Dataset) -> Iterator[tuple[range, xr.Dataset]]:
    for i in range(plan.batches):
        cells = plan.span(i)
        yield cells, loaded(ds.isel(cell=slice(cells.start, cells.stop)))


def cell_name(plan: Plan, cell: int) -> str:
    """The values of a cell: "penalty.r1=0.1, run.seed=0" (the seed where there are several)."""
    chosen = {k: v for k, v in plan.changes(cell).items() if k != "run.seed" or plan.seeds > 1}
    digits = {axis.path: _digits(axis.values) for axis in plan.axes}
    return ", ".join(f"{k}={v:.{digits[k]}g}" if k in digits else f"{k}={v}" for k, v in chosen.items())


@lru_cache(maxsize=16)
def _digits(values: tuple[float, ...]) -> int:
    """As many as tell the values of an axis apart, 4 at least."""
    return next(n for n in range(4, 18) if n == 17 or len({f"{v:.{n}g}" for v in values}) == len(values))


def _not_comparable(plan: Plan, part: _Cells, k: int) -> str:
    """Why nothing of a cell can be compared; empty if it can."""
    status, reason = int(part.values["status"][k]), str(part.values["reason"][k])
    if status not in (DONE, DIVERGED):  # what diverged has grown before
        return reason if status == FAILED else STATUS[status]
    if plan.exp.run.start != "kick":
        return ""
    left = _left(part, k)
    return left if plan.record else reason or left or _unusable(plan, part, k)


def _left(part: _Cells, k: int) -> str:
    """That runs left the target although every mode is predicted to decay; empty if not so."""
    codes = part.values["outcome"][k]
    gone = have_left(codes)
    if not part.values["predicted_rate"][k] > 0 or not gone.any():
        return ""
    return f"every mode is predicted to decay, but of {len(codes)} runs {tally(codes[gone])}"


def _unusable(plan: Plan, part: _Cells, k: int) -> str:
    """Why a predicted and a measured rate cannot be compared; empty if they can."""
    rate, predicted = part.values["rate"][k], part.values["predicted_rate"][k]
    if not np.isfinite(predicted):
        return "no mode decays or grows"
    folds = abs(predicted) * plan.member(part.cells[k]).run.steps
    if folds < E_FOLDS:
        return f"the runs show {folds:.2g} e-folds of the slowest mode, {E_FOLDS:g} are needed"
    return "" if np.isfinite(rate) else "too few samples in the linear regime and above the rounding floor"


def _rate(plan: Plan, part: _Cells, k: int) -> Quantity:
    rate, error, predicted = (float(part.values[n][k]) for n in ("rate", "rate_stderr", "predicted_rate"))
    name = f"rate[{cell_name(plan, part.cells[k])}]"
    return Quantity(name, predicted, rate, error, abs(predicted), plan.exp.update_rule.rate_unit)


def _recorded(plan: Plan, ds: xr.Dataset, cell: int) -> tuple[list[Quantity], list[dict[str, str]]]:
    name = cell_name(plan, cell)
    exp, runs = sweep_runs(ds, cell)  # whose chunks may be damaged: no fault of the comparison
    try:
        found = compare(exp, runs)
    except InputError as error:
        return [], [{"name": name, "reason": str(error)}]
    quantities = [replace(q, name=f"{q.name}[{name}]") for q in found.quantities]
    return quantities, [{"name": f"{u['name']}[{name}]", "reason": u["reason"]} for u in found.unmatched]


def _lost(plan: Plan, part: _Cells, chosen: Sequence[int], mechanisms: Sequence[str]) -> list[Quantity]:
    """Of these cells of a batch."""
    if not chosen:
        return []
    members = [plan.member(part.cells[k]) for k in chosen]
    probability = predicted_kinds(np.array(members, dtype=object), mechanisms)
    lost = probability[modes_are_lost(np.array(Outcome))].sum(0)
    quantities = []
    for k, kind, p in zip(chosen, likeliest(probability), lost, strict=True):
        codes = part.values["outcome"][k]
        share = float(modes_are_lost(codes).mean())
        error = float(np.sqrt(share * (1 - share) / len(codes)))
        said = "no statement" if kind == UNKNOWN else f"predicted: {Outcome(kind).word}"
        name = f"modes lost[{cell_name(plan, part.cells[k])}]"
        quantities.append(
            Quantity(name, float(np.nan_to_num(p)), share, error, 1.0, "1", f"{said}; runs: {tally(codes)}")
        )
    return quantities


def _with_outcomes(plan: Plan, ds: xr.Dataset) -> xr.Dataset:
    """With outcomes, of a store that holds none from its final clouds: runs that have not settled cannot be told."""
    if "outcome" in ds:
        return ds
    codes = np.full((plan.cells, plan.sizes["run"]), UNKNOWN, dtype=np.int8)
    for cells, part in _batches(plan, ds[["status", "diverged_at", "final"]]):
        for k in np.flatnonzero(part["status"].isin([DONE, DIVERGED])):
            exp, own = plan.member(cells[int(k)]), part.isel(cell=k)
            cloud = own["final"].isel(particle=slice(exp.generator.particles), component=slice(exp.dimension))
            runs = xr.Dataset({"particles": cloud.expand_dims(time=[0.0]), "diverged_at": own["diverged_at"]})
            codes[cells[int(k)]] = outcomes(runs, exp)
    return ds.assign(outcome=(("cell", "run"), codes, {"long_name": "outcome of the run", "units": "1", **FLAGS}))


def phase_of_sweep(ds: xr.Dataset, first: str, second: str) -> xr.Dataset:
    """A sweep over two fields, from random starts, as a simulated phase diagram (sweeps.phase.simulate_phase); its
    seeds are further runs. Failed cells are NaN, their outcomes -1.

    Raises InputError: other axes, kicked starts, cells not simulated yet.
    """
    plan = plan_of(ds)
    paths = [a.path for a in plan.axes]
    if sorted(paths) != sorted([first, second]):
        raise InputError(
            "--sweep", f"vary {first} and {second}", f"a sweep over {' and '.join(paths) or 'seeds alone'}"
        )
    if plan.exp.run.start != "random":
        raise InputError("--sweep", 'have run.start = "random" (a kicked cloud starts uncollapsed)', plan.exp.run.start)
    pending = int((loaded(ds[["status"]])["status"] == PENDING).sum())
    if pending:
        raise InputError("--sweep", "be complete", f"{pending} of {plan.cells} cells not simulated yet")
    grid = sweep_grid(_with_outcomes(plan, ds)[[*MEASURED.values(), "diverged_at", "outcome"]])
    axes = sorted(plan.axes, key=lambda axis: axis.path != first)
    named = {axis.name: dim for axis, dim in zip(axes, ("first", "second"), strict=True)}
    stacked = grid.rename(named | {"run": "repeat"}).stack(run=("seed", "repeat"), create_index=False)
    out = stacked.drop_vars(["seed", "repeat"], errors="ignore").transpose("second", "first", "run")
    out = out.rename({order: name for name, order in MEASURED.items() if name != order})
    attrs = {k: ds.attrs[k] for k in ("experiment", "versions", "schema_version")}
    attrs |= {"seed": plan.exp.run.seed, "start": "random"}
    return with_shares(out.assign_coords(diagram_coordinates(axes)).assign_attrs(attrs))


def accuracy(agreement: Agreement) -> dict[str, Any]:
    """Of the "modes lost" quantities: shares of the cells that lost modes and of the others that were predicted, and
    their mean. A cell has lost modes when more than half of its runs have, and is predicted to when that is likelier
    than not."""
    rows = [q for q in agreement.quantities if q.name.startswith("modes lost[")]
    found = sided(*np.array([[q.measured, q.predicted] for q in rows]).reshape(-1, 2).T > MOST)
    return {n: found[n] for n in ("sensitivity", "specificity", "balanced_accuracy")}
