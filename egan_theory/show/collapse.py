"""The report's stages on collapse: bifurcation diagram and phase diagram, at what a page can wait for.

How much is done is counted, never timed: a page does not depend on the machine that makes it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from ..base.errors import EganError, NotLinearizable
from ..experiment import Experiment
from ..features import feature_map
from ..linear import linearize
from ..predict.basin import Reached
from ..predict.branch import branch
from ..predict.branched import Branch
from ..predict.crossings import axis_of
from ..predict.curves import ROWS, Curves, curves
from ..predict.mechanism import MECHANISMS
from ..predict.phase import QUICK, PhaseAxis, phase
from ..predict.regularizer import Regularizer
from ..tables.penalties import strength_field
from .boundaries import RATIO, dear, of_random_starts
from .lighter import stages

#: values along each axis of the phase diagram at most and at least, and how far its strengths reach, in factors either
#: side of their middle
CELLS, FEWEST, SPAN = 48, 8, 30.0
#: kernel ratios at which the collapsed state is simulated
COLLAPSED = 13
#: the mechanism that follows starts
REACHED = "state reached from the start"
#: work for orbits, as eg.branch counts it, and for folds along the threshold
ORBITS, FOLDS = 1.5e7, 5e6
#: work for starts over the ratio and the phase diagram: evaluations of a feature for a start that is followed at the
#: experiment as it is
STARTS = 3e8
#: what a feature of a random network costs, in random waves
NETWORK = 4
#: work for the phase diagram and for thresholds along it, in cubes of coordinates, and what an evaluation costs besides
MAP, THRESHOLDS, ALWAYS = 4e9, 2.5e9, 2.5e5
#: about so many evaluations does a diagram take for each value along an axis, and a threshold
PER_VALUE, PER_THRESHOLD = 20, 120


def diagram(exp: Experiment, tick: Callable[[int, int], None]) -> Branch:
    """``eg.branch`` over the kernel ratio, of orbits as many as ORBITS allows. Raises KeyboardInterrupt, InputError."""
    states = 0 if dear(exp) else COLLAPSED
    found = branch(exp, RATIO, collapsed=states, work=ORBITS, progress=lambda done, total, _: tick(done, total))
    if found.status == "interrupted":
        raise KeyboardInterrupt
    return found


def affordable(exp: Experiment, found: Reached | None) -> bool:
    """Whether what was counted at the experiment as it is lets starts be followed elsewhere, too."""
    if found is None:
        return False
    steps = exp.run.steps * stages(exp) * (NETWORK if exp.discriminator.random_network else 1)
    return found.draws * found.particles * feature_map(exp).size * steps * found.saving <= STARTS


def map_of(
    exp: Experiment,
    penalty: str,
    best: Regularizer | None,
    followed: bool,
    progress: Callable[[str, int, int], None],
) -> xr.Dataset:
    """``eg.phase`` over kernel ratio and strength of the penalty, at most CELLS by CELLS, of the mechanisms that need
    no simulation and, if it is ``followed``, of the start; attribute ``left_out``: the others, and those without a
    statement. Raises EganError, InputError."""
    path = strength_field(penalty)[1]
    ratio = axis_of(exp, RATIO)
    now = float(exp.get(path))
    low, high = _strengths(now, best)
    cells = min(CELLS, int(MAP / (PER_VALUE * _evaluation(exp))))
    if cells < min(FEWEST, CELLS):
        raise EganError("the phase diagram takes more work than a report does; egan phase has no limit")
    axes = (RATIO, ratio.low, ratio.high, cells), (path, low, high, cells, "log")
    names = list(QUICK)
    if followed:
        names.append(REACHED)
    found = phase(exp, *axes, mechanisms=names, progress=progress)
    silent = np.isnan(found["margin"].values).all((1, 2))
    if silent.all():
        raise EganError("no mechanism makes a statement about this experiment")
    words = [of_random_starts(text) for text in found["beyond"].values.tolist()]
    found = found.assign(beyond=("mechanism", words, found["beyond"].attrs))
    left_out = [*(n for n in MECHANISMS if n not in names), *found["mechanism"].values[silent]]
    return found.isel(mechanism=~silent).assign_attrs(left_out="; ".join(map(str, left_out)))


def _evaluation(exp: Experiment) -> float:
    """What the stability of one experiment costs, in cubes of coordinates."""
    try:
        systems = linearize(exp).systems
    except NotLinearizable:
        return ALWAYS
    rows = [len(system.J) * (1 + len(exp.update_rule.blocks) / 2) for system in systems]
    return float(ALWAYS + sum(n**3 for n in rows))


def _strengths(now: float, best: Regularizer | None) -> tuple[float, float]:
    """The strengths of a diagram: SPAN either side of what is advised and of the present one."""
    known = [now] if now > 0 else []
    if best is not None:
        known += [x for x in (best.best, best.optimum) if np.isfinite(x) and x > 0][:1]
    known = known or [1.0]
    return min(known) / SPAN, max(known) * SPAN


def along_threshold(exp: Experiment, diagram: xr.Dataset, progress: Callable[[str, int, int], None]) -> Curves:
    """``eg.curves`` over the axes of the phase diagram: what is born along the threshold. Raises EganError."""
    rows = min(ROWS, int(THRESHOLDS / (PER_THRESHOLD * _evaluation(exp))))
    if rows < 3:
        what = "what is born along the threshold takes more work than a report does"
        raise EganError(f"{what}; egan phase --curves has no limit")
    axes = (PhaseAxis.of(diagram[name]) for name in ("first", "second"))
    return curves(exp, *axes, rows=rows, work=FOLDS, progress=progress)


__all__ = ["affordable", "along_threshold", "diagram", "map_of"]
