"""TensorBoard: event files, of one run or of a folder of runs, read without TensorFlow.

An event file holds records (wire.py) of ``Event`` messages (tensorflow/core/util/event.proto): wall_time 1, step 2,
summary 5, session_log 7. A summary has values (core/framework/summary.proto): tag 1, simple_value 2, tensor 8, metadata
9 with the name of the plugin they are for. Read are scalars: simple values (PyTorch, TensorFlow 1) and tensors of one
real number that no plugin but "scalars" claims (TensorFlow 2, Keras); dtypes and fields of tensors: core/framework/
tensor.proto, types.proto.

A folder is a run, named by its path below the one given, and all of its event files belong to it: training that was
begun again writes another one. A session log START (PyTorch: ``SummaryWriter(purge_step=...)``) says from which step.
``SummaryWriter.add_scalars`` writes a folder for each of its curves (tag_key, holding the one tag): they are scalars
"tag/key" of the run above.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...base.errors import InputError
from .log import Choice, Format, Log, RunLog, Series, head
from .wire import Records, fields, masked, signed, varint

#: what every event file's name holds
NAME = "tfevents"
#: NumPy's types of TensorFlow's real ones
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2", 22: "<u4",
          23: "<u8"}  # fmt: skip
_BFLOAT16, _HALF = 14, 19
#: fields of a tensor that list its values: their NumPy type, None for varints
_LISTS = {5: "<f4", 6: "<f8", 7: None, 10: None, 11: None, 13: None, 16: None, 17: None}
#: forms of events that are remembered
_FORMS = 20_000
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


class _Columns:
    """The records of one tag while they are read."""

    def __init__(self) -> None:
        self.order, self.step, self.wall, self.value = array("q"), array("q"), array("d"), array("d")
        self.short = True

    def series(self) -> Series:
        kind = np.float32 if self.short else np.float64
        with np.errstate(over="ignore"):
            value = np.frombuffer(self.value, np.float64).astype(kind)
        return Series(np.array(self.order, np.int64), np.array(self.step, np.int64), value, np.array(self.wall))


class _Reader:
    """The scalars of one run's files."""

    def __init__(self) -> None:
        self.tags: dict[str, _Columns] = {}
        self.plugins: dict[str, str] = {}
        self.other: set[str] = set()
        self.restarts: list[tuple[int, float]] = []
        self.truncated = False
        self.count = 0
        # events of one scalar differ in time, step and 4 bytes only: rest of the event -> its tag, by the event's
        # length and by where those bytes are
        self._forms: dict[int, dict[int, dict[bytes, _Columns]]] = {}
        self._known = 0

    def read(self, path: Path) -> None:
        records = Records(path)
        for number, data in enumerate(records, 1):
            self.count += 1
            try:
                if not self._as_before(data):
                    self._event(data)
            except (ValueError, IndexError, struct.error) as error:
                found = f"record {number}: {error}"
                raise InputError(str(path), "hold events that can be read", found) from None
        self.truncated |= records.truncated

    def _as_before(self, data: bytes) -> bool:
        """Whether the event is a scalar in a form that was seen."""
        at, step = _begun(data)
        forms = self._forms.get(len(data) - at) if at else None
        for place, known in forms.items() if forms else ():
            value = at + place
            columns = known.get(data[at:value] + data[value + 4 :])
            if columns is not None:
                self._add(columns, step, _DOUBLE.unpack_from(data, 1)[0], _FLOAT.unpack_from(data, value)[0])
                return True
        return False

    def _add(self, columns: _Columns, step: int, wall: float, value: float) -> None:
        columns.order.append(self.count)
        columns.step.append(step)
        columns.wall.append(wall)
        columns.value.append(value)

    def _event(self, data: bytes) -> None:
        wall, step, values, restart = 0.0, 0, [], False
        for number, wire, a, b in fields(data, 0, len(data)):
            if (number, wire) == (1, 1):
                wall = _DOUBLE.unpack_from(data, a)[0]
            elif (number, wire) == (2, 0):
                step = signed(a)
            elif (number, wire) == (5, 2):
                values += [(c, d) for n, w, c, d in fields(data, a, b) if (n, w) == (1, 2)]
            elif (number, wire) == (7, 2):
                restart = any((n, w, c) == (1, 0, 1) for n, w, c, _ in fields(data, a, b))
        if restart and self.count > 1:
            self.restarts.append((self.count, step))
        for a, b in values:
            self._value(data, a, b, step, wall, len(values) == 1)

    def _value(self, data: bytes, a: int, b: int, step: int, wall: float, alone: bool) -> None:
        tag, plugin, simple, tensor = "", "", None, None
        for number, wire, c, d in fields(data, a, b):
            if (number, wire) == (1, 2):
                tag = data[c:d].decode("utf-8", "replace")
            elif (number, wire) == (2, 5):
                simple = c
            elif (number, wire) == (8, 2):
                tensor = (c, d)
            elif (number, wire) == (9, 2):
                plugin = _plugin(data, c, d)
        self.plugins[tag] = plugin = plugin or self.plugins.get(tag, "")
        if simple is not None:
            found: tuple[float, int | None, bool] | None = (_FLOAT.unpack_from(data, simple)[0], simple, True)
        elif tensor is not None and plugin in ("", "scalars"):
            found = _scalar(data, *tensor)
        else:
            found = None
        if found is None or tag.startswith("_hparams_/"):
            self.other.add(tag)
            return
        value, place, short = found
        columns = self.tags.setdefault(tag, _Columns())
        columns.short &= short
        self._add(columns, step, wall, value)
        at, _ = _begun(data)
        if alone and place is not None and at and place >= at and self._known < _FORMS:
            form = self._forms.setdefault(len(data) - at, {}).setdefault(place - at, {})
            form[data[at:place] + data[place + 4 :]] = columns
            self._known += 1


