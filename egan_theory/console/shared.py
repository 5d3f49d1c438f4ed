"""What every command shares: options, input files, outputs checked before the work, and what is said on stderr.

Nothing heavy is imported: the command line loads this module at every start.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeGuard, TypeVar

import typer

from ..base.errors import InputError
from ..base.files import check_output, check_output_folder, decoded
from ..base.toml import assignments

if TYPE_CHECKING:
    import xarray as xr

    from ..experiment import Experiment

DONE, FAILED, BAD_INPUT = 0, 1, 2

#: what stands for standard input in place of an experiment file
STDIN = "-"

ExperimentFile = Annotated[
    str, typer.Argument(metavar="E.toml", help="Experiment file ('egan new' prints one); - for standard input.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Figure = Annotated[Optional[str], typer.Option("--figure", metavar="FILE", help="Also draw a .png, .pdf or .svg.")]  # noqa: UP045
Output = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("-o", "--output", metavar="FILE", help="Also write the result: NetCDF, or .json as --json prints it."),
]
Text = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("-o", "--output", metavar="FILE", help="Write the text, or .json what --json prints, to this file."),
]
NewFile = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="NetCDF file to write.")]
Folder = Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")]


def _completed(incomplete: str) -> list[str]:
    """What --set may name, for the shell: the fields of an experiment and its optional tables."""
    from ..experiment import Experiment

    def leaves(data: Mapping[str, Any], before: str = "") -> list[str]:
        out = []
        for key, value in data.items():
            out += leaves(value, f"{before}{key}.") if isinstance(value, Mapping) else [f"{before}{key}="]
        return out

    return [path for path in leaves(Experiment().model_dump()) if path.startswith(incomplete)]


Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a field, e.g. penalty.r1=0.2 (repeatable).",
        autocompletion=_completed,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what -o or --figure names, if it is there.")]

T = TypeVar("T")


@dataclass(frozen=True)
class _Shared:
    """The options that every command has alike: fields to change (--set), and whether files may be replaced."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False


_NONE = _Shared()
_SHARED: ContextVar[_Shared] = ContextVar("shared", default=_NONE)


def shared(command: Callable[..., T]) -> Callable[..., T]:
    """The command with --set if it reads an experiment or model, and --overwrite if it writes anything. ``load``,
    ``outputs`` and the others here obey them."""
    own = inspect.signature(command, eval_str=True)
    reads = {"experiment", "model"} & set(own.parameters)
    writes = {"output", "figure"} & set(own.parameters)
    added = [("changes", Set, None)] * bool(reads) + [("overwrite", Overwrite, False)] * bool(writes)
    keyword = inspect.Parameter.KEYWORD_ONLY
    extra = [
        inspect.Parameter(name, keyword, default=default, annotation=kind)
        for name, kind, default in added
        if name not in own.parameters
    ]

    @wraps(command)
    def with_shared(**given: Any) -> T:
        options = _Shared(assignments(given.get("changes") or ()), bool(given.get("overwrite")))
        token = _SHARED.set(options)
        try:
            return command(**{name: value for name, value in given.items() if name in own.parameters})
        finally:
            _SHARED.reset(token)

    with_shared.__signature__ = own.replace(parameters=[*own.parameters.values(), *extra])  # type: ignore[attr-defined]
    return with_shared


def load(path: str | None) -> Experiment:
    """The experiment with what --set changes; a message says in which file. ``-``: standard input; None: built in."""
    from ..experiment import Experiment

    if path is None:
        built_in = "[run]\n"  # a table that changes nothing
        return read(lambda _, given: Experiment.from_toml_string(built_in, changes=given), "built-in", "experiment")
    if path == STDIN:
        text = stdin()
        return read(lambda _, c: Experiment.from_toml_string(text, path, Path(), c), path, "experiment")
    return read(Experiment.from_toml, path, "experiment")


def load_if_given(path: str | None) -> Experiment | None:
    """``load``, or None where neither a file nor --set says anything."""
    return load(path) if path is not None or _SHARED.get().changes else None


