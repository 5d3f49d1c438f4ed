"""A recording while it is written: a Zarr group of arrays over time, see store.py.

The group's attributes are those of the runs, and ``recording``: the number of complete samples, the last step, where
each run diverged, and the array of each variable. They are one small file, replaced after the samples: at any moment
the store holds a whole recording. What lies beyond the complete samples is overwritten by those that come.

Chunks end with their checksum (CRC-32C, which every reader of Zarr compares); ``recording`` holds those of the arrays'
metadata and of itself: a byte that is another one is refused by the name of its file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec

from ..base.errors import EganError, InputError
from ..base.netcdf import new_netcdf, summed_chunks
from ..base.ram import check_size
from ..experiment.given import MAX_COORDINATES
from .schema import decoded, variable
from .store import ROOT, add_array, attributes, fresh, opened, readable

SUFFIX = ".zarr"
#: the attribute that makes samples complete
KEY = "recording"
#: samples of one chunk of an array, at most
CHUNK = 100
#: bytes of one chunk (but one sample at least), and those held at once while a file is made of them
CHUNK_BYTES = 16 * 2**20
#: samples that an array has room for at first, empty chunks take none; twice as many whenever it is full
ROOM = 32 * CHUNK
#: remarks kept with a recording
NOTES = 200
#: no compression but a checksum, no folders of chunks: quickest to write
PLAIN: dict[str, Any] = {
    "compressors": [Crc32cCodec()], "chunk_key_encoding": {"name": "default", "separator": "."},
}  # fmt: skip
_RULE, _OTHER = "be as it was written", "a checksum that says otherwise"


class WriteError(EganError):
    """A recording could not be written (full disk, lost permission); what was written before stays readable."""


def store_of(path: str | Path) -> Path:
    """The folder of the recording ``path`` while it is not finished."""
    return Path(f"{path}{SUFFIX}")


def is_recording(folder: str | Path) -> bool:
    """Whether a folder is the store of a recording."""
    with suppress(Exception):  # Zarr has many words for what is no group
        return KEY in attributes(folder)
    return False


class Recording:
    """The complete samples in a folder. Raises InputError for what cannot be read."""

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self.folder = folder
        with readable(folder):
            _json(folder / ROOT)
            self._group = opened(folder, write=write)
            self.attrs: dict[str, Any] = dict(self._group.attrs)
            if KEY not in self.attrs:
                raise InputError(str(folder), "be the store of a recording", "another Zarr group")
            state = self.attrs.pop(KEY)
            if "digest" in state and state["digest"] != _digest([self.attrs, state | {"digest": None}]):
                raise InputError(str(folder / ROOT), _RULE, _OTHER)
            self._metadata = {name: self._metadata_digest(key) for name, key in state["arrays"].items()}
            for name, found in self._metadata.items():
                if state.get("metadata", self._metadata).get(name) != found:
                    raise InputError(str(folder / state["arrays"][name] / ROOT), _RULE, _OTHER)
            self.samples: int = state["samples"]
            self.last: float | None = state["last"]
            self.diverged_at = np.array(state["diverged_at"], dtype=np.int64)
            self._arrays: dict[str, Any] = {name: self._group[key] for name, key in state["arrays"].items()}
            for name, array in self._arrays.items():
                self._check_shape(name, array)

    def _check_shape(self, name: str, array: zarr.Array) -> None:
        """Raise InputError for an array that is far larger than what is there of it: what is lacking would be filled
        in. Of the times all but step 0 are there, of the particles the first sample; others may all be NaN."""
        over_time, folder = "time" in _dims(array), self.folder / array.basename
        entries = math.prod(n for dim, n in zip(_dims(array), array.shape, strict=True) if dim != "time")
        needed = array.dtype.itemsize * {"time": self.samples - 1, "particles": entries}.get(name, 0)
        if entries > MAX_COORDINATES and not over_time:
            raise InputError(str(folder / ROOT), f"hold at most {MAX_COORDINATES} entries", f"shape {array.shape}")
        if self.samples and over_time and (needed or entries > MAX_COORDINATES):
            there = sum(file.stat().st_size for file in folder.rglob("c*") if file.is_file())
            if there < (needed or array.dtype.itemsize * entries):
                raise InputError(str(folder), "hold every chunk of the recording", f"{there} bytes")

    @classmethod
    def begun(cls, folder: Path, header: xr.Dataset) -> Recording:
        """One without samples in a claimed folder: ``header`` holds what does not change, and the attributes."""
        group = fresh(folder)
        for name, value in header.variables.items():
            size = value.shape
            array = add_array(group, str(name), value.dims, size, size, value.dtype, 0, value.attrs, **PLAIN)
            array[...] = value.values
        attrs = json.loads(json.dumps(header.attrs, default=lambda value: value.tolist()))
        arrays: dict[Any, Any] = {name: name for name in header.variables}
        group.update_attributes(attrs | {KEY: {"samples": 0, "last": None, "diverged_at": [], "arrays": arrays}})
        return cls(folder, write=True)

    def _metadata_digest(self, key: str) -> str:
        """Of what does not change of an array's metadata: all but the room over time."""
        data = _json(self.folder / key / ROOT)
        sizes = zip(data.get("dimension_names", ()), data.pop("shape", ()), strict=False)
        return _digest([data, [size for dim, size in sizes if dim != "time"]])

    @contextmanager
    def _intact(self, array: zarr.Array) -> Iterator[None]:
        """Where chunks of the array cannot be decoded, raise InputError with the name of the first that cannot."""
        try:
            yield
        except InputError:  # which is one, too: what is no regular file
            raise
        except ValueError as error:
            for file in sorted((self.folder / array.basename).glob("c*")):
                try:
                    array.get_block_selection(tuple(map(int, file.name.split(".")[1:])))
                except ValueError:
                    raise InputError(str(file), _RULE, _OTHER) from None
            raise error

    def _read(self, array: zarr.Array, place: Any = ...) -> Any:
        with self._intact(array):
            return array[place]

    def header(self) -> xr.Dataset:
        """What does not change, and the attributes."""
        fixed = {name: array for name, array in self._arrays.items() if "time" not in _dims(array)}
        return xr.Dataset(
            {name: (_dims(a), self._read(a), dict(a.attrs)) for name, a in fixed.items()}, attrs=self.attrs
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one sample of each variable, with the run axis."""
        return {name: tuple(n for dim, n in zip(_dims(a), a.shape, strict=True) if dim != "time")
                for name, a in self._arrays.items() if name != "time" and "time" in _dims(a)}  # fmt: skip

    @property
    def unit(self) -> str | None:
        """Of time; None before the first sample."""
        return str(self._arrays["time"].attrs["units"]) if self.samples else None

    def append(self, values: Mapping[Any, xr.Variable], diverged_at: np.ndarray, chunk: int = CHUNK) -> None:
        """Further samples of every variable, complete when the last is written. Raises OSError."""
        start, end = self.samples, self.samples + values["time"].size
        arrays = dict(self._arrays)
        for name, value in values.items():
            array = arrays.get(name)
            if array is None or np.result_type(array.dtype, value.dtype) != array.dtype:
                array = arrays[name] = self._new(name, value, end, chunk)
            axis = value.dims.index("time")
            if array.shape[axis] < end:
                array.resize((*array.shape[:axis], 2 * end, *array.shape[axis + 1 :]))
            with self._intact(array):  # what the chunk holds already is read
                array[_along(axis, start, end)] = value.values
        self._complete(arrays, end, float(values["time"].values[-1]), diverged_at)

    def _new(self, name: str, value: xr.Variable, size: int, chunk: int) -> Any:
        """An array for the variable; one of a narrower type is copied, and stays until the samples are complete."""
        before, axis = self._arrays.get(name), value.dims.index("time")
        sample = value.nbytes // value.sizes["time"]
        shape = [max(size, ROOM) if dim == "time" else n for dim, n in value.sizes.items()]
        chunks = [*shape[:axis], int(np.clip(CHUNK_BYTES // sample, 1, min(chunk, CHUNK))), *shape[axis + 1 :]]
        key = name if before is None else f"{name}.{value.dtype.name}"
        fill = np.nan if value.dtype.kind == "f" else 0
        array = add_array(self._group, key, value.dims, shape, chunks, value.dtype, fill, value.attrs, **PLAIN)
        self._metadata[name] = self._metadata_digest(key)
        if before is not None:
            for place, part in self._blocks(before, axis):
                array[place] = part
        return array

    def _complete(self, arrays: dict[str, Any], samples: int, last: float | None, diverged_at: np.ndarray) -> None:
        state = {
            "samples": samples, "last": last, "diverged_at": diverged_at.tolist(),
            "arrays": {name: array.basename for name, array in arrays.items()},
            "metadata": {name: self._metadata[name] for name in arrays}, "digest": None,
        }  # fmt: skip
        state["digest"] = _digest([self.attrs, state])
        self._group.update_attributes({**self.attrs, KEY: state})
        self._arrays, self.samples, self.last, self.diverged_at = arrays, samples, last, np.asarray(diverged_at)

    def note(self, step: float, text: str) -> None:
        """A remark on a step, kept with the next samples; at most NOTES of them, the latest."""
        notes = decoded(self.attrs, "notes")
        if notes and notes[-1][2] == text:
            notes[-1][1] = step
        else:
            notes.append([step, step, text])
        self.attrs["notes"] = json.dumps(notes[-NOTES:])

    def cut(self, at: float) -> None:
        """Keep what was recorded until step ``at``; attribute "rewound" tells of it. Raises OSError."""
        time = self._read(self._arrays["time"], slice(self.samples))
        keep = int(np.searchsorted(time, at, side="right"))
        said = [text for text in str(self.attrs.get("rewound", "")).split("; ") if text]
        self.attrs["rewound"] = "; ".join([*said, f"cut back from step {self.last:g} to step {at:g}"])
        if "notes" in self.attrs:
            kept = [[a, min(b, at), text] for a, b, text in decoded(self.attrs, "notes") if a <= at]
            self.attrs["notes"] = json.dumps(kept)
        arrays = self._arrays if keep else {n: a for n, a in self._arrays.items() if "time" not in _dims(a)}
        diverged = np.where(self.diverged_at > at, -1, self.diverged_at)
        self._complete(arrays, keep, float(time[keep - 1]) if keep else None, diverged)

    def _blocks(self, array: Any, axis: int) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
        """Places and values of the complete samples, whole chunks at a time."""
        chunk = array.chunks[axis]
        sample = array.dtype.itemsize * int(np.prod(array.shape)) // max(array.shape[axis], 1)
        step = chunk * max(1, CHUNK_BYTES // max(1, sample * chunk))
        for start in range(0, self.samples, step):
            place = _along(axis, start, min(start + step, self.samples))
            yield place, self._read(array, place)

    def dataset(self) -> xr.Dataset:
        """All of it, in memory, with status "interrupted"."""
        if not self.samples:
            raise InputError(str(self.folder), "hold at least one complete chunk", "none")
        with readable(self.folder):
            forms = self._forms()
            size = sum(array.dtype.itemsize * int(np.prod(shape)) for array, shape in forms.values())
            check_size(str(self.folder), size, "hold what fits in memory", "its samples")
            ds = xr.Dataset(
                {
                    n: (_dims(a), self._read(a, tuple(map(slice, shape))), dict(a.attrs))
                    for n, (a, shape) in forms.items()
                },
                attrs={**self.attrs, "status": "interrupted"},
            ).assign(diverged_at=variable("diverged_at", self.diverged_at))
            lost = ds["particles"].isnull().any(["time", "particle", "component"]) & (ds["diverged_at"] < 0)
            if lost.any():
                raise InputError(str(self.folder), "hold every chunk of the recording", "samples that are missing")
        return ds

    def _forms(self) -> dict[str, tuple[zarr.Array, tuple[int, ...]]]:
        """The array of each variable, and the shape of its complete samples."""
        return {name: (a, tuple(self.samples if dim == "time" else n for dim, n in zip(_dims(a), a.shape, strict=True)))
                for name, a in self._arrays.items()}  # fmt: skip

    def to_netcdf(self, file: Path, status: str) -> None:
        """All of it as one NetCDF-4 file, block by block, with that status. Raises OSError."""
        import h5netcdf

        with new_netcdf(file) as target, h5netcdf.File(target, "w") as out:
            for name, (array, shape) in self._forms().items():
                dims = _dims(array)
                out.dimensions.update({dim: n for dim, n in zip(dims, shape, strict=True) if dim not in out.dimensions})
                chunks = summed_chunks(shape, array.dtype)
                made = out.create_variable(name, dims, array.dtype, chunks=chunks, fletcher32=chunks is not None)
                made.attrs.update(array.attrs)
                if "time" not in dims:
                    made[...] = self._read(array)
                    continue
                for place, part in self._blocks(array, dims.index("time")):
                    made[place] = part
            diverged = variable("diverged_at", self.diverged_at)
            codes, size = diverged.values, diverged.shape
            made = out.create_variable("diverged_at", diverged.dims, data=codes, chunks=size, fletcher32=True)
            made.attrs.update(diverged.attrs)
            out.attrs.update({**self.attrs, "status": status})

    def kept(self) -> str:
        """What a message says about the samples that are safe."""
        if not self.samples:
            return "nothing was written before"
        return f"{self.samples} samples, until step {self.last:g}, are kept in {self.folder}"


def _json(file: Path) -> dict[str, Any]:
    """Raises InputError where the file holds something else."""
    if file.is_symlink() or not file.is_file():  # a pipe would be waited for, a link leads anywhere
        raise InputError(str(file), "be a regular file", "none" if not file.exists() else "another kind of file")
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(file), _RULE, error) from None
    if not isinstance(data, dict):
        raise InputError(str(file), _RULE, "something else")
    return data


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _dims(array: Any) -> tuple[str, ...]:
    return tuple(array.metadata.dimension_names or ())


def _along(axis: int, start: int, end: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, end))