def _begun(data: bytes) -> tuple[int, int]:
    """Where the rest of an event begins that starts with its wall time, and its step; 0 for any other."""
    if len(data) < 10 or data[0] != 0x09:
        return 0, 0
    if data[9] != 0x10:
        return (9, 0) if data[9] == 0x2A else (0, 0)
    step, at = varint(data, 10, len(data))
    return (at, signed(step)) if data[at : at + 1] == b"\x2a" else (0, 0)


def _plugin(data: bytes, a: int, b: int) -> str:
    for number, wire, c, d in fields(data, a, b):
        if (number, wire) == (1, 2):
            for n, w, e, f in fields(data, c, d):
                if (n, w) == (1, 2):
                    return data[e:f].decode("utf-8", "replace")
    return ""


def _scalar(data: bytes, a: int, b: int) -> tuple[float, int | None, bool] | None:
    """The value of a tensor of one real number, where its 4 bytes are (a float32), whether float32 holds it; None for
    any other tensor."""
    kind, content, listed = 0, None, None
    for number, wire, c, d in fields(data, a, b):
        if (number, wire) == (1, 0):
            kind = c
        elif (number, wire) == (2, 2):
            if any(_size(data, e, f) != 1 for n, w, e, f in fields(data, c, d) if (n, w) == (2, 2)):
                return None
        elif (number, wire) == (4, 2):
            content = (c, d)
        elif number in _LISTS:
            listed = (number, wire, c, d)
    if kind not in _TYPES and kind != _BFLOAT16:
        return None
    if content is not None:
        if kind == _BFLOAT16:
            return None if content[1] - content[0] != 2 else (_bfloat16(data[slice(*content)]), None, True)
        values = np.frombuffer(data[slice(*content)], _TYPES[kind])
        place = content[0] if kind == 1 else None
    elif listed is not None:
        values, place = _listed(data, kind, *listed), listed[2] if kind == 1 and listed[0] == 5 else None
    else:
        return 0.0, None, True  # what is not stored is 0
    return None if len(values) != 1 else (float(values[0]), place, np.dtype(_TYPES.get(kind, "<f4")).itemsize <= 4)


