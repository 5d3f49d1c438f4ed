"""Fourier simulation of the exact kernel: its sums, its error bounds, its runs, and what happens at the box's edge."""

import itertools

import numpy as np
import pytest

import egan_theory as eg
import egan_theory.features.grid as grid_module
from analyses import benchmarks_step as benchmarks
from egan_theory.base.errors import InputError
from egan_theory.features import (
    DictionaryFeatures,
    FourierGrid,
    LeftBox,
    box_modes,
    choose_box,
    experiment_grid,
    feature_map,
    grid_features,
)
from egan_theory.features.box import _Images, kernel_scales
from egan_theory.kernels import Gaussian, Matern, RationalQuadratic, kernel_from_profile
from egan_theory.linear import eigenvalues, linearize
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.simulation import run as run_module
from egan_theory.tables.losses import single_losses
from tests.entries import STEPS

#: two expressions of one number by sums over up to 10^3 modes, relative to the largest
SAME = 1e-12
#: of the transform against exact sums: its error is TRANSFORM_SHARE of this in the root mean square of its inputs
TRANSFORM = 1e-9


def close(actual, expected, accuracy):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=accuracy * max(np.abs(expected).max(), 1e-300))


def small_grid(d, tolerance=TRANSFORM):
    """Different sides and numbers of modes on every axis, so that no two may be exchanged."""
    length, count = np.array([3.0, 4.1, 2.7])[:d], np.array([4, 3, 5])[:d]
    F = (int(np.prod(2 * count + 1)) - 1) // 2
    amplitude = np.random.default_rng(5).uniform(0.5, 1.5, F)
    return FourierGrid(length, count, amplitude, 0.7, tolerance)


# -- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("way", ["separable", "transform"])
@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])
def test_sums_are_those_of_the_feature_matrix(monkeypatch, d, way, batch):
    monkeypatch.setattr(grid_module, "SEPARABLE", np.inf if way == "separable" else 0)
    grid, rng = small_grid(d), np.random.default_rng(11)
    accuracy = SAME if way == "separable" else TRANSFORM
    X = rng.uniform(-9, 9, (*batch, 6, d))  # several periods away
    at, dense = grid.at(X), grid.dense.at(X)
    assert type(at.sums).__name__ == ("_Separable" if way == "separable" else "_NonUniform")
    for w in (rng.standard_normal((3, grid.size)), rng.standard_normal((3, grid.size)) * (1 + 2j)):
        close(at.value(w), dense.value(w), accuracy)
        close(at.gradient(w), dense.gradient(w), accuracy)
        close(at.hessian(w), dense.hessian(w), accuracy)
    a, b = rng.standard_normal((3, 6)), rng.standard_normal((3, 6, d))
    close(at.adjoint(a, b), dense.adjoint(a, b), accuracy)
    close(at.adjoint(a * 1j, b), dense.adjoint(a * 1j, b), accuracy)
    close(at.adjoint(a[0], b), dense.adjoint(a[0], b), accuracy)
    close(at.adjoint(a[0], None), dense.adjoint(a[0], None), accuracy)
    if not batch:
        w = rng.standard_normal(grid.size)
        close(at.gradient(w), dense.gradient(w), accuracy)


def test_transforms_of_live_points_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setattr(grid_module, "SEPARABLE", 0)
    grid, rng = small_grid(2), np.random.default_rng(0)
    w = rng.standard_normal(grid.size)
    X, Y = rng.uniform(-1, 1, (2, 7, 2))
    at_x, at_y = grid.at(X), grid.at(Y)
    for _ in range(3):  # plans of points no longer in use are used again
        close(at_x.value(w), grid.dense.at(X).value(w), TRANSFORM)
        close(at_y.value(w), grid.dense.at(Y).value(w), TRANSFORM)
        at_y = grid.at(Y)
    del at_x, at_y
    at_x, at_y = grid.at(X), grid.at(Y)  # both with plans that were in use
    close(at_x.value(w), grid.dense.at(X).value(w), TRANSFORM)
    close(at_y.value(w), grid.dense.at(Y).value(w), TRANSFORM)
    assert np.isnan(grid.at(np.where(X == X[0, 0], np.inf, X)).value(w)).all()  # and not a crash
    close(grid.at(X).value(w), grid.dense.at(X).value(w), TRANSFORM)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_weighted_forms_are_sums_over_the_points(d):
    grid, rng = small_grid(d), np.random.default_rng(2)
    X, p = rng.uniform(-3, 3, (9, d)), rng.uniform(0, 1, 9)
    form, dense = grid.weighted(X, p), grid.dense.at(X)
    for w in (rng.standard_normal((2, grid.size)), rng.standard_normal(grid.size) * (1 - 0.5j)):
        close(form.values(w), dense.adjoint(p * dense.value(w), None), TRANSFORM)
        close(form.gradients(w), dense.adjoint(0 * p, p[:, None] * dense.gradient(w)), TRANSFORM)


