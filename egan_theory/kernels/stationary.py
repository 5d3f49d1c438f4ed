"""Stationary kernels K(x, y) = k(|x - y|^2) with closed-form spectra: Gaussian, Matern, Laplace, rational quadratic.

Conventions of Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), section 4.2; ``variance`` is
K(x, x), ``length_scale`` has the units of x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..base.parameters import positive
from .base import Kernel, named
from .bessel import bessel_power, norm

if TYPE_CHECKING:
    import sympy

LENGTH_SCALE = positive(1.0, "length")
VARIANCE = positive(1.0, "K at zero distance")


@named
@dataclass(frozen=True)
class Gaussian(Kernel):
    """variance exp(-r^2 / (2 l^2))."""

    length_scale: float = LENGTH_SCALE.field()
    variance: float = VARIANCE.field()

    name: ClassVar[str] = "gaussian"
    title: ClassVar[str] = "Gaussian"
    kind: ClassVar[str] = "stationary"

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


class _MaternFamily(Kernel):
    """variance 2^(1-nu)/Gamma(nu) z^nu K_nu(z), z = sqrt(2 nu) r / l, of the order ``nu``."""

    length_scale: float
    variance: float

    @property
    def nu(self) -> float:
        raise NotImplementedError

    @property
    def _a2(self) -> float:
        return 2 * self.nu / self.length_scale**2

    def _derivatives(self, u: np.ndarray, order: int) -> list[np.ndarray]:
        """d^j/du^j: each lowers the order of z^nu K_nu(z) by one and multiplies it by -a^2/2, a^2 = 2 nu/l^2."""
        a2 = self._a2
        out, factor = [], self.variance
        for j in range(order + 1):
            mu = self.nu - j
            k = np.array(bessel_power(mu, a2 * u))
            k.real *= factor  # a complex product would turn the infinite limits at u = 0 into nan
            if np.iscomplexobj(k):
                k.imag *= factor
            out.append(k)
            factor *= -0.5 * a2 * _norm_ratio(mu)
        return out

    def _exists_at_zero(self, order: int) -> bool:
        """The first non-analytic term is r^(2 nu): bounded after so many if 2 nu >= order; order 2 needs >."""
        return self.nu > 1 if order == 2 else self.nu >= 0.5 * order

    def _spectral_density(self, k: np.ndarray, dimension: int) -> np.ndarray:
        """(4 pi)^(d/2) Gamma(nu + d/2)/Gamma(nu) a^-d (1 + k^2/a^2)^-(nu + d/2), a = sqrt(2 nu)/l."""
        from scipy.special import poch

        nu, a2, half = self.nu, self._a2, 0.5 * dimension
        log_volume = half * math.log(4 * math.pi / a2)
        return self.variance * np.exp(log_volume - (nu + half) * np.log1p(k**2 / a2)) * poch(nu, half)

    def _sample_frequencies(self, count: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
        """Multivariate Student t with 2 nu degrees of freedom and scale 1/l."""
        nu = self.nu
        scale = np.sqrt(rng.chisquare(2 * nu, size=(count, 1)) / (2 * nu))
        return rng.standard_normal((count, dimension)) / (scale * self.length_scale)


@named
@dataclass(frozen=True)
class Matern(_MaternFamily):
    """variance 2^(1-nu)/Gamma(nu) z^nu K_nu(z), z = sqrt(2 nu) r / l, smoothness nu > 0 (any real).

    Its spectrum falls as (1 + k^2 l^2 / (2 nu))^-(nu + d/2).  Differentiable as a kernel if nu > 1.
    """

    length_scale: float = LENGTH_SCALE.field()
    smoothness: float = positive(1.5, "the order nu", before="variance").field()
    variance: float = VARIANCE.field()

    name: ClassVar[str] = "matern"
    title: ClassVar[str] = "Matern of any smoothness"
    heavy: ClassVar[str] = "smoothness"
    kind: ClassVar[str] = "stationary"

    @property
    def nu(self) -> float:
        return self.smoothness

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        sp, u = _symbol()
        nu, l, v = exact(self.smoothness), exact(self.length_scale), exact(self.variance)
        z = sp.sqrt(2 * nu * u) / l
        return v * 2 ** (1 - nu) / sp.gamma(nu) * z**nu * sp.besselk(nu, z), u


@named
@dataclass(frozen=True)
class Laplace(_MaternFamily):
    """variance exp(-r / l), the Matern kernel of smoothness 1/2: continuous, but with no force at coincident points."""

    length_scale: float = LENGTH_SCALE.field()
    variance: float = VARIANCE.field()

    name: ClassVar[str] = "laplace"
    title: ClassVar[str] = "Laplace"
    kind: ClassVar[str] = "stationary"
    nu: ClassVar[float] = 0.5

    def profile_expression(self) -> tuple[sympy.Expr, sympy.Symbol]:
        sp, u = _symbol()
        return exact(self.variance) * sp.exp(-sp.sqrt(u) / exact(self.length_scale)), u


@named
@dataclass(frozen=True)
class RationalQuadratic(Kernel):
    """variance (1 + r^2 / (2 alpha l^2))^-alpha: Gaussians of precision tau ~ Gamma(alpha, rate alpha l^2), mixed.

    Its tail falls as r^(-2 alpha), so K_k is infinite at k = 0 if alpha <= d/2.
    """

    length_scale: float = LENGTH_SCALE.field()
    alpha: float = positive(1.0, "its tail falls as r^(-2 alpha)", before="variance").field()
    variance: float = VARIANCE.field()

    name: ClassVar[str] = "rational_quadratic"
    kind: ClassVar[str] = "stationary"

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


def _norm_ratio(mu: float) -> float:
    """norm(mu - 1) / norm(mu), without the overflow of Gamma(mu)."""
    return 0.5 / (mu - 1) if mu > 1 else 1 / norm(mu)


def _symbol():
    import sympy

    return sympy, sympy.Symbol("u", positive=True)


def exact(value: float) -> sympy.Rational:
    """The parameter as the shortest decimal that names it, so that 1.5 is 3/2 and 0.1 is 1/10."""
    import sympy

    return sympy.Rational(repr(float(value)))
