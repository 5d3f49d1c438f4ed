"""One contract over every feature map, the kernels they stand for, and the nodes of instance noise."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from egan_theory.experiment import Experiment
from egan_theory.experiment.players import Discriminator
from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.features import (
    DictionaryFeatures,
    FourierFeatures,
    FourierGrid,
    PolynomialFeatures,
    ProjectedFeatures,
    box_modes,
    feature_map,
)
from egan_theory.features.noise import NODES, noise_nodes
from egan_theory.kernels import Gaussian, Matern, Polynomial, RationalQuadratic
from tests.stepjac import COMPLEX_STEP

#: two expressions of one number, relative to the largest
SAME = 1e-12
#: the dictionary divides by the Cholesky factor of a Gram matrix of condition up to 1 / 1e-13, i.e. sqrt of it
DICTIONARY = 1e-8
#: standard errors allowed to Monte-Carlo estimates (a few hundred of them are compared)
SIGMAS = 5.0


def disc(**settings):
    return Experiment(target=settings.pop("target", Ring(modes=5)), discriminator=settings)


#: name: (experiment, class, accuracy)
MAPS = {
    "gaussian random": (disc(kernel="gaussian", features=12), FourierFeatures, SAME),
    "matern random": (disc(kernel="matern", smoothness=2.5, features=12), FourierFeatures, SAME),
    "laplace random": (disc(kernel="laplace", features=12), FourierFeatures, SAME),
    "box, line": (disc(target=Uniform(side=9), features=0, length_scale=0.2), FourierFeatures, SAME),
    "box, square": (
        disc(target=Uniform(side=5, dimension=2, length=2.0), features=0, kernel="matern"),
        FourierFeatures,
        SAME,
    ),
    "fourier, line": (
        disc(target=Uniform(side=9), features=0, length_scale=0.2, evaluation="fourier"),
        FourierGrid,
        SAME,
    ),
    "fourier, plane": (disc(features=0, length_scale=1.5, evaluation="fourier", tolerance=1e-4), FourierGrid, SAME),
    "fourier, space": (
        disc(target=Grid(side=2, dimension=3), features=0, length_scale=3.0, evaluation="fourier", tolerance=1e-2),
        FourierGrid,
        SAME,
    ),
    "polynomial": (disc(kernel="polynomial", degree=3, features=0), PolynomialFeatures, SAME),
    "linear": (disc(kernel="linear", features=0), PolynomialFeatures, SAME),
    "projected": (disc(kernel="polynomial", degree=4, features=6), ProjectedFeatures, SAME),
    "gaussian exact": (disc(kernel="gaussian", features=0, length_scale=0.8), DictionaryFeatures, DICTIONARY),
    "matern exact": (disc(kernel="matern", smoothness=2.5, features=0), DictionaryFeatures, DICTIONARY),
    "quadratic exact": (
        disc(target=Grid(side=2, dimension=3), kernel="rational_quadratic", features=0),
        DictionaryFeatures,
        DICTIONARY,
    ),
}


@pytest.fixture(params=MAPS)
def case(request):
    """(feature map, accuracy, points (3, 4, d) and weights (3, P) in a batch of three)."""
    exp, kind, accuracy = MAPS[request.param]
    features = feature_map(exp)
    assert type(features) is kind
    rng = np.random.default_rng(7)
    X = rng.uniform(-0.9, 0.9, (3, 4, exp.dimension))
    return features, accuracy, X, rng.standard_normal((3, features.size)), rng


def close(actual, expected, accuracy):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=accuracy * max(np.abs(expected).max(), 1e-300))


def test_shapes(case):
    features, _, X, w, _ = case
    d, P = X.shape[-1], features.size
    at = features.at(X)
    assert at.psi().shape == (3, 4, P) and at.grad().shape == (3, 4, d, P)
    assert at.value(w).shape == (3, 4) and at.gradient(w).shape == (3, 4, d) and at.hessian(w).shape == (3, 4, d, d)
    assert at.adjoint(np.ones((3, 4)), None).shape == (3, P)


def test_values_gradients_and_adjoint_are_those_of_psi(case):
    features, accuracy, X, w, rng = case
    at = features.at(X)
    psi, grad = at.psi(), at.grad()
    a, b = rng.standard_normal((3, 4)), rng.standard_normal(X.shape)
    close(at.value(w), np.einsum("rnp,rp->rn", psi, w), accuracy)
    close(at.gradient(w), np.einsum("rnap,rp->rna", grad, w), accuracy)
    close(at.adjoint(a, None), np.einsum("rn,rnp->rp", a, psi), accuracy)
    close(at.adjoint(a, b), np.einsum("rn,rnp->rp", a, psi) + np.einsum("rna,rnap->rp", b, grad), accuracy)
    # one list of numbers for all runs, as the target's weights are
    close(at.adjoint(a[0], b), np.einsum("n,rnp->rp", a[0], psi) + np.einsum("rna,rnap->rp", b, grad), accuracy)


def test_derivatives_by_complex_step(case):
    features, accuracy, X, w, _ = case
    d = X.shape[-1]
    at = features.at(X)
    moved = [features.at(X + 1j * COMPLEX_STEP * np.eye(d)[a]) for a in range(d)]
    close(at.grad(), np.stack([m.psi().imag for m in moved], axis=-2) / COMPLEX_STEP, accuracy)
    close(at.gradient(w), np.stack([m.value(w).imag for m in moved], axis=-1) / COMPLEX_STEP, accuracy)
    close(at.hessian(w), np.stack([m.gradient(w).imag for m in moved], axis=-2) / COMPLEX_STEP, accuracy)


def test_gradient_by_central_differences(case):
    """With real arithmetic alone: error (h k)^2 + eps/h for features of wavenumber k."""
    features, accuracy, X, w, _ = case
    h, k = 1e-5, 100.0
    if isinstance(features, FourierFeatures | FourierGrid):
        k = np.abs(getattr(features, "dense", features).omega).max()
    for a in range(X.shape[-1]):
        e = h * np.eye(X.shape[-1])[a]
        slope = (features.at(X + e).value(w) - features.at(X - e).value(w)) / (2 * h)
        close(features.at(X).gradient(w)[..., a], slope, accuracy / h + (h * k) ** 2)


def test_batches_are_lists_of_single_points(case):
    features, accuracy, X, w, _ = case
    at = features.at(X)
    for r in range(3):
        one = features.at(X[r])
        close(one.value(w[r]), at.value(w)[r], accuracy)
        close(one.gradient(w[r]), at.gradient(w)[r], accuracy)
        close(one.hessian(w[r]), at.hessian(w)[r], accuracy)
        close(one.adjoint(np.ones(4), X[r]), at.adjoint(np.ones((3, 4)), X)[r], accuracy)


def test_complex_weights(case):
    features, accuracy, X, w, _ = case
    at, v = features.at(X), w + 0.5j * w[::-1]
    close(at.value(v), at.value(w) + 0.5j * at.value(w[::-1]), accuracy)
    close(at.gradient(v), at.gradient(w) + 0.5j * at.gradient(w[::-1]), accuracy)


def test_gradient_rank(case):
    features, _, X, _, _ = case
    B = features.at(X[0]).grad().reshape(-1, features.size)
    assert features.gradient_rank(X[0]) == np.linalg.matrix_rank(B)


# -- the kernels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel",
    [
        {"kernel": "gaussian", "length_scale": 0.7, "variance": 2.0},
        {"kernel": "matern", "smoothness": 1.5, "length_scale": 0.7},
        {"kernel": "laplace"},
        {"kernel": "rational_quadratic", "alpha": 0.8},
    ],
    ids=lambda k: k["kernel"],
)
def test_random_features_estimate_the_kernel(kernel):
    """psi.psi' is a mean of F cosines of variance at most 1/2 each, times K(0)."""
    F = 20_000
    exp = disc(**kernel, features=2 * F)
    X = np.random.default_rng(0).uniform(-1.5, 1.5, (6, 2))
    psi = feature_map(exp).at(X).psi()
    K = exp.discriminator.kernel_object.value(X, X)
    np.testing.assert_allclose(np.diag(psi @ psi.T), np.diag(K), rtol=SAME)
    assert np.abs(psi @ psi.T - K).max() <= SIGMAS * K[0, 0] / np.sqrt(2 * F)


