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
from .field import NetworkField

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
    return lambda w, g: np.array([_relative(kernel(features.moved(one)), start) for one in w])


@double
def _generator(field: NetworkField) -> Callable[[Any, Any], Array]:
    jax = require_jax()
    jnp = jax.numpy
    count = int(np.prod(field.data["phi0"].shape[-1:]))
    few = max(MAX_DENSE_ROWS // (field.exp.dimension * count), 1)

    def kernel(data: dict[str, Any], g: Any) -> Any:
        cut = data | {"latents": data["latents"][:few]}
        rows = jax.jacrev(lambda g: field.generate(cut, g))(g).reshape(-1, count)
        return rows @ rows.T

    @jax.jit
    def drift(data: dict[str, Any], g: Any) -> Any:
        start = kernel(data, jnp.zeros_like(g))
        return jnp.linalg.norm(kernel(data, g) - start) / jnp.linalg.norm(start)

    def of_run(i: int) -> dict[str, Any]:
        return {k: v if field.axes[k] is None else jax.tree.map(lambda a: a[i], v) for k, v in field.data.items()}

    @double
    def each(w: Any, g: Any) -> Array:  # run by run: the rows of one network at a time fill the memory allowed
        return np.array([float(drift(of_run(i), one)) for i, one in enumerate(g)])

    return each


@double
def generator_kernel_error(field: NetworkField) -> float:
    """||Theta - Gamma (x) 1|| / ||Theta|| at the start: what finite width and few latent dimensions change. Of random
    starts the first run's network."""
    jax = require_jax()
    N, d = field.exp.generator.particles, field.exp.dimension
    phi0 = field.data["phi0"].reshape(-1, field.data["phi0"].shape[-1])[0]
    few = max(min(N, MAX_DENSE_ROWS // (d * len(phi0))), 1)
    cut = field.data | {"latents": field.data["latents"][:few], "phi0": phi0}
    rows = jax.jit(jax.jacrev(lambda g: field.generate(cut, g)))(jax.numpy.zeros_like(phi0)).reshape(-1, len(phi0))
    kernel = field.exp.generator.kernel
    gamma = np.kron((kernel.g1 - kernel.g2) * np.eye(few) + kernel.g2, np.eye(d))
    theta = np.asarray(rows @ rows.T)
    return float(np.linalg.norm(theta - gamma) / np.linalg.norm(theta))


def _relative(now: Array, start: Array) -> float:
    return float(np.linalg.norm(now - start) / np.linalg.norm(start))
