"""TOML as experiments and models are written in it: parsed with one form of error, changed field by field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import InputError

#: characters of a text that is read; what is longer holds data, which files of points are for
LONGEST = 10_000_000
#: parts of a dotted key; the experiment's have four at most, and each costs the parser all of those before it
DEEPEST = 32
#: what may stand between the dots of a field's path
_KEY = re.compile(r"[A-Za-z0-9_-]+")
#: that many parts with dots between them, bare or in quotes, from the first character of a part on
_DEEP = re.compile(rf"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{DEEPEST}}}""")
#: characters that a value has only if it is meant to be TOML
_STRUCTURE = re.compile(r"""["'\[\]{}\n\r]""")


def parsed(text: str, name: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises InputError: no TOML, nothing in it, too long, or keys of too many parts."""
    check_length(len(text), name)
    if (deep := _DEEP.search(text)) is not None:
        raise InputError(name, f"have keys of at most {DEEPEST} parts", f"{deep.group():.40}...")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: numbers of 5000 digits, deep nesting
        raise InputError(name, "be valid TOML", f"the error: {error}") from None
    if not data:
        raise InputError(name, "hold at least one table ('egan new' prints an experiment)", "nothing")
    return data


def check_length(size: int, name: str) -> None:
    """Raise InputError where a text of that many bytes or characters is too long to be read as TOML."""
    if size > LONGEST:
        rule = f"have at most {LONGEST} characters (target.path names a file of points)"
        raise InputError(name, rule, size)


def changed_tables(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the tables with dotted fields set; tables on the way are made. Raises InputError."""
    out = dict(data)
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        node = out
        for i, part in enumerate(parents):
            inner = node.get(part, {})
            if not isinstance(inner, Mapping):
                raise InputError(".".join(parents[: i + 1]), "be a table", inner)
            node[part] = node = dict(inner)
        node[leaf] = value
    return out


def assignments(texts: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """``PATH=VALUE`` each: VALUE is a TOML value, and a bare word a string. Nothing is evaluated. Raises InputError."""
    out = {}
    for text in texts:
        path, given, value = text.partition("=")
        path, value = path.strip(), value.strip()
        if not given or not value or not all(_KEY.fullmatch(part) for part in path.split(".")):
            raise InputError(option, "be PATH=VALUE, e.g. penalty.r1=0.2", repr(text))
        out[path] = _value(f"{option} {path}", value)
    return out


def _value(field: str, text: str) -> Any:
    try:
        data = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        data = {}
    if set(data) == {"value"}:
        return data["value"]
    if data or _STRUCTURE.search(text):
        raise InputError(field, "be a TOML value (or a bare word)", repr(text))
    return text
