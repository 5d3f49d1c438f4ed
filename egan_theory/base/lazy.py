"""Names of a package imported at their first use, so that the command line starts without NumPy and SymPy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, home: Mapping[str, str]) -> Callable[[str], Any]:
    """The package's ``__getattr__``: ``home`` says in which of its modules each public name lives, "module:name"
    where it is called otherwise there."""

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, other = home[name].partition(":")
        value = getattr(import_module(f".{module}", package), other or name)
        setattr(sys.modules[package], name, value)
        return value

    return get
