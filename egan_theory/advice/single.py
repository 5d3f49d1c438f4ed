"""One draw, a mini-batch at one initialisation: first guess, limits of stability, one setting changed at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..features.rows import RowFeatures
from ..predict.asymptotic import convergence_rate
from ..predict.left import left_over
from .practice import affordable, value_damping
from .together import Span, choose_together

#: factor by which the limits of stability are searched, and their relative accuracy
LIMIT_SPAN, LIMIT_TOLERANCE = 1e4, 1e-3
#: strengths tried where the best is none, or not stable
TRIED = 9


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
    plain = {"update.critic_steps": 1, "update.momentum_discriminator": 0.0, "update.momentum_generator": 0.0}
    rules = ("flow", "simultaneous", "alternating")
    out += [(f"update.rule = {r}", plain | {"update.rule": r}) for r in rules if r != exp.update.rule]
    return out


def varied(exp: Experiment, features: RowFeatures, rate: float, values: bool, horizon: float) -> list[dict[str, Any]]:
    """What is advised to the draw alone, and left, with one setting changed."""
    found = []
    for setting, changes in variations(exp, rate):
        row: dict[str, Any] = {"setting": setting, "best": None, "left": None, "reason": ""}
        try:
            changed = exp.replace(changes)
            if value_damping(changed) and not values:
                raise InputError("gram", "hold D's values too where kappa > 0")
            best, left = alone(affordable(changed), features, horizon)
            row |= {"best": best, "left": left}
        except InputError as error:
            row["reason"] = str(error)
        found.append(row)
    return found
