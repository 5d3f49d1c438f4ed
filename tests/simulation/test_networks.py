"""Networks of finite width: activations, tangent features, and the linearization about a network's start."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base.errors import InputError, MissingExtra, NotLinearizable
from egan_theory.features.networks import tangent as tangent_module
from egan_theory.features.networks.mlp import draw, network
from egan_theory.features.networks.tangent import TangentFeatures, tangent_features
from egan_theory.linear import eigenvalues, linearize, update_matrix
from egan_theory.linear.seen import seen
from egan_theory.problem.problem import Problem, forget
from egan_theory.tables.activations import NETWORK_ACTIVATIONS, get_activation
from egan_theory.tables.architecture import Architecture
from tests.builders import with_network as experiment
from tests.stepjac import mismatch, predicted

jax = pytest.importorskip("jax")

#: sums over at most some thousand doubles of order one, in another order
ROUNDING = 1e-12
#: central differences with step 1e-5 of functions of order one: truncation 1e-10, rounding 1e-11
DIFFERENCE, STEP = 1e-8, 1e-5
#: eigenvalues of matrices of order one whose eigenvectors are not ill conditioned
SPECTRUM = 1e-9

X = np.random.default_rng(0).standard_normal((4, 2))


# -- the network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORK_ACTIVATIONS)
def test_activations_and_slopes_are_those_of_the_table(name):
    from egan_theory.features.networks.mlp import activation

    table = get_activation(name, 0.3, (0.5, 1.0, -0.2, 0.1))
    z = np.linspace(-3, 3, 12)
    with jax.enable_x64(True):
        act = activation(name, 0.3, (0.5, 1.0, -0.2, 0.1))
        value, slope = act(z), jax.vmap(jax.grad(lambda u: act(u) * 1.0))(jax.numpy.asarray(z))
        curvature = jax.vmap(jax.grad(jax.grad(lambda u: act(u) * 1.0)))(jax.numpy.asarray(z))
    np.testing.assert_allclose(value, table.value(z), atol=ROUNDING)
    np.testing.assert_allclose(slope, table.slope(z), atol=ROUNDING)
    np.testing.assert_allclose(curvature, table.curvature(z), atol=ROUNDING)


def test_forward_pass_is_the_stated_one():
    """u_1 = sw W x / sqrt(n_0) + sb b, u_(l+1) = sw W act(u_l) / sqrt(n) + sb b."""
    arch = Architecture(width=5, depth=2, activation="tanh", weight_variance=1.7, bias_variance=0.3)
    params = draw(arch, 2, 3, np.random.default_rng(1))
    assert [W.shape for W, _ in params] == [(5, 2), (5, 5), (3, 5)]
    h = X
    for layer, (W, b) in enumerate(params):
        u = np.sqrt(1.7) * (np.tanh(h) if layer else h) @ W.T / np.sqrt(h.shape[1]) + np.sqrt(0.3) * b
        h = u
    with jax.enable_x64(True):
        np.testing.assert_allclose(network(arch)(params, X), h, atol=ROUNDING)


def test_weights_are_standard_normal():
    params = draw(Architecture(width=200, depth=2), 3, 1, np.random.default_rng(0))
    for leaf in (params[1][0], np.concatenate([b for _, b in params])):
        n = leaf.size
        assert abs(leaf.mean()) < 5 / np.sqrt(n)
        assert leaf.var() == pytest.approx(1, abs=5 * np.sqrt(2 / n))


def test_too_many_weights_are_refused():
    with pytest.raises(InputError, match=r"architecture\.width: must give at most"):
        draw(Architecture(width=65_536, depth=3), 2, 1, np.random.default_rng(0))


# -- tangent features -------------------------------------------------------------------------------------------------

FEATURES = {
    "one layer": lambda: tangent_features(experiment()),
    "two layers": lambda: tangent_features(experiment(width=3, depth=2, activation="sine")),
    # any function of a tree of weights
    "callable": lambda: TangentFeatures(
        lambda p, x: jax.numpy.sin(p["a"] @ x + p["b"][0]).sum() * p["c"],
        {"a": np.arange(6.0).reshape(3, 2) / 5, "b": np.array([[0.2, -0.1, 0.4]]), "c": np.array(0.7)},
    ),
}


@pytest.mark.parametrize("name", FEATURES)
def test_tangent_features_obey_the_contract(name):
    """Values, gradients, Hessians and the adjoint of w . psi are those of the dense features, batched or not."""
    fm = FEATURES[name]()
    rng = np.random.default_rng(2)
    w, a, b = rng.standard_normal((3, fm.size)), rng.standard_normal((3, 4)), rng.standard_normal((3, 4, 2))
    at = fm.at(X)
    psi, grad = at.psi(), at.grad()
    assert psi.shape == (4, fm.size) and grad.shape == (4, 2, fm.size) and psi.dtype == float
    np.testing.assert_allclose(at.value(w), w @ psi.T, atol=ROUNDING)
    np.testing.assert_allclose(at.gradient(w), np.einsum("nap,rp->rna", grad, w), atol=ROUNDING)
    np.testing.assert_allclose(at.adjoint(a, None), a @ psi, atol=ROUNDING)
    both = a @ psi + np.einsum("rna,nap->rp", b, grad)
    np.testing.assert_allclose(at.adjoint(a, b), both, atol=ROUNDING)
    # points of their own for every run, one set of weights
    moved = fm.at(X + np.array([0.0, 0.3, -0.1])[:, None, None])
    for r, shift in enumerate((0.0, 0.3, -0.1)):
        np.testing.assert_allclose(moved.value(w)[r], fm.at(X + shift).value(w[r]), atol=ROUNDING)
        np.testing.assert_allclose(moved.value(w[0])[r], fm.at(X + shift).value(w[0]), atol=ROUNDING)
        np.testing.assert_allclose(moved.psi()[r], fm.at(X + shift).psi(), atol=ROUNDING)
    assert jax.numpy.zeros(1).dtype == "float32"  # JAX's own default is left alone


@pytest.mark.parametrize("name", FEATURES)
def test_tangent_features_are_derivatives_of_the_output(name):
    fm = FEATURES[name]()
    w = np.random.default_rng(3).standard_normal(fm.size) / np.sqrt(fm.size)
    ahead, behind = fm.moved(STEP * w), fm.moved(-STEP * w)
    at = fm.at(X)
    np.testing.assert_allclose(at.value(w), (ahead.output(X) - behind.output(X)) / (2 * STEP), atol=DIFFERENCE)
    for a, e in enumerate(np.eye(2)):
        f, g = ((fm.at(X + s * STEP * e).value(w), fm.at(X + s * STEP * e).gradient(w)) for s in (1, -1))
        np.testing.assert_allclose(at.gradient(w)[:, a], (f[0] - g[0]) / (2 * STEP), atol=DIFFERENCE)
        np.testing.assert_allclose(at.hessian(w)[..., a], (f[1] - g[1]) / (2 * STEP), atol=DIFFERENCE)
    np.testing.assert_allclose(fm.moved(w).moved(-w).output(X), fm.output(X), atol=ROUNDING)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_adjoint_is_the_transpose(seed):
    """<a, value(w)> + <b, gradient(w)> = <adjoint(a, b), w> for all a, b, w."""
    fm, rng = FEATURES["one layer"](), np.random.default_rng(seed)
    at, w = fm.at(X), rng.standard_normal(fm.size)
    a, b = rng.standard_normal(4), rng.standard_normal((4, 2))
    left = a @ at.value(w) + (b * at.gradient(w)).sum()
    assert left == pytest.approx(at.adjoint(a, b) @ w, abs=1e-11)


def test_seen_rows_by_orthogonalisation_and_by_products(monkeypatch):
    """Both reductions keep all products of the rows; from products, singular values below sqrt(eps) are lost."""
    fm = tangent_features(experiment(width=40, depth=2))
    at = fm.at(X)
    dense = np.concatenate([at.psi(), at.grad().reshape(8, fm.size)])
    scale = np.abs(dense @ dense.T).max()
    rows, exact = fm.seen_rows(X)
    assert exact and rows.shape == (12, 12)
    np.testing.assert_allclose(rows @ rows.T, dense @ dense.T, atol=ROUNDING * scale)
    np.testing.assert_allclose(fm.gram(X), dense @ dense.T, atol=ROUNDING * scale)
    monkeypatch.setattr(tangent_module, "MAX_DENSE_ROWS", 100)
    reduced, exact = fm.seen_rows(X)
    assert not exact
    np.testing.assert_allclose(reduced @ reduced.T, dense @ dense.T, atol=ROUNDING * scale)
    few = tangent_features(experiment(width=2))  # fewer weights than rows: nothing to reduce
    monkeypatch.undo()
    assert few.seen_rows(X)[0].shape == (12, few.size)


@pytest.mark.parametrize(
    ("activation", "bias", "expected"),
    [("tanh", 0.1, 16), ("tanh", 0.0, 8), ("identity", 0.1, 2), ("polynomial", 0.1, 5), ("relu", 0.1, 16)],
)
def test_gradient_rank(activation, bias, expected):
    """On 8 points of a ring: all 16 of a generic network; half where an odd one repeats at -x; the 2 of a linear D, the
    5 of a quadratic one (x, y, x^2, xy, y^2)."""
    arch = {"width": 64, "depth": 1, "activation": activation, "bias_variance": bias, "coefficients": (0.0, 1.0, 0.5)}
    exp = eg.Experiment(discriminator={"architecture": arch, "length_scale": 1.0})
    assert tangent_features(exp).gradient_rank(exp.points.coordinates) == expected


#: steps that take long to compile
SLOW = ("wasserstein, r1", "consensus", "noise, flow")


# -- the linearization ------------------------------------------------------------------------------------------------


def network_step(exp):
    """The simulator's own step on (w, g, memory), flat, and its state at equilibrium."""
    from egan_theory.linear.resolved import resolved_rule
    from egan_theory.simulation.networks.field import NetworkField
    from egan_theory.simulation.networks.stepper import Stepper

    field = NetworkField(exp, [exp])
    x = exp.points.coordinates[exp.assignment]
    data = field.of_run(0)
    g = x
    if field.generator is not None:
        g = np.zeros(field.data["phi0"].shape[-1])
        data["offset"] = x - field.generate(data | {"offset": 0.0}, g)
    stepper, jnp = Stepper(field, resolved_rule(exp), np.inf), jax.numpy
    g = jnp.asarray(g)
    w = jnp.zeros(field.features.size)
    state = [w, g, *(0 * {"w": w, "x": g}[block] for block in stepper.rule.blocks)]  # velocities vanish as well
    ends = np.cumsum([s.size for s in state])[:-1]

    def step(flat):
        parts = [jnp.reshape(p, s.shape) for p, s in zip(jnp.split(flat, ends), state, strict=True)]
        return jnp.concatenate([jnp.ravel(v) for v in stepper.stepped(data, parts)])

    return field, data, step, jnp.concatenate([jnp.ravel(s) for s in state])


