"""What every command shares: options, input files, outputs checked before the work, and what is said on stderr.

Nothing heavy is imported: the command line loads this module at every start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar

import typer

from .._files import check_output
from ..errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from ..experiment import Experiment

DONE, FAILED, BAD_INPUT = 0, 1, 2

ExperimentFile = Annotated[str, typer.Argument(metavar="E.toml", help="Experiment file; see 'egan new'.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Figure = Annotated[Optional[str], typer.Option("--figure", metavar="FILE", help="Also draw a .png, .pdf or .svg.")]  # noqa: UP045
Output = Annotated[Optional[str], typer.Option("-o", "--output", metavar="FILE", help="Also write NetCDF.")]  # noqa: UP045
NewFile = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="NetCDF file to write.")]
Folder = Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")]

T = TypeVar("T")


def load(path: str) -> Experiment:
    """The experiment; a message says in which file."""
    from ..experiment import Experiment

    return read(Experiment.from_toml, path, "experiment")


def read(reader: Callable[[str], T], path: str, whole: str) -> T:
    """``reader(path)``; its InputErrors name the file, unless they are about all of it (field ``whole``)."""
    try:
        return reader(path)
    except InputError as error:
        if error.field in (path, whole):
            raise
        raise InputError(f"{path}: {error.field}", error.must, error.found) from None


def outputs(output: str | None, figure: str | None, *inputs: str | None) -> tuple[Path | None, Path | None]:
    """The output and figure paths: known to be writable, and none of the inputs, before anything is computed."""
    from .._terminal import check_figure

    given = [path for path in inputs if path]
    out = None if output is None else check_output(output, *given)
    picture = None if figure is None else check_figure(figure, *given)
    if out is not None and picture is not None and out.resolve() == picture.resolve():
        raise InputError("figure", "not be the output file", figure)
    return out, picture


def plot_function(name: str, picture: Path | None) -> Any:
    """The plot function if a figure is wanted, imported before anything long begins."""
    if picture is None:
        return None
    from ..reporting import phases, plots

    return getattr(phases if hasattr(phases, name) else plots, name)


def save(ds: xr.Dataset, path: Path | None) -> None:
    """NetCDF, if a path was given."""
    if path is not None:
        from ..schema import save

        save(ds, path)


def written(*paths: Path | None) -> list[str]:
    """The last lines of what a command prints."""
    return [f"written: {path}" for path in paths if path is not None]


def show_folder(folder: Path, index: Path, json: bool) -> None:
    """What a report wrote."""
    from .._terminal import show, show_json

    files = sorted(str(p) for p in folder.rglob("*") if p.is_file())
    if json:
        show_json({"index": str(index), "folder": str(folder), "files": files})
    else:
        show(f"{len(files)} files in {folder}; open {index}")


def complain(message: str) -> None:
    """One line on stderr, whatever the text holds."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    with suppress(OSError):
        print(f"egan: {line}", file=sys.stderr, flush=True)
