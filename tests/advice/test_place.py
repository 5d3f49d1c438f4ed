"""Where a GAN lies on the axis of kernel ratios, from the products of its two networks."""

from types import SimpleNamespace

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.advice.place import place
from egan_theory.games.game import Game
from egan_theory.games.kernel import kernel_numbers
from egan_theory.games.optimizers import Optimizer
from egan_theory.games.stepmap import Schedule
from egan_theory.linear.seen import features_of
from egan_theory.problem.problem import Problem


def experiment(ratio=0.2, points=6, **changes):
    """A spread state that loses its stability at a ratio within [0, 1] (weight decay alone: a closed form)."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": points},
        generator={"particles": points, "learning_rate": 0.5, "normalisation": "mean",
                   "kernel": {"diagonal": 3.0, "ratio": ratio}},
        discriminator={"kernel": "gaussian", "length_scale": 0.5, "features": 64, "learning_rate": 0.1},
        loss={"kind": "wasserstein"},
        penalty={"weight_decay": 1.0},
        update={"rule": "simultaneous"},
    )  # fmt: skip
    return exp.replace(changes)


def game_of(exp, *, units=1.0, embedding=None, momentum=0.0):
    """A game whose D has the experiment's own features and whose G has its kernel exactly.

    units (P,): D's weights are in these units, which Adam's preconditioner takes out again; embedding (d, D): the
    samples live in more dimensions, of which D sees those of the experiment."""
    features = features_of(Problem(exp))
    k, N, d = exp.generator.kernel, exp.generator.particles, exp.dimension
    A = np.eye(d) if embedding is None else embedding
    root = np.linalg.cholesky((k.g1 - k.g2) * np.eye(N) + k.g2)
    root = np.kron(root, np.eye(len(A.T)))

    def rows_push(psi, X, w):
        at = features.at(X.reshape(len(X), -1) @ A.T)
        return at.value(units * w), at.gradient(units * w) @ A

    players = SimpleNamespace(
        framework="NumPy", sizes=(features.size, len(root)), batches=1, notes=(),
        weights=(np.zeros(features.size), np.zeros(len(root))),
        generated=lambda theta, b=0: (root @ theta).reshape(N, -1),
        generator_push=lambda theta, v, b=0: (root @ v).reshape(N, -1),
        generator_pull=lambda theta, u, b=0: root.T @ u.ravel(),
        rows_push=rows_push,
        rows_pull=lambda psi, X, a, u: (
            units * features.at(X.reshape(len(X), -1) @ A.T).adjoint(a, u @ A.T)
        ),
    )  # fmt: skip
    eta = exp.discriminator.learning_rate
    if np.ndim(units):  # Adam with v = units^2 has P = lr/units; the game's P D P' then is that of sgd at units = 1
        P = 1 / units**2
        first = Optimizer("adam", {"learning_rate": eta / (1 - momentum), "beta1": momentum, "beta2": 0.99, "eps": 0.0},
                          {"v": units**4 * (1 - 0.99**5)}, 5)  # fmt: skip
        assert first.preconditioner == pytest.approx(eta / (1 - momentum) * P)
    else:
        first = Optimizer("sgd", {"learning_rate": eta, "momentum": momentum})
    second = Optimizer("sgd", {"learning_rate": exp.generator.learning_rate})
    schedule = Schedule(exp.update.rule == "alternating", exp.update.critic_steps)
    strengths = {key: value for key, value in exp.penalty.model_dump().items() if key in ("r1", "weight_decay")}
    return Game(players, (first, second), schedule, strengths)


def located(game, exp, **options):
    return place(game, {"loss": {"kind": exp.loss.kind}}, exp.points.coordinates, points=6, **options)


@pytest.mark.parametrize(
    "changes",
    [{}, {"update.rule": "alternating", "penalty.weight_decay": 0.3, "penalty.r1": 0.05, "loss.kind": "non_saturating",
          "generator.learning_rate": 60.0}],
)  # fmt: skip
@pytest.mark.parametrize("units", ["sgd", "adam"])
def test_a_game_of_an_experiment_lies_where_the_experiment_does(changes, units):
    """Thresholds and margin through the products against those of the experiment itself."""
    exp = experiment(**changes)
    theirs = eg.collective_instability(exp)
    scale = 1.0 if units == "sgd" else np.exp(np.random.default_rng(0).normal(0, 0.5, exp.discriminator.features))
    found = located(game_of(exp, units=scale), exp)
    assert found.thresholds == pytest.approx(theirs.values, rel=1e-5) and len(found.thresholds) == 1
    assert found.unstable_side == theirs.unstable_side and found.margin == pytest.approx(theirs.margin, rel=1e-6)
    assert found.ratio == pytest.approx(0.2) and found.share == pytest.approx(1)
    assert found.nearest == found.thresholds[0] and found.apart > 1e6
    assert found.experiment.get("generator.learning_rate") == exp.generator.learning_rate


def test_momentum_and_critic_steps_are_the_game_s():
    exp = experiment(**{"update.rule": "alternating", "update.critic_steps": 2, "update.momentum_discriminator": 0.4,
                        "generator.learning_rate": 2.0})  # fmt: skip
    found = located(game_of(exp, momentum=0.4), exp)
    theirs = eg.collective_instability(exp)
    assert found.thresholds == pytest.approx(theirs.values, rel=1e-5)
    assert found.margin == pytest.approx(theirs.margin, rel=1e-6)
    scale = np.full(exp.discriminator.features, 2.0)
    adam = located(game_of(exp, units=scale, momentum=0.4), exp)
    assert adam.margin == pytest.approx(theirs.margin, rel=1e-6)


def test_words_say_the_side():
    for ratio in (0.05, 0.95):
        exp = experiment(ratio)
        found = located(game_of(exp), exp)
        below = found.ratio < found.nearest
        assert below == (ratio == 0.05)
        said = found.remarks[0]
        assert f"lies {'below' if below else 'above'} the threshold {found.nearest:.3g}" in said
        assert said.endswith("rest" if found.margin < 0 else "jumps") and found.meaning in said
        assert (found.margin > 0) == ((found.unstable_side[0] == "above") != below)
        assert "explain 100%" in found.remarks[1] and found.to_dict()["nearest"] == found.nearest
    # nothing moves without a step to speak of: no threshold
    exp = experiment(**{"generator.learning_rate": 1e-6})
    found = located(game_of(exp), exp)
    assert found.nearest is None and found.apart is None and "no ratio from 0 to 1" in found.remarks[0]


def test_few_directions_hold_what_d_sees():
    """Samples in 40 dimensions, of which D sees two, turned: two directions are enough and none of it is lost."""
    exp = experiment()
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 2)))[0].T
    game = game_of(exp, embedding=basis)
    data = exp.points.coordinates @ basis
    found = place(game, {"loss": {"kind": "wasserstein"}}, data, points=6, directions=2)
    assert found.captured == pytest.approx(1) and (found.directions, found.dimension) == (2, 40)
    assert found.thresholds == pytest.approx(eg.collective_instability(exp).values, rel=1e-5)
    assert any("2 of 40 directions" in remark for remark in found.remarks)
    one = place(game, {"loss": {"kind": "wasserstein"}}, data, points=6, directions=1)
    assert 0.4 < one.captured < 0.95
    assert place(game, {"loss": {"kind": "wasserstein"}}, data).directions <= 40


def test_numbers_alone_with_an_experiment():
    exp = experiment(0.4)
    numbers = kernel_numbers(game_of(exp))
    found = place(numbers, experiment(0.9))
    assert found.thresholds == eg.collective_instability(exp).values and found.ratio == pytest.approx(0.4)


def test_bad_input():
    exp = experiment()
    game = game_of(exp)
    for field, call in (
        ("data", lambda: place(game, {"loss": {"kind": "hinge"}})),
        ("training", lambda: place(game, None, exp.points.coordinates)),
        ("training", lambda: place(kernel_numbers(game))),
        ("points", lambda: place(game, {"loss": {"kind": "hinge"}}, exp.points.coordinates, points=7)),
        ("directions", lambda: located(game, exp, directions=3)),
    ):
        with pytest.raises(eg.InputError, match=f"^{field}"):
            call()


@pytest.mark.slow
def test_a_game_in_pytorch_lies_where_jax_s_features_say():
    """Second route: dense rows of D's features by JAX, and g1, g2 of G by its dense kernel."""
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax").numpy
    from egan_theory.advice.practice import on, practice
    from egan_theory.features.networks.tangent import TangentFeatures
    from egan_theory.features.rows import RowFeatures
    from egan_theory.games.game import game

    torch.manual_seed(0)
    nn = torch.nn
    D = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 1))
    G = nn.Sequential(nn.Linear(8, 24), nn.Tanh(), nn.Linear(24, 2))
    x, z = experiment().points.coordinates, np.random.default_rng(0).standard_normal((10, 8))
    optimizers = torch.optim.SGD(D.parameters(), 2.0), torch.optim.SGD(G.parameters(), 3.0)
    found, single = (
        place(
            game(D, G, loss="non_saturating", data=torch.as_tensor(x), latents=torch.as_tensor(z),
                 optimizers=optimizers, penalty={"r1": 0.2}, precision=precision),
            {"loss": {"kind": "non_saturating"}}, x, points=6,
        )
        for precision in ("double", "own")
    )  # fmt: skip
    W, b, v, c = (np.asarray(p.detach().double()) for p in D.parameters())
    features = TangentFeatures(lambda p, y: jnp.tanh(y @ p[0].T + p[1]) @ p[2][0] + p[3][0], [W, b, v, c])
    order = np.random.default_rng([0, 8]).choice(6, 6, replace=False)
    rows = RowFeatures(features.seen_rows(x[order])[0], 6)
    numbers = kernel_numbers(G, torch.as_tensor(z))
    training = {
        "loss": {"kind": "non_saturating"}, "penalty": {"r1": 0.2}, "update": {"rule": "alternating"},
        "discriminator": {"learning_rate": 2.0}, "generator": {"learning_rate": 3.0, "kernel": numbers.kernel},
    }  # fmt: skip
    theirs = eg.collective_instability(on(practice(training), x[order], rows))
    assert found.ratio == pytest.approx(numbers.ratio, rel=1e-9)
    assert found.margin == pytest.approx(theirs.margin, rel=1e-5, abs=1e-9)
    assert found.thresholds == pytest.approx(theirs.values, rel=1e-4)
    assert single.margin == pytest.approx(found.margin, rel=1e-2) and single.share == pytest.approx(
        found.share, rel=1e-4
    )
    assert found.numbers.exact and found.share == numbers.share
