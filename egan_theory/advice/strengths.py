"""One R1 strength for several draws and a stated length of training: what is left in the worst of them decides. Of one
draw, a mini-batch at one initialisation: first guess, limits of stability, one setting changed at a time.

Of each draw, left(strength) is what the horizon leaves of a kick of its particles (predict.left; of those coordinates
that can move). Draws differ in how much any strength leaves, so that strengths are compared by

    regret(strength) = max over draws of left(strength) / (least of that draw)

and the strength of least regret is taken by the rules of ``predict.left.choose``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..experiment.settings import switched
from ..features.rows import RowFeatures
from ..predict.asymptotic import convergence_rate
from ..predict.left import SAFETY, Choice, choose, left_over
from .practice import affordable, value_damping

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
#: factor by which the limits of stability are searched, and their relative accuracy
LIMIT_SPAN, LIMIT_TOLERANCE = 1e4, 1e-3
#: strengths tried where the best is none, or not stable
TRIED = 9


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

    if len(allowed := common[common <= limit]):
        best, looked_at = _least(regret, allowed, limit)
        common = np.union1d(common, [*looked_at, best])
    choice = choose(common, regret(common), float((zero / scale).max()), None if np.isinf(safe) else safe)
    optimum = np.where(own[:, 1] < zero, own[:, 0], 0.0)
    return Together(choice, least, optimum, edge, limit, common, np.array([curve(common) for curve in curves]))


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
        best = _least(self, allowed, limit)[0]
        return best, self.at(best)


def _least(value: Callable[[Array], Array], strengths: Array, limit: float) -> tuple[float, Array]:
    """(the strength of least ``value`` up to ``limit``, the strengths looked at): around the least of those given, and
    between the neighbours of the least of these."""
    close = strengths[np.argmin(value(strengths))] * 10 ** np.linspace(
        -CLOSE, CLOSE, int(2 * CLOSE * PER_DECADE_CLOSE) + 1
    )
    strengths = np.union1d(strengths, close[close <= limit])
    i = int(np.argmin(value(strengths)))
    seen: dict[float, float] = {}

    def objective(u: float) -> float:
        s = float(np.exp(u))
        seen[s] = found = float(value(np.array([s]))[0])
        return found if np.isfinite(found) else float(np.finfo(float).max)

    bounds = np.log(strengths[max(i - 1, 0)]), np.log(strengths[min(i + 1, len(strengths) - 1)])
    if bounds[1] > bounds[0]:
        minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": TOLERANCE})
    seen[float(strengths[i])] = float(value(strengths[[i]])[0])
    return min(seen, key=lambda s: seen[s]), strengths


# -- one draw


def betas_of(features: RowFeatures) -> np.ndarray:
    """Resolved eigenvalues of H/M, largest first."""
    return np.asarray(features.gradient_values[: features.gradient_rank(np.empty(0))] ** 2 / features.points)


def betas(features: RowFeatures) -> tuple[float, float]:
    beta = betas_of(features)
    if not len(beta):
        raise NotLinearizable("D", "have a gradient that depends on its weights at the data", "none")
    return float(beta[-1]), float(beta[0])


def span(exp: Experiment, features: RowFeatures) -> Span:
    """Strengths r1 eta_D = 2 sqrt(G / beta) that damp the stiffest and the softest mode critically, where they
    commute."""
    low, high = betas(features)
    loss, k = exp.loss_object, exp.generator.kernel
    eta_D, eta_G = exp.discriminator.learning_rate, exp.generator.learning_rate
    G = eta_D * eta_G * loss.b * loss.c * (k.g1 - k.g2 or k.g1) * exp.omega / exp.generator.particles
    return Span(2 * float(np.sqrt(G / high)) / eta_D, 2 * float(np.sqrt(G / low)) / eta_D)


def stable(exp: Experiment, best: float, across: Span) -> tuple[float | None, float | None]:
    """Lowest and highest strength at which every mode decays, around the best or, where that is none, one of the
    strengths that damp some mode critically; None: none within LIMIT_SPAN of it."""

    def rate(strength: float) -> float:
        return convergence_rate(exp.replace({"penalty.r1": strength}))

    tried = [best] if best > 0 else []
    tried += list(np.geomspace(across.low / LIMIT_SPAN**0.5, across.high, TRIED))
    found = next((float(s) for s in tried if rate(float(s)) > 0), None)
    if found is None:
        return None, None
    best = found
    ends: list[float | None] = []
    for factor in (1 / LIMIT_SPAN, LIMIT_SPAN):
        inside, outside = np.log(best), np.log(best * factor)
        if rate(best * factor) > 0:
            ends.append(0.0 if factor < 1 and rate(0.0) > 0 else None)
            continue
        while abs(outside - inside) > LIMIT_TOLERANCE:
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if rate(float(np.exp(middle))) > 0 else (inside, middle)
        ends.append(float(np.exp(inside)))
    return ends[0], ends[1]


def alone(exp: Experiment, features: RowFeatures, horizon: float) -> tuple[float, float]:
    """(advised strength, what it leaves of what can move) of one draw by itself; its stability edge is not heeded."""
    found = choose_together([exp], horizon, span(exp, features), [None])
    best = found.choice.best
    return best, left_over(exp.replace({"penalty.r1": best}), horizon).moving


def variations(exp: Experiment, rate: float) -> list[tuple[str, dict[str, Any]]]:
    """(setting, changes) of an experiment: one at a time."""
    g = exp.generator
    out: list[tuple[str, dict[str, Any]]] = []
    losses = ("wasserstein", "logistic", "least_squares")
    out += [(f"loss.kind = {k}", {"loss.kind": k}) for k in losses if k != exp.loss.kind]
    for factor in (0.5, 2.0):
        for path in ("discriminator.learning_rate", "generator.learning_rate"):
            out.append((f"{path} x {factor:g}", {path: factor * exp.get(path)}))
    out.append(("generator.kernel.diagonal x 2", {"generator.kernel.diagonal": 2 * g.kernel.diagonal}))
    nu = float(f"{abs(rate) / exp.discriminator.learning_rate:.1g}") if rate else 0.0
    for path, values in (("generator.kernel.ratio", (0.0, 0.1, 0.5)), ("penalty.weight_decay", (0.0, nu))):
        out += [(f"{path} = {v:g}", {path: v}) for v in values if v != exp.get(path)]
    rules = ("flow", "simultaneous", "alternating")
    out += [(f"update.rule = {r}", switched(r, plain=True)) for r in rules if r != exp.update.rule]
    return out


def varied(exp: Experiment, features: RowFeatures, rate: float, values: bool, horizon: float) -> list[dict[str, Any]]:
    """What is advised to the draw alone, and left, with one setting changed."""
    found = []
    for setting, changes in variations(exp, rate):
        best, left, reason = None, None, ""
        try:
            changed = exp.replace(changes)
            if value_damping(changed) and not values:
                raise InputError("gram", "hold D's values too where kappa > 0")
            best, left = alone(affordable(changed), features, horizon)
        except InputError as error:
            reason = str(error)
        found.append({"setting": setting, "best": best, "left": left, "reason": reason})
    return found
