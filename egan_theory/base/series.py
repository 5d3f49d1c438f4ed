"""What code of arrays asks of truncated power series in their place (nonlinear.jet)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Series(Protocol):
    """a_0 + a_1 t + ... + a_order t^order, each coefficient an array of the series' shape."""

    order: int
    shape: tuple[int, ...]

    @property
    def first(self) -> np.ndarray:
        """a_0, of that shape or of length 1 along the first axis (the same for a batch)."""

    def mapped(self, function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...] | None = None) -> Any:
        """A linear map of every coefficient."""

    def through(self, derivatives: Callable[[np.ndarray, int], Sequence[np.ndarray]], order: int) -> Sequence[Any]:
        """[f, f', ..., f^(order)] of the series, from ``derivatives(x, n)`` = [f(x), ..., f^(n)(x)] of arrays."""


def order_of(*values: Any) -> int:
    """The order of the series among them; 0 where there is none."""
    return max((v.order for v in values if isinstance(v, Series)), default=0)


def first_of(value: Any) -> Any:
    """a_0 of a series, or the array itself."""
    return value.first if isinstance(value, Series) else value
