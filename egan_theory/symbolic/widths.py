"""How wide a formula or a line of text is when printed, about: for line breaks, columns of tables and scrolling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.S)
_OPEN, _CLOSE = ("{", "(", "[", r"\left", r"\begin"), ("}", ")", "]", r"\right", r"\end")
_ENVIRONMENTS = re.compile(rf"\\(?:begin|end)\{{\w+\}}|{TOKEN.pattern}", re.S)
_NAMES = frozenset(("min", "max", "cos", "sin", "tan", "log", "exp", "arccos", "arcsin", "arctan", "lim"))
RELATIONS = frozenset(("=", "<", ">", r"\to", r"\sim", r"\le", r"\ne", r"\in", r"\ll", r"\gg", r"\propto"))
#: widths of tokens in units of the font's size; every other command is a letter
_KNOWN = {
    **dict.fromkeys(RELATIONS, 1.33),
    **dict.fromkeys(("+", "-", r"\pm", r"\otimes"), 1.2),
    **dict.fromkeys("()", 0.39),
    **dict.fromkeys("[]|,.;!'", 0.28),
    **dict.fromkeys((r"\left", r"\right", r"\Big", "&", "{", "}"), 0.0),
    r"\cdot": 0.72,
    r"\sum": 1.2,
    r"\int": 1.0,
    r"\dots": 1.2,
    r"\quad": 1.0,
    r"\qquad": 2.0,
    r"\,": 0.17,
    r"\{": 0.5,
    r"\}": 0.5,
}
_SCRIPT, _LETTER, _CAPITAL, _DIGIT, _ROOT = 0.7, 0.55, 0.75, 0.5, 0.85
_TEXT = 0.47


def nested(latex: str) -> Iterator[tuple[str, int]]:
    """The tokens of a formula, each with the number of brackets, braces and environments that it stands in."""
    depth = 0
    for token in TOKEN.findall(latex):
        depth += (token in _OPEN) - (token in _CLOSE)
        yield token, depth


def statements(latex: str) -> list[str]:
    """The equations that stand side by side in one line, apart by ``qquad``."""
    out = [""]
    for token, depth in nested(latex):
        if depth == 0 and token == r"\qquad":
            out.append("")
        else:
            out[-1] += token
    return [" ".join(part.split()) for part in out] if len(out) > 1 else [latex]


def text_width(text: str) -> float:
    """Of plain text, in units of the font's size."""
    return _TEXT * len(text)


def math_width(latex: str) -> float:
    """Of a formula in LaTeX, in units of the font's size; of the widest line of several."""
    return _line(_ENVIRONMENTS.findall(latex))


def _line(tokens: list[str]) -> float:
    """The width of tokens, which are used up; ends at a brace or environment that was not opened in them."""
    lines, cells = [], [0.0]
    script: tuple[str, float] | None = None  # an index or exponent just read: the other goes above or below it
    while tokens:
        token = tokens.pop(0)
        if token == "}" or token.startswith(r"\end{"):
            break
        if token.isspace():
            continue
        if token in ("^", "_"):
            width = _SCRIPT * _argument(tokens)
            if script is not None and script[0] != token:
                cells[-1] += max(width - script[1], 0.0)
            else:
                cells[-1] += width
            script = (token, width)
            continue
        script = None
        if token == "&":
            cells.append(0.0)
        elif token == r"\\":
            lines.append(cells)
            cells = [0.0]
        else:
            cells[-1] += _thing(token, tokens)
    lines.append(cells)
    return sum(max(column) for column in zip_longest(*lines, fillvalue=0.0))


def _argument(tokens: list[str]) -> float:
    while tokens and tokens[0].isspace():
        tokens.pop(0)
    token = tokens.pop(0) if tokens else "}"
    return _line(tokens) if token == "{" else _thing(token, tokens)


def _thing(token: str, tokens: list[str]) -> float:
    if token == "{":
        return _line(tokens)
    if token.startswith(r"\begin{"):
        return _line(tokens) + (2.0 if "matrix" in token else 0.0)
    if token == r"\frac":
        return max(_argument(tokens), _argument(tokens)) + 0.25
    if token == r"\sqrt":
        return _argument(tokens) + _ROOT
    if token in (r"\text", r"\mathrm"):
        letters = []
        while tokens and (letter := tokens.pop(0)) != "}":
            letters.append(letter)
        return text_width("".join(letters[1:]))
    if token in (r"\bar", r"\hat", r"\dot", r"\ddot", r"\mathcal"):
        return _argument(tokens)
    if token in _KNOWN:
        return _KNOWN[token]
    name = token.removeprefix("\\")
    if name in _NAMES:
        return _DIGIT * len(name) + 0.17
    return _DIGIT if token.isdigit() else _CAPITAL if name[0].isupper() else _LETTER