def test_projected_features_estimate_the_kernel():
    """sum over P' Gaussian rows: variance (K(x,x) K(y,y) + K(x,y)^2) / P'."""
    P = 20_000
    exp = disc(kernel="polynomial", degree=2, features=P)
    X = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    psi = feature_map(exp).at(X).psi()
    K = (X @ X.T + 1) ** 2
    error = np.sqrt((np.outer(np.diag(K), np.diag(K)) + K**2) / P)
    assert np.abs((psi @ psi.T - K) / error).max() <= SIGMAS


@pytest.mark.parametrize(("degree", "offset"), [(1, 0.0), (2, 1.0), (3, 0.5), (4, 0.0)])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_polynomial_features_are_exact(degree, offset, dimension):
    exp = disc(target=Grid(side=2, dimension=dimension), kernel="polynomial", degree=degree, offset=offset, features=0)
    X = np.random.default_rng(0).uniform(-1.5, 1.5, (6, dimension))
    psi = feature_map(exp).at(X).psi()
    close(psi @ psi.T, (X @ X.T + offset) ** degree, SAME)


@pytest.mark.parametrize("kernel", [Gaussian(0.4), Matern(0.4, 2.5), RationalQuadratic(0.6), Polynomial(3, 1.0)])
def test_dictionary_is_exact_on_its_span(kernel):
    """K(x, z) and its gradients, when z or x is one of its points."""
    rng = np.random.default_rng(1)
    Z, X = rng.uniform(-1, 1, (5, 2)), rng.uniform(-1, 1, (6, 2))
    features = DictionaryFeatures(kernel, Z, Z)
    at_x, at_z = features.at(X), features.at(Z)
    close(at_x.psi() @ at_z.psi().T, kernel.value(X, Z), DICTIONARY)
    close(np.einsum("nap,mp->nma", at_x.grad(), at_z.psi()), kernel.gradient(X, Z), DICTIONARY)
    close(np.einsum("nap,mbp->nmab", at_z.grad(), at_z.grad()), kernel.mixed(Z, Z), DICTIONARY)
    # off its points it can only fall short
    assert np.all((at_x.psi() ** 2).sum(-1) <= kernel.diagonal(X) * (1 + DICTIONARY))


