"""The gradient of half the squared field, which consensus optimisation descends (Mescheder et al. 2017)."""

from __future__ import annotations

import numpy as np

from .batch import over
from .cloud import Cloud
from .objectives import Objectives


def consensus_gradient(field: Objectives, w: np.ndarray, cloud: Cloud) -> tuple[np.ndarray, np.ndarray]:
    """(dR/dw, dR/dx) with R = |F_w|^2/2 + F_x . M F_x / 2, i.e. J^T (F_w, M F_x) term by term."""
    loss, D0, at_x, at_y = field.loss, field.D0, cloud.located, field.at_Y
    Fw = field.discriminator_gradient(w, cloud)
    y = np.repeat(field.metric(field.generator_gradient(w, cloud)), len(field.node_weights), axis=-2)
    fy, fx, gx = D0 + at_y.value(w), D0 + at_x.value(w), at_x.gradient(w)
    # v(x) = F_w . psi(x)
    vy, gvy, vx, gvx = at_y.value(Fw), at_y.gradient(Fw), at_x.value(Fw), at_x.gradient(Fw)
    Hf, Hv = at_x.hessian(w), at_x.hessian(Fw)
    grad_p, grad_q, value_p, value_q = (
        over(field.grad_p, 2), over(field.grad_q, 2), over(field.value_p, 1), over(field.value_q, 1),
    )  # fmt: skip
    curvature = loss.ddf2(fx) - value_q
    slope = (loss.df2(fx) - value_q * (fx - D0))[..., None]
    dh = (field.q * loss.dh(fx))[..., None]
    along = field.q * loss.ddh(fx) * np.einsum("...na,...na->...n", gx, y)
    p, q = field.p[:, None], field.q[:, None]
    dRw = (
        at_y.adjoint(field.p * (loss.ddf1(fy) - value_p) * vy, -p * grad_p * gvy)
        + at_x.adjoint(field.q * curvature * vx + along, dh * y - q * grad_q * gvx)
        - over(field.nu, 1) * Fw
    )
    dRx = (
        q * ((curvature * vx)[..., None] * gx + slope * gvx - grad_q * (_apply(Hv, gx) + _apply(Hf, gvx)))
        + along[..., None] * gx
        + dh * _apply(Hf, y)
    )
    return dRw, field.sum_nodes(dRx, -2)


def _apply(H: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.einsum("...nab,...nb->...na", H, u)
