"""Recorded runs: one schema, reading and writing, what became of a run, order parameters of clouds."""
