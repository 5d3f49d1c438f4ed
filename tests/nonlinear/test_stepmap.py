"""The step map: against the simulator's own step particle by particle, and its series against Cauchy's integral.

For every entry of the tables of losses, penalties, update rules, kernels and activations.
"""

import numpy as np
import pytest

from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.experiment import Experiment
from egan_theory.experiment.targets import Grid, Mixture, Ring, Uniform
from egan_theory.kernels import KERNELS
from egan_theory.linear import eigenvalues, linearize
from egan_theory.nonlinear import stepmap
from egan_theory.nonlinear.jet import Jet
from egan_theory.nonlinear.stepmap import StepMap
from egan_theory.problem.condense import groups
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.tables.activations import ACTIVATIONS
from egan_theory.tables.losses import LOSSES, single_losses
from egan_theory.tables.penalties import PENALTIES, STRENGTHS
from egan_theory.tables.updates import LINEAR_RULES, RULES
from tests.builders import small
from tests.entries import RESPONSES, STEPS, settings
from tests.nonlinear import cauchy
from tests.stepjac import ENTRY, SPECTRUM, derivative, mismatch, runge_kutta, step_jacobian

#: of series by Cauchy's integral: t, t^2, t^3, relative to the largest entry (rounding over radius^j)
SERIES = (1e-9, 1e-8, 1e-6)
RADIUS = 0.02
GENERATOR = {"kernel": {"ratio": 0.2}}
MIXED = {
    "r1": 0.2, "r2": 0.1, "weight_decay": 0.15, "multiplier": 0.1, "alpha": 0.7, "instance_noise": 0.15,
    "consensus": 0.1,
}  # fmt: skip
STRENGTH = {name: {name: 0.3} for name in PENALTIES}
PENALTY = {"none": {}, **STRENGTH, "alpha": {"multiplier": 0.4, "alpha": 0.5}, "mixed": MIXED}
MEMORIES = ({"generator": 5.0}, {"discriminator": 3.0}, {"generator": 5.0, "discriminator": 3.0})
DAMPED = {"weight_decay": 0.3, "r2": 0.1}


def ring(particles=5, **tables):
    """Three points, unevenly many particles on them."""
    tables.setdefault("generator", {**GENERATOR, "masses": "matched"})
    return small(Ring(modes=3), particles=particles, **tables)


def spread(m, seed=0, size=0.03):
    """A state near the one at rest, and a direction."""
    rng = np.random.default_rng(seed)
    return m.rest + size * rng.standard_normal(m.size), rng.standard_normal(m.size)


def check_series(m, function=None, tolerance=SERIES, radius=RADIUS, states=None):
    """Coefficients of t, t^2, t^3 off and at rest."""
    function = m.step if function is None else function
    jets = m.jets if function == m.step else m.velocity_jets
    v = spread(m)[1]
    for z in (spread(m)[0], m.rest) if states is None else states:
        found, right = jets(z, v[None])[0], cauchy.along(function, z, v, 3, radius)
        for a, b, allowed in zip(found, right, tolerance, strict=True):
            assert np.abs(a - b).max() <= allowed * np.abs(b).max()


def all_particles(m):
    """(field of all particles, their state at rest, state of all from one of the map, one of the map from theirs)."""
    field, of = Field(m.problem, None, m.field.features), m.groups.of
    first = np.unique(of, return_index=True)[1]

    def wide(z):
        w, x, *memory = m.state(z)
        copies = [b[..., of, :] if block == "x" else b for block, b in zip(m.rule.blocks, memory, strict=True)]
        return (w, x[..., of, :], *copies)

    def narrow(state):
        w, x, *memory = state
        parts = [b[..., first, :] if block == "x" else b for block, b in zip(m.rule.blocks, memory, strict=True)]
        return m.flatten((w, x[..., first, :], *parts))

    return field, wide, narrow


