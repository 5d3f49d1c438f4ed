"""Prediction against runs: simulated ones, hand-written ones, noisy ones, and ones that contradict the prediction."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.comparison.compare import compare, slowest_measured
from egan_theory.comparison.modes import observed_modes
from egan_theory.comparison.strength import SWEEP_E_FOLDS, compare_strength, kicked, sweep_strength
from egan_theory.experiment.targets import Grid, Ring, Uniform
from egan_theory.linear import eigenvalues, linearize
from egan_theory.predict.asymptotic import fastest_strength, rates_over
from egan_theory.problem.problem import Problem
from egan_theory.simulation import simulate
from tests.builders import small

#: what counts as agreement: this relative error, or this many standard errors
RELATIVE, SIGMAS = 0.01, 3.0
#: standard deviation of z over repeats: 1 if the error bars are right; a hundred values know it to some 10 %
CALIBRATED = (0.6, 1.5)


def agrees(quantity):
    return quantity.relative_error <= RELATIVE or abs(quantity.z) <= SIGMAS


def modes(table):
    return [q for q in table.quantities if q.name != "rate"]


def ring(particles=3, *, run=None, **tables):
    run = {"run.steps": 600, "run.record_every": 2, "run.runs": 3} | (run or {})
    return small(Ring(modes=3), particles=particles, **tables).replace(run)


def pair(**run):
    """Two points on a line, three modes that are well apart."""
    exp = small(
        Grid(side=2, dimension=1),
        particles=2,
        penalty={"r1": 1.0},
        discriminator={"features": 4},
        generator={"learning_rate": 0.03},
    )
    return exp.replace(
        {"run.steps": 300, "run.record_every": 2, "run.runs": 3} | {f"run.{k}": v for k, v in run.items()}
    )


@pytest.fixture(scope="module")
def pair_runs():
    return simulate(pair())


EXPERIMENTS = {
    "simultaneous": ring(6, penalty={"r1": 1.0}),
    "alternating with momentum": ring(
        penalty={"weight_decay": 0.1}, update={"rule": "alternating", "momentum_discriminator": 0.4}
    ),
    "flow, collective": ring(penalty={"r1": 1.0}, update={"rule": "flow"}, generator={"kernel": {"ratio": 0.3}}),
    "logistic": ring(penalty={"r1": 1.0}, loss="logistic"),
    "masses that do not match": ring(
        penalty={"weight_decay": 0.5}, discriminator={"features": 20}, generator={"masses": (0.3, 0.3, 0.4)}
    ),
    "box": small(
        Uniform(side=7), particles=7, penalty={"r1": 0.1}, discriminator={"features": 0, "length_scale": 0.2}
    ).replace({"run.steps": 300, "run.record_every": 1, "run.runs": 3, "update.rule": "flow"}),
    "exact kernel": ring(penalty={"r1": 0.5}, discriminator={"features": 0}),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_kicked_runs_agree(name):
    exp = EXPERIMENTS[name]
    runs = simulate(exp)
    table = compare(exp, runs)
    found = modes(table)
    assert sum(q.name.endswith("re") for q in found) >= 3 and "blind" not in table.method
    assert all(agrees(q) for q in found), [q for q in found if not agrees(q)]
    assert np.median([q.relative_error for q in found]) <= 1e-3
    assert {q.units for q in found} == {"1/time" if exp.update.rule == "flow" else "1/step"}
    # what is called predicted is an eigenvalue of the linearization
    s = eigenvalues(linearize(exp)).s
    s = s[np.isfinite(s)]
    value = {q.name: q.predicted for q in found}
    for name in (n for n in value if n.endswith("re")):
        mode = value[name] + 1j * value.get(name.replace("re", "im"), 0.0)
        assert np.abs(s - mode).min() <= 1e-7 * np.abs(s).max()


def test_five_slowest_by_default_and_others_on_demand():
    exp = EXPERIMENTS["alternating with momentum"]
    runs = simulate(exp)
    names = [q.name for q in modes(compare(exp, runs))]
    # the first is real: it has no frequency to compare
    assert names == ["s1.re", *(f"s{k}.{part}" for k in range(2, 6) for part in ("re", "im"))]
    assert [q.name for q in modes(compare(exp, runs, modes=2))] == names[:3]
    rates = [-q.predicted for q in modes(compare(exp, runs)) if q.name.endswith("re")]
    assert rates == sorted(rates)


def test_rate(pair_runs):
    table = compare(pair(), pair_runs)
    (rate,) = [q for q in table.quantities if q.name == "rate"]
    slowest = eigenvalues(linearize(pair())).slowest(coupled_only=True)
    assert rate.predicted == pytest.approx(slowest, rel=1e-12) and agrees(rate) and rate.relative_error <= RELATIVE
    short = compare(pair(), pair_runs.isel(time=slice(0, 40)))
    assert [u["name"] for u in short.unmatched if "e-folds" in u["reason"]] == ["rate"]


# -- runs made elsewhere ----------------------------------------------------------------------------------------------


def elsewhere(runs, noise, seed, names=("particles",)):
    """Positions (and what else is named) and times alone, with noise of this part of each variable's rms deviation."""
    rng = np.random.default_rng(seed)
    data = {}
    for name in names:
        v = runs[name].values
        size = np.sqrt(((v - v[:, -1:]) ** 2).mean())
        data[name] = (runs[name].dims, v + noise * size * rng.standard_normal(v.shape))
    return xr.Dataset(data, coords={"time": runs["time"].values})


