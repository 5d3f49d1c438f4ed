"""Published runs: the importer refuses what it should, the theory agrees with other routes, the fit finds itself."""

import gzip
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.models import TyperInfo

import egan_theory as eg
from analyses.script import PUBLISHED
from egan_theory.base.errors import InputError
from egan_theory.cli import app as cli
from egan_theory.linear import linearize
from egan_theory.papers.published import (
    CLASSES,
    MNIST,
    fit_published,
    load_fit,
    log_margins,
    predict_published,
    read_runs,
    read_target,
    save_fit,
    stiffness,
)
from egan_theory.papers.published import theory as th
from egan_theory.papers.published.command import app as published
from egan_theory.papers.published.fit import cells
from egan_theory.papers.published.importer import SHAPE
from tests.builders import needs_published

EPS = np.finfo(float).eps
#: estimates may be this many standard errors off
SIGMAS = 4.0
TAU, GAIN = 3e4, 0.011


def file_name(lrD=0.001, phi="0.1", T=1000, nonlin="ReLU"):
    return (
        f"new_init_T_{T}_nonlin_{nonlin}_wdecay_0.0001_lrD_{lrD}_lrQ_0.0001_alpha_0_lambda_aug_init_1.25_rho_0_"
        f"phi_{phi}_final_data.npy.gz"
    )


def npy(array, **keywords):
    buffer = io.BytesIO()
    np.save(buffer, array, **keywords)
    return buffer.getvalue()


def cloud(seed=0):
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def write(folder, name, data):
    with gzip.open(folder / name, "wb") as file:
        file.write(data)


@pytest.fixture
def command(monkeypatch):
    """The `egan` command with its group `published`."""
    groups = cli.app.registered_groups
    if not any(g.typer_instance is published for g in groups):
        monkeypatch.setattr(cli.app, "registered_groups", [*groups, TyperInfo(published)])
    return lambda *arguments: cli.main(["published", *map(str, arguments)])


# -- importing ---------------------------------------------------------------------------------------------------


def test_round_trip(tmp_path):
    """Numbers and parameters come through exactly, whatever the order in memory; the file opens as any run file."""
    clone = tmp_path / "clone"
    (clone / "more").mkdir(parents=True)
    (clone / "README.md").write_text("not data")
    write(clone, file_name(1e-3, "0.5"), npy(cloud(1)))
    write(clone / "more", file_name("1e-05", 0), npy(np.asfortranarray(cloud(2))))
    write(clone, file_name(1e-3, "0.25"), npy(cloud(3)))
    ds = read_runs(clone)
    assert ds["lrD"].values.tolist() == [1e-5, 1e-3, 1e-3] and ds["phi"].values.tolist() == [0, 0.25, 0.5]
    assert ds["T"].values.tolist() == [1000] * 3 and ds["nonlin"].values.tolist() == ["ReLU"] * 3
    expected = np.stack([cloud(s).reshape(100, 784) for s in (2, 3, 1)])[:, None]
    assert np.array_equal(ds["particles"].values, expected) and ds["particles"].dtype == np.float32
    eg.save(ds, tmp_path / "runs.nc")
    again = eg.open_runs(tmp_path / "runs.nc")
    assert np.array_equal(again["particles"], ds["particles"]) and again["phi"].values.tolist() == [0, 0.25, 0.5]
    for variable in again.variables.values():
        assert variable.attrs["long_name"] and variable.attrs["units"]
    # white noise: the participation ratio of 100 particles in 784 dimensions
    assert np.allclose(again["participation_ratio"], 88, atol=1.5)


