"""`egan new`: commented experiments to edit."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console.answer import Answer
from ..console.shared import Json, Text
from ..papers import templates


def new(
    kind: Annotated[
        str,
        typer.Argument(
            metavar=f"[{'|'.join(templates.KINDS)}]",
            help="Kind of target, or a paper's model.",
            autocompletion=lambda incomplete: [k for k in templates.KINDS if k.startswith(incomplete)],
        ),
    ] = "ring",
    output: Text = None,
    json: Json = False,
) -> None:
    """Print a commented experiment to edit."""
    answer, text = Answer(json, output), templates.new(kind)
    answer.give_text(text, lambda: {"kind": kind, "toml": text})
