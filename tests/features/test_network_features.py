"""Random network features: derivatives, kernels in the limit of infinite width, rank, and experiments built on them."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

import egan_theory as eg
from egan_theory.experiment import Experiment
from egan_theory.experiment.players import DISCRIMINATORS
from egan_theory.features import NetworkFeatures, feature_map
from egan_theory.kernels import KERNELS
from egan_theory.linear import eigenvalues, linearize
from egan_theory.problem.jacobian import jacobian_at
from egan_theory.problem.problem import Problem
from egan_theory.tables.activations import ACTIVATIONS, TANH_POWER

SAME = 1e-12
COMPLEX_STEP = 1e-30
#: largest deviation of a mean of independent terms, in its standard errors, over some tens of comparisons
SIGMAS = 4.5
NAMES = sorted(ACTIVATIONS)


def network(name, width=40, length_scale=0.5, **settings):
    discriminator = {"kernel": name, "features": width, "length_scale": length_scale}
    return Experiment(discriminator=discriminator | settings)


def off_kinks(name, seed=0, n=6, d=2):
    return np.random.default_rng(seed).uniform(-1, 1, (3, n, d)), feature_map(network(name))


# -- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_products_are_those_of_psi(name):
    X, features = off_kinks(name)
    at, rng = features.at(X), np.random.default_rng(1)
    w = rng.standard_normal((3, features.size))
    assert at.psi().shape == (3, 6, features.size) and at.grad().shape == (3, 6, 2, features.size)
    np.testing.assert_allclose(at.value(w), np.einsum("rnp,rp->rn", at.psi(), w), atol=SAME)
    np.testing.assert_allclose(at.gradient(w), np.einsum("rnap,rp->rna", at.grad(), w), atol=SAME)
    a, b = rng.standard_normal((3, 6)), rng.standard_normal((3, 6, 2))
    both = np.einsum("rn,rnp->rp", a, at.psi()) + np.einsum("rna,rnap->rp", b, at.grad())
    np.testing.assert_allclose(at.adjoint(a, b), both, atol=SAME * features.size)
    np.testing.assert_allclose(at.adjoint(a, None), np.einsum("rn,rnp->rp", a, at.psi()), atol=SAME * features.size)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_by_complex_step(name):
    X, features = off_kinks(name)
    w = np.random.default_rng(1).standard_normal((3, features.size))
    at = features.at(X)
    for a in range(2):
        moved = features.at(X + 1j * COMPLEX_STEP * np.eye(2)[a])
        np.testing.assert_allclose(moved.value(w).imag / COMPLEX_STEP, at.gradient(w)[..., a], atol=SAME * 10)
        np.testing.assert_allclose(moved.gradient(w).imag / COMPLEX_STEP, at.hessian(w)[..., a], atol=SAME * 100)
    if name == "relu":
        assert np.all(at.hessian(w) == 0)
    else:
        assert np.abs(at.hessian(w)).max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_the_sympy_ones(name):
    z = sp.Symbol("z", real=True)
    expression = {"relu": sp.Max(z, 0), "tanh": sp.tanh(z), "sine": sp.sin(z)}[name]
    points = np.linspace(-2.1, 2, 12)
    for order, function in enumerate(("value", "slope", "curvature")):
        derived = sp.diff(expression, z, order)
        expected = [float(derived.subs(z, p)) for p in points]
        np.testing.assert_allclose(getattr(ACTIVATIONS[name], function)(points), expected, atol=SAME)


# -- the kernel in the limit ------------------------------------------------------------------------------------------


def arc_cosine(x, y, l):
    """Cho and Saul 2009, order 1, of (x/l, 1) and (y/l, 1), divided by E relu(b)^2 = 1/2."""
    u, v = np.append(x / l, 1), np.append(y / l, 1)
    size = np.linalg.norm(u) * np.linalg.norm(v)
    theta = np.arccos(np.clip(u @ v / size, -1, 1))
    return size * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi


def by_quadrature(x, y, l):
    """E tanh(u) tanh(v)/E tanh^2 with (u, v) Gaussian, by a tensor Gauss-Hermite rule."""
    covariance = np.array([[a @ b / l**2 + 1 for b in (x, y)] for a in (x, y)])
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    g = np.linalg.cholesky(covariance + 1e-14 * np.eye(2))
    u = g[0, 0] * nodes[:, None] + 0 * nodes
    v = g[1, 0] * nodes[:, None] + g[1, 1] * nodes
    return float(weights @ (np.tanh(u) * np.tanh(v)) @ weights / (2 * np.pi) / TANH_POWER)


@pytest.mark.parametrize("name", NAMES)
def test_kernel_of_a_wide_network(name):
    """Mean over units, within its own standard error; K(0, 0) = variance."""
    l, width, variance = 0.7, 60_000, 2.0
    X = np.array([[0.0, 0.0], [0.5, -0.3], [-0.8, 0.4], [1.1, 0.9]])
    features = feature_map(network(name, width, l, variance=variance))
    psi = features.at(X).psi()
    terms = width * psi[:, None] * psi[None]
    limit = {
        "relu": arc_cosine,
        "tanh": by_quadrature,
        "sine": lambda x, y, l: np.exp(-((x - y) ** 2).sum() / (2 * l**2)),
    }[name]
    expected = variance * np.array([[limit(x, y, l) for y in X] for x in X])
    error = terms.std(-1) / np.sqrt(width)
    assert np.all(np.abs(terms.mean(-1) - expected) <= SIGMAS * error)
    assert expected[0, 0] == pytest.approx(variance, rel=1e-6)


def test_power_of_tanh():
    value = quad(lambda b: np.tanh(b) ** 2 * np.exp(-b * b / 2) / np.sqrt(2 * np.pi), 0, 12, epsabs=1e-14)[0]
    assert 2 * value == pytest.approx(TANH_POWER, rel=1e-12)


# -- rank -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [4, 400])
def test_gradient_rank(name, width):
    X = np.random.default_rng(2).uniform(-2, 2, (5, 2))
    features = feature_map(network(name, width, 0.3))
    rows = features.at(X).grad().reshape(10, width)
    assert features.gradient_rank(X) == np.linalg.matrix_rank(rows)
    assert features.gradient_rank(X) == min(width, 10) or name == "relu"


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), width=st.integers(1, 12))
def test_relu_rank_in_one_dimension_is_that_of_the_active_patterns(seed, n, width):
    """d = 1: column j of the gradients is W_j times a 0/1 pattern; their rank in exact arithmetic."""
    rng = np.random.default_rng(seed)
    features = NetworkFeatures.drawn("relu", width, 1, 0.5, 1.0, rng)
    X = rng.uniform(-1, 1, (n, 1))
    pattern = (X @ features.weights.T + features.biases > 0).astype(int)
    assert features.gradient_rank(X) == sp.Matrix(pattern).rank()


# -- experiments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_experiment(name):
    exp = network(name, 33, seed=4)
    assert Experiment.from_toml_string(exp.to_toml()) == exp
    psi = feature_map(exp).at(exp.points.coordinates).psi()
    again = feature_map(exp.replace({"run.seed": 7, "penalty.r1": 2.0})).at(exp.points.coordinates).psi()
    assert np.array_equal(psi, again)
    other = feature_map(exp.replace({"discriminator.seed": 5})).at(exp.points.coordinates).psi()
    assert np.abs(psi - other).max() > 1e-3
    assert set(DISCRIMINATORS) == set(KERNELS) | set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input(name):
    with pytest.raises(eg.InputError, match=r"discriminator.features: must be > 0"):
        network(name, 0)
    with pytest.raises(eg.InputError, match="must be stationary on the periodic box"):
        Experiment(target={"kind": "uniform"}, discriminator={"kernel": name, "features": 0})
    with pytest.raises(eg.InputError, match="network features have no kernel of one scalar"):
        _ = network(name).discriminator.kernel_object
    with pytest.raises(eg.InputError, match=f"discriminator.kernel: must be one of gaussian.*{name}"):
        network("softplus")


@pytest.mark.parametrize("name", NAMES)
def test_linearization_is_the_jacobian_of_the_field(name):
    """The reduced spectrum against the dense Jacobian at equilibrium, which knows nothing of the reduction."""
    exp = network(name, 50).replace({"generator.particles": 8, "update.rule": "flow", "penalty.weight_decay": 0.02})
    from egan_theory.problem.field import Field

    field = Field(Problem(exp))
    dense = np.linalg.eigvals(jacobian_at(field, np.zeros(50), exp.points.coordinates))
    values = eigenvalues(linearize(exp))
    for s in values.s[values.resolved]:
        # coalescing eigenvalues move by the root of the rounding error
        assert np.abs(dense - s).min() <= 1e-7 * np.abs(dense).max()
    assert linearize(exp).size == 50 + 16


@pytest.mark.parametrize("name", NAMES)
def test_kicked_runs_show_the_spectrum(name):
    exp = network(name, 60, 0.6).replace(
        {"generator.particles": 8, "penalty.weight_decay": 0.1, "run.steps": 1200, "run.record_every": 4, "run.runs": 4}
    )
    table = eg.compare(exp, eg.simulate(exp))
    rows = [q for q in table.quantities if q.name != "rate"]
    assert rows and all(q.relative_error <= 0.01 or abs(q.z) <= 3 for q in rows)
