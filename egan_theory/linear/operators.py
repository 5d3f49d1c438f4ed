"""Matrix-free forms: products with the Jacobian and with the stiffness S^(1/2) H S^(1/2), never building either."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..features import feature_map
from ..kernels.base import FORCE_AT_DATA
from ..kernels.wide.tangent import TangentKernel
from ..problem.field import Field
from .checks import refuse_changed
from .coupling import coupling, coupling_root
from .equilibrium import matched_masses


def jacobian_operator(exp: Experiment) -> LinearOperator:
    """v -> J v on (w, dx) flattened, (P + Nd,), learning rates included, at the equilibrium with D = D*.

    Costs one evaluation of the features at the data's nodes per product; no consensus term (refused).
    """
    refuse_changed(exp)
    if not matched_masses(exp):
        raise NotLinearizable("generator.masses", "match the target's weights for the matrix-free Jacobian")
    if exp.penalty.consensus:
        raise NotLinearizable("penalty.consensus", "be 0 for the matrix-free Jacobian", exp.penalty.consensus)
    field = Field(exp)
    at = field.features.at(field.Y)
    loss, k = field.loss, exp.penalty.coefficients
    p, a, d, P = field.p, exp.assignment, exp.dimension, field.features.size
    Q = len(field.node_weights)
    lam, kappa = k.grad_p + k.grad_q, loss.kappa + k.value_p + k.value_q
    M, N = len(exp.points.weights), exp.generator.particles

    def matvec(v: np.ndarray) -> np.ndarray:
        v = v.reshape(-1)  # columns of a matrix arrive as (n, 1)
        w, dx = v[:P], v[P:].reshape(N, d)
        gradient = at.gradient(w)
        moved = np.zeros((M, d))
        np.add.at(moved, a, exp.masses[:, None] * dx)
        moved = (moved[:, None, :] * field.node_weights[:, None]).reshape(M * Q, d)
        dw = at.adjoint(-kappa * p * at.value(w), -lam * p[:, None] * gradient - loss.c * moved) - k.nu * w
        mean = np.einsum("q,mqa->ma", field.node_weights, gradient.reshape(M, Q, d))
        force = loss.b * exp.masses[:, None] * mean[a]
        return np.concatenate([field.eta_D * dw, (field.eta_G * field.metric(force)).ravel()])

    n = P + N * d
    return LinearOperator((n, n), matvec=matvec, dtype=float)


def stiffness_operator(exp: Experiment) -> LinearOperator:
    """u -> S^(1/2) H S^(1/2) u, (M d,), symmetric positive semidefinite; its eigenvalues are mu^2.

    With features H = B B^T; with an exact stationary or dot-product kernel H_ij = d_x d_y K(y_i, y_j) is applied from
    the (M, M) matrices of profile derivatives, so that memory is O(M^2 + M d).
    """
    refuse_changed(exp)
    root, d, M, disc = coupling_root(exp), exp.dimension, len(exp.points.weights), exp.discriminator
    apply_H = _feature_product(exp) if disc.features or disc.finite_network else _kernel_product(exp)

    def matvec(u: np.ndarray) -> np.ndarray:
        return (root @ apply_H(root @ u.reshape(M, d))).ravel()

    return LinearOperator((M * d, M * d), matvec=matvec, rmatvec=matvec, dtype=float)


def _feature_product(exp: Experiment):
    at = feature_map(exp).at(exp.points.coordinates)
    zero = np.zeros(len(exp.points.weights))
    return lambda v: at.gradient(at.adjoint(zero, v))


def _kernel_product(exp: Experiment):
    if exp.points.period is not None:
        return _feature_product(exp)
    kernel, Y = exp.discriminator.kernel_object, exp.points.coordinates
    if kernel.kind == "dot":
        gram = Y @ Y.T
        _, k1, k2 = kernel.derivatives(gram, 2)
        # d_x_a d_y_b k(x.y) = delta_ab k' + y_a x_b k''
        return lambda v: k1 @ v + (k2 * (v @ Y.T).T) @ Y
    if isinstance(kernel, TangentKernel):
        return kernel.mixed_product(Y)
    if not kernel.differentiable:
        raise NotLinearizable("discriminator.kernel", FORCE_AT_DATA, repr(kernel.name))
    square = (Y**2).sum(-1)
    u = np.maximum(square[:, None] + square - 2 * Y @ Y.T, 0)
    np.fill_diagonal(u, 0)
    off = u + np.eye(len(Y))
    k1 = kernel.derivatives(u, 1)[1]
    # r_a r_b k'' vanishes at r = 0, where k'' itself may not exist: keep it off the diagonal
    k2 = kernel.derivatives(off, 2)[2]
    np.fill_diagonal(k2, 0)

    def product(v: np.ndarray) -> np.ndarray:
        # -(2 k' v_j + 4 k'' r (r . v_j)), r = y_i - y_j
        along = k2 * ((Y @ v.T) - (Y * v).sum(-1))
        return -2 * k1 @ v - 4 * (along.sum(1)[:, None] * Y - along @ Y)

    return product


def extreme_stiffness(exp: Experiment, count: int = 6, which: str = "LA") -> np.ndarray:
    """The ``count`` largest ("LA") or smallest ("SA") mu^2 by Lanczos iteration, matrix-free, ascending."""
    op = stiffness_operator(exp)
    v0 = np.random.default_rng(0).standard_normal(op.shape[0])
    return np.sort(eigsh(op, k=min(count, op.shape[0] - 1), which=which, v0=v0, return_eigenvectors=False))


__all__ = ["coupling", "extreme_stiffness", "jacobian_operator", "stiffness_operator"]
