"""The analysis of growth: real steps of torch.optim follow the multipliers where they are said to."""

import numpy as np
import pytest

pytest.importorskip("torch")

from analyses import game_growth


@pytest.mark.slow
def test_perturbations_grow_as_multipliers_say_where_they_are_valid(monkeypatch, tmp_path):
    chosen = ("momentum .8, R1 = 1, at rest", "Adam .5 / .999, R1 = .3", "Adam .5 / .999, R1 = 1, at rest")
    monkeypatch.setattr(game_growth, "SETUPS", {name: game_growth.SETUPS[name] for name in chosen})
    ds = game_growth.main(["--seed", "1", "--draws", "1", "--output", str(tmp_path / "growth")])
    off, valid, size = np.abs(game_growth.deviation(ds)), ds["valid"].values, ds["modulus"].values
    adam = np.char.startswith(ds["setup"].values.astype(str), "Adam")
    assert (tmp_path / "growth.png").exists() and (valid & adam).sum() > 5
    assert off[valid].max() < game_growth.AGREE
    # not only because all multipliers are near 1, nor because nothing is ever called invalid
    turning = valid & (size > 1.01) & (ds["angle"].values > 0.1)
    assert turning.any() and off[turning].max() < 1e-3
    assert off[~valid].max() > game_growth.AGREE
