"""The game of two real networks at a checkpoint: one training step as a map, its spectrum and kernel numbers."""
