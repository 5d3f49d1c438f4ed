"""Bands of TV(P^m, Q^m): exact enumeration, theorems, and brute force from inside."""

from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from egan_theory.base.errors import InputError
from egan_theory.papers.packing import (
    _outcomes,
    band,
    band_with_collapse,
    band_without_collapse,
    curve,
    product_total_variation,
)

#: rounding of sums of probabilities
ROUNDING = 1e-12
#: edges are minima over one or two numbers, scanned and refined
EDGE = 1e-8
SETTINGS = [(0.11, 0.02, 0.1), (0.3, 0.05, 0.3), (0.4, 0.05, 0.12), (0.5, 0.1, 0.5), (0.7, 0.3, 0.65)]


def pairs(rng, count, outcomes, concentration):
    return (rng.dirichlet(np.full(outcomes, concentration), count) for _ in range(2))


def with_total_variation(rng, t, count):
    """Random pairs with TV = t exactly, 2 to 6 outcomes, even and uneven ones."""
    for outcomes in range(2, 7):
        for concentration in (0.08, 0.4, 2.0):
            P, Q = pairs(rng, count, outcomes, concentration)
            total = np.abs(P - Q).sum(-1) / 2
            kept = total >= t
            P, Q = P[kept], np.maximum(P[kept] + (t / total[kept])[:, None] * (Q[kept] - P[kept]), 0)
            yield P, Q


@given(seed=st.integers(0, 10_000), outcomes=st.integers(1, 4), m=st.integers(1, 4))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_type_classes_against_all_sequences(seed, outcomes, m):
    P, Q = (v[0] for v in pairs(np.random.default_rng(seed), 1, outcomes, 0.3))
    words = list(product(range(outcomes), repeat=m))
    brute = sum(abs(np.prod(P[list(word)]) - np.prod(Q[list(word)])) for word in words) / 2
    assert product_total_variation(P, Q, m) == pytest.approx(brute, abs=ROUNDING)


def test_many_outcomes_and_samples():
    """TV of P^m grows with m and is below 1 - (1 - t)^m; zero outcomes are no trouble."""
    P, Q = pairs(np.random.default_rng(0), 50, 6, 0.5)
    P[:10, 2] = 0
    P /= P.sum(-1, keepdims=True)
    values = np.array([product_total_variation(P, Q, m) for m in range(1, 9)])
    np.testing.assert_allclose(values[0], np.abs(P - Q).sum(-1) / 2, atol=ROUNDING)
    assert np.all(np.diff(values, axis=0) > -ROUNDING)
    m = np.arange(1, 9)[:, None]
    assert np.all(values <= 1 - (1 - values[0]) ** m + ROUNDING)


def test_upper_edge_by_sympy():
    """Outcomes (t, 1-t, 0), (0, 1-t, t): sequences of the middle outcome alone are shared."""
    t = sp.Symbol("t", positive=True)
    for m in (1, 2, 3):
        P, Q = (t, 1 - t, sp.S(0)), (sp.S(0), 1 - t, t)
        shared = sum(
            sp.prod([P[i] for i in word]) for word in product(range(3), repeat=m) if all(Q[i] != 0 for i in word)
            and all(P[i] != 0 for i in word)
        )  # fmt: skip
        assert sp.expand(1 - shared - (1 - (1 - t) ** m)) == 0
        assert band(0.37, m).high == pytest.approx(1 - 0.63**m, abs=ROUNDING)


@given(seed=st.integers(0, 10_000), m=st.integers(2, 5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_lower_curve_has_less_total_variation(seed, m):
    """Blackwell: merging outcomes lowers the curve everywhere, and TV^m with it."""
    P, Q = (v[0] for v in pairs(np.random.default_rng(seed), 1, 5, 0.5))
    merge = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1]])
    x = np.linspace(0, 1, 21)
    fine, coarse = ([float(curve(a, b, v)) for v in x] for a, b in ((P, Q), (merge @ P, merge @ Q)))
    assert np.all(np.array(coarse) <= np.array(fine) + ROUNDING)
    assert product_total_variation(merge @ P, merge @ Q, m) <= product_total_variation(P, Q, m) + ROUNDING


def test_outcomes_are_the_edges_of_the_curve():
    P, Q = _outcomes([(0.2, 0.6), (0.5, 0.7), (0.4, 0.5)])  # the last lies below the hull
    np.testing.assert_allclose([P.sum(), Q.sum()], 1)
    for x, y in ((0.2, 0.6), (0.5, 0.75), (0.1, 0.3)):
        assert curve(P, Q, x) == pytest.approx(y if x != 0.5 else 0.6 + 0.4 * 0.3 / 0.8, abs=ROUNDING)
    P, Q = _outcomes([(0.0, 0.3), (0.6, 1.0)])
    assert curve(P, Q, 0.0) == pytest.approx(0.3, abs=ROUNDING)


