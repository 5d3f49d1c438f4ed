"""Bifurcation diagrams: the spread equilibrium, the orbits that take its place, and the collapsed state, along one
parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..base.table import Column, Record, Table
from ..base.terminal import plural
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..nonlinear.circle import Orbit
from ..nonlinear.normal import NormalForm
from ..problem.problem import Problem
from ..runs.outcome import covered_modes, data_radius
from .collective import locate
from .crossings import Axis, axis_of, changed, parse_range
from .following import Followed, Follower, Found, looked_at
from .margin import margins
from .resting import Collapsed, collapsed_along

ASSUMPTIONS = (
    "orbits that begin at a threshold of the spread equilibrium; others, that none of them leads to, are not seen",
    "particles that share a place move together; what parts them is linear, and told apart",
    "multipliers: the leading ones, found from the slowest directions",
)
METHOD = (
    "harmonic balance on the update rule, pseudo-arclength in the parameter, Floquet multipliers by Hill's method and "
    "Newton's"
)
KINDS = {1: "fixed point", 2: "cycle of two steps"}


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
    """A bifurcation diagram over ``vary`` in ``range``: equilibrium (parts), branches, their orbits, collapsed state.
    status: "finished" or "interrupted" (then what there was until then)."""

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
        """Of branches."""
        return len(self.branches)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The equilibrium, the branches and the collapsed state in words."""
        states = {True: "is stable", False: "is unstable", None: "does not exist"}
        parts = [f"{states[part.stable]} from {part.low:.4g} to {part.high:.4g}" for part in self.equilibrium]
        out = [f"the spread state {', '.join(parts)}"] if parts else []
        for i, born in enumerate(self.branches):
            kind = ", ".join(filter(None, (born.criticality, born.bifurcation)))
            out.append(f"branch {i} is born at {born.threshold:.4g} ({kind})")
        if self.collapsed:
            attracts = sum(c.attracts is True for c in self.collapsed)
            out.append(f"the collapsed state attracts at {attracts} of {len(self.collapsed)} values")
        return (*out, *([] if self.status == "finished" else [f"{self.status}: what there was until then"]))

    def attrs(self) -> dict[str, Any]:
        return {
            **self.provenance, "vary": self.vary, "log": int(self.log), "low": self.range[0], "high": self.range[1],
            "current": self.current, "status": self.status, "method": self.method,
            "assumptions": "; ".join(self.assumptions),
        }  # fmt: skip

    def to_dataset(self) -> xr.Dataset:
        """The orbits' columns over "orbit" with their positions, the equilibrium over "part", the collapsed state over
        "collapsed"."""
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
            "",
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


def branch(
    exp: Experiment,
    vary: str | Sequence[Any],
    low: float | None = None,
    high: float | None = None,
    *,
    at: Sequence[float] = (),
    collapsed: int = 13,
    progress: Callable[[int, int, str], None] | None = None,
) -> Branch:
    """The bifurcation diagram of an experiment over one real field: "PATH", "PATH=LOW:HIGH" or (PATH, LOW, HIGH).

    From every threshold of the spread equilibrium the orbits that are born there are followed through the range by
    pseudo-arclength, Eq. (111, invariant-circle), folds included, each with its leading Floquet multipliers,
    Eq. (113, floquet), and with whether particles that share a place part on it. ``at``: values at which orbits are
    placed exactly; ``collapsed``: values at which the collapsed state is simulated (0: not at all).
    Default range: see ``crossings.axis_of``. KeyboardInterrupt ends it early with what was found.

    Raises InputError (vary, its range, at, collapsed), NotLinearizable.
    """
    vary, low, high = parse_range(vary, low, high)
    axis = axis_of(exp, vary, low, high)
    for value in at:
        if not axis.low <= value <= axis.high:
            raise InputError("at", f"lie in the range of {vary}, {axis.low:g} to {axis.high:g}", f"{value:g}")
    if collapsed < 0:
        raise InputError("collapsed", "be at least 0 (0: the collapsed state is not simulated)", collapsed)
    problem = Problem(exp)
    problem.loss.refuse_pairs("branches of orbits")
    follower = Follower(problem, axis, data_radius(exp) or exp.discriminator.length_scale)
    branches: list[Followed] = []
    states: tuple[Collapsed, ...] = ()
    parts: tuple[Part, ...] = ()
    status = "finished"

    def told(value: float) -> None:
        if progress is not None:
            done = (value - follower.low) / (follower.high - follower.low)
            progress(round(100 * min(max(done, 0.0), 1.0)), 100, f"orbits, {axis.path} = {axis.from_scale(value):.4g}")

    try:
        found = locate(exp, axis.path, axis.low, axis.high)
        parts = _equilibrium(exp, axis, found.values)
        for form in (form for forms in found.normal_forms for form in forms):
            _add(follower, branches, form, told)
        for followed in branches:
            follower.insert(followed, at)
        if progress is not None and collapsed:
            progress(100, 100, f"the collapsed state, {collapsed} values at once")
        states = collapsed_along(exp, axis, collapsed) if collapsed else ()
    except KeyboardInterrupt:
        status = "interrupted"
    rows = [_row(exp, follower, i, found) for i, b in enumerate(branches) for found in b.found]
    return Branch(
        vary=axis.path, range=(axis.low, axis.high), log=axis.log, current=float(exp.get(axis.path)),
        unit=exp.update_rule.time_unit, equilibrium=parts,
        branches=tuple(_born(follower, b, [r for r in rows if r.branch == i]) for i, b in enumerate(branches)),
        orbits=tuple(rows), collapsed=states, status=status, provenance=provenance(exp),
    )  # fmt: skip


