"""Dot-product kernels K(x, y) = k(x.y) with exact finite feature maps: linear and polynomial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..base.errors import InputError
from ..base.parameters import not_negative, whole
from .base import Kernel, _dimension, named
from .stationary import VARIANCE, exact

if TYPE_CHECKING:
    import sympy

LARGEST_FEATURE_TABLE = 50_000_000  # entries of the exponent table (400 MB)


@named
@dataclass(frozen=True)
class Linear(Kernel):
    """variance x.y: the discriminator is a linear function and sees only the mean."""

    variance: float = VARIANCE.field()

    name: ClassVar[str] = "linear"
    kind: ClassVar[str] = "dot"

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        zero = np.zeros_like(u)
        return [self.variance * u, zero + self.variance, *(zero.copy() for _ in range(order - 1))][: order + 1]

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        import sympy

        u = sympy.Symbol("u", real=True)
        return exact(self.variance) * u, u

    def polynomial_features(self, dimension: int) -> tuple[np.ndarray, np.ndarray]:
        _dimension(dimension)
        return np.eye(dimension, dtype=int), np.full(dimension, math.sqrt(self.variance))

    def feature_count(self, dimension: int) -> int:
        return dimension


@named
@dataclass(frozen=True)
class Polynomial(Kernel):
    """variance (x.y + offset)^degree: the discriminator sees all moments up to ``degree``."""

    degree: int = whole(2, 1, 12, "power of x.y + offset").field()
    offset: float = not_negative(1.0, "added to x.y").field()
    variance: float = VARIANCE.field()

    name: ClassVar[str] = "polynomial"
    kind: ClassVar[str] = "dot"

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        base, p = u + self.offset, self.degree
        return [
            self.variance * math.perm(p, j) * base ** (p - j) if j <= p else np.zeros_like(base)
            for j in range(order + 1)
        ]

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        import sympy

        u = sympy.Symbol("u", real=True)
        return exact(self.variance) * (u + exact(self.offset)) ** self.degree, u

    def polynomial_features(self, dimension: int) -> tuple[np.ndarray, np.ndarray]:
        """Multinomial theorem: coefficient^2 = variance degree!/(e_0! prod e_a!) offset^e_0, e_0 = degree - |e|."""
        _dimension(dimension)
        p, first, count = self.degree, self._first, self.feature_count(dimension)
        if count * dimension > LARGEST_FEATURE_TABLE:
            raise InputError(
                "discriminator.degree", "give a feature table of at most 5e7 entries", f"{count} x {dimension}"
            )
        chosen = np.array(list(combinations_with_replacement(range(first, dimension + 1), p)))
        powers = np.zeros((count, dimension + 1), dtype=int)
        np.add.at(powers, (np.arange(count)[:, None], chosen), 1)
        factorials = np.array([float(math.factorial(i)) for i in range(p + 1)])
        squared = self.variance * factorials[p] / np.prod(factorials[powers], axis=1) * self.offset ** powers[:, 0]
        return powers[:, 1:], np.sqrt(squared)

    @property
    def _first(self) -> int:
        """Factor 0 is the offset: without it only the top degree is left."""
        return 0 if self.offset > 0 else 1

    def feature_count(self, dimension: int) -> int:
        return math.comb(dimension - self._first + self.degree, self.degree)