def test_hand_written_runs(pair_runs):
    """Positions alone, no attrs; the velocity of D then shows only in time."""
    table = compare(pair(), elsewhere(pair_runs, 0.0, 0))
    assert [q.name for q in modes(table)] == ["s1.re", "s1.im", "s2.re", "s3.re"]
    assert all(agrees(q) for q in modes(table))
    assert max(q.relative_error for q in modes(table)) <= 1e-3
    # one run, as (time, particle, component), the axes in another order
    single = elsewhere(pair_runs, 0.0, 0).isel(run=0).transpose("component", "particle", "time")
    assert all(agrees(q) for q in modes(compare(pair(), single)))


def scores(exp, runs, noise, repeats, names):
    z = []
    for seed in range(repeats):
        table = compare(exp, elsewhere(runs, noise, seed, names))
        z.append([q.z for q in modes(table) if q.predicted != 0])
    return np.array(z)


def test_error_bars_are_calibrated():
    """1 % noise on positions, D and force: z scatters with standard deviation 1 about 0."""
    exp = pair(steps=200)
    z = scores(exp, simulate(exp), 0.01, 25, ("particles", "force", "discriminator"))
    assert z.shape[1] == 4
    assert CALIBRATED[0] <= z.std() <= CALIBRATED[1]
    assert np.abs(z).max() <= 5
    assert np.abs(z.mean(axis=0)).max() <= 5 / np.sqrt(25)


def test_error_bars_from_positions_alone_are_not_too_small():
    exp = pair(steps=200, record_every=4)
    z = scores(exp, simulate(exp), 0.01, 10, ("particles",))
    assert z.std() <= CALIBRATED[1] and np.abs(z).max() <= 4


def test_relabelled_particles_need_their_assignment(pair_runs):
    """Without a recorded assignment the particles are taken to belong to the points they end on."""
    swapped = elsewhere(pair_runs, 0.0, 0).isel(particle=[1, 0])
    assert all(agrees(q) for q in modes(compare(pair(), swapped)))


# -- predictions that are wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"penalty.r1": 1.2}, {"penalty.r1": 0.8}, {"generator.learning_rate": 0.036}, {"loss.kind": "logistic"}]
)
@pytest.mark.parametrize("noise", [None, 0.003])
def test_a_wrong_prediction_is_seen(pair_runs, wrong, noise):
    names = ("particles", "force", "discriminator")
    runs = pair_runs if noise is None else elsewhere(pair_runs, noise, 1, names)
    table = compare(pair().replace(wrong), runs)
    bad = [q for q in modes(table) if not agrees(q)]
    assert bad and max(abs(q.z) for q in bad) > 2 * SIGMAS and max(q.relative_error for q in bad) > 3 * RELATIVE
    assert all(agrees(q) for q in modes(compare(pair(), runs)))


