"""What a recording goes on from: its own store, the file that was made of it, parts of former versions, or nothing."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from ..base.errors import InputError
from ..base.files import remove
from ..base.netcdf import read_netcdf
from .header import RECORDER, check_same
from .reading import parts_of, read_parts
from .schema import validate_runs
from .store import remove_leftovers, vacant
from .unfinished import Recording, store_of


def continued(path: Path, header: xr.Dataset, resume: bool, at: float | None, chunk: int) -> Recording:
    """What there is to go on from in a claimed folder, else a new recording. Raises InputError, OSError."""
    folder, parts = store_of(path), parts_of(path)
    found = None if vacant(folder) else Recording(folder, write=True)
    if found is not None and not found.samples:
        found = None
    if not resume and (found is not None or parts.is_dir()):
        must = "be a new file (resume=True continues the recording; remove what there is to begin anew)"
        raise InputError("path", must, f"an unfinished recording, {folder if found else parts}")
    remove_leftovers(folder)
    if path.exists():
        found = _reopened(read_netcdf("path", path), path, folder, header, found, chunk)
    elif found is None and parts.is_dir():
        found = _reopened(read_parts(parts), parts, folder, header, None, chunk)
    elif found is not None:
        check_same(found.header(), header, folder)
    else:
        return Recording.begun(folder, header)
    assert found.last is not None
    if at is not None and found.last > at:
        found.cut(at)
    return found


def _reopened(
    ds: xr.Dataset, source: Path, folder: Path, header: xr.Dataset, beside: Recording | None, chunk: int
) -> Recording:
    """A file, or parts, as a store again, which then takes its place; a store that was left from making the file is
    replaced."""
    ds = validate_runs(ds, str(source))
    if ds.attrs.get("recorder") != RECORDER:
        raise InputError("path", "be a file of RunWriter to resume", f"another one, {source}")
    moving = [name for name in ds.variables if "time" in ds[name].dims]
    fixed = ds.drop_vars([*moving, "diverged_at"])
    fixed.attrs.pop("status", None)
    check_same(fixed, header, source)
    if beside is not None and beside.last is not None and beside.last > float(ds["time"][-1]):
        raise InputError("path", "not exist beside a store that goes further", f"{source}; {beside.kept()}")
    found = Recording.begun(folder, fixed)
    found.append({n: ds[n].variable.to_base_variable() for n in moving}, ds["diverged_at"].values, chunk)
    remove(source)
    return found


__all__ = ["continued"]
