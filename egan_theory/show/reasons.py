"""Why something is not known, in words: what errors say, without their form "field: must rule, but found value"."""

from __future__ import annotations

import re
from typing import NamedTuple

#: beginnings of what was found that are clauses of their own, and how "must be", "must have", ... are denied
_CLAUSES = ("it ", "they ", "there ", "this ", "the ")
_VALUE = re.compile(r"['\"\[(\d.\-]|(a|an|no|none|one|inf|nan|True|False)\b")
_DENIED = (("not be ", "is "), ("be ", "is not "), ("not have ", "has "), ("have ", "has not "), ("not ", "does "))


class Reason(NamedTuple):
    """Why, and what would make it possible ("" where the first says all, or nobody knows)."""

    why: str
    remedy: str = ""


def reason_of(text: str) -> Reason:
    """What an error's text says: of "field: must rule, but found value" the state and the rule, each in words; another
    text as it is."""
    # a field is a name, so that a colon in a sentence makes no field of what stands before it
    told = re.fullmatch(r"([\w.\-]+(?: [\w.\-]+){0,2}): must (.*)", text, re.DOTALL)
    if told is None:
        limited = re.fullmatch(r"(.*); (egan .*) has no limit", text, re.DOTALL)
        return Reason(text) if limited is None else Reason(limited[1], f"{limited[2]} has no limit")
    field, rest = told.groups()
    must, _, found = rest.rpartition(", but ") if ", but " in rest else (rest, "", "")
    if must.startswith("not be changed: "):
        return Reason(f"{field} cannot be varied: {must.removeprefix('not be changed: ')}")
    remedy = f"{field} would have to {must}"
    if found:
        value = found.removeprefix("found ")
        if value.startswith(_CLAUSES):
            return Reason(value, remedy)
        return Reason(f"{field} is {value}" if _VALUE.match(value) else f"{field}: found {value}", remedy)
    return Reason(denied(field, must), remedy)


def denied(field: str, must: str) -> str:
    """That the field breaks the rule."""
    for start, said in _DENIED:
        if must.startswith(start):
            return f"{field} {said}{must.removeprefix(start)}"
    return f"{field} does not {must}"


def said_of(text: str) -> str:
    """``reason_of`` in one clause."""
    return "; ".join(filter(None, reason_of(text)))


def no_prediction(why: str, remedy: str = "") -> str:
    """Why, as a sentence of the first screen."""
    return f"Not known: {'; '.join(filter(None, (why, remedy)))}."


__all__ = ["Reason", "denied", "no_prediction", "reason_of", "said_of"]
