"""What griffe, which reads sources, cannot know: fields of pydantic classes, functions made by ``of_experiment``."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from typing import Any

import griffe


class Shown(griffe.Extension):
    """Tables of an experiment file list their fields; functions of problems are shown as those of experiments."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """After all of a package is read."""
        if pkg.path == "egan_theory":
            room = pkg["linear"]
            room.del_member("linearize")
            room.set_member("linearize", of_experiment(pkg["linear.routes.linearize"]))

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """After the members of a class are read."""
        of = {str(d.value).partition("(")[0] for d in cls.decorators}
        if cls.docstring is not None and "dataclass" in of and "\nAttributes:" not in cls.docstring.value:
            cls.docstring.value = _with_table(cls.docstring.value, attributes(cls))
        if cls.docstring is None or not cls.path.startswith("egan_theory.experiment."):
            return
        found = getattr(import_module(cls.module.path), cls.name, None)
        fields = getattr(found, "model_fields", None)
        if fields:
            cls.docstring.value = _with_table(cls.docstring.value, table(fields))
            for name in fields:  # they are in the table
                if name in cls.members:
                    del cls.members[name]


def of_experiment(function: griffe.Function) -> griffe.Function:
    """What ``problem.of_experiment`` makes of it: the first parameter is an experiment."""
    kind = griffe.ParameterKind.positional_or_keyword
    first = griffe.Parameter("exp", annotation="Experiment", kind=kind)
    return griffe.Function(
        function.name,
        parameters=griffe.Parameters(first, *list(function.parameters)[1:]),
        returns=function.returns,
        docstring=function.docstring,
        lineno=function.lineno,
        endlineno=function.endlineno,
    )


def _with_table(docstring: str, lines: str) -> str:
    """The docstring with a table of its fields before the sections at its end (Units, Source, ...)."""
    text, *sections = re.split(r"^(?=[A-Z][a-z]+:\s*$)", docstring, maxsplit=1, flags=re.M)
    return "\n\n".join(part for part in (text.rstrip(), lines, *sections) if part)


def attributes(cls: griffe.Class) -> str:
    """The fields of a dataclass in Markdown, those of its bases first: name and type."""
    found = getattr(import_module(cls.module.path), cls.name)
    lines = ["| field | type |", "|---|---|"]
    for field in dataclasses.fields(found):
        if not field.name.startswith("_"):
            kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
            lines.append(f"| `{field.name}` | `{kind}` |".replace(" | None", " or None"))
    return "\n".join(lines) if len(lines) > 2 else ""


def table(fields: dict[str, Any]) -> str:
    """The fields in Markdown: name, default, range."""
    lines = ["| field | default | must be |", "|---|---|---|"]
    for name, field in fields.items():
        lines.append(f"| `{name}` | {_default(field)} | {_rule(field)} |")
    return "\n".join(lines)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if hasattr(type(value), "model_fields"):
        return f"`{type(value).__name__}()`"
    return "none" if value is None else f"`{value!r}`"


def _rule(field: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(rule, key):g}"
        for rule in field.metadata
        for key, sign in signs.items()
        if isinstance(getattr(rule, key, None), (int, float))
    ]
    return ", ".join([_type(field.annotation), *bounds]).replace("|", r"\|")


def _type(annotation: Any) -> str:
    import types
    import typing

    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inside[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value!r}`" for value in inside)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in inside))
    if origin is not None:
        return "sequence" if origin in (tuple, list) else str(origin.__name__)
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "none"}
    return words.get(annotation, f"`{getattr(annotation, '__name__', annotation)}`")
