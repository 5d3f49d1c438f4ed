"""Exactly solvable models of adversarial training, each with its own theory and simulation."""
