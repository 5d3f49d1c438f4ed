"""What cannot be a game, or be asked of one, is said in one line that names it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import egan_theory as eg  # noqa: E402
from egan_theory.base.errors import InputError  # noqa: E402

from .torch_games import SETUPS  # noqa: E402


@pytest.fixture(scope="module")
def given():
    return SETUPS["adam, amsgrad, R1"]()


def good(r, f):
    return (f - r).mean()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alternating": "no"}, "alternating: must be True or False"),
        ({"penalty": {"r1": -1}}, "penalty.r1: must be a finite number of at least 0"),
        ({"loss": (lambda r, f: (f - r).mean().detach(), good)}, "loss of D: must depend on the scores"),
        ({"loss": (good, lambda r, f: (f - r).mean().detach())}, "loss of G: must depend on the scores"),
        ({"loss": (lambda r: r.mean(), good)}, "loss of D: must take two arguments, (real, fake) scores"),
        ({"data": None}, "data: must be given"),
        ({"data": (torch.zeros(6, 2), torch.zeros(6))}, "give the images only, not (images, labels)"),
    ],
)
def test_of_a_game(given, change, says):
    with pytest.raises(InputError) as error:
        eg.game(given.D, given.G, **(given.asked | change))
    assert says in str(error.value)


def test_of_what_is_asked_of_it(given, tmp_path):
    made = eg.game(given.D, given.G, **given.asked)
    with pytest.raises(InputError, match=r"penalty\.r1: must be a finite number of at least 0"):
        made.at(r1=-1.0)
    with pytest.raises(InputError, match="horizon: must be a number of steps"):
        eg.advise(made, horizon="100")
    with pytest.raises(InputError, match=r"spectrum: must be that of a game, game\.spectrum\(\)"):
        eg.game_page(made, tmp_path / "page.html")
    with pytest.raises(InputError, match=r"spectrum: must be that of a game, game\.spectrum\(\)"):
        eg.plot.game(made)
    with pytest.raises(InputError, match="path: must be"):
        eg.game_page(made.spectrum(20), 3)


def test_a_state_of_optax_holds_moments():
    optax = pytest.importorskip("optax")
    from egan_theory.games.optax_states import with_state

    params = {"w": optax.tree_utils.tree_zeros_like([1.0])}
    adam = eg.Optimizer("adam", {"learning_rate": 0.1})
    with pytest.raises(InputError, match="state of adam of D: must hold moments"):
        with_state(None, 0, adam, optax.sgd(0.1).init(params))
    sgd = eg.Optimizer("sgd", {"learning_rate": 0.1})
    assert with_state(None, 0, sgd, optax.sgd(0.1).init(params)) is sgd
