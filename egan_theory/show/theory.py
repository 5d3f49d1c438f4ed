"""The page of the theory: one file, its equations set by the browser."""

from __future__ import annotations

from ..symbolic import Derivation
from .html import rendered


def theory_page(derivation: Derivation) -> str:
    """The theory as one HTML file that needs no other: the text of ``Derivation.to_html`` on the page of reports.

    Returns:
        The page's text.

    Source: the equations are those of theory.md.
    """
    sections = [(step.anchor, step.title) for step in derivation.steps if step.level == 2]
    return rendered(
        "theory.html.j2",
        verdict=derivation.title,
        sections=[*sections, ("sec-sources", "Sources")],
        article=derivation.to_html(title=False),
    )


__all__ = ["theory_page"]
