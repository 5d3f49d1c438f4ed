"""Expectations over instance noise as a fixed set of nodes, so that every route uses the same finite sum.

E over eps ~ N(0, I) of F(x + sigma eps) is replaced by sum_q weight_q F(x + sigma eps_q): a tensor Gauss-Hermite rule
of NODES points per coordinate (exact to degree 2 NODES - 1) for d <= 3, the 2 d points +-sqrt(d) e_a (exact to degree
3) above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..experiment.targets import lattice

NODES = {1: 9, 2: 5, 3: 4}


def noise_nodes(sigma: float, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """(offsets (Q, d), weights (Q,)); one node at 0 without noise."""
    if sigma == 0:
        return np.zeros((1, dimension)), np.ones(1)
    if dimension > 3:
        e = np.sqrt(dimension) * np.eye(dimension)
        return sigma * np.concatenate([e, -e]), np.full(2 * dimension, 0.5 / dimension)
    x, w = np.polynomial.hermite_e.hermegauss(NODES[dimension])
    index = lattice(NODES[dimension], dimension).astype(int)
    weights = np.prod(w[index], axis=-1)
    return sigma * x[index], weights / weights.sum()


def nodes(X: Any, offsets: np.ndarray) -> Any:
    """The nodes of points X (..., n, d), of NumPy or JAX: (..., n Q, d), those of a point together."""
    if len(offsets) == 1:
        return X
    return (X[..., :, None, :] + offsets).reshape(*X.shape[:-2], -1, X.shape[-1])


def sum_nodes(values: Any, count: int, axis: int) -> Any:
    """Add up the ``count`` nodes of each point along ``axis`` (negative)."""
    if count == 1:
        return values
    at = values.ndim + axis
    return values.reshape(*values.shape[:at], -1, count, *values.shape[at + 1 :]).sum(at + 1)
