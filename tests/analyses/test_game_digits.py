"""What the analysis of a GAN on digits shows, at a reduced size, and by training itself."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from itertools import islice, pairwise

from analyses import game_digits as study
from egan_theory.games.stepmap import GameMap


@pytest.mark.slow
def test_at_strong_r1_the_first_steps_of_d_are_too_large_and_training_shows_it():
    """After 30 steps at R1 = 10 the mode that overshoots turns its sign in the next real step of Adam and grows by |z|,
    up to what holding second moments neglects. Over further steps it goes on turning its sign, but stops growing: the
    multiplier is that of the checkpoint, and weights and second moments move."""
    training = study.Training(1, 64, 10.0)
    training.advance(30)
    checkpoint = training.game()
    s = checkpoint.spectrum(40, seed=1, progress=False, adjoints=False, scan=None, curvature=False)
    worst = s.modes[0]
    assert worst.kind == "step too large" and worst.modulus > 1.3 and worst.converged and worst.valid
    live = GameMap(checkpoint.players, checkpoint.optimizers, checkpoint.schedule, checkpoint.strengths, frozen=False)
    kick = np.zeros(live.n)
    for name, part in checkpoint.map.parts.items():
        kick[live.parts[name]] = 1e-7 * s.vectors[part, 0].real
    here, away = live.run(live.state), live.run(live.state + kick)
    x = kick[: sum(s.sizes)] / np.linalg.norm(kick)
    sizes = [x @ (b - a)[: len(x)] / 1e-7 for a, b in zip(islice(here, 4), islice(away, 4), strict=True)]
    assert (
        sizes[0] == pytest.approx(worst.re, abs=1.5 * worst.neglected * abs(worst.multiplier - 1)) and sizes[0] < -1.2
    )
    assert all(a * b < 0 for a, b in pairwise(sizes))
    assert abs(sizes[3]) < 0.5 * worst.modulus**4


@pytest.mark.slow
def test_the_whole_analysis_runs(tmp_path):
    ds = study.main(["--draws", "6", "--steps", "13", "--products", "24", "--output", str(tmp_path / "digits")])
    assert ds.sizes["strength"] == 3 and ds.sizes["step"] == len(study.CHECKPOINTS)
    assert np.isfinite(ds["energy_distance"]).all() and (ds["gradient"] > 0).all()
    assert (tmp_path / "digits.nc").exists() and (tmp_path / "digits.png").exists()
