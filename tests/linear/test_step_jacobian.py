"""The linear theory against the simulator: the predicted spectrum is that of the Jacobian of the simulator's own step.

The step is differentiated by complex steps, exact to rounding, so agreement to SPECTRUM tests every factor of the
theory for every loss, penalty, update rule and kernel, without a time series or a fit.
"""

import numpy as np
import pytest
import sympy as sp

from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.experiment.targets import Grid, Mixture, PointSet, Ring, Uniform
from egan_theory.features import feature_map
from egan_theory.kernels import KERNELS as TABLE_OF_KERNELS
from egan_theory.kernels import kernel_from_profile
from egan_theory.linear import eigenvalues, extremes, finite, general, linearize
from egan_theory.linear.equilibria import equilibrium
from egan_theory.linear.general import linearize_general
from egan_theory.linear.saddle import coupling_matrix, on_seen_features
from egan_theory.linear.seen import seen
from egan_theory.problem.field import Field
from egan_theory.problem.jacobian import jacobian_at
from egan_theory.problem.problem import Problem
from egan_theory.tables.losses import single_losses
from egan_theory.tables.penalties import STRENGTHS
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.entries import STEPS, further_kernels, further_penalties, further_rules
from tests.stepjac import (
    ENTRY,
    RANK,
    SPECTRUM,
    at_equilibrium,
    check_step,
    field_jacobian,
    mismatch,
    nullity,
    pair,
    polynomial_mismatch,
    predicted,
    predicted_flow,
    runge_kutta,
    step_jacobian,
)

PENALTIES = {
    "none": {},
    "r1": {"r1": 0.3},
    "r2": {"r2": 0.35},
    "weight decay": {"weight_decay": 0.2},
    "multiplier": {"multiplier": 0.4, "alpha": 0.5},
    "instance noise": {"instance_noise": 0.2},
    "consensus": {"consensus": 0.3},
    "mixed": {
        "r1": 0.2,
        "r2": 0.1,
        "weight_decay": 0.15,
        "multiplier": 0.1,
        "alpha": 0.7,
        "instance_noise": 0.15,
        "consensus": 0.1,
    },
}
RULES = {
    "flow": UpdateRule("flow", substeps=2),
    "simultaneous": UpdateRule("simultaneous"),
    "alternating": UpdateRule("alternating"),
    "alternating 3": UpdateRule("alternating", critic_steps=3),
    "momentum D": UpdateRule("simultaneous", momentum_discriminator=0.5),
    "momentum G": UpdateRule("simultaneous", momentum_generator=0.35),
    "momentum both": UpdateRule("simultaneous", momentum_discriminator=0.5, momentum_generator=0.35),
    "alternating 2, momentum both": UpdateRule("alternating", 2, 0.4, 0.25),
    "extragradient": UpdateRule("extragradient"),
    "optimistic": UpdateRule("optimistic"),
}
#: features = 8 where not given
KERNELS = {
    "gaussian": {},
    "gaussian exact": {"features": 0},
    "matern 5/2": {"kernel": "matern", "smoothness": 2.5},
    "matern 5/2 exact": {"kernel": "matern", "smoothness": 2.5, "features": 0},
    "rational quadratic": {"kernel": "rational_quadratic"},
    "rational quadratic exact": {"kernel": "rational_quadratic", "features": 0},
    "linear": {"kernel": "linear"},
    "linear exact": {"kernel": "linear", "features": 0},
    "polynomial": {"kernel": "polynomial"},
    "polynomial exact": {"kernel": "polynomial", "features": 0},
    # heavy-tailed spectra: longer scales keep the largest random frequency, and so the spectral radius, moderate
    "laplace": {"kernel": "laplace", "length_scale": 3.0},
    "matern 0.7": {"kernel": "matern", "smoothness": 0.7, "length_scale": 2.0},
}
FAST = ("gaussian", "matern 5/2", "rational quadratic exact", "linear exact", "polynomial")
EXACT_STATIONARY = ("gaussian exact", "matern 5/2 exact", "rational quadratic exact")
#: exact kernels under instance noise hold K and its gradient at every node: a line of two points has the same terms as
#: a ring, and a short scale keeps the nodes' functionals apart (close ones have no clear numerical rank)
LINE, CROWDED = Grid(side=2, dimension=1), {"length_scale": 0.2}
WIDE = {"instance_noise": 0.6}


