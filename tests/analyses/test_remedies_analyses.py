"""The analyses of the remedies: each main claim on a smaller draw."""

import numpy as np
import pytest
import xarray as xr

from analyses import remedies_likelihood as likelihood
from analyses import remedies_packing, remedies_play
from analyses.script import merged, part_of


def test_packing(monkeypatch):
    """Small kicks: no more than a rescaled kernel. A collapsed cloud: packing helps, more samples more."""
    ds = remedies_packing.study(3, 2)
    effect = remedies_packing.effect(ds).values
    assert np.abs(effect[:, 0]).max() < 1e-6
    assert effect[1, -1] < effect[0, -1] < -0.03
    first = remedies_packing.first_order(5, 2)
    assert np.abs(first["simulated"] / first["predicted"] - 1).max() < remedies_packing.WITHIN
    split = remedies_packing.splitting(2, 2, degrees=(1, 2))
    assert np.abs(split["simulated"] / split["predicted"] - 1).max() < 0.01  # one step of about a hundred
    assert np.all(split["simulated"].sel(degree=2) < 0.9)
    shape = (2, 2, 2, 2, 2)  # (ratio, spread, degree, play, draw)
    random = xr.Dataset(
        {n: (("ratio", "spread", "degree", "play", "draw"), np.ones(shape)) for n in ("covered", "gone")},
        {"ratio": [0.1, 0.4], "spread": [0.1, 0.5], "degree": [2, 3], "play": ["packed", "rescaled"]},
    )
    whole = merged(first=first, box=ds, split=split, random=random)
    assert len(remedies_packing.figure(whole).axes) == 6


def test_running_average_of_a_neutral_oscillation(monkeypatch):
    free = remedies_play.neutral(1)
    assert remedies_play.exponent(free) == pytest.approx(-1, abs=0.1)
    # the last iterate goes on
    assert free["last"].values[-500:].max() > 0.5 * free["last"].values[:500].max()


def test_uniform_averages(monkeypatch):
    """Exponents on both sides of w2 = a^2/2 and 3 a^2/2; sizes fall as the predicted powers."""
    monkeypatch.setattr(remedies_play, "SCAN", (0.3, 2.0))
    powers, sizes = remedies_play.uniform_powers(1, 3, 800), remedies_play.uniform_sizes(1, 800)
    assert np.abs(powers["measured"] - powers["predicted"]).max() < 5e-3
    assert {-1.0, 1.0} == set(np.sign(powers["measured"].values[..., 0].ravel()))
    assert {-1.0, 1.0} == set(np.sign(powers["measured"].values[..., 1].ravel()))
    for which in ("last", "average"):
        late, early = (sizes[which].values[:, rows].max(1) for rows in (slice(400, 800), slice(50, 100)))
        slope = np.log(late / early) / np.log(8)
        assert np.abs(slope - sizes["power"].sel(which=which)).max() < 0.25
    grid = np.ones((6, 2, 2))
    stable = xr.Dataset(
        {n: (("combination", "damping", "time"), grid) for n in ("routh", "simulated")},
        {"combination": list("abcdef"), "damping": [0.1, 1.0], "time": [0.1, 1.0]},
    )
    time = np.geomspace(1, 400, 4000)
    free = xr.Dataset({"last": ("time", np.ones(4000)), "average": ("time", 1 / time)}, {"time": time})
    critic = xr.Dataset({n: ("steps", [0.1, 0.2]) for n in ("rate", "simulated")}, {"steps": [1.0, np.inf]})
    whole = merged(map=stable, neutral=free, critic=critic, sizes=sizes, powers=powers)
    assert len(remedies_play.figure(whole).axes) == 9


@pytest.mark.slow
def test_likelihood(monkeypatch):
    ds = likelihood.study(4, 2)
    assert np.all(ds["share"] >= likelihood.SHARE)


@pytest.mark.slow
def test_map_of_stability(monkeypatch):
    ds = remedies_play.map_of_stability(2, 3)
    sure = ds["unresolved"].values == 0  # elsewhere a mode neither decays nor grows, which the rate leaves out
    clear = sure & (np.abs(ds["rate"].values) > remedies_play.CLOSE)
    assert sure.mean() > 0.9 and np.array_equal((ds["rate"] > 0).values[sure], (ds["routh"].values > 0)[sure])
    assert np.array_equal((ds["simulated"].values > 0)[clear], (ds["routh"].values > 0)[clear])


def test_likelihood_covers_modes_within_a_window_of_weights(monkeypatch):
    """Starts in the middle of eight components: all with a wide bandwidth, none beyond the step's stability."""
    monkeypatch.setattr(likelihood, "WEIGHTS", (1.0,))
    monkeypatch.setattr(likelihood, "SPREADS", {"narrow": 0.3})
    monkeypatch.setitem(likelihood.MIXTURE, "run", likelihood.MIXTURE["run"] | {"steps": 600, "record_every": 600})
    ds = likelihood.coverage(1, 2)
    covered = ds["covered"].sel(start="narrow", weight=1.0)
    assert ds["covered_without"].mean() < 0.9
    assert (covered.sel(bandwidth=likelihood.APART / 2) == 1).all() and (
        covered.sel(bandwidth=likelihood.WIDTH) == 0
    ).all()
    assert set(likelihood.verdict(ds).values()) <= {"confirmed", "limited", "refuted", "undecided"}
    monkeypatch.setitem(likelihood.SPREADS, "as the target", 0.0)
    both = ds.sel(start=["narrow", "narrow"]).assign_coords(start=["narrow", "as the target"])
    grid = np.array([0.0, 0.5, 1.0])
    rates = xr.Dataset(
        {n: (("draw", "point"), np.ones((1, 3))) for n in ("rate", "predicted_rate")} | {"best": ("draw", [1.0])}
        | {"strength": (("draw", "point"), grid[None] + 1)}
    )  # fmt: skip
    pairs = xr.Dataset(
        {"rate": (("likelihood", "r1"), np.ones((3, 3)))}, {"likelihood": grid, "r1": grid}, {"rate_r1": 1.0}
    )
    parts = merged(rates=rates, pairs=pairs, coverage=both)
    assert part_of(parts, "coverage").identical(both) and part_of(parts, "pairs").identical(pairs)
    assert len(likelihood.figure(parts).axes) == 5  # with the scale of colours
