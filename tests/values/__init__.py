"""Values that tests hold entries of the tables against, one file per entry: KIND_NAME.py (see CONTRIBUTING.md)."""
