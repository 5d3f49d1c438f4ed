"""The agreement table: predicted against measured, with error bars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ..base.json import number
from ..base.table import Column, Record, Table


@dataclass(frozen=True)
class Quantity(Record):
    """One comparison. z = (measured - predicted)/stderr; relative_error = |measured - predicted|/scale, scale the
    modulus of the eigenvalue the quantity belongs to (or |predicted|)."""

    KEYS = ("name", "predicted", "measured", "stderr", "z", "relative_error", "units", "note")

    name: str
    predicted: float
    measured: float
    stderr: float
    scale: float
    units: str = "1"
    note: str = ""

    @property
    def z(self) -> float:
        if self.stderr > 0:
            return (self.measured - self.predicted) / self.stderr
        return 0.0 if self.measured == self.predicted else float("nan")

    @property
    def relative_error(self) -> float:
        return abs(self.measured - self.predicted) / self.scale if self.scale > 0 else float("nan")


@dataclass(frozen=True)
class Agreement(Table):
    """Predictions next to measurements. ``unmatched``: what could not be compared, each with its reason."""

    KEYS = ("quantities", "unmatched", "method", "assumptions")
    DIM, ROWS = "quantity", "quantities"
    TITLE = "predictions next to measurements"

    quantities: tuple[Quantity, ...]
    unmatched: tuple[dict[str, str], ...] = ()
    method: str = ""
    assumptions: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why the rest could not be compared."""
        return tuple(f"not matched: {u['name']}: {u['reason']}" for u in self.unmatched)

    def columns(self) -> list[Column]:
        units = dict.fromkeys(("predicted", "measured", "stderr"), "see units") | {"z": "1", "relative_error": "1"}
        numbers = [Column(n, n.replace("_", " "), unit, partial(_finite, n)) for n, unit in units.items()]
        return [*numbers, Column("units"), Column("note")]

    def attrs(self) -> dict[str, str]:
        return {
            "method": self.method,
            "assumptions": "; ".join(self.assumptions),
            "unmatched": "; ".join(f"{u['name']}: {u['reason']}" for u in self.unmatched),
        }

    def grid(self) -> tuple[list[str], list[list[Any]]]:
        head = ["quantity", "predicted", "measured", "standard error", "z", "relative error", "units"]
        rounded = ("stderr", "z", "relative_error")
        rows = [
            [q.name, q.predicted, q.measured, *(float(f"{getattr(q, n):.2g}") for n in rounded), q.units]
            for q in self.quantities
        ]
        return head, rows


def _finite(name: str, quantity: Quantity) -> float | None:
    return number(getattr(quantity, name))