PENALTIES |= further_penalties(PENALTIES.values())
RULES |= further_rules(RULES.values())
KERNELS |= further_kernels(KERNELS.values())


def test_tables_hold_every_entry():
    assert {rule.rule for rule in RULES.values()} == set(STEPS)
    assert {key for penalty in PENALTIES.values() for key in penalty} == set(STRENGTHS)
    assert {disc.get("kernel", "gaussian") for disc in KERNELS.values()} == set(TABLE_OF_KERNELS)


# -- every loss x penalty x rule x kernel ---------------------------------------------------------------------------


@pytest.mark.parametrize("loss", single_losses())
@pytest.mark.parametrize(
    "kernel", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in KERNELS]
)
def test_every_combination(kernel, loss):
    for name, penalty in PENALTIES.items():
        crowded = "instance_noise" in penalty and kernel in EXACT_STATIONARY
        target, disc = (LINE, {**KERNELS[kernel], **CROWDED}) if crowded else (Ring(modes=3), KERNELS[kernel])
        penalty = {**penalty, **WIDE} if crowded else penalty
        exp = small(target, loss=loss, penalty=penalty, discriminator=disc, generator={"masses": "matched"})
        place, lin = at_equilibrium(exp), linearize(exp)
        for title, rule in RULES.items():
            try:
                check_step(exp, rule, lin, place)
            except AssertionError as error:
                raise AssertionError(f"{name}, {title}: {error}") from None


def test_experiment_rule_is_the_default():
    exp = small(Ring(modes=3), particles=3, penalty={"r1": 0.3}, update={"rule": "alternating", "critic_steps": 3})
    check_step(exp)
    assert mismatch(predicted(linearize(exp)), predicted(linearize(exp), RULES["simultaneous"])) > 1e-3


# -- targets, masses, generator kernels -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points")
    rng = np.random.default_rng(3)
    for name, Y in {"three": rng.uniform(-1, 1, (3, 3)), "one": rng.uniform(-1, 1, (1, 3))}.items():
        np.save(folder / f"{name}.npy", Y)
    return folder


def target_named(name, files):
    return {
        "weighted ring": lambda: (Ring(modes=3, weights=(1.0, 2.0, 3.0)), 5),
        "grid": lambda: (Grid(side=2, dimension=2), 5),
        "line": lambda: (Grid(side=3, dimension=1), 4),
        "mixture": lambda: (Mixture(means=((0.0, 0.0), (1.0, 0.5)), std=(0.3, 0.5), samples=4), 5),
        "file": lambda: (PointSet(path=str(files / "three.npy")), 4),
        "one point": lambda: (PointSet(path=str(files / "one.npy")), 2),
    }[name]()


TARGETS = ("weighted ring", "grid", "line", "mixture", "file", "one point")
GENERATORS = {
    "phi = 0": {"kernel": {"ratio": 0.0}},
    "phi = 0.3": {"kernel": {"ratio": 0.3, "diagonal": 1.4}},
    "phi = 1": {"kernel": {"ratio": 1.0}},
    "mean": {"normalisation": "mean", "kernel": {"ratio": 0.2}},
}
PLACE_KERNELS = {
    "gaussian": {},
    "few features": {"kernel": "matern", "smoothness": 2.5, "features": 4},
    "polynomial": {"kernel": "polynomial", "features": 0},
    "homogeneous": {"kernel": "polynomial", "offset": 0.0, "features": 0},
    "linear 8": {"kernel": "linear", "features": 8},
}
DAMPED = {
    "weight decay": {"weight_decay": 0.2},
    "r1 and decay": {"r1": 0.3, "weight_decay": 0.1},
    "mixed": PENALTIES["mixed"],
}


