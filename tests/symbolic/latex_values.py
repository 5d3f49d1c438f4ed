"""Values of LaTeX formulas: the equations of theory.md, evaluated with numbers for their symbols.

``value(latex, symbols)`` reads the mathematics of a formula, the way a reader does: a product of neighbours is a matrix
product where both are matrices, ``^\\top`` transposes, ``S^{1/2}`` of a matrix is its symmetric root, ``f(x)`` is a
call where f stands for a function. A symbol is looked up by its full name ("\\lambda'_*"), then, with indices that
have values, as an entry of its base ("p_\\ell" in p); ``ranges`` say what sums, means, integrals and extrema run over:
{index: [({names: values}, weight), ...]}, or a function of the symbols that gives such a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.linalg import expm, sqrtm

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+\.?\d*|\s+|.", re.S)
SPACING = {r"\quad", r"\,", r"\;", r"\!", r"\ ", r"\left", r"\right", r"\Big", r"\big", "~"}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    r"\exp": np.exp, r"\cos": np.cos, r"\sin": np.sin, r"\log": np.log, r"\arccos": np.arccos, r"\arcsin": np.arcsin,
}  # fmt: skip
CLOSING = {"(": ")", "[": "]", r"\{": r"\}", "{": "}"}
ACCENTS = (r"\dot", r"\ddot", r"\bar", r"\hat", r"\delta")


class Unreadable(Exception):
    """A formula that is no formula, or has a symbol without a value."""


def value(latex: str, symbols: Mapping[str, Any], ranges: Mapping[str, Any] | None = None) -> Any:
    """The number, vector or matrix that ``latex`` stands for."""
    name = normal(latex)
    if name in symbols:
        return symbols[name]
    reader = _Reader(latex, dict(symbols), ranges or {})
    out = reader.sum()
    if reader.peek():
        raise Unreadable(f"left over in {latex}: {reader.tokens[reader.at :]}")
    return out


def normal(latex: str) -> str:
    """A formula without spaces and without braces around single letters: the key of a whole side."""
    text = "".join(t for t in TOKEN.findall(latex) if not t.isspace() and t not in SPACING)
    return re.sub(r"\{([^{}])\}", r"\1", text)


class _Reader:
    def __init__(self, latex: str, symbols: dict[str, Any], ranges: Mapping[str, Any]) -> None:
        self.bars = 0  # open |
        tokens = [t for t in TOKEN.findall(latex) if not t.isspace() and t not in SPACING]
        self.tokens, self.at, self.symbols, self.ranges = tokens, 0, symbols, ranges

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise Unreadable(f"{expected or 'something'} expected, {token or 'nothing'} found in {self.tokens}")
        self.at += 1
        return token

    def group(self) -> str:
        """The text of the next {...} or of one token."""
        if self.peek() != "{":
            return self.take()
        depth, out = 0, []
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if depth == 0:
                return " ".join(out[1:])
            out.append(token)

    def inside(self, text: str) -> Any:
        return _Reader(text, self.symbols, self.ranges).whole()

    def whole(self) -> Any:
        out = self.sum()
        if self.peek():
            raise Unreadable(f"left over: {self.tokens[self.at :]}")
        return out

    # -- sums, products, powers -----------------------------------------------------------------------------------

    def sum(self) -> Any:
        negative = False
        if self.peek() in "+-" and self.peek():
            negative = self.take() == "-"
        out = self.product()
        out = -out if negative else out
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self.product()
            if (np.ndim(out) == 2 and np.ndim(term) == 0) or (np.ndim(out) == 0 and np.ndim(term) == 2):
                raise Unreadable("a number is added to a matrix")
            out = out + term if sign == "+" else out - term
        return out

    def product(self) -> Any:
        out = self.power()
        while True:
            token = self.peek()
            if token in ("", "+", "-", ")", "]", "}", r"\}", ",", r"\rVert") or (token == "|" and self.bars):
                return out
            if token == "/":
                self.take()
                other = self.power()
                out = out / other
            elif token == r"\cdot":
                self.take()
                other = self.power()
                column = np.ndim(out) == 1 or (np.ndim(out) == 2 and np.shape(out)[1] == 1)
                out = np.ravel(out) @ np.ravel(other) if column else times(out, other)
            else:
                out = times(out, self.power())

    def power(self) -> Any:
        base = self.atom()
        while self.peek() == "^":
            self.take()
            base = self.raised(base, self.group())
        return base

    def raised(self, base: Any, exponent: str) -> Any:
        if exponent == r"\top":
            return np.asarray(base).T
        n = self.inside(exponent)
        if np.ndim(base) < 2 or not isinstance(n, int | float | np.number):
            if np.ndim(n) == 2:
                return expm(n)
            return base**n
        if n == -1:
            return np.linalg.inv(base)
        if abs(n) == 0.5:
            root = np.real(sqrtm(base))
            return root if n > 0 else np.linalg.inv(root)
        return np.linalg.matrix_power(base, int(n))

    # -- atoms ----------------------------------------------------------------------------------------------------

    def atom(self) -> Any:
        token = self.peek()
        if token in ("(", "[", r"\{", "{"):
            self.take()
            out = self.sum()
            self.take(CLOSING[token])
            return out
        if token in ("|", r"\lVert"):
            self.take()
            self.bars += token == "|"
            out = self.sum()
            self.bars -= token == "|"
            self.take("|" if token == "|" else r"\rVert")
            return np.sqrt(np.sum(np.asarray(out) ** 2))
        if re.fullmatch(r"\d+\.?\d*", token):
            self.take()
            return float(token) if "." in token else int(token)
        if token in (r"\frac", r"\tfrac"):
            return self.fraction()
        if token == r"\sqrt":
            self.take()
            inner = self.inside(self.group())
            return np.emath.sqrt(inner)
        if token == r"\begin":
            return self.matrix()
        if token in (r"\sum", r"\max", r"\min", r"\int"):
            return self.over(self.take())
        if token == r"\mathrm":
            return self.named()
        if token in FUNCTIONS:
            self.take()
            return FUNCTIONS[token](self.power())
        return self.symbol()

    def fraction(self) -> Any:
        start = self.at
        self.take()
        above, below = self.group(), self.group()
        name = normal("".join(self.tokens[start : self.at]))
        if name in self.symbols:
            return self.symbols[name]
        return self.inside(above) / self.inside(below)

    def matrix(self) -> Any:
        self.take(r"\begin")
        if self.group().replace(" ", "") != "pmatrix":
            raise Unreadable("only pmatrix")
        rows: list[list[Any]] = [[]]
        text: list[str] = []
        while self.peek() != r"\end":
            token = self.take()
            if token == r"\\":
                rows[-1].append("".join(f"{t} " for t in text))
                rows.append([])
                text = []
            elif token == "&":
                rows[-1].append("".join(f"{t} " for t in text))
                text = []
            else:
                text.append(token)
        rows[-1].append("".join(f"{t} " for t in text))
        self.take(r"\end")
        self.group()
        entries = [[self.inside(entry) for entry in row] for row in rows]
        return block(entries)

    def over(self, what: str) -> Any:
        """A sum, an integral or an extremum over the range of its index, of the product that follows."""
        self.take("_")
        index = self.group().replace(" ", "")
        if index not in self.ranges:
            raise Unreadable(f"no range for {index}")
        values = self.ranges[index]
        values = values(self.symbols) if callable(values) else values
        start, terms = self.at, []
        before = dict(self.symbols)
        for names, weight in values:
            self.at = start
            self.symbols.update(names)
            terms.append((self.product(), weight))
        self.symbols.clear()
        self.symbols.update(before)
        if what in (r"\max", r"\min"):
            return max(t for t, _ in terms) if what == r"\max" else min(t for t, _ in terms)
        return sum(weight * term for term, weight in terms)

    def named(self) -> Any:
        """tr(...), E_x[...] and the d of an integral."""
        self.take()
        name = self.group().replace(" ", "")
        if name == "tr":
            return np.trace(self.power())
        if name == "d":  # of an integral: its measure is in the weights
            self.take()
            return 1
        if name == "E":
            return self.over("E")
        raise Unreadable(name)

    def symbol(self) -> Any:
        name, base, indices = self.name()
        if name in self.symbols:
            out = self.symbols[name]
        elif base in self.symbols and indices and all(i in self.symbols or i.isdigit() for i in indices):
            out = self.symbols[base][tuple(int(i) if i.isdigit() else self.symbols[i] for i in indices)]
        elif name == "e":
            return np.e
        elif name == r"\pi":
            return np.pi
        else:
            raise Unreadable(f"no value for {name}")
        if callable(out):
            opening = self.take()
            if opening not in ("(", "["):
                raise Unreadable(f"{name} is a function")
            arguments = [self.sum()]
            while self.peek() == ",":
                self.take()
                arguments.append(self.sum())
            self.take(CLOSING[opening])
            out = out(*arguments)
        return out

    def name(self) -> tuple[str, str, list[str]]:
        """(full name, name without indices, indices) of the symbol ahead, with accents and operators before it."""
        token = self.take()
        if (token.startswith("\\") and not re.fullmatch(r"\\[A-Za-z]+", token)) or not re.match(r"[\\A-Za-z']", token):
            raise Unreadable(f"{token} is no symbol")
        prefix = ""
        if token in ACCENTS and re.match(r"\\[a-zA-Z]+|[A-Za-z{]", self.peek() or " "):
            following = normal(self.group()) if self.peek() == "{" else self.take()
            joined = f"{token} {following}"
            if not any(symbol.startswith(joined) for symbol in self.symbols):  # a symbol of its own
                self.at -= 1
            else:
                token = joined
        elif token == r"\nabla":
            start, power = self.at, ""
            if self.peek() == "^":
                self.take()
                power = f"^{self.group()}"
            follows = self.peek()
            if follows == "[":
                for n in range(self.at, len(self.tokens)):
                    if self.tokens[n] == "]":
                        whole = rf"\nabla{power}{''.join(self.tokens[self.at : n + 1])}"
                        if whole in self.symbols:
                            self.at = n + 1
                            return whole, whole, []
                        break
            if rf"\nabla{power}{follows}" in self.symbols:
                self.take()
                token = rf"\nabla{power}{follows}"
            else:
                self.at = start
        elif token == r"\mathcal":
            token = rf"\mathcal {self.group()}"
        base, indices = prefix + token, []
        while self.peek() == "'":
            base += self.take()
        name = base
        if self.peek() == "_":
            self.take()
            group = self.group()
            indices = [t for t in TOKEN.findall(group) if t not in (",", " ")]
            group = group.replace(" ", "")
            while self.peek() == "'":
                base += self.take()
            name = f"{base}_{group}"
        return name, base, indices


def times(a: Any, b: Any) -> Any:
    """A product: of matrices where both are, of a matrix and a vector, by numbers."""
    if np.ndim(a) == 3:  # a Hessian of every feature, one of its indices contracted
        return (a @ b)[..., 0]
    if np.ndim(a) == 2 and np.ndim(b) >= 1:
        out = a @ b
        return out[0, 0] if out.shape == (1, 1) else out
    if np.ndim(a) == 1 and np.ndim(b) == 1:
        raise Unreadable("two vectors side by side")
    return a * b


def block(entries: list[list[Any]]) -> Any:
    """A matrix of numbers and of matrices; a 0 beside matrices fills its block."""
    rows = [next((np.shape(e)[0] for e in row if np.ndim(e) == 2), 1) for row in entries]
    columns = [next((np.shape(e)[1] for e in column if np.ndim(e) == 2), 1) for column in zip(*entries, strict=True)]
    return np.block([
        [np.broadcast_to(e, (n, m)) if np.ndim(e) < 2 else e for e, m in zip(row, columns, strict=True)]
        for row, n in zip(entries, rows, strict=True)
    ])  # fmt: skip