def test_order_parameters_against_the_target(tmp_path):
    """Particles on the images are the best there is; the classes of a fit can be read off."""
    images = np.random.default_rng(5).integers(0, 256, size=(120, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "mnist.npy", images)
    target = read_target(tmp_path / "mnist.npy")
    assert target.shape == (100, 784)
    normalised = (images[:100].reshape(100, -1) / 255 - 0.1307) / 0.3081
    assert np.allclose(target, normalised, rtol=4 * EPS, atol=0)
    write(tmp_path, file_name(1e-3, 0), npy(normalised.reshape(SHAPE).astype(np.float32)))
    write(tmp_path, file_name(1e-5, 0.9), npy(cloud() + np.float32(100)))
    ds = read_runs(tmp_path, target)
    best = ds.sel(run=1)
    assert best["covered_share"] == 1 and best["entropy_deficit"] == 0 and best["modes_covered"] == 100
    assert float(best["centroid_displacement"]) < 1e-6
    classes = cells(ds)
    assert [classes[k].tolist() for k in CLASSES] == [[False, True], [True, True], [True, False]]
    np.save(tmp_path / "floats.npy", normalised.astype(np.float32))
    assert np.allclose(read_target(tmp_path / "floats.npy"), target, atol=1e-6)


def _object_array():
    return np.array([{"a": 1}], dtype=object)


BAD_FILES = {
    "be a whole gzip file": lambda: npy(cloud()),  # not compressed
    "numbers, but the error: Object arrays": lambda: gzip.compress(npy(_object_array(), allow_pickle=True)),
    "have shape (100, 28, 28), but found shape (100, 784)": lambda: gzip.compress(npy(cloud().reshape(100, 784))),
    "have shape (100, 28, 28), but found shape (99, 28, 28)": lambda: gzip.compress(npy(cloud()[:99])),
    "have shape (100, 28, 28), but found shape ()": lambda: gzip.compress(npy(np.float32(1))),
    "hold float32 numbers, but found dtype float64": lambda: gzip.compress(npy(cloud().astype(float))),
    "hold float32 numbers, but found dtype int32": lambda: gzip.compress(npy(cloud().astype(np.int32))),
    "hold finite numbers": lambda: gzip.compress(npy(np.where(np.arange(28) == 3, np.nan, cloud()).astype("f4"))),
    "hold one whole .npy array of numbers": lambda: gzip.compress(b"\x80\x04K\x01."),
    "hold one .npy array, but found more": lambda: gzip.compress(npy(cloud()) + b"\0"),
    "hold one whole .npy array of numbers, but the error: EOF": lambda: gzip.compress(npy(cloud())[:-4]),
    "be a whole gzip file, but the error": lambda: gzip.compress(npy(cloud()))[:2000],
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_bad_files_are_refused(message, tmp_path, command, capsys):
    (tmp_path / file_name()).write_bytes(BAD_FILES[message]())
    assert command("import", tmp_path, "-o", tmp_path / "runs.nc") == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"egan: {file_name()}: must ") and err.count("\n") == 1 and message in err and not out
    assert not (tmp_path / "runs.nc").exists()


def test_a_bomb_is_not_inflated(tmp_path, monkeypatch):
    """A file of a gigabyte of zeros is refused after as many bytes as two clouds have."""
    head = npy(cloud())[:128]
    (tmp_path / file_name()).write_bytes(gzip.compress(head + bytes(50_000_000), 1))
    taken, read = [], gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: taken.append(size) or read(self, size))
    with pytest.raises(InputError, match="array, but found more"):
        read_runs(tmp_path)
    assert all(0 <= size < 700_000 for size in taken) and taken


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([file_name(0.001, "0.1"), file_name("1e-3", "0.10")], "be the only file of its parameters"),
        ([file_name(0.001, 1.5)], "have lrD > 0 and 0 <= phi <= 1"),
        ([file_name("1.2.3")], "be named new_init"),
        ([file_name("1e999")], "hold finite parameters"),
        (["cloud.npy.gz"], "be named new_init"),
        ([file_name(), file_name(T=2000)], "hold runs of one training time"),
        ([], "hold published files"),
    ],
)
def test_bad_folders_are_refused(names, message, tmp_path):
    for name in names:
        write(tmp_path, name, npy(cloud()))
    with pytest.raises(InputError, match=message):
        read_runs(tmp_path)