def check_particles(m):
    """One step of the map is one of the simulator, of every particle, off equilibrium; so is its Jacobian at rest."""
    field, wide, narrow = all_particles(m)
    z, _ = spread(m)

    def step(state):
        w, x, *memory = state
        w, cloud, *memory = m.rule.step((w, field.place(x), *memory), field.Vw, field.Vx, field.opponents)
        return (w, cloud.x, *memory)

    after = step(wide(z))
    assert np.abs(narrow(after) - m.step(z)).max() <= ENTRY * max(1.0, np.abs(z).max())
    for a, b in zip(after[1:], wide(m.step(z))[1:], strict=True):  # those at one point have stayed together
        assert np.abs(a - b).max() <= ENTRY * max(1.0, np.abs(b).max())
    J = step_jacobian(m.problem.exp, m.rule, (field, wide(m.rest)[0], wide(m.rest)[1]))
    columns = np.stack([np.concatenate([b.ravel() for b in wide(e)]) for e in np.eye(m.size)], axis=1)
    if m.rule.responds:
        columns[: field.features.size] = 0  # weights that are looked for are no coordinate
    sizes = [b.shape for b in wide(m.rest)]
    ends = np.cumsum([int(np.prod(s)) for s in sizes])[:-1]
    rows = [narrow(tuple(p.reshape(s) for p, s in zip(np.split(c, ends), sizes, strict=True))) for c in (J @ columns).T]
    assert np.abs(np.array(rows).T - m.jacobian()).max() <= 10 * ENTRY * np.abs(J).max()


# -- the tables -----------------------------------------------------------------------------------------------------


def test_tables_hold_every_entry():
    assert {key for penalty in PENALTY.values() for key in penalty} == set(STRENGTHS)
    assert set(STEPS) | set(RESPONSES) == set(LINEAR_RULES)


@pytest.mark.parametrize("rule", STEPS)
@pytest.mark.parametrize("loss", single_losses())
def test_every_loss_penalty_and_rule(loss, rule):
    for penalty in PENALTY.values():
        for table in settings(RULES[rule]):
            m = StepMap(Problem(ring(loss=loss, penalty=penalty, update=table)))
            assert np.abs(m.step(m.rest) - m.rest).max() <= 1e-15
            if m.continuous:
                check_series(m, m.velocity)
            if penalty in ({}, MIXED):
                check_particles(m)
            if penalty in ({}, MIXED) or not m.continuous:
                check_series(m)


@pytest.mark.parametrize("rule", STEPS)
@pytest.mark.parametrize("loss", [kind for kind, loss in LOSSES.items() if loss.pairs])
def test_losses_of_pairs(loss, rule):
    """Without consensus, which they refuse."""
    for penalty in ({}, {name: strength for name, strength in MIXED.items() if name != "consensus"}):
        m = StepMap(Problem(ring(loss=loss, penalty=penalty, update=settings(RULES[rule])[0])))
        assert np.abs(m.step(m.rest) - m.rest).max() <= 1e-15
        check_particles(m)
        check_series(m)


@pytest.mark.parametrize("rule", RESPONSES)
@pytest.mark.parametrize("loss", single_losses())
def test_best_responses(loss, rule):
    for penalty in ({"weight_decay": 0.3}, DAMPED):
        m = StepMap(Problem(ring(loss=loss, penalty=penalty, update={"rule": rule})))
        assert m.size == m.positions(m.rest).size
        check_series(m)
        check_particles(m)
        z, _ = spread(m)
        F = m.field.discriminator_gradient(m.weights(z), m.positions(z))
        assert np.abs(F).max() <= 1e-12


@pytest.mark.parametrize("memory", MEMORIES, ids=str)
@pytest.mark.parametrize("rule", [name for name in LINEAR_RULES if RULES[name].averages])
def test_averaged_opponents(rule, memory):
    m = StepMap(Problem(ring(penalty=DAMPED, loss="logistic", update={"rule": rule}, memory=memory)))
    check_series(m)
    check_particles(m)