def step_multipliers(exp):
    """Eigenvalues of the Jacobian, by JAX, of the simulator's own step at equilibrium."""
    with jax.enable_x64(True):
        _, _, step, state = network_step(exp)
        after, jacobian = jax.jit(lambda s: (step(s), jax.jacfwd(step)(s)))(state)
        assert np.abs(after - state).max() < ROUNDING  # an equilibrium it is
        return np.linalg.eigvals(np.asarray(jacobian))


STEPS = {
    "wasserstein, r1": {"update": {"rule": "simultaneous", "momentum_generator": 0.3}},
    "logistic, r1, r2, decay": {
        "loss": {"kind": "logistic"}, "penalty": {"r1": 0.2, "r2": 0.1, "weight_decay": 0.05},
        "update": {"rule": "alternating", "critic_steps": 2},
    },
    "sobolev": {
        "loss": {"kind": "sobolev"}, "penalty": {"multiplier": 0.4, "alpha": 0.3}, "update": {"rule": "optimistic"},
    },
    "consensus": {"penalty": {"r1": 0.1, "consensus": 0.2}, "loss": {"kind": "least_squares"}},
    "noise, flow": {"penalty": {"r1": 0.2, "instance_noise": 0.1}, "update": {"rule": "flow"}},
}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in STEPS])
def test_prediction_is_the_jacobian_of_the_networks_own_step(name):
    """Two layers, every weight trained: JAX differentiates the step at w = 0, the prediction knows features alone."""
    exp = experiment(width=4, depth=2, **STEPS[name])
    assert mismatch(step_multipliers(exp), predicted(linearize(exp))) < SPECTRUM


