"""What makes a batch of a sweep's store complete: a record of its chunks, written after them.

    <store>/complete/<batch>.json    {"final": [bytes, CRC-32], ...} of every variable's chunk

A batch without its record is pending, whatever chunks it has. One with it has every chunk, byte for byte, or is refused
when it is read, by the name of the file; ``--resume`` computes it again. Stores of the versions before had no records:
there a batch with its chunk of ``status`` has the others, too.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zarr.core.buffer import Buffer

from ..base.errors import InputError
from ..base.files import atomic, remove
from ..runs.chunks import Form
from ..runs.store import COMPLETE, Files
from .batch import columns
from .plan import Plan

_RULE = "be as it was written (--resume computes its batch again)"


def chunk(name: str, batch: int, dims: int) -> str:
    """The key of a variable's chunk, one for each batch."""
    return "/".join([name, "c", str(batch), *["0"] * (dims - 1)])


def chunks(plan: Plan, batch: int) -> dict[str, str]:
    """The keys of all of a batch's chunks, by variable."""
    return {name: chunk(name, batch, len(column.dims)) for name, column in columns(plan).items()}


def _record(path: Path, batch: int) -> Path:
    return path / COMPLETE / f"{batch}.json"


def complete(path: Path, plan: Plan, batch: int) -> None:
    """Say that all of a batch's chunks are there. Raises OSError."""
    sums = {name: _sum((path / key).read_bytes()) for name, key in chunks(plan, batch).items()}
    file = _record(path, batch)
    file.parent.mkdir(exist_ok=True)
    with atomic(file, sync=True) as temporary:
        temporary.write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")


def todo(path: Path, plan: Plan) -> list[int]:
    """The batches that are not complete."""
    return [i for i in range(plan.batches) if not _record(path, i).is_file()]


def _sum(data: Any) -> list[int]:
    view = memoryview(data)
    return [view.nbytes, zlib.crc32(view)]


class Checked(Files):
    """A sweep's store to be read: a chunk is what it was when its batch became complete, or InputError; of a batch that
    is not complete there is none."""

    #: those in batches, whether there are records, and the records read
    variables: frozenset[str]
    recorded: bool
    _sums: dict[int, dict[str, Any] | None]

    @classmethod
    def of(cls, path: Path, variables: Iterable[str], *, recorded: bool) -> Checked:
        store = cls(path, read_only=True)
        store.variables, store.recorded = frozenset(variables), recorded
        store._sums = {}
        return store

    def sums(self, batch: int) -> dict[str, Any] | None:
        """The record of a batch; None while it is pending."""
        if batch not in self._sums:
            self._sums[batch] = self._read(batch)
        return self._sums[batch]

    def _read(self, batch: int) -> dict[str, Any] | None:
        if not self.recorded:
            return {} if (self.root / chunk("status", batch, 1)).exists() else None
        file = _record(self.root, batch)
        if not os.path.lexists(file):
            return None
        self._check(file.relative_to(self.root).as_posix())
        try:
            found = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or set(found) != self.variables:
            raise InputError(str(file), _RULE, "something else")
        return found

    def _batch(self, key: str) -> int | None:
        """Whose chunk it is; None: no batch's."""
        name, *rest = key.split("/")
        if name not in self.variables or len(rest) < 2 or rest[0] != "c" or not rest[1].isdigit():
            return None
        return int(rest[1])

    def _wanted(self, key: str) -> bool:
        batch = self._batch(key)
        return batch is None or self.sums(batch) is not None

    def _judged(self, key: str, form: Form | None, data: Buffer | None) -> Buffer | None:
        batch = self._batch(key)
        sums = None if batch is None else self.sums(batch)
        if sums is not None:
            if data is None:
                raise InputError(str(self.root / key), _RULE, "it is not there")
            if self.recorded and _sum(data.as_buffer_like()) != sums[key.split("/")[0]]:
                raise InputError(str(self.root / key), _RULE, f"{len(data)} bytes that are others")
        return super()._judged(key, form, data)


def discard_damaged(path: Path, plan: Plan) -> None:
    """Make every batch pending of which a chunk is not what it was, and remove what can be none of the store's files.
    Only in a claimed store. Reads all of it."""
    for folder, folders, files in os.walk(path):
        for item in (Path(folder, name) for name in [*folders, *files]):
            if item.is_symlink() or not (item.is_file() or item.is_dir()):
                item.unlink()
    made_room(path, [f"{COMPLETE}/{batch}.json" for batch in range(plan.batches)])
    store = Checked.of(path, columns(plan), recorded=True)
    for batch in range(plan.batches):
        keys = chunks(plan, batch)
        made_room(path, keys.values())
        try:
            sums = store.sums(batch)
            whole = sums is not None and all(_sum((path / key).read_bytes()) == sums[n] for n, key in keys.items())
        except (OSError, InputError):
            whole = False
        if not whole:
            _record(path, batch).unlink(missing_ok=True)


def made_room(path: Path, keys: Iterable[str]) -> None:
    """Remove folders where files belong, and files where folders do."""
    for key in keys:
        for above in [*Path(key).parents][-2::-1]:
            if (path / above).is_file():
                (path / above).unlink()
        if (path / key).is_dir():
            remove(path / key)
