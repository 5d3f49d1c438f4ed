"""The kernel contract: K(x, y) as a profile k(u), and its derivatives in x and y."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ..base.errors import InputError
from ..base.parameters import parameters_of
from ..base.series import Series
from . import tensors

if TYPE_CHECKING:
    import sympy

T = TypeVar("T", bound="Kernel")

MAX_ORDER = 3  # highest derivative of the profile that any method needs

#: kernels beyond it are refused: matrices of them are squared
LARGEST_KERNEL = 1e140
#: random features of larger frequencies are refused: derivatives of features have it squared, and that times variance
LARGEST_FREQUENCY = 1e60
#: what an exact kernel must do for a discriminator to have a force at the data
FORCE_AT_DATA = (
    "have a second derivative at coincident points when features = 0 (the force at the data would be infinite): "
    "give features > 0 or a smoother kernel"
)
_AT_ZERO = {
    1: "have a bounded first derivative at coincident points",
    2: "have a second derivative at coincident points (the force at the data would be infinite)",
    3: "have a bounded third derivative at coincident points",
}


@dataclass(frozen=True)
class Kernel:
    """A discriminator kernel K(x, y) = psi(x).psi(y) that is a function of one scalar.

    ``kind`` "stationary": K(x, y) = k(u), u = |x - y|^2; "dot": K(x, y) = k(u), u = x.y; "inner", of |x|^2, |y|^2 and
    x.y or of pixels, has no profile and methods of its own (WideKernel).

    Shapes: X is (..., n, d), Y is (m, d); results put (..., n, m) first and one axis of length d per derivative, in the
    order in which the method names them.  X, Y and u may be complex: every method continues the profile analytically,
    so complex-step differentiation works.  A profile with a branch point at u = 0 (Matern) takes the mean of its two
    branches on u < 0, which is the symmetric derivative of the kernel at coincident points.

    Subclasses are final; they give ``_derivatives``, ``profile_expression`` and, if stationary, the spectrum. Those
    that an experiment may name stand in KERNELS (decorator ``named``); their fields are parameters of [discriminator],
    in the range that they declare (InputError).
    """

    name: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    #: the parameter that makes its frequencies large where it is small
    heavy: ClassVar[str] = "length_scale"
    #: in words, where they are others than the name's
    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, parameter in parameters_of(self).items():
            object.__setattr__(self, name, parameter.checked(f"discriminator.{name}", getattr(self, name)))

    # --- the profile -------------------------------------------------------------------------------------------------

    def derivatives(self, u: Any, order: int = 0) -> list[np.ndarray]:
        """[k(u), k'(u), ..., k^(order)(u)], derivatives with respect to u, each of the shape of u.

        At u = 0 a derivative that diverges is returned as +-inf.  Raises InputError unless order is 0, 1, 2 or 3.
        """
        if order not in range(MAX_ORDER + 1):
            raise InputError("order", f"be an integer from 0 to {MAX_ORDER}", order)
        return self._at(_inexact(u), int(order))

    def _at(self, u: Any, order: int) -> list[np.ndarray]:
        """``derivatives`` of an array or of a power series, for which those of higher orders are put together."""
        return list(u.through(self._derivatives, order)) if isinstance(u, Series) else self._derivatives(u, order)

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        raise NotImplementedError

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        """(k as a SymPy expression, its symbol u), with this kernel's parameters put in."""
        raise NotImplementedError

    @property
    def differentiable(self) -> bool:
        """Whether d_x d_y K exists at x = y, so that D has a square-integrable force at the data."""
        return self._exists_at_zero(2)

    def _exists_at_zero(self, order: int) -> bool:
        """Whether the derivative of this total order in (x, y) is bounded at x = y; order 2 must also be unique."""
        return True

    # --- K(x, y) and its derivatives in x and y ----------------------------------------------------------------------

    def value(self, X: Any, Y: Any) -> np.ndarray:
        """K(x, y): (..., n, m)."""
        X, Y = self._points(X, Y)
        return self._at(self._argument(X, Y), 0)[0]

    def gradient(self, X: Any, Y: Any) -> np.ndarray:
        """dK/dx_a: (..., n, m, d).

        At x = y of a stationary kernel it is 0 by symmetry, also where only one-sided slopes exist (Laplace).
        Raises InputError at x = y if the slope is infinite there (Matern below smoothness 1/2).
        """
        return self._pairs(X, Y, (1,), tensors.stationary_gradient, tensors.dot_gradient)

    def mixed(self, X: Any, Y: Any) -> np.ndarray:
        """d^2 K/dx_a dy_b: (..., n, m, d, d), axes a, b.  Raises InputError at x = y if not ``differentiable``."""
        return self._pairs(X, Y, (2,), tensors.stationary_mixed, tensors.dot_mixed)

    def hessian(self, X: Any, Y: Any) -> np.ndarray:
        """d^2 K/dx_a dx_c: (..., n, m, d, d), axes a, c.  Raises InputError at x = y if not ``differentiable``."""
        return self._pairs(X, Y, (2,), lambda *a: -tensors.stationary_mixed(*a), tensors.dot_hessian)

    def third(self, X: Any, Y: Any) -> np.ndarray:
        """d^3 K/dx_a dx_c dy_b: (..., n, m, d, d, d), axes a, c, b.

        At x = y of a stationary kernel it is 0 by symmetry, also where only one-sided limits exist (Matern 3/2).
        Raises InputError at x = y if it is infinite there (Matern below smoothness 3/2).
        """
        return self._pairs(X, Y, (2, 3), tensors.stationary_third, tensors.dot_third)

    def _pairs(self, X: Any, Y: Any, orders: tuple[int, ...], stationary: Any, dot: Any) -> np.ndarray:
        """A tensor of K(x, y) from the profile's derivatives, those of total ``orders`` having to exist at x = y."""
        X, Y = self._points(X, Y)
        u = self._argument(X, Y)
        for order in orders:
            self._check_zero(u, order)
        k = self._at(u, orders[-1])
        return (stationary if self.kind == "stationary" else dot)(X, Y, k)

    def diagonal(self, X: Any) -> np.ndarray:
        """K(x, x): (..., n)."""
        return self._derivatives(self._self_argument(_inexact(X)), 0)[0]

    def mixed_diagonal(self, X: Any) -> np.ndarray:
        """d^2 K/dx_a dy_b at y = x: (..., n, d, d).  Raises InputError if not ``differentiable``."""
        X = _inexact(X)
        u = self._self_argument(X)
        self._check_zero(u, 2)
        k = self._derivatives(u, 2)
        eye = np.eye(X.shape[-1])
        if self.kind == "stationary":
            return -2 * k[1][..., None, None] * eye
        return k[1][..., None, None] * eye + k[2][..., None, None] * X[..., :, None] * X[..., None, :]

    def _points(self, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, Y = _inexact(X), _inexact(Y)
        if X.ndim < 2 or Y.ndim != 2 or X.shape[-1] != Y.shape[-1]:
            raise InputError("points", "have shapes (..., n, d) and (m, d)", f"{X.shape} and {Y.shape}")
        return X, Y

    def _argument(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return tensors.squared_distance(X, Y) if self.kind == "stationary" else X @ Y.T

    def _self_argument(self, X: np.ndarray) -> np.ndarray:
        return np.zeros(X.shape[:-1], X.dtype) if self.kind == "stationary" else np.sum(X * X, axis=-1)

    def _check_zero(self, u: np.ndarray, order: int) -> None:
        """InputError if u holds coincident points at which the derivative of this order is infinite."""
        if self.kind != "stationary":
            return
        refused = 0
        if not self._exists_at_zero(order) and np.any(u == 0 if order == 1 else coincident(u)):
            refused = order
        elif order == 1 and np.any(coincident(u) & (u != 0)) and not self._exists_at_zero(2):
            refused = 2  # a complex step away from x = y: the imaginary part would be the second derivative
        if refused:
            raise InputError("discriminator.kernel", _AT_ZERO[refused], f"{self!r}, which has none")

    # --- Fourier space -----------------------------------------------------------------------------------------------

    def spectral_density(self, k: Any, dimension: int) -> np.ndarray:
        """K_k = int K(r) exp(-i k.r) dr over R^dimension, of the shape of k, the modulus of the wavevector (>= 0).

        Units: those of K times length^dimension; an integral that diverges (heavy tails, k = 0) is inf.
        Raises InputError for dot-product kernels, negative k, or a dimension where K_k does not fit a double.
        """
        wavenumber = np.asarray(k, dtype=float)
        _dimension(dimension)
        self._require_stationary("spectral density")
        if not np.all(np.isfinite(wavenumber)) or np.any(wavenumber < 0):
            raise InputError("k", "be finite wavenumbers >= 0")
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            density = np.asarray(self._spectral_density(wavenumber, int(dimension)))
        if np.any(np.isnan(density)) or np.any(np.isinf(density) & (wavenumber > 0)):
            raise InputError("dimension", "be small enough for K_k to fit a double", f"{dimension} with {self!r}")
        return density

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        raise NotImplementedError

    def sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        """(count, dimension) wavevectors drawn from K_k / ((2 pi)^d K(0)), so that K(r) = K(0) E[cos k.r].

        Source: Rahimi and Recht, "Random features for large-scale kernel machines", NIPS 2007 (Bochner's theorem).
        Raises InputError for dot-product kernels, and for frequencies that are too large to square.
        """
        _dimension(dimension)
        self._require_stationary("spectral density")
        if not isinstance(count, numbers.Integral) or count < 0:
            raise InputError("count", "be an integer >= 0", count)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            found = self._sample_frequencies(int(count), int(dimension), rng)
        if not np.all(np.abs(found) <= LARGEST_FREQUENCY):
            value = getattr(self, self.heavy, None)
            rule = f"be larger: frequencies of random features have to stay below {LARGEST_FREQUENCY:.0e}"
            raise InputError(f"discriminator.{self.heavy}", rule, f"{value}: {np.abs(found).max(initial=0.0):.3g}")
        return found

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError

    def _require_stationary(self, what: str) -> None:
        if self.kind != "stationary":
            raise InputError(
                "discriminator.kernel",
                f"be stationary, a function of |x - y|^2, to have a {what}",
                f"{self!r}, which is not translation invariant",
            )

    # --- finite feature maps -----------------------------------------------------------------------------------------

    def polynomial_features(self, dimension: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Exact finite feature map psi_p(x) = coefficient_p prod_a x_a^exponent_pa with K(x, y) = psi(x).psi(y).

        Returns (exponents (P, dimension) integers, coefficients (P,)), or None if no such finite map is known.
        """
        _dimension(dimension)
        return None

    def feature_count(self, dimension: int) -> int | None:
        """P of ``polynomial_features``, or None."""
        return None


#: the kernels that an experiment may name
KERNELS: dict[str, type[Kernel]] = {}


def named(kernel: type[T]) -> type[T]:
    """Class decorator: an entry of KERNELS."""
    KERNELS[kernel.name] = kernel
    return kernel


def check_range(kernel: Kernel, Y: np.ndarray) -> None:
    """Raise InputError where a dot-product kernel of the points (n, d), or d_x d_y of it, is too large to square."""
    if kernel.kind != "dot":
        return
    furthest = Y[[int(np.argmax(np.abs(Y).max(-1)))]]
    with np.errstate(over="ignore", invalid="ignore"):
        size = max(np.abs(kernel.diagonal(furthest)).max(), np.abs(kernel.mixed_diagonal(furthest)).max())
    if not size <= LARGEST_KERNEL:
        rule = (
            f"be at most {LARGEST_KERNEL:.0e} at the data, with its derivatives (a smaller degree, scale or variance)"
        )
        raise InputError("discriminator.kernel", rule, f"{kernel.name}, {size:.3g} at {np.abs(furthest).max():.3g}")


def coincident(u: np.ndarray) -> np.ndarray:
    """Where u = |x - y|^2 belongs to points whose real parts coincide (u real and <= 0)."""
    return (u.imag == 0) & (u.real <= 0)


def _dimension(dimension: int) -> None:
    if isinstance(dimension, bool) or not isinstance(dimension, numbers.Integral) or dimension < 1:
        raise InputError("dimension", "be an integer >= 1", dimension)


def _inexact(x: Any) -> Any:
    if isinstance(x, Series):
        return x
    x = np.asarray(x)
    return x if np.issubdtype(x.dtype, np.inexact) else x.astype(float)