@pytest.mark.parametrize("field", ["generator.particles", "target.side"])
def test_runs_of_another_size_are_refused(pair_runs, field):
    if field == "generator.particles":
        with pytest.raises(
            InputError, match=r"runs: dimension particle: must be generator\.particles = 4, but found 2"
        ):
            compare(pair().replace({field: 4}), pair_runs)
    else:
        with pytest.raises(InputError, match=r"runs: dimension component: must be the target's dimension 2.*found 1"):
            compare(small(Ring(modes=2), particles=2, penalty={"r1": 1.0}), pair_runs)


def test_too_few_samples(pair_runs):
    with pytest.raises(InputError, match="dimension time: must hold at least 8 samples near equilibrium"):
        compare(pair(), pair_runs.isel(time=slice(0, 5)))


def test_runs_far_from_equilibrium(pair_runs):
    far = elsewhere(pair_runs, 0.0, 0)
    far["particles"] = far["particles"] + 0.3
    with pytest.raises(NotLinearizable, match="come near the equilibrium of the experiment in at least one run"):
        compare(pair(), far)


# -- what can be seen -------------------------------------------------------------------------------------------------


def test_random_starts_that_end_on_the_data():
    """Runs that reach the data in any order are used, collapsed ones are listed with the reason. They bring along a D
    that is flat at the data but not D*, another one each, about which nothing is predicted: that is said."""
    exp = ring(
        penalty={"r1": 1.0},
        discriminator={"features": 60},
        generator={"learning_rate": 0.02},
        run={"run.steps": 3000, "run.record_every": 10, "run.runs": 10, "run.start": "random"},
    )
    runs = simulate(exp)
    offset = np.linalg.norm(runs["particles"].values[:, -1, :, None] - exp.points.coordinates, axis=-1)
    spread = [sorted(row) == [0, 1, 2] for row in offset.argmin(-1)]
    assert 0 < sum(spread) < 10
    table = compare(exp, runs)
    listed = {u["name"] for u in table.unmatched if "does not end with the target's mass on every" in u["reason"]}
    assert listed == {f"run {r}" for r in range(10) if not spread[r]}
    w = runs["weights"].values[[r for r in range(10) if spread[r]], -1]
    assert np.abs(w - w[0]).max() > 0.1 * np.abs(w).max() and np.abs(w).max() > 0
    assert any("unexplained" in u["reason"] and "another equilibrium" in u["reason"] for u in table.unmatched)


def test_invisible_modes_are_listed():
    """A symmetric pair that only breathes: modes that move both particles alike do not show."""
    exp = small(Grid(side=2, dimension=1), particles=2, penalty={"r1": 0.5}, discriminator={"features": 0}).replace(
        {"run.steps": 200, "run.record_every": 2, "run.runs": 3}
    )
    runs = simulate(exp)
    assert len(compare(exp, runs).unmatched) <= 1  # with a generic kick all of them are seen
    Y = exp.points.coordinates
    dx = (runs["particles"].values - Y)[:, :, 0] - (runs["particles"].values - Y)[:, :, 1]
    x = Y + np.stack([dx / 2, -dx / 2], axis=2)
    g = runs["force"].values
    g = np.stack([g[:, :, 0] - g[:, :, 1], g[:, :, 1] - g[:, :, 0]], axis=2) / 2
    f = np.repeat(runs["discriminator"].values.mean(-1, keepdims=True), 2, axis=-1)
    breathing = xr.Dataset(
        {
            "particles": (runs["particles"].dims, x),
            "force": (runs["force"].dims, g),
            "discriminator": (runs["discriminator"].dims, f),
        },
        coords={"time": runs["time"].values},
    )
    table = compare(exp, breathing)
    hidden = [u for u in table.unmatched if "not seen" in u["reason"]]
    assert hidden and modes(table)
    assert all(agrees(q) for q in modes(table))


def test_frequencies_beyond_nyquist():
    """Samples every n steps show Im s modulo 2 pi/n: the nearest to the prediction is meant, and said so."""
    exp = pair(steps=1200, record_every=30).replace(
        {
            "penalty.r1": 0.05,
            "discriminator.learning_rate": 0.3,
            "generator.learning_rate": 0.1,
            "update.rule": "alternating",
        }
    )
    fastest = eigenvalues(linearize(exp)).s.imag.max()
    assert fastest > np.pi / 30 > 0.5 * fastest
    table = compare(exp, simulate(exp))
    seen = {q.name: q for q in modes(table)}
    beyond = [n for n, q in seen.items() if n.endswith(".im") and q.predicted > np.pi / 30]
    assert beyond and all("multiples of 0.2094" in seen[n].note for n in beyond)
    assert all(agrees(q) for q in seen.values())


