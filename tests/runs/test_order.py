"""Order parameters: values known in closed form, for the target itself and for fresh draws, and the published ones."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.script import PUBLISHED
from egan_theory.base.errors import InputError
from egan_theory.runs import order as op
from egan_theory.runs.order import arrays
from tests.builders import needs_published

EPS = np.finfo(float).eps
#: a mean over draws may be this many standard errors off
SIGMAS = 4.0
#: the published files hold these as float32
SINGLE = 1e-6
#: the published deficit has ln(p + 1e-8): 100 of them move it by up to 1e-6
PUBLISHED_DEFICIT = 1.1e-6


def cloud(x, *extra):
    return xr.DataArray(np.asarray(x, dtype=float), dims=[*extra, "particle", "component"])


def points(y):
    return xr.DataArray(np.asarray(y, dtype=float), dims=["point", "component"])


def ring(M=8):
    angle = 2 * np.pi * np.arange(M) / M
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def draws(y, N, runs, seed=0):
    return cloud(y[np.random.default_rng(seed).integers(len(y), size=(runs, N))], "run")


def agrees(values, expected):
    """The mean over runs is the expected one, to SIGMAS standard errors."""
    values = np.asarray(values)
    return abs(values.mean() - expected) <= SIGMAS * values.std(ddof=1) / np.sqrt(len(values))


def test_the_target_itself_is_best():
    y = np.random.default_rng(0).standard_normal((12, 3))
    ds = op.order_parameters(cloud(y), points(y))
    radius = np.sqrt(((y - y.mean(0)) ** 2).sum(1).mean())
    assert ds["modes_covered"] == 12 and ds["covered_share"] == 1 and ds["entropy_deficit"] == 0
    assert float(ds["spread"]) == pytest.approx(radius, rel=8 * EPS)
    ev = np.linalg.eigvalsh(np.cov(y.T))
    assert float(ds["participation_ratio"]) == pytest.approx(ev.sum() ** 2 / (ev**2).sum(), rel=64 * EPS)
    for name in ("centroid_displacement", "energy_distance", "mmd2"):
        assert abs(float(ds[name])) <= 16 * EPS
    for variable in ds.values():
        assert variable.attrs["long_name"] and variable.attrs["units"]
        assert variable.attrs["target_value"] == float(variable)


def test_fresh_draws():
    """The documented expectation of each order parameter for N particles drawn from the M points."""
    rng = np.random.default_rng(1)
    y, N, runs = rng.standard_normal((9, 2)), 15, 4000
    ds = op.order_parameters(draws(y, N, runs), points(y))
    M = len(y)
    R = float(op.spread(cloud(y)))
    pairs = np.sqrt(((y[:, None] - y) ** 2).sum(-1))
    assert agrees(ds["modes_covered"], M * (1 - (1 - 1 / M) ** N))
    assert agrees(ds["entropy_deficit"], op.expected_entropy_deficit(N, M))
    assert agrees(ds["spread"] ** 2, R**2 * (1 - 1 / N))
    assert agrees(ds["centroid_displacement"] ** 2, 1 / N)
    assert agrees(ds["energy_distance"], pairs.mean() / N)
    scale = np.median(pairs[np.triu_indices(M, 1)])
    assert agrees(ds["mmd2"], (1 - np.exp(-0.5 * (pairs / scale) ** 2).mean()) / N)
    own = float(op.mean_abs_cosine(cloud(y)))
    assert agrees(ds["mean_abs_cosine"], 1 / M + (1 - 1 / M) * own)


def test_the_radius_of_a_mode():
    """Half the smallest distance between points unless told; a particle on the rim counts."""
    y = points([[0.0], [1.0], [5.0]])
    assert [int(op.modes_covered(cloud([[v]]), y)) for v in (0.499, 0.5, 4.4, 4.6)] == [1, 2, 0, 1]
    assert [int(op.modes_covered(cloud([[v]]), y, radius=0.1)) for v in (0.09, 0.11)] == [1, 0]
    angles = np.arccos([0.91, 0.89])
    turned = [cloud([[np.cos(a), np.sin(a)]]) for a in angles]
    assert [float(op.covered_share(x, points([[3.0, 0.0]]))) for x in turned] == [1, 0]


def test_expected_deficit_of_many_particles():
    assert op.expected_entropy_deficit(100_000, 8) == pytest.approx(7 / 200_000, rel=1e-3)
    assert op.expected_entropy_deficit(1, 8) == pytest.approx(np.log(8))
    assert op.expected_entropy_deficit(5, 1) == 0


def test_participation_ratio_of_white_noise():
    """100 white-noise particles in 784 dimensions fill 88 of them."""
    n, d = 99, 784
    x = np.random.default_rng(2).standard_normal((20, n + 1, d))
    predicted = (n * d + 2) / (n + 1 + d)
    assert predicted == pytest.approx(88, abs=0.5)
    assert float(op.participation_ratio(cloud(x, "run")).mean()) == pytest.approx(predicted, rel=5e-3)


def test_collapse_and_escape():
    """A collapsed cloud has no spread; one that ran away has |cos| 1 although its shape is kept."""
    y = ring()
    one = np.tile(y[3], (20, 1))
    ds = op.order_parameters(cloud(one), points(y))
    assert ds["spread"] == 0 and np.isnan(ds["participation_ratio"]) and ds["modes_covered"] == 1
    assert float(ds["entropy_deficit"]) == pytest.approx(np.log(8)) and float(ds["mean_abs_cosine"]) == pytest.approx(1)
    assert float(ds["centroid_displacement"]) == pytest.approx(1, rel=8 * EPS)
    away = cloud(y + np.array([1e6, 0]))
    far = op.order_parameters(away, points(y))
    assert float(far["mean_abs_cosine"]) == pytest.approx(1, abs=1e-11)
    assert float(far["spread"]) == pytest.approx(1, rel=1e-9)
    assert float(far["centroid_displacement"]) == pytest.approx(1e6)
    assert float(op.energy_distance(away, points(y), normalised=True)) == pytest.approx(1, abs=1e-5)


def test_dims_broadcast_and_diverged_clouds_are_nan():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 7, 2))
    x[1, 2, 4, 0] = np.nan
    x[0, 0, 0, 1] = np.inf
    da = cloud(x, "lrD", "phi").assign_coords(lrD=[1e-4, 1e-3])
    ds = op.order_parameters(da.transpose("component", "phi", "particle", "lrD"), points(ring()))
    for name, variable in ds.items():
        assert variable.dims == ("phi", "lrD") or set(variable.dims) == {"phi", "lrD"}
        bad = np.isnan(variable.transpose("lrD", "phi").values)
        assert bad.tolist() == [[True, False, False], [False, False, True]], name
        alone = op.order_parameters(cloud(x[1, 0]), points(ring()))[name]
        assert float(variable.isel(lrD=1, phi=0)) == pytest.approx(float(alone), rel=1e-12, abs=1e-14)
    assert ds["lrD"].values.tolist() == [1e-4, 1e-3]


def test_chunks_and_high_dimensions_give_the_same(monkeypatch):
    """Cloud by cloud or side by side, in one piece or in many."""
    x = np.random.default_rng(4).standard_normal((5, 6, 3))
    whole = op.order_parameters(cloud(x, "run"), points(ring()[:, [0, 1, 1]]))
    monkeypatch.setattr(arrays, "CHUNK", 1)
    monkeypatch.setattr(arrays, "SIDE_BY_SIDE", 0)
    parts = op.order_parameters(cloud(x, "run"), points(ring()[:, [0, 1, 1]]))
    for name in whole:
        assert np.allclose(whole[name], parts[name], rtol=1e-12, atol=1e-14), name


def test_weights():
    """With two thirds of the particles on the point of weight 2/3 nothing is missing."""
    y, x = [[0.0], [1.0]], [[0.0], [0.0], [1.0]]
    w = [2, 1]
    assert float(op.entropy_deficit(cloud(x), points(y), weights=w)) == pytest.approx(0, abs=4 * EPS)
    assert float(op.entropy_deficit(cloud(x), points(y))) > 0.05
    for measure in (op.centroid_displacement, op.energy_distance, op.mmd2):
        assert float(measure(cloud(x), points(y), weights=w)) == pytest.approx(0, abs=8 * EPS)
        assert float(measure(cloud(x), points(y))) > 1e-3


@given(
    shift=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    images=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=6, max_size=6),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_periodic_box(shift, images, seed):
    """Moving everything together, or particles by whole periods, changes nothing; small clouds are as in open space."""
    L, y = 3.0, 0.3 * ring(4)
    x = 0.2 * np.random.default_rng(seed).standard_normal((6, 2)).clip(-2, 2)
    here = op.order_parameters(cloud(x), points(y), period=L)
    moved = op.order_parameters(cloud(x + shift + L * np.array(images)), points(y + np.array(shift)), period=L)
    open_space = op.order_parameters(cloud(x), points(y))
    assert set(open_space) - set(here) == {"mean_abs_cosine", "covered_share"}
    for name in here:
        assert float(moved[name]) == pytest.approx(float(here[name]), rel=1e-9, abs=1e-9), name
        assert float(open_space[name]) == pytest.approx(float(here[name]), rel=1e-9, abs=1e-9), name


@given(seed=st.integers(0, 200), scale=st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_invariants(seed, scale):
    """Bounds; rotation; and how each one scales with the unit of length."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((7, 3)), rng.standard_normal((5, 3))
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    ds = op.order_parameters(cloud(x), points(y))
    turned = op.order_parameters(cloud(scale * x @ rotation), points(scale * y @ rotation))
    for name, variable in ds.items():
        power = {"spread": 1, "energy_distance": 1}.get(name, 0)
        assert float(turned[name]) == pytest.approx(scale**power * float(variable), rel=1e-9, abs=1e-12 * scale**power)
    assert 1 <= ds["participation_ratio"] <= 3 and 0 <= ds["entropy_deficit"] <= np.log(5)
    assert ds["energy_distance"] >= 0 and 0 <= ds["mmd2"] <= 2 and 0 <= ds["mean_abs_cosine"] <= 1


