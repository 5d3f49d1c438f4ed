"""What scripts of analyses/ share: files, redrawing, and what a figure's file says of its making."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from analyses.script import LIMIT, facts, made, options, png, sheet


def figure(ds):
    fig, ax = sheet()
    ax.plot(ds["x"], "o-")
    return fig


def test_a_study_is_computed_once_and_drawn_again(tmp_path):
    parser = options("some", draws=3)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args(["--steps", "7", "--output", str(tmp_path / "a" / "one"), "--seed=2"])
    ds = made(args, lambda: xr.Dataset({"x": ("t", [1.0, 2.0, 4.0])}), figure)
    assert ds.attrs["seed"] == 2 and ds.attrs["draws"] == 3 and ds.attrs["cpu_seconds"] >= 0
    assert ds.attrs["command"] == "python -m analyses.some --seed 2 --draws 3 --steps 7"
    again = parser.parse_args(["--from", str(tmp_path / "a" / "one.nc"), "--output", str(tmp_path / "two")])

    def study():
        raise AssertionError("computed again")

    xr.testing.assert_identical(made(again, study, figure), ds)
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "a" / "one.png").read_bytes()
    assert not (tmp_path / "two.nc").exists()
    said = facts(tmp_path / "two.png")
    assert said == "Seed 2, draws 3, 0 s of processor time: `python -m analyses.some --seed 2 --draws 3 --steps 7`"


@pytest.mark.parametrize("side", [4, 700])
def test_figures_fit_and_have_a_palette(tmp_path, side):
    fig = Figure(figsize=(9, 8))
    fig.subplots().imshow(np.random.default_rng(0).uniform(size=(side, side, 3)))
    data = png(fig, {})
    assert len(data) <= LIMIT
    (tmp_path / "a.png").write_bytes(data)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P" and image.width == 9 * {4: 115, 700: 70}[side]
