"""The velocity field against a naive transcription of the model, and the symmetries that it must have."""

import numpy as np
import pytest

from egan_theory.base.errors import InputError
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, Mixture, Ring, Uniform
from egan_theory.features import FourierFeatures, feature_map
from egan_theory.problem.field import VARIABLE, Field
from egan_theory.problem.problem import Problem
from egan_theory.simulation import simulate
from egan_theory.tables.losses import single_losses
from tests.builders import small
from tests.stepjac import COMPLEX_STEP, at_equilibrium

#: two ways to compute one velocity, relative to its largest entry
VELOCITY = 1e-12
#: ... where the exact kernel's dictionary divides by a Cholesky factor of condition up to 1e-13^(-1/2)
DICTIONARY = 1e-8
#: trajectories of a few dozen steps computed in another order, relative to the displacement
TRAJECTORY = 1e-9
#: velocities at equilibrium, relative to the terms that cancel there
BALANCE = 1e-14

LOSS_FUNCTIONS = {
    "wasserstein": (0.0, lambda D: D, lambda D: -D, lambda D: D),
    "sobolev": (0.0, lambda D: D, lambda D: -D, lambda D: D),
    "logistic": (
        0.0,
        lambda D: -np.log(1 + np.exp(-D)),
        lambda D: -np.log(1 + np.exp(D)),
        lambda D: np.log(1 + np.exp(D)),
    ),
    "non_saturating": (
        0.0,
        lambda D: -np.log(1 + np.exp(-D)),
        lambda D: -np.log(1 + np.exp(D)),
        lambda D: -np.log(1 + np.exp(-D)),
    ),
    "least_squares": (0.5, lambda D: -((D - 1) ** 2) / 2, lambda D: -(D**2) / 2, lambda D: -((D - 1) ** 2) / 2),
    "hinge": (
        0.0,
        lambda D: D - 1 if np.real(D) < 1 else 0 * D,
        lambda D: -1 - D if np.real(D) > -1 else 0 * D,
        lambda D: D,
    ),
}


