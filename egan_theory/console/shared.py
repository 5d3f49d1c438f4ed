"""What every command shares: options, and the files and folders they name.

Nothing heavy is imported: the command line loads this module at every start.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, TypeVar

import typer

from ..base.errors import InputError
from ..base.files import check_output, check_output_folder, decoded
from ..base.terminal import check_backend
from ..base.toml import LONGEST, assignments, check_length

if TYPE_CHECKING:
    from ..experiment import Experiment

DONE, FAILED, BAD_INPUT = 0, 1, 2

#: ends of the names of pages that are one file
PAGES = (".html", ".htm")
#: ends of the names of pictures
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")

#: what stands for standard input in place of an experiment file
STDIN = "-"

ExperimentFile = Annotated[
    str, typer.Argument(metavar="E.toml", help="Experiment file ('egan new' prints one); - for standard input.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Figure = Annotated[str | None, typer.Option("--figure", metavar="FILE", help="Also draw a .png, .pdf or .svg.")]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="Also write the result: NetCDF, or .json as --json prints it."),
]
Text = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write the text, or .json what --json prints, to this file."),
]
NewFile = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="NetCDF file to write.")]
Page = Annotated[
    str, typer.Option("-o", "--output", metavar="DIR", help="Folder to write, or one file: a name that ends in .html.")
]
Data = Annotated[bool, typer.Option("--data", help="Also write the numbers beside the page: NetCDF, JSON, TOML.")]


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
    list[str] | None,
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
        text = _built_in()
        return read(lambda _, given: Experiment.from_toml_string(text, changes=given), "built-in", "experiment")
    if path == STDIN:
        text = stdin()
        return read(lambda _, c: Experiment.from_toml_string(text, path, Path(), c), path, "experiment")
    return read(Experiment.from_toml, path, "experiment")


def _built_in() -> str:
    """The built-in experiment as TOML, without what its tables hold by themselves: so --set may name another kind of
    target, or an architecture in place of a kernel."""
    import tomli_w

    from ..experiment import Experiment

    exp = Experiment()
    tables = {name: getattr(exp, name) for name in Experiment.model_fields}
    own = {
        name: table.model_dump(mode="json", exclude_defaults=True)
        for name, table in tables.items()
        if getattr(Experiment(**{name: type(table)()}), name) != table
    }
    return tomli_w.dumps({"target": {"kind": exp.target.kind}} | own)


def load_if_given(path: str | None) -> Experiment | None:
    """``load``, or None where neither a file nor --set says anything."""
    return load(path) if path is not None or _SHARED.get().changes else None


def read(reader: Callable[[str, Mapping[str, Any]], T], path: str, whole: str, table: str = "") -> T:
    """``reader(path, changes)``, changes being those of --set; its InputErrors name the file, unless they are about all
    of it (field ``whole``), or --set where it gave the field. Paths given by --set start at the present folder.
    ``table``: the only one of a file, which --set need not name."""
    changes = _SHARED.get().changes
    try:
        return reader(path, changes)
    except InputError as error:
        if error.field in (path, whole):
            raise
        name = error.field.removeprefix(f"{table}.")
        mine = any(f"{name}.".startswith(f"{given.removeprefix(f'{table}.')}.") for given in changes)
        raise InputError(f"{'--set' if mine else f'{path}:'} {error.field}", error.must, error.found) from None


def stdin() -> str:
    """The text on standard input. Raises InputError."""
    try:
        data = sys.stdin.buffer.read(LONGEST + 1) if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
        check_length(len(data), STDIN)
        return decoded(data, STDIN)
    except (AttributeError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(STDIN, "be a readable standard input", "none") from None


def is_file(path: str | None) -> TypeGuard[str]:
    """Whether an input is a file of a name (no output may be it)."""
    return bool(path) and path != STDIN


def new_file(path: str, *inputs: str | None, field: str = "output") -> Path:
    """The path of a file to write, checked; replaced only with --overwrite."""
    return check_output(path, *filter(is_file, inputs), field=field, overwrite=overwrites())


def overwrites() -> bool:
    """Whether files that are there may be replaced (--overwrite)."""
    return _SHARED.get().overwrite


def new_page(path: str, data: bool) -> Path:
    """Where a report goes, checked: a folder, or one file of a name that ends in .html, which has no data beside it.
    Files are replaced only with --overwrite."""
    check_backend()
    if Path(path).suffix.lower() not in PAGES:
        return check_output_folder(path, overwrite=overwrites())
    if data:
        raise InputError("--data", "be given with a folder, beside whose page it writes", f"one file, {path}")
    return check_output(path, overwrite=overwrites())
