"""An unfinished recording on disk: a folder of NetCDF-4 chunks, each written whole or not at all, joined at the end.

    <path>.parts/header.nc      what does not change: target, target_weight, assignment, mass, attrs
    <path>.parts/00000000.nc    the first chunk: time, particles, what else was logged, diverged_at at its end
    <path>.parts/00000001.nc    ...
    <path>.parts/lock           held (flock) by the one writer while it lives

Everything is written to a temporary name, synchronised with the disk and renamed: a process killed at any moment, or a
machine that loses power, leaves complete chunks only. Joining copies block by block and holds no more than one block.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...base.errors import EganError, InputError
from ...base.files import read_netcdf, synchronised

SUFFIX, HEADER, LOCK, TEMPORARY = ".parts", "header.nc", "lock", ".tmp-"
#: bytes held at once while joining
BLOCK = 16 * 2**20
#: more than HDF5 needs for the structure of a file (bytes)
STRUCTURE = 2**16

Variables = Mapping[Any, xr.Variable]


class WriteError(EganError):
    """A recording could not be written (full disk, lost permission); what was written before stays readable."""


def parts_of(path: str | Path) -> Path:
    """The folder of the parts of a recording."""
    return Path(f"{path}{SUFFIX}")


def chunk_files(folder: Path) -> list[Path]:
    """The complete chunks, in order. Raises InputError when one in between is missing."""
    found = sorted(p for p in folder.iterdir() if re.fullmatch(r"\d{8}\.nc", p.name))
    for i, file in enumerate(found):
        if int(file.stem) != i:
            raise InputError(str(folder), "hold every chunk of the recording", f"no {i:08d}.nc before {file.name}")
    return found


def write_part(variables: Variables, attrs: Mapping[str, Any], file: Path) -> None:
    """One small NetCDF-4 file: made in memory, so that a full disk meets plain writes, then put in place."""
    buffer = io.BytesIO()
    _netcdf(buffer, variables, attrs)
    with _placed(file, file.parent) as temporary, open(temporary, "wb") as out:
        out.write(buffer.getbuffer())


def _netcdf(target: Any, variables: Variables, attrs: Mapping[str, Any], total: int | None = None) -> dict[str, int]:
    """Variables as NetCDF-4. With ``total``, those over time are only given room for that many samples, contiguously;
    then the places of all variables in the file (bytes) are returned."""
    import h5netcdf
    import h5py

    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    with h5netcdf.File(target, "w") as out:
        for variable in variables.values():
            for dim, size in variable.sizes.items():
                if dim not in out.dimensions:
                    out.dimensions[dim] = size if dim != "time" or total is None else total
        for name, variable in variables.items():
            room = total is not None and "time" in variable.dims
            made = out.create_variable(name, variable.dims, variable.dtype, **({"dcpl": early} if room else {}))
            if not room:
                made[...] = variable.values
            made.attrs.update(variable.attrs)
        out.attrs.update(attrs)
    if total is None:
        return {}
    with h5py.File(target) as found:
        return {str(name): found[name].id.get_offset() for name in variables}


def _reserve(file: Path, size: int) -> None:
    """Find out whether a file of that size can be written. Raises OSError."""
    with open(file, "w+b", buffering=0) as out:
        _allocate(out, size)


def _allocate(out: io.FileIO, size: int) -> None:
    """Reserve disk space for the first ``size`` bytes of an open file, contents kept. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(out.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):  # a file system that cannot
                raise
    # elsewhere: read what is there (zeros where nothing is) and write it again
    for at in range(0, size, BLOCK):
        out.seek(at)
        length = min(BLOCK, size - at)
        _write(out, at, out.read(length).ljust(length, b"\0"))


def _write(out: io.FileIO, at: int, data: bytes) -> None:
    """All of it at this place; a nearly full disk may take a part only, before it refuses. Raises OSError."""
    out.seek(at)
    rest = memoryview(data)
    while rest:
        rest = rest[out.write(rest) :]


