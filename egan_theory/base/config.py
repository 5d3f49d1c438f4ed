"""Shared base of the experiment's parts: frozen, strict, and with the field's path in every error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_serializer

from .errors import InputError
from .spelling import unknown, word

#: the range of every rate, strength, variance and length: products of several, and their squares, stay doubles
SMALLEST, LARGEST = 1e-20, 1e20


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list | tuple) else value


#: a field that holds a word (loss.kind, update.rule): "best_response" is read as "best_response"
Word = Annotated[str, BeforeValidator(word)]
Positive = Annotated[float, Field(ge=SMALLEST, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_tuple)]
Vectors = Annotated[tuple[tuple[float, ...], ...], BeforeValidator(_tuple)]
Integers = Annotated[tuple[int, ...], BeforeValidator(_tuple)]


class Config(BaseModel):
    """Unknown keys, wrong types (no strings for numbers), NaN and infinity are refused; instances never change."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    #: path of this table in the experiment's file; "" for the experiment itself
    table: ClassVar[str] = ""
    #: what examples call the whole
    called: ClassVar[str] = "exp"

    def __setattr__(self, name: str, value: Any) -> None:
        path = f"{self.table}.{name}".strip(".")
        if name.startswith("_"):  # pydantic's own and private ones
            return super().__setattr__(name, value)
        if name not in type(self).model_fields:
            raise unknown(path, name, type(self).model_fields, "be one of the fields ({})")
        whole = isinstance(getattr(self, name), Config)  # a table: replace takes single fields
        change = f"model_copy(update={{{name!r}: ...}})" if whole else f'replace({{"{path}": ...}})'
        raise InputError(path, f"not be assigned (nothing here changes): {self.called}.{change} gives a changed copy")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A validated copy; pydantic's own would keep cached properties of the old values."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in self._derived()}
        return type(self)(**(fields | dict(update or {})))

    def changed(self, plain: Config | None = None) -> dict[str, Any]:
        """The fields, by dotted path, that differ from those of ``plain`` (default: from the defaults)."""
        found: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            default = field.get_default(call_default_factory=True) if plain is None else getattr(plain, name)
            if name in self._derived() or value == default:
                continue
            if not isinstance(value, Config):
                found[name] = value
                continue
            alike = type(default) is type(value)
            kind = {} if alike else {f"{name}.kind": getattr(value, "kind", type(value).__name__)}
            inner = value.changed(default if alike else None)
            found |= kind | {f"{name}.{path}": v for path, v in inner.items()}
        return found

    def __str__(self) -> str:
        return repr(self)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Only what differs from the defaults."""
        return [(name, getattr(self, name)) for name in dict.fromkeys(path.split(".")[0] for path in self.changed())]

    def to_change(self) -> dict[str, Any]:
        """The fields as a dictionary of dictionaries: with some of them changed, what a changed copy is made of."""
        return self.model_dump()

    def _derived(self) -> Collection[str]:
        """Fields that others determine: not written, and not given when a copy is made."""
        return ()

    @model_serializer(mode="wrap")
    def _written(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name not in self._derived()}

    # pydantic compares and hashes cached properties too, which may hold arrays: only the fields count here
    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).model_fields)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in type(self).model_fields)))
