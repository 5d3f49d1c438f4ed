"""What a linearization is: blocks, dense systems and scalars, in the parameter coordinates of both players.

Near an equilibrium with D = D* on the data, w the discriminator's weights and theta the generator's parameters
(dx = M^(1/2) theta, M = omega Gamma), the field before learning rates is

    J = [[-A, -c C^T], [b C, 0]],   A = nu + kappa Psi^T P Psi + lambda B^T P B >= 0,   C = S^(1/2) B
    S_ab = omega [(g1 - g2) delta_ab sum_(i on a) m_i^2 + g2 p_a p_b]

(one row block of B, grad psi(y_a), per target point a; particles sharing a point contribute through S alone). Consensus
gives J - gamma J^T J; rows are then multiplied by the learning rates. With equal masses, one particle per point, S is
Gamma/N.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..base.shown import Shown
from ..problem.problem import Problem
from ..tables.updates import Opponents, UpdateRule, Velocity, linear_opponents, value_of
from .rounding import EPS, ROOM


@dataclass(frozen=True)
class Scalars:
    """Modes of one player alone: dw/dt = s w (player "w") or dx/dt = s x (player "x"), ``count`` of them; s is known to
    ``error``, besides a few roundings."""

    player: str
    s: float
    count: int
    error: float = 0.0


@dataclass(frozen=True)
class System:
    """``count`` independent systems with the same Jacobian J (n, n), its first ``nw`` coordinates the discriminator's.

    zero: how many of its eigenvalues are exactly 0. mixed: some of its modes may not move the particles. positions: its
    other coordinates are positions, not parameters of the generator. left (M e, n - nw): its particle coordinates in
    those of the M target points, e components of each (``linear.saddle``). unit: accuracy of J, as a part of its norm.
    """

    J: np.ndarray
    nw: int
    count: int = 1
    zero: int = 0
    mixed: bool = False
    positions: bool = False
    left: np.ndarray | None = None
    unit: float = EPS


@dataclass(frozen=True)
class Linearization(Shown):
    """The flow Jacobian at equilibrium, as far as structure reduces it. Learning rates are folded in.

    blocks (K, 2, 2): independent oscillators (w_k, theta_k) with ``multiplicity`` (K,) and ``wavenumber`` (K,);
    systems: dense ones; scalars: decoupled modes of one player. zero_modes: exact number of zero eigenvalues
    (multipliers 1). unresolved: modes whose stiffness is below the rounding error of the largest, so that their value
    is not known. block_errors: bounds on the errors of the blocks' entries; None: a few roundings of each.
    """

    problem: Problem
    method: str
    assumptions: tuple[str, ...]
    blocks: np.ndarray = field(default_factory=lambda: np.empty((0, 2, 2)))
    multiplicity: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    wavenumber: np.ndarray = field(default_factory=lambda: np.empty(0))
    systems: tuple[System, ...] = ()
    scalars: tuple[Scalars, ...] = ()
    unresolved: int = 0
    block_errors: np.ndarray | None = None

    TITLE: ClassVar[str] = "the flow's Jacobian at equilibrium"
    MORE: ClassVar[str] = "eg.eigenvalues(...), .blocks, .systems, .scalars"

    def grid(self) -> tuple[tuple[str, ...], list[tuple[str, Any]]]:
        dense = ", ".join(f"{s.count} of {len(s.J)} rows" for s in self.systems)
        return (), [
            ("coordinates", self.size),
            ("independent oscillators", len(self.blocks)),
            ("dense systems", dense or "none"),
            ("zero modes", self.zero_modes),
            ("unresolved modes", self.unresolved),
            ("method", self.method),
            ("assumptions", len(self.assumptions)),
        ]

    @property
    def errors(self) -> np.ndarray:
        """(K, 2, 2) bounds on the errors of the blocks' entries."""
        return ROOM * EPS * np.abs(self.blocks) if self.block_errors is None else self.block_errors

    @property
    def zero_modes(self) -> int:
        return sum(s.zero * s.count for s in self.systems) + sum(s.count for s in self.scalars if s.s == 0)

    @property
    def size(self) -> int:
        """Number of coordinates (w, x) described, multiplicities and scalars counted, blocks of the rule not."""
        dense = sum(s.count * len(s.J) for s in self.systems)
        return int(2 * self.multiplicity.sum()) + dense + sum(s.count for s in self.scalars)


def frozen_particles(problem: Problem, moved: int) -> Scalars:
    """The directions of the particles that nothing moves, all but ``moved``."""
    return Scalars("x", 0.0, problem.N * problem.d - moved)


def unseen_weights(problem: Problem, count: int) -> tuple[Scalars, ...]:
    """Weights that no datum sees: they only decay."""
    nu = problem.damping.nu
    return (Scalars("w", -problem.eta_D * (nu + problem.gamma * nu**2), count),) if count else ()


def update_matrix(rule: UpdateRule, J: np.ndarray, nw: int) -> np.ndarray:
    """The matrix of one step of a discrete rule on (w, x, memory), by applying the rule to identity columns; of a flow
    the matrix of its time derivative, J itself where nothing is averaged."""
    return _matrix(rule, J, nw, rule.velocity if rule.continuous else rule.step)


def decrement_matrix(rule: UpdateRule, J: np.ndarray, nw: int) -> np.ndarray:
    """The same less the identity, of a discrete rule (``UpdateRule.decrement``), with eigenvalues z - 1; of a flow the
    same."""
    return _matrix(rule, J, nw, rule.velocity if rule.continuous else rule.decrement)


def _matrix(rule: UpdateRule, J: np.ndarray, nw: int, advance: Any) -> np.ndarray:
    rule.check_autonomous()
    if rule.plain_flow:
        return J
    sizes = [nw, len(J) - nw]
    sizes += [sizes[0] if block == "w" else sizes[1] for block in rule.blocks]
    columns = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1])
    return np.concatenate(advance(tuple(columns), *linear_velocities(J, nw)))


def linear_velocities(J: np.ndarray, nw: int) -> tuple[Velocity, Velocity, Opponents]:
    """(V_w, V_x, opponents) of the linear dynamics, for columns w (nw, n), x (len(J) - nw, n)."""
    top, bottom = J[:nw], J[nw:]

    def Vw(w: Any, x: Any) -> np.ndarray:
        return top[:, :nw] @ value_of(w) + top[:, nw:] @ value_of(x)

    def Vx(w: Any, x: Any) -> np.ndarray:
        return bottom[:, :nw] @ value_of(w) + bottom[:, nw:] @ value_of(x)

    return Vw, Vx, linear_opponents(Vw, lambda v: np.linalg.solve(top[:, :nw], v))