def _listed(data: bytes, kind: int, number: int, wire: int, c: int, d: int) -> Any:
    dtype = _LISTS[number]
    if dtype is not None and wire in (1, 2, 5):
        return np.frombuffer(data[c:d], dtype)
    numbers = [c] if wire == 0 else list(_varints(data, c, d))
    if kind == _HALF:
        return np.array([n & 0xFFFF for n in numbers], "<u2").view("<f2")
    if kind == _BFLOAT16:
        return [_bfloat16(struct.pack("<H", n & 0xFFFF)) for n in numbers]
    return [n if kind == 23 else signed(n) for n in numbers]


def _varints(data: bytes, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = varint(data, at, end)
        yield value


def _bfloat16(two: bytes) -> float:
    return _FLOAT.unpack(b"\0\0" + two)[0]


def _size(data: bytes, a: int, b: int) -> int:
    return next((c for n, w, c, _ in fields(data, a, b) if (n, w) == (1, 0)), 0)


def _recognises(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob(f"*{NAME}*"), None) is not None
    start = head(path, 12)
    if len(start) < 12:
        return NAME in path.name
    from google_crc32c import value

    return NAME in path.name or masked(value(start[:8])) == struct.unpack("<I", start[8:])[0]


def _read(path: Path, choice: Choice) -> Log:
    if choice.step is not None:
        raise InputError("step", "not be given for TensorBoard, whose events have their step", choice.step)
    files = sorted(p for p in path.rglob(f"*{NAME}*") if p.is_file()) if path.is_dir() else [path]
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    readers: dict[Path, _Reader] = {}
    for folder, own in folders.items():
        readers[folder] = reader = _Reader()
        for file in sorted(own, key=lambda p: (_started(p), p.name)):
            reader.read(file)
    notes = _curves(readers)
    runs = []
    for folder, reader in readers.items():
        name = folder.relative_to(path).as_posix() if path.is_dir() and folder != path else path.name or "log"
        series = {tag: columns.series() for tag, columns in sorted(reader.tags.items())}
        if series:
            runs.append(RunLog(name, series, reader.restarts, reader.truncated))
    if not runs:
        raise InputError(str(path), "hold scalars", f"none in {len(files)} event file{'s' * (len(files) != 1)}")
    other = sorted(set().union(*(r.other - r.tags.keys() for r in readers.values())) - {""})
    if other:
        notes.append(f"left out, no scalars: {', '.join(other[:5])}{' and others' * (len(other) > 5)}")
    return Log(runs, notes=notes)


def _started(file: Path) -> float:
    """When a file's first event was written."""
    first = next(iter(Records(file)), b"")
    return float(_DOUBLE.unpack_from(first, 1)[0]) if len(first) >= 9 and first[0] == 0x09 else 0.0


def _curves(readers: dict[Path, _Reader]) -> list[str]:
    """Move the curves of ``add_scalars`` to the run they belong to."""
    moved = 0
    for folder, reader in list(readers.items()):
        above = readers.get(folder.parent)
        if above is None or len(reader.tags) != 1:
            continue
        (tag, columns), start = next(iter(reader.tags.items())), f"{next(iter(reader.tags)).replace('/', '_')}_"
        name = f"{tag}/{folder.name.removeprefix(start)}"
        if not folder.name.startswith(start) or name in above.tags:
            continue
        # its writer has no order in common with that of the run: by time
        above.tags[name] = columns
        columns.order = _placed(above, columns)
        above.truncated |= reader.truncated
        del readers[folder]
        moved += 1
    return [f"{moved} folders of SummaryWriter.add_scalars are scalars of the run above"] if moved else []


def _placed(above: _Reader, columns: _Columns) -> array:
    """The order of a curve's records among those of the run, by their wall times."""
    others = [c for c in above.tags.values() if c is not columns]
    if not others:
        return columns.order
    wall = np.concatenate([np.array(c.wall) for c in others])
    order = np.concatenate([np.array(c.order, np.int64) for c in others])
    by = np.argsort(wall, kind="stable")
    place = np.searchsorted(wall[by], np.array(columns.wall), side="right")
    placed = np.concatenate([[0], np.maximum.accumulate(order[by])])[place]
    return array("q", np.maximum.accumulate(placed).tolist())


FORMAT = Format("tensorboard", "TensorBoard event files", _recognises, _read)
