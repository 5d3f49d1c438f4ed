"""Public names of a package, imported on first use from the stub beside it; a name that is none gets the one meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lazy_loader

from .spelling import meant, nearest

Attached = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def attach(package: str, file: str, called: str, others: Callable[[], dict[str, str]] = dict) -> Attached:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package with a stub.

    ``called``: the package in users' words (eg.plot); ``others``: further names that may be meant, and where they are.
    """
    found, listed, names = lazy_loader.attach_stub(package, file)

    def get(name: str) -> Any:
        try:
            return found(name)
        except AttributeError:
            if name in names or name.startswith("_"):  # what fails within, and what notebooks ask of every object
                raise
            near = {known: known for known in names} | others()
            text = f"{called} has no {name!r}{meant(near.get(nearest(name, near), ''))}"
            # with a name of "" Python's own traceback adds no second suggestion
            raise AttributeError(text, name="", obj=None) from None

    return get, listed, names


__all__ = ["attach"]
