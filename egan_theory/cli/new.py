"""`egan new`: commented experiments to edit."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console.shared import Json, Text, new_file, show_text
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
    out, text = None if output is None else new_file(output), templates.new(kind)
    show_text(text, {"kind": kind, "toml": text}, out, json)
