"""To what recorded positions were rounded before they were stored: a short float type on the way, or few decimals."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..base.terminal import plural

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


def unchanged(runs: xr.Dataset, change: float, span: float, steps: float) -> str:
    """Why displacements that changed by that rms ``change`` over the time ``span``, in ``steps`` computed steps, show
    no rate; empty where they do.

    The records hide a change below their rounding. A step below half the distance between neighbouring numbers in
    double precision is lost in training itself, which adds it to the position and rounds."""
    x = runs["particles"].values
    step, what = rounding(x)
    spacing = np.spacing(np.abs(x[np.isfinite(x) & (x != 0)]))
    lost = steps / 2 * float(np.sqrt(np.mean(spacing**2))) if len(spacing) else 0.0
    if change > max(step, lost):
        return ""
    unit = plural(runs["time"].attrs.get("units", "step"))
    moved = f"no change beyond rounding: within {span:g} {unit} the positions change by {change:.2g} (rms), and"
    if change <= step:
        return f"{moved} the recorded ones are rounded to {step:.2g} ({what})"
    return f"{moved} steps below half the distance between neighbouring numbers are lost, up to {lost:.2g} in all"
