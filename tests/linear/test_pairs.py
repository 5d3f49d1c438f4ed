"""Losses of pairs: the field against the objective itself, the linear theory against the simulator's own step, and what
is refused."""

import json

import numpy as np
import pytest
import sympy as sp

from egan_theory import Experiment
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.experiment.targets import Grid, PointSet, Ring, Uniform
from egan_theory.linear import linearize
from egan_theory.linear.checks import bounded
from egan_theory.linear.kick import kick
from egan_theory.problem.field import Field
from egan_theory.problem.problem import Problem
from egan_theory.simulation.accelerated import LaneField
from egan_theory.tables.losses import LOSSES
from egan_theory.tables.updates import RULES as ALL
from egan_theory.tables.updates import UpdateRule
from tests.builders import small
from tests.entries import STEPS, settings, update_rule
from tests.stepjac import COMPLEX_STEP, at_equilibrium, check_step, step_jacobian

PAIRS = [kind for kind, loss in LOSSES.items() if loss.pairs]
RULES = [update_rule(table) for name in STEPS for table in settings(ALL[name])]
PENALTIES = {
    "none": {},
    "r1 and r2": {"r1": 0.2, "r2": 0.1},
    "weight decay": {"weight_decay": 0.2},
    "multiplier": {"multiplier": 0.4, "alpha": 0.5},
    "noise": {"instance_noise": 0.2},
    "mixed": {"r1": 0.2, "r2": 0.1, "weight_decay": 0.15, "multiplier": 0.1, "alpha": 0.7, "instance_noise": 0.15},
}
every_pair = pytest.mark.parametrize("kind", PAIRS)


# -- the field --------------------------------------------------------------------------------------------------------


@every_pair
@pytest.mark.parametrize("penalty", PENALTIES)
def test_velocities_are_derivatives_of_the_objectives(kind, penalty):
    """By complex steps of both objectives, sums over all pairs of nodes."""
    exp = small(
        Ring(modes=2, weights=(1.0, 3.0)),
        particles=3,
        loss=kind,
        penalty=PENALTIES[penalty],
        generator={"masses": (0.2, 0.3, 0.5), "kernel": {"ratio": 0.3, "diagonal": 1.4}},
        discriminator={"features": 6},
    )
    field, rng = Field(Problem(exp)), np.random.default_rng(3)
    w, x = rng.normal(size=field.features.size), rng.normal(size=(3, 2))
    f = sp.lambdify(sp.Symbol("D", real=True), LOSSES[kind].expressions["f"], "numpy")
    k, (offsets, weights) = exp.penalty.coefficients, Problem(exp).noise
    at_p = field.features.at((exp.points.coordinates[:, None] + offsets).reshape(-1, 2))
    p, q = (np.outer(m, weights).ravel() for m in (exp.points.weights, exp.masses))

    def sides(w, x):
        at_q = field.features.at((x[:, None] + offsets).reshape(-1, 2))
        return (p, at_p, k.value_p, k.grad_p), (q, at_q, k.value_q, k.grad_q)

    def critic(w):
        (_, here, *_), (_, there, *_) = both = sides(w, x)
        L = p @ f(here.value(w)[:, None] - there.value(w)) @ q - k.nu / 2 * (w @ w)
        return L - sum(m @ (v * a.value(w) ** 2 + g * (a.gradient(w) ** 2).sum(-1)) for m, a, v, g in both) / 2

    def generator(x):
        (_, here, *_), (_, there, *_) = sides(w, x)
        return p @ f(there.value(w) - here.value(w)[:, None]) @ q

    def slope(function, at):
        steps = 1j * COMPLEX_STEP * np.eye(at.size).reshape(-1, *at.shape)
        return np.array([function(at + step).imag for step in steps]).reshape(at.shape) / COMPLEX_STEP

    np.testing.assert_allclose(field.discriminator_gradient(w, x), slope(critic, w), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(field.generator_gradient(w, x), slope(generator, x), rtol=1e-11, atol=1e-12)


@every_pair
def test_only_differences_count_and_the_equilibrium_rests(kind):
    exp = small(Ring(modes=3, weights=(1.0, 2.0, 3.0)), loss=kind, generator={"masses": "matched"},
                discriminator={"kernel": "polynomial", "features": 0})  # fmt: skip
    field, w, x = at_equilibrium(exp)
    assert not np.any(w) and np.abs(field.Vw(w, x)).max() <= 1e-15 and np.abs(field.Vx(w, x)).max() <= 1e-15
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=w.shape), x + 0.1 * rng.normal(size=x.shape)
    psi = field.features.at(rng.normal(size=(40, 2))).psi()
    constant = np.linalg.lstsq(psi, np.ones(40), rcond=None)[0]
    assert np.abs(psi @ constant - 1).max() < 1e-9
    np.testing.assert_allclose(field.Vw(w + constant, x), field.Vw(w, x), rtol=0, atol=1e-9)
    np.testing.assert_allclose(field.Vx(w + constant, x), field.Vx(w, x), rtol=0, atol=1e-9)


