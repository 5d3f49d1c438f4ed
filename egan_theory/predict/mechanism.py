"""The mechanisms: each a boundary with a margin of its own, and what holds on either side of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment


@dataclass(frozen=True)
class Mechanism:
    """One boundary. Called with an experiment it gives its margin: > 0 where what ``beyond`` says is predicted, < 0
    where what ``within`` says is, 0 the boundary; ``margins`` does many at once. noisy: the margin is measured (an
    average along an orbit, or a share of draws). beyond, within, at: clauses, which every text, figure and JSON form
    takes from here; ``at``: of a margin of exactly 0, where that is a state of its own.

    ``home``: what has ASSUMPTIONS, ``margin(exp)`` and perhaps ``margins(exps)``, for thresholds that it finds itself
    ``locate(exp, path, low, high)``, for diagrams that it fills itself ``diagram(exps)``, and where the start is
    followed ``kinds(exps)``: a module of egan_theory.predict by name, imported at the first use, or any object.
    """

    name: str
    home: Any
    beyond: str
    within: str
    noisy: bool = False
    at: str = ""

    def meaning(self, margin: float) -> str:
        """What a margin says; empty for NaN, no statement."""
        if np.isnan(margin):
            return ""
        return self.beyond if margin > 0 else self.at if margin == 0 and self.at else self.within

    def __call__(self, exp: Experiment) -> float:
        return float(self.source.margin(exp))

    def margins(self, exps: Sequence[Experiment]) -> np.ndarray:
        """(len(exps),) margins; NaN where the mechanism makes no statement about that experiment."""
        source = self.source
        if hasattr(source, "margins"):
            return np.asarray(source.margins(list(exps)), dtype=float)
        out = np.full(len(exps), np.nan)
        for i, exp in enumerate(exps):
            try:
                out[i] = source.margin(exp)
            except InputError:
                continue
        return out

    @property
    def tells_kinds(self) -> bool:
        """Whether the mechanism follows the start, and so says with which probability a run ends as what."""
        return hasattr(self.source, "kinds")

    def kinds(self, exps: np.ndarray) -> np.ndarray:
        """(kind, *shape) probability of each outcome (runs.outcome.Outcome, in its order) of experiments in an array of
        any shape, None where there is none; NaN: no statement."""
        return np.asarray(self.source.kinds(exps), dtype=float)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return tuple(self.source.ASSUMPTIONS)

    @property
    def source(self) -> Any:
        return import_module(f"{__package__}.{self.home}") if isinstance(self.home, str) else self.home


MECHANISMS: dict[str, Mechanism] = {
    m.name: m
    for m in (
        Mechanism(
            "collective instability", "collective",
            beyond="the spread state does not stay at rest: it circles with its modes kept, or jumps",
            within="the spread state stays at rest",
            at="kicks of the spread state neither decay nor grow",
        ),
        Mechanism(
            "collapsed state", "collapsed", noisy=True,
            beyond="the collapsed state attracts", within="a collapsed cloud spreads",
        ),
        Mechanism(
            "too slow to split", "splitting",
            beyond="neighbouring modes are too slow to split within the run",
            within="neighbouring modes split within the run",
        ),
        Mechanism(
            "state reached from the start", "basin", noisy=True,
            beyond="training that starts as the run does loses modes, more often than not",
            within="training that starts as the run does keeps every mode, more often than not",
        ),
    )
}  # fmt: skip


def known_margins(mechanism: Mechanism, members: Sequence[Experiment | None]) -> np.ndarray:
    """``margins`` of the members that there are, NaN for the others."""
    out = np.full(len(members), np.nan)
    there = [i for i, member in enumerate(members) if member is not None]
    if there:
        out[there] = mechanism.margins([member for member in members if member is not None])
    return out


__all__ = ["MECHANISMS", "Mechanism", "known_margins"]
