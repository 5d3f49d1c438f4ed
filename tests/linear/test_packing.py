"""Packed samples: the field against sums over tuples, the linear theory against the simulator's own Jacobian."""

from itertools import product

import numpy as np
import pytest
import scipy.linalg as sla
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.experiment.targets import Grid, Mixture, Ring, Uniform
from egan_theory.features.packed import power, symmetric_basis
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.extreme import extremes
from egan_theory.linear.packed import packed_scales
from egan_theory.linear.saddle import saddle
from egan_theory.linear.seen import seen, seen_weights
from egan_theory.linear.separate import linearize_extreme, rate_bounds
from egan_theory.linear.structured import applies
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.symbolic.remedies import packed_mode
from tests.builders import small
from tests.stepjac import at_equilibrium, mismatch, runge_kutta, step_jacobian

#: relative to the spectral radius; double zero eigenvalues of frozen directions move by sqrt(eps)
SPECTRUM = 1e-6
#: sums over tuples in another order
ROUNDING = 1e-11
#: measured against predicted eigenvalues
STANDARD_ERRORS = 4
#: multipliers of averages that nothing excites
RELAXATION = 1e-7
PLACES = {
    "ring": (Ring(modes=3), 4, {"features": 4}),
    "weighted, exact": (Ring(modes=2, weights=(1.0, 2.0)), 3, {"features": 0}),
    "line": (Grid(side=2, dimension=1), 3, {"features": 4}),
    "mixture": (Mixture(means=((0.0, 0.0), (1.0, 0.5)), samples=2), 3, {"kernel": "polynomial", "features": 0}),
    "box": (Uniform(dimension=1, side=5, length=3.0), 5, {"features": 0}),
}  # fmt: skip
PENALTIES = {
    "weight decay": {"weight_decay": 0.15},
    "r1": {"weight_decay": 0.1, "r1": 0.2},
    "mixed": {"weight_decay": 0.1, "r1": 0.1, "r2": 0.2, "multiplier": 0.1, "alpha": 0.5},
    "noise": {"weight_decay": 0.1, "instance_noise": 0.15},
}
RULES = (
    {"rule": "simultaneous", "momentum_discriminator": 0.3},
    {"rule": "alternating", "critic_steps": 2},
    {"rule": "flow", "substeps": 2},
    {"rule": "extragradient"},
    {"rule": "best_response"},
)


def experiment(place="ring", degree=2, kernel="product", loss="wasserstein", penalty=None, ratio=0.1, **update):
    target, particles, disc = PLACES[place]
    return small(
        target, particles=particles, loss=loss, penalty=penalty or PENALTIES["weight decay"], discriminator=disc,
        update=update, generator={"masses": "matched", "kernel": {"ratio": ratio}},
        packing={"degree": degree, "kernel": kernel},
    )  # fmt: skip


def symmetric(exp):
    """Orthonormal columns: the states (w, x, memory) whose discriminators are symmetric in the samples."""
    field, w, x = at_equilibrium(exp)
    one = np.eye(len(w))
    if exp.packing.kernel == "product":
        one = symmetric_basis(field.features.base.size, exp.packing.degree).toarray()
    shapes = {"w": one, "q": one, "x": np.eye(x.size)}
    return sla.block_diag(*(shapes[block] for block in ("w", "x", *exp.update_rule.blocks)))


def spectra(exp):
    """(eigenvalues of the simulator's step on symmetric discriminators, predicted multipliers)."""
    rule, lin, E = exp.update_rule, linearize(exp), symmetric(exp)
    values, measured = eigenvalues(lin), np.linalg.eigvals(E.T @ step_jacobian(exp) @ E)
    z = runge_kutta(values.s, rule.substeps) if rule.continuous else values.z
    z = np.concatenate([np.repeat(z, values.multiplicity), np.ones(lin.zero_modes)])
    if tau := exp.memory.generator:
        relaxed = runge_kutta(-1 / tau, rule.substeps) if rule.continuous else 1 - 1 / tau
        z, measured = (v[np.abs(v - relaxed) > RELAXATION] for v in (z, measured))
    return measured, z


