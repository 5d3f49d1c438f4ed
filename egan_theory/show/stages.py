"""What the report computes: one stage after another; a stage that is impossible leaves its reason and goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ..base.errors import EganError, InputError
from ..comparison.agreement import Agreement
from ..comparison.compare import compare
from ..comparison.left import compare_left, sweep_left
from ..experiment import Experiment
from ..predict.basin import Reached, reached
from ..predict.branched import Branch
from ..predict.curves import Curves
from ..predict.learning import frequency
from ..predict.learnt import Frequency
from ..predict.regularizer import Regularizer, best_regularizer
from ..predict.spectrum import spectrum
from ..predict.threshold import Thresholds
from ..runs.outcome import known_outcomes
from ..simulation.run import simulate
from ..tables.penalties import strength_field
from .boundaries import boundaries
from .collapse import affordable, along_threshold, diagram, map_of
from .lighter import coarser, from_random, lighter, refuse_dear, sweep
from .powers import Powers, powers
from .reasons import reason_of

Progress = Callable[[str, int, int], None]

#: runs from random starts
RANDOM = 6
#: names of the stages, as progress tells them
STAGES = (
    "spectrum", "powers", "frequency", "regularizer", "simulate", "compare", "strength", "compare strength",
    "random starts", "reached", "boundaries", "branch", "phase", "curves",
)  # fmt: skip


class Failure(NamedTuple):
    """Why a stage has no result; ``remedy``: what would make it possible, "" if nobody knows. ``needs``: the stages
    without a result, where that is the reason."""

    reason: str
    remedy: str = ""
    needs: tuple[str, ...] = ()


@dataclass
class Results:
    """What the stages found; ``failures``: of stages without a result."""

    exp: Experiment
    penalty: str
    spectrum: xr.Dataset | None = None
    powers: Powers | None = None
    frequency: Frequency | None = None
    boundaries: Thresholds | None = None
    regularizer: Regularizer | None = None
    runs: xr.Dataset | None = None
    agreement: Agreement | None = None
    swept: xr.Dataset | None = None
    strength: Agreement | None = None
    scattered: xr.Dataset | None = None
    reached: Reached | None = None
    branch: Branch | None = None
    phase: xr.Dataset | None = None
    curves: Curves | None = None
    failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def present(self) -> float:
        """The penalty's strength as it is."""
        return float(self.exp.get(strength_field(self.penalty)[1]))

    @property
    def table(self) -> Agreement | None:
        """Both comparisons as one."""
        parts = [a for a in (self.agreement, self.strength) if a is not None]
        if not parts:
            return None
        return Agreement(
            tuple(q for a in parts for q in a.quantities),
            tuple(u for a in parts for u in a.unmatched),
            "; ".join(dict.fromkeys(a.method for a in parts if a.method)),
            tuple(dict.fromkeys(text for a in parts for text in a.assumptions)),
        )

    @property
    def own(self) -> bool:
        """Whether the runs are the user's."""
        return self.runs is not None and "start" not in self.runs.attrs

    @property
    def outcomes(self) -> np.ndarray | None:
        """Outcomes of the runs from random starts, else of the runs."""
        runs = self.scattered if self.scattered is not None else self.runs
        return None if runs is None else known_outcomes(runs)


def compute(exp: Experiment, penalty: str, progress: Progress, own: xr.Dataset | None) -> Results:
    """All stages. ``own``: runs of the user's, instead of which nothing is simulated. Raises KeyboardInterrupt."""
    out, light = Results(exp, penalty), lighter(exp)
    coarse = coarser(exp)
    wide = coarse if exp.run.start == "random" else coarse.replace({"run.start": "random"})

    def stage(name: str, work: Callable[[Callable[..., None]], Any], *needs: str) -> Any:
        missing = [n for n in needs if n in out.failures]
        if missing:
            out.failures[name] = Failure("", "", tuple(missing))
            return None
        progress(name, 0, 1)
        try:
            value = work(partial(progress, name))
        except (EganError, ArithmeticError, np.linalg.LinAlgError) as error:
            out.failures[name] = failure(error)
            return None
        progress(name, 1, 1)
        return value

    out.spectrum = stage("spectrum", lambda tick: spectrum(exp))
    if exp.update_rule.uniform:
        out.powers = stage("powers", lambda tick: powers(exp, penalty))
    out.frequency = stage(
        "frequency", lambda tick: frequency(exp, progress=lambda done, total, _: tick(done, total)), "spectrum"
    )
    out.regularizer = best = stage("regularizer", lambda tick: best_regularizer(exp, penalty, progress=tick))
    if own is not None:
        out.runs = own
        out.agreement = stage("compare", lambda tick: compare(exp, own))
    else:
        out.runs = runs = stage("simulate", lambda tick: _simulated(light, tick))
        out.agreement = stage("compare", lambda tick: compare(exp, runs), "simulate")
        out.swept = swept = stage("strength", lambda tick: _sweep(light, best, tick), "regularizer")
        out.strength = stage("compare strength", lambda tick: compare_left(swept), "strength")
        if exp.run.start != "random":
            several = from_random(exp).replace({"run.start": "random", "run.runs": RANDOM})
            out.scattered = stage("random starts", lambda tick: _simulated(several, tick))
    out.reached = stage("reached", lambda tick: reached(wide))
    followed = affordable(wide, out.reached)
    out.boundaries = stage("boundaries", lambda tick: boundaries(wide, followed=followed))
    out.branch = stage("branch", lambda tick: diagram(coarse, tick))
    out.phase = phase = stage(
        "phase", lambda tick: map_of(wide, penalty, best, followed, lambda _, done, total: tick(done, total))
    )
    if phase is not None and out.branch is not None and any(b.criticality for b in out.branch.branches):
        out.curves = stage("curves", lambda tick: along_threshold(coarse, phase, lambda _, *at: tick(*at)))
    return out


def failure(error: Exception) -> Failure:
    """The reason that an error gives; a rule that input breaks says by itself what would make it possible."""
    reason = str(error) or type(error).__name__
    if isinstance(error, EganError):
        return Failure(*reason_of(reason))
    return Failure(f"the numbers of this experiment leave what can be computed ({reason})")


def _simulated(exp: Experiment, tick: Callable[[int, int], None]) -> xr.Dataset:
    refuse_dear(exp)
    return _whole(simulate(exp, progress=tick))


def _whole(runs: xr.Dataset) -> xr.Dataset:
    """The runs, unless they were interrupted."""
    if runs.attrs.get("status") == "interrupted":
        raise KeyboardInterrupt
    return runs


def _sweep(exp: Experiment, best: Regularizer, tick: Callable[[int, int], None]) -> xr.Dataset:
    refuse_dear(exp.replace({"run.start": "kick", "run.steps": max(int(best.horizon), 1)}))
    centre = best.best if best.best > 0 else best.optimum
    if not centre > 0:
        raise InputError(strength_field(best.penalty)[1], "have a best strength above 0 to sweep around", centre)
    steps = max(int(best.horizon), 1)
    factors, count = sweep(exp, steps)
    return sweep_left(exp, best.penalty, centre * np.array(factors), steps, directions=count, progress=tick)


__all__ = ["STAGES", "Failure", "Results", "compute", "failure"]
