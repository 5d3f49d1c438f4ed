"""What the page must not say."""

import dataclasses
import re

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.predict.left import part
from egan_theory.predict.spectrum import spectrum_json
from egan_theory.predict.threshold import Threshold, Thresholds
from egan_theory.show import answers, boundaries, captions, lighter, style, text, words
from egan_theory.show.apart import why_apart
from egan_theory.show.frequency import on_frequency
from egan_theory.show.moving import moving_on
from egan_theory.show.slides import strength_slider
from egan_theory.show.stages import Results
from egan_theory.show.unsaid import helped
from egan_theory.tables.penalties import PENALTIES, strength_meaning
from tests.show.fakes import RING


def swept(predicted, moving):
    one = {k: ("strength", np.array([v])) for k, v in
           dict(predicted_moving=predicted, moving=moving, moving_stderr=1e-8).items()}  # fmt: skip
    return xr.Dataset(one, coords={"strength": [1.0]})


def test_less_than_a_kick_resolves_is_not_compared_but_a_failure_is():
    hidden = eg.compare_left(swept(4e-11, 9e-8))
    assert not hidden.quantities and "second order" in hidden.unmatched[0]["reason"]
    assert len(eg.compare_left(swept(4e-11, 1e-3)).quantities) == 1
    assert part(4e-11) == "below 1e-7" and part(0.02) == "0.02"
    assert "4e-11" not in answers._part(4e-11) and "1e-7" in answers._part(4e-11)


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


@pytest.mark.parametrize("lost", [0.9, 0.1, 0.45])
def test_the_page_in_a_line_says_what_most_starts_do(lost):
    found = dataclasses.replace(eg.reached(RING.replace({"run.start": "random", "run.steps": 20}), draws=2),
                                lost=lost, stderr=0.1)  # fmt: skip
    said = answers.verdict(Results(RING, "r1", reached=found))
    assert said.endswith(f"{100 * lost:.0f} ± 10 % of random starts lose modes")


def test_the_first_screen_says_of_which_part_of_a_kick_it_speaks():
    best = eg.best_regularizer(RING)
    assert best.frozen > 0.1 and np.isfinite(best.best)
    card = next(a for a in answers.answers(Results(RING, "r1", regularizer=best)) if a.question.startswith("Which R1"))
    assert "of what can move of a small kick is left" in card.text


def test_several_thresholds_within_one_bracket_are_not_told_wherever_the_experiment_is():
    def row(values, bracket):
        return Threshold(boundaries.STARTS, values, ("above",) * len(values), (0, 1), "", (), -0.1, bracket)

    assert boundaries.undecided(row((0.6, 0.9), (0.58, 1.0)), 0.05)
    assert not boundaries.undecided(row((0.6,), (0.58, 0.7)), 0.05)
    assert boundaries.undecided(row((0.6,), (0.58, 0.7)), 0.65)