@pytest.mark.parametrize("kernel", PLACE_KERNELS)
@pytest.mark.parametrize("name", TARGETS)
def test_targets_and_generator_kernels(name, kernel, files):
    target, particles = target_named(name, files)
    for title, generator in GENERATORS.items():
        for key, penalty in DAMPED.items():
            exp = small(
                target,
                particles=particles,
                loss="logistic" if key == "mixed" else "wasserstein",
                penalty=penalty,
                discriminator=PLACE_KERNELS[kernel],
                generator={"masses": "matched", **generator},
            )
            place, lin = at_equilibrium(exp), linearize(exp)
            for rule in ("flow", "alternating 2, momentum both", "optimistic"):
                try:
                    check_step(exp, RULES[rule], lin, place)
                except AssertionError as error:
                    raise AssertionError(f"{title}, {key}, {rule}: {error}") from None


@pytest.mark.parametrize("kernel", ["gaussian", "polynomial"])
@pytest.mark.parametrize("name", ["weighted ring", "line", "file"])
def test_rigid_cloud_without_damping_grows_secularly(name, kernel, files):
    """phi = 1, no damping: relative displacements stay and drive D at a constant rate, Jordan blocks at multiplier 1.

    Their algebraic multiplicity is what zero_modes counts; the null space of T - 1 is smaller.
    """
    target, particles = target_named(name, files)
    exp = small(
        target,
        particles=particles,
        discriminator=PLACE_KERNELS[kernel],
        generator={"masses": "matched", "kernel": {"ratio": 1.0}},
    )
    lin = linearize(exp)
    T = step_jacobian(exp, RULES["alternating"])
    z = predicted(lin, RULES["alternating"])
    assert len(z) == len(T)
    assert polynomial_mismatch(T, z) <= SPECTRUM
    away = T - np.eye(len(T))
    assert nullity(away, power=2) == lin.zero_modes
    assert nullity(away, power=1) < lin.zero_modes


@pytest.mark.parametrize("rule", ["flow", "simultaneous", "momentum both", "optimistic"])
@pytest.mark.parametrize("penalty", ["none", "r1", "mixed"])
def test_unequal_masses_on_shared_points(rule, penalty):
    """Masses that differ within a point but add up to its weight: S holds sum m_i^2, not the number of particles."""
    exp = small(
        Ring(modes=3, weights=(1.0, 1.0, 2.0)),
        particles=6,
        loss="least_squares",
        penalty=PENALTIES[penalty],
        generator={
            "masses": (0.05, 0.2, 0.1, 0.15, 0.35, 0.15),
            "per_point": (2, 2, 2),
            "kernel": {"ratio": 0.3},
        },
    )
    check_step(exp, RULES[rule])


@pytest.mark.parametrize("per_point", [(1, 2, 3), (4, 1, 1)])
def test_uneven_matched_masses(per_point):
    exp = small(
        Ring(modes=3, weights=(1.0, 2.0, 3.0)),
        particles=6,
        loss="logistic",
        penalty=PENALTIES["r1"],
        generator={"masses": "matched", "per_point": per_point},
    )
    for rule in ("simultaneous", "alternating 3", "extragradient"):
        check_step(exp, RULES[rule])


UNMATCHED = {
    "decay": ("wasserstein", {"weight_decay": 0.3}),
    "decay and r1": ("wasserstein", {"weight_decay": 0.3, "r1": 0.2}),
    "decay and r2": ("logistic", {"weight_decay": 0.3, "r2": 0.2}),
    "least squares": ("least_squares", {"weight_decay": 0.3}),
    "consensus": ("non_saturating", {"weight_decay": 0.3, "consensus": 0.2}),
    "fisher": ("sobolev", {"weight_decay": 0.3, "multiplier": 0.2, "alpha": 0.6}),
    "noise": ("logistic", {"weight_decay": 0.3, "instance_noise": 0.3}),
}


