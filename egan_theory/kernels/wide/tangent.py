"""The tangent kernel of a wide fully connected discriminator as a Kernel: a function of |x|^2, |y|^2 and x.y."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..base import _inexact
from .jets import Jet
from .network import WideKernel
from .recursion import propagate, propagate_diagonal

Array = np.ndarray


@dataclass(frozen=True)
class TangentKernel(WideKernel):
    """The kernel of a fully connected network.

    With K = F(p, q, r), p = |x|^2, q = |y|^2, r = x.y, derivatives in x and y are the chain rule on those of F, which
    are carried through the layers (see ``jets``).
    """

    name: ClassVar[str] = "tangent"

    def value(self, X: Any, Y: Any) -> Array:
        X, Y = self._points(X, Y)
        a, b, c = self._first(_squares(X)[..., None], _squares(Y), X @ Y.T, X.shape[-1])
        return propagate(self.architecture, a, b, c)[self._which]

    def diagonal(self, X: Any) -> Array:
        X = _inexact(X)
        return propagate_diagonal(self.architecture, self._first(_squares(X), 0, 0, X.shape[-1])[0])[self._which]

    def gradient(self, X: Any, Y: Any) -> Array:
        """2 F_p x_a + F_r y_a."""
        X, Y = self._points(X, Y)
        F = self._jet(X, Y, (1, 0)).derivative
        return 2 * F(1, 0, 0)[..., None] * X[..., :, None, :] + F(0, 0, 1)[..., None] * Y

    def mixed(self, X: Any, Y: Any) -> Array:
        """F_r delta_ab + (2 x_a d_p + y_a d_r)(2 y_b d_q + x_b d_r) F."""
        X, Y = self._points(X, Y)
        return self._mixed(self._jet(X, Y, (1, 1)), X[..., :, None, :], Y)

    def mixed_diagonal(self, X: Any) -> Array:
        X = _inexact(X)
        square = _squares(X)
        return self._mixed(self._carried(square, square, square, X.shape[-1], (1, 1)), X, X)

    def _mixed(self, jet: Jet, x: Array, y: Array) -> Array:
        F, d = jet.derivative, x.shape[-1]
        by_x = 4 * F(1, 1, 0)[..., None] * y + 2 * F(1, 0, 1)[..., None] * x
        by_y = 2 * F(0, 1, 1)[..., None] * y + F(0, 0, 2)[..., None] * x
        return F(0, 0, 1)[..., None, None] * np.eye(d) + _outer(x, by_x) + _outer(y, by_y)

    def hessian(self, X: Any, Y: Any) -> Array:
        """2 F_p delta_ac + (2 x_a d_p + y_a d_r)(2 x_c d_p + y_c d_r) F."""
        X, Y = self._points(X, Y)
        x, F = X[..., :, None, :], self._jet(X, Y, (2, 0)).derivative
        by_x = 4 * F(2, 0, 0)[..., None] * x + 2 * F(1, 0, 1)[..., None] * Y
        by_y = 2 * F(1, 0, 1)[..., None] * x + F(0, 0, 2)[..., None] * Y
        return 2 * F(1, 0, 0)[..., None, None] * np.eye(X.shape[-1]) + _outer(x, by_x) + _outer(Y, by_y)

    def third(self, X: Any, Y: Any) -> Array:
        """d/dy_b of the Hessian; with G = (2 y_b d_q + x_b d_r) F the Hessian of G plus the derivatives of its x, y."""
        X, Y = self._points(X, Y)
        x, F, eye = X[..., :, None, :], self._jet(X, Y, (2, 1)).derivative, np.eye(X.shape[-1])

        def along(i: int, k: int) -> Array:
            return 2 * F(i, 1, k)[..., None] * Y + F(i, 0, k + 1)[..., None] * x

        out = 2 * eye[:, :, None] * along(1, 0)[..., None, None, :]
        out = out + 4 * _outer3(_outer(x, x), along(2, 0)) + _outer3(_outer(Y, Y), along(0, 2))
        out = out + 2 * _outer3(_outer(x, Y) + _outer(Y, x), along(1, 1))
        # d/dy_b of the y in (x_a y_c + y_a x_c) 2 F_pr + y_a y_c F_rr
        moved = 2 * F(1, 0, 1)[..., None] * x + F(0, 0, 2)[..., None] * Y
        return out + moved[..., :, None, None] * eye + moved[..., None, :, None] * eye[:, None, :]

    def mixed_product(self, X: Array) -> Callable[[Array], Array]:
        """v (n, d) -> sum_j d_x d_y K(x_i, x_j) v_j, from the (n, n) matrices of derivatives of F alone."""
        F = self._jet(X, X, (1, 1)).derivative
        Fr, Fpq, Fpr, Fqr, Frr = F(0, 0, 1), F(1, 1, 0), F(1, 0, 1), F(0, 1, 1), F(0, 0, 2)

        def product(v: Array) -> Array:
            own, cross = np.einsum("ja,ja->j", X, v), X @ v.T
            along_x = 4 * Fpq @ own + 2 * (Fpr * cross).sum(1)
            return Fr @ v + along_x[:, None] * X + (2 * Fqr * own + Frr * cross) @ X

        return product

    def _mixed_disturbed(self, X: Array, changed: Callable[[Array], Array]) -> Array:
        def disturbed(sigma: Jet) -> Jet:
            return Jet({n: changed(t) for n, t in sigma.terms.items()}, sigma.order)

        return self._mixed(self._jet(X, X, (1, 1), disturbed), X[:, None, :], X)

    def _jet(self, X: Array, Y: Array, order: tuple[int, int], disturbed: Callable[[Any], Any] = lambda s: s) -> Jet:
        return self._carried(_squares(X)[..., None], _squares(Y), X @ Y.T, X.shape[-1], order, disturbed)

    def _carried(
        self,
        p: Array,
        q: Array,
        r: Array,
        dimension: int,
        order: tuple[int, int],
        disturbed: Callable[[Any], Any] = lambda s: s,
    ) -> Jet:
        """F as a jet in (p, q, r)."""
        a, b, c = self._first(p, q, r, dimension)
        self._check_apart(a, b, c)
        s = self._scale(dimension)
        first = (
            Jet({(0, 0, 0): a, (1, 0, 0): s} if order[0] else {(0, 0, 0): a}, order),
            Jet({(0, 0, 0): b, (0, 1, 0): s} if order[1] else {(0, 0, 0): b}, order),
            Jet({(0, 0, 0): c, (0, 0, 1): s}, order),
        )
        return propagate(self.architecture, *first, disturbed)[self._which]

    @property
    def _which(self) -> int:
        """Of what ``propagate`` gives."""
        return 0 if self.readout_only else 1

    def _scale(self, dimension: int) -> float:
        return self.architecture.weight_variance / (dimension * self.length_scale**2)

    def _first(self, p: Any, q: Any, r: Any, dimension: int) -> tuple[Any, Any, Any]:
        """The first layer's covariances."""
        s, sb = self._scale(dimension), self.architecture.bias_variance
        return s * p + sb, s * q + sb, s * r + sb


def _squares(X: Array) -> Array:
    return np.sum(X * X, axis=-1)


def _outer(u: Array, v: Array) -> Array:
    return u[..., :, None] * v[..., None, :]


def _outer3(u: Array, v: Array) -> Array:
    """A matrix times a vector."""
    return u[..., :, :, None] * v[..., None, None, :]


__all__ = ["TangentKernel"]
