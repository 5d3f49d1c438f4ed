"""Figure of what becomes of runs from a start: probabilities of each kind, of one start or along a parameter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ...predict.basin import Reached
from ...runs.outcome import Outcome
from .. import fields, given, style
from ..style import BLACK, OUTCOMES

COLOURS = {o.word: OUTCOMES[o][0] for o in Outcome}


@given.given(found=given.REACHED)
@style.styled
def reached(
    found: Reached | Sequence[Reached],
    values: Sequence[float] | None = None,
    label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Probability of each outcome (``eg.reached``): bars of one start; of several, stacked over ``values`` of a
    parameter.

        widths = [0.1, 0.2, 0.4]
        eg.plot.reached([eg.reached(exp.replace({"run.spread": s})) for s in widths], widths, "run.spread")

    Of several also the probability that modes are lost, with its error. ``label``: name of the parameter.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        Probabilities, pure numbers; values in the unit of the parameter.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.reached`` computes it; Eq. (79, macro-particles).
    """
    ax = style.axes(ax, (6.4, 4.2))
    if isinstance(found, Reached):
        words = list(found.kinds)
        ax.barh(
            words,
            [found.kinds[w] for w in words],
            edgecolor=BLACK,
            color=[COLOURS[w] for w in words],
        )
        for row, (word, share) in enumerate(found.kinds.items()):
            style.tell(ax, [share], [row], [f"{word}: {100 * share:.3g} % of {found.draws} draws of the start"])
        ax.invert_yaxis()
        ax.set_xlim(0, 1)
        ax.set_xlabel(f"share of {found.draws} draws of the start")
        ax.set_title(f"modes are lost with probability {found.lost:.2f} ± {found.stderr:.2f}")
        return ax
    x = np.arange(len(found)) if values is None else np.asarray(values, dtype=float)
    words = list(found[0].kinds)
    parts = np.array([[f.kinds[w] for f in found] for w in words])
    seen = [bool(row.any()) for row in parts]
    ax.stackplot(
        x, parts[np.array(seen)], labels=[w for w, s in zip(words, seen, strict=True) if s],
        colors=[COLOURS[w] for w, s in zip(words, seen, strict=True) if s], alpha=0.7,
    )  # fmt: skip
    ax.errorbar(x, [f.lost for f in found], [f.stderr for f in found], color=BLACK, marker="o", label="modes lost")
    style.tell(ax, x, [f.lost for f in found], [
        f"{label or 'start'} {v:.4g}: modes are lost with probability {f.lost:.3g} ± {f.stderr:.1g}; "
        + ", ".join(f"{word} {100 * share:.3g} %" for word, share in f.kinds.items() if share)
        for v, f in zip(x, found, strict=True)
    ])  # fmt: skip
    ax.set_ylim(0, 1)
    ax.set_xlabel(fields.label(label))
    ax.set_ylabel("probability")
    return style.finish(ax)
