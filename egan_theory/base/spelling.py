"""Words that users write, in an experiment, on the command line or in Python: hyphens, underscores and, in names of
several words, spaces are one and the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import InputError


def word(value: Any) -> Any:
    """The one spelling of a word value (loss.kind, update.rule): hyphens are underscores. Others as they are."""
    return value.replace("-", "_") if isinstance(value, str) else value


def one_of(field: str, name: str, names: Iterable[str]) -> str:
    """The name as it is spelt in ``names``. Raises InputError."""

    def plain(text: str) -> str:
        return text.replace("-", " ").replace("_", " ")

    names = list(names)
    for known in names:
        if isinstance(name, str) and plain(known) == plain(name):
            return known
    raise InputError(field, f"be one of {', '.join(names)}", repr(name))


__all__ = ["one_of", "word"]
