"""Figures and the HTML report: what they show, and what they do when something is impossible."""

import json
import re
import warnings
from dataclasses import replace
from functools import partial

import matplotlib
import numpy as np
import pytest
import xarray as xr
from markupsafe import escape
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

import egan_theory as eg
from egan_theory.base.errors import InputError, NotLinearizable
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.predict.asymptotic import rates_over
from egan_theory.predict.learnt import Boundary
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.show import folder, page, plot, style, words
from egan_theory.show.folder import MARK
from egan_theory.show.picture import Picture, picture


def experiment(target, particles, **parts):
    parts = {"discriminator": eg.Discriminator(features=32), "run": eg.Run(steps=200, runs=3)} | parts
    return eg.Experiment(target=target, generator=eg.Generator(particles=particles), **parts)


RING = experiment(eg.Ring(modes=4), 8)
UNIFORM = experiment(eg.Uniform(side=7), 7, discriminator=eg.Discriminator(features=0, length_scale=0.1))
LINE = experiment(eg.Grid(side=3, dimension=1), 3, update=eg.Update(rule="flow"))
CUBE = experiment(eg.Grid(side=2, dimension=3), 8)
WILD = RING.replace({"penalty.r1": 60.0})

SETTINGS = dict(matplotlib.rcParams)
EXPERIMENTS = {"ring": RING, "uniform": UNIFORM, "line": LINE, "cube": CUBE, "wild": WILD}


@pytest.fixture(scope="module")
def spectra():
    return {name: eg.spectrum(exp) for name, exp in EXPERIMENTS.items()}


@pytest.fixture(scope="module")
def runs():
    return {name: eg.simulate(exp) for name, exp in EXPERIMENTS.items()}


@pytest.fixture(scope="module")
def regularizer():
    return eg.best_regularizer(RING)


def once(stage, exp, *args, cache={}, **kwargs):  # noqa: B006
    """The stage's result, kept over all tests."""
    key = (stage.__name__, exp.to_toml())
    if key not in cache:
        cache[key] = stage(exp, *args, **kwargs)
    return cache[key]


def fake_agreement(spectrum):
    """The two slowest oscillating modes; only the real part of the second is far from its prediction."""
    rows = np.flatnonzero(spectrum["eigenvalue_im"].values > 0)[:2]
    out = []
    for k, i in enumerate(rows, 1):
        re, im = (float(spectrum[f"eigenvalue_{part}"].values[i]) for part in ("re", "im"))
        size, error = abs(complex(re, im)), 0.01 * abs(complex(re, im))
        out.append(Quantity(f"s{k}.re", re, re + (k == 2) * 7.7 * error, error, size, "1/step"))
        out.append(Quantity(f"s{k}.im", im, im + error, 2 * error, size, "1/step", "a <note>"))
    return Agreement(tuple(out), ({"name": "rate", "reason": "too short"},), "fits of <fakes>", ("small kicks",))


def fake_sweep(exp, penalty, strengths, horizon=None, progress=None, **_):
    """What is left 2 % off; the last strength diverged."""
    predicted = np.array([eg.left_over(exp.replace({f"penalty.{penalty}": s}), horizon) for s in strengths])
    moving = 1.02 * predicted[:, 1]
    moving[-1] = np.nan
    unit = {"units": "1"}
    return xr.Dataset(
        {
            "moving": ("strength", moving, unit),
            "moving_stderr": ("strength", np.abs(0.05 * moving), unit),
            "left": ("strength", 1.02 * predicted[:, 0], unit),
            "predicted_moving": ("strength", predicted[:, 1], unit),
            "predicted_left": ("strength", predicted[:, 0], unit),
        },
        coords={"strength": strengths},
        attrs={"directions": 3, "horizon": horizon},
    )


def fake_rates(exp, penalty, strengths):
    """Predicted rates 2 % off; the last strength diverged."""
    rates = rates_over(exp, penalty, strengths)
    rate = 1.02 * rates
    rate[-1] = np.nan
    unit = {"units": "1/step"}
    return xr.Dataset(
        {
            "rate": ("strength", rate, unit),
            "rate_stderr": ("strength", np.abs(0.05 * rate), unit),
            "predicted_rate": ("strength", rates, unit),
        },
        coords={"strength": strengths},
        attrs={"runs": 3, "steps": 100},
    )


