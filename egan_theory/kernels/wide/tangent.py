"""The tangent kernel of a wide fully connected discriminator as a Kernel: a function of |x|^2, |y|^2 and x.y."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...base.errors import InputError
from ...tables.architecture import Architecture
from ..base import Kernel, _inexact
from .dual import dual_activation
from .jets import Jet
from .recursion import propagate, propagate_diagonal

if TYPE_CHECKING:
    import sympy

Array = np.ndarray

EPS = float(np.finfo(float).eps)
#: relative rounding error of d_x d_y K beyond which a kernel is refused, and points at which it is looked at
LARGEST_ROUNDING, SAMPLED = 1e-8, 16


@dataclass(frozen=True)
class TangentKernel(Kernel):
    """Theta(x / length_scale, y / length_scale) of ``architecture`` in the limit of infinite width.

    With K = F(p, q, r), p = |x|^2, q = |y|^2, r = x.y, derivatives in x and y are the chain rule on those of F, which
    are carried through the layers (see ``jets``). Shapes as in Kernel; X and Y may carry complex steps.

    A piecewise linear activation (relu, leaky_relu) has values only: its kernel falls as |x - y| from x = y, so that
    d_x d_y K is infinite there, and with it the mean square force at the data; derivatives raise InputError.
    """

    architecture: Architecture
    length_scale: float = 1.0

    name: ClassVar[str] = "tangent"
    kind: ClassVar[str] = "inner"

    def _exists_at_zero(self, order: int) -> bool:
        return order == 0 or dual_activation(self.architecture).smooth

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        raise _no_profile()

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        raise _no_profile()

    def value(self, X: Any, Y: Any) -> Array:
        X, Y = self._points(X, Y)
        a, b, c = self._first(_squares(X)[..., None], _squares(Y), X @ Y.T, X.shape[-1])
        return propagate(self.architecture, a, b, c)[1]

    def diagonal(self, X: Any) -> Array:
        X = _inexact(X)
        return propagate_diagonal(self.architecture, self._first(_squares(X), 0, 0, X.shape[-1])[0])[1]

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

    def rounding(self, X: Array) -> float:
        """The rounding error of d_x d_y K between SAMPLED of the points X (n, d), relative to its largest entry.

        Estimated: what a random change of the covariances that each layer is given, by at most eps of themselves, does
        to the kernel (Monte Carlo arithmetic; Parker, UCLA report CSD-970002 (1997)). Raises InputError where it
        exceeds LARGEST_ROUNDING, or numbers leave the doubles."""
        found = _rounding(self, X.shape, np.ascontiguousarray(X, dtype=float).tobytes())
        if not found <= LARGEST_ROUNDING:
            depth, sw = self.architecture.depth, self.architecture.weight_variance
            at = f"{found:.2g} of it" if np.isfinite(found) else "numbers beyond double precision"
            raise InputError(
                "discriminator.architecture.depth",
                f"keep the rounding error of the tangent kernel below {LARGEST_ROUNDING:g} of it (fewer layers, or a "
                "smaller weight_variance)",
                f"{at} with depth {depth} and weight_variance {sw:g}",
            )
        return found

    def _disturbed(self, X: Array) -> float:
        rng = np.random.default_rng(0)

        def disturbed(sigma: Jet) -> Jet:
            return Jet(
                {n: t * (1 + EPS * rng.uniform(-1, 1, np.shape(t))) for n, t in sigma.terms.items()}, sigma.order
            )

        with np.errstate(all="ignore"):
            moved = self._mixed(self._jet(X, X, (1, 1), disturbed), X[:, None, :], X)
            exact = self.mixed(X, X)
            return float(np.abs(moved - exact).max() / np.abs(exact).max())

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
        if not self.differentiable:
            raise self.no_force()
        a, b, c = self._first(p, q, r, dimension)
        s = self._scale(dimension)
        first = (
            Jet({(0, 0, 0): a, (1, 0, 0): s} if order[0] else {(0, 0, 0): a}, order),
            Jet({(0, 0, 0): b, (0, 1, 0): s} if order[1] else {(0, 0, 0): b}, order),
            Jet({(0, 0, 0): c, (0, 0, 1): s}, order),
        )
        return propagate(self.architecture, *first, disturbed)[1]

    def no_force(self) -> InputError:
        """Why a piecewise linear activation is refused."""
        return InputError(
            "discriminator.architecture.activation",
            "be smooth at width 0 (its kernel has a cusp at coincident points: the force at the data grows without "
            "bound with the width); give a smooth activation or a finite width",
            repr(self.architecture.activation),
        )

    def _scale(self, dimension: int) -> float:
        return self.architecture.weight_variance / (dimension * self.length_scale**2)

    def _first(self, p: Any, q: Any, r: Any, dimension: int) -> tuple[Any, Any, Any]:
        """The first layer's covariances."""
        s, sb = self._scale(dimension), self.architecture.bias_variance
        return s * p + sb, s * q + sb, s * r + sb


@lru_cache(maxsize=64)
def _rounding(kernel: TangentKernel, shape: tuple[int, int], points: bytes) -> float:
    X = np.frombuffer(points).reshape(shape)
    order = np.argsort(_squares(X), kind="stable")  # the nearest to the origin and the furthest among them
    return kernel._disturbed(X[order[np.unique(np.linspace(0, len(X) - 1, SAMPLED).round().astype(int))]])


def _squares(X: Array) -> Array:
    return np.sum(X * X, axis=-1)


def _outer(u: Array, v: Array) -> Array:
    return u[..., :, None] * v[..., None, :]


def _outer3(u: Array, v: Array) -> Array:
    """A matrix times a vector."""
    return u[..., :, :, None] * v[..., None, None, :]


def _no_profile() -> InputError:
    return InputError(
        "discriminator.kernel", "be a function of one scalar", "a tangent kernel, of |x|^2, |y|^2 and x.y"
    )


__all__ = ["TangentKernel"]