def test_no_folder():
    for name in ("", "nowhere"):
        with pytest.raises(InputError, match="be the folder of a clone"):
            read_runs(name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((99, 784)), "hold at least 100 images"),
        (np.zeros((100, 783)), "hold at least 100 images"),
        (np.full((100, 784), 255.0), "be raw integers 0..255 or normalised floats"),
        (np.full((100, 784), np.nan), "be raw integers 0..255 or normalised floats"),
        (np.full((100, 784), 256), "hold pixels from 0 to 255"),
        (np.zeros((100, 784), dtype=complex), "hold real numbers"),
    ],
)
def test_bad_targets_are_refused(data, message, tmp_path):
    np.save(tmp_path / "t.npy", data)
    with pytest.raises(InputError, match=message):
        read_target(tmp_path / "t.npy")


class Trap:
    """Unpickling one makes the file ``path``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickled_target_is_refused(tmp_path):
    np.save(tmp_path / "t.npy", _object_array(), allow_pickle=True)
    with pytest.raises(InputError, match=r"be a readable \.npy array of numbers"):
        read_target(tmp_path / "t.npy")
    marker = tmp_path / "marker"
    (tmp_path / "t.npy").write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(InputError, match=r"be a readable \.npy array of numbers"):
        read_target(tmp_path / "t.npy")
    (tmp_path / file_name()).write_bytes(gzip.compress(npy(np.array([Trap(marker)]), allow_pickle=True)))
    with pytest.raises(InputError, match="array of numbers, but the error"):
        read_runs(tmp_path)
    assert not marker.exists()
    with pytest.raises(InputError, match=r"end in \.npy or \.nc"):
        (tmp_path / "t.csv").write_text("1")
        read_target(tmp_path / "t.csv")


# -- theory ------------------------------------------------------------------------------------------------------


@given(a=st.floats(1e-9, 1.9), w2=st.floats(1e-12, 5.0))
@settings(max_examples=200, deadline=None)
def test_growth_per_step_is_that_of_the_roots(a, w2):
    """The collective mode against numpy's roots of the same polynomial."""
    expected = np.log(np.abs(np.roots([1, -(2 - a), 1 - a + w2])).max())
    # a double root is known to sqrt(eps) only
    assert float(th.log_radius(np.array(a), np.array(w2))) == pytest.approx(expected, abs=4e-8)


def test_growth_is_exact_for_small_steps():
    """ln|z| = (w^2 - a)/2 to first order for a complex pair: no digits lost where numpy's roots lose them all."""
    assert float(th.log_radius(np.array(1e-14), np.array(3e-14))) == pytest.approx(1e-14, rel=1e-12)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.8])
def test_squared_frequency_over_damping_is_one_number(ratio):
    """With a gradient penalty alone w^2/a = eta_G (g1 - g2) b c omega/(N lam) for every relative mode."""
    exp = eg.Experiment(
        penalty={"r1": 0.4},
        generator={"kernel": {"ratio": ratio, "diagonal": 1.7}, "particles": 8, "learning_rate": 0.03},
        update={"rule": "flow"},
    )
    if ratio == 0.0:
        blocks = linearize(exp).blocks
        w2, a = np.linalg.det(blocks), -blocks[:, 0, 0]
        seen = a > 1e-9 * a.max()
        expected = 0.03 * 1.7 / 0.4 * exp.omega / 8
        assert seen.sum() >= 8 and np.allclose(w2[seen] / a[seen], expected, rtol=1e-6)
    uniform = eg.Experiment(
        target={"kind": "uniform", "side": 9, "dimension": 1, "length": 2.0},
        generator={"particles": 9, "kernel": {"ratio": ratio}, "learning_rate": 0.03},
        discriminator={"features": 0, "length_scale": 0.5},
        penalty={"r1": 0.4},
        update={"rule": "flow"},
    )
    blocks = linearize(uniform).blocks
    w2, a = np.linalg.det(blocks), -blocks[:, 0, 0]
    seen = w2 > 1e-9 * w2.max()
    values = w2[seen] / a[seen]
    assert seen.sum() >= 4 and np.allclose(values, 0.03 * (1 - ratio) / 0.4 * uniform.omega / 9, rtol=1e-6)


