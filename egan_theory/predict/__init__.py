"""Predictions: spectrum, damping regimes, best regularizer. Each says its method and assumptions."""

from .asymptotic import Fastest, convergence_rate, fastest_strength, rates_over
from .left import Left, left_over
from .regularizer import Regularizer, best_regularizer, binding_modes
from .spectrum import spectrum, spectrum_json

__all__ = [
    "Fastest",
    "Left",
    "Regularizer",
    "best_regularizer",
    "binding_modes",
    "convergence_rate",
    "fastest_strength",
    "left_over",
    "rates_over",
    "spectrum",
    "spectrum_json",
]
