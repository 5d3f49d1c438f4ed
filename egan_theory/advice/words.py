"""An advised R1 strength in words and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.terminal import cell, sentence, table
from ..predict.left import FLAT, WIDE, part
from ..tables.penalties import strength_label

if TYPE_CHECKING:
    from .result import Advice


def remarks(a: Advice) -> tuple[str, ...]:
    """What the numbers mean."""
    choice, out = a.choice, []
    if a.best > 0:
        out.append(
            f"strength {a.best:.4g} leaves {part(a.moving)} of {_moving(a)} after {a.span}; "
            f"{part(a.moving_without)} is left without R1"
        )
    elif np.isfinite(a.moving_without):
        out.append(
            f"no R1 strength helps within {a.span}: {part(a.moving_without)} of {_moving(a)} is left without, and no "
            f"strength leaves {FLAT:.0%} less in the draw that fares worst"
        )
    else:
        out.append(f"no R1 strength may be advised: none {_below(a)} the edge of stability helps")
    if a.best > 0 and choice.high >= WIDE * choice.low:
        out.append(
            f"strengths from {choice.low:.3g} to {choice.high:.3g} leave at most {FLAT:.0%} more: the gentlest of them "
            "is advised"
        )
    if choice.limited and a.edge is not None and a.safety == 1:
        out.append(
            f"the advice is the edge of stability of D's own steps, {a.edge:.4g}, as Adam's second moments are now: "
            "beyond it theory does not tell strengths apart, and larger ones often do better: take it for a lower end"
        )
    elif choice.limited and a.edge is not None:
        scatter = "" if len(a.draws) == 1 else ", scatter over draws counted"
        out.append(f"less would be left within a factor {a.safety:g} of the edge of stability, {a.edge:.4g}{scatter}")
    if min(draw.rate for draw in a.draws) < 0:
        out.append("in some draw no strength makes every mode decay: some mode grows in the long run at all of them")
    if lost := max(draw.unresolved for draw in a.draws):
        out.append(
            f"{lost} of the {a.draws[0].modes} modes of the particles on a batch are left out: D does not see them, or "
            f"their stiffness is below the rounding error of the numbers given ({a.precision})"
        )
    return (*out, *a.never_moves, *(a.notes or a.reach.words(a.span)))


def _below(a: Advice) -> str:
    return "below" if a.safety == 1 else f"at a factor {a.safety:g} below"


def _moving(a: Advice) -> str:
    return a.left_of if a.notes else f"what can move of {a.left_of}"


def headline(a: Advice) -> list[tuple[str, str]]:
    """What a reader needs first, (name, text)."""
    low, high = (("none" if v is None else f"{v:.4g}") for v in a.stable)
    edge = "" if a.share_of_edge is None else f" ({a.share_of_edge:.2g} of it is advised)"
    stable = ("stable in every draw from, to", f"{low}, {high}{edge}")
    if a.notes:
        stable = (f"{a.edge_name}, smallest of the draws", f"{high}{edge}")
    rows = [
        (strength_label("r1"), f"{a.best:.4g}"),
        (f"left of {_moving(a)} after {a.span}, of 1", part(a.moving)),
        ("without R1", part(a.moving_without)),
        ("at half and at twice the strength", f"{part(a.moving_at_half)}, {part(a.moving_at_double)}"),
        *([(f"of {a.left_of}, never moves, of 1", part(a.frozen))] if a.frozen > 0 else []),
        ("best of a draw, one standard deviation", f"{a.low:.4g} to {a.high:.4g}"),
        ("what the draw that fares worst leaves, over its own least", f"{1 / a.share:.3g}" if a.share else "inf"),
        stable,
        ("for a training without end", f"{a.asymptotic.best:.4g}"),
        (f"slowest rate there and at the advice ({a.unit})", f"{a.asymptotic.rate:.4g}, {a.rate:.4g}"),
        ("points per batch, draws", f"{a.batch_size}, {len(a.draws)}"),
    ]
    return [row for row in rows if "nan" not in row[1]]  # no scatter of a single draw


def advice_text(a: Advice) -> list[Any]:
    """The printed form: strings and rich tables."""
    draws = [
        [d.initialisation, d.batch, d.best, d.left, d.left_at_advised, d.asymptotic, d.beta_min, d.beta_max]
        for d in a.draws
    ]
    names = ["initialisation", "batch", "best", "left", "left at advice", "endless best", "beta_min", "beta_max"]
    lines: list[Any] = [
        table(f"R1 strength for {a.span}", ["what", "value"], [list(row) for row in headline(a)]),
        *map(sentence, a.remarks),
        table(f"Draws (left: of {_moving(a)} after {a.span}, of 1)", names, draws),
    ]
    if a.sizes:
        keys = list(a.sizes[0])
        lines.append(table("Batch size", keys, [[row[k] for k in keys] for row in a.sizes]))
        powers = ", ".join(f"{k} as M^{v:.2f}" for k, v in a.exponents.items())
        lines.append(f"More points M make the slowest mode slower, and all data are more than a batch: {powers}.")
    if a.variations:
        rows = [[v["setting"], v["best"], v["left"], v["reason"]] for v in a.variations]
        lines.append(table("One setting changed (first draw)", ["setting", "best", "left", "note"], rows))
    if a.check is not None:
        lines.append(
            "Nothing neglected, first draw: left " + ", ".join(f"{cell(v)} at {k}" for k, v in a.check.items()) + "."
        )
    spread = {"mini-batches": a.spread_batches, "initialisations": a.spread_initialisations}
    known = [f"{100 * v:.0f} % over {k}" for k, v in spread.items() if np.isfinite(v)]
    if known:
        lines.append(f"The best strength scatters by {' and '.join(known)}.")
    return [*lines, f"Convention: {a.convention}.", f"Assumptions: {'; '.join(a.assumptions)}."]


__all__ = ["advice_text", "headline", "remarks"]
