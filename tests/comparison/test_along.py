"""What is left along given directions of a kick, and the sweep that draws some of them."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.comparison.along import left_along
from egan_theory.simulation.condense import condensed

SMALL = eg.Experiment(
    target={"kind": "ring", "modes": 5}, generator={"particles": 10}, discriminator={"features": 32}, run={"steps": 200}
).replace({"penalty.r1": 0.05})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"update.rule": "flow"},
        {"update.rule": "alternating", "update.momentum_generator": 0.3},
        {"penalty.consensus": 0.1, "loss.kind": "non_saturating"},
        {"penalty.instance_noise": 0.2, "memory.generator": 10.0},
        {"discriminator.features": 0},
    ],
    ids=str,
)
def test_over_a_basis_it_is_what_is_left_of_all(changes):
    """Two ways: the propagator on single kicks, back in the particles' coordinates, and its norm, Eq. (27, left)."""
    exp = condensed(SMALL.replace(changes))
    size = exp.generator.particles * exp.dimension
    squares = left_along(exp, np.eye(size).reshape(size, -1, exp.dimension), 200.0)
    assert squares.mean() == pytest.approx(eg.left_over(exp, 200).total ** 2, rel=1e-9)
    assert np.ptp(squares) > 0.1 * squares.mean(), "the directions are alike: they show nothing"


def test_drawn_directions_that_miss_what_is_left_do_not_contradict_the_theory():
    """Of ten directions three, at a strength where one mode is left: the simulation is right, and so is its error."""
    drawn = eg.sweep_left(SMALL, "r1", [0.05, 0.3], 200, directions=3)
    every = eg.sweep_left(SMALL, "r1", [0.05, 0.3], 200)
    assert np.abs(drawn["moving"] - every["moving"]).max() < 1e-6
    assert all(abs(q.z) < 3 for q in eg.compare_left(drawn).quantities) and drawn["moving_stderr"].max() < 1e-5


def test_a_wrong_theory_is_still_found_along_drawn_directions(monkeypatch):
    wrong = SMALL.replace({"penalty.r1": 0.1})
    monkeypatch.setattr("egan_theory.comparison.left.left_along", lambda exp, *at: left_along(condensed(wrong), *at))
    drawn = eg.sweep_left(SMALL, "r1", [0.05], 200, directions=5)
    assert float(abs(drawn["moving"] - eg.left_over(SMALL, 200).moving).item()) > 0.02
