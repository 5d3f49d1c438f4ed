"""Strengths and rates of a batch of runs: one number for all of them, or one per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def merged(values: Sequence[Any]) -> Any:
    """One number where all are equal, else an array (run,)."""
    array = np.array(values, dtype=float)
    return array[0] if np.all(array == array[0]) else array


def present(value: Any) -> bool:
    """Whether a strength is not zero everywhere; called many times a step."""
    return value != 0 if isinstance(value, float) else bool(np.any(value))


def over(value: Any, axes: int) -> Any:
    """A number, or one per run with ``axes`` axes appended so that it broadcasts over the rest."""
    return value if np.ndim(value) == 0 else np.asarray(value).reshape(-1, *(1,) * axes)
