"""An exact kernel near the target by polynomials: the same to rounding, and exact where it is not near."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.features import feature_map
from egan_theory.features.near import Near
from egan_theory.simulation import run

WIDE = eg.Experiment.from_toml_string(
    '[target]\nkind = "ring"\nmodes = 3\n[generator]\nparticles = 3\n[discriminator]\nlength_scale = 1.0\n'
    '[discriminator.architecture]\ndepth = 1\nactivation = "erf"\n[run]\nsteps = 60\nrecord_every = 30\nruns = 2\n'
)


def both(near=0.5):
    """(features with polynomials, those without, points at parts of the box's side)."""
    exact = feature_map(WIDE)
    Y = WIDE.points.coordinates
    found = exact.near(Y, 1.0)
    X = Y[[2, 0, 1, 1]] + near * found._near.radius * np.array([[1, -1], [0.3, 0.7], [0, 0], [-1, 0.1]])
    return found, exact, X


def test_near_the_target_polynomials_are_the_kernel_to_rounding():
    found, exact, X = both()
    assert found.at(X).psi().shape == (4, exact.size)
    for name in ("psi", "grad"):
        a, b = getattr(found.at(X), name)(), getattr(exact.at(X), name)()
        assert a.any() and not np.array_equal(a, b)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-8 * np.abs(b).max())
    # K itself, without what the basis divides by
    K, mixed = exact.kernel.value(X, X), exact.kernel.mixed(X, X)
    psi, grad = found.at(X).psi(), found.at(X).grad()
    np.testing.assert_allclose(psi @ psi.T, K, rtol=0, atol=1e-6 * K.max())
    np.testing.assert_allclose(np.einsum("iap,jbp->ijab", grad, grad), mixed, rtol=0, atol=2e-3 * np.abs(mixed).max())
    w = np.arange(1.0, exact.size + 1)
    np.testing.assert_array_equal(found.at(X).hessian(w), exact.at(X).hessian(w))
    batch = np.stack([X, X[::-1]])
    np.testing.assert_allclose(found.at(batch).gradient(w)[1], found.at(X).gradient(w)[::-1], rtol=1e-13)


def test_farther_away_and_once_grown_the_kernel_itself_is_evaluated():
    found, exact, X = both()
    far = X.copy()
    far[1] += 0.1
    np.testing.assert_array_equal(found.at(far).psi(), exact.at(far).psi())
    grown = found.extended(X + 0.5)
    assert grown.size > exact.size
    np.testing.assert_array_equal(grown.at(X).grad(), exact.extended(X + 0.5).at(X).grad())
    step = X + 1e-30j
    np.testing.assert_array_equal(found.at(step).psi(), exact.at(step).psi())


def test_a_kernel_of_a_distance_is_left_as_it_is():
    exact = feature_map(eg.Experiment(discriminator={"features": 0}))
    assert exact.near(np.zeros((1, 2)), 1.0) is exact


def test_functions_that_are_no_polynomials_get_no_table():
    jumps = lambda X, order: np.where(X[:, :1] > 0, 1.0, -1.0) if order == 0 else np.ones((*X.shape, 1))  # noqa: E731
    assert Near.of(jumps, lambda v: v, np.zeros((1, 2)), 1.0) is None
    smooth = lambda X, order: np.sin(X[:, :1]) if order == 0 else np.stack([np.cos(X[:, :1]), 0 * X[:, :1]], 1)  # noqa: E731
    assert Near.of(smooth, lambda v: v, np.zeros((1, 2)), 1.0) is not None
    assert Near.of(smooth, lambda v: v, np.zeros((1, 4)), 1.0) is None


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_kicked_runs_are_those_of_the_kernel(monkeypatch, noise):
    exp = WIDE.replace({"penalty.instance_noise": noise})
    runs = []
    for worth in (run.WORTH_TABLES, 10**9):
        monkeypatch.setattr(run, "WORTH_TABLES", worth)
        runs.append(eg.simulate(exp))
    ways = [r["particles"].values - WIDE.points.coordinates[WIDE.assignment] for r in runs]
    assert not np.array_equal(*ways)
    np.testing.assert_allclose(*ways, rtol=0, atol=1e-8 * np.abs(ways[1]).max())
