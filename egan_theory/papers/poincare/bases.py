"""Bases of test functions: polynomials of leading principal components, and Gaussian bumps at landmarks.

``fit`` takes points and weights and returns the function of the basis that minimises (E|grad f|^2 + ridge |f|^2)/Var f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Protocol

import numpy as np
from scipy.linalg import eigh

#: directions in which a basis varies less than this part of its largest variance are left out
DEPENDENT = 1e-10
Array = np.ndarray


#: a test function: X (n, d) -> values (n,) and squared gradients (n,)
Function = Callable[[Array], tuple[Array, Array]]


class Basis(Protocol):
    """A family of test functions; ``size`` orders the families, ``name`` says which it is."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    def fit(self, X: Array, w: Array) -> Function: ...


def smallest(energy: Array, covariance: Array) -> Array:
    """v with the smallest v.energy v / v.covariance v on the range of the covariance."""
    variance, directions = np.linalg.eigh(covariance)
    kept = variance > DEPENDENT * variance[-1]
    whiten = directions[:, kept] / np.sqrt(variance[kept])
    _, v = eigh(whiten.T @ energy @ whiten, subset_by_index=[0, 0])
    return whiten @ v[:, 0]


def principal(X: Array, w: Array) -> tuple[Array, Array]:
    """(mean (d,), whitening (k, d)): z = whitening (x - mean) has unit covariance, largest variance first."""
    mean = w @ X
    centred = np.sqrt(w)[:, None] * (X - mean)
    _, sigma, rows = np.linalg.svd(centred, full_matrices=False)
    kept = sigma > np.sqrt(DEPENDENT) * sigma[0]
    return mean, rows[kept] / sigma[kept, None]


@dataclass(frozen=True)
class Polynomials:
    """Polynomials of total degree ``degree`` in the ``components`` leading principal components."""

    components: int
    degree: int

    @property
    def name(self) -> str:
        return f"polynomials of degree {self.degree} in {self.components} components"

    @property
    def size(self) -> int:
        return comb(self.components + self.degree, self.degree) - 1

    def fit(self, X: Array, w: Array) -> Function:
        mean, whitening = principal(X, w)
        whitening = whitening[: self.components]
        exponents = _exponents(len(whitening), self.degree)
        F, G = _monomials((X - mean) @ whitening.T, exponents)
        G = G @ np.linalg.cholesky(whitening @ whitening.T)  # |grad_x f|^2 = |L^T grad_z f|^2
        centred = F - w @ F
        energy = np.einsum("n,npa,nqa->pq", w, G, G, optimize=True)
        v = smallest(energy, (w[:, None] * centred).T @ centred)

        def function(Z: Array) -> tuple[Array, Array]:
            F, G = _monomials((Z - mean) @ whitening.T, exponents)
            slope = np.einsum("npa,p->na", G, v) @ whitening
            return F @ v, (slope**2).sum(-1)

        return function


def _exponents(dimension: int, degree: int) -> Array:
    """(P, dimension) exponents of every monomial of degree 1 to ``degree``."""
    rows = [
        np.bincount(chosen, minlength=dimension)
        for total in range(1, degree + 1)
        for chosen in combinations_with_replacement(range(dimension), total)
    ]
    return np.array(rows)


def _monomials(Z: Array, exponents: Array) -> tuple[Array, Array]:
    """Products of probabilists' Hermite polynomials He_e/sqrt(e!) (well conditioned for whitened data): values (n, P)
    and gradients (n, P, k)."""
    top = int(exponents.max())
    H = [np.ones_like(Z), Z]
    for m in range(1, top):
        H.append((Z * H[m] - np.sqrt(m) * H[m - 1]) / np.sqrt(m + 1))
    dH = [np.zeros_like(Z)] + [np.sqrt(m) * H[m - 1] for m in range(1, top + 1)]
    value, slope = np.stack(H, -1), np.stack(dH, -1)  # (n, k, degree + 1)
    k = Z.shape[1]
    columns = [value[:, a, exponents[:, a]] for a in range(k)]
    F = np.prod(columns, axis=0)
    G = np.stack(
        [np.prod([slope[:, a, exponents[:, a]] if a == b else columns[a] for a in range(k)], axis=0) for b in range(k)],
        axis=-1,
    )
    return F, G


@dataclass(frozen=True)
class Bumps:
    """sum_j v_j exp(-|x - c_j|^2/(2 l^2)) with ``landmarks`` centres drawn from the points, l = ``scale`` times their
    median distance, and ``ridge`` times v.K v/l^2 added to the energy (after Pillaud-Vivien et al. 2020,
    arXiv:1910.14564, eq. (8))."""

    landmarks: int
    scale: float
    ridge: float
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.landmarks} Gaussians, {self.scale:g} median distances wide, ridge {self.ridge:g}"

    @property
    def size(self) -> int:
        return self.landmarks

    def fit(self, X: Array, w: Array) -> Function:
        rng = np.random.default_rng(self.seed)
        centres = X[rng.choice(len(X), size=min(self.landmarks, len(X)), replace=False)]
        between = _squares(centres, centres)
        distance = np.sqrt(np.median(between[np.triu_indices(len(centres), 1)]))
        l2 = (self.scale * float(distance)) ** 2 or 1.0
        K = np.exp(-_squares(X, centres) / (2 * l2))
        XC, WK = X @ centres.T, w[:, None] * K
        cross = (WK * XC).T @ K
        # sum_i w K_ij K_ik (x_i - c_j).(x_i - c_k)/l^4 without an array of n d P numbers
        energy = ((WK * (X**2).sum(-1)[:, None]).T @ K - cross - cross.T + (WK.T @ K) * (centres @ centres.T)) / l2**2
        energy = energy + self.ridge / l2 * np.exp(-between / (2 * l2))
        centred = K - w @ K
        v = smallest((energy + energy.T) / 2, (w[:, None] * centred).T @ centred)

        def function(Z: Array) -> tuple[Array, Array]:
            K = np.exp(-_squares(Z, centres) / (2 * l2)) * v
            value = K.sum(-1)
            return value, (((K @ centres - Z * value[:, None]) / l2) ** 2).sum(-1)

        return function


def _squares(X: Array, Y: Array) -> Array:
    return np.maximum((X**2).sum(-1)[:, None] + (Y**2).sum(-1) - 2 * X @ Y.T, 0.0)
