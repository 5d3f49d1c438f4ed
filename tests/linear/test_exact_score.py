"""The likelihood term with the target's own score, equilibria off the data: against complex steps and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.experiment.targets import Grid, Mixture, Ring, Uniform
from egan_theory.linear import equilibrium, linearize
from egan_theory.problem.field import Field
from egan_theory.problem.jacobian import jacobian_at
from egan_theory.problem.likelihood import Score
from egan_theory.problem.problem import Problem
from egan_theory.sweeps.cells import simulated
from tests.builders import small
from tests.linear.test_remedies import step_spectra
from tests.stepjac import ENTRY, SPECTRUM, derivative, field_jacobian, mismatch

MIXTURE = Mixture(means=((0.0, 0.0), (1.0, 0.5)), std=(0.3, 0.2), weights=(1.0, 2.0), samples=4)
EXACT = {"weight": 0.3, "bandwidth": 0.5, "score": "exact"}
SHARP = EXACT | {"target_bandwidth": 0.0}
KERNEL = {"weight": 0.3, "bandwidth": 0.5}
BOX = Uniform(dimension=1, side=5, length=3.0)
NARROW = {"weight": 0.3, "bandwidth": 0.3}
#: (target, particles, discriminator, likelihood): none of them at rest on the data
PLACES = {
    "exact": (MIXTURE, 4, {"features": 6}, EXACT),
    "exact, two on a point": (MIXTURE, 6, {"features": 6}, EXACT),
    "exact, sharp": (MIXTURE, 4, {"features": 6}, SHARP),
    "exact kernel": (Mixture(means=((0.0,), (1.0,)), std=0.3, samples=2), 2, {"features": 0}, EXACT),
    "masses": (Ring(modes=3), 4, {"features": 8}, KERNEL),
    "masses, box": (BOX, 6, {"features": 0}, KERNEL),
    "masses, square": (Uniform(dimension=2, side=3, length=3.0), 10, {"features": 0}, NARROW),
}
RULES = (
    {"rule": "simultaneous", "momentum_discriminator": 0.3},
    {"rule": "alternating", "critic_steps": 2, "momentum_generator": 0.2},
    {"rule": "extragradient"},
    {"rule": "flow", "substeps": 2},
    {"rule": "best_response"},
)


def experiment(place="exact", *, loss="wasserstein", penalty=None, likelihood=None, memory=None, **update):
    target, particles, disc, own = PLACES[place]
    return small(
        target, particles=particles, loss=loss, discriminator=disc, update=update, memory=memory or {},
        penalty=penalty or {"weight_decay": 0.2, "r1": 0.1}, generator={"kernel": {"ratio": 0.05}},
        likelihood=own if likelihood is None else likelihood,
    )  # fmt: skip


# -- the score itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [EXACT, SHARP])
def test_exact_score_is_that_of_the_density(likelihood):
    """grad log of the mixture convolved with the bandwidth, written out, by complex steps; the particles' as before."""
    exp, s = experiment(likelihood=likelihood), likelihood["bandwidth"]
    var = np.array([0.3, 0.2]) ** 2 + (0.0 if "target_bandwidth" in likelihood else s) ** 2
    means, weights = np.array(MIXTURE.means), np.array([1.0, 2.0]) / 3
    x = np.random.default_rng(0).standard_normal((4, 2))

    def log_target(at):
        r2 = ((at[:, None] - means) ** 2).sum(-1)
        return np.log((weights / (2 * np.pi * var) * np.exp(-r2 / (2 * var))).sum(-1))

    def log_particles(at):
        return np.log(np.exp(-((at[:, None] - x) ** 2).sum(-1) / (2 * s**2)).mean(-1))

    h = 1e-30
    for axis in (0, 1):
        at = x + 1j * h * np.eye(2)[axis]
        expected = (log_target(at) - log_particles(at)).imag / h
        assert np.allclose(Score(exp)(x)[:, axis], expected, rtol=1e-11, atol=1e-12)
    # far away a component's tail is as long as a double; many runs at once
    assert np.isfinite(Score(exp)(1e3 * x)).all()
    assert np.allclose(Score(exp)(np.stack([x, -x]))[1], Score(exp)(-x), rtol=1e-14)


