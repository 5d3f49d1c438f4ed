"""Who may write a recording: a new one, one to resume, and one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import xarray as xr

from ...base.errors import InputError
from ..schema import open_runs
from .parts import HEADER, LOCK, WriteError, chunk_files, reason, survey, write_part

#: says that a file was written here, so that it can be continued
RECORDER = "egan_theory.RunWriter"


class Claim:
    """The recording's folder, claimed for one writer until ``release`` or the end of the process (flock)."""

    def __init__(self, path: Path, folder: Path, resume: bool) -> None:
        if path.exists() and not resume:
            raise InputError("path", "be a new file (resume=True continues the recording)", f"{path}, which exists")
        if folder.exists() and not folder.is_dir():
            raise InputError("path", "leave the name of its parts free", f"a file, {folder}")
        try:
            folder.mkdir(exist_ok=True)
            self.file: int | None = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise WriteError(f"{path}: the recording could not be begun: {reason(error)}") from None
        if not self._taken(folder):
            self.release()
            raise InputError("path", "be recorded by one RunWriter at a time", f"another one at work in {folder}")
        if not resume and chunk_files(folder):
            self.release()
            must = "be a new file (resume=True continues the recording; remove its parts to begin anew)"
            raise InputError("path", must, f"an unfinished recording, {folder}")

    def _taken(self, folder: Path) -> bool:
        try:
            import fcntl
        except ImportError:  # not POSIX: nothing to hold
            return True
        assert self.file is not None
        try:
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:  # a file system without locks
                pass
            # the lock file of a writer that has just closed and removed its folder is nobody's
            return os.path.samestat(os.fstat(self.file), os.stat(folder / LOCK))
        except OSError:
            return False

    def release(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None


def unjoin(path: Path, folder: Path, check: Callable[[xr.Dataset], None]) -> None:
    """A finished recording becomes the first chunk of an unfinished one, unless ``check`` raises on its header. Parts
    beside it are left from joining it."""
    ds = open_runs(path)
    if ds.attrs.get("recorder") != RECORDER:
        raise InputError("path", "be a file of RunWriter to resume", f"another one, {path}")
    header = ds[[v for v in ("target", "target_weight", "assignment", "mass") if v in ds]].drop_vars(
        "time", errors="ignore"
    )
    header.attrs = {k: v for k, v in ds.attrs.items() if k != "status"}
    check(header)
    parts = survey(folder) if (folder / HEADER).exists() else None
    if parts is not None and parts.last > float(ds["time"][-1]):
        raise InputError("path", "not exist beside parts that go further", f"{path}; {parts.kept()}")
    for left in folder.glob("*.nc"):
        left.unlink()
    try:
        write_part(header.variables, header.attrs, folder / HEADER)
        path.rename(folder / "00000000.nc")
    except OSError as error:
        raise WriteError(f"{path}: could not be resumed: {reason(error)}") from None
