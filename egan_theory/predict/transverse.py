"""A collapsed cluster and its transverse tangent vectors, moved together by any update rule: Eq. (73, transverse-flow).

N particles of equal mass 1/N at one point x0 feel the same force, so they stay together. With s = grad[h(D)] averaged
over instance noise, omega the normalisation of Gamma and n = omega/N (1 for "sum", 1/N for "mean"),

    dx0/dt  = eta_G G s(x0),          G = n [g1 + (N-1) g2]       the collective gain
    du_i/dt = eta_G r Hess[h(D)](x0) u_i,   r = n (g1 - g2)       displacements u_i with sum_i u_i = 0

with Hess[h(D)] = h'(D) Hess D + h''(D) grad D grad D^T. The discriminator sees the particles as a sum over them, so
such displacements change neither its velocity nor the cluster's centre at first order: w and x0 move as if u were not
there. This holds for every loss, penalty and instance noise. Consensus changes the force on a particle to one whose
transverse derivative needs third derivatives of D; there it is taken by a complex step of the field itself.

The rules of updates.py only add velocities and multiply by numbers, so that one applied to (w, [x0, u_1 ... u_d]) with
these velocities is exactly the tangent map of the rule applied to the particles, memory (momentum, optimism) included.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..features import FeatureMap
from ..problem.batch import over
from ..problem.cloud import Cloud
from ..problem.field import Field
from ..problem.problem import Problem
from ..tables.updates import UpdateRule

#: imaginary displacement of the complex step: its square is far below rounding
COMPLEX_STEP = 1e-30


@dataclass(frozen=True)
class Gains:
    """``collective`` = G and ``relative`` = r, per unit of eta_G (see the module docstring)."""

    collective: float
    relative: float


def gains(problem: Problem) -> Gains:
    """The two gains of a cluster of all particles.

    Raises InputError for unequal masses with phi < 1: dx_i/dt then holds (g1-g2) m_i s(x0), which differs from particle
    to particle, so that particles at one point do not stay together and there is no collapsed state to be stable.
    """
    problem.exp.refuse_remedies("the collapsed state")
    masses, N = problem.masses, problem.N
    if np.ptp(masses) > 1e-12 * masses.max() and problem.ratio < 1:
        raise InputError(
            "generator.masses",
            "be equal for the collapsed state (heavier particles move faster: unequal ones at one point separate)",
            f"masses from {masses.min():g} to {masses.max():g}",
        )
    n = problem.omega / N
    return Gains(n * (problem.g1 + (N - 1) * problem.g2), n * (problem.g1 - problem.g2))


def clustered(problem: Problem, clusters: int = 1) -> Problem:
    """A problem of ``clusters`` particles whose motion near one point is that of all of ``exp``'s particles there:
    same G and r. One cluster keeps the orbit x0(t), two or more also the transverse motion (sum of u zero)."""
    g = gains(problem)
    collective = (g.collective - g.relative) / clusters
    diagonal = g.relative + collective
    return _by_numbers(problem).replace(
        {
            "generator.particles": clusters,
            "generator.per_point": None,
            "generator.masses": "equal",
            "generator.normalisation": "sum",
            "generator.kernel.diagonal": diagonal,
            "generator.kernel.ratio": min(collective / diagonal, 1.0),
        }
    )


def _by_numbers(problem: Problem) -> Problem:
    """The problem, a generator's network replaced by the numbers of its kernel, which may then be others."""
    exp = problem.exp
    if exp.generator.architecture is None:
        return problem
    generator = exp.generator.model_copy(update={"architecture": None})
    return Problem(exp.model_copy(update={"generator": generator}))


class Tangent(Cloud):
    """The point x0 and d displacements u of every lane, (lane, 1 + d, d), in a TangentField."""

    field: Any  # TangentField

    @cached_property
    def point(self) -> Cloud:
        """x0 as a cluster of the particle field, (lane, 1, d)."""
        return self.field.field.place(np.ascontiguousarray(self.x[:, :1]))


