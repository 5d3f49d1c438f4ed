"""The JSON form of results: plain Python types only, null for numbers that do not exist."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: Any) -> float | None:
    """A JSON number, or None for NaN and infinities, which JSON does not have."""
    value = float(value)
    return value if math.isfinite(value) else None


def json_ready(value: Any) -> Any:
    """The value with plain Python types only: results and NumPy values unwrapped, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, str) or value is None:
        return value
    for unwrap in ("to_dict", "_asdict", "tolist"):
        if hasattr(value, unwrap):
            return json_ready(getattr(value, unwrap)())
    if isinstance(value, list | tuple):
        return [json_ready(v) for v in value]
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, bool | int) else str(value)


def json_text(data: Mapping[str, Any]) -> str:
    """One JSON object, indented, and a line end."""
    import json

    return json.dumps(json_ready(data), allow_nan=False, indent=2) + "\n"