# -- derivation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 3])
def test_modes_on_a_uniform_target_are_derived(m):
    kappa0, C, G, mu = sp.symbols("kappa_0 C_k G_k mu_k", positive=True)
    felt, coupled = packed_scales(eg.Packing(degree=m), 0.3)
    # K_k times felt in A and in mu^2 = K_k ..., both couplings times coupled
    at = {kappa0: 0.3, C: 2.0, G: 3.0, mu: 0.7}
    assert np.allclose(
        np.array(packed_mode(m).subs(at), dtype=float).ravel(), [2 * felt, 3 * felt, 0.7 * coupled * felt**0.5]
    )


# -- the field against sums over all tuples ----------------------------------------------------------------------------


def objectives(exp, w, x):
    """(L_D, E_q h(D)) by explicit sums over tuples and samples, from the terms of losses and penalties."""
    field, m = Field(Problem(exp)), exp.packing.degree
    one = field.features.base
    terms, D = exp.loss_object.expressions, sp.Symbol("D", real=True)
    f1, f2, h = (sp.lambdify(D, terms[name], "numpy") for name in ("f1", "f2", "h"))
    k, P = exp.penalty.coefficients, one.size
    W = w.reshape((P,) * m) if exp.packing.kernel == "product" else w

    def of(samples):
        """D - D* and the sum of its squared gradients, at one tuple of positions."""
        at = one.at(np.array(samples))
        psi, grad = at.psi(), at.grad()

        def value(rows):
            if exp.packing.kernel == "additive":
                return sum(W @ r for r in rows)
            out = W
            for r in rows[::-1]:
                out = out @ r
            return out

        squared = 0.0
        for slot, a in product(range(m), range(exp.dimension)):
            rows = [psi[i] for i in range(m)]
            if exp.packing.kernel == "additive":
                rows = [0 * r for r in rows]
            rows[slot] = grad[slot, a]
            squared = squared + value(rows) ** 2
        return value(list(psi)), squared

    Y, p, _ = exp.points
    L = -k.nu * (w @ w) / 2
    G = 0.0
    D0 = exp.loss_object.D0
    for chosen in product(range(len(p)), repeat=m):
        f, g2 = of([Y[i] for i in chosen])
        L = L + np.prod(p[list(chosen)]) * (f1(D0 + f) - k.value_p * f**2 / 2 - k.grad_p * g2 / 2)
    for chosen in product(range(len(x)), repeat=m):
        f, g2 = of([x[i] for i in chosen])
        weight = np.prod(exp.masses[list(chosen)])
        L = L + weight * (f2(D0 + f) - k.value_q * f**2 / 2 - k.grad_q * g2 / 2)
        G = G + weight * h(D0 + f)
    return L, G


@pytest.mark.parametrize("kernel", ["product", "additive"])
@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("loss", ["wasserstein", "logistic", "least_squares"])
def test_field_is_the_gradient_of_sums_over_tuples(loss, degree, kernel):
    exp = experiment("weighted, exact", degree, kernel, loss, PENALTIES["mixed"])
    exp = exp.replace({"discriminator.features": 4})  # random features: both have the same ones
    field, rng = Field(Problem(exp)), np.random.default_rng(1)
    basis = symmetric_basis(4, degree).toarray() if kernel == "product" else np.eye(4)
    w, x = 0.4 * basis @ rng.standard_normal(basis.shape[1]), rng.standard_normal((3, 2))
    h = 1e-30
    Fw = [objectives(exp, w + 1j * h * e, x)[0].imag / h for e in basis.T]
    Fx = [objectives(exp, w, x + 1j * h * e.reshape(3, 2))[1].imag / h for e in np.eye(6)]
    scale = np.abs(Fw).max()
    assert np.abs(field.discriminator_gradient(w, x) - basis @ Fw).max() <= ROUNDING * scale  # and nothing else
    assert np.abs(field.generator_gradient(w, x).ravel() - Fx).max() <= ROUNDING * np.abs(Fx).max()
    H = basis.T @ field.discriminator_hessian(w, x) @ basis
    step = [field.discriminator_gradient(w + 1j * h * e, x).imag / h for e in basis.T]
    assert np.abs(H - np.array(step) @ basis).max() <= ROUNDING * np.abs(H).max()


