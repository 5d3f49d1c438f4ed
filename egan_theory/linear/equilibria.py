"""Equilibria: particles on the data with D = D* where q = p and no exact score of the target draws them away
(problem.likelihood), otherwise a root of the field found by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.errors import NotLinearizable
from ..features import DictionaryFeatures, FeatureMap
from ..problem.field import Field
from ..problem.jacobian import jacobian_at
from ..problem.problem import Problem, frozen, kept

#: largest velocity, relative to its size at the first guess, at which Newton's iteration has converged
NEWTON_TOLERANCE = 1e-10
#: ... or at which it has converged if it does not shrink any more: the rounding of a nearly singular dictionary
NEWTON_FLOOR = 1e-6
NEWTON_STEPS = 60
#: relaxation along the flow: steps; growth of the time step, per step and at most by a falling velocity; how far a
#: particle may go in one, as a part of the shortest length; how far particles that share a point begin apart, as a part
#: of the bandwidth
RELAXATION_STEPS = 400
GROWTH, FASTEST_GROWTH, SLOWEST_GROWTH = 1.2, 4.0, 0.5
REACH, APART = 0.5, 0.1


@dataclass(frozen=True)
class Equilibrium:
    """x (N, d), and w (P,) on the features of ``field``; ``matched``: as ``Problem.matched``, so that x is on the data
    and w = 0."""

    x: np.ndarray
    w: np.ndarray
    matched: bool
    field: Field


def equilibrium(problem: Problem, field: Field | None = None) -> Equilibrium:
    """The equilibrium that ``generator.per_point`` describes.

    Masses that match the target's: x on the data, w = 0. Otherwise (Delta = p - q != 0 somewhere) Newton's method from
    there, with f != 0. With a likelihood term, whose score drives particles that share a point apart, the equilibrium
    that the flow from there tends to. Raises NotLinearizable when there is none to be found.
    """
    field = Field(problem) if field is None else field
    x, w = problem.home, np.zeros(field.features.size)
    if problem.matched:
        return Equilibrium(x, w, True, field)
    if problem.packing is not None:
        rule = "be 1 for an equilibrium with D != D* (other masses, an exact score)"
        raise NotLinearizable("packing.degree", rule, problem.packing.degree)
    if problem.exp.discriminator.finite_network:
        raise NotLinearizable(
            "generator.masses",
            "match the target's weights when the discriminator is a network (its equilibrium is known at D = D* only)",
            "target points with more or less",
        )
    if problem.M > problem.N and problem.exp.generator.per_point is None:
        raise NotLinearizable(
            "generator.particles",
            "be at least the number of target points (an equilibrium has particles on the data)",
            f"{problem.N} particles for {problem.M} points",
        )
    if problem.likelihood is not None:
        x, w, features = _relaxed(problem)
        return Equilibrium(x, w, False, field.with_features(features))
    eq = _newton(problem, field, x, w)
    if not isinstance(field.features, DictionaryFeatures):
        return eq
    # the exact kernel at particles off the data: a dictionary that spans K and its gradient there, until x stays
    for _ in range(NEWTON_STEPS):
        field = _spanning(field, eq.x)
        x, eq = eq.x, _newton(problem, field, eq.x, np.zeros(field.features.size))
        if np.abs(eq.x - x).max() <= NEWTON_TOLERANCE * _separation(problem):
            return eq
    raise _no_equilibrium()


def _spanning(field: Field, x: np.ndarray) -> Field:
    """An exact kernel's field with the dictionary that spans K and its gradient at the data and at x."""
    assert isinstance(field.features, DictionaryFeatures)
    nodes = np.concatenate([field.Y, field.nodes(x)])
    return field.with_features(DictionaryFeatures(field.features.kernel, nodes, nodes))


