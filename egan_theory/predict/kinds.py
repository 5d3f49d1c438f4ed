"""Which outcome each experiment is predicted to have, in the kinds that runs are judged by (runs.outcome).

A mechanism that follows the start says with which probability its runs end as what (``Mechanism.kinds``). Where none
does, the spread state decides, as it does for kicks off it: at rest, runs settle; beyond a supercritical threshold they
circle with every mode kept; beyond a subcritical one they jump, nobody knows where to: no statement. From random starts
modes that are too slow to split are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..runs.outcome import UNKNOWN, Outcome, modes_are_lost
from .crossings import changed, changes
from .mechanism import MECHANISMS, known_margins

#: the mechanisms that the spread state's kinds come from
SPREAD, SLOW = "collective instability", "too slow to split"
#: at most so many thresholds of a diagram have their normal form computed; cells take that of the nearest
FORMS = 12
#: more than this share of runs, or probability, of modes lost: they are lost
MOST = 0.5
KINDS = tuple(Outcome)


def predicted_kinds(
    exps: np.ndarray, mechanisms: Sequence[str], criticality: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """(kind, *shape) probability of each outcome, in the order of Outcome; NaN where there is no statement.

    exps: experiments in an array of any shape, None where there is none. mechanisms: names of MECHANISMS, those with
    kinds of their own first. criticality: from which cells are unstable, "supercritical" or "subcritical" (else no
    statement) of each; asked for only where it is needed."""
    out = np.full((len(KINDS), *exps.shape), np.nan)
    there = exps != None  # noqa: E711 (elementwise)
    for mechanism in (MECHANISMS[name] for name in mechanisms):
        silent = there & np.isnan(out).any(0)
        if mechanism.tells_kinds and silent.any():
            found = mechanism.kinds(_only(exps, silent))
            out[:, silent] = found[:, silent]
    silent = there & np.isnan(out).any(0)
    if SPREAD not in mechanisms or not silent.any():
        return out
    left = _only(exps, silent)
    margin = known_margins(MECHANISMS[SPREAD], left.ravel().tolist()).reshape(exps.shape)
    stable, unstable = margin <= 0, margin > 0
    _certain(out, stable, Outcome.SETTLED)
    if unstable.any() and criticality is not None:
        _certain(out, unstable & (criticality(margin) == "supercritical"), Outcome.CIRCLING)
    random = np.array([exp is not None and exp.run.start == "random" for exp in left.flat]).reshape(exps.shape)
    if SLOW in mechanisms and random.any():
        slow = known_margins(MECHANISMS[SLOW], _only(left, random).ravel().tolist()).reshape(exps.shape) > 0
        _certain(out, slow, Outcome.PARTLY_LOST)
    return out


def _only(exps: np.ndarray, where: np.ndarray) -> np.ndarray:
    """None in place of the others."""
    out = np.full(exps.shape, None, dtype=object)
    out[where] = exps[where]
    return out


def _certain(out: np.ndarray, where: np.ndarray, kind: Outcome) -> None:
    out[:, where] = 0.0
    out[KINDS.index(kind), where] = 1.0


def likeliest(shares: np.ndarray) -> np.ndarray:
    """(...) outcome of the largest of shares (kind, ...), of runs or probabilities: of a lost kind where such have more
    than MOST together, else of one that keeps every mode; -1 where they are NaN."""
    lost = modes_are_lost(np.array(KINDS))
    side = np.where(np.nansum(shares[lost], 0) > MOST, 1, 0)
    own = np.where(lost.reshape(-1, *(1,) * side.ndim) == side, shares, -1.0)
    best = np.array(KINDS, dtype=np.int8)[np.argmax(np.nan_to_num(own, nan=-1.0), 0)]
    return np.where(np.isnan(shares).any(0), UNKNOWN, best).astype(np.int8)


def criticalities(exp: Experiment, axes: Sequence[Any], margin: np.ndarray) -> np.ndarray:
    """(second, first) "supercritical", "subcritical" or "", of the threshold nearest to each cell of a diagram over two
    PhaseAxis, of which at most FORMS are looked at. margin: of the spread state at every cell."""
    found = []
    for along, across in ((0, 1), (1, 0)):  # first along rows, only then along columns
        lines = margin if along == 0 else margin.T
        crossings = [(i, j) for i, line in enumerate(lines) for j in changes(line)]
        chosen = np.unique(np.rint(np.linspace(0, max(len(crossings) - 1, 0), FORMS)).astype(int))
        for i, j in (crossings[k] for k in chosen[: len(crossings)]):
            low, high = axes[along].values[j], axes[along].values[j + 1]
            member = changed(exp, {axes[across].path: axes[across].values[i]})
            if member is not None and (word := _criticality(member, axes[along].path, low, high)):
                found.append(((i, j + 0.5) if along == 0 else (j + 0.5, i), word))
        if found:
            break
    if not found:
        return np.full(margin.shape, "", dtype="<U13")
    places, words = np.array([place for place, _ in found]), np.array([word for _, word in found])
    cells = np.moveaxis(np.indices(margin.shape), 0, -1)
    return words[((cells[..., None, :] - places) ** 2).sum(-1).argmin(-1)]


def _criticality(exp: Experiment, path: str, low: float, high: float) -> str:
    try:
        forms = MECHANISMS[SPREAD].source.locate(exp, path, low, high).normal_forms
    except InputError:
        return ""
    return (forms[0][0].criticality or "") if forms and forms[0] else ""


__all__ = ["criticalities", "likeliest", "predicted_kinds"]
