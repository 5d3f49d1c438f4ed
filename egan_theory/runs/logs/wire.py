"""The two encodings of TensorBoard's event files, as far as scalars need them: records of a length, its checksum, data
and their checksum (TensorFlow, core/lib/io/record_writer.h), and Protocol Buffers (protobuf.dev, "Encoding").

Every length is checked against what there is; nothing is executed, and no more is read into memory than LARGEST.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...base.errors import InputError

#: a record of more bytes (images, graphs) is checked, but not kept
LARGEST = 64 * 2**20
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


def masked(crc: int) -> int:
    """A CRC-32C as records store it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class Records:
    """The records of a file, in order. ``truncated`` afterwards: the last one was not complete, or zeros follow, as a
    crash leaves. Raises InputError, which names the record, for a checksum that does not hold."""

    def __init__(self, path: Path) -> None:
        self.path, self.truncated = path, False

    def __iter__(self) -> Iterator[bytes]:
        from google_crc32c import extend, value

        try:
            with open(self.path, "rb", buffering=2**20) as file:
                at = number = 0
                while header := file.read(_HEADER.size):
                    number += 1
                    if len(header) < _HEADER.size:
                        self.truncated = True
                        return
                    length, crc = _HEADER.unpack(header)
                    if masked(value(header[:8])) != crc:
                        if not any(header) and _zeros(file):
                            self.truncated = True
                            return
                        raise self._broken(number, at, "length")
                    if length <= LARGEST:
                        data = file.read(length)
                        found = value(data)
                    else:
                        data, found, left = b"", 0, length
                        while left and (part := file.read(min(left, LARGEST))):
                            found, left = extend(found, part), left - len(part)
                    tail = file.read(_CRC.size)
                    if len(tail) < _CRC.size:
                        self.truncated = True
                        return
                    if masked(found) != _CRC.unpack(tail)[0]:
                        raise self._broken(number, at, "data")
                    at += _HEADER.size + length + _CRC.size
                    if data:
                        yield data
        except OSError as error:
            raise InputError(str(self.path), "be a readable file", error.strerror) from None

    def _broken(self, number: int, at: int, what: str) -> InputError:
        if number == 1 and what == "length":
            return InputError(str(self.path), "be a TensorBoard event file", "a first record without its checksum")
        found = f"record {number} (byte {at}), whose {what} is not that of its checksum"
        return InputError(str(self.path), "hold whole records", found)


def _zeros(file: Any) -> bool:
    while part := file.read(2**20):
        if any(part):
            return False
    return True


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The unsigned number of 64 bits that begins there, and where it ends. Raises ValueError."""
    number = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("a number without an end")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start, end) of each field of a message; of a varint (wire type 0) the value is in place of
    the start. Raises ValueError."""
    while at < end:
        key, at = varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at, end)
            yield number, wire, value, at
            continue
        if wire == 2:
            size, at = varint(data, at, end)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field of wire type {wire}")
        if at + size > end:
            raise ValueError("a field beyond the end of its message")
        yield number, wire, at, at + size
        at += size


def signed(value: int) -> int:
    """An int64 that was stored as an unsigned number."""
    return value - 2**64 if value >= 2**63 else value
