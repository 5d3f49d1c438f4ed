"""The transition of modes lost against the kernel ratio: what is counted, what is drawn, and that theory finds it."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import egan_theory as eg
from analyses import collapse_transition as script

LABELS = list(script.KERNELS)


def made(kept, predicted, ratios=(0.0, 0.5, 1.0), swings=(0.2, 0.3)):
    """A study of two discriminators alike: kept (draw, ratio) by simulation, predicted (draw, ratio) by theory."""
    rows, margins = [], np.array([-1.0, 1.0, np.nan])[: len(ratios)]
    for _ in LABELS:
        for row, theory, start in zip(kept, predicted, swings, strict=True):
            simulated = {"kept": np.array(row), "width": np.ones(len(row))}
            numbers = {"predicted": theory, "collapsed": margins, "swings": start, "amplitude": 0.1}
            rows.append(simulated | {name: np.array(value) for name, value in numbers.items()})
    return script.gathered(rows, 0, len(kept), ratios, 100)


def test_shares_errors_and_where_they_pass_a_level():
    ds = made([[1, 1, 0.5], [1, 0.25, 0]], [[1.0, 0.75, 0.0], [1.0, 0.25, 0.0]])
    share, error = script.keepers(ds)
    for label in LABELS:
        assert share.sel(discriminator=label).values.tolist() == [1.0, 0.5, 0.0]
        # of 2 draws 2, 1 and 0: (k + 1)/4 = 3/4, 1/2, 1/4 with sqrt(p (1 - p)/5)
        np.testing.assert_allclose(error.sel(discriminator=label), np.sqrt(np.array([3, 4, 3]) / 16 / 5))
    mean, stderr = script.mean(ds["kept"])
    np.testing.assert_allclose(mean[0], [1, 0.625, 0.25])
    np.testing.assert_allclose(stderr[0], [0, 0.375, 0.25])  # half the difference of two
    assert script.half(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.75, 0.25])) == pytest.approx(0.75)
    assert np.isnan(script.half(np.array([0.0, 1.0]), np.array([1.0, 0.6])))
    np.testing.assert_allclose(script.attracts(ds), 0.25)  # from -1 at 0 to 1 at 0.5
    assert script.attracts(ds.assign(collapsed=-ds["collapsed"].fillna(1))).isnull().all()
    away = ds.assign(collapsed=ds["collapsed"].roll(ratio=1))  # unknown at 0, then a sign that changes at 0.75
    np.testing.assert_allclose(script.attracts(away), 0.75)
    away["collapsed"][:, :, 1] = np.nan
    assert script.attracts(away).isnull().all()
    said = script.summary(ds)
    assert said[f"{LABELS[0]}, 0.75 kept, simulated"] == pytest.approx(0.25)
    assert said[f"{LABELS[0]}, mean difference"] == 0 and said[f"{LABELS[1]}, swings from"] == pytest.approx(0.25)


def test_draws_have_starts_and_features_of_their_own_and_are_the_same_for_both_discriminators():
    one, other = (script.ring(LABELS[0], 3, draw) for draw in (0, 1))
    assert one.run.seed != other.run.seed and one.discriminator.seed == one.run.seed
    rough = script.ring(LABELS[1], 3, 0)
    assert rough.run.seed == one.run.seed and rough.discriminator.kernel_object != one.discriminator.kernel_object
    sizes = [exp.discriminator.kernel_object.derivatives(np.zeros(1))[0][0] for exp in (one, rough)]
    assert sizes == pytest.approx([1, 1])
    assert rough.discriminator.length_scale == one.discriminator.length_scale and one.penalty.r1 == 0
    ratios = [exp.generator.kernel.ratio for exp in script.at_ratios(one, (0.0, 0.3))]
    assert ratios == [0.0, 0.3] and script.ring(LABELS[0], 3, 0) == one


def test_figure_shows_theory_and_simulation_of_both(tmp_path):
    ds = made([[1, 1, 0.5], [1, 0.25, 0]], [[1.0, 0.75, 0.0], [1.0, 0.25, 0.0]])
    figure = script.figure(ds)
    assert isinstance(figure, Figure)
    upper, lower = figure.axes
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert all(f"{label}: {how}" in labels for label in LABELS for how in ("theory, from the start", "simulated"))
    assert "kernel ratio" in lower.get_xlabel() and "share" in upper.get_ylabel()
    assert [list(line.get_xdata()) for line in lower.get_lines()] == 2 * [[0.2, 0.3], [0.25], [0.25, 0.25], [0.25]]
    ticks = " ".join(text.get_text() for text in lower.get_yticklabels())
    assert "spread state" in ticks and "collapsed state" in ticks
    gone = script.figure(ds.assign(collapsed=ds["collapsed"] * np.nan)).axes[1]
    assert [text.get_text() for text in gone.texts] == 2 * ["at none: it escapes"]
    curves = [line.get_ydata() for line in upper.get_lines() if line.get_label() in labels]
    assert len(curves) == 2 and all(np.array_equal(y, [1.0, 0.5, 0.0]) for y in curves)
    figure.savefig(tmp_path / "figure.png", dpi=110)
    assert 0 < (tmp_path / "figure.png").stat().st_size < 100_000


def test_a_short_study_has_both_on_the_same_axis(tmp_path):
    """At ratio 0 the cloud spreads over the ring, at 0.9 it does not, by theory and in simulation."""
    ds = script.study(7, 1, ratios=(0.0, 0.9), steps=1000, clouds=2)
    assert dict(ds.sizes) == {"discriminator": 2, "draw": 1, "ratio": 2}
    assert (ds["kept"].isel(ratio=0) == 1).all() and (ds["kept"].isel(ratio=1) < 1).all()
    np.testing.assert_allclose(ds["width"].isel(ratio=0), 1, rtol=0.05)
    assert (ds["predicted"].isel(ratio=0) == 1).all() and (ds["predicted"].isel(ratio=1) < 1).all()
    expected = [eg.collective_instability(script.ring(label, 7, 0)).value for label in LABELS]
    np.testing.assert_allclose(ds["swings"][:, 0], expected)
    eg.save(ds, tmp_path / "study.nc")
    assert xr.load_dataset(tmp_path / "study.nc", engine="h5netcdf").attrs["seed"] == 7


@pytest.mark.slow
def test_theory_finds_the_transition():
    """Draws that were not looked at: the share of the runs that keep every mode within 0.2 on average, and passing one
    half within 0.15 of the simulated ratio."""
    ratios = (0.0, 0.15, 0.3, 0.45, 0.6, 0.9)
    ds = script.study(29, 6, ratios=ratios)
    said = script.summary(ds)
    for label in LABELS:
        assert said[f"{label}, mean difference"] < 0.2
        assert said[f"{label}, 0.5 kept, predicted"] == pytest.approx(said[f"{label}, 0.5 kept, simulated"], abs=0.15)
