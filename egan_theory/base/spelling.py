"""Words that users write, in an experiment, on the command line or in Python: hyphens, underscores and, in names of
several words, spaces are one and the same; what is nearly a name gets the name that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import InputError, described

#: names are no longer: of a longer text none is the misspelling
LONGEST = 80


def word(value: Any) -> Any:
    """The one spelling of a word value (loss.kind, update.rule): hyphens are underscores. Others as they are."""
    return value.replace("-", "_") if isinstance(value, str) else value


def one_of(field: str, name: str, names: Iterable[str]) -> str:
    """The name as it is spelt in ``names``. Raises InputError."""
    names = list(names)
    for known in names:
        if isinstance(name, str) and _plain(known) == _plain(name):
            return known
    raise unknown(field, name, names)


def unknown(field: str, name: Any, names: Iterable[str], rule: str = "be one of {}") -> InputError:
    """That the name is none of ``names``, which stand for {} in the rule, and which of them is close to it."""
    names = list(names)
    return InputError(field, rule.format(", ".join(names)), described(name) + meant(nearest(name, names)))


def nearest(name: Any, names: Iterable[str]) -> str:
    """The one of the names that is spelt much like this one; "" where none is, or it is no text."""
    from difflib import get_close_matches

    if not isinstance(name, str) or len(name) > LONGEST:
        return ""
    plain = {_plain(known).lower(): known for known in names}
    near = get_close_matches(_plain(name).lower(), plain, 1)
    return plain[near[0]] if near else ""


def meant(name: str) -> str:
    """The question behind what was found, with its blank before it; nothing where nothing is close."""
    return f" (did you mean '{name}'?)" if name else ""


def _plain(text: str) -> str:
    return text.replace("-", " ").replace("_", " ")


__all__ = ["meant", "nearest", "one_of", "unknown", "word"]
