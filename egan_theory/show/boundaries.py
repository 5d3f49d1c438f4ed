"""What the report says of boundaries: what holds at the experiment as it is, and from which kernel ratio on another."""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError
from ..base.terminal import cell, sentence
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..predict.mechanism import MECHANISMS
from ..predict.threshold import Threshold, Thresholds, thresholds

RATIO = "generator.kernel.ratio"


def boundaries(exp: Experiment) -> Thresholds:
    """Thresholds in the kernel ratio of the mechanisms whose margin is cheap; of the others, and of experiments whose
    ratio cannot be varied, what holds at the experiment as it is."""
    rows: list[Threshold] = []
    for mechanism in MECHANISMS.values():
        if not mechanism.noisy:
            try:
                rows += thresholds(exp, RATIO, mechanisms=[mechanism.name]).thresholds
                continue
            except InputError:  # the ratio is its architecture's
                pass
        margin, reason = float(mechanism.margins([exp])[0]), ""
        if margin != margin:
            try:
                mechanism(exp)
            except InputError as error:
                reason = str(error)
        now = float(exp.get(RATIO))
        rows.append(Threshold(mechanism.name, (), (), (now, now), "", mechanism.assumptions, margin, reason=reason))
    return Thresholds(RATIO, float(exp.get(RATIO)), tuple(rows), provenance(exp))


def table_rows(found: Thresholds) -> list[dict[str, str]]:
    """Rows for a page: mechanism, what holds now, the thresholds in words, and what they assume."""
    rows = []
    for t in found.thresholds:
        beyond = [
            f"{side} {cell(value)}: {said[side]}"
            for value, side, said in zip(t.values, t.unstable_side, t.meanings, strict=True)
        ]
        searched = t.range[1] > t.range[0]
        rows.append(
            {
                "mechanism": t.mechanism,
                "now": t.meaning or "no statement" + (f" ({t.reason})" if t.reason else ""),
                "beyond": "; ".join(beyond) or ("the same at every kernel ratio" if searched else "not searched"),
                "assumptions": "; ".join(t.assumptions),
            }
        )
    return rows


def headline(found: Thresholds) -> str:
    """What the boundaries say of the experiment as it is, in one sentence."""
    said: list[Any] = [t.meaning for t in found.thresholds if t.meaning]
    return sentence("; ".join(said)) if said else ""
