"""Many steps of any update rule at the price of four, Eq. (81, leap): for clouds whose fate matters, not their way.

k steps of a map F are k steps of Euler's method, of unit length, for the field G(z) = F(z) - z on the whole state z
(memory included): a Runge-Kutta method of k stages. The four stages

    z_1 = z,  z_2 = z + (k-1)/3 G_1,  z_3 = z - (k-7)/3 G_1 + (k-3) G_2,
    z_4 = z + [(k^2-5k+10) G_1 - (k-7)(k-2) G_2 + (k-1)(k-2) G_3] / (k+2)
    F^k(z) ~ z + k/(8(k-1)) [(k+2) G_1 + 3(k-2) (G_2 + G_3) + (k+2) G_4]

meet its order conditions for all trees of up to four vertices, so that what the discreteness of the steps does (the
growth of oscillations) is kept: the error is of order (k s)^5 for rates s. k = 4 is F^4 exactly; for k to infinity this
is Kutta's 3/8 rule. Each run has a k of its own, chosen as it goes from the third difference of the stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..features import FeatureMap, FourierFeatures, feature_map
from ..problem.field import Field
from ..problem.problem import Problem
from ..tables.losses import PAIR, SINGLE, Loss
from ..tables.updates import UpdateRule
from .start import DIVERGENCE, resolved_rule, size_of

#: third difference of the stages' increments, over the largest of them, that a leap may have
TOLERANCE = 0.06
#: a leap with this many times more is taken again, shorter
REJECTED = 8.0
#: longest leap, in steps, and by how much one may be longer than the last
LONGEST, GROWTH = 1000, 1.6
#: shortest leap: exact
EXACT = 4
#: runs side by side: their features fit into a core's cache
LANES = 50
#: parts of the training time at which runs are asked whether they are decided
CHECKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: a run whose particles have all left by this many sizes of the problem is not followed any further
GONE = 30.0

State = tuple[Any, ...]
Increment = Callable[[State], State]


def several(increment: Increment, state: State, k: Any) -> tuple[State, State]:
    """(state after k steps, third difference g_4 - 3 g_3 + 3 g_2 - g_1 of the stages' increments).

    increment(z): G = F(z) - z, block by block; k >= 2: a number, or one per run (first axis of every block).
    """
    k = np.asarray(k, dtype=float)

    def moved(*terms: tuple[Any, State]) -> State:
        return tuple(z + sum(_over(c, z) * g[i] for c, g in terms) for i, z in enumerate(state))

    g1 = increment(state)
    g2 = increment(moved(((k - 1) / 3, g1)))
    g3 = increment(moved((-(k - 7) / 3, g1), (k - 3, g2)))
    g4 = increment(
        moved(
            ((k * k - 5 * k + 10) / (k + 2), g1), (-(k - 7) * (k - 2) / (k + 2), g2), ((k - 1) * (k - 2) / (k + 2), g3)
        )
    )
    outer, inner = k * (k + 2) / (8 * (k - 1)), 3 * k * (k - 2) / (8 * (k - 1))
    third = tuple(d - a + 3 * (b - c) for a, b, c, d in zip(g1, g2, g3, g4, strict=True))
    return moved((outer, g1), (inner, g2), (inner, g3), (outer, g4)), third


def _over(c: np.ndarray, like: Any) -> Any:
    """One number per run as a factor of a block of the state, of the block's own kind."""
    if c.ndim == 0:
        return float(c)
    return c.reshape(-1, *(1,) * (np.ndim(like) - 1)).astype(like.dtype)


class LaneField(Field):
    """A field of many runs in single precision where its features are random waves (else double), of which some can be
    followed without the others (``lanes``)."""

    def __init__(self, members: Sequence[Problem], features: FeatureMap | None = None) -> None:
        wanted = feature_map(members[0].exp) if features is None else features
        single = _single(wanted)
        super().__init__(members[0], members, wanted if single is None else single)
        self.dtype = np.dtype(float if single is None else np.float32)
        if single is None:
            return
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, value.astype(self.dtype))
            elif isinstance(value, np.floating):
                setattr(self, name, float(value))
        self.loss: Any = _SameKind(self.loss)

    def lanes(self, chosen: np.ndarray) -> LaneField:
        """The field of some of the runs (indices); only strengths and rates tell them apart."""
        out = copy(self)
        for name in ("grad_p", "grad_q", "value_p", "value_q", "nu", "gamma", "eta_D", "eta_G", "relative",
                     "collective", "likelihood"):  # fmt: skip
            value = getattr(self, name)
            if np.ndim(value):
                setattr(out, name, value[chosen])
        return out