@settings(max_examples=30, deadline=None)
@given(place=st.sampled_from(list(PLACES)), seed=st.integers(0, 100))
def test_jacobian_of_the_score_anywhere(place, seed):
    exp = experiment(place)
    home = exp.points.coordinates[exp.assignment]
    x = home + 0.3 * np.random.default_rng(seed).standard_normal(home.shape)
    score = Score(exp)
    if not np.isfinite(score(x)).all():  # the box's truncated estimate is not positive there
        return
    J = score.jacobian_at(x)
    expected = derivative(lambda x: (score(x),), (x,)).reshape(J.shape)
    assert np.abs(J - expected).max() <= ENTRY * np.abs(expected).max()


def test_jacobian_at_the_data_is_the_one_that_was_derived():
    """On distinct data with q = p, kernel score: L of Eq. (89, score-jacobian), per unit of mass."""
    exp = experiment("masses", likelihood=KERNEL).replace({"generator.particles": 3})
    score = Score(exp)
    L = np.einsum("acbe,b->acbe", score.jacobian(), exp.points.weights)
    at = score.jacobian_at(exp.points.coordinates)
    assert np.abs(at - L).max() <= ENTRY * np.abs(L).max()


@pytest.mark.parametrize("place", ["exact", "masses", "masses, box"])
def test_dense_jacobian_anywhere(place):
    exp, rng = experiment(place, loss="logistic"), np.random.default_rng(4)
    field = Field(Problem(exp))
    home = exp.points.coordinates[exp.assignment]
    x, w = home + 0.05 * rng.standard_normal(home.shape), 0.3 * rng.standard_normal(field.features.size)
    J, expected = jacobian_at(field, w, x), field_jacobian(field, w, x)
    assert np.abs(J - expected).max() <= ENTRY * np.abs(expected).max()


def test_kernel_score_tends_to_the_exact_one():
    """Estimated from M draws it differs from the exact smoothed score by M^-1/2: slope over four octaves, 40 seeds."""
    sizes, seeds = 100 * 4 ** np.arange(4), range(40)
    x = np.random.default_rng(1).standard_normal((50, 2)) * 0.5
    errors = []
    for M in sizes:
        square = []
        for seed in seeds:
            target = Mixture(means=MIXTURE.means, std=MIXTURE.std, weights=MIXTURE.weights, samples=int(M), seed=seed)
            base = eg.Experiment(target=target, generator={"particles": 50}, discriminator={"features": 2})
            exact, kernel = (
                Score(base.replace({f"likelihood.{k}": v for k, v in like.items()}))(x) for like in (EXACT, KERNEL)
            )
            square.append(((exact - kernel) ** 2).mean())
        errors.append(np.sqrt(np.mean(square)))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)  # 40 seeds: each error to about 8 %, over ln 64


# -- equilibria off the data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_step_spectra(place):
    """Theory against the complex-step Jacobian of the simulator's own step, at an equilibrium with D != D*."""
    for update in RULES:
        exp = experiment(place, **update)
        measured, z = step_spectra(exp)
        assert len(measured) == len(z) and mismatch(measured, z) <= SPECTRUM, update
    eq, field = equilibrium(exp), Field(Problem(exp))
    assert not eq.matched
    if place != "masses, box":
        assert np.abs(eq.x - exp.points.coordinates[exp.assignment]).max() > 1e-2
    if field.features.size == len(eq.w):
        assert max(np.abs(field.Vw(eq.w, eq.x)).max(), np.abs(field.Vx(eq.w, eq.x)).max()) < 1e-14


@pytest.mark.parametrize("loss", ["logistic", "least_squares"])
def test_step_spectra_of_other_losses_penalties_and_averages(loss):
    simple = {"weight_decay": 0.2, "r1": 0.1, "instance_noise": 0.1}
    everything = simple | {"r2": 0.1, "multiplier": 0.1, "alpha": 0.5}
    for chosen, penalty, memory in (
        (loss, everything, {}),
        (loss, everything, {"discriminator": 4.0}),
        ("wasserstein", simple, {"generator": 3.0, "discriminator": 4.0}),
    ):
        measured, z = step_spectra(experiment(loss=chosen, penalty=penalty, memory=memory))
        assert len(measured) == len(z) and mismatch(measured, z) <= SPECTRUM


