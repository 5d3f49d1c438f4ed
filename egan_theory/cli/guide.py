"""`egan guide`: topics of the guide in the terminal."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from ..base.terminal import show_markdown
from ..console.answer import Answer
from ..console.shared import Json, Text


def _completed(incomplete: str) -> list[str]:
    from ..show.guide import topics

    return [name for name in topics() if name.startswith(incomplete)]


def guide(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="Topic to read; without one, their list.", autocompletion=_completed),
    ] = None,
    output: Text = None,
    json: Json = False,
) -> None:
    """Read the guide: how to describe, predict, record, advise, and what the numbers mean."""
    answer = Answer(json, output)
    from ..show.guide import guide as read
    from ..show.guide import topics

    text = read(topic)

    def data() -> dict[str, Any]:
        known = [{"topic": name, "question": question} for name, question in topics().items()]
        return {"topic": topic and topic.replace("-", "_"), "text": text, "topics": known}

    if json or output is not None or not sys.stdout.isatty():
        answer.give_text(text, data)
    else:
        show_markdown(re.sub(r"\[`?(\w+)`?\]\(\1\.md\)", r"**\1**", text).replace("](../../", "]("))


__all__ = ["guide"]
