"""The SDE of single weights: its moments are the ODE, and the rows of SGD obey it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from egan_theory.base.errors import InputError
from egan_theory.papers.solvable import SETTING_E, Solvable, simulate_sde, simulate_sgd, solve_ode
from egan_theory.papers.solvable.ode import drift
from egan_theory.papers.solvable.records import dataset_state
from egan_theory.papers.solvable.sde import generator_matrix, transition
from egan_theory.papers.solvable.state import gram, gram_root, gram_state, unpack

#: integrator tolerances of the ODE and of the transitions, accumulated
INTEGRATED = 1e-6
SETTINGS = {
    "hard": {},
    "penalty": {"constraint": "x - 1", "strength": 2.0, "z0": 0.8, "noise": 1.0, "fake_noise": 0.5},
    "tanh, Rademacher": {"nonlinearity": "tanh", "latent": "rademacher", "constraint": "tanh(x - 1)", "strength": 5.0},
}


def random_state(rng, d, hard):
    """(2d+1, 2d+1) Gram matrix of random vectors, unit ones where the constraint says so."""
    X = np.column_stack([np.eye(3 * d)[:, :d], rng.standard_normal((3 * d, d + 1))])
    X[:, d:] /= np.linalg.norm(X[:, d:], axis=0) if hard else 1.5
    return X.T @ X


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), d=st.integers(1, 3), name=st.sampled_from(sorted(SETTINGS)))
def test_second_moments_obey_the_ode(seed, d, name):
    """d<x^T x>/dt = M^T G + G M + tau^2 b e_w e_w^T is the macroscopic drift, entry by entry, at any state."""
    rng = np.random.default_rng(seed)
    changes = {k: v for k, v in SETTINGS[name].items() if k != "z0"}
    model = Solvable(Lambda=tuple(rng.uniform(0.5, 5, d)), fake_Lambda=tuple(rng.uniform(0.5, 5, d)), **changes)
    G = random_state(rng, d, model.hard)
    M, noise = generator_matrix(model, G)
    rate = M.T @ G + G @ M
    rate[-1, -1] += noise
    expected = gram(drift(model, gram_state(G)))
    expected[:d, :d] = 0  # U does not move
    assert np.allclose(rate, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("name", SETTINGS)
def test_transitions(name):
    """Phi^T G Phi + Sigma = G' is the Gram matrix of the ODE; two halves make a whole; Sigma >= 0."""
    model = SETTING_E.replace({**SETTINGS[name], "time": 3.0, "record": 2})
    G = gram(model.start)
    end, phi, sigma = transition(model, G, 3.0)
    ode = gram(unpack(dataset_state(solve_ode(model)).pack()[0, -1], 2))
    assert np.allclose(end, ode, rtol=0, atol=INTEGRATED)
    assert np.allclose(phi.T @ G @ phi + sigma, ode, rtol=0, atol=INTEGRATED)
    assert np.linalg.eigvalsh(sigma).min() > -1e-9 and np.all(sigma[:2] == 0) and sigma[-1, -1] > 0.1
    middle, first, noise = transition(model, G, 1.0)
    _, second, more = transition(model, middle, 2.0)
    assert np.allclose(first @ second, phi, atol=INTEGRATED)
    assert np.allclose(second.T @ noise @ second + more, sigma, atol=INTEGRATED)


@pytest.mark.parametrize("name", SETTINGS)
def test_moments_of_the_ensemble(name):
    """P, q, r, S, z of 20000 weights within 4.5 standard errors of the ODE: Wick's theorem gives the errors."""
    model = SETTING_E.replace({**SETTINGS[name], "time": 10.0, "record": 5, "runs": 2, "seed": 4})
    ds, weights = simulate_sde(model, 20_000), 20_000
    G, ode = gram(dataset_state(ds)), gram(dataset_state(solve_ode(model)))
    size = np.einsum("...ii->...i", ode)
    stderr = np.sqrt((size[..., :, None] * size[..., None, :] + ode**2) / weights)
    z = (G - ode) / stderr
    z[..., :2, :2] = 0  # gram() writes U^T U = I there
    assert 1.0 < np.abs(z).max() < 4.5
    assert ds.attrs["weights"] == weights and ds.attrs["status"] == "finished"
    assert np.all(np.isfinite(ds["w"])) and ds["v"].dims == ("run", "time", "weight", "fake")
    u = np.broadcast_to(ds["u"].values[:, None], ds["v"].shape)
    kept = np.concatenate([u, ds["v"], ds["w"].values[..., None]], axis=-1)
    assert np.allclose(np.einsum("rtwi,rtwj->rtij", kept, kept)[..., 2:] / weights, G[..., 2:], atol=1e-10)


