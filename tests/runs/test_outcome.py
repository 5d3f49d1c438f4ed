"""Outcomes of runs: constructed clouds, simulations of every kind, a second reading of the rule, invariances."""

import itertools

import numpy as np
import pytest
import sympy as sp
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.comparison import remedies as remedies_module
from egan_theory.experiment.targets import Mixture, Ring, Uniform
from egan_theory.papers.dirac import dirac_gan
from egan_theory.runs.interval import MEMORY, NEAR, RECORDS, record_bytes, recording_interval
from egan_theory.runs.outcome import (
    DOUBLED,
    FEWEST,
    FLAGS,
    LATE,
    MOST,
    MOVED,
    REST,
    TREND,
    UNKNOWN,
    UNSEEN,
    Outcome,
    classify,
    counts,
    current,
    data_radius,
    drifts,
    have_left,
    modes_are_lost,
    outcomes,
    shares,
    tally,
)
from egan_theory.simulation.run import simulate
from egan_theory.sweeps.agreement import compare_sweep
from egan_theory.sweeps.batch import DONE
from tests.builders import small

SETTLED, CIRCLING, LOST, MOVING, COLLAPSED, ESCAPED, DIVERGED = Outcome
#: samples of the constructed runs: 21 of them in the last fifth
SAMPLES = 101
#: just inside and outside of a threshold
CLOSE = 1e-9


def four(**tables):
    """Four points at distance 1 from the origin, two particles each."""
    return small(Ring(modes=4), particles=8, **tables)


def recorded(x, time=None, **variables):
    """Runs whose particles are x (run, time, particle, component)."""
    x = np.asarray(x, dtype=float)
    time = np.arange(x.shape[1], dtype=float) if time is None else time
    return xr.Dataset({"particles": (("run", "time", "particle", "component"), x), **variables}, {"time": time})


def still(cloud, samples=SAMPLES):
    """One run that rests."""
    return recorded(np.broadcast_to(cloud, (1, samples, *np.shape(cloud))))


def moving(at, samples=SAMPLES):
    """One run whose cloud is ``at`` (part of the run that has passed, 0 to 1)."""
    return recorded(np.stack([at(s) for s in np.linspace(0, 1, samples)])[None])


HOME = np.repeat(Ring(modes=4).coordinates(), 2, axis=0)
WIDE = HOME * [1.0, 0.0]  # two of the four points, rms width 1 / sqrt 2: neither narrow nor whole
FAR = np.array([1.0, 0.0])


def late(s):
    """0 until the last fifth, then up to 1."""
    return max(0.0, (s - 1 + LATE) / LATE)


