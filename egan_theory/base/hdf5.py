"""What an HDF5 file may hold to be read: nothing whose numbers are somewhere else than in the file itself.

HDF5 follows external links, raw data in external files and virtual datasets to any file of the machine, and loads a
library for a filter that it does not have. A NetCDF-4 file has none of these.
"""

from __future__ import annotations

import math
import os
import zlib
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .ram import SHARE, free_memory

if TYPE_CHECKING:
    import h5py

#: filters that are compiled in: deflate, shuffle, Fletcher's checksum, szip, nbit, scale-offset, and h5py's LZF
FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})

#: the filter that deflates, and how much longer than its data at most what it inflates to is
DEFLATE, RATIO = 1, 1032
#: bytes for the headers of filters, and those inflated at once
ROOM, PIECE = 4096, 2**20


def check_own(field: str, file: h5py.File, name: str) -> None:
    """Raise InputError unless all that the file ``name`` holds is its own. Nothing is followed, and no data read."""
    from h5py import h5d, h5g, h5l, h5o

    left, seen = [("", file.id)], set()
    while left:
        above, group = left.pop()
        for raw in group:
            inner = f"{above}/{raw.decode(errors='replace')}"
            kind = group.links.get_info(raw).type
            if kind != h5l.TYPE_HARD:
                what = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "a link to another file"}.get(kind, "a link")
                raise InputError(field, _RULE, f"{what}, {inner} in {name}")
            place = h5o.get_info(group, raw)
            if (place.fileno, place.addr) in seen:
                continue
            seen.add((place.fileno, place.addr))
            item = h5o.open(group, raw)
            if isinstance(item, h5g.GroupID):
                left.append((inner, item))
            elif isinstance(item, h5d.DatasetID):
                _check_dataset(field, item, f"{inner} in {name}")
                _check_texts(field, item, os.path.getsize(name), f"{inner} in {name}")


_RULE = "hold its own data only, as NetCDF does"


def _check_dataset(field: str, item: h5py.h5d.DatasetID, where: str) -> None:
    from h5py import h5d

    made = item.get_create_plist()
    if made.get_layout() == h5d.VIRTUAL:
        raise InputError(field, _RULE, f"a virtual dataset, {where}")
    if made.get_external_count():
        raise InputError(field, _RULE, f"a dataset whose values are in another file, {where}")
    for i in range(made.get_nfilters()):
        number = made.get_filter(i)[0]
        if number not in FILTERS:
            raise InputError(field, "be compressed by filters of HDF5 itself", f"filter {number}, {where}")
    if made.get_layout() == h5d.CHUNKED and made.get_nfilters():
        _check_chunks(field, item, made, where)


def _check_texts(field: str, item: h5py.h5d.DatasetID, size: int, where: str) -> None:
    """Raise InputError where texts, or rows of any length, are together longer than the file, of ``size`` bytes: each
    may point to the same bytes. They are read in pieces that fit in memory."""
    import h5py
    import numpy as np

    if item.dtype.kind != "O" or item.get_type().get_class() == h5py.h5t.REFERENCE or 0 in item.shape:
        return
    data, safe = h5py.Dataset(item), SHARE * free_memory()
    count = math.prod(item.shape)
    if count * size <= safe / 4:  # of which there are a few copies on the way
        return
    rows = item.shape[0] if item.shape else 1
    at_once, found = max(1, int(safe * rows / (size * count))), 0
    for start in range(0, rows, at_once):
        piece = data[start : start + at_once] if item.shape else data[()]
        found += sum(memoryview(value).nbytes if hasattr(value, "nbytes") else len(value) for value in np.ravel(piece))
        if found > size:
            raise InputError(field, f"hold texts that fit in its {size} bytes", f"longer ones, {where}")


def _check_chunks(field: str, item: h5py.h5d.DatasetID, made: h5py.h5p.PropDCID, where: str) -> None:
    """Raise InputError where a chunk is stored in more bytes than it has, or inflates to more: HDF5 gives a stream all
    the memory that it asks for, whatever the shape of the data is."""
    size = math.prod(made.get_chunk()) * item.get_type().get_size()
    rule = f"have chunks of {size} bytes as their shape says"
    deflated = [made.get_filter(i)[0] for i in range(made.get_nfilters())].count(DEFLATE)
    if deflated > 1:
        raise InputError(field, "be compressed once", f"data deflated {deflated} times, {where}")
    chunks: list[Any] = []
    item.chunk_iter(chunks.append)
    safe = (SHARE * free_memory() - size) / RATIO
    for chunk in chunks:
        if chunk.size > 1.1 * size + ROOM:
            raise InputError(field, rule, f"one stored in {chunk.size}, {where}")
        if deflated and chunk.size > safe and not chunk.filter_mask:
            data, stream, found = item.read_direct_chunk(chunk.chunk_offset)[1], zlib.decompressobj(), 0
            while data and not stream.eof and found <= size + ROOM:
                found += len(stream.decompress(data, PIECE))
                data = stream.unconsumed_tail
            if found > size + ROOM:
                raise InputError(field, rule, f"one that inflates to more, {where}")
