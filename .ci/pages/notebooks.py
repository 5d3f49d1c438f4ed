"""Notebooks as pages, without running them: text as it is, code as code."""

from __future__ import annotations

from pathlib import Path


def page(file: Path) -> str:
    """The cells of a notebook in Markdown; outputs only where the file holds printed text."""
    import nbformat

    lines = []
    for cell in nbformat.read(file, as_version=4).cells:
        if cell.cell_type == "markdown":
            lines += [cell.source, ""]
        elif cell.cell_type == "code" and cell.source.strip():
            lines += ["```python", cell.source, "```", ""]
            shown = [output["text"] for output in cell.get("outputs", ()) if output.output_type == "stream"]
            if shown:
                lines += ["```text", "".join(shown).rstrip(), "```", ""]
    return "\n".join(lines)
