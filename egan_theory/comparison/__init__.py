"""Comparison of predictions with recorded runs: eigenvalues with standard errors, best strength, agreement tables."""