def test_stiffness_off_the_span_is_the_angle():
    """d^2 K/dx dy along a direction normal to both points, K of order 1 (Cho and Saul 2009), from SymPy."""
    t, s, theta, r, q = sp.symbols("t s theta r q", positive=True)
    cosine = r * q * sp.cos(theta) + s * t
    nx, ny = sp.sqrt(r**2 + t**2), sp.sqrt(q**2 + s**2)
    angle = sp.acos(cosine / (nx * ny))
    K = nx * ny * (sp.sin(angle) + (sp.pi - angle) * sp.cos(angle)) / sp.pi
    mixed = sp.diff(K, t, s)
    for values in ({theta: 0.3, r: 1.2, q: 0.7}, {theta: 1.26, r: 2.0, q: 3.0}, {theta: 2.9, r: 0.5, q: 1.0}):
        number = float(sp.limit(mixed.subs(values).subs(s, 0), t, 0))
        assert number == pytest.approx(float(1 - values[theta] / np.pi), rel=1e-10)


def test_relative_modes_learn_one_minus_the_cosine():
    """Displacements and weights of the undamped linearization, stepped by its matrix exponential."""
    from scipy.linalg import expm

    rng = np.random.default_rng(6)
    N, P, ratio = 6, 9, 0.4
    B = rng.standard_normal((N, P))
    B -= B.mean(0)  # relative motion only
    gamma = (1 - ratio) * np.eye(N) + ratio
    A = np.block([[np.zeros((N, N)), gamma @ B], [-B.T / N, np.zeros((P, P))]])
    beta, U = np.linalg.eigh(B @ B.T / N)
    start = rng.standard_normal(N)
    start -= start.mean()
    for t in (0.1, 0.7):
        now = (expm(t * A) @ np.concatenate([start, np.zeros(P)]))[:N]
        assert np.allclose(now, U @ (np.cos(np.sqrt((1 - ratio) * np.abs(beta)) * t) * (U.T @ start)), atol=1e-12)


def test_stiffness_of_images():
    """Orthogonal images are all alike: equal relative modes, so the boundary of "memorised" has a closed form."""
    N, d = 80, 1000
    images = 3.0 * np.eye(N, d)
    found = stiffness(images, noise=0.05)
    # the orthogonal images themselves fill N - 1 = 79 directions: above 54 all the way
    assert found.s_frozen == np.inf
    # H = 1/2 off the diagonal, 1 on it: relative 1/2, collective (N+1)/2
    assert found.relative_over_collective == pytest.approx(1 / (N + 1), rel=1e-12)
    assert found.mean_over_radius == pytest.approx(1 / np.sqrt(N - 1), rel=1e-12)
    # particle: l of the way from the mean to its image, plus noise (1 - l): cos = 0.9 in the mean over the noise
    grid = np.linspace(0, 1, 20001)
    along, off = 3 * (grid + (1 - grid) / N), 3 * (1 - grid) * np.sqrt(N - 1) / N
    rest = 0.05**2 * (1 - grid) ** 2 * d * (1 - 1 / N)
    cosine = along / np.sqrt(along**2 + off**2 + rest)
    learned = grid[np.argmax(cosine >= 0.9)]
    assert found.s_memorised == pytest.approx(np.arccos(1 - learned) ** 2, rel=0.01)


@given(lrD=st.floats(1e-6, 1e-2), phi=st.floats(0, 0.99), factor=st.floats(1.01, 20), step=st.floats(1e-3, 0.5))
@settings(max_examples=100, deadline=None)
def test_directions(lrD, phi, factor, step):
    """A faster critic memorises more and freezes less; a larger ratio memorises less and runs away more."""
    here = log_margins(lrD, phi, TAU, GAIN)
    later = log_margins(lrD, min(phi + step, 1.0), TAU, GAIN)
    faster = log_margins(lrD * factor, phi, TAU, GAIN)
    assert faster["frozen"] <= here["frozen"]
    if here["runaway"] < 0 and lrD * factor * TAU / th.STEPS < 4 * GAIN:  # overdamped critics settle no faster
        assert faster["memorised"] >= here["memorised"] >= later["memorised"]
        assert faster["runaway"] <= here["runaway"] and later["runaway"] >= here["runaway"] - 1e-9
    for p in th.probabilities(here).values():
        assert 0 <= p <= 1


