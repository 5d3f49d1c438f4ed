"""Stationary kernels K(x, y) = k(|x - y|^2) with closed-form spectra: Gaussian, Matern, Laplace, rational quadratic.

Conventions of Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), section 4.2; ``variance`` is
K(x, x), ``length_scale`` has the units of x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .base import Kernel, positive
from .bessel import bessel_power, norm

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class Gaussian(Kernel):
    """variance exp(-r^2 / (2 l^2)).  Parameters are positive and finite (InputError)."""

    length_scale: float = 1.0
    variance: float = 1.0

    name: ClassVar[str] = "gaussian"
    kind: ClassVar[str] = "stationary"

    def __post_init__(self) -> None:
        positive(self, "length_scale")
        positive(self, "variance")

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        rate = -0.5 / self.length_scale**2
        k = self.variance * np.exp(rate * u)
        return [rate**j * k for j in range(order + 1)]

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        sp, u = _symbol()
        l, v = exact(self.length_scale), exact(self.variance)
        return v * sp.exp(-u / (2 * l**2)), u

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        l2 = self.length_scale**2
        return self.variance * np.exp(0.5 * dimension * math.log(2 * math.pi * l2) - 0.5 * l2 * k**2)

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal((count, dimension)) / self.length_scale


@dataclass(frozen=True)
class Matern(Kernel):
    """variance 2^(1-nu)/Gamma(nu) z^nu K_nu(z), z = sqrt(2 nu) r / l, smoothness nu > 0 (any real).

    Its spectrum falls as (1 + k^2 l^2 / (2 nu))^-(nu + d/2).  Differentiable as a kernel if nu > 1.
    Parameters are positive and finite (InputError).
    """

    length_scale: float = 1.0
    smoothness: float = 1.5
    variance: float = 1.0

    name: ClassVar[str] = "matern"
    kind: ClassVar[str] = "stationary"

    def __post_init__(self) -> None:
        positive(self, "length_scale")
        positive(self, "smoothness")
        positive(self, "variance")

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        return _matern_derivatives(u, order, self.smoothness, self.length_scale, self.variance)

    def _exists_at_zero(self, order: int) -> bool:
        return _matern_exists(self.smoothness, order)

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        sp, u = _symbol()
        nu, l, v = exact(self.smoothness), exact(self.length_scale), exact(self.variance)
        z = sp.sqrt(2 * nu * u) / l
        return v * 2 ** (1 - nu) / sp.gamma(nu) * z**nu * sp.besselk(nu, z), u

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        return _matern_spectrum(k, dimension, self.smoothness, self.length_scale, self.variance)

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        return _matern_frequencies(count, dimension, rng, self.smoothness, self.length_scale)


@dataclass(frozen=True)
class Laplace(Kernel):
    """variance exp(-r / l), the Matern kernel of smoothness 1/2: continuous, but with no force at coincident points.

    Parameters are positive and finite (InputError).
    """

    length_scale: float = 1.0
    variance: float = 1.0

    name: ClassVar[str] = "laplace"
    kind: ClassVar[str] = "stationary"

    def __post_init__(self) -> None:
        positive(self, "length_scale")
        positive(self, "variance")

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        return _matern_derivatives(u, order, 0.5, self.length_scale, self.variance)

    def _exists_at_zero(self, order: int) -> bool:
        return _matern_exists(0.5, order)

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        sp, u = _symbol()
        return exact(self.variance) * sp.exp(-sp.sqrt(u) / exact(self.length_scale)), u

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        return _matern_spectrum(k, dimension, 0.5, self.length_scale, self.variance)

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        return _matern_frequencies(count, dimension, rng, 0.5, self.length_scale)


@dataclass(frozen=True)
class RationalQuadratic(Kernel):
    """variance (1 + r^2 / (2 alpha l^2))^-alpha: Gaussians of precision tau ~ Gamma(alpha, rate alpha l^2), mixed.

    Its tail falls as r^(-2 alpha), so K_k is infinite at k = 0 if alpha <= d/2.  Parameters are positive and finite
    (InputError).
    """

    length_scale: float = 1.0
    alpha: float = 1.0
    variance: float = 1.0

    name: ClassVar[str] = "rational_quadratic"
    kind: ClassVar[str] = "stationary"

    def __post_init__(self) -> None:
        positive(self, "length_scale")
        positive(self, "alpha")
        positive(self, "variance")

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        from scipy.special import log1p  # NumPy's complex log1p loses small arguments

        rate = 0.5 / (self.alpha * self.length_scale**2)
        log_base = log1p(rate * u)
        out, factor = [], self.variance
        for j in range(order + 1):
            out.append(factor * np.exp(-(self.alpha + j) * log_base))
            factor *= -(self.alpha + j) * rate
        return out

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        _, u = _symbol()
        l, alpha, v = exact(self.length_scale), exact(self.alpha), exact(self.variance)
        return v * (1 + u / (2 * alpha * l**2)) ** (-alpha), u

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        # int Gamma(tau; alpha, alpha l^2) (2 pi/tau)^(d/2) exp(-k^2/(2 tau)) dtau, with z = sqrt(2 alpha) l k.
        from scipy.special import gammaln, poch

        l, alpha = self.length_scale, self.alpha
        mu = alpha - 0.5 * dimension
        shape = bessel_power(mu, 2 * alpha * (l * k) ** 2)
        log_volume = 0.5 * dimension * math.log(2 * math.pi * alpha * l**2)
        if mu > 0:
            return self.variance * np.exp(log_volume) / poch(mu, 0.5 * dimension) * shape
        return self.variance * np.exp(log_volume + (1 - mu) * math.log(2) - gammaln(alpha)) * shape

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        precision = rng.gamma(self.alpha, 1 / (self.alpha * self.length_scale**2), size=(count, 1))
        return np.sqrt(precision) * rng.standard_normal((count, dimension))


def _matern_derivatives(u: np.ndarray, order: int, nu: float, l: float, variance: float) -> list[np.ndarray]:
    """d^j/du^j: each derivative lowers the order of z^nu K_nu(z) by one and multiplies it by -a^2/2, a^2 = 2 nu/l^2."""
    a2 = 2 * nu / l**2
    out, factor = [], variance
    for j in range(order + 1):
        mu = nu - j
        k = np.array(bessel_power(mu, a2 * u))
        k.real *= factor  # a complex product would turn the infinite limits at u = 0 into nan
        if np.iscomplexobj(k):
            k.imag *= factor
        out.append(k)
        factor *= -0.5 * a2 * _norm_ratio(mu)
    return out


def _norm_ratio(mu: float) -> float:
    """norm(mu - 1) / norm(mu), without the overflow of Gamma(mu)."""
    return 0.5 / (mu - 1) if mu > 1 else 1 / norm(mu)


def _matern_exists(nu: float, order: int) -> bool:
    """The first non-analytic term is r^(2 nu), bounded after `order` derivatives if 2 nu >= order; order 2 needs >."""
    return nu > 1 if order == 2 else nu >= 0.5 * order


def _matern_spectrum(k: np.ndarray, dimension: int, nu: float, l: float, variance: float) -> np.ndarray:
    """(4 pi)^(d/2) Gamma(nu + d/2)/Gamma(nu) a^-d (1 + k^2/a^2)^-(nu + d/2), a = sqrt(2 nu)/l."""
    from scipy.special import poch

    a2 = 2 * nu / l**2
    log_volume = 0.5 * dimension * math.log(4 * math.pi / a2)
    return variance * np.exp(log_volume - (nu + 0.5 * dimension) * np.log1p(k**2 / a2)) * poch(nu, 0.5 * dimension)


def _matern_frequencies(count: int, dimension: int, rng: np.random.Generator, nu: float, l: float) -> np.ndarray:
    """Multivariate Student t with 2 nu degrees of freedom and scale 1/l."""
    scale = np.sqrt(rng.chisquare(2 * nu, size=(count, 1)) / (2 * nu))
    return rng.standard_normal((count, dimension)) / (scale * l)


def _symbol():
    import sympy

    return sympy, sympy.Symbol("u", positive=True)


def exact(value: float) -> sympy.Rational:
    """The parameter as the shortest decimal that names it, so that 1.5 is 3/2 and 0.1 is 1/10."""
    import sympy

    return sympy.Rational(repr(float(value)))