def fake_picture(name, alt, caption, draw, *, slider=None):
    """A picture of nothing."""
    return Picture(name, alt, caption, f"<svg><desc>{escape(alt)}</desc></svg>", (), (1.0, 1.0), frozenset())


@pytest.fixture
def fakes(monkeypatch):
    """compare and the sweep without simulations of their own, the other stages computed once per experiment."""
    for name in ("spectrum", "frequency", "best_regularizer", "simulate"):
        monkeypatch.setattr(page, name, partial(once, getattr(page, name)))
    monkeypatch.setattr(page, "compare", lambda exp, runs: fake_agreement(eg.spectrum(exp)))
    monkeypatch.setattr(page, "sweep_left", fake_sweep)
    monkeypatch.setattr(folder, "picture", fake_picture)


def check(ax, x_unit, y_unit):
    """Labelled with units, a legend with entries, drawn without a warning, the legend inside the figure."""
    assert x_unit in ax.get_xlabel() and y_unit in ax.get_ylabel()
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels and len(set(labels)) == len(labels)
    ax.figure.draw_without_rendering()
    box = ax.figure.bbox
    legend = ax.get_legend().get_window_extent()
    assert legend.x1 <= box.x1 and legend.y1 <= box.y1, "the legend leaves the figure"
    return labels


# -- figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_eigenvalues_are_all_drawn(spectra, name):
    ax = plot.eigenvalues(spectra[name])
    labels = check(ax, "Re s (1/", "Im s (1/")
    drawn = sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection))
    assert drawn == spectra[name].sizes["mode"]
    assert "boundary of stability" in labels


def test_area_grows_with_multiplicity_and_uncoupled_modes_are_hollow(spectra):
    ds = spectra["ring"].copy(deep=True)
    ds["multiplicity"][0] = 100
    ds["coupled"][-1] = 0
    scatters = [c for c in plot.eigenvalues(ds).collections if isinstance(c, PathCollection)]
    sizes = np.concatenate([c.get_sizes() for c in scatters if len(c.get_offsets())])
    assert sizes.max() > 3 * sizes.min()
    faces = {c.get_label(): len(c.get_facecolor()) for c in scatters}
    assert faces["underdamped, particles at rest"] == 0 < faces["predicted, underdamped"]


def test_measured_eigenvalues_carry_error_bars(spectra):
    agreement = fake_agreement(spectra["ring"])
    ax = plot.eigenvalues(spectra["ring"], agreement)
    (bars,) = ax.containers
    q = {q.name: q for q in agreement.quantities}
    np.testing.assert_allclose(bars.lines[0].get_xdata(), [q["s1.re"].measured, q["s2.re"].measured], rtol=1e-14)
    np.testing.assert_allclose(bars.lines[0].get_ydata(), [q["s1.im"].measured, q["s2.im"].measured], rtol=1e-14)
    half = [np.ptp(np.asarray(s)[:, 0]) / 2 for s in bars.lines[2][0].get_segments()]
    np.testing.assert_allclose(half, [q["s1.re"].stderr, q["s2.re"].stderr], rtol=1e-12)


def test_wide_real_parts_get_a_logarithmic_axis_and_narrow_ones_do_not(spectra):
    narrow = spectra["ring"].isel(mode=[0, 1])
    assert plot.eigenvalues(narrow).get_xscale() == "linear"
    wide = narrow.copy(deep=True)
    wide["eigenvalue_re"][:] = [-1e-6, -1.0]
    assert plot.eigenvalues(wide).get_xscale() == "symlog"


def test_modes_at_minus_infinity_are_counted_on_the_axis(spectra):
    ds = spectra["ring"].copy(deep=True)
    ds["eigenvalue_re"][0] = -np.inf
    assert "1 modes at minus infinity" in plot.eigenvalues(ds).get_xlabel()