X, Y = cloud(np.zeros((3, 2))), points(ring())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: op.spread(xr.DataArray(np.zeros((3, 2)))), "cloud: must have dims particle and component"),
        (lambda: op.mmd2(X, points(np.eye(4))), "cloud: must have the target's 4 components"),
        (lambda: op.mmd2(X, X), "target: must have dims point and component"),
        (lambda: op.mmd2(X, Y, length_scale=0.0), "length_scale: must be finite"),
        (lambda: op.modes_covered(X, Y, radius=-1), "radius: must be greater than 0"),
        (lambda: op.entropy_deficit(X, Y, weights=[1, 2]), "weights: must have one weight"),
        (lambda: op.entropy_deficit(X, Y, metric="l1"), "metric: must be 'euclidean' or"),
        (
            lambda: op.entropy_deficit(X, Y, metric="cosine", period=1.0),
            "metric: must be 'euclidean' in a periodic box",
        ),
        (lambda: op.entropy_deficit(X, points([[np.nan, 0]])), "target: must be finite"),
        (lambda: op.spread(cloud(np.zeros((0, 2)))), "cloud: must have at least one particle"),
        (lambda: op.spread(X.astype(complex)), "cloud: must hold real numbers"),
        (lambda: op.expected_entropy_deficit(0, 3), "particles and points: must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


@needs_published
def test_published_numbers_are_reproduced():
    """From the raw files, every order parameter published with them that is defined here, to rounding."""
    from egan_theory.papers.published import read_runs, read_target

    target = read_target(PUBLISHED / "mnist_first_100.nc")
    runs = read_runs(PUBLISHED / "raw")
    x = runs["particles"].isel(time=0)
    with xr.open_dataset(PUBLISHED / "order_parameters_half.nc", engine="h5netcdf") as ds:
        there = ds.load().sel(lrD=x["lrD"], phi=x["phi"], method="nearest")
    assert np.isfinite(there["participation_ratio"]).all() and len(x) == 14
    assert np.allclose(there["lrD"], x["lrD"], rtol=1e-12) and np.allclose(there["phi"], x["phi"], rtol=1e-12)
    radius = op.spread(target.rename(point="particle"))
    for name, value, tolerance in (
        ("diversity_deficit", op.entropy_deficit(x, target, metric="cosine"), PUBLISHED_DEFICIT),
        ("mean_abs_cos", op.mean_abs_cosine(x), SINGLE),
        ("frac_covered_cos10", op.covered_share(x, target), SINGLE),
        ("frac_covered_cos20", op.covered_share(x, target, cosine=0.20), SINGLE),
        ("rms_spread", op.spread(x), SINGLE),
        ("rel_spread", op.spread(x) / radius, SINGLE),
        ("participation_ratio", op.participation_ratio(x), SINGLE),
        ("centroid_dist_rel", op.centroid_displacement(x, target), SINGLE),
        ("energy_distance_norm", op.energy_distance(x, target, normalised=True), SINGLE),
        ("mmd2_rbf", op.mmd2(x, target), SINGLE),
    ):
        error = np.abs(value.values - there[name].values) / np.maximum(1, np.abs(there[name].values))
        assert error.max() <= tolerance, (name, error)
