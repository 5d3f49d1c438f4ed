"""The theory of the package: the text of theory.md, what it leaves to be computed filled in.

``python -m egan_theory.symbolic`` writes that file anew: numbers of equations in order, computed parts up to
date. Text and equations are changed in the file itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .document import Derivation, read
from .generated import generated

THEORY = Path(__file__).parents[1] / "theory.md"


@cache
def derive() -> Derivation:
    """The theory from the model to its predictions: text, numbered equations and tables.

    Returns:
        The derivation; it shows itself in a notebook, and gives Markdown and LaTeX.

    Units:
        Stated beside each symbol in the table of symbols: [L] length, [T] time of one step, [1] a pure number.

    Raises: nothing of its own.

    Source:
        theory.md; every equation is held to SymPy's derivation by a test.

    Examples:
        >>> import egan_theory as eg
        >>> theory = eg.derive()
        >>> theory.equations["generator-kernel"].number
        1
    """
    return read(THEORY.read_text(encoding="utf-8"), generated)