# -- best strength ----------------------------------------------------------------------------------------------------


def test_simulated_best_strength():
    exp = pair()
    best = fastest_strength(exp, "r1")
    swept = sweep_strength(exp, "r1", best.best * np.geomspace(0.4, 2.5, 9), runs=3)
    table = compare_strength(best, swept)
    # the predicted best is one of those simulated: that it is the best of them is no measurement of it
    (rate,) = table.quantities
    (left,) = table.unmatched
    assert rate.name == "best_rate" and left["name"] == "best_strength"
    neighbours = best.best * np.geomspace(0.4, 2.5, 9)[[3, 5]]
    assert "predicted strength" in left["reason"] and all(f"{s:.4g}" in left["reason"] for s in neighbours)
    other = compare_strength(dataclasses.replace(best, best=1.1 * best.best), swept)
    (strength, _) = other.quantities
    assert strength.name == "best_strength" and not other.unmatched and strength.measured == pytest.approx(best.best)
    assert rate.predicted == best.rate
    # the grid's middle is the predicted best: the measured rate there is that of theory
    assert rate.measured == pytest.approx(best.rate, rel=RELATIVE)
    np.testing.assert_allclose(swept["rate"], swept["predicted_rate"], rtol=RELATIVE)
    assert swept["rate"].attrs["units"] == "1/step" and swept["strength"].attrs["long_name"] == "penalty.r1"
    assert swept.attrs["runs"] == 3 and swept.attrs["penalty"] == "r1"


def test_rates_near_critical_damping():
    """One mode, (A + B t) exp(-s t): the norm's slope lacks that of log(A + B t), about 1/t of the window."""
    exp = small(
        Ring(modes=1), particles=1, penalty={"r1": 1.0}, generator={"learning_rate": 0.2},
        discriminator={"kernel": "linear", "features": 0, "learning_rate": 0.2}, update={"rule": "flow"},
    )  # fmt: skip
    best = fastest_strength(exp, "r1")
    swept = sweep_strength(exp, "r1", best.best * np.array([0.9, 0.99, 1.0, 1.01, 1.1]))
    np.testing.assert_allclose(swept["rate"], swept["predicted_rate"], rtol=RELATIVE)
    critical = 1 - swept["rate_slope"].values[2] / best.rate
    assert 0.5 / SWEEP_E_FOLDS < critical < 2 / SWEEP_E_FOLDS


def test_strengths_that_do_not_converge():
    """Growing runs are cut before an exact kernel has to follow them, and read as what they are."""
    exp = ring(penalty={"r1": 0.5, "weight_decay": 0.05}, discriminator={"features": 0})
    strengths = fastest_strength(exp, "consensus").best * np.array([0.5, 1.0, 1.1])
    swept = sweep_strength(exp, "consensus", strengths, runs=2, steps=300)
    predicted, rate = swept["predicted_rate"].values, swept["rate"].values
    assert predicted[2] < 0 and rate[2] == pytest.approx(predicted[2], rel=0.2)  # a slope over some e-folds
    np.testing.assert_allclose(rate[:2], predicted[:2], rtol=RELATIVE)


