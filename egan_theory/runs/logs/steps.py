"""Steps as training means them: what was written later wins.

Training that goes on from a checkpoint logs steps again. Where the step of a scalar goes back, a new trajectory
begins: what was written before, of that step and later ones, is given up, as TensorBoard does at a restart; scalars
that the new one has not logged yet are cut at its first step. A step that is written again without going back is
replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .log import RunLog, Series

#: steps that go back more often are of a log that is not in the order of training
MOST_REWINDS = 100


@dataclass
class Settled:
    """The scalars of a run with increasing steps. ``rewinds``: (from step, to before step); ``replaced``: values
    written again at their step; ``given_up``: values of an abandoned trajectory, not written again."""

    series: dict[str, Series]
    rewinds: list[tuple[float, float]] = field(default_factory=list)
    replaced: int = 0
    given_up: int = 0
    notes: list[str] = field(default_factory=list)


def settled(run: RunLog) -> Settled:
    """One value per scalar and step: the later one."""
    out = Settled({n: _ordered(s) for n, s in run.series.items()})
    if _without_steps(out.series):
        out.notes.append(f"{run.name}: logged without steps (all are 0): numbered from 0 in the order of writing")
        out.series = {n: Series(s.order, np.arange(len(s.step)), s.value, s.wall) for n, s in out.series.items()}
    elif _backwards(out.series):
        out.notes.append(f"{run.name}: the latest step comes first: read from the end")
        back = slice(None, None, -1)
        out.series = {
            n: Series(-s.order[back], s.step[back], s.value[back], s.wall[back]) for n, s in out.series.items()
        }
    found = _trajectories(out.series, run.restarts)
    if len(found) > MOST_REWINDS:
        out.notes.append(f"{run.name}: steps go back {len(found)} times: put in order, of equal ones the last is kept")
        found = []
    if taken := [(before, first) for _, first, before, said in found if not said]:
        before, first = taken[0]
        more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
        out.notes.append(
            f"{run.name}: step {first:.15g} comes after step {before:.15g}{more}: taken as training that went on from "
            "an earlier step, so that what was logged later counts; if the file is merely out of order, sort it by step"
        )
    alive = {n: np.ones(len(s.step), bool) for n, s in out.series.items()}
    for k, (start, first, before, said) in enumerate(found):
        end = found[k + 1][0] if k + 1 < len(found) else np.inf
        cut_any = False
        for name, s in out.series.items():
            n = int(np.searchsorted(s.order, start))
            again = not said and n < len(s.order) and s.order[n] < end
            lost = alive[name][:n] & (s.step[:n] >= (s.step[n] if again else first))
            alive[name][:n] &= ~lost
            cut_any |= bool(lost.any())
        if cut_any:
            out.rewinds.append((before, first))
    for name, s in out.series.items():
        kept = s.at(alive[name])
        by = np.argsort(kept.step, kind="stable")  # of equal steps the last written stays last
        last = np.append(kept.step[by][1:] != kept.step[by][:-1], True) if len(by) else np.empty(0, bool)
        final = kept.at(by[last])
        lost = s.step[~alive[name]]
        again = int(np.isin(lost, final.step).sum())
        out.replaced += again + _changed(kept.at(by), final)
        out.given_up += len(lost) - again
        out.series[name] = final
    out.series = {n: s for n, s in out.series.items() if len(s.step)}
    return out


def _changed(written: Series, final: Series) -> int:
    """How many values differ from the one that stands at their step in the end."""
    last = final.value[np.searchsorted(final.step, written.step)]
    return int(((written.value != last) & ~(np.isnan(written.value) & np.isnan(last))).sum())


def _ordered(s: Series) -> Series:
    return s if np.all(s.order[1:] >= s.order[:-1]) else s.at(np.argsort(s.order, kind="stable"))


def _without_steps(series: dict[str, Series]) -> bool:
    return any(len(s.step) > 1 for s in series.values()) and not any(s.step.any() for s in series.values())


def _backwards(series: dict[str, Series]) -> bool:
    """Whether all scalars were written from the last step to the first."""
    told = [np.diff(s.step) for s in series.values() if len(s.step) > 2]
    return bool(told) and all((d <= 0).all() for d in told) and all((d < 0).sum() > 1 for d in told)


def _trajectories(
    series: dict[str, Series], restarts: list[tuple[int, float]]
) -> list[tuple[float, float, float, bool]]:
    """(order in which it begins, its first step, the step before, whether the log says so) of every trajectory but the
    first. Scalars that go back together belong to one."""
    events: list[tuple[int, float, float, int]] = []
    for s in series.values():
        back = np.flatnonzero(s.step[1:] < s.step[:-1]) + 1
        columns = (s.order[back], s.step[back], s.step[back - 1], s.order[back - 1])
        events += zip(*(c.tolist() for c in columns), strict=True)
    for order, step in restarts:
        parts = [s.step[: np.searchsorted(s.order, order)] for s in series.values()]
        if highest := [float(part.max()) for part in parts if len(part)]:
            events.append((order, step, max(highest), -1))
    out: list[tuple[float, float, float, bool]] = []
    begun = -np.inf
    for order, step, before, previous in sorted(events):
        if previous == -1 or previous >= begun:
            out.append((order, step, before, previous == -1))
            begun = order
    return out
