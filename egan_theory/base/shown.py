"""How results show themselves: a few lines in a terminal, a small table in a notebook.

In a notebook colours are the page's own, so that dark themes read as well; what is long is folded. A click on a title
of a column sorts the rows by a script of the table itself; without scripts the table is as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from textwrap import shorten
from typing import Any, ClassVar

from .terminal import cell

#: of a result in a terminal: characters in a line, lines with rows or numbers
WIDTH, LINES = 100, 8
#: rows and characters of a detail that a notebook shows
ROWS, LONG = 40, 400
#: narrower a column does not get: the last one is left out instead
NARROW = 22

#: sorts the rows by the column whose title was clicked: numbers as such (an axis of signs and minus signs included)
_SORT = (
    "var h=event.target.closest('th');if(h){var t=h.closest('table'),b=t.tBodies[0],i=h.cellIndex,"
    "d=h.getAttribute('aria-sort')=='ascending'?-1:1,"
    "v=function(r){return r.cells[i].textContent.trim()},n=function(s){return parseFloat(s.replace('\u2212','-'))};"
    "Array.from(t.tHead.rows[0].cells).forEach(function(c){c.removeAttribute('aria-sort')});"
    "h.setAttribute('aria-sort',d>0?'ascending':'descending');"
    "Array.from(b.rows).sort(function(p,q){var x=v(p),y=v(q),f=n(x),g=n(y);"
    "return isNaN(f)&&isNaN(g)?d*x.localeCompare(y):isNaN(f)?1:isNaN(g)?-1:d*(f-g)})"
    ".forEach(function(r){b.appendChild(r)})}"
)
_ROW = '<th scope="row" style="text-align:left">'
_BUTTON = "all:unset;cursor:pointer;text-decoration:underline dotted"


class Shown:
    """What shows itself by its ``grid``. ``TITLE``: what it is, where {0.name} is an attribute; without one the whole
    is one line in a terminal, as befits the rows of other results."""

    TITLE: ClassVar[str] = ""
    #: what gives all of it, for the last line
    MORE: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # else a dataclass writes one that lists every field
            cls.__repr__ = next(  # type: ignore[method-assign]
                vars(c)["__repr__"] for c in cls.__mro__ if issubclass(c, Shown) and "__repr__" in vars(c)
            )

    def headline(self) -> str:
        """What it is, in a few words."""
        return self.TITLE.format(self)

    def grid(self) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Titles of columns, and rows, for readers; without titles: pairs of a name and its value."""
        raise NotImplementedError

    def _details(self) -> Mapping[str, Any]:
        """What a notebook folds."""
        return {}

    def _notes(self) -> Sequence[str]:
        """Sentences on it."""
        return tuple(getattr(self, "remarks", ()))

    def __repr__(self) -> str:
        head, rows = self.grid()
        name, title = type(self).__name__, self.headline()
        if not title:
            said = ", ".join(f"{row[0]} {said_of(row[1])}" for row in rows)
            return shorten(f"{name}({said})", WIDTH, placeholder=" …)")
        return text(f"{name}: {title}", head, list(rows), self._notes(), self.MORE)

    def _repr_html_(self) -> str:
        head, rows = self.grid()
        return html(self.headline(), head, list(rows), self._notes(), self._details())


def said_of(value: Any) -> str:
    """A value for readers: what ``cell`` says, of a list all of them, of a mapping those that are not 0."""
    if isinstance(value, Mapping):
        kept = {key: v for key, v in value.items() if v not in (0, None, "")}
        return ", ".join(f"{str(key).replace('_', ' ')} {said_of(v)}" for key, v in kept.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(said_of, value)) or "none"
    return cell(value)


def text(
    title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], notes: Sequence[str] = (), more: str = ""
) -> str:
    """At most LINES + 4 lines of WIDTH characters."""
    most = LINES - 1 if head else LINES
    cells = [list(map(said_of, row)) for row in rows[: most if len(rows) <= most else most - 1]]
    out = [_cut(title)]
    out += _aligned(head, cells, [row[: len(head)] for row in rows]) if head else _pairs(cells)
    if len(rows) > len(cells):
        out.append(f"  … {len(rows) - len(cells)} more")
    if notes:
        count = "remark" if len(notes) == 1 else f"{len(notes)} remarks, the first"
        out.append(_cut(f"  {count}: {notes[0]}"))
    if more:
        out.append(_cut(f"  more: {more}"))
    return "\n".join(out)


def _cut(line: str, width: int = WIDTH) -> str:
    line = line.replace("\n", " ")
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def _pairs(cells: Sequence[Sequence[str]]) -> list[str]:
    width = max((len(row[0]) for row in cells), default=0)
    return [_cut(f"  {row[0]:<{width}}  {'  '.join(row[1:])}") for row in cells]


def _aligned(head: Sequence[str], cells: list[list[str]], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The table: numbers to the right; long words are cut, and columns at the end left out, where it is too wide."""
    if not cells:
        return ["  none"]
    table = [list(head), *cells]
    right = [any(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in rows)
             for i in range(len(head))]  # fmt: skip
    natural = [max(len(row[i]) for row in table) for i in range(len(head))]
    while sum(min(w, NARROW) + 2 for w in natural) > WIDTH:
        natural.pop()
    widths = list(natural)
    while sum(widths) + 2 * len(widths) > WIDTH:
        widths[widths.index(max(widths))] -= 1
    return [
        ("  " + "  ".join(
            f"{_cut(row[i], w):>{w}}" if right[i] else f"{_cut(row[i], w):<{w}}" for i, w in enumerate(widths)
        )).rstrip()
        for row in table
    ]  # fmt: skip


def html(
    title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], notes: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
) -> str:  # fmt: skip
    """A table, with notes and details folded below; all text escaped."""
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    if head:
        buttons = "".join(
            f'<th scope="col"><button type="button" style="{_BUTTON}">{escape(name)}</button></th>' for name in head
        )
        top = f'<thead onclick="{escape(_SORT)}"><tr>{buttons}</tr></thead>'
        body = "".join(f"<tr>{''.join(map(_td, row))}</tr>" for row in rows[:ROWS])
    else:
        top = ""
        body = "".join(f"<tr>{_ROW}{escape(row[0])}</th>{''.join(map(_td, row[1:]))}</tr>" for row in rows)
    left = f"<p>… {len(rows) - ROWS} more rows</p>" if head and len(rows) > ROWS else ""
    named = "" if title else ' aria-label="values"'
    out = f"<table{named}>{caption}{top}<tbody>{body}</tbody></table>{left}"
    if notes:
        said = "".join(f"<p>{escape(note)}</p>" for note in notes)
        out += folded(f"{len(notes)} remark{'s' * (len(notes) > 1)}", said, seen=not rows)
    if details:
        pairs = "".join(
            f'<tr>{_ROW}{escape(key.replace("_", " "))}</th><td style="text-align:left">'
            f"{escape(shorten(said_of(value), LONG, placeholder=' …'))}</td></tr>"
            for key, value in details.items()
        )
        out += folded("details", f'<table aria-label="details"><tbody>{pairs}</tbody></table>')
    return out


def folded(summary: str, content: str, *, seen: bool = False) -> str:
    """HTML that opens at a click; ``seen``: it is open."""
    return f"<details{' open' * seen}><summary>{escape(summary)}</summary>{content}</details>"


def _td(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f'<td style="text-align:{"right" if number else "left"}">{escape(said_of(value))}</td>'


__all__ = ["Shown", "folded", "html", "said_of", "text"]
