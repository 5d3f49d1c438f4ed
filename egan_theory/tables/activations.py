"""Activations: values and derivatives of any order, and what random network features need of them.

One table for fully connected networks (see tables.architecture) and for random features of one hidden layer,
psi_j(x) = sqrt(variance / (P E act(b)^2)) act(W_j . x + b_j) (see features.random_network). All functions accept
complex arguments; piecewise linear ones are continued from the branch that Re z is on (complex-step differentiation).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import hermite_e
from numpy.polynomial import polynomial as poly

if TYPE_CHECKING:
    import sympy

Array = np.ndarray


@dataclass(frozen=True)
class Activation:
    """act^(order)(z) elementwise is ``derivative(z, order)``; ``expression(z)`` is act in SymPy.

    ``smooth``: all derivatives exist everywhere; a piecewise linear activation has those of its pieces, without deltas.
    ``odd``: act(-z) = -act(z). Of random features: ``bias`` "normal", b ~ N(0, 1), or "phase", b uniform in [0, 2 pi),
    "" where there are none; ``power``: E act(b)^2 over that law; ``analytic``: features at distinct points are linearly
    independent with probability 1.
    """

    name: str
    derivative: Callable[[Array, int], Array]
    expression: Callable[[Any], sympy.Expr]
    smooth: bool = True
    odd: bool = False
    bias: str = ""
    power: float = math.nan
    analytic: bool = True

    def value(self, z: Array) -> Array:
        return self.derivative(z, 0)

    def slope(self, z: Array) -> Array:
        return self.derivative(z, 1)

    def curvature(self, z: Array) -> Array:
        return self.derivative(z, 2)

    def draw_biases(self, count: int, rng: np.random.Generator) -> Array:
        return rng.standard_normal(count) if self.bias == "normal" else rng.uniform(0, 2 * np.pi, count)


def _leaky(leak: float) -> Callable[[Array, int], Array]:
    def derivative(z: Array, order: int) -> Array:
        if order == 0:
            return np.where(z.real > 0, z, leak * z)
        return np.where(z.real > 0, 1.0, leak) if order == 1 else np.zeros_like(z)

    return derivative


@lru_cache(maxsize=64)
def _chain(order: int, field: tuple[float, ...]) -> Array:
    """Coefficients of the ``order``-th derivative of t(z), as a polynomial in t, where dt/dz = field(t)."""
    p = np.array([0.0, 1.0])
    for _ in range(order):
        p = poly.polymul(poly.polyder(p), field)
    return p


def _tanh(z: Array, order: int) -> Array:
    t = np.tanh(z)
    return t if order == 0 else poly.polyval(t, _chain(order, (1.0, 0.0, -1.0)))


def _softplus(z: Array, order: int) -> Array:
    if order == 0:  # log(1 + e^z) without overflow
        return np.logaddexp(0, z) if not np.iscomplexobj(z) else np.where(z.real > 0, z, 0) + _log1p_exp_minus(z)
    sigmoid = (1 + np.tanh(z / 2)) / 2
    return poly.polyval(sigmoid, _chain(order - 1, (0.0, 1.0, -1.0)))


def _log1p_exp_minus(z: Array) -> Array:
    return np.log(1 + np.exp(np.where(z.real > 0, -z, z)))


def _gaussian_derivative(z: Array, order: int) -> Array:
    """The ``order``-th derivative of the standard normal density."""
    unit = np.zeros(order + 1)
    unit[order] = (-1.0) ** order
    return hermite_e.hermeval(z, unit) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _erf_value(z: Array) -> Array:
    """erf; a complex step's imaginary part is put in by the slope, as the routine rounds the two parts together."""
    from scipy.special import erf

    if not np.iscomplexobj(z):
        return erf(z)
    small = np.abs(z.imag) < 1e-9
    slope = 2 / math.sqrt(math.pi) * np.exp(-z.real * z.real)
    return np.where(small, erf(z.real) + 1j * slope * z.imag, erf(z))


