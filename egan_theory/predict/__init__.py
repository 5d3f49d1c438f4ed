"""Predictions: spectrum, damping regimes, best regularizer. Each says its method and assumptions."""

from .regularizer import Regularizer, best_regularizer, convergence_rate, rates_over
from .spectrum import spectrum, spectrum_json

__all__ = ["Regularizer", "best_regularizer", "convergence_rate", "rates_over", "spectrum", "spectrum_json"]
