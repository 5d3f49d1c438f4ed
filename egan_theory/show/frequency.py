"""What `egan frequency` and the report say about learning times."""

from __future__ import annotations

from math import isfinite
from typing import Any

from ..base.terminal import cell
from ..predict.learnt import Frequency, KernelTimes
from .reasons import said_of


def frequency_text(found: Frequency) -> list[Any]:
    """A table, what it says in words, and what it takes for granted."""
    lines: list[Any] = [found.rich("Learning times by discriminator kernel, at the same K(0) and length scale")]
    lines += on_frequency(found)
    if found.sample.wavenumber:
        k, time = found.sample.wavenumber, found.sample.learning_time
        lines.append(
            f"The target's own points, waves k = {cell(k[0])} to {cell(k[-1])} per length: learnt in "
            f"{_within(min(time), found)} to {_within(max(time), found)} with the experiment's kernel."
        )
    lines += [f"{row.kernel}: {row.note}." for row in found.kernels if row.note]
    lines.append(
        "A learning time is that in which a wave's slowest part decays by a factor e; never: it does not decay. The "
        "slowest of all modes (egan spectrum), of any shape, may take longer: it says when everything rests. The "
        "wave pi/Delta is a rule of thumb; the time until neighbours are apart takes all that separates them. Where "
        "the spread state is unstable modes need not be lost: egan threshold says what takes its place."
    )
    return [*lines, f"Method: {found.method}.", f"Assumptions: {'; '.join(found.assumptions)}."]


def on_frequency(found: Frequency) -> list[str]:
    """What is learnt within the run, what separates neighbouring modes, and how the boundaries move."""
    own = found.own
    if own.learnt_from is None:
        lines = [f"No wave is learnt within the run of {_span(found.steps, found)}."]
    else:
        lines = [
            f"Learnt within the run of {_span(found.steps, found)}: waves from k = {cell(own.learnt_from)} to "
            f"{cell(own.learnt_to)} per length, of those looked at ({cell(found.wavenumber[0])} to "
            f"{cell(found.wavenumber[-1])})."
        ]
    if found.separating_wavenumber is not None:
        lines.append(
            f"Neighbouring modes, {cell(found.distance)} apart, are separated by k = pi/Delta = "
            f"{cell(found.separating_wavenumber)} per length: of the target's own points "
            f"{_learnt(own.separating_time, own.learnt, found)}; neighbours are told apart {_told(own, found)}."
        )
    return [*lines, *_boundary(found)]


def _learnt(time: float | None, learnt: bool | None, found: Frequency) -> str:
    if time is None:
        return "its learning time is not known"
    if not isfinite(time):
        return "it is never learnt, for it does not decay"
    return f"learnt in {_span(time, found)}, {'within' if learnt else 'not within'} the run"


def _told(row: KernelTimes, found: Frequency) -> str:
    if row.split_time is None:
        return "after a time that is not known"
    if not isfinite(row.split_time):
        return "never"
    return f"in {_span(row.split_time, found)}, {'within' if row.told_apart else 'not within'} the run"


def _boundary(found: Frequency) -> list[str]:
    own, rows = found.own, found.kernels
    lines = []
    if own.unstable.reason:
        why = said_of(own.unstable.reason)
        lines.append(f"At which kernel ratios the spread state is unstable is not known: {why}.")
    else:
        lines.append(f"The spread state is unstable {_ratios(own.unstable.words)} with the experiment's kernel.")
    others = [row for row in rows[1:] if row.unstable.value is not None]
    if others:
        least = min(others, key=lambda row: row.unstable.value or 0.0)
        most = max(others, key=lambda row: row.unstable.value or 0.0)
        moved = f"{cell(least.unstable.value)} ({least.kernel})"
        if most is not least:
            moved += f" to {cell(most.unstable.value)} ({most.kernel})"
        lines[-1] += f" With the other kernels that boundary lies at {moved}."
    for words in ("at every ratio", "at no ratio"):
        names = [row.kernel for row in rows[1:] if row.unstable.words == words]
        if names:
            lines[-1] += f" Unstable {words}: {', '.join(names)}."
    if own.collapsed is not None:
        what = own.collapsed.reason or f"it attracts {_ratios(own.collapsed.words)}"
        lines.append(f"The collapsed state with the experiment's kernel: {what}.")
    return lines


def _ratios(words: str) -> str:
    return words if words.startswith("at") else f"at kernel ratios {words}"


def _span(time: float, found: Frequency) -> str:
    number = f"{time:.0f}" if time >= 1000 else cell(float(time))
    return f"{number} {'units of time' if found.unit != 'step' else 'steps'}"


def _within(time: float, found: Frequency) -> str:
    return _span(time, found) if isfinite(time) else "no time (never)"


__all__ = ["frequency_text", "on_frequency"]
