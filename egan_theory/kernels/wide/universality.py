"""The two kernel numbers of a generator from its architecture, and those of sampled networks of finite width.

Independent latents of norm sqrt(n_0) have cosines rho ~ N(0, 1/n_0): in many dimensions every pair looks alike, and the
tangent kernel of a wide generator has one number for x = y and one for all pairs (Durr et al. 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...base.errors import InputError
from ...base.table import Record
from ...tables.activations import NETWORK_ACTIVATIONS, get_activation
from ...tables.architecture import Architecture, GeneratorArchitecture
from .jets import Jet
from .recursion import propagate, propagate_diagonal

Array = np.ndarray

METHOD = "tangent kernel in the limit of infinite width, layer by layer"
ASSUMPTIONS = (
    "infinite width: the generator's tangent kernel is that of its start and stays so",
    "independent latents of norm sqrt(n_0): their cosines are replaced by 0",
)


@dataclass(frozen=True)
class KernelNumbers(Record):
    """g1 = Theta(rho = 1), g2 = Theta(rho = 0), ratio = g2/g1, and spread = |dTheta/drho| / sqrt(n_0), the standard
    deviation of the entries about g2 to first order in 1/sqrt(n_0)."""

    KEYS = ("g1", "g2", "ratio", "spread", "method", "assumptions", "relative_spread")

    g1: float
    g2: float
    ratio: float
    spread: float
    method: str = METHOD
    assumptions: tuple[str, ...] = ASSUMPTIONS

    @property
    def relative_spread(self) -> float:
        """Spread in units of g1."""
        return self.spread / self.g1


@lru_cache(maxsize=1024)
def kernel_numbers(arch: GeneratorArchitecture) -> KernelNumbers:
    """The kernel numbers of a generator; its width does not enter. Raises InputError if they leave the doubles.

    0 <= g2 <= g1 always: at equal variances and c >= 0, E act(u) act(v) = sum_k f_k^2 (c/a)^k (Mehler's formula) and
    all its derivatives in c are nonnegative, so that each layer's Sigma and Theta are nonnegative and grow with the
    cosine. An odd activation without bias has g2 = 0.
    """
    sw, sb = arch.weight_variance, arch.bias_variance
    order, a = (0, 1), sw + sb
    one = Jet({(0, 0, 0): a}, order)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            g1 = float(propagate_diagonal(arch, np.float64(a))[1])
            theta = propagate(arch, one, one, Jet({(0, 0, 0): np.float64(sb), (0, 0, 1): sw}, order))[1]
            g2, slope = float(theta.derivative(0, 0, 0)), float(theta.derivative(0, 0, 1))
        except OverflowError:
            g1 = g2 = slope = math.inf
    if not (0 < g1 < math.inf and math.isfinite(g2) and math.isfinite(slope)):
        rule = "keep the tangent kernel within the range of doubles (a smaller depth or weight_variance)"
        raise InputError("architecture.depth", rule, f"{arch.depth}, where g1 = {g1:g}")
    return KernelNumbers(g1, g2, min(1.0, g2 / g1), abs(slope) / math.sqrt(arch.latent_dimension))


def output_covariance(arch: GeneratorArchitecture) -> tuple[float, float]:
    """(Sigma(rho = 1), Sigma(rho = 0)): variance of each output of a wide generator at its start, and covariance of the
    same output at two independent latents (the Gaussian process of Lee et al. 2018); outputs are independent."""
    sw, sb = arch.weight_variance, arch.bias_variance
    a = np.float64(sw + sb)
    with np.errstate(over="ignore", invalid="ignore"):
        variance = float(propagate_diagonal(arch, a)[0])
        common = float(propagate(arch, a, a, np.float64(sb))[0])
    if not (math.isfinite(variance) and math.isfinite(common)):
        rule = "keep the outputs within the range of doubles (a smaller depth or weight_variance)"
        raise InputError("architecture.depth", rule, arch.depth)
    return variance, min(common, variance)


def every_activation(arch: GeneratorArchitecture) -> dict[str, GeneratorArchitecture]:
    """The same architecture with each activation; a polynomial that is the identity becomes z + z^2 / sqrt 2."""
    out = {}
    for name in NETWORK_ACTIVATIONS:
        trivial = name == "polynomial" and arch.coefficients == (0.0, 1.0)
        coefficients = (0.0, 1.0, math.sqrt(0.5)) if trivial else arch.coefficients
        out[name] = arch.model_copy(update={"activation": name, "coefficients": coefficients})
    return out


# -- networks of finite width -----------------------------------------------------------------------------------------


def latents(dimension: int, count: int, rng: np.random.Generator, orthogonal: bool = False) -> Array:
    """(count, dimension) latents of norm sqrt(dimension): independent uniform directions, or random orthogonal ones."""
    Z = rng.standard_normal((count, dimension))
    if orthogonal:
        if count > dimension:
            raise InputError("samples", f"be at most latent_dimension = {dimension} to be orthogonal", count)
        return np.linalg.qr(Z.T)[0].T * math.sqrt(dimension)
    return Z * (math.sqrt(dimension) / np.linalg.norm(Z, axis=1, keepdims=True))


def sampled_kernel(arch: Architecture, Z: Any, seed: int | np.random.Generator) -> Array:
    """Tangent kernel (n, n) at Z (n, n_0) of one output of one network of finite width drawn with ``seed``.

    Theta_ij = sum_l (sw^2 h_i.h_j / fan_in + sb^2) (delta_i.delta_j) over layers, with h the layer's input and delta
    the derivative of the output by its preactivation, by backpropagation: the Jacobian is never built.
    Raises InputError for width 0.
    """
    if arch.width == 0:
        raise InputError("architecture.width", "be greater than 0 for a network to sample", 0)
    if arch.layers is not None:
        raise InputError("architecture.layers", "not be given here (fully connected networks)")
    rng = np.random.default_rng(seed)
    act = get_activation(arch.activation, arch.leak, arch.coefficients)
    sw, sb = math.sqrt(arch.weight_variance), math.sqrt(arch.bias_variance)
    h = np.asarray(Z, dtype=float)
    weights, inputs, preactivations = [], [h], []
    for _ in range(arch.depth):
        W = rng.standard_normal((h.shape[1], arch.width))
        u = (sw / math.sqrt(h.shape[1])) * (h @ W) + sb * rng.standard_normal(arch.width)
        h = act.value(u)
        weights.append(W)
        inputs.append(h)
        preactivations.append(u)
    readout = rng.standard_normal(arch.width) * (sw / math.sqrt(arch.width))
    theta = _layer(inputs.pop(), np.ones((len(h), 1)), sw, sb)
    by_input = np.broadcast_to(readout, h.shape)
    while weights:
        delta = act.slope(preactivations.pop()) * by_input
        W, h = weights.pop(), inputs.pop()
        theta += _layer(h, delta, sw, sb)
        if weights:
            by_input = (sw / math.sqrt(len(W))) * (delta @ W.T)
    return theta


def _layer(h: Array, delta: Array, sw: float, sb: float) -> Array:
    return (sw**2 / h.shape[1] * (h @ h.T) + sb**2) * (delta @ delta.T)


@dataclass(frozen=True)
class SampledNumbers:
    """g1 and g2 as means over networks of finite width, with the standard errors of the means.

    ``fluctuation``: rms over networks and pairs of the entries about the mean g2, which falls as width^(-1/2).
    """

    g1: float
    g1_stderr: float
    g2: float
    g2_stderr: float
    fluctuation: float
    draws: int


def sampled_kernel_numbers(arch: GeneratorArchitecture, samples: int, draws: int, seed: int) -> SampledNumbers:
    """g1 and g2 of ``draws`` networks at ``samples`` orthogonal latents each, so that rho is 0 exactly.

    Errors from the scatter between networks. The mean of a network of width n differs from the limit by O(depth / n).
    """
    if samples < 2 or draws < 2:
        raise InputError("samples", "be at least 2, and draws too", (samples, draws))
    same, other, square = np.empty(draws), np.empty(draws), np.empty(draws)
    off = ~np.eye(samples, dtype=bool)
    for i, rng in enumerate(np.random.default_rng(seed).spawn(draws)):
        theta = sampled_kernel(arch, latents(arch.latent_dimension, samples, rng, orthogonal=True), rng)
        same[i], other[i], square[i] = np.diag(theta).mean(), theta[off].mean(), (theta[off] ** 2).mean()
    error = 1 / math.sqrt(draws)
    return SampledNumbers(
        float(same.mean()),
        float(same.std(ddof=1) * error),
        float(other.mean()),
        float(other.std(ddof=1) * error),
        math.sqrt(max(0.0, float(square.mean() - other.mean() ** 2))),
        draws,
    )


__all__ = [
    "KernelNumbers",
    "SampledNumbers",
    "every_activation",
    "kernel_numbers",
    "latents",
    "output_covariance",
    "sampled_kernel",
    "sampled_kernel_numbers",
]