@pytest.mark.parametrize("features", [40, 0])
@pytest.mark.parametrize("case", UNMATCHED)
def test_masses_that_do_not_match(case, features):
    """q != p: the equilibrium has D != D* and the particles leave the data; the general route holds there too."""
    loss, penalty = UNMATCHED[case]
    target = Grid(side=2, dimension=1, spacing=1.5) if features == 0 else Ring(modes=3)
    exp = small(
        target,
        loss=loss,
        penalty=penalty,
        discriminator={"features": features, "length_scale": 0.4 if case == "noise" else 0.9},
        generator={"kernel": {"ratio": 0.2}, "per_point": (3, 1) if features == 0 else (2, 1, 1)},
    )
    field = Field(Problem(exp))
    eq = equilibrium(Problem(exp), field)
    field = eq.field.grown(eq.x)
    w = field.padded(eq.w, eq.field.features)
    assert not eq.matched
    assert np.abs(w).max() > 1e-3
    assert np.abs(eq.x - exp.points.coordinates[exp.assignment]).max() > 1e-3
    for velocity in (field.Vw(w, eq.x), field.Vx(w, eq.x)):
        assert np.abs(velocity).max() <= 1e-9
    place, lin = at_equilibrium(exp), linearize(exp)
    for rule in ("flow", "simultaneous", "momentum both", "extragradient"):
        check_step(exp, RULES[rule], lin, place)


# -- the periodic box -----------------------------------------------------------------------------------------------

BOX_PENALTIES = {
    "none": {},
    "r1": {"r1": 0.003},
    "multiplier": {"multiplier": 0.004, "alpha": 0.5},
    "instance noise": {"instance_noise": 0.02, "weight_decay": 0.1},
    "mixed": {
        "r1": 0.002,
        "r2": 0.001,
        "weight_decay": 0.15,
        "multiplier": 0.001,
        "alpha": 0.7,
        "consensus": 0.001,
        "instance_noise": 0.02,
    },
}
BOX_KERNELS = {
    "gaussian": {"length_scale": 0.2},
    "matern 5/2": {"kernel": "matern", "smoothness": 2.5, "length_scale": 0.3},
    "laplace": {"kernel": "laplace", "length_scale": 0.3},
    "rational quadratic": {"kernel": "rational_quadratic", "alpha": 1.5, "length_scale": 0.3},
}
BOXES = {
    "line": (Uniform(side=5, length=1.3), 5),
    "line, two each": (Uniform(side=5, length=1.3), 10),
    "line, uneven": (Uniform(side=5, length=1.3), 8),
    "square": (Uniform(side=3, length=1.1, dimension=2), 9),
}


def box(name, *, kernel="gaussian", penalty=None, loss="logistic", generator=None):
    target, particles = BOXES[name]
    return small(
        target,
        particles=particles,
        loss=loss,
        penalty=penalty,
        discriminator={"features": 0, "learning_rate": 0.05, **BOX_KERNELS[kernel]},
        generator={"masses": "matched", "learning_rate": 0.02, **(generator or {})},
    )


@pytest.mark.parametrize("kernel", BOX_KERNELS)
@pytest.mark.parametrize("name", BOXES)
def test_uniform_target(name, kernel):
    for penalty in BOX_PENALTIES.values():
        for ratio in (0.0, 0.3):
            exp = box(name, kernel=kernel, penalty=penalty, generator={"kernel": {"ratio": ratio}})
            place, lin = at_equilibrium(exp), linearize(exp)
            assert ("frequency" in lin.method) == (name != "line, uneven")
            for rule in ("flow", "alternating 3", "momentum both", "optimistic"):
                check_step(exp, RULES[rule], lin, place)


