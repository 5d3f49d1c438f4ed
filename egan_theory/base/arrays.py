"""Arrays of any library as NumPy arrays of real numbers, without importing that library."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError, described


def numbers(name: str, value: Any) -> np.ndarray:
    """The value as an array of real numbers; tensors are detached and brought to the host. Raises InputError, also for
    masked entries: what lies under a mask is no number, and NaN would say that a run has diverged."""
    for method in ("detach", "cpu"):
        if callable(getattr(value, method, None)):
            value = getattr(value, method)()
    try:
        try:
            array = np.asanyarray(value)
        except TypeError:  # a tensor of a type that NumPy does not have (bfloat16)
            array = np.asanyarray(value.float())
    except Exception as error:
        raise InputError(name, "be an array of real numbers", f"{type(value).__name__}: {error}") from None
    if _masked(value) or _masked(array):  # what is read as an array may have a mask that it did not show before
        raise InputError(name, "have no masked entries (leave them out, or fill them)", "a masked array")
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise InputError(name, "hold real numbers", f"{type(value).__name__} of dtype {array.dtype}")
    return array


def _masked(value: Any) -> bool:
    """Whether entries are masked, in an array or in a list of such, where NumPy would drop the masks."""
    if isinstance(value, list | tuple):
        return any(_masked(v) for v in value)
    return isinstance(value, np.ma.MaskedArray) and bool(np.any(np.ma.getmaskarray(value)))


def stored(array: np.ndarray) -> np.ndarray:
    """A copy as float32 or float64, whichever holds it: the loop may change its own array in place."""
    short = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.array(array, dtype=np.float32 if short else np.float64)


def check_seed(field: str, seed: Any) -> None:
    """Raise InputError unless NumPy takes the seed: a whole number from 0 to below 2^63."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise InputError(field, "be a whole number from 0 to below 2^63", described(seed))
