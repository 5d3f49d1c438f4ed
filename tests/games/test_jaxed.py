"""Two JAX networks at a checkpoint: derivatives against dense ones and finite differences, masks, precision, errors."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

from egan_theory.base.errors import InputError  # noqa: E402
from egan_theory.games.jaxed import JaxPlayers  # noqa: E402
from egan_theory.games.optax_states import with_state  # noqa: E402
from egan_theory.games.optimizers import Optimizer  # noqa: E402
from tests.games.games import GAMES, drawn, jax_networks, jax_pair  # noqa: E402

STRENGTHS = {"r1": 0.4, "r2": 0.6, "weight_decay": 0.1}


def players(game="convolutional, relativistic + R1 + R2, AdamW, 2 critic steps", **options):
    game = GAMES[game]
    _, data, latents = drawn(game)
    D, G = jax_networks(game)
    return JaxPlayers(D, G, jax_pair(game.loss), data, latents, **options)


@pytest.fixture(scope="module")
def pair():
    return players()


@pytest.fixture(scope="module")
def along(pair):
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(n) for n in pair.sizes)


@pytest.mark.slow
@pytest.mark.parametrize("player", [0, 1])
def test_gradient_and_push_are_those_of_the_objective(pair, along, player):
    psi, theta = pair.weights
    h, own = 1e-5, along[player]

    def moved(function, t, everything=True):
        p = psi + t * along[0] if everything or player == 0 else psi
        q = theta + t * along[1] if everything or player == 1 else theta
        return function(player, p, q, STRENGTHS, 1)

    slope = (moved(pair.objective, h, False) - moved(pair.objective, -h, False)) / (2 * h)
    assert own @ pair.gradient(player, psi, theta, STRENGTHS, 1) == pytest.approx(slope, rel=1e-7)
    change = (moved(pair.gradient, h) - moved(pair.gradient, -h)) / (2 * h)
    push = pair.push(player, psi, theta, *along, STRENGTHS, 1)
    assert np.abs(push - change).max() < 1e-7 * np.abs(push).max()


@pytest.mark.slow
@pytest.mark.parametrize("player", [0, 1])
def test_pull_is_the_transpose_of_push(pair, along, player):
    psi, theta = pair.weights
    w = np.random.default_rng(1).standard_normal(pair.sizes[player])
    left = w @ pair.push(player, psi, theta, *along, STRENGTHS)
    back = pair.pull(player, psi, theta, w, STRENGTHS)
    assert sum(b @ d for b, d in zip(back, along, strict=True)) == pytest.approx(left, rel=1e-12)


@pytest.mark.slow
def test_gradient_is_affine_in_the_strengths(pair):
    psi, theta = pair.weights
    g = [pair.gradient(0, psi, theta, {"r1": s, "r2": 1 - s}) for s in (0.0, 0.3, 1.0)]
    assert np.allclose(g[1], 0.7 * g[0] + 0.3 * g[2], rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_rows_and_samples(pair, along):
    psi, theta = pair.weights
    rng, h = np.random.default_rng(2), 1e-5
    X = rng.standard_normal((5, 16))
    values, slopes = pair.rows_push(psi, X, along[0])
    for change, function in ((values, pair.scores), (slopes, pair.slopes)):
        numeric = (function(psi + h * along[0], X) - function(psi - h * along[0], X)) / (2 * h)
        assert change.shape == numeric.shape and np.allclose(change, numeric, atol=1e-8)
    u = rng.standard_normal((5, 16))
    steps = [(pair.scores(psi, X + s * h * u) - pair.scores(psi, X - s * h * u)) / (2 * h) for s in (1,)]
    assert np.allclose((pair.slopes(psi, X) * u).sum(1), steps[0], atol=1e-8)
    a = rng.standard_normal(5)
    assert along[0] @ pair.rows_pull(psi, X, a, u) == pytest.approx(a @ values + (u * slopes).sum(), rel=1e-12)
    pushed = pair.generator_push(theta, along[1], 1)
    samples = [pair.generated(theta + s * along[1], 1) for s in (h, -h)]
    assert samples[0].shape == (7, 1, 4, 4) and pushed.shape == (7, 16)
    assert np.allclose(pushed, (samples[0] - samples[1]).reshape(7, 16) / (2 * h), atol=1e-8)
    u = rng.standard_normal((7, 16))
    assert along[1] @ pair.generator_pull(theta, u, 1) == pytest.approx((u * pushed).sum(), rel=1e-12)


def test_order_is_that_of_ravel_pytree_and_precision_is_left(pair):
    def D(params, x):
        return x @ params["W"] + params["b"]

    params = {"b": np.float32(2.0), "W": jax.numpy.asarray([0.5, -1.0], dtype=jax.numpy.float32)}
    G = (lambda p, z: z * p, jax.numpy.ones(2, dtype=jax.numpy.float32))
    two = JaxPlayers((D, params), G, jax_pair("wasserstein"), np.eye(2), np.eye(2))
    expected = jax.flatten_util.ravel_pytree(params)[0]
    assert np.array_equal(two.weights[0], np.asarray(expected)) and two.weights[0].dtype == float
    assert two.gradient(0, *two.weights, {}).dtype == float
    assert jax.numpy.ones(1).dtype == jax.numpy.float32 and not jax.config.jax_enable_x64
    assert two.tree(0, two.weights[0] + 1)["b"] == 3.0


@pytest.mark.slow
def test_weights_that_are_held(pair):
    held = np.zeros((2, 1, 3, 3), bool)
    held[0] = True
    some = players(trained=([held, True, False, True], None))
    every = np.concatenate([held.ravel(), np.full(2, True), np.full(32, False), [True]])
    assert some.sizes == (every.sum(), pair.sizes[1])
    full, psi = pair.weights[0], some.weights[0]
    assert np.array_equal(psi, full[every])
    g = pair.gradient(0, *pair.weights, {"r1": 1.0})
    assert np.allclose(some.gradient(0, psi, some.weights[1], {"r1": 1.0}), g[every], rtol=1e-12, atol=1e-14)
    moved = full.copy()
    moved[every] += 0.1
    assert np.allclose(
        some.gradient(1, psi + 0.1, some.weights[1], {}), pair.gradient(1, moved, pair.weights[1], {}), atol=1e-14
    )


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["adam", "adamw", "sgd"])
def test_states_of_optax_step_as_optax_does(pair, rule):
    chosen = {
        "adam": (optax.adam(1e-2, b1=0.5, b2=0.9), {"beta1": 0.5, "beta2": 0.9}),
        "adamw": (optax.adamw(1e-2, weight_decay=0.1), {"beta2": 0.999, "weight_decay": 0.1}),
        "sgd": (optax.sgd(1e-2, momentum=0.7, nesterov=True), {"momentum": 0.7, "nesterov": 1.0}),
    }
    method, settings = chosen[rule]
    psi, theta = pair.weights
    with jax.enable_x64(True):
        params = jax.tree.map(jax.numpy.asarray, pair.tree(0, psi))
        state = method.init(params)
        for _ in range(4):
            found = with_state(pair, 0, Optimizer(rule, {"learning_rate": 1e-2, **settings}), state)
            w = pair.flat(0, params)
            g = pair.gradient(0, w, theta, {"r1": 1.0})
            updates, state = method.update(pair.tree(0, g), state, params)
            params = optax.apply_updates(params, updates)
            mine = found.advance(found.start(w), g)["w"]
            assert np.allclose(mine, pair.flat(0, params), rtol=0, atol=1e-15)


def bad(change):
    D, G = jax_networks(GAMES["non-saturating, SGD"])
    args = {"D": D, "G": G, "objectives": jax_pair("hinge"), "data": np.ones((4, 2)), "latents": np.ones((4, 3))}
    return JaxPlayers(**(args | change(D, G)))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda D, G: {"D": D[0]}, "D: must be (function(params, batch), params)"),
        (lambda D, G: {"D": (lambda p, x: x, D[1])}, "D: must give one score for each of the 4 points of the data"),
        (lambda D, G: {"G": (lambda p, z: z, G[1])}, "G: must give samples of the shape of the data, (2,) each"),
        (lambda D, G: {"G": (lambda p, z: z @ p[3], G[1])}, "G: must run on what it is given, in JAX"),
        (lambda D, G: {"data": np.full((4, 2), np.nan)}, "data: must be finite"),
        (lambda D, G: {"data": (np.ones((4, 2)), np.ones(4))}, "give the images only, not (images, labels)"),
        (lambda D, G: {"data": [np.ones((4, 2))] * 2}, "latents: must have as many mini-batches as data (2)"),
        (lambda D, G: {"objectives": (1, 2)}, "loss: must be a name of the table or two functions"),
        (lambda D, G: {"objectives": (lambda r, f: r, lambda r, f: f)}, "loss of D: must be one number"),
        (lambda D, G: {"trained": (False, None)}, "D: must have weights that are trained"),
        (lambda D, G: {"trained": ({"a": True}, None)}, "trained weights of D: must be a tree of booleans"),
    ],
)
def test_bad_input(change, words):
    with pytest.raises(InputError) as error:
        bad(change)
    assert words in str(error.value)


def test_bad_questions(pair):
    psi, theta = pair.weights
    with pytest.raises(InputError, match="strengths: must be of r1, r2, weight_decay"):
        pair.gradient(0, psi, theta, {"gp": 1.0})
    with pytest.raises(InputError, match="psi: must be a vector of 53 numbers"):
        pair.gradient(0, psi[1:], theta, {})
    with pytest.raises(InputError, match="batch: must be a mini-batch, 0 to 1"):
        pair.gradient(0, psi, theta, {}, 2)
    with pytest.raises(InputError, match="X: must be points of the shape of the data"):
        pair.scores(psi, np.ones((3, 7)))
    with pytest.raises(InputError, match="one of sgd"):
        with_state(pair, 0, Optimizer("sgd", {"learning_rate": 1.0}), optax.adam(1.0).init(pair.tree(0, psi)))
