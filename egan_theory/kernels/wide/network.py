"""What the kernels of wide discriminators have in common, whatever their layers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...base.errors import InputError
from ...tables.architecture import Architecture
from ..base import Kernel
from .dual import coincide, dual_activation

if TYPE_CHECKING:
    import sympy

Array = np.ndarray

EPS = float(np.finfo(float).eps)
#: relative rounding error of d_x d_y K beyond which a kernel is refused, and points at which it is looked at
LARGEST_ROUNDING, SAMPLED = 1e-8, 16


@dataclass(frozen=True)
class WideKernel(Kernel):
    """K(x / length_scale, y / length_scale) of ``architecture`` in the limit of infinite width: the tangent kernel
    where all weights are trained, the covariance of its outputs (NNGP) where only the readout is.

    Shapes as in Kernel; X and Y may carry complex steps.

    With a piecewise linear activation (relu, leaky_relu) the tangent kernel falls as |x - y| from coincident points,
    and of images from ones that share what a filter sees: derivatives exist between others only (InputError there), and
    there is no force at the data. The covariance has them everywhere: to second order it is smooth where points
    coincide, and what follows (a kink of the second derivative) is left out at points that coincide to rounding.
    """

    architecture: Architecture
    length_scale: float = 1.0

    kind: ClassVar[str] = "inner"

    @property
    def readout_only(self) -> bool:
        return self.architecture.trained == "readout"

    def _exists_at_zero(self, order: int) -> bool:
        return order == 0 or self.readout_only or dual_activation(self.architecture).smooth

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        raise _no_profile()

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        raise _no_profile()

    def _check_apart(self, a: Array, b: Array, c: Array) -> None:
        """Raise InputError where the first layer's covariances coincide and a kink then leaves no derivative, or
        vanish, where the kink itself is."""
        if dual_activation(self.architecture).smooth:
            return
        if not self.differentiable and np.any(coincide(a, b, c)):
            raise self.no_force()
        if not (np.all(a) and np.all(b)):
            what = "point" if self.architecture.layers is None else "patch"
            rule = f"be greater than 0 for derivatives at a {what} of zeros, the kink of {self.architecture.activation}"
            raise InputError("discriminator.architecture.bias_variance", rule, 0.0)

    def no_force(self) -> InputError:
        """Why a piecewise linear activation is refused."""
        what = "points" if self.architecture.layers is None else "points and equal patches"
        return InputError(
            "discriminator.architecture.activation",
            f"be smooth at width 0 (its kernel has a cusp at coincident {what}: the force at the data grows without "
            "bound with the width); give a smooth activation, a finite width or trained = 'readout'",
            repr(self.architecture.activation),
        )

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
        with np.errstate(all="ignore"):
            moved = self._mixed_disturbed(X, lambda t: t * (1 + EPS * rng.uniform(-1, 1, np.shape(t))))
            exact = self.mixed(X, X)
            return float(np.abs(moved - exact).max() / np.abs(exact).max())

    def _mixed_disturbed(self, X: Array, changed: Callable[[Array], Array]) -> Array:
        """``mixed`` of X with X, the arrays that each layer is given being changed."""
        raise NotImplementedError


@lru_cache(maxsize=64)
def _rounding(kernel: WideKernel, shape: tuple[int, int], points: bytes) -> float:
    X = np.frombuffer(points).reshape(shape)
    order = np.argsort(np.sum(X * X, axis=-1), kind="stable")  # the nearest to the origin and the furthest among them
    return kernel._disturbed(X[order[np.unique(np.linspace(0, len(X) - 1, SAMPLED).round().astype(int))]])


def _no_profile() -> InputError:
    return InputError(
        "discriminator.kernel", "be a function of one scalar", "a network's, of the inner products of its inputs"
    )


__all__ = ["WideKernel"]
