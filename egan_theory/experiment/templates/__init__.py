"""Commented experiments to edit, one per kind of target.

What the tables of the theory hold stands in ``common.toml`` as ``{name}`` and is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...base.parameters import Parameter
from ...base.spelling import unknown

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
        raise unknown("kind", kind, TEMPLATES)
    common = _with_tables((FOLDER / "common.toml").read_text(encoding="utf-8"))
    for old, now in TEMPLATE_CHANGES.get(kind, {}).items():
        common = common.replace(old, now, 1)
    text = (FOLDER / f"{kind}.toml").read_text(encoding="utf-8")
    if kind == "points":
        # the example's own points, so that it runs as it is
        from json import dumps

        path = dumps(str(FOLDER / "points.npy"))
        text = text.replace('path = "points.npy"', f"path = {path}  # an example of this package: put yours here")
    return text + common


def _with_tables(text: str) -> str:
    """The text with the entries of the tables and their parameters in place of ``{name}``."""
    from ...kernels import KERNELS, PARAMETERS, parameters_of
    from ...tables.activations import ACTIVATIONS
    from ...tables.layers import LAYERS
    from ...tables.losses import LOSSES
    from ...tables.penalties import STRENGTHS
    from ...tables.updates import PARAMETERS as OF_UPDATES
    from ...tables.updates import RULES
    from .. import Experiment

    exp = Experiment()
    losses = ", ".join(f"{k} (needs multiplier > 0)" if l.needs_multiplier else k for k, l in LOSSES.items())
    kernels = {name: parameters_of(kernel) for name, kernel in KERNELS.items()}
    rules = {name: rule.parameters for name, rule in RULES.items()}
    parts = {
        "layers": [", ".join(LAYERS)],
        "kernel": [_field(exp.discriminator, "kernel", f"{', '.join(KERNELS)}; {', '.join(ACTIVATIONS)}")],
        "kernel parameters": _fields(exp.discriminator, PARAMETERS, kernels),
        "loss": [_field(exp.loss, "kind", losses)],
        "penalties": [_field(exp.penalty, name, p.text) for name, p in STRENGTHS.items()],
        "update": [
            _field(exp.update, "rule", "one of these"),
            *(f"#   {name + ':':20} {rule.title}" for name, rule in RULES.items()),
        ],
        "update parameters": _fields(exp.update, OF_UPDATES, rules),
    }
    for name, lines in parts.items():
        text = text.replace(f"{{{name}}}", "\n".join(lines))
    return text


def _field(table: Any, name: str, comment: str) -> str:
    value = getattr(table, name)
    written = f'"{value}"' if isinstance(value, str) else value
    return f"{name} = {written}".ljust(23) + f" # {comment}"


def _fields(table: Any, parameters: Mapping[str, Parameter], owners: Mapping[str, Iterable[str]]) -> list[str]:
    """A line for each parameter; it says which entries have it where few do."""
    out = []
    for name, parameter in parameters.items():
        has = [owner for owner, names in owners.items() if name in names]
        few = f"{', '.join(has)}: " if 2 * len(has) < len(owners) else ""
        out.append(_field(table, name, f"{few}{parameter.text}, {parameter.range}"))
    return out