class Naive:
    """The model as one reads it: loops over points and features, Gamma as a matrix, scalar objectives."""

    def __init__(self, exp: Experiment, features) -> None:
        self.exp = exp
        self.D_star, self.f1, self.f2, self.h = LOSS_FUNCTIONS[exp.loss.kind]
        Y, self.p = exp.points.coordinates, exp.points.weights
        self.Y, self.m = Y, exp.masses
        if isinstance(features, FourierFeatures):
            self.functions = [
                (omega, amplitude, shift)
                for shift in (0.0, -np.pi / 2)
                for omega, amplitude in zip(features.omega, features.amplitude, strict=True)
            ]
            if features.constant is not None:
                self.functions.append((np.zeros(Y.shape[1]), features.constant, 0.0))
        else:
            self.functions = list(zip(features.exponents, features.coefficients, strict=True))
        self.P = len(self.functions)
        # instance noise: Gauss-Hermite nodes, one list for all points
        sigma, d = exp.penalty.instance_noise, exp.dimension
        self.noise = [(np.zeros(d), 1.0)]
        if sigma:
            t, weight = np.polynomial.hermite_e.hermegauss(5)
            assert d == 2
            self.noise = [
                (sigma * np.array([t[i], t[j]]), weight[i] * weight[j] / (2 * np.pi))
                for i in range(5)
                for j in range(5)
            ]

    def psi(self, x):
        if len(self.functions[0]) == 3:
            return np.array([a * np.cos((omega * x).sum() + shift) for omega, a, shift in self.functions])
        return np.array([c * np.prod([x[a] ** int(e[a]) for a in range(len(x))]) for e, c in self.functions])

    def grad_psi(self, x):
        """(d, P)."""
        if len(self.functions[0]) == 3:
            return np.array([-a * omega * np.sin((omega * x).sum() + shift) for omega, a, shift in self.functions]).T
        rows = []
        for a in range(len(x)):
            row = []
            for e, c in self.functions:
                others = np.prod([x[b] ** int(e[b]) for b in range(len(x)) if b != a])
                row.append(c * others * (e[a] * x[a] ** int(e[a] - 1) if e[a] else 0))
            rows.append(row)
        return np.array(rows)

    def D(self, w, x):
        return self.D_star + (w * self.psi(x)).sum()

    def slope(self, w, x):
        return (self.grad_psi(x) * w).sum(1)

    def sides(self, x):
        for points, masses, f, side in ((self.Y, self.p, self.f1, "p"), (x, self.m, self.f2, "q")):
            for point, mass in zip(points, masses, strict=True):
                for shift, weight in self.noise:
                    yield point + shift, mass * weight, f, side

    def L_D(self, w, x):
        k = self.exp.penalty
        total = -k.weight_decay / 2 * (w * w).sum()
        for point, mass, f, side in self.sides(x):
            D, g = self.D(w, point), self.slope(w, point)
            g2, f2 = (g * g).sum(), (D - self.D_star) ** 2
            total = total + mass * f(D)
            total = total - mass * (k.r1 if side == "p" else k.r2) / 2 * g2
            total = total - mass * k.multiplier / 2 * (k.alpha * f2 + g2 - 1)
        return total

    def L_G(self, w, x):
        return sum(
            m * weight * self.h(self.D(w, xi + shift))
            for xi, m in zip(x, self.m, strict=True)
            for shift, weight in self.noise
        )

    def Gamma(self):
        kernel, N = self.exp.generator.kernel, len(self.m)
        omega = N if self.exp.generator.normalisation == "sum" else 1
        return np.array(
            [[omega * kernel.diagonal * (1.0 if i == j else kernel.ratio) for j in range(N)] for i in range(N)]
        )

    def gradients(self, w, x):
        """(dL_D/dw, dL_G/dx) by complex steps of the scalar objectives."""
        Fw = np.array([self.L_D(w + 1j * COMPLEX_STEP * e, x).imag for e in np.eye(self.P)]) / COMPLEX_STEP
        shifts = np.eye(x.size).reshape(-1, *x.shape)
        Fx = np.array([self.L_G(w, x + 1j * COMPLEX_STEP * e).imag for e in shifts]) / COMPLEX_STEP
        return Fw, Fx.reshape(x.shape)

    def energy(self, w, x, field):
        """R = |F_w|^2/2 + F_x . M F_x / 2, F from the field's own (separately tested) gradients, at complex states."""
        Fw, Fx = field.discriminator_gradient(w, x), field.generator_gradient(w, x)
        return (Fw * Fw).sum() / 2 + (Fx * (self.Gamma() @ Fx)).sum() / 2

    def velocities(self, w, x, field):
        Fw, Fx = self.gradients(w, x)
        gamma = self.exp.penalty.consensus
        if gamma:
            dw = [self.energy(w + 1j * COMPLEX_STEP * e, x + 0j, field).imag for e in np.eye(self.P)]
            shifts = np.eye(x.size).reshape(-1, *x.shape)
            dx = [self.energy(w + 0j, x + 1j * COMPLEX_STEP * e, field).imag for e in shifts]
            Fw = Fw - gamma * np.array(dw) / COMPLEX_STEP
            Fx = Fx - gamma * np.array(dx).reshape(x.shape) / COMPLEX_STEP
        return self.exp.discriminator.learning_rate * Fw, self.exp.generator.learning_rate * (self.Gamma() @ Fx)


def state(exp, seed=3, size=0.4):
    """(field, w, x) anywhere."""
    rng = np.random.default_rng(seed)
    field = Field(Problem(exp))
    x = exp.points.coordinates[exp.assignment] + size * rng.standard_normal((len(exp.assignment), exp.dimension))
    return field, rng.standard_normal(field.features.size), x


def close(actual, expected, tolerance=VELOCITY):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def check(exp):
    field, w, x = state(exp)
    vw, vx = Naive(exp, feature_map(exp)).velocities(w, x, field)
    assert np.abs(vw).max() > 1e-4 and np.abs(vx).max() > 1e-4
    close(field.Vw(w, x), vw)
    close(field.Vx(w, x), vx)


