"""JAX in double precision, and the error that names the extra where JAX is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ...base.errors import MissingExtra

F = TypeVar("F", bound=Callable[..., Any])


def require_jax() -> Any:
    """The module jax. Raises MissingExtra."""
    try:
        import jax
    except ImportError as error:
        raise MissingExtra(
            "networks of finite width need JAX: install the extra 'networks' "
            f"(pip install 'egan-theory[networks]'); {error}"
        ) from None
    return jax


def double(function: F) -> F:
    """The function with JAX's 64-bit types on while it runs, whatever they are outside."""

    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with require_jax().enable_x64(True):
            return function(*args, **kwargs)

    return inside  # type: ignore[return-value]