class _SameKind:
    """A loss whose derivatives are of the precision of what they are given."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._loss, name)
        if name in (*SINGLE, *PAIR):
            found = _Kept(found)
            setattr(self, name, found)
        return found


class _Kept:
    def __init__(self, function: Any) -> None:
        self.function, self.constant = function, function.constant

    def __call__(self, D: np.ndarray) -> Any:
        value = self.function(D)
        return value.astype(D.dtype, copy=False) if isinstance(value, np.ndarray) else value


def _single(features: FeatureMap) -> FourierFeatures | None:
    """Random waves in single precision; None for other features."""
    if type(features) is not FourierFeatures:
        return None
    amplitude: Any = (
        np.asarray(features.amplitude, dtype=np.float32) if np.ndim(features.amplitude) else float(features.amplitude)
    )
    constant = None if features.constant is None else float(features.constant)
    return FourierFeatures(features.omega.astype(np.float32), amplitude, constant)


@dataclass(frozen=True)
class Followed:
    """x (run, time, n, d) at ``time`` (steps), the last position repeated once a run is not followed any further;
    diverged_at (run,) step, -1: not; evaluations: of one step of one run, per run and step of training."""

    x: np.ndarray
    time: np.ndarray
    diverged_at: np.ndarray
    evaluations: float


def follow(
    members: Sequence[Problem],
    x: np.ndarray,
    times: np.ndarray,
    *,
    w: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
    decided: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Followed:
    """The particles of many runs, one per member, from x (run, n, d) and w (run, P) (default: 0), at ``times`` (steps,
    ascending from 0).

    Members are equal but for fields in problem.field.VARIABLE. ``decided(x, time)``: which of the runs x (run, time, n,
    d) so far are known to end as they are; asked at CHECKS of the last time, such runs are left.
    A discriminator whose features grow with the particles' ways (the exact kernel) is none that this follows.
    """
    whole = _Runs(members, x, w, np.asarray(times, dtype=int), tolerance)
    ends = np.unique([*np.searchsorted(times, np.array(CHECKS) * times[-1]), len(times) - 1])
    for end in ends[ends > 0]:
        whole.advance(int(end))
        if decided is not None and end < len(times) - 1:
            whole.leave(decided, int(end))
    return Followed(whole.out, whole.times, whole.diverged_at, whole.evaluations / len(x) / max(int(times[-1]), 1))


class _Runs:
    """All runs: their states, clocks and leaps; LANES of them at a time are moved, others take the places of those that
    have arrived."""

    def __init__(
        self, members: Sequence[Problem], x: np.ndarray, w: np.ndarray | None, times: np.ndarray, tolerance: float
    ) -> None:
        self.field, self.times, self.tolerance = LaneField(members), times, tolerance
        exp, dtype = members[0].exp, self.field.dtype
        self.rule = max((resolved_rule(m.exp) for m in members), key=lambda r: r.substeps)
        self.centre, self.size = exp.points.coordinates.mean(0).astype(dtype), size_of(exp)
        x = np.ascontiguousarray(x, dtype=dtype)
        first = []
        for at in np.array_split(np.arange(len(x)), -(-len(x) // LANES)):
            field = self.field.lanes(at)
            own = np.zeros((len(at), field.features.size), dtype) if w is None else w[at].astype(dtype)
            start = self.rule.start(own, field.place(x[at]), field.Vw, field.Vx, field.opponents)
            first.append([_array(v, len(at)) for v in start])
        self.state = tuple(np.concatenate(blocks) for blocks in zip(*first, strict=True))
        self.out = np.repeat(x[:, None], len(times), axis=1)
        self.clock, self.record = np.zeros((2, len(x)), dtype=int)
        self.leap = np.full(len(x), EXACT)
        self.diverged_at = np.full(len(x), -1)
        self.open = np.ones(len(x), dtype=bool)  # still followed
        self.evaluations = 0

    def advance(self, end: int) -> None:
        """Every run to the record ``end``."""
        waiting = np.flatnonzero(self.open)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            here, waiting = waiting[:LANES], waiting[LANES:]
            while len(here):
                field, state = self.field.lanes(here), tuple(v[here] for v in self.state)
                done = np.zeros(len(here), dtype=bool)
                while not done.any():
                    state, done = self._move(field, state, here, end)
                for whole, part in zip(self.state, state, strict=True):
                    whole[here] = part
                free = int(done.sum())
                here, waiting = np.concatenate([here[~done], waiting[:free]]), waiting[free:]

    def leave(self, decided: Callable[[np.ndarray, np.ndarray], np.ndarray], end: int) -> None:
        """Follow no further those runs that are decided at the record ``end``."""
        left = np.flatnonzero(self.open)
        if len(left):
            known = left[decided(self.out[left, : end + 1], self.times[: end + 1])]
            self.open[known] = False
            self.out[known, end:] = self.out[known, end][:, None]

    def _move(self, field: LaneField, state: State, here: np.ndarray, end: int) -> tuple[State, np.ndarray]:
        """(state after a leap of every run, which of them have arrived)."""
        k, clock, record = self.leap[here], self.clock[here], self.record[here]
        step = _fitting(k, self.times[record + 1] - clock)
        increment = _increment(field, self.rule)
        new, third = several(increment, state, np.maximum(step, 2))
        self.evaluations += 4 * len(here)
        single = step == 1
        if single.any():  # records of a single step: rare
            one = increment(state)
            new = tuple(np.where(_column(single, z), z + g, y) for z, g, y in zip(state, one, new, strict=True))
            self.evaluations += len(here)
        error = _roughness(state, new, third, step)
        wild = ~np.isfinite(new[0]).all(-1) | ~np.isfinite(new[1]).all((-2, -1))
        accepted = (step <= EXACT) | ((error <= REJECTED * self.tolerance) & ~wild)
        factor = np.clip(0.9 * (self.tolerance / np.maximum(error, 1e-30)) ** (1 / 3), 0.25, GROWTH)
        longer = np.where(wild | ~np.isfinite(error), EXACT, step * factor)
        # a leap cut short by a record says nothing against a longer one
        longer = np.where((step < k) & (factor >= 1), np.maximum(longer, k), longer)
        self.leap[here] = np.clip(longer, EXACT, LONGEST).astype(int)
        if not accepted.all():
            new = tuple(np.where(_column(accepted, z), y, z) for y, z in zip(new, state, strict=True))
        clock = clock + np.where(accepted, step, 0)
        way = np.abs(new[1] - self.centre).max(-1)
        lost = accepted & (wild | ~(way.max(-1) < DIVERGENCE * self.size))
        gone = ~lost & (way.min(-1) > GONE * self.size)
        arrived = accepted & ~lost & (clock == self.times[record + 1])
        record = record + arrived
        self.out[here[arrived], record[arrived]] = new[1][arrived]
        self.clock[here], self.record[here] = clock, record
        self.diverged_at[here[lost]] = clock[lost]
        for row in np.flatnonzero(lost | gone):
            i = here[row]
            self.out[i, record[row] + 1 :] = np.nan if lost[row] else new[1][row]
            self.open[i] = False
        return new, lost | gone | (record == end)


def _array(v: Any, runs: int) -> np.ndarray:
    """A block of the state as an array with a run axis; the clock of uniform averages has one number per run, which
    divides averages of the shape (run, P)."""
    v = getattr(v, "x", v)
    return np.full((runs, 1), float(v)) if np.ndim(v) == 0 else v


def _increment(field: LaneField, rule: UpdateRule) -> Increment:
    def increment(state: State) -> State:
        w, x, *memory = state
        new = rule.step((w, field.place(x), *memory), field.Vw, field.Vx, field.opponents)
        return (new[0] - w, new[1].x - x, *(a - b for a, b in zip(new[2:], memory, strict=True)))

    return increment


def _fitting(k: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Leaps of at most k steps that end at the next record or leave at least two steps to it."""
    step = np.minimum(k, gap)
    return np.where((gap - step == 1) & (step > 2), step - 1, step)


def _roughness(state: State, new: State, third: State, step: np.ndarray) -> np.ndarray:
    """(run,) largest third difference of discriminator or particles, relative to the mean increment of a step."""
    out = np.zeros(len(step))
    for z, y, e in zip(state[:2], new[:2], third[:2], strict=True):
        axes = tuple(range(1, z.ndim))
        moved = np.sqrt(((y - z) ** 2).sum(axes, dtype=float)) / step
        out = np.maximum(out, np.sqrt((e**2).sum(axes, dtype=float)) / np.maximum(moved, 1e-30))
    return out


def _column(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *(1,) * (like.ndim - 1))


__all__ = ["Followed", "LaneField", "follow", "several"]
