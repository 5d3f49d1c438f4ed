"""Curves over two parameters: thresholds of the spread equilibrium, changes of criticality, folds of orbits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from ..base.dataset import ShownDataset
from ..base.errors import InputError, NotLinearizable
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..nonlinear.normal import NormalForm
from ..problem.problem import Problem
from ..runs.outcome import data_radius
from .collective import locate
from .crossings import Axis, changed
from .following import Follower, OutOfWork
from .phase import AxisLike, PhaseAxis, diagram_axes

#: values of the second field at which thresholds in the first are sought
ROWS = 21
#: halvings between two rows of different criticality
HALVINGS = 7
#: rows of subcritical thresholds at which a fold is looked for
FOLDS = 7
ASSUMPTIONS = (
    "thresholds that the scan of the first field resolves",
    "criticality by the normal form of the modes that become unstable at the threshold",
    "folds of the orbits that are born subcritically, the first along each branch",
)


@dataclass(frozen=True)
class CurvePoint(Record):
    """A threshold: values of both fields; curve: its number along the first (0: smallest); bifurcation, criticality
    (None where there is no normal form), rms_amplitude, points: see nonlinear.normal."""

    first: float
    second: float
    curve: int
    bifurcation: str
    criticality: str | None
    rms_amplitude: float | None
    points: str


@dataclass(frozen=True)
class Place(Record):
    """Values of both fields, and the number of the curve that it belongs to."""

    first: float
    second: float
    curve: int


@dataclass(frozen=True)
class Curves(Record):
    """Two-parameter curves: thresholds row by row of the second field, and what changes along them.

    Attributes:
        first: path of the field in which thresholds are sought.
        second: path of the other one.
        thresholds: values of both fields, number of the curve, bifurcation and criticality of each.
        changes: where along the curves small orbits give way to a jump (values of both fields).
        folds: where orbits born subcritically turn back: between fold and threshold the spread state is stable, and so
            may an orbit be (values of both fields).
        provenance: experiment, seed and versions.
        assumptions: what is taken for granted, in words.

    Source:
        Eq. (105, centre-coefficient), Eq. (109, symmetric-pair), Eq. (112, pseudo-arclength).
    """

    KEYS = ("first", "second", "thresholds", "changes", "folds", "assumptions")
    TITLE = "thresholds in {0.first} over {0.second}"
    MORE = ".to_dict(), .to_dataset()"

    first: str
    second: str
    thresholds: tuple[CurvePoint, ...]
    changes: tuple[Place, ...]
    folds: tuple[Place, ...]
    provenance: dict[str, Any] = field(repr=False)
    assumptions: tuple[str, ...] = ASSUMPTIONS

    @property
    def remarks(self) -> tuple[str, ...]:
        """How many of each there are."""
        return (
            f"changes of criticality: {len(self.changes)}",
            f"folds of orbits: {len(self.folds)}",
        )

    def grid(self) -> tuple[list[str], list[list[Any]]]:
        head = [self.first, self.second, "curve", "bifurcation", "criticality", "particles of one point"]
        return head, [
            [p.first, p.second, p.curve, p.bifurcation, p.criticality or "-", p.points or "-"] for p in self.thresholds
        ]

    def _shown(self, data: Mapping[str, Any]) -> Sequence[str]:
        return ("thresholds",)

    def to_dataset(self) -> xr.Dataset:
        """Values of both fields and the curve's number over the dimensions (threshold), (change) and (fold), in the
        fields' units; criticality and bifurcation over (threshold).
        """
        data: dict[str, Any] = {}
        for dim, rows, what in (
            ("threshold", self.thresholds, "a threshold"),
            ("change", self.changes, "a change of criticality"),
            ("fold", self.folds, "a fold of orbits"),
        ):
            for key, path in (("first", self.first), ("second", self.second)):
                about = {"long_name": f"{path} of {what}", "units": "1"}
                data[f"{dim}_{key}"] = dim, np.array([getattr(r, key) for r in rows], dtype=float), about
            data[f"{dim}_curve"] = (
                dim,
                np.array([r.curve for r in rows], dtype=int),
                {"long_name": "number", "units": "1"},
            )
        kinds = np.array([p.criticality or "unknown" for p in self.thresholds], dtype=str)
        data["threshold_criticality"] = "threshold", kinds
        data["threshold_bifurcation"] = "threshold", np.array([p.bifurcation for p in self.thresholds], dtype=str)
        attrs = {**self.provenance, "curve_assumptions": "; ".join(self.assumptions)}
        return ShownDataset(data, attrs=attrs)


@takes_experiment
def curves(
    exp: Experiment,
    first: AxisLike,
    second: AxisLike,
    *,
    rows: int = ROWS,
    folds: int = FOLDS,
    work: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Curves:
    """Thresholds in the first field at ``rows`` values of the second, with their normal forms; the change of
    criticality between rows by halving; and the first fold of the orbits at up to ``folds`` of the subcritical rows.

    Args:
        first: "PATH=LOW:HIGH:POINTS[:log]" or a tuple of these, a real-valued field.
        second: likewise.
        work: most work for the orbits whose folds are sought, counted as in ``eg.branch``; the assumptions say where it
            did not suffice. None: no limit.
        progress: called with (what, done, total).

    Returns:
        Thresholds, changes and folds; ``eg.plot.phase`` draws them over a phase diagram.

    Units:
        Each field's own.

    Raises:
        InputError: a bad axis, equal ones, or a first field of whole numbers.

    Source:
        Eq. (105, centre-coefficient), Eq. (109, symmetric-pair), Eq. (112, pseudo-arclength).
    """
    axes = diagram_axes(exp, first, second)
    across = _axis(exp, axes[0])
    found: list[tuple[CurvePoint, NormalForm | None]] = []
    values = axes[1].coarser(rows).values
    for i, value in enumerate(values):
        found += _row(exp, across, axes[1].path, value)
        if progress is not None:
            progress("threshold curves", i + 1, len(values))
    points = [p for p, _ in found]
    changes = _changes(exp, across, axes[1], values, points)
    turned, notes = _folds(exp, across, axes[1].path, found, folds, work, progress)
    return Curves(
        axes[0].path, axes[1].path, tuple(points), changes, turned, provenance(exp), (*ASSUMPTIONS, *notes)
    )  # fmt: skip


def _axis(exp: Experiment, axis: PhaseAxis) -> Axis:
    if not isinstance(exp.get(axis.path), float):
        raise InputError(f"vary {axis.path}", "be a real-valued field on the first axis of curves", "whole numbers")
    return Axis(axis.path, axis.values[0], axis.values[-1], axis.log)


def _row(exp: Experiment, across: Axis, path: str, value: float) -> list[tuple[CurvePoint, NormalForm | None]]:
    """Thresholds at one value of the second field, each with the form that decides; none where there is no
    experiment."""
    member = changed(exp, {path: value})
    if member is None:
        return []
    try:
        found = locate(member, across.path, across.low, across.high)
    except NotLinearizable:
        return []
    out = []
    for curve, (at, forms) in enumerate(zip(found.values, found.normal_forms, strict=True)):
        form = forms[0] if forms else None
        known = form is not None and form.criticality is not None
        point = CurvePoint(
            at, value, curve, form.bifurcation if form else "", form.criticality if known and form else None,
            form.rms_amplitude if known and form else None, form.points if form else "",
        )  # fmt: skip
        out.append((point, form if known else None))
    return out


def _changes(
    exp: Experiment, across: Axis, second: PhaseAxis, values: Sequence[float], points: Sequence[CurvePoint]
) -> tuple[Place, ...]:
    """Between neighbouring rows whose thresholds of one number differ in criticality."""
    scale = Axis(second.path, values[0], values[-1], second.log)
    out = []
    for curve in sorted({p.curve for p in points}):
        on = {p.second: p for p in points if p.curve == curve and p.criticality is not None}
        for low, high in pairwise(values):
            if low not in on or high not in on or on[low].criticality == on[high].criticality:
                continue
            a, b = on[low], on[high]
            for _ in range(HALVINGS):
                middle = scale.from_scale((scale.to_scale(a.second) + scale.to_scale(b.second)) / 2)
                new = [p for p, _ in _row(exp, across, second.path, middle) if p.curve == curve and p.criticality]
                if not new:
                    break
                a, b = (new[0], b) if new[0].criticality == a.criticality else (a, new[0])
            out.append(Place((a.first + b.first) / 2, (a.second + b.second) / 2, curve))
    return tuple(out)


def _folds(
    exp: Experiment, across: Axis, path: str, found: Sequence[tuple[CurvePoint, NormalForm | None]], most: int,
    work: float | None, progress: Callable[[str, int, int], None] | None,
) -> tuple[tuple[Place, ...], tuple[str, ...]]:  # fmt: skip
    """The first fold of the branch that leaves a subcritical threshold; and in words where the work did not suffice."""
    candidates = [
        (p, f)
        for p, f in found
        if f is not None and p.criticality == "subcritical" and f.bifurcation != "transcritical"
    ]
    chosen = sorted({int(i) for i in np.rint(np.linspace(0, len(candidates) - 1, min(most, len(candidates))))})
    out: list[Place] = []
    for done, i in enumerate(chosen):
        point, form = candidates[i]
        member = exp.replace({path: point.second})
        follower = Follower(Problem(member), across, data_radius(member) or member.discriminator.length_scale, work)
        try:
            value = follower.first_fold(form)
        except OutOfWork:
            note = f"folds looked for at {done} of {len(chosen)} subcritical thresholds: more would be too much work"
            return tuple(out), (note,)
        work = None if work is None else work - follower.spent
        if value is not None:
            out.append(Place(value, point.second, point.curve))
        if progress is not None:
            progress("folds of orbits", done + 1, len(chosen))
    return tuple(out), ()


__all__ = ["CurvePoint", "Curves", "Place", "curves"]
