"""A paragraph of Markdown, read once: mathematics, code, bold words, links to equations and what is between them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from .markup import mathml

_PIECE = re.compile(
    r"\$(?P<math>[^$]+)\$|`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*"
    r"|\[Eq\. \((?P<number>\d+)\)\]\(#eq-(?P<link>[a-z0-9-]+)\)",
    re.S,
)
#: a formula and the bracket or the stop that touches it, between which no line ends
_MATH = r"<math(?:(?!</math>).)*</math>"
_WORD = re.compile(rf"(?:[^\s<>]+{_MATH}|{_MATH}(?=[^\s<]))(?:[^\s<>]|{_MATH})*")
_RESERVED = str.maketrans(
    {
        **{c: f"\\{c}" for c in "_%&#{}$"},
        "²": "$^2$",
        "~": r"\textasciitilde{}",
        "^": r"\^{}",
        "\\": r"\textbackslash{}",
    }
)


class Piece(NamedTuple):
    """``kind``: text, math, code, bold or link (``text`` its name, ``number`` that of the equation)."""

    kind: str
    text: str
    number: int = 0


def pieces(source: str) -> Iterator[Piece]:
    """The pieces of a paragraph, in order."""
    end = 0
    for match in _PIECE.finditer(source):
        if match.start() > end:
            yield Piece("text", source[end : match.start()])
        kind = match.lastgroup or "text"
        yield Piece(kind, match[kind], int(match["number"] or 0))
        end = match.end()
    if end < len(source):
        yield Piece("text", source[end:])


def without_links(source: str) -> str:
    """The paragraph with "Eq. (n)" for links."""
    return _PIECE.sub(lambda match: f"Eq. ({match['number']})" if match["link"] else match.group(), source)


def to_html(source: str) -> str:
    """HTML of a paragraph: its text escaped, mathematics as MathML, links within the page."""
    out = []
    for kind, text, number in pieces(source):
        if kind == "math":
            out.append(mathml(text))
        elif kind == "code":  # a long name may go on in the next line
            out.append(f"<code>{html.escape(text).replace('.', '.<wbr>').replace('_', '_<wbr>')}</code>")
        elif kind == "bold":
            out.append(f"<strong>{to_html(text)}</strong>")
        elif kind == "link":
            out.append(f'<a href="#eq-{text}">Eq.&nbsp;({number})</a>')
        else:
            out.append(html.escape(text))
    return _WORD.sub(r'<span class="word">\g<0></span>', "".join(out))


def to_latex(source: str) -> str:
    """LaTeX of a paragraph: mathematics as it is, the rest without what LaTeX reserves."""
    out = []
    for kind, text, _ in pieces(source):
        if kind == "math":
            out.append(f"${text}$")
        elif kind == "code":
            name = text.translate(_RESERVED).replace(".", ".\\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")
            out.append(f"\\texttt{{{name}}}")
        elif kind == "bold":
            out.append(f"\\textbf{{{to_latex(text)}}}")
        elif kind == "link":
            out.append(f"Eq.~\\eqref{{eq:{text}}}")
        else:
            out.append(re.sub('"([^"]*)"', r"``\1''", text).translate(_RESERVED))
    return "".join(out)