def _newton(problem: Problem, field: Field, x: np.ndarray, w: np.ndarray) -> Equilibrium:
    def residual(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.concatenate([field.Vw(w, x), field.Vx(w, x).ravel()])

    P = len(w)
    F = residual(w, x)
    scale = np.abs(F).max()
    for _ in range(NEWTON_STEPS):
        J = jacobian_at(field, w, x)
        # w first, at fixed x: far from the root the full Newton step may throw particles off their points
        step = np.linalg.lstsq(J, -F, rcond=1e-12)[0]
        limit = 0.1 * _separation(problem)
        length = np.abs(step[P:]).max(initial=0.0)
        if length > limit:
            step = np.concatenate([np.linalg.lstsq(J[:P, :P], -F[:P], rcond=1e-12)[0], step[P:] * limit / length])
        w, x = w + step[:P], x + step[P:].reshape(x.shape)
        before, F = np.abs(F).max(), residual(w, x)
        size = np.abs(F).max()
        if size <= NEWTON_TOLERANCE * scale or (size > before / 2 and size <= NEWTON_FLOOR * scale):
            return Equilibrium(x, w, False, field)
        if not np.all(np.isfinite(F)):
            break
    raise _no_equilibrium()


# -- along the flow -------------------------------------------------------------------------------------------------


def _not_of_rest(problem: Problem) -> tuple[str, ...]:
    """Fields on which the state at rest does not depend (the box of Fourier modes holds the starts)."""
    return ("update", "memory", *(() if problem.exp.discriminator.evaluation == "fourier" else ("run",)))


@kept(_not_of_rest, size=16)
def _relaxed(problem: Problem) -> tuple[np.ndarray, np.ndarray, FeatureMap]:
    """(x, w, features) at rest. Raises NotLinearizable."""
    field, home = Field(problem), problem.home
    shared = np.bincount(problem.assignment)[problem.assignment] > 1
    apart = APART * problem.exp.likelihood.bandwidth * np.random.default_rng(0).standard_normal(home.shape)
    x, w = _follow(problem, field, home + np.where(shared[:, None], apart, 0.0), np.zeros(field.features.size))
    if isinstance(field.features, DictionaryFeatures):
        for _ in range(NEWTON_STEPS):
            field = _spanning(field, x)
            before, (x, w) = x, _follow(problem, field, x, np.zeros(field.features.size))
            if np.abs(x - before).max() <= NEWTON_TOLERANCE * _separation(problem):
                break
        else:
            raise _no_rest()
    frozen(x, w)
    return x, w, field.features


def _follow(problem: Problem, field: Field, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the flow from (x, w) comes to rest: implicit Euler steps of growing length, which end as Newton's
    (pseudo-transient continuation: Kelley and Keyes, SIAM J. Numer. Anal. 35, 508 (1998))."""
    P, unit = len(w), np.eye(len(w) + x.size)
    reach = REACH * min(_separation(problem), problem.exp.likelihood.bandwidth or np.inf)

    def velocity(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.concatenate([field.Vw(w, x), field.Vx(w, x).ravel()])

    V, J = velocity(w, x), jacobian_at(field, w, x)
    scale, last, dt = np.abs(V).max(), np.inf, 1 / np.linalg.norm(J)
    newton = dt / np.finfo(float).eps  # steps of this length are Newton's to rounding
    for _ in range(RELAXATION_STEPS):
        size = np.abs(V).max()
        at_rest = size <= scale * (NEWTON_FLOOR if dt >= newton else NEWTON_TOLERANCE)
        if at_rest and size >= last / 2:  # rounding keeps it from falling further
            return x, w
        last = size
        ahead = None
        try:
            step = np.linalg.solve(unit / dt - J, V)
            if np.abs(step[P:]).max(initial=0.0) <= reach:
                ahead = w + step[:P], x + step[P:].reshape(x.shape)
                V_ahead = velocity(*ahead)
        except np.linalg.LinAlgError:
            pass
        if ahead is None or not np.isfinite(V_ahead).all():
            dt /= 4
            continue
        (w, x), before, V = ahead, np.linalg.norm(V), V_ahead
        fall = before / max(np.linalg.norm(V), np.finfo(float).tiny)
        dt = min(dt * GROWTH * np.clip(fall, SLOWEST_GROWTH, FASTEST_GROWTH), 1e3 * newton)
        J = jacobian_at(field, w, x)
    raise _no_rest()


def _no_rest() -> NotLinearizable:
    return NotLinearizable(
        "likelihood.weight",
        "leave an equilibrium next to the data with D != D* (weight decay or a value penalty bounds D; with the kernel "
        "score and masses that match the target's weights there is one on the data)",
        "none where the flow from the data goes",
    )


def _no_equilibrium() -> NotLinearizable:
    return NotLinearizable(
        "generator.masses",
        "match the target's weights ('matched' does), or leave an equilibrium with D != D* (needs weight decay or a "
        "value penalty)",
        "no equilibrium near the data",
    )


def _separation(problem: Problem) -> float:
    """Smaller of the discriminator's length scale and the spread of the target: the scale of a trusted step."""
    spread = float(np.sqrt(problem.Y.var(axis=0).sum()))
    return min(problem.exp.discriminator.length_scale, spread) if spread > 0 else problem.exp.discriminator.length_scale
