"""What every plot function does: it draws on the axes that it is given, on nothing else, and refuses other things."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import xarray as xr
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import egan_theory as eg
from egan_theory.show import panel
from tests.results import made

P = eg.plot
#: by the name of the plot function: what is drawn, and other things that go with it
DRAWN: dict[str, tuple[Callable[..., Any], str, dict[str, str]]] = {
    "advice": (P.advice, "advice", {}),
    "branch": (P.branch, "branch", {}),
    "cloud": (P.cloud, "runs", {}),
    "confusion": (P.confusion, "compared phase", {}),
    "damping_ratio": (P.damping_ratio, "uniform", {}),
    "dispersion": (P.dispersion, "uniform", {}),
    "eigenvalues": (P.eigenvalues, "spectrum", {"agreement": "agreement"}),
    "frequency": (P.frequency, "frequency", {}),
    "game": (P.game, "game_spectrum", {}),
    "game_curvature": (P.game_curvature, "game_spectrum", {}),
    "game_scan": (P.game_scan, "game_spectrum", {}),
    "kernel": (P.kernel, "kernel_numbers", {}),
    "left": (P.left, "regularizer", {"measured": "sweep_left"}),
    "losses": (P.losses, "losses", {}),
    "monitor": (P.monitor, "monitored_runs", {}),
    "phase": (P.phase, "phase", {"simulated": "simulated phase", "compared": "compared phase"}),
    "place": (P.place, "place", {}),
    "power_laws": (P.power_laws, "power_laws", {}),
    "rate_curve": (P.rate_curve, "fastest", {"measured": "sweep_strength"}),
    "reached": (P.reached, "reached", {}),
    "relaxation": (P.relaxation, "runs", {"agreement": "agreement"}),
    "remedies": (P.remedies, "remedies", {}),
    "universality": (P.universality, "architecture", {}),
    "plot_overlaps": (eg.solvable.plot_overlaps, "ode", {}),
    "plot_solvable_phase": (eg.solvable.plot_solvable_phase, "solvable_phase", {"simulated": "solvable_phase"}),
    "plot_solvable_scan": (eg.solvable.plot_solvable_scan, "solvable_scan", {}),
    "plot_dirac": (eg.dirac.plot_dirac, "portrait", {}),
}
#: quick ones are also looked at in the default suite
QUICK = {"cloud", "damping_ratio", "left", "game", "kernel", "plot_dirac"}
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in DRAWN]
#: inches that a panel keeps at least, of 3.5
LEAST = 1.2


def draw(name, ax):
    plot, result, others = DRAWN[name]
    return plot(made(result), ax=ax, **{key: made(value) for key, value in others.items()})


def grid(layout):
    figure = Figure(figsize=(8, 6), layout=layout)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(2, 2)


def test_every_plot_function_is_among_them():
    solvable = {n for n in eg.solvable.__all__ if n.startswith("plot_")}
    assert set(P.__all__) | solvable | {"plot_dirac"} == set(DRAWN)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", ["constrained", None])
def test_a_panel_is_drawn_on_and_nothing_else_and_all_of_it_fits(name, layout):
    figure, panels = grid(layout)
    ax = panels[0, 0]
    before, others = dict(matplotlib.rcParams), [len(other.get_children()) for other in panels.ravel()[1:]]
    opened = pyplot.get_fignums()
    assert draw(name, ax) is ax
    assert dict(matplotlib.rcParams) == before and pyplot.get_fignums() == opened
    assert [len(other.get_children()) for other in panels.ravel()[1:]] == others
    new = [a for a in figure.axes if a not in panels]
    assert all(hasattr(a, "_colorbar") for a in new)
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02, box
    size = ax.get_window_extent().width / figure.dpi
    assert size > LEAST, size


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_of_its_own_is_pyplots(name):
    ax = draw(name, None)
    assert pyplot.get_fignums() and ax.get_figure() is pyplot.gcf()
    pyplot.close("all")


@pytest.mark.parametrize("name", DRAWN)
def test_something_else_is_refused_in_one_line(name):
    plot, others = DRAWN[name][0], ("something else", 3.0, eg.Experiment(), [1, 2], xr.Dataset())
    for wrong in (*others, *([] if name == "universality" else [None])):
        with pytest.raises(eg.InputError, match=" must be ") as refused:
            plot(wrong)
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 200
    with pytest.raises(eg.InputError, match="ax: must be Matplotlib axes, but found str"):
        plot(made("portrait") if name == "plot_dirac" else None, ax="here")
    assert pyplot.get_fignums() == []


@pytest.mark.slow
def test_the_backend_is_loaded_before_the_style_is_set():
    """Else what its backend sets at import, as that of notebooks does, would be taken back."""
    code = f"""
import sys
import matplotlib
sys.path.insert(0, {str(Path(eg.__file__).parents[1])!r})
import xarray as xr
import egan_theory as eg
from egan_theory.show import style

class Import:
    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib.backends.backend_svg":
            matplotlib.interactive(True)

sys.meta_path.insert(0, Import())
runs = xr.Dataset({{"loss_generator": (("run", "time"), [[1.0, 2.0]])}}, coords={{"time": [0.0, 1.0]}})
eg.plot.losses(runs)
print(matplotlib.is_interactive())
"""
    environment = os.environ | {"MPLBACKEND": "svg"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "True", done.stderr


def test_labels_of_a_panel_are_broken_and_those_of_a_figure_are_not():
    _, panels = grid("constrained")
    small, alone = P.left(made("regularizer"), ax=panels[0, 0]), P.left(made("regularizer"))
    assert "\n" in small.get_ylabel() and small.get_ylabel().replace("\n", " ") == alone.get_ylabel()
    sizes = [ax.get_legend().get_texts()[0].get_fontsize() for ax in (small, alone)]
    assert sizes[0] == panel.POINTS < sizes[1]
