"""Densities of eigenvalues by quadrature: of the step's multipliers (Arnoldi), of a player's own curvature (Lanczos).

For a random vector u of norm 1, the mean of u^T f(A) u is tr f(A) / n; the first m steps of Arnoldi or Lanczos
iteration from u give a quadrature of it, exact for polynomials of degree below m (Arnoldi) and 2 m (Lanczos; Golub and
Meurant, Matrices, Moments and Quadrature (2010); Ghorbani, Krishnan and Xiao, arXiv:1901.10159). Berard et al. 2020
(arXiv:1906.04848) show these blocks of trained GANs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ..base.table import Record
from .leading import Apply, Budget, Spent

Array = np.ndarray


@dataclass(frozen=True)
class Density(Record):
    """Eigenvalues ``nodes`` (m,), each standing for the part ``weights`` (m,) of all; the weights sum to 1.

    of: what they are eigenvalues of; unit; probes: random vectors, the scatter over which is the error; size: how many
    eigenvalues there are; edge: the curvature from which on a step is too large, or None.
    """

    KEYS: ClassVar[Sequence[str]] = ("of", "unit", "probes", "size", "edge", "re", "im", "weights", "beyond", "below")

    of: str
    unit: str
    nodes: Array
    weights: Array
    probes: int
    size: int
    edge: float | None = None

    @property
    def re(self) -> Array:
        return np.real(self.nodes)

    @property
    def im(self) -> Array:
        return np.imag(self.nodes)

    @property
    def beyond(self) -> float:
        """Part of the eigenvalues beyond the unit circle, or beyond the ``edge`` of a curvature (nan without one)."""
        if np.iscomplexobj(self.nodes):
            return float(np.real(self.weights[np.abs(self.nodes) > 1 + 1e-6].sum()))
        return float("nan") if self.edge is None else float(self.weights[self.nodes > self.edge].sum())

    @property
    def below(self) -> float:
        """Part of a curvature's eigenvalues below 0, by more than 1e-6 of the largest (nan of multipliers)."""
        if np.iscomplexobj(self.nodes):
            return float("nan")
        return float(self.weights[self.nodes < -1e-6 * np.abs(self.nodes).max(initial=0.0)].sum())

    def moment(self, power: int) -> float:
        """Mean of the eigenvalues' power: tr A^power / n."""
        return float(np.real((self.weights * self.nodes**power).sum()))

    def curve(self, grid: Array, width: float) -> Array:
        """The density at the real numbers ``grid``, every node a Gaussian of that standard deviation."""
        z = (grid[:, None] - np.real(self.nodes)) / width
        return np.asarray(np.exp(-(z**2) / 2) @ np.real(self.weights) / (width * np.sqrt(2 * np.pi)))

    def __repr__(self) -> str:
        return f"Density({self.of}: {len(self.nodes)} nodes from {self.probes} probes)"


def joined(
    of: str, unit: str, parts: Sequence[tuple[Array, Array]], size: int, edge: float | None = None
) -> Density | None:
    """The mean of quadratures (nodes, weights); None of none."""
    parts = [(nodes, weights) for nodes, weights in parts if len(nodes)]
    if not parts:
        return None
    nodes = np.concatenate([nodes for nodes, _ in parts])
    weights = np.concatenate([weights for _, weights in parts]) / len(parts)
    return Density(of, unit, nodes, weights, len(parts), size, edge)


def lanczos(apply: Apply, n: int, budget: Budget, products: int, seed: int = 0) -> tuple[Array, Array]:
    """(nodes, weights) of the symmetric map ``apply`` from one random vector, orthogonalised fully; at most so many
    products."""
    limit = min(products, budget.left, n)
    if limit < 1:
        return np.zeros(0), np.zeros(0)
    product = budget.counted(apply)
    V = np.empty((limit, n))
    v = np.random.default_rng(seed).standard_normal(n)
    V[0] = v / np.linalg.norm(v)
    diagonal, off = [], []
    for j in range(limit):
        try:
            w = product(V[j]).copy()
        except Spent:
            break
        diagonal.append(float(V[j] @ w))
        for _ in range(2):
            w -= (V[: j + 1] @ w) @ V[: j + 1]
        size = float(np.linalg.norm(w))
        if j + 1 == limit or size <= 1e-13 * max(abs(d) for d in diagonal):
            break
        off.append(size)
        V[j + 1] = w / size
    if not diagonal:
        return np.zeros(0), np.zeros(0)
    nodes, vectors = eigh_tridiagonal(diagonal, off[: len(diagonal) - 1])
    return nodes, vectors[0] ** 2


__all__ = ["Density", "joined", "lanczos"]
