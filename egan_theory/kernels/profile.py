"""Kernels given by their profile as a SymPy expression: derivatives by SymPy, spectrum by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from .base import Kernel, coincident
from .spectral import radial_fourier, sample_radial

if TYPE_CHECKING:
    import sympy

_NEGATIVE = 1e-7  # a spectrum below minus this times its peak is negative, not rounded
_NAIVE_ERROR = 1e-12  # where double precision loses more than this near u = 0, more digits are used
_DIGITS = 60


@dataclass(frozen=True, kw_only=True)
class ProfileKernel(Kernel):
    """K(x, y) = k(u) with k a SymPy expression of the symbol u; build it with :func:`kernel_from_profile`.

    Values at u = 0 are SymPy limits u -> 0+, checked in many digits.  Where double precision cancels near a removable
    singularity (such as sin(sqrt u)/sqrt u), the profile is evaluated with more digits.  The spectrum is
    :func:`radial_fourier`; frequencies come from its inverse CDF.
    """

    expression: sympy.Expr
    symbol: sympy.Symbol
    kind: str = "stationary"  # type: ignore[misc]  # a class attribute of every built-in kernel, chosen here per kernel
    name: str = "user"  # type: ignore[misc]
    smooth: bool | None = None  # overrides the limit test of `differentiable`

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        return [self._derivative(u, j) for j in range(order + 1)]

    def _derivative(self, u: np.ndarray, j: int) -> np.ndarray:
        function = _lambdified(self.expression, self.symbol, j)
        stationary = self.kind == "stationary"
        cut = coincident(u) if stationary else np.zeros(u.shape, bool)
        argument = u.astype(complex) if np.any(cut & (u != 0)) else u
        with np.errstate(all="ignore"):
            k = np.array(np.broadcast_to(function(argument), u.shape))
        if stationary and np.any(near := np.abs(u) < _naive_radius(self.expression, self.symbol, j)):
            k = k.astype(np.result_type(k, u))
            k[near] = _precise(self.expression, self.symbol, j, argument[near], np.iscomplexobj(k))
        k = np.where(cut, k.real, k)  # mean of the two branches
        if stationary and np.any(u == 0):
            k = np.where(u == 0, _limit(self.expression, self.symbol, j, 0), k)
        return k if np.iscomplexobj(u) else np.real(k)

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        return self.expression, self.symbol

    def _exists_at_zero(self, order: int) -> bool:
        if self.kind != "stationary":
            return True
        if order == 2:
            if self.smooth is not None:
                return self.smooth
            return bool(np.isfinite(_limit(self.expression, self.symbol, 1, 0)))
        # Odd orders are sqrt(u) times k' or k'': bounded is enough, since symmetry then makes their mean 0.
        return bool(np.isfinite(_limit(self.expression, self.symbol, (order + 1) // 2, 1)))

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        spectrum = radial_fourier(self._radial, k, dimension)
        self._check_positive(spectrum, k, dimension)
        return spectrum

    def _check_positive(self, spectrum: np.ndarray, k: np.ndarray, dimension: int) -> None:
        # One wavenumber has no peak to compare with, so the whole scale is looked at.
        scale = _spectral_scale(self)
        probe = radial_fourier(self._radial, scale * np.geomspace(0.05, 20, 25), dimension)
        peak = float(np.abs(probe).max())
        lowest = min(float(spectrum.min(initial=0.0)), float(probe.min()))
        if lowest < -_NEGATIVE * peak:
            raise InputError(
                "discriminator.kernel",
                f"have a spectrum >= 0 to be a positive kernel in {dimension} dimension(s)",
                f"{lowest:.3g} against a peak of {peak:.3g} for {self.name!r}",
            )

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        self._check_positive(np.zeros(0), np.zeros(0), dimension)
        total = (2 * np.pi) ** dimension * float(self.derivatives(0.0)[0])
        return sample_radial(
            lambda k: radial_fourier(self._radial, k, dimension), total, _spectral_scale(self), count, dimension, rng
        )

    def _radial(self, r: np.ndarray) -> np.ndarray:
        return self.derivatives(r * r)[0]


def kernel_from_profile(
    profile: Callable[[sympy.Symbol], sympy.Expr] | sympy.Expr,
    kind: str = "stationary",
    name: str = "user",
    symbol: sympy.Symbol | None = None,
    differentiable: bool | None = None,
) -> ProfileKernel:
    """Kernel K(x, y) = k(u) from its profile: a function of a SymPy symbol, or an expression in one symbol.

    Args:
        kind: "stationary": u = |x - y|^2; "dot": u = x.y.
        symbol: the variable of an expression that has more than one or none.
        differentiable: overrides the test whether k'(0+) is finite.

    Returns:
        A kernel for ``eg.Discriminator(kernel=...)``. Text is never parsed.

    Units:
        u in length^2, K a pure number.

    Raises:
        InputError: the profile is neither, has other free symbols, is not analytic (Abs, re, im, conjugate, sign) or
            has no finite value at coincident points, or ``kind`` is another word.

    Assumes:
        That K is positive; checked only where a spectrum is asked for.

    Source:
        Eq. (11, kernel-transform) for the spectrum; Schoenberg 1938 for functions of |x - y|^2.

    Examples:
        >>> import egan_theory as eg
        >>> kernel = eg.kernel_from_profile(lambda u: 1 / (1 + u) ** 2)
        >>> value, slope = kernel.derivatives(0.0, order=1)
        >>> float(value), float(slope)
        (1.0, -2.0)
    """
    import sympy

    if kind not in ("stationary", "dot"):
        raise InputError("discriminator.kernel", "be of kind 'stationary' or 'dot'", repr(kind))
    u = sympy.Symbol("u", positive=True) if kind == "stationary" else sympy.Symbol("u", real=True)
    if isinstance(profile, sympy.Expr):
        free = profile.free_symbols
        if symbol is None and len(free) > 1:
            raise InputError(
                "discriminator.kernel", "have one symbol, or be given with symbol=", sorted(map(str, free))
            )
        expression: Any = profile.xreplace({s: u for s in ([symbol] if symbol is not None else free)})
    elif callable(profile):
        expression = profile(u)
        if isinstance(expression, int | float):
            expression = sympy.Float(expression)
    else:
        raise InputError("discriminator.kernel", "be a SymPy expression or a function of one", repr(profile))
    if not isinstance(expression, sympy.Expr):
        raise InputError("discriminator.kernel", "give a SymPy expression", repr(expression))
    extra = expression.free_symbols - {u}
    if extra:
        raise InputError("discriminator.kernel", "have no symbol besides its variable", sorted(map(str, extra)))
    if expression.has(sympy.Abs, sympy.re, sympy.im, sympy.conjugate, sympy.sign, sympy.I, sympy.zoo, sympy.nan):
        raise InputError("discriminator.kernel", "be a real analytic function of u", expression)
    kernel = ProfileKernel(expression=expression, symbol=u, kind=kind, name=name, smooth=differentiable)
    if kind == "stationary" and not 0 < float(kernel.derivatives(0.0)[0]) < np.inf:
        raise InputError("discriminator.kernel", "have a finite value > 0 at coincident points", expression)
    return kernel


def _spectral_scale(kernel: ProfileKernel) -> float:
    """1 / the radius where the profile falls to half."""
    r = np.geomspace(1e-12, 1e12, 1921)
    with np.errstate(all="ignore"):
        f = np.abs(kernel._radial(r))
    low = np.flatnonzero(f < 0.5 * np.nanmax(f))
    return 1 / float(r[low[0]]) if low.size else 1.0


@lru_cache(maxsize=256)
def _diff(expression: sympy.Expr, symbol: sympy.Symbol, j: int) -> sympy.Expr:
    return expression.diff(symbol, j)


@lru_cache(maxsize=256)
def _lambdified(expression: sympy.Expr, symbol: sympy.Symbol, j: int) -> Callable[[np.ndarray], np.ndarray]:
    import sympy

    return sympy.lambdify(symbol, _diff(expression, symbol, j), modules=["scipy", "numpy"])


@lru_cache(maxsize=256)
def _many_digits(expression: sympy.Expr, symbol: sympy.Symbol, j: int) -> Callable[[Any], Any]:
    import sympy

    return sympy.lambdify(symbol, _diff(expression, symbol, j), modules="mpmath")


@lru_cache(maxsize=256)
def _limit(expression: sympy.Expr, symbol: sympy.Symbol, j: int, half_powers: int) -> float:
    """lim u -> 0+ of u^(half_powers/2) k^(j)(u), +-inf if it diverges.

    SymPy's limit can be wrong for Bessel functions, so it is held against the profile in many digits, u = 1e-40, 1e-80
    and 1e-120 extrapolated as L + c u^p (Aitken).  Where the two differ the digits decide.
    """
    import mpmath
    import sympy

    target = sympy.sqrt(symbol) ** half_powers * _diff(expression, symbol, j)
    function = sympy.lambdify(symbol, target, modules="mpmath")
    with mpmath.workdps(120 * (j + 2) + _DIGITS):
        first, second, third = (mpmath.re(function(mpmath.mpf(10) ** -e)) for e in (40, 80, 120))
        before, after = second - first, third - second
        noise = mpmath.mpf(10) ** -_DIGITS * abs(third)
        if abs(after) <= noise:
            digits = third
        elif abs(after) >= 0.99 * abs(before):  # equal steps: a logarithm
            return float(mpmath.sign(after)) * np.inf
        else:
            digits = third - after**2 / (after - before)
        size = max(abs(first), abs(digits))
        digits = 0.0 if abs(digits) <= 1e-12 * size else float(digits)
    try:
        value = float(sympy.limit(target, symbol, 0, "+"))
    except Exception:  # SymPy signals a limit it cannot do by many kinds of exception
        return digits
    return value if np.isfinite(value) and abs(value - digits) <= 1e-12 * float(size) else digits


@lru_cache(maxsize=256)
def _naive_radius(expression: sympy.Expr, symbol: sympy.Symbol, j: int) -> float:
    """Largest u, if any, at which double precision loses digits on the way to u = 0."""
    with np.errstate(all="ignore"):
        at_zero = complex(np.asarray(_lambdified(expression, symbol, j)(np.zeros(1))).ravel()[0])
    if np.isfinite(at_zero):
        return 0.0
    u = np.geomspace(1e-24, 1e6, 61)
    with np.errstate(all="ignore"):
        naive = np.broadcast_to(_lambdified(expression, symbol, j)(u), u.shape)
    right = _precise(expression, symbol, j, u, False)
    with np.errstate(all="ignore"):
        lost = ~(np.abs(naive - right) <= _NAIVE_ERROR * np.abs(right))
    # Far out a decayed profile may lose digits too; only the run that touches u = 0 is a removable singularity.
    first_good = int(np.argmin(lost)) if not lost.all() else len(u)
    return 0.0 if first_good == 0 else float(u[min(first_good, len(u) - 1)])


def _precise(expression: sympy.Expr, symbol: sympy.Symbol, j: int, u: np.ndarray, as_complex: bool) -> np.ndarray:
    """k^(j) with enough digits to survive the cancellation of j + 1 derivatives near u = 0."""
    import mpmath

    function = _many_digits(expression, symbol, j)
    out = np.empty(u.shape, complex)
    for index, value in np.ndenumerate(u):
        if value == 0:
            out[index] = 0  # the caller puts the limit there
            continue
        lost = max(0.0, -np.log10(abs(value)))
        with mpmath.workdps(int(_DIGITS + (j + 2) * lost)):
            argument = mpmath.mpc(value) if np.iscomplexobj(u) else mpmath.mpf(float(value))
            out[index] = complex(function(argument))
    return out if as_complex else out.real
