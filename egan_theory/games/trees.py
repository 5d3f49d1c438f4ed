"""A JAX network as a function of its trained weights, one flat float64 vector.

The order is that of ``jax.flatten_util.ravel_pytree``: leaves in the order of ``jax.tree.leaves`` (dictionaries by
sorted keys), each in C order; entries that are not trained are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..features.networks.double import require_jax

Array = np.ndarray
#: D or G: function(params, batch) and its params
Network = tuple[Callable[[Any, Any], Any], Any]


class FlatNetwork:
    """One network as a function of its trained weights, a flat vector."""

    def __init__(self, name: str, network: Network, trained: Any) -> None:
        jax = require_jax()
        if not (isinstance(network, tuple) and len(network) == 2 and callable(network[0])):
            raise InputError(name, "be (function(params, batch), params)", type(network).__name__)
        self.name, (self.function, params) = name, network
        leaves, self._tree = jax.tree.flatten(params)
        self._leaves = [np.asarray(leaf) for leaf in leaves]
        real = [np.issubdtype(leaf.dtype, np.floating) or leaf.dtype.name == "bfloat16" for leaf in self._leaves]
        masks = _masks(jax, name, params, trained, self._leaves)
        #: per leaf, the flat positions of trained entries
        self._at = [np.flatnonzero(mask) if r else np.zeros(0, int) for mask, r in zip(masks, real, strict=True)]
        self._leaves = [leaf.astype(float) if r else leaf for leaf, r in zip(self._leaves, real, strict=True)]
        self._ends = np.cumsum([len(at) for at in self._at])
        self.size = int(self._ends[-1]) if len(self._ends) else 0
        if not self.size:
            raise InputError(name, "have weights that are trained", "found none")
        self.flat = self.flatten(params)
        if not np.all(np.isfinite(self.flat)):
            raise InputError(name, "have finite weights", f"found {np.sum(~np.isfinite(self.flat))} that are not")

    def flatten(self, tree: Any) -> Array:
        jax = require_jax()
        leaves, structure = jax.tree.flatten(tree)
        shapes = [np.shape(leaf) for leaf in leaves]
        if structure != self._tree or shapes != [leaf.shape for leaf in self._leaves]:
            raise InputError(self.name, "go with a tree of the structure and shapes of its params", structure)
        parts = [np.ravel(np.asarray(leaf))[at].astype(float) for leaf, at in zip(leaves, self._at, strict=True)]
        return np.concatenate(parts)

    def unflatten(self, flat: Any) -> Any:
        """The params, in JAX: trained entries from flat, the others as they were."""
        jax = require_jax()
        jnp = jax.numpy
        parts = jnp.split(jnp.asarray(flat), self._ends[:-1])
        leaves = []
        for leaf, at, part in zip(self._leaves, self._at, parts, strict=True):
            if len(at) == leaf.size and leaf.size:
                leaves.append(jnp.reshape(part, leaf.shape))
            elif len(at):
                leaves.append(jnp.reshape(jnp.ravel(jnp.asarray(leaf)).at[at].set(part), leaf.shape))
            else:
                leaves.append(jnp.asarray(leaf))
        return jax.tree.unflatten(self._tree, leaves)

    def apply(self, flat: Any, batch: Any) -> Any:
        return self.function(self.unflatten(flat), batch)


def _masks(jax: Any, name: str, params: Any, trained: Any, leaves: list[Array]) -> list[Array]:
    """Booleans of the shape of every leaf."""
    if trained is None:
        return [np.ones(leaf.shape, bool) for leaf in leaves]
    try:
        spread = jax.tree.map(lambda mask, part: jax.tree.map(lambda leaf: mask, part), trained, params)
        return [
            np.broadcast_to(np.asarray(mask, dtype=bool), leaf.shape)
            for mask, leaf in zip(jax.tree.leaves(spread), leaves, strict=True)
        ]
    except (ValueError, TypeError) as error:
        rule = "be a tree of booleans like the params, or a prefix of it"
        raise InputError(f"trained weights of {name}", rule, error) from None


__all__ = ["FlatNetwork", "Network"]
