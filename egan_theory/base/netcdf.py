"""NetCDF-4 files: read with one form of error, written whole or not at all."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .attrs import storable
from .errors import InputError, check_file
from .files import atomic
from .hdf5 import check_own
from .ram import check_size

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

#: bytes of the largest chunk with a checksum of its own, and entries of an axis that is not cut into equal parts
SUMMED, FEW = 2**20, 20
#: how a file that was read held its numbers, which a new one does not
_LAYOUT = frozenset({"chunksizes", "contiguous", "original_shape", "fletcher32"})
#: how NetCDF-4 marks a dimension that has no coordinate, which xarray would read when it opens the file
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def read_netcdf(
    field: str, path: str | Path, choose: Callable[[xr.Dataset], Sequence[str]] | None = None
) -> xr.Dataset:
    """The Dataset of a NetCDF-4 file, in memory. Times stay plain numbers, whatever their units. Raises InputError.

    ``choose`` names the variables to read, from the shapes and types of all; the others are not read. A file that would
    not fit in memory, compressed as it may be, is refused from its shapes; so is one whose data are in other files.
    """
    import h5py
    import xarray as xr

    check_file(field, Path(path), "be an existing NetCDF-4 file")
    try:
        # first: h5netcdf leaves broken objects behind where HDF5 cannot read the file
        with h5py.File(path, "r") as file:
            check_own(field, file, str(path))
            # headers have checksums; a damaged heap of texts has none, and HDF5 may read it without end
            file.visititems(lambda _, item: [item.attrs.get_id(name).shape for name in item.attrs] and None)
            file.visititems(lambda _, item: dict(item.attrs) and None)
            scales = [v for v in file.values() if isinstance(v, h5py.Dataset) and v.is_scale]
            size = sum(
                v.size * v.dtype.itemsize for v in scales if not v.attrs.get("NAME", b"").startswith(_NO_VARIABLE)
            )
            check_size(field, size, "hold coordinates that fit in memory", str(path))
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False, phony_dims="access") as ds:
            chosen = ds if choose is None else ds[list(choose(ds))]
            check_size(field, chosen.nbytes, "hold what fits in memory", str(path))
            chosen = chosen.load()
            _check_dims(field, chosen, path)
            return chosen
    except InputError:
        raise
    except Exception as error:  # h5py, h5netcdf and xarray fail in many ways on files that are not what they should be
        summed = "filter returned" in str(error) or "Fletcher32" in str(error)  # one HDF5, or another
        changed = "bytes that are not those written (their checksum): " if summed else ""
        raise InputError(field, "be a readable NetCDF-4 file", f"{changed}{path}: {error}") from None


def summed_chunks(shape: Sequence[int], dtype: np.dtype, largest: int = SUMMED) -> tuple[int, ...] | None:
    """Chunks of nearly equal size, of at most ``largest`` bytes, to write a variable in, each with Fletcher's checksum:
    a byte that changed on the disk is not read as a number. None for what has no such chunks: single values, text."""
    if not shape or 0 in shape or dtype.kind not in "iufb":
        return None
    chunks = list(shape)
    for axis, n in enumerate(shape):
        whole = dtype.itemsize * math.prod(shape[axis:])
        if whole <= largest:
            break
        parts = n if n < FEW else min(n, -(-whole // largest))  # few in unequal parts would leave much room empty
        chunks[axis] = -(-n // parts)
        if chunks[axis] > 1:
            break
    return tuple(chunks)


def _check_dims(field: str, ds: xr.Dataset, path: str | Path) -> None:
    """Raise InputError where variables without named dimensions, numbered one by one, do not go together."""
    sizes: dict[Any, int] = {}
    for name, variable in ds.variables.items():
        for dim, size in zip(variable.dims, variable.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                found = f"variable {name} of shape {variable.shape} in {path}, beside others"
                raise InputError(field, "hold variables with dimensions that have names", found)


class _Target(io.FileIO):
    """A file for HDF5, which cannot close a file after a write that failed, and may end the process: it is not told,
    ``error`` is the first failure."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        size = rest.nbytes
        try:
            while rest and self.error is None:  # a nearly full disk may take a part only
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            self.error = error
        if self.error is not None:
            self.seek(len(rest), io.SEEK_CUR)
        return size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        found = super().readinto(view) or 0
        view[found:] = bytes(len(view) - found)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def new_netcdf(path: Path) -> Iterator[_Target]:
    """A file to write NetCDF-4 into, which is ``path`` when the block ends well. Raises OSError (a full disk)."""
    with atomic(path, sync=True) as temporary, _Target(temporary, "w+") as target:
        try:
            yield target
        finally:
            if target.error is not None:
                raise target.error from None


def save(ds: xr.Dataset, path: str | Path) -> None:
    """Write a Dataset as NetCDF-4: to a temporary name in the same folder, then renamed. Attributes that NetCDF does
    not have (None, Booleans, dicts) are written as text.

    Shapes:
        Any variables and dimensions, kept as they are.

    Units:
        Kept: each variable's attribute ``units``.

    Raises:
        InputError: no such folder, or variables that NetCDF does not have.
        OSError: the disk is full: there is no file then, or the former one.

    Source:
        none, it only writes a file.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    file = Path(path)
    if not file.parent.is_dir():
        raise InputError(str(path), "lie in an existing folder", f"no folder {file.parent}")
    ds = storable(ds)
    for variable in ds.variables.values():
        if chunks := summed_chunks(variable.shape, variable.dtype):
            kept = {key: value for key, value in variable.encoding.items() if key not in _LAYOUT}
            variable.encoding = kept | {"fletcher32": True, "chunksizes": chunks}
    with new_netcdf(file) as target, h5netcdf.File(target, "w") as out:
        ds.dump_to_store(H5NetCDFStore(out))
