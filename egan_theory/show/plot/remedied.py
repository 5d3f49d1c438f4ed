"""Figure of the remedies of one experiment: predicted and simulated slowest rates side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ...comparison.remedies import Remedies
from .. import given, style
from ..style import BLACK, BLUE, VERMILLION


@given.given(found=given.REMEDIES)
@style.styled
def remedies(found: Remedies, ax: Axes | None = None) -> Axes:
    """Predicted slowest decay rate of each remedy as a bar, as measured in simulations as a point; fastest on top.

    Pairs in which one is best left out are not drawn.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: 1/time, of steps 1/step.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.compare_remedies`` computes it.
    """
    rows = sorted((row for row in found.rows if not row.left_out), key=lambda row: row.rate)
    ax = style.axes(ax, (8.4, 1.6 + 0.28 * len(rows)))
    at = np.arange(len(rows))
    ax.barh(at, [row.rate for row in rows], color=BLUE, alpha=0.55, label="predicted")
    ax.errorbar(
        [row.simulated for row in rows], at, xerr=[row.stderr for row in rows], fmt="D", ms=5, color=VERMILLION,
        label="simulated",
    )  # fmt: skip
    for i, row in enumerate(rows):
        style.tell(ax, [row.rate], [i], [f"{row.name}: slowest decay rate {row.rate:.3g} {found.unit} (predicted)"])
        said = f"{row.name}: slowest decay rate {row.simulated:.3g} ± {row.stderr:.1g} {found.unit} (simulated)"
        style.tell(ax, [row.simulated], [i], [said])
    ax.axvline(found.rows[0].rate, color=BLACK, lw=1, ls=":", label="as given")
    ax.set_yticks(at, [row.name for row in rows])
    ax.grid(False, axis="y")
    ax.set_xlabel(f"slowest decay rate ({found.unit})")
    return style.finish(ax)
