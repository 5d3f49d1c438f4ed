"""What everything else stands on: errors, configuration, files, units of text, the terminal. Knows nothing of GANs."""