@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize(("t", "eps", "delta"), SETTINGS)
def test_bands_are_attained_and_ordered(t, eps, delta, m):
    everything = band(t, m)
    found = [everything, band_with_collapse(t, eps, delta, m), band_without_collapse(t, eps, delta, m)]
    for part in found:
        if part is None:
            continue
        for value, (P, Q) in ((part.low, part.low_pair), (part.high, part.high_pair)):
            assert np.all(P >= 0) and np.all(Q >= 0) and P.sum() == pytest.approx(1) == pytest.approx(Q.sum())
            assert np.abs(P - Q).sum() / 2 == pytest.approx(t, abs=EDGE)
            assert product_total_variation(P, Q, m) == pytest.approx(value, abs=ROUNDING)
        assert everything.low - EDGE <= part.low <= part.high + EDGE <= everything.high + 2 * EDGE
    with_, without = found[1:]
    if with_ is not None:
        assert curve(*with_.low_pair, eps) >= delta - EDGE
        assert with_.high == everything.high
    if without is not None:
        for P, Q in (without.low_pair, without.high_pair):
            # where eps = 0 or the line is vertical the edge is a limit
            assert curve(P, Q, eps) <= delta + 1e-6 and curve(Q, P, eps) <= delta + 1e-6


def crossings(draws, sizes, seed):
    """(outside the band, pairs checked) over all settings and kinds."""
    rng = np.random.default_rng(seed)
    outside = checked = 0
    for t, eps, delta in SETTINGS:
        edges = {m: (band(t, m), band_with_collapse(t, eps, delta, m), band_without_collapse(t, eps, delta, m),
                     band_without_collapse(t, eps, delta, m, augmentation=True)) for m in sizes}  # fmt: skip
        for P, Q in with_total_variation(rng, t, draws // (15 * len(SETTINGS))):
            if not len(P):
                continue
            above, below = curve(P, Q, eps), curve(Q, P, eps)
            chosen = (above >= 0, above >= delta, (above <= delta) & (below <= delta), above <= delta)
            for m in sizes:
                tv = product_total_variation(P, Q, m)
                for which, part in zip(chosen, edges[m], strict=True):
                    checked += which.sum()
                    if part is None:
                        outside += which.sum()
                    else:
                        outside += ((tv[which] < part.low - EDGE) | (tv[which] > part.high + EDGE)).sum()
    return outside, checked


def test_random_pairs_stay_inside():
    outside, checked = crossings(12_000, (2, 3), 0)
    assert outside == 0 and checked > 8_000


@pytest.mark.slow
def test_a_hundred_thousand_random_pairs_stay_inside():
    outside, checked = crossings(200_000, (2, 3), 1)
    assert outside == 0 and checked > 100_000


def test_edges_are_close_to_random_binary_and_ternary_pairs():
    """From inside: a fine scan over two-outcome pairs reaches the lower edge, over (u, slope) the upper ones."""
    t, m = 0.3, 3
    u = np.linspace(0, 1 - t, 4001)
    P, Q = np.stack([u + t, 1 - t - u], -1), np.stack([u, 1 - u], -1)
    brute = product_total_variation(P, Q, m).min()
    assert band(t, m).low - EDGE <= brute <= band(t, m).low + 2e-5  # a kink: the scan's spacing is 1.75e-4
    eps, delta = 0.05, 0.3
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 1 - t, 4000)
    tv = [product_total_variation(*_outcomes([(v, v + t), (eps, delta)]), m) for v in corner]
    low = band_with_collapse(t, eps, delta, m).low
    assert low - EDGE <= min(tv) <= low + 1e-4


def test_collapse_moves_up_faster():
    """The claim of packing: at m = 1 the bands coincide, and from m = 2 on pairs with collapse lie higher."""
    t, eps, delta = 0.11, 0.02, 0.1
    assert band_with_collapse(t, eps, delta, 1).low == pytest.approx(band(t, 1).low, abs=ROUNDING)
    for m in (2, 4):
        with_, without = band_with_collapse(t, eps, delta, m), band_without_collapse(t, eps, delta, m)
        assert with_.low > band(t, m).low * 1.3
        assert without.high < band(t, m).high - 1e-3


def test_excluding_collapse_alone_lowers_nothing():
    """The reverse of a collapse reaches the upper edge as well: only excluding both lowers it."""
    t, eps, delta, m = 0.11, 0.02, 0.1, 3
    assert band_without_collapse(t, eps, delta, m, augmentation=True).high == pytest.approx(band(t, m).high, abs=1e-6)


def test_impossible_demands_give_no_band():
    assert band_with_collapse(0.1, 0.1, 0.45, 2) is None  # delta - eps > t
    assert band_without_collapse(0.7, 0.05, 0.12, 2) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: band(1.5, 2), r"t: must lie in \[0, 1\]"), (lambda: band_with_collapse(0.1, 0.5, 0.2, 2), "eps: must be"),
     (lambda: product_total_variation(np.ones(1), np.ones(1), 0), "m: must be a whole"),
     (lambda: product_total_variation(np.ones(2) / 2, np.ones(3) / 3, 1), "P: must have the shape of Q")],
)  # fmt: skip
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
