"""The share of the training time that is kept, counted with a clock that only the test moves."""

import numpy as np
import pytest

from egan_theory.monitoring.pace import SAMPLES, WARM, Pace
from tests.monitoring.doubles import Clock


def trained(pace, clock, steps, cost, sample=0.0, duration=lambda step: 1.0):
    """Run a loop; returns the steps of the analyses and, at the end of every step, the seconds spent and trained."""
    analyses, seconds, made = [], [], 0
    for step in range(steps):
        clock.pass_(duration(step))
        pace.enter(step)
        if pace.due(step):
            clock.pass_(cost(made) + sample)
            pace.analysed(step, cost(made) + sample, sample)
            pace.sampled(step)
            analyses.append(step)
            made += 1
        elif pace.sample_due(step):
            clock.pass_(sample)
            pace.sampled(step)
        pace.leave()
        seconds.append((pace.looked, pace.trained, clock.now))
    return analyses, np.array(seconds)


@pytest.mark.parametrize("share", [0.01, 0.03, 0.2])
@pytest.mark.parametrize("name", ["steady", "growing", "jumping", "slow first step"])
def test_the_share_is_kept_whatever_things_cost(share, name):
    rng = np.random.default_rng(3)
    costs = {
        "steady": lambda i: 5.0, "growing": lambda i: 5.0 * 1.3**i, "slow first step": lambda i: 5.0,
        "jumping": lambda i: [2.0, 40.0, 1.0, 0.1][i % 4],
    }  # fmt: skip
    durations = {"slow first step": lambda step: 300.0 if step == 1 else 1.0}
    cost, sample = costs[name], 0.05
    clock = Clock()
    pace = Pace(share, None, None, clock)
    lengths = rng.uniform(0.5, 1.5, 6000)
    duration = durations.get(name, lambda step: lengths[step])
    analyses, seconds = trained(pace, clock, 6000, cost, sample, duration)
    looked, training, now = seconds.T
    assert analyses[0] == WARM + 1 and len(analyses) >= 2
    # nothing of the time is lost or counted twice (before the first call of a step nothing is counted)
    np.testing.assert_allclose(looked + training, now - duration(0))
    last = np.array([cost(np.searchsorted(analyses, step, side="right") - 1) for step in range(6000)])
    after = np.arange(6000) >= analyses[0]
    assert np.all(looked[after] <= share * training[after] + last[after] + (SAMPLES + 2) * sample + 1e-9)
    # ... and it is used: as many analyses as the share pays for, steady ones to within rounding of the spacing
    if name == "steady":
        assert len(analyses) >= 0.8 * share * training[-1] / (5.0 + (SAMPLES + 1) * sample)


def test_spacing_is_what_is_said_and_follows_the_cost():
    clock = Clock()
    pace = Pace(0.03, None, None, clock)
    analyses, _ = trained(pace, clock, 3000, lambda i: 6.0 if i < 3 else 3.0)
    gaps = np.diff(analyses)
    assert gaps[:3].tolist() == [200, 200, 200] and set(gaps[3:].tolist()) <= {100, 101}
    assert pace.spacing == 100 and pace.expected(6.0) == 200 and pace.expected(6.1) == 210
    assert pace.overhead == pytest.approx(0.03, rel=0.2)


def test_losses_are_sampled_ten_times_between_analyses():
    clock = Clock()
    pace = Pace(0.03, None, None, clock)
    samples, analyses = [], []
    for step in range(900):
        clock.pass_(1.0)
        pace.enter(step)
        if pace.due(step):
            clock.pass_(6.0)
            pace.analysed(step, 6.0)
            pace.sampled(step)
            analyses.append(step)
        elif pace.sample_due(step):
            pace.sampled(step)
            samples.append(step)
        pace.leave()
    assert samples[0] == 0 and samples[1] > analyses[0]
    assert np.diff(samples[1:10]).max() <= 40 and 8 <= sum(analyses[0] < s < analyses[1] for s in samples) <= SAMPLES


@pytest.mark.parametrize(("every", "seen", "due"), [
    (5, range(0, 16), [0, 5, 10, 15]),
    (5, range(3, 30, 4), [3, 7, 11, 15, 23, 27]),
    (1, range(4), [0, 1, 2, 3]),
])  # fmt: skip
def test_given_steps_are_kept_whatever_they_cost(every, seen, due):
    clock = Clock()
    pace, found = Pace(0.03, every, None, clock), []
    for step in seen:
        clock.pass_(1.0)
        pace.enter(step)
        if pace.due(step):
            clock.pass_(100.0)
            pace.analysed(step, 100.0)
            found.append(step)
        pace.leave()
    assert found == due


def test_steps_that_are_not_seen_one_by_one_are_counted():
    """Who calls once in ten steps has steps a tenth as long."""
    clock = Clock()
    pace = Pace(0.03, None, None, clock)
    for step in range(0, 300, 10):
        clock.pass_(10.0)
        pace.enter(step)
        pace.leave()
    assert pace.step_seconds == 1.0 and pace.trained == 290.0
