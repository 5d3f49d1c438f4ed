"""Numbers that the entries of a table declare, and the fields of the experiment that are made of them."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from .errors import InputError

if TYPE_CHECKING:
    from .config import Config

Table = TypeVar("Table", bound="Config")


@dataclass(frozen=True)
class Parameter:
    """A number of an entry: its default, what it is in words, its range.

    ``before``: the field in front of which it stands in files (default: after those that were declared earlier).
    ``idle``: it may have any value where no entry in use has it. ``least``: the smallest value, excluded if ``above``;
    ``most``: the largest of a ``whole`` number, of others what they stay below (None: no such bound).
    """

    default: float
    text: str = ""
    before: str = ""
    idle: bool = False
    least: float = 0.0
    above: bool = False
    most: float | None = None
    whole: bool = False

    @property
    def range(self) -> str:
        """The range in words."""
        if self.most is None:
            return f"{'>' if self.above else '>='} {self.least:g}"
        return f"{self.least:g} to {'' if self.whole else 'below '}{self.most:g}"

    @property
    def annotation(self) -> Any:
        """The type of the field in the experiment."""
        from pydantic import Field

        from .config import NotNegative, Positive

        if self.most is None:
            return Positive if self.above else NotNegative
        if self.whole:
            return Annotated[int, Field(ge=int(self.least), le=int(self.most))]
        return Annotated[float, Field(ge=self.least, lt=self.most)]

    def field(self) -> Any:
        """The parameter as a field of a dataclass."""
        return dataclasses.field(default=self.default, metadata={"parameter": self})

    def checked(self, field: str, value: Any) -> float | int:
        """The value as a number of its kind. Raises InputError naming ``field``."""
        kind: Any = numbers.Integral if self.whole else numbers.Real
        name = "an integer" if self.whole else "a finite number"
        rule = f"be {name} {'>' if self.above else '>='} {self.least:g}"
        if isinstance(value, bool) or not isinstance(value, kind):
            raise InputError(field, rule, repr(value))
        if not math.isfinite(value) or value < self.least or (self.above and value == self.least):
            raise InputError(field, rule, value)
        from .config import LARGEST, SMALLEST  # loads pydantic

        least = SMALLEST if self.above else 0.0  # as the fields of the experiment
        if self.most is None and not least <= value <= LARGEST:
            raise InputError(field, f"be from {least:g} to {LARGEST:g}", value)
        return int(value) if self.whole else float(value)


def positive(default: float, text: str = "", **more: Any) -> Parameter:
    """A number > 0."""
    return Parameter(default, text, above=True, **more)


def not_negative(default: float, text: str = "", **more: Any) -> Parameter:
    """A number >= 0."""
    return Parameter(default, text, **more)


def fraction(default: float, text: str = "", **more: Any) -> Parameter:
    """A number from 0 to below 1."""
    return Parameter(default, text, most=1, **more)


def whole(default: int, least: int, most: int, text: str = "", **more: Any) -> Parameter:
    """A whole number from ``least`` to ``most``."""
    return Parameter(default, text, least=least, most=most, whole=True, **more)


def parameters_of(entry: Any) -> dict[str, Parameter]:
    """Those that a dataclass declares by its fields."""
    return {f.name: f.metadata["parameter"] for f in dataclasses.fields(entry) if "parameter" in f.metadata}


def collected(declared: Iterable[Mapping[str, Parameter]]) -> dict[str, Parameter]:
    """All parameters of a table's entries, in the order of their fields in files. Raises ValueError where two entries
    mean different things by one name."""
    names: list[str] = []
    found: dict[str, Parameter] = {}
    for parameters in declared:
        for name, parameter in parameters.items():
            if found.setdefault(name, parameter) != parameter:
                raise ValueError(f"parameter {name} is declared twice, as {found[name]} and as {parameter}")
            if name not in names:
                names.insert(names.index(parameter.before) if parameter.before in names else len(names), name)
    return {name: found[name] for name in names}


def declares(parameters: Mapping[str, Parameter]) -> Callable[[type[Table]], type[Table]]:
    """Class decorator: the table of the experiment with the parameters as further fields, after its own."""

    def extended(table: type[Table]) -> type[Table]:
        from pydantic import create_model

        more: Any = {name: (p.annotation, p.default) for name, p in parameters.items()}
        model: type[Table] = create_model(
            table.__name__, __base__=table, __module__=table.__module__, __doc__=table.__doc__, **more
        )
        model.__qualname__ = table.__qualname__
        return model

    return extended


__all__ = [
    "Parameter",
    "collected",
    "declares",
    "fraction",
    "not_negative",
    "parameters_of",
    "positive",
    "whole",
]
