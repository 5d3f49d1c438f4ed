"""Files read with one form of error, and written whole or not at all, to paths checked before the work starts."""

from __future__ import annotations

import codecs
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from .errors import EganError, InputError, check_file
from .ram import check_size
from .signals import held
from .toml import check_length

if TYPE_CHECKING:
    import numpy as np

#: what names of unfinished files and folders begin with
TEMPORARY = ".tmp-"

#: bytes of a .npy header, NumPy's own limit
LONGEST_HEADER = 10_000
#: byte order marks and the encodings that they say; UTF-32's begins with that of UTF-16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(start: bytes) -> str:
    """The encoding of a text file by the byte order mark with which its first bytes begin, else UTF-8."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "utf-8")


def decoded(data: bytes, name: str) -> str:
    """The text of a file, UTF-8 unless its byte order mark says another encoding (as those of Windows PowerShell do).

    Raises InputError, which names UTF-16 where it looks like that without a mark.
    """
    encoding = encoding_of(data)
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
    """The text of an existing TOML file, see ``decoded``. Raises InputError."""
    check_file(str(path) or field, Path(path), must)
    try:
        check_length(Path(path).stat().st_size, str(path))
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
def atomic(path: str | Path, *, sync: bool = False) -> Iterator[Path]:
    """A name that is free in the folder of ``path``, for a file or a folder that is renamed to it when the block ends
    well and removed when it does not. The one way in which the package writes what must be whole.

    ``sync``: a file's bytes are on the disk before it has its name, so that a loss of power leaves the old file or the
    new one. A symbolic link is followed: the file it points to is replaced, the link stays. An OSError (a full disk)
    names ``path``.
    """
    file = Path(path).resolve()
    temporary = file.with_name(f"{TEMPORARY}{uuid4().hex}{file.suffix}")
    try:
        yield temporary
        if sync:
            with open(temporary, "r+b") as written:  # Windows synchronises files open for writing only
                os.fsync(written.fileno())
        _rename(temporary, file)
    except BaseException as error:
        with held(), suppress(OSError):  # the folder is gone, too
            remove(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


def _rename(temporary: Path, file: Path) -> None:
    for wait in (0.01, 0.1, 1.0) if os.name == "nt" else ():
        try:
            return os.replace(temporary, file)
        except PermissionError:  # Windows: somebody reads the file that is replaced
            time.sleep(wait)
    os.replace(temporary, file)


def remove(path: Path) -> None:
    """A file, or a folder with all that it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def check_room(path: str | Path, needed: float) -> None:
    """Raise EganError where the disk, or what the shell allows a file (ulimit -f), has no room for ``needed`` bytes:
    before the work, of which nothing could be written."""
    room = float("inf")
    with suppress(OSError):
        disk = shutil.disk_usage(Path(path).resolve().parent)
        room = disk.free if disk.total else room  # some network file systems do not tell
    with suppress(ImportError, OSError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        room = room if limit == resource.RLIM_INFINITY else min(room, limit)
    if needed > room:
        raise EganError(f"{path}: no room for {needed / 1e6:.3g} MB, {room / 1e6:.3g} MB can be written there")


@contextmanager
def rescuing(path: Path, write: Callable[[Path], object]) -> Iterator[None]:
    """What to do where the block cannot write ``path`` (a full disk): ``write`` it, by the same name, into a new folder
    of the system's for temporary files. Raises EganError, which says where it is, in place of OSError."""
    try:
        yield
    except OSError as error:
        kept = "there was no other place to keep it"
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="egan-"))
            try:
                write(folder / path.name)
                kept = f"it is kept as {folder / path.name}"
            except OSError:
                remove(folder)
        raise EganError(f"{path} could not be written: {error.strerror or error}; {kept}") from None


def read_npy(
    field: str, path: str | Path, check: Callable[[tuple[int, ...], np.dtype], None] | None = None
) -> np.ndarray:
    """The array of numbers of a .npy file; never unpickles. Raises InputError.

    ``check`` may refuse the shape and the type that the header gives, before anything else is read; what would not fit
    in memory is refused in any case.
    """
    import numpy as np

    rule = "be a readable .npy array of numbers"
    check_file(field, Path(path), rule)
    try:
        with open(path, "rb") as file:
            _check_header(file.read(12))
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
        said = "a header of another form" if "malformed node" in str(error) else error
        raise InputError(field, rule, f"{path}: {said}") from None


def _check_header(start: bytes) -> None:
    """Raise ValueError where the first 12 bytes of a .npy file announce a header longer than NumPy takes: it reads up
    to 4 GiB, several times, before it looks."""
    if (
        start[:6] == b"\x93NUMPY"
        and start[6] >= 2
        and (length := int.from_bytes(start[8:12], "little")) > LONGEST_HEADER
    ):
        raise ValueError(f"a header of {length} bytes")


def read_npz(path: Path, wanted: Mapping[str, np.ndarray | None], longest: int = 1_000_000) -> dict[str, np.ndarray]:
    """The arrays of these names of a .npz archive, each of the shape and type of the one given; None: one value (a
    text, a number) of at most ``longest`` bytes. Never unpickles.

    The header of every array is compared before it is inflated: an archive of a few kB may claim to hold any number of
    bytes. Raises ValueError, KeyError, OSError, zipfile.BadZipFile.
    """
    import zipfile

    import numpy as np
    from numpy.lib import format as npy

    found = {}
    with zipfile.ZipFile(path) as archive:
        for name, like in wanted.items():
            with archive.open(f"{name}.npy") as stream:
                _check_header(stream.read(12))
            with archive.open(f"{name}.npy") as stream:
                version = npy.read_magic(stream)
                if version not in ((1, 0), (2, 0)):
                    raise ValueError(f"{name} of .npy version {version}")
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(stream)
            fits = like is not None and (shape, dtype) == (like.shape, like.dtype)
            if not fits and (like is not None or shape != () or dtype.itemsize > longest):
                raise ValueError(f"{name} of shape {shape} and type {dtype!s:.20} does not fit the model")
            with archive.open(f"{name}.npy") as stream:
                found[name] = np.asarray(npy.read_array(stream, allow_pickle=False))
    return found


def _plain(path: str | Path, field: str) -> Path:
    if not str(path) or "\0" in str(path):
        raise InputError(field, "be a file name", repr(str(path)))
    file = Path(path)
    try:
        file.stat()  # exists() and resolve() swallow more and more from one Python to the next
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name too long, a folder that may not be searched, symbolic links in a circle
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
