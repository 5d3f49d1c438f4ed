"""The plan of a sweep: its cells, their order, and the batches they are simulated in; all of it fixed by the grid."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..base.errors import InputError, described
from ..experiment import Experiment
from ..experiment.provenance import SCHEMA_VERSION, versions
from ..predict.phase import AxisLike, PhaseAxis, parse_axes
from ..problem.field import VARIABLE
from ..runs.interval import recording_interval

#: version of the sweep store's layout
SWEEP_VERSION = "4"
#: runs simulated side by side, at most
LANES = 100
#: a sweep is cut into at least this many batches (while it has that many cells), so that workers share it evenly
PARTS = 16
#: bytes of recorded samples that one batch may hold
BATCH_BYTES = 64_000_000
#: attributes that describe a plan, with their types and what these are called
_ATTRIBUTES: dict[str, tuple[type, str]] = {
    "experiment": (str, "an experiment as TOML"),
    "axes": (list, "an array of axes"),
    "seeds": (int, "a whole number of at least 1"),
    "record": (bool, "true or false"),
    "batch": (int, "a whole number of at least 1"),
    "target_sha256": (str, "a string"),
}
#: fields that cannot be an axis, and what to use for them
NO_AXIS = {
    "run.seed": "not be an axis (seeds are given by their number)",
    "run.runs": "not be an axis (every cell has the same number of runs)",
}


@dataclass(frozen=True)
class Plan:
    """An experiment, the axes it is varied over, the number of seeds, whether trajectories are recorded, batch size.

    Cells are numbered with the seed slowest, then the fields that must be simulated one by one, then those that can be
    simulated side by side (field.VARIABLE), each in the order given. Batch i holds cells i * batch to (i+1) * batch:
    neither workers nor what is left to do change it, so that every batch is the same bytes whoever computes it.
    """

    exp: Experiment
    axes: tuple[PhaseAxis, ...]
    seeds: int
    record: bool
    batch: int

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Indices of ``axes``, slowest first."""
        return tuple(sorted(range(len(self.axes)), key=lambda i: self.axes[i].path in VARIABLE))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """(seeds, axes in their stored order)."""
        return (self.seeds, *(len(self.axes[i].values) for i in self.order))

    @property
    def cells(self) -> int:
        return math.prod(self.shape)

    @property
    def batches(self) -> int:
        return -(-self.cells // self.batch)

    def span(self, batch: int) -> range:
        """The cells of a batch."""
        return range(batch * self.batch, min((batch + 1) * self.batch, self.cells))

    def columns(self, cells: np.ndarray) -> dict[str, np.ndarray]:
        """The value of each axis, and "run.seed", at these cells."""
        seed, *at = np.unravel_index(cells, self.shape)
        out = {self.axes[i].path: np.array(self.axes[i].values)[k] for i, k in zip(self.order, at, strict=True)}
        return {a.path: out[a.path] for a in self.axes} | {"run.seed": self.exp.run.seed + seed}

    def changes(self, cell: int) -> dict[str, Any]:
        """The fields of the experiment that a cell sets."""
        return {path: column[0].item() for path, column in self.columns(np.array([cell])).items()}

    def member(self, cell: int) -> Experiment:
        """The experiment of a cell. Raises InputError where the experiment refuses these values together."""
        return self.exp.replace(self.changes(cell))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Sizes of the stored arrays, large enough for every cell."""
        exp, steps = self.exp, self.exp.run.steps
        along = {a.path: a.values for a in self.axes}
        return {
            "cell": self.cells,
            "run": exp.run.runs,
            "particle": int(max(along.get("generator.particles", [exp.generator.particles]))),
            "component": int(max(along.get("target.dimension", [exp.dimension]))),
            "time": steps // exp.run.record_every + 1,
        }

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """What the store says about itself; also the plan's form for other processes."""
        return {
            "sweep_version": SWEEP_VERSION,
            "schema_version": SCHEMA_VERSION,
            "experiment": self.exp.to_toml(),
            "target_sha256": digest(self.exp),
            "axes": [{"path": a.path, "values": list(a.values), "log": a.log} for a in self.axes],
            "seeds": self.seeds,
            "record": self.record,
            "batch": self.batch,
            "versions": _versions(),
        }

    @property
    def text(self) -> str:
        return plan_text(self.attrs)


def make_plan(
    exp: Experiment, axes: Sequence[AxisLike], *, seeds: int = 1, record: bool = False, batch: int | None = None
) -> Plan:
    """A checked plan. ``batch``: by default at most 100 runs or 64 MB of samples, and a 16th of the cells.

    Raises InputError: an axis that is none, given twice or refused; a recorded sweep over the length of its runs.
    """
    parsed = tuple(parse_axes(exp, axes))
    for i, axis in enumerate(parsed):
        if axis.path in NO_AXIS:
            raise InputError(f"vary {axis.path}", NO_AXIS[axis.path])
        if axis.path in [a.path for a in parsed[:i]]:
            raise InputError("vary", "name different fields", f"{axis.path} twice")
        if record and axis.path in ("run.steps", "run.record_every"):
            raise InputError(f"vary {axis.path}", "not be an axis of a recorded sweep (its runs share their times)")
    if not parsed and seeds < 2:
        raise InputError("vary", "name at least one field (or give more seeds than one)")
    if not 1 <= seeds <= 2**63 - exp.run.seed:
        raise InputError("seeds", "be at least 1", seeds)
    if batch is not None and batch < 1:
        raise InputError("batch", "be at least 1 cell", batch)
    plan = Plan(exp, parsed, seeds, record, batch or 1)
    if batch is not None and batch > plan.cells:
        raise InputError("batch", f"be at most the number of cells, {plan.cells}", batch)
    if batch is None:
        ends_only = not record and exp.run.start == "random"
        samples = exp.run.steps // recording_interval(exp) + 1 if ends_only else plan.sizes["time"]
        each = 8 * exp.run.runs * samples * plan.sizes["particle"] * (2 * plan.sizes["component"] + 1)
        limits = (LANES // exp.run.runs, BATCH_BYTES // each, -(-plan.cells // PARTS))
        plan = replace(plan, batch=max(1, min(limits)))
    return plan


def plan_text(attrs: Mapping[Any, Any]) -> str:
    """What ``read_plan`` reads, from the attrs of a plan or of its store."""
    return json.dumps({k: attrs.get(k) for k in _ATTRIBUTES}, default=str)


def digest(exp: Experiment) -> str:
    """Of the target's points, which a file may hold."""
    points = exp.points
    data = np.ascontiguousarray(points.coordinates).tobytes() + np.ascontiguousarray(points.weights).tobytes()
    return hashlib.sha256(data).hexdigest()


def check_points(text: str) -> None:
    """Raise InputError unless the target's points, read now, are those that the sweep was begun with."""
    data = json.loads(text)
    if digest(Experiment.from_toml_string(data["experiment"])) != data["target_sha256"]:
        raise InputError("target", "keep its points while a sweep runs", "others in its file")


@lru_cache(maxsize=4)
def read_plan(text: str) -> Plan:
    """The plan that ``Plan.text`` or the attrs of a store describe. Raises InputError for attributes that describe
    none."""
    data = json.loads(text)
    for name, (kind, words) in _ATTRIBUTES.items():
        if type(data.get(name)) is not kind or (kind is int and data[name] < 1):
            raise InputError(f"attribute {name}", f"be {words}", described(data.get(name)))
    exp = Experiment.from_toml_string(data["experiment"], "attribute experiment")
    axes = tuple(_stored_axis(exp, axis) for axis in data["axes"])
    if len({axis.path for axis in axes}) < len(axes) or any(axis.path in NO_AXIS for axis in axes):
        raise InputError("attribute axes", "name different fields that can be axes", [axis.path for axis in axes])
    return Plan(exp, axes, data["seeds"], data["record"], data["batch"])


def _stored_axis(exp: Experiment, axis: Any) -> PhaseAxis:
    rule = "hold axes of a path, values that are numbers, and log (true or false)"
    if not isinstance(axis, dict) or sorted(axis) != ["log", "path", "values"]:
        raise InputError("attribute axes", rule, described(axis))
    path, values, log = axis["path"], axis["values"], axis["log"]
    numbers = isinstance(values, list) and values and all(type(v) in (int, float) for v in values)
    if not (isinstance(path, str) and isinstance(log, bool) and numbers):
        raise InputError("attribute axes", rule, described(axis))
    current = exp.get(path)
    if type(current) not in (int, float) or (isinstance(current, int) and not all(type(v) is int for v in values)):
        raise InputError("attribute axes", f"hold numbers that {path} can be", described(values))
    return PhaseAxis(path, tuple(values), log)


@lru_cache(maxsize=1)
def _versions() -> str:
    import zarr

    return f"{versions()}, zarr {zarr.__version__}"
