"""Files that one process at a time may hold: the folders that it fills are nobody else's."""

from __future__ import annotations

import errno
import os
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: seconds that the lock of a process that has ended may linger, and one that says no process (yet, or any more)
LINGER, UNKNOWN = 5.0, 0.5


class Lock:
    """A file that this process alone holds until ``release`` or its end, whichever thread calls. A process forked from
    it neither holds nor releases it."""

    def __init__(self, file: Path, held: BaseFileLock) -> None:
        self._file, self._held, self._pid = file, held, os.getpid()
        with suppress(OSError):
            file.write_text(f"{self._pid} {_machine()}")
        self._inode = _inode(file)
        _HELD.add(self)

    @property
    def inherited(self) -> bool:
        """Whether this is a process forked from the one that holds it."""
        return os.getpid() != self._pid

    @property
    def there(self) -> bool:
        """Whether the file is still the one that was locked: neither it nor its folder was removed or replaced."""
        return _inode(self._file) == self._inode is not None

    def release(self) -> None:
        """Let others have it; nothing in a forked process."""
        _HELD.discard(self)
        if not self.inherited:
            if self.there:
                with suppress(OSError):
                    os.truncate(self._file, 0)
            self._held.release()

    def _forget(self) -> None:
        """In a forked process: close the file, with which it would hold the lock when the parent is gone."""
        if hasattr(self._held, "_reset_after_fork_in_child"):  # filelock of 2026 and later does it
            return
        context = getattr(self._held, "_context", None)
        descriptor = getattr(context, "lock_file_fd", None)
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
            context.lock_file_fd = None  # type: ignore[union-attr]


#: locks that this process holds
_HELD: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_all() -> None:
    for held in list(_HELD):
        held._forget()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def lock(file: Path) -> Lock | None:
    """The lock of that name, held by this process alone; None if another one holds it. Raises OSError. Where the file
    system has no locks it is nobody's.

    What belongs to a process that has ended is waited for: a kill is seen before all of its files are closed.
    """
    import filelock

    held = filelock.FileLock(file, thread_local=False)
    begin = time.monotonic()
    while True:
        try:
            held.acquire(timeout=0)
        except filelock.Timeout:
            if time.monotonic() - begin >= _patience(file):
                return None
            time.sleep(0.02)
            continue
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        return Lock(file, held)


def holder(file: Path) -> int | None:
    """The process that says that it holds a lock; None where that is not known."""
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _patience(file: Path) -> float:
    """Seconds to wait for a lock that another process holds: 0 if it lives, or is of another machine."""
    number = holder(file)
    if number is None:
        return UNKNOWN
    try:
        if file.read_text().split()[1:] != [_machine()] or os.name == "nt":  # there a signal 0 ends a process
            return 0.0
        os.kill(number, 0)
    except ProcessLookupError:
        return LINGER
    except (OSError, OverflowError):
        return 0.0
    return 0.0


def _machine() -> str:
    return os.uname().nodename if hasattr(os, "uname") else "?"


def _inode(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
