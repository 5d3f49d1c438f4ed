"""Variants of one experiment, simulated: those that can be side by side, the others one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..base.errors import InputError
from ..experiment import Experiment
from ..simulation.run import simulate
from ..tables.penalties import PENALTIES, strength_field

#: strengths that cannot be simulated side by side: they change the feature map's nodes
SEPARATE = tuple(key for key, penalty in PENALTIES.items() if penalty.kind == "input")


def sweep_axis(penalty: str, strengths: Sequence[float] | np.ndarray) -> tuple[str, str, np.ndarray]:
    """(the penalty's key, its field, the strengths to sweep); InputError unless they are finite numbers >= 0."""
    values = np.asarray(strengths, dtype=float)
    if values.ndim != 1 or not len(values) or np.any(values < 0) or not np.all(np.isfinite(values)):
        raise InputError("strengths", "be a list of finite numbers >= 0", values)
    return *strength_field(penalty), values


def simulated(
    variants: Sequence[Experiment],
    alone: Sequence[bool] | np.ndarray,
    progress: Callable[[int, int], None] | None = None,
    kicks: np.ndarray | None = None,
) -> list[xr.Dataset]:
    """The runs of each variant; those not ``alone`` side by side. Raises KeyboardInterrupt if any was interrupted."""
    parts: dict[int, xr.Dataset] = {}
    together = [i for i, own in enumerate(alone) if not own]
    if together:
        members = [variants[i] for i in together]
        runs = members[0].run.runs
        joined = simulate(members[0], variants=members, kicks=kicks, progress=progress)
        parts = {i: joined.isel(run=slice(k * runs, (k + 1) * runs)) for k, i in enumerate(together)}
    for k, i in enumerate(np.flatnonzero(alone)):
        parts[int(i)] = simulate(variants[int(i)], kicks=kicks)
        if progress is not None and not together:
            progress(k + 1, len(variants))
    if any(part.attrs["status"] == "interrupted" for part in parts.values()):
        raise KeyboardInterrupt
    return [parts[i] for i in range(len(variants))]
