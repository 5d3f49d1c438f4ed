"""Linearization about equilibrium: frequency modes, finite samples, and matrix-free operators."""

from .equilibrium import Equilibrium, equilibrium
from .extreme import Extremes, extremes
from .limits import memory_limit
from .linearize import linearize
from .operators import extreme_stiffness, jacobian_operator, stiffness_operator
from .separate import cost, linearize_extreme, rate_bounds
from .structured import Stiffness, stiffness
from .system import Eigenvalues, Linearization, eigenvalues, update_matrix

__all__ = [
    "Eigenvalues",
    "Equilibrium",
    "Extremes",
    "Linearization",
    "Stiffness",
    "cost",
    "eigenvalues",
    "equilibrium",
    "extreme_stiffness",
    "extremes",
    "jacobian_operator",
    "linearize",
    "linearize_extreme",
    "memory_limit",
    "rate_bounds",
    "stiffness",
    "stiffness_operator",
    "update_matrix",
]
