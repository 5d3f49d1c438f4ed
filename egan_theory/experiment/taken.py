"""What functions take as their experiment: anything else is refused in one line, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar

from ..base.errors import InputError
from .experiment import Experiment

P = ParamSpec("P")
R = TypeVar("R")

MUST = "be an Experiment (Experiment.from_toml reads a file)"


def takes_experiment(function: Callable[P, R]) -> Callable[P, R]:
    """The function, InputError before it where its argument ``exp`` is no Experiment; None passes where ``exp`` is
    annotated so."""
    parameters = signature(function).parameters
    place, optional = list(parameters).index("exp"), "None" in str(parameters["exp"].annotation)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if "exp" in kwargs or len(args) > place:
            found = kwargs["exp"] if "exp" in kwargs else args[place]
            if not isinstance(found, Experiment) and not (optional and found is None):
                raise InputError("exp", MUST, repr(found) if isinstance(found, str) else type(found).__name__)
        return function(*args, **kwargs)

    return checked


__all__ = ["takes_experiment"]
