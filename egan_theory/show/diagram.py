"""A bifurcation diagram in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import isnan
from typing import TYPE_CHECKING, Any

from ..base.terminal import cell, plural, sentence
from ..tables.bifurcations import explained
from .reasons import said_of

if TYPE_CHECKING:
    from ..predict.branched import Born, Branch, OrbitState
    from ..predict.curves import Curves, Place

#: how particles move on orbits next to the threshold
MOTION = {"along lines": "orbits along lines", "circles": "circling orbits", "ellipses": "orbits on ellipses"}
#: what a branch's orbits are called
CALLED = {"orbit": "orbits", "cycle of two steps": "cycles of two steps", "fixed point": "distorted states"}
#: on which side of the threshold they are
CRITICALITY = {
    "supercritical": "supercritical (beyond the threshold, from size 0)",
    "subcritical": "subcritical (before the threshold; beyond it the cloud jumps)",
}


def diagram_text(found: Branch) -> list[Any]:
    """The table of orbits, and what becomes of the spread state and of the collapsed one."""
    lines: list[Any] = [found.rich(f"Orbits in {found.vary} (now {cell(found.current)})")] if found.orbits else []
    lines += [_on_equilibrium(found)]
    if not found.branches and any(p.stable is False for p in found.equilibrium) and found.status == "finished":
        lines.append("No threshold lies in this range: orbits that begin at one outside of it were not followed.")
    for i, born in enumerate(found.branches):
        lines += _on_branch(found, born, [o for o in found.orbits if o.branch == i])
    lines += _on_collapsed(found)
    if found.status == "interrupted":
        lines.append("Interrupted: this is what was found until then.")
    return [*lines, f"Method: {found.method}.", f"Assumptions: {'; '.join(found.assumptions)}."]


def _on_equilibrium(found: Branch) -> str:
    said = {True: "stable", False: "unstable", None: "not there"}
    parts = [f"{said[p.stable]} from {cell(p.low)} to {cell(p.high)}" for p in found.equilibrium]
    return f"The spread state at rest is {', '.join(parts) or 'not looked at'} in {found.vary}."


def _on_branch(found: Branch, born: Born, rows: list[OrbitState]) -> list[str]:
    start = f"At {cell(born.threshold)}, {explained(born.bifurcation)}"
    if not rows:
        return [f"{start}: nothing was followed{f' ({said_of(born.reason)})' if born.reason else ''}."]
    name = MOTION.get(born.motion, CALLED[rows[0].kind]) if rows[0].kind == "orbit" else CALLED[rows[0].kind]
    how = "" if born.criticality is None else f", {CRITICALITY[born.criticality]}"
    why = said_of(born.reason) or ("stopped there, before the branch ended" if found.status != "finished" else "")
    text = f"{start}{how}: {name} are born, followed from {cell(born.low)} to {cell(born.high)}"
    text += f" ({why})" if why else ""
    lines = [f"{text}. {sentence(_sizes(found, rows))}"]
    if born.folds:
        lines.append(f"They turn back (folds) at {_listed(born.folds)}.")
    lines.append(_on_stability(found, born, rows))
    kept = born.modes_kept
    if kept is not None:
        if kept == 1:
            lines.append(
                "Every mode that has a particle at rest keeps one along all of these orbits: none is a collapse."
            )
        else:
            first = next(o for o in rows if o.modes_kept < 1)
            lines.append(
                f"From {cell(first.value)} on some modes have no particle during a turn (at least {cell(kept)})."
            )
    if any(o.parting is not None for o in rows) and born.ever_stable:
        lines.append(_on_places(found, rows))
    return lines


def _sizes(found: Branch, rows: list[OrbitState]) -> str:
    """The largest of them."""
    last = max(rows, key=lambda o: o.rms)
    turn = "" if last.period is None else f", a turn in {cell(last.period)} {plural(found.unit)}"
    return (
        f"the largest, at {cell(last.value)}: particles {cell(last.rms)} (rms) from their places, the centroid up to "
        f"{cell(last.centroid)}{turn}"
    )


def _on_stability(found: Branch, born: Born, rows: list[OrbitState]) -> str:
    if not born.changes:
        return "They are stable." if born.ever_stable else "They are unstable: no run stays on them."
    first = "stable" if rows[0].stable else "unstable"
    rest = ", then ".join(f"{'stable' if to else 'unstable'} from {cell(value)} on" for value, to in born.changes)
    return f"Along the branch they are {first} at first, then {rest}."


def _on_places(found: Branch, rows: list[OrbitState]) -> str:
    steady = [o for o in rows if o.stable and o.parting is not None and not o.fold]
    apart = [o for o in steady if o.particles_part]
    if not apart:
        return "Particles that share a place stay together on the stable ones."
    most = max(apart, key=lambda o: o.parting or 0.0)
    where = "on the stable ones" if len(apart) == len(steady) else f"on {len(apart)} of the {len(steady)} stable ones"
    return (
        f"Particles that share a place part {where}: distances grow by a factor e in "
        f"{cell(1 / (most.parting or 1.0))} {plural(found.unit)} at {cell(most.value)}, where they do so fastest."
    )


def _on_collapsed(found: Branch) -> list[str]:
    states = found.collapsed
    if not states:
        return []
    said = [
        "leaves the data"
        if c.escapes
        else {True: "attracts", False: "does not attract", None: "is undecided"}[c.attracts]
        for c in states
    ]
    parts, first = [], 0
    for i in range(1, len(said) + 1):
        if i == len(said) or said[i] != said[first]:
            low, high = cell(states[first].value), cell(states[i - 1].value)
            parts.append(f"{said[first]} at {low}" if low == high else f"{said[first]} from {low} to {high}")
            first = i
    return [f"The collapsed state (all particles at one point), at {len(states)} values: {'; '.join(parts)}."]


def _listed(values: Iterable[float]) -> str:
    return ", ".join(cell(float(value)) for value in values)


def curves_text(found: Curves) -> list[Any]:
    """What is born along the thresholds of the spread state over two parameters."""
    count = Counter(p.criticality for p in found.thresholds)
    names = (found.first, found.second)

    def at(places: Iterable[Place]) -> str:
        return "; ".join(f"{names[0]} = {cell(p.first)}, {names[1]} = {cell(p.second)}" for p in places)

    lines = [
        f"Along the threshold of the spread state: small orbits are born, modes kept, at {count['supercritical']} of "
        f"{len(found.thresholds)} places; the cloud jumps at {count['subcritical']}; no normal form at {count[None]}."
    ]
    if found.changes:
        lines.append(f"Between small orbits and jumps it changes at {at(found.changes)}.")
    if found.folds:
        lines.append(
            f"Orbits turn back at {at(found.folds)}: between there and the threshold they stand beside the stable "
            "spread state."
        )
    return [*lines, f"The curves assume: {'; '.join(found.assumptions)}."]


def kept_or_lost(accuracy: dict[str, float]) -> str:
    """How often it is right that modes are lost; without one of the two kinds of cells there is no mean over both."""
    lost, kept = accuracy["sensitivity"], accuracy["specificity"]
    start = "Modes kept against lost:"
    if isnan(lost) and isnan(kept):
        return f"{start} no cell was simulated."
    if isnan(lost):
        return f"{start} no simulated cell lost modes; share of them predicted to: {cell(1 - kept)}."
    if isnan(kept):
        return f"{start} every simulated cell lost modes; share of them predicted to: {cell(lost)}."
    error = f" +- {cell(accuracy['stderr'])}" if "stderr" in accuracy else ""
    return (
        f"{start} balanced accuracy {cell(accuracy['balanced_accuracy'])}{error} (of the cells that lost modes "
        f"{cell(lost)} were predicted to, of the others {cell(kept)} not)."
    )


__all__ = ["curves_text", "diagram_text", "kept_or_lost"]