@pytest.mark.parametrize("features", [0, 8])
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels(kernel, features):
    """Exact ones by a basis: its rounding is larger. Those without a force or further derivatives are refused."""
    disc = {"kernel": kernel, "features": features}
    if kernel == "matern":
        disc["smoothness"] = 4.5
    exp = ring(particles=3, penalty=DAMPED, loss="logistic", discriminator=disc)
    if features == 0 and not exp.discriminator.kernel_object.differentiable:
        with pytest.raises(InputError, match="second derivative"):
            StepMap(Problem(exp))
        return
    m = StepMap(Problem(exp))
    if not (features == 0 and m.field.grows):
        check_series(m)
    else:  # a Matern kernel is not analytic where points coincide
        states = [spread(m, size=0.3)[0]] if kernel == "matern" else None
        check_series(m, tolerance=(1e-7, 1e-4, 1e-2), radius=0.05, states=states)
    z = eigenvalues(linearize(exp)).z
    found = np.linalg.eigvals(m.jacobian())
    assert np.abs(found[:, None] - z).min(axis=0).max() <= 1e-7


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_random_networks(activation):
    m = StepMap(Problem(ring(penalty=DAMPED, loss="logistic", discriminator={"kernel": activation})))
    if ACTIVATIONS[activation].smooth:
        check_series(m)
        check_particles(m)
    else:
        assert np.isfinite(m.products(m.rest, m.rest[None])).all()
        with pytest.raises(InputError, match="must have second derivatives"):
            m.jets(m.rest, m.rest[None])


PACKED = ({"degree": 2}, {"degree": 3}, {"degree": 2, "kernel": "additive"})


@pytest.mark.parametrize("packing", PACKED, ids=str)
@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
def test_packed_samples(loss, packing):
    disc = {"features": 4}
    m = StepMap(Problem(ring(penalty={"weight_decay": 0.3, "r1": 0.1}, loss=loss, packing=packing, discriminator=disc)))
    check_series(m)
    check_particles(m)


MIXTURE = Mixture(means=((0.0, 0.0), (1.0, 0.5)), std=(0.3, 0.5), samples=4)
BOX = Uniform(dimension=1, side=5, length=3.0)
KERNEL_SCORE = {"weight": 0.3, "bandwidth": 0.5}
#: target, particles, discriminator, likelihood, generator
PLACES = {
    "kernel score": (Ring(modes=3), 6, {}, KERNEL_SCORE, {}),
    "exact score": (MIXTURE, 6, {"features": 6}, {**KERNEL_SCORE, "score": "exact"}, {}),
    "box score": (BOX, 10, {"features": 0}, KERNEL_SCORE, {}),
    "box": (Uniform(dimension=2, side=3, length=3.0), 18, {"features": 0}, {}, {}),
    "fourier": (Grid(side=2, dimension=1), 4, {"features": 0, "evaluation": "fourier", "tolerance": 1e-4}, {}, {}),
    "mean": (Ring(modes=3), 5, {}, {}, {"normalisation": "mean", "masses": "matched"}),
    "rigid": (Ring(modes=3), 5, {}, {}, {"kernel": {"ratio": 1.0}, "masses": "matched"}),
    "free": (Ring(modes=3), 6, {}, {}, {"kernel": {"ratio": 0.0}}),
    "other masses": (Ring(modes=3), 4, {"features": 40}, {}, {"per_point": (2, 1, 1)}),
    "other masses, exact": (
        Grid(side=2, dimension=1, spacing=1.5),
        4,
        {"features": 0},
        {},
        {"per_point": (3, 1)},
    ),
}
ROUGH = ("other masses, exact",)


@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
@pytest.mark.parametrize("place", PLACES)
def test_places(place, loss):
    target, particles, disc, likelihood, generator = PLACES[place]
    exp = small(
        target, particles=particles, loss=loss, discriminator=disc, likelihood=likelihood,
        penalty={"weight_decay": 0.3, "r1": 0.1}, generator={**GENERATOR, **generator},
        update={"rule": "alternating", "critic_steps": 2, "momentum_generator": 0.3},
    )  # fmt: skip
    m = StepMap(Problem(exp))
    assert np.abs(m.step(m.rest) - m.rest).max() <= 1e-9 * np.abs(m.rest).max()
    assert np.isclose(m.shares.sum(), 1)
    check_series(m, tolerance=(1e-7, 1e-4, 1e-2) if place in ROUGH else SERIES)
    if place not in ROUGH:
        check_particles(m)