def gaussian(r, l):
    return np.exp(-(r**2) / (2 * l**2))


@pytest.mark.parametrize("length", [0.3, 1.0, 3.0, 30.0])
def test_dictionary_knows_how_exact_products_of_its_rows_are(length):
    """As far as rounding where no functional is dropped, and what is dropped where some are."""
    rng, kernel = np.random.default_rng(4), Gaussian(length)
    for _ in range(5):
        Y = rng.uniform(-1, 1, (6, 2))
        features = DictionaryFeatures(kernel, Y, Y)
        at = features.at(Y)
        rows = np.concatenate([at.psi(), at.grad().reshape(12, -1)])
        where = np.concatenate([Y, np.repeat(Y, 2, axis=0)])
        which = np.concatenate([np.full(6, -1), np.tile([0, 1], 6)])
        gram = features._functionals(where, which, where, which)
        scale = np.sqrt(np.diag(gram))
        error = np.abs((rows @ rows.T - gram) / scale[:, None] / scale).max()
        assert error <= features.left_out <= 2e-13
        assert features.size < 18 or features.left_out < 2e-15
        assert min(features.left_out, 1e-13) <= features.rows_known <= 1e-13
        if length < 1 and features.size == 18:  # apart from each other: rows are those of a solution with more digits
            with mpmath.mp.workdps(40):
                L = mpmath.matrix(features.factor.tolist())
            raw = np.concatenate([features._raw(Y, 0), features._raw(Y, 1).reshape(12, -1)])
            for row, given in zip(rows[::5], raw[::5], strict=True):
                with mpmath.mp.workdps(40):
                    true = np.array(mpmath.lu_solve(L, mpmath.matrix(given.tolist())).tolist(), dtype=float)[:, 0]
                assert np.linalg.norm(row - true) <= features.rows_known * np.linalg.norm(row)


