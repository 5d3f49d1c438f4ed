"""`egan import`: logs of other tools as runs. Imports what it runs when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base.errors import InputError
from ..base.terminal import cell, table
from ..console.answer import Answer
from ..console.shared import Figure, Json, NewFile
from ..show import plot

if TYPE_CHECKING:
    import xarray as xr

#: scalars that the text names; --json has all
SHOWN = 20


def import_(
    log: Annotated[
        str,
        typer.Argument(metavar="LOG", help="File or folder: TensorBoard events, W&B or MLflow exports, mlruns, CSV."),
    ],
    output: NewFile,
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="F", help="tensorboard, wandb, mlflow or csv; default: what it looks like."),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", metavar="NAME", help="The column of steps; default: step, epoch, ...")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=VAR", help="A scalar's variable, e.g. loss/D=loss_discriminator."),
    ] = None,
    json: Json = False,
    figure: Figure = None,
) -> None:
    """Scalars of a training log, as a run file: TensorBoard, W&B, MLflow, CSV.

    Steps that were logged again after a restart replace the earlier ones; losses of both players are known by their
    names.
    """
    answer = Answer(json, output, figure, inputs=[log], form="netcdf")
    given = dict(_named(text) for text in names or ())
    from ..runs.logs.importing import import_log

    ds = import_log(log, format=format, step=step, names=given)
    data = summary(ds, str(answer.out))
    answer.give(data, lambda: _text(data), ds, lambda: plot.losses(ds))


def _named(text: str) -> tuple[str, str]:
    name, equals, variable = text.rpartition("=")
    if not (name and equals and variable):
        raise InputError("map", "be NAME=VAR, a scalar's name in the log and a variable", repr(text))
    return name, variable.strip()


def summary(ds: xr.Dataset, out: str) -> dict[str, Any]:
    """What was imported, as --json prints it."""
    import numpy as np

    from ..runs.positions import scalars_of

    time, steps = ds["time"].values, ds["diverged_at"].values.tolist()
    scalars = [
        {"name": n, "logged_as": ds[n].attrs.get("logged_as"), "values": int(np.isfinite(ds[n].values).sum())}
        for n in scalars_of(ds)
    ]
    return {
        "output": out, "format": ds.attrs["format"], "source": ds.attrs["source"], "status": ds.attrs["status"],
        "runs": ds.sizes["run"], "names": [str(n) for n in ds["run_name"].values], "samples": len(time),
        "first": time[0].item(), "last": time[-1].item(), "unit": ds["time"].attrs["units"], "scalars": scalars,
        "diverged_at": [s if s >= 0 else None for s in steps], "rewound": ds.attrs.get("rewound"),
        "replaced": int(ds.attrs.get("replaced", 0)), "given_up": int(ds.attrs.get("given_up", 0)),
        "notes": ds.attrs["import_notes"].split("; ") if ds.attrs["import_notes"] else [],
    }  # fmt: skip


def _rewritten(replaced: int, given_up: int) -> str:
    """What became of values that a restart made void."""
    said = []
    if replaced:
        said.append(f"{replaced} value{'s' * (replaced > 1)} logged twice: the later one counts")
    if given_up:
        said.append(f"{given_up} value{'s' * (given_up > 1)} of training that was given up for a restart: left out")
    return f"{'; '.join(said)}."


def _text(data: dict[str, Any]) -> list[Any]:
    rows = [
        ["log", data["source"]],
        ["status", data["status"]],
        ["runs", f"{data['runs']}: {', '.join(data['names'][:5])}{', ...' * (data['runs'] > 5)}"],
        [f"samples, from {data['unit']} to {data['unit']}", f"{data['samples']}, {data['first']} to {data['last']}"],
    ]
    scalars = [[s["name"], s["logged_as"] or "-", cell(s["values"])] for s in data["scalars"][:SHOWN]]
    lines: list[Any] = [
        table("Import", ["what", "value"], rows),
        table("Scalars", ["variable", "in the log", "values"], scalars),
    ]
    if (more := len(data["scalars"]) - SHOWN) > 0:
        lines.append(f"... and {more} other scalars.")
    if data["rewound"]:
        lines.append(f"Training went on from an earlier {data['unit']}: {data['rewound']}.")
    if data["replaced"] or data["given_up"]:
        lines.append(_rewritten(data["replaced"], data["given_up"]))
    for name, at in zip(data["names"], data["diverged_at"], strict=True):
        if at is not None:
            lines.append(f"{name}: not finite from {data['unit']} {at} on (diverged).")
    return [*lines, *(f"Note: {note}." for note in data["notes"])]
