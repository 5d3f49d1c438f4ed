"""The ``egan`` command. Nothing heavy is imported until a command runs.

``app``: the commands' names, the papers' among them, and what becomes of errors; ``new``; ``theory``: commands that
predict; ``runs``: those that simulate or read runs; ``sweep``; ``monitor``; ``guide``;
``advise``: the files of `egan advise`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from ..base.errors import hidden
from ..base.signals import ended_by_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Without ``arguments`` those of the process, which then ends: a
    signal ends it in one line also while its modules are loaded."""
    with ended_by_signals(process=arguments is None) as ending:
        try:
            try:
                from .app import main as run
            except Exception as error:
                if not (hint := hidden()):
                    raise
                print(f"egan: {type(error).__name__}: {error}{hint}", file=sys.stderr)
                return 1
            return run(arguments)
        except KeyboardInterrupt:
            with suppress(OSError, ValueError, AttributeError):
                print("egan: interrupted: nothing was written", file=sys.stderr, flush=True)
            return ending.code(1)


__all__ = ["main"]
