"""The agreement table: predicted against measured, with error bars."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from ..predict.spectrum import number


@dataclass(frozen=True)
class Quantity:
    """One comparison. z = (measured - predicted)/stderr; relative_error = |measured - predicted|/scale, scale the
    modulus of the eigenvalue the quantity belongs to (or |predicted|)."""

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

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "predicted": number(self.predicted),
            "measured": number(self.measured),
            "stderr": number(self.stderr),
            "z": number(self.z),
            "relative_error": number(self.relative_error),
            "units": self.units,
            "note": self.note,
        }


@dataclass(frozen=True)
class Agreement:
    """Predictions next to measurements. ``unmatched``: what could not be compared, each with its reason."""

    quantities: tuple[Quantity, ...]
    unmatched: tuple[dict[str, str], ...] = ()
    method: str = ""
    assumptions: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        return {
            "quantities": [q.to_dict() for q in self.quantities],
            "unmatched": list(self.unmatched),
            "method": self.method,
            "assumptions": list(self.assumptions),
        }

    def to_dataset(self) -> xr.Dataset:
        """The table as a Dataset over dimension ``quantity``."""
        rows = [q.to_dict() for q in self.quantities]
        names = ("predicted", "measured", "stderr", "z", "relative_error")
        data = {
            n: ("quantity", np.array([np.nan if r[n] is None else r[n] for r in rows], dtype=float),
                {"long_name": n.replace("_", " "), "units": "1" if n in ("z", "relative_error") else "see units"})
            for n in names
        }  # fmt: skip
        text = {n: ("quantity", np.array([r[n] for r in rows], dtype=str)) for n in ("units", "note")}
        return xr.Dataset(
            {**data, **text},
            coords={"quantity": [q.name for q in self.quantities]},
            attrs={
                "method": self.method,
                "assumptions": "; ".join(self.assumptions),
                "unmatched": "; ".join(f"{u['name']}: {u['reason']}" for u in self.unmatched),
            },
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{h}</th>" for h in ("quantity", "predicted", "measured", "stderr", "z", "relative error"))
        body = "".join(
            f"<tr><td>{escape(q.name)}</td><td>{q.predicted:.6g}</td><td>{q.measured:.6g}</td><td>{q.stderr:.2g}</td>"
            f"<td>{q.z:.2f}</td><td>{q.relative_error:.2g}</td></tr>"
            for q in self.quantities
        )
        rest = "".join(f"<li>{escape(u['name'])}: {escape(u['reason'])}</li>" for u in self.unmatched)
        return f"<table><tr>{head}</tr>{body}</table>" + (f"<p>not matched</p><ul>{rest}</ul>" if rest else "")
