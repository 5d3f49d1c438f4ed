"""The slowest of the modes that carry the particles, and the R1 strength that makes it fastest.

With kappa > 0 some modes are almost all discriminator: changes of D's values at the data that hardly tilt it there.
They decay at eta_D kappa times a tiny number, whatever R1, and nobody waits for them. In the
coordinates w / sqrt(eta_D c), v / sqrt(eta_G b), where the saddle is antisymmetric but for damping, a mode counts if

    |v|^2 / (|w|^2 + |v|^2) > CARRIED

(1/2 for every oscillating mode of the commuting case, whose other modes pass as well or are their fast partners).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from ..experiment import Experiment
from ..linear import linearize
from ..linear.system import CARRIED, Linearization, log_multiplier, update_matrix
from ..predict.asymptotic import Fastest, convergence_rate, fastest_strength

Array = np.ndarray

#: strengths scanned around the guess, decades either side and points; relative accuracy after refinement
DECADES, POINTS, TOLERANCE = 2.5, 41, 1e-4


def carried_modes(lin: Linearization) -> tuple[Array, Array, Array]:
    """(s, eigenvectors in columns, which are counted) of a dense linearization under its experiment's update rule."""
    exp, J, nw = lin.exp, lin.dense, lin.nw
    rule = exp.update_rule
    values, vectors = np.linalg.eig(J if rule.continuous else update_matrix(rule, J, nw))
    s = values.astype(complex) if rule.continuous else log_multiplier(values)
    w = (np.abs(vectors[:nw]) ** 2).sum(0) / (exp.discriminator.learning_rate * exp.loss_object.c)
    v = (np.abs(vectors[nw : len(J)]) ** 2).sum(0) / (exp.generator.learning_rate * exp.loss_object.b)
    noise = 8 * len(values) * np.finfo(float).eps * np.abs(s[np.isfinite(s)]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        counted = (v > CARRIED * (w + v)) & (np.abs(s) > noise)
    return s, vectors, counted


def carried_rate(exp: Experiment) -> float:
    """Slowest decay rate of the counted modes; ``convergence_rate`` where all modes that move the particles count."""
    lin = linearize(exp)
    if not lin.dense_mixed:
        return convergence_rate(exp)
    s, _, counted = carried_modes(lin)
    # growth counts whatever carries it
    growing = s.real > np.sqrt(np.finfo(float).eps) * np.abs(s[np.isfinite(s)]).max(initial=0.0)
    chosen = counted | growing
    return float(-s.real[chosen].max()) if chosen.any() else float("nan")


def rates_at(exp: Experiment, strengths: Array) -> Array:
    """``carried_rate`` at each R1 strength."""
    return np.array([carried_rate(exp.replace({"penalty.r1": float(s)})) for s in strengths])


def best_carried(exp: Experiment, guess: Callable[[], float]) -> tuple[float, float, Fastest | None]:
    """(strength, rate, fastest_strength's own result where that is the same question, else None).

    guess: the middle of the strengths to scan, asked where a scan is needed."""
    if not linearize(exp.replace({"penalty.r1": 1.0})).dense_mixed:
        found = fastest_strength(exp, "r1")
        return found.best or 0.0, found.rate, found
    strengths = guess() * np.geomspace(10**-DECADES, 10**DECADES, POINTS)
    rates = rates_at(exp, strengths)
    finite = np.where(np.isfinite(rates), rates, -np.inf)
    i = int(np.argmax(finite))
    best, rate = float(strengths[i]), float(finite[i])
    result = minimize_scalar(
        lambda u: -carried_rate(exp.replace({"penalty.r1": float(np.exp(u))})),
        bounds=(np.log(strengths[max(i - 1, 0)]), np.log(strengths[min(i + 1, POINTS - 1)])),
        method="bounded",
        options={"xatol": TOLERANCE},
    )
    if -result.fun > rate:
        best, rate = float(np.exp(result.x)), float(-result.fun)
    at_zero = carried_rate(exp.replace({"penalty.r1": 0.0}))
    return (0.0, at_zero, None) if at_zero >= rate else (best, rate, None)


def binding(exp: Experiment) -> list[dict[str, float | None]]:
    """The counted modes within 1 % of the slowest, as predict.binding_modes lists them (dense linearizations)."""
    s, _, counted = carried_modes(linearize(exp))
    s = s[counted]
    slowest = -s.real.max()
    chosen = s[-s.real <= slowest + 0.01 * abs(slowest)]
    return [{"re": float(v.real), "im": float(v.imag), "multiplicity": 1} for v in chosen]


__all__ = ["CARRIED", "best_carried", "binding", "carried_modes", "carried_rate", "rates_at"]