def test_the_slider_says_what_the_linear_theory_leaves_at_each_strength():
    best = eg.best_regularizer(RING)
    slider = strength_slider(best, swept(0.25, 0.26))
    assert slider.values[slider.start] == best.best and "the advice" in slider.texts[slider.start]
    for i in (0, len(slider.values) // 3, slider.start):
        left = eg.left_over(RING.replace({"penalty.r1": slider.values[i]}), best.horizon).moving
        assert (
            slider.heights[i] == pytest.approx(left)
            and f"predicted {left:.3g} left of what can move" in slider.texts[i]
        )
    assert (
        "predicted 0.25 left of what can move" in (said := slider.texts[slider.values.index(1.0)])
        and "simulated 0.26" in said
    )


def test_figures_tell_no_part_that_a_kick_does_not_resolve():
    best = eg.best_regularizer(RING)
    tiny = dataclasses.replace(best, moving=4e-11, moving_without=3e-9, movings=np.full_like(best.movings, 2e-12))
    runs = swept(5e-12, 6e-10)
    slider = strength_slider(tiny, runs)
    ax = eg.plot.left(tiny, runs, present=(0.1, 7e-10))
    legend = " ".join(t.get_text() for t in ax.get_legend().get_texts())
    points = [text for told in style.told(ax.figure) for text in told.texts]
    said = [*slider.texts, legend, captions.left(tiny, runs, (0.1, 7e-10)).alt, *points]
    assert not re.search(r"\de-(0[8-9]|1\d)", " ".join(said))
    assert "below 1e-7" in legend and "simulated below 1e-7" in slider.texts[slider.values.index(1.0)]
    assert not any("times the advice's" in text for text in slider.texts)


def test_a_single_particle_tells_no_modes_apart():
    one = RING.replace({"generator.particles": 1})
    (row,) = eg.thresholds(one, boundaries.RATIO, mechanisms=["too slow to split"]).thresholds
    assert not row.values and "at least 2" in row.reason and row.meaning == ""
    found = eg.frequency(one, kernels={})
    assert found.distance is None and found.separating_wavenumber is None
    assert "neighbour" not in " ".join([*on_frequency(found), captions.frequency(found).caption]).lower()


@pytest.mark.parametrize("key", [*PENALTIES, "likelihood"])
def test_what_a_strength_multiplies_is_said_in_its_own_words(key):
    said = strength_meaning(key)
    assert "strength" in said and not re.search(rf"\b{key}\b", said) and said[0].isupper() and "^2" not in said
    if key == "r1":
        assert "(strength/2) |grad D|² on the data" in said


def _ends(shares, codes, steps=3000):
    """Runs whose particles end so many at each of 4 points, and what became of them."""
    exp = eg.Experiment(target={"kind": "ring", "modes": 4}, generator={"particles": 8})
    Y = exp.points.coordinates
    x = np.array([np.repeat(Y, n, axis=0) for n in shares])[:, None]
    runs = xr.Dataset(
        {"particles": (("run", "time", "particle", "component"), x), "outcome": ("run", codes)}, {"time": [steps]}
    )
    return exp, runs


def test_runs_that_move_on_about_a_stable_equilibrium_are_explained():
    """Simulated: of 6 non-saturating runs from random starts the 4 with unequal shares circle for ever."""
    stable = xr.Dataset(attrs={"verdict": "stable", "slowest_coupled_rate": 1e-4})
    exp, runs = _ends([(3, 1, 2, 2), (2, 2, 2, 2), (2, 2, 2, 2)], [6, 6, 0])
    said = moving_on(stable, runs, exp)
    assert said.startswith("Of the 2 runs that move on 1 have other shares of particles")
    assert "300 steps counts as circling" in said and "takes 10000 steps" in said
    assert moving_on(stable.assign_attrs(slowest_coupled_rate=0.01), *_ends([(2, 2, 2, 2)], [6])[::-1]) == ""
    assert moving_on(stable.assign_attrs(verdict="not stable"), runs, exp) == ""
    assert moving_on(stable, *_ends([(3, 1, 2, 2)], [0])[::-1]) == ""


def test_what_is_said_of_an_experiment_that_does_not_rest():
    """Without a penalty every mode grows: no late rate, whatever the length of the runs; the ratio comes first."""
    wild = RING.replace({"penalty.r1": 0.0, "run.steps": 200})
    found = eg.compare(wild, eg.simulate(wild))
    (why,) = [u["reason"] for u in found.unmatched if u["name"] == "rate"]
    assert why.startswith("the slowest mode does not decay") and "longer" not in helped(why)
    assert words.duration(13007234.0, wild) == "1.3e+07 steps" and words.duration(7125.2, wild) == "7125 steps"
    assert all(re.fullmatch(r"rate|mode s = \S+( ± \S+i)? 1/step", u["name"]) for u in found.unmatched)
    spectrum = eg.spectrum(wild)
    assert "Below 0 it grows." in captions.damping(spectrum).caption
    row = Threshold("collective instability", (), (), (0.0, 1.0), "exact", (), 0.1)
    (card,) = answers._spread(Results(wild, "r1", boundaries=Thresholds("generator.kernel.ratio", 0.05, (row,), {})))
    assert card.text.startswith("At every kernel ratio the spread state does not stay at rest: it circles")


def test_where_runs_and_prediction_are_apart_the_reason_stands_with_it():
    off = Quantity("s1.re", -1.0, -2.0, 1e-3, 1.0, "1/step", "")
    table = Agreement((off,), ({"name": "all modes", "reason": "the predicted modes leave 7%"},), "", ())
    runs = xr.Dataset({"kernel_drift": ("time", [0.0, 0.3])}, attrs={"generator_kernel_error": 0.33})
    said = why_apart(table, runs)
    assert "33% of itself away from that of infinite width" in said and "moves by up to 30%" in said
    assert said.endswith("the predicted modes leave 7%.") and said.startswith("Where they do not agree")
    good = dataclasses.replace(table, quantities=(dataclasses.replace(off, measured=-1.0),))
    assert why_apart(good, runs) == why_apart(None, runs) == why_apart(table, None) == ""


def test_the_slowest_rate_is_said_where_nothing_decays():
    """Flows without a penalty turn for ever, simultaneous steps grow, unresolved ones do neither."""
    said = words.rate_in_table
    assert said(0.0, 0.8, "step").startswith("0: nothing damps") and said(0.002, 0.5, "step") == "0.002"
    assert said(-0.001, 7.5, "step") == "-0.001: grows by a factor e in 1000 steps"
    assert said(-0.5, 7.5, "time") == "-0.5: grows by a factor e in 2 units of time"
    assert said(np.nan, np.nan, "step") == said(None, None, "step") == "no equilibrium"
    assert said(np.nan, 0.8, "step").startswith("0 to rounding")
    flow = RING.replace({"update.rule": "flow", "penalty.r1": 0.0})
    assert eg.best_regularizer(flow).rate_without == 0 > eg.best_regularizer(RING).rate_without


def test_a_mechanism_without_threshold_says_what_holds():
    rows = (
        Threshold("collapsed state", (), (), (0.0, 1.0), "scan", ("no statement at 20 of 25 scanned values",), 0.1),
        Threshold("too slow to split", (), (), (0.0, 1.0), "scan", (), -0.1),
        Threshold("too slow to split", (), (), (0.5, 1.0), "scan", (), -0.1),
        Threshold("collapsed state", (), (), (0.0, 1.0), "", (), reason="no orbit"),
    )
    _, shown = Thresholds("generator.kernel.ratio", 0.05, rows, {}).grid()
    assert [row[1:4] for row in shown] == [
        ["none", "where it says anything", "the collapsed state attracts"],
        ["none", "everywhere", "neighbouring modes split within the run"],
        ["none", "", ""],
        ["not known", "", ""],
    ]


def test_noise_on_the_input_counts_as_the_work_it_is():
    logistic = RING.replace({"loss.kind": "logistic"})
    assert lighter.stages(logistic.replace({"penalty.instance_noise": 0.2})) == 25 * lighter.stages(logistic)
    # where particles are seen linearly the noise is averaged in closed form
    assert lighter.stages(RING.replace({"penalty.instance_noise": 0.2})) == lighter.stages(RING)


def test_time_to_rest_is_that_of_the_modes_by_which_particles_converge():
    """With noise on the input some modes are almost all discriminator: they decay in 1e14 steps, and nobody waits."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 5}, generator={"particles": 10}, penalty={"instance_noise": 0.1, "r1": 0.19}
    )
    s = eg.spectrum(exp)
    slowest = words.settling(s)
    # of a kick next to nothing is left after several such times, and much after a part of one
    assert eg.left_over(exp, int(6 / slowest)).moving < 0.01 < 0.3 < eg.left_over(exp, int(0.1 / slowest)).moving
    assert s.attrs["slowest_coupled_rate"] < 1e-6 * slowest
    said = next(line for line in text.spectrum_text(spectrum_json(s), "1/step") if str(line).startswith("Stable"))
    assert f"by which they converge decays by a factor e in {1 / slowest:.4g} steps" in said
    assert "almost all discriminator" in words.slower(s, exp) and words.slower(eg.spectrum(RING), RING) == ""