# -- the map itself -------------------------------------------------------------------------------------------------


def test_particles_apart_are_kept_apart():
    """Of different masses on one point: different velocities, unless the cloud is rigid."""
    exp = ring(particles=6, generator={**GENERATOR, "masses": "matched", "per_point": (2, 2, 2)})
    problem = Problem(exp)
    assert np.array_equal(np.bincount(groups(problem, problem.home, 0.0).of), [2, 2, 2])
    uneven = ring(particles=6, generator={**GENERATOR, "masses": (1 / 9, 2 / 9, 1 / 9, 2 / 9, 1 / 6, 1 / 6)})
    problem = Problem(uneven)
    assert problem.matched and np.array_equal(groups(problem, problem.home, 0.0).counts, [1, 1, 1, 1, 2])
    m = StepMap(problem)
    assert np.allclose(m.shares, [1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 3])
    check_particles(m)
    rigid = Problem(uneven.replace({"generator.kernel.ratio": 1.0}))
    assert np.array_equal(groups(rigid, rigid.home, 0.0).counts, [2, 2, 2])
    check_particles(StepMap(rigid))


def test_states_and_batches():
    m = StepMap(Problem(ring(update={"rule": "optimistic"}, penalty=DAMPED)))
    P = m.field.features.size
    assert m.size == 2 * (P + 3 * 2) and m.rest.shape == (m.size,) and not m.continuous
    assert np.array_equal(m.weights(m.rest), np.zeros(P)) and m.positions(m.rest).shape == (3, 2)
    assert np.array_equal(m.flatten(m.state(m.rest)), m.rest)
    z = np.stack([spread(m, seed)[0] for seed in range(6)]).reshape(2, 3, -1)
    many = m.step(z)
    assert many.shape == z.shape and m.positions(z).shape == (2, 3, 3, 2)
    for index in np.ndindex(2, 3):
        assert np.allclose(many[index], m.step(z[index]), rtol=0, atol=1e-14)
    # directions at states of their own, and in blocks
    flat, v = z.reshape(6, -1), np.random.default_rng(1).standard_normal((6, m.size))
    each = np.stack([m.jets(a, b[None])[0] for a, b in zip(flat, v, strict=True)])
    assert np.allclose(m.jets(flat, v), each, rtol=0, atol=1e-13 * np.abs(each).max())


def test_blocks_of_directions(monkeypatch):
    m = StepMap(Problem(ring(penalty=DAMPED)))
    z, _ = spread(m)
    v = np.eye(m.size)
    whole = m.jets(z, v)
    monkeypatch.setattr(stepmap, "BLOCK", 2000)
    assert np.allclose(m.jets(z, v), whole, rtol=0, atol=1e-14) and m.jets(z, v[:0]).shape == (0, 3, m.size)


def test_series_are_those_of_the_map_iterated():
    """A jet of two steps, and Richardson's limit of differences as a third route."""
    m = StepMap(Problem(ring(penalty=DAMPED, loss="logistic")))
    z, v = spread(m)
    twice = m.step(m.step(Jet.of([z[None], v[None], None, None], (1, m.size))))
    right = cauchy.along(lambda s: m.step(m.step(s)), z, v, 3, RADIUS)
    for a, b, allowed in zip(twice.coefficients[1:, 0], right, SERIES, strict=True):
        assert np.abs(a - b).max() <= allowed * np.abs(b).max()
    h = 1e-3
    second = (m.step(z + h * v) - 2 * m.step(z) + m.step(z - h * v)) / (2 * h**2)
    assert np.abs(m.jets(z, v[None])[0, 1] - second).max() <= 1e-4 * np.abs(second).max()


