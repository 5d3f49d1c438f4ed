"""What the report says of boundaries: what holds at the experiment as it is, and from which kernel ratio on another."""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError
from ..base.terminal import cell
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..predict.basin import Reached
from ..predict.mechanism import MECHANISMS
from ..predict.threshold import Threshold, Thresholds, thresholds
from .reasons import reason_of

RATIO = "generator.kernel.ratio"
#: mechanisms that the first screen answers by
SPREAD, STARTS = "collective instability", "state reached from the start"
#: what a page calls a start: the experiment's own may be a kick, and then it is random ones that the page follows
OWN_START, RANDOM_START = "training that starts as the run does", "training from a random start"


def boundaries(exp: Experiment, *, followed: bool = False) -> Thresholds:
    """Thresholds in the kernel ratio of the mechanisms whose margin is cheap and, if it is ``followed``, of the start;
    of the others, and of experiments whose ratio cannot be varied, what holds at the experiment as it is."""
    rows: list[Threshold] = []
    for mechanism in MECHANISMS.values():
        if not mechanism.noisy or (followed and mechanism.tells_kinds):
            try:
                rows += thresholds(exp, RATIO, mechanisms=[mechanism.name]).thresholds
                continue
            except InputError:  # the ratio is its architecture's
                pass
        if dear(exp) and mechanism.noisy and not mechanism.tells_kinds:
            reason = "its orbit would take minutes with the kernel of a network of infinite width"
            now = float(exp.get(RATIO))
            rows.append(Threshold(mechanism.name, (), (), (now, now), "", mechanism.assumptions, reason=reason))
            continue
        margin, reason = float(mechanism.margins([exp])[0]), ""
        if margin != margin:
            try:
                mechanism(exp)
            except InputError as error:
                reason = str(error)
        now = float(exp.get(RATIO))
        rows.append(Threshold(mechanism.name, (), (), (now, now), "", mechanism.assumptions, margin, reason=reason))
    return Thresholds(RATIO, float(exp.get(RATIO)), tuple(rows), provenance(exp))


def of_random_starts(text: str) -> str:
    """What a mechanism says of the experiment's start, of random ones."""
    return text.replace(OWN_START, RANDOM_START)


def dear(exp: Experiment) -> bool:
    """Whether the discriminator's kernel is that of a network of infinite width, which costs much at every step."""
    return exp.discriminator.architecture is not None and not exp.discriminator.finite_network


def undecided(row: Threshold, now: float) -> bool:
    """Whether draws do not tell on which side of a threshold ``now`` is, or how many thresholds there are."""
    low, high = row.bracket or (now, now)
    return row.mechanism == STARTS and low < high and (low <= now <= high or len(row.values) > 1)


def table_rows(found: Thresholds, reached: Reached | None = None) -> list[dict[str, Any]]:
    """Rows for a page: mechanism, what holds now, its thresholds (value, how far, what holds on which side), what was
    searched, and what they assume."""
    now, rows = found.current, []
    for t in found.thresholds:
        beyond = []
        for value, side, said in zip(t.values, t.unstable_side, t.meanings, strict=True):
            far = f"{value / now:.3g} times the present ratio" if now > 0 else "the present ratio is 0"
            low, high = t.bracket or (value, value)
            if low < high:
                far = f"draws place it in {cell(low)} to {cell(high)}"
            about = "about " if low < high else ""
            there = of_random_starts(said[side])
            beyond.append({"value": f"{about}{cell(value)}", "side": side, "said": there, "far": far})
        searched = t.range[1] > t.range[0]
        none = f"none from {cell(t.range[0])} to {cell(t.range[1])}" if searched else "not searched"
        said_now, odds = of_random_starts(t.meaning), ""
        if undecided(t, now):
            if reached is not None:
                odds = f"; odds of losing modes here {100 * reached.lost:.0f} ± {100 * reached.stderr:.0f} %"
            said_now, beyond, none = f"not decided by so many draws{odds}", [], "not decided by so many draws"
        rows.append(
            {
                "mechanism": t.mechanism,
                "now": said_now
                or "no statement" + (f": {'; '.join(filter(None, reason_of(t.reason)))}" if t.reason else ""),
                "beyond": beyond,
                "none": "" if beyond else "no statement" if t.reason else none,
                "assumptions": "; ".join(t.assumptions),
            }
        )
    return rows


__all__ = ["RATIO", "SPREAD", "STARTS", "boundaries", "dear", "of_random_starts", "table_rows", "undecided"]
