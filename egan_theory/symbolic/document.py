"""A derivation as data (steps, equations, tables) and its two printed forms: Markdown and LaTeX.

Text in titles, explanations, assumptions and cells may hold $...$ mathematics and is otherwise plain (no markup, none
of the characters LaTeX reserves), so that one text serves both forms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from .linearize import symbols

#: Widest right-hand side, in printed characters, before a sum is broken into lines.
WIDTH = 62

_NAMES = {
    "lambda'": r"\lambda'",
    "nu'": r"\nu'",
    "K_k": "K_k",
    "m_v": "m_v",
    "D_*": "D_*",
    "f": "(D-D_*)",
    "G2": r"\lVert\nabla D\rVert^{2}",
    "W2": r"\lVert w\rVert^{2}",
}


def tex(expression: Any) -> str:
    """LaTeX of a SymPy object; strings are LaTeX already."""
    if isinstance(expression, str):
        return expression
    expression = sp.sympify(expression)
    expression = expression.subs(symbols.w2, sp.Symbol("omega", positive=True) ** 2)
    names = {symbol: _NAMES[symbol.name] for symbol in expression.free_symbols if symbol.name in _NAMES}
    return sp.latex(expression, symbol_names=names)


def _printed_width(latex: str) -> int:
    """Rough width: commands count as one character, braces and exponents as none."""
    width, i = 0, 0
    while i < len(latex):
        if latex[i] == "\\":
            i += 1
            while i < len(latex) and latex[i].isalpha():
                i += 1
            width += 1
        else:
            width += latex[i] not in "{}^_ "
            i += 1
    return width


def _pieces(expression: Any) -> list[str]:
    """Summands in LaTeX, each with its sign except a leading plus; polynomials by falling powers."""
    if isinstance(expression, sp.Poly):
        z, summands = expression.gens[0], []
        for (power,), coefficient in expression.terms():
            power_of_z, coefficient = tex(z**power), sp.factor(coefficient)
            factor = tex(coefficient) if not coefficient.is_Add else rf"\left({tex(coefficient)}\right)"
            factor = factor if power == 0 else "" if coefficient == 1 else factor
            summands.append(tex(coefficient) if power == 0 else f"{factor} {power_of_z}".strip())
    elif isinstance(expression, sp.Add):
        summands = [tex(term) for term in expression.as_ordered_terms()]
    else:
        return [tex(expression)]
    return [summands[0], *(s if s.startswith("-") else f"+ {s}" for s in summands[1:])]


def polynomial(poly: sp.Poly) -> str:
    """LaTeX of a polynomial in one line, by falling powers."""
    return " ".join(_pieces(poly))


def _sum_lines(expression: Any) -> list[str]:
    """LaTeX of an expression, a long sum broken into lines of at most WIDTH (or one term)."""
    lines: list[str] = []
    for piece in _pieces(expression):
        if lines and _printed_width(f"{lines[-1]} {piece}") <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


@dataclass(frozen=True)
class Equation:
    """lhs relation rhs; each side a SymPy object (the right one may be a polynomial) or LaTeX."""

    lhs: Any
    rhs: Any
    relation: str = "="

    def rows(self) -> str:
        """Rows of an aligned environment, without the final line break."""
        first, *rest = _sum_lines(self.rhs)
        rows = [f"{tex(self.lhs)} &{self.relation} {first}", *(rf"&\quad {line}" for line in rest)]
        return " \\\\\n".join(rows)


@dataclass(frozen=True)
class Table:
    """A table of text cells (mathematics in $...$)."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_markdown(self) -> str:
        lines = [self.header, tuple("---" for _ in self.header), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)

    def to_latex(self) -> str:
        body = " \\\\\n".join(" & ".join(line) for line in self.rows)
        return (  # one that is wider than the text is made to fit
            "\\begin{center}\n\\footnotesize\n\\renewcommand{\\arraystretch}{1.5}\n"
            "\\resizebox{\\ifdim\\width>\\linewidth \\linewidth\\else\\width\\fi}{!}{%\n"
            f"\\begin{{tabular}}{{{'l' * len(self.header)}}}\n\\hline\n{' & '.join(self.header)} \\\\\n\\hline\n"
            f"{body} \\\\\n\\hline\n\\end{{tabular}}}}\n\\end{{center}}"
        )


@dataclass(frozen=True)
class Step:
    """One step: what is done, under which assumptions, and the equations it arrives at."""

    title: str
    explanation: str
    assumptions: tuple[str, ...] = ()
    equations: tuple[Equation, ...] = ()
    tables: tuple[Table, ...] = ()

    def _aligned(self) -> str:
        return " \\\\\n".join(equation.rows() for equation in self.equations)

    def to_markdown(self, number: int) -> str:
        parts = [f"## {number}. {self.title}", self.explanation]
        if self.assumptions:
            parts.append("Assumptions:\n\n" + "\n".join(f"- {a}" for a in self.assumptions))
        parts += [table.to_markdown() for table in self.tables]
        if self.equations:
            parts.append("$$\n\\begin{aligned}\n" + self._aligned() + "\n\\end{aligned}\n$$")
        return "\n\n".join(parts)

    def to_latex(self) -> str:
        parts = [f"\\section{{{self.title}}}", self.explanation]
        if self.assumptions:
            items = "\n".join(f"\\item {a}" for a in self.assumptions)
            parts.append(f"Assumptions:\n\\begin{{itemize}}\n{items}\n\\end{{itemize}}")
        parts += [table.to_latex() for table in self.tables]
        if self.equations:
            parts.append("\\begin{align*}\n" + self._aligned() + "\n\\end{align*}")
        return "\n\n".join(parts)


@dataclass(frozen=True)
class Derivation:
    """The ordered steps from the model to its predictions. Printed by ``to_markdown`` and ``to_latex``."""

    title: str
    steps: tuple[Step, ...]
    sources: tuple[str, ...] = field(default=())

    def to_markdown(self) -> str:
        """Markdown with $$...$$ mathematics."""
        parts = [f"# {self.title}", *(step.to_markdown(i) for i, step in enumerate(self.steps, 1))]
        parts.append("## Sources\n\n" + "\n".join(f"- {source}" for source in self.sources))
        return "\n\n".join(parts) + "\n"

    def to_latex(self) -> str:
        """A complete LaTeX document; needs the packages amsmath and graphicx."""
        sources = "\n".join(f"\\item {source}" for source in self.sources)
        return "\n\n".join(
            [
                "\\documentclass[11pt]{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage{amsmath}\n\\usepackage{graphicx}\n"
                "\\setlength{\\textwidth}{17.5cm}\n\\setlength{\\oddsidemargin}{-0.8cm}\n\\allowdisplaybreaks\n"
                f"\\title{{{self.title}}}\n\\author{{}}\n\\date{{}}",
                "\\begin{document}\n\\maketitle",
                *(step.to_latex() for step in self.steps),
                f"\\section*{{Sources}}\n\\begin{{itemize}}\n{sources}\n\\end{{itemize}}",
                "\\end{document}\n",
            ]
        )