def test_weights_of_sgd_obey_the_sde():
    """Given a weight's start, its end in one SGD run, n = 4000, is Gaussian with the mean and variance of the SDE.

    Residuals are standardised with the transition of the ODE; finite n moves it by O(n^(-1/2)), as much as tests see.
    """
    model = SETTING_E.replace({"n": 4000, "time": 1.0, "record": 2, "seed": 6})
    ds = simulate_sgd(model, weights=True).isel(run=0)
    _, phi, sigma = transition(model, gram(model.start), 1.0)
    start = np.concatenate([ds["u"], ds["v"][0], ds["w"].values[0, :, None]], axis=-1)
    residual = np.concatenate([ds["v"][1], ds["w"].values[1, :, None]], axis=-1) - (start @ phi)[:, 2:]
    w = residual[:, -1] / np.sqrt(sigma[-1, -1])
    assert kstest(w, "norm").pvalue > 0.01
    assert abs(np.var(w) - 1) < 4 * np.sqrt(2 / model.n)
    # v follows w without noise of its own: its small residual is the one that w's noise makes
    for fake in range(2):
        expected = sigma[2 + fake, -1] / np.sqrt(sigma[2 + fake, 2 + fake] * sigma[-1, -1])
        assert abs(np.corrcoef(residual[:, fake], w)[0, 1] - expected) < 0.1
    # without the drift, or the noise, the residuals would be far larger, or smaller
    assert np.var(ds["w"][1] - ds["w"][0]) > 1.1 * sigma[-1, -1]


def test_starts_given_by_the_user():
    """Rows on a lattice stay a mixture: three means of w, one for each start, with one variance."""
    model = SETTING_E.replace({"time": 0.5, "record": 2, "seed": 2})
    rows = np.repeat(np.array([[-2.0, 0, 1, 0, 1], [0, 1, 0, -1, 0], [1, 1, 1, 1, -1]]), 4000, axis=0)
    ds = simulate_sde(model, start=rows)
    _, phi, sigma = transition(model, gram(model.start), 0.5)
    w = ds["w"].values[0, 1].reshape(3, 4000)
    assert np.all(np.abs(w.mean(1) - (rows[::4000] @ phi)[:, -1]) < 4 * np.sqrt(sigma[-1, -1] / 4000))
    assert np.all(np.abs(w.var(1) / sigma[-1, -1] - 1) < 4 * np.sqrt(2 / 4000))
    for bad in (rows[:, :3], rows[0], rows[:0], np.full((2, 5), np.nan)):
        with pytest.raises(InputError, match="start: must hold finite rows of 5 numbers"):
            simulate_sde(model, start=bad)
    with pytest.raises(InputError, match="weights: must be at least 1"):
        simulate_sde(model, 0)


def test_ends_that_are_not_the_planned_one():
    model = SETTING_E.replace(
        {
            "constraint": "tanh(x - 1)",
            "strength": 0.1,
            "noise": 3.0,
            "fake_noise": 0.0,
            "taut": 0.0,
            "fake_Lambda": (0.5, 0.3),
            "record": 21,
        }
    )
    ds = simulate_sde(model, 100)
    last = float(ds["time"][np.isfinite(ds["z"][0])][-1])
    assert 0 < last < 60 and ds.attrs["status"] == f"diverged at {last:.6g}" and np.isnan(ds["w"][0, -1]).all()

    def stop(done, total):
        if done == 7:
            raise KeyboardInterrupt

    ds = simulate_sde(SETTING_E.replace({"record": 5, "runs": 3}), 100, stop)
    assert ds.attrs["status"] == "interrupted" and ds.sizes["run"] == 2
    again = simulate_sde(SETTING_E.replace({"record": 5, "runs": 1}), 100)
    assert np.array_equal(ds["P"][0], again["P"][0])


def test_root_of_a_singular_covariance():
    assert np.all(gram_root(np.zeros((3, 3))) == 0)
    rank_one = np.outer(*2 * [np.arange(1.0, 8.0)])  # rounding makes some of its eigenvalues negative
    assert np.linalg.eigvalsh(rank_one).min() < 0
    assert np.allclose(gram_root(rank_one).T @ gram_root(rank_one), rank_one)
    assert np.allclose(gram_root(np.diag([4.0, 0.0])) ** 2, [[0, 0], [4, 0]])
