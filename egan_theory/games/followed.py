"""A matrix polynomial projected on one basis, and its Ritz values followed over the parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .leading import LISTED, ONE, Leading
from .modes import root

Array = np.ndarray
#: overlap of two Ritz vectors that are one mode at neighbouring strengths; vectors of a basis at least
SAME, SMALL = 0.5, 3


def trusted(z: Array, residuals: Array) -> Array:
    """Whether each multiplier is worth listing."""
    with np.errstate(invalid="ignore"):
        return np.asarray(residuals <= LISTED * np.maximum(np.abs(z - 1), ONE))


def real(X: Array) -> Array:
    """Real and imaginary parts as columns, those of the first vector first."""
    if not X.size:
        return np.zeros((len(X), 0))
    columns = np.stack([X.real, X.imag], axis=2).reshape(len(X), -1)
    return columns[:, np.linalg.norm(columns, axis=0) > 1e-12]


def basis(spans: Sequence[Array], most: int) -> Array:
    """(n, r <= most) orthonormal: columns of the spans by turns, without what the others hold."""
    columns = []
    for i in range(max(s.shape[1] for s in spans)):
        columns += [s[:, i] for s in spans if i < s.shape[1]]
    V: list[Array] = []
    for c in columns:
        w = c / np.linalg.norm(c)
        for _ in range(2):
            for v in V:
                w = w - (v @ w) * v
        if np.linalg.norm(w) > 1e-6 and len(V) < most:
            V.append(w / np.linalg.norm(w))
    return np.stack(V, axis=1)


class Followed:
    """The projected map at every strength."""

    def __init__(self, V: Array, images: list[Array], nodes: Array, steps: int) -> None:
        self.V, self.images, self.nodes, self.steps = V, images, nodes, steps
        self.inner = [V.T @ W for W in images]
        self.gram = np.array([[W.T @ X for X in images] for W in images])

    def weights(self, s: float) -> Array:
        """Lagrange's polynomials at s."""
        out = np.ones(len(self.nodes))
        for i, a in enumerate(self.nodes):
            for j, b in enumerate(self.nodes):
                if i != j:
                    out[i] *= (s - b) / (a - b)
        return out

    def curved(self) -> float:
        (a, *_, c), (low, *_, high) = self.nodes, self.images
        b, middle = self.nodes[1], self.images[1]
        line = low + (high - low) * (b - a) / (c - a)
        change = np.linalg.norm(high - low)
        return float(np.linalg.norm(middle - line) / change) if change else 0.0

    def pairs(self, s: float) -> tuple[Array, Array, Array]:
        """Ritz values of the product of steps with im >= 0, residuals, vectors in V's coordinates (of norm 1)."""
        w = self.weights(s)
        H = sum(a * M for a, M in zip(w, self.inner, strict=True))
        z, Y = np.linalg.eig(np.asarray(H))
        gram = np.einsum("i,j,ijkl->kl", w, w, self.gram)
        square = np.real(np.einsum("km,kl,lm->m", Y.conj(), gram, Y)) - np.abs(z) ** 2
        half = z.imag >= 0
        return z[half].astype(complex), np.sqrt(np.maximum(square, 0.0))[half], Y[:, half].astype(complex)

    def follow(self, grid: Array, now: float, found: Leading) -> tuple[Array, Array, Array, list[Any]]:
        """(multipliers, residuals (g, m), largest (g,), Ritz vectors by strength) of the modes found."""
        start = int(np.searchsorted(grid, now))
        every = [self.pairs(s) for s in grid]
        _, _, Y0 = every[start]
        wanted = self.V.T @ found.vectors
        first = []
        for j in range(wanted.shape[1]):
            size = np.linalg.norm(wanted[:, j])
            if size < 0.99:  # not in the basis
                continue
            best = int(np.argmax(np.abs(Y0.conj().T @ wanted[:, j])))
            if best not in first:
                first.append(best)
        m = len(first)
        z, residuals = np.full((len(grid), m), np.nan, complex), np.full((len(grid), m), np.nan)
        vectors: list[Any] = [[None] * m for _ in grid]
        for way in (range(start, len(grid)), range(start, -1, -1)):
            last = [Y0[:, j] for j in first]
            alive = [True] * m
            for g in way:
                values, res, Y = every[g]
                for j in range(m):
                    if not alive[j]:
                        continue
                    overlap = np.maximum(np.abs(Y.conj().T @ last[j]), np.abs(Y.T @ last[j]))
                    best = int(np.argmax(overlap))
                    if overlap[best] < SAME:
                        alive[j] = False
                        continue
                    last[j] = Y[:, best]
                    z[g, j], residuals[g, j], vectors[g][j] = values[best], res[best], last[j]
        largest = np.array([self._largest(*pair[:2]) for pair in every])
        return root(z, self.steps), residuals / self.steps, largest, vectors

    def _largest(self, z: Array, residuals: Array) -> float:
        good = trusted(z, residuals) & ~((z.imag == 0) & (z.real > 1))
        return float(np.abs(z[good]).max() ** (1 / self.steps)) if good.any() else float("nan")


__all__ = ["SMALL", "Followed", "basis", "real", "trusted"]