def test_strength_of_instance_noise_is_swept_one_by_one():
    exp = pair().replace({"penalty.r1": 0.3})
    seen = []
    swept = sweep_strength(
        exp, "instance_noise", [0.1, 0.3, 0.6], runs=2, steps=500, progress=lambda i, n: seen.append((i, n))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(swept["predicted_rate"], rates_over(exp, "instance_noise", [0.1, 0.3, 0.6]))
    alone = sweep_strength(exp, "instance_noise", [0.3], runs=2, steps=500)
    assert float(swept["rate"][1]) == float(alone["rate"][0]) and len(set(swept["rate"].values)) == 3


def written_sweep(rate):
    n = len(rate)
    return xr.Dataset(
        {"rate": ("strength", rate, {"units": "1/step"}), "rate_stderr": ("strength", [0.01] * n)},
        coords={"strength": np.arange(1.0, n + 1)},
    )


def test_sweeps_that_say_nothing():
    exp = pair()
    best = fastest_strength(exp, "r1")
    table = compare_strength(best, written_sweep([0.1, 0.2, 0.3, 0.4]))
    assert not table.quantities and "end of the sweep" in table.unmatched[-1]["reason"]
    table = compare_strength(best, written_sweep([0.1, 0.2, np.nan]))
    assert not table.quantities and [u["name"] for u in table.unmatched] == ["strength 3", "best_strength"]
    assert "fewer than three" in table.unmatched[-1]["reason"]
    for bad in ([], [-1.0], [np.inf], [[1.0]]):
        with pytest.raises(InputError, match="strengths: must be a list of finite numbers >= 0"):
            sweep_strength(exp, "r1", bad)


def test_largest_rate_of_a_sweep():
    """Inside the sweep, or next to strengths that diverge."""
    predicted = dataclasses.replace(fastest_strength(pair(), "r1"), best=2.2, rate=0.25)
    for rates in ([0.1, 0.3, 0.2, np.nan], [0.1, 0.3, np.nan, 0.05]):
        strength, rate = compare_strength(predicted, written_sweep(rates)).quantities
        assert strength.measured == pytest.approx(2.0) and strength.predicted == 2.2
        assert strength.stderr == pytest.approx(2 * np.log(3) / 4)
        assert (rate.measured, rate.stderr, rate.predicted, rate.units) == (0.3, 0.01, 0.25, "1/step")


# -- the table --------------------------------------------------------------------------------------------------------

TABLE = Agreement(
    (
        Quantity("s1.re", -0.5, -0.52, 0.01, 2.0, "1/step"),
        Quantity("s1.im", 0.0, 0.0, 0.0, 2.0, "1/step", "exact"),
        Quantity("<rate>", 1.0, float("nan"), 0.0, 1.0),
    ),
    ({"name": "mode <x>", "reason": "too fast"},),
    "by hand",
    ("one", "two"),
)


def test_quantity():
    re, im, rate = TABLE.quantities
    assert re.z == pytest.approx(-2.0) and re.relative_error == pytest.approx(0.01)
    assert im.z == 0.0 and im.relative_error == 0.0
    assert np.isnan(rate.z) and np.isnan(Quantity("x", 0.0, 1.0, 0.0, 0.0).relative_error)


def test_table_as_json():
    out = TABLE.to_dict()
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    keys = {"name", "predicted", "measured", "stderr", "z", "relative_error"}
    assert all(keys <= set(row) for row in out["quantities"])
    assert out["quantities"][2]["measured"] is None and out["unmatched"] == [{"name": "mode <x>", "reason": "too fast"}]


def test_table_as_dataset(tmp_path):
    ds = TABLE.to_dataset()
    assert ds["z"].sel(quantity="s1.re") == pytest.approx(-2.0) and np.isnan(ds["measured"].sel(quantity="<rate>"))
    assert ds.attrs["unmatched"] == "mode <x>: too fast" and ds.attrs["assumptions"] == "one; two"
    assert ds["note"].values.tolist() == ["", "exact", ""] and ds["units"].values[0] == "1/step"
    for name in ("predicted", "measured", "stderr", "z", "relative_error"):
        assert ds[name].attrs["long_name"] and ds[name].attrs["units"]
    ds.to_netcdf(tmp_path / "table.nc", engine="h5netcdf")
    empty = Agreement(()).to_dataset()
    assert empty.sizes["quantity"] == 0


def test_table_as_html():
    html = TABLE._repr_html_()
    assert "&lt;rate&gt;" in html and "<rate>" not in html and "mode &lt;x&gt;" in html


@pytest.mark.parametrize("directions", [3, 6, 12])
def test_what_is_left_has_an_error_that_holds_where_most_of_a_kick_never_moves(directions):
    """Features fewer than coordinates: of drawn directions what never moves scatters, and the difference down to 0."""
    exp = eg.Experiment(
        target=eg.Ring(modes=6), generator={"particles": 6}, packing={"degree": 2},
        discriminator={"features": 6, "length_scale": 0.5}, penalty={"r1": 0.3},
    )  # fmt: skip
    assert eg.left_over(exp, 300).frozen > 0.5
    swept = eg.sweep_left(exp, "r1", [0.1, 1.0], 300, directions=directions, seed=1)  # seed 1: 0 of three, at 1
    assert np.all(swept["moving_stderr"] > 1e-8)
    off = np.abs(swept["moving"] - swept["predicted_moving"]) / swept["moving_stderr"]
    assert np.all(off < (3 if directions == 12 else 4))
    for q in eg.compare_left(swept).quantities:
        assert q.stderr < max(q.measured, q.predicted)


def test_what_is_taken_off_for_coordinates_that_never_move_is_in_the_error():
    """On the box most directions are shared or unseen; their second order is as large as what is left."""
    exp = eg.Experiment.from_toml_string(eg.new("uniform"))
    swept = eg.sweep_left(exp, "r1", [0.134, 0.8373, 2.144], exp.run.steps, directions=24)
    off = np.abs(swept["moving"] - swept["predicted_moving"]) / swept["moving_stderr"]
    assert np.all(off < 3)
    found = eg.compare_left(swept)
    assert [q.name for q in found.quantities] == ["left of what can move at 0.134"]
    assert all("resolve" in row["reason"] for row in found.unmatched) and len(found.unmatched) == 2


def test_rates_over_a_strength_leave_zero_modes_out():
    """Play on a periodic box with a likelihood term alone: weights that nothing damps stay, the particles converge."""
    exp = eg.Experiment(
        target={"kind": "uniform", "side": 3, "length": 2.0, "dimension": 1},
        generator={"particles": 3, "learning_rate": 0.1, "kernel": {"ratio": 0.0}},
        discriminator={"length_scale": 0.4, "features": 0, "learning_rate": 1.0},
        penalty={"r1": 0.0}, update={"rule": "flow"}, run={"kick": 1e-7},
    )  # fmt: skip
    assert eg.spectrum(exp.replace({"likelihood.weight": 0.2})).attrs["zero_modes"]
    swept = sweep_strength(exp, "likelihood", [0.1, 0.2], runs=1)
    np.testing.assert_allclose(swept["rate"], swept["predicted_rate"], rtol=1e-3)


def test_predicted_exponents_keep_their_digits():
    """Of a discriminator that learns at 1e-15 per step: rates of 1e-18 beside particles that move by parts of them."""
    exp = eg.Experiment(
        target=eg.Uniform(side=9, length=4.0), generator={"particles": 9}, penalty={"r1": 0.1},
        discriminator={"features": 0, "learning_rate": 1e-15}, run={"steps": 160, "record_every": 20, "runs": 1},
    )  # fmt: skip
    s = observed_modes(Problem(exp), eg.simulate(exp)).s
    seen = s[np.abs(s) > 1e-12]
    true = eigenvalues(linearize(exp)).s
    nearest = true[np.argmin(np.abs(true - seen[:, None]), axis=1)]
    assert len(seen) == 16 and np.abs(nearest.real).max() < 1e-15
    np.testing.assert_allclose(seen.real, nearest.real, rtol=1e-6)


def slow(rate):
    exp = eg.Experiment(target=Ring(modes=4), discriminator=eg.Discriminator(features=0, learning_rate=rate))
    return kicked(exp.replace({"penalty.r1": 0.3, "generator.particles": 4}), 200, 1)


@pytest.mark.parametrize("rate, why", [(1e-15, "recorded ones are rounded"), (1e-10, "half the distance")])
def test_runs_that_change_by_rounding_alone_show_no_rate(rate, why):
    """Steps of 1e-17 and less are lost where particles are at 1: no exponent can be told from 0."""
    exp = slow(rate)
    runs = eg.simulate(exp)
    assert np.isnan(slowest_measured(exp, runs)).all()
    found = eg.compare(exp, runs)
    assert not found.quantities and why in found.unmatched[-1]["reason"]
    assert "no change beyond rounding: within 200 steps" in str(found)


def test_a_sweep_of_runs_at_rest_has_no_rates():
    swept = eg.sweep_strength(slow(1e-15), "r1", [0.1, 1.0], runs=1, steps=100)
    assert np.isnan([swept["rate"], swept["rate_slope"]]).all()
    found = compare_strength(fastest_strength(slow(1e-15), "r1"), swept)
    assert "no change of the positions beyond rounding" in found.unmatched[0]["reason"]
