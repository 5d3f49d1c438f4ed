"""Linearization about equilibrium: routes with structure, dense systems, matrix-free extremes, what a kick leaves.

The functions here are of experiments; those of the modules are of problems (problem.problem.Problem).
"""

from ..problem.problem import of_experiment
from . import equilibria, extreme, routes, separate, structured
from .eigenvalues import Eigenvalues, eigenvalues
from .equilibria import Equilibrium
from .extreme import Extremes
from .limits import memory_limit
from .structured import Stiffness
from .system import Linearization, update_matrix

linearize = of_experiment(routes.linearize)
linearize_extreme = of_experiment(separate.linearize_extreme)
equilibrium = of_experiment(equilibria.equilibrium)
extremes = of_experiment(extreme.extremes)
stiffness = of_experiment(structured.stiffness)
cost = of_experiment(separate.cost)
rate_bounds = of_experiment(separate.rate_bounds)

__all__ = [
    "Eigenvalues",
    "Equilibrium",
    "Extremes",
    "Linearization",
    "Stiffness",
    "cost",
    "eigenvalues",
    "equilibrium",
    "extremes",
    "linearize",
    "linearize_extreme",
    "memory_limit",
    "rate_bounds",
    "stiffness",
    "update_matrix",
]
