"""Dual activations: E act(u) act(v) and E act'(u) act'(v) for Gaussian (u, v) of covariance [[a, c], [c, b]].

Arguments are arrays that broadcast, or jets (see ``jets``), real or complex; a, b >= 0 and c^2 <= a b are not checked.
The second is the derivative of the first in c (Price's theorem; Bonnet's for a: d/da E f(u) g(v) = E f''(u) g(v) / 2),
which a test checks for each form here. ``variance`` and ``slope`` are the two at u = v.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from ...tables.architecture import Architecture
from .jets import Jet, arcsin, arctan, exp, power
from .mixture import Smooth, Softplus, Tanh

Array = np.ndarray

#: distance of |c| / sqrt(a b) from 1 within which u and v are the same but for a factor
COINCIDENT = 1e-14


def coincide(a: Any, b: Any, c: Any) -> Any:
    """Where u is v but for a factor, to rounding, or one of them is 0."""
    return np.abs(np.real(c)) >= (1 - COINCIDENT) * (np.sqrt(np.abs(np.real(a))) * np.sqrt(np.abs(np.real(b))))


class Dual(Protocol):
    """``smooth``: derivatives of both exist at u = v."""

    smooth: bool

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        """(E act(u) act(v), E act'(u) act'(v))."""

    def variance(self, a: Any) -> Any:
        """E act(u)^2."""

    def slope(self, a: Any) -> Any:
        """E act'(u)^2."""


class LeakyRelu:
    """act(z) = z for z > 0, leak z else. With theta = arccos(c / sqrt(a b)) the arc-cosine kernels of order 1 and 0
    (Cho and Saul 2009) give

        leak c + (1 - leak)^2 sqrt(a b) [sin theta + (pi - theta) cos theta] / (2 pi)
        leak + (1 - leak)^2 (pi - theta) / (2 pi)

    Arrays are real. A rounded c / sqrt(a b) moves theta by up to sqrt(2 eps) = 2e-8 at u = v, which ``variance`` and
    ``slope`` avoid. The second has a cusp there: it falls as |u - v|. As jets the first is leak c + (1 - leak)^2 c / 2
    there (where the cosine is -1: leak c), up to the third power of |u - v|; terms of the second are of no use.
    """

    smooth = False

    def __init__(self, leak: float) -> None:
        self.leak, self.rest = leak, (1 - leak) ** 2 / (2 * math.pi)

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        if isinstance(c, Jet):
            scale = power(a, 0.5) * power(b, 0.5)
            with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where a variance is 0
                cosine = c / scale
            ends = coincide(a.constant, b.constant, c.constant)
            if np.any(ends):  # inside the range of arcsin and its derivatives
                at = np.where(ends, np.sign(np.real(c.constant)) * (1 - COINCIDENT), cosine.constant)
                cosine = Jet(cosine.terms | {(0, 0, 0): at}, cosine.order)
            angle = math.pi / 2 + arcsin(cosine)  # pi - theta
            value = power(1 - cosine * cosine, 0.5) * scale + angle * c
            if np.any(ends):
                whole = np.where(np.real(c.constant) > 0, math.pi, 0.0)
                angle.terms[0, 0, 0] = np.where(ends, whole, angle.constant)
                straight = c * whole
                for n in value.terms:
                    value.terms[n] = np.where(ends, straight.terms.get(n, 0.0), value.terms[n])
        else:
            scale = np.sqrt(a) * np.sqrt(b)
            with np.errstate(invalid="ignore", divide="ignore"):
                cosine = np.clip(np.where(scale > 0, c / scale, 0.0), -1, 1)
            angle = np.arccos(-cosine)
            value = np.sqrt((1 - cosine) * (1 + cosine)) * scale + angle * c
        return self.leak * c + self.rest * value, self.leak + self.rest * angle

    def variance(self, a: Any) -> Any:
        return a * ((1 + self.leak**2) / 2)

    def slope(self, a: Any) -> Any:
        return 0.0 * a + (1 + self.leak**2) / 2


class Erf(Smooth):
    """(2/pi) arcsin(2 c / sqrt((1 + 2a)(1 + 2b))) and (4/pi) / sqrt(D), D = (1 + 2a)(1 + 2b) - 4 c^2 (Williams 1997).

    Here as everywhere below arcsin is arctan(2 c / sqrt(D)), with D from a b - c^2: no digits are lost at large u = v.
    """

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        root = power(1 + 2 * (a + b) + 4 * (a * b - c * c), -0.5)
        return arctan(2 * c * root) * (2 / math.pi), root * (4 / math.pi)


class Gelu(Smooth):
    """act(z) = z Phi(z). With G = E Phi(u) Phi(v) = 1/4 + arcsin(c / sqrt((1 + a)(1 + b))) / (2 pi), H = dG/dc =
    1 / (2 pi sqrt(D)), D = (1 + a)(1 + b) - c^2 and s = 1/(1 + a) + 1/(1 + b), Gaussian integration by parts gives

        c G + H (a b - c^2 + c^2 s)   and, its derivative in c,   G + H c (s + 1/D)
    """

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        gap = a * b - c * c
        inverse = power(1 + a + b + gap, -1)
        root = power(inverse, 0.5)
        G, H = 0.25 + arctan(c * root) * (0.5 / math.pi), root * (0.5 / math.pi)
        s = power(1 + a, -1) + power(1 + b, -1)
        return c * G + H * (gap + c * c * s), G + H * c * (s + inverse)


class Sine(Smooth):
    """exp(-(a + b)/2) sinh c and exp(-(a + b)/2) cosh c."""

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        mean = (a + b) * 0.5
        near, far = exp(c - mean) * 0.5, exp(-1.0 * (c + mean)) * 0.5
        return near - far, near + far


class Polynomial(Smooth):
    """Mehler's formula ends: sum_k c^k / k! E act^(k)(u) E act^(k)(v), with E u^2m = (2m - 1)!! a^m."""

    def __init__(self, coefficients: Sequence[float]) -> None:
        self.degree = max((k for k, value in enumerate(coefficients) if value), default=0)
        #: (k, m): the factor of a^m in E act^(k)(u)
        self.means = [
            [
                coefficients[n] * math.perm(n, k) * math.prod(range(1, n - k, 2))
                for n in range(k, self.degree + 1)
                if (n - k) % 2 == 0
            ]
            for k in range(self.degree + 1)
        ]

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        terms = [_horner(mean, a) * _horner(mean, b) for mean in self.means]
        value = _horner([t * (1 / math.factorial(k)) for k, t in enumerate(terms)], c)
        slope = _horner([t * (1 / math.factorial(k)) for k, t in enumerate(terms[1:])], c)
        return value, slope


def _horner(coefficients: Sequence[Any], x: Any) -> Any:
    out = 0.0 * x + coefficients[-1]
    for value in reversed(coefficients[:-1]):
        out = out * x + value
    return out


_DUALS: dict[str, Callable[[], Dual]] = {"erf": Erf, "gelu": Gelu, "sine": Sine, "tanh": Tanh, "softplus": Softplus}


@lru_cache(maxsize=64)
def dual_activation(arch: Architecture) -> Dual:
    """The dual of an architecture's activation: a closed form where one is known, else a mixture of such."""
    name = arch.activation
    if name in ("relu", "leaky_relu"):
        return LeakyRelu(arch.leak if name == "leaky_relu" else 0.0)
    if name in ("identity", "polynomial"):
        return Polynomial((0.0, 1.0) if name == "identity" else arch.coefficients)
    return _DUALS[name]()


__all__ = ["Dual", "dual_activation"]
