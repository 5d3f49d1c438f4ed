"""The ``egan`` command. Nothing heavy is imported until a command runs.

``app``: the commands' names, the papers' among them, and what becomes of errors; ``new``; ``theory``: commands that
predict; ``runs``: those that simulate or read runs; ``sweep``; ``monitor``; ``guide``;
``advise``: the files of `egan advise`.
"""

from .app import main

__all__ = ["main"]
