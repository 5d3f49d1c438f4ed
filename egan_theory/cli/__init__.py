"""The ``egan`` command. Nothing heavy is imported until a command runs."""

from .app import main

__all__ = ["main"]
