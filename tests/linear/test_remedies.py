"""Likelihood term, best responses and averages: symbols against numbers, theory against the simulator's own Jacobian.

The simulator's step is differentiated by complex steps, which never see the theory (stepjac).
"""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.comparison.cost import step_cost
from egan_theory.comparison.remedy import CRITIC_STEPS
from egan_theory.experiment.targets import Grid, Mixture, Ring, Uniform
from egan_theory.linear import eigenvalues, linearize
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.problem.field import Field
from egan_theory.problem.likelihood import Score
from egan_theory.problem.problem import Problem
from egan_theory.symbolic import remedies
from egan_theory.symbolic.linearize import symbols as y
from egan_theory.symbolic.maps import characteristic_polynomial, continuous_limit, stability_conditions, update_matrices
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.entries import RESPONSES
from tests.stepjac import mismatch, runge_kutta, step_jacobian

#: spectra, relative to the spectral radius: eigenvalues near a Jordan block move by sqrt(eps)
SPECTRUM = 1e-6
#: multipliers of averages that nothing excites, as many as the discriminator has weights
RELAXATION = 1e-7
LIKELIHOOD = {"weight": 0.3, "bandwidth": 0.8}
PLACES = {
    "ring": (Ring(modes=3), 5, {}),
    "weighted ring, exact": (Ring(modes=3, weights=(1.0, 2.0, 3.0)), 5, {"features": 0}),
    "mixture": (Mixture(means=((0.0, 0.0), (1.0, 0.5)), std=0.3, samples=4), 4, {"features": 6}),
    "box": (Uniform(dimension=1, side=5, length=3.0), 5, {"features": 0}),
    "box 2d": (Uniform(dimension=2, side=3, length=3.0), 9, {"features": 0}),
}
RULES = (
    {"rule": "simultaneous", "momentum_discriminator": 0.3},
    {"rule": "alternating", "critic_steps": 2, "momentum_generator": 0.2},
    {"rule": "flow", "substeps": 2},
    {"rule": "best_response"},
    {"rule": "best_response_flow", "substeps": 2},
)
MEMORY = ({}, {"generator": 3.0}, {"discriminator": 4.0}, {"generator": 3.0, "discriminator": 4.0})


def experiment(place="ring", loss="wasserstein", ratio=0.05, likelihood=None, memory=None, **update):
    target, particles, disc = PLACES[place]
    return small(
        target, particles=particles, loss=loss, penalty={"r1": 0.2, "weight_decay": 0.15}, discriminator=disc,
        update=update, generator={"masses": "matched", "kernel": {"ratio": ratio}},
        likelihood=likelihood or {}, memory=memory or {},
    )  # fmt: skip


def step_spectra(exp):
    """(eigenvalues of the simulator's step, predicted multipliers), without those of averages that nothing excites."""
    rule, values, measured = exp.update_rule, eigenvalues(linearize(exp)), np.linalg.eigvals(step_jacobian(exp))
    z = runge_kutta(values.s, rule.substeps) if rule.continuous else values.z
    z = np.concatenate([np.repeat(z, values.multiplicity), np.ones(linearize(exp).zero_modes)])
    if tau := exp.memory.generator:
        relaxed = runge_kutta(-1 / tau, rule.substeps) if rule.continuous else 1 - 1 / tau
        z, measured = (v[np.abs(v - relaxed) > RELAXATION] for v in (z, measured))
    if rule.responds and rule.continuous:  # weights without dynamics of their own are forgotten within a step
        z = np.concatenate([z, np.zeros(len(measured) - len(z))])
    return measured, z


# -- theory against the simulator -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["wasserstein", "logistic", "least_squares"])
@pytest.mark.parametrize("update", RULES, ids=lambda u: u["rule"])
@pytest.mark.parametrize("place", PLACES)
def test_spectrum_is_that_of_the_step(place, update, loss):
    memories = MEMORY if place in ("ring", "box") else MEMORY[::3]
    for likelihood in ({}, LIKELIHOOD):
        for memory in memories:
            exp = experiment(place, loss, likelihood=likelihood, memory=memory, **update)
            assert mismatch(*step_spectra(exp)) <= SPECTRUM, (likelihood, memory)


@pytest.mark.parametrize("update", [RULES[0], RULES[3]], ids=lambda u: u["rule"])
def test_rigid_clouds(update):
    """phi = 1: the likelihood term moves the centre alone."""
    assert mismatch(*step_spectra(experiment(ratio=1.0, likelihood=LIKELIHOOD, **update))) <= SPECTRUM


