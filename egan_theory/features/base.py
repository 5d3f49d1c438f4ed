"""What a feature map is asked for: values, gradients and Hessians of D at points, the adjoint, and the rank."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np

Array = np.ndarray


class Located(Protocol):
    """A feature map evaluated at points X (..., n, d)."""

    def value(self, w: Array) -> Array:
        """w . psi(x_n): (..., n) for w (..., P)."""

    def gradient(self, w: Array) -> Array:
        """w . grad psi(x_n): (..., n, d)."""

    def hessian(self, w: Array) -> Array:
        """w . Hess psi(x_n): (..., n, d, d)."""

    def adjoint(self, a: Array, b: Array | None) -> Array:
        """sum_n a_n psi(x_n) + b_n . grad psi(x_n): (..., P) for a (..., n), b (..., n, d) or None for 0."""

    def psi(self) -> Array:
        """(..., n, P)."""

    def grad(self) -> Array:
        """(..., n, d, P)."""


class FeatureMap(Protocol):
    """size P; ``at(X)`` evaluates; ``gradient_rank`` counts independent gradients at given distinct points."""

    size: int

    def at(self, X: Array) -> Located: ...

    def gradient_rank(self, X: Array) -> int: ...


def row_dot(rows: Array, w: Array) -> Array:
    """sum_p rows[..., p] w[..., p] over stacked rows (..., n, P)."""
    return (rows @ w[..., None])[..., 0]


class LocatedDense:
    """Points where psi (..., n, P), grad (..., n, d, P) are held as arrays and the Hessian is built when asked."""

    def __init__(self, psi: Array, grad: Array, hess: Any) -> None:
        self._psi, self._grad, self._hess = psi, grad, hess

    @cached_property
    def _hessian(self) -> Array:
        return self._hess()

    def hessian_array(self) -> Array:
        """(..., n, d, d, P)."""
        return self._hessian

    def value(self, w: Array) -> Array:
        return row_dot(self._psi, w)

    def gradient(self, w: Array) -> Array:
        return (self._grad @ w[..., None, :, None])[..., 0]

    def hessian(self, w: Array) -> Array:
        return (self._hessian @ w[..., None, None, :, None])[..., 0]

    def adjoint(self, a: Array, b: Array | None) -> Array:
        out = (a[..., None, :] @ self._psi)[..., 0, :]
        return out if b is None else out + np.einsum("...na,...nap->...p", b, self._grad)

    def psi(self) -> Array:
        return self._psi

    def grad(self) -> Array:
        return self._grad
