"""Finite-dimensional kernels: monomials, and random projections of them."""

from __future__ import annotations

import numpy as np

from .base import Array, LocatedDense


class PolynomialFeatures:
    """Monomials psi_p(x) = coefficient_p prod_a x_a^e_pa: the exact map of a linear or polynomial kernel."""

    def __init__(self, exponents: Array, coefficients: Array) -> None:
        self.exponents, self.coefficients = np.asarray(exponents), np.asarray(coefficients, dtype=float)
        self.size = len(self.coefficients)

    def _monomials(self, X: Array, lowered: tuple[int, ...]) -> Array:
        """Derivative of every monomial once in each coordinate of ``lowered``."""
        e, factor = self.exponents.copy(), self.coefficients.copy()
        for a in lowered:
            factor = factor * e[:, a]
            e[:, a] = np.maximum(e[:, a] - 1, 0)
        out = factor * np.ones((*X.shape[:-1], 1), dtype=X.dtype)
        for a in range(X.shape[-1]):
            powers = np.stack([X[..., a] ** n for n in range(e[:, a].max(initial=0) + 1)], axis=-1)
            out = out * powers[..., e[:, a]]
        return out

    def at(self, X: Array) -> LocatedDense:
        d = range(X.shape[-1])
        return LocatedDense(
            self._monomials(X, ()),
            np.stack([self._monomials(X, (a,)) for a in d], axis=-2),
            lambda: np.stack([np.stack([self._monomials(X, (a, c)) for c in d], axis=-2) for a in d], axis=-3),
        )

    def gradient_rank(self, X: Array) -> int:
        return int(np.linalg.matrix_rank(self.at(X).grad().reshape(-1, self.size)))


class ProjectedFeatures:
    """psi'(x) = R psi(x) with R Gaussian of variance 1/P': a random estimate of a finite-dimensional kernel."""

    def __init__(self, base: PolynomialFeatures, projection: Array) -> None:
        self.base, self.projection = base, projection
        self.size = len(projection)

    def at(self, X: Array) -> LocatedDense:
        R, at = self.projection, self.base.at(X)
        return LocatedDense(at.psi() @ R.T, at.grad() @ R.T, lambda: at._hessian @ R.T)

    def gradient_rank(self, X: Array) -> int:
        return int(np.linalg.matrix_rank(self.at(X).grad().reshape(-1, self.size)))