@pytest.mark.parametrize("place", ["exact", "masses"])
def test_averages_of_the_generator_are_refused_where_they_are_not_derived(place):
    """The simulator's average enters with f2'(D*): off D* that is the Jacobian's only for linear losses."""
    for options in ({"loss": "logistic"}, {"penalty": {"weight_decay": 0.2, "r2": 0.1}}):
        with pytest.raises(NotLinearizable, match=r"memory\.generator: must be 0 where D != D\*"):
            linearize(experiment(place, memory={"generator": 3.0}, **options))


def test_equilibrium_attracts_where_particles_share_points():
    """Two particles at one point push each other away: the equilibrium found has them apart, and is stable."""
    exp = experiment("exact, two on a point")
    x = equilibrium(exp).x
    gaps = np.linalg.norm(x[:, None] - x, axis=-1)[np.triu_indices(6, 1)]
    assert gaps.min() > 0.02 and eg.spectrum(exp).attrs["stable"]
    # a simulation that begins on the data ends there
    ds = eg.simulate(exp.replace({"run.steps": 6000, "run.record_every": 6000, "run.runs": 1, "run.kick": 1e-2}))
    assert np.abs(ds["particles"].values[0, -1] - x).max() < 1e-6


def test_kicked_runs_decay_as_predicted():
    exp = experiment(rule="alternating")
    rate = eg.spectrum(exp).attrs["slowest_coupled_rate"]
    steps = int(9 / rate)
    found = eg.compare(
        exp, eg.simulate(exp.replace({"run.steps": steps, "run.record_every": steps // 150, "run.runs": 3}))
    )
    rows = {q.name: q for q in found.quantities}
    assert len(rows) >= 6 and all(q.relative_error < 1e-3 for q in rows.values())
    assert rows["rate"].predicted == pytest.approx(rate)


@pytest.mark.slow
def test_best_weight_of_an_exact_score():
    """A maximum of the exact spectrum, over equilibria of their own; strengths without one are said and passed over."""
    exp = experiment("exact", rule="alternating")
    exp = exp.replace({"discriminator.features": 8, "penalty.weight_decay": 0.05})
    best = eg.fastest_strength(exp, "likelihood")
    at = [eg.eigenvalues(eg.linearize(exp.replace({"likelihood.weight": best.best * u}))).slowest_carried()
          for u in (0.97, 1.0, 1.03)]  # fmt: skip
    assert at[1] == pytest.approx(best.rate, rel=1e-6) and max(at) <= best.rate * (1 + 1e-6)
    missing = int(np.isnan(best.rates).sum())
    assert (missing > 0) == any("no equilibrium" in a for a in best.assumptions)


def test_weak_terms_leave_the_particles_near_the_data():
    """The displacement is the weight times a response: proportional to it, and that of the linear theory."""
    moved = []
    for weight in (1e-5, 1e-6):
        exp = experiment(likelihood=EXACT | {"weight": weight}).replace({"discriminator.features": 32})
        moved.append((equilibrium(exp).x - exp.points.coordinates[exp.assignment]) / weight)
    assert np.abs(moved[0] - moved[1]).max() < 1e-3 * np.abs(moved[0]).max()
    field = Field(Problem(exp))
    w, x = np.zeros(32), exp.points.coordinates[exp.assignment]
    push = np.concatenate([w, field.Vx(w, x).ravel()])
    response = -np.linalg.solve(jacobian_at(field, w, x), push)[32:].reshape(-1, 2) / weight
    assert np.abs(response - moved[1]).max() < 1e-3 * np.abs(response).max()


def test_without_the_term_nothing_changes():
    """Weight 0, exact score: the data are the equilibrium again; on the box both scores are one."""
    exp = experiment(likelihood=EXACT | {"weight": 0.0})
    assert equilibrium(exp.replace({"generator.masses": "matched"})).matched
    box = eg.Experiment(target=BOX, generator={"particles": 5}, discriminator={"features": 0},
                        likelihood=KERNEL | {"score": "exact"})  # fmt: skip
    same = linearize(box.replace({"likelihood.score": "kernel"}))
    assert np.array_equal(linearize(box).blocks, same.blocks) and len(same.blocks)


@pytest.mark.parametrize("features", [6, 0])
def test_variants_with_equilibria_of_their_own(features):
    """Weights side by side: each kicked from its own equilibrium (without one on the data: not the first's)."""
    exp = experiment("exact" if features else "exact kernel", rule="alternating")
    exp = exp.replace({"run.steps": 20, "run.record_every": 10, "run.runs": 2, "run.start": "kick"})
    members = [exp.replace({"likelihood.weight": w}) for w in (0.0, 0.2, 0.4)]
    together = eg.simulate(members[0], variants=members)
    for i, member in enumerate(members):
        own = eg.simulate(member)
        assert np.array_equal(together["particles"].values[2 * i : 2 * i + 2], own["particles"].values)
    assert together["likelihood_weight"].values.tolist() == [0.0, 0.0, 0.2, 0.2, 0.4, 0.4]


def test_a_run_without_the_term_survives_beside_one_whose_score_does_not_exist():
    """On the box a narrow bandwidth has no score far from p: NaN, which weight 0 must not see."""
    exp = eg.Experiment(
        target={"kind": "uniform", "side": 31}, generator={"particles": 60}, discriminator={"features": 0},
        run={"start": "random", "steps": 4, "record_every": 4, "runs": 2, "seed": 2},
    )  # fmt: skip
    members = [exp, exp.replace({"likelihood.weight": 0.5})]
    ((_, ds),) = simulated(members)
    lost = ds["diverged_at"].values.reshape(2, 2)
    assert (lost[0] < 0).all() and (lost[1] >= 0).any()


def test_no_equilibrium_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("egan_theory.linear.equilibria.RELAXATION_STEPS", 3)
    exp = experiment(likelihood=EXACT | {"weight": 0.123})
    with pytest.raises(NotLinearizable, match=r"likelihood\.weight: must leave an equilibrium") as caught:
        linearize(exp)
    assert "\n" not in str(caught.value)


# -- input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [EXACT, SHARP, KERNEL, EXACT | {"target_bandwidth": 0.7}])
def test_toml_round_trip(likelihood):
    exp = experiment(likelihood=likelihood)
    assert eg.Experiment.from_toml_string(exp.to_toml()) == exp
    older = exp.to_toml().replace('score = "kernel"\n', "")
    assert likelihood is not KERNEL or eg.Experiment.from_toml_string(older) == exp


@pytest.mark.parametrize(
    ("target", "likelihood", "message"),
    [
        (Ring(), {"score": "exact"}, "likelihood.score: must be 'kernel' unless the target has a density"),
        (Grid(), EXACT, "found 'exact' with target.kind 'grid'"),
        (MIXTURE, EXACT | {"score": "precise"}, "likelihood.score: must be 'kernel' or 'exact'"),
        (MIXTURE, EXACT | {"bandwidth": 0.0}, "likelihood.bandwidth: must be greater than 0"),
        (MIXTURE, SHARP | {"score": "kernel"}, "likelihood.target_bandwidth: must not be given unless"),
        (BOX, SHARP, "likelihood.target_bandwidth: must not be given unless"),
        (MIXTURE, EXACT | {"target_bandwidth": -1.0}, "likelihood.target_bandwidth: must be at least 0"),
        (MIXTURE, EXACT | {"target_bandwidth": "x"}, "likelihood.target_bandwidth: must be a number"),
        (MIXTURE.model_copy(update={"std": 0.0}), SHARP, "must be greater than 0 unless every target.std is"),
        (MIXTURE.model_copy(update={"std": (0.1, 0.0)}), SHARP, "must be greater than 0 unless every target.std is"),
    ],
)
def test_malformed(target, likelihood, message):
    with pytest.raises(InputError) as caught:
        eg.Experiment(target=target, discriminator={"features": 0}, likelihood=likelihood)
    assert message in str(caught.value) and "\n" not in str(caught.value)
