"""JAX in double precision, and the error that names the extra where JAX or Optax is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

from ...base.errors import MissingExtra

F = TypeVar("F", bound=Callable[..., Any])


def require_jax() -> Any:
    """The module jax. Raises MissingExtra."""
    return _required("jax")


def require_optax() -> Any:
    """The module optax. Raises MissingExtra."""
    return _required("optax")


def _required(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"networks of finite width need {name}: install the extra 'networks' "
            f"(pip install 'egan-theory[networks]'); {error}"
        ) from None


def double(function: F) -> F:
    """The function with JAX's 64-bit types on while it runs, whatever they are outside."""

    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with require_jax().enable_x64(True):
            return function(*args, **kwargs)

    return inside  # type: ignore[return-value]