@pytest.mark.parametrize("kernel", ["product", "additive"])
def test_what_one_particle_feels(kernel):
    """Recorded are E D over the other samples, and the gradient of E D over the particle's mass."""
    exp = experiment("ring", 3, kernel, "wasserstein")
    field, rng = Field(Problem(exp)), np.random.default_rng(4)
    basis = symmetric_basis(4, 3).toarray() if kernel == "product" else np.eye(4)
    w, x = basis @ rng.standard_normal(basis.shape[1]), rng.standard_normal((4, 2))
    D = field.features.at(x).value(w).reshape(4, 4, 4)
    f, g = field.forces(x, w)
    assert np.allclose(f, np.einsum("ijk,j,k->i", D, exp.masses, exp.masses), atol=1e-12)
    assert np.allclose(exp.masses[:, None] * g, field.generator_gradient(w, x), atol=1e-12)


@pytest.mark.parametrize("kernel", ["product", "additive"])
def test_mean_features_of_several_runs_are_those_of_each(kernel):
    """What averages and best responses see of a batch, against sums over tuples of each run."""
    exp = experiment("ring", 3, kernel)
    field, rng = Field(Problem(exp)), np.random.default_rng(6)
    x = rng.standard_normal((5, 4, 2))
    weights = np.einsum("i,j,k->ijk", exp.masses, exp.masses, exp.masses).ravel()
    expected = [weights @ field.features.at(one).psi() for one in x]
    assert np.allclose(field.push(x), expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(2, "product"), (3, "product"), (3, "additive")]), st.booleans())
def test_batches_noise_and_order(seed, packing, noisy):
    """Several runs at once are each run alone; W stays symmetric; order of the particles does not matter."""
    penalty = PENALTIES["mixed"] | ({"instance_noise": 0.2} if noisy and packing[0] == 2 else {})
    exp = experiment("ring", *packing, loss="logistic", penalty=penalty).replace({"generator.masses": "equal"})
    field, rng = Field(Problem(exp)), np.random.default_rng(seed)
    basis = symmetric_basis(4, packing[0]).toarray() if packing[1] == "product" else np.eye(4)
    w, x = rng.standard_normal((2, basis.shape[1])) @ basis.T, rng.standard_normal((2, 4, 2))
    Vw, Vx = field.Vw(w, x), field.Vx(w, x)
    assert np.abs(Vw - Vw @ basis @ basis.T).max() <= ROUNDING * np.abs(Vw).max()
    order = rng.permutation(4)
    for r in range(2):
        assert np.abs(field.Vw(w[r], x[r]) - Vw[r]).max() <= ROUNDING * np.abs(Vw).max()
        assert np.abs(field.Vw(w[r], x[r][order]) - Vw[r]).max() <= ROUNDING * np.abs(Vw).max()
        assert np.abs(field.Vx(w[r], x[r][order]) - Vx[r][order]).max() <= ROUNDING * np.abs(Vx).max()


# -- theory against the simulator -----------------------------------------------------------------------------------


#: three samples with the product kernel only where the dense Jacobian is small
SPECTRA = [
    (place, degree, kernel)
    for place in PLACES
    for degree, kernel in product((2, 3), ("product", "additive"))
    if (degree, kernel) != (3, "product") or place in ("line", "box")
]


@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
@pytest.mark.parametrize(("place", "degree", "kernel"), SPECTRA)
def test_spectrum_is_that_of_the_step(place, degree, kernel, loss):
    for name, penalty in PENALTIES.items():
        if name == "noise" and (place not in ("line", "box") or degree == 3):  # many tuples of nodes
            continue
        exp = experiment(place, degree, kernel, loss=loss, penalty=penalty)
        measured, z = spectra(exp)
        assert len(measured) == len(z)
        assert mismatch(measured, z) <= SPECTRUM, (penalty, mismatch(measured, z))


MEMORY = ({}, {"generator": 3.0}, {"generator": 3.0, "discriminator": 4.0})
PLAY = [(update, memory) for update in RULES for memory in MEMORY if not memory or update["rule"] != "extragradient"]


