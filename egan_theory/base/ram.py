"""Memory that this process may still take, and what is refused before it is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from .errors import InputError

#: where Linux tells of control groups, and which of them this process is in
GROUPS, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
#: of the memory that is free now, this part may be used when no limit is given
SHARE = 0.8
_ALLOWED: ContextVar[float] = ContextVar("allowed", default=float("inf"))
_ELSEWHERE: ContextVar[float | None] = ContextVar("elsewhere", default=None)


def free_memory() -> float:
    """Bytes free now: of the machine (Linux: MemAvailable; else physical memory; inf where the system does not tell),
    of what the shell allows this process (ulimit -v), or of what the control groups (Linux, versions 1 and 2) that it
    is in allow all their processes, whichever is least. A container or a batch job is such a group."""
    if (size := _ELSEWHERE.get()) is not None:
        return size
    return min(_of_the_machine(), _of_the_process(), _of_the_groups(), _ALLOWED.get())


def elsewhere(size: float) -> AbstractContextManager[None]:
    """``size`` bytes are free in the block, whatever this machine has: for work that another one is to do."""
    return _held(_ELSEWHERE, size)


def allowing(size: float) -> AbstractContextManager[None]:
    """No more than ``size`` bytes are free in the block: for what runs beside others in one process."""
    return _held(_ALLOWED, size)


@contextmanager
def _held(variable: ContextVar[Any], value: float) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def check_size(field: str, needed: float, must: str, what: str) -> None:
    """Raise InputError, with both sizes, if ``needed`` bytes for ``what`` are more than may be used."""
    limit = SHARE * free_memory()
    if needed > limit:
        raise InputError(field, must, f"{needed / 1e9:.3g} GB for {what}, where {limit / 1e9:.3g} GB can be used")


def _of_the_machine() -> float:
    with suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _of_the_process() -> float:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return float("inf")
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, AttributeError, OSError, ValueError):  # a system without such limits
        return float("inf")
    return max(0.0, float(limit - used))


def _of_the_groups() -> float:
    """The least of what the process's group and each group around it leave. inf where there is no limit."""
    left = float("inf")
    with suppress(OSError, ValueError):
        for line in MINE.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                root, names = GROUPS, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                root = GROUPS / "memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            # within a container the path may be one that only the host has: the root is then the container's own group
            inner = root / path.lstrip("/")
            for group in (inner, *inner.parents):
                left = min(left, _left(group, *names))
                if group == root:
                    break
    return left


def _left(group: Path, limit: str, used: str, cached: str) -> float:
    """Bytes that a group may still take: files that it only caches give way. inf without a limit."""
    with suppress(OSError, ValueError):
        allowed = float((group / limit).read_text(encoding="ascii"))  # "max" is no number: none
        taken = float((group / used).read_text(encoding="ascii"))
        with suppress(OSError, ValueError):
            stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
            taken -= float(stat.get(cached, 0))
        return max(0.0, allowed - max(taken, 0.0))
    return float("inf")