def test_averages_are_exact_for_constant_slopes():
    """Away from equilibrium the averaged push is exact for f2'(D) constant, and an approximation for other losses."""
    for loss, exact in (("wasserstein", True), ("logistic", False)):
        exp = experiment(loss=loss, memory={"generator": 3.0}, rule="simultaneous")
        field, rng = Field(Problem(exp)), np.random.default_rng(0)
        past, x = rng.standard_normal((2, 5, 2))
        w = rng.standard_normal(field.features.size)
        # a discriminator that faces both clouds at half their mass each
        true = (field.Vw(w, x) + field.Vw(w, past)) / 2
        q = (field.push(x) + field.push(past)) / 2
        assert np.allclose(field.facing(w, x, q), true, rtol=1e-10, atol=1e-12) == exact


# -- best responses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["wasserstein", "logistic", "non_saturating", "least_squares"])
def test_best_response_is_the_maximum(loss):
    """The gradient vanishes there, and a general optimiser that follows it from elsewhere ends at the same w."""
    exp = experiment("mixture", loss=loss, rule="best_response")
    field, rng = Field(Problem(exp)), np.random.default_rng(1)
    x = rng.standard_normal((4, 2))
    w = field.best_response(np.zeros(field.features.size), x)
    assert np.abs(field.discriminator_gradient(w, x)).max() <= 1e-13
    norm = lambda v: float((field.discriminator_gradient(v, x) ** 2).sum())  # noqa: E731
    found = minimize(norm, rng.standard_normal(len(w)), tol=1e-14).x
    assert np.abs(found - w).max() <= 1e-4 * np.abs(w).max()
    # of many runs at once, each its own; one without an optimum is marked
    many = field.best_response(np.zeros((2, len(w))), np.stack([x, -x]))
    assert np.abs(many[0] - w).max() <= 1e-12
    bare = Field(Problem(exp.replace({"penalty.weight_decay": 0.0, "penalty.r1": 0.0})))
    if loss == "wasserstein":
        assert np.isnan(bare.best_response(np.zeros(len(w)), x)).all()


def test_many_critic_steps_tend_to_the_best_response():
    """z^2 - (1 + r - w2 S) z + r with r -> 0; in the simulator's own spectra the difference falls as r^n."""
    limit = y.z * (y.z - 1 + y.w2 / y.a)
    assert sp.simplify(limit - characteristic_polynomial(UpdateRule("best_response")).as_expr()) == 0
    moved = [np.sort(np.abs(eigenvalues(linearize(experiment(rule="best_response"))).z))[-8:]]
    for n in (40, 160, 640):
        moved.append(np.sort(np.abs(eigenvalues(linearize(experiment(rule="alternating", critic_steps=n))).z))[-8:])
    errors = [np.abs(m - moved[0]).max() for m in moved[1:]]
    assert errors[0] > 10 * errors[1] and errors[2] < 1e-8


def test_best_response_stability():
    """Stable iff w2 < 2 a: Jury's conditions, and the multiplier 1 - w2/a of a block."""
    assert set(stability_conditions(UpdateRule("best_response"))) == {y.w2, 2 * y.a - y.w2}
    assert sp.simplify(continuous_limit(UpdateRule("best_response")) - (y.s + y.w2 / y.a)) == 0
    block = np.array([[-0.3, -0.5], [0.4, 0.0]])
    z = np.linalg.eigvals(update_matrices(UpdateRule("best_response"), block))
    assert np.allclose(sorted(z), [0, 1 - 0.2 / 0.3], atol=1e-15)


