"""Each analysis of the small models on few draws: its numbers and its figure."""

import numpy as np
import pytest
from test_analyses import draws_figure, load


@pytest.mark.slow
def test_packing(tmp_path):
    script = load("packing")
    ds = script.study(2, 600)
    assert int(ds["crossed"].sum()) == 0 and int(ds["pairs"].sel(kind="all").sum()) >= 600
    assert np.all(ds["low"].sel(kind="collapse").values[:, 1] > ds["low"].sel(kind="all").values[:, 1])
    draws_figure(script.figure(ds), tmp_path)


@pytest.mark.slow
def test_dirac_portraits(tmp_path, monkeypatch):
    script = load("dirac_portraits")
    monkeypatch.setattr(script, "LOSSES", ("logistic",))
    ds, shown = script.study(2, 1)
    assert float(ds["mismatch"].max()) <= 3e-6  # the flow's Runge-Kutta step
    draws_figure(script.figure(shown), tmp_path)


@pytest.mark.slow
def test_two_gaussian(tmp_path, monkeypatch):
    """Optimal intervals always succeed; with a good enough inner loop more starts do than with a bad one."""
    script = load("two_gaussian")
    monkeypatch.setattr(script, "INNER", (1, 100))
    monkeypatch.setattr(script, "RATES", (0.1, 1.0, 1.5))
    ds = script.study(2, 60)
    assert float(ds["successes"].sel(kind="optimal")) == 60
    few = float(ds["sweep_successes"].sel(how="steps", rate=0.1, inner=1))
    many = float(ds["sweep_successes"].sel(how="steps", rate=1.0, inner=100))
    assert many > few + 3
    draws_figure(script.figure(ds), tmp_path)


@pytest.mark.slow
def test_poincare_strength(tmp_path):
    script = load("poincare_strength")
    ds = script.estimates(2, 4).merge(script.strengths(2, 2))
    median = ds["ratio"].median("draw")
    assert np.all(np.abs(median - 1) <= 0.1)
    own = ds["strength_ratio"].sel(discriminator="linear, scaled").values
    np.testing.assert_allclose(own, 1, rtol=1e-6)
    draws_figure(script.figure(ds), tmp_path)