def test_periodic_box_has_the_features_of_box_modes():
    exp = eg.Experiment(
        target={"kind": "uniform", "dimension": 2, "side": 5, "length": 2.0},
        generator={"particles": 25},
        discriminator={"features": 0},
    )
    fourier, X = exp.replace({"discriminator.evaluation": "fourier"}), np.random.default_rng(1).uniform(0, 2, (4, 2))
    grid = feature_map(fourier)
    assert isinstance(grid, FourierGrid) and grid.domain is None
    w = np.random.default_rng(2).standard_normal(grid.size)
    direct = box_modes(exp.discriminator.kernel_object, exp.target)
    close(grid.at(X).value(w), direct.at(X).value(w), SAME)
    runs = [eg.simulate(e.replace({"run.steps": 40, "run.runs": 2})) for e in (exp, fourier)]
    for name in ("particles", "discriminator", "weights"):
        close(runs[1][name].values, runs[0][name].values, 1e-9)


# -- error bounds -----------------------------------------------------------------------------------------------------


def measured_error(kernel, features, domain, count=400):
    """Largest |difference| of K, its gradient and mixed derivative over random and extreme pairs, relative."""
    rng = np.random.default_rng(4)
    d = domain.shape[1]
    corners = np.array(list(itertools.product(*domain.T)))
    X = np.concatenate([corners, rng.uniform(domain[0], domain[1], (count, d))])
    Y = np.concatenate([corners[:1], rng.uniform(domain[0], domain[1], (5, d))])
    at_x, at_y = features.dense.at(X), features.dense.at(Y)
    value = at_x.psi() @ at_y.psi().T - kernel.value(X, Y)
    gradient = np.einsum("nap,mp->nma", at_x.grad(), at_y.psi()) - kernel.gradient(X, Y)
    mixed = np.einsum("nap,mbp->nmab", at_x.grad(), at_y.grad()) - kernel.mixed(X, Y)
    # and at coincident points, where the modes left out add up
    at = np.einsum("nap,nbp->nab", at_x.grad(), at_x.grad()) - kernel.mixed_diagonal(X)
    sizes = [np.abs(value).max(), np.linalg.norm(gradient, axis=-1).max(), max(np.abs(mixed).max(), np.abs(at).max())]
    return np.array(sizes) / kernel_scales(kernel)


BOUNDS = [
    (Gaussian(0.5), 1, 1e-9),
    (Gaussian(0.5, 3.0), 2, 1e-6),
    (Gaussian(1.2), 3, 1e-3),
    (Matern(0.5, 2.5), 1, 1e-4),
    (Matern(0.8, 4.5), 2, 1e-4),
    (RationalQuadratic(0.5, 6.0), 1, 1e-5),
    (RationalQuadratic(0.5, 4.0), 2, 1e-3),
    (kernel_from_profile(lambda u: 1 / (1 + u) ** 6), 1, 1e-4),
]


@pytest.mark.parametrize(("kernel", "d", "tolerance"), BOUNDS, ids=lambda v: getattr(v, "name", str(v)))
def test_bounds_hold_and_are_not_idle(kernel, d, tolerance):
    domain = np.array([[-0.7] * d, [0.9, 0.4, 0.1][:d]])
    box = choose_box(kernel, domain, tolerance)
    bound = np.array([box.error.value, box.error.gradient, box.error.mixed])
    assert box.error.largest <= tolerance
    measured = measured_error(kernel, grid_features(kernel, box, tolerance), domain)
    rounding = 1e-13
    assert np.all(measured <= bound + rounding)
    # the mixed derivative at r = 0 misses what was left out, a d-th of the trace on each axis
    assert measured[2] >= bound[2] / (20 * d)


