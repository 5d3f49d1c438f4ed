"""Orbits of collapsed clusters, many side by side, followed until their transverse exponents have settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError, NotLinearizable
from ..features import FeatureMap
from ..linear import eigenvalues
from ..linear.routes import linearize
from ..problem.problem import Problem
from ..tables.updates import UpdateRule
from .orbits import block_stderr, classify
from .transverse import TangentField, gains, orthonormalise

#: steps of the transient, and of the first window; every further window is twice as long as the one before
STEPS = 2000
#: windows tried before an orbit is called undecided
WINDOWS = 5
#: steps between re-orthonormalisations of the tangent vectors
INTERVAL = 10
#: a cluster this many times the size of the target (radius plus length scale) away from its centre has escaped
ESCAPE = 10.0
#: an exponent is settled when it exceeds this many standard errors
SIGMAS = 3.0
#: noise on x0, in length scales, every INTERVAL steps: no orbit rests on a point that is unstable for it, as rounding
#: lets one do where the force vanishes by symmetry
NUDGE = 1e-9


@dataclass
class Lane:
    """One orbit while it is followed."""

    start: np.ndarray
    exponents: np.ndarray
    stderr: np.ndarray
    orbit: str = "undecided"
    period: float | None = None
    escaped_at: int = -1
    steps: int = 0
    window: int = 0
    rates: np.ndarray | None = None
    path: np.ndarray | None = None
    force: np.ndarray | None = None
    state: tuple[np.ndarray, ...] = ()
    features: FeatureMap | None = None
    neutral: bool = False  # phi = 1: no relative motion at all

    @property
    def settled(self) -> bool:
        clear = self.neutral or bool(abs(self.exponents[0]) > SIGMAS * self.stderr[0])
        return clear and self.orbit != "undecided"


def default_start(problem: Problem) -> np.ndarray:
    """(d,) the target's mean, moved by ``run.kick`` times normal numbers of ``run.seed``."""
    run = problem.exp.run
    rng = np.random.default_rng([run.seed, 3])
    return problem.p @ problem.Y + run.kick * rng.standard_normal(problem.d)


