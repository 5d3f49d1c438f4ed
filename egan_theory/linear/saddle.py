"""The saddle J = [[-A, -c C^T], [b C, 0]] of a finite sample on the features that enter it, Eq. (35, saddle)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..features import FeatureMap, PackedFeatures, PolynomialFeatures, ProjectedFeatures
from ..problem.likelihood import Score
from ..problem.problem import EPS, Damping, Problem
from .checks import check_linearizable
from .seen import features_of, seen


def coupling_matrix(problem: Problem, mean_gradients: np.ndarray) -> np.ndarray:
    """C = S^(1/2) B, (M d, P)."""
    M, d = problem.M, problem.d
    B = mean_gradients.reshape(M, -1)
    return (problem.coupling_root @ B).reshape(M * d, -1)


def coupling_rank(problem: Problem, fm: FeatureMap) -> int:
    """Exact rank of C: that of the gradients; for phi = 1 only the collective motion is left."""
    Y, rigid = problem.Y, problem.ratio == 1
    one = fm.base if isinstance(fm, PackedFeatures) else fm
    if isinstance(one, PolynomialFeatures | ProjectedFeatures):
        # few features: instance noise adds lower powers, and the mean gradient of a symmetric target may vanish
        gradients = seen(problem).mean
        mean = gradients.reshape(len(Y), -1)
        rows = (problem.p @ mean if rigid else mean).reshape(-1, gradients.shape[-1])
        sigma = np.linalg.svd(rows, compute_uv=False)
        return int(np.sum(sigma > EPS * mean.size * np.abs(mean).max()))
    return fm.gradient_rank(Y[:1] if rigid else Y)


class Saddle(NamedTuple):
    """A (r, r), C (n, r) on reduced coordinates: w_r = basis w (basis (r, P) orthonormal rows), v = left^T u with u
    the generator's parameters per target point (dx summed with masses = S^(1/2) u), left (M d, n). E (n, n): damping
    of v by the likelihood term, weight included; None without it."""

    A: np.ndarray
    C: np.ndarray
    basis: np.ndarray
    left: np.ndarray
    unresolved: int
    E: np.ndarray | None = None

    def jacobian(self, problem: Problem) -> np.ndarray:
        """The flow's J on (w_r, v), learning rates included."""
        loss = problem.loss
        J = saddle_jacobian(self.A, self.C, loss.c, loss.b, problem.gamma, **problem.rates)
        if self.E is not None:
            J[len(self.A) :, len(self.A) :] -= problem.eta_G * self.E
        return J


def saddle(problem: Problem) -> Saddle:
    """The experiment's saddle on reduced coordinates (matched masses)."""
    check_linearizable(problem)
    rows = seen(problem)
    C, rank = coupling_matrix(problem, rows.mean), coupling_rank(problem, features_of(problem))
    reduced = on_seen_features(rows.psi, rows.gradients, C, problem.damping, rank, rows.resolution)
    return reduced if problem.score is None else _with_score(problem, problem.score, reduced, C)


def _with_score(problem: Problem, score: Score, reduced: Saddle, C: np.ndarray) -> Saddle:
    """The same with every direction that the generator can move, as the likelihood term sees more of them than D:

    E = -weight S^(1/2) L S^(1/2), L of ``likelihood.Score.jacobian``.
    """
    root, d = problem.coupling_root, problem.d
    values, vectors = np.linalg.eigh(root)
    moved = vectors[:, values > np.sqrt(EPS * len(root)) * values.max()] if problem.ratio == 1 else vectors
    left = np.kron(moved, np.eye(d))
    L = np.einsum("ab,bcef,eg->acgf", root, score.jacobian(), root, optimize=True).reshape(len(C), len(C))
    E = -problem.exp.likelihood.weight * left.T @ L @ left
    return reduced._replace(C=left.T @ C @ reduced.basis.T, left=left, E=E)


def on_seen_features(
    psi: np.ndarray,
    gradients: np.ndarray,
    C: np.ndarray,
    damping: Damping,
    rank: int,
    eps: float = EPS,
) -> Saddle:
    """An orthonormal basis of the features that enter (rows of C, of grad psi if lambda > 0, of psi if kappa > 0), and
    the ``rank`` directions of theta that C moves; eps: accuracy of the features' small singular values."""
    nu, kappa, lam = damping
    rows = [C]
    if lam:
        rows.append(gradients)
    if kappa:
        rows.append(psi)
    stacked = np.concatenate(rows)
    P = stacked.shape[1]
    if P > 1:
        _, sigma, Vt = np.linalg.svd(stacked / np.linalg.norm(stacked), full_matrices=False)
        basis = Vt[sigma > EPS * max(stacked.shape) * sigma[0]]
    else:
        basis = np.eye(P)
    left, sigma, right = np.linalg.svd(C @ basis.T, full_matrices=False)
    n = min(rank, len(sigma))
    reduced = np.zeros((rank, len(basis)))
    reduced[:n] = sigma[:n, None] * right[:n]
    directions = np.zeros((len(C), rank))
    directions[:, :n] = left[:, :n]
    A = nu * np.eye(len(basis))
    if lam:
        projected = gradients @ basis.T
        A += lam * projected.T @ projected
    if kappa:
        projected = psi @ basis.T
        A += kappa * projected.T @ projected
    unresolved = rank - int(np.sum(sigma[:n] > eps * max(C.shape) * sigma[0]))
    return Saddle(A, reduced, basis, directions, unresolved)


def saddle_jacobian(
    A: np.ndarray, C: np.ndarray, c: float, b: float, gamma: float, eta_D: float, eta_G: float
) -> np.ndarray:
    """diag(eta) (J - gamma J^T J), J = [[-A, -c C^T], [b C, 0]]."""
    r, n = len(A), len(C)
    J = np.block([[-A, -c * C.T], [b * C, np.zeros((n, n))]])
    if gamma:
        J = J - gamma * J.T @ J
    J[:r] *= eta_D
    J[r:] *= eta_G
    return J
