"""What the command line prints: tables, JSON, progress bars, figures. Imports Rich and Matplotlib on use only."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import EganError, InputError
from .files import check_output
from .json import json_text
from .ram import check_size

FIGURE_FORMATS = ("png", "pdf", "svg")
#: tables are no narrower than this when nobody looks at them through a window
WIDTH = 100
#: a figure in Markdown: what it shows, and its file
FIGURE = re.compile(r"!\[([^]]*)\]\(([^)]*)\)")
#: seconds until long work without a terminal says where it is: the first time, and at most between two such lines
FIRST_WORD, BETWEEN_WORDS = 15.0, 60.0


@contextmanager
def _writing() -> Iterator[None]:
    """Writing to stdout: EganError where that is not possible (a full disk), BrokenPipeError where the reader has
    gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise EganError(f"the output could not be written: {error.strerror or error}") from None


def emit(text: str) -> None:
    """Write to stdout, now."""
    with _writing():
        sys.stdout.write(text)
        sys.stdout.flush()


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def plural(unit: str) -> str:
    """Several of a unit of time: "steps", "units of time"."""
    return "units of time" if unit == "time" else f"{unit}s"


def show(*parts: Any) -> None:
    """Print strings and Rich renderables to stdout, as plain text unless it is a terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    # captured and written by us: Rich would end the process by itself when the reader of a pipe has gone
    with _writing(), console.capture() as capture:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str) and not terminal)
    emit(capture.get())


def show_markdown(text: str) -> None:
    """Print Markdown set for a terminal; of figures, what they show."""
    from rich.markdown import Markdown

    show(Markdown(FIGURE.sub(r"*Figure: \1 (\2)*", text), hyperlinks=False))


def show_json(data: Mapping[str, Any]) -> None:
    """Print one JSON object to stdout; numbers that do not exist are null."""
    emit(json_text(data))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A Rich table; numbers are rounded to four digits and aligned to the right, None is a dash."""
    from rich import box
    from rich.table import Table

    out = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        numeric = any(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in rows)
        out.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        out.add_row(*map(cell, row))
    return out


def cell(value: Any) -> str:
    """How a value is printed: four significant digits, "yes" or "no", "-" for a number that does not exist."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    return str(value)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[..., None]]:
    """A function ``update(done, total, label=None)`` that moves a bar on stderr; where stderr is no terminal, long work
    says now and then how far it is, one line each time."""
    if not sys.stderr.isatty():
        with _lines(label) as update:
            yield update
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True, markup=False, emoji=False), transient=True) as bars:
        task = bars.add_task(label, total=None)

        def update(done: int, total: int, label: str | None = None) -> None:
            bars.update(task, completed=done, total=total, description=label)

        yield update


@contextmanager
def _lines(label: str) -> Iterator[Callable[..., None]]:
    """``progress_bar`` in lines, by a thread: also work that reports nothing for long is seen to go on."""
    import threading

    begin, ended = time.monotonic(), threading.Event()
    state: dict[str, Any] = {"label": label, "done": None, "total": None}

    def update(done: int, total: int, label: str | None = None) -> None:
        state.update(done=done, total=total, label=label or state["label"])

    def speak() -> None:
        wait = FIRST_WORD
        while not ended.wait(wait):
            of = f", {state['done']} of {state['total']}" if state["total"] else ""
            line = f"egan: {state['label']}{of}, {time.monotonic() - begin:.0f} s so far"
            with suppress(OSError, ValueError):
                print(line, file=sys.stderr, flush=True)
            wait = min(2 * wait, BETWEEN_WORDS)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield update
    finally:
        ended.set()
        thread.join()


@contextmanager
def stages(label: str) -> Iterator[Callable[[str, int, int], None]]:
    """A function ``update(stage, done, total)`` that moves a bar as ``progress_bar`` does."""
    with progress_bar(label) as bar:

        def update(stage: str, done: int, total: int) -> None:
            bar(done, total, stage)

        yield update


def check_figure(path: str, *inputs: str, overwrite: bool | None = None) -> Path:
    """``check_output`` for a figure; its format is its suffix."""
    if Path(path).suffix[1:].lower() not in FIGURE_FORMATS:
        raise InputError("figure", f"end in .{', .'.join(FIGURE_FORMATS)}", path)
    check_backend()
    return check_output(path, *inputs, field="figure", overwrite=overwrite)


def check_backend() -> None:
    """Raise InputError where the environment names a backend with which Matplotlib cannot be imported."""
    name = os.environ.get("MPLBACKEND")
    if name:
        try:
            import matplotlib  # noqa: F401
        except ValueError:
            rule = "name a backend of Matplotlib, or not be set (files need none)"
            raise InputError("MPLBACKEND", rule, repr(name)) from None


def check_memory(field: str, bytes_needed: int) -> None:
    """Raise InputError when an array of that size does not fit in the memory that is free."""
    rule = "be large enough for the recording to fit in memory (or lower run.runs, run.steps, generator.particles)"
    check_size(field, bytes_needed, rule, "the recording")