@pytest.mark.parametrize("rule", RESPONSES)
def test_simulated_best_response_decays_as_predicted(rule):
    steps = 4000 if rule == "best_response" else 240
    exp = experiment(rule=rule).replace({"run.steps": steps, "run.record_every": steps // 80, "run.runs": 2})
    found = eg.compare(exp, eg.simulate(exp))
    rates = {q.name: q for q in found.quantities}
    assert rates["s1.re"].relative_error < 1e-3


# -- averages -------------------------------------------------------------------------------------------------------


def test_polynomials_of_averages():
    """First-order play against both averages is the 4 x 4 block written by hand; each limit tau -> 0 removes one."""
    s, a, w2, q, D = y.s, y.a, y.w2, remedies.tau_q, remedies.tau_D
    assert (
        sp.expand(remedies.averaged(True, True).as_expr() * q * D - (s * (s + a) * (1 + q * s) * (1 + D * s) + w2)) == 0
    )
    both = remedies.averaged(True, True, best_response=True).as_expr()
    assert sp.simplify(both * q * D - (s * (1 + q * s) * (1 + D * s) + w2 / a)) == 0
    assert sp.expand(remedies.averaged(True, False).as_expr() * q).subs(q, 0) == s**2 + a * s + w2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(*(st.floats(-2, 2) for _ in range(4)), st.booleans(), st.booleans(), st.booleans())
def test_routh_conditions_decide(a, w2, tq, tD, generator, discriminator, responds):
    """All Hurwitz determinants are positive exactly where the numerical roots decay."""
    poly = remedies.averaged(generator, discriminator, responds)
    at = {y.a: 10**a, y.w2: 10**w2, remedies.tau_q: 10**tq, remedies.tau_D: 10**tD}
    roots = np.roots([float(c.subs(at)) for c in poly.all_coeffs()])
    margin = float(roots.real.max()) / float(np.abs(roots).max())
    if abs(margin) > 1e-6:
        assert all(float(c.subs(at)) > 0 for c in remedies.routh_conditions(poly)) == (margin < 0)


def test_growth_of_undamped_play_against_averages():
    """a = 0, tau_q = tau_D = tau: Re s = (Re sqrt(1 +- 4 i tau w) - 1) / (2 tau) > 0."""
    tau, w = 2.5, 0.7
    poly = remedies.averaged(True, True)
    at = {y.a: 0, y.w2: w**2, remedies.tau_q: tau, remedies.tau_D: tau}
    roots = np.roots([float(c.subs(at)) for c in poly.all_coeffs()])
    assert np.isclose(roots.real.max(), (np.sqrt(1 + 4j * tau * w).real - 1) / (2 * tau), rtol=1e-12)


# -- likelihood -----------------------------------------------------------------------------------------------------


def test_score_rate_is_derived():
    assert remedies.score_rate() == y.k**2 * sp.exp(-(y.sigma**2) * y.k**2 / 2)


def test_score_is_that_of_the_densities():
    """v against grad log of both Gaussian sums by complex steps; on the box against k^2 of a single wave."""
    exp = experiment("mixture", likelihood=LIKELIHOOD)
    Y, p, _ = exp.points
    x, s = np.random.default_rng(0).standard_normal((4, 2)), LIKELIHOOD["bandwidth"]

    def log_density(at, where, weights):
        return np.log((weights * np.exp(-((at[:, None] - where) ** 2).sum(-1) / (2 * s**2))).sum(-1))

    h = 1e-30
    for axis in (0, 1):
        at = x + 1j * h * np.eye(2)[axis]
        expected = (log_density(at, Y, p) - log_density(at, x, exp.masses)).imag / h
        assert np.allclose(Score(exp)(x)[:, axis], expected, rtol=1e-10, atol=1e-12)

    box = experiment("box", likelihood={"weight": 0.3, "bandwidth": 0.0})
    k, Y = 2 * np.pi / 3.0, box.points.coordinates
    wave = 1e-6 * np.sin(k * Y)
    assert np.allclose(Score(box)(Y + wave), -(k**2) * wave, atol=1e-11)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6))
def test_best_likelihood_formula(modes):
    """Against brute force over the slowest of many random modes."""
    f, w = np.exp(np.array(modes)).T
    best = remedies.best_likelihood(f, w)

    def rate(alpha):
        return min(-np.roots([1, alpha * fk, wk**2]).real.max() for fk, wk in zip(f, w, strict=True))

    scan = best.strength * np.concatenate([[1.0], np.geomspace(0.02, 50, 200)])
    rates = [rate(alpha) for alpha in scan]
    assert max(rates) <= best.rate * (1 + 1e-6)
    assert rates[0] == pytest.approx(best.rate, rel=1e-6)  # coalescing roots: sqrt(eps)


def test_formula_is_solved_by_sympy():
    f_i, f_j, w_j = sp.symbols("f_i f_j w_j", positive=True)
    pair = remedies.best_likelihood_formula()
    at = {f_i: 0.3, f_j: 0.9, w_j: 0.7}
    # of two modes the first is soft and slow in f, the second stiff: they bind together
    best = remedies.best_likelihood([0.3, 0.9], [5.0, 0.7])
    assert float(pair.strength.subs(at)) == pytest.approx(best.strength, rel=1e-12)
    assert float(pair.rate.subs(at)) == pytest.approx(best.rate, rel=1e-12)


