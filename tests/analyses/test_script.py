"""What scripts of analyses/ share: files, redrawing, and what a figure's file says of its making."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from analyses.script import LIMIT, facts, made, options, png, redraws, sheet


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


@redraws
def some(argv=None):
    """A script that draws x, and prints a sum and an attribute."""
    args = options("some", draws=3).parse_args(argv)
    ds = made(args, lambda: xr.Dataset({"x": ("t", [1.0, 2.0])})[args.seed], figure)
    print(float(ds["x"].sum("t")), ds.attrs["more"], ds.least)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (xr.Dataset({"y": ("t", [1.0])}), "'x' is missing"),
        (xr.Dataset({"x": ("t", [1.0])}), "'more' is missing"),
        (xr.Dataset({"x": ("t", [1.0])}, attrs={"more": 1}), "'least' is missing"),
        (xr.Dataset({"x": ("s", [1.0])}), "found: 't' not found in array dimensions"),
        (None, "must be an existing NetCDF-4 file, but found"),
        ("text", "must be a readable NetCDF-4 file, but found"),
    ],
)
def test_a_file_that_lacks_something_is_refused_in_one_line(tmp_path, capsys, held, said):
    """Another script's file, one of an earlier version, none at all."""
    file = tmp_path / "old.nc"
    if isinstance(held, xr.Dataset):
        held.to_netcdf(file, engine="h5netcdf")
    elif held:
        file.write_text(held)
    with pytest.raises(SystemExit) as end:
        some(["--from", str(file), "--output", str(tmp_path / "new")])
    line = capsys.readouterr().err
    assert end.value.code == 2 and line.startswith("test_script: ") and str(file) in line
    assert "must " in line and said in line
    assert line.count("\n") == 1
    with pytest.raises(KeyError):  # what is computed is no file's fault
        some(["--seed", "1", "--output", str(tmp_path / "new")])
