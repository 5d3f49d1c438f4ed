"""What an HDF5 file may hold to be read: nothing whose numbers are somewhere else than in the file itself.

HDF5 follows external links, raw data in external files and virtual datasets to any file of the machine, and loads a
library for a filter that it does not have. A NetCDF-4 file has none of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import h5py

#: filters that are compiled in: deflate, shuffle, Fletcher's checksum, szip, nbit, scale-offset, and h5py's LZF
FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})


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
