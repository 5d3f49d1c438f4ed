"""Truncated Taylor polynomials in three variables (p, q, r), with arrays as coefficients.

They carry the derivatives of a kernel F(p, q, r), p = |x|^2, q = |y|^2, r = x.y, through a recursion of layers: a Jet
is F(p + dp, q + dq, r + dr) = sum F_ijk dp^i dq^j dr^k, kept for i <= m, j <= n, i + j + k <= m + n, all that m
derivatives in x and n in y can reach. Functions here take arrays and jets alike, so that a formula is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import factorial
from typing import Any

import numpy as np

Index = tuple[int, int, int]
Order = tuple[int, int]


class Jet:
    """``terms`` (i, j, k) -> coefficient of dp^i dq^j dr^k (absent: 0); ``order`` (m, n), derivatives in x and in y."""

    __array_ufunc__ = None  # array * jet is the jet's product

    def __init__(self, terms: Mapping[Index, Any], order: Order) -> None:
        self.terms, self.order = dict(terms), order

    @property
    def constant(self) -> Any:
        return self.terms[0, 0, 0]

    @property
    def total(self) -> int:
        return sum(self.order)

    def without_constant(self) -> Jet:
        return Jet({n: t for n, t in self.terms.items() if n != (0, 0, 0)}, self.order)

    def derivative(self, i: int, j: int, k: int) -> Any:
        """d^(i + j + k) F / dp^i dq^j dr^k."""
        scale = factorial(i) * factorial(j) * factorial(k)
        return scale * self.terms.get((i, j, k), 0.0) + np.zeros_like(self.constant)

    def _kept(self, n: Index) -> bool:
        return n[0] <= self.order[0] and n[1] <= self.order[1] and sum(n) <= self.total

    def __add__(self, other: Any) -> Jet:
        added = other.terms if isinstance(other, Jet) else {(0, 0, 0): other}
        terms = dict(self.terms)
        for n, t in added.items():
            terms[n] = terms[n] + t if n in terms else t
        return Jet(terms, self.order)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Any) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return Jet({n: t * other for n, t in self.terms.items()}, self.order)
        terms: dict[Index, Any] = {}
        for m, s in self.terms.items():
            for n, t in other.terms.items():
                at = (m[0] + n[0], m[1] + n[1], m[2] + n[2])
                if self._kept(at):
                    terms[at] = terms[at] + s * t if at in terms else s * t
        return Jet(terms, self.order)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Jet:
        return self * power(other, -1)

    def __rtruediv__(self, other: Any) -> Jet:
        return power(self, -1) * other


def series(coefficients: Sequence[Any], step: Jet) -> Jet:
    """sum_n coefficients[n] step^n by Horner's rule; ``step`` without a constant term."""
    out = Jet({(0, 0, 0): coefficients[-1]}, step.order)
    for c in reversed(coefficients[:-1]):
        out = out * step + c
    return out


def _composed(x: Any, taylor: Callable[[Any, int], Sequence[Any]]) -> Any:
    """A function of one variable by its Taylor coefficients at x, of orders 0 to the one asked for."""
    if isinstance(x, Jet):
        return series(taylor(x.constant, x.total), x.without_constant())
    return taylor(x, 0)[0]


def arctan(x: Any) -> Any:
    """Orders up to 3, from d arctan/dx = 1/(1 + x^2)."""

    def taylor(c: Any, order: int) -> list[Any]:
        out = [np.arctan(c)]
        if order:
            w = 1 / (1 + c * c)
            out += [w, -c * w * w, (c * c - 1 / 3) * w**3]
        return out[: order + 1]

    return _composed(x, taylor)


def power(x: Any, exponent: float) -> Any:
    """x^exponent for the exponents 1/2, -1/2 and -1, x an array or a jet."""

    def taylor(c: Any, order: int) -> list[Any]:
        out = [1 / c if exponent == -1 else np.sqrt(c) if exponent > 0 else 1 / np.sqrt(c)]
        for n in range(order):
            out.append(out[-1] * ((exponent - n) / (n + 1)) / c)
        return out

    return _composed(x, taylor)


def exp(x: Any) -> Any:
    def taylor(c: Any, order: int) -> list[Any]:
        value = np.exp(c)
        return [value / factorial(n) for n in range(order + 1)]

    return _composed(x, taylor)


def arcsin(x: Any) -> Any:
    """Orders up to 3, from d arcsin/dx = (1 - x^2)^(-1/2); x < 1 where derivatives are asked for."""

    def taylor(c: Any, order: int) -> list[Any]:
        out = [np.arcsin(c)]
        if order:
            w = 1 / ((1 - c) * (1 + c))
            root = np.sqrt(w)
            out += [root, c * root * w / 2, (1 + 2 * c * c) * root * w * w / 6]
        return out[: order + 1]

    return _composed(x, taylor)


__all__ = ["Jet", "arcsin", "arctan", "exp", "power", "series"]
