"""Multipliers over a strength from one basis, against dense eigenvalues at every strength."""

import numpy as np
import pytest
from scipy.optimize import brentq

from egan_theory.base.errors import InputError
from egan_theory.games.leading import Budget, leading
from egan_theory.games.modes import kind
from egan_theory.games.scan import _drifts, known, scan
from tests.games.double import Matrix, Quadratic

RATES = (0.3, 0.3)


def scanned(n=40, now=0.1, alternating=False, **settings):
    players = Quadratic(n, **settings)

    def at(s):
        A = players.jacobian(RATES, {"r1": s})
        if alternating:  # D, then G that sees the new D
            D, G, m = A.copy(), A.copy(), players.sizes[0]
            D[m:], G[:m] = np.eye(len(A))[m:], np.eye(len(A))[:m]
            A = G @ D
        return Matrix(A, parts={"psi": slice(0, n)})

    A = at(now)
    return at, leading(A.product, A.n, Budget(80), count=6)


@pytest.mark.parametrize("alternating", [False, True])
def test_followed_multipliers_are_dense_eigenvalues_where_they_are_trusted(alternating):
    at, found = scanned(stiffness=0.05, alternating=alternating)
    budget = Budget(240)
    s = scan(at, "r1", 0.1, found, budget)
    assert s.products == budget.used <= 240 and s.curved < 1e-12
    seen = 0
    for g in range(0, len(s.strengths), 6):
        z = np.linalg.eigvals(at(s.strengths[g]).A)
        for j in np.flatnonzero(s.trusted[g]):
            # a residual r of a matrix that is not normal: within a few r
            assert np.abs(z - s.multipliers[g, j]).min() < 5 * s.residuals[g, j] + 1e-8
            seen += 1
    assert seen > 10


def test_the_strength_that_brings_a_rotation_into_the_unit_circle():
    at, found = scanned(rotation=1.0, stiffness=0.8)
    assert np.abs(found.values).max() > 1
    s = scan(at, "r1", 0.1, found, Budget(300))

    def largest(r):
        return np.abs(np.linalg.eigvals(at(r).A)).max() - 1

    last = max(s.crossings, key=lambda c: c.strength)
    assert {c.change for c in s.crossings} == {"raise"} and last.residual < 0.02 and last.others < 1
    assert last.strength == pytest.approx(brentq(largest, 0.1, 1.0), rel=0.02)
    low, high = s.inside
    assert low < s.checked[0] < high and s.checked[1] < 1 and largest(s.checked[0]) < 0
    assert s.checked[1] == pytest.approx(largest(s.checked[0]) + 1, abs=0.02)


def test_an_overshoot_ends_at_a_lower_strength():
    """One weight whose curvature is its penalty's: z = 1 - eta (h + s r) is -1 at s = (2 / eta - h) / r."""

    def at(s):
        return Matrix(np.diag([1 - 0.5 * (0.2 + 3 * s), 0.9, 0.8, 0.7, 0.5, 0.4]))

    A = at(1.6)
    found = leading(A.product, 6, Budget(6), count=2)
    s = scan(at, "r1", 1.6, found, Budget(60), low=0.1, high=10.0)
    assert s.crossings[0].change == "lower" and s.crossings[0].kind == "step too large"
    assert s.crossings[0].strength == pytest.approx((2 / 0.5 - 0.2) / 3, rel=1e-3)
    assert s.inside[1] == pytest.approx((2 / 0.5 - 0.2) / 3, rel=0.1)


def test_it_does_not_extrapolate_beyond_what_it_can_trust():
    """Where the modes at a strength are not those of the basis, no crossing is told."""
    at, found = scanned(n=100, stiffness=0.05, seed=3)
    s = scan(at, "r1", 0.1, found, Budget(24), low=0.01, high=100.0)
    assert not s.trusted.all()
    for c in s.crossings:
        if c.strength is None:
            assert c.reason
        else:  # confirmed by products, and followed without a gap
            assert c.residual < 0.1
            (j,) = np.flatnonzero(np.abs(s.multipliers[np.argmin(np.abs(s.strengths - 0.1))] - complex(*c.at)) < 1e-12)
            between = (s.strengths >= min(0.1, c.strength)) & (s.strengths <= max(0.1, c.strength))
            assert s.trusted[between, j].all()
    assert scan(at, "r1", 0.1, found, Budget(5)) is None
    for low, high in ((1.0, 2.0), (0.0, 1.0), (2.0, 0.01)):
        with pytest.raises(InputError, match="scan: must be a range"):
            scan(at, "r1", 0.1, found, Budget(50), low=low, high=high)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_polynomial_of_any_degree_is_followed(steps):
    """D's matrix to a power: a scan that takes it for a straight line would be off."""
    players = Quadratic(12, stiffness=0.1)

    def at(s):
        A = players.jacobian(RATES, {"r1": s})
        D, G = A.copy(), A.copy()
        D[12:], G[:12] = np.eye(22)[12:], np.eye(22)[:12]
        return Matrix(G @ np.linalg.matrix_power(D, steps))

    A = at(0.1)
    s = scan(at, "r1", 0.1, leading(A.product, 22, Budget(22), count=4), Budget(400), degree=steps, low=0.02, high=0.5)
    assert s.trusted.any()
    for g in (0, 20, len(s.strengths) - 1):
        z = np.linalg.eigvals(at(s.strengths[g]).A)
        for j in np.flatnonzero(s.trusted[g]):
            assert np.abs(z - s.multipliers[g, j]).min() < 5 * s.residuals[g, j] + 1e-7


def test_a_crossing_beyond_a_gap_of_trust_is_not_told(monkeypatch):
    from egan_theory.games.scan import Scan

    at, found = scanned(rotation=1.0, stiffness=0.8)
    honest = Scan.trusted.fget
    assert scan(at, "r1", 0.1, found, Budget(300)).crossings[0].strength is not None
    monkeypatch.setattr(Scan, "trusted", property(lambda s: honest(s) & (np.abs(s.strengths[:, None] - 0.12) > 0.01)))
    for c in scan(at, "r1", 0.1, found, Budget(300)).crossings:
        assert c.strength is None and "as far as it can be trusted" in c.reason


def test_no_range_is_claimed_where_a_growing_mode_is_lost():
    """At four strengths: followed, its residual too large, lost (nan), followed."""
    z = np.array([1.1 + 0.2j, 0.9 + 0.2j, np.nan, 0.8 + 0.2j])[:, None]
    residuals = np.array([1e-6, 1.0, np.nan, 1e-6])[:, None]
    found = known(np.array([1.118, 0.92, 0.7, 0.83]), z, residuals)
    np.testing.assert_array_equal(found, [1.118, np.nan, np.nan, 0.83])


def test_what_a_scan_leaves_out_as_drift_is_what_a_mode_is_called():
    z = np.array([1.1, 1.011 + 6.96e-5j, 1.01 + 0.02j, -30.0, 0.9, 0.9 + 0.1j])
    assert _drifts(z).tolist() == [kind(complex(v)) == "drift" for v in z]
