"""`egan new`: commented experiments to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .shared import Json, Text, new_file, show_text

FOLDER = Path(__file__).parents[1] / "templates"
TEMPLATES = ("ring", "grid", "mixture", "uniform", "points")
SOLVABLE = "solvable"
#: what a template changes in the common part; the box has its own features
TEMPLATE_CHANGES = {
    "grid": {"length_scale = 0.5": "length_scale = 0.4"},
    "mixture": {"length_scale = 0.5": "length_scale = 0.3"},
    "uniform": {"features = 256 ": "features = 0   "},
    "points": {"length_scale = 0.5": "length_scale = 0.3"},
}


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
    out, text = None if output is None else new_file(output), template(kind)
    show_text(text, {"kind": kind, "toml": text}, out, json)


def template(kind: str) -> str:
    """The commented experiment of that kind of target, or the solvable model. Raises InputError for an unknown kind."""
    if kind not in (*TEMPLATES, SOLVABLE):
        raise InputError("kind", f"be one of {', '.join((*TEMPLATES, SOLVABLE))}", repr(kind))
    if kind == SOLVABLE:
        return (FOLDER / "solvable.toml").read_text(encoding="utf-8")
    common = (FOLDER / "common.toml").read_text(encoding="utf-8")
    for old, now in TEMPLATE_CHANGES.get(kind, {}).items():
        common = common.replace(old, now, 1)
    text = (FOLDER / f"{kind}.toml").read_text(encoding="utf-8")
    if kind == "points":
        # the example's own points, so that it runs as it is
        from json import dumps

        path = dumps(str(FOLDER / "points.npy"))
        text = text.replace('path = "points.npy"', f"path = {path}  # an example of this package: put yours here")
    return text + common