@pytest.mark.parametrize("rule", ["flow", "best_response_flow"])
def test_flows(rule):
    """The multipliers of the step are the Runge-Kutta polynomial of the eigenvalues of the velocity; both are those of
    the linear theory."""
    m = StepMap(Problem(ring(particles=3, penalty=DAMPED, update={"rule": rule, "substeps": 2})))
    assert m.continuous
    s = np.linalg.eigvals(m.velocity_jacobian())
    assert mismatch(runge_kutta(s, m.rule.substeps), np.linalg.eigvals(m.jacobian())) <= SPECTRUM
    predicted = eigenvalues(linearize(m.problem.exp)).s
    assert np.abs(s[:, None] - predicted).min(axis=0).max() <= SPECTRUM * np.abs(s).max()
    w, x = m.state(m.rest)[:2]
    if rule == "flow":
        J = derivative(lambda w, x: (m.field.Vw(w, x), m.field.Vx(w, x)), (w, x))
        assert np.abs(J - m.velocity_jacobian()).max() <= ENTRY * np.abs(J).max()
    stiff = m.problem.replace({"discriminator.learning_rate": 40.0})
    assert rule != "flow" or StepMap(stiff).rule.substeps > 2  # steps that resolve the fastest mode


def test_the_exact_kernels_basis_holds_second_derivatives():
    """Six steps from rest, to t^3 in the positions: as with the kernel's Fourier modes, of which there are many."""
    for penalty in (DAMPED, {"weight_decay": 0.2, "consensus": 0.2}):
        found = []
        for disc in ({}, {"evaluation": "fourier", "tolerance": 1e-8}):
            exp = ring(penalty=penalty, loss="logistic", discriminator={"features": 0, "length_scale": 0.5, **disc})
            m = StepMap(Problem(exp))
            v = np.zeros(m.size)
            v[m.field.features.size :] = np.random.default_rng(2).standard_normal(6)
            jet = Jet.of([m.rest[None], v[None], None, None], (1, m.size))
            for _ in range(6):
                jet = m.step(jet)
            found.append(jet.coefficients[1:, 0, m.field.features.size :])
        for a, b, allowed in zip(*found, (1e-8, 1e-7, 2e-5), strict=True):
            assert np.abs(a - b).max() <= allowed * np.abs(b).max()


REFUSED = {
    "uniform averages": ({"memory": {"generator": "uniform"}}, NotLinearizable, "uniform averages"),
    "unbounded response": ({"update": {"rule": "best_response"}}, NotLinearizable, "penalty.weight_decay"),
    "network": (
        {"discriminator": {"architecture": {"depth": 1, "width": 4}}}, InputError,
        r"discriminator\.architecture: must have no network of finite width",
    ),
    "wide network": (
        {"discriminator": {"architecture": {"depth": 1, "activation": "erf"}}}, InputError,
        "an infinitely wide network's",
    ),
    "adam": (
        {player: {"architecture": {"depth": 1, "width": 4}} for player in ("generator", "discriminator")}
        | {"update": {"rule": "adam"}}, NotLinearizable, "no theory covers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_map_is_refused(case):
    tables, error, text = REFUSED[case]
    with pytest.raises(error, match=text):
        StepMap(Problem(Experiment(target={"kind": "ring", "modes": 3}, **tables)))


def test_wrong_calls_are_refused():
    m = StepMap(Problem(ring()))
    with pytest.raises(InputError, match=r"update\.rule: must be a flow"):
        m.velocity(m.rest)
    for z, v in ((m.rest, m.rest), (m.rest[1:], np.eye(m.size)), (m.rest, np.eye(3))):
        with pytest.raises(InputError, match=r"^z, v: must be states"):
            m.jets(z, v)


def test_rough_exact_kernels_have_a_jacobian_only():
    disc = {"kernel": "matern", "smoothness": 1.5, "features": 0}
    m = StepMap(Problem(ring(particles=3, penalty={"weight_decay": 0.3}, discriminator=disc)))
    z = eigenvalues(linearize(m.problem.exp)).z
    assert np.abs(np.linalg.eigvals(m.jacobian())[:, None] - z).min(axis=0).max() <= 1e-7
    with pytest.raises(InputError, match="coincident points"):
        m.jets(m.rest, np.ones((1, m.size)))


def test_a_basis_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(stepmap, "LARGEST_BASIS", 20)
    with pytest.raises(InputError, match=r"discriminator\.features: must be greater than 0 beyond linear theory"):
        StepMap(Problem(ring(particles=3, discriminator={"features": 0})))