@pytest.mark.parametrize("name", ["line", "line, two each", "square"])
def test_uniform_target_with_a_rigid_cloud(name):
    """phi = 1: the box's modes do not move the cloud at all, and every particle coordinate is a zero mode."""
    exp = box(name, penalty={"weight_decay": 0.15}, generator={"kernel": {"ratio": 1.0}})
    lin = linearize(exp)
    assert lin.zero_modes == exp.generator.particles * exp.dimension
    for rule in ("flow", "simultaneous", "momentum both", "optimistic"):
        check_step(exp, RULES[rule], lin)


# -- routes ---------------------------------------------------------------------------------------------------------


def dense_saddle(exp):
    """The flow spectrum of the dense saddle route, whatever route linearize takes."""
    nu = Problem(exp).damping.nu
    fm = feature_map(exp)
    psi, gradients, mean, *_ = seen(Problem(exp))
    C = coupling_matrix(Problem(exp), mean)
    rank = nullity_complement(C)
    reduced, gamma = on_seen_features(psi, gradients, C, Problem(exp).damping, rank), exp.penalty.consensus
    J, size = reduced.jacobian(Problem(exp)), len(reduced.basis)
    unseen = np.full(fm.size - size, -exp.discriminator.learning_rate * (nu + gamma * nu**2))
    frozen = np.zeros(exp.generator.particles * exp.dimension - rank)
    return np.concatenate([np.linalg.eigvals(J), unseen, frozen])


def nullity_complement(C):
    sigma = np.linalg.svd(C, compute_uv=False)
    return int(np.sum(sigma > RANK * sigma.max()))


@pytest.mark.parametrize("penalty", ["none", "r1", "multiplier", "mixed"])
@pytest.mark.parametrize("loss", ["wasserstein", "least_squares"])
@pytest.mark.parametrize("name", ["line", "square"])
def test_routes_agree_on_the_box(name, loss, penalty):
    exp = box(name, penalty=BOX_PENALTIES[penalty], loss=loss)
    spectra = [predicted_flow(linearize(exp)), dense_saddle(exp), predicted_flow(linearize_general(Problem(exp)))]
    assert "frequency" in linearize(exp).method
    for other in spectra[1:]:
        assert mismatch(spectra[0], other) <= SPECTRUM


@pytest.mark.parametrize("penalty", ["none", "weight decay", "r1", "consensus"])
@pytest.mark.parametrize("kernel", ["gaussian", "matern 5/2 exact", "polynomial exact"])
@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_commuting_route_agrees_with_the_dense_one(kernel, penalty, ratio):
    exp = small(
        Ring(modes=3),
        particles=6,
        penalty=PENALTIES[penalty],
        discriminator=KERNELS[kernel],
        generator={"kernel": {"ratio": ratio}},
    )
    lin = linearize(exp)
    assert ("symmetric" in lin.method) == (penalty != "r1" or ratio == 0)
    assert mismatch(predicted_flow(lin), dense_saddle(exp)) <= SPECTRUM
    general = predicted_flow(linearize_general(Problem(exp)))
    assert mismatch(predicted_flow(lin), general) <= SPECTRUM


# -- Runge-Kutta and the exact flow ---------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", ["r1", "mixed"])
def test_flow_approaches_the_exponential_at_fourth_order(penalty):
    exp = small(
        Ring(modes=3),
        loss="logistic",
        penalty=PENALTIES[penalty],
        discriminator={"learning_rate": 2.0},
        generator={"learning_rate": 0.6, "masses": "matched"},
    )
    lin, place = linearize(exp), at_equilibrium(exp)
    exact = np.exp(predicted_flow(lin))
    substeps = np.array([4, 8, 16])
    errors = []
    for n in substeps:
        rule = UpdateRule("flow", substeps=int(n))
        z = np.linalg.eigvals(step_jacobian(exp, rule, place))
        errors.append(pair(z, exact))
        assert mismatch(z, runge_kutta(predicted_flow(lin), int(n))) <= SPECTRUM
    assert errors[0] > 1e3 * SPECTRUM  # well above rounding
    order = -np.polyfit(np.log(substeps), np.log(errors), 1)[0]
    assert abs(order - 4) < 0.3


