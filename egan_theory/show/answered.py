"""What the first screen is made of."""

from __future__ import annotations

from dataclasses import dataclass

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Answered:
    """A question with its answer. ``term``: what the number is, in the glossary; ``section``: where the evidence is;
    ``good``: whether it is what one hopes for, None where neither."""

    question: str
    number: str
    unit: str
    text: str
    term: str
    section: str
    good: bool | None = None


__all__ = ["NOT_KNOWN", "Answered"]
