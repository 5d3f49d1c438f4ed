"""The remedies as a table, and their best strengths: alone, or several together, on the exact spectrum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.optimize import minimize

from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.settings import switched
from ..features.choose import sample_features
from ..linear.seen import features_of
from ..predict.asymptotic import convergence_rate, fastest_strength
from ..problem.problem import Problem

#: critic steps and averaging times (steps or units of time) that are tried
CRITIC_STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
TIMES = np.concatenate([[0.0], np.geomspace(1.0, 1e4, 41)])
#: samples that a packed discriminator judges at once
DEGREES = (1, 2, 3)
#: most weights of a dense spectrum that a search over strengths repeats some hundred times
MAX_SEEN = 400
#: a pair's strengths stay within this factor of each one's best alone
SPAN = 100.0
#: rates this close, relative, are equal
SAME = 1e-6


@dataclass(frozen=True)
class Remedy:
    """``prepare`` turns the experiment into one that can have it; ``field`` holds its number (None: it has none), any
    number >= 0 where ``smooth``, else one of ``values``."""

    name: str
    field: str | None
    prepare: Callable[[Experiment], Experiment]
    values: tuple[float, ...] = ()
    smooth: bool = False


def _as_it_is(exp: Experiment) -> Experiment:
    return exp


def _with_bandwidth(exp: Experiment) -> Experiment:
    if exp.likelihood.bandwidth or exp.points.period is not None:
        return exp
    return exp.replace({"likelihood.bandwidth": exp.discriminator.length_scale})


def _responding(exp: Experiment) -> Experiment:
    rule = "best_response_flow" if exp.update_rule.continuous else "best_response"
    return exp.replace(switched(rule))


def _critic(exp: Experiment) -> Experiment:
    if exp.update_rule.continuous or exp.update_rule.responds:
        raise InputError("update.rule", "be a discrete first-order rule for critic steps", repr(exp.update.rule))
    return exp.replace(switched("alternating"))


def _packable(exp: Experiment) -> Experiment:
    _check_packed(exp.replace({"packing.degree": 2}))
    return exp


def _check_packed(exp: Experiment) -> None:
    """Raise InputError where packed samples have too many weights to be simulated, or too many that are seen for a
    search over dense spectra."""
    problem = Problem(exp)
    features_of(problem)
    if exp.packing.kernel == "product" and any(problem.damping[1:]) and problem.box is None:
        points, d = exp.points.coordinates.shape
        seen = min(points * (1 + d), sample_features(exp).size)
        size = comb(seen + exp.packing.degree - 1, exp.packing.degree)
        if size > MAX_SEEN:
            rule = f"leave at most {MAX_SEEN} weights that the data see, with a value or gradient penalty"
            raise InputError("packing.degree", rule, size)


REMEDIES: dict[str, Remedy] = {
    r.name: r
    for r in (
        Remedy("R1", "penalty.r1", _as_it_is, smooth=True),
        Remedy("weight decay", "penalty.weight_decay", _as_it_is, smooth=True),
        Remedy("likelihood", "likelihood.weight", _with_bandwidth, smooth=True),
        Remedy("best response", None, _responding),
        Remedy("critic steps", "update.critic_steps", _critic, CRITIC_STEPS),
        Remedy("averaged generator", "memory.generator", _as_it_is, tuple(TIMES)),
        Remedy("averaged discriminator", "memory.discriminator", _as_it_is, tuple(TIMES)),
        Remedy("packing", "packing.degree", _packable, DEGREES),
    )
}


def best_together(
    exp: Experiment, remedies: list[Remedy], alone: Mapping[str, float]
) -> tuple[Experiment, dict[str, float | int | str]]:
    """The experiment with the remedies at the strengths that maximise the slowest rate, and those strengths."""
    for remedy in sorted(remedies, key=lambda r: r.field is None):
        exp = remedy.prepare(exp)
    free = [r for r in remedies if r.field is not None]
    shown: dict[str, float | int | str] = {} if len(free) == len(remedies) else {"update.rule": exp.update.rule}
    if not free:
        convergence_rate(exp)  # raises the reason
        return exp, shown
    bounded = exp.update_rule.responds and free[0].field == "penalty.weight_decay"  # not to be scanned from 0
    if len(free) == 1 and free[0].smooth and not bounded:
        key = {"likelihood.weight": "likelihood"}.get(str(free[0].field), str(free[0].field).split(".")[-1])
        found = fastest_strength(exp, key)
        best = float(found.strengths[-1]) if found.best is None else found.best
        return exp.replace({best_field(free[0]): best}), {**shown, best_field(free[0]): best}
    values = _search(exp, free, alone)
    return exp.replace(values), {**shown, **values}


def best_field(remedy: Remedy) -> str:
    assert remedy.field is not None
    return remedy.field


def _rate(exp: Experiment, values: Mapping[str, float]) -> float:
    try:
        changed = exp.replace(values)
        if changed.packing.degree > 1:
            _check_packed(changed)
        rate = convergence_rate(changed)
    except InputError:
        return -np.inf
    return rate if np.isfinite(rate) else -np.inf


def _search(exp: Experiment, free: list[Remedy], alone: Mapping[str, float]) -> dict[str, float]:
    """Strengths by a coarse grid over all of them, then the simplex method in the smooth ones' logarithms."""
    grids = []
    for remedy in free:
        centre = alone.get(remedy.name, 0.0) or float(exp.get(best_field(remedy))) or 1.0
        smooth = (0.0, *(centre * np.geomspace(1 / SPAN, SPAN, 9)))
        fewer = sorted({*remedy.values[::2], alone.get(remedy.name, 0.0)} & set(remedy.values))
        grids.append(smooth if remedy.smooth else remedy.values if len(free) == 1 else fewer)
    fields = [best_field(remedy) for remedy in free]
    mesh = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(free))
    rates = [_rate(exp, dict(zip(fields, map(float, point), strict=True))) for point in mesh]
    # ties go to the first, which uses least
    point = mesh[int(np.argmax(np.array(rates) >= max(rates) * (1 - np.sign(max(rates)) * SAME)))]
    best = dict(zip(fields, map(float, point), strict=True))
    moving = [i for i, remedy in enumerate(free) if remedy.smooth and point[i] > 0]
    if not moving:
        return best
    bounds = [(np.log(min(v for v in grids[i] if v > 0)), np.log(max(grids[i]))) for i in moving]

    def at(u: np.ndarray) -> dict[str, float]:
        return best | {fields[i]: float(np.exp(v)) for i, v in zip(moving, u, strict=True)}

    found = minimize(
        lambda u: -_rate(exp, at(u)), np.log(point[moving]), method="Nelder-Mead", bounds=bounds,
        options={"xatol": 1e-4, "fatol": 1e-6 * abs(max(rates)), "maxiter": 200},
    )  # fmt: skip
    return at(found.x) if -found.fun > max(rates) else best