def test_best_weight_of_an_experiment():
    """Closed form on the box's flow; a scan elsewhere; both are maxima of the exact spectrum."""
    box = experiment("box", likelihood={"bandwidth": 0.2}, rule="flow").replace(
        {"penalty.r1": 0.0, "penalty.weight_decay": 0.0}
    )
    best = eg.fastest_strength(box, "likelihood")
    assert best.method == "closed-form"
    for exp in (box, experiment(likelihood={"bandwidth": 0.5}, rule="alternating")):
        best = eg.fastest_strength(exp, "likelihood")
        at = [convergence_rate(exp.replace({"likelihood.weight": best.best * u})) for u in (0.98, 1.0, 1.02)]
        assert at[1] == pytest.approx(best.rate, rel=1e-6) and max(at) <= best.rate * (1 + 1e-6)
        assert best.rate > 1.5 * convergence_rate(exp)


def test_damping_both_sides_alike_never_overdamps():
    """a = x: s = -a +- i w, so that the rate grows with the strengths without bound."""
    x = sp.Symbol("x", nonnegative=True)
    roots = sp.solve(remedies.likelihood_dispersion().subs(x, y.a), y.s)
    assert {sp.simplify(sp.expand((root + y.a) ** 2)) for root in roots} == {-y.w2}


# -- input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"likelihood": {"weight": 0.1}}, "likelihood.bandwidth"),
        ({"memory": {"generator": 0.5}}, "memory.generator"),
        ({"memory": {"generator": 5.0}, "update": {"rule": "optimistic"}}, "update.rule"),
        ({"update": {"rule": "best_response", "momentum_generator": 0.1}}, "update.momentum_generator"),
        ({"update": {"rule": "best_response"}, "penalty": {"consensus": 0.1}}, "penalty.consensus"),
    ],
)
def test_what_has_no_meaning_is_refused(changes, field):
    with pytest.raises(InputError, match=field):
        eg.Experiment(**changes)


def test_what_has_no_theory_is_refused():
    with pytest.raises(NotLinearizable, match=r"penalty.weight_decay: must be greater than 0"):
        eg.spectrum(eg.Experiment(update={"rule": "best_response"}))
    exp = experiment(likelihood=LIKELIHOOD, rule="flow")
    for predict in (eg.collapsed_state, eg.splitting):
        with pytest.raises(InputError, match=r"likelihood.weight: must be 0 for"):
            predict(exp)


def test_unused_tables_are_not_written():
    """Experiments without remedies keep the TOML that older versions wrote."""
    plain, used = eg.Experiment(), experiment(likelihood=LIKELIHOOD, memory={"generator": 3.0}, rule="flow")
    assert "likelihood" not in plain.to_toml() and "memory" not in plain.to_toml()
    assert eg.Experiment.from_toml_string(used.to_toml()) == used


# -- side by side ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["single", "pairs"])
def compared(request):
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 4}, generator={"particles": 4, "learning_rate": 0.02},
        discriminator={"features": 16, "learning_rate": 0.2}, penalty={"weight_decay": 0.1},
    )  # fmt: skip
    return eg.compare_remedies(exp, runs=2, pairs=request.param)


def test_remedies_are_simulated_as_predicted(compared):
    """Every row that was measured agrees to 1 %; nothing that can be left out loses against what it was added to."""
    rows = {row.name: row for row in compared.rows}
    measured = [row for row in rows.values() if np.isfinite(row.simulated)]
    assert len(measured) >= (15 if any(" + " in name for name in rows) else 5) and not compared.unused
    for row in measured:
        assert row.simulated == pytest.approx(row.rate, rel=0.01), row.name
    for row in rows.values():
        parts = row.name.split(" + ")
        for name in ["as given", *parts]:
            # a best response has no number that could switch it off, and other rules have other best steps
            if name in rows and ("best response" not in parts or name == "best response"):
                assert row.rate >= rows[name].rate * (1 - 1e-6), (row.name, name)


