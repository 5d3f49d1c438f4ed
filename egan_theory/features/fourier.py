"""Fourier features: random ones of a stationary kernel, and the modes of a periodic box."""

from __future__ import annotations

import numpy as np

from ..base.errors import InputError
from ..experiment.targets import Uniform, lattice
from ..kernels import Kernel
from .base import Array, row_dot

#: points whose features are held at once for a sum over all
CHUNK = 512


class FourierFeatures:
    """psi = amplitude [cos(Omega x), sin(Omega x)] and, where given, one constant feature.

    Random Fourier features (Rahimi and Recht 2007) and the Fourier modes of a periodic box are both of this form.
    """

    def __init__(self, omega: Array, amplitude: Array, constant: float | None = None) -> None:
        self.omega, self.amplitude, self.constant = omega, amplitude, constant
        self.size = 2 * len(omega) + (constant is not None)

    def at(self, X: Array) -> _LocatedFourier:
        return _LocatedFourier(self, X)

    def damped(self, offsets: Array, weights: Array) -> FourierFeatures:
        """E psi(x + offset) of offsets (Q, d) that come in pairs +-: the same, each times E cos(Omega offset):
        the sines cancel."""
        factor = (weights @ np.cos(offsets @ self.omega.T)).astype(self.omega.dtype)
        return FourierFeatures(self.omega, self.amplitude * factor, self.constant)

    def weighted(self, X: Array, weights: Array) -> DenseForm:
        """Products with sum_n weight_n psi psi^T and sum_n weight_n grad psi . grad psi^T at a cost without n."""
        return DenseForm(self, X, weights)

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


class DenseForm:
    """``FourierFeatures.weighted``: both sums as matrices (P, P)."""

    def __init__(self, features: FourierFeatures, X: Array, weights: Array) -> None:
        self._values, self._gradients = np.zeros((2, features.size, features.size), features.omega.dtype)
        for begin in range(0, len(X), CHUNK):
            at, weight = features.at(X[begin : begin + CHUNK]), weights[begin : begin + CHUNK, None]
            psi = at.psi()
            self._values += psi.T @ (weight * psi)
            for slope in np.moveaxis(at.grad(), 1, 0):
                self._gradients += slope.T @ (weight * slope)

    def values(self, w: Array) -> Array:
        return w @ self._values

    def gradients(self, w: Array) -> Array:
        return w @ self._gradients


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