def test_tail_is_the_sum_over_the_modes_left_out():
    """Poisson's formula against brute force on a wider grid."""
    kernel, domain = Matern(0.6, 2.5), np.array([[-1.0], [1.0]])
    box = choose_box(kernel, domain, 1e-3)
    n = np.arange(box.count[0] + 1, 400_000)
    k = 2 * np.pi / box.length[0] * n
    left_out = 2 * kernel.spectral_density(k, 1) / box.length[0]
    scales = kernel_scales(kernel)
    far = 2 * np.abs(kernel.value(np.array([[0.0]]), np.array([[box.length[0] - 2.0]])))[0, 0] / scales[0]
    assert left_out.sum() / scales[0] <= box.error.value <= left_out.sum() / scales[0] + 2 * far
    images = _Images(kernel).bound(box.length, np.array([2.0])) / scales
    assert (k * left_out).sum() / scales[1] <= box.error.gradient - images[1]
    # k^2 K_k ~ k^-4: what 4e5 modes leave is 1e-9 of this sum
    assert (k**2 * left_out).sum() / scales[2] <= box.error.mixed


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ({"kernel": "laplace"}, "second derivative"),
        ({"kernel": "matern", "smoothness": 1.5}, "smoother kernel"),
        ({"kernel": "rational_quadratic", "alpha": 0.6}, "decays too slowly"),
        ({"kernel": "gaussian", "features": 64}, "features = 0"),
        ({"kernel": "polynomial"}, "stationary"),
    ],
    ids=lambda v: v.get("kernel") if isinstance(v, dict) else None,
)
def test_refusals_say_what_would_help(kernel, words):
    with pytest.raises(InputError, match=words):
        feature_map(eg.Experiment(discriminator={"features": 0, "evaluation": "fourier", **kernel}))


def test_high_dimensions_are_refused():
    with pytest.raises(InputError, match="3 dimensions"):
        eg.Experiment(
            target={"kind": "grid", "side": 2, "dimension": 4}, discriminator={"features": 0, "evaluation": "fourier"}
        )


# -- the dynamics -----------------------------------------------------------------------------------------------------


def ring(loss="wasserstein", rule="simultaneous", penalty=None, **discriminator):
    penalty = dict(penalty or {"r1": 0.1, "weight_decay": 0.05})
    if loss == "sobolev":
        penalty.setdefault("multiplier", 0.3)
    return eg.Experiment(
        target={"kind": "ring", "modes": 5},
        generator={"particles": 10, "learning_rate": 0.05},
        discriminator={
            "features": 0, "evaluation": "fourier", "length_scale": 0.8, "learning_rate": 0.3, **discriminator,
        },
        loss={"kind": loss},
        penalty=penalty,
        update={"rule": rule},
    )  # fmt: skip


def pushed(exp, a, b, Z):
    """D(P) and grad D(P) of D = sum_j a_j K(., z_j) + b_j . grad_z K(., z_j), from the kernel alone."""
    K = exp.discriminator.kernel_object

    def D(P):
        return K.value(P, Z) @ a + np.einsum("mna,ma->n", K.gradient(Z, P), b)

    def grad(P):
        return np.einsum("nma,m->na", K.gradient(P, Z), a) + np.einsum("nmab,mb->na", K.mixed(P, Z), b)

    return D, grad


@pytest.mark.parametrize("loss", single_losses())
def test_velocities_are_kernel_sums(loss):
    """Equation (2) with every loss and R1, R2: the push on D at other points, from sums over pairs of K alone."""
    exp = ring(loss, penalty={"r1": 0.2, "r2": 0.1, "weight_decay": 0.05}, tolerance=1e-8)
    rng = np.random.default_rng(8)
    field = Field(Problem(exp))
    x, P = rng.uniform(-1, 1, (10, 2)), rng.uniform(-1, 1, (7, 2))
    Z, a, b = rng.uniform(-1, 1, (4, 2)), rng.standard_normal(4), rng.standard_normal((4, 2))
    w = field.features.at(Z).adjoint(a, b)
    D, grad = pushed(exp, a, b, Z)
    close(field.forces(x, w)[0], D(x), 1e-6)
    close(field.forces(x, w)[1], grad(x), 1e-6)
    L, k, Y, p, q = exp.loss_object, exp.penalty.coefficients, exp.points.coordinates, exp.points.weights, exp.masses
    points = np.concatenate([Y, x])
    push = np.concatenate([
        p * (L.df1(L.D0 + D(Y)) - k.value_p * D(Y)), q * (L.df2(L.D0 + D(x)) - k.value_q * D(x))
    ])  # fmt: skip
    drag = -np.concatenate([p[:, None] * k.grad_p * grad(Y), q[:, None] * k.grad_q * grad(x)])
    dD, _ = pushed(exp, push, drag, points)
    expected = exp.discriminator.learning_rate * (dD(P) - k.nu * D(P))
    close(field.features.at(P).value(field.Vw(w, x)), expected, 1e-6)
    force = (q * L.dh(L.D0 + D(x)))[:, None] * grad(x)
    g = exp.generator
    total = g.particles * g.kernel.diagonal * ((1 - g.kernel.ratio) * force + g.kernel.ratio * force.sum(0))
    close(field.Vx(w, x), g.learning_rate * total, 1e-6)


