"""The likelihood term: a drift of the particles along the difference of two scores.

    v(x) = grad log p_s(x) - grad log q_s(x),   p_s = G_s * p,  q_s = G_s * q,  G_s the Gaussian density of width s

added to the generator's force, F_x,i = m_i [grad h(D)(x_i) + alpha v(x_i)]: the velocity of the flow that descends
KL(q|p) with both densities estimated by the same kernel, so that q = p stays an equilibrium. With responsibilities
r_ij proportional to weight_j exp(-|x_i - z_j|^2/2 s^2) it is a difference of two mean shifts, (r^p Y - r^q X)/s^2.
On the periodic box G_s has the box's modes below the Nyquist wavenumber, exp(-s^2 k^2/2) each; s = 0 is allowed there.

At q = p with displacements xi_b = sum_(i on b) m_i dx_i, r = y_a - y_b, to first order (symbolic.remedies):

    dv(y_a) = sum_b L_ab xi_b,   L_ab = G(r)/p_s(y_a) [r r^T/s^4 - 1/s^2 + (grad log p_s)(y_a) r^T/s^2]

L is not symmetric where p_s varies between the points: its eigenvalues need not be real.
"""

from __future__ import annotations

import numpy as np

from .experiment import Experiment
from .features.fourier import FourierFeatures, box_wavevectors
from .targets import Uniform


class Score:
    """v at the particles, for the bandwidth and target of an experiment. x: (..., N, d), real or complex."""

    def __init__(self, exp: Experiment) -> None:
        self.s, self.masses, self.points = exp.likelihood.bandwidth, exp.masses, exp.points
        self.modes: FourierFeatures | None = None
        if isinstance(exp.target, Uniform):
            self.modes = box_kernel(exp.target, self.s)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(..., N, d). NaN where the box's q_s is not positive (a bandwidth below the lattice spacing, far from p)."""
        Y, p, _ = self.points
        if self.modes is None:
            return (self._shift(x, Y, p) - self._shift(x, x, self.masses)) / self.s**2
        # the box's lattice has no mode below Nyquist: p_s is constant
        at = self.modes.at(x)
        u = at.adjoint(self.masses, None)
        q = at.value(u)
        return -at.gradient(u) / np.where(q.real > 0, q, np.nan)[..., None]

    def _shift(self, x: np.ndarray, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """sum_j r_ij z_j, (..., N, d)."""
        # |x - z|^2/2 without |x|^2, which the normalisation cancels
        e = (x @ np.swapaxes(z, -1, -2) - (z * z).sum(-1)[..., None, :] / 2) / self.s**2
        r = weights * np.exp(e - e.real.max(-1, keepdims=True))
        return (r @ z) / r.sum(-1, keepdims=True)

    def jacobian(self) -> np.ndarray:
        """L, (M, d, M, d), at q = p (module docstring)."""
        Y, p, _ = self.points
        d = Y.shape[1]
        if self.modes is not None:
            at, k = self.modes.at(Y), self.modes.omega
            # Hess G(y_a - y_b) / p_s = -sum_k (2 chi_k) k k^T cos k.(y_a - y_b)
            assert self.modes.constant is not None
            waves = np.concatenate([at.cos, at.sin], axis=-1) / self.modes.constant
            both = np.concatenate([k, k])
            return -np.einsum("af,fc,fe,bf->acbe", waves, both, both, waves, optimize=True)
        r = Y[:, None, :] - Y
        G = np.exp(-(r**2).sum(-1) / (2 * self.s**2))
        G = G / (G @ p)[:, None]
        slope = (G * p) @ Y - Y  # s^2 grad log p_s
        eye = np.eye(d)
        inner = (r + slope[:, None, :])[..., :, None] * r[..., None, :] / self.s**4 - eye / self.s**2
        return np.einsum("ab,abce->acbe", G, inner)


def box_kernel(target: Uniform, s: float) -> FourierFeatures:
    """Features whose products are G_s on the periodic box, modes below Nyquist."""
    k = box_wavevectors(target)
    V = target.length**target.dimension
    chi = np.exp(-(s**2) * (k**2).sum(-1) / 2)
    return FourierFeatures(k, np.sqrt(2 * chi / V), float(np.sqrt(1 / V)))
