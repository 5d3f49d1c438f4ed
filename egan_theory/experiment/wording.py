"""Validation errors of an experiment in the words of its file: one line with the field's path, the rule, the value."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ..base.config import LARGEST, SMALLEST
from ..base.errors import InputError, described
from ..base.spelling import meant, nearest, unknown
from .players import DISCRIMINATORS
from .targets import TARGETS, Ring

_TIME_RULE = f"be a number from 0 to {LARGEST:g} (an averaging time, 0: none) or 'uniform'"
#: rules of the fields that take more than one type, which pydantic words type by type
_UNION_RULES = {
    "generator.masses": "be 'equal', 'matched' or an array of one positive number per particle",
    "discriminator.kernel": f"be one of {', '.join(DISCRIMINATORS)}",
    "memory.generator": _TIME_RULE,
    "memory.discriminator": _TIME_RULE,
    "target.std": "be a finite number >= 0 or an array with one per mean",
}
#: rules in the words of the file format, by pydantic's type of error
TYPE_RULES = {
    "int_type": "be a whole number",
    "int_parsing_size": "be a whole number of moderate size",
    "float_type": "be a number",
    "finite_number": "be finite",
    "string_type": "be a string",
    "string_too_short": "not be empty",
    "tuple_type": "be an array",
    "literal_error": "be {expected}",
    "greater_than": "be greater than {gt}",
    "greater_than_equal": "be at least {ge}",
    "less_than": "be less than {lt}",
    "less_than_equal": "be at most {le}",
    "model_type": "be a table",
    "model_attributes_type": "be a table such as {{kind = ...}}",
    "missing": "be given",
}


def _is_union_tag(part: str) -> bool:
    return "[" in part or part in ("float", "constrained-float", "int", "str", "tuple", "Kernel")


def _field_path(first: Any) -> tuple[str, ...]:
    """The field's path in the file: pydantic adds the tag of a union's member, "target.ring.modes", "std.float"."""
    *parents, leaf = (str(p) for p in first["loc"]) if first["loc"] else ("experiment",)
    kept = [
        p
        for i, p in enumerate(parents)
        if not (i == 1 and parents[0] == "target" and p in TARGETS) and not _is_union_tag(p)
    ]
    # an unknown key may be called anything; "target.ring" is the table itself
    if first["type"] != "extra_forbidden" and (
        _is_union_tag(leaf) or (kept == ["target"] == parents and leaf in TARGETS)
    ):
        return tuple(kept)
    return (*kept, leaf)


def _known_keys(model: Any, table: tuple[str, ...], kind: Any) -> list[str]:
    """The keys a table may have."""
    for part in table:
        model = TARGETS.get(kind, Ring) if part == "target" else model.model_fields[part].annotation
        model = next((m for m in get_args(model) if m is not type(None)), model)  # of an optional table
    return list(model.model_fields)


def input_error(error: ValidationError, model: type[BaseModel]) -> InputError:
    """The first validation failure of ``model`` as one line: field path, rule, value found."""
    errors = error.errors(include_url=False)
    first = errors[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, InputError):
        if inner.field.startswith("architecture."):  # which of the two players' it is, only the path says
            return InputError(f"{first['loc'][0]}.{inner.field}", inner.must, inner.found)
        return inner
    path = _field_path(first)
    # of a union's complaints the one that got furthest into the value says most
    first = max((e for e in errors if _field_path(e)[: len(path)] == path), key=lambda e: len(_field_path(e)))
    path = _field_path(first)
    field, kind, found = ".".join(path), first["type"], first.get("input")
    if kind == "extra_forbidden":
        # the tag of the target's kind stands at loc[1]
        keys = _known_keys(model, path[:-1], first["loc"][1] if len(first["loc"]) > 1 else None)
        return unknown(field, path[-1], keys, "be one of the known keys ({})")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = found.get("kind") if isinstance(found, dict) else found
        return unknown("target.kind", tag, TARGETS)
    if field in _UNION_RULES:
        return InputError(field, _UNION_RULES[field], described(found))
    if kind == "greater_than_equal" and first["ctx"]["ge"] == SMALLEST and found is not None and found <= 0:
        return InputError(field, "be greater than 0", described(found))
    rule = TYPE_RULES.get(kind)
    if rule is None:
        rule = "satisfy: " + first["msg"].removeprefix("Input should ").removeprefix("Value error, ")
    words = re.findall("'([^']*)'", first["ctx"]["expected"]) if kind == "literal_error" else []
    shown = None if kind == "missing" else described(found) + meant(nearest(found, words))
    return InputError(field, rule.format(**first.get("ctx", {})), shown)
