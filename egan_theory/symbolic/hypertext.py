"""The theory's parts as HTML: equations with their numbers at the right margin, tables, sections, their style."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from .inline import to_html
from .markup import mathml
from .widths import math_width, statements

#: a formula wider than this, in units of the font's size, may not fit on a telephone and can be scrolled by keyboard
NARROW = 15.0

#: all in the colours of the page
STYLE = """
.theory { line-height: 1.55; overflow-wrap: break-word; }
.theory .equation { display: flex; align-items: center; gap: 0.75em; margin: 1em 0; }
.theory .formula { flex: 1; min-width: 0; overflow: auto hidden; padding: 0.25em 0; display: flex; flex-wrap: wrap;
  justify-content: safe center; align-items: baseline; gap: 0.75em 2.5em; }
.theory .word { white-space: nowrap; }
.theory .formula math { flex: none; width: max-content; font-size: 1.06em; }
.theory .number { color: inherit; text-decoration: none; white-space: nowrap; }
.theory .number:hover { text-decoration: underline; }
.theory .equation:target { outline: 2px solid; outline-offset: 0.2em; }
.theory .table { overflow-x: auto; margin: 1em 0; }
.theory table { border-collapse: collapse; margin: 0; }
.theory th, .theory td { padding: 0.35em 0.8em 0.35em 0; text-align: start; vertical-align: top; white-space: normal;
  min-width: 2.5em; font-size: 0.94em; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
.theory tbody th { font-weight: inherit; }
.theory a { color: inherit; }
.theory code { font-size: 0.92em; }
@media print { .theory .equation, .theory tr { break-inside: avoid; }
  .theory .formula, .theory .table { overflow: visible; } }
"""


def anchor(title: str) -> str:
    """The id of a section."""
    return "sec-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def equation(name: str, latex: str, number: int) -> str:
    """A displayed equation, ``eq-NAME``; equations side by side stand below each other where there is no room."""
    parts = statements(latex)
    scrolls = ' tabindex="0"' if max(map(math_width, parts)) > NARROW else ""
    formulas = "".join(mathml(part, display=True) for part in parts)
    label = f"Equation {number}, {name.replace('-', ' ')}"
    return (
        f'<div class="equation" id="eq-{name}">'
        f'<div class="formula" role="group" aria-label="{label}"{scrolls}>{formulas}</div>'
        f'<a class="number" href="#eq-{name}" title="{name}">({number})</a></div>'
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls where it is wider than the page; the first cell of a row is its heading."""
    plain = html.escape(", ".join(cell.replace("$", "").replace("\\", "") for cell in header))
    head = "".join(f'<th scope="col">{to_html(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{to_html(first)}</th>{"".join(f"<td>{to_html(cell)}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    return (
        f'<div class="table" role="group" aria-label="Table: {plain}" tabindex="0">'
        f'<table aria-label="{plain}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'
    )


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    items = "".join(f"<li>{to_html(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>"


def section(name: str, title: str, level: int, content: Iterable[str]) -> str:
    """A part with the id ``name`` under a heading."""
    heading = f'<h{level} id="{name}">{to_html(title)}</h{level}>'
    return "\n".join([f'<section aria-labelledby="{name}">', heading, *content, "</section>"])


def article(title: str, level: int, sections: Iterable[str]) -> str:
    """The whole text, its style first, under its title if that is not empty."""
    heading = [f"<h{level}>{to_html(title)}</h{level}>"] if title else []
    return "\n".join(['<article class="theory">', f"<style>{STYLE}</style>", *heading, *sections, "</article>\n"])
