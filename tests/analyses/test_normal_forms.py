"""The study of what becomes of the spread cloud beyond its thresholds."""

import numpy as np
import pytest

from analyses import normal_forms as script


def test_one_random_experiment(tmp_path, monkeypatch):
    """A draw that iterating decides in seconds: the sign of the coefficient, and the size within the 5 % asked for."""
    monkeypatch.setattr(script, "LEAST_GROWTH", 4e-3)
    ds = script.study(seed=4, draws=1, repeated=0)
    assert bool(ds["agrees"].all())
    small = ds["criticality"].values == "supercritical"
    known = np.where(ds["valid"], ds["error"], ds["error_orbit"])[small]
    assert np.all(np.abs(known[np.isfinite(known)]) < script.AGREE)
    ring = {"distance": [0.01, 0.02], "measured": [0.115, 0.113], "predicted": 0.1178, "correction": -2.0}
    figure = script.figure(ds.assign_attrs({f"ring_{k}": v for k, v in ring.items()}))
    figure.savefig(tmp_path / "figure.png", dpi=30)
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_ring_extrapolated_to_its_threshold():
    """The excursion of the ring's centroid within 1 % of simulations, and within 2 % of .1178; its change with the
    distance within 2 %."""
    ring = script.ring_coefficients()
    assert ring["predicted"] == pytest.approx(0.1178, rel=0.02)
    assert ring["extrapolated"] == pytest.approx(ring["predicted"], rel=0.01)
    assert ring["slope"] == pytest.approx(ring["correction"], rel=0.02)


def test_the_excursion_of_an_ellipse():
    n = np.arange(2000)
    x = np.stack([0.3 * np.cos(0.07 * n), 0.1 * np.sin(0.07 * n) + 0.01 * np.cos(0.14 * n)], axis=1) + 0.5
    assert script.excursion(x, 0.0701) == pytest.approx(0.3, rel=1e-3)


def test_closest_points():
    assert script.closest({"kind": "grid", "side": 3, "dimension": 2, "spacing": 0.7}) == pytest.approx(0.7)
