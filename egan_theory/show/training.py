"""Figure of what a training loop logs beside its particles: the losses of the two players."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from . import style
from .style import BLUE, ORANGE

#: losses this many times larger than nine tenths of them need a logarithmic axis
BURST = 1e3
PLAYERS = (("discriminator", BLUE, "-"), ("generator", ORANGE, "--"))


def has_losses(runs: xr.Dataset) -> bool:
    """Whether a loss of either player was recorded at some sample."""
    names = [f"loss_{player}" for player, *_ in PLAYERS]
    return any(name in runs and bool(np.isfinite(runs[name].values).any()) for name in names)


@style.styled
def plot_losses(runs: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Recorded losses against time, one line per run and player; samples without a loss are bridged. Where a few
    are far larger than the rest, the axis is logarithmic beyond the rest, on both sides of zero."""
    ax = style.axes(ax)
    time, unit = runs["time"].values, runs["time"].attrs.get("units", "step")
    drawn = []
    for player, colour, dash in PLAYERS:
        name = f"loss_{player}"
        if name not in runs:
            continue
        rows = runs[name].transpose("run", "time").values
        for i, row in enumerate(rows):
            known = np.isfinite(row)
            label = None if i else f"{player}, {len(rows)} run{'s' * (len(rows) != 1)}"
            ax.plot(time[known], row[known], dash, color=colour, lw=1.2, alpha=0.75, label=label)
            drawn.append(row[known])
    values = np.concatenate([*drawn, np.empty(0)])
    size = np.abs(values)
    if len(size) and size.max() > BURST * (most := np.quantile(size, 0.9)):
        style.signed_scale(ax, "y", values[size >= most])
    ax.set_xlabel(style.per(unit))
    ax.set_ylabel("loss (1)")
    if has_losses(runs):
        style.finish(ax)
    else:
        style.note(ax, "no losses were recorded")
    return ax