def test_limits():
    """Rigid clouds never memorise and stay frozen; at gain (1 + 99 phi) = 1 the collective mode turns unstable."""
    rigid = log_margins(1e-3, 1.0, TAU, GAIN)
    assert rigid["memorised"] == -np.inf and rigid["frozen"] == np.inf
    critical = (1 / GAIN - 1) / 99
    below, above = (float(log_margins(1e-3, critical + e, TAU, GAIN)["runaway"]) for e in (-1e-3, 1e-3))
    start = np.log(MNIST.mean_over_radius / 0.3)
    assert below < start < above and above + below == pytest.approx(2 * start, abs=1e-3)


# -- fitting and predicting --------------------------------------------------------------------------------------


def synthetic(seed, tau=TAU, gain=GAIN, runs=None):
    """A table of order parameters whose classes are drawn from the theory itself, over the published grid."""
    rng = np.random.default_rng(seed)
    lrD = np.geomspace(1e-5, 2.6e-3, 16)
    phi = np.concatenate([[0], np.logspace(-2, -0.01, 11)])
    margins = log_margins(lrD[:, None], phi, tau, gain)
    inside = {k: rng.random(m.shape) < th.probabilities({k: m})[k] for k, m in margins.items()}
    data = {
        "frac_covered_cos10": inside["memorised"] * 1.0,
        "participation_ratio": np.where(inside["frozen"], 88.0, 20.0),
        "centroid_dist_rel": inside["runaway"] * 1.0,
    }
    if runs is not None:
        data = {k: np.where(rng.random(v.shape) < runs, v, np.nan) for k, v in data.items()}
    return xr.Dataset({k: (("lrD", "phi"), v) for k, v in data.items()}, coords={"lrD": lrD, "phi": phi})


def test_fit_finds_the_constants_within_its_errors():
    z = []
    for seed in range(8):
        fit = fit_published(synthetic(seed))
        z += [np.log(fit.time_scale / TAU) / fit.stderr_log.time_scale, np.log(fit.gain / GAIN) / fit.stderr_log.gain]
        assert fit.stderr_log.time_scale < 0.2 and fit.stderr_log.gain < 0.2
    z = np.array(z)
    # 16 unit normals: rms within 4 standard errors of 1
    assert np.all(np.abs(z) < SIGMAS) and abs((z**2).mean() - 1) < SIGMAS * np.sqrt(2 / len(z))


def test_fit_is_the_most_likely():
    """The log likelihood, written out as the sum of ln p, is the one reported, and is less all around."""
    data = cells(synthetic(5))
    fit = fit_published(synthetic(5))

    def likelihood(tau, gain):
        p = th.probabilities(log_margins(data["lrD"], data["phi"], tau, gain))
        return sum(np.log(np.where(data[k], p[k], 1 - p[k])).sum() for k in CLASSES)

    best = likelihood(fit.time_scale, fit.gain)
    assert best == pytest.approx(fit.log_likelihood, rel=1e-9)
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        shifted = likelihood(fit.time_scale * np.exp(0.02 * np.cos(angle)), fit.gain * np.exp(0.02 * np.sin(angle)))
        assert shifted < best


@pytest.mark.parametrize(("tau", "gain"), [(2e3, 0.05), (4e5, 0.02)])
def test_fit_far_from_the_published_constants(tau, gain):
    fit = fit_published(synthetic(3, tau, gain))
    assert abs(np.log(fit.time_scale / tau)) < SIGMAS * fit.stderr_log.time_scale
    assert abs(np.log(fit.gain / gain)) < SIGMAS * fit.stderr_log.gain


def test_fit_does_not_depend_on_layout():
    """A grid, its transpose, runs in any order with both names of a variable, and NaN cells left out: one fit."""
    ds = synthetic(1, runs=0.8)
    fit = fit_published(ds)
    assert fit.runs < ds["lrD"].size * ds["phi"].size
    assert fit_published(ds.transpose("phi", "lrD")).to_dict() == fit.to_dict()
    flat = ds.stack(run=("lrD", "phi")).reset_index("run")
    flat = flat.rename(frac_covered_cos10="covered_share", centroid_dist_rel="centroid_displacement")
    shuffled = flat.isel(run=np.random.default_rng(0).permutation(flat.sizes["run"]))
    again = fit_published(shuffled)
    assert again.digest == fit.digest and again.runs == fit.runs
    assert again.time_scale == pytest.approx(fit.time_scale, rel=1e-5)
    assert fit_published(synthetic(2)).digest != fit.digest


