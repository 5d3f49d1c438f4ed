"""A script of analyses/ run from its options to its figure, and what any figure must say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import xarray as xr

from analyses import script
from analyses.script import LIMIT, ROOT, facts


def told(ax) -> bool:
    """Whether an Axes with data says what its values are, in words; shared axes say it once."""
    words = [ax.get_xlabel(), ax.get_ylabel()]
    names = [t.get_text() for t in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    return any(words) or any(re.search("[A-Za-z]", n) for n in names)


def labelled(module: ModuleType, options: str, folder: Path) -> Any:
    """What ``main`` of a script returns. Its PNG says what made it and is small; its figure has words at the axes and a
    legend where there are several series."""
    name, shown = module.__name__.rpartition(".")[2], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "png", lambda figure, about, png=script.png: shown.append(figure) or png(figure, about))
        found = module.main([*options.split(), "--output", str(folder / name)])
    assert f"`python -m analyses.{name} --seed " in facts(folder / f"{name}.png")
    assert 1000 < (folder / f"{name}.png").stat().st_size <= LIMIT
    (figure,) = shown
    axes = [ax for ax in figure.axes if ax.get_visible() and ax.has_data()]
    assert axes and all(told(ax) for ax in axes)
    assert all(re.search(r"\(|/|\d", ax.get_xlabel() + ax.get_ylabel()) for ax in axes if ax.get_ylabel())
    series = max(len(ax.get_legend_handles_labels()[0]) for ax in axes)
    assert series < 2 or figure.legends or any(ax.get_legend() for ax in axes)
    return found


def by_itself(module: ModuleType, options: str, folder: Path) -> xr.Dataset:
    """What a script found that forks, which libraries with threads (JAX) do not bear in the process of tests."""
    name = module.__name__.rpartition(".")[2]
    command = [sys.executable, "-m", module.__name__, *options.split(), "--output", str(folder / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"`python -m analyses.{name} --seed " in facts(folder / f"{name}.png")
    with xr.open_dataset(folder / f"{name}.nc", engine="h5netcdf") as ds:
        return ds.load()
