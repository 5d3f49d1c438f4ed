"""To what recorded positions were rounded before they were stored: a short float type on the way, or few decimals."""

from __future__ import annotations

import numpy as np
import xarray as xr

#: binary digits, the hidden one included, of the types that positions go through; few positions need not use all
FORMATS = {8: "bfloat16", 11: "float16", 24: "float32", 53: "double precision"}
DIGITS = max(FORMATS)
#: most decimals that are looked for; positions of magnitude 1 in double precision have 15
DECIMALS = 12
#: values looked at
SAMPLE = 200_000


def rounding(x: np.ndarray) -> tuple[float, str]:
    """(rms distance between neighbouring numbers that the positions can take, what says so), from the values alone.

    Positions that went through float16, bfloat16, ... have that type's digits whatever type they are stored in: the
    significant binary digits p that they need give 2^(e - p) at a position in [2^(e-1), 2^e). Positions written
    as text have few decimals."""
    x = np.asarray(x, dtype=float).ravel()
    x = x[np.isfinite(x) & (x != 0)]
    x = x[:: max(len(x) // SAMPLE, 1)]
    if not len(x):
        return 0.0, "no positions but 0"
    fraction, exponent = np.frexp(x)
    whole = np.abs(np.ldexp(fraction, DIGITS)).astype(np.int64)
    spare = int(np.log2((whole & -whole).min()))  # zeros at the end of the longest
    digits = min(n for n in FORMATS if n >= DIGITS - spare)
    binary = float(np.sqrt(np.mean(np.ldexp(1.0, exponent - digits) ** 2)))
    what = f"the {digits} binary digits of {FORMATS[digits]}"
    for decimals in range(DECIMALS + 1):
        short = np.round(x, decimals)
        if np.all((np.abs(x - short) <= 4 * np.spacing(np.abs(x))) | (x == short.astype(np.float32))):
            return max((binary, what), (10.0**-decimals, f"{decimals} decimals"))
    return binary, what


def too_coarse(runs: xr.Dataset, displacement: float, share: float) -> str:
    """Why displacements of that rms size are not seen in the recorded positions; empty where their rounding is below
    ``share`` of it."""
    step, what = rounding(runs["particles"].values)
    if not step > share * displacement:
        return ""
    relation = "below" if step >= displacement else "near"
    return (
        f"displacements of {displacement:.2g} (rms at the first sample near equilibrium) are {relation} the rounding "
        f"{step:.2g} of the recorded positions ({what}): record them in double precision"
    )