def _add(follower: Follower, branches: list[Followed], form: NormalForm, told: Callable[[float], None]) -> None:
    """Follow one more branch, kept unless it is one that is known."""
    if form.shape is None:
        branches.append(Followed(form, reason=form.reason))
        return
    place = len(branches)
    for followed in follower.follow(form, told):
        branches[place:] = [followed]
    if any(follower.same(known, branches[place]) for known in branches[:place]):
        branches.pop()


def _equilibrium(exp: Experiment, axis: Axis, thresholds: Sequence[float]) -> tuple[Part, ...]:
    """Stable and unstable parts between thresholds."""
    ends = [axis.low, *thresholds, axis.high]
    middles = [axis.from_scale((axis.to_scale(a) + axis.to_scale(b)) / 2) for a, b in pairwise(ends)]
    members = [changed(exp, {axis.path: value}) for value in middles]
    margin = [float("nan") if member is None else float(margins([member])[0]) for member in members]
    return tuple(
        Part(a, b, None if np.isnan(m) else bool(m <= 0)) for a, b, m in zip(ends, ends[1:], margin, strict=False)
    )


def _row(exp: Experiment, follower: Follower, number: int, found: Found) -> OrbitState:
    orbit = found.orbit
    x, home = looked_at(follower, orbit)
    shares = follower.family(orbit.value).steps.shares
    centroid = np.linalg.norm(np.einsum("m,kmd->kd", shares, x - home), axis=-1).max()
    covered = covered_modes(exp, xr.DataArray(np.concatenate([home[None], x]), dims=("time", "particle", "component")))
    kept = float(covered[1:].min() / covered[0]) if covered[0] > 0 else float("nan")
    leading, multiplier = complex(found.floquet.exponents[0]), complex(found.floquet.multipliers[0])
    return OrbitState(
        branch=number, value=float(follower.axis.from_scale(orbit.value)), kind=KINDS.get(orbit.m, "orbit"),
        rms=follower.rms(orbit), centroid=float(centroid),
        period=float(orbit.period) if orbit.m > 1 else None, angle=float(orbit.angle),
        modes_kept=kept, exponent=leading.real, multiplier_re=multiplier.real,
        multiplier_im=multiplier.imag, stable=found.floquet.stable, parting=found.parting,
        particles_part=bool(found.parting is not None and found.parting > 0), fold=found.fold,
        harmonics=orbit.harmonics, positions=x, solution=orbit,
    )  # fmt: skip


def _born(follower: Follower, followed: Followed, rows: list[OrbitState]) -> Born:
    changes = []
    plain = [r for r in rows if not r.fold]
    for a, b in pairwise(plain):
        if a.stable != b.stable:
            t = a.exponent / (a.exponent - b.exponent)
            scale = follower.axis.to_scale
            changes.append((follower.axis.from_scale(scale(a.value) * (1 - t) + scale(b.value) * t), b.stable))
    values, form = [r.value for r in rows], followed.form
    if form.exponent == 0.5 and form.at is None and rows:
        values.append(form.threshold)
    kept = [r.modes_kept for r in rows if np.isfinite(r.modes_kept)]
    return Born(
        threshold=form.threshold, bifurcation=form.bifurcation, criticality=form.criticality, motion=form.motion,
        low=min(values, default=None), high=max(values, default=None),
        folds=tuple(r.value for r in rows if r.fold), changes=tuple(changes),
        ever_stable=any(r.stable for r in plain), modes_kept=min(kept, default=None),
        parts=any(r.particles_part for r in plain if r.stable), reason=followed.reason,
    )  # fmt: skip


__all__ = ["Born", "Branch", "OrbitState", "Part", "branch"]
