"""The guide: a topic in Markdown for each question that a user may have, in ``egan_theory/guide``.

README.md there is its contents, in the order of reading.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ..base.errors import InputError
from ..base.spelling import nearest, one_of

GUIDE = Path(__file__).parents[1] / "guide"


class Markdown(str):
    """Text in Markdown: print it, or let a notebook show it set."""

    def _repr_markdown_(self) -> str:
        return str(self)


@cache
def topics() -> dict[str, str]:
    """The questions that the topics answer, by the topics' names.

    Source: the contents, guide/README.md.
    """
    contents = (GUIDE / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^- \[`([a-z0-9_]+)`\]\(\1\.md\): (.+)$", contents, re.MULTILINE))


def guide(topic: str | None = None) -> Markdown:
    """A topic of the guide, or its contents.

    Args:
        topic: a name that the contents list, hyphens or underscores; None: the contents.

    Returns:
        The text in Markdown, a str that notebooks show set.

    Units:
        None, it is text.

    Raises:
        InputError: where there is no such topic.

    Source:
        None, it only reads the files of ``egan_theory/guide``.
    """
    return _text("README" if topic is None else _named(topic))


def _named(topic: str) -> str:
    """The topic of that name; of a word that is no topic, the one that says most of it is offered."""
    try:
        return one_of("topic", topic, topics())
    except InputError as error:
        said = {} if nearest(topic, topics()) else {name: _often(topic, name) for name in topics()}
        best = max(said, key=lambda name: said[name], default="")
        if not said or not said[best]:
            raise
        raise InputError("topic", error.must, f"{topic!r} ('{best}' speaks of it)") from None


def _often(topic: object, name: str) -> int:
    """How often a topic's text has the word, in the singular or not."""
    word = str(topic).replace("-", " ").replace("_", " ").strip().lower().removesuffix("s")
    return len(re.findall(rf"\b{re.escape(word)}s?\b", _text(name).lower())) if len(word) > 2 else 0


def _text(name: str) -> Markdown:
    return Markdown((GUIDE / f"{name}.md").read_text(encoding="utf-8"))


__all__ = ["guide", "topics"]
