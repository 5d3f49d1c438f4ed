"""The report's figures: what they show."""

import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

import egan_theory as eg
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.predict.asymptotic import rates_over
from egan_theory.predict.learnt import Boundary
from egan_theory.show import lighter, plot, style, words
from tests.show.fakes import EXPERIMENTS, RING, fake_agreement, fake_sweep

SETTINGS = dict(matplotlib.rcParams)


@pytest.fixture(scope="module")
def spectra():
    return {name: eg.spectrum(exp) for name, exp in EXPERIMENTS.items()}


@pytest.fixture(scope="module")
def runs():
    return {name: eg.simulate(exp) for name, exp in EXPERIMENTS.items()}


@pytest.fixture(scope="module")
def regularizer():
    return eg.best_regularizer(RING)


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
    strengths = regularizer.best * np.array(lighter.SWEEP)
    swept = fake_sweep(RING, "r1", strengths, int(regularizer.horizon))
    ax = plot.left(regularizer, swept, present=(0.1, 0.5))
    labels = check(ax, "R1 strength (length²)", "steps")
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
    labels = check(plot.left(replace(regularizer, helps=False, best=0.0)), "R1 strength (length²)", "steps")
    assert not any("advice" in label for label in labels)
    wide = replace(regularizer, low=regularizer.best / 20, high=regularizer.best)
    assert any("1 % more" in label for label in check(plot.left(wide), "R1 strength (length²)", "steps"))


def test_rate_curve_shows_best_simulated_and_lost_points(regularizer):
    fastest = regularizer.asymptotic
    strengths = fastest.best * np.array(lighter.SWEEP)
    ax = plot.rate_curve(fastest, fake_rates(RING, "r1", strengths), present=(0.1, 1e-4))
    labels = check(ax, "R1 strength (length²)", "1/step")
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
    check(ax, "R1 strength (length²)", "1/time")
    curve = ax.lines[0]
    assert curve.get_ydata()[list(curve.get_xdata()).index(fastest.best)] == fastest.rate
    labels = check(plot.rate_curve(replace(fastest, best=0.0)), "R1 strength (length²)", "rate")
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


def test_phase_diagram_marks_a_place_and_says_where_it_is_beyond():
    found = eg.phase(RING, "generator.kernel.ratio=0:0.9:4", "penalty.r1=0.1:10:4:log")
    ax = plot.phase(found, place=(0.3, 1.0, "here"))
    mark = next(line for line in ax.lines if line.get_label() == "here")
    assert mark.get_xydata().tolist() == [[0.3, 1.0]] and "here" in [t.get_text() for t in ax.get_legend().get_texts()]
    ax = plot.phase(found, place=(0.3, 0.0, "here"))
    mark = next(line for line in ax.lines if str(line.get_label()).startswith("here"))
    assert mark.get_xydata().tolist() == [[0.3, 0.1]]
    assert mark.get_label().replace("\n", " ") == "here; penalty.r1 = 0, below the diagram"
