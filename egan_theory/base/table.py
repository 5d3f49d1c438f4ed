"""What results share: a result declares its fields and columns once, and has its JSON form, Dataset and tables by that.

@dataclass(frozen=True)
class Fastest(Record):
    KEYS = ("best", "rate", "method")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from .json import json_ready
from .shown import Shown
from .terminal import table

if TYPE_CHECKING:
    import xarray as xr


class Record(Shown):
    """A result, a dataclass. ``KEYS``: the attributes that its JSON form holds, in order (default: its fields);
    ``SHOWN``: those of them that it shows (default: all that are one number or word); ``UNITS``: (key, unit) of those
    that have one, where {0.name} is an attribute. ``TITLE`` is said above, its ``remarks``, if it has any, below."""

    KEYS: ClassVar[Sequence[str]] = ()
    SHOWN: ClassVar[Sequence[str]] = ()
    UNITS: ClassVar[Sequence[tuple[str, str]]] = ()
    NAMES: ClassVar[Mapping[str, str]] = {}
    MORE: ClassVar[str] = ".to_dict()"

    def to_dict(self) -> dict[str, Any]:
        """The --json form: plain Python types, None for numbers that do not exist."""
        keys = self.KEYS or [f.name for f in fields(self)]  # type: ignore[arg-type]
        return {key: json_ready(getattr(self, key)) for key in keys}

    def grid(self) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Titles of columns, and rows, for readers; here: the shown attributes and their values."""
        data = self.to_dict()
        return (), [(self._label(key), data[key]) for key in self._shown(data)]

    def _details(self) -> Mapping[str, Any]:
        """What the JSON form holds besides."""
        data = self.to_dict()
        return {key: value for key, value in data.items() if key not in (*self._shown(data), "remarks")}

    def _shown(self, data: Mapping[str, Any]) -> Sequence[str]:
        return self.SHOWN or [key for key, value in data.items() if not isinstance(value, list | dict)]

    def _label(self, key: str) -> str:
        unit = dict(self.UNITS).get(key, "").format(self)
        return self.NAMES.get(key, key.replace("_", " ")) + (f" ({unit})" if unit else "")


@dataclass(frozen=True)
class Column:
    """One thing that every row of a table has: its name in a Dataset, the row's attribute of that name or what ``of``
    makes of the row, and how it is described there; without ``units`` it is a text."""

    name: str
    long_name: str = ""
    units: str | None = None
    of: Callable[[Any], Any] | None = None

    def values(self, rows: Iterable[Any]) -> Any:
        """(rows,) array; numbers that do not exist are NaN."""
        import numpy as np

        found = [getattr(row, self.name) if self.of is None else self.of(row) for row in rows]
        if self.units is None:
            return np.array(found, dtype=str)
        return np.array([np.nan if value is None else value for value in found], dtype=float)

    @property
    def attrs(self) -> dict[str, str]:
        return {} if self.units is None else {"long_name": self.long_name, "units": self.units}


class Table(Record):
    """A result of many rows: those of the attribute ``ROWS``, one for each value of the dimension ``DIM`` of its
    Dataset, which the rows call ``NAME``."""

    DIM: ClassVar[str]
    ROWS: ClassVar[str]
    NAME: ClassVar[str] = "name"
    MORE: ClassVar[str] = ".to_dict(), .to_dataset()"

    def columns(self) -> Sequence[Column]:
        """What the Dataset holds of every row."""
        raise NotImplementedError

    def attrs(self) -> Mapping[str, Any]:
        """What holds for all rows."""
        raise NotImplementedError

    def _shown(self, data: Mapping[str, Any]) -> Sequence[str]:
        return (self.ROWS,)

    def to_dataset(self) -> xr.Dataset:
        """The columns, arrays (rows,) over dimension ``DIM``, each with its units."""
        from .dataset import ShownDataset

        rows = getattr(self, self.ROWS)
        data = {c.name: (self.DIM, c.values(rows), c.attrs) for c in self.columns()}
        return ShownDataset(data, coords={self.DIM: [getattr(row, self.NAME) for row in rows]}, attrs=self.attrs())

    def rich(self, title: str) -> Any:
        """The ``grid`` for a terminal."""
        head, rows = self.grid()
        return table(title, head, list(rows))
