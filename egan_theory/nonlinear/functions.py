"""What elementwise functions do to a series: linear and bilinear ones by name, the others by Taylor coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Taylor = list[Any]

LINEAR = {"add", "subtract", "negative", "positive", "conjugate"}
BILINEAR = {"multiply", "matmul"}
#: what is decided by the value alone
COMPARISONS = {
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isfinite", "isnan", "isinf", "sign",
    "signbit", "floor", "ceil", "rint", "logical_not",
}  # fmt: skip


def _value(jet: Any) -> np.ndarray:
    return jet.shared("value", lambda x: x)


def _waves(jet: Any) -> tuple[np.ndarray, np.ndarray]:
    return jet.shared("waves", lambda x: (np.sin(x), np.cos(x)))


def _sin(jet: Any) -> Taylor:
    s, c = _waves(jet)
    return [(s, c, -s, -c)[j % 4] / math.factorial(j) for j in range(jet.order + 1)]


def _cos(jet: Any) -> Taylor:
    s, c = _waves(jet)
    return [(c, -s, -c, s)[j % 4] / math.factorial(j) for j in range(jet.order + 1)]


def _exp(jet: Any) -> Taylor:
    e = np.exp(_value(jet))
    return [e / math.factorial(j) for j in range(jet.order + 1)]


def _expm1(jet: Any) -> Taylor:
    return [np.expm1(_value(jet)), *_exp(jet)[1:]]


def _sinh(jet: Any) -> Taylor:
    x = _value(jet)
    s, c = np.sinh(x), np.cosh(x)
    return [(s, c)[j % 2] / math.factorial(j) for j in range(jet.order + 1)]


def _cosh(jet: Any) -> Taylor:
    x = _value(jet)
    s, c = np.sinh(x), np.cosh(x)
    return [(c, s)[j % 2] / math.factorial(j) for j in range(jet.order + 1)]


def _logarithm(first: Callable, shift: float) -> Callable[[Any], Taylor]:
    """log(shift + x)."""

    def taylor(jet: Any) -> Taylor:
        x = _value(jet)
        return [first(x), *(-((-1.0) ** j) / j * (x + shift) ** -j for j in range(1, jet.order + 1))]

    return taylor


def _tangent(first: Callable, sign: int) -> Callable[[Any], Taylor]:
    """From t' = 1 + sign t^2: tan (+1), tanh (-1)."""

    def taylor(jet: Any) -> Taylor:
        t = first(_value(jet))
        out = [t]
        for m in range(jet.order):
            square = sum(out[j] * out[m - j] for j in range(m + 1))
            out.append(((1 if m == 0 else 0) + sign * square) / (m + 1))
        return out

    return taylor


def binomial(x: np.ndarray, exponent: Any, order: int) -> Taylor:
    """Of x^exponent; powers below 0 of a whole exponent have coefficient 0."""
    out: Taylor = []
    factor = 1.0
    for j in range(order + 1):
        out.append(factor * x ** (exponent - j) if factor else None)
        factor *= (exponent - j) / (j + 1)
    return out


def _sqrt(jet: Any) -> Taylor:
    x = _value(jet)
    root, out, factor = np.sqrt(x), [], 1.0
    for j in range(jet.order + 1):
        out.append(factor * root * x ** (-float(j)) if j else root)
        factor *= (0.5 - j) / (j + 1)
    return out


TAYLOR: dict[str, Callable[[Any], Taylor]] = {
    "sin": _sin,
    "cos": _cos,
    "tan": _tangent(np.tan, 1),
    "exp": _exp,
    "expm1": _expm1,
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tangent(np.tanh, -1),
    "sqrt": _sqrt,
    "log": _logarithm(np.log, 0.0),
    "log1p": _logarithm(np.log1p, 1.0),
    "square": lambda jet: binomial(_value(jet), 2, jet.order),
    "reciprocal": lambda jet: binomial(_value(jet), -1.0, jet.order),
}


def _divide(a: Any, b: Any) -> Any:
    if not hasattr(b, "order"):
        return a * (1 / np.asarray(b))
    return a * np.reciprocal(b)


def _power(a: Any, b: Any) -> Any:
    if hasattr(b, "order"):
        return np.exp(b * np.log(a))
    if np.ndim(b) != 0:
        raise TypeError("a power of a Taylor series has one exponent")
    return a.composed(binomial(_value(a), b if isinstance(b, int | np.integer) else float(b), a.order))


def _absolute(a: Any) -> Any:
    return np.sign(a) * a


def _maximum(a: Any, b: Any) -> Any:
    return np.where(np.greater(b, a), b, a)


def _minimum(a: Any, b: Any) -> Any:
    return np.where(np.less(b, a), b, a)


def _sigmoid(a: Any) -> Any:
    return (1 + np.tanh(a / 2)) / 2


def _logaddexp(a: Any, b: Any) -> Any:
    u = b - a
    return a + u.primitive(np.logaddexp(0, _value(u)), _sigmoid(u))


def _erf(a: Any) -> Any:
    from scipy.special import erf

    return a.primitive(erf(_value(a)), 2 / math.sqrt(math.pi) * np.exp(-a * a))


def _arctan(a: Any) -> Any:
    return a.primitive(np.arctan(_value(a)), 1 / (1 + a * a))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "divide": _divide,
    "power": _power,
    "float_power": _power,
    "absolute": _absolute,
    "fabs": _absolute,
    "maximum": _maximum,
    "minimum": _minimum,
    "expit": _sigmoid,
    "logaddexp": _logaddexp,
    "erf": _erf,
    "arctan": _arctan,
}
