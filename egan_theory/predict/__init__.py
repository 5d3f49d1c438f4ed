"""Predictions: spectrum, best regularizer, thresholds, phase diagrams. Each says its method and its assumptions."""
