"""Threads of the linear algebra libraries, where they cost more than they bring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: multiplications in one product of matrices from which on a second thread pays; below, threads wait for each other,
#: and where another process has the processor, they wait for long
WORTH_A_THREAD = 1e8


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """Many products of matrices of this many multiplications each: in one thread where they are small."""
    if multiplications >= WORTH_A_THREAD:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
