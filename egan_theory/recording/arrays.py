"""Arrays of any library as NumPy arrays of real numbers, without importing that library."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError


def numbers(name: str, value: Any) -> np.ndarray:
    """The value as an array of real numbers; tensors are detached and brought to the host. Raises InputError."""
    for method in ("detach", "cpu"):
        if callable(getattr(value, method, None)):
            value = getattr(value, method)()
    try:
        try:
            array = np.asarray(value)
        except TypeError:  # a tensor of a type that NumPy does not have (bfloat16)
            array = np.asarray(value.float())
    except Exception as error:
        raise InputError(name, "be an array of real numbers", f"{type(value).__name__}: {error}") from None
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise InputError(name, "hold real numbers", f"{type(value).__name__} of dtype {array.dtype}")
    return array


def stored(array: np.ndarray) -> np.ndarray:
    """A copy as float32 or float64, whichever holds it: the loop may change its own array in place."""
    short = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.array(array, dtype=np.float32 if short else np.float64)
