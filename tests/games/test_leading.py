"""Leading multipliers by products: known ones, ARPACK's, and what remains when products or patience end."""

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, eigs

from egan_theory.base.errors import InputError
from egan_theory.games.leading import Budget, leading, order
from tests.games.double import spread

KNOWN = (-1.42 + 0.37j, 1.17, 0.9 + 0.6j, -1.05)
INSIDE = (0.5 + 0.75j, 0.6 + 0.7j, 0.7 + 0.6j, 0.8 + 0.5j, 0.85 + 0.4j, 0.9 + 0.3j)


def spread_of(n=120, condition=0.3, seed=0):
    return spread(KNOWN, n, seed, condition)


@pytest.mark.parametrize("kept", [None, 26, 40])
def test_known_multipliers_are_found_with_residuals(kept):
    A = spread((*KNOWN, *INSIDE), 200)
    budget = Budget(160)
    found = leading(lambda v: A @ v, len(A), budget, kept=kept, count=6)
    assert found.ended == "converged" and budget.used == found.products <= 160
    for z in (*KNOWN, *INSIDE[:2]):
        assert np.abs(found.values - z).min() < 1e-6
    X, z = found.vectors, found.values
    residual = A @ X - X * z
    assert np.all(z.imag >= 0) and np.allclose(np.linalg.norm(X, axis=0), 1)
    assert np.linalg.norm(residual, axis=0) == pytest.approx(found.residuals, abs=1e-12)
    assert np.abs(residual - np.outer(found.next, found.tails)).max() < 1e-12


def test_a_restart_works_without_an_ordered_schur_form(monkeypatch):
    from egan_theory.games import leading as module

    A, run = spread_of(), lambda: leading(lambda v: A @ v, len(A), Budget(110), kept=26, count=3)
    expected, ordered = run(), module.dtrsen
    monkeypatch.setattr(module, "dtrsen", lambda *a, **k: (*ordered(*a, **k)[:-1], 1))
    found = run()
    assert found.values == pytest.approx(expected.values, abs=1e-8) and found.products == expected.products


def test_arpack_finds_the_same_farthest_from_one_and_largest():
    A = spread_of(80)
    found = leading(lambda v: A @ v, 80, Budget(80), count=4)
    for shift in (0.0, 1.0):
        far = eigs(LinearOperator(A.shape, matvec=lambda v, s=shift: A @ v - s * v, dtype=float), k=4, v0=np.ones(80))
        for z in far[0] + shift:
            if abs(z) > 1 or (shift and abs(z) > 0.8):
                assert np.abs(found.values - (z if z.imag >= 0 else z.conj())).min() < 1e-7


@pytest.mark.parametrize("alternating", [False, True])
def test_a_bilinear_game_has_the_multipliers_of_the_textbook(alternating):
    """Simultaneous: 1 +- i eta sigma; alternating: roots of z^2 - (2 - eta^2 sigma^2) z + 1, on the unit circle."""
    B, eta = np.random.default_rng(3).standard_normal((7, 7)), 0.3
    eye, none = np.eye(7), np.zeros((7, 7))
    D = np.block([[eye, -eta * B], [none, eye]])
    G = np.block([[eye, none], [eta * B.T, eye]])
    A = G @ D if alternating else np.block([[eye, -eta * B], [eta * B.T, eye]])
    found = leading(lambda v: A @ v, 14, Budget(14), count=14)
    sigma = eta * np.linalg.svd(B)[1]
    expected = np.array([np.roots([1, -(2 - s * s), 1])[0] if alternating else 1 + 1j * s for s in sigma])
    for z in expected:
        assert np.abs(found.values - (z.real + 1j * abs(z.imag))).min() < 1e-10
    if alternating:
        assert np.allclose(np.abs(found.values), 1)


@pytest.mark.parametrize("total", [2, 5, 23, 60])
def test_products_are_never_exceeded_and_what_there_is_comes_back(total):
    A, made = spread_of(200, seed=1), []
    budget = Budget(total, lambda done, of: made.append((done, of)))
    found = leading(lambda v: A @ v, 200, budget, count=8)
    assert len(made) == budget.used == total and made[-1] == (total, total)
    assert found.ended == "products" and np.all(found.residuals <= 0.1 * np.abs(found.values - 1))
    if total >= 23:
        assert np.abs(found.values - KNOWN[0]).min() < 1e-3
    assert leading(lambda v: A @ v, 200, budget).values.size == 0  # none are left


def test_an_interruption_gives_what_was_found():
    A, made = spread_of(200), []

    def product(v):
        made.append(1)
        if len(made) == 30:
            raise KeyboardInterrupt
        return A @ v

    budget = Budget(100)
    found = leading(product, 200, budget)
    assert found.ended == "interrupted" and budget.interrupted and budget.left == 0 and budget.used == 29
    assert np.abs(found.values - KNOWN[0]).min() < 1e-3


def test_the_seed_decides_and_products_must_be_finite():
    A = spread_of(60)
    runs = [leading(lambda v: A @ v, 60, Budget(30), seed=s).residuals for s in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    with pytest.raises(InputError, match="finite derivatives"):
        leading(lambda v: v * np.nan, 60, Budget(30))
    with pytest.raises(InputError, match="count"):
        leading(lambda v: v, 60, Budget(30), count=0)


def test_modes_that_are_gone_at_once_do_not_crowd_out_rotation():
    """Multipliers 0 are 1 away from 1, but tell nothing."""
    z = np.array([0.0, 0.0, 0.3, -0.1 + 0.1j, -0.1 - 0.1j, 0.98 + 0.2j, 0.98 - 0.2j, 1.01, -0.9])
    rows, asked = order(z, 2)
    assert set(rows[asked]) == {5, 7, 8}
