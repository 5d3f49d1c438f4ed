"""A quantity over strengths: what is scanned, refined and asked once."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.predict.curve import Curve, finer, last_holding, least_of, refined, widened

STRENGTHS = np.geomspace(1e-2, 1e2, 9)


def test_each_strength_is_asked_once_and_told():
    asked, told = [], []

    def value(exp):
        asked.append(exp.penalty.r1)
        if exp.penalty.r1 > 1:
            raise eg.NotLinearizable("loss", "have an optimum", "none")
        return exp.penalty.r1

    curve = Curve(eg.Experiment(), "penalty.r1", value, -1.0, lambda i, n: told.append((i, n)))
    assert curve.over(np.array([0.5, 2.0])) == [0.5, -1.0] and curve.at(0.5) == 0.5
    assert curve.over(np.array([2.0, 0.7, 0.5])) == [-1.0, 0.7, 0.5]
    assert asked == [0.5, 2.0, 0.7] and told == [(1, 2), (2, 2), (1, 1)]


def test_least_of_finite_values():
    assert least_of(np.array([np.nan, 3.0, -np.inf, 2.0])) == 3
    assert least_of(np.array([[2.0, 1.0], [np.inf, np.nan]])).tolist() == [1, 0]


def test_a_scan_goes_on_only_where_all_are_least_at_its_end():
    falls, has_least = (lambda s: 1 / s), (lambda s: np.log(s) ** 2)
    longer = widened(falls, STRENGTHS, 10.0, 2, 3)
    assert longer[-1] == pytest.approx(1e5) and len(longer) == len(STRENGTHS) + 6
    assert np.array_equal(longer[: len(STRENGTHS)], STRENGTHS)
    assert widened(has_least, STRENGTHS, 10.0, 2, 3) is STRENGTHS
    assert widened(lambda s: np.stack([falls(s), has_least(s)]), STRENGTHS, 10.0, 2, 3) is STRENGTHS
    assert widened(falls, STRENGTHS, 10.0, 2, 3, limit=50.0) is STRENGTHS
    assert widened(falls, STRENGTHS, 10.0, 2, 3, limit=500.0)[-1] == pytest.approx(1e3)


def test_more_strengths_around_the_least_and_none_of_them_beyond_the_limit():
    more = finer(lambda s: np.log(s) ** 2, STRENGTHS, 1.5, 0.5, 10)
    new = np.setdiff1d(more, STRENGTHS)
    assert new.min() == pytest.approx(10**-0.5 * 10**0.0, rel=0.5) and new.max() == 1.5 and len(new) >= 6
    assert finer(lambda s: s, STRENGTHS, 1e-3, 0.5, 10) is STRENGTHS


def test_refined_takes_the_least_seen():
    strength, value = refined(lambda s: (np.log(s) - 1) ** 2 if s < 5 else np.nan, 1.0, 10.0, 1e-6)
    assert strength == pytest.approx(np.e, rel=1e-5) and value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("inside", "outside"), [(1.0, 100.0), (100.0, 1.0)])
def test_last_strength_that_holds(inside, outside):
    def holds(s):
        return (s < 7) == (inside < 7)

    found = last_holding(holds, inside, outside, 1e-6)
    assert holds(found) and found == pytest.approx(7, rel=2e-6)
