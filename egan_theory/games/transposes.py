"""Whether products with a step's derivative and with its transpose belong to one matrix.

They do not where a framework's own derivatives of a layer are wrong (see ``elementary``); those already made tell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
#: by which both may disagree, of the step's change and of the vectors: in double, in single precision
TRANSPOSES = ((1e-7, 1e-12), (1e-3, 1e-5))
WRONG = (
    "Products and transposed products of this step disagree: derivatives of a layer are wrong in {} itself. "
    "Do not rely on these numbers."
)


class First:
    """A map, and as ``pair`` the first vector it is applied to with the change it makes to it."""

    def __init__(self, apply: Callable[[Array], Array]) -> None:
        self.apply, self.pair = apply, None

    pair: tuple[Array, Array] | None

    def __call__(self, v: Array) -> Array:
        out = self.apply(v)
        if self.pair is None:
            self.pair = v.copy(), out - v
        return out


def wrong(product: First, transposed: First, framework: str, single: bool) -> tuple[str, ...]:
    """A note where w . (A - 1) v is not v . (A^T - 1) w to rounding; none where one of both was never applied."""
    if product.pair is None or transposed.pair is None:
        return ()
    (v, Av), (w, Aw) = product.pair, transposed.pair
    norm = np.linalg.norm
    relative, rounding = TRANSPOSES[single]
    scale = norm(w) * norm(Av) + norm(v) * norm(Aw)
    return () if abs(w @ Av - v @ Aw) <= relative * scale + rounding * norm(v) * norm(w) else (WRONG.format(framework),)


__all__ = ["First", "wrong"]
