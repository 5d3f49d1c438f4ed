"""The analysis of the published runs, on runs drawn from the theory, and on the published ones where they are."""

import numpy as np
import pytest
import xarray as xr

from analyses import published_mnist as script
from analyses.script import PUBLISHED
from egan_theory.papers.published import CLASSES
from tests.analyses.test_analyses import draws_figure
from tests.builders import needs_published
from tests.papers.test_published import GAIN, TAU, synthetic


def test_published_mnist(tmp_path, capsys):
    """On runs drawn from the theory it beats every baseline, and comes near the best possible ranking."""
    ds = synthetic(0)
    ds.to_netcdf(tmp_path / "order.nc", engine="h5netcdf")
    cv = script.main(["--data", str(tmp_path / "order.nc"), "--draws", "20", "--output", str(tmp_path / "out")])
    for split in cv["split"].values:
        for kind in CLASSES:
            best = cv["auc"].sel(split=split, model=script.THEORY)
            rest = cv["auc"].sel(split=split).drop_sel(model=script.THEORY)
            error = float(cv["auc_stderr"].sel({"split": split, "model": script.THEORY, "class": kind}))
            assert float(best.sel({"class": kind})) > float(rest.sel({"class": kind}).max()) - 2 * error
            truth = script.auc(
                script.log_margins(ds["lrD"].values[:, None], ds["phi"].values, TAU, GAIN)[kind].ravel(),
                script.cells(ds)[kind],
            )
            assert float(best.sel({"class": kind})) == pytest.approx(truth, abs=0.02)
    assert "AUC, leave block out" in capsys.readouterr().out
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as saved:
        assert saved["auc"].shape == (2, 4, 3) and saved.attrs["draws"] == 20
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_area_under_the_curve():
    """Against its definition, with ties."""
    rng = np.random.default_rng(0)
    score, inside = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.4
    pairs = score[inside][:, None] - score[~inside]
    assert script.auc(score, inside) == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    assert np.isnan(script.auc(score, np.ones(40, dtype=bool)))


def test_logistic_finds_its_coefficients():
    """Within 4 standard errors, from the Fisher information."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4000, 2)) * [2, 0.1] + [5, 1]
    X, true = np.column_stack([np.ones(len(x)), x]), np.array([-3, 0.8, -4])
    p = 1 / (1 + np.exp(-X @ true))
    found = script.logistic(x, rng.random(len(x)) < p)
    covariance = np.linalg.inv((X * (p * (1 - p))[:, None]).T @ X)
    error = found - true
    assert error @ np.linalg.solve(covariance, error) < 4**2


def test_every_run_is_held_out_once():
    data = script.cells(synthetic(0))
    for name, fold in script.splits(data, 0).items():
        assert len(fold) == len(data["lrD"]) and len(np.unique(fold)) == (5 if name == "5-fold" else 12)


@needs_published
@pytest.mark.slow
def test_published_half(tmp_path):
    """What the figure claims: two constants rank the published classes out of sample as stated."""
    cv, fit, data = script.study(script.load(PUBLISHED / "order_parameters_half.nc"), 0, 20)
    theory, rest = cv["auc"].sel(model=script.THEORY), cv["auc"].drop_sel(model=script.THEORY).max("model")
    for split in cv["split"].values:
        assert float(theory.sel({"split": split, "class": "memorised"})) > 0.98
        assert float(theory.sel({"split": split, "class": "frozen"})) > 0.98
        assert float(theory.sel({"split": split, "class": "runaway"})) > 0.93
        for kind in ("frozen", "runaway"):
            assert float(theory.sel({"split": split, "class": kind})) > float(rest.sel({"split": split, "class": kind}))
    draws_figure(script.figure(cv), tmp_path)
    explained = [good for _, _, good in script.facts(data, fit)]
    assert explained.count(True) == 5 and explained.count(False) == 1
