"""What a command gives back: the files it was asked for, and what it prints. Nothing heavy is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import EganError, InputError, cut
from ..base.files import atomic, rescuing
from ..base.json import json_text
from ..base.terminal import check_figure, emit, show, show_json
from .shared import PICTURES, is_file, new_file, overwrites

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes


class Answer:
    """The answer of a command, made before anything is computed: its paths are then known to be writable, none of the
    inputs, and there only with --overwrite.

    ``form``: what the output may be: "any" (NetCDF, or .json for what --json prints), "json" (a result without arrays),
    "netcdf" or "html" (a page, or .json). Raises InputError.
    """

    def __init__(
        self,
        json: bool,
        output: str | None = None,
        figure: str | None = None,
        *,
        inputs: Iterable[str | None] = (),
        form: str = "any",
    ) -> None:
        suffix = None if output is None else Path(output).suffix.lower()
        if form == "netcdf" and suffix == ".json":
            raise InputError("output", "be a NetCDF file (--json prints the summary)", output)
        if form in ("any", "netcdf") and suffix in PICTURES:
            raise InputError("output", "be a NetCDF file, not a picture (--figure draws one)", output)
        if form == "json" and suffix not in (None, ".json"):
            raise InputError("output", "end in .json", output)
        if form == "html" and suffix not in (None, ".json", ".html", ".htm"):
            raise InputError("output", "end in .html, or in .json for what --json prints", output)
        given = [path for path in inputs if is_file(path)]
        self.json = json
        self.out = None if output is None else new_file(output, *given)
        self.picture = None if figure is None else check_figure(figure, *given, overwrite=overwrites())
        if self.out is not None and self.picture is not None and self.out.resolve() == self.picture.resolve():
            raise InputError("figure", "not be the output file", figure)

    def give(
        self,
        data: Mapping[str, Any],
        text: Callable[[], Iterable[Any]],
        ds: xr.Dataset | None = None,
        draw: Callable[[], Axes] | None = None,
        page: Callable[[], str] | None = None,
    ) -> None:
        """Write the result, ``ds``, its ``page`` or in JSON ``data``, and the figure that ``draw`` makes, each whole or
        not at all; then print ``data`` as JSON, or the ``text`` and what was written.

        Where the disk is full, the result is printed all the same, and written elsewhere: EganError says where.
        """

        def write(file: Path) -> None:
            if file.suffix.lower() != ".json" and page is not None:
                write_text(page(), file)
            elif file.suffix.lower() == ".json" or ds is None:
                write_text(json_text(data), file)
            else:
                from ..base.netcdf import save

                save(ds, file)

        written: list[Path] = []
        failed = None
        try:
            if self.out is not None:
                with rescuing(self.out, write):
                    write(self.out)
                written.append(self.out)
            if self.picture is not None and draw is not None:
                from ..show import style

                with style.detached():
                    ax = draw()
                    with rescuing(self.picture, lambda file: style.write(ax, file)):
                        style.write(ax, self.picture)
                written.append(self.picture)
        except InputError:
            raise
        except EganError as error:
            failed = error
        try:
            if self.json:
                show_json(data)
            else:
                show(*text(), *(f"written: {path}" for path in written))
        except EganError:
            if failed is None:
                raise
        if failed is not None:
            raise failed

    def give_text(self, text: str, data: Callable[[], Mapping[str, Any]]) -> None:
        """Print a text, or write it; ``data``: its JSON form. Raises EganError where the disk is full."""
        if self.out is not None:
            kept = json_text(data()) if self.out.suffix.lower() == ".json" else text
            with rescuing(self.out, lambda file: write_text(kept, file)):
                write_text(kept, self.out)
        emit(json_text(data()) if self.json else text if self.out is None else f"written: {self.out}\n")

    def give_page(self, target: Path, index: Path) -> None:
        """Say what a report wrote: a folder, or one file."""
        one = target.resolve() == index.resolve()
        files = [str(index)] if one else sorted(str(p) for p in target.rglob("*") if p.is_file())
        if self.json:
            show_json({"index": str(index), "folder": str(index.parent), "files": files})
        elif one or len(files) <= 2:  # the page, and the mark that the folder is a report
            show(f"written: {index}")
        else:
            show(f"written: {index}, with {len(files) - 2} data files beside it")


def write_text(text: str, path: Path) -> None:
    """UTF-8, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def complain(message: str) -> None:
    """One line on stderr, whatever the text holds."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(cut(message, 4000).split()))
    with suppress(OSError, ValueError):
        print(f"egan: {line}", file=sys.stderr, flush=True)
