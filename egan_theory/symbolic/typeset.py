"""The theory's parts as LaTeX: numbered and named equations, tables that fit the page, a whole document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .inline import pieces, to_latex
from .widths import RELATIONS, math_width, nested, statements, text_width

#: the width of the text, in units of the size of an equation's font and of a table's
LINE, TABLE_LINE = 42.0, 46.0
#: what an equation leaves for its number, and the gap between two columns
_NUMBER, _GAP = 4.0, 0.6
#: room for what the widths are wrong by
_SLACK, _TEXT_SLACK = 1.06, 1.14

_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[textwidth=16.4cm,textheight=24.5cm]{geometry}
\usepackage{amsmath}
\usepackage{array}
\usepackage{longtable}
\usepackage[colorlinks,allcolors={[rgb]{0,0.2,0.5}}]{hyperref}
\allowdisplaybreaks
\frenchspacing
\sloppy
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.5em}
"""


def equation(name: str, latex: str, number: int) -> str:
    """A displayed equation under its number, with the label ``eq:NAME``; broken into lines where it is too long."""
    lines: list[str] = []
    for part in statements(latex):
        if lines and math_width(longer := rf"{lines[-1]} \qquad {part}") <= LINE - _NUMBER:
            lines[-1] = longer
        else:
            lines.append(part)
    if len(lines) > 1:
        latex = "\\begin{gathered}\n" + " \\\\\n".join(lines) + "\n\\end{gathered}"
    before = f"\\setcounter{{equation}}{{{number - 1}}}"  # tags would give all equations of a section one target
    return f"{before}\n\\begin{{equation}}\n{latex}\n\\label{{eq:{name}}}\n\\end{{equation}}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as wide as the text or less, over several pages where it must; cells are broken into lines."""
    widths = column_widths([header, *rows])
    columns = "".join(rf">{{\raggedright\arraybackslash}}p{{{width:.2f}em}}" for width in widths)
    head, *body = (" & ".join(map(to_latex, line)) for line in (header, *rows))
    return (
        "{\\small\n\\setlength{\\tabcolsep}{0.3em}\n\\setlength{\\extrarowheight}{0.45em}\n"
        f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}\n\\hline\n{head} \\\\\n\\hline\n\\endhead\n"
        + " \\\\[0.3em]\n".join(body)
        + " \\\\[0.3em]\n\\hline\n\\end{longtable}}"
    )


def column_widths(lines: Sequence[Sequence[str]], line: float = TABLE_LINE) -> list[float]:
    """The width of each column, together at most ``line`` with the gaps between them.

    Columns are as wide as their widest cell if there is room; if not, each gets what it cannot be without and a share
    of the rest, in proportion to what it misses.
    """
    columns = list(zip(*lines, strict=True))
    least = [max(max(map(max, map(_atoms, column))), 1.5) for column in columns]
    most = [max(max(sum(_atoms(cell)) for cell in column), low) for column, low in zip(columns, least, strict=True)]
    room = line - _GAP * (len(columns) - 1) - sum(least)
    missed = sum(most) - sum(least)
    share = min(1.0, max(room, 0.0) / missed) if missed else 0.0
    return [low + share * (high - low) for low, high in zip(least, most, strict=True)]


def _atoms(cell: str) -> list[float]:
    """Widths of what stands in a cell, divided wherever a line may be."""
    widths = [0.0]
    for kind, text, number in pieces(cell):
        if kind == "math":
            parts = [""]
            for token, depth in nested(text):
                parts[-1] += token
                if depth == 0 and (token in RELATIONS or token in ("+", "-")):
                    parts.append("")
            widths += [_SLACK * math_width(part) for part in parts]
        elif kind == "code":
            widths += [_TEXT_SLACK * 1.12 * text_width(part) for part in re.findall(r"[^._]+[._]?", text)]
        else:
            words = f"Eq. ({number})" if kind == "link" else text
            widths += [_TEXT_SLACK * text_width(f"{word} ") for word in words.split()]
    return widths


def paragraph(source: str) -> str:
    """A paragraph; one of several long names, which break at few places, is not stretched to the margin."""
    text = to_latex(source)
    return f"{{\\raggedright\n{text}\\par}}" if text.count("\\texttt") > 1 else text


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    items = "\n".join(f"\\item {to_latex(line)}" for line in lines)
    return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"


def document(title: str, sections: Iterable[str], sources: Iterable[str]) -> str:
    """A complete document."""
    return "\n\n".join(
        [
            f"{_PREAMBLE}\\title{{{to_latex(title)}}}\n\\author{{}}\n\\date{{}}",
            "\\begin{document}\n\\maketitle\n\\tableofcontents",
            *sections,
            f"\\section*{{Sources}}\n\\addcontentsline{{toc}}{{section}}{{Sources}}\n{bullets(sources)}",
            "\\end{document}\n",
        ]
    )
