"""Runs read from files: finished, unfinished, and unfinished ones as they were stored before there was a Zarr store."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError, check_file
from ..base.netcdf import read_netcdf
from ..experiment.given import MAX_COORDINATES
from .schema import validate_runs
from .store import is_store
from .unfinished import Recording, store_of

#: the folder of NetCDF-4 chunks that unfinished recordings used to be
PARTS = ".parts"


def parts_of(path: str | Path) -> Path:
    """The folder that an unfinished recording of this name used to have."""
    return Path(f"{path}{PARTS}")


@shown
def open_runs(path: str | Path) -> xr.Dataset:
    """Read and validate a run file (NetCDF-4), loaded into memory.

    Where there is no such file but a recording of that name that was not finished (``RunWriter``), or where ``path`` is
    its folder, what is complete of it is read, with status "interrupted".

    Returns:
        A Dataset of the run schema.

    Shapes:
        particles (run, time, particle, component), time (time), and what else egan_theory.runs.schema lists.

    Units:
        Attribute ``units`` of each variable.

    Raises:
        InputError: no such file, or one that is no run file of this schema; says which variable or attribute.

    Source:
        none, it only reads a file.
    """
    file, name = Path(path), str(path) or "runs"
    folder = None
    with suppress(OSError, ValueError):  # names that no file can have are for check_file to refuse
        folder = None if not str(path) or file.is_file() else _unfinished(file)
    if folder is not None:
        try:
            return validate_runs(Recording(folder).dataset() if is_store(folder) else read_parts(folder), name)
        except (InputError, OSError):
            if not file.is_file():  # else it was finished in between
                raise
    check_file(name, file, "be an existing run file")
    return validate_runs(read_netcdf(name, file, lambda ds: _sized(ds, name)), name)


def _sized(ds: xr.Dataset, name: str) -> list[str]:
    """The variables to read: all. Raises InputError for a target that no experiment may have."""
    if "target" in ds and ds["target"].size > MAX_COORDINATES:
        rule = f"hold at most {MAX_COORDINATES} coordinates"
        raise InputError(f"{name}: target", rule, f"shape {ds['target'].shape}")
    return [str(variable) for variable in ds.variables]


def _unfinished(file: Path) -> Path | None:
    folders = (file, store_of(file), parts_of(file), store_of(file.resolve()))  # of a symbolic link where it points
    return next((f for f in folders if is_store(f) or (f.name.endswith(PARTS) and f.is_dir())), None)


def read_parts(folder: Path) -> xr.Dataset:
    """The complete chunks header.nc, 00000000.nc, 00000001.nc, ... of a recording, in memory, with status
    "interrupted". Raises InputError."""
    files = sorted(p for p in folder.iterdir() if re.fullmatch(r"\d{8}\.nc", p.name))
    if not files:
        raise InputError(str(folder), "hold at least one complete chunk", "none")
    for i, file in enumerate(files):
        if int(file.stem) != i:
            raise InputError(str(folder), "hold every chunk of the recording", f"no {i:08d}.nc before {file.name}")
    chunks = [read_netcdf(str(file), file) for file in files]
    header = read_netcdf(str(folder / "header.nc"), folder / "header.nc")
    try:
        ds = xr.concat(
            [chunk.drop_vars("diverged_at") for chunk in chunks], "time", data_vars="all", coords="minimal",
            compat="override", join="outer", combine_attrs="override",
        )  # fmt: skip
        fixed = header.drop_vars("time", errors="ignore").variables
        return ds.assign({**fixed, "diverged_at": chunks[-1]["diverged_at"]}).assign_attrs(
            {**header.attrs, "status": "interrupted"}
        )
    except ValueError as error:
        raise InputError(str(folder), "hold chunks of one recording", error) from None
