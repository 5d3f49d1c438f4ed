"""What the latest analysis of a monitored training says, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..games.modes import KINDS, TROUBLE, kind
from ..games.words import FAST
from ..games.words import multiplier as shown
from ..tables.penalties import strength_unit
from .pace import share_said

if TYPE_CHECKING:
    from .reading import Analysis

#: cosine above which training goes straight on, and below which (in size) it goes across
STRAIGHT, ACROSS = 0.7, 0.3
#: factor between the strengths set and advised that is worth a word
APART = 3.0
#: share of the kernel below which the effective model is a rough one
ROUGH = 0.5
#: of R1 strengths and kernel numbers
UNIT = strength_unit("r1")


def kind_of(z: complex, residual: float | None) -> str:
    """The kind of a multiplier, as far as its residual tells."""
    return kind(z, residual if residual is not None and np.isfinite(residual) else 0.0)


def remarks(
    ds: xr.Dataset, analyses: Sequence[Analysis], seen: list[tuple[complex, float, float]], status: str, last: float,
    overhead: float, notes: list[list[Any]], asked: Mapping[str, Any],
) -> list[str]:  # fmt: skip
    """Sentences on the latest analysis, on time spent and on what failed."""
    if status.startswith("diverged"):
        out = [f"Training {status}: from there on nothing is finite."]
    else:
        out = []
    if not analyses:
        return [*out, f"No analysis was made until step {last:g}.", *_failed(notes)]
    now = analyses[-1]
    out += [*_modes(now, seen), *_path(now), *_strength(now), *_kernel(now)]
    if np.isfinite(overhead):
        out.append(f"The analyses took {share_said(overhead)}{_aim(asked, overhead)}.")
    return [*out, *_failed(notes)]


def _aim(asked: Mapping[str, Any], overhead: float) -> str:
    """Why it was more than the share asked for."""
    share = asked.get("share")
    if asked.get("every") is not None or not isinstance(share, int | float) or overhead <= share:
        return ""
    return f", above the {share:.1%} asked for, to which the latest analysis and what was done before it are added"


def _modes(now: Analysis, seen: list[tuple[complex, float, float]]) -> list[str]:
    """What the multipliers say: what needs a change first."""
    if not seen:
        return [f"At step {now.step:g} no multipliers were measured."]
    out = []
    for name in TROUBLE:
        of = [row for row in seen if kind_of(*row[:2]) == name]
        if of:
            z, residual, share = of[0]
            doubt = "" if abs(abs(z) - 1) > residual else ", which its residual leaves in doubt"
            who = _carrier(share)
            out.append(
                f"At step {now.step:g}: {name}. A mode carried by {who} is multiplied per step by {shown(z)} (modulus "
                f"{abs(z):.4g}{doubt}): {KINDS[name]}. {_change(name, who, now)}"
            )
    if not out:
        kinds = [kind_of(*row[:2]) for row in seen]
        by = "; ".join(f"{kinds.count(name)} {name}" for name in KINDS if name in kinds)
        z = seen[0][0]
        drift = "drift" in kinds
        rest = "it grows without turning, as it does while training is under way" if drift else "nothing grows"
        if drift and abs(z) > FAST:
            rest = "it grows without turning, and fast: where the next analyses say so, too, lower the learning rates"
        out.append(
            f"At step {now.step:g} no mode overshoots or circles with growing size ({by}); the largest multiplier is "
            f"{shown(z)}: {rest}."
        )
    return out


def _carrier(share: float) -> str:
    if not np.isfinite(share):
        return "the players"
    return "the discriminator" if share >= 0.75 else "the generator" if share <= 0.25 else "both players"


def _change(name: str, who: str, now: Analysis) -> str:
    """What to change."""
    if name == "step too large":
        whose = f"{who}'s learning rate" if who in ("the discriminator", "the generator") else "the learning rates"
        penalty = "" if who == "the generator" or not now.strength_r1 else " or the R1 strength"
        return f"Lower {whose}{penalty}."
    penalty = "Raise the R1 strength" if now.strength_r1 else "Add an R1 penalty"
    return f"{penalty}, or lower the learning rates."


def _path(now: Analysis) -> list[str]:
    c, beyond = now.path_angle, now.path_angle_beyond
    if c is None:
        return []
    if beyond is not None and c > 0 > beyond:
        said = "it points back from a quarter beyond: the weights come to rest along this way"
    elif c >= STRAIGHT:
        said = "training goes straight on"
    elif c <= -STRAIGHT:
        said = "the field points back: the steps overshoot"
    elif abs(c) <= ACROSS:
        said = "the field goes across the way: the players turn, or the batch's noise is larger than their pull"
    else:
        said = "training goes on along a bent way"
    return [f"The cosine between the game's field and the way gone since the analysis before is {c:.2f}: {said}."]


def _strength(now: Analysis) -> list[str]:
    advised, is_set = now.strength_advised, now.strength_r1
    if advised is None:
        return []
    if not is_set:
        return [f"Theory advises an R1 strength of {advised:.3g} {UNIT}; none is set."]
    if advised and max(advised / is_set, is_set / advised) > APART:
        way = "raise" if advised > is_set else "lower"
        return [
            f"Theory advises an R1 strength of {advised:.3g} {UNIT}: {way} it from {is_set:.3g} {UNIT}, and look at "
            f"the next advice: it is more than a factor {APART:g} from the strength trained at, on which Adam's second "
            f"moments depend.{_lower_end(now)}"
        ]
    return [
        f"The R1 strength of {is_set:.3g} {UNIT} is near the one that theory advises, {advised:.3g} {UNIT}."
        f"{_lower_end(now)}"
    ]


def _lower_end(now: Analysis) -> str:
    """What it means that the edge itself is advised, as it is with Adam alone (advice.trained)."""
    if not now.strength_advised or not now.strength_edge or now.strength_advised < 0.99 * now.strength_edge:
        return ""
    return (
        " It is the edge of D's own steps as Adam's second moments are now: beyond it theory does not tell strengths "
        "apart, and larger ones often do better: take it for a lower end."
    )


def _kernel(now: Analysis) -> list[str]:
    if now.kernel_share is None:
        return []
    rough = "" if now.kernel_share >= ROUGH else ": the effective model is a rough one here"
    numbers = ""
    if now.kernel_g1 and now.kernel_g2 is not None:
        numbers = f" (g1 = {now.kernel_g1:.3g} {UNIT}, g2/g1 = {now.kernel_g2 / now.kernel_g1:.2g})"
    return [f"Two numbers{numbers} explain {now.kernel_share:.0%} of the generator's kernel{rough}."]


def _failed(notes: list[list[Any]]) -> list[str]:
    if not notes:
        return []
    first, _, text = notes[-1]
    return [f"Something could not be measured, the latest from step {first:g}: {text}."]


__all__ = ["UNIT", "kind_of", "remarks"]
