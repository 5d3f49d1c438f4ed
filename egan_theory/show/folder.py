"""Where a report goes: a folder or one HTML file, taken only if it is new, empty or a former report, and filled only
with a finished one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.axes import Axes

from ..base.errors import InputError
from ..base.files import atomic, check_output, check_output_folder, rescuing
from ..base.locks import lock
from ..base.netcdf import save
from .html import rendered
from .picture import Picture, Slider, picture

#: marks a folder as a report and lists the files that are its own
MARK = ".egan-report"
INDEX = "index.html"
#: ends of names of single files, and what the first bytes of a page of ours hold
PAGES, SIGN = (".html", ".htm"), b'<meta name="generator" content="egan_theory">'
_TEMPORARY = ".tmp-report-"


@dataclass(frozen=True)
class Target:
    """Where a report goes: a folder, or the page alone (``single``); ``data``: whether files are written beside it."""

    path: Path
    single: bool
    data: bool

    @property
    def index(self) -> Path:
        """The page."""
        return self.path if self.single else self.path / INDEX


def claim(path: str | Path, data: bool = False) -> Target:
    """The target, resolved, after checking that a report may be written there: a name that ends in .html is one file,
    any other a folder. Raises InputError."""
    if Path(path).suffix.lower() in PAGES and not Path(path).is_dir():
        if data:
            raise InputError("data", "be written to a folder, without an end in .html", path)
        file = check_output(path, field="path")
        if file.exists() and SIGN not in _start(file):
            raise InputError("path", "be new or a former report", path)
        return Target(file.resolve(), True, False)
    folder = check_output_folder(path, "path").resolve()
    if folder.is_dir() and not (folder / MARK).is_file():
        other = sorted(p.name for p in folder.iterdir() if not p.name.startswith(_TEMPORARY))
        if other:
            raise InputError(
                "path", "be new, empty or a former report", f"{path} with {len(other)} entries ({other[0]})"
            )
    return Target(folder, False, data)


@contextmanager
def claimed(path: str | Path, data: bool = False) -> Iterator[Target]:
    """``claim``, for this process alone until the block ends: two reports at once on one place would replace each
    other's files. Raises InputError."""
    target = claim(path, data)
    inside = not target.single and target.path.is_dir()
    name = f"{_TEMPORARY}lock" if inside else f"{_TEMPORARY}lock-{target.path.name}"
    file = (target.path if inside else target.path.parent) / name
    try:
        held = lock(file)
    except OSError as error:
        raise InputError("path", "lie where files can be made", f"{path}: {error.strerror}") from None
    if held is None:
        raise InputError("path", "not be in use", f"another report that is being written to {path}")
    try:
        yield target
    finally:
        with suppress(OSError):  # Windows does not remove a file that is open
            file.unlink(missing_ok=True)
        held.release()


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(4096)
    except OSError as error:
        raise InputError("path", "be new or a former report", f"{file}: {error.strerror}") from None


@contextmanager
def drafted(target: Target) -> Iterator[Draft]:
    """A draft, which is there as a report, whole, when the block ends well; else nothing is."""
    if target.single:
        with atomic(target.path) as temporary:
            yield Draft(temporary, None)
        return
    with staged(target.path) as folder:
        yield Draft(folder / INDEX, folder if target.data else None)


def written(target: Target, fill: Callable[[Draft], None]) -> Path:
    """The page of the report that ``fill`` makes. Raises EganError where the disk is full, which says where else it is
    kept."""

    def write(place: Path) -> None:
        with drafted(replace(target, path=place)) as draft:
            fill(draft)

    with rescuing(target.path, write):
        write(target.path)
    return target.index


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder; its files are moved to ``folder`` when the block ends well, else removed.

    A new folder appears at once, whole. In a former report every file is replaced whole, the page last; the former
    report's own files that the new one does not have are removed, files of others stay.
    """
    if not folder.is_dir():
        with atomic(folder) as new:
            new.mkdir()
            yield new
            _mark(new, _names(new))
        return
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as name:
        yield Path(name)
        _replace(Path(name), folder, _names(Path(name)))


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


class Draft:
    """A report in the making: pictures, at last the page ``index`` that holds them all, and the files in ``folder``
    that it names; without a folder none is written."""

    def __init__(self, index: Path, folder: Path | None) -> None:
        self.index, self.folder = index, folder
        self.pictures: list[Picture] = []
        self.files: list[tuple[str, str]] = []

    def figure(self, name: str, alt: str, caption: str, draw: Callable[[], Axes], slider: Slider | None = None) -> None:
        """Draw a figure of the page, see ``picture``."""
        self.pictures.append(picture(name, alt, caption, draw, slider=slider))

    def dataset(self, name: str, ds: xr.Dataset, what: str) -> None:
        if self.folder is not None:
            save(ds, self.folder / name)
            self.files.append((name, what))

    def text(self, name: str, text: str, what: str) -> None:
        if self.folder is not None:
            (self.folder / name).write_text(text, encoding="utf-8")
            self.files.append((name, what))

    def page(self, template: str, package: str = __package__, **context: Any) -> None:
        """Fill in ``template`` of ``package``, which extends layout.html.j2; text in the context is escaped."""
        text = rendered(template, package, pictures=self.pictures, data=self.files, **context)
        self.index.write_text(text, encoding="utf-8")


def _replace(temporary: Path, folder: Path, files: list[str]) -> None:
    former = _own(folder)
    _mark(folder, sorted({*former, *files}))
    for name in sorted(files, key=lambda n: n == INDEX):
        (temporary / name).replace(folder / name)
    for name in set(former) - set(files):
        (folder / name).unlink(missing_ok=True)
    _mark(folder, files)


def _mark(folder: Path, files: list[str]) -> None:
    with atomic(folder / MARK) as mark:
        mark.write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")


def _own(folder: Path) -> list[str]:
    """Files of the former report; names that are no plain file names are not believed."""
    try:
        names = json.loads((folder / MARK).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    names = names if isinstance(names, list) else []
    return [n for n in names if isinstance(n, str) and n == Path(n).name and not (folder / n).is_dir()]
