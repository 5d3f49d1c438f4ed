"""The file of a W&B run, run-ID.wandb, as it is on the disk of the machine that trained.

A head of 7 bytes (":W&B", a magic number, a version), then blocks of 32 KiB of chunks, as LevelDB's log: CRC-32 of
kind and data, size, kind (1: a record, 2, 3, 4: its first, middle and last part), data. A record is a ``Record`` of
wandb/proto/wandb_internal.proto: history 2 has items (1) of key 1 or nested_key 2 and value_json 16; run 17 has
run_id 1 and display_name 8.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...base.errors import InputError
from ...base.ram import check_size
from .rows import collected
from .table import Table
from .wire import fields

HEAD, _BLOCK = b":W&B", 32768
_CHUNK = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_offline(path: Path) -> tuple[Table, str]:
    """The history of a run, and its name. Raises InputError, which names the record."""
    name, end, titles = str(path), [False], [""]
    check_size(name, 2 * path.stat().st_size, "hold what fits in memory", "its numbers")
    try:
        columns, words, count, places = collected(_rows(path, end, titles))
    except OSError as error:
        raise InputError(name, "be a readable file", error.strerror) from None
    if not count:
        raise InputError(name, "hold a history of scalars", "none")
    table = Table(name, columns, words, count, lambda row: f"{name}, record {places[row]}", end[0])
    return table, titles[0] or path.stem.removeprefix("run-")


def _rows(path: Path, end: list[bool], titles: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for i, data in enumerate(_records(path, end), 1):
        try:
            for number, wire, a, b in fields(data, 0, len(data)):
                if (number, wire) == (2, 2):
                    yield i, dict(_item(data, c, d) for n, w, c, d in fields(data, a, b) if (n, w) == (1, 2))
                elif (number, wire) == (17, 2):
                    own = {n: data[c:d].decode("utf-8", "replace") for n, w, c, d in fields(data, a, b) if w == 2}
                    titles[0] = titles[0] or own.get(8) or own.get(1, "")
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, record {i}", "be a record of W&B", error) from None


def _item(data: bytes, a: int, b: int) -> tuple[str, Any]:
    key, nested, value = "", [], b"null"
    for number, wire, c, d in fields(data, a, b):
        if wire == 2 and number == 1:
            key = data[c:d].decode("utf-8", "replace")
        elif wire == 2 and number == 2:
            nested.append(data[c:d].decode("utf-8", "replace"))
        elif wire == 2 and number == 16:
            value = data[c:d]
    return key or ".".join(nested), json.loads(value)


def _records(path: Path, end: list[bool]) -> Iterator[bytes]:
    """The whole records; ``end`` becomes true where the last one is not."""
    parts: list[bytes] = []
    with open(path, "rb") as file:
        start = file.read(7)
        if not start.startswith(HEAD):
            raise InputError(str(path), "be a file of W&B", "another beginning")
        at = len(start)
        while True:
            if (left := _BLOCK - at % _BLOCK) < _CHUNK.size:
                at += len(file.read(left))
                continue
            head = file.read(_CHUNK.size)
            if len(head) < _CHUNK.size:
                end[0] = bool(head or parts)
                return
            crc, size, kind = _CHUNK.unpack(head)
            data = file.read(size)
            if len(data) < size or not any(head):
                end[0] = True
                return
            sound = zlib.crc32(data, zlib.crc32(head[-1:])) == crc and size <= left - _CHUNK.size
            if not sound or kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST):
                raise InputError(str(path), "hold whole records", f"a chunk at byte {at} without its checksum")
            at += _CHUNK.size + size
            parts = [data] if kind in (_WHOLE, _FIRST) else [*parts, data]
            if kind in (_WHOLE, _LAST):
                yield b"".join(parts)
                parts = []
