"""Figure of an advised R1 strength: what training leaves against strength over draws, and the advice."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ...advice.result import Advice
from ...tables.penalties import strength_label
from .. import given, style
from ..style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION

#: what is left of less than this is not drawn
LEAST = 1e-8


@given.given(advice=given.ADVICE)
@style.styled
def advice(advice: Advice, ax: Axes | None = None) -> Axes:
    """What the horizon leaves of a kick (of what can move) against R1 strength, one line per draw.

    Also each draw's best, the advice with one standard deviation over draws, the edge of stability, and in the title
    whether all that was taken far from the end of training.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: strength in length^2; y: rms displacement over the kick's, of what can move; a pure number.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.advise`` computes it; Eq. (27, left).
    """
    ax = style.axes(ax, (7.6, 5.0))
    for i, lefts in enumerate(advice.lefts):
        shown = np.where(lefts < 2, np.maximum(lefts, LEAST), np.nan)
        label = None if i else "predicted, one draw"
        ax.plot(advice.strengths, shown, "-", color=BLUE, lw=1, alpha=0.8, label=label)
    of = "the error" if advice.notes else "what can move"
    every = max(1, -(-len(advice.strengths) * len(advice.lefts) // style.DENSE))
    for i, lefts in enumerate(advice.lefts):
        at, lefts = advice.strengths[::every], np.maximum(lefts[::every], LEAST)
        style.tell(ax, at, lefts, [f"draw {i}: R1 = {a:.4g} leaves {b:.3g} of {of} after {advice.span}, predicted"
                                   for a, b in zip(at, lefts, strict=True)])  # fmt: skip
    bests = np.array([(d.best, max(d.left, LEAST)) for d in advice.draws])
    ax.plot(*bests[bests[:, 0] > 0].T, "D", color=ORANGE, ms=6, label="best of a draw")
    style.tell(ax, bests[:, 0], bests[:, 1], [f"best of draw {i}: R1 = {a:.4g} leaves {b:.3g} after {advice.span}"
                              for i, (a, b) in enumerate(bests)])  # fmt: skip
    ax.axhline(max(advice.moving_without, LEAST), color=GREY, lw=1, ls="-.", label="without R1")
    if advice.best > 0:
        if np.isfinite(advice.low):
            label = f"best of a draw, one standard deviation: {advice.low:.3g} to {advice.high:.3g}"
            ax.axvspan(advice.low, advice.high, color=GREEN, alpha=0.18, lw=0, label=label)
        ax.axvline(advice.best, color=GREEN, lw=2, ls="--", label=f"advice: {advice.best:.3g}")
        said = f"advice: R1 = {advice.best:.4g}, at most {advice.high:.3g} and at least {advice.low:.3g} over draws"
        style.tell(ax, [advice.best], [1.0], [said])
    if advice.edge is not None:
        ax.axvline(advice.edge, color=VERMILLION, lw=1.2, ls=":", label=f"{advice.edge_name} {advice.edge:.3g}")
    ax.axhline(1, color=BLACK, lw=0.8)
    ax.set(xscale="log", xlim=advice.strengths[[0, -1]], xlabel=strength_label("r1"))
    least = np.nanmin(np.where(np.isfinite(advice.lefts), advice.lefts, np.nan))
    if least < 1 / style.WIDE:
        ax.set_yscale("log")
        ax.set_ylim(0.7 * max(least, LEAST), 2)
    else:
        ax.set_ylim(0, 1.3)
    ax.set_ylabel(f"left of {of} after {advice.span}")
    far = "" if not advice.reach.far else "; taken far from the end of training: not to be relied on"
    return style.finish(ax, f"{len(advice.draws)} draws of {advice.batch_size} points{far}")