@pytest.mark.parametrize(("update", "memory"), PLAY, ids=str)
def test_packing_with_every_rule(update, memory):
    for place, kernel, likelihood in (
        ("ring", "product", {}), ("ring", "additive", {}), ("ring", "product", {"weight": 0.3, "bandwidth": 0.8}),
        ("box", "product", {"weight": 0.2}),
    ):  # fmt: skip
        exp = experiment(place, kernel=kernel, penalty=PENALTIES["r1"], **update)
        exp = exp.model_copy(update={"memory": eg.Memory(**memory), "likelihood": eg.Likelihood(**likelihood)})
        measured, z = spectra(exp)
        if exp.update_rule.responds and exp.update_rule.continuous:
            z = np.concatenate([z, np.zeros(len(measured) - len(z))])
        assert mismatch(measured, z) <= SPECTRUM


@pytest.mark.parametrize("kernel", ["product", "additive"])
@pytest.mark.parametrize("m", [2, 3])
def test_uniform_target_only_rescales(m, kernel):
    """Weight decay alone: K_k -> m kappa0^(m-1) K_k (additive: m^2 K_k), as a variance times that."""
    exp = experiment("box", m, kernel)
    kappa0 = float(exp.discriminator.kernel_object.spectral_density(np.zeros(1), 1)[0]) / 3.0
    scale = m * kappa0 ** (m - 1) if kernel == "product" else m**2
    rescaled = exp.replace({"packing.degree": 1, "discriminator.variance": scale})
    coupled = [eigenvalues(linearize(e)) for e in (exp, rescaled)]
    assert np.allclose(*(np.sort_complex(v.s[v.coupled]) for v in coupled), rtol=1e-12)


def test_reduced_weights_hold_what_particles_feel():
    """The coordinates that compare reads from recorded weights: forces are B_m times them, their size that of W."""
    rng = np.random.default_rng(3)
    for penalty in ("weight decay", "r1"):
        exp = experiment("ring", 2, penalty=PENALTIES[penalty])
        field, _, x = at_equilibrium(exp)
        u = field.features.at(exp.points.coordinates).one.adjoint(exp.points.weights, None)
        v = rng.standard_normal(len(u))
        W = np.outer(v, u) + np.outer(u, v)
        mean = seen(Problem(exp)).mean
        felt = (mean @ seen_weights(Problem(exp), W.ravel())).reshape(-1, 2)
        assert np.allclose(felt[exp.assignment], field.forces(x, W.ravel())[1], atol=1e-12)
        assert np.linalg.norm(seen_weights(Problem(exp), W.ravel())) == pytest.approx(np.linalg.norm(W), rel=1e-12)
        assert saddle(Problem(exp)).basis.shape[1] == mean.shape[1]


# -- the whole path ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["product", "additive"])
@pytest.mark.parametrize("penalty", ["weight decay", "r1"])
def test_compare_finds_the_predicted_modes(penalty, kernel):
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 3}, generator={"particles": 6, "learning_rate": 0.02},
        discriminator={"features": 6}, penalty=PENALTIES[penalty], packing={"degree": 2, "kernel": kernel},
        run={"steps": 600, "record_every": 2, "runs": 4, "kick": 1e-7},
    )  # fmt: skip
    found = eg.compare(exp, eg.simulate(exp)).to_dict()
    assert len(found["quantities"]) >= 4
    for quantity in found["quantities"]:
        if quantity["relative_error"] is not None:
            error = abs(quantity["measured"] - quantity["predicted"])
            assert error <= max(1e-3 * abs(quantity["predicted"]), STANDARD_ERRORS * quantity["stderr"]), quantity
            assert quantity["stderr"] <= 0.05 * abs(quantity["predicted"])


def test_threshold_and_best_strength_follow_the_spectrum():
    exp = experiment("ring", 2, penalty=PENALTIES["weight decay"], rule="simultaneous")
    vary = ("generator.learning_rate", 0.01, 3.0)
    at = eg.collective_instability(exp, *vary)
    exact = eg.collective_instability(exp, *vary, closed_form=False)
    assert at.method != exact.method and len(at.values) == len(exact.values) == 1
    assert at.values[0] == pytest.approx(exact.values[0], rel=1e-6)
    best = eg.fastest_strength(exp.replace({"update.rule": "flow"}), "weight_decay")
    assert best.method == "closed-form"
    near = [exp.replace({"update.rule": "flow", "penalty.weight_decay": best.best * v}) for v in (0.99, 1.01)]
    assert all(eigenvalues(linearize(e)).slowest(coupled_only=True) < best.rate for e in near)


