"""Commented files to begin with: an experiment for every kind of target, and models of papers."""

from __future__ import annotations

from pathlib import Path

from ..base.spelling import one_of
from ..experiment.templates import TEMPLATES, template

#: models of papers that are described by a file of their own
MODELS = {file.parent.name: file for file in sorted(Path(__file__).parent.glob("*/template.toml"))}
KINDS = (*TEMPLATES, *MODELS)


def new(kind: str) -> str:
    """The commented experiment of that kind of target, or model of that name, as TOML text.

    Returns:
        Text to edit, which ``eg.Experiment.from_toml_string`` reads.

    Units:
        In the comment beside each field.

    Raises:
        InputError: a kind that is none; the message lists them.

    Source:
        none, defaults of the package.

    Examples:
        >>> import egan_theory as eg
        >>> eg.new("grid").splitlines()[1]
        '[target]'
    """
    if one_of("kind", kind, KINDS) in MODELS:
        return MODELS[kind].read_text(encoding="utf-8")
    return template(kind)
