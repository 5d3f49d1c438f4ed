"""The report's stages on collapse: bifurcation diagram and phase diagram, at what a page can wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import xarray as xr

from ..base.errors import EganError
from ..experiment import Experiment
from ..predict.branch import branch
from ..predict.branched import Branch
from ..predict.crossings import axis_of
from ..predict.curves import Curves, curves
from ..predict.mechanism import MECHANISMS
from ..predict.phase import QUICK, PhaseAxis, phase
from ..predict.regularizer import Regularizer
from ..predict.resting import collapsed_along
from ..tables.penalties import strength_field
from .boundaries import RATIO, dear

#: values along each axis of the phase diagram, and how far its strengths reach, in factors either side of their middle
CELLS, SPAN = 48, 30.0
#: kernel ratios at which the collapsed state is simulated
COLLAPSED = 13
#: seconds: orbits are followed so long; a diagram that would take longer is left to its command
FOLLOW, WAIT = 12.0, 25.0
#: the mechanism that follows starts, and how many draws its diagram takes for those of one probability
REACHED, DRAWS = "state reached from the start", 12.0


def diagram(exp: Experiment, tick: Callable[[int, int], None]) -> Branch:
    """``eg.branch`` over the kernel ratio, orbits followed for FOLLOW seconds at most (its status says whether they
    were). Raises KeyboardInterrupt where it is not the time that ended it, InputError."""
    end, late = time.monotonic() + FOLLOW, False

    def watch(done: int, total: int, _: str) -> None:
        nonlocal late
        tick(done, total)
        if time.monotonic() > end and done < total:
            late = True
            raise KeyboardInterrupt  # ends the branch with what was found

    states = 0 if dear(exp) else COLLAPSED
    found = branch(exp, RATIO, collapsed=states, progress=watch)
    if found.status == "interrupted" and not late:
        raise KeyboardInterrupt
    if late and states:  # the collapsed state comes last, and is cheap
        found = replace(found, collapsed=collapsed_along(exp, axis_of(exp, RATIO), COLLAPSED))
    return found


def map_of(
    exp: Experiment,
    penalty: str,
    best: Regularizer | None,
    followed: bool,
    progress: Callable[[str, int, int], None],
) -> xr.Dataset:
    """``eg.phase`` over kernel ratio and strength of the penalty, CELLS by CELLS, of the mechanisms that need no
    simulation and, if it is ``followed``, of the start; attribute ``left_out``: the others, and those without a
    statement. Raises EganError, InputError."""
    path = strength_field(penalty)[1]
    ratio = axis_of(exp, RATIO)
    now = float(exp.get(path))
    low, high = _strengths(now, best)
    axes = (RATIO, ratio.low, ratio.high, CELLS), (path, low, high, CELLS, "log")
    names = list(QUICK)
    if followed:
        names.append(REACHED)
    found = phase(exp, *axes, mechanisms=names, progress=_until(WAIT, "the phase diagram", "egan phase", progress))
    silent = np.isnan(found["margin"].values).all((1, 2))
    if silent.all():
        raise EganError("no mechanism makes a statement about this experiment")
    left_out = [*(n for n in MECHANISMS if n not in names), *found["mechanism"].values[silent]]
    return found.isel(mechanism=~silent).assign_attrs(left_out="; ".join(map(str, left_out)))


def _until(
    limit: float, what: str, command: str, progress: Callable[[str, int, int], None]
) -> Callable[[str, int, int], None]:
    """``progress`` that gives up after ``limit`` seconds."""
    end = time.monotonic() + limit

    def watch(name: str, done: int, total: int) -> None:
        progress(name, done, total)
        if time.monotonic() > end and done < total:
            raise EganError(f"{what} takes more than the {limit:.0f} s that a report waits for; {command} has no limit")

    return watch


def _strengths(now: float, best: Regularizer | None) -> tuple[float, float]:
    """The strengths of a diagram: SPAN either side of what is advised and of the present one."""
    known = [now] if now > 0 else []
    if best is not None:
        known += [x for x in (best.best, best.optimum) if np.isfinite(x) and x > 0][:1]
    known = known or [1.0]
    return min(known) / SPAN, max(known) * SPAN


def along_threshold(exp: Experiment, diagram: xr.Dataset, progress: Callable[[str, int, int], None]) -> Curves:
    """``eg.curves`` over the axes of the phase diagram: what is born along the threshold."""
    axes = (PhaseAxis.of(diagram[name]) for name in ("first", "second"))
    watch = _until(FOLLOW, "what is born along the threshold", "egan phase --curves", progress)
    return curves(exp, *axes, progress=watch)


__all__ = ["along_threshold", "diagram", "map_of"]
