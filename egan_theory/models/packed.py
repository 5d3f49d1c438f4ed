"""Training against a discriminator that judges m samples at once (PacGAN: Lin, Khetan, Fanti, Oh 2018).

Wasserstein loss with weight decay nu. With the product kernel K(x_1, y_1) ... K(x_m, y_m) the discriminator is
D(x_1, ..., x_m) = W . psi(x_1) (x) ... (x) psi(x_m), and expectations over m independent samples factorise: with
u_q = E_q psi,

    dW/dt = eta_D [u_p^(x)m - u_q^(x)m - nu W]
    dx_i/dt = eta_G sum_j M_ij m_j grad D_1(x_j),   D_1(x) = m W . psi(x) (x) u_q^(x)(m-1)

(the generator ascends E_(q^m) D; W is symmetric). To first order about q = p this is the unpacked system with the
kernel K_m of symbolic.remedies.packed_kernel; on a uniform target with m kappa0^(m-1) K at k != 0, so that packing then
only rescales the discriminator. With the additive kernel sum_ab K(x_a, y_b) the discriminator is a sum of m equal
terms, and packing rescales K by m^2 at every order.
"""

from __future__ import annotations

import numpy as np

from ..dynamics import Field
from ..errors import InputError
from ..experiment import Experiment
from ..linear.linearize import coupling_root, features_of
from ..symbolic.linearize import oscillator_blocks

#: most numbers of W
MAX_WEIGHTS = 2_000_000


class PackedField:
    """Velocities of (W, x), W (run, P, ..., P) with m axes of P, x (run, N, d). Raises InputError for other losses or
    penalties, exact kernels off the periodic box, and a W of more than MAX_WEIGHTS numbers."""

    def __init__(self, exp: Experiment, m: int) -> None:
        _check(exp, m)
        self.field, self.m = Field(exp), m
        self.P = self.field.features.size
        if self.P**m > MAX_WEIGHTS:
            raise InputError("degree", f"give at most {MAX_WEIGHTS} weights", f"{self.P}^{m}")
        self.u_p = self.field._at_Y.adjoint(self.field.p, None)

    def start(self, runs: int) -> np.ndarray:
        return np.zeros((runs, *(self.P,) * self.m))

    def power(self, u: np.ndarray, count: int) -> np.ndarray:
        """u (x) ... (x) u, (..., P, ..., P); 1 for count = 0."""
        out = np.ones(u.shape[:-1])
        for _ in range(count):
            out = out[..., None] * u.reshape(*u.shape[:-1], *(1,) * (out.ndim - u.ndim + 1), u.shape[-1])
        return out

    def VW(self, W: np.ndarray, x: np.ndarray) -> np.ndarray:
        charge = self.power(self.u_p, self.m) - self.power(self.field.push(x), self.m)
        return self.field.eta_D * (charge - self.field.nu * W)

    def Vx(self, W: np.ndarray, x: np.ndarray) -> np.ndarray:
        u, w = self.field.push(x), W
        for _ in range(self.m - 1):  # contract the last axis with u
            w = (w * u.reshape(*u.shape[:-1], *(1,) * (w.ndim - u.ndim), u.shape[-1])).sum(-1)
        return self.field.Vx(self.m * w, x)


def packed_blocks(exp: Experiment, m: int) -> np.ndarray:
    """Oscillators (K, 2, 2) of packed play to first order: the singular values of S^(1/2) B sqrt(T_m), with

    T_m = m kappa0^(m-1) [1 + (m-1) e e^T],  e = u_p/|u_p|, kappa0 = |u_p|^2   (psi T_m psi is the kernel K_m)
    """
    _check(exp, m)
    Y, p, _ = exp.points
    at = features_of(exp).at(Y)
    u = at.adjoint(p, None)
    kappa0 = float(u @ u)
    e = u / np.sqrt(kappa0)
    # sqrt(1 + (m-1) e e^T) = 1 + (sqrt(m) - 1) e e^T
    B = np.einsum("ab,bdp->adp", coupling_root(exp), at.grad()).reshape(-1, len(u))
    B = np.sqrt(m * kappa0 ** (m - 1)) * (B + (np.sqrt(m) - 1) * (B @ e)[:, None] * e)
    mu = np.linalg.svd(B, compute_uv=False)
    mu = mu[mu > np.finfo(float).eps * max(B.shape) * mu.max()]
    loss = exp.loss_object
    return oscillator_blocks(
        A=exp.penalty.weight_decay * np.ones(len(mu)), mu=mu, c=loss.c, b=loss.b,
        eta_D=exp.discriminator.learning_rate, eta_G=exp.generator.learning_rate,
    )  # fmt: skip


def _check(exp: Experiment, m: int) -> None:
    if not (isinstance(m, int) and m >= 1):
        raise InputError("degree", "be a whole number >= 1", repr(m))
    if exp.loss.kind != "wasserstein":
        raise InputError("loss.kind", "be 'wasserstein' for packed samples", repr(exp.loss.kind))
    bare = type(exp.penalty)(weight_decay=exp.penalty.weight_decay)
    if exp.penalty != bare:
        raise InputError("penalty", "hold weight decay alone for packed samples")
    exp.refuse_remedies("packed samples")
    if exp.discriminator.features == 0 and exp.points.period is None:
        raise InputError("discriminator.features", "be greater than 0 for packed samples", 0)


__all__ = ["PackedField", "packed_blocks"]
