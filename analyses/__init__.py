"""One script per scientific question, each run from the repository's root: python -m analyses.NAME."""