def test_empty_spectrum_says_so(spectra):
    ax = plot.eigenvalues(spectra["ring"].isel(mode=slice(0)))
    assert any("no modes" in t.get_text() for t in ax.texts)


def test_dispersion_shows_each_wavenumber_once(spectra):
    ds = spectra["uniform"]
    ax = plot.dispersion(ds)
    check(ax, "1/length", "1/step")
    decay, frequency = ax.lines
    assert sorted(decay.get_xdata()) == sorted(np.unique(ds["wavenumber"].values))
    np.testing.assert_allclose(sorted(frequency.get_ydata()), np.unique(np.abs(ds["eigenvalue_im"].values)))


def test_dispersion_marks_growing_modes_and_targets_without_wavenumber(spectra):
    ds = spectra["uniform"].copy(deep=True)
    ds["eigenvalue_re"][0] = 0.01
    assert any("unstable" in label for label in check(plot.dispersion(ds), "1/length", "1/step"))
    assert any("no wavenumber" in t.get_text() for t in plot.dispersion(spectra["ring"]).texts)


@pytest.mark.parametrize(("name", "x"), [("uniform", "1/length"), ("ring", "|s| (1/step)"), ("line", "|s| (1/time)")])
def test_damping_ratio_has_the_critical_line(spectra, name, x):
    ax = plot.damping_ratio(spectra[name])
    assert any("ζ = 1" in label for label in check(ax, x, "(1)"))
    assert any(set(line.get_ydata()) == {1} for line in ax.lines)


@pytest.mark.parametrize("name", ["ring", "uniform", "line"])
def test_learning_times_have_a_curve_per_kernel_and_the_run(name):
    found = eg.frequency(EXPERIMENTS[name])
    ax = plot.frequency(found)
    labels = check(ax, "1/length", "steps" if name != "line" else "units of time")
    assert f"{found.own.kernel}, the experiment's" in labels and all(row.kernel in str(labels) for row in found.kernels)
    assert sum("π/Δ" in label for label in labels) == (found.distance is not None)
    own, *others = ax.get_lines()[: len(found.kernels)]
    assert own.get_lw() > max(line.get_lw() for line in others)
    np.testing.assert_array_equal(own.get_xdata(), found.wavenumber)
    drawn = np.isfinite(own.get_ydata())
    np.testing.assert_array_equal(own.get_ydata()[drawn], np.array(found.own.learning_time)[drawn])
    assert any(set(np.atleast_1d(line.get_ydata())) == {found.steps} for line in ax.get_lines())
    boundaries = check(ax.figure.axes[1], "kernel ratio", "kernel")
    assert "spread state unstable" in boundaries
    marks = [line.get_xdata() for line in ax.figure.axes[1].get_lines() if line.get_marker() == "|"]
    expected = [row.unstable.values for row in found.kernels if row.unstable.values]
    assert [tuple(m) for m in marks] == expected
    alone = Figure().subplots()
    assert plot.frequency(found, alone) is alone and len(alone.figure.axes) == 1


def test_boundaries_of_two_mechanisms_are_drawn_where_they_hold():
    found = eg.frequency(RING, {})
    own = replace(
        found.own, unstable=Boundary((0.3,), ("above",), False), collapsed=Boundary((0.2, 0.7), ("above", "below"))
    )
    ax = plot.frequency(replace(found, kernels=(own,))).figure.axes[1]
    bars = sorted((round(p.get_x(), 3), round(p.get_x() + p.get_width(), 3)) for p in ax.patches)
    assert bars == [(0.2, 0.7), (0.3, 1.0)] and "collapsed state attracts" in check(ax, "ratio", "kernel")
    silent = replace(own, unstable=Boundary(reason="no equilibrium"), collapsed=Boundary(at_zero=False))
    ax = plot.frequency(replace(found, kernels=(silent,))).figure.axes[1]
    assert {t.get_text() for t in ax.texts} == {"not known", "attracts at no ratio"}


