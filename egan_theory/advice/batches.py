"""Mini-batches of data."""

from __future__ import annotations

import numpy as np

from ..base.arrays import numbers
from ..base.errors import InputError

Array = np.ndarray

#: most rows [psi; grad psi] of a batch, M (1 + d): they are decomposed
MAX_ROWS = 2600


def samples_of(data: Array, field: str = "data") -> tuple[Array, tuple[int, ...]]:
    """(distinct samples (n, d) in their order, the shape of one)."""
    data = numbers(field, data)
    if data.ndim < 2 or 0 in data.shape or not np.all(np.isfinite(data)):
        raise InputError(field, "hold (M, ...) samples of finite numbers", f"{data.dtype} of shape {data.shape}")
    flat = data.reshape(len(data), -1).astype(float)
    first = np.sort(np.unique(flat, axis=0, return_index=True)[1])
    return flat[first], data.shape[1:]


def choices(total: int, size: int, count: int, seed: int) -> list[Array]:
    if count < 1:
        raise InputError("batches", "be at least 1", count)
    rng = np.random.default_rng([seed, 6])
    return [rng.choice(total, size, replace=False) for _ in range(count)]


def batches_of(samples: Array, size: int, count: int, seed: int) -> list[Array]:
    n, d = samples.shape
    if size < 2:
        raise InputError("batch_size", "be at least 2", size)
    size = min(size, n)
    if size * (1 + d) > MAX_ROWS:
        rule = f"give at most {MAX_ROWS} rows, batch_size (1 + d): {MAX_ROWS // (1 + d)} samples here"
        raise InputError("batch_size", rule, f"{size} samples of {d} numbers")
    # all of the data is one batch, not several
    return [samples[index] for index in choices(n, size, 1 if size == n else count, seed)]
