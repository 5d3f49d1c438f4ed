"""A network of finite width in the tangent parametrisation (see egan_theory.tables.architecture), fully connected or
of layers on images.

Weights are plain lists of (W, b), drawn by NumPy so that a seed means the same network on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...base.errors import InputError
from ...tables.architecture import Architecture
from .double import require_jax

#: the largest number of weights: a state of this size is held several times, in doubles
MAX_WEIGHTS = 200_000_000


def sizes(arch: Architecture, inputs: int, outputs: int) -> list[tuple[int, int]]:
    """(rows, columns) of W_1 ... W_(depth+1); columns of a layer on images: its channels times its taps."""
    if arch.layers is not None:
        assert arch.image is not None
        out: list[tuple[int, int]] = []
        channels = arch.image[0]
        for layer, taps in arch.taps:
            if layer.trained:
                out.append((arch.width if len(out) < arch.depth else outputs, channels * taps.shape[1]))
                channels = arch.width
            elif layer.separate:
                channels *= taps.shape[1]
        return out
    layers = [inputs, *(arch.width,) * arch.depth, outputs]
    return [(layers[i + 1], layers[i]) for i in range(len(layers) - 1)]


def draw(
    arch: Architecture, inputs: int, outputs: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """W, b ~ N(0, 1) of every layer. Raises InputError where there are too many."""
    count = sum(rows * (columns + 1) for rows, columns in sizes(arch, inputs, outputs))
    if count > MAX_WEIGHTS:
        raise InputError("architecture.width", f"give at most {MAX_WEIGHTS:.0e} weights", count)
    return [(rng.standard_normal(size), rng.standard_normal(size[0])) for size in sizes(arch, inputs, outputs)]


def activation(name: str, leak: float = 0.2, coefficients: Sequence[float] = (0.0, 1.0)) -> Callable[[Any], Any]:
    """act(u) of NETWORK_ACTIVATIONS as a JAX function; slopes at a kink are those of the left side."""
    jax = require_jax()
    jnp = jax.numpy
    functions: dict[str, Callable[[Any], Any]] = {
        "relu": lambda u: jnp.where(u > 0, u, 0.0),
        "leaky_relu": lambda u: jnp.where(u > 0, u, leak * u),
        "erf": jax.scipy.special.erf,
        "tanh": jnp.tanh,
        "gelu": lambda u: u * jax.scipy.stats.norm.cdf(u),
        "sine": jnp.sin,
        "softplus": lambda u: jnp.logaddexp(u, 0.0),
        "identity": lambda u: u,
        "polynomial": lambda u: jnp.polyval(jnp.asarray(coefficients[::-1]), u),
    }
    return functions[name]


def network(arch: Architecture) -> Callable[[Any, Any], Any]:
    """f(params, x): (..., outputs) for x (..., inputs), params as ``draw`` gives them."""
    act, jnp = activation(arch.activation, arch.leak, arch.coefficients), require_jax().numpy
    sw, sb = float(np.sqrt(arch.weight_variance)), float(np.sqrt(arch.bias_variance))
    if arch.layers is not None:
        return _on_images(arch, act, sw, sb)

    def forward(params: Any, x: Any) -> Any:
        for layer, (W, b) in enumerate(params):
            h = x if layer == 0 else act(x)
            x = sw / jnp.sqrt(float(W.shape[1])) * (h @ W.T) + sb * b
        return x

    return forward


def _on_images(arch: Architecture, act: Callable[[Any], Any], sw: float, sb: float) -> Callable[[Any, Any], Any]:
    """As ``network``; x holds the pixels of an image. Layer by layer (..., channels, positions)."""
    jnp, (channels, height, width) = require_jax().numpy, arch.image or (1, 1, 1)

    def forward(params: Any, x: Any) -> Any:
        h, left = jnp.reshape(x, (*x.shape[:-1], channels, height * width)), list(params)
        for layer, taps in arch.taps:
            padded = jnp.concatenate([h, jnp.zeros_like(h[..., :1])], axis=-1) if np.any(taps < 0) else h
            read = padded[..., taps]  # (..., channels, positions, taps); -1 is the zero at the end
            if layer.trained:
                W, b = left.pop(0)
                each = jnp.reshape(W, (len(W), read.shape[-3], read.shape[-1]))
                u = sw / jnp.sqrt(float(W.shape[1])) * jnp.einsum("ock,...cpk->...op", each, read) + sb * b[:, None]
                h = act(u) if left else u
            elif layer.separate:
                h = jnp.reshape(jnp.moveaxis(read, -1, -2), (*read.shape[:-3], -1, read.shape[-2]))
            else:
                h = read.mean(-1)
        return h[..., 0]

    return forward


__all__ = ["activation", "draw", "network", "sizes"]
