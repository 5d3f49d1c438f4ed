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

from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..experiment.settings import switched
from ..features.rows import RowFeatures
from ..predict.asymptotic import rate_curve
from ..predict.curve import LeftCurve, finer, last_holding, refined, widened
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
    of the draws' stability edges, or None. strengths, moving (draw, strength): the scanned curves of the coordinates
    that can move.
    """

    choice: Choice
    least: Array
    optimum: Array
    edge: float | None
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
    curves = [LeftCurve(exp, "penalty.r1", horizon) for exp in members]

    def left(strengths: Array) -> Array:
        return np.array([curve.visible(strengths) for curve in curves])

    points = int(np.ceil(PER_DECADE * np.log10(span.high * ABOVE / (span.low * BELOW)))) + 1
    common = np.geomspace(span.low * BELOW, span.high * ABOVE, points)
    for curve in curves:
        if np.isnan(curve(common)).all():
            left_over(curve.exp.replace({curve.path: float(common[0])}), horizon)  # raises the reason
    common = widened(left, common, ABOVE, PER_DECADE, WIDENINGS, limit)
    if np.isfinite(limit):
        common = np.union1d(common, [limit])
    zero = left(np.zeros(1))[:, 0]
    own = np.array([_least(curve.visible, common, limit)[:2] for curve in curves])  # (draw, (strength, left))
    least = np.minimum(own[:, 1], zero)
    scale = np.where(np.isfinite(least), least, 1.0)[:, None]  # a draw that grows beyond bounds whatever the strength

    def regret(strengths: Array) -> Array:
        return np.max(left(strengths) / scale, axis=0)

    best, _, looked_at = _least(regret, common, limit)
    if best:
        common = np.union1d(common, [*looked_at, best])
    choice = choose(common, regret(common), float(regret(np.zeros(1))[0]), None if np.isinf(safe) else safe)
    optimum = np.where(own[:, 1] < zero, own[:, 0], 0.0)
    return Together(choice, least, optimum, edge, common, left(common))


def _least(value: Callable[[Array], Array], strengths: Array, limit: float) -> tuple[float, float, Array]:
    """(the strength of least ``value`` up to ``limit``, that value, the strengths looked at): around the least of those
    given, and between the neighbours of the least of these. (0, inf, none) where there is none."""
    strengths = finer(value, strengths[strengths <= limit], limit, CLOSE, PER_DECADE_CLOSE)
    if not len(strengths):
        return 0.0, np.inf, strengths
    found = value(strengths)
    i = int(np.argmin(found))
    low, high = strengths[max(i - 1, 0)], strengths[min(i + 1, len(strengths) - 1)]
    best = float(strengths[i]), float(found[i])
    if high > low:
        best = min(refined(lambda s: float(value(np.array([s]))[0]), low, high, TOLERANCE), best, key=lambda b: b[1])
    return *best, strengths


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

    rate = rate_curve(exp, "penalty.r1").at
    tried = [best] if best > 0 else []
    tried += list(np.geomspace(across.low / LIMIT_SPAN**0.5, across.high, TRIED))
    found = next((float(s) for s in tried if rate(float(s)) > 0), None)
    if found is None:
        return None, None
    ends: list[float | None] = []
    for outside in (found / LIMIT_SPAN, found * LIMIT_SPAN):
        if rate(outside) > 0:
            ends.append(0.0 if outside < found and rate(0.0) > 0 else None)
        else:
            ends.append(last_holding(lambda s: rate(s) > 0, found, outside, LIMIT_TOLERANCE))
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
