"""Why runs that keep every mode move on although the equilibrium is stable."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..experiment import Experiment
from ..runs.outcome import FADING, LATE, Outcome, known_outcomes, mode_centres
from .words import duration

#: shares closer than this are the same
SAME_SHARE = 1e-6


def moving_on(spectrum: xr.Dataset | None, runs: xr.Dataset, exp: Experiment) -> str:
    """Of runs that circle about an equilibrium that is stable: that their particles are shared otherwise, or that slow
    decay counts as motion; empty where there is neither."""
    if spectrum is None or spectrum.attrs["verdict"] != "stable":
        return ""
    circling = known_outcomes(runs) == Outcome.CIRCLING
    if not circling.any():
        return ""
    other = circling & _shared_otherwise(runs, exp)
    lines = [_unequal(int(other.sum()), int(circling.sum()))] if other.any() else []
    slowest, late = float(spectrum.attrs["slowest_coupled_rate"]), LATE / 2 * float(runs["time"].values[-1])
    # of the time that is judged, the later half is compared with the earlier
    if (circling & ~other).any() and slowest > 0 and np.exp(-slowest * late) > FADING:
        lines.append(
            f"Motion that fades by less than a quarter in {duration(late, exp)} counts as circling, too, and the "
            f"slowest mode takes {duration(1 / slowest, exp)} to shrink by a factor e: longer runs may come to rest."
        )
    return " ".join(lines)


def _unequal(count: int, of: int) -> str:
    which = "The run that moves on has" if of == 1 else f"Of the {of} runs that move on {count} have"
    return (
        f"{which} other shares of particles at the modes than the target's weights: that is not the equilibrium whose "
        "stability is predicted, and in such a state nothing need come to rest."
    )


def _shared_otherwise(runs: xr.Dataset, exp: Experiment) -> np.ndarray:
    """(run,) whether the particles nearest to each mode have, at the end, another share than its weight."""
    weights, centres = exp.points.weights, mode_centres(exp).values
    count = runs.sizes["run"]
    if exp.points.period is not None or len(centres) != len(weights):
        return np.zeros(count, dtype=bool)
    end = runs["particles"].isel(time=-1).transpose("run", "particle", "component").values
    mass = runs["mass"].values if "mass" in runs else np.ones(end.shape[1])
    nearest = ((end[:, :, None] - centres) ** 2).sum(-1).argmin(-1)
    shares = np.array([np.bincount(n, mass, len(weights)) for n in nearest]) / mass.sum()
    return np.abs(shares - weights / weights.sum()).max(1) > SAME_SHARE


__all__ = ["moving_on"]