@every_pair
def test_runs_of_a_batch_move_as_each_does_alone(kind):
    members = [small(Ring(modes=3), loss=kind, penalty={"r1": s, "r2": 0.1, "multiplier": s}) for s in (0.05, 0.2)]
    rng = np.random.default_rng(1)
    problems = [Problem(m) for m in members]
    together, lanes = Field(problems[0], problems), LaneField(problems)
    w, x = rng.normal(size=(2, together.features.size)), rng.normal(size=(2, *problems[0].home.shape))
    for name in ("Vw", "Vx"):
        alone = np.stack([getattr(Field(p), name)(w[i], x[i]) for i, p in enumerate(problems)])
        np.testing.assert_allclose(getattr(together, name)(w, x), alone, rtol=1e-12, atol=1e-13)
        fast = getattr(lanes, name)(w.astype(lanes.dtype), x.astype(lanes.dtype))
        assert fast.dtype == lanes.dtype
        np.testing.assert_allclose(fast, alone, rtol=0, atol=1e-4 * np.abs(alone).max())


# -- the linear theory ------------------------------------------------------------------------------------------------


@every_pair
@pytest.mark.parametrize("features", [8, 0])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_step_has_the_predicted_eigenvalues(kind, penalty, features):
    noisy = "instance_noise" in PENALTIES[penalty] and not features
    target = Grid(side=2, dimension=1) if noisy else Ring(modes=3, weights=(1.0, 2.0, 3.0))
    change = {"instance_noise": 0.6} if noisy else {}
    exp = small(
        target,
        particles=6,
        loss=kind,
        penalty={**PENALTIES[penalty], **change},
        discriminator={"features": features, **({"length_scale": 0.2} if noisy else {})},
        generator={"masses": "matched", "kernel": {"ratio": 0.3}},
    )
    place, lin = at_equilibrium(exp), linearize(exp)
    for rule in RULES:
        check_step(exp, rule, lin, place)


@every_pair
def test_step_across_the_data(kind, tmp_path):
    np.save(tmp_path / "three.npy", [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.3, 0.0]])
    exp = small(PointSet(path=str(tmp_path / "three.npy")), particles=3, loss=kind, discriminator={"features": 0},
                penalty={"r1": 0.1, "r2": 0.1, "multiplier": 0.2, "alpha": 0.5})  # fmt: skip
    lin = linearize(exp)
    assert "apart" in lin.method
    check_step(exp, None, lin)


@every_pair
@pytest.mark.parametrize("penalty", [{}, {"r1": 0.003, "r2": 0.001}, {"multiplier": 0.004, "alpha": 0.5},
                                     {"weight_decay": 0.1, "instance_noise": 0.02}])  # fmt: skip
def test_step_on_the_periodic_box(kind, penalty):
    exp = small(Uniform(side=5, length=1.3), particles=5, loss=kind, penalty=penalty,
                discriminator={"features": 0, "length_scale": 0.2, "learning_rate": 0.05},
                generator={"masses": "matched", "learning_rate": 0.02})  # fmt: skip
    lin = linearize(exp)
    assert "frequency" in lin.method
    # nothing but the penalties on values and weights holds the constant
    assert bounded(Problem(exp)) == bool({"multiplier", "weight_decay"} & set(penalty))
    for rule in RULES:
        check_step(exp, rule, lin)