def _numbers(name: str, values: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(name, f"be {shape[1]} finite numbers", repr(values[0])) from None
    if array.shape != shape or not np.all(np.isfinite(array)):
        raise InputError(name, f"be {shape[1]} finite numbers", repr(values[0]))
    return array


def cluster_rule(members: Sequence[Problem]) -> UpdateRule:
    """The update rule; of the flow with the Runge-Kutta substeps that the particle simulation takes."""
    rule = members[0].rule
    if not rule.continuous:
        return rule
    fastest = 0.0
    for e in members:
        try:
            s = eigenvalues(linearize(e), ratios=False).s
        except NotLinearizable:
            continue
        fastest = max(fastest, np.abs(s[np.isfinite(s)]).max(initial=0.0))
    return rule.resolving(fastest)


def follow(
    members: Sequence[Problem],
    x0: Sequence[np.ndarray] | None,
    w: Sequence[np.ndarray] | None,
    steps: int,
    windows: int,
    *,
    detail: bool,
) -> list[Lane]:
    """Every member's orbit until it settles. ``detail``: keep positions and forces, and classify the orbit."""
    if steps < 100:
        raise InputError("steps", "be at least 100", steps)
    problem, d = members[0], members[0].d
    start = _numbers("x0", [default_start(e) for e in members] if x0 is None else x0, (len(members), d))
    tangent, rule = TangentField(members), cluster_rule(members)
    P = tangent.field.features.size
    weights = None if w is None else _numbers("w", w, (len(members), P))
    lanes = [Lane(place, np.full(d, np.nan), np.full(d, np.nan)) for place in start]
    for lane, e in zip(lanes, members, strict=True):
        lane.neutral = gains(e).relative == 0
    state = rule.start(*tangent.start(start, weights), tangent.Vw, tangent.Vx)
    left, rng = np.arange(len(members)), np.random.default_rng(5)  # the same noise on every lane
    for window in range(windows + 1):
        length = steps * 2 ** max(window - 1, 0)  # window 0 is the transient
        tangent, state, record = _advance(problem, tangent, rule, state, length, rng, detail)
        for row, i in enumerate(left):
            _judge(problem, lanes[i], record, row, length, window > 0)
            lanes[i].state = tuple(v[row] if v.ndim == 2 else v[row, 0] for v in state)
            lanes[i].features = tangent.field.features
        keep = np.array([not (lanes[i].settled or lanes[i].escaped_at >= 0) for i in left])
        if not keep.any():
            break
        if not keep.all():
            left, state = left[keep], tuple(v[keep] for v in state)
            tangent = tangent.restricted([members[i] for i in left])
    return lanes


@dataclass
class Stretch:
    """What a stretch of simulation left behind; path and force only where asked for."""

    rates: np.ndarray  # (lane, interval, d)
    escaped: np.ndarray  # (lane,) step of the escape within this stretch, -1 for none
    path: np.ndarray | None  # (lane, time, d)
    force: np.ndarray | None


def _advance(
    problem: Problem,
    tangent: TangentField,
    rule: UpdateRule,
    state: tuple,
    length: int,
    rng: np.random.Generator,
    detail: bool,
) -> tuple[TangentField, tuple, Stretch]:
    """``length`` steps of every lane; a lane that leaves every bound is held where it started."""
    centre, length_scale = problem.p @ problem.Y, problem.exp.discriminator.length_scale
    radius = np.linalg.norm(problem.Y - centre, axis=-1).max()
    bound = ESCAPE * (radius + length_scale) if problem.box is None else np.inf
    lanes, d = len(state[0]), problem.d
    first, noise = state[1], NUDGE * length_scale
    escaped = np.full(lanes, -1)
    rates = np.full((lanes, length // INTERVAL, d), np.nan)
    path, force = (np.full((lanes, length, d), np.nan) for _ in range(2)) if detail else (None, None)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for step in range(length):
            state = tangent.step(rule, state)
            x0 = state[1][:, 0]
            out = ~(np.linalg.norm(x0 - centre, axis=-1) < bound) | ~np.isfinite(state[0]).all(-1)
            out |= ~np.isfinite(state[1]).all((-2, -1))
            if out.any():
                escaped[out & (escaped < 0)] = step + 1
                state = tuple(np.where(out.reshape(-1, *(1,) * (v.ndim - 1)), 0.0, v) for v in state)
                state = (state[0], np.where(out[:, None, None], first, state[1]), *state[2:])
                if np.all(escaped >= 0):
                    break
            tangent, state = tangent.grown(rule, state)
            if path is not None and force is not None:
                inside = escaped < 0
                path[inside, step] = state[1][inside, 0]
                force[inside, step] = tangent.field.forces(tangent.place(state[1]).point, state[0])[1][inside, 0]
            if (step + 1) % INTERVAL == 0:
                state, stretch = orthonormalise(rule, state)
                state[1][:, 0] += noise * rng.standard_normal(d)
                rates[:, step // INTERVAL] = stretch / INTERVAL
    return tangent, state, Stretch(rates, escaped, path, force)


def _judge(problem: Problem, lane: Lane, record: Stretch, row: int, length: int, counts: bool) -> None:
    """Put a stretch of simulation into the lane's result; ``counts``: it is a window, not the transient."""
    first, lane.steps, lane.window = lane.steps, lane.steps + length, length
    lane.rates = record.rates[row]
    if record.path is not None and record.force is not None:
        lane.path, lane.force = record.path[row], record.force[row]
    if record.escaped[row] >= 0:
        lane.escaped_at = first + int(record.escaped[row])
        lane.orbit, lane.period = "escapes", None
        lane.exponents, lane.stderr = np.full_like(lane.exponents, np.nan), np.full_like(lane.stderr, np.nan)
        return
    if not counts:
        return
    lane.exponents, lane.stderr = lane.rates.mean(0), block_stderr(lane.rates)
    order = np.argsort(-lane.exponents)
    lane.exponents, lane.stderr = lane.exponents[order], lane.stderr[order]
    lane.orbit = "unclassified"
    if lane.path is not None and lane.force is not None:
        box = problem.box
        angle = None if box is None else 2 * np.pi / box.length * lane.path
        where = lane.path if angle is None else np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
        lane.orbit, lane.period = classify(
            where, lane.force, problem.exp.discriminator.length_scale if box is None else 1.0
        )
