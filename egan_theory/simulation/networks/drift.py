"""How far the tangent kernels have moved from where they started: what the linear prediction takes to be constant.

    drift(t) = ||H(theta_t) - H(theta_0)|| / ||H(theta_0)||        (Frobenius)

with H the products of the rows [psi; l grad psi] at the target's points (l the length scale) for the discriminator,
and Theta_ij = J_i J_j^T at the latents for the generator. In the tangent regime (wide networks, small changes) it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...features.networks.double import double, require_jax
from ...features.networks.tangent import MAX_DENSE_ROWS, TangentFeatures
from .field import Data, NetworkField

jax = require_jax()
jnp = jax.numpy

Array = np.ndarray


def kernel_drift(field: NetworkField) -> dict[str, Callable[[Any, Any], Array]]:
    """Functions of the state (w (run, P), g) that give the drift of every run, (run,), by the schema's name: those of
    the players that are networks. Where the rows of all points would not fit, those of the first points are used."""
    found = {}
    if isinstance(field.features, TangentFeatures):
        found["kernel_drift"] = _discriminator(field, field.features)
    if field.generator is not None:
        found["generator_drift"] = _generator(field)
    return found


def _discriminator(field: NetworkField, features: TangentFeatures) -> Callable[[Any, Any], Array]:
    d, length = field.exp.dimension, field.exp.discriminator.length_scale
    Y = field.exp.points.coordinates[: max(MAX_DENSE_ROWS // ((1 + d) * features.size), 1)]

    def kernel(features: TangentFeatures) -> Array:
        at = features.at(Y)
        rows = np.concatenate([at.psi(), length * at.grad().reshape(-1, features.size)])
        return rows @ rows.T

    start = kernel(features)
    return lambda w, g: (
        np.array([np.linalg.norm(kernel(features.moved(one)) - start) for one in w]) / np.linalg.norm(start)
    )


def _first_latents(field: NetworkField, data: Data) -> Data:
    """The data of one run, its latents those of which the rows fit."""
    few = max(MAX_DENSE_ROWS // (field.exp.dimension * data["phi0"].size), 1)
    return data | {"latents": data["latents"][:few]}


def _generator(field: NetworkField) -> Callable[[Any, Any], Array]:
    @jax.jit
    def drift(data: Data, g: Any) -> Any:
        data = _first_latents(field, data)
        start = field.generator_kernel(data, jnp.zeros_like(g))
        return jnp.linalg.norm(field.generator_kernel(data, g) - start) / jnp.linalg.norm(start)

    @double
    def each(w: Any, g: Any) -> Array:  # run by run: the rows of one network at a time fill the memory allowed
        return np.array([float(drift(field.of_run(i), one)) for i, one in enumerate(g)])

    return each


@double
def generator_kernel_error(field: NetworkField) -> float:
    """||Theta - Gamma (x) 1|| / ||Theta|| at the start: what finite width and few latent dimensions change. Of random
    starts the first run's network."""
    kernel, data = field.exp.generator.kernel, _first_latents(field, field.of_run(0))
    gamma = (kernel.g1 - kernel.g2) * np.eye(len(data["latents"])) + kernel.g2
    theta = np.asarray(jax.jit(field.generator_kernel)(data, jnp.zeros_like(data["phi0"])))
    return float(np.linalg.norm(theta - np.kron(gamma, np.eye(field.exp.dimension))) / np.linalg.norm(theta))