# -- constructed clouds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cloud", "expected"),
    [
        (HOME, SETTLED),
        (HOME * 1.2, SETTLED),
        (HOME[[0, 0, 0, 0, 2, 2, 4, 6]], SETTLED),
        (HOME[[0, 0, 0, 0, 2, 2, 4, 4]], LOST),
        (WIDE, LOST),
        (HOME + 2.5 * FAR, LOST),  # none of them
        (HOME[[0] * 8], COLLAPSED),
        (0 * HOME, COLLAPSED),
        (0.2 * (1 - CLOSE) * HOME, COLLAPSED),
        (0.2 * (1 + CLOSE) * HOME, LOST),
        (0 * HOME + 3.0 * (1 - CLOSE) * FAR, COLLAPSED),
        (0 * HOME + 3.0 * (1 + CLOSE) * FAR, ESCAPED),
        (HOME + 1900 * FAR, ESCAPED),
        (1900 * HOME, ESCAPED),  # in all directions: the centroid stays
    ],
)  # fmt: skip
def test_clouds_at_rest(cloud, expected):
    assert outcomes(still(cloud), four()).tolist() == [expected]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # all modes kept: circling, drifting, at a crawl
        (lambda s: HOME + 0.3 * np.array([np.cos(9 * s), np.sin(9 * s)]), CIRCLING),
        (lambda s: HOME + 0.5 * late(s) * FAR, CIRCLING),
        (lambda s: HOME + 0.4 * REST * late(s) * FAR, SETTLED),
        # one particle of eight on its way: its rms is 1/sqrt 8 of the way's
        (lambda s: HOME + 0.1 * np.eye(8)[:, [0]] * np.sin(40 * np.pi * s) * FAR, CIRCLING),
        (lambda s: HOME + 0.01 * np.eye(8)[:, [0]] * np.sin(40 * np.pi * s) * FAR, SETTLED),
        # all modes kept now and then
        (lambda s: WIDE + (np.cos(20 * np.pi * s) > 0) * (HOME - WIDE), LOST),
        # all modes only just found
        (lambda s: WIDE + late(s) * (HOME - WIDE), MOVING),
        (lambda s: HOME * (1 - 0.9 * late(s)), MOVING),
        (lambda s: WIDE + late(s) * FAR, MOVING),
        # a narrow cloud that circles the target four times within the last fifth, and one that creeps away
        (lambda s: 0 * HOME + 1.5 * np.array([np.cos(40 * np.pi * s), 0.5 * np.sin(40 * np.pi * s)]), COLLAPSED),
        (lambda s: 0 * HOME + late(s) * FAR, MOVING),
        # a narrow cloud that spreads, that has stopped to, that shrinks
        (lambda s: 1e-6 * HOME * (2 * DOUBLED) ** late(s), MOVING),
        (lambda s: 1e-6 * HOME * (0.9 * DOUBLED) ** late(s), COLLAPSED),
        (lambda s: 1e-6 * HOME * 1e-3 ** late(s), COLLAPSED),
        (lambda s: 1e-20 * HOME * (2 * DOUBLED) ** late(s), COLLAPSED),  # rounding
        # changes before the last fifth are over
        (lambda s: WIDE + min(1.0, 4 * s / 3) * FAR, LOST),
        # wobbling without an end
        (lambda s: WIDE * (1 + 0.3 * np.sin(20 * np.pi * s)), LOST),
        # away, whatever it does there
        (lambda s: HOME + 100 * s * FAR, ESCAPED),
    ],
)
def test_moving_clouds(at, expected):
    assert outcomes(moving(at), four()).tolist() == [expected]