def _erf(z: Array, order: int) -> Array:
    if order == 0:
        return _erf_value(z)
    root = math.sqrt(2.0)  # erf(z) = 2 Phi(sqrt(2) z) - 1
    return 2 * root**order * _gaussian_derivative(root * z, order - 1)


def _normal(z: Array, order: int) -> Array:
    """Derivatives of the normal distribution function Phi."""
    return (1 + _erf_value(z / math.sqrt(2))) / 2 if order == 0 else _gaussian_derivative(z, order - 1)


def _gelu(z: Array, order: int) -> Array:
    out = z * _normal(z, order)
    return out if order == 0 else out + order * _normal(z, order - 1)


def _sine(z: Array, order: int) -> Array:
    return (np.sin(z), np.cos(z), -np.sin(z), -np.cos(z))[order % 4]


def _polynomial(coefficients: Sequence[float]) -> Callable[[Array, int], Array]:
    return lambda z, order: poly.polyval(z, poly.polyder(np.asarray(coefficients, dtype=float), order)) + 0 * z


def _leaky_expression(leak: float) -> Callable[[Any], sympy.Expr]:
    def expression(z: Any) -> sympy.Expr:
        import sympy as sp

        return sp.Piecewise((z, z > 0), (sp.Float(leak) * z, True))

    return expression


def _symbolic(build: Callable[[Any, Any], sympy.Expr]) -> Callable[[Any], sympy.Expr]:
    def expression(z: Any) -> sympy.Expr:
        import sympy as sp

        return build(sp, z)

    return expression


def leaky_relu(leak: float) -> Activation:
    return Activation("leaky_relu", _leaky(leak), _leaky_expression(leak), smooth=False, analytic=False)


def polynomial(coefficients: Sequence[float]) -> Activation:
    """sum_k coefficients[k] z^k."""
    even = coefficients[::2]
    return Activation(
        "polynomial",
        _polynomial(coefficients),
        _symbolic(lambda sp, z: sum((sp.Float(c) * z**k for k, c in enumerate(coefficients)), sp.Integer(0))),
        odd=not any(even),
    )


#: E tanh(b)^2, b ~ N(0, 1); no closed form (the value by quadrature is tested)
TANH_POWER = 0.39429449039784126

_TABLE = (
    Activation("relu", _leaky(0.0), _leaky_expression(0.0), False, False, "normal", 0.5, analytic=False),
    leaky_relu(0.2),
    Activation("erf", _erf, _symbolic(lambda sp, z: sp.erf(z)), odd=True),
    Activation("tanh", _tanh, _symbolic(lambda sp, z: sp.tanh(z)), True, True, "normal", TANH_POWER),
    Activation("gelu", _gelu, _symbolic(lambda sp, z: z * (1 + sp.erf(z / sp.sqrt(2))) / 2)),
    Activation("sine", _sine, _symbolic(lambda sp, z: sp.sin(z)), True, True, "phase", 0.5),
    Activation("softplus", _softplus, _symbolic(lambda sp, z: sp.log(1 + sp.exp(z)))),
    Activation("identity", _polynomial((0.0, 1.0)), _symbolic(lambda sp, z: z), odd=True),
    polynomial((0.0, 1.0)),
)

#: of fully connected networks (see tables.architecture); leak and coefficients as in ``get_activation``
NETWORK_ACTIVATIONS = {a.name: a for a in _TABLE}
#: of random features with a trained readout
ACTIVATIONS = {a.name: a for a in _TABLE if a.bias}


def get_activation(name: str, leak: float = 0.2, coefficients: Sequence[float] = (0.0, 1.0)) -> Activation:
    """The activation of this name; ``leak`` is leaky_relu's slope below 0, ``coefficients`` the polynomial's."""
    if name == "leaky_relu":
        return leaky_relu(leak)
    return polynomial(coefficients) if name == "polynomial" else NETWORK_ACTIVATIONS[name]
