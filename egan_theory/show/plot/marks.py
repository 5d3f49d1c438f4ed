"""Marks of single experiments in diagrams."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from .. import style
from ..style import BLACK, ORANGE

#: most letters in a line of the legend
LEGEND = 64


def own_place(ax: Axes, predicted: xr.Dataset, place: tuple[float, float, str]) -> Line2D:
    """A star at a place of the diagram, or at the rim that is next to it."""
    *at, label = place
    limits = np.sort([ax.get_xlim(), ax.get_ylim()])
    shown = np.clip(at, *limits.T)
    beyond = [
        f"{predicted[name].attrs['long_name']} = {value:.4g}, {'below' if value < low else 'above'} the diagram"
        for name, value, (low, high) in zip(("first", "second"), at, limits, strict=True)
        if not low <= value <= high
    ]
    label = "; ".join([label, *beyond])
    (mark,) = ax.plot(
        *shown[:, None], "*", ls="", ms=20, mfc=ORANGE, mec=BLACK, mew=1.2, clip_on=False, zorder=10,
        label=fill(label, LEGEND), path_effects=[withStroke(linewidth=3.5, foreground="white")],
    )  # fmt: skip
    style.tell(ax, shown[:1], shown[1:], [label])
    return mark


__all__ = ["own_place"]