PENALTIES = {
    "none": {},
    "r1": {"r1": 0.3},
    "r2": {"r2": 0.4},
    "weight decay": {"weight_decay": 0.2},
    "multiplier": {"multiplier": 0.3, "alpha": 0.7},
    "consensus": {"consensus": 0.15},
    "noise": {"instance_noise": 0.2},
    "all": {"r1": 0.3, "r2": 0.1, "weight_decay": 0.2, "multiplier": 0.2, "alpha": 0.4, "consensus": 0.1},
    "noise and all": {"instance_noise": 0.2, "r1": 0.3, "r2": 0.1, "multiplier": 0.2, "alpha": 0.4, "consensus": 0.1},
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", single_losses())
def test_every_loss_and_penalty(loss, penalty):
    """Unequal masses and weights, a collective kernel."""
    exp = small(
        Ring(modes=2, weights=(1.0, 3.0)),
        particles=3,
        loss=loss,
        penalty=PENALTIES[penalty],
        generator={"masses": (0.2, 0.3, 0.5), "kernel": {"ratio": 0.3, "diagonal": 1.4}},
        discriminator={"features": 6},
    )
    check(exp)


@pytest.mark.parametrize("normalisation", ["sum", "mean"])
@pytest.mark.parametrize("masses", ["equal", "matched", (0.1, 0.2, 0.3, 0.4)])
@pytest.mark.parametrize("ratio", [0.0, 0.2, 1.0])
def test_generator_kernel(normalisation, masses, ratio):
    generator = {"normalisation": normalisation, "masses": masses, "kernel": {"ratio": ratio, "diagonal": 0.7}}
    target = Ring(modes=3, weights=(1.0, 2.0, 2.0))
    check(small(target, loss="logistic", penalty={"r1": 0.3, "consensus": 0.2}, generator=generator))


@pytest.mark.parametrize(
    ("target", "discriminator"),
    [
        (Grid(side=2, dimension=2), {"kernel": "polynomial", "degree": 3, "features": 0}),
        (Grid(side=2, dimension=2), {"kernel": "linear", "features": 0}),
        (Uniform(side=5, length=2.0), {"features": 0}),
        (Uniform(side=3, length=2.0, dimension=2), {"features": 0, "kernel": "matern"}),
        (Mixture(means=((0.0, 1.0, 2.0),), samples=3), {}),
    ],
    ids=lambda v: v.kind if hasattr(v, "kind") else None,
)
def test_other_targets_and_features(target, discriminator):
    check(small(target, loss="least_squares", penalty={"r2": 0.2, "consensus": 0.1}, discriminator=discriminator))


# -- symmetries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["gaussian", "rational_quadratic"])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "optimistic"])
def test_translation(kernel, rule):
    """Target and particles moved together: with a stationary kernel nothing else changes."""
    shift = np.array([3.0, -2.0])

    def exp(offset):
        return Experiment(
            target=Mixture(means=(tuple(offset), tuple(offset + 1.0)), std=0.6, samples=4, seed=1),
            generator={"particles": 4, "learning_rate": 0.05},
            discriminator={"kernel": kernel, "features": 0, "length_scale": 0.8},
            loss={"kind": "logistic"},
            penalty={"r1": 0.2},
            update={"rule": rule},
            run={"steps": 40, "runs": 2, "kick": 1e-3, "record_every": 5},
        )

    here, there = (simulate(exp(offset))["particles"].values for offset in (np.zeros(2), shift))
    moved = np.abs(here - here[:, :1]).max()
    assert moved > 1e-5
    assert np.abs(there - shift - here).max() <= TRAJECTORY * moved


def test_particles_are_interchangeable():
    exp = small(Ring(modes=3), particles=6, loss="logistic", penalty={"r1": 0.2, "consensus": 0.1})
    field, w, x = state(exp)
    order = np.random.default_rng(0).permutation(6)
    close(field.Vx(w, x[order].copy()), field.Vx(w, x)[order])
    close(field.Vw(w, x[order].copy()), field.Vw(w, x))
    unequal = exp.replace({"generator.masses": (0.1, 0.2, 0.1, 0.2, 0.1, 0.3)})
    field, w, x = state(unequal)
    assert np.abs(field.Vw(w, x[order].copy()) - field.Vw(w, x)).max() > 1e-4


@pytest.mark.parametrize("features", [40, 0])
@pytest.mark.parametrize("loss", single_losses())
def test_equilibrium_is_a_fixed_point(loss, features):
    """q = p and D = D*: no force on anyone, whatever the loss and the penalties."""
    exp = small(
        Ring(modes=3, weights=(1.0, 2.0, 3.0)),
        loss=loss,
        penalty={} if loss == "wasserstein" else {"r1": 0.3, "weight_decay": 0.1, "consensus": 0.2},
        generator={"masses": "matched"},
        discriminator={"features": features},
    )
    field, w, x = at_equilibrium(exp)
    assert not np.any(w)
    assert np.abs(field.Vw(w, x)).max() <= BALANCE and np.abs(field.Vx(w, x)).max() <= BALANCE
    # moved a little, there is
    moved = x + 1e-3 * np.random.default_rng(0).standard_normal(x.shape)
    assert np.abs(field.Vw(w, moved)).max() > 1e-6


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [10, 0])
def test_a_batch_is_its_runs_one_by_one(features):
    penalty = {"r1": 0.2, "r2": 0.1, "consensus": 0.1, "instance_noise": 0.1}
    exp = small(Ring(modes=3), loss="logistic", penalty=penalty, discriminator={"features": features})
    rng = np.random.default_rng(1)
    field = Field(Problem(exp))
    x = exp.points.coordinates[exp.assignment] + 0.2 * rng.standard_normal((3, 4, 2))
    w = rng.standard_normal((3, field.features.size))
    grown = field.grown(x)
    w, field = grown.padded(w, field.features), grown
    for velocity in (field.Vw, field.Vx):
        together = velocity(w, x)
        for r in range(3):
            close(velocity(w[r], x[r].copy()), together[r], DICTIONARY if features == 0 else VELOCITY)
    f, g = field.forces(x, w)
    assert f.shape == (3, 4) and g.shape == (3, 4, 2)


