"""Dual activations of tanh and softplus, which have no closed form: exact mixtures of ones that do.

The logistic law is a normal law of random scale, 1/(1 + e^-x) = E Phi(x / (2 S)), with S of Kolmogorov's law
P(S <= s) = 1 + 2 sum_j (-1)^j exp(-2 j^2 s^2) (Andrews and Mallows 1974; Stefanski 1991). So tanh(x) =
E erf(x / (S sqrt 2)) and softplus(x) = E[x Phi(x/T) + T phi(x/T)], T = 2S, and with independent scales S, S' of the
two arguments

    tanh       E act(u) act(v) = (2/pi) E arcsin(c / sqrt((S^2 + a)(S'^2 + b)))
    softplus   E act(u) act(v) = E[c G + sqrt(D) / (2 pi)],   G = 1/4 + arcsin(c / sqrt((T^2 + a)(T'^2 + b))) / (2 pi),
               D = (T^2 + a)(T'^2 + b) - c^2,   and E act'(u) act'(v) = E G

The mean over each scale is Gauss quadrature in log S with NODES nodes: the integrand is analytic for |arg S| < pi/2
whatever a, b and c are, and the error is below 1e-12 of the value, 1e-10 of its derivatives to third order (tested).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .jets import Jet, arctan, power

Array = np.ndarray

NODES = 12
#: numbers of one coefficient of a jet, all pairs of nodes together
AT_ONCE = 200_000


class Smooth:
    """The dual of a smooth activation, whose forms hold at u = v as well."""

    smooth = True

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def variance(self, a: Any) -> Any:
        return self(a, a, a)[0]

    def slope(self, a: Any) -> Any:
        return self(a, a, a)[1]


class _Mixture(Smooth):
    #: the scale of the normal law, in units of S
    stretch = 1.0

    def __call__(self, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
        """E arctan(c / sqrt(D)) and what else is a mean over the scales, D = (s^2 + a)(t^2 + b) - c^2."""
        scales, weights = kolmogorov()
        squares = (self.stretch * scales) ** 2
        gap = a * b - c * c
        if isinstance(c, Jet) or np.size(gap) * NODES**2 <= AT_ONCE:  # pairs of scales on a first axis
            shape = np.broadcast(*(v.constant if isinstance(v, Jet) else v for v in (a, b, c))).shape
            pairs = (-1, *(1,) * len(shape))
            s, t = (v.reshape(pairs) for v in np.meshgrid(squares, squares))
            w, step = np.outer(weights, weights).reshape(pairs), max(1, AT_ONCE // max(1, math.prod(shape)))
            parts = [
                [_mean(mean, w[at]) for mean in self.means(c, s[at] * t[at] + s[at] * b + t[at] * a + gap)]
                for at in (slice(i, i + step) for i in range(0, len(w), step))
            ]
            angle, other = (_total(list(part)) for part in zip(*parts, strict=True))
        else:
            angle, other = np.zeros_like(gap), np.zeros_like(gap)
            for s, w in zip(squares, weights, strict=True):
                fixed = s * b + gap
                for t, v in zip(squares, weights, strict=True):
                    first, second = self.means(c, fixed + t * (a + s))
                    angle += (w * v) * first
                    other += (w * v) * second
        return self.finish(c, angle, other)

    def means(self, c: Any, D: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def finish(self, c: Any, angle: Any, other: Any) -> tuple[Any, Any]:
        raise NotImplementedError


class Tanh(_Mixture):
    def means(self, c: Any, D: Any) -> tuple[Any, Any]:
        root = power(D, -0.5)
        return arctan(c * root), root

    def finish(self, c: Any, angle: Any, other: Any) -> tuple[Any, Any]:
        return angle * (2 / math.pi), other * (2 / math.pi)


class Softplus(_Mixture):
    stretch = 2.0

    def means(self, c: Any, D: Any) -> tuple[Any, Any]:
        root = power(D, 0.5)
        return arctan(c / root), root

    def finish(self, c: Any, angle: Any, other: Any) -> tuple[Any, Any]:
        G = 0.25 + angle * (0.5 / math.pi)
        return c * G + other * (0.5 / math.pi), G


def _mean(values: Any, weights: Array) -> Any:
    if isinstance(values, Jet):
        return Jet({n: (weights * term).sum(0) for n, term in values.terms.items()}, values.order)
    return (weights * values).sum(0)


def _total(parts: list[Any]) -> Any:
    return sum(parts[1:], parts[0])


def kolmogorov_density(s: Array) -> Array:
    """Of Kolmogorov's law: 8 s sum_j (-1)^(j+1) j^2 exp(-2 j^2 s^2), by Jacobi's identity also, for small s,
    sqrt(2 pi) sum_k (k^2 pi^2 / (4 s^4) - 1/s^2) exp(-k^2 pi^2 / (8 s^2)) over odd k."""
    j = np.arange(1, 9)[:, None]
    k = 2 * j - 1
    far = 8 * s * np.sum((-1.0) ** (j + 1) * j**2 * np.exp(-2 * j**2 * s * s), axis=0)
    terms = (k**2 * np.pi**2 / (4 * s**4) - 1 / s**2) * np.exp(-(k**2) * np.pi**2 / (8 * s * s))
    return np.where(s < 0.8, math.sqrt(2 * math.pi) * terms.sum(0), far)


@lru_cache(maxsize=4)
def kolmogorov(nodes: int = NODES) -> tuple[Array, Array]:
    """(scales, weights) of Gauss quadrature for Kolmogorov's law in log S: Lanczos on a fine trapezoidal rule, which is
    exact to rounding for a density that falls off doubly exponentially in log S (Golub and Welsch 1969)."""
    log = np.arange(math.log(0.12), math.log(5.5), 0.005)
    mass = kolmogorov_density(np.exp(log)) * np.exp(log)
    basis, diagonal, off = [np.sqrt(mass / mass.sum())], [], []
    for _ in range(nodes):
        next_ = log * basis[-1]
        diagonal.append(float(next_ @ basis[-1]))
        for vector in (*basis, *basis):  # twice: orthogonal to rounding
            next_ = next_ - (vector @ next_) * vector
        off.append(float(np.linalg.norm(next_)))
        basis.append(next_ / off[-1])
    eigen, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off[:-1], 1) + np.diag(off[:-1], -1))
    return np.exp(eigen), vectors[0] ** 2


__all__ = ["Smooth", "Softplus", "Tanh", "kolmogorov", "kolmogorov_density"]