def test_left_shows_advice_simulated_and_lost_points(regularizer):
    strengths = regularizer.best * np.array(page.SWEEP)
    swept = fake_sweep(RING, "r1", strengths, int(regularizer.horizon))
    ax = plot.left(regularizer, swept, present=(0.1, 0.5))
    labels = check(ax, "penalty.r1", "steps")
    assert any(f"advice: {regularizer.best:.3g}" in label for label in labels)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    (bars,) = ax.containers
    assert len(bars.lines[0].get_xdata()) == len(strengths) - 1
    lost = next(line for line in ax.lines if "diverged" in str(line.get_label()))
    np.testing.assert_allclose(lost.get_xdata(), strengths[-1:])
    curve = ax.lines[0]
    assert curve.get_ydata().min() == pytest.approx(regularizer.moving)
    edge = next(line for line in ax.lines if "edge of stability" in str(line.get_label()))
    assert edge.get_xdata()[0] == regularizer.edge >= curve.get_xdata().max()


def test_left_where_nothing_helps_or_a_range_does(regularizer):
    labels = check(plot.left(replace(regularizer, helps=False, best=0.0)), "penalty.r1", "steps")
    assert not any("advice" in label for label in labels)
    wide = replace(regularizer, low=regularizer.best / 20, high=regularizer.best)
    assert any("1 % more" in label for label in check(plot.left(wide), "penalty.r1", "steps"))


def test_rate_curve_shows_best_simulated_and_lost_points(regularizer):
    fastest = regularizer.asymptotic
    strengths = fastest.best * np.array(page.SWEEP)
    ax = plot.rate_curve(fastest, fake_rates(RING, "r1", strengths), present=(0.1, 1e-4))
    labels = check(ax, "penalty.r1", "1/step")
    assert any(f"{fastest.best:.4g}" in label for label in labels)
    assert ax.get_xscale() == "log"
    (bars,) = ax.containers
    assert len(bars.lines[0].get_xdata()) == len(strengths) - 1
    lost = next(line for line in ax.lines if "diverged" in str(line.get_label()))
    np.testing.assert_allclose(lost.get_xdata(), strengths[-1:])
    curve = ax.lines[0]
    top = np.argmax(curve.get_ydata())
    assert curve.get_xdata()[top] == fastest.best and curve.get_ydata()[top] == fastest.rate
    assert ax.get_ylim()[1] > 1.02 * fastest.rate


def test_rate_curve_without_a_sweep_and_with_best_strength_zero(regularizer):
    fastest = regularizer.asymptotic
    ax = plot.rate_curve(fastest, unit="1/time")
    check(ax, "penalty.r1", "1/time")
    curve = ax.lines[0]
    assert curve.get_ydata()[list(curve.get_xdata()).index(fastest.best)] == fastest.rate
    labels = check(plot.rate_curve(replace(fastest, best=0.0)), "penalty.r1", "rate")
    assert any("strength 0" in label for label in labels)


@pytest.mark.parametrize("name", ["ring", "line", "cube", "uniform"])
def test_cloud_magnifies_small_kicks_by_the_stated_factor(runs, name):
    ds = runs[name]
    ax = plot.cloud(ds)
    check(ax, "", "(length)")
    title = ax.get_legend().get_title().get_text().replace("\n", " ")
    factor = float(re.search(r"magnified ([\d.e+]+) times", title)[1])
    x, home = ds["particles"].values[0], ds["target"].values[ds["assignment"].values]
    if x.shape[-1] == 1:
        shown = np.array([path.vertices[:, 1] for path in ax.collections[0].get_paths()]).T
        np.testing.assert_allclose(shown, (home + factor * (x - home))[..., 0], atol=1e-12)
    else:
        start = np.stack(ax.lines[0].get_data(), axis=-1)
        np.testing.assert_allclose(start, (home + factor * (x[0] - home))[:, :2], atol=1e-12)
    assert ("first two of 3" in title) == (name == "cube")


def test_cloud_takes_times_and_stops_where_the_run_diverged(runs):
    ax = plot.cloud(runs["ring"], times=[0, 100, 200])
    assert [line.get_label() for line in ax.lines[:3]] == [
        "particles, start, step 0", "particles, step 100", "particles, end, step 200"
    ]  # fmt: skip
    title = plot.cloud(runs["wild"]).get_legend().get_title().get_text()
    assert "diverged after step" in title


