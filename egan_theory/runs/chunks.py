"""What a chunk of a store may be, judged before it is inflated: a small file may announce more than any memory.

Chunks are encoded as this package has ever written them, nothing else. One that is compressed is a single frame of
Zstandard (RFC 8878, section 3.1.1) that announces the size that the array's metadata give.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from ..base.errors import InputError
from ..base.ram import check_size

#: codecs, in their order: of recordings, of recordings without checksums (as they were), of sweeps, of sweeps' texts
CODECS = (("bytes", "crc32c"), ("bytes",), ("bytes", "zstd"), ("vlen-utf8", "zstd"))
#: entries along a dimension, at most
LARGEST = 2**63 - 1
#: bytes of a text, at most
TEXT = 1000
_NUMBER = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_RULE = "be as it was written"
_FRAME = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Form:
    """Entries of an array's chunks, their bytes before the compression (of texts: at most), and the codecs."""

    entries: int
    size: int
    codecs: tuple[str, ...]

    @property
    def packed(self) -> bool:
        return "zstd" in self.codecs

    @classmethod
    def of(cls, file: str, data: dict[str, Any]) -> Form:
        """By an array's metadata, which stand in ``file``. Raises InputError for what this package does not write."""
        codecs = tuple(_name(codec) for codec in _list(data.get("codecs")))
        if codecs not in CODECS or _list(data.get("storage_transformers", [])):
            found = ", ".join(codecs) or "none"
            raise InputError(file, f"encode chunks by {' or '.join(' and '.join(c) for c in CODECS)}", found)
        grid, kind = data.get("chunk_grid"), _name(data.get("data_type"))
        sizes = grid.get("configuration", {}).get("chunk_shape") if isinstance(grid, dict) else None
        if _name(grid) != "regular" or not all(type(n) is int and 0 < n <= LARGEST for n in _list(sizes)):
            raise InputError(file, "cut arrays into regular chunks", repr(grid)[:60])
        entries, text = min(math.prod(_list(sizes)), LARGEST), codecs[0] == "vlen-utf8"
        if (kind != "string") if text else not _NUMBER.fullmatch(kind):
            raise InputError(file, "hold numbers or texts", repr(kind)[:60])
        each = 4 + TEXT if text else 1 if kind == "bool" else int(kind.lstrip("uintfloa")) // 8
        check_size(file, entries * each, "cut arrays into chunks that fit in memory", "one")
        return cls(entries, entries * each + (4 if text else 0), codecs)

    def check_stored(self, file: str, stored: int) -> None:
        """Raise InputError for a file of more bytes than such a chunk can have."""
        most = self.size + (4 if "crc32c" in self.codecs else 0)
        if self.packed:
            most += most // 128 + 1024  # what cannot be compressed grows by less
        if stored > most:
            raise InputError(file, _RULE, f"{stored} bytes, where at most {most} belong")

    def check(self, file: str, data: bytes) -> None:
        """Raise InputError for a compressed chunk that would be inflated to what is none of the array."""
        size, end = announced(data)
        if end != len(data) or size is None:
            raise InputError(file, _RULE, "other data than one frame of Zstandard that tells its size")
        if size > self.size if self.codecs[0] == "vlen-utf8" else size != self.size:
            raise InputError(file, _RULE, f"{size} bytes when inflated, where {self.size} belong")
        if self.codecs[0] == "vlen-utf8":
            from numcodecs import Zstd

            try:
                many = int.from_bytes(bytes(Zstd().decode(data))[:4], "little")
            except RuntimeError as error:
                raise InputError(file, _RULE, error) from None
            if many != self.entries:  # which are made before one of them is read
                raise InputError(file, _RULE, f"{many} texts, where {self.entries} belong")


def announced(data: bytes) -> tuple[int | None, int]:
    """What the frame of Zstandard at the beginning announces: bytes when inflated (None: it does not tell), and where
    the frame ends (beyond the data: it was cut; -1: there is none)."""
    if data[:4] != _FRAME or len(data) < 6:
        return None, -1
    head = data[4]
    single, width = head >> 5 & 1, (0, 2, 4, 8)[head >> 6]
    width = width or single  # a single segment tells its size always
    at = 5 + (1 - single) + (0, 1, 2, 4)[head & 3]
    size = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0) if width else None
    at += width
    last = False
    while not last and at + 3 <= len(data):
        block = int.from_bytes(data[at : at + 3], "little")
        last = bool(block & 1)
        at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)  # one byte, repeated, or as many as it says
    return size, (at if last else len(data) + 1) + (4 if head >> 2 & 1 else 0)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(value: Any) -> str:
    """Of a part of the metadata, which may be its name alone."""
    return str(value.get("name") if isinstance(value, dict) else value)[:60]


__all__ = ["Form", "announced"]
