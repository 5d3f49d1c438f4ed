"""What every analysis does around its study: the arguments they share, and a Dataset and a figure in files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

import egan_theory as eg

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


def options(
    name: str, draws: int, *, seed: int = 1, about: str | None = None, help_seed: str | None = None,
    help_draws: str | None = None,
) -> ArgumentParser:  # fmt: skip
    """A parser with --seed, --draws and --output; files go to out/NAME with a suffix each unless told otherwise."""
    parser = ArgumentParser(description=about)
    parser.add_argument("--seed", type=int, default=seed, help=help_seed)
    parser.add_argument("--draws", type=int, default=draws, help=help_draws)
    parser.add_argument("--output", type=Path, default=Path("out") / name)
    return parser


def write(output: Path, ds: xr.Dataset, figure: Figure, dpi: float = 150) -> None:
    """OUTPUT.nc and OUTPUT.png; the folder is made."""
    output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, output.with_suffix(".nc"))
    figure.savefig(output.with_suffix(".png"), dpi=dpi)
