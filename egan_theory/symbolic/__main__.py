"""Writes theory.md anew: numbers of equations in order, computed parts up to date."""

from .theory import THEORY, derive

THEORY.write_text(derive().to_markdown(), encoding="utf-8")
