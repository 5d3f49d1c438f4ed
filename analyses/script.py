"""What every analysis does around its study: the arguments they share, and a Dataset and a figure in files."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

#: the repository, from which ``python -m analyses.NAME`` is run
ROOT = Path(__file__).resolve().parents[1]
#: the published MNIST runs: their raw files, order parameters and target
PUBLISHED = Path(os.environ.get("EGAN_PUBLISHED_MNIST", ROOT.parent / "shared" / "published_mnist"))


def options(
    name: str, draws: int, *, seed: int = 1, about: str | None = None, help_seed: str | None = None,
    help_draws: str | None = None,
) -> ArgumentParser:  # fmt: skip
    """A parser with --seed, --draws and --output; files go to out/NAME with a suffix each unless told otherwise."""
    parser = ArgumentParser(prog=f"python -m analyses.{name}", description=about)
    parser.add_argument("--seed", type=int, default=seed, help=help_seed)
    parser.add_argument("--draws", type=int, default=draws, help=help_draws)
    parser.add_argument("--output", type=Path, default=Path("out") / name)
    return parser


def write(
    output: Path, ds: xr.Dataset | None, figure: Figure | None = None, dpi: float = 150, *, part: str | None = None
) -> None:
    """OUTPUT.nc and OUTPUT.png, of a part OUTPUT_PART.nc and OUTPUT_PART.png; the folder is made."""
    import egan_theory as eg

    name = output if part is None else output.with_name(f"{output.name}_{part}")
    name.parent.mkdir(parents=True, exist_ok=True)
    if ds is not None:
        eg.save(ds, name.with_suffix(".nc"))
    if figure is not None:
        figure.savefig(name.with_suffix(".png"), dpi=dpi)
