"""Places in phase diagrams: where orbits are born or fold, and where the experiment itself lies."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from .. import style
from ..style import BLACK, ORANGE

if TYPE_CHECKING:
    from ...predict.curves import Curves

#: marker and face of thresholds, and what they are
CRITICALITY = {
    "supercritical": ("o", "white", "small orbits, modes kept"),
    "subcritical": ("s", BLACK, "the cloud jumps"),
    None: ("x", BLACK, "no normal form"),
}
#: most letters in a line of the legend
LEGEND = 64


def _tell_places(ax: Axes, at: list[tuple[float, float]], label: str) -> None:
    x, y = zip(*at, strict=True)
    style.tell(ax, x, y, [f"{label}, at ({a:.4g}, {b:.4g})" for a, b in at])


def birth_places(ax: Axes, curves: Curves) -> list[Line2D]:
    """Thresholds by what is born there, changes of criticality and folds of orbits."""
    handles = []
    for kind, (marker, face, text) in CRITICALITY.items():
        at = [(p.first, p.second) for p in curves.thresholds if p.criticality == kind]
        if at:
            label = f"threshold: {text}"
            handles += ax.plot(*zip(*at, strict=True), marker, color=BLACK, mfc=face, ms=5, mew=0.9, ls="", label=label)
            _tell_places(ax, at, label)
    for places, marker, label in (
        (curves.changes, "*", "change between the two"),
        (curves.folds, "D", "fold of orbits"),
    ):
        if places:
            at = [(p.first, p.second) for p in places]
            size = 13 if marker == "*" else 6
            _tell_places(ax, at, label)
            handles += ax.plot(
                *zip(*at, strict=True), marker, color=BLACK, mfc=ORANGE, ms=size, mew=0.9, ls="", label=label
            )
    return handles


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


__all__ = ["LEGEND", "birth_places", "own_place"]
