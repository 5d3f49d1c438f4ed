"""The Jacobian of the field at any point (w, x), as a dense matrix: for equilibria with D != D*
(Eq. (41, jacobian-ww) and following).

With f = D - D*, node sums and dF_w/dw as in problem.objectives,

    dF_w/dx = q [(f2'' - value_q) psi grad f^T + (f2' - value_q f) grad psi
               - grad_q (Hess psi . grad f + grad psi Hess f)]
    dF_x/dx = q [h'' grad f grad f^T + h' Hess f]                              (block diagonal)
              + m alpha dv/dx of the likelihood term (likelihood.Score.jacobian_at)

Consensus is J - gamma J^T M J in these coordinates (M = 1 on w, omega Gamma on x); exact where F = 0.
"""

from __future__ import annotations

import numpy as np

from .field import Field


def jacobian_at(field: Field, w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(P + Nd, P + Nd) Jacobian of (V_w, V_x) at w (P,), x (N, d), learning rates included."""
    N, d = x.shape
    P, Q = len(w), len(field.node_weights)
    loss, D0, q, p = field.loss, field.D0, field.q, field.p
    cloud = field.place(x)
    at_x, at_y = cloud.located, field.at_Y
    psi, grad = at_x.psi(), at_x.grad()
    f, g, Hf = at_x.value(w), at_x.gradient(w), at_x.hessian(w)
    curvature = loss.ddf2(D0 + f) - field.value_q
    slope = loss.df2(D0 + f) - field.value_q * f

    # as field.discriminator_hessian, summed in another order: the rounding of equilibria and their bytes depend on it
    psi_y, grad_y, fy = at_y.psi(), at_y.grad(), at_y.value(w)
    ww = (
        np.einsum("n,np,nr->pr", p * (loss.ddf1(D0 + fy) - field.value_p), psi_y, psi_y, optimize=True)
        - field.grad_p * np.einsum("n,nap,nar->pr", p, grad_y, grad_y, optimize=True)
        + np.einsum("n,np,nr->pr", q * curvature, psi, psi, optimize=True)
        - field.grad_q * np.einsum("n,nap,nar->pr", q, grad, grad, optimize=True)
        - field.nu * np.eye(P)
    )
    wx = np.einsum("n,np,na->pna", q * curvature, psi, g) + np.einsum("n,nap->pna", q * slope, grad)
    if field.grad_q:
        # d/dx_c of (grad psi . grad f): columns of Hess psi from unit weight vectors
        hess = np.moveaxis(_feature_hessians(at_x, P), 0, -1)
        wx -= field.grad_q * (np.einsum("n,nacp,na->pnc", q, hess, g) + np.einsum("n,nap,nac->pnc", q, grad, Hf))
    wx = wx.reshape(P, N, Q, d).sum(2).reshape(P, N * d)
    dh, ddh = loss.dh(D0 + f), loss.ddh(D0 + f)
    xw = np.einsum("n,na,np->nap", q * ddh, g, psi) + np.einsum("n,nap->nap", q * dh, grad)
    xw = xw.reshape(N, Q, d, P).sum(1)
    xx = (np.einsum("n,na,nc->nac", q * ddh, g, g) + np.einsum("n,nac->nac", q * dh, Hf)).reshape(N, Q, d, d).sum(1)
    full_xx = np.zeros((N, d, N, d))
    full_xx[np.arange(N), :, np.arange(N), :] = xx
    if field.score is not None:
        full_xx += field.likelihood * field.masses[:, None, None, None] * field.score.jacobian_at(x)

    J = np.block([[ww, wx], [xw.reshape(N * d, P), full_xx.reshape(N * d, N * d)]])

    def with_metric(rows: np.ndarray) -> np.ndarray:
        """M applied to the x rows of a (P + Nd, n) matrix."""
        columns = rows[P:].reshape(N, d, -1)
        columns = field.relative * columns + field.collective * columns.sum(0, keepdims=True)
        return np.concatenate([rows[:P], columns.reshape(N * d, -1)])

    if np.any(field.gamma):
        J = J - field.gamma * J.T @ with_metric(J)
    J = with_metric(J)
    J[:P] *= field.eta_D
    J[P:] *= field.eta_G
    return J


def _feature_hessians(at: object, P: int) -> np.ndarray:
    """(P, n, d, d): Hessian of every feature."""
    return np.stack([at.hessian(e) for e in np.eye(P)])  # type: ignore[attr-defined]
