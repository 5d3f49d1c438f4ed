"""What a bifurcation diagram holds: parts of the equilibrium, branches, their orbits, the collapsed state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from ..base.table import Column, Record, Table
from ..base.terminal import plural
from ..nonlinear.circle import Orbit
from ..tables.bifurcations import explained
from .resting import Collapsed

ASSUMPTIONS = (
    "orbits that begin at a threshold of the spread equilibrium; others, that none of them leads to, are not seen",
    "particles that share a place move together; what parts them is linear, and told apart",
    "multipliers: the leading ones, found from the slowest directions",
)
METHOD = (
    "harmonic balance on the update rule, pseudo-arclength in the parameter, Floquet multipliers by Hill's method and "
    "Newton's"
)


@dataclass(frozen=True)
class OrbitState(Record):
    """One orbit of a diagram.

    branch: its number; value: of the parameter; kind: "orbit" (an invariant circle, of a flow a limit cycle), "cycle of
    two steps" or "fixed point". rms: displacement of the particles from their places at equilibrium, root mean square
    over particles and one turn; centroid: largest distance of the centroid from its place there (lengths). period:
    steps (flow: time) of a turn, None at a fixed point; angle: radians per step. modes_kept: of the target's modes that
    have a particle at equilibrium, the share that keeps one along the orbit (runs.outcome). exponent: growth rate of
    the slowest small deviation with particles that share a place together, multiplier_re, multiplier_im: over one turn
    (fixed points: one step); stable: exponent < 0. parting: growth rate of the distance between particles that share a
    place (per step; None where none do), particles_part: > 0. fold: the branch turns back in the parameter here.
    """

    branch: int
    value: float
    kind: str
    rms: float
    centroid: float
    period: float | None
    angle: float
    modes_kept: float
    exponent: float
    multiplier_re: float
    multiplier_im: float
    stable: bool
    parting: float | None
    particles_part: bool
    fold: bool
    harmonics: int
    #: (angle, place, component) positions along the orbit
    positions: np.ndarray = field(repr=False, compare=False)
    #: states of the step map along the orbit (its value is on the scale of the axis)
    solution: Orbit = field(repr=False, compare=False)

    KEYS = (
        "branch", "value", "kind", "rms", "centroid", "period", "angle", "modes_kept", "exponent", "multiplier_re",
        "multiplier_im", "stable", "parting", "particles_part", "fold", "harmonics",
    )  # fmt: skip


@dataclass(frozen=True)
class Born(Record):
    """A branch: threshold, where it leaves the equilibrium; bifurcation, criticality, motion: of its normal form
    (nonlinear.normal); low, high: values of the parameter that it covers; folds: where it turns back; changes: (value,
    whether it is stable beyond, in the order of the branch) for every change of stability; modes_kept: along all of it;
    parts: whether particles that share a place part on its stable orbits; reason: why it ends."""

    threshold: float
    bifurcation: str
    criticality: str | None
    motion: str
    low: float | None
    high: float | None
    folds: tuple[float, ...]
    changes: tuple[tuple[float, bool], ...]
    ever_stable: bool
    modes_kept: float | None
    parts: bool
    reason: str


@dataclass(frozen=True)
class Part(Record):
    """The spread equilibrium over [low, high]; stable: None where there is none to be linearized about."""

    low: float
    high: float
    stable: bool | None


@dataclass(frozen=True)
class Branch(Table):
    """A bifurcation diagram over ``vary`` in ``range``: equilibrium, branches, their orbits, the collapsed state.

    Attributes:
        vary: path of the field that is varied.
        range: [unit of the field] lower and upper end.
        log: whether the values are spaced by factors.
        current: [unit of the field] the experiment's own value.
        unit: "step" or "time", the unit of times here.
        equilibrium: parts of the range, each with ``stable`` (None: nothing to linearize about).
        branches: where each leaves the equilibrium, its folds and changes of stability.
        orbits: rows of the Dataset, one orbit each.
        collapsed: the collapsed state at some values: exponent, radius, width.
        status: "finished", "limited" (``work`` of eg.branch was spent) or "interrupted" (then what there was until
            then).
        provenance: experiment, seed and versions.
        method: how orbits are found, in words.
        assumptions: what is taken for granted, in words.

    Source:
        Eq. (111, invariant-circle), Eq. (112, pseudo-arclength), Eq. (113, floquet).
    """

    KEYS = (
        "vary", "range", "current", "equilibrium", "branches", "orbits", "collapsed", "status", "method", "assumptions",
    )  # fmt: skip
    TITLE = "orbits in {0.vary}, {0.range[0]:.4g} to {0.range[1]:.4g}: branches {0.count}"
    DIM, ROWS, NAME = "orbit", "orbits", "value"

    vary: str
    range: tuple[float, float]
    log: bool
    current: float
    unit: str
    equilibrium: tuple[Part, ...]
    branches: tuple[Born, ...]
    orbits: tuple[OrbitState, ...]
    collapsed: tuple[Collapsed, ...]
    status: str
    provenance: dict[str, Any] = field(repr=False)
    method: str = METHOD
    assumptions: tuple[str, ...] = ASSUMPTIONS

    def columns(self) -> list[Column]:
        """What the Dataset holds of every orbit, with units."""
        rate = f"1/{self.unit}"
        return [
            Column("branch", "number of the branch", "1"),
            Column("kind"),
            Column("rms", "rms displacement of the particles over a turn", "length"),
            Column("centroid", "largest displacement of the centroid", "length"),
            Column("period", "time of one turn", self.unit),
            Column("angle", "angle of the orbit", f"rad/{self.unit}"),
            Column("modes_kept", "smallest share of modes with a particle along the orbit", "1"),
            Column("exponent", "leading Floquet exponent, particles that share a place together", rate),
            Column("multiplier_re", "real part of the leading multiplier over one turn", "1"),
            Column("multiplier_im", "imaginary part of the leading multiplier over one turn", "1"),
            Column("stable", "whether the orbit is stable, particles that share a place together", "1"),
            Column("parting", "growth rate of distances between particles that share a place", rate),
            Column("fold", "whether the branch turns back here", "1"),
        ]

    @property
    def count(self) -> int:
        """Number of branches [1]."""
        return len(self.branches)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The equilibrium, the branches and the collapsed state in words."""
        states = {True: "is stable", False: "is unstable", None: "does not exist"}
        parts = [f"{states[part.stable]} from {part.low:.4g} to {part.high:.4g}" for part in self.equilibrium]
        out = [f"the spread state {', '.join(parts)}"] if parts else []
        for i, born in enumerate(self.branches):
            kind = ", ".join(filter(None, (born.criticality, explained(born.bifurcation))))
            out.append(f"branch {i} is born at {born.threshold:.4g} ({kind})")
        if self.collapsed:
            attracts = sum(c.attracts is True for c in self.collapsed)
            out.append(f"the collapsed state attracts at {attracts} of {len(self.collapsed)} values")
        return (*out, *([] if self.status == "finished" else [f"{self.status}: what there was until then"]))

    def attrs(self) -> dict[str, Any]:
        """What holds for all orbits."""
        return {
            **self.provenance, "vary": self.vary, "log": int(self.log), "low": self.range[0], "high": self.range[1],
            "current": self.current, "status": self.status, "method": self.method,
            "assumptions": "; ".join(self.assumptions),
        }  # fmt: skip

    def to_dataset(self) -> xr.Dataset:
        """The orbits' columns over "orbit" with ``positions`` (orbit, angle_index, place, component) [length], the
        equilibrium over "part", the collapsed state over "state".
        """
        ds = super().to_dataset()
        ds["orbit"].attrs.update(long_name=self.vary, units="1")
        if self.orbits:
            dims = ("orbit", "angle_index", "place", "component")
            most = max(len(o.positions) for o in self.orbits)
            padded = [np.resize(o.positions, (most, *o.positions.shape[1:])) for o in self.orbits]
            about = {"long_name": "positions of the particles along the orbit", "units": "length"}
            ds["positions"] = dims, np.stack(padded), about
        for name, rows, keys in (
            ("part", self.equilibrium, ("low", "high", "stable")),
            ("state", self.collapsed, ("value", "exponent", "stderr", "attracts", "radius", "width")),
        ):
            for key in keys:
                values = [getattr(row, key) for row in rows]
                prefix = "equilibrium" if name == "part" else "collapsed"
                long, units = COLUMNS[f"{prefix}_{key}"]
                numbers = np.array([np.nan if v is None else float(v) for v in values])
                ds[f"{prefix}_{key}"] = name, numbers, {"long_name": long, "units": units.format(unit=self.unit)}
        return ds

    def grid(self) -> tuple[list[str], list[list[Any]]]:
        """Titles of columns with their units, and a row for each orbit."""
        rows = [
            [o.branch, o.value, o.rms, o.centroid, o.period, f"{o.exponent:.2g}",
             "fold" if o.fold else "stable" if o.stable else "unstable", o.modes_kept]
            for o in self.orbits
        ]  # fmt: skip
        name = self.vary.rpartition(".")[2]
        head = [
            "branch",
            name,
            "rms [length]",
            "centroid [length]",
            f"turn [{plural(self.unit)}]",
            f"exponent [1/{self.unit}]",
            "state",
            "modes kept",
        ]
        return head, rows


#: variables of the Dataset beside the orbits' own
COLUMNS = {
    "equilibrium_low": ("lower end of a part of the equilibrium", "1"),
    "equilibrium_high": ("upper end of a part of the equilibrium", "1"),
    "equilibrium_stable": ("whether the equilibrium is stable there (NaN: none to linearize about)", "1"),
    "collapsed_value": ("value of the parameter", "1"),
    "collapsed_exponent": ("growth rate of small displacements within the collapsed cloud", "1/{unit}"),
    "collapsed_stderr": ("standard error of the growth rate", "1/{unit}"),
    "collapsed_attracts": ("whether the collapsed state attracts (NaN: undecided, or it escapes)", "1"),
    "collapsed_radius": ("rms distance of the collapsed cloud from the target's mean", "length"),
    "collapsed_width": ("rms width of the collapsed cloud", "length"),
}


__all__ = ["ASSUMPTIONS", "METHOD", "Born", "Branch", "OrbitState", "Part"]