class _placed:
    """Context: a temporary name in the parts' folder, synchronised with the disk and renamed to ``file`` when all went
    well. What a killed process leaves of it goes with the folder."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.file, self.temporary = file, folder / f"{TEMPORARY}{file.name}"

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if error is None:
                synchronised(self.temporary)
                self.temporary.replace(self.file)
                synchronised(self.file.parent)
        except OSError as failed:
            error = failed
            raise
        finally:
            if error is not None:
                self.temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Parts:
    """The chunks of a recording, surveyed: samples of each, and the widest type and the shape of every variable."""

    folder: Path
    header: xr.Dataset
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    form: Mapping[str, xr.Variable]  # one sample of every variable, without data of its own (broadcast NaN)
    diverged_at: np.ndarray  # (run,)
    last: float  # time of the last sample

    @property
    def total(self) -> int:
        return sum(self.counts)

    def blocks(self) -> Iterator[tuple[str, int, np.ndarray]]:
        """(variable, first sample, values) in pieces of at most BLOCK bytes (but one sample at least); variables that
        a chunk lacks are NaN."""
        import h5py

        first = 0
        for file, count in zip(self.files, self.counts, strict=True):
            with h5py.File(file) as chunk:
                for name, form in self.form.items():
                    axis = form.dims.index("time")
                    step = max(1, BLOCK // max(1, form.nbytes))
                    for a in range(0, count, step):
                        b = min(a + step, count)
                        if name in chunk:
                            yield name, first + a, chunk[name][(slice(None),) * axis + (slice(a, b),)]
                        else:
                            shape = (*form.shape[:axis], b - a, *form.shape[axis + 1 :])
                            yield name, first + a, np.full(shape, np.nan)
            first += count

    def dataset(self, status: str) -> xr.Dataset:
        """All of it, in memory, with that status."""
        out = {}
        for name, form in self.form.items():
            shape = tuple(self.total if dim == "time" else n for dim, n in form.sizes.items())
            out[name] = xr.Variable(form.dims, np.empty(shape, form.dtype), form.attrs)
        for name, first, values in self.blocks():
            out[name].values[_at(self.form[name], first, values)] = values
        time = out.pop("time")
        ds = self.header.assign(out).assign(diverged_at=self._diverged())
        return ds.assign_coords(time=time).assign_attrs(status=status)

    def join(self, file: Path, status: str) -> None:
        """All of it as one NetCDF-4 file, block by block. Raises WriteError.

        HDF5 makes the structure only, once the space is known to be there, and the samples are written to where it says
        that they belong: after a failed write HDF5 cannot close its file, and may end the process.
        """
        variables: dict[Any, xr.Variable] = {**self.header.variables, **self.form, "diverged_at": self._diverged()}
        needed = self.total * sum(v.nbytes for v in self.form.values()) + self.header.nbytes + STRUCTURE
        try:
            with _placed(file, self.folder) as temporary:
                _reserve(temporary, needed)
                places = _netcdf(temporary, variables, {**self.header.attrs, "status": status}, self.total)
                with open(temporary, "r+b", buffering=0) as out:
                    _allocate(out, temporary.stat().st_size)
                    for name, first, values in self.blocks():
                        self._write(out, places[name], name, first, values)
        except OSError as error:
            raise WriteError(f"{file}: the recording could not be joined: {reason(error)}; {self.kept()}") from None

    def _write(self, out: Any, place: int, name: str, first: int, values: np.ndarray) -> None:
        """A block to its place in a contiguous (run, time, ...) or (time,) array of all samples."""
        form = self.form[name]
        runs = values if form.dims.index("time") else values[None]
        sample = form.nbytes // len(runs)
        for r, run in enumerate(runs):
            _write(out, place + (r * self.total + first) * sample, np.asarray(run, form.dtype).tobytes())

    def cut(self, at: float) -> Parts | None:
        """The recording until step ``at``; None where nothing is left. Attribute "rewound" tells of it.

        First the remark, then chunks from the last one on, so that every state in between is a recording. Raises
        WriteError."""
        import h5py

        remark = f"cut back from step {self.last:g} to step {at:g}"
        said = [text for text in str(self.header.attrs.get("rewound", "")).split("; ") if text]
        attrs = {**self.header.attrs, "rewound": "; ".join([*said, remark])}
        try:
            write_part(self.header.variables, attrs, self.folder / HEADER)
            for file in reversed(self.files):
                with h5py.File(file) as chunk:
                    keep = int(np.searchsorted(chunk["time"][...], at, side="right"))
                    total = len(chunk["time"])
                    last = float(chunk["time"][keep - 1]) if keep else 0.0
                if keep == total:
                    break
                if keep == 0:
                    file.unlink()
                    synchronised(self.folder)
                    continue
                before = np.where(self.diverged_at > at, -1, self.diverged_at)
                left = replace(self, files=(file,), counts=(keep,), diverged_at=before, last=last)
                left.join(file, "interrupted")
                break
        except OSError as error:
            raise WriteError(f"{self.folder}: the recording could not be cut: {reason(error)}") from None
        return survey(self.folder)

    def kept(self) -> str:
        """What a message says about the samples that are safe."""
        return f"{self.total} samples, until step {self.last:g}, are kept in {self.folder}"

    def _diverged(self) -> xr.Variable:
        from ..schema import variable

        return variable("diverged_at", self.diverged_at)


def _at(form: xr.Variable, first: int, values: np.ndarray) -> tuple[slice, ...]:
    axis = form.dims.index("time")
    return (slice(None),) * axis + (slice(first, first + values.shape[axis]),)


def reason(error: OSError) -> str:
    """What the system says, in a few words."""
    return error.strerror or str(error)


def survey(folder: Path) -> Parts | None:
    """The parts in a folder; None where no chunk is complete. Raises InputError for files that cannot be read."""
    import h5py

    from ..schema import DIMS

    files = chunk_files(folder)
    if not files:
        return None
    counts: list[int] = []
    form: dict[str, xr.Variable] = {}
    for file in files:
        try:
            with h5py.File(file) as chunk:
                counts.append(len(chunk["time"]))
                for name, stored in chunk.items():
                    dims = ("time",) if name == "time" else DIMS.get(name, ("run", "time"))
                    if "time" not in dims or "units" not in stored.attrs:  # without units: a bare dimension
                        continue
                    before = form.get(name)
                    dtype = stored.dtype if before is None else np.result_type(before.dtype, stored.dtype)
                    shape = tuple(1 if dim == "time" else n for dim, n in zip(dims, stored.shape, strict=True))
                    attrs = {key: str(stored.attrs[key]) for key in ("long_name", "units")}
                    form[name] = xr.Variable(dims, np.broadcast_to(np.zeros((), dtype), shape), attrs)
                diverged, last = chunk["diverged_at"][...], float(chunk["time"][-1])
        except Exception as error:  # h5py fails in many ways on what is not a chunk
            raise InputError(str(file), "be a readable chunk of a recording", error) from None
    header = folder / HEADER
    return Parts(folder, read_netcdf(str(header), header), tuple(files), tuple(counts), form, diverged, last)


def read_parts(folder: Path) -> xr.Dataset:
    """An unfinished recording, in memory, with status "interrupted". Raises InputError."""
    parts = survey(folder)
    if parts is None:
        raise InputError(str(folder), "hold at least one complete chunk", "none")
    return parts.dataset("interrupted")
