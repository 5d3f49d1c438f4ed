"""Numbers with first derivatives along several directions at once, and functions of three of them.

A Several is sum over sets s of directions of values[s] e_s, every direction squared being 0: its value at the empty
set, and at {1, 2} the mixed second derivative along directions 1 and 2. Sets are bit masks. A direction stands for all
coordinates of a point: its derivatives have an axis of that length, which others have at length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .jets import Jet

Array = np.ndarray


class Several:
    """``terms``: mask -> array, all of as many axes; those that are in ``kept`` survive a product."""

    def __init__(self, terms: Mapping[int, Array], kept: frozenset[int]) -> None:
        self.terms, self.kept = dict(terms), kept

    def mapped(self, function: Callable[[Array], Array]) -> Several:
        """A linear function of every term."""
        return Several({s: function(t) for s, t in self.terms.items()}, self.kept)

    def __add__(self, other: Any) -> Several:
        added = other.terms if isinstance(other, Several) else {0: other}
        terms = dict(self.terms)
        for s, t in added.items():
            terms[s] = terms[s] + t if s in terms else t
        return Several(terms, self.kept)

    def __mul__(self, other: Any) -> Several:
        if not isinstance(other, Several):
            return self.mapped(lambda t: other * t)
        terms: dict[int, Array] = {}
        for r, x in self.terms.items():
            for s, y in other.terms.items():
                if not r & s and r | s in self.kept:
                    terms[r | s] = terms[r | s] + x * y if r | s in terms else x * y
        return Several(terms, self.kept)

    def without_value(self) -> Several:
        return Several({s: t for s, t in self.terms.items() if s}, self.kept)


def composed(jet: Jet, a: Several, b: Several, c: Several) -> Several:
    """A function of (a, b, c) from its Taylor coefficients at their values (Jet, its variables being the three)."""
    extra = next(iter(c.terms.values())).ndim - np.ndim(jet.constant)
    powers = [[None, v.without_value()] for v in (a, b, c)]
    out = Several({}, c.kept)
    for index, coefficient in jet.terms.items():
        product: Several | None = None
        for power, known in zip(index, powers, strict=True):
            while len(known) <= power:
                known.append(known[-1] * known[1])  # type: ignore[operator]
            factor = known[power]
            if factor is not None:
                product = factor if product is None else product * factor
        scale = np.asarray(coefficient).reshape(*np.shape(coefficient), *(1,) * extra)
        if product is None:
            out = out + Several({0: scale}, c.kept)
        elif product.terms:
            out = out + product * scale
    return out


__all__ = ["Several", "composed"]