VALUES = {
    "penalty.r1": (0.1, 0.5),
    "penalty.r2": (0.0, 0.4),
    "penalty.weight_decay": (0.0, 0.3),
    "penalty.multiplier": (0.1, 0.2),
    "penalty.alpha": (0.1, 0.5),
    "penalty.consensus": (0.0, 0.2),
    "generator.learning_rate": (0.02, 0.05),
    "generator.kernel.ratio": (0.0, 0.4),
    "generator.kernel.diagonal": (1.0, 1.5),
    "discriminator.learning_rate": (0.1, 0.3),
    "likelihood.weight": (0.0, 0.2),
}
#: not together with consensus
ALONE = "likelihood.weight"


def test_every_variable_field_is_tried():
    assert set(VALUES) == set(VARIABLE)


@pytest.mark.parametrize("path", [*VALUES, None])
def test_variants_are_separate_simulations(path):
    """One field per run, or all of them at once (None)."""
    penalty = {"r1": 0.2, "multiplier": 0.1, "alpha": 0.2, "weight_decay": 0.1}
    base = small(Ring(modes=3), particles=6, loss="logistic", penalty=penalty)
    base = base.replace({"run.steps": 30, "run.runs": 2, "run.kick": 1e-2, "likelihood.bandwidth": 0.6})
    changes = (
        [{path: v} for v in VALUES[path]]
        if path
        else [{p: v[i] for p, v in VALUES.items() if p != ALONE} for i in range(2)]
    )
    variants = [base.replace(c) for c in changes]
    together = simulate(base, variants=variants)
    assert together.sizes["run"] == 4
    for i, variant in enumerate(variants):
        alone = simulate(variant)
        part = together.isel(run=slice(2 * i, 2 * i + 2))
        for name in ("particles", "force", "discriminator"):
            close(part[name].values, alone[name].values)
    apart = np.abs(together["particles"].values[:2] - together["particles"].values[2:]).max()
    assert apart > 1e-6
    for p in changes[0]:
        assert np.array_equal(together[p.replace(".", "_")], np.repeat([c[p] for c in changes], 2))


def test_variants_off_equilibrium_values():
    """Masses that do not match: still the runs of separate simulations."""
    base = small(Ring(modes=3), penalty={"weight_decay": 0.5}, discriminator={"features": 20})
    variants = [base.replace({"run.steps": 20, "run.runs": 2, "penalty.weight_decay": v}) for v in (0.5, 0.7)]
    together = simulate(variants[0], variants=variants)
    for i, variant in enumerate(variants):
        part = together.isel(run=slice(2 * i, 2 * i + 2))
        close(part["particles"].values, simulate(variant)["particles"].values)


def test_variants_differ_in_nothing_else():
    exp = small(Ring(modes=3))
    with pytest.raises(InputError, match=r"variants: must differ only in penalty\.r1"):
        simulate(exp, variants=[exp, exp.replace({"discriminator.length_scale": 1.0})])
