"""Random features of a one-hidden-layer network: fixed random inner weights, trained readout."""

from __future__ import annotations

import numpy as np

from ..tables.activations import ACTIVATIONS, Activation
from .base import Array, row_dot


class NetworkFeatures:
    """psi_j(x) = amplitude act(W_j . x + b_j), W (P, d), b (P,).

    ``drawn``: W_ja ~ N(0, 1/l^2), b_j from the activation's law (N(0, 1); sine: uniform phase) and
    amplitude^2 = variance / (P E act(b)^2), so that K(0, 0) -> variance as P -> infinity. With x' = (x/l, 1) and theta
    the angle between x' and y' the infinite-width kernels are

        sine   variance exp(-|x - y|^2 / (2 l^2))                            (Rahimi and Recht 2007)
        relu   variance |x'| |y'| [sin theta + (pi - theta) cos theta] / pi  (arc-cosine, order 1: Cho and Saul 2009)

    and that of tanh has no closed form. relu and tanh are not stationary: K depends on |x| and |y| as well.

    Assumption not checked: no point lies on a kink of a ReLU unit (probability 0 for given points); the gradient is the
    one almost everywhere, the Hessian is 0, so that the curvature of D, all of it in the kinks, is not seen by anything
    that uses Hessians (Jacobians at D != D*, transverse exponents of a collapsed cloud).
    """

    def __init__(self, activation: Activation, weights: Array, biases: Array, amplitude: float) -> None:
        self.activation, self.weights, self.biases, self.amplitude = activation, weights, biases, amplitude
        self.size = len(biases)

    @classmethod
    def drawn(
        cls, name: str, count: int, dimension: int, length_scale: float, variance: float, rng: np.random.Generator
    ) -> NetworkFeatures:
        """``count`` features of the activation of this name."""
        activation = ACTIVATIONS[name]
        weights = rng.standard_normal((count, dimension)) / length_scale
        amplitude = float(np.sqrt(variance / (count * activation.power)))
        return cls(activation, weights, activation.draw_biases(count, rng), amplitude)

    def at(self, X: Array) -> _LocatedNetwork:
        return _LocatedNetwork(self, X)

    def gradient_rank(self, X: Array) -> int:
        if self.activation.analytic:
            return min(self.size, X.shape[0] * X.shape[1])
        # piecewise linear: columns are patterns of active units times W_j; of unit length they are well conditioned
        columns = self.at(X).grad().reshape(-1, self.size)
        length = np.linalg.norm(columns, axis=0)
        seen = length > 0
        return int(np.linalg.matrix_rank(columns[:, seen] / length[seen])) if seen.any() else 0


class _LocatedNetwork:
    def __init__(self, features: NetworkFeatures, X: Array) -> None:
        self.f = features
        self.z = X @ features.weights.T + features.biases
        self._psi = features.amplitude * features.activation.value(self.z)
        self._slope = features.amplitude * features.activation.slope(self.z)

    def value(self, w: Array) -> Array:
        return row_dot(self._psi, w)

    def gradient(self, w: Array) -> Array:
        return (self._slope * w[..., None, :]) @ self.f.weights

    def hessian(self, w: Array) -> Array:
        u = self.f.amplitude * self.f.activation.curvature(self.z) * w[..., None, :]
        return (u[..., None, :] * self.f.weights.T) @ self.f.weights

    def adjoint(self, a: Array, b: Array | None) -> Array:
        out = (a[..., None, :] @ self._psi)[..., 0, :]
        return out if b is None else out + ((b @ self.f.weights.T) * self._slope).sum(-2)

    def psi(self) -> Array:
        return self._psi

    def grad(self) -> Array:
        return self._slope[..., None, :] * self.f.weights.T
