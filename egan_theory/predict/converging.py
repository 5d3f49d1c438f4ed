"""Where along a field play against uniform averages begins, or ceases, to converge: from the powers of time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from .play import power_laws

#: the field is known to this relative width
WIDTH = 1e-4


class Turn(NamedTuple):
    """``value`` of the field at which convergence begins or ends; ``above``: whether it converges above it."""

    value: float
    above: bool


def turns(exp: Experiment, path: str, values: Sequence[float], what: str = "converges") -> tuple[bool, list[Turn]]:
    """Whether ``what`` ("converges": the last iterate, "average_converges") holds at the first of the ascending
    ``values`` of the field ``path``, and where between them that changes, by bisection.

    Values that the field refuses, or without powers of time, are passed over. Raises InputError where all are.
    """
    seen: list[tuple[float, bool]] = []
    refused: InputError | None = None
    for value in values:
        try:
            seen.append((value, _holds(exp, path, value, what)))
        except InputError as error:
            refused = error
    if not seen:
        raise refused or InputError("values", "be given")
    found = []
    for (low, before), (high, after) in pairwise(seen):
        if before != after:
            found.append(Turn(_between(exp, path, low, high, what), after))
    return seen[0][1], found


def _between(exp: Experiment, path: str, low: float, high: float, what: str) -> float:
    before = _holds(exp, path, low, what)
    geometric = low > 0
    while high - low > WIDTH * high:
        middle = float(np.sqrt(low * high)) if geometric else (low + high) / 2
        if _holds(exp, path, middle, what) == before:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _holds(exp: Experiment, path: str, value: float, what: str) -> bool:
    laws = power_laws(exp.replace({path: value}))
    if not laws.sizes["mode"]:
        raise InputError(path, "leave modes that move the particles", value)
    return bool(laws.attrs[what])


__all__ = ["Turn", "turns"]
