"""The figure of the states reached from a start."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.predict.basin import Reached
from egan_theory.runs.outcome import Outcome


def found(lost):
    kinds = {o.word: 0.0 for o in Outcome} | {"collapsed": lost, "settled": 1 - lost}
    return Reached(kinds, lost, 0.1, 8, 6, 2, 0.3, "by hand", ("none",))


def test_bars_are_the_kinds():
    ax = eg.plot.reached(found(0.25))
    widths = {t.get_text(): bar.get_width() for t, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)}
    assert widths["collapsed"] == 0.25 and widths["settled"] == 0.75 and len(widths) == len(Outcome)
    assert "0.25" in ax.get_title() and "8 draws" in ax.get_xlabel()


def test_along_a_parameter_kinds_are_stacked():
    widths, lost = [0.1, 0.2, 0.4], [1.0, 0.5, 0.0]
    ax = eg.plot.reached([found(p) for p in lost], widths, "run.spread")
    line = next(c for c in ax.containers if c.get_label() == "modes lost")
    np.testing.assert_allclose(line.lines[0].get_xydata(), np.column_stack([widths, lost]))
    assert ax.get_xlabel() == "spread of the start (length)" and len(ax.collections) >= 2
    top = max(p.vertices[:, 1].max() for c in ax.collections[:2] for p in c.get_paths())
    assert top == pytest.approx(1.0)
