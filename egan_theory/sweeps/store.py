"""A sweep's store written: made, filled batch by batch, continued after anything.

One chunk of every variable is one batch. The batch's record is written last, after all else is on the disk (see
complete.py). Nothing in the store depends on when or by how many workers it was filled: what is damaged is made anew,
the same to the byte. See runs.store for what makes it safe.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import EganError, InputError
from ..base.files import atomic, check_output_folder, remove
from ..base.signals import held
from ..runs.outcome import FLAGS
from ..runs.store import (
    COMPLETE,
    ROOT,
    add_array,
    claim,
    consolidate,
    foreign,
    fresh,
    opened,
    remove_leftovers,
    vacant,
    why,
)
from .batch import STATUS, columns, coordinates
from .complete import complete, discard_damaged, made_room, todo
from .plan import SWEEP_VERSION, Plan
from .reading import DIGEST, check_experiment, metadata_digest, open_sweep, stored_attrs

if TYPE_CHECKING:
    import xarray as xr

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
        if overwrite:
            _check_own(path)
        else:
            found = stored_attrs(path, "output", whole=not resume)
        if resume:
            check_same(found, plan, path)
        elif not overwrite:
            rule = "not be there yet (--resume continues it, --overwrite begins anew)"
            raise InputError("output", rule, f"a sweep in {path}")
    try:
        lock = claim(path, InputError("output", "not be in use", f"another process that fills {path}"))
        try:
            if overwrite or vacant(path):
                with held():
                    _create(path, plan)
            else:
                check_same(stored_attrs(path, "output", whole=False), plan, path)  # again: another may have been first
                remove_leftovers(path)
                discard_damaged(path, plan)
                _repair(path, plan)
                open_sweep(path)  # which checks its arrays
        except BaseException:
            lock.release()
            if vacant(path):
                remove(path)
            raise
    except OSError as error:
        raise EganError(f"{path}: the sweep could not be begun: {why(error)}") from None
    return lock


def _check_own(path: Path) -> None:
    """Raise InputError unless all that is in a folder is a sweep's store, damaged as it may be: nothing else is
    overwritten."""
    if not any(path.glob(f"{COMPLETE}/*.json")) and not _tells_status(path / "status" / ROOT):
        stored_attrs(path, "output", whole=False)
    if (other := foreign(path)) is not None:
        raise InputError("output", "hold nothing but the sweep that is overwritten (move the rest away)", other)


def _tells_status(file: Path) -> bool:
    """Whether it is the metadata of a sweep's array ``status``."""
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        attrs = json.loads(file.read_bytes() if file.is_file() else b"")["attributes"]
        return bool(attrs["flag_meanings"] == " ".join(STATUS))
    return False


def _create(path: Path, plan: Plan) -> None:
    """A store with every cell pending. Its attributes are written last: without them it is none."""
    group = fresh(path)
    along = coordinates(plan)
    for name, values in along.items():
        _add_coordinate(group, name, values)
    flags = {
        "status": {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)},
        "outcome": {name: value if isinstance(value, str) else value.tolist() for name, value in FLAGS.items()},
    }
    for name, column in columns(plan).items():
        shape = tuple(plan.sizes[d] for d in column.dims)
        attrs = {"long_name": column.long_name, "units": column.units, **flags.get(name, {})}
        chunks = (plan.batch, *shape[1:])
        add_array(group, name, column.dims, shape, chunks, column.dtype, column.fill, attrs, config=WRITE_ALL)
    attrs = plan.attrs | {"coordinates": " ".join(along)}
    group = consolidate(group)
    group.update_attributes(attrs | {DIGEST: metadata_digest(json.loads((path / ROOT).read_bytes()), attrs)})


def _repair(path: Path, plan: Plan) -> None:
    """What the plan alone makes, metadata and coordinates, as it was written. Only in a claimed store."""
    with tempfile.TemporaryDirectory() as name:
        new = Path(name)
        _create(new, plan)
        made = [file for file in new.rglob("*") if file.is_file()]
        made_room(path, [file.relative_to(new).as_posix() for file in made])
        for file in sorted(made, key=lambda f: f == new / ROOT):
            target, data = path / file.relative_to(new), file.read_bytes()
            if not target.exists() or target.read_bytes() != data:
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic(target, sync=True) as temporary:
                    temporary.write_bytes(data)


def _add_coordinate(group: Any, name: str, values: xr.Variable) -> None:
    chunks = (min(values.size, COORDINATE_CHUNK),)
    array = add_array(group, name, values.dims, values.shape, chunks, values.dtype, 0, values.attrs, config=WRITE_ALL)
    array[:] = values.values


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
            for name, array in self.arrays.items():
                array[cells.start : cells.stop] = values[name]
            complete(self.path, self.plan, batch)
        except OSError as error:
            left = len(todo(self.path, self.plan))
            stored = f"{self.plan.batches - left} of {self.plan.batches} batches are stored and can be read"
            raise EganError(f"{self.path}: {why(error)}; {stored}, --resume continues when there is room") from None
