"""Equilibria: particles on the data with D = D* where q = p, otherwise a root of the field found by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dynamics import Field
from ..errors import NotLinearizable
from ..experiment import Experiment
from ..features import DictionaryFeatures

#: q and p at a point are called equal when they differ by less than this part of p (they come from divisions)
MASS_TOLERANCE = 1e-12
#: largest velocity, relative to its size at the first guess, at which Newton's iteration has converged
NEWTON_TOLERANCE = 1e-10
#: ... or at which it has converged if it does not shrink any more: the rounding of a nearly singular dictionary
NEWTON_FLOOR = 1e-6
NEWTON_STEPS = 60


@dataclass(frozen=True)
class Equilibrium:
    """x (N, d), w (P,); ``matched``: q = p at every target point, so that D = D* there and w = 0."""

    x: np.ndarray
    w: np.ndarray
    matched: bool


def matched_masses(exp: Experiment) -> bool:
    """Whether the particles on every target point have exactly its weight."""
    p = exp.points.weights
    q = np.bincount(exp.assignment, weights=exp.masses, minlength=len(p))
    return bool(np.all(np.abs(q - p) <= MASS_TOLERANCE * p))


def equilibrium(exp: Experiment, field: Field | None = None) -> Equilibrium:
    """The equilibrium that ``generator.per_point`` describes.

    Masses that match the target's: x on the data, w = 0. Otherwise (Delta = p - q != 0 somewhere) Newton's method from
    there, with f != 0. Raises NotLinearizable when there is none to be found.
    """
    field = Field(exp) if field is None else field
    x = exp.points.coordinates[exp.assignment]
    w = np.zeros(field.features.size)
    if matched_masses(exp):
        return Equilibrium(x, w, True)
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
    eq = _newton(exp, field, x, w)
    if not isinstance(field.features, DictionaryFeatures):
        return eq
    # the exact kernel at particles off the data: a dictionary that spans K and its gradient there, until x stays
    for _ in range(NEWTON_STEPS):
        nodes = np.concatenate([field.Y, field._nodes(eq.x)])
        field.features = DictionaryFeatures(field.features.kernel, nodes, nodes)
        x, eq = eq.x, _newton(exp, field, eq.x, np.zeros(field.features.size))
        if np.abs(eq.x - x).max() <= NEWTON_TOLERANCE * _separation(exp):
            return eq
    raise _no_equilibrium()


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


def _no_equilibrium() -> NotLinearizable:
    return NotLinearizable(
        "generator.masses",
        "match the target's weights, or leave an equilibrium with D != D* (needs weight decay or a value penalty)",
        "no equilibrium near the data",
    )


def _separation(exp: Experiment) -> float:
    """Smaller of the discriminator's length scale and the spread of the target: the scale of a trusted step."""
    spread = float(np.sqrt(exp.points.coordinates.var(axis=0).sum()))
    return min(exp.discriminator.length_scale, spread) if spread > 0 else exp.discriminator.length_scale
