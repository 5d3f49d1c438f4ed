"""Activations of random network features: values, derivatives, the law of the biases, and E act(b)^2.

A discriminator of one hidden layer whose readout alone is trained is linear in its weights, with the features
psi_j(x) = sqrt(variance / (P E act(b)^2)) act(W_j . x + b_j) (see egan_theory.features.network). All functions accept
complex arguments, continued from the branch that Re z is on (complex-step differentiation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Activation:
    """act, act', act'' elementwise. bias: "normal", b ~ N(0, 1), or "phase", b uniform in [0, 2 pi).

    power: E act(b)^2 over that law. analytic: features at distinct points are linearly independent with probability 1.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]
    bias: str
    power: float
    analytic: bool

    def draw_biases(self, count: int, rng: np.random.Generator) -> Array:
        return rng.standard_normal(count) if self.bias == "normal" else rng.uniform(0, 2 * np.pi, count)


def _step(z: Array) -> Array:
    return (z.real > 0).astype(float)


def _relu(z: Array) -> Array:
    return np.where(z.real > 0, z, 0.0)


def _tanh_slope(z: Array) -> Array:
    return 1 - np.tanh(z) ** 2


def _tanh_curvature(z: Array) -> Array:
    t = np.tanh(z)
    return -2 * t * (1 - t**2)


#: E tanh(b)^2, b ~ N(0, 1); no closed form (the value by quadrature is tested)
TANH_POWER = 0.39429449039784126

ACTIVATIONS = {
    a.name: a
    for a in (
        Activation("relu", _relu, _step, lambda z: np.zeros_like(z), "normal", 0.5, analytic=False),
        Activation("tanh", np.tanh, _tanh_slope, _tanh_curvature, "normal", TANH_POWER, analytic=True),
        Activation("sine", np.sin, np.cos, lambda z: -np.sin(z), "phase", 0.5, analytic=True),
    )
}
