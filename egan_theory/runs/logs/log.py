"""What every format is read into: the scalars of runs in the order in which they were written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...base.errors import InputError, check_file

#: steps are smaller than this, so that they are exact
FARTHEST = 2.0**53


@dataclass(frozen=True)
class Series:
    """One scalar of one run, (n,) each: ``order`` in which it was written among all of its run, ``step``, ``value``,
    and ``wall``, seconds since 1970 (NaN where unknown)."""

    order: np.ndarray
    step: np.ndarray
    value: np.ndarray
    wall: np.ndarray

    def at(self, kept: np.ndarray) -> Series:
        """The records that an index or mask picks."""
        return Series(self.order[kept], self.step[kept], self.value[kept], self.wall[kept])


@dataclass
class RunLog:
    """The scalars of one run by their names. ``restarts``: (order, step) at which the log itself says that training
    began again from a step; ``truncated``: its last record was not complete, as of a run that goes on or was killed."""

    name: str
    series: dict[str, Series]
    restarts: list[tuple[int, float]] = field(default_factory=list)
    truncated: bool = False


@dataclass
class Log:
    """What a source holds. ``unit`` of its steps; ``notes``: what to tell the user of it; ``title``: what it is, where
    that is more than its format."""

    runs: list[RunLog]
    unit: str = "step"
    notes: list[str] = field(default_factory=list)
    title: str = ""


@dataclass(frozen=True)
class Choice:
    """What the user says of a source: the column of steps."""

    step: str | None = None


@dataclass(frozen=True)
class Format:
    """One format of logs. ``recognises`` a path that exists by its names and first bytes; ``read`` raises
    InputError."""

    kind: str
    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Choice], Log]


def head(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a regular file; none of anything else. Raises InputError where it cannot be read."""
    if not path.is_file():
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise InputError(str(path), "be a readable file", error.strerror) from None


def check_source(path: Path) -> None:
    """Raise InputError unless the path is a regular file or a folder."""
    try:
        folder = path.is_dir()
    except (OSError, ValueError):
        folder = False
    if not folder:
        check_file("log", path, "be an existing file or folder")
