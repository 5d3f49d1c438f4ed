"""Fourier features: random ones of a stationary kernel, and the modes of a periodic box."""

from __future__ import annotations

import numpy as np

from ..base.errors import InputError
from ..experiment.targets import Uniform, lattice
from ..kernels import Kernel
from .base import Array, row_dot


class FourierFeatures:
    """psi = amplitude [cos(Omega x), sin(Omega x)] and, where given, one constant feature.

    Random Fourier features (Rahimi and Recht 2007) and the Fourier modes of a periodic box are both of this form.
    """

    def __init__(self, omega: Array, amplitude: Array, constant: float | None = None) -> None:
        self.omega, self.amplitude, self.constant = omega, amplitude, constant
        self.size = 2 * len(omega) + (constant is not None)

    def at(self, X: Array) -> _LocatedFourier:
        return _LocatedFourier(self, X)

    def gradient_rank(self, X: Array) -> int:
        # generic frequencies at distinct points, or orthogonal modes below Nyquist on the lattice; at a single point
        # the gradients of cosine and sine are parallel
        return min(min(2, len(X)) * len(self.omega), X.shape[0] * X.shape[1])


class _LocatedFourier:
    def __init__(self, features: FourierFeatures, X: Array) -> None:
        self.f = features
        phase = X @ features.omega.T
        self.cos = np.cos(phase) * features.amplitude
        self.sin = np.sin(phase) * features.amplitude

    def _split(self, w: Array) -> tuple[Array, Array]:
        F = len(self.f.omega)
        return w[..., :F], w[..., F : 2 * F]

    def value(self, w: Array) -> Array:
        wc, ws = self._split(w)
        D = row_dot(self.cos, wc) + row_dot(self.sin, ws)
        return D if self.f.constant is None else D + self.f.constant * w[..., -1:]

    def gradient(self, w: Array) -> Array:
        wc, ws = self._split(w)
        return (self.cos * ws[..., None, :] - self.sin * wc[..., None, :]) @ self.f.omega

    def hessian(self, w: Array) -> Array:
        wc, ws = self._split(w)
        u = self.cos * wc[..., None, :] + self.sin * ws[..., None, :]
        return -((u[..., None, :] * self.f.omega.T) @ self.f.omega)

    def adjoint(self, a: Array, b: Array | None) -> Array:
        a = a[..., None, :]
        parts = [(a @ self.cos)[..., 0, :], (a @ self.sin)[..., 0, :]]
        if b is not None:
            along = b @ self.f.omega.T
            parts = [parts[0] - (along * self.sin).sum(-2), parts[1] + (along * self.cos).sum(-2)]
        if self.f.constant is not None:
            total = self.f.constant * a.sum(-1)
            parts.append(np.broadcast_to(total, (*parts[0].shape[:-1], 1)))
        return np.concatenate(parts, axis=-1)

    def psi(self) -> Array:
        parts = [self.cos, self.sin]
        if self.f.constant is not None:
            parts.append(np.full((*self.cos.shape[:-1], 1), self.f.constant))
        return np.concatenate(parts, axis=-1)

    def grad(self) -> Array:
        omega = self.f.omega.T
        parts = [-self.sin[..., None, :] * omega, self.cos[..., None, :] * omega]
        if self.f.constant is not None:
            parts.append(np.zeros((*parts[0].shape[:-1], 1)))
        return np.concatenate(parts, axis=-1)


def box_modes(kernel: Kernel, target: Uniform) -> FourierFeatures:
    """The kernel made periodic: sqrt(2 K_k / V) cos(k.x), sqrt(2 K_k / V) sin(k.x), one of each pair +-k below Nyquist,
    and the constant sqrt(K_0 / V)."""
    k = box_wavevectors(target)
    modulus = np.linalg.norm(k, axis=-1)
    density = kernel.spectral_density(np.concatenate([[0.0], modulus]), target.dimension)
    if not np.isfinite(density[0]):
        raise InputError(
            "discriminator.alpha", "be > d/2 on the periodic box (the kernel is not integrable)", "K_0 = inf"
        )
    V = target.length**target.dimension
    return FourierFeatures(k, np.sqrt(2 * density[1:] / V), float(np.sqrt(density[0] / V)))


def box_wavevectors(target: Uniform) -> Array:
    """(F, d) wavevectors 2 pi n / length with |n_a| <= (side - 1)/2, one of each pair +-n, without n = 0."""
    n = lattice(target.side, target.dimension, centre=True)
    first = np.array([next((c for c in row if c != 0), 0) for row in n])
    return 2 * np.pi / target.length * n[first > 0]