def test_fit_file_round_trip(tmp_path):
    fit = fit_published(synthetic(4))
    save_fit(fit, tmp_path / "fit.json")
    assert load_fit(tmp_path / "fit.json") == fit
    assert [p.name for p in tmp_path.iterdir()] == ["fit.json"]
    held = json.loads((tmp_path / "fit.json").read_text())
    assert set(held["constants"]) == {"time_scale", "gain"} and held["digest"] == fit.digest
    assert held["method"] and held["assumptions"] and "egan-theory" in held["versions"]
    assert f"{fit.gain:.4g}" in fit._repr_html_()


def broken(change):
    fit = fit_published_once().to_dict()
    change(fit)
    return json.dumps(fit)


def fit_published_once(cache=[]):  # noqa: B006
    if not cache:
        cache.append(fit_published(synthetic(4)))
    return cache[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda: "", "be a JSON file of 'egan published fit'"),
        (lambda: "[" * 100_000, "be a JSON file of 'egan published fit'"),
        (lambda: "[1, 2]", "be a file of 'egan published fit'"),
        (lambda: "{}", "be a file of 'egan published fit'"),
        (lambda: " " * 2_000_000, "be a fit file of at most"),
        (lambda: broken(lambda f: f.update(version=2)), "version: must be 1"),
        (lambda: broken(lambda f: f.pop("constants")), "constants: must be given"),
        (lambda: broken(lambda f: f["constants"].update(gain=-1)), "gain: must be greater than 0"),
        (lambda: broken(lambda f: f["constants"].update(gain="0.01")), "gain: must be a number"),
        (lambda: broken(lambda f: f["constants"].update(gain=None)), "gain: must be a number"),
        (lambda: broken(lambda f: f["constants"].update(time_scale=float("nan"))), "time_scale: must be finite"),
        (lambda: broken(lambda f: f["constants"].update(time_scale=True)), "time_scale: must be a number"),
        (lambda: broken(lambda f: f["counts"].update(frozen="many")), "frozen: must be a whole number"),
        (lambda: broken(lambda f: f.update(digest=3)), "digest: must be a string"),
        (lambda: broken(lambda f: f.update(runs=0)), "runs: must be greater than 0"),
    ],
)
def test_malformed_fit_files(text, message, tmp_path, command, capsys):
    (tmp_path / "fit.json").write_text(text())
    synthetic(0).to_netcdf(tmp_path / "grid.nc", engine="h5netcdf")
    assert command("predict", tmp_path / "fit.json", tmp_path / "grid.nc", "-o", tmp_path / "pred.nc") == 2
    out, err = capsys.readouterr()
    assert err.startswith("egan: ") and err.count("\n") == 1 and not out
    assert message in err.replace(str(tmp_path), "")
    assert not (tmp_path / "pred.nc").exists()


