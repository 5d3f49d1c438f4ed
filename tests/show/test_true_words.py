"""What the page must not say."""

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.predict.left import part
from egan_theory.predict.threshold import Threshold, Thresholds
from egan_theory.show import answers, boundaries, captions, words
from egan_theory.show.stages import Results
from tests.show.fakes import RING


def swept(predicted, moving):
    one = {k: ("strength", np.array([v])) for k, v in
           dict(predicted_moving=predicted, moving=moving, moving_stderr=1e-8).items()}  # fmt: skip
    return xr.Dataset(one, coords={"strength": [1.0]})


def test_less_than_a_kick_resolves_is_not_compared_but_a_failure_is():
    hidden = eg.compare_left(swept(4e-11, 9e-8))
    assert not hidden.quantities and "second order" in hidden.unmatched[0]["reason"]
    assert len(eg.compare_left(swept(4e-11, 1e-3)).quantities) == 1
    assert part(4e-11) == "less than 1e-07" and part(0.02) == "0.02"
    assert "4e-11" not in answers._part(4e-11) and "1e-07" in answers._part(4e-11)


def test_runs_off_an_unstable_equilibrium_are_no_sign_of_rest():
    wild = RING.replace({"penalty.r1": 0.0})
    spectrum, runs = eg.spectrum(wild), eg.simulate(wild)
    said = words.unseen_growth(spectrum, runs, wild)
    assert "no sign of rest" in said and "too short" in said
    assert words.unseen_growth(eg.spectrum(RING), eg.simulate(RING), RING) == ""
    card = next(iter(answers._agreement(Results(wild, "r1", spectrum=spectrum, runs=runs))))
    assert "no sign of rest" in card.text and "8 settled" not in card.text
    grows = Agreement((Quantity("rate", -0.001, -0.001, 1e-5, 0.001, "1/step"),))
    text = captions.relaxation(runs, grows).caption
    assert "growth" in text and "decay" not in text and "slowest" not in text


def test_fewer_particles_than_modes_cannot_keep_them():
    one = eg.Experiment(generator=eg.Generator(particles=1), run=eg.Run(steps=50, start="random"))
    found = eg.reached(one, draws=2)
    assert found.lost == 1 and found.stderr == 0
    card = next(iter(answers._modes(Results(one, "r1", reached=found))))
    assert "cannot" in card.text and "%" not in card.number


@pytest.mark.parametrize("values", [(0.044,), (0.01, 0.3)])
def test_a_threshold_within_the_noise_of_draws_is_not_told(values):
    row = Threshold(boundaries.STARTS, values, ("above",) * len(values), (0, 1), "", (), -0.1, (0.0, 0.4583))
    table = Thresholds(boundaries.RATIO, 0.05, (row,), {})
    told = boundaries.table_rows(table)[0]
    assert told["beyond"] == [] and "not decided" in told["now"] and "not decided" in told["none"]
    fixed = eg.reached(RING.replace({"run.start": "random", "run.steps": 20}), draws=2)
    said = answers.even(row, 0.05, fixed)
    assert "not decided" in said and "0.044" not in said and "±" in said


def test_strengths_of_the_same_kicks_are_said_to_be_dependent():
    some = Agreement(tuple(Quantity(f"left {i}", 1.0, 1.0, 0.1, 1.0) for i in range(7)))
    said = words.same_kicks(None, some, xr.Dataset(attrs={"directions": 4}))
    assert "7 strengths" in said and "same 4 kicks" in said and "not independent" in said
