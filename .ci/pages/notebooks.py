"""Notebooks as pages: they are stored without outputs, and run when the site is built.

Each page has the text, the code, and what the cells show: printed text, tables, and figures, whose alternative text
says what is drawn against what.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: seconds that a cell may take, on a machine that does other things besides
LIMIT = 300
#: run in the kernel before the first cell: the backend of notebooks, which sets its own way of showing figures after
#: the cell that loads it
LOAD = "import matplotlib.pyplot\nmatplotlib.pyplot.close(matplotlib.pyplot.figure())\ndel matplotlib"
#: then: figures come with their alternative text, twice as fine
SETUP = """
def _prepare():
    from IPython import get_ipython
    from IPython.core.pylabtools import print_figure
    from matplotlib.figure import Figure

    def panel(ax):
        legend = ax.get_legend()
        title = ax.get_title() or (legend.get_title().get_text() if legend else "")
        drawn = [text.get_text() for text in legend.get_texts()] if legend else []
        text = f"{ax.get_ylabel()} against {ax.get_xlabel()}" if ax.get_ylabel() else f"over {ax.get_xlabel()}"
        return "; ".join([title, text, *(["drawn: " + "; ".join(drawn)] if drawn else [])]).lstrip("; ")

    def shown(figure):
        panels = [panel(ax) for ax in figure.axes if ax.get_xlabel() or ax.get_title()]
        many = len(panels) > 1
        alt = ". ".join(f"Panel {i}: {text}" if many else text for i, text in enumerate(panels, 1))
        png = print_figure(figure, "png", dpi=2 * figure.dpi, bbox_inches="tight")
        return png, {"alt": " ".join(f"Figure. {alt}.".split())}

    get_ipython().display_formatter.formatters["image/png"].for_type(Figure, shown)

_prepare()
del _prepare
"""


def executed(files: Iterable[Path], root: Path) -> dict[Path, Any]:
    """The notebooks with what their cells show, run by this Python with the package at ``root``. A cell that fails or
    warns ends it."""
    files = list(files)
    with _kernel(root), ThreadPoolExecutor(2) as pool:
        return dict(zip(files, pool.map(_run, files), strict=True))


@contextmanager
def _kernel(root: Path) -> Iterator[None]:
    """A kernel named site, which is this Python."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        spec = Path(name) / "kernels" / "site"
        spec.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--IPKernelApp.log_level=40"]
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "site", "language": "python"}))
        path = os.pathsep.join(filter(None, (str(root), before.get("PYTHONPATH"))))
        os.environ.update(JUPYTER_PATH=name, PYTHONPATH=path, OMP_NUM_THREADS="1", PYTHONWARNINGS="default")
        os.environ.pop("MPLBACKEND", None)  # the kernel's own shows figures
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _run(file: Path) -> Any:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(file, as_version=4)
    book.cells[:0] = [nbformat.v4.new_code_cell(source) for source in (LOAD, SETUP)]
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=LIMIT, kernel_name="site", resources={"metadata": {"path": folder}}).execute()
    del book.cells[:2]
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and output.name == "stderr":
                raise RuntimeError(f"{file.name}: a cell warns: {output.text}")
    return book


def page(book: Any, stem: str) -> tuple[str, dict[str, str], dict[str, bytes]]:
    """The page in Markdown with a place, by name, for each output in HTML (whose addresses are not those of the
    notebook's folder); those outputs; and the files of the figures."""
    lines: list[str] = []
    outputs: dict[str, str] = {}
    figures: dict[str, bytes] = {}
    for cell in book["cells"]:
        source = _text(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
        elif cell["cell_type"] == "code" and source:
            lines += ["```python", source, "```", ""]
            for output in cell.get("outputs", ()):
                place = f"OUTPUT-{len(outputs)}-OF-{stem}"
                outputs[place] = _output(output, stem, figures)
                lines += [place, ""]
    return "\n".join(lines), outputs, figures


def _output(output: Any, stem: str, figures: dict[str, bytes]) -> str:
    """One output as HTML: a figure, a table, else its text."""
    if output["output_type"] == "stream":
        return _preformatted(_text(output["text"]))
    data = output["data"]
    if "image/png" in data:
        name = f"{stem}-{len(figures) + 1}.png"
        figures[name] = png = base64.b64decode(data["image/png"])
        alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
        if len(alt) < 20:
            raise RuntimeError(f"{stem}: a figure without labels has no alternative text")
        wide = int.from_bytes(png[16:20], "big") // 2
        return f'<div class="output"><img src="{name}" alt="{html.escape(alt)}" width="{wide}"></div>'
    table, dataset, _ = _text(data.get("text/html", "")).partition("xr-wrap")
    if dataset:  # an own table may stand before the whole Dataset, whose many variables are shorter as text
        table = table.rpartition("<details")[0]
    if not table:
        return _preformatted(_text(data["text/plain"]))
    table = re.sub(r">\s+<", "><", table)
    return f'<div class="output">{table}</div>'


def _preformatted(text: str) -> str:
    return f'<div class="output"><pre><code>{html.escape(text.rstrip())}</code></pre></div>'


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
