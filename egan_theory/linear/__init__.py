"""Linearization about equilibrium: frequency modes, finite samples, and matrix-free operators."""

from .equilibrium import Equilibrium, equilibrium
from .linearize import linearize
from .operators import extreme_stiffness, jacobian_operator, stiffness_operator
from .system import Eigenvalues, Linearization, eigenvalues, update_matrix

__all__ = [
    "Eigenvalues",
    "Equilibrium",
    "Linearization",
    "eigenvalues",
    "equilibrium",
    "extreme_stiffness",
    "jacobian_operator",
    "linearize",
    "stiffness_operator",
    "update_matrix",
]
