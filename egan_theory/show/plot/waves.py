"""Figure of the frequency principle: learning times over wavenumbers, and where boundaries lie, by kernel."""

from __future__ import annotations

from itertools import cycle, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ...predict.learnt import Boundary, Frequency
from .. import given, panel, style
from ..style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

#: one curve per kernel, the experiment's own first
LOOKS = ((BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (ORANGE, (0, (5, 1, 1, 1))), (PURPLE, (0, (1, 1))), (SKY, "-"))
#: times beyond this many runs are not drawn
LONGEST = 100.0
SIZE = (9.6, 4.8)
#: the panels below each other
TALL = (9.6, 7.6)


@given.given(found=given.FREQUENCY)
@style.styled
def frequency(found: Frequency, ax: Axes | None = None) -> Axes:
    """Learning time against wavenumber, one curve per kernel, the experiment's own bold.

    Also the wavenumber that separates neighbouring modes, the length of the run, the finite sample's own waves. Without
    ``ax`` a second panel shows at which kernel ratios the spread state is unstable (and the collapsed state attracts)
    with each kernel.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: 1/length; y: steps, or units of time of flows; ratios are pure numbers.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.frequency`` computes it; Eq. (16, dispersion).
    """
    if ax is not None:
        return _times(found, ax)
    stacked = panel.is_narrow()
    ax = style.axes(None, TALL if stacked else SIZE)
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    cells = figure.add_gridspec(2, 1, height_ratios=[3, 2]) if stacked else figure.add_gridspec(1, 2)
    ax.set_subplotspec(cells[0])
    _boundaries(found, figure.add_subplot(cells[1]))
    return _times(found, ax)


def _times(found: Frequency, ax: Axes) -> Axes:
    k, longest = np.array(found.wavenumber), LONGEST * found.steps
    shown = [float(found.steps)]
    for row, (colour, line) in zip(found.kernels, cycle(LOOKS), strict=False):
        time = np.array(row.learning_time)
        time = np.where(np.isfinite(time) & (time <= longest), time, np.nan)
        shown += list(time[np.isfinite(time)])
        label = f"{row.kernel}, the experiment's" if row.own else row.kernel
        marker = "o" if found.way == "box" else None
        ax.plot(k, time, color=colour, ls="-" if row.own else line, lw=3.2 if row.own else 1.6, marker=marker, ms=4,
                label=label, zorder=3 if row.own else 2)  # fmt: skip
        at = np.flatnonzero(np.isfinite(time))[:: max(1, -(-len(k) * len(found.kernels) // style.DENSE))]
        style.tell(ax, k[at], time[at], [f"{label}: k = {a:.4g} per length, learnt in {_span(b, found)}"
                                         for a, b in zip(k[at], time[at], strict=True)])  # fmt: skip
    dots = np.array(found.sample.learning_time)
    seen = np.isfinite(dots) & (dots <= longest)
    if seen.any():
        shown += list(dots[seen])
        ax.plot(np.array(found.sample.wavenumber)[seen], dots[seen], "o", ms=6, mfc="white", mec=BLUE, mew=1.5,
                label="the same kernel on the target's points", zorder=4)  # fmt: skip
        at = np.array(found.sample.wavenumber)[seen]
        style.tell(ax, at, dots[seen], [f"on the target's points: k = {a:.4g} per length, learnt in {_span(b, found)}"
                                        for a, b in zip(at, dots[seen], strict=True)])  # fmt: skip
    unit = f"{found.unit}s" if found.unit == "step" else "units of time"
    ax.axhline(found.steps, color=BLACK, ls=":", lw=1.4, label=f"the run: {found.steps} {unit}")
    if found.separating_wavenumber is not None:
        ax.axvline(found.separating_wavenumber, color=GREY, ls="--", lw=1.4,
                   label=f"k = π/Δ = {found.separating_wavenumber:.3g} separates neighbours")  # fmt: skip
    ax.set(xscale="log", yscale="log", ylim=(min(shown) / 1.6, 1.6 * max(shown)))
    style.plain_ticks(ax, "x")
    ax.set(xlabel="wavenumber k (1/length)", ylabel=f"learning time ({unit})")
    return style.finish(ax)


def _span(time: float, found: Frequency) -> str:
    return f"{time:.4g} {'steps' if found.unit == 'step' else 'units of time'}"


def _boundaries(found: Frequency, ax: Axes) -> None:
    rows = found.kernels
    known = any(row.collapsed is not None for row in rows)
    handles = [Patch(fc=GREY, alpha=0.55, label="spread state unstable")]
    handles += [Patch(fc="white", ec=GREY, hatch="///", label="collapsed state attracts")] if known else []
    for i, (row, (colour, _)) in enumerate(zip(rows, cycle(LOOKS), strict=False)):
        height = -i
        _bar(ax, row.unstable, height + (0.15 if known else 0), colour, False)
        for ratio in row.unstable.values:
            said = f"{row.kernel}: the spread state changes stability at a kernel ratio of {ratio:.4g}"
            style.tell(ax, [ratio], [height + (0.15 if known else 0)], [said])
        if row.collapsed is not None:
            _bar(ax, row.collapsed, height - 0.2, colour, True)
            for ratio in row.collapsed.values:
                said = f"{row.kernel}: the collapsed state begins or ceases to attract at a kernel ratio of {ratio:.4g}"
                style.tell(ax, [ratio], [height - 0.2], [said])
    ax.axvline(found.ratio, color=BLACK, ls=":", lw=1.4, label=f"the experiment's ratio: {found.ratio:.3g}")
    ax.set_yticks(-np.arange(len(rows)), [row.kernel for row in rows])
    for text, row in zip(ax.get_yticklabels(), rows, strict=True):
        text.set_fontweight("bold" if row.own else "normal")
    ax.set(xlim=(0, 1), ylim=(-len(rows) + 0.4, 0.6), xlabel="kernel ratio g2/g1 (1)", ylabel="discriminator kernel")
    ax.grid(axis="y", visible=False)
    style.finish(ax, columns=1, handles=[*handles, *ax.get_legend_handles_labels()[0]])


def _bar(ax: Axes, boundary: Boundary, height: float, colour: str, hatched: bool) -> None:
    """The ratios at which a mechanism holds, and its thresholds."""
    if boundary.reason or (boundary.at_zero is None and not boundary.values):
        ax.text(0.5, height, "not known", ha="center", va="center", fontsize=9, color=GREY)
        return
    edges, holds = [0.0, *boundary.values, 1.0], bool(boundary.at_zero)
    if boundary.sides:
        holds = boundary.sides[0] == "below"
    for low, high in pairwise(edges):
        if holds:
            look: dict = {"fc": "white", "ec": colour, "hatch": "///"} if hatched else {"fc": colour, "alpha": 0.55}
            ax.barh(height, high - low, 0.28, left=low, **look)
        holds = not holds
    if boundary.values:
        ax.plot(boundary.values, [height] * len(boundary.values), "|", color=colour, ms=16, mew=2.5)
        return
    if not boundary.at_zero:
        words = "attracts at no ratio" if hatched else "stable at every ratio"
        ax.text(0.5, height, words, ha="center", va="center", fontsize=9, color=GREY)
