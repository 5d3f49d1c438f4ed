"""Notebooks as pages, without running them: text as it is, code as code."""

from __future__ import annotations

import json
from pathlib import Path


def page(file: Path) -> str:
    """The cells of a notebook (format 4) in Markdown; of outputs the printed text, where the file holds any."""
    lines = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = _text(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
        elif cell["cell_type"] == "code" and source:
            lines += ["```python", source, "```", ""]
            shown = "".join(_text(o["text"]) for o in cell.get("outputs", ()) if o["output_type"] == "stream").rstrip()
            if shown:
                lines += ["```text", shown, "```", ""]
    return "\n".join(lines)


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
