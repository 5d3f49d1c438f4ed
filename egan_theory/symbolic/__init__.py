"""The formulas of the package, derived by SymPy: linearization, update maps, damping, and the printed derivation.

Layers: ``linearize`` <- ``maps``, ``damping`` <- ``document`` <- ``derivation``. Numerics call the lambdified forms.
"""

from .damping import Best, best_r1, best_weight_decay, critical_r1, damping_ratio, dispersion, function_space_limit
from .derivation import derive
from .document import Derivation, Equation, Step, Table
from .linearize import (
    linearize_field,
    mode_blocks,
    mode_jacobian,
    oscillator_blocks,
    oscillator_jacobian,
    symbol_values,
    symbols,
)
from .maps import (
    alternating_n,
    characteristic_polynomial,
    continuous_limit,
    jury_conditions,
    momentum_values,
    stability_conditions,
    update_matrices,
    update_matrix,
)

__all__ = [
    "Best",
    "Derivation",
    "Equation",
    "Step",
    "Table",
    "alternating_n",
    "best_r1",
    "best_weight_decay",
    "characteristic_polynomial",
    "continuous_limit",
    "critical_r1",
    "damping_ratio",
    "derive",
    "dispersion",
    "function_space_limit",
    "jury_conditions",
    "linearize_field",
    "mode_blocks",
    "mode_jacobian",
    "momentum_values",
    "oscillator_blocks",
    "oscillator_jacobian",
    "stability_conditions",
    "symbol_values",
    "symbols",
    "update_matrices",
    "update_matrix",
]
