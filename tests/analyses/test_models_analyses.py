"""Each analysis of the small models on few draws: its numbers and its figure."""

import numpy as np
import pytest

from analyses import (
    dirac_portraits,
    isolated_points,
    packing,
    poincare_strength,
    proportions,
    remedies_claims,
    two_gaussian,
)
from tests.analyses.drawing import labelled
from tests.analyses.test_analyses import draws_figure


@pytest.mark.slow
def test_packing(tmp_path):
    ds = labelled(packing, "--seed 2 --draws 600", tmp_path)
    assert int(ds["crossed"].sum()) == 0 and int(ds["pairs"].sel(kind="all").sum()) >= 600
    assert np.all(ds["low"].sel(kind="collapse").values[:, 1] > ds["low"].sel(kind="all").values[:, 1])


@pytest.mark.slow
def test_dirac_portraits(tmp_path, monkeypatch):
    monkeypatch.setattr(dirac_portraits, "LOSSES", ("logistic",))
    ds = dirac_portraits.study(2, 1)
    assert float(ds["mismatch"].max()) <= 3e-6  # the flow's Runge-Kutta step
    draws_figure(dirac_portraits.figure(ds), tmp_path)


@pytest.mark.slow
def test_two_gaussian(tmp_path, monkeypatch):
    """Optimal intervals always succeed; with a good enough inner loop more starts do than with a bad one."""
    monkeypatch.setattr(two_gaussian, "INNER", (1, 100))
    monkeypatch.setattr(two_gaussian, "RATES", (0.1, 1.0))
    ds = labelled(two_gaussian, "--seed 2 --draws 60", tmp_path)
    assert float(ds["successes"].sel(kind="optimal")) == 60
    few = float(ds["sweep_successes"].sel(how="steps", rate=0.1, inner=1))
    many = float(ds["sweep_successes"].sel(how="steps", rate=1.0, inner=100))
    assert many > few + 3


@pytest.mark.slow
def test_poincare_strength(tmp_path):
    ds = (
        poincare_strength.estimates(2, 4)
        .merge(poincare_strength.strengths(2, 2))
        .merge(poincare_strength.orthonormal(2, 3))
    )
    ratio = ds["orthonormal_ratio"].values
    # xi_1 is known to a sampling error of 3 %, the strength to half of it and that of the largest stiffness
    np.testing.assert_allclose(
        np.median(ratio, axis=1), poincare_strength.predicted_ratio(np.array(poincare_strength.DEGREES)), rtol=0.05
    )
    median = ds["ratio"].median("draw")
    assert np.all(np.abs(median - 1) <= 0.1)
    own = ds["strength_ratio"].sel(discriminator="linear, scaled").values
    np.testing.assert_allclose(own, 1, rtol=1e-6)
    draws_figure(poincare_strength.figure(ds), tmp_path)


def test_isolated_points_formulas():
    """The statements that the analysis counts, on one hand-made pattern each: a single point too heavy stays above its
    ridge, two leave at any; local formulas and general spectrum agree on drawn cases."""
    base = {"weights": (0.7, 0.25, 0.05), "sigma": 1.0, "nu": 0.5, "mu": 1.0}
    assert isolated_points.patterns(2, 2) == [(0, 2), (1, 1), (2, 0)] and isolated_points.PARTICLES == 3
    # x = m |Delta|/nu^2: 0.11 and 0.38 for single points that are too heavy
    assert (
        isolated_points.predicted_stable(base, (2, 1, 0))
        == isolated_points.predicted_stable(base, (1, 1, 1))
        == (True, True)
    )
    assert isolated_points.predicted_stable({**base, "nu": 0.1}, (1, 1, 1)) == (False, True)
    assert not any(isolated_points.predicted_stable(base, counts)[0] for counts in ((3, 0, 0), (1, 2, 0), (0, 1, 2)))
    for i in range(2):
        case = isolated_points.draw(np.random.default_rng(i), equal=i == 0)
        exp, unit = isolated_points.paced(case, 20.0)
        assert isolated_points.general_error(exp, unit, isolated_points.all_modes(case)) <= 1e-9


@pytest.mark.slow
def test_isolated_points(tmp_path):
    ds = isolated_points.study(5, 2)
    assert bool(ds["spectrum_agrees"].all()) and ds.attrs["seen"] == ds.attrs["distinct"]
    np.testing.assert_allclose(ds["split_measured"], ds["split_predicted"], rtol=1e-3)
    np.testing.assert_array_equal(ds["split_left"] == 1, ds["split_predicted"] > 0)
    assert float(ds["ridge_share"].min()) >= isolated_points.SHARE
    kept = isolated_points.shares(ds)
    for text, (good, count) in kept.items():
        assert good == (0 if text.startswith("unstable") else count)
    draws_figure(isolated_points.figure(ds), tmp_path)


@pytest.mark.slow
def test_remedies_claims(tmp_path, monkeypatch):
    """The whole table on small draws: the verdicts that do not hang on the number of draws."""
    for name, value in (("REPEATS", 2), ("CLOUDS", 2), ("INNER", (1, 30)), ("INNER_STEPS", 300), ("FIRST_STEPS", 2000),
                        ("TIMES", np.array([0.3, 3.0])), ("RUNS", 8), ("PACKED_DRAWS", 2),
                        ("SPLIT_DRAWS", 2)):  # fmt: skip
        monkeypatch.setattr(remedies_claims, name, value)
    for name, value in (("RATIOS", (0.4,)), ("SPREADS", (0.5,)), ("DEGREES", (2,)), ("RUNS", 3)):
        monkeypatch.setattr(remedies_claims.remedies_packing, name, value)
    rows = remedies_claims.study(1, 60)
    verdicts = {row.name: row.verdict for row in rows}
    assert len(verdicts) == len(rows) == 16
    assert verdicts["an optimal discriminator converges where first-order steps fail"] != "refuted"
    assert verdicts["a likelihood term damps the generator's side"] == "confirmed"
    assert verdicts["memory of the opponent alone destabilises gradient play"] == "limited"
    assert verdicts["packing penalises collapse: a concentrated cloud splits sooner"] == "confirmed"
    assert verdicts["to first order packing only rescales the discriminator"] == "limited"
    assert set(verdicts.values()) <= set(remedies_claims.VERDICTS)
    ds = remedies_claims.table(rows)
    assert np.all(ds["low"] <= ds["value"] + 1e-12) and np.all(ds["value"] <= ds["high"] + 1e-12)
    draws_figure(remedies_claims.figure(ds), tmp_path)
    draws_figure(remedies_claims.panels(ds), tmp_path)
    told = [text.get_text() for text in remedies_claims.figure(ds).axes[0].texts]
    assert set(verdicts) <= set(told) and sum(line.startswith(tuple(remedies_claims.VERDICTS)) for line in told) >= 2


def test_verdicts_follow_from_their_statements():
    row = ("", "", "", 0.0, 0.0, 0.0)
    both = (False, True)
    found = [remedies_claims.Claim(*row, under, beyond, "", ("", "")).verdict for under in both for beyond in both]
    assert found == ["refuted", "refuted", "limited", "confirmed"]


def test_wilson():
    """Roots of (p - x)^2 = z^2 p (1 - p)/n; nothing is known without trials."""
    low, high = proportions.wilson(3, 20)
    for p in (low, high):
        assert (p - 3 / 20) ** 2 == pytest.approx(1.959963984540054**2 * p * (1 - p) / 20, rel=1e-9)
    assert proportions.wilson(0, 0) == (0.0, 1.0)
