"""Which pairs of positions the kernel of a network on images needs, and the linear maps between them.

Between two activations the covariances of pairs of positions (p at x, p' at y) are mapped linearly. A layer with its
taps t (tables.layers) gives

    taps apart (convolution, flatten)   C'(p, p') = mean over k of C(t_k(p), t_k(p')), padding counting as 0
    their mean (pooling)                C'(p, p') = mean over k and k' of C(t_k(p), t_k'(p'))

(Novak et al. 2019, Arora et al. 2019). From the readout's one pair backwards only those pairs are kept that something
reads: after a flatten each position with itself, below a pooling those within its windows, moved by filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...base.errors import InputError
from ...tables.architecture import Architecture
from ...tables.layers import Layer

Array = np.ndarray

#: entries of one layer's map
LARGEST_MAP = 50_000_000


@dataclass(frozen=True)
class Step:
    """What one layer with weights does to pairs of positions of its input (S), pooling before it included.

    matrix: sparse (S', S), rows sum to at most 1. left, right: (S,) where among the pairs (p, p) and (p', p') stand of
    the pair (p, p'); both are always among them. pairs: (S, 2) positions.
    """

    matrix: Any
    left: Array
    right: Array
    pairs: Array

    def __call__(self, values: Array) -> Array:
        """The map along the first axis."""
        out = self.matrix @ values.reshape(len(values), -1)
        return np.asarray(out).reshape(len(out), *values.shape[1:])

    def transposed(self, values: Array) -> Array:
        out = self.matrix.T @ values.reshape(len(values), -1)
        return np.asarray(out).reshape(len(out), *values.shape[1:])


@lru_cache(maxsize=32)
def steps(arch: Architecture) -> tuple[Step, ...]:
    """One per layer with weights, the readout included, from the image to the output. Raises InputError."""
    out: list[Step] = []
    pairs, matrix = np.zeros((1, 2), dtype=int), None
    for layer, taps in reversed(arch.taps):
        if layer.trained and matrix is not None:
            out.append(_step(matrix, pairs))
            matrix = None
        before, map_ = _pulled_back(layer, taps, pairs)
        matrix, pairs = (map_ if matrix is None else matrix @ map_), before
    assert matrix is not None
    out.append(_step(matrix, pairs))
    return tuple(reversed(out))


def _step(matrix: Any, pairs: Array) -> Step:
    count = 1 + pairs.max()
    codes = pairs[:, 0] * count + pairs[:, 1]
    order = np.argsort(codes)
    left, right = (order[np.searchsorted(codes[order], p * (count + 1))] for p in pairs.T)
    return Step(matrix, left, right, pairs)


def _pulled_back(layer: Layer, taps: Array, pairs: Array) -> tuple[Array, Any]:
    """(pairs of the layer's input that are read, the map from them)."""
    from scipy import sparse

    k = taps.shape[1]
    each = k if layer.separate else k * k
    if each * len(pairs) > LARGEST_MAP:
        rule = f"read at most {LARGEST_MAP:.0e} pairs of positions in a layer (a smaller image, or pooling later)"
        raise InputError("discriminator.architecture.layers", rule, each * len(pairs))
    first, second = taps[pairs[:, 0]], taps[pairs[:, 1]]
    if not layer.separate:
        first, second = np.repeat(first, k, axis=1), np.tile(second, (1, k))
    inside = (first >= 0) & (second >= 0)
    count = 1 + taps.max()
    codes, columns = np.unique((first * count + second)[inside], return_inverse=True)
    rows = np.nonzero(inside)[0]
    data = np.full(len(rows), 1 / each)
    matrix = sparse.csr_matrix((data, (rows, columns.ravel())), shape=(len(pairs), len(codes)))
    return np.stack([codes // count, codes % count], axis=1), matrix


__all__ = ["Step", "steps"]