def test_exact_kernel_grows_with_the_particles():
    """A dictionary extended on the way gives the run of one that held all positions from the start."""
    exp = experiment("weighted, exact", 2, penalty=PENALTIES["r1"]).replace({"discriminator.length_scale": 1.5})
    field = Field(Problem(exp))
    x = exp.points.coordinates[exp.assignment] + 0.4
    rng = np.random.default_rng(0)
    v = rng.standard_normal((2, field.features.base.size))
    w = sum(power(row, 2) for row in v)
    before = field.forces(x, w)
    grown = field.grown(x)
    more = grown.padded(w, field.features)
    assert len(more) > len(w)
    assert all(np.allclose(a, b, atol=1e-10) for a, b in zip(before, grown.forces(x, more), strict=True))


# -- the edge ---------------------------------------------------------------------------------------------------------


def test_bad_input():
    for data, message in (
        ({"packing": {"degree": 0}}, "packing.degree: must be at least 1"),
        ({"packing": {"degree": 9}}, "packing.degree: must be at most 8"),
        ({"packing": {"degree": 2.5}}, "packing.degree: must be a whole number"),
        ({"packing": {"kernel": "sum"}}, "packing.kernel: must be 'product' or 'additive'"),
        ({"packing": {"degree": 2}, "penalty": {"consensus": 0.1}}, "penalty.consensus"),
        ({"packing": {"degree": 2}, "discriminator": {"features": 0, "evaluation": "fourier"}}, r"r.evaluation"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            eg.Experiment(**data)
    with pytest.raises(InputError, match=r"packing.degree: must leave at most 2000000 weights.*256\^3"):
        eg.simulate(eg.Experiment(packing={"degree": 3}))
    with pytest.raises(NotLinearizable, match=r"generator.masses"):
        eg.spectrum(eg.Experiment(packing={"degree": 2}, generator={"particles": 9}, discriminator={"features": 8}))
    large = eg.Experiment(packing={"degree": 2}, target={"kind": "grid", "side": 12}, generator={"particles": 144})
    with pytest.raises(NotLinearizable, match=r"packing.degree: must leave rows of tuples"):
        eg.spectrum(large)


CHANGED = ({"packing.degree": 2}, {"likelihood.weight": 0.1, "likelihood.bandwidth": 0.5})


@pytest.mark.parametrize("changed", CHANGED, ids=["packing", "likelihood"])
def test_routes_without_these_terms_refuse_them(changed):
    """Extreme modes and bounds know only the saddle of one sample and the particles."""
    points = np.random.default_rng(0).standard_normal((4, 9))
    exp = eg.Experiment(
        target={"kind": "points", "values": points.tolist()}, generator={"particles": 4, "kernel": {"ratio": 0.0}},
        discriminator={"features": 0, "length_scale": 3.0}, penalty={"weight_decay": 0.1},
    )  # fmt: skip
    for route in (lambda problem: linearize_extreme(problem, 1), rate_bounds, extremes):
        route(Problem(exp))
        with pytest.raises(NotLinearizable):
            route(Problem(exp.replace(changed)))
    assert applies(Problem(exp)) and not applies(Problem(exp.replace(changed)))


def test_weights_of_others_are_not_taken_for_packed_ones():
    """Recorded weights of single samples, say, of a run of another experiment."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 3}, generator={"particles": 3}, discriminator={"features": 4},
        packing={"degree": 2}, penalty={"weight_decay": 0.1},
    )  # fmt: skip
    assert seen_weights(Problem(exp), np.ones((2, 16))) is not None
    assert seen_weights(Problem(exp), np.ones((2, 4))) is None


def test_toml():
    exp = eg.Experiment(packing={"degree": 3, "kernel": "additive"})
    assert eg.Experiment.from_toml_string(exp.to_toml()) == exp
    assert "packing" not in eg.Experiment().to_toml()
