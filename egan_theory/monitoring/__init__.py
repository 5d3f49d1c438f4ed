"""Training looked at while it goes on: leading multipliers, path angle, kernel numbers and advice, into a run file."""
