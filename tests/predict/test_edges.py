"""Curves and branches end where they should, and say why."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.nonlinear import hill
from egan_theory.nonlinear.hill import slowest
from egan_theory.nonlinear.orbits import NoOrbit
from egan_theory.predict import following
from egan_theory.show.diagram import diagram_text
from tests.predict.test_branch import ring
from tests.show.fakes import RING

RATIO = "generator.kernel.ratio"


def test_the_rate_curve_is_drawn_up_to_the_edge_of_stability():
    found = eg.best_regularizer(RING)
    far = found.asymptotic
    assert far.strengths[far.rates > 0].max() == pytest.approx(found.edge, rel=1e-3)
    above = far.strengths[(far.rates <= 0) & (far.strengths > found.best)]
    assert above.min() == pytest.approx(found.edge, rel=1e-3)
    assert np.all(np.diff(far.strengths) > 0) and len(far.strengths) == len(far.rates)


def test_directions_that_cannot_be_told_apart_are_a_failed_orbit(monkeypatch):
    """Rounding may sort unlike many eigenvalues of a matrix and of its transpose."""
    mean = np.diag(np.linspace(0, 1, 60))
    assert slowest(mean, False)[0].shape[1] < 60
    calls, own = [], hill.scipy.linalg.schur

    def differs(matrix, **options):
        T, Q, count = own(matrix, **options)
        calls.append(count)
        return T, Q, count - (len(calls) > 1)

    monkeypatch.setattr(hill.scipy.linalg, "schur", differs)
    with pytest.raises(NoOrbit, match="could not be told"):
        slowest(mean, False)

    def refuses(*args, **options):
        raise np.linalg.LinAlgError("leading eigenvalues")

    monkeypatch.setattr(hill.scipy.linalg, "schur", refuses)
    with pytest.raises(NoOrbit, match="could not be told"):
        slowest(mean, False)


def test_more_equally_slow_directions_than_are_told_apart_are_said_to_be_so():
    """Weights that only weight decay moves, next to an orbit's own two directions."""
    with pytest.raises(NoOrbit, match="weight decay moves"):
        slowest(np.diag(np.concatenate([[1.0, 0.999], np.full(230, 0.99), np.linspace(0, 0.9, 40)])), False)


def test_a_branch_whose_multipliers_fail_ends_with_the_reason(monkeypatch):
    exp = ring()

    def refuses(*args, **options):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(following, "floquet", refuses)
    found = eg.branch(exp, RATIO, collapsed=0)
    assert found.branches and not found.orbits
    assert all("multipliers of an orbit could not be computed" in born.reason for born in found.branches)


def test_words_on_a_branch_have_no_empty_reason():
    exp = ring()
    found = eg.branch(exp, RATIO, collapsed=0, progress=_stops)
    text = " ".join(t for t in diagram_text(found) if isinstance(t, str))
    assert found.status == "interrupted" and found.orbits and "()" not in text and "stopped there" in text


def _stops(done, total, what):
    if done > 60:
        raise KeyboardInterrupt