def test_cloud_of_a_random_start_is_true_to_scale():
    ds = eg.simulate(RING.replace({"run.start": "random", "run.steps": 20}))
    ax = plot.cloud(ds)
    assert "magnified" not in ax.get_legend().get_title().get_text()
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), ds["particles"].values[0, 0, :, 0])
    assert "nearest" in plot.relaxation(ds).get_legend().get_title().get_text()


def test_relaxation_follows_the_centre_of_each_point(runs):
    ds = runs["ring"]
    ax = plot.relaxation(ds)
    check(ax, "steps", "length")
    assert ax.get_yscale() == "log" and len(ax.lines) == 3
    moved = ds["particles"].values[1].reshape(-1, 4, 2, 2).mean(2) - ds["target"].values
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.sqrt((moved**2).sum(-1).mean(-1)), rtol=1e-9)


def test_relaxation_draws_the_predicted_slope(runs, spectra):
    agreement = fake_agreement(spectra["ring"])
    line = plot.relaxation(runs["ring"], agreement=agreement).lines[-1]
    t, y = line.get_data()
    slope = np.diff(np.log(y))[-1] / np.diff(t)[-1]
    np.testing.assert_allclose(slope, agreement.quantities[0].predicted, rtol=1e-6)


def test_relaxation_ends_diverged_runs_with_a_mark(runs):
    ds = runs["wild"]
    assert np.all(ds["diverged_at"].values > 0)
    labels = check(plot.relaxation(ds), "steps", "length")
    assert labels == ["3 simulated runs, diverged (cross: last finite sample)"]
    cut = runs["ring"].copy(deep=True)  # a user's file: NaN without diverged_at
    cut["particles"][0, 5:] = np.nan
    cut = cut.drop_vars("diverged_at")
    labels = check(plot.relaxation(cut), "steps", "length")
    assert labels == ["1 simulated run, diverged (cross: last finite sample)", "2 simulated runs, settled"]
    bare = cut.drop_vars("outcome")
    del bare.attrs["experiment"]  # of what, nobody says
    labels = check(plot.relaxation(bare), "steps", "length")
    assert labels == ["1 simulated run, diverged (cross: last finite sample)", "2 simulated runs"]


def test_plots_use_the_given_axes_and_leave_settings_alone(spectra, runs, regularizer):
    for draw, data in (
        (plot.eigenvalues, spectra["ring"]),
        (plot.dispersion, spectra["uniform"]),
        (plot.damping_ratio, spectra["ring"]),
        (plot.left, regularizer),
        (plot.rate_curve, regularizer.asymptotic),
        (plot.cloud, runs["ring"]),
        (plot.relaxation, runs["ring"]),
    ):
        ax = Figure().subplots()
        assert draw(data, ax=ax) is ax
    assert dict(matplotlib.rcParams) == SETTINGS


def test_figures_are_written_at_the_page_resolution(spectra, tmp_path):
    ax = plot.eigenvalues(spectra["ring"])
    style.write(ax, tmp_path / "x.png")
    height, width = matplotlib.image.imread(tmp_path / "x.png").shape[:2]
    assert (width, height) == tuple(int(150 * s) for s in style.SIZE)


def test_table_marks_what_disagrees():
    def rows(*args):
        return words.agreement_table(Agreement((Quantity("q", *args),)))[0]

    assert rows(1.0, 1.2, 0.1, 1.0)["agrees"]  # 2 standard errors
    assert rows(1.0, 1.005, 1e-6, 1.0)["agrees"]  # 0.5 %
    assert not rows(1.0, 1.2, 0.01, 1.0)["agrees"]
    assert not rows(1.0, 1.2, 0.0, 1.0)["agrees"]  # no error bar, 20 %
    assert rows(1.0, 1.2, 0.0, 1.0)["z"] == "none"
    assert not rows(1.0, np.nan, np.nan, 1.0)["agrees"]