def test_remedies_show_themselves(compared, tmp_path):
    from matplotlib.figure import Figure

    ds, data = compared.to_dataset(), compared.to_dict()
    assert ds.sizes["remedy"] == len(data["remedies"]) == len(compared.rows)
    assert set(data["remedies"][0]) >= {
        "name",
        "strengths",
        "rate",
        "simulated",
        "margin",
        "threshold",
        "cost",
        "evaluations",
        "products",
    }
    steps = next(row for row in compared.rows if row.name == "critic steps").strengths["update.critic_steps"]
    assert ("update.critic_steps" in data["at_the_end"]) == (steps == max(CRITIC_STEPS))
    assert ">as given</td>" in compared._repr_html_()
    ax = eg.plot.remedies(compared, ax=Figure().subplots())
    assert {*compared.idle} <= {*(row.name for row in compared.rows)} and "as given" not in compared.idle
    assert len(ax.get_yticks()) == len(compared.grid()[1]) and "decay rate" in ax.get_xlabel()
    eg.save(ds, tmp_path / "remedies.nc")


def test_costs_are_counts(compared):
    """Two gradients a step, one more for every critic step more; products by hand; the same each time."""
    rows = {row.name: row for row in compared.rows}
    given, critic = rows["as given"], rows["critic steps"]
    assert given.evaluations == 2 and given.cost == 1
    assert critic.evaluations == 1 + critic.strengths["update.critic_steps"]
    # Wasserstein with weight decay: one pass over 4 target points and one over 4 particles, then 2 for the force
    assert given.products == 16 * (4 + 4 + 2 * 4)
    assert critic.products == 16 * (critic.strengths["update.critic_steps"] * (4 + 4) + 2 * 4)
    assert rows["best response"].evaluations > 2 and all(
        row.cost == row.products / given.products for row in rows.values()
    )
    assert rows["likelihood"].products == given.products + 4 * (4 + 4) * 3


@pytest.mark.parametrize(
    ("changes", "products"),
    [
        # R1: a gradient of D at the target and what it pushes, 2 coordinates each
        ({"penalty.r1": 0.1}, 16 * (4 + 2 * 2 * 4 + 4 + 2 * 4)),
        # a curved loss: D and what it pushes on both sides, D and its gradient for the force
        ({"loss.kind": "logistic"}, 16 * (2 * 4 + 2 * 4 + 3 * 4)),
        # pairs: their mean features on both sides, then the force through those of single samples
        ({"packing.degree": 2}, 4 * (16 * 4 + 16**2)),
        # pairs that are all formed: two contractions, (4 x 16 x 16 and 4^2 x 16)
        ({"packing.degree": 2, "loss.kind": "logistic"}, 7 * (4 * 16**2 + 4**2 * 16)),
        ({"update.rule": "flow"}, 4 * 4 * 16 * (4 + 4 + 2 * 4)),
    ],
)
def test_products_by_hand(changes, products):
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 4}, generator={"particles": 4, "learning_rate": 0.02},
        discriminator={"features": 16, "learning_rate": 0.2}, penalty={"weight_decay": 0.1},
    )  # fmt: skip
    assert step_cost(exp.replace(changes)).products == products


def test_averaging_doubles_the_rate_of_best_responses():
    """tau s^2 + s + r = 0 of every mode r = w2/a: at tau = 1/(4 min r) the slowest is critical, 2 min r, and no mode
    is slower; longer averages slow all of them."""
    r = np.array([0.3, 0.5, 2.0])
    rate = lambda tau: min(-np.roots([tau, 1, v]).real.max() for v in r)  # noqa: E731
    assert rate(1 / (4 * 0.3)) == pytest.approx(0.6, rel=1e-6)
    assert max(rate(tau) for tau in np.geomspace(1e-2, 1e2, 200)) <= 0.6 * (1 + 1e-6)
    base = experiment("box", rule="best_response_flow")
    slowest = convergence_rate(base)
    best = convergence_rate(base.replace({"memory.generator": 1 / (4 * slowest)}))
    assert best == pytest.approx(2 * slowest, rel=1e-6)


@pytest.mark.parametrize("rule", RESPONSES)
def test_few_weights_are_bounded_by_what_sees_them(rule):
    """Without weight decay a best response exists where R1 and the loss see every weight, and only there."""
    exp = small(
        Grid(side=3, dimension=1), particles=3, loss="logistic", penalty={"r1": 0.2}, discriminator={"features": 2},
        update={"rule": rule},
    )  # fmt: skip
    measured, z = step_spectra(exp)
    assert mismatch(measured, z) <= SPECTRUM
    for changes in ({"discriminator.features": 20}, {"discriminator.features": 0}):
        with pytest.raises(NotLinearizable, match="nothing else bounds"):
            linearize(exp.replace(changes))
