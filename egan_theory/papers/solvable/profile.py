"""What the solvable model is given in Python: the odd profile f of the discriminator's score, and the latent law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from ...base.errors import InputError

X = sp.Symbol("x", real=True)
#: moments of a user's latent law and its weights must hold to this
MOMENT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Profile:
    """An odd profile f(x), from a callable that SymPy can follow: ``Profile.of(lambda x: x / (1 + x**2))``.

    Equal when the expressions are.

    Attributes:
        expression: f in the symbol ``X``, by SymPy.

    Source:
        f of the discriminator's score in Wang, Hu, Lu (arXiv:1805.08349).
    """

    expression: sp.Expr

    @classmethod
    def of(cls, function: Callable[[Any], Any]) -> Profile:
        """The profile of a callable.

        Raises:
            InputError: no SymPy expression of its argument alone, not odd, not differentiable.
        """
        field = "nonlinearity"
        try:
            expression = sp.sympify(function(X), strict=True)  # what the callable returned, never text
            derivative = sp.diff(expression, X)
        except Exception as error:  # whatever a user's callable does with a symbol
            raise InputError(field, "return a SymPy expression when called with a symbol", repr(error)) from None
        if expression.free_symbols != {X}:
            raise InputError(field, "depend on its argument alone", expression)
        if derivative.has(sp.Derivative, sp.Subs, sp.DiracDelta):
            raise InputError(field, "be differentiable by SymPy", f"the derivative {derivative}")
        odd = sp.simplify(expression + expression.subs(X, -X))
        if odd != 0:
            raise InputError(field, "be odd, f(-x) = -f(x)", f"f(x) + f(-x) = {odd}")
        return cls(expression)

    @cached_property
    def f(self) -> Callable[[Any], np.ndarray]:
        """The function f, vectorised: pure numbers [1], arrays (...) to arrays (...)."""
        return sp.lambdify(X, self.expression, "numpy")

    @cached_property
    def df(self) -> Callable[[Any], np.ndarray]:
        """The derivative f', vectorised: pure numbers [1], arrays (...) to arrays (...)."""
        derivative = sp.lambdify(X, sp.diff(self.expression, X), "numpy")
        return lambda x: derivative(x) * np.ones_like(x, dtype=np.result_type(x, float))  # f' may be a constant


#: profiles known by name
PROFILES = {"identity": Profile(X), "tanh": Profile(sp.tanh(X))}


@dataclass(frozen=True)
class Quadrature:
    """A law of the latent coordinates: c_l = sqrt(Lambda_l) xi_l with xi = nodes[i] with probability weights[i],
    independent; mean 0 and variance 1 are required. The Rademacher law is nodes (-1, 1), weights (1/2, 1/2).

    Attributes:
        nodes: [1] values of xi.
        weights: [1] their probabilities, > 0, sum 1.

    Raises:
        InputError: not one weight per node, a sum that is not 1, a mean that is not 0 or a variance that is not 1.

    Source:
        Latent law of Wang, Hu, Lu (arXiv:1805.08349), whatever its shape.
    """

    nodes: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(float(x) for x in np.ravel(self.nodes)))
        object.__setattr__(self, "weights", tuple(float(x) for x in np.ravel(self.weights)))
        x, w = np.array(self.nodes), np.array(self.weights)
        if len(x) != len(w) or not len(x):
            raise InputError("latent", "have as many weights as nodes, one at least", f"{len(w)} and {len(x)}")
        if not (np.all(np.isfinite(x)) and np.all(w > 0) and abs(w.sum() - 1) < MOMENT_TOLERANCE):
            raise InputError("latent", "have finite nodes and positive weights that sum to 1", f"sum {w.sum():.6g}")
        if abs(w @ x) > MOMENT_TOLERANCE or abs(w @ x**2 - 1) > MOMENT_TOLERANCE:
            raise InputError("latent", "have mean 0 and variance 1", f"mean {w @ x:.6g}, variance {w @ x**2:.6g}")


RADEMACHER = Quadrature((-1.0, 1.0), (0.5, 0.5))
