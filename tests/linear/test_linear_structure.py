"""Structure of the linearization: exact zero modes, matrix-free operators, 2 x 2 blocks, exact-kernel features."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest

from egan_theory.experiment.targets import Grid, PointSet, Ring, Uniform
from egan_theory.features import DictionaryFeatures, feature_map
from egan_theory.kernels import Gaussian, Matern, RationalQuadratic
from egan_theory.linear import (
    Linearization,
    eigenvalues,
    linearize,
)
from egan_theory.linear.rounding import pair_eigenvalues
from egan_theory.linear.saddle import coupling_matrix
from egan_theory.linear.seen import seen
from egan_theory.linear.system import System
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.stepjac import SPECTRUM, at_equilibrium, field_jacobian, mismatch, nullity, predicted_flow

EPS = np.finfo(float).eps
FLOW = UpdateRule("flow")
#: products with an operator against the dense matrix, relative to the largest entry
PRODUCT = 1e-12

# -- zero modes -----------------------------------------------------------------------------------------------------


def zero_modes(exp):
    """(as the linearization counts them, as the null space of the simulator's Jacobian)."""
    return linearize(exp).zero_modes, nullity(field_jacobian(*at_equilibrium(exp)))


def test_redundant_particles():
    """Three particles per point: only their mass-weighted sum is felt, so (3 - 1) d of each point's 3 d are free."""
    exp = small(Ring(modes=3), particles=9, penalty={"weight_decay": 0.2}, discriminator={"features": 20})
    assert zero_modes(exp) == (12, 12)


@pytest.mark.parametrize("kernel", [{}, {"kernel": "matern", "smoothness": 2.5}])
def test_more_coordinates_than_features(kernel):
    """4 features span at most 4 directions of the 6 particle coordinates."""
    exp = small(Ring(modes=3), particles=3, penalty={"weight_decay": 0.2}, discriminator={"features": 4, **kernel})
    assert zero_modes(exp) == (2, 2)


def test_flat_directions_of_the_linear_kernel():
    """D = w.x moves only the centre of mass: N d - d flat directions."""
    disc = {"kernel": "linear", "features": 0}
    exp = small(Grid(side=2, dimension=2), particles=4, penalty={"r1": 0.2}, discriminator=disc)
    assert zero_modes(exp) == (6, 6)


def test_unseen_features_without_decay():
    """No decay: features that no gradient sees keep their weight, 20 - 6 of them."""
    exp = small(Ring(modes=3), particles=3, penalty={"r1": 0.2}, discriminator={"features": 20})
    assert zero_modes(exp) == (14, 14)


def test_rigid_cloud():
    """phi = 1: only the d collective motions of N d are felt."""
    exp = small(
        Ring(modes=3, weights=(1.0, 2.0, 2.0)),
        particles=4,
        penalty={"weight_decay": 0.2},
        discriminator={"features": 20},
        generator={"masses": "matched", "kernel": {"ratio": 1.0}},
    )
    assert zero_modes(exp) == (6, 6)


def test_rigid_cloud_on_a_symmetric_quadratic():
    """phi = 1 and only second moments: the mean gradient of a centred target vanishes, nothing moves."""
    exp = small(
        Grid(side=2, dimension=2),
        particles=4,
        penalty={"weight_decay": 0.2},
        discriminator={"kernel": "polynomial", "offset": 0.0, "features": 0},
        generator={"kernel": {"ratio": 1.0}},
    )
    assert zero_modes(exp) == (8, 8)


@pytest.mark.parametrize("dimension", [2, 5])
def test_one_point_sees_one_gradient_per_frequency(dimension, tmp_path):
    """At one point the gradients of cos and sin of a frequency are parallel: rank min(F, d), not min(2 F, d)."""
    np.save(tmp_path / "one.npy", np.linspace(0.2, 0.7, dimension)[None])
    for features in (2, 4, 12):
        exp = small(
            PointSet(path=str(tmp_path / "one.npy")),
            particles=1,
            penalty={"weight_decay": 0.2},
            discriminator={"features": features},
        )
        expected = dimension - min(features // 2, dimension)
        assert zero_modes(exp) == (expected, expected)
        assert linearize(exp).unresolved == 0


def test_noise_opens_flat_directions():
    """x^3 at the origin has no gradient, its noise average x^3 + 3 sigma^2 x does."""
    for sigma, free in ((0.0, 1), (0.3, 0)):
        exp = small(
            Grid(side=1, dimension=1),
            particles=1,
            penalty={"weight_decay": 0.2, "instance_noise": sigma},
            discriminator={"kernel": "polynomial", "degree": 3, "offset": 0.0, "features": 0},
        )
        assert zero_modes(exp) == (free, free)


def test_zero_modes_are_not_listed_as_eigenvalues():
    exp = small(Ring(modes=3), particles=9, loss="logistic", penalty={"r1": 0.2}, discriminator={"features": 4})
    lin = linearize(exp)
    assert lin.zero_modes > 0
    for rule in (FLOW, UpdateRule(), UpdateRule("alternating", 1, 0.3, 0.3), UpdateRule("optimistic")):
        assert np.all(np.abs(eigenvalues(lin, rule).z - 1) > 1e-9)
    assert lin.size == exp.discriminator.features + 18


# -- the symmetric reduction ----------------------------------------------------------------------------------------


def test_coupling_sums_squared_masses_and_products():
    """S_ab = omega [(g1 - g2) d_ab sum_(i on a) m_i^2 + g2 p_a p_b], from Gamma and the masses themselves."""
    masses = np.array([0.05, 0.2, 0.15, 0.35, 0.25])
    exp = small(
        Ring(modes=2, weights=(0.4, 0.6)),
        particles=5,
        generator={"masses": tuple(masses), "per_point": (3, 2), "kernel": {"ratio": 0.3, "diagonal": 1.4}},
    )
    gamma = 1.4 * (0.7 * np.eye(5) + 0.3)
    share = np.zeros((2, 5))
    share[exp.assignment, np.arange(5)] = masses
    S = 5 * share @ gamma @ share.T
    s, p, c = Problem(exp).coupling
    np.testing.assert_allclose(np.diag(s) + c * np.outer(p, p), S, rtol=1e-14)
    root = Problem(exp).coupling_root
    np.testing.assert_allclose(root @ root, S, rtol=1e-13)
    np.testing.assert_allclose(root, root.T, atol=1e-15)


@pytest.mark.parametrize("penalty", [{}, {"weight_decay": 0.2}, {"consensus": 0.2, "weight_decay": 0.1}])
def test_symmetric_reduction_with_unequal_masses(penalty):
    exp = small(
        Ring(modes=3, weights=(1.0, 1.0, 2.0)),
        particles=6,
        penalty=penalty,
        discriminator={"features": 20},
        generator={
            "masses": (0.05, 0.2, 0.1, 0.15, 0.35, 0.15),
            "per_point": (2, 2, 2),
            "kernel": {"ratio": 0.3},
        },
    )
    lin = linearize(exp)
    assert "symmetric" in lin.method
    assert Problem(exp).coupling_ratio is None
    dense = np.linalg.eigvals(field_jacobian(*at_equilibrium(exp)))
    assert mismatch(predicted_flow(lin), dense) <= SPECTRUM


# -- operators ------------------------------------------------------------------------------------------------------

OPERATORS = {
    "features": ({}, {"r1": 0.3, "weight_decay": 0.1}),
    "value": ({}, {"multiplier": 0.3, "alpha": 0.4}),
    "noise": ({}, {"r1": 0.3, "instance_noise": 0.2}),
    "gaussian": ({"features": 0}, {"r2": 0.3}),
    "matern": ({"kernel": "matern", "smoothness": 1.5, "features": 0}, {"r1": 0.3}),
    "rational quadratic": ({"kernel": "rational_quadratic", "features": 0}, {}),
    "linear": ({"kernel": "linear", "features": 0}, {"weight_decay": 0.2}),
    "polynomial": ({"kernel": "polynomial", "degree": 3, "features": 0}, {"r1": 0.2}),
}


def operator_experiment(case, loss="logistic"):
    disc, penalty = OPERATORS[case]
    return small(
        Ring(modes=4, weights=(1.0, 2.0, 1.0, 3.0), radius=0.8),
        particles=6,
        loss=loss,
        penalty=penalty,
        discriminator=disc,
        generator={"masses": "matched", "kernel": {"ratio": 0.3, "diagonal": 1.2}},
    )


@pytest.mark.parametrize("case", [name for name in OPERATORS if name not in ("value", "noise")])
def test_stiffness(case):
    """C C^T = S^(1/2) H S^(1/2) with H from the kernel's own mixed derivatives, or from the features."""
    exp = operator_experiment(case)
    Y, root = exp.points.coordinates, Problem(exp).coupling_root
    M, d = Y.shape
    if exp.discriminator.features:
        B = feature_map(exp).at(Y).grad().reshape(M * d, -1)
        H = (B @ B.T).reshape(M, d, M, d)
    else:
        H = np.moveaxis(exp.discriminator.kernel_object.mixed(Y, Y), 2, 1)
    expected = np.einsum("ij,jakb,kl->ialb", root, H, root).reshape(M * d, M * d)
    C = coupling_matrix(Problem(exp), seen(Problem(exp)).mean)
    assert np.abs(C @ C.T - expected).max() <= PRODUCT * np.abs(expected).max()


def test_stiffness_on_the_periodic_box():
    exp = small(Uniform(side=5), particles=5, discriminator={"features": 0, "length_scale": 0.2})
    C = coupling_matrix(Problem(exp), seen(Problem(exp)).mean)
    mu2 = np.linalg.eigvalsh(C @ C.T)
    blocks = linearize(exp).blocks
    # J12 J21 = -eta_D eta_G b c mu^2, each mode a cosine and a sine; the rigid shift is free
    rates = exp.discriminator.learning_rate * exp.generator.learning_rate
    expected = np.repeat(-blocks[:, 0, 1] * blocks[:, 1, 0] / rates, 2)
    np.testing.assert_allclose(mu2, np.sort([0, *expected]), rtol=1e-10, atol=1e-14)


# -- 2 x 2 blocks ---------------------------------------------------------------------------------------------------


def exact_pair(block):
    with mpmath.workdps(60):
        a, b, c, d = (mpmath.mpf(float(v)) for v in np.ravel(block))
        half, det = (a + d) / 2, a * d - b * c
        root = mpmath.sqrt(half**2 - det)
        return [complex(half + root), complex(half - root)]


STIFF = {
    "overdamped, small root 1e-14": [[-1.0, -1e-7], [1e-7, 0.0]],
    "overdamped, small root 1e-30": [[-3.0, -1e-15], [1e-15, 0.0]],
    "large scale": [[-1e12, -2.0], [3.0, 0.0]],
    "underdamped": [[-0.1, -2.0], [2.0, 0.0]],
    "undamped": [[0.0, -2.0], [3.0, 0.0]],
    "with consensus": [[-0.7, -0.4], [0.5, -0.3]],
    "growing": [[0.7, -0.5], [0.2, 0.3]],
    "real, opposite signs": [[1.0, 2.0], [3.0, -1.0]],
    "diagonal": [[-1.0, 0.0], [0.0, -1e-9]],
    "nearly critical": [[-2.0, -1.0 + 1e-10], [1.0, 0.0]],
    "critical": [[-2.0, -1.0], [1.0, 0.0]],
    "zero": [[0.0, 0.0], [0.0, 0.0]],
    "damping only": [[-0.4, 0.0], [0.0, 0.0]],
    "nilpotent": [[0.0, -0.3], [0.0, 0.0]],
}


@pytest.mark.parametrize("case", STIFF)
def test_pair_eigenvalues(case):
    """Every root to relative precision, also the small one of a stiff block, where tr^2/4 - det loses it."""
    block = np.array(STIFF[case])
    found = sorted(pair_eigenvalues(block[None])[0], key=lambda s: (s.real, s.imag))
    expected = sorted(exact_pair(block), key=lambda s: (s.real, s.imag))
    # a double root moves by the square root of the rounding of its discriminant
    tolerance = 4 * np.sqrt(EPS) if "critical" in case else 16 * EPS
    for f, e in zip(found, expected, strict=True):
        assert abs(f - e) <= tolerance * abs(e)


def test_pair_eigenvalues_vectorised():
    blocks = np.array(list(STIFF.values()))
    together = pair_eigenvalues(blocks)
    assert together.shape == (len(blocks), 2)
    for block, pair in zip(blocks, together, strict=True):
        np.testing.assert_array_equal(pair, pair_eigenvalues(block[None])[0])
        assert abs(pair.sum() - np.trace(block)) <= 4 * EPS * np.abs(block).max()


# -- regimes and damping ratios -------------------------------------------------------------------------------------


def with_blocks(exp, *pairs):
    """A linearization of oscillators s^2 + a s + w^2."""
    blocks = np.array([[[-a, -w], [w, 0.0]] for a, w in pairs])
    n = len(blocks)
    return Linearization(
        exp, "test", (), blocks=blocks, multiplicity=np.ones(n, dtype=int), wavenumber=np.full(n, np.nan)
    )


def test_regimes_at_and_around_critical_damping():
    exp = small(Ring(modes=3), particles=3)
    for w in (0.3, 1.0, 7.3):
        for factor, regime in (
            (2.0, "critical"),
            (2 * (1 + 1e-12), "critical"),
            (2 * (1 - 1e-12), "critical"),
            (2.001, "overdamped"),
            (1.999, "underdamped"),
            (0.0, "underdamped"),
        ):
            e = eigenvalues(with_blocks(exp, (factor * w, w)), FLOW)
            assert set(e.regime) == {regime}
            np.testing.assert_allclose(e.damping_ratio, factor / 2, atol=1e-15, rtol=1e-12)


def test_block_damping_ratio_is_a_over_2w():
    rng = np.random.default_rng(5)
    pairs = np.exp(rng.uniform(-4, 3, (30, 2)))
    for a, w in pairs:
        e = eigenvalues(with_blocks(small(Ring(modes=3), particles=3), (a, w)), FLOW)
        np.testing.assert_allclose(e.damping_ratio, a / (2 * w), rtol=1e-12)


@pytest.mark.parametrize("decay", [0.02, 0.3, 2.0])
@pytest.mark.parametrize("r1", [0.0, 0.5])
def test_dense_damping_ratio_equals_the_blocks(decay, r1):
    """One matrix holding all the oscillators, in rotated coordinates, gives each mode its block's zeta and regime."""
    exp = small(
        Ring(modes=3),
        particles=3,
        penalty={"weight_decay": decay, "r1": r1},
        discriminator={"features": 20},
        generator={"kernel": {"ratio": 0.0}},
    )
    lin = replace(linearize(exp), scalars=())
    blocks, n = lin.blocks, len(lin.blocks)
    rng = np.random.default_rng(1)
    U, V = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    entry = [[np.diag(blocks[:, i, j]) for j in range(2)] for i in range(2)]
    J = np.block([[U @ entry[0][0] @ U.T, U @ entry[0][1] @ V.T], [V @ entry[1][0] @ U.T, V @ entry[1][1] @ V.T]])
    dense = Linearization(Problem(exp), "test", (), systems=(System(J, n),))
    expected, found = eigenvalues(lin, FLOW), eigenvalues(dense, FLOW)
    assert mismatch(expected.s, found.s) <= SPECTRUM
    for s, zeta, regime in zip(expected.s, expected.damping_ratio, expected.regime, strict=True):
        near = np.abs(found.s - s) <= 1e-9 * np.abs(expected.s).max()
        np.testing.assert_allclose(found.damping_ratio[near], zeta, rtol=1e-6)
        assert set(found.regime[near]) == {regime}


def test_discrete_damping_ratio_tends_to_the_flow():
    exp = small(Ring(modes=3), particles=3)
    for a, w, tolerance in ((0.5, 1.0, 0.02), (3.0, 1.0, 0.02)):
        h = 0.01
        e = eigenvalues(with_blocks(exp, (a * h, w * h)), UpdateRule("alternating"))
        np.testing.assert_allclose(e.damping_ratio, a / (2 * w), rtol=tolerance)


# -- the exact kernel's dictionary ----------------------------------------------------------------------------------

DICTIONARY_KERNELS = {
    "gaussian": Gaussian(length_scale=0.6),
    "matern 5/2": Matern(length_scale=0.8, smoothness=2.5),
    "rational quadratic": RationalQuadratic(length_scale=0.7, alpha=0.8),
}


@pytest.fixture(params=DICTIONARY_KERNELS)
def dictionary(request):
    Y = np.random.default_rng(2).uniform(-1, 1, (5, 2))
    kernel = DICTIONARY_KERNELS[request.param]
    return kernel, Y, DictionaryFeatures(kernel, Y, Y)


def test_dictionary_reproduces_the_kernel_on_its_span(dictionary):
    """psi(y).psi(x) = K(y, x) and its derivatives, for y a dictionary point and x anywhere."""
    kernel, Y, features = dictionary
    X = np.random.default_rng(4).uniform(-1.5, 1.5, (7, 2))
    at_x, at_y = features.at(X), features.at(Y)
    assert features.size == 15
    close = {"rtol": 0, "atol": 1e-10}
    np.testing.assert_allclose(at_x.psi() @ at_y.psi().T, kernel.value(X, Y), **close)
    np.testing.assert_allclose(np.einsum("nap,mp->nma", at_x.grad(), at_y.psi()), kernel.gradient(X, Y), **close)
    np.testing.assert_allclose(np.einsum("nap,mbp->nmab", at_x.grad(), at_y.grad()), kernel.mixed(X, Y), **close)
    hessian = np.stack([at_x.hessian(w) for w in at_y.psi()], axis=1)
    np.testing.assert_allclose(hessian, kernel.hessian(X, Y), **close)
    third = np.stack([at_x.hessian(w) for w in at_y.grad().reshape(-1, features.size)], axis=1)
    np.testing.assert_allclose(third.reshape(7, 5, 2, 2, 2), np.moveaxis(kernel.third(X, Y), -1, 2), **close)


def test_dictionary_never_exceeds_the_kernel(dictionary):
    """|psi(x)|^2 <= K(x, x): psi is a projection."""
    kernel, _, features = dictionary
    X = np.random.default_rng(4).uniform(-3, 3, (50, 2))
    norm = (features.at(X).psi() ** 2).sum(-1)
    assert np.all(norm <= kernel.diagonal(X) * (1 + 1e-12))
    assert norm.min() < 0.9 * kernel.diagonal(X).min()


@pytest.mark.parametrize("gradients", [False, True])
def test_extended_dictionary(dictionary, gradients):
    """Old weights keep their meaning; K(., x) is in the span up to growth_tolerance; a second extension is none."""
    kernel, Y, features = dictionary
    rng = np.random.default_rng(6)
    X, Z = rng.uniform(-1.5, 1.5, (6, 2)), rng.uniform(-1.5, 1.5, (9, 2))
    bigger = features.extended(X, gradients)
    assert bigger.size > features.size
    w = rng.standard_normal(features.size)
    padded = np.concatenate([w, np.zeros(bigger.size - features.size)])
    np.testing.assert_allclose(bigger.at(Z).value(padded), features.at(Z).value(w), atol=1e-12)
    np.testing.assert_allclose(bigger.at(Z).gradient(padded), features.at(Z).gradient(w), atol=1e-11)
    np.testing.assert_allclose(bigger.at(Z).hessian(padded), features.at(Z).hessian(w), atol=1e-10)
    missing = kernel.diagonal(X) - (bigger.at(X).psi() ** 2).sum(-1)
    assert np.all(missing <= features.growth_tolerance * kernel.diagonal(X))
    if gradients:
        norm = np.einsum("naa->na", kernel.mixed_diagonal(X))
        missing = norm - (bigger.at(X).grad() ** 2).sum(-1)
        assert np.all(missing <= features.growth_tolerance * norm)
    assert bigger.extended(X, gradients) is bigger
    # points of the span need nothing new
    assert features.extended(Y, True) is features


def test_extended_dictionary_ignores_lost_particles(dictionary):
    _, _, features = dictionary
    assert features.extended(np.full((3, 2), np.nan)) is features


def test_grown_field_keeps_its_velocity():
    """Growing the dictionary changes neither D nor the particles' velocity; it lets the discriminator see them."""
    exp = small(Ring(modes=3), particles=3, penalty={"r1": 0.1}, discriminator={"features": 0})
    field = Field(Problem(exp))
    rng = np.random.default_rng(8)
    w = rng.standard_normal(field.features.size)
    x = exp.points.coordinates[exp.assignment] + 0.3 * rng.standard_normal((3, 2))
    before = field.Vx(w, x)
    grown = field.grown(x)
    more = grown.padded(w, field.features)
    assert len(more) > len(w)
    np.testing.assert_allclose(grown.Vx(more, x), before, atol=1e-12)
    at, force = grown.features.at(x), grown.discriminator_gradient(more, x)
    # -(1/N) sum_j K(., x_j) + data terms: values at the particles come from the kernel itself
    assert np.abs(force[len(w) :]).max() > 1e-3
    np.testing.assert_allclose(at.psi() @ at.psi().T, exp.discriminator.kernel_object.value(x, x), atol=1e-6)
