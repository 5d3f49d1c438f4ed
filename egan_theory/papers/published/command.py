"""`egan published import | fit | predict`. Nothing heavy is imported until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from ...console.shared import Json, NewFile, new_file, save, shared, written

published = typer.Typer(
    name="published",
    help="The published MNIST runs: read a clone of the authors' repository, fit two constants, predict classes.",
    rich_markup_mode=None,
)


@published.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@published.command("import")
@shared
def import_(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Clone of durrcommasteven/effective-gan-mnist-data.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="NetCDF run file to write.")],
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--target", metavar="MNIST.npy|.nc", help="The first 100 (or all) MNIST training images."),
    ] = None,
    json: Json = False,
) -> None:
    """Read the published clouds into the run schema, with order parameters."""
    from ...base.terminal import progress_bar, show, show_json, table

    out = new_file(output, target)
    from .importer import read_runs, read_target

    images = None if target is None else read_target(target)
    with progress_bar("reading") as update:
        ds = read_runs(folder, images, progress=update)
    save(ds, out)
    measured = [str(n) for n in ds.data_vars if n not in ("particles", "target")]
    rates, ratios = (sorted(set(ds[n].values.tolist())) for n in ("lrD", "phi"))
    data = {
        "output": str(out),
        "runs": ds.sizes["run"],
        "particles": ds.sizes["particle"],
        "dimension": ds.sizes["component"],
        "lrD": rates,
        "phi": ratios,
        "order_parameters": measured,
    }
    if json:
        show_json(data)
        return
    rows = [
        [ds[n].attrs["long_name"], *(float(getattr(ds[n], f)()) for f in ("min", "median", "max"))] for n in measured
    ]
    show(
        f"{ds.sizes['run']} runs, {len(rates)} values of lrD and {len(ratios)} of phi",
        table("Order parameters over the runs", ["", "least", "median", "most"], rows),
        *([] if target else ["No --target: order parameters that compare with the images were left out."]),
        *written(out),
    )


@published.command()
@shared
def fit(
    order: Annotated[
        str, typer.Argument(metavar="ORDER.nc", help="Order parameters on lrD and phi, or imported runs.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="JSON file to write.")],
    json: Json = False,
) -> None:
    """Fit the two constants of the linear theory to the classes of the runs."""
    from ...base.errors import check_file
    from ...base.netcdf import read_netcdf
    from ...base.terminal import show, show_json, table
    from .fit import fit_published, save_fit

    out = new_file(output, order)
    check_file(order or "ORDER.nc", Path(order), "be an existing NetCDF file")
    result = fit_published(read_netcdf(order, order), order)
    save_fit(result, out)
    data = result.to_dict()
    if json:
        show_json(data | {"output": str(out)})
        return
    rows = [[name.replace("_", " "), data["constants"][name], data["stderr_log"][name]] for name in data["constants"]]
    show(
        table(f"Two constants from {result.runs} runs", ["", "value", "relative standard error"], rows),
        table("Runs in each class", ["class", "runs"], [[k, str(v)] for k, v in data["counts"].items()]),
        f"Method: {data['method']}.",
        f"Assumptions: {'; '.join(data['assumptions'])}.",
        *written(out),
    )


@published.command()
@shared
def predict(
    fitted: Annotated[str, typer.Argument(metavar="fit.json", help="File of 'egan published fit'.")],
    grid: Annotated[str, typer.Argument(metavar="GRID.nc", help="NetCDF file with the coordinates lrD and phi.")],
    output: NewFile,
    json: Json = False,
) -> None:
    """Probabilities of the three classes on the (lrD, phi) coordinates of a file."""
    from ...base.errors import check_file
    from ...base.netcdf import read_netcdf
    from ...base.terminal import show, show_json, table
    from .fit import load_fit
    from .prediction import predict_published
    from .theory import CLASSES

    out = new_file(output, fitted, grid)
    constants = load_fit(fitted)
    check_file(grid or "GRID.nc", Path(grid), "be an existing NetCDF file")
    ds = predict_published(constants, read_netcdf(grid, grid), grid)
    save(ds, out)
    rows = [[k, float(ds[f"p_{k}"].mean()), int((ds[f"p_{k}"] > 0.5).sum())] for k in CLASSES]
    if json:
        summary = {k: {"mean": mean, "likely": likely} for k, mean, likely in rows}
        show_json({"output": str(out), "cells": ds["p_frozen"].size, "classes": summary, "method": ds.attrs["method"]})
        return
    title = f"{ds['p_frozen'].size} cells"
    show(
        table(title, ["class", "mean probability", "cells above 1/2"], [[k, m, str(n)] for k, m, n in rows]),
        f"Method: {ds.attrs['method']}.",
        f"Assumptions: {ds.attrs['assumptions']}.",
        *written(out),
    )
