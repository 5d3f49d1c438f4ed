"""The likelihood term: a drift of the particles along the difference of two scores.

    v(x) = grad log p_s(x) - grad log q_s(x),   q_s = G_s * q,  G_s the Gaussian density of width s

added to the generator's force, F_x,i = m_i [grad h(D)(x_i) + alpha v(x_i)]: the velocity of the flow that descends
KL(q|p_s). Of the target (``likelihood.score``)

    kernel: p_s = G_s * p of its points, the estimate of q too, so that q = p stays an equilibrium;
    exact:  p_s = sum_c w_c N(mean_c, (std_c^2 + t^2) I), the density that a mixture's points are drawn from, t = s or
            ``target_bandwidth``. The points are not at rest in it: an equilibrium has D != D* and lies beside them.

With responsibilities r_ij proportional to weight_j exp(-|x_i - z_j|^2/2 s^2) a kernel score is a mean shift,
(r Z - x)/s^2. On the periodic box G_s has the box's modes below the Nyquist wavenumber, exp(-s^2 k^2/2) each; s = 0 is
allowed there, and both scores of the target are 0.

At q = p with displacements xi_b = sum_(i on b) m_i dx_i, r = y_a - y_b, to first order (Eq. (89, score-jacobian)):

    dv(y_a) = sum_b L_ab xi_b,   L_ab = G(r)/p_s(y_a) [r r^T/s^4 - 1/s^2 + (grad log p_s)(y_a) r^T/s^2]

L is not symmetric where p_s varies between the points: its eigenvalues need not be real.

At any x, with u_ij = (z_j - x_i)/var_j, S_i = sum_j r_ij u_ij the score of a sum of Gaussians at z_j,

    dS_i/dx_i (z fixed) = sum_j r_ij (u_ij u_ij^T - 1/var_j) - S_i S_i^T
    dS_i/dz_j           = r_ij [1/var_j - (u_ij - S_i) u_ij^T]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..experiment import Experiment
from ..experiment.given import normalised_weights
from ..experiment.targets import Mixture, Uniform
from ..features.fourier import FourierFeatures, box_wavevectors


class Gaussians(NamedTuple):
    """sum_j weights_j N(centres_j, variances_j I): (J, d), (J,), (J,)."""

    centres: np.ndarray
    weights: np.ndarray
    variances: np.ndarray

    def score(self, x: np.ndarray) -> np.ndarray:
        """grad log density, (..., N, d), at x (..., N, d), real or complex."""
        u, r = self._parts(x)
        return np.einsum("...j,...ja->...a", r, u)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hess log density, (N, d, d), at x (N, d)."""
        u, r = self._parts(x)
        S = np.einsum("nj,nja->na", r, u)
        spread = np.einsum("nj,nja,njb->nab", r, u, u, optimize=True)
        return spread - (r @ (1 / self.variances))[:, None, None] * np.eye(x.shape[-1]) - S[:, :, None] * S[:, None, :]

    def moved_centres(self, x: np.ndarray) -> np.ndarray:
        """d score(x_i)/d centre_j, (N, d, J, d), at x (N, d)."""
        u, r = self._parts(x)
        S = np.einsum("nj,nja->na", r, u)
        own = np.eye(x.shape[-1]) / self.variances[:, None, None]
        return np.einsum("nj,njab->najb", r, own - (u - S[:, None, :])[..., :, None] * u[..., None, :])

    def _parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(u (..., N, J, d), responsibilities (..., N, J))."""
        difference = self.centres - x[..., None, :]
        e = -(difference**2).sum(-1) / (2 * self.variances) - x.shape[-1] / 2 * np.log(self.variances)
        r = self.weights * np.exp(e - e.real.max(-1, keepdims=True))
        return difference / self.variances[:, None], r / r.sum(-1, keepdims=True)


class Score:
    """v at the particles, for the bandwidth and target of an experiment. x: (..., N, d), real or complex."""

    def __init__(self, exp: Experiment) -> None:
        self.s, self.masses, self.points = exp.likelihood.bandwidth, exp.masses, exp.points
        self.modes: FourierFeatures | None = None
        self.density: Gaussians | None = None
        if isinstance(exp.target, Uniform):
            self.modes = box_kernel(exp.target, self.s)
        elif exp.likelihood.score == "exact":
            assert isinstance(exp.target, Mixture)  # refused by Experiment otherwise
            self.density = smoothed(exp.target, exp.likelihood.target_width)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(..., N, d). NaN where the box's q_s is not positive (a bandwidth below the lattice spacing, far from p)."""
        Y, p, _ = self.points
        if self.density is not None:
            return self.density.score(x) - (self._shift(x, x, self.masses) - x) / self.s**2
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
        """L, (M, d, M, d), at q = p (module docstring); the kernel score."""
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

    def jacobian_at(self, x: np.ndarray) -> np.ndarray:
        """dv_i/dx_j, (N, d, N, d), at any x (N, d), both scores moved."""
        N = len(x)
        Y, p, _ = self.points
        if self.modes is not None:
            at = self.modes.at(x)
            u = at.adjoint(self.masses, None)
            q, g, grad = at.value(u)[:, None], at.gradient(u), at.grad()
            g = g / q
            moved = (
                np.einsum("nap,mbp->namb", grad, grad)
                - g[:, :, None, None] * np.einsum("np,mbp->nmb", at.psi(), grad)[:, None]
            )
            out = -moved * (self.masses[:, None] / q[:, :, None, None])
            own = g[:, :, None] * g[:, None, :] - at.hessian(u) / q[..., None]
        else:
            cloud = Gaussians(x, self.masses, np.full(N, self.s**2))
            target = Gaussians(Y, p, np.full(len(Y), self.s**2)) if self.density is None else self.density
            out, own = -cloud.moved_centres(x), target.hessian(x) - cloud.hessian(x)
        out[np.arange(N), :, np.arange(N), :] += own
        return out


def smoothed(target: Mixture, width: float) -> Gaussians:
    """The density that a mixture's points are drawn from, convolved with a Gaussian of that width."""
    weights = normalised_weights("target.weights", target.weights, len(target.means))
    std = np.broadcast_to(np.asarray(target.std, dtype=float), weights.shape)
    return Gaussians(np.asarray(target.means), weights, std**2 + width**2)


def box_kernel(target: Uniform, s: float) -> FourierFeatures:
    """Features whose products are G_s on the periodic box, modes below Nyquist."""
    k = box_wavevectors(target)
    V = target.length**target.dimension
    chi = np.exp(-(s**2) * (k**2).sum(-1) / 2)
    return FourierFeatures(k, np.sqrt(2 * chi / V), float(np.sqrt(1 / V)))