def test_an_infinitely_wide_network_is_its_tangent_kernel():
    """Stiffnesses of networks approach those of the kernel as width^-1/2."""

    def stiffness(exp):
        return np.linalg.svd(seen(Problem(exp)).mean, compute_uv=False)[0] ** 2

    exact = experiment(width=0)
    reference = stiffness(exact)
    error = []
    for width in (64, 1024):
        exps = [experiment(width=width).replace({"discriminator.seed": s}) for s in range(8)]
        error.append(np.sqrt(np.mean([(stiffness(e) / reference - 1) ** 2 for e in exps])))
    assert error[0] < 0.5
    # 8 draws each: log of the ratio of two rms of 8 has a standard deviation of sqrt(1/8)
    assert np.log(error[0] / error[1]) == pytest.approx(np.log(4), abs=3 * np.sqrt(1 / 8))


def test_reduced_features_give_the_same_spectrum(monkeypatch):
    """The Gram route and the dense one agree where the Gram route claims to know."""
    exp = experiment(width=30, depth=2, loss={"kind": "logistic"})
    dense = eigenvalues(linearize(exp))
    assert seen(Problem(exp)).resolution == np.finfo(float).eps and seen(Problem(exp)).psi.shape == (3, 9)
    monkeypatch.setattr(tangent_module, "MAX_DENSE_ROWS", 100)
    forget()
    gram = eigenvalues(linearize(exp))
    assert seen(Problem(exp)).resolution == np.sqrt(np.finfo(float).eps)
    assert mismatch(gram.s, dense.s) < 1e-7