def test_flow_multipliers_are_exponentials():
    lin = linearize(small(Ring(modes=3), particles=3, penalty={"r1": 0.3}))
    e = eigenvalues(lin, RULES["flow"])
    np.testing.assert_allclose(e.z, np.exp(e.s), rtol=1e-14)


# -- the analytic Jacobian away from equilibrium --------------------------------------------------------------------


@pytest.mark.parametrize("loss", single_losses())
@pytest.mark.parametrize(
    "kernel", ["gaussian", "gaussian exact", "matern 5/2 exact", "linear exact", "polynomial exact", "polynomial"]
)
def test_dense_jacobian_anywhere(kernel, loss):
    """J of (V_w, V_x) at random (w, x) equals the complex-step one entry by entry, without consensus."""
    rng = np.random.default_rng(11)
    for name, penalty in PENALTIES.items():
        penalty = {key: value for key, value in penalty.items() if key != "consensus"}
        crowded = "instance_noise" in penalty and kernel in EXACT_STATIONARY
        target, disc = (LINE, {**KERNELS[kernel], **CROWDED}) if crowded else (Ring(modes=3), KERNELS[kernel])
        penalty = {**penalty, **WIDE} if crowded else penalty
        exp = small(target, loss=loss, penalty=penalty, discriminator=disc, generator={"kernel": {"ratio": 0.3}})
        field = Field(Problem(exp))
        x = exp.points.coordinates[exp.assignment]
        x = x + 0.3 * rng.standard_normal(x.shape)
        field = field.grown(x)
        w = np.zeros(field.features.size)
        w = w + 0.7 * rng.standard_normal(w.shape) / np.sqrt(len(w))
        J, expected = jacobian_at(field, w, x), field_jacobian(field, w, x)
        assert np.abs(J - expected).max() <= ENTRY * np.abs(expected).max(), name


def test_consensus_jacobian_needs_equilibrium():
    """J - gamma J^T M J is exact where the field vanishes, and only there."""
    exp = small(Ring(modes=3), particles=3, loss="logistic", penalty={"consensus": 0.3, "r1": 0.2})
    field, w, x = at_equilibrium(exp)
    J, expected = jacobian_at(field, w, x), field_jacobian(field, w, x)
    assert np.abs(J - expected).max() <= ENTRY * np.abs(expected).max()
    w = w + 0.5
    J, expected = jacobian_at(field, w, x), field_jacobian(field, w, x)
    assert np.abs(J - expected).max() > 1e-3 * np.abs(expected).max()


# -- refusals -------------------------------------------------------------------------------------------------------


def unmatched(**options):
    return small(Ring(modes=3), particles=4, **options)


