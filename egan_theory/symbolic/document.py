"""The theory as data: sections of text, numbered equations and tables, read from Markdown and printed in three forms.

What is read is what is printed. Text may hold $...$ mathematics, `code`, **bold** and links to equations by their
names, ``[Eq. (n)](#eq-name)``; the numbers follow from the order of the equations. A block

    <!-- generated: name -->  ...  <!-- end -->

is made anew whenever it is read, from what SymPy derives and from the tables of the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from . import hypertext, inline, typeset
from .widths import nested

RELATIONS = ("=", "<", ">", r"\to", r"\sim")
_LINK = re.compile(r"\[Eq\. \(\d+\)\]\(#eq-([a-z0-9-]+)\)")
_ITEM = re.compile(
    r'<a id="eq-(?P<equation>[a-z0-9-]+)"></a>\s*\$\$\n(?P<latex>.*?)\n?\s*\\tag\{\d+\}\n\$\$'
    r"|<!-- generated: (?P<generated>[a-z-]+) -->.*?<!-- end -->"
    r"|(?P<heading>#+ [^\n]+)|(?P<table>(?:\|[^\n]*\n?)+)|(?P<bullets>(?:- [^\n]*\n?(?:  [^\n]*\n?)*)+)"
    r"|(?P<text>[^\n]+(?:\n(?!\n)[^\n]+)*)",
    re.S,
)


def split_equations(latex: str) -> list[tuple[str, str, str]]:
    """(left side, relation, right side) of every equation of a display; "a = b = c" are two of them."""
    body = re.sub(r"\\(?:begin|end)\{aligned\}", "", latex)
    pieces: list[list[str]] = [[""]]  # side, relation, side, ...
    for token, depth in nested(body):
        if depth == 0 and token in (r"\qquad", r"\\"):
            pieces.append([""])
        elif depth == 0 and token in RELATIONS:
            pieces[-1] += [token, ""]
        elif not (depth == 0 and token == "&"):
            pieces[-1][-1] += token
    joined: list[list[str]] = []
    for piece in pieces:
        if len(piece) == 1 and joined:  # a line that goes on with the one before
            joined[-1][-1] += piece[0]
        else:
            joined.append(piece)
    out = []
    for piece in joined:
        sides = [" ".join(side.split()).removesuffix(",").strip() for side in piece]
        out += [(sides[i], sides[i + 1], sides[i + 2]) for i in range(0, len(sides) - 2, 2)]
    return out


@dataclass(frozen=True)
class Text:
    """A paragraph, or a list of ``bullets``, as Markdown."""

    kind: ClassVar[str] = "text"

    source: str
    bullets: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """The bullets, or the paragraph, each in one line and without links."""
        return tuple(inline.without_links(part) for part in self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        parts = re.split(r"^- ", self.source, flags=re.M)[1:] if self.bullets else [self.source]
        return tuple(" ".join(part.split()) for part in parts)

    def to_markdown(self) -> str:
        return self.source

    def to_latex(self) -> str:
        if not self.bullets:
            return typeset.paragraph(self.source)
        return typeset.bullets(self._parts)

    def to_html(self) -> str:
        if not self.bullets:
            return f"<p>{inline.to_html(self.source)}</p>"
        return hypertext.bullets(self._parts)


@dataclass(frozen=True)
class Equation:
    """A displayed equation, or several: LaTeX under one number and one name."""

    kind: ClassVar[str] = "equation"

    name: str
    latex: str
    number: int = 0

    @property
    def parts(self) -> list[tuple[str, str, str]]:
        return split_equations(self.latex)

    def to_markdown(self) -> str:
        # one line as it is, an environment with its number behind it
        gap = "\n" if "aligned" in self.latex else " "
        return f'<a id="eq-{self.name}"></a>\n\n$$\n{self.latex}{gap}\\tag{{{self.number}}}\n$$'

    def to_latex(self) -> str:
        return typeset.equation(self.name, self.latex, self.number)

    def to_html(self) -> str:
        return hypertext.equation(self.name, self.latex, self.number)

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex} \\tag{{{self.number}}}\n$$"


@dataclass(frozen=True)
class Table:
    """A table of text cells (mathematics in $...$)."""

    kind: ClassVar[str] = "table"

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, source: str) -> Table:
        lines = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in source.strip().splitlines()]
        header, _, *rows = [tuple(cell.strip().replace(r"\|", "|") for cell in line) for line in lines]
        return cls(header, tuple(rows))

    def to_markdown(self) -> str:
        lines = [self.header, tuple("---" for _ in self.header), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)

    def to_latex(self) -> str:
        return typeset.table(self.header, self.rows)

    def to_html(self) -> str:
        return hypertext.table(self.header, self.rows)


@dataclass(frozen=True)
class Generated:
    """What is computed, under its name: an equation of that name, or a table."""

    name: str
    content: Equation | Table

    def to_markdown(self) -> str:
        return f"<!-- generated: {self.name} -->\n\n{self.content.to_markdown()}\n\n<!-- end -->"

    def to_latex(self) -> str:
        return self.content.to_latex()

    def to_html(self) -> str:
        return self.content.to_html()


Item = Text | Equation | Table | Generated


@dataclass(frozen=True)
class Step:
    """One section: its title, its depth (2 or 3), and what stands in it, in order."""

    title: str
    level: int
    items: tuple[Item, ...]

    @property
    def anchor(self) -> str:
        """The id of the section in HTML and its label in LaTeX."""
        return hypertext.anchor(self.title)

    @property
    def content(self) -> tuple[Text | Equation | Table, ...]:
        """The items, what is computed among them."""
        return tuple(item.content if isinstance(item, Generated) else item for item in self.items)

    @property
    def equations(self) -> tuple[Equation, ...]:
        return tuple(item for item in self.content if isinstance(item, Equation))

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(item for item in self.content if isinstance(item, Table))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """The list that follows "Assumed:"."""
        texts = [item for item in self.content if isinstance(item, Text)]
        after = [item for label, item in pairwise(texts) if label.source == "Assumed:"]
        return after[0].lines if after else ()

    @property
    def explanation(self) -> str:
        """All paragraphs."""
        return "\n\n".join(
            line for item in self.content if isinstance(item, Text) and not item.bullets for line in item.lines
        )

    def to_markdown(self) -> str:
        return "\n\n".join([f"{'#' * self.level} {self.title}", *(item.to_markdown() for item in self.items)])

    def to_latex(self) -> str:
        command = "section" if self.level == 2 else "subsection"
        title = f"\\{command}{{{inline.to_latex(self.title)}}}\\label{{{self.anchor}}}"
        return "\n\n".join([title, *(item.to_latex() for item in self.items)])

    def to_html(self, heading: int = 1) -> str:
        """A ``section``; ``heading`` is the level of the heading of the whole text."""
        return hypertext.section(
            self.anchor, self.title, self.level + heading - 1, [item.to_html() for item in self.items]
        )

    _repr_html_ = to_html


@dataclass(frozen=True, repr=False)
class Derivation:
    """The theory in order, and the literature, ``sources``. Printed by ``to_markdown``, ``to_latex``, ``to_html``."""

    title: str
    steps: tuple[Step, ...]
    sources: tuple[str, ...]

    @property
    def equations(self) -> dict[str, Equation]:
        """All numbered equations by name, in order."""
        return {equation.name: equation for step in self.steps for equation in step.equations}

    def to_markdown(self) -> str:
        """Markdown with $$...$$ mathematics."""
        parts = [f"# {self.title}", *(step.to_markdown() for step in self.steps)]
        parts.append("## Sources\n\n" + "\n".join(f"- {source}" for source in self.sources))
        return "\n\n".join(parts) + "\n"

    def to_latex(self) -> str:
        """A complete LaTeX document; needs the packages amsmath, geometry, array, longtable and hyperref."""
        return typeset.document(self.title, [step.to_latex() for step in self.steps], self.sources)

    def to_html(self, heading: int = 1, title: bool = True) -> str:
        """An ``article`` to be put into a page, its style with it: sections, equations as MathML, tables, links.

        Every section's heading has the id ``Step.anchor``, every equation ``eq-NAME``. ``heading`` is the level of the
        title's heading, 1 to 4, sections are below it; without ``title`` whoever makes the page writes it.
        """
        if not 1 <= heading <= 4:
            raise ValueError(f"heading must be 1 to 4, found {heading}")
        sections = [step.to_html(heading) for step in self.steps]
        sources = hypertext.section("sec-sources", "Sources", heading + 1, [hypertext.bullets(self.sources)])
        return hypertext.article(self.title if title else "", heading, [*sections, sources])

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return f"Derivation({self.title!r}: {len(self.steps)} sections, {len(self.equations)} equations)"


def read(source: str, generated: Callable[[str], Equation | Table]) -> Derivation:
    """The theory in a Markdown text; ``generated(name)`` makes what it leaves to be computed.

    Raises ValueError where an equation has no name, a link no equation, or a name is taken twice.
    """
    items = list(_items(source, generated))
    numbers: dict[str, int] = {}
    for item in items:
        one = item.content if isinstance(item, Generated) else item
        if isinstance(one, Equation):
            if one.name in numbers:
                raise ValueError(f"two equations are called {one.name}")
            numbers[one.name] = len(numbers) + 1

    def link(match: re.Match[str]) -> str:
        if match[1] not in numbers:
            raise ValueError(f"no equation is called {match[1]}")
        return f"[Eq. ({numbers[match[1]]})](#eq-{match[1]})"

    def numbered(item: Item) -> Item:
        if isinstance(item, Generated):
            content = numbered(item.content)
            assert isinstance(content, Equation | Table)
            return Generated(item.name, content)
        if isinstance(item, Equation):
            return Equation(item.name, item.latex, numbers[item.name])
        if isinstance(item, Text):
            if "$$" in item.source:
                raise ValueError(f"a displayed equation needs a name: {item.source}")
            return Text(_LINK.sub(link, item.source), item.bullets)
        return Table(item.header, tuple(tuple(_LINK.sub(link, cell) for cell in row) for row in item.rows))

    sections: list[tuple[str, int, list[Item]]] = []
    for item in items:
        if isinstance(item, str):
            marks, title = item.split(" ", 1)
            sections.append((title, len(marks), []))
        else:
            sections[-1][2].append(numbered(item))
    (title, _, _), *steps, (_, _, sources) = sections
    assert len(sources) == 1 and isinstance(sources[0], Text)
    return Derivation(title, tuple(Step(t, level, tuple(own)) for t, level, own in steps), sources[0].lines)


def _items(source: str, generated: Callable[[str], Equation | Table]) -> Iterator[Item | str]:
    """Items in order; headings as plain strings."""
    for match in _ITEM.finditer(source):
        kind = match.lastgroup
        if kind == "latex":
            yield Equation(match["equation"], match["latex"])
        elif kind == "generated":
            yield Generated(match["generated"], generated(match["generated"]))
        elif kind == "heading":
            yield match["heading"]
        elif kind == "table":
            yield Table.read(match["table"])
        else:
            assert kind is not None
            yield Text(match[kind].strip(), kind == "bullets")
