"""What a monitored training says: of every analysis its numbers, and of the latest one, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..base.table import Column, Record, Table
from ..games.modes import TROUBLE
from ..games.words import multiplier as shown
from ..runs.reading import open_runs
from ..runs.schema import ATTRS, decoded, validate_runs
from .words import UNIT, kind_of, remarks


@dataclass(frozen=True)
class Analysis(Record):
    """One analysis: the step, the multiplier of largest modulus with its kind (of a conjugate pair the one with im >=
    0), its residual and the discriminator's part of it; cosines of the path; the kernel numbers with their share; R1
    strengths set, advised and at the edge of stability; losses. None where not measured."""

    step: float
    re: float | None
    im: float | None
    kind: str | None
    residual: float | None
    share_D: float | None
    path_angle: float | None
    path_angle_start: float | None
    path_angle_beyond: float | None
    kernel_g1: float | None
    kernel_g2: float | None
    kernel_share: float | None
    strength_r1: float | None
    strength_advised: float | None
    strength_edge: float | None
    loss_discriminator: float | None
    loss_generator: float | None

    @property
    def multiplier(self) -> complex | None:
        return None if self.re is None or self.im is None else complex(self.re, self.im)


@dataclass(frozen=True)
class Monitored(Table):
    """A monitored training: its analyses, what the latest says (``remarks``), and what all of them cost.

    Attributes:
        analyses: one row each: largest multiplier, path angle, kernel numbers, strengths, losses.
        status: of the run file.
        last: [steps] the last one recorded.
        overhead: [1] time of the analyses over that of the training.
        kinds: [1] how many multipliers of each kind the latest analysis found.
        failures: analyses that failed, as "steps: why".
        remarks: what the latest says, in words.
        asked: settings of the Monitor.
        units: of the numbers that the JSON form holds, by key.

    Source:
        What ``eg.Monitor`` recorded, and the papers named there.
    """

    TITLE: ClassVar[str] = "monitored training, {0.status}, last step {0.last:g}"
    DIM: ClassVar[str] = "analysis"
    ROWS: ClassVar[str] = "analyses"
    NAME: ClassVar[str] = "step"
    KEYS: ClassVar[Sequence[str]] = (
        "status",
        "last",
        "overhead",
        "kinds",
        "analyses",
        "failures",
        "remarks",
        "asked",
        "units",
    )

    analyses: tuple[Analysis, ...]
    status: str
    last: float
    overhead: float
    kinds: dict[str, int]
    failures: tuple[str, ...]
    remarks: tuple[str, ...]
    asked: dict[str, Any]

    @property
    def kind(self) -> str | None:
        """Of the latest analysis what needs a change first, as ``remarks`` say; else that of the largest multiplier."""
        return next((name for name in TROUBLE if name in self.kinds), self.analyses[-1].kind if self.analyses else None)

    @property
    def units(self) -> dict[str, str]:
        """Unit of every number, by its key; lengths are those of the samples."""
        of = {name: ATTRS.get(name, ("", "1"))[1] for name in Analysis.__dataclass_fields__ if name != "kind"}
        return of | {
            "step": "step",
            "last": "step",
            "every": "step",
            "horizon": "step",
            "overhead": "1",
            "penalty.r1": "length^2",
        }

    def columns(self) -> Sequence[Column]:
        """What the Dataset holds of every analysis."""
        numeric = [name for name in Analysis.__dataclass_fields__ if name not in ("step", "kind")]
        return [*(Column(name, name.replace("_", " "), self.units[name]) for name in numeric), Column("kind")]

    def attrs(self) -> dict[str, Any]:
        """What holds for all analyses."""
        return {"status": self.status, "overhead": self.overhead, "remarks": "\n".join(self.remarks)}

    def grid(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Titles of columns, and a row for each analysis; what was never measured has no column."""
        head = ("step", "largest multiplier", "modulus", "kind", "path cosine", "kernel share",
                f"R1 set ({UNIT})", f"R1 advised ({UNIT})")  # fmt: skip
        rows: list[Sequence[Any]] = [
            (f"{a.step:g}", None if a.multiplier is None else shown(a.multiplier),
             None if a.multiplier is None else abs(a.multiplier), a.kind, a.path_angle, a.kernel_share, a.strength_r1,
             a.strength_advised)
            for a in self.analyses
        ]  # fmt: skip
        kept = [i for i in range(len(head)) if not rows or any(row[i] is not None for row in rows)]
        return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


