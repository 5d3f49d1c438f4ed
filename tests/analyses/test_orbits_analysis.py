"""The analysis of orbits: the ring's are those of simulations."""

import numpy as np
import pytest

from analyses import orbits


def test_a_period_is_measured_between_crossings():
    ratio = 0.3
    exp = orbits.ring().replace({orbits.RATIO: ratio})
    rms, centroid, period = orbits.settled(exp, 4000, 0.02)
    assert 0.02 < rms < 0.03 and rms < centroid < 0.05 and 60 < period < 72


@pytest.mark.slow
def test_followed_orbits_of_the_ring_are_simulated_ones(monkeypatch, tmp_path):
    monkeypatch.setattr(orbits, "RATIOS", (0.2, 0.6))
    ds = orbits.main(["--seed", "1", "--draws", "0", "--output", str(tmp_path / "orbits")])
    assert ds["ratio"].values.tolist() == [0.2, 0.6] and (tmp_path / "orbits.png").exists()
    for name in orbits.NAMES:
        assert np.all(orbits.errors(ds, "ratio", name) < orbits.AGREE)