@pytest.mark.parametrize(
    "penalty", [{"r1": 0.3}, {"multiplier": 0.2, "alpha": 0.4}, {"r1": 0.1, "instance_noise": 0.2}]
)
@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
def test_many_target_points_cost_no_more_and_change_nothing(penalty, loss):
    """The penalties under p by convolution equal the sums over the points."""
    target = {"kind": "mixture", "means": [[0.5, 0.0], [-0.5, 0.2]], "std": 0.3, "samples": 900}
    exp = ring(loss, penalty=penalty, tolerance=1e-8)
    exp = eg.Experiment(
        target=target, generator={"particles": 30}, discriminator=exp.discriminator, loss=exp.loss, penalty=exp.penalty
    )
    field, rng = Field(Problem(exp)), np.random.default_rng(0)
    assert field._under_p is not None
    x, w = rng.uniform(-1, 1, (2, 30, 2)), rng.standard_normal((2, field.features.size))
    by_form = field.Vw(w, x)
    vars(field)["_under_p"] = None
    close(by_form, field.Vw(w, x), 1e-8)


#: part of the way gone: the modes' 1e-6 and the 1e-7 of the exact kernel's dictionary, times the dynamics' growth
TRAJECTORY = 1e-4


@pytest.mark.parametrize("rule", STEPS)
def test_runs_are_those_of_the_exact_kernel(rule):
    steps = 20 if rule == "flow" else 100  # of the flow the exact kernel's run takes long
    exp = ring(rule=rule, tolerance=1e-6).replace(
        {"run.start": "random", "run.runs": 2, "run.steps": steps, "run.record_every": 10}
    )
    fourier = eg.simulate(exp)
    direct = eg.simulate(exp.replace({"discriminator.evaluation": "direct"}))
    moved = np.abs(direct.particles - direct.particles.isel(time=0)).max()
    assert moved > 0.1
    np.testing.assert_allclose(fourier.particles, direct.particles, rtol=0, atol=TRAJECTORY * float(moved))
    assert fourier.attrs["fourier_error_mixed"] <= 1e-6 and fourier.attrs["status"] == "finished"


def test_trajectory_error_follows_the_tolerance():
    """Against a run of tolerance 1e-11: each stated tolerance is met over 150 steps, times the dynamics' growth."""
    base = ring("logistic").replace({"run.start": "random", "run.runs": 2, "run.steps": 150, "run.record_every": 150})
    best = eg.simulate(base.replace({"discriminator.tolerance": 1e-11})).particles
    moved = float(np.abs(best - best.isel(time=0)).max())
    errors = []
    for tolerance in (1e-3, 1e-6, 1e-9):
        run = eg.simulate(base.replace({"discriminator.tolerance": tolerance})).particles
        errors.append(float(np.abs(run - best).max()) / moved)
        assert errors[-1] <= tolerance
    assert errors[0] > errors[1] > errors[2] > 0


def test_spectrum_is_that_of_the_exact_kernel():
    exp = ring(tolerance=1e-9)
    fourier, direct = (
        np.sort_complex(np.asarray(eigenvalues(linearize(e)).s))
        for e in (exp, exp.replace({"discriminator.evaluation": "direct"}))
    )
    assert len(fourier) >= 20
    coupled = [s[np.abs(s.imag) + np.abs(s.real + 0.3 * 0.05) > 1e-9] for s in (fourier, direct)]
    for s in coupled[1]:
        assert np.abs(coupled[0] - s).min() <= 1e-7 * np.abs(direct).max()


# -- the edge of the box ----------------------------------------------------------------------------------------------


def runaway(**changes):
    """A single target point that a fast generator overshoots again and again, further each time."""
    exp = eg.Experiment(
        target={"kind": "grid", "side": 1, "dimension": 1},
        generator={"particles": 1, "learning_rate": 0.6},
        discriminator={"features": 0, "evaluation": "fourier", "length_scale": 0.5, "learning_rate": 0.5},
        penalty={"r1": 0.0},
        run={"start": "random", "spread": 0.2, "runs": 3, "steps": 17, "record_every": 1, "seed": 1},
    )
    return exp.replace(changes)