def monitor(runs: xr.Dataset | str | Path, run: int = 0) -> Monitored:
    """The analyses that a ``Monitor`` recorded, and in words what the latest says.

    Args:
        runs: the dataset, or the path of the run file, finished or not.
        run: which of its runs.

    Returns:
        One row per analysis; ``eg.plot.monitor`` and ``eg.monitor_page`` show it.

    Shapes:
        runs: the run schema (egan_theory.runs.schema) with dimensions (run, time, multiplier).

    Units:
        Times in training steps, multipliers and cosines pure numbers, strengths in length^2 of the samples.

    Raises:
        InputError: runs that no Monitor recorded, or a run that is none.

    Source:
        What ``eg.Monitor`` recorded.
    """
    ds = validate_runs(runs) if isinstance(runs, xr.Dataset) else open_runs(runs)
    if "monitor_version" not in ds.attrs:
        raise InputError("runs", "be recorded by eg.Monitor", "no attribute monitor_version")
    if not 0 <= run < ds.sizes["run"]:
        raise InputError("run", f"be one of the {ds.sizes['run']} runs", run)
    ds = ds.isel(run=run)
    at = analysed(ds)
    analyses = tuple(_analysis(ds, i) for i in at)
    notes = decoded(ds.attrs, "notes")
    failures = tuple(f"{f'step {a:g}' if a == b else f'steps {a:g} to {b:g}'}: {text}" for a, b, text in notes)
    trained = _sum(ds, "training_seconds")
    overhead = _sum(ds, "monitor_seconds") / trained if trained else float("nan")
    kinds: dict[str, int] = {}
    seen = _multipliers(ds, at[-1]) if len(at) else []
    for z, residual, _ in seen:
        name = kind_of(z, residual)
        kinds[name] = kinds.get(name, 0) + 1
    last, status = float(ds["time"].values[-1]), str(ds.attrs.get("status", "unknown"))
    asked = decoded(ds.attrs, "monitor")
    words = remarks(ds, analyses, seen, status, last, overhead, notes, asked)
    return Monitored(analyses, status, last, overhead, kinds, failures, tuple(words), asked)


def analysed(ds: xr.Dataset) -> np.ndarray:
    """Samples of one run at which something was measured."""
    names = [n for n in ("multiplier_re", "path_angle", "kernel_share", "strength_advised") if n in ds]
    known = np.zeros(ds.sizes["time"], dtype=bool)
    for name in names:
        values = np.isfinite(ds[name].values)
        known |= values.any(axis=-1) if values.ndim == 2 else values
    return np.flatnonzero(known)


def _multipliers(ds: xr.Dataset, i: int) -> list[tuple[complex, float, float]]:
    """(multiplier, residual, D's part) of one sample, largest modulus first."""
    if "multiplier_re" not in ds:
        return []
    at = ds.isel(time=int(i))
    z = at["multiplier_re"].values + 1j * at["multiplier_im"].values
    nothing = np.full(len(z), np.nan)
    residual, share = (
        at[n].values if n in at else nothing for n in ("multiplier_residual", "multiplier_share")
    )  # fmt: skip
    rows = [(complex(z[k]), float(residual[k]), float(share[k])) for k in range(len(z)) if np.isfinite(z[k])]
    return sorted(rows, key=lambda row: -abs(row[0]))


def _analysis(ds: xr.Dataset, i: int) -> Analysis:
    names = [name for name in Analysis.__dataclass_fields__ if name in ds]
    values = {name: _known(ds[name].values[i]) for name in names}
    worst = next(iter(_multipliers(ds, i)), None)
    z, residual, share = worst if worst is not None else (None, None, None)
    none = dict.fromkeys(Analysis.__dataclass_fields__)
    return Analysis(**(none | values | {
        "step": float(ds["time"].values[i]), "re": None if z is None else z.real, "im": None if z is None else z.imag,
        "kind": None if z is None else kind_of(z, residual), "residual": residual, "share_D": share,
    }))  # type: ignore[arg-type]  # fmt: skip


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sum(ds: xr.Dataset, name: str) -> float:
    return float(np.nansum(ds[name].values)) if name in ds else 0.0


__all__ = ["Analysis", "Monitored", "analysed", "monitor"]
