"""One R1 strength for several draws and a stated length of training: what is left in the worst of them decides.

Of each draw, left(strength) is what the horizon leaves of a kick of its particles (predict.left; of those coordinates
that can move). Draws differ in how much any strength leaves, so that strengths are compared by

    regret(strength) = max over draws of left(strength) / (least of that draw)

and the strength of least regret is taken by the rules of ``predict.left.choose``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..predict.left import SAFETY, Choice, choose, left_over

Array = np.ndarray

#: strengths scanned: so far below and above those that damp some mode critically, per decade; around the least, where
#: what is left may swing with the phase of the modes, decades and per decade
BELOW, ABOVE, PER_DECADE = 1e-3, 10.0, 10
CLOSE, PER_DECADE_CLOSE = 0.3, 40
#: a scan whose least lies at its upper end goes on by a factor ABOVE, so many times
WIDENINGS = 4
#: relative accuracy of the strength after refinement
TOLERANCE = 1e-4
#: standard deviations of the draws' stability edges that the margin allows for draws not seen
SCATTER = 2.0


class Span(NamedTuple):
    """Strengths that damp the stiffest and the softest mode critically."""

    low: float
    high: float


@dataclass(frozen=True)
class Together:
    """choice: what ``choose`` says of the draws' regret; its strengths' ``low`` and ``high`` leave at most 1 % more.

    least, optimum (draw,): what each draw's own best strength leaves, and that strength (0: none); edge: the smallest
    of the draws' stability edges, or None; limit: no larger strength is advised. strengths, moving (draw, strength):
    the scanned curves of the coordinates that can move.
    """

    choice: Choice
    least: Array
    optimum: Array
    edge: float | None
    limit: float
    strengths: Array
    moving: Array


def edge_of(edges: Sequence[float | None]) -> tuple[float | None, float]:
    """(the smallest edge of stability, SAFETY times the largest strength to advise): the draws' scatter counts, since
    the edge of the next one may be lower."""
    known = np.array([e for e in edges if e is not None])
    if not len(known):
        return None, np.inf
    lowest, log = float(known.min()), np.log(known)
    scatter = float(log.std(ddof=1)) if len(log) > 1 else 0.0
    return lowest, min(lowest, float(np.exp(log.mean() - SCATTER * scatter)))


def choose_together(
    members: Sequence[Experiment], horizon: float, span: Span, edges: Sequence[float | None]
) -> Together:
    """The strength of least regret for ``members``, one experiment per draw."""
    edge, safe = edge_of(edges)
    limit = safe / SAFETY
    curves = [_Curve(exp, horizon) for exp in members]
    points = int(np.ceil(PER_DECADE * np.log10(span.high * ABOVE / (span.low * BELOW)))) + 1
    common = np.geomspace(span.low * BELOW, span.high * ABOVE, points)
    for _ in range(WIDENINGS):
        if limit <= common[-1] or not all(np.argmin(curve(common)) == len(common) - 1 for curve in curves):
            break
        common = np.append(common, common[-1] * np.geomspace(1, ABOVE, PER_DECADE + 1)[1:])
    if np.isfinite(limit):
        common = np.append(common[common < limit], [limit, *common[common > limit]])
    zero = np.array([curve.at(0.0) for curve in curves])
    own = np.array([curve.minimum(common, limit) for curve in curves])  # (draw, (strength, left))
    least = np.minimum(own[:, 1], zero)
    scale = np.where(np.isfinite(least), least, 1.0)  # a draw that grows beyond bounds whatever the strength

    def regret(strengths: Array) -> Array:
        return np.max([curve(strengths) / one for curve, one in zip(curves, scale, strict=True)], axis=0)

    allowed = common[common <= limit]
    if len(allowed):
        i = int(np.argmin(regret(allowed)))
        common = np.union1d(common, _close(allowed[i], limit))
        allowed = common[common <= limit]
        i = int(np.argmin(regret(allowed)))
        found = _refined(lambda s: float(regret(np.array([s]))[0]), allowed, i)
        common = np.union1d(common, [found])
    choice = choose(common, regret(common), float((zero / scale).max()), None if np.isinf(safe) else safe)
    optimum = np.where(own[:, 1] < zero, own[:, 0], 0.0)
    moving = np.array([curve(common) for curve in curves])
    return Together(choice, least, optimum, edge, limit, common, moving)


class _Curve:
    """What the horizon leaves of what can move, or the least that can be told from nothing, at the strengths asked for
    so far; inf where it overflows or nothing is linear."""

    def __init__(self, exp: Experiment, horizon: float) -> None:
        self.exp, self.horizon = exp, horizon
        self.found: dict[float, float] = {}

    def at(self, strength: float) -> float:
        if strength not in self.found:
            try:
                left = left_over(self.exp.replace({"penalty.r1": strength}), self.horizon)
                value = max(left.moving, left.resolution)
            except NotLinearizable:
                if strength:
                    raise
                value = np.inf  # without R1 D may have no optimum to respond with
            self.found[strength] = value if np.isfinite(value) else np.inf
        return self.found[strength]

    def __call__(self, strengths: Array) -> Array:
        return np.array([self.at(float(s)) for s in strengths])

    def minimum(self, strengths: Array, limit: float) -> tuple[float, float]:
        """(strength, what it leaves) of the least up to ``limit``; (0, inf) where there is none."""
        allowed = strengths[strengths <= limit]
        if not len(allowed) or not np.isfinite(self(allowed)).any():
            return 0.0, np.inf
        allowed = np.union1d(allowed, _close(allowed[int(np.argmin(self(allowed)))], limit))
        best = _refined(self.at, allowed, int(np.argmin(self(allowed))))
        return best, self.at(best)


def _close(middle: float, limit: float) -> Array:
    close = middle * 10 ** np.linspace(-CLOSE, CLOSE, int(2 * CLOSE * PER_DECADE_CLOSE) + 1)
    return np.asarray(close[close <= limit])


def _refined(value: object, strengths: Array, i: int) -> float:
    """The strength of least ``value`` between the neighbours of the i-th."""
    assert callable(value)
    seen: dict[float, float] = {}

    def objective(u: float) -> float:
        s = float(np.exp(u))
        seen[s] = found = value(s)
        return found if np.isfinite(found) else float(np.finfo(float).max)

    bounds = np.log(strengths[max(i - 1, 0)]), np.log(strengths[min(i + 1, len(strengths) - 1)])
    if bounds[1] > bounds[0]:
        minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": TOLERANCE})
    seen[float(strengths[i])] = value(float(strengths[i]))
    return min(seen, key=lambda s: seen[s])


__all__ = ["Span", "Together", "choose_together", "edge_of"]
