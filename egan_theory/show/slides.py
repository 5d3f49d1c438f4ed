"""Sliders of pages: what holds at each value that was computed."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..predict.left import measured_part, part, resolved
from ..predict.regularizer import Regularizer
from ..tables.penalties import strength_field
from .picture import Slider


def strength_slider(best: Regularizer, measured: xr.Dataset | None = None) -> Slider:
    """Over the strengths that were computed: predicted left of what can move, how much that is over the advised
    strength's, and what was simulated there. It begins at the advice."""
    what = strength_field(best.penalty)[1]
    predicted = dict(zip(map(float, best.strengths), map(float, best.movings), strict=True))
    simulated: dict[float, str] = {}
    if measured is not None:
        names = ("strength", "predicted_moving", "moving", "moving_stderr")
        for strength, value, left, error in zip(*(measured[n].values.astype(float) for n in names), strict=True):
            predicted[float(strength)] = float(value)
            good = np.isfinite(left)
            said = f"simulated {measured_part(left, error)}" if good else "simulated: diverged or left equilibrium"
            simulated[float(strength)] = said
    if best.best > 0:
        predicted[best.best] = best.moving
    strengths = sorted(s for s in predicted if s > 0)
    texts = []
    for s in strengths:
        left = predicted[s]
        parts = [f"{what} = {s:.4g}" + (", the advice" if s == best.best else "")]
        if best.edge is not None and s >= best.edge:
            parts.append(f"beyond the edge of stability at {best.edge:.3g}, training grows")
        elif np.isfinite(left):
            told = best.moving > 0 and s != best.best and resolved(left) and resolved(best.moving)
            more = f" ({left / best.moving:.3g} times the advice's)" if told else ""
            parts.append(f"predicted {part(left)} left of what can move after {best.span}{more}")
        parts += [simulated[s]] if s in simulated else []
        texts.append("; ".join(parts))
    start = int(np.argmin(np.abs(np.log(np.array(strengths) / best.best)))) if best.best > 0 else 0
    heights = tuple(predicted[s] for s in strengths)
    return Slider(f"Strength of {what}", tuple(strengths), tuple(texts), heights, start)


__all__ = ["strength_slider"]
