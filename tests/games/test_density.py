"""Quadratures of densities: moments against traces and against the start's own."""

import numpy as np
import pytest

from egan_theory.games.density import joined, lanczos
from egan_theory.games.leading import Budget, leading
from tests.games.double import spread


def symmetric(n, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, n))
    return (X + X.T) / np.sqrt(2 * n)


def test_lanczos_is_exact_for_polynomials_below_twice_its_steps():
    H = symmetric(50)
    nodes, weights = lanczos(lambda v: H @ v, 50, Budget(9), 9, seed=4)
    u = np.random.default_rng(4).standard_normal(50)
    u /= np.linalg.norm(u)
    for p in range(18):
        assert (weights * nodes**p).sum() == pytest.approx(u @ np.linalg.matrix_power(H, p) @ u, rel=1e-10, abs=1e-12)
    assert abs((weights * nodes**18).sum() - u @ np.linalg.matrix_power(H, 18) @ u) > 1e-9


def test_arnoldi_quadrature_is_exact_below_its_steps():
    A = spread((-1.2 + 0.3j, 0.9 + 0.6j), 40)
    found = leading(lambda v: A @ v, 40, Budget(9), seed=4, count=2)
    u = np.random.default_rng(4).standard_normal(40)
    u /= np.linalg.norm(u)
    for p in range(10):
        q = (found.weights * found.nodes**p).sum()
        assert q.imag == pytest.approx(0, abs=1e-10)
        assert q.real == pytest.approx(u @ np.linalg.matrix_power(A, p) @ u, abs=1e-10)


def test_probes_together_give_traces_and_all_steps_all_eigenvalues():
    H = symmetric(60, 1)
    parts = [lanczos(lambda v: H @ v, 60, Budget(12), 12, seed=s) for s in range(200)]
    density = joined("H", "1", parts, 60, edge=1.0)
    values = np.linalg.eigvalsh(H)
    assert density.probes == 200 and density.weights.sum() == pytest.approx(1)
    for p in (1, 2, 3, 4):
        assert density.moment(p) == pytest.approx(np.mean(values**p), abs=0.03)
    assert density.beyond == pytest.approx(np.mean(values > 1), abs=0.03)
    assert density.below == pytest.approx(np.mean(values < 0), abs=0.05)
    grid = np.linspace(-2.5, 2.5, 400)
    assert np.trapezoid(density.curve(grid, 0.1), grid) == pytest.approx(1, abs=0.02)
    nodes, _ = lanczos(lambda v: H @ v, 60, Budget(100), 100)
    assert np.sort(nodes) == pytest.approx(values, abs=1e-8)
    assert joined("H", "1", [(np.zeros(0), np.zeros(0))], 60) is None
