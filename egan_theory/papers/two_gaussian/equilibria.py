"""Linearization of the interval GAN about its equilibria, and which numbers of inner steps are stable there.

At the true means p = q, so L = 1 for every D: no discriminator is pushed, and an equilibrium is any D whose force on
both means vanishes: two conditions on four ends. Equilibria are not isolated; they form surfaces. On the mirror
symmetric family S = [-a, -b] u [b, a] the condition is exp(-a^2/2) sinh a = exp(-b^2/2) sinh b.

There (p - q)' = 0 too: the discriminator's Hessian vanishes (kappa = 0), the ends only turn with the means. The field
splits into the pairs "shift" (means move alike) and "spread" (means move oppositely), each with

    L = const - c e mu - g mu^2/2:   de/dt = -eta_D c mu,   dmu/dt = eta (c e + g mu),   g = d^2 Q(S)/d mu_j^2

so all damping sits in the curvature g of the generator's own objective; two more directions of the ends are neutral.
``multipliers`` and ``stable_steps`` come from ``step_map``: the update rule applied to this L by SymPy.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from scipy.optimize import brentq

from ...base.errors import InputError
from ...symbolic.maps import jury_conditions
from .intervals import TRUE_MEANS
from .training import Training, force_on_ends_by_means

c, g, eta, eta_D, n = sp.symbols("c g eta eta_D n", real=True)
e, mu = sp.symbols("e mu", real=True)
#: where exp(-x^2/2) sinh x is largest: x tanh x = 1
PEAK = float(brentq(lambda x: x * np.tanh(x) - 1, 1.0, 2.0))


class Oscillator(NamedTuple):
    """One oscillator of the linearization: coupling c (>= 0) and curvature g, before learning rates."""

    c: float
    g: float


def balanced_intervals(a: float) -> np.ndarray:
    """Ends (-a, -b, b, a) at which the true means feel no force.

        exp(-a^2/2) sinh a = exp(-b^2/2) sinh b

    Returns:
        The ends, ascending.

    Shapes:
        Result (4,), ascending.

    Units:
        Standard deviations of the components.

    Raises:
        InputError: a that is not between 1.1997 and 30.

    Source:
        Derived for the model of Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884); see the module.
    """
    if not PEAK < a < 30:
        raise InputError("a", f"lie between {PEAK:.4f} and 30", a)
    log = lambda x: -(x**2) / 2 + x + np.log(-np.expm1(-2 * x))  # noqa: E731  log of exp(-x^2/2) 2 sinh x
    b = brentq(lambda x: log(x) - log(a), 1e-200, PEAK, xtol=1e-200, rtol=8.9e-16)
    return np.array([-a, -b, b, a])


def mode_pairs(ends: np.ndarray) -> dict[str, Oscillator]:
    """The pairs "shift" and "spread" at mirror symmetric ends and the true means.

    Returns:
        Coupling c and curvature g of each pair, before learning rates.

    Shapes:
        ends (4,), ascending.

    Units:
        c and g per standard deviation squared.

    Raises:
        InputError: ends that are not mirror symmetric about 0.

    Source:
        Derived for the model of Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884); see the module.
    """
    C = -force_on_ends_by_means(ends, TRUE_MEANS).T
    if not np.allclose(C, C[::-1, ::-1]):
        raise InputError("ends", "be mirror symmetric about 0", ends)
    curvature = float(-C[0].sum())
    return {
        "shift": Oscillator(float(np.linalg.norm(C[0] + C[1]) / np.sqrt(2)), curvature),
        "spread": Oscillator(float(np.linalg.norm(C[0] - C[1]) / np.sqrt(2)), curvature),
    }


def quadratic() -> sp.Expr:
    """L near equilibrium, without its constant; D ascends it, the generator descends it."""
    return -c * e * mu - g * mu**2 / 2


@cache
def step_map(discriminator: str, inner: int | None = None) -> sp.Matrix:
    """One step of (e, mu) as a 2 x 2 matrix. inner None: the symbol n, the inner steps summed (their field is constant
    in e, so that n of them are one of n times the rate)."""
    L = quadratic()

    def inner_steps(start: sp.Expr) -> sp.Expr:
        if inner is None:
            return start + n * eta_D * sp.diff(L, e)
        for _ in range(inner):
            start = start + eta_D * sp.diff(L, e).subs(e, start)
        return start

    if discriminator == "simultaneous":
        after = (e + eta_D * sp.diff(L, e), mu - eta * sp.diff(L, mu))
    elif discriminator == "steps":
        after = (inner_steps(e), mu - eta * sp.diff(L, mu).subs(e, inner_steps(e)))
    elif discriminator == "unrolled":
        after = (e + eta_D * sp.diff(L, e), mu - eta * sp.diff(L.subs(e, inner_steps(e)), mu))
    else:
        raise InputError("discriminator", "be simultaneous, steps or unrolled", repr(discriminator))
    return sp.Matrix(after).jacobian([e, mu]).applyfunc(sp.expand)


def multipliers(training: Training, pair: Oscillator) -> np.ndarray:
    """The two multipliers of a pair under a training rule (not "optimal", which has a kink at equilibrium).

    Returns:
        Complex multipliers of one generator step.

    Shapes:
        Result (2,), complex.

    Units:
        Pure numbers.

    Raises:
        InputError: a discriminator that is "optimal".

    Source:
        The update rule applied to the loss near equilibrium by SymPy (``step_map``).
    """
    T = step_map(training.discriminator)
    values: dict[Any, float] = {
        c: pair.c, g: pair.g, eta: training.rate, eta_D: training.rate_discriminator, n: training.inner,
    }  # fmt: skip
    return np.linalg.eigvals(np.array(T.subs(values), dtype=float))


@cache
def _bounds(discriminator: str) -> sp.Expr:
    """The Jury conditions hold for n where linear functions of n are positive: their (slope, value)."""
    conditions = jury_conditions(step_map(discriminator).charpoly())
    return sp.Matrix([[sp.diff(condition, n), condition.subs(n, 0)] for condition in conditions])


def stable_steps(training: Training, pair: Oscillator) -> tuple[float, float]:
    """(low, high): the pair's multipliers lie inside the unit circle iff low < n < high; (nan, nan) if for no n.

    Returns:
        Bounds on the number n of inner steps.

    Units:
        Numbers of discriminator steps per generator step.

    Raises:
        InputError: a discriminator that is "optimal".

    Source:
        Jury conditions of ``step_map``, by SymPy.
    """
    values = {c: pair.c, g: pair.g, eta: training.rate, eta_D: training.rate_discriminator}
    low, high = 0.0, np.inf
    for slope, value in np.array(_bounds(training.discriminator).subs(values), dtype=float):
        if slope > 0:
            low = max(low, -value / slope)
        elif slope < 0:
            high = min(high, -value / slope)
        elif value <= 0:
            return np.nan, np.nan
    return (low, high) if low < high else (np.nan, np.nan)
