"""Macro-particles: what of a start they keep, and when their fate is taken for decided."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.problem.problem import Problem
from egan_theory.runs.outcome import Outcome, data_radius
from egan_theory.simulation.macro import (
    SAMPLE,
    decided,
    filled,
    filled_starts,
    judged,
    kicked_starts,
    labels,
    verdict_times,
)
from egan_theory.simulation.start import random_starts
from tests.builders import small


def ring(**tables):
    return small(eg.Ring(modes=4), particles=40, **tables).replace({"run.start": "random", "run.runs": 2})


def test_clusters_are_found_again():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    for size in (30, 3 * SAMPLE):  # the second by a sample
        own = rng.integers(3, size=size)
        found = labels(centres[own] + 0.3 * rng.standard_normal((size, 2)), 3)
        assert len({(int(a), int(b)) for a, b in zip(own, found, strict=True)}) == 3
    assert labels(centres, 1).tolist() == [0, 0, 0]


def test_filled_clusters_keep_share_mean_and_width():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal([0, 0], [1.0, 0.2], (30, 2)), rng.normal([9, 9], [0.1, 0.4], (10, 2))])
    label = np.repeat([0, 1], [30, 10])
    draws = np.stack([filled(x, label, 8, rng) for _ in range(4000)])
    first, second = draws[:, :6], draws[:, 6:]
    for part, own in ((first, x[:30]), (second, x[30:])):
        np.testing.assert_allclose(part.mean(1), np.broadcast_to(own.mean(0), (4000, 2)), atol=1e-12)
        spread = (part - own.mean(0)).reshape(-1, 2)
        np.testing.assert_allclose(spread.T @ spread / len(spread), np.cov(own.T, bias=True), atol=0.03)


def test_as_many_clusters_as_particles_are_the_start_itself():
    x = random_starts(Problem(ring()))[0]
    own = filled(x, labels(x, 40), 40, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(own, axis=0), np.sort(x, axis=0))
    assert filled(x, labels(x, 1), 1, np.random.default_rng(0)) == pytest.approx(x.mean(0)[None])


def test_draws_take_the_starts_in_turn_and_differ_between_neighbours():
    exp = ring()
    found, starts = filled_starts(exp, 12, 4, 5), random_starts(Problem(exp))
    assert found.shape == (5, 12, 2)
    same = filled_starts(exp, 12, 4, 5)
    other = filled_starts(exp.replace({"generator.kernel.ratio": 0.123}), 12, 4, 5)
    np.testing.assert_array_equal(found, same)
    assert not np.any(found == other)
    for i, x in enumerate(found):  # 12 of 40 particles in 4 clusters: shares are rounded
        np.testing.assert_allclose(x.mean(0), starts[i % 2].mean(0), atol=1e-14)
    box = small(eg.Uniform(side=5, length=2.0, dimension=2), particles=25, discriminator={"features": 0}).replace(
        {"run.start": "random"}
    )
    inside = filled_starts(box, 10, 25, 3)
    assert inside.min() >= 0 and inside.max() <= 2 and inside.std() == pytest.approx(2 / np.sqrt(12), rel=0.2)


def test_kicks_are_drawn_anew():
    exp = small(eg.Ring(modes=3), particles=3).replace({"run.kick": 0.1})
    x, w = kicked_starts(Problem(exp), 50)
    assert x.shape == (50, 3, 2) and not w.any()
    assert (x - Problem(exp).home).std() == pytest.approx(0.1, rel=0.15)
    own = eg.simulate(exp.replace({"run.steps": 1, "run.runs": 1, "run.record_every": 1}))["particles"].values[0, 0]
    assert np.abs(x - own).max((1, 2)).min() > 1e-3


def test_verdicts_are_those_of_evenly_spaced_records():
    exp = ring(penalty={"weight_decay": 0.1}).replace({"run.steps": 1000, "run.record_every": 1})
    x = eg.simulate(exp)["particles"].values
    for motion in (False, True):
        times = verdict_times(exp, motion)
        assert times[0] == 0 and times[-1] == 1000 and (np.diff(times) > 0).all()
        assert (times >= 800).sum() >= 25 and (times < 800).sum() == 40
    np.testing.assert_array_equal(judged(exp, x[:, times], times), judged(exp, x, np.arange(1001)))
    assert verdict_times(exp.replace({"run.steps": 3})).tolist() == [0, 1, 2, 3]


def test_only_what_leaves_or_shrinks_is_decided():
    exp = ring()
    R, time = data_radius(exp), np.arange(0, 101, 2)
    shape = np.random.default_rng(3).standard_normal((12, 2))
    shape /= np.sqrt(((shape - shape.mean(0)) ** 2).sum(-1).mean())

    def cloud(width, way):
        return np.stack([w * R * shape + [v * R, 0] for w, v in zip(width, way, strict=True)])

    t = time / 100
    cases = {
        "shrinks": (cloud(np.exp(-5 * t), 0 * t), True),
        "narrow for long": (cloud(np.full(51, 0.1), 0 * t), False),
        "narrow and growing": (cloud(0.01 * np.exp(2 * t), 0 * t), False),
        "leaves": (cloud(np.ones(51), 5 * t), True),
        "begins outside": (cloud(np.ones(51), 0 * t + 4), False),
        "wide": (cloud(np.ones(51), 0 * t), False),
    }
    x = np.stack([c for c, _ in cases.values()])
    assert dict(zip(cases, decided(exp, x, time).tolist(), strict=True)) == {k: v for k, (_, v) in cases.items()}
    codes = judged(exp, x, time)
    assert codes[0] == Outcome.COLLAPSED and codes[3] == codes[4] == Outcome.ESCAPED
