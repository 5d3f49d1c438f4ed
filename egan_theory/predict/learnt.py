"""What is learnt when: the results of ``predict.learning``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..base.table import Column, Record, Table
from ..base.terminal import cell, plural


@dataclass(frozen=True)
class Boundary(Record):
    """Where a mechanism sets in as the kernel ratio grows from 0 to 1. values: all thresholds, ascending, and on which
    side of each it holds; at_zero: whether it holds at ratio 0 (None: no statement); reason: why it is not known."""

    values: tuple[float, ...] = ()
    sides: tuple[str, ...] = ()
    at_zero: bool | None = None
    reason: str = ""

    @property
    def value(self) -> float | None:
        """The smallest threshold."""
        return self.values[0] if self.values else None

    @property
    def words(self) -> str:
        """At which ratios it holds."""
        if self.reason:
            return "not known"
        if not self.values:
            return {True: "at every ratio", False: "at no ratio", None: "not known"}[self.at_zero]
        return ", ".join(f"{side} {cell(v)}" for side, v in zip(self.sides, self.values, strict=True))


@dataclass(frozen=True)
class KernelTimes(Record):
    """One discriminator kernel. ``own``: the experiment's. Times in steps (flow: units of time), inf: never.

    learning_time, acting_time, regime: over the wavenumbers; learnt_from, learnt_to: smallest and largest of those that
    are learnt within the run, None if none is. separating_time: learning time of the finite sample's wave that moves
    neighbours against each other, k = pi/Delta (ring: the whole waves next to it), learnt: whether within the run;
    split_time: until neighbours are told apart (predict.splitting), told_apart: whether within the run; half_content:
    the wavenumber below which half of what separates them lies (predict.frequency). unstable: ratios at which the
    spread state is unstable; collapsed: at which the collapsed state attracts (None: not asked for).
    None: the target has no two modes, or the reason in ``note``.
    """

    kernel: str
    own: bool
    learning_time: tuple[float, ...]
    acting_time: tuple[float, ...]
    regime: tuple[str, ...]
    learnt_from: float | None
    learnt_to: float | None
    separating_time: float | None
    learnt: bool | None
    split_time: float | None
    told_apart: bool | None
    half_content: float | None
    unstable: Boundary
    collapsed: Boundary | None
    note: str = ""


@dataclass(frozen=True)
class Sample(Record):
    """Waves of the finite sample, own kernel: what the target's points make of the density's curve."""

    wavenumber: tuple[float, ...] = ()
    learning_time: tuple[float, ...] = ()
    acting_time: tuple[float, ...] = ()


@dataclass(frozen=True)
class Frequency(Table):
    """The frequency principle for one experiment: what is learnt when; inf (in JSON null): never.

    Attributes:
        unit: "step" or "time", the unit of times here.
        steps: [steps; flow: time] of the run.
        ratio: [1] of the generator's kernel.
        way: "box", "density" or "sample" (predict.waves).
        distance: [length] Delta, the median distance of neighbouring modes; None on the periodic box, which has no
            modes, and of a single particle, which cannot be on two of them.
        separating_wavenumber: [1/length] pi/Delta, None where ``distance`` is.
        wavenumber: [1/length] of the kernels' rows.
        kernels: learning and acting times of each kernel over ``wavenumber``, the experiment's own first.
        sample: waves among the points (ring and grid, where the curves are the density's).
        method: how it was found, in words.
        assumptions: what is taken for granted, in words.
        provenance: experiment, seed and versions.

    Source:
        Eq. (16, dispersion), Eq. (82, response), Eq. (77, splitting-oscillator).
    """

    DIM, ROWS, NAME = "kernel", "kernels", "kernel"
    TITLE = "learning times of wavenumbers"

    unit: str
    steps: int
    ratio: float
    way: str
    distance: float | None
    separating_wavenumber: float | None
    wavenumber: tuple[float, ...]
    kernels: tuple[KernelTimes, ...]
    sample: Sample
    method: str
    assumptions: tuple[str, ...]
    provenance: dict[str, Any]

    KEYS = (
        "unit", "steps", "ratio", "way", "distance", "separating_wavenumber", "wavenumber", "kernels", "sample",
        "method", "assumptions",
    )  # fmt: skip

    @property
    def own(self) -> KernelTimes:
        """The row of the experiment's own kernel."""
        return self.kernels[0]

    def columns(self) -> list[Column]:
        """What the Dataset holds of every kernel, with units."""
        k, t = "1/length", self.unit
        return [
            Column("own", "whether it is the experiment's own kernel", "1"),
            Column("learnt_from", "smallest wavenumber learnt within the run", k),
            Column("learnt_to", "largest wavenumber learnt within the run", k),
            Column("separating_time", "learning time of the wave that separates neighbouring modes", t),
            Column("split_time", "time until neighbouring modes are told apart", t),
            Column("half_content", "wavenumber below which half of what separates neighbours lies", k),
            Column("critical_ratio", "smallest kernel ratio at which the spread state's stability changes", "1",
                   lambda row: row.unstable.value),
            Column("spread_state_unstable", of=lambda row: row.unstable.words),
            Column("collapsed_ratio", "smallest kernel ratio at which the collapsed state begins or ends to attract",
                   "1", lambda row: row.collapsed and row.collapsed.value),
            Column("note"),
        ]  # fmt: skip

    def attrs(self) -> dict[str, Any]:
        """What holds for all kernels."""
        given = {"distance": self.distance, "separating_wavenumber": self.separating_wavenumber}
        return {
            **self.provenance,
            "way": self.way,
            "method": self.method,
            "assumptions": "; ".join(self.assumptions),
            **{name: value for name, value in given.items() if value is not None},
        }

    def to_dataset(self) -> xr.Dataset:
        """The columns over the kernels; learning and acting times over (kernel, wavenumber), the finite sample's over
        ``sample_wavenumber``."""
        ds = super().to_dataset()
        described = {"learning_time": "learning time", "acting_time": "time to lose all but 1/e of a displacement"}
        for name, text in described.items():
            about = {"long_name": text, "units": self.unit}
            ds[name] = (("kernel", "wavenumber"), np.array([getattr(row, name) for row in self.kernels]), about)
            ds[f"sample_{name}"] = ("sample_wavenumber", np.array(getattr(self.sample, name)), about)
        for dim, k in (("wavenumber", self.wavenumber), ("sample_wavenumber", self.sample.wavenumber)):
            ds = ds.assign_coords({dim: (dim, np.array(k), {"long_name": "wavenumber", "units": "1/length"})})
        return ds

    def grid(self) -> tuple[list[str], list[list[Any]]]:
        unit = plural(self.unit)
        head = ["kernel", f"k learnt in {self.steps} {unit} [1/length]"]
        if self.distance is not None:
            head += [f"k = {cell(self.separating_wavenumber)} learnt [{unit}]", f"neighbours apart [{unit}]"]
        head.append("spread state unstable, ratio")
        head += ["collapsed state attracts, ratio"] if self.own.collapsed is not None else []
        rows = []
        for row in self.kernels:
            band = "none" if row.learnt_from is None else f"{cell(row.learnt_from)} to {cell(row.learnt_to)}"
            line: list[Any] = [f"{row.kernel} (own)" if row.own else row.kernel, band]
            line += [_time(row.separating_time), _time(row.split_time)] if self.distance is not None else []
            line.append(row.unstable.words)
            line += [] if row.collapsed is None else [row.collapsed.words]
            rows.append(line)
        return head, rows


def _time(value: float | None) -> Any:
    return "never" if value is not None and not np.isfinite(value) else value


__all__ = ["Boundary", "Frequency", "KernelTimes", "Sample"]