def test_predictions_depend_on_the_coordinates_alone():
    fit = fit_published_once()
    grid = synthetic(0)
    pred = predict_published(fit, grid)
    assert pred["p_frozen"].dims == ("lrD", "phi")
    bare = predict_published(fit, xr.Dataset(coords={"lrD": grid["lrD"].values, "phi": grid["phi"].values}))
    flat = predict_published(fit, grid.stack(run=("lrD", "phi")).reset_index("run"))
    for kind in CLASSES:
        p = pred[f"p_{kind}"]
        assert p.min() >= 0 and p.max() <= 1 and np.array_equal(p, bare[f"p_{kind}"])
        assert np.array_equal(p.values.ravel(), flat[f"p_{kind}"].values)
        margins = log_margins(grid["lrD"].values[:, None], grid["phi"].values, fit.time_scale, fit.gain)[kind]
        assert np.array_equal(p.values > 0.5, margins > 0)
    assert pred["lrD"].identical(pred["lrD"]) and np.array_equal(pred["phi"], grid["phi"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.drop_vars("lrD"), "hold the coordinate lrD"),
        (lambda ds: ds.assign_coords(lrD=-ds["lrD"]), "coordinate lrD: must be finite and greater than 0"),
        (lambda ds: ds.assign_coords(phi=2 * ds["phi"]), "coordinate phi: must lie between 0 and 1"),
        (lambda ds: ds.assign_coords(phi=ds["phi"].astype(str)), "coordinate phi: must hold real numbers"),
        (lambda ds: ds.isel(phi=slice(0)), "coordinate phi: must have one dimension"),
    ],
)
def test_bad_grids(change, message):
    with pytest.raises(InputError, match=message):
        predict_published(fit_published_once(), change(synthetic(0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.drop_vars("frac_covered_cos10"), r"frac_covered_cos10 \(import the runs with --target\)"),
        (lambda ds: ds.where(ds["lrD"] > 1), "hold at least one run"),
        (lambda ds: xr.zeros_like(ds), "hold runs inside and outside of a class"),
        (lambda ds: ds.expand_dims(seed=2), "order parameters over lrD and phi alone"),
        (lambda ds: ds.astype(str), "must hold real numbers"),
    ],
)
def test_bad_order_parameters(change, message):
    with pytest.raises(InputError, match=message):
        fit_published(change(synthetic(0)))


def test_commands(tmp_path, command, capsys):
    """import, fit and predict from files, as JSON and as text."""
    write(tmp_path, file_name(), npy(cloud()))
    assert command("import", tmp_path, "-o", tmp_path / "runs.nc", "--json") == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 1
    synthetic(0).to_netcdf(tmp_path / "order.nc", engine="h5netcdf")
    assert command("fit", tmp_path / "order.nc", "-o", tmp_path / "fit.json", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["constants"]["gain"] == pytest.approx(GAIN, rel=0.5)
    assert command("predict", tmp_path / "fit.json", tmp_path / "order.nc", "-o", tmp_path / "pred.nc") == 0
    assert "probability" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "pred.nc", engine="h5netcdf") as ds:
        assert {"p_memorised", "p_frozen", "p_runaway", "lrD", "phi"} <= set(ds.variables)
        assert ds.attrs["gain"] == data["constants"]["gain"]
    assert command("fit", tmp_path / "runs.nc", "-o", tmp_path / "x.json") == 2
    assert "import the runs with --target" in capsys.readouterr().err
    assert command("predict", tmp_path / "fit.json", tmp_path / "none.nc", "-o", tmp_path / "x.nc") == 2
    assert command("fit", tmp_path / "order.nc", "-o", tmp_path / "order.nc") == 2
    assert command() == 0


# -- the published data ------------------------------------------------------------------------------------------


@needs_published
def test_constants_of_the_images():
    """MNIST in the code is what the images give, and its boundaries do not hang on the noise drawn."""
    images = read_target(PUBLISHED / "mnist_first_100.nc").values
    for seed, tolerance in ((0, 1e-3), (1, 0.05)):
        found = stiffness(images, seed=seed).to_dict()
        for name, value in MNIST.to_dict().items():
            assert found[name] == pytest.approx(value, rel=tolerance), name


@needs_published
def test_published_half_is_predicted():
    """Fitted to every other row of lrD, the rows between are ranked as the analysis reports."""
    with xr.open_dataset(PUBLISHED / "order_parameters_half.nc", engine="h5netcdf") as ds:
        ds = ds.load()
    train, test = ds.isel(lrD=slice(0, None, 2)), ds.isel(lrD=slice(1, None, 2))
    fit, data = fit_published(train), cells(test)
    margins = log_margins(data["lrD"], data["phi"], fit.time_scale, fit.gain)
    for kind, least in (("memorised", 0.97), ("frozen", 0.97), ("runaway", 0.91)):
        inside, m = data[kind], margins[kind]
        rank = (m[inside][:, None] > m[~inside]).mean() + 0.5 * (m[inside][:, None] == m[~inside]).mean()
        assert rank > least, (kind, rank)
        assert ((m > 0) == inside).mean() > 0.9, kind