def read(reader: Callable[[str, Mapping[str, Any]], T], path: str, whole: str) -> T:
    """``reader(path, changes)``, changes being those of --set; its InputErrors name the file, unless they are about all
    of it (field ``whole``), or --set where it gave the field. Paths given by --set start at the present folder."""
    changes = _SHARED.get().changes
    try:
        return reader(path, changes)
    except InputError as error:
        if error.field in (path, whole):
            raise
        name = error.field.removeprefix("solvable.")
        mine = any(f"{name}.".startswith(f"{given.removeprefix('solvable.')}.") for given in changes)
        raise InputError(f"{'--set' if mine else f'{path}:'} {error.field}", error.must, error.found) from None


def stdin() -> str:
    """The text on standard input. Raises InputError."""
    try:
        return decoded(sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode(), STDIN)
    except (AttributeError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(STDIN, "be a readable standard input", "none") from None


def is_file(path: str | None) -> TypeGuard[str]:
    """Whether an input is a file of a name (no output may be it)."""
    return bool(path) and path != STDIN


def new_file(path: str, *inputs: str | None, field: str = "output") -> Path:
    """The path of a file to write, checked; replaced only with --overwrite."""
    return check_output(path, *filter(is_file, inputs), field=field, overwrite=_SHARED.get().overwrite)


def new_folder(path: str) -> Path:
    """The folder to write, checked; its files are replaced only with --overwrite."""
    return check_output_folder(path, overwrite=_SHARED.get().overwrite)


def outputs(
    output: str | None, figure: str | None, *inputs: str | None, netcdf: bool = False
) -> tuple[Path | None, Path | None]:
    """The output and figure paths: known to be writable, none of the inputs, and there only with --overwrite, before
    anything is computed. ``netcdf``: the output has no other form."""
    from ..base.terminal import check_figure

    if netcdf and output is not None and Path(output).suffix.lower() == ".json":
        raise InputError("output", "be a NetCDF file (--json prints the summary)", output)
    given = [path for path in inputs if is_file(path)]
    out = None if output is None else new_file(output, *given)
    picture = None if figure is None else check_figure(figure, *given, overwrite=_SHARED.get().overwrite)
    if out is not None and picture is not None and out.resolve() == picture.resolve():
        raise InputError("figure", "not be the output file", figure)
    return out, picture


def plot_function(name: str, picture: Path | None) -> Any:
    """The plot function if a figure is wanted, imported before anything long begins."""
    if picture is None:
        return None
    from ..show import phases, plots

    return getattr(phases if hasattr(phases, name) else plots, name)


def save(ds: xr.Dataset | None, path: Path | None, data: Mapping[str, Any] | None = None) -> None:
    """The result, if a path was given: ``data`` where it ends in .json, else NetCDF."""
    if path is None:
        return
    if data is not None and path.suffix.lower() == ".json":
        from ..base.terminal import json_text

        write_text(json_text(data), path)
    else:
        from ..base.netcdf import save

        assert ds is not None
        save(ds, path)


def json_file(path: str | None, *inputs: str | None) -> Path | None:
    """``new_file`` for a result that has no arrays."""
    if path is not None and Path(path).suffix.lower() != ".json":
        raise InputError("output", "end in .json", path)
    return None if path is None else new_file(path, *inputs)


def write_text(text: str, path: Path) -> None:
    """UTF-8, whole or not at all."""
    from ..base.files import atomic

    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def written(*paths: Path | None) -> list[str]:
    """The last lines of what a command prints."""
    return [f"written: {path}" for path in paths if path is not None]


def show_text(text: str, data: Mapping[str, Any], out: Path | None, json: bool) -> None:
    """Print a text, or write it; ``data`` is its --json form."""
    from ..base.terminal import emit, json_text

    if out is not None:
        write_text(json_text(data) if out.suffix.lower() == ".json" else text, out)
    emit(json_text(data) if json else text if out is None else f"written: {out}\n")


def show_folder(folder: Path, index: Path, json: bool) -> None:
    """What a report wrote."""
    from ..base.terminal import show, show_json

    files = sorted(str(p) for p in folder.rglob("*") if p.is_file())
    if json:
        show_json({"index": str(index), "folder": str(folder), "files": files})
    else:
        show(f"{len(files)} files in {folder}; open {index}")


def complain(message: str) -> None:
    """One line on stderr, whatever the text holds."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))
    with suppress(OSError, ValueError):
        print(f"egan: {line}", file=sys.stderr, flush=True)
