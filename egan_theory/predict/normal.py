"""What takes the place of the spread equilibrium at each of its thresholds: nonlinear.normal for experiments."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..base.terminal import cell
from ..experiment import Experiment
from ..nonlinear.normal import BIFURCATION, MAX_SIZE, NormalForm, kind_of, normal_forms
from ..nonlinear.point import Point
from ..nonlinear.stepmap import StepMap
from ..nonlinear.transverse import transverse_rate
from ..problem.problem import Problem
from .crossings import Axis


def branches(
    exp: Experiment, axis: Axis, value: float, side: str, mode: dict[str, Any] | None
) -> tuple[NormalForm, ...]:
    """The branches at the threshold ``value`` of ``axis``, the stable ones first; where there is no normal form, one
    record that says why. mode: what becomes unstable there (predict.fastest)."""

    @lru_cache(maxsize=4)
    def at(parameter: float) -> Point:
        stepmap = StepMap(Problem(exp.replace({axis.path: parameter})))
        if stepmap.size > MAX_SIZE:
            rule = f"have a state of at most {MAX_SIZE} numbers for a normal form"
            raise InputError("discriminator.features", rule, stepmap.size)
        return Point.of(stepmap)

    if mode is None:
        reason = "the mode that becomes unstable was not looked for: the system is too large"
        return (NormalForm(BIFURCATION["pair"][exp.update_rule.continuous], reason=reason, threshold=value),)
    flow = exp.update_rule.continuous
    names = ("re", "im") if flow else ("multiplier_re", "multiplier_im")
    target = complex(mode[names[0]] if not flow else 0.0, mode[names[1]])
    kind = kind_of(target, flow)
    try:
        found = normal_forms(at, value, target, side, ends=(axis.low, axis.high))
        return tuple(_with_points(exp, axis, at, form, target) if kind != "plus" else form for form in found)
    except (InputError, ValueError, FloatingPointError, np.linalg.LinAlgError) as error:
        return (NormalForm(BIFURCATION[kind][flow], reason=str(error), threshold=value),)


def born(form: NormalForm) -> str:
    """What becomes of the spread state beyond a threshold, in one clause; empty where there is no normal form."""
    if form.criticality == "subcritical":
        return "the spread state jumps (subcritical)"
    if form.criticality is None:
        return ""
    how = {"neimark-sacker": "starts to circle", "hopf": "starts to circle", "flip": "starts to jump to and fro"}
    size = f"{cell(form.rms_amplitude)} {'' if form.exponent == 1 else 'sqrt '}distance"
    return f"the spread state {how.get(form.bifurcation, 'is distorted')} (rms radius {size}; modes kept)"


def _with_points(exp: Experiment, axis: Axis, at: Any, form: NormalForm, target: complex) -> NormalForm:
    """With what particles do that share a place."""
    if form.shape is None:
        return form
    problem = Problem(exp.replace({axis.path: form.threshold}))
    rate = transverse_rate(problem, at(form.threshold), form.shape, target)
    if rate is None:
        return form
    points = "part" if rate > 0 else "merge"
    return replace(form, points=points, transverse_rate=rate)


__all__ = ["born", "branches"]
