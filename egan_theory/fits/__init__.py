"""Fits of exponentials to recorded time series, with standard errors."""
