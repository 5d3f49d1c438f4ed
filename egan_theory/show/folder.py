"""The folder of a report: taken only if it is new, empty or a former report, and filled only with a finished one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.axes import Axes

from ..base.errors import InputError
from ..base.files import atomic, check_output_folder
from ..base.netcdf import save
from .html import rendered
from .picture import Picture, Slider, picture

#: marks a folder as a report and lists the files that are its own
MARK = ".egan-report"
INDEX = "index.html"
_TEMPORARY = ".tmp-report-"


def claim(directory: str | Path) -> Path:
    """The folder, resolved, after checking that a report may be written there. Raises InputError."""
    folder = check_output_folder(directory, "directory").resolve()
    if folder.is_dir() and not (folder / MARK).is_file():
        other = sorted(p.name for p in folder.iterdir() if not p.name.startswith(_TEMPORARY))
        if other:
            raise InputError(
                "directory", "be new, empty or a former report", f"{directory} with {len(other)} entries ({other[0]})"
            )
    return folder


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
    """A report in the making: pictures, data files in ``folder``, at last the page that holds and names them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: list[Picture] = []
        self.files: list[tuple[str, str]] = []

    def figure(self, name: str, alt: str, caption: str, draw: Callable[[], Axes], slider: Slider | None = None) -> None:
        """Draw a figure of the page, see ``picture``."""
        self.pictures.append(picture(name, alt, caption, draw, slider=slider))

    def dataset(self, name: str, ds: xr.Dataset, what: str) -> None:
        save(ds, self.folder / name)
        self.files.append((name, what))

    def text(self, name: str, text: str, what: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")
        self.files.append((name, what))

    def page(self, template: str, package: str = __package__, **context: Any) -> None:
        """Fill in ``template`` of ``package``, which extends layout.html.j2; text in the context is escaped."""
        text = rendered(template, package, pictures=self.pictures, data=self.files, **context)
        (self.folder / INDEX).write_text(text, encoding="utf-8")


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
