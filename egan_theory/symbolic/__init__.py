"""The formulas of the package, derived by SymPy, and the text that explains them, theory.md.

Layers: ``linearize`` <- ``maps``, ``damping`` <- ``remedies``, ``play`` <- ``document``, ``generated`` <- ``theory``;
``checkpoint`` is of real optimisers.
Numerics call the lambdified forms.
"""

from .damping import Best, best_r1, best_weight_decay, critical_r1, damping_ratio, dispersion
from .document import Derivation, Equation, Step, Table, Text
from .linearize import (
    linearize_field,
    mode_blocks,
    mode_jacobian,
    oscillator_blocks,
    oscillator_jacobian,
    symbols,
)
from .maps import (
    alternating_n,
    characteristic_polynomial,
    continuous_limit,
    jury_conditions,
    momentum_values,
    stability_conditions,
    step_matrix,
    update_decrements,
    update_matrices,
)
from .theory import derive

__all__ = [
    "Best",
    "Derivation",
    "Equation",
    "Step",
    "Table",
    "Text",
    "alternating_n",
    "best_r1",
    "best_weight_decay",
    "characteristic_polynomial",
    "continuous_limit",
    "critical_r1",
    "damping_ratio",
    "derive",
    "dispersion",
    "jury_conditions",
    "linearize_field",
    "mode_blocks",
    "mode_jacobian",
    "momentum_values",
    "oscillator_blocks",
    "oscillator_jacobian",
    "stability_conditions",
    "step_matrix",
    "symbols",
    "update_decrements",
    "update_matrices",
]