# -- page ----------------------------------------------------------------------------------------------------------


def test_page_holds_every_number_figure_and_file(fakes, monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "picture", picture)
    seen = []
    index = eg.report(RING, tmp_path / "r", progress=lambda *args: seen.append(args))
    text = index.read_text(encoding="utf-8")
    agreement = fake_agreement(eg.spectrum(RING))
    for row in words.agreement_table(agreement):
        for key in ("name", "predicted", "measured", "stderr", "z", "relative_error"):
            assert f"<td>{row[key]}</td>" in text
    assert text.count('class="off"') == 1 and text.count(">NO<") == 1  # s2.re
    assert "<b>rate</b>: too short" in text
    assert "Stable" in text and "<note>" not in text and "&lt;note&gt;" in text
    for link in re.findall(r'(?:src|href)="([^"#:]+)"', text):
        assert (index.parent / link).stat().st_size > 0
    assert len(re.findall(r'role="img".*?<desc id="[^"]+">[^<]{10,}</desc>', text)) == text.count("<svg") == 6
    assert "<img" not in text
    own = text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert "http" not in re.sub(r"<details>.*?</details>", "", own, flags=re.S)
    assert eg.Experiment.from_toml(index.parent / "experiment.toml") == RING
    assert json.loads((index.parent / "regularizer.json").read_text())["best"] > 0
    for name in ("spectrum", "frequency", "runs", "strength", "agreement"):
        with xr.open_dataset(index.parent / f"{name}.nc", engine="h5netcdf") as ds:
            assert "[target]" in ds.attrs["experiment"]
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    first = ["spectrum", "frequency", "boundaries", "regularizer", "simulate", "compare", "strength"]
    assert stages[:7] == first
    found = json.loads((index.parent / "boundaries.json").read_text())["thresholds"]
    assert [t["mechanism"] for t in found] == list(MECHANISMS)
    for t in found:  # every number and clause of the file is on the page
        assert not t["meaning"] or f">{escape(t['meaning'])}</td>" in text
        for value, side, said in zip(t["values"], t["unstable_side"], t["meanings"], strict=True):
            assert f"{side} {value:.4g}: {escape(said[side])}" in text
    assert stages[-2:] == ["figures", "write"]
    assert all(0 <= done <= total for _, done, total in seen)


def test_page_of_the_periodic_box_has_its_dispersion(fakes, tmp_path):
    text = eg.report(UNIFORM, tmp_path / "r").read_text(encoding="utf-8")
    assert 'id="fig-dispersion"' in text and "learned last" in text
    assert 'id="fig-frequency"' in text and "Learnt within the run of 200 steps: waves from k = " in text


def test_page_escapes_the_users_text(fakes, tmp_path):
    folder = tmp_path / "<script>alert(1)<" / "x&y"
    folder.mkdir(parents=True)
    np.save(folder / "points.npy", np.array([[-1.0], [0.0], [1.2]]))
    exp = experiment(eg.PointSet(path=str(folder / "points.npy")), 3)
    text = eg.report(exp, tmp_path / "r").read_text(encoding="utf-8")
    assert text.count("<script") == 1 and "&lt;script&gt;" in text and "x&amp;y" in text


