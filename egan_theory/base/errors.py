"""The package's errors: one message form, ``field: must <rule>, but <found>``."""

from __future__ import annotations

import sys
from pathlib import Path


class EganError(Exception):
    """Base class of every error the package raises on purpose."""


class InputError(EganError, ValueError):
    """Input that cannot be used: names the field, the rule it breaks and what was found.

    The command line prints it as one line and exits with code 2.

    Source:
        none, the form of every error of the package: ``field: must rule, but found``.

    Examples:
        >>> import egan_theory as eg
        >>> try:
        ...     eg.best_regularizer(eg.Experiment(), "r3")
        ... except eg.InputError as error:
        ...     print(str(error).partition(":")[0])
        penalty
    """

    def __init__(self, field: str, must: str, found: object = None) -> None:
        self.field, self.must, self.found = field, must, found
        # One line whatever was found: user text may hold line breaks or be very long.
        shown = "" if found is None else ", but " + _short(found)
        super().__init__(f"{cut(field)}: must {cut(must, 1000)}{shown}")

    def __reduce__(self):
        return type(self), (self.field, self.must, self.found)


class NotLinearizable(InputError):
    """The combination has no Jacobian at equilibrium; the message gives the reason.

    Source:
        none, an InputError of linearize, spectrum and all that is built on them.
    """


class MissingExtra(EganError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


def hidden() -> str:
    """A hint where a file of the folder in which Python was started was loaded in place of a module, else ""."""
    from importlib.machinery import PathFinder

    first, *others = sys.path or [""]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and first and "." not in name and Path(file).parent == Path(first):
            if PathFinder.find_spec(name, others):
                return f"; {file} was loaded as the module {name}: rename it, or start egan in another folder"
    return ""


def check_file(field: str, file: Path, must: str) -> None:
    """Raise InputError unless the path is a regular file; the message says what it is instead."""
    try:
        if file.is_file():
            return
        found = "a folder" if file.is_dir() else "no regular file" if file.exists() else "no such file"
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be searched
        found = getattr(error, "strerror", None) or str(error)
    raise InputError(field, must, f"{found}: {file}")


def described(value: object) -> str:
    """``repr``, also of a whole number of more digits than Python writes, and of what is nested too deeply."""
    try:
        return repr(value)
    except ValueError:
        return (
            f"a whole number of {value.bit_length()} bits" if isinstance(value, int) else "numbers of too many digits"
        )
    except RecursionError:
        return "a value nested too deeply"


def cut(text: str, limit: int = 400) -> str:
    """The text, without its middle where it is longer: keys of files and paths may be of any length."""
    half = (limit - 3) // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"


def _short(found: object, limit: int = 160) -> str:
    try:
        text = str(found)
    except (ValueError, RecursionError):
        text = described(found)
    text = " ".join(text.split())
    if not text.startswith(("found", "it ", "they ", "there ", "this ", "the ")):
        text = f"found {text}"
    return text if len(text) <= limit else text[: limit - 3] + "..."