def test_analyses_run_on_a_network():
    """Regularizer and thresholds, through the tangent features; their numbers against direct evaluation."""
    exp = experiment(width=64)
    best = eg.fastest_strength(exp, penalty="r1")
    rates = {
        f: eg.spectrum(exp.replace({"penalty.r1": f * best.best})).attrs["slowest_coupled_rate"] for f in (0.7, 1, 1.4)
    }
    assert rates[1] == pytest.approx(best.rate, rel=1e-6)
    assert rates[1] >= max(rates.values())
    found = eg.thresholds(exp, "generator.learning_rate", 0.01, 10.0, mechanisms=["collective instability"])
    value = found.thresholds[0].value
    assert value is not None
    margins = [eg.spectrum(exp.replace({"generator.learning_rate": value * f})).attrs["margin"] for f in (0.99, 1.01)]
    assert margins[0] > 0 > margins[1]
    assert eg.thresholds(exp, "generator.kernel.ratio", mechanisms=["too slow to split"]).thresholds[0].method


def test_linearization_says_what_it_assumes():
    assumptions = linearize(experiment()).assumptions
    assert any("tangent features" in a for a in assumptions)
    arch = {"width": 32, "depth": 1, "activation": "erf", "latent_dimension": 8}
    exp = experiment(generator={"particles": 3, "architecture": arch})
    assert any("infinite width" in a for a in linearize(exp).assumptions)


def test_refusals():
    uneven = experiment(generator={"particles": 4}, penalty={"weight_decay": 0.1})
    for refused in (linearize, eg.simulate):
        with pytest.raises(NotLinearizable, match="match the target's weights when the discriminator is a network"):
            refused(uneven)
    with pytest.raises(InputError, match=r"update\.rule: must be one of .*unless both players are networks"):
        experiment(update={"rule": "adam"})
    with pytest.raises(InputError, match=r"random features \(features > 0\) when the generator is a network"):
        arch = {"width": 4, "depth": 1, "latent_dimension": 8}
        eg.simulate(eg.Experiment(generator={"particles": 8, "architecture": arch}, discriminator={"features": 0}))


def test_missing_jax_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jax", None)
    with pytest.raises(MissingExtra, match=r"egan-theory\[networks\]"):
        eg.simulate(experiment(width=7))


@pytest.mark.slow
def test_the_step_of_a_generator_network_has_its_own_kernel():
    """Both players networks: multipliers of the Jacobian of the step are those of the linear theory with the network's
    own Theta in place of Gamma."""
    arch = {"width": 5, "depth": 1, "activation": "tanh", "latent_dimension": 4}
    exp = experiment(
        width=3,
        generator={"particles": 3, "architecture": arch, "learning_rate": 0.05},
        penalty={"r1": 0.2, "weight_decay": 0.1},
    )
    found = step_multipliers(exp)
    with jax.enable_x64(True):
        field, data, _, _ = network_step(exp)
        g = jax.numpy.zeros(field.data["phi0"].shape[-1])
        J_G = np.asarray(jax.jit(jax.jacrev(lambda g: field.generate(data, g)))(g)).reshape(6, -1)
    at = tangent_features(exp).at(exp.points.coordinates)
    B = at.grad().reshape(6, -1)
    A = 0.1 * np.eye(B.shape[1]) + 0.2 / 3 * B.T @ B
    C = np.sqrt(exp.omega) * J_G.T @ B / 3  # omega = 3 particles of mass 1/3, on the generator's own weights
    J = np.block([[-0.2 * A, -0.2 * C.T], [0.05 * C, np.zeros((len(C), len(C)))]])
    theory = np.linalg.eigvals(update_matrix(exp.update_rule, J, len(A)))
    assert mismatch(found, theory) < SPECTRUM


@pytest.mark.slow
def test_empirical_generator_kernel_approaches_the_two_numbers():
    """Theta_ij = J_i J_j^T of a wide network on many latent dimensions: g1 on the diagonal, g2 off it, identity across
    outputs; the deviation falls as width^-1/2 and n0^-1/2."""
    from egan_theory.simulation.networks.field import NetworkField

    arch = {"width": 1024, "depth": 1, "activation": "relu", "latent_dimension": 1024}
    exp = experiment(generator={"particles": 6, "architecture": arch})
    field = NetworkField(exp, [exp])
    with jax.enable_x64(True):
        g = jax.numpy.zeros(field.data["phi0"].shape[-1])
        theta = np.asarray(jax.jit(field.generator_kernel)(field.data, g)).reshape(6, 2, 6, 2)
    kernel = exp.generator.kernel
    expected = np.einsum("ij,ab->iajb", (kernel.g1 - kernel.g2) * np.eye(6) + kernel.g2, np.eye(2))
    assert np.abs(theta - expected).max() < 5 * kernel.g1 / np.sqrt(1024)
    assert dataclasses.is_dataclass(linearize(exp))
