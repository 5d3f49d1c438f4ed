"""`egan published import | fit | predict`. Nothing heavy is imported until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...base.errors import check_file
from ...base.terminal import progress_bar, table
from ...console.answer import Answer
from ...console.shared import Json, NewFile, new_file, shared

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(
    name="published",
    help="The published MNIST runs: read a clone of the authors' repository, fit two constants, predict classes.",
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("import")
@shared
def import_(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Clone of durrcommasteven/effective-gan-mnist-data.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="NetCDF run file to write.")],
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="MNIST.npy|.nc", help="The first 100 (or all) MNIST training images."),
    ] = None,
    json: Json = False,
) -> None:
    """Read the published clouds into the run schema, with order parameters."""
    answer = Answer(json, output, inputs=[target], form="netcdf")
    from .importer import read_runs, read_target

    images = None if target is None else read_target(target)
    with progress_bar("reading") as update:
        ds = read_runs(folder, images, progress=update)
    measured = [str(n) for n in ds.data_vars if n not in ("particles", "target")]
    rates, ratios = (sorted(set(ds[n].values.tolist())) for n in ("lrD", "phi"))
    data = {
        "output": output,
        "runs": ds.sizes["run"],
        "particles": ds.sizes["particle"],
        "dimension": ds.sizes["component"],
        "lrD": rates,
        "phi": ratios,
        "order_parameters": measured,
    }
    rows = [
        [ds[n].attrs["long_name"], *(float(getattr(ds[n], f)()) for f in ("min", "median", "max"))] for n in measured
    ]
    text = [
        f"{ds.sizes['run']} runs, {len(rates)} values of lrD and {len(ratios)} of phi",
        table("Order parameters over the runs", ["parameter", "least", "median", "most"], rows),
        *([] if target else ["No --target: order parameters that compare with the images were left out."]),
    ]
    answer.give(data, lambda: text, ds)


@app.command()
@shared
def fit(
    order: Annotated[
        str, typer.Argument(metavar="ORDER.nc", help="Order parameters on lrD and phi, or imported runs.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="JSON file to write.")],
    json: Json = False,
) -> None:
    """Fit the two constants of the linear theory to the classes of the runs."""
    from .fit import fit_published, save_fit

    out, answer = new_file(output, order), Answer(json)
    result = fit_published(_netcdf(order, "ORDER.nc"), order)
    save_fit(result, out)
    data = result.to_dict()
    text = [
        table(result.TITLE.format(result), *result.grid()),
        table("Runs in each class", ["class", "runs"], [[k, str(v)] for k, v in data["counts"].items()]),
        f"Method: {data['method']}.",
        f"Assumptions: {'; '.join(data['assumptions'])}.",
        f"written: {out}",
    ]
    answer.give(data | {"output": output}, lambda: text)


@app.command()
@shared
def predict(
    fitted: Annotated[str, typer.Argument(metavar="fit.json", help="File of 'egan published fit'.")],
    grid: Annotated[str, typer.Argument(metavar="GRID.nc", help="NetCDF file with the coordinates lrD and phi.")],
    output: NewFile,
    json: Json = False,
) -> None:
    """Probabilities of the three classes on the (lrD, phi) coordinates of a file."""
    from .fit import load_fit
    from .prediction import predict_published
    from .theory import CLASSES

    answer = Answer(json, output, inputs=[fitted, grid], form="netcdf")
    ds = predict_published(load_fit(fitted), _netcdf(grid, "GRID.nc"), grid)
    rows = [[k, float(ds[f"p_{k}"].mean()), int((ds[f"p_{k}"] > 0.5).sum())] for k in CLASSES]
    classes = {k: {"mean": mean, "likely": likely} for k, mean, likely in rows}
    cells = ds["p_frozen"].size
    text = [
        table(f"{cells} cells", ["class", "mean probability", "cells above 1/2"], [[k, m, str(n)] for k, m, n in rows]),
        f"Method: {ds.attrs['method']}.",
        f"Assumptions: {ds.attrs['assumptions']}.",
    ]
    data = {"output": output, "cells": cells, "classes": classes, "method": ds.attrs["method"]}
    answer.give(data, lambda: text, ds)


def _netcdf(path: str, otherwise: str) -> xr.Dataset:
    """The file; ``otherwise`` is what a message calls one without a name."""
    from ...base.netcdf import read_netcdf

    check_file(path or otherwise, Path(path), "be an existing NetCDF file")
    return read_netcdf(path, path)
