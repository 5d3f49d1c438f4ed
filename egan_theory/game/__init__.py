"""The game of two real networks at a checkpoint: one training step as a map, its products, spectrum and kernel numbers."""