def test_a_particle_that_leaves_gets_a_wider_box():
    exp = runaway()
    first = experiment_grid(exp).domain
    runs = eg.simulate(exp)
    x = runs.particles.values
    low, high = np.reshape(runs.attrs["fourier_domain"], (2, 1))
    assert np.abs(x).max() > first[1, 0]  # it did leave the first box
    assert np.all((x >= low) & (x <= high)) and (runs.diverged_at == -1).all()
    direct = eg.simulate(exp.replace({"discriminator.evaluation": "direct"})).particles.values
    left = np.flatnonzero(np.abs(x[0]).max(axis=(1, 2)) > first[1, 0])
    shown = slice(0, left[0] + 3)  # later its errors grow too much to be compared
    np.testing.assert_allclose(x[0, shown], direct[0, shown], rtol=0, atol=TRAJECTORY * np.abs(direct[0, shown]).max())


def test_without_a_wider_box_the_run_is_marked(monkeypatch):
    monkeypatch.setattr(run_module, "WIDENINGS", 0)
    runs = eg.simulate(runaway())
    domain = experiment_grid(runaway()).domain
    assert runs.attrs["status"].startswith("diverged at step") and (runs.diverged_at > 0).any()
    gone = np.flatnonzero(runs.diverged_at.values > 0)
    assert runs.attrs["fourier_left"] == f"runs {gone.tolist()}"
    x = runs.particles.values
    for r in gone:
        assert np.isnan(x[r, int(runs.diverged_at[r]) :]).all()
    assert np.nanmax(np.abs(x)) <= domain[1, 0]


def test_the_field_refuses_positions_outside():
    field = Field(Problem(runaway()))
    w = np.zeros(field.features.size)
    far = field.features.domain[1] + 0.1
    assert field.grown(0 * far[None]) is field
    with pytest.raises(LeftBox, match="left the Fourier box"):
        field.grown(far[None])
    cloud = field.place(far[None])
    field.Vx(w, cloud)
    assert (cloud + -far).strayed().any() and not field.place(0 * far[None]).strayed().any()


def test_default_is_the_direct_evaluation():
    exp = eg.Experiment(discriminator={"features": 0})
    assert isinstance(feature_map(exp), DictionaryFeatures)
    again = eg.Experiment.from_toml_string(exp.replace({"discriminator.evaluation": "fourier"}).to_toml())
    assert again.discriminator.evaluation == "fourier" and isinstance(feature_map(again), FourierGrid)


# -- the benchmark ----------------------------------------------------------------------------------------------------


def test_the_pairs_that_steps_are_timed_against_are_right():
    """Their force is the Fourier force after the first push on D = 0, in units of its learning rate."""
    exp = benchmarks.experiment(70, seed=3)
    x = benchmarks.SPREAD * np.random.default_rng([3, 5]).standard_normal((70, 2))
    field = Field(Problem(exp))
    w = field.Vw(np.zeros(field.features.size), x) / exp.discriminator.learning_rate
    force = field.features.at(x).gradient(w)
    steps = (benchmarks.pairs_step(exp, 3), benchmarks.pairs_step(exp, 3, True), benchmarks.cdist_step(exp, 3, rows=50))
    for step in steps:
        step()
        state = dict(zip(step.__code__.co_freevars, (cell.cell_contents for cell in step.__closure__), strict=True))
        close(state["x"] - x, 0.01 * force, 1e-5)
    for step in (steps[0], steps[2]):
        D = dict(zip(step.__code__.co_freevars, (c.cell_contents for c in step.__closure__), strict=True))["D"]
        close(D, 0.1 * field.features.at(np.concatenate([x, exp.points.coordinates])).value(w), 1e-5)


def test_benchmark_at_a_small_size():
    ds = benchmarks.step_cost(1, draws=3, sizes=(300,), memory=False)
    assert np.isfinite(ds["seconds"]).all() and (ds["seconds"] > 0).all()
    assert "pairs" in benchmarks.summary(ds)
    # a slope that is known: t ~ N^1.5
    N = np.array([500, 10_000, 100_000])
    made = ds.isel(particles=[0, 0, 0]).assign_coords(particles=N)
    made["seconds"] = (("way", "particles", "draw"), np.broadcast_to(N[:, None] ** 1.5, (ds.sizes["way"], 3, 3)).copy())
    assert benchmarks.exponent(made) == pytest.approx(1.5)