@given(
    turns=st.floats(120, 600), phase=st.floats(0, 7), oval=st.floats(0.2, 1), shift=st.floats(-0.2, 0.2),
    above=st.floats(1.05, 60),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_steady_orbit_circles_above_the_bound_and_rests_below(turns, phase, oval, shift, above):
    """x = a cos wt, y = b sin wt: rms sqrt((a^2 + b^2)/2), whatever the sense, the phase and the place."""

    def orbit(rms):
        axes = rms * np.sqrt(2 / (1 + oval**2)) * np.array([1.0, oval])
        return lambda s: HOME + shift * FAR + axes * [np.cos(turns * s + phase), np.sin(turns * s + phase)]

    assert outcomes(moving(orbit(REST * above), 501), four()).tolist() == [CIRCLING]
    assert outcomes(moving(orbit(REST / 1.05), 501), four()).tolist() == [SETTLED]


@given(turns=st.floats(60, 300), phase=st.floats(0, 7), size=st.floats(-4, -0.7), folds=st.floats(2.2, 8))
@settings(max_examples=60, deadline=None)
def test_a_spiral_that_decays_settles_and_one_that_grows_does_not(turns, phase, size, folds):
    """``folds`` e-folds within the last fifth: the later half is e^(-folds/2) < 1/3 of the earlier, or the reverse."""

    def spiral(rate):
        turn = lambda s: np.array([np.cos(turns * s + phase), np.sin(turns * s + phase)])  # noqa: E731
        return lambda s: HOME + 10**size * np.exp(-rate * (s - (0.8 if rate > 0 else 1)) / LATE) * turn(s)

    assert outcomes(moving(spiral(folds), 501), four()).tolist() == [SETTLED]
    assert outcomes(moving(spiral(-folds), 501), four()).tolist() == [CIRCLING]


def test_motion_that_rounding_makes_is_none():
    """Single precision's rounding grows a million times from the earlier half to the later, and is no motion."""
    for size, expected in ((UNSEEN / 2, SETTLED), (UNSEEN * 4, CIRCLING)):
        at = lambda s, a=size: HOME + a * (1e-6 if s < 0.9 else 1.0) * np.sin(100 * s) * FAR  # noqa: E731
        assert outcomes(moving(at), four()).tolist() == [expected]


def test_a_cloud_that_turns_around_a_periodic_box_moves_on():
    """By a box's length per turn: its places are taken on the shortest way."""
    exp = small(Uniform(side=9, length=3.0), particles=9, discriminator={"features": 0})
    y = exp.points.coordinates
    for jump, expected in ((3.0, SETTLED), (0.3, CIRCLING)):
        x = np.stack([y + jump * (k % 2) for k in range(SAMPLES)])[None]
        assert outcomes(recorded(x), exp).tolist() == [expected], jump


def test_words_of_earlier_files_are_read():
    """By flag_meanings: every mode kept, at rest or not, was "covered" once."""
    words = "covered part_of_the_modes_lost not_settled collapsed escaped diverged"
    old = {"flag_values": np.arange(6, dtype=np.int8), "flag_meanings": words}
    found = current(xr.DataArray(np.array([0, 1, 2, 3, 4, 5, UNKNOWN], dtype=np.int8), dims="run", attrs=old))
    assert found.values.tolist() == [SETTLED, LOST, MOVING, COLLAPSED, ESCAPED, DIVERGED, UNKNOWN]
    assert found.attrs["flag_meanings"] == FLAGS["flag_meanings"] and found.dtype == np.int8
    again = current(found)
    np.testing.assert_array_equal(again, found)
    shuffled = {"flag_values": [7, 3], "flag_meanings": "circling_with_modes_kept covered"}
    assert current(xr.DataArray([3, 7], attrs=shuffled)).values.tolist() == [SETTLED, CIRCLING]
    with pytest.raises(InputError, match="flag_meanings"):
        current(xr.DataArray([0], attrs={"flag_values": [0], "flag_meanings": "fine"}))


def test_kinds_that_keep_modes_and_kinds_far_away():
    codes = np.array([*Outcome, UNKNOWN])
    assert codes[~modes_are_lost(codes)].tolist() == [SETTLED, CIRCLING, UNKNOWN]
    assert codes[have_left(codes)].tolist() == [ESCAPED, DIVERGED]


def test_small_changes_settle_and_large_ones_do_not():
    for change, expected in ((MOVED * 0.99, LOST), (MOVED * 1.01, MOVING)):
        assert outcomes(moving(lambda s, c=change: WIDE + c * late(s) * FAR), four()).tolist() == [expected]


def test_divergence_and_missing_samples():
    x = np.broadcast_to(HOME, (4, SAMPLES, 8, 2)).copy()
    x[0, 50:] = np.nan
    x[1, -1, 3, 0] = np.inf
    x[2, -3] = np.nan  # one that was lost in writing
    runs = recorded(x)
    assert outcomes(runs, four()).tolist() == [DIVERGED, DIVERGED, SETTLED, SETTLED]
    said = runs.assign(diverged_at=("run", [-1, -1, -1, 7]))
    assert outcomes(said, four()).tolist() == [DIVERGED, DIVERGED, SETTLED, DIVERGED]


def test_few_samples_show_no_drift():
    """The start and the end alone, or one sample: the end decides."""
    for samples, expected in ((1, LOST), (2, LOST), (5 * FEWEST - 9, LOST), (5 * FEWEST + 1, MOVING)):
        x = np.stack([WIDE + late(s) * FAR for s in np.linspace(0, 1, samples)] if samples > 1 else [WIDE])[None]
        assert outcomes(recorded(x), four()).tolist() == [expected], samples


def test_uneven_times():
    """Three quarters of the samples in the last fiftieth of the time: not of the run."""
    time = np.concatenate([np.linspace(0, 97, 60), np.linspace(98, 100, 180)])
    cloud = lambda t: WIDE + min(1.0, t / 70) * FAR  # noqa: E731
    assert outcomes(recorded(np.stack([cloud(t) for t in time])[None], time), four()).tolist() == [LOST]


def test_a_single_point_has_no_width_to_lose():
    exp = dirac_gan()
    length = exp.discriminator.length_scale
    assert data_radius(exp) == 0
    for x, expected in ((0.0, SETTLED), (0.9, SETTLED), (1.1, LOST), (2.9, LOST), (3.1, ESCAPED)):
        cloud = exp.points.coordinates[[0] * exp.generator.particles] + x * length
        assert outcomes(still(cloud), exp).tolist() == [expected], x
    same = small(Mixture(means=[[0.1, 0.3]] * 3, std=0.0, samples=7), particles=7)  # its mean is rounded
    assert data_radius(same) == 0
    assert outcomes(still(same.points.coordinates), same).tolist() == [SETTLED]


def test_nothing_escapes_from_a_periodic_box():
    exp = small(Uniform(side=9, length=3.0), particles=9, discriminator={"features": 0})
    y = exp.points.coordinates
    assert data_radius(exp) == pytest.approx(np.sqrt(np.mean((np.linspace(-1.5, 1.5, 100_001)) ** 2)), rel=1e-4)
    for shift in (0.0, 1e4):
        assert outcomes(still(y + 3.0 * shift), exp).tolist() == [SETTLED]
        assert outcomes(still(0.01 * y + 2.99 + 3.0 * shift), exp).tolist() == [COLLAPSED]  # across the box's edge
        assert outcomes(still(y[[0, 1, 2, 3, 3, 4, 5, 6, 7]] + 3.0 * shift), exp).tolist() == [LOST]


def test_modes_of_a_mixture_are_its_means():
    exp = small(Mixture(means=[[0.0, 0.0], [3.0, 0.0]], std=0.3, samples=8), particles=8)
    assert outcomes(still(exp.points.coordinates), exp).tolist() == [SETTLED]
    one = np.random.default_rng(0).normal([3.0, 0.0], 0.1, (8, 2))
    assert outcomes(still(one), exp).tolist() == [COLLAPSED]
    assert outcomes(still(np.vstack([one[:4], one[4:] - [1.0, 0.0]])), exp).tolist() == [LOST]


def test_weights_move_the_mean_and_the_radius():
    exp = eg.Experiment(target={"kind": "grid", "side": 2, "dimension": 1, "spacing": 2.0, "weights": [9, 1]},
                        generator={"particles": 4})  # fmt: skip
    assert data_radius(exp) == pytest.approx(0.6)  # sqrt(4 * 0.9 * 0.1), about -0.8
    for x, expected in ((-2.5, COLLAPSED), (-2.7, ESCAPED), (0.9, COLLAPSED), (1.1, ESCAPED)):
        assert outcomes(still(np.full((4, 1), x)), exp).tolist() == [expected], x


# -- drift -----------------------------------------------------------------------------------------------------------


def test_one_period_of_a_sine_is_no_drift():
    """The straight line through one full period, by SymPy: change 6/pi, rest sqrt(1/2 - 3/pi^2)."""
    t = sp.symbols("t")
    wave = sp.sin(2 * sp.pi * t)
    slope = sp.integrate(wave * (t - sp.Rational(1, 2)), (t, 0, 1)) * 12
    rest = sp.sqrt(sp.integrate((wave - slope * (t - sp.Rational(1, 2))) ** 2, (t, 0, 1)))
    assert sp.simplify(rest - sp.sqrt(sp.Rational(1, 2) - 3 / sp.pi**2)) == 0
    assert 4.3 < float(abs(slope) / rest) < 4.35 < TREND
    time = np.linspace(3, 8, 400)
    phases = np.linspace(0, 2 * np.pi, 50)[:, None]
    for periods, drifting in ((1.0, False), (1.5, False), (3.3, False), (0.2, True)):
        waves = np.sin(2 * np.pi * periods * (time - 3) / 5 + phases)
        assert drifts(time, waves).any() == drifting, periods
    assert drifts(time, waves[0:1] * 0 + np.linspace(0, 1, 400)).all()


def test_noise_is_no_drift():
    """Independent noise of any size, FEWEST samples on: called a drift in fewer than 5 % of 4,000 draws."""
    rng = np.random.default_rng(5)
    for n, most in ((FEWEST, 0.05), (10, 0.01)):
        found = drifts(np.arange(n), 3 * rng.standard_normal((4000, n)))
        assert found.mean() < most
        assert drifts(np.arange(n), np.arange(n) + 0.1 * rng.standard_normal((100, n))).all()


# -- the rule, read again --------------------------------------------------------------------------------------------


def by_hand(x, modes, mean, R, time):
    """The outcome of one run (time, particle, component), loop by loop, from the text of the rule."""
    if not np.isfinite(x[-1]).all():
        return DIVERGED
    reach = min(np.linalg.norm(a - b) for a, b in itertools.combinations(modes, 2)) / 2
    where = [k for k in range(len(time)) if time[k] >= time[-1] - (time[-1] - time[0]) / 5]
    share, width, away = [], [], []
    for k in where:
        share.append(np.mean([min(np.linalg.norm(p - q) for p in x[k]) <= reach for q in modes]))
        centre = sum(x[k]) / len(x[k])
        width.append(np.sqrt(sum(((p - centre) ** 2).sum() for p in x[k]) / len(x[k])) / R)
        away.append(np.linalg.norm(centre - mean) / R)
    if away[-1] > 3 or sum(np.linalg.norm(p - mean) > 3 * R for p in x[-1]) > len(x[-1]) / 2:
        return ESCAPED
    narrow = width[-1] < 0.2

    places = sum(x[k] for k in where) / len(where)
    apart = [np.sqrt(sum(((p - q) ** 2).sum() for p, q in zip(x[k], places, strict=True)) / len(places)) / R
             for k in where]  # fmt: skip
    early, latter = max(apart[: len(where) // 2]), max(apart[len(where) // 2 :])
    rms = np.sqrt(np.mean(np.square(apart)))
    on = (rms > 0.005 and latter >= 0.75 * early) or (rms > 1e-5 and latter > 2 * early)
    on = on and len(where) >= 6
    if not narrow and all(s == 1 for s in share):
        return CIRCLING if on else SETTLED

    def moves(values, least):
        t = np.array([time[k] for k in where])
        line = np.polyfit(t, values, 1)
        change, rest = line[0] * (t[-1] - t[0]), np.sqrt(np.mean((np.polyval(line, t) - values) ** 2))
        return len(values) >= 6 and abs(change) > least and abs(change) > 4.5 * rest

    if any(moves(v, 0.05) for v in (share, width, away)):
        return MOVING
    if narrow:
        grows = width[-1] > width[0] and moves(np.log(np.maximum(width, 1e-12)), np.log(2))
        return MOVING if grows else COLLAPSED
    return SETTLED if share[-1] == 1 and not on else LOST


def drawn(seed, runs=6, samples=61):
    """Clouds of every kind: size, place and drift at random over several orders of magnitude."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((int(rng.integers(2, 6)), 2))
    exp = small(Mixture(means=means.tolist(), std=0.0, samples=40, seed=seed), particles=6)
    home = means[rng.integers(len(means), size=(runs, 1, 6))]
    s = np.linspace(0, 1, samples)[:, None, None]
    size = 10 ** rng.uniform(-2, 0.3, (runs, 1, 1, 1))
    drift = 10 ** rng.uniform(-3, 1, (runs, 1, 1, 1)) * rng.standard_normal((runs, 1, 1, 2))
    noise = 10 ** rng.uniform(-4, -0.5, (runs, 1, 1, 1)) * rng.standard_normal((runs, samples, 6, 2))
    shrink = rng.choice([1.0, 0.1, 1e-3], (runs, 1, 1, 1))
    x = (home * rng.choice([0, 1], (runs, 1, 1, 1)) + size * rng.standard_normal((runs, 1, 6, 2))) * shrink**s
    x = x + drift * s * rng.choice([0, 1], (runs, 1, 1, 1)) + noise * shrink
    return exp, x


def test_the_rule_read_again():
    """Constructed runs against a second implementation; every outcome but the divergence occurs often."""
    found = []
    for seed in range(60):
        exp, x = drawn(seed)
        y, time = exp.points.coordinates, np.cumsum(np.random.default_rng(seed).uniform(0.2, 2.0, x.shape[1]))
        mean, R = y.mean(0), np.sqrt(((y - y.mean(0)) ** 2).sum(-1).mean())
        codes = outcomes(recorded(x, time), exp).tolist()
        late = time >= time[-1] - (time[-1] - time[0]) / 5
        assert late.sum() <= MOST  # so that all of them are looked at
        assert codes == [by_hand(row, np.array(exp.target.means), mean, R, time) for row in x], seed
        found += codes
    often = (SETTLED, CIRCLING, LOST, MOVING, COLLAPSED, ESCAPED)
    assert min(found.count(o) for o in often) >= 8, counts(np.array(found))


@given(criteria=st.lists(st.tuples(*[st.booleans()] * 7), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_every_run_has_exactly_one_outcome(criteria):
    diverged, escaped, narrow, covered, changing, kept, moving = np.array(criteria).T
    kept = kept & covered
    codes = classify(diverged, escaped, narrow, covered, changing, kept, moving)
    assert codes.shape == diverged.shape and np.isin(codes, [int(o) for o in Outcome]).all()
    assert shares(codes).sum() == pytest.approx(1) and sum(counts(codes).values()) == len(codes)
    np.testing.assert_array_equal(codes == DIVERGED, diverged)
    np.testing.assert_array_equal(codes == ESCAPED, escaped & ~diverged)
    gone = diverged | escaped
    assert not (codes == SETTLED)[gone | ~covered | narrow | moving].any() and (codes == COLLAPSED)[~narrow].sum() == 0
    assert (codes != MOVING)[~changing].all() and (codes == SETTLED)[kept & ~narrow & ~gone & ~moving].all()
    np.testing.assert_array_equal(codes == CIRCLING, kept & ~narrow & ~gone & moving)


@given(
    seed=st.integers(0, 10**6), angle=st.floats(0, 7), scale=st.floats(1e-6, 1e6), shift=st.floats(-5, 5),
    mirrored=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_rigid_motions_units_and_order_change_nothing(seed, angle, scale, shift, mirrored):
    """Lengths together times a factor, everything moved or turned, particles, runs or modes in another order."""
    exp, x = drawn(seed % 1000)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, 1 - 2 * mirrored])
    move = lambda v: scale * (v @ turn.T + shift)  # noqa: E731
    rng = np.random.default_rng(seed)
    order, particles, runs = rng.permutation(len(exp.target.means)), rng.permutation(6), rng.permutation(len(x))
    means = np.array(exp.target.means)
    points = exp.points.coordinates
    here = small(Mixture(means=means.tolist(), std=0.0, samples=40, seed=seed % 1000), particles=6)
    there = small(Mixture(means=move(means).tolist(), std=0.0, samples=40, seed=seed % 1000), particles=6)
    np.testing.assert_allclose(there.points.coordinates, move(points), atol=1e-9 * scale * (1 + abs(shift)))
    codes = outcomes(recorded(x), here)
    assert outcomes(recorded(move(x)), there).tolist() == codes.tolist()
    assert outcomes(recorded(x[runs][:, :, particles]), here).tolist() == codes[runs].tolist()
    assert len(order) == len(means)


# -- words and numbers -----------------------------------------------------------------------------------------------


def test_words():
    assert [o.word for o in Outcome] == [
        "settled", "circling with modes kept", "part of the modes lost", "not settled", "collapsed", "escaped",
        "diverged",
    ]  # fmt: skip
    assert len({o.meaning for o in Outcome}) == len(Outcome)
    codes = np.array([4, 0, 0, UNKNOWN], dtype=np.int8)
    assert tally(codes) == "2 settled, 1 escaped" and counts(codes) == {"settled": 2, "escaped": 1}
    np.testing.assert_allclose(shares(codes), [2 / 3, 0, 0, 0, 0, 1 / 3, 0])
    assert np.isnan(shares(np.array([UNKNOWN]))).all() and tally([]) == "none"


@given(steps=st.integers(1, 10**7))
@settings(max_examples=60, deadline=None)
def test_recording_interval(steps):
    """RECORDS, or up to twice as many; the last record is less than an interval from the end, at the end where one can
    be."""
    n = recording_interval(four().replace({"run.steps": steps, "run.record_every": 1}))
    assert 1 <= n <= steps and steps % n < n
    fewest, most = RECORDS
    assert (steps // n >= fewest or n == 1) and (steps // n <= 2 * most + 1 or n <= NEAR)
    assert n <= NEAR or steps > NEAR * most
    longest = max(min(steps // fewest, NEAR), steps // most, 1)
    if any(steps % m == 0 for m in range(longest // 2 + 1, longest + 1)):
        assert steps % n == 0


def test_large_clouds_are_recorded_less_often():
    """Never more than MEMORY; with fewer than FEWEST records in the last fifth drift cannot be told: the end alone."""
    for particles in (10**3, 10**4, 3 * 10**4, 10**5, 10**6):
        exp = trained(**{"generator.particles": particles, "run.steps": 6000})
        records = 6000 // recording_interval(exp)
        assert records == 1 or (records * LATE >= FEWEST and (records + 1) * record_bytes(exp) <= MEMORY)
    assert records == 1


# -- simulations -----------------------------------------------------------------------------------------------------


def trained(**changes):
    """Random starts on a ring of four points with 16 free particles."""
    exp = eg.Experiment(
        target={"kind": "ring", "modes": 4},
        generator={"particles": 16, "learning_rate": 0.02, "kernel": {"ratio": 0.0}},
        discriminator={"length_scale": 0.5, "features": 64, "learning_rate": 0.2},
        penalty={"r1": 0.3, "weight_decay": 0.01},
        run={"start": "random", "steps": 1500, "runs": 4, "seed": 1},
    )
    return exp.replace(changes)


def test_simulations_of_every_kind():
    """Every outcome in the nonlinear model, each confirmed by other numbers of the same run."""
    y = Ring(modes=4).coordinates()
    seen = set()
    for changes in (
        {},
        {"penalty.r1": 50.0},  # steps too long for the penalty
        {"generator.kernel.ratio": 1.0, "run.spread": 0.1},  # a rigid cloud
        {"generator.kernel.ratio": 0.9},
        {"generator.particles": 3},  # too few
        {"generator.particles": 6, "run.seed": 1},
    ):
        runs = eg.simulate(trained(**changes))
        x, at = runs["particles"].values, runs["diverged_at"].values
        for k, code in enumerate(runs["outcome"].values):
            seen.add(Outcome(code))
            if code == DIVERGED:
                assert at[k] > 0 and (at[k] > runs["time"][-1] or np.isnan(x[k, -1]).all())
                continue
            assert at[k] == -1
            end = x[k, -1]
            centre, apart = np.linalg.norm(end.mean(0)), np.linalg.norm(end[:, None] - y, axis=-1).min(0)
            found = (apart < np.sqrt(0.5)).sum()
            if code == ESCAPED:
                beyond = (np.linalg.norm(end, axis=-1) > 3).mean()
                assert (centre > 3 or beyond > 0.5) and found < 4
            elif code == COLLAPSED:
                assert centre < 3 and np.std(end, axis=0).max() < 0.2
            elif code in (SETTLED, CIRCLING):
                assert found == 4
                path = x[k, -len(x[k]) // 5 :]
                moved = [np.sqrt(((p - p.mean(0)) ** 2).sum(-1).mean()) for p in np.array_split(path, 2)]
                assert (code == CIRCLING and max(moved) > REST / 2) or moved[1] < max(moved[0], REST)
            elif code == LOST:
                assert found < 4 and np.std(end, axis=0).max() > 0.1
            else:
                window = x[k, -len(x[k]) // 5 :]
                places = np.linalg.norm(window.mean(1), axis=-1)
                wide = np.sqrt(window.var(1).sum(-1))
                assert np.ptp(places) > MOVED or np.ptp(wide) > MOVED
    assert seen == set(Outcome)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.10, SETTLED), (0.20, CIRCLING), (0.25, CIRCLING), (0.40, CIRCLING), (0.60, CIRCLING)]
)
def test_the_default_ring_circles_beyond_its_threshold(ratio, expected):
    """Its spread state is at rest up to a ratio of .158. A small kick keeps every mode beyond, too: a small orbit."""
    exp = eg.Experiment(penalty={"r1": 0.0, "weight_decay": 0.05}, run={"start": "kick", "kick": 0.02, "steps": 12000})
    exp = exp.replace({"generator.kernel.ratio": ratio, "run.runs": 2})
    runs = eg.simulate(exp.replace({"run.record_every": recording_interval(exp)}))
    assert runs["outcome"].values.tolist() == [expected] * 2 and not modes_are_lost(runs["outcome"]).any()


def test_a_run_that_leaves_is_no_agreement(tmp_path, in_this_process):
    """Every mode decays. Kicked by a little the cloud stays, by three radii it is lost: no stable cell."""
    exp = trained(**{"run.start": "kick", "generator.kernel.ratio": 0.9, "penalty.r1": 1.0, "run.steps": 1000})
    ds = eg.sweep(exp, ["run.kick=1e-5:3:2:log"], tmp_path / "s.zarr")
    assert (ds["predicted_rate"].values > 0).all() and (ds["status"].values == DONE).all()
    assert (ds["outcome"].values == [[SETTLED], [ESCAPED]]).all()
    missed = {u["name"]: u["reason"] for u in compare_sweep(exp, ds).unmatched}
    assert missed["run.kick=3"] == "every mode is predicted to decay, but of 4 runs 4 escaped"
    assert "escaped" not in missed.get("run.kick=1e-05", "")


def test_runs_that_left_are_named_beside_what_is_compared():
    exp = trained(**{"run.start": "kick", "run.kick": 1e-5, "penalty.r1": 10.0, "run.steps": 40, "run.record_every": 1})
    runs = eg.simulate(exp)
    assert (runs["outcome"] >= ESCAPED).all()
    named = {u["name"]: u["reason"] for u in eg.compare(exp, runs).unmatched}
    assert named["outcome"].startswith(f"of 4 runs {tally(runs['outcome'].values)}; ")
    quiet = trained(**{"run.start": "kick", "run.steps": 100})
    assert "outcome" not in {u["name"] for u in eg.compare(quiet, eg.simulate(quiet)).unmatched}


def test_no_rate_of_convergence_where_a_run_left(monkeypatch):
    """Whatever runs that escaped do far away, it is not taken for a rate."""

    def one_leaves(exp, **options):
        runs = simulate(exp, **options)
        runs["outcome"][0] = ESCAPED  # of the first strength
        return runs

    exp = trained(**{"run.steps": 100})
    monkeypatch.setattr("egan_theory.comparison.variants.simulate", one_leaves)
    swept = eg.sweep_strength(exp, "r1", [0.5, 1.0], runs=2)
    assert np.isnan(swept["rate"][0]) and swept["rate"][1] > 0
    monkeypatch.setattr(remedies_module, "simulate", one_leaves)
    given = remedies_module.Row("as given", (), {}, **remedies_module._predicted(exp))
    row = remedies_module._measured(given, exp, 2)
    assert np.isnan(row.simulated) and row.note == "predicted to decay, but of 2 runs 1 escaped"


def test_simulate_stores_what_a_file_keeps(tmp_path):
    exp = trained(**{"run.steps": 100})
    runs = eg.simulate(exp)
    np.testing.assert_array_equal(runs["outcome"], outcomes(runs))
    eg.save(runs, tmp_path / "runs.nc")
    read = eg.open_runs(tmp_path / "runs.nc")
    assert read["outcome"].attrs["flag_meanings"].split() == [o.word.replace(" ", "_") for o in Outcome]
    assert read["outcome"].attrs["flag_values"].tolist() == FLAGS["flag_values"].tolist() == [int(o) for o in Outcome]
    np.testing.assert_array_equal(read["outcome"], runs["outcome"])
    eg.save(runs.drop_vars("outcome"), tmp_path / "old.nc")  # of a version without them
    old = eg.open_runs(tmp_path / "old.nc")
    np.testing.assert_array_equal(eg.outcomes(old), runs["outcome"])
    eg.save(runs.assign(outcome=runs["outcome"] + 7), tmp_path / "bad.nc")
    with pytest.raises(InputError, match="variable outcome: must hold 0 to 6, but found"):
        eg.open_runs(tmp_path / "bad.nc")
    with pytest.raises(InputError, match="exp: must be given"):
        outcomes(recorded(HOME[None, None]))
    with pytest.raises(InputError, match="2 components, but found 3"):
        outcomes(recorded(np.zeros((1, 1, 4, 3))), exp)


def test_variants_side_by_side_have_their_own_outcomes():
    members = [trained(**{"penalty.r1": r, "run.steps": 200}) for r in (0.3, 50.0)]
    together = eg.simulate(members[0], variants=members)["outcome"].values
    assert together.tolist() == [*eg.simulate(members[0])["outcome"].values, *[DIVERGED] * 4]