class TangentField:
    """Velocities of lanes of collapsed clusters with their tangent vectors.

    ``w``: (lane, P); ``z``: (lane, 1 + d, d), the point x0 and d displacements u, array or Tangent. ``members``: one
    problem per lane, equal but for what problem.field.VARIABLE names and for the number, masses and normalisation of
    the particles. features: in place of the experiment's own.
    """

    def __init__(self, members: Sequence[Problem], features: FeatureMap | None = None) -> None:
        solo = [clustered(e) for e in members]
        self.members, self.dimension = members, members[0].d
        self.field = Field(solo[0], solo, features)
        self.relative = np.array([gains(e).relative for e in members])
        self.pairs: Field | None = None
        if np.any(self.field.gamma):
            twin = [clustered(e, 2 * self.dimension) for e in members]
            self.pairs = Field(twin[0], twin, self.field.features)

    def start(self, x0: np.ndarray, w: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(w, z) from x0 (lane, d), u along the axes; w = 0 unless given."""
        lanes, d = x0.shape
        z = np.concatenate([x0[:, None, :], np.tile(np.eye(d), (lanes, 1, 1))], axis=1)
        return np.zeros((lanes, self.field.features.size)) if w is None else w, z

    def restricted(self, members: Sequence[Problem]) -> TangentField:
        """The field of some of the lanes, on the same features."""
        return TangentField(members, self.field.features)

    def place(self, z: Tangent | np.ndarray) -> Tangent:
        return z if isinstance(z, Tangent) else Tangent(self, z)  # type: ignore[arg-type]

    def step(self, rule: UpdateRule, state: tuple) -> tuple:
        """One step of a state (w, z, ...) of arrays."""
        w, z, *memory = rule.step((state[0], self.place(state[1]), *state[2:]), self.Vw, self.Vx)
        return (w, z.x, *memory)

    def Vw(self, w: np.ndarray, z: Tangent | np.ndarray) -> np.ndarray:
        """dw/dt: that of the cluster."""
        return self.field.Vw(w, self.place(z).point)

    def Vx(self, w: np.ndarray, z: Tangent | np.ndarray) -> np.ndarray:
        """dx0/dt and du/dt, (lane, 1 + d, d)."""
        z = self.place(z)
        return np.concatenate([self.field.Vx(w, z.point), self.transverse(w, z.point, z.x[:, 1:])], axis=1)

    def transverse(self, w: np.ndarray, x: Cloud | np.ndarray, u: np.ndarray) -> np.ndarray:
        """du/dt for displacements u (lane, d, d) of a cluster at x (lane, 1, d)."""
        field = self.field
        cloud = field.place(x)
        if self.pairs is not None:
            return self._by_complex_step(self.pairs, w, cloud.x, u)
        constant, slope = field.loss.dh.constant, field.node_weights
        if constant is not None and cloud.averaged is not None:
            H = constant * cloud.averaged.hessian(w)[..., 0, :, :]
            return over(field.eta_G, 2) * self.relative[:, None, None] * (u @ H)
        at = cloud.located
        if constant is not None:
            H = constant * np.einsum("q,...qab->...ab", slope, at.hessian(w))
        else:
            D, g = field.D0 + at.value(w), at.gradient(w)
            H = np.einsum("...q,...qab->...ab", slope * field.loss.dh(D), at.hessian(w))
            H = H + np.einsum("...q,...qa,...qb->...ab", slope * field.loss.ddh(D), g, g)
        return over(field.eta_G, 2) * self.relative[:, None, None] * (u @ H)

    def _by_complex_step(self, pairs: Field, w: np.ndarray, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The same from 2 d particles at x0 +- i h u: their sum is 0, so w feels nothing, exactly."""
        shift = 1j * COMPLEX_STEP * np.concatenate([u, -u], axis=1)
        V = pairs.Vx(w.astype(complex), x + shift).imag / COMPLEX_STEP
        d = self.dimension
        return (V[:, :d] - V[:, d:]) / 2

    def grown(self, rule: UpdateRule, state: tuple) -> tuple[TangentField, tuple]:
        """(field, state) on an exact kernel's dictionary that holds the lanes' points (memory of w padded too)."""
        old, new = self.field, self.field.grown(np.ascontiguousarray(state[1][:, :1]))
        if new is old:
            return self, state
        field = copy(self)
        field.field = new
        if new.features is old.features:
            return field, state
        if field.pairs is not None:
            field.pairs = field.pairs.with_features(new.features)
        memory = [
            new.padded(v, old.features) if block == "w" else v for block, v in zip(rule.blocks, state[2:], strict=True)
        ]
        return field, (new.padded(state[0], old.features), state[1], *memory)


def orthonormalise(rule: UpdateRule, state: tuple) -> tuple[tuple, np.ndarray]:
    """(state with orthonormal tangent vectors, logarithms of what they had grown by (lane, d)).

    A tangent vector is the displacement with its part of the memory; the QR re-orthonormalisation (Benettin et al.
    1980) makes the mean of the logarithms converge to the d largest transverse Lyapunov exponents, largest first.
    """
    d = state[1].shape[-1]
    blocks = [1, *(2 + i for i, block in enumerate(rule.blocks) if block == "x")]
    tangent = np.concatenate([state[i][:, 1:] for i in blocks], axis=-1)
    Q, R = np.linalg.qr(np.swapaxes(tangent, -1, -2))
    size = np.abs(np.diagonal(R, axis1=-2, axis2=-1))
    rows = np.split(np.swapaxes(Q, -1, -2), len(blocks), axis=-1)
    new = list(state)
    for i, u in zip(blocks, rows, strict=True):
        new[i] = np.concatenate([state[i][:, :1], u], axis=1)
    assert rows[0].shape[-1] == d
    return tuple(new), np.log(np.maximum(size, np.finfo(float).tiny))
