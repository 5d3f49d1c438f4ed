"""Simulation of the particle model, and sweeps over strengths and rates."""

from .run import simulate

__all__ = ["simulate"]
