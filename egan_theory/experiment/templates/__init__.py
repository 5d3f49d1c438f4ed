"""Commented experiments to edit, one per kind of target."""

from __future__ import annotations

from pathlib import Path

from ...base.errors import InputError

FOLDER = Path(__file__).parent
TEMPLATES = ("ring", "grid", "mixture", "uniform", "points")
#: what a template changes in the common part; the box has its own features
TEMPLATE_CHANGES = {
    "grid": {"length_scale = 0.5": "length_scale = 0.4"},
    "mixture": {"length_scale = 0.5": "length_scale = 0.3"},
    "uniform": {"features = 256 ": "features = 0   "},
    "points": {"length_scale = 0.5": "length_scale = 0.3"},
}


def template(kind: str) -> str:
    """The commented experiment of that kind of target. Raises InputError for an unknown kind."""
    if kind not in TEMPLATES:
        raise InputError("kind", f"be one of {', '.join(TEMPLATES)}", repr(kind))
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
