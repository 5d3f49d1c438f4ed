"""What everything else stands on: errors, configuration, files, JSON, tables of results, units of text, the terminal.

Knows nothing of GANs.
"""