@pytest.mark.parametrize(("dimension", "side", "length", "l"), [(1, 31, 3.0, 0.3), (2, 17, 2.0, 0.4)])
def test_box_modes_are_the_periodised_kernel(dimension, side, length, l):
    """sum over images; modes and images left out are below rounding."""
    target = Uniform(length=length, dimension=dimension, side=side)
    features = box_modes(Gaussian(l), target)
    assert features.size == side**dimension
    X = np.random.default_rng(2).uniform(0, length, (7, dimension))
    psi = features.at(X).psi()
    separation = X[:, None] - X
    images = itertools.product(range(-4, 5), repeat=dimension)
    K = sum(gaussian(np.linalg.norm(separation + length * np.array(n), axis=-1), l) for n in images)
    close(psi @ psi.T, K, SAME)
    # and periodic
    close(features.at(X + length * np.eye(dimension)[0]).psi(), psi, 1e-11)


# -- seeds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["gaussian", "matern", "laplace", "rational_quadratic", "polynomial", "linear"])
def test_seeds(kernel):
    X = np.random.default_rng(0).uniform(-1, 1, (4, 2))
    exp = disc(kernel=kernel, features=10, seed=1)
    psi = feature_map(exp).at(X).psi()
    assert np.array_equal(feature_map(exp).at(X).psi(), psi)
    # other fields of the experiment do not move them
    assert np.array_equal(feature_map(exp.replace({"run.seed": 9, "penalty.r1": 3.0})).at(X).psi(), psi)
    other = feature_map(exp.replace({"discriminator.seed": 2})).at(X).psi()
    assert np.abs(other - psi).max() > 1e-3


def test_discriminator_kernel_is_built_from_its_fields():
    built = Discriminator(kernel="matern", length_scale=0.3, smoothness=2.5, variance=4.0).kernel_object
    X = np.zeros((1, 2))
    assert built.value(X, X) == pytest.approx(4.0)
    assert (built.length_scale, built.smoothness) == (0.3, 2.5)


# -- instance noise ---------------------------------------------------------------------------------------------------


def gaussian_moment(powers):
    """E prod eps_a^n_a of independent standard normals: product of (n - 1)!! for even n."""
    if any(n % 2 for n in powers):
        return 0.0
    return float(math.prod(math.prod(range(n - 1, 0, -2)) for n in powers))


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 7])
def test_noise_nodes_integrate_moments(dimension):
    """Exact to degree 2 NODES - 1 in every coordinate for d <= 3, to total degree 3 above; and not beyond."""
    sigma = 0.6
    offsets, weights = noise_nodes(sigma, dimension)
    assert np.all(weights > 0) and weights.sum() == pytest.approx(1, rel=1e-14)

    def error(powers):
        n = sum(powers)
        return abs(weights @ np.prod(offsets ** np.array(powers), axis=1) - sigma**n * gaussian_moment(powers))

    if dimension <= 3:
        degree = 2 * NODES[dimension] - 1
        exact = itertools.product(range(degree + 1), repeat=dimension)
        beyond = (degree + 1, *(0,) * (dimension - 1))
    else:
        exact = (p for p in itertools.product(range(4), repeat=dimension) if sum(p) <= 3)
        beyond = (2, 2, *(0,) * (dimension - 2))
    for powers in exact:
        # the sum cancels terms as large as the moment of the moduli
        scale = max(1.0, (weights @ np.prod(np.abs(offsets) ** np.array(powers), axis=1)))
        assert error(powers) <= SAME * scale
    assert error(beyond) > 1e-3 * sigma ** sum(beyond)


def test_no_noise_is_one_node():
    offsets, weights = noise_nodes(0.0, 3)
    assert np.array_equal(offsets, np.zeros((1, 3))) and np.array_equal(weights, [1.0])
