"""What a computation will need, said before it starts: memory and floating-point work, against a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ..base.errors import InputError, NotLinearizable
from ..base.ram import SHARE, free_memory

#: operations per second that one core is taken to do in matrix products, for estimates of time alone
RATE = 2e10

#: a dense matrix of more rows than this is refused
MAX_DENSE = 8000

_LIMIT: ContextVar[float | None] = ContextVar("memory_limit", default=None)


@dataclass(frozen=True)
class Estimate:
    """``memory`` in bytes at the peak, ``operations`` (floating point), for ``what``."""

    what: str
    memory: float
    operations: float

    @property
    def seconds(self) -> float:
        """A rough time on one core."""
        return self.operations / RATE

    def __str__(self) -> str:
        return f"{self.memory / 1e9:.3g} GB and about {self.seconds:.2g} s for {self.what}"

    def check(self, suggestion: str) -> Estimate:
        """Raise NotLinearizable, with what to do instead, if the memory exceeds the limit."""
        limit = allowed_memory()
        if self.memory > limit:
            rule = f"allow {self.memory / 1e9:.3g} GB for {self.what} ({suggestion})"
            raise NotLinearizable("memory", rule, f"{limit / 1e9:.3g} GB allowed")
        return self


@contextmanager
def memory_limit(gigabytes: float | None) -> Iterator[None]:
    """Within it no spectrum uses more than this many GB (10^9 bytes); None: 80 % of what is free."""
    if gigabytes is not None and not 0 < gigabytes < float("inf"):
        raise InputError("memory", "be a number of GB > 0", gigabytes)
    token = _LIMIT.set(None if gigabytes is None else 1e9 * gigabytes)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def allowed_memory() -> float:
    """Bytes that may be used: the limit given, else 80 % of those free now."""
    limit = _LIMIT.get()
    return SHARE * free_memory() if limit is None else limit
