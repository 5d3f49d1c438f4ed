"""`egan new`: commented experiments to edit."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console.answer import Answer
from ..console.shared import Json, Text
from ..experiment import templates
from ..experiment.templates import SOLVABLE, TEMPLATES


def new(
    kind: Annotated[
        str,
        typer.Argument(
            metavar=f"[{'|'.join((*TEMPLATES, SOLVABLE))}]",
            help="Kind of target.",
            autocompletion=lambda incomplete: [k for k in (*TEMPLATES, SOLVABLE) if k.startswith(incomplete)],
        ),
    ] = "ring",
    output: Text = None,
    json: Json = False,
) -> None:
    """Print a commented experiment to edit."""
    answer, text = Answer(json, output), templates.new(kind)
    answer.give_text(text, lambda: {"kind": kind, "toml": text})
