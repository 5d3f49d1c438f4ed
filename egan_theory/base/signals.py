"""Signals that end a command, Ctrl-C, SIGTERM and SIGHUP (time limits of clusters, closed terminals), all as
KeyboardInterrupt: what keeps its record for the one keeps it for all, and no temporary file is left.

Nothing of this is at work outside of ``ended_by_signals``, which is the command line's.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: those that a system has, with what Python does about them by itself
SIGNALS: dict[int, Any] = {
    getattr(signal, name): signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
}


#: seconds after which a signal that was repeated is heard again: something has swallowed the first
REPEATED = 5.0


@dataclass
class Ending:
    """Of a command: the signal that came and when, whether it still waits, for how many blocks, whether the command
    keeps a record, and whether it is over: only its last words are left to be said."""

    number: int | None = None
    came: float = 0.0
    waits: bool = False
    holds: int = 0
    keeps: bool = False
    over: bool = False

    def code(self, code: int) -> int:
        """The exit code: of what a signal ended (but Ctrl-C, whose is that of a failure) 128 and its number."""
        return code if code == 0 or self.number in (None, signal.SIGINT) else 128 + int(self.number or 0)


_now: Ending | None = None


@contextmanager
def ended_by_signals(process: bool = False) -> Iterator[Ending]:
    """Within it these signals raise KeyboardInterrupt, once: a scheduler may repeat them. Ctrl-C does it each time.
    Those that are ignored (nohup) or that somebody else handles stay as they are.

    ``process``: nothing follows but the end of the process: a signal that comes while Python takes itself apart ends it
    without a traceback."""
    global _now
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    if _now is not None:
        yield _now
        return
    before = {number: own for number, own in SIGNALS.items() if signal.getsignal(number) is own}
    _now = ending
    try:
        for number in before:
            signal.signal(number, _came)
        yield ending
    finally:
        _now = None
        for number, own in before.items():
            signal.signal(number, signal.SIG_DFL if process else own)
        if process:
            exec("")  # Python ends by SIGINT where KeyboardInterrupt has once left such code, whoever caught it


def _came(number: int, _: Any) -> None:
    now = time.monotonic()
    if _now is None or _now.over:
        return
    if _now.number is not None and number != signal.SIGINT and now < _now.came + REPEATED:
        return
    _now.number, _now.came = number if _now.number is None else _now.number, now
    if _now.holds:
        _now.waits = True
        return
    raise KeyboardInterrupt


def over() -> None:
    """What a signal has ended says what is left of it: others find nothing to end."""
    if _now is not None:
        _now.over = True


@contextmanager
def held() -> Iterator[None]:
    """Signals wait until the block has ended: what it writes is written."""
    ending = _now
    if ending is None:
        yield
        return
    ending.holds += 1
    try:
        yield
    finally:
        ending.holds -= 1
    if ending.waits and not ending.holds:
        ending.waits = False
        raise KeyboardInterrupt


@contextmanager
def keeping() -> Iterator[None]:
    """A command that computes a record and writes it: once it is ``recorded``, signals find nothing to end, and after
    one has come it is ``over``."""
    ending = _now
    if ending is None:
        yield
        return
    ending.keeps, before = True, ending.holds
    try:
        yield
    finally:
        ending.keeps, ending.holds, ending.waits = False, before, False
        ending.over = ending.number is not None


def recorded() -> None:
    """The last statement of a loop whose record is kept when KeyboardInterrupt ends it: from here on signals wait until
    it is written, see ``keeping``."""
    if _now is not None and _now.keeps:
        _now.holds += 1
