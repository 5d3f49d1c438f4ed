"""What takes the place of the spread equilibrium at each of its thresholds: nonlinear.normal for experiments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..base.terminal import cell
from ..experiment import Experiment
from ..nonlinear.local import local_basis
from ..nonlinear.normal import NormalForm, kind_of, normal_forms, spacing
from ..nonlinear.point import Point
from ..nonlinear.stepmap import StepMap
from ..nonlinear.transverse import transverse_rate
from ..problem.problem import Problem
from ..tables.bifurcations import BIFURCATION
from .crossings import Axis


def branches(
    exp: Experiment, axis: Axis, value: float, side: str, mode: dict[str, Any] | None
) -> tuple[NormalForm, ...]:
    """The branches at the threshold ``value`` of ``axis``, the stable ones first; where there is no normal form, one
    record that says why. mode: what becomes unstable there (predict.fastest)."""

    if mode is None:
        reason = "the mode that becomes unstable was not looked for: the system is too large"
        return (NormalForm(BIFURCATION["pair"][exp.update_rule.continuous], reason=reason, threshold=value),)
    flow = exp.update_rule.continuous
    names = ("re", "im") if flow else ("multiplier_re", "multiplier_im")
    target = complex(mode[names[0]] if not flow else 0.0, mode[names[1]])
    kind = kind_of(target, flow)
    try:
        return _found(exp, axis, value, target, side, kind)
    except (InputError, ValueError, FloatingPointError, np.linalg.LinAlgError) as error:
        return (NormalForm(BIFURCATION[kind][flow], reason=str(error), threshold=value),)


def _found(exp: Experiment, axis: Axis, value: float, target: complex, side: str, kind: str) -> tuple[NormalForm, ...]:
    step = spacing(value, (axis.low, axis.high))
    values = (value, value - step, value + step)
    maps = [StepMap(Problem(exp.replace({axis.path: v}))) for v in values]
    basis = local_basis(maps)
    if basis is None:
        points = [Point.of(stepmap) for stepmap in maps]
    else:
        maps, points = basis.maps, basis.points
    known = dict(zip(values, points, strict=True))

    def at(parameter: float) -> Point:
        if parameter not in known:
            stepmap = StepMap(Problem(exp.replace({axis.path: parameter})))
            known[parameter] = Point.of(stepmap) if basis is None else basis.point(stepmap)
        return known[parameter]

    out = []
    for form in normal_forms(at, value, target, side, ends=(axis.low, axis.high)):
        if form.shape is not None and kind != "plus":
            form = _with_points(form, maps[0], points[0], target)
        if form.shape is not None and basis is not None:
            form = replace(form, shape=basis.lifted(form.shape))
        out.append(form)
    return tuple(out)


def born(form: NormalForm) -> str:
    """What becomes of the spread state beyond a threshold, in one clause; empty where there is no normal form."""
    if form.bifurcation == "transcritical":
        size = f"{cell(form.rms_amplitude)} lengths times the distance past the threshold"
        return f"the spread state moves to a neighbour (rms {size}; modes kept) or jumps, as the kick goes"
    if form.criticality == "subcritical":
        return "the spread state jumps (subcritical)"
    if form.criticality is None:
        return ""
    how = {"neimark-sacker": "starts to circle", "hopf": "starts to circle", "flip": "starts to jump to and fro"}
    size = f"{cell(form.rms_amplitude)} lengths times the square root of the distance past the threshold"
    return f"the spread state {how.get(form.bifurcation, 'is distorted')} (rms radius {size}; modes kept)"


def _with_points(form: NormalForm, stepmap: StepMap, point: Point, target: complex) -> NormalForm:
    """With what particles do that share a place."""
    rate = transverse_rate(stepmap.problem, point, form.shape, target, stepmap)
    if rate is None:
        return form
    return replace(form, points="part" if rate > 0 else "merge", transverse_rate=rate)


__all__ = ["born", "branches"]
