"""The noise floor of modes: Lyapunov's equation solved densely, and a recursion with noise simulated."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from egan_theory.games.noise import floors, stationary
from tests.games.double import spread


def eigen(A):
    z, X = np.linalg.eig(A)
    U = np.linalg.inv(X).T
    half = z.imag >= 0
    return z[half].astype(complex), X[:, half].astype(complex), U[:, half].astype(complex)


def contracting(n=8, seed=0):
    A = spread((0.7 + 0.6j, -0.9), n, seed, 0.6)
    return A


def test_all_modes_together_have_the_trace_of_lyapunovs_solution():
    A, rng = contracting(), np.random.default_rng(1)
    xi = rng.standard_normal((30, 8)) @ rng.standard_normal((8, 8))
    z, X, U = eigen(A)
    xi -= xi.mean(0)
    each, total, count = floors(z, xi, U, X, [X, X[:3]])
    S = solve_discrete_lyapunov(A, xi.T @ xi / 29)
    assert count == len(z)
    assert total[0] == pytest.approx(np.sqrt(np.trace(S))) and total[1] == pytest.approx(np.sqrt(np.trace(S[:3, :3])))
    assert np.all(each[0] > 0)


def test_a_simulated_recursion_stays_at_the_floor_of_each_mode():
    A, rng = contracting(seed=2), np.random.default_rng(5)
    L = rng.standard_normal((8, 8)) / 3
    z, X, U = eigen(A)
    draws = rng.standard_normal((400, 8)) @ L.T
    xi = draws - draws.mean(0)
    each, total, _ = floors(z, xi, U, X, [X])
    state, square, along = np.zeros((4000, 8)), 0.0, np.zeros(len(z))
    for step in range(400):
        state = state @ A.T + xi[rng.integers(0, 400, 4000)] * np.sqrt(400 / 399)
        if step >= 200:
            square += (state**2).sum(1).mean() / 200
            for j in range(len(z)):  # the part of the state in the mode and its conjugate
                part = (state @ U[:, j])[:, None] * X[:, j]
                part = 2 * part.real if z[j].imag else part.real
                along[j] += (part**2).sum(1).mean() / 200
    assert np.sqrt(along) == pytest.approx(each[0], rel=0.02)
    assert np.sqrt(square) == pytest.approx(total[0], rel=0.02)


def test_modes_that_grow_have_no_floor_and_are_left_out_of_the_sum():
    A = spread((0.7 + 0.6j, 1.1), 8, 0, 0.6)
    z, X, U = eigen(A)
    xi = np.random.default_rng(1).standard_normal((30, 8))
    xi -= xi.mean(0)
    each, total, count = floors(z, xi, U, X, [X])
    grows = np.abs(z) >= 1
    assert count == len(z) - 1 and np.isnan(each[0, grows]).all() and np.isfinite(each[0, ~grows]).all()
    # the rest of the recursion, with the growing mode projected out
    j = int(np.flatnonzero(grows)[0])
    P = np.eye(8) - np.outer(X[:, j], U[:, j]).real
    S = solve_discrete_lyapunov(A @ P, P @ (xi.T @ xi / 29) @ P.T)
    assert total[0] == pytest.approx(np.sqrt(np.trace(S)))
    assert floors(z, xi[:1], U, X, [X])[2] == count and np.isnan(floors(z, xi[:1], U, X, [X])[1]).all()


def test_covariance_of_amplitudes():
    q = np.array([[1.0 + 1j], [-1.0 - 1j]])
    assert stationary(np.array([0.5j]), q) == pytest.approx(np.array([[4 / (1 - 0.25)]]))
