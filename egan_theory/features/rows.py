"""Features that are known at given points only, through the products of their rows there."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..base.errors import InputError
from .base import Array, Located


class RowFeatures:
    """``rows`` (M (1 + d), r): psi(y_i), then grad psi(y_i), rows M + d i + a, at the points of one experiment.

    What a linearization needs and nothing more: no values at other points, so that nothing can be simulated.
    exact: small singular values are those of the rows to eps; else to sqrt(eps) of the largest (see ``from_gram``).
    """

    def __init__(self, rows: Array, points: int, exact: bool = True) -> None:
        self.rows, self.points, self.exact = rows, points, exact
        self.size = rows.shape[1]

    @classmethod
    def from_gram(cls, gram: Array, points: int, noise: float, values: bool = True) -> RowFeatures:
        """From the products of the rows, (M (1 + d), M (1 + d)) symmetric positive semidefinite; ``values`` False: of
        the gradients alone, (M d, M d), with D's values left at 0.

        noise: norm of the products' rounding error; directions of no larger eigenvalue are left out. Gradients first,
        so that their products are H itself without those directions; of the values what they share with the gradients,
        and the root of the rest (the Schur complement).
        """
        start = points if values else 0
        beta, left = np.linalg.eigh(gram[start:, start:])
        kept = beta > noise
        root, left = np.sqrt(beta[kept]), left[:, kept]
        gradients = left * root
        if not values:
            return cls(np.concatenate([np.zeros((points, len(root))), gradients]), points, exact=False)
        shared = gram[:points, points:] @ left / root
        rest, across = np.linalg.eigh(gram[:points, :points] - shared @ shared.T)
        kept = rest > noise
        own = across[:, kept] * np.sqrt(rest[kept])
        below = np.zeros((len(gradients), own.shape[1]))
        return cls(np.block([[shared, own], [gradients, below]]), points, exact=False)

    def seen_rows(self, X: Array) -> tuple[Array, bool]:
        """(rows, exact); X must be the points they belong to (not checked but for their number)."""
        if len(X) != self.points:
            raise InputError("penalty.instance_noise", "be 0 where features are known at the data only")
        return self.rows, self.exact

    def gradient_rank(self, X: Array) -> int:
        """Numerical rank of the gradients of all points, whatever X."""
        eps, sigma = float(np.finfo(float).eps), self.gradient_values
        tolerance = eps if self.exact else np.sqrt(eps)
        return int(np.sum(sigma > tolerance * max(self.rows.shape) * sigma.max(initial=0.0)))

    @cached_property
    def gradient_values(self) -> Array:
        """Singular values of the gradients' rows, largest first."""
        return np.linalg.svd(self.rows[self.points :], compute_uv=False)

    @property
    def products(self) -> Array:
        """H, the products of the gradients' rows, (M d, M d)."""
        gradients = self.rows[self.points :]
        return np.asarray(gradients @ gradients.T)

    def part(self, points: int) -> RowFeatures:
        """Those of the first points."""
        values, gradients = self.rows[: self.points], self.rows[self.points :]
        kept = len(gradients) // self.points * points
        return RowFeatures(np.concatenate([values[:points], gradients[:kept]]), points, self.exact)

    def at(self, X: Array) -> Located:
        raise InputError("discriminator.kernel", "be known at all points here", "features at the data only")


__all__ = ["RowFeatures"]
