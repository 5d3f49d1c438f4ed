"""The `egan` commands that span the rooms of the package; those of one room are in its command.py."""