@every_pair
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_what_a_kick_leaves_is_the_powers_of_the_step(kind, ratio):
    exp = small(Ring(modes=3), particles=6, loss=kind, penalty={"r1": 0.2, "r2": 0.1, "weight_decay": 0.1},
                generator={"kernel": {"ratio": ratio}})  # fmt: skip
    rule, time = UpdateRule("alternating"), 30
    T = step_jacobian(exp, rule)
    n = 6 * exp.dimension
    P = np.linalg.matrix_power(T, time)[-n:, -n:]
    found = kick(Problem(exp))
    assert found.moving(rule, time) + found.frozen == pytest.approx((P**2).sum(), rel=1e-9)


@every_pair
def test_the_mean_of_D_is_free(kind):
    """Polynomial features hold the constant: one mode that nothing damps, which a loss of single scores damps."""
    shape = {"discriminator": {"kernel": "polynomial", "features": 0}, "particles": 6}
    ours, single = (linearize(small(Ring(modes=3), loss=name, **shape)) for name in (kind, "logistic"))
    assert ours.zero_modes == single.zero_modes + 1


# -- measured ---------------------------------------------------------------------------------------------------------


def example(kind, **changes):
    tables = {
        "target": {"kind": "ring", "modes": 3},
        "generator": {"particles": 6, "learning_rate": 0.3},
        "discriminator": {"features": 8, "length_scale": 0.9, "learning_rate": 0.2},
        "loss": {"kind": kind},
        "penalty": {"r1": 0.4, "r2": 0.1},
        "run": {"steps": 400, "runs": 2, "kick": 1e-4, "record_every": 4},
    }
    for name, table in changes.items():
        tables[name] = {**tables.get(name, {}), **table}
    return Experiment(**tables)


@every_pair
def test_compare_measures_what_is_predicted(kind, tmp_path, capsys):
    exp, file, runs = example(kind), tmp_path / "e.toml", tmp_path / "runs.nc"
    file.write_text(exp.to_toml())
    assert main(["simulate", str(file), "-o", str(runs)]) == 0
    capsys.readouterr()
    assert main(["compare", str(file), str(runs), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["quantities"]
    compared = [row for row in rows if row.get("measured") is not None]
    assert compared and all(abs(r["measured"] - r["predicted"]) <= 1e-3 * abs(r["predicted"]) for r in compared)
    assert main(["regularizer", str(file), "--json"]) == 0


# -- what is refused --------------------------------------------------------------------------------------------------

CHANGES = {
    "packing": ("packing.degree", {"packing": {"degree": 2}}),
    "memory": ("memory", {"memory": {"generator": 5.0}}),
    "best response": ("update.rule", {"update": {"rule": "best_response"}, "penalty": {"weight_decay": 0.2}}),
    "likelihood": ("likelihood.weight", {"likelihood": {"weight": 0.1, "bandwidth": 0.5}}),
    "consensus": ("penalty.consensus", {"penalty": {"consensus": 0.1}}),
}


@every_pair
@pytest.mark.parametrize("case", CHANGES)
def test_experiments_are_refused(kind, case):
    field, changes = CHANGES[case]
    with pytest.raises(InputError, match=f"^{field}: must .*a loss of pairs") as refused:
        example(kind, **changes)
    assert "\n" not in str(refused.value)


@every_pair
def test_networks_are_refused(kind):
    with pytest.raises(InputError, match=r"architecture.width: must .*a loss of pairs"):
        Experiment(loss={"kind": kind}, discriminator={"architecture": {"depth": 1, "width": 4}})


COMMANDS = {
    "branch": ["branch", "--vary", "generator.learning_rate=0.01:5"],
    "frequency": ["frequency"],
    "unequal masses": ["spectrum", "--set", "generator.particles=7", "--set", "penalty.weight_decay=0.1"],
}


@every_pair
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_end_in_one_line(kind, command, tmp_path, capsys):
    name, *options = COMMANDS[command]
    file = tmp_path / "e.toml"
    file.write_text(example(kind).to_toml())
    assert main([name, str(file), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("egan: loss.kind: must be one of wasserstein, ") and "\n" not in error


@every_pair
def test_functions_of_single_scores_are_refused(kind):
    loss = LOSSES[kind]
    for name in ("df1", "ddf1", "df2", "ddf2", "dh", "ddh"):
        with pytest.raises(InputError, match=r"^loss\.kind: must"):
            getattr(loss, name)
    with pytest.raises(AttributeError):
        _ = LOSSES["logistic"].df
