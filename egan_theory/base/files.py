"""Files read with one form of error, and written whole or not at all, to paths checked before the work starts."""

from __future__ import annotations

import codecs
import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError, check_file
from .ram import check_size

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


#: byte order marks and the encodings that they say; UTF-32's begins with that of UTF-16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(data: bytes, name: str) -> str:
    """The text of a file, UTF-8 unless its byte order mark says another encoding (as those of Windows PowerShell do).

    Raises InputError, which names UTF-16 where it looks like that without a mark.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"byte {error.start} that is not"
        raise InputError(name, f"be a {encoding.upper().removesuffix('-SIG')} text file", found) from None
    if encoding == "utf-8" and len(text) > 8 and 3 * text.count("\0") > len(text):
        rule = "be a UTF-8 text file, or begin with a byte order mark (save it as UTF-8)"
        raise InputError(name, rule, "zero bytes between the characters, as UTF-16 has")
    return text


def read_text(path: str | Path, field: str, must: str) -> str:
    """The text of an existing file, see ``decoded``. Raises InputError."""
    check_file(str(path) or field, Path(path), must)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(str(path), "be a readable file", error.strerror) from None
    return decoded(data, str(path))


def check_new(path: str | Path, overwrite: bool | None, field: str = "output") -> None:
    """Raise InputError where something is in the way that may not be replaced. ``overwrite`` None: no question."""
    file = Path(path)
    if overwrite is False and (any(file.iterdir()) if file.is_dir() else file.exists()):
        raise InputError(field, "not be there yet (--overwrite replaces it)", path)


def check_output(path: str | Path, *inputs: str | Path, field: str = "output", overwrite: bool | None = None) -> Path:
    """The path, after checking that a file can be written there and that it is none of the ``inputs``.

    Raises InputError: no such folder, a folder that cannot be written to, not a regular file, one of the inputs, with
    ``overwrite`` False a file that is there.
    """
    file = _plain(path, field)
    if file.is_dir() or str(path).endswith(("/", os.sep)):
        raise InputError(field, "be a file", f"a folder, {path}")
    if file.exists() and not file.is_file():
        raise InputError(field, "be a regular file", path)
    for given in inputs:
        if file.exists() and Path(given).exists() and file.samefile(given):
            raise InputError(field, "not be one of the files read", path)
    check_new(file, overwrite, field)
    _check_folder(file.resolve().parent, field, path)
    return file


def check_output_folder(path: str | Path, field: str = "output", overwrite: bool | None = None) -> Path:
    """The path, after checking that it is a folder to write into, or one that can be made. Raises InputError, with
    ``overwrite`` False also where it holds something."""
    folder = _plain(path, field)
    if folder.exists() and not folder.is_dir():
        raise InputError(field, "be a folder", f"a file, {path}")
    check_new(folder, overwrite, field)
    _check_folder(folder if folder.exists() else folder.resolve().parent, field, path)
    return folder


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``, renamed to it when the block ends well and removed when it does not.

    A symbolic link is followed: the file it points to is replaced, the link stays.
    """
    file = Path(path).resolve()
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=file.suffix, dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


#: how NetCDF-4 marks a dimension that has no coordinate, which xarray would read when it opens the file
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def synchronised(path: Path) -> None:
    """See a file, or the entries of a folder, onto the disk, so that it survives a loss of power. Raises OSError.

    Windows synchronises files that are open for writing only, and has no way to do it for a folder, where the entries
    are the file system's own business."""
    folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not (folder and error.errno in (errno.EACCES, errno.EBADF, errno.EINVAL)):
            raise


def read_netcdf(
    field: str, path: str | Path, choose: Callable[[xr.Dataset], Sequence[str]] | None = None
) -> xr.Dataset:
    """The Dataset of a NetCDF-4 file, in memory. Times stay plain numbers, whatever their units. Raises InputError.

    ``choose`` names the variables to read, from the shapes and types of all; the others are not read. A file that would
    not fit in memory, compressed as it may be, is refused from its shapes.
    """
    import h5py
    import xarray as xr

    try:
        # first: h5netcdf leaves broken objects behind where HDF5 cannot read the file
        with h5py.File(path, "r") as file:
            # headers have checksums; a damaged heap of texts has none, and HDF5 may read it without end
            file.visititems(lambda _, item: [item.attrs.get_id(name).shape for name in item.attrs] and None)
            file.visititems(lambda _, item: dict(item.attrs) and None)
            scales = [v for v in file.values() if isinstance(v, h5py.Dataset) and v.is_scale]
            size = sum(
                v.size * v.dtype.itemsize for v in scales if not v.attrs.get("NAME", b"").startswith(_NO_VARIABLE)
            )
            check_size(field, size, "hold coordinates that fit in memory", str(path))
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as ds:
            chosen = ds if choose is None else ds[list(choose(ds))]
            check_size(field, chosen.nbytes, "hold what fits in memory", str(path))
            return chosen.load()
    except InputError:
        raise
    except Exception as error:  # h5py, h5netcdf and xarray fail in many ways on files that are not what they should be
        raise InputError(field, "be a readable NetCDF-4 file", f"{path}: {error}") from None


def read_npy(
    field: str, path: str | Path, check: Callable[[tuple[int, ...], np.dtype], None] | None = None
) -> np.ndarray:
    """The array of numbers of a .npy file; never unpickles. Raises InputError.

    ``check`` may refuse the shape and the type that the header gives, before anything else is read; what would not fit
    in memory is refused in any case.
    """
    import numpy as np

    rule = "be a readable .npy array of numbers"
    try:
        data = np.load(path, allow_pickle=False, mmap_mode="r")
        if not isinstance(data, np.ndarray):
            data.close()
            raise InputError(field, rule, f"an archive of several: {path}")
        if check is not None:
            check(data.shape, data.dtype)
        check_size(field, data.nbytes, "hold what fits in memory", str(path))
        return np.array(data)
    except InputError:
        raise
    except Exception as error:  # headers may hold anything that Python can write
        raise InputError(field, rule, f"{path}: {error}") from None


def _plain(path: str | Path, field: str) -> Path:
    if not str(path) or "\0" in str(path):
        raise InputError(field, "be a file name", repr(str(path)))
    file = Path(path)
    try:
        file.exists()
    except OSError as error:  # a name too long for the file system, a folder that may not be searched
        raise InputError(field, "be a usable file name", f"{path}: {error.strerror}") from None
    return file


def _check_folder(folder: Path, field: str, path: str | Path) -> None:
    if not folder.is_dir():
        raise InputError(field, "lie in an existing folder", f"{path}: no folder {folder}")
    try:
        # the only test that knows about read-only file systems, quotas and root alike
        with tempfile.TemporaryFile(prefix=".tmp-", dir=folder):
            pass
    except OSError as error:
        raise InputError(field, "lie in a folder that can be written to", f"{path}: {error.strerror}") from None
