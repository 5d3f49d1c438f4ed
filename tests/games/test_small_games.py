"""The step's Jacobian by products against dense ones, on twelve small games in PyTorch and in JAX.

The dense ones are those of the training step as tests.games.training writes it out; each of its entries is compared, in
units of the largest entry of its row: Adam's step per unit of gradient reaches lr/eps where a gradient is 0, as that of
the last bias of D is under a loss of differences, beside which other rows would not be seen.
"""

from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("jax")

from egan_theory.games.jaxed import JaxPlayers  # noqa: E402
from egan_theory.games.optimizers import Optimizer  # noqa: E402
from egan_theory.games.stepmap import GameMap, Schedule  # noqa: E402
from tests.games import games, training  # noqa: E402
from tests.games.games import GAMES  # noqa: E402

TOLERANCE = 1e-8
LIVE = ("least squares + R2, Adam", "least squares + lazy R1, Adam / Nesterov, 2 critic steps")
#: in the default suite, for both frameworks (compiling for JAX takes seconds for each) and for PyTorch
BOTH = ("non-saturating, SGD",)
TORCH = (
    *BOTH,
    "hinge + R1, Nesterov / momentum",
    "least squares + R2, Adam",
    "non-saturating + R1, Adam, 2 critic steps",
)
CASES = [(name, True) for name in GAMES] + [(name, False) for name in LIVE]


def cases(quick):
    return [pytest.param(*c, marks=() if c[0] in quick and c[1] else pytest.mark.slow) for c in CASES]


@cache
def checkpoint(name):
    return training.checkpoint(GAMES[name])


@cache
def jax_players(name):
    game, (_, _, data, latents) = GAMES[name], checkpoint(name)["torch"]
    state = checkpoint(name)["weights"]
    D, G = games.jax_networks(game)
    players = JaxPlayers(D, G, games.jax_pair(game.loss), data, latents)
    moved = [(net[0], players.tree(i, w)) for i, (net, w) in enumerate(zip((D, G), state, strict=True))]
    return JaxPlayers(*moved, games.jax_pair(game.loss), data, latents)


def entries(name):
    """The rules as entries of the package's table, with the state of the checkpoint."""
    found = []
    for player, rule in enumerate(GAMES[name].rules):
        settings = {key: float(value) for key, value in rule.items() if key != "kind"}
        at = checkpoint(name)
        count = at["counts"][player] or int(bool(at["moments"][player]))
        found.append(Optimizer(rule["kind"], settings, at["moments"][player], count))
    return tuple(found)


def jax_map(name, frozen):
    game = GAMES[name]
    return GameMap(jax_players(name), entries(name), Schedule(**game.schedule), game.strengths, frozen=frozen)


def torch_map(name, frozen):
    from egan_theory.games.game import game as describe

    game, at = GAMES[name], checkpoint(name)
    D, G, data, latents = at["torch"]
    handle = describe(
        D, G, loss=game.loss, penalty=game.strengths, data=data, latents=latents, optimizers=at["optimizers"],
        **game.schedule,
    )  # fmt: skip
    return GameMap(handle.players, handle.optimizers, handle.schedule, handle.strengths, frozen=frozen)


def ordered(name, found, frozen):
    """Rows and columns in the order of tests.games.training."""
    names, _ = training.blocks(GAMES[name], checkpoint(name), frozen)
    assert set(names) == set(found.parts)
    return np.concatenate([np.arange(found.n)[found.parts[part]] for part in names])


def by_products(name, found, frozen):
    at = ordered(name, found, frozen)
    return tuple(A[np.ix_(at, at)] for A in (found.product(np.eye(found.n)), found.transposed(np.eye(found.n)).T))


@cache
def torch_products(name, frozen):
    return by_products(name, torch_map(name, frozen), frozen)


@cache
def jax_products(name, frozen):
    return by_products(name, jax_map(name, frozen), frozen)


@cache
def torch_dense(name, frozen):
    return training.torch_dense(GAMES[name], checkpoint(name), frozen)


def deviation(A, B):
    """The largest difference of entries, in units of the largest entry of the row."""
    return (np.abs(A - B).max(1) / np.abs(B).max(1)).max()


@pytest.mark.parametrize("name, frozen", cases(TORCH))
def test_torch_products_are_the_dense_jacobian(name, frozen):
    dense = torch_dense(name, frozen)
    assert max(deviation(A, dense) for A in torch_products(name, frozen)) < TOLERANCE


@pytest.mark.parametrize("name, frozen", cases(BOTH))
def test_jax_products_are_the_dense_jacobian(name, frozen):
    dense = training.jax_dense(GAMES[name], checkpoint(name), frozen)
    assert max(deviation(A, dense) for A in jax_products(name, frozen)) < TOLERANCE


@pytest.mark.parametrize("name, frozen", cases(BOTH))
def test_frameworks_agree(name, frozen):
    assert deviation(jax_products(name, frozen)[0], torch_products(name, frozen)[0]) < TOLERANCE


def table():
    """The largest deviations of every game, as rows of numbers."""
    for name, frozen in CASES:
        t, j = torch_products(name, frozen), jax_products(name, frozen)
        dense = torch_dense(name, frozen), training.jax_dense(GAMES[name], checkpoint(name), frozen)
        yield (
            name + ("" if frozen else " (live)"), len(dense[0]), deviation(t[0], dense[0]), deviation(t[1], dense[0]),
            deviation(j[0], dense[1]), deviation(j[1], dense[1]), deviation(j[0], t[0]), deviation(*dense),
        )  # fmt: skip


if __name__ == "__main__":
    print("| game | n | torch A | torch A^T | JAX A | JAX A^T | JAX - torch | dense JAX - torch |\n|" + "---|" * 8)
    for name, n, *numbers in table():
        print(f"| {name} | {n} | " + " | ".join(f"{x:.1e}" for x in numbers) + " |")
