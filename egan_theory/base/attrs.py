"""What a NetCDF file cannot hold, made text or refused before anything is written.

Attributes of training tools are of any kind (None, Booleans, configurations); they are kept as text. Variables of
values that have no place in the format are refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from .errors import InputError

#: names that HDF5 and NetCDF keep for themselves
RESERVED = frozenset(
    {"CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid",
     "_nc3_strict"}
)  # fmt: skip
#: how a file that was read held its numbers
PACKING = frozenset({"dtype", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned"})


def storable(ds: xr.Dataset) -> xr.Dataset:
    """The dataset with attributes that NetCDF holds: others as text. Raises InputError for a variable it cannot hold
    (complex numbers, objects of several kinds)."""
    for name, variable in ds.variables.items():
        _check(str(name), variable)
    out = ds.copy()
    out.attrs = _attrs(ds.attrs)
    for name, variable in ds.variables.items():
        out.variables[name].attrs = _attrs(variable.attrs)
        # the numbers as they are, not packed as those were that a file once held
        out.variables[name].encoding = {k: v for k, v in variable.encoding.items() if k not in PACKING}
    return out


def _check(name: str, variable: xr.Variable) -> None:
    kind, rule = variable.dtype.kind, "hold real numbers or text to be written as NetCDF"
    if kind in "iufSUbMmT":
        return
    if kind == "O" and all(isinstance(v, str) for v in np.ravel(variable.values)):
        return
    raise InputError(f"variable {name}", rule, f"dtype {variable.dtype}")


def _attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    out = {}
    for key, value in attrs.items():
        name = _text(str(key)) or "attribute"
        out[f"{name}_" if name in RESERVED else name] = _value(value)
    return out


def _value(value: Any) -> Any:
    """Numbers, arrays of numbers and text as they are, anything else as JSON, or as Python shows it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes | bytearray):
        return _text(bytes(value).decode(errors="replace"))
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        return [_text(v) for v in value]
    if not isinstance(value, bool):
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, OverflowError):  # rows of several lengths
            array = np.empty(0, dtype=object)
        if array.dtype.kind in "iuf":
            return value
    return _text(_shown(value))


def _shown(value: Any) -> str:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    try:
        return json.dumps(plain, default=str)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, circles, whole numbers beyond printing
        try:
            return str(plain)
        except (ValueError, RecursionError):
            return f"a {type(value).__name__}"


def _text(text: str) -> str:
    """Text that HDF5 takes: no zero characters, nothing that is no character."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


__all__ = ["storable"]
