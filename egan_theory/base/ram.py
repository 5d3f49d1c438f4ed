"""Memory that this process may still take, and what is refused before it is taken."""

from __future__ import annotations

import os
from contextlib import suppress

from .errors import InputError

#: of the memory that is free now, this part may be used when no limit is given
SHARE = 0.8


def free_memory() -> float:
    """Bytes free now: of the machine (Linux: MemAvailable; else physical memory; inf where the system does not tell),
    or of what the shell allows this process (ulimit -v), whichever is less."""
    return min(_of_the_machine(), _of_the_process())


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
