"""What the particles answer to a kick: what is left of it after a stated time, exact: Eq. (29, left-trace).

The discriminator is at rest (D = D*) and every coordinate of every particle is displaced independently, with the same
variance. With P the propagator of the linear dynamics over the time T and P_xx its block on the particles,

    left^2 = E |dx(T)|^2 / E |dx(0)|^2 = |P_xx|_F^2 / (N d)

On the coordinates of ``linear.system``: u = U dx, the sums of masses times displacements per target point, u = R v with
R R^T = S. Then dx(T) = (1 + K H U) dx(0) with K = omega Gamma U^T, S = U K, Q = P_vv - 1 = R^T H R, and

    |P_xx|^2 = N d + 2 tr Q + tr(Q^T W1 Q W2),  W1 = R^-1 K^T K R^-T = e (1 + alpha z z^T),
    W2 = R^-1 U U^T R^-T = (1 - c z z^T) / e,   z = R^-1 p,  e = omega (g1 - g2),  c = omega g2,
    alpha = c (1 + N g2 / (g1 - g2))

so that without a collective part (c = 0, or on the periodic box, where z = 0 on every mode) each independent mode
enters with its own P_xx alone. A rigid cloud (g1 = g2) is propagated in the coordinates u themselves. Discrete rules:
powers of the map of one step, its memory as at step 0; flows: the exact exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import expm

from ..base.errors import NotLinearizable
from ..problem.problem import Problem
from ..symbolic.maps import update_matrices
from ..tables.updates import UpdateRule, linear_opponents
from .rounding import pair_eigenvalues
from .routes import linearize
from .saddle import coupling_matrix
from .seen import seen
from .separate import commuting_blocks, separates
from .structured import split
from .system import Linearization, System, linear_velocities, update_matrix

Array = np.ndarray
EPS = float(np.finfo(float).eps)
#: a dense system, and z on its particle coordinates or None for z = 0
Shared = tuple[System, Array | None]
#: rows of a dense matrix whose eigenvectors are taken for the collective part of the generator's kernel
MAX_VECTORS = 3000
#: what is left of a kick is resolved down to this part of it; of a rigid cloud it is a difference of squares
RESOLUTION_MODES, RESOLUTION_DENSE, RESOLUTION_RIGID = 1e-100, 1e-13, 1e-7
#: below this part of its terms a sum that vanishes for equal masses is rounding
RESIDUE = 1e-11


@dataclass(frozen=True)
class Modes:
    """Independent oscillators (K, 2, 2) with multiplicity (K,).

    shared: (K, e), z on each mode, per component of the collective motion, in each of ``copies`` systems; None: z = 0.
    """

    blocks: Array
    multiplicity: Array
    shared: Array | None = None
    copies: int = 1


@dataclass(frozen=True)
class Rigid:
    """A cloud that moves as one: J on (w, u), u (M d,); p (M,) weights, squares (M,) sums of squared masses."""

    J: Array
    nw: int
    p: Array
    squares: Array

    def part(self, particles: int, rule: UpdateRule, time: float) -> float:
        """|P_xx|^2 - N d: dx(T) = dx(0) + 1 rho^T U dx(0), rho^T = p^T (P_uu - 1) / |p|^2 per pair of components."""
        M = len(self.p)
        Q = dense_answer(self.J, self.nw, rule, time)
        Q[np.diag_indices(len(Q))] -= 1
        d = len(Q) // M
        rho = np.einsum("m,mabe->abe", self.p, Q.reshape(M, d, M, d)) / (self.p @ self.p)
        crossed = 2 * np.einsum("aba,b->", rho, self.p)
        return float(crossed + particles * np.einsum("abe,b->", rho**2, self.squares))


@dataclass(frozen=True)
class Kick:
    """What an isotropic kick of ``particles`` in ``dimension`` components excites; ``frozen`` of their coordinates
    never move. systems: dense ones, each with z (n, e) as in ``Modes`` on its particle coordinates. alpha, c of the
    module's text."""

    particles: int
    dimension: int
    frozen: int
    modes: tuple[Modes, ...] = ()
    systems: tuple[Shared, ...] = ()
    rigid: Rigid | None = None
    alpha: float = 0.0
    c: float = 0.0

    @property
    def size(self) -> int:
        """N d."""
        return self.particles * self.dimension

    @property
    def resolution(self) -> float:
        """Less than this is rounding: independent modes are exact, dense propagators are not."""
        if self.rigid is not None:
            return RESOLUTION_RIGID
        return RESOLUTION_DENSE if self.systems else RESOLUTION_MODES

    def moving(self, rule: UpdateRule, time: float) -> float:
        """|P_xx|_F^2 - frozen over ``time`` (steps; flows: units of time); inf where it overflows."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            total = 0.0
            for modes in self.modes:
                P = block_answers(modes.blocks, rule, time)
                total += float(modes.multiplicity @ P**2)
                if (z := modes.shared) is not None:
                    total += modes.copies * self._collective(P[:, None] * z, P[:, None] * z, z)
            for system, shared in self.systems:
                P = dense_answer(system.J, system.nw, rule, time)
                part = float((P**2).sum())
                if shared is not None:
                    part += self._collective(P.T @ shared, P @ shared, shared)
                total += system.count * part
            if self.rigid is not None:
                total = self.size - self.frozen + self.rigid.part(self.particles, rule, time)
        return max(total, 0.0) if np.isfinite(total) else float("inf")

    def _collective(self, transposed: Array, plain: Array, z: Array) -> float:
        """alpha |Q^T z|^2 - c |Q z|^2 - alpha c |z^T Q z|^2 from P^T z, P z and z, Q = P - 1.

        With E = alpha - c - alpha c z^T z the terms of lower order in P are tr E (z^T z - 2 z^T P z). E = 0 for equal
        masses and modes that span z: then nothing is left where P = 0, and no rounding of large terms either.
        """
        alpha, c = self.alpha, self.c
        A = z.T @ plain
        square = alpha * (transposed**2).sum() - c * (plain**2).sum() - alpha * c * (A**2).sum()
        E = (alpha - c) * np.eye(z.shape[1]) - alpha * c * z.T @ z
        if np.abs(E).max() <= RESIDUE * alpha:
            return float(square)
        return float(square + (E * (z.T @ z - 2 * A)).sum())


def kick(problem: Problem) -> Kick:
    """What a kick of the particles about equilibrium excites, whatever the update rule. Raises NotLinearizable."""
    N, d = problem.N, problem.d
    lin = linearize(problem)
    alone = tuple((system, None) for system in lin.systems)
    if not problem.matched:
        return Kick(N, d, 0, systems=alone)
    box = problem.box is not None and problem.coupling_ratio is not None
    if problem.ratio == 1 and not box:
        return Kick(N, d, (N - 1) * d, rigid=_rigid(problem))
    alpha = c = 0.0
    if problem.ratio > 0 and not box:
        _, _, c = problem.coupling
        alpha = c * (1 + N * problem.g2 / (problem.g1 - problem.g2))
        modes, systems = _separate(problem, lin) if separates(problem) else _together(problem, lin)
    else:
        modes, systems = (Modes(lin.blocks, lin.multiplicity),), alone
    moved = sum(int(m.multiplicity.sum()) for m in modes) + sum(s.count * (len(s.J) - s.nw) for s, _ in systems)
    return Kick(N, d, N * d - moved, modes, systems, None, alpha, c)


def _together(problem: Problem, lin: Linearization) -> tuple[tuple[Modes, ...], tuple[Shared, ...]]:
    """R the symmetric root of S; z in all components."""
    p, d = problem.p, problem.d
    z = np.kron(np.linalg.solve(problem.coupling_root, p)[:, None], np.eye(d))
    if lin.systems:
        return (), tuple((system, system.left.T @ z) for system in lin.systems if system.left is not None)
    left = np.linalg.svd(coupling_matrix(problem, seen(problem).mean))[0][:, : len(lin.blocks)]
    return (Modes(lin.blocks, lin.multiplicity, left.T @ z),), ()


def _separate(problem: Problem, lin: Linearization) -> tuple[tuple[Modes, ...], tuple[Shared, ...]]:
    """The same where the data's directions stand apart from the others (linear.structured's root R)."""
    parts = split(problem)
    z, m = parts.root_inverse(parts.p)[:, None], parts.Y.shape[1]
    if lin.systems:
        systems: list[Shared] = []
        for system in lin.systems:
            assert system.left is not None
            systems.append((system, system.left.T @ np.kron(z, np.eye(len(system.left) // len(z)))))
        return (), tuple(systems)
    if parts.size > MAX_VECTORS:
        rule = f"be 0 for what is left of a kick of more than {MAX_VECTORS} directions (it needs their eigenvectors)"
        raise NotLinearizable("generator.kernel.ratio", rule, f"{parts.size} of them")
    matrix = parts.matrix()
    sets = [(np.tril(matrix) + np.tril(matrix, -1).T, np.kron(z, np.eye(m)), 1)]
    if parts.complement:
        sets.append((parts.across(), z, parts.complement))
    modes = []
    for stiffness, own, count in sets:
        mu2, vectors = np.linalg.eigh(stiffness)
        modes.append(Modes(commuting_blocks(problem, mu2), np.full(len(mu2), count), vectors.T @ own, count))
    return tuple(modes), ()


def _rigid(problem: Problem) -> Rigid:
    """The flow's J on (w, u) for S = omega g1 p p^T, on the features that the data see; E of ``linear.saddle``:

    ww = -A - gamma (A^2 + b^2 B^T S B),  wu = -c B^T - gamma c A B^T,
    uw = S (b B - gamma c B A),           uu = S (likelihood L - gamma c^2 B B^T)
    """
    (nu, kappa, lam), loss, gamma = problem.damping, problem.loss, problem.gamma
    psi, gradients, B, *_ = seen(problem)
    _, sigma, right = np.linalg.svd(np.concatenate([psi, gradients, B]), full_matrices=False)
    basis = right[sigma > EPS * max(psi.shape[1], len(B)) * sigma[0]]
    psi, gradients, B = psi @ basis.T, gradients @ basis.T, B @ basis.T
    A = nu * np.eye(len(basis)) + kappa * psi.T @ psi + lam * gradients.T @ gradients
    S = np.kron(problem.coupling.matrix, np.eye(problem.d))
    inner = -gamma * loss.c**2 * B @ B.T
    if problem.score is not None:
        inner += problem.exp.likelihood.weight * problem.score.jacobian().reshape(inner.shape)
    J = np.block(
        [
            [-A - gamma * (A @ A + loss.b**2 * B.T @ S @ B), -loss.c * (B.T + gamma * A @ B.T)],
            [S @ (loss.b * B - gamma * loss.c * B @ A), S @ inner],
        ]
    )
    J[: len(A)] *= problem.eta_D
    J[len(A) :] *= problem.eta_G
    return Rigid(J, len(A), problem.p, problem.squares)


def block_answers(blocks: Array, rule: UpdateRule, time: float) -> Array:
    """(K,) P_xx of 2 x 2 blocks; non-finite where it overflows."""
    if rule.plain_flow:
        return _oscillators(blocks, time)
    matrices = update_matrices(rule, blocks)
    zero, one = np.zeros(len(blocks)), np.ones(len(blocks))

    def row(i: int) -> Any:
        return lambda w, x: blocks[:, i, 0] * w + blocks[:, i, 1] * x

    others = linear_opponents(row(0), lambda v: v / blocks[:, 0, 0])
    start = np.stack(np.broadcast_arrays(*rule.start(zero, one, row(0), row(1), others)), axis=-1)[..., None]
    return _after(matrices, start, rule, time)[:, 1, 0]


def dense_answer(J: Array, nw: int, rule: UpdateRule, time: float) -> Array:
    """(n, n) P_xx of a system with Jacobian J; non-finite where it overflows."""
    n = len(J) - nw
    start = np.concatenate(rule.start(np.zeros((nw, n)), np.eye(n), *linear_velocities(J, nw)))
    return _after(update_matrix(rule, J, nw), start, rule, time)[nw : len(J)]


def _after(matrix: Array, start: Array, rule: UpdateRule, time: float) -> Array:
    """The state after ``time`` from (..., n, r) starts: matrix^time, or exp(matrix time) for flows."""
    if not np.all(np.isfinite(matrix)):
        return np.full(start.shape, np.inf)
    if rule.continuous:
        return expm(matrix * time) @ start
    power, state, left = matrix, start, int(time)
    while left:
        if left & 1:
            state = power @ state
        left >>= 1
        if left:
            power = power @ power
    return state


def _oscillators(blocks: Array, time: float) -> Array:
    """(K,) P_xx of the flow: with s1, s2 the eigenvalues, Re s1 >= Re s2,

    exp(s2 t) + (s1 - J_ww) (exp(s1 t) - exp(s2 t)) / (s1 - s2)
    """
    s = pair_eigenvalues(blocks)
    s = np.take_along_axis(s, np.argsort(-s.real, axis=-1, kind="stable"), axis=-1)
    s1, s2 = s[:, 0], s[:, 1]
    gap = (s2 - s1) * time
    ratio = np.where(gap == 0, 1.0, np.expm1(gap) / np.where(gap == 0, 1.0, gap))
    return (np.exp(s2 * time) + (s1 - blocks[:, 0, 0]) * np.exp(s1 * time) * time * ratio).real


__all__ = ["Kick", "kick"]
