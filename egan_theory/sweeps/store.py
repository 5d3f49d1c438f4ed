"""A sweep's store written: made, filled batch by batch, continued after anything.

One chunk of every variable is one batch. The batch's status is written last, after all else is on the disk: a batch is
complete when its chunk of ``status`` is there. Nothing in the store depends on when or by how many workers it was
filled. See runs.store for what makes it safe.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import EganError, InputError
from ..base.files import check_output_folder, remove
from ..runs.outcome import FLAGS
from ..runs.store import add_array, claim, consolidate, fresh, opened, remove_leftovers, vacant, why
from .batch import STATUS, columns
from .plan import SWEEP_VERSION, Plan
from .reading import check_experiment, open_sweep, stored_attrs

if TYPE_CHECKING:
    from ..base.locks import Lock

#: entries in one chunk of an axis
COORDINATE_CHUNK = 1_000_000
#: a batch is complete by the chunks it has, those of nothing but fill values among them
WRITE_ALL = {"write_empty_chunks": True}


def prepare(path: Path, plan: Plan, *, resume: bool, overwrite: bool) -> Lock:
    """Make the store, or check that the one there belongs to the plan. Returns its lock, to be released.

    Raises InputError: a store that is there without being asked for, of another experiment or grid (the field), or that
    another process fills; EganError (a full disk).
    """
    if resume and overwrite:
        raise InputError("--resume", "not be given together with --overwrite")
    check_output_folder(path)
    if not vacant(path):
        found = stored_attrs(path, "output")
        if resume:
            check_same(found, plan, path)
        elif not overwrite:
            rule = "not be there yet (--resume continues it, --overwrite begins anew)"
            raise InputError("output", rule, f"a sweep in {path}")
    try:
        held = claim(path, InputError("output", "not be in use", f"another process that fills {path}"))
        try:
            if overwrite or vacant(path):
                _create(path, plan)
            else:
                check_same(stored_attrs(path, "output"), plan, path)  # again: another one may have been there first
                open_sweep(path)  # which checks its arrays
                remove_leftovers(path)
        except BaseException:
            held.release()
            if vacant(path):
                remove(path)
            raise
    except OSError as error:
        raise EganError(f"{path}: the sweep could not be begun: {why(error)}") from None
    return held


def _create(path: Path, plan: Plan) -> None:
    """A store with every cell pending. Its attributes are written last: without them it is none."""
    group = fresh(path)
    coordinates = plan.columns(np.arange(plan.cells))
    names = {axis.path: axis.name for axis in plan.axes} | {"run.seed": "seed"}
    for field, values in coordinates.items():
        _add_coordinate(group, names[field], "cell", values, field, "1")
    if plan.record:
        values = np.arange(plan.sizes["time"]) * float(plan.exp.run.record_every)
        _add_coordinate(group, "time", "time", values, "training time", plan.exp.update_rule.time_unit)
    flags = {
        "status": {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)},
        "outcome": {name: value if isinstance(value, str) else value.tolist() for name, value in FLAGS.items()},
    }
    for name, column in columns(plan).items():
        shape = tuple(plan.sizes[d] for d in column.dims)
        attrs = {"long_name": column.long_name, "units": column.units, **flags.get(name, {})}
        chunks = (plan.batch, *shape[1:])
        add_array(group, name, column.dims, shape, chunks, column.dtype, column.fill, attrs, config=WRITE_ALL)
    coords = " ".join([*names.values(), *["time"] * plan.record])
    consolidate(group).update_attributes(plan.attrs | {"coordinates": coords})


def _add_coordinate(group: Any, name: str, dim: str, values: np.ndarray, long_name: str, unit: str) -> None:
    attrs, chunks = {"long_name": long_name, "units": unit}, (min(len(values), COORDINATE_CHUNK),)
    array = add_array(group, name, (dim,), values.shape, chunks, values.dtype, 0, attrs, config=WRITE_ALL)
    array[:] = values


def check_same(found: dict[str, Any], plan: Plan, path: Path) -> None:
    """Raise InputError naming the first field in which a store's sweep is another one than the plan's."""
    wanted = plan.attrs
    check_experiment(found, plan.exp, path)
    if found["sweep_version"] != SWEEP_VERSION:
        rule = f"have sweep_version {SWEEP_VERSION!r} to be continued (it can be read)"
        raise InputError("output", rule, repr(found["sweep_version"]))
    names = (("axes", "vary"), ("seeds", "seeds"), ("record", "record"), ("batch", "batch"), ("versions", "versions"))
    for key, field in names:
        if found[key] != wanted[key]:
            raise InputError(field, f"be that of {path}, {_axes(found[key])}", _axes(wanted[key]))


def _axes(value: Any) -> str:
    """Axes as they are given on the command line; other attributes as they are."""
    if not isinstance(value, list):
        return str(value)
    words = [f"{a['path']}={min(a['values'])}:{max(a['values'])}:{len(a['values'])}{':log' * a['log']}" for a in value]
    return " and ".join(words) or "no axis"


def todo(path: Path, plan: Plan) -> list[int]:
    """The batches that are not complete."""
    try:
        done = {int(p.name) for p in (path / "status" / "c").iterdir() if p.name.isdigit()}
    except FileNotFoundError:
        done = set()
    return [i for i in range(plan.batches) if i not in done]


class Writer:
    """Writes batches into a store."""

    def __init__(self, path: Path, plan: Plan) -> None:
        group: Any = opened(path, write=True)
        self.path, self.plan = path, plan
        self.arrays = {name: group[name].with_config(WRITE_ALL) for name in columns(plan)}

    def write(self, batch: int, values: dict[str, np.ndarray]) -> None:
        """Raises EganError, one line, when the file system refuses (a full disk)."""
        cells = self.plan.span(batch)
        try:
            for name, array in self.arrays.items():  # status is the last
                array[cells.start : cells.stop] = values[name]
        except OSError as error:
            left = len(todo(self.path, self.plan))
            stored = f"{self.plan.batches - left} of {self.plan.batches} batches are stored and can be read"
            raise EganError(f"{self.path}: {why(error)}; {stored}, --resume continues when there is room") from None
