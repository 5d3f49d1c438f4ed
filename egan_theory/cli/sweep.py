"""`egan sweep`, and what `egan compare` and `egan phase` do with a sweep. Nothing heavy is imported until one runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base.errors import InputError
from ..base.json import number
from ..base.signals import over
from ..base.terminal import progress_bar, table
from ..console.answer import Answer, complain
from ..console.shared import FAILED, ExperimentFile, Json, Overwrite, load

if TYPE_CHECKING:
    import xarray as xr

    from ..comparison.agreement import Agreement
    from ..experiment import Experiment

Vary = Annotated[
    list[str] | None,
    typer.Option("--vary", metavar="PATH=LOW:HIGH:POINTS[:log]", help="An axis of the grid (repeatable)."),
]


def sweep(
    experiment: ExperimentFile,
    output: Annotated[str, typer.Option("-o", "--output", metavar="STORE.zarr", help="Zarr store to write.")],
    vary: Vary = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="K", help="Seeds, from run.seed on.")] = 1,
    record: Annotated[bool, typer.Option("--record", help="Keep the trajectories, not only the end.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="W", help="Processes; default: one per core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="tcp://HOST:PORT", help="Workers of a dask scheduler instead.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a store that was not finished.")] = False,
    overwrite: Overwrite = False,
    batch: Annotated[
        int | None,
        typer.Option("--batch", metavar="CELLS", help="Cells simulated and stored together; default: by size."),
    ] = None,
    json: Json = False,
) -> None:
    """Simulate a grid of parameters and seeds into one store. Whatever ends it, --resume continues."""
    exp = load(experiment)
    from ..sweeps.reading import is_sweep, open_sweep
    from ..sweeps.run import sweep as run

    try:
        with progress_bar("sweeping, cells") as update:
            ds = run(
                exp, vary or [], output, seeds=seeds, record=record, workers=workers, scheduler=scheduler,
                resume=resume, overwrite=overwrite, batch=batch, progress=update,
            )  # fmt: skip
    except KeyboardInterrupt:
        if not is_sweep(output):
            raise
        over()
        data = summary(open_sweep(output), output)
        left = f"{data['cells'] - data['pending']} of {data['cells']} cells are in {output}"
        complain(f"interrupted: {left}; the same command with --resume continues")
        raise typer.Exit(FAILED) from None
    data = summary(ds, output)
    Answer(json).give(data, lambda: _text(data))


def summary(ds: xr.Dataset, output: str) -> dict[str, Any]:
    """What became of the cells: the --json form."""
    import numpy as np

    from ..runs.outcome import counts
    from ..sweeps.batch import STATUS
    from ..sweeps.plan import Plan
    from ..sweeps.reading import loaded, plan_of

    plan: Plan = plan_of(ds)
    small = loaded(ds[[name for name in ("status", "reason", "outcome") if name in ds]])
    status = small["status"].values
    failed = np.flatnonzero(status == STATUS.index("failed"))
    reasons = sorted(set(small["reason"].isel(cell=failed).values.tolist()))
    return {
        "output": output,
        "cells": plan.cells,
        **{name: int((status == i).sum()) for i, name in enumerate(STATUS)},
        "axes": [{"vary": a.path, "log": a.log, "values": list(a.values)} for a in plan.axes],
        "seeds": plan.seeds,
        "runs": plan.exp.run.runs,
        "batch": plan.batch,
        "record": plan.record,
        "reasons": reasons,
        "outcomes": counts(small["outcome"].values) if "outcome" in small else {},
    }


def _text(data: dict[str, Any]) -> list[Any]:
    from ..show.text import ROWS

    axes = " x ".join([*(f"{len(a['values'])} {a['vary']}" for a in data["axes"]), f"{data['seeds']} seeds"])
    rows = [
        [name, str(data[name])] for name in ("done", "diverged", "failed", "pending") if data[name] or name == "done"
    ]
    title = f"Sweep: {data['cells']} cells ({axes}), {data['runs']} runs each"
    lines: list[Any] = [table("", ["state", "cells"], rows)]
    if data["outcomes"]:
        lines.append(table("", ["outcome", "runs"], [[word, str(n)] for word, n in data["outcomes"].items()]))
    lines += [f"failed: {reason}" for reason in data["reasons"][:ROWS]]
    lines.insert(0, title)
    return [*lines, f"written: {data['output']}"]


def compare_command(exp: Experiment, path: str, answer: Answer) -> None:
    """`egan compare` on a sweep."""
    from ..sweeps.agreement import accuracy, compare_sweep
    from ..sweeps.reading import check_experiment, open_sweep, stored_attrs

    check_experiment(stored_attrs(path, path), exp, Path(path))
    ds = open_sweep(path)
    with progress_bar("comparing, cells") as update:
        found = compare_sweep(exp, ds, progress=update)
    data = found.to_dict()
    if exp.run.start == "random":
        data["accuracy"] = accuracy(found)
    answer.give(data, lambda: _compared(found, data), found.to_dataset())


def _compared(found: Agreement, data: dict[str, Any]) -> list[Any]:
    """The cells that agree worst, and a summary of all."""
    import numpy as np

    from ..show.diagram import kept_or_lost
    from ..show.text import ROWS, compare_text

    rows, missed = found.quantities, found.unmatched
    worst = sorted(rows, key=lambda q: -(number(q.relative_error) or 0.0))[:ROWS]
    lines = compare_text(replace(found, quantities=tuple(worst), unmatched=missed[:ROWS]))
    if len(rows) > ROWS:
        lines.insert(1, f"The {ROWS} of {len(rows)} quantities that agree worst; --json and -o have all.")
    if len(missed) > ROWS:
        lines.append(f"... and {len(missed) - ROWS} more that were not compared.")
    if rows:
        errors = np.array([q.relative_error for q in rows])
        lines.append(f"Relative error: median {np.nanmedian(errors):.2g}, largest {np.nanmax(errors):.2g}.")
    if "accuracy" in data:
        lines.append(kept_or_lost(data["accuracy"]))
    return lines


def phase_runs(exp: Experiment, path: str, vary: list[str]) -> tuple[list[Any], xr.Dataset]:
    """`egan phase --sweep`: the axes of the diagram (by default the sweep's), and the sweep as its simulated part."""
    from ..predict.phase import parse_axes
    from ..sweeps.agreement import phase_of_sweep
    from ..sweeps.reading import check_experiment, open_sweep, plan_of, stored_attrs

    check_experiment(stored_attrs(path, "--sweep"), exp, Path(path))
    ds = open_sweep(path)
    axes = parse_axes(exp, vary) or list(plan_of(ds).axes)
    if len(axes) != 2:
        raise InputError("--sweep", "vary two fields", len(axes))
    return axes, phase_of_sweep(ds, axes[0].path, axes[1].path)


__all__ = ["compare_command", "phase_runs", "summary", "sweep"]