REFUSALS = {
    "wgan-gp": (lambda: small(Ring(modes=3), penalty={"wgan_gp": 1.0}), "discontinuous where grad D = 0"),
    "gradient penalty": (lambda: small(Ring(modes=3), penalty={"gradient_penalty": 1.0}), "has no Jacobian"),
    "laplace exact": (
        lambda: linearize(small(Ring(modes=3), particles=3, discriminator={"kernel": "laplace", "features": 0})),
        "second derivative at coincident points when features = 0",
    ),
    "matern 0.7 exact": (
        lambda: linearize(
            small(Ring(modes=3), particles=3, discriminator={"kernel": "matern", "smoothness": 0.7, "features": 0})
        ),
        "second derivative at coincident points when features = 0",
    ),
    "matern 1 exact": (
        lambda: linearize(
            small(Ring(modes=3), particles=3, discriminator={"kernel": "matern", "smoothness": 1.0, "features": 0})
        ),
        "second derivative at coincident points when features = 0",
    ),
    "linear on the box": (
        lambda: small(Uniform(side=3), particles=3, discriminator={"kernel": "linear", "features": 0}),
        "be stationary on the periodic box",
    ),
    "polynomial on the box": (
        lambda: small(Uniform(side=3), particles=3, discriminator={"kernel": "polynomial", "features": 0}),
        "be stationary on the periodic box",
    ),
    "features on the box": (
        lambda: small(Uniform(side=3), particles=3, discriminator={"features": 8}),
        "features: must be 0 for target.kind 'uniform'",
    ),
    "even lattice": (lambda: small({"kind": "uniform", "side": 4}), "be odd"),
    "heavy tail on the box": (
        lambda: linearize(
            small(
                Uniform(side=3),
                particles=3,
                discriminator={"kernel": "rational_quadratic", "alpha": 0.4, "features": 0},
            )
        ),
        "the kernel is not integrable",
    ),
    "odd features": (lambda: small(Ring(modes=3), discriminator={"features": 7}), "be even"),
    "features of a dot profile": (
        lambda: linearize(
            small(Ring(modes=3), particles=3, discriminator={"kernel": kernel_from_profile(sp.exp, kind="dot")})
        ),
        "no random features",
    ),
    "fewer particles": (lambda: linearize(small(Ring(modes=3), particles=2)), "at least the number of target points"),
    "masses without decay": (lambda: linearize(unmatched()), "leave an equilibrium with D != D"),
    "masses with r1 only": (lambda: linearize(unmatched(penalty={"r1": 0.3})), "no equilibrium near the data"),
    "matched on an empty point": (
        lambda: linearize(unmatched(generator={"masses": "matched", "per_point": (2, 2, 0)})),
        "a target point has no particle",
    ),
    "sobolev without multiplier": (
        lambda: small(Ring(modes=3), loss="sobolev", penalty={"multiplier": 0.0}),
        "greater than 0 for loss.kind 'sobolev'",
    ),
    "critic steps": (
        lambda: small(Ring(modes=3), update={"rule": "simultaneous", "critic_steps": 2}),
        "be 1 unless update.rule is 'alternating'",
    ),
    "momentum of extragradient": (
        lambda: small(Ring(modes=3), update={"rule": "extragradient", "momentum_generator": 0.5}),
        "be 0 unless update.rule is",
    ),
    "momentum of the flow": (
        lambda: small(Ring(modes=3), update={"rule": "flow", "momentum_discriminator": 0.5}),
        "be 0 unless update.rule is",
    ),
    "stiffness of laplace": (
        lambda: extremes(small(Ring(modes=3), particles=3, discriminator={"kernel": "laplace", "features": 0}), 1),
        "second derivative at coincident points",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_a_reason(case):
    attempt, reason = REFUSALS[case]
    with pytest.raises(InputError, match="must") as caught:
        attempt()
    assert reason in str(caught.value)


def test_refusals_of_large_matrices(monkeypatch):
    exp = small(Ring(modes=3), particles=3, loss="logistic")
    for module in (finite, general):
        monkeypatch.setattr(module, "MAX_DENSE", 4)
    with pytest.raises(NotLinearizable, match="dense matrix of at most 4 rows"):
        linearize(exp)
    with pytest.raises(NotLinearizable, match="dense matrix of at most 4 rows"):
        linearize(unmatched(penalty={"weight_decay": 0.1}))


def test_hinge_is_linearizable():
    """The hinge is smooth at D* = 0: |D| < 1 there, and its linearization is the Wasserstein one."""
    hinge, wasserstein = (
        small(Ring(modes=3), particles=3, loss=loss, penalty={"r1": 0.2}) for loss in ("hinge", "wasserstein")
    )
    assert pair(predicted_flow(linearize(hinge)), predicted_flow(linearize(wasserstein))) == 0
