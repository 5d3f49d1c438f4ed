"""Equilibria: particles on the data with D = D* where q = p and no exact score of the target draws them away
(egan_theory.problem.likelihood), otherwise a root of the field found by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..experiment.settings import Memory, Run, Update
from ..features import DictionaryFeatures, FeatureMap
from ..problem.field import Field
from ..problem.likelihood import leaves_data

#: q and p at a point are called equal when they differ by less than this part of p (they come from divisions)
MASS_TOLERANCE = 1e-12
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
    """x (N, d), w (P,); ``matched``: see ``matched_masses``, so that x is on the data and w = 0."""

    x: np.ndarray
    w: np.ndarray
    matched: bool


def matched_masses(exp: Experiment) -> bool:
    """Whether particles on the data are an equilibrium with D = D*: those on every target point have exactly its
    weight, and no exact score draws them away."""
    if leaves_data(exp):
        return False
    p = exp.points.weights
    q = np.bincount(exp.assignment, weights=exp.masses, minlength=len(p))
    return bool(np.all(np.abs(q - p) <= MASS_TOLERANCE * p))


def equilibrium(exp: Experiment, field: Field | None = None) -> Equilibrium:
    """The equilibrium that ``generator.per_point`` describes.

    Masses that match the target's: x on the data, w = 0. Otherwise (Delta = p - q != 0 somewhere) Newton's method from
    there, with f != 0. With a likelihood term, whose score drives particles that share a point apart, the equilibrium
    that the flow from there tends to. Raises NotLinearizable when there is none to be found.
    """
    field = Field(exp) if field is None else field
    x = exp.points.coordinates[exp.assignment]
    w = np.zeros(field.features.size)
    if matched_masses(exp):
        return Equilibrium(x, w, True)
    if exp.packing.degree > 1:
        raise NotLinearizable(
            "packing.degree", "be 1 for an equilibrium with D != D* (other masses, an exact score)", exp.packing.degree
        )
    if exp.discriminator.finite_network:
        raise NotLinearizable(
            "generator.masses",
            "match the target's weights when the discriminator is a network (its equilibrium is known at D = D* only)",
            "target points with more or less",
        )
    if len(exp.points.weights) > exp.generator.particles and exp.generator.per_point is None:
        raise NotLinearizable(
            "generator.particles",
            "be at least the number of target points (an equilibrium has particles on the data)",
            f"{exp.generator.particles} particles for {len(exp.points.weights)} points",
        )
    if exp.likelihood.weight:
        x, w, field.features = _relaxed(_Start.of(exp))
        return Equilibrium(x, w, False)
    eq = _newton(exp, field, x, w)
    if not isinstance(field.features, DictionaryFeatures):
        return eq
    # the exact kernel at particles off the data: a dictionary that spans K and its gradient there, until x stays
    for _ in range(NEWTON_STEPS):
        _span(field, eq.x)
        x, eq = eq.x, _newton(exp, field, eq.x, np.zeros(field.features.size))
        if np.abs(eq.x - x).max() <= NEWTON_TOLERANCE * _separation(exp):
            return eq
    raise _no_equilibrium()


def _span(field: Field, x: np.ndarray) -> None:
    """Give an exact kernel's field the dictionary that spans K and its gradient at the data and at x."""
    assert isinstance(field.features, DictionaryFeatures)
    nodes = np.concatenate([field.Y, field._nodes(x)])
    field.features = DictionaryFeatures(field.features.kernel, nodes, nodes)


def _newton(exp: Experiment, field: Field, x: np.ndarray, w: np.ndarray) -> Equilibrium:
    from .general import jacobian_at

    def residual(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.concatenate([field.Vw(w, x), field.Vx(w, x).ravel()])

    P = len(w)
    F = residual(w, x)
    scale = np.abs(F).max()
    for _ in range(NEWTON_STEPS):
        J = jacobian_at(field, w, x)
        # w first, at fixed x: far from the root the full Newton step may throw particles off their points
        step = np.linalg.lstsq(J, -F, rcond=1e-12)[0]
        limit = 0.1 * _separation(exp)
        length = np.abs(step[P:]).max(initial=0.0)
        if length > limit:
            step = np.concatenate([np.linalg.lstsq(J[:P, :P], -F[:P], rcond=1e-12)[0], step[P:] * limit / length])
        w, x = w + step[:P], x + step[P:].reshape(x.shape)
        before, F = np.abs(F).max(), residual(w, x)
        size = np.abs(F).max()
        if size <= NEWTON_TOLERANCE * scale or (size > before / 2 and size <= NEWTON_FLOOR * scale):
            return Equilibrium(x, w, False)
        if not np.all(np.isfinite(F)):
            break
    raise _no_equilibrium()


# -- along the flow -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """What determines the equilibrium, compared by content: an experiment without its run and update rule."""

    exp: Experiment
    points: bytes

    @classmethod
    def of(cls, exp: Experiment) -> _Start:
        Y, p, _ = exp.points
        # the box of Fourier modes holds the starts too
        run = {} if exp.discriminator.evaluation == "fourier" else {"run": Run()}
        plain = exp.model_copy(update={"update": Update(), "memory": Memory(), **run})
        return cls(plain, Y.tobytes() + p.tobytes())


@lru_cache(maxsize=16)
def _relaxed(start: _Start) -> tuple[np.ndarray, np.ndarray, FeatureMap]:
    """(x, w, features) at rest. Raises NotLinearizable."""
    exp = start.exp
    field = Field(exp)
    home = exp.points.coordinates[exp.assignment]
    shared = np.bincount(exp.assignment)[exp.assignment] > 1
    apart = APART * exp.likelihood.bandwidth * np.random.default_rng(0).standard_normal(home.shape)
    x, w = _follow(exp, field, home + np.where(shared[:, None], apart, 0.0), np.zeros(field.features.size))
    if isinstance(field.features, DictionaryFeatures):
        for _ in range(NEWTON_STEPS):
            _span(field, x)
            before, (x, w) = x, _follow(exp, field, x, np.zeros(field.features.size))
            if np.abs(x - before).max() <= NEWTON_TOLERANCE * _separation(exp):
                break
        else:
            raise _no_rest()
    for array in (x, w):
        array.flags.writeable = False
    return x, w, field.features


def _follow(exp: Experiment, field: Field, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the flow from (x, w) comes to rest: implicit Euler steps of growing length, which end as Newton's
    (pseudo-transient continuation: Kelley and Keyes, SIAM J. Numer. Anal. 35, 508 (1998))."""
    from .general import jacobian_at

    P, unit = len(w), np.eye(len(w) + x.size)
    reach = REACH * min(_separation(exp), exp.likelihood.bandwidth or np.inf)

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


def _separation(exp: Experiment) -> float:
    """Smaller of the discriminator's length scale and the spread of the target: the scale of a trusted step."""
    spread = float(np.sqrt(exp.points.coordinates.var(axis=0).sum()))
    return min(exp.discriminator.length_scale, spread) if spread > 0 else exp.discriminator.length_scale
