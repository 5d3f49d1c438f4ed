"""Figure of an advised R1 strength: predicted rate against strength over draws, and the advised band."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..networks.advice import Advice
from . import style
from .style import BLACK, BLUE, GREEN, ORANGE, VERMILLION


@style.styled
def plot_advice(advice: Advice, ax: Axes | None = None) -> Axes:
    """Slowest decay rate against R1 strength, one line per draw, each draw's best, the advice with one standard
    deviation over draws, and the strengths beyond which a draw is unstable."""
    ax = style.axes(ax)
    top = max(draw.rate for draw in advice.draws)
    for i, rates in enumerate(advice.rates):
        own = advice.draws[i]
        x, y = np.append(advice.strengths, own.best), np.append(rates, own.rate)  # the peak is sharp
        order = np.argsort(x)
        shown = np.where(y > -top, y, np.nan)[order]
        label = None if i else "predicted, one draw"
        ax.plot(x[order], shown, "-", color=BLUE, lw=1, alpha=0.5, label=label)
    bests = np.array([(d.best, d.rate) for d in advice.draws])
    ax.plot(*bests[bests[:, 0] > 0].T, "D", color=ORANGE, ms=6, label="best of a draw")
    if advice.best > 0:
        if np.isfinite(advice.low):
            label = f"one standard deviation: {advice.low:.3g} to {advice.high:.3g}"
            ax.axvspan(advice.low, advice.high, color=GREEN, alpha=0.18, lw=0, label=label)
        ax.axvline(advice.best, color=GREEN, lw=2, ls="--", label=f"advice: {advice.best:.3g}")
    if advice.stable[1] is not None:
        ax.axvline(advice.stable[1], color=VERMILLION, lw=1.2, ls=":", label=f"stable up to {advice.stable[1]:.3g}")
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_xscale("log")
    ax.set_xlim(advice.strengths[0], advice.strengths[-1])
    ax.set_ylim(-0.25 * abs(top), 1.15 * abs(top))
    ax.set_xlabel("R1 strength")
    ax.set_ylabel(f"slowest decay rate ({advice.unit})")
    style.finish(ax, f"{len(advice.draws)} draws of {advice.batch_size} points")
    return ax


__all__ = ["plot_advice"]
