"""What a reader sees: figures of computed data (plots, clouds) and the HTML report (page). Computes no physics."""
