"""Bifurcation diagrams: the size of orbits against a parameter, solid where stable, dashed where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.interpolate import PchipInterpolator

from ...base.terminal import plural
from .. import fields, given, panel, style
from ..style import BLACK, BLUE, GREY, PURPLE, VERMILLION

if TYPE_CHECKING:
    from ...predict.branched import Branch, OrbitState

#: colours of branches, in turn
COLOURS = (BLUE, VERMILLION, style.GREEN, style.ORANGE, style.SKY)
#: height of the collapsed state's strip above the diagram, in parts of it
STRIP = 1.06
#: a branch is drawn from the threshold where its first orbit is within this part of its range of it; points between two
#: orbits; the line where orbits are unstable
NEAR, BETWEEN, DASHED = 0.05, 12, (0, (4, 2))
#: what begins at a threshold whose orbits were not followed
BEGINS = {
    "neimark-sacker": "circling", "hopf": "circling", "flip": "jumping to and fro", "pitchfork": "distortion",
    "transcritical": "distortion",
}  # fmt: skip
#: size in inches of a figure, and of one without orbits, which has no sizes to show
SIZE, LOW = (7.6, 5.0), (7.6, 3.0)


@given.given(found=given.BRANCH)
@style.styled
def branch(found: Branch, ax: Axes | None = None) -> Axes:
    """rms displacement of the particles from their places at equilibrium against the parameter (``eg.branch``).

    The equilibrium is the line at 0; solid: stable, dashed: unstable, particles that share a place together (a dot on
    stable orbits on which these part). A diamond marks a fold, a vertical line a threshold of the equilibrium. The
    strip above is the collapsed state.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: the parameter in its own unit; y: length.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.branch`` computes it; Eq. (111, invariant-circle).
    """
    ax = style.axes(ax, SIZE if found.orbits else LOW)
    for part in found.equilibrium:
        if part.stable is not None:
            ax.plot([part.low, part.high], [0, 0], color=BLACK, ls="-" if part.stable else DASHED, lw=2)
    handles = [Line2D([], [], color=BLACK, lw=2, label="spread equilibrium")]
    for i, born in enumerate(found.branches):
        rows = [o for o in found.orbits if o.branch == i]
        colour = COLOURS[i % len(COLOURS)]
        if rows:
            _orbits(ax, found, born.threshold, rows, colour)
            handles.append(Line2D([], [], color=colour, lw=2, label=_label(born.threshold, rows[0].kind)))
        else:
            rest = "its size not known" if born.criticality is None else f"{born.criticality}, not followed"
            label = f"{BEGINS.get(born.bifurcation, 'motion')} begins at {born.threshold:.4g}, {rest}"
            handles += ax.plot([born.threshold], [0.0], "o", color=colour, ms=9, mec="white", zorder=4, label=label)
    for value in sorted({born.threshold for born in found.branches}):
        ax.axvline(value, color=GREY, lw=0.8, ls=":")
        style.tell(ax, [value], [0.0], [f"threshold of the spread state: {found.vary} = {value:.4g}"])
    if found.branches:
        handles.append(Line2D([], [], color=GREY, lw=0.8, ls=":", label="threshold of the spread state"))
    handles.append(Line2D([], [], color=GREY, lw=1.4, label="solid: stable, dashed: unstable"))
    if any(o.fold for o in found.orbits):
        handles.append(Line2D([], [], color=GREY, marker="D", ls="", ms=5, label="fold"))
    if any(o.stable and o.particles_part for o in found.orbits):
        label = "particles of one point part there"
        handles.append(Line2D([], [], color=GREY, marker=".", ls="", ms=7, label=label))
    handles += _collapsed(ax, found)
    low, high = found.range
    height = "rms displacement of the particles (length)" if found.orbits else ""
    ax.set(xlabel=fields.label(found.vary), ylabel=height, xlim=(low, high))
    if found.log:
        ax.set_xscale("log")
    ax.set_ylim(bottom=-0.02 * max((o.rms for o in found.orbits), default=1.0))
    if not found.orbits:
        ax.set(ylim=(-0.02, 1.0), yticks=[0.0])  # a size would mean nothing
        undamped = any(born.criticality is None and "weight decay" in born.reason for born in found.branches)
        why = "without weight decay no orbit has a fixed size" if undamped else "no orbits were followed"
        ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", color=GREY)
    panel.legend(
        ax, handles, loc="lower left", bbox_to_anchor=(0.0, 1.11 if found.collapsed else 1.0), ncols=2,
        frameon=False, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    return ax


def _label(threshold: float, kind: str) -> str:
    return f"{kind}s from {threshold:.4g}"


def _said(o: OrbitState, found: Branch) -> str:
    turn = "" if o.period is None else f", a turn in {o.period:.4g} {plural(found.unit)}"
    what = f"{'stable' if o.stable else 'unstable'} {o.kind}{turn}"
    parts = [f"{found.vary} = {o.value:.4g}: {what}, rms displacement {o.rms:.3g} (length)"]
    parts += ["fold"] if o.fold else []
    parts += ["particles of one point part"] if o.particles_part else []
    return "; ".join(parts)


def _orbits(ax: Axes, found: Branch, threshold: float, rows: list[OrbitState], colour: str) -> None:
    """One branch: the square of the size and the parameter as smooth functions along it, without vertical tangents."""
    value, square = np.array([o.value for o in rows]), np.array([o.rms**2 for o in rows])
    stable = [o.stable for o in rows]
    if abs(value[0] - threshold) < NEAR * np.ptp(value) or len(rows) == 1:
        value, square, stable = np.append(threshold, value), np.append(0.0, square), [stable[0], *stable]
    spans = np.hypot(np.diff(value) / (np.ptp(value) or 1.0), np.diff(square) / (np.ptp(square) or 1.0))
    place = np.concatenate([[0.0], np.cumsum(np.maximum(spans, 1e-12))])
    fine = np.linspace(place[:-1], place[1:], BETWEEN, axis=-1)
    x, y = (PchipInterpolator(place, v)(fine) for v in (value, square))
    added = len(place) - len(rows)
    growth = [rows[0].exponent] * added + [o.exponent for o in rows]
    for i in range(len(place) - 1):
        size = np.sqrt(np.maximum(y[i], 0.0))
        # a fold itself is on the edge: the orbit beyond it tells
        first = stable[i + 1] if i >= added and rows[i - added].fold else stable[i]
        last = first if rows[i + 1 - added].fold else stable[i + 1]
        cut = BETWEEN - 1 if first == last else round((BETWEEN - 1) * growth[i] / (growth[i] - growth[i + 1]))
        for part, steady in ((slice(0, cut + 1), first), (slice(cut, BETWEEN), last)):
            ax.plot(x[i][part], size[part], color=colour, lw=2, ls="-" if steady else DASHED)
    style.tell(ax, [o.value for o in rows], [o.rms for o in rows], [_said(o, found) for o in rows])
    parting = [o for o in rows if o.stable and o.particles_part and not o.fold]
    ax.plot([o.value for o in parting], [o.rms for o in parting], ".", color=colour, ms=7)
    folds = [o for o in rows if o.fold]
    ax.plot([o.value for o in folds], [o.rms for o in folds], "D", color=colour, ms=5, mec="white", mew=0.6)


def _collapsed(ax: Axes, found: Branch) -> list[Line2D]:
    """The strip of the collapsed state, a mark for each value."""
    if not found.collapsed:
        return []
    across = ax.get_xaxis_transform()
    groups = {
        "collapsed state: attracts": ([c.value for c in found.collapsed if c.attracts], "s", PURPLE),
        "collapsed state: does not attract": ([c.value for c in found.collapsed if c.attracts is False], "s", "white"),
        "collapsed state: undecided": (
            [c.value for c in found.collapsed if c.attracts is None and not c.escapes],
            "d",
            "#dddddd",
        ),
        "collapsed state: leaves the data": ([c.value for c in found.collapsed if c.escapes], "x", PURPLE),
    }
    handles = []
    for label, (values, marker, face) in groups.items():
        if values:
            line = ax.plot(
                values, [STRIP] * len(values), marker, transform=across, clip_on=False, ms=6.5, mfc=face, mec=PURPLE,
                mew=1.3, ls="", label=label,
            )[0]  # fmt: skip
            handles.append(line)
            texts = [f"{found.vary} = {value:.4g}: {label}" for value in values]
            style.tell(ax, values, [STRIP] * len(values), texts, across)
    return handles


__all__ = ["branch"]
