"""The coefficients of series, one by one: None for 0, or an array that broadcasts to the series' shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Part = np.ndarray | None


def axes_of(x: Any, ndim: int) -> np.ndarray:
    """The array with axes of length 1 in front."""
    x = np.asarray(x)
    return x if x.ndim == ndim else x.reshape((1,) * (ndim - x.ndim) + x.shape)


def parts_of(x: Any, order: int) -> Sequence[Part]:
    """The coefficients of a jet, or of an array or number as a constant."""
    if hasattr(x, "parts"):
        if x.order != order:
            raise ValueError(f"jets of orders {x.order} and {order} in one expression")
        return x.parts
    return [np.asarray(x), *(None,) * order]


def order_of(*inputs: Any) -> int:
    """That of the first jet among them."""
    return next(x.order for x in inputs if hasattr(x, "parts"))


def convolved(bilinear: Callable, a: Sequence[Part], b: Sequence[Part]) -> list[Part]:
    """Coefficients of a bilinear map of two series."""
    out: list[Part] = []
    for m in range(len(a)):
        total: Part = None
        for j in range(m + 1):
            x, y = a[j], b[m - j]
            if x is not None and y is not None:
                term = bilinear(x, y)
                total = term if total is None else total + term
        out.append(total)
    return out


def aligned(x: Any, order: int, ndim: int) -> list[Part]:
    """Coefficients with ``ndim`` axes: where some were put in front, the jet's first axis is one inside."""
    parts = parts_of(x, order)
    if hasattr(x, "parts") and x.ndim < ndim:
        parts = [None if p is None else np.broadcast_to(p, x.shape) for p in parts]
    return [None if p is None else axes_of(p, ndim) for p in parts]


def matmul_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Of the product of arrays of these shapes."""
    left = a[-2:-1] if len(a) > 1 else ()
    right = b[-1:] if len(b) > 1 else ()
    return (*np.broadcast_shapes(a[:-2], b[:-2]), *left, *right)