def test_experiment_file_finds_its_points_from_anywhere(fakes, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", np.array([[-1.0], [0.0], [1.2]]))
    exp = experiment(eg.PointSet(path="points.npy"), 3)
    index = eg.report(exp, "r")
    monkeypatch.chdir("/")
    again = eg.Experiment.from_toml(index.parent / "experiment.toml")
    np.testing.assert_array_equal(again.points.coordinates, exp.points.coordinates)


def test_failing_stages_give_a_page_with_the_reason(fakes, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise NotLinearizable("penalty.r1", "be <gentle>")

    monkeypatch.setattr(page, "spectrum", refuse)
    monkeypatch.setattr(page, "best_regularizer", refuse)
    monkeypatch.setattr(page, "compare", refuse)
    text = eg.report(RING, tmp_path / "r").read_text(encoding="utf-8")
    assert "No linear prediction" in text and text.count("must be &lt;gentle&gt;") == 3
    assert "needs the result of: regularizer" in text
    assert "There is nothing to compare" in text
    assert 'id="fig-relaxation"' in text and 'id="fig-eigenvalues"' not in text
    assert not (tmp_path / "r" / "spectrum.nc").exists()


def test_not_linearizable_experiment_gives_a_page(tmp_path):
    crowded = experiment(eg.Ring(modes=4), 2)
    text = eg.report(crowded, tmp_path / "r").read_text(encoding="utf-8")
    assert "at least the number of target points" in text and "<svg" not in text


def test_diverging_runs_give_a_page(fakes, monkeypatch, tmp_path):
    monkeypatch.setattr(page, "compare", eg.compare)
    text = eg.report(WILD, tmp_path / "r").read_text(encoding="utf-8")
    assert "Unstable" in text and "What became of the 3 simulated runs: 3 diverged (the first at step" in text
    assert "<b>compare</b>" in text and "training is unstable" in text


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["simulate", "_page"])
def test_nothing_is_written_when_interrupted(fakes, monkeypatch, tmp_path, where, error):
    def stop(*args, **kwargs):
        raise error

    monkeypatch.setattr(page, where, stop)
    with pytest.raises(error):
        eg.report(RING, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_simulation_is_not_reported(fakes, monkeypatch, tmp_path):
    short = eg.simulate(RING.replace({"run.steps": 20})).assign_attrs(status="interrupted")
    monkeypatch.setattr(page, "simulate", lambda exp, progress: short)
    with pytest.raises(KeyboardInterrupt):
        eg.report(RING, tmp_path / "r")


def test_foreign_folder_is_refused_and_kept(fakes, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"directory: must be new, empty or a former report.*thesis\.tex"):
        eg.report(RING, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="directory: must be a folder"):
        eg.report(RING, tmp_path / "thesis.tex")


def test_former_report_is_replaced_and_what_is_not_its_own_stays(fakes, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()  # empty: taken
    index = eg.report(UNIFORM, folder)
    (folder / "dispersion.png").write_bytes(b"of the former report")
    files = json.loads((folder / MARK).read_text())["files"]
    (folder / MARK).write_text(json.dumps({"files": [*files, "dispersion.png"]}))
    (folder / "mine.txt").write_text("keep")
    before = index.read_text(encoding="utf-8")
    assert eg.report(RING, folder) == index
    assert index.read_text(encoding="utf-8") != before
    assert not (folder / "dispersion.png").exists()
    assert (folder / "mine.txt").read_text() == "keep"
    assert set(json.loads((folder / MARK).read_text())["files"]) | {MARK, "mine.txt"} == {
        p.name for p in folder.iterdir()
    }


def test_a_mark_cannot_make_a_report_delete_other_files(fakes, tmp_path):
    (tmp_path / "precious").write_text("keep")
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / MARK).write_text(json.dumps({"files": ["../precious", str(tmp_path / "precious"), 3]}))
    eg.report(RING, folder)
    assert (tmp_path / "precious").read_text() == "keep"


def test_unknown_penalty_is_bad_input(tmp_path):
    with pytest.raises(InputError):
        eg.report(RING, tmp_path / "r", penalty="r7")


def test_report_without_fakes(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "SWEEP", (0.3, 0.8, 1.0, 1.25, 3.0))
    exp = experiment(eg.Grid(side=2, dimension=1), 2).replace({"generator.learning_rate": 0.05, "penalty.r1": 0.3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = eg.report(exp, tmp_path / "r").read_text(encoding="utf-8")
    assert "Not possible" not in text and "<td>s1.re</td>" in text and "<td>left of what can move at" in text
    good, total = map(int, re.search(r"(\d+) of (\d+) compared quantities agree", text).groups())
    assert total >= 4 and good >= total - 1


@pytest.mark.slow
def test_default_report(tmp_path):
    text = eg.report(directory=tmp_path / "r").read_text(encoding="utf-8")
    assert "Not possible" not in text and "Stable" in text
