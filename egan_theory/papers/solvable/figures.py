"""Figures of the solvable model: overlaps against time, phase diagrams over one and two fields."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...show import panel, style
from ...show.given import Kind, given
from ...show.plot.phases import cell_edges
from ...show.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from .regimes import REGIMES

#: colour and marker of each regime
LOOK = {
    "success": (GREEN, "o"),
    "oscillation": (BLUE, "s"),
    "mode collapse": (VERMILLION, "^"),
    "nothing learnt": (GREY, "v"),
    "locked": (ORANGE, "D"),
    "diverged": (PURPLE, "X"),
    "undecided": (BLACK, "."),
}
OVERLAPS = Kind("be the course of a solvable model, eg.solvable.solve_ode(model)", (), ("time", "P", "q"))
REGIMES_OVER = Kind("be a diagram, eg.solvable.solvable_phase(model, ...)", (), ("predicted", "first", "second"))
SIMULATED = Kind("be a diagram with simulated regimes", (), ("regime", "decided", "wrong", "first", "second"))
SCAN = Kind("be what eg.solvable.solvable_phase returns of one field", (), ("first", "coverage", "activity"))


@given(ds=OVERLAPS, simulated=OVERLAPS)
@style.styled
def plot_overlaps(ds: xr.Dataset, simulated: xr.Dataset | None = None, ax: Axes | None = None, run: int = 0) -> Axes:
    """Diagonal overlaps |P_ll| (full) and the size |q_l| (dashed) against time; dots: a finite-n run.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        ds and simulated: overlaps (run, time, ...) of the shared form.

    Units:
        x: steps/n; y: pure numbers.

    Raises: nothing of its own.

    Source:
        ``solve_ode`` and ``simulate_solvable`` compute it.
    """
    ax = style.axes(ax)
    for i, colour in zip(range(ds.sizes["feature"]), cycle((BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK))):
        for name, line, fill in ((f"P{i + 1}{i + 1}", "-", colour), (f"q{i + 1}", "--", "none")):
            place = {"run": run, "feature": i} | ({"fake": i} if name[0] == "P" else {})
            size = np.abs(ds[name[0]].isel(place))
            ax.plot(ds["time"], size, line, color=colour, lw=None if line == "-" else 1, label=f"|{name}|")
            _tell_times(ax, ds["time"].values, np.asarray(size), f"|{name}|, ODE", 2 * ds.sizes["feature"])
            if simulated is not None:
                size = np.abs(simulated[name[0]].isel(place))
                ax.plot(simulated["time"], size, "o", color=colour, ms=3, mfc=fill)
                _tell_times(
                    ax, simulated["time"].values, np.asarray(size), f"|{name}|, finite n", 2 * ds.sizes["feature"]
                )
    ax.set(xlabel=ds["time"].attrs["long_name"], ylabel="overlap", ylim=(-0.03, 1.05))
    dots = [] if simulated is None else [Line2D([], [], color=GREY, ls="", marker="o", ms=3, label="finite n")]
    return _legend(ax, ax.get_legend_handles_labels()[0] + dots, 6)


def _tell_times(ax: Axes, time: np.ndarray, size: np.ndarray, name: str, curves: int) -> None:
    every = max(1, -(-len(time) * curves // style.DENSE))
    time, size = time[::every], size[::every]
    style.tell(ax, time, size, [f"{name} = {v:.3g} at time {t:.4g}" for t, v in zip(time, size, strict=True)])


@given(predicted=REGIMES_OVER, simulated=SIMULATED)
@style.styled
def plot_solvable_phase(
    predicted: xr.Dataset,
    simulated: xr.Dataset | None = None,
    curves: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Areas: regimes predicted over two fields; markers: simulated outcomes (first run), a cross where they are wrong,
    smaller ones where a run of this length and n cannot show the prediction; ``curves``: boundaries (label: x, y).

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        predicted and simulated: (second, first) of ``solvable_phase``.

    Units:
        Both axes in the unit of their field.

    Raises: nothing of its own.

    Source:
        ``solvable_phase`` computes it.
    """
    ax = style.axes(ax, (7.6, 6.0))
    codes, x, y = (predicted[n] for n in ("predicted", "first", "second"))
    ax.pcolormesh(
        x.values, y.values, codes.values, cmap=ListedColormap([_area(name) for name in REGIMES]), vmin=-0.5,
        vmax=len(REGIMES) - 0.5, shading="nearest", rasterized=True,
    )  # fmt: skip
    _tell_areas(ax, predicted)
    shown = set(np.unique(codes))
    if simulated is not None:
        _outcomes(ax, simulated)
        shown |= set(np.unique(simulated["regime"]))
    handles: list[Any] = []
    for name in (REGIMES[i] for i in sorted(shown)):
        colour, marker = LOOK[name]
        handles.append(Line2D([], [], ls="", color=colour, marker=marker, label=name))
    for (label, (cx, cy)), dash in zip((curves or {}).items(), ("-", "--", ":", "-."), strict=False):
        handles += ax.plot(cx, cy, color=BLACK, ls=dash, lw=1.4, label=label)
    if simulated is not None:
        handles.append(Line2D([], [], ls="", color=BLACK, marker="x", ms=9, mew=1.8, label="not as predicted"))
        handles.append(Line2D([], [], ls="", color=GREY, marker="o", ms=3, label="small: not decided by such a run"))
    for name in ("x", "y"):
        axis = {"x": "first", "y": "second"}[name]
        # whole cells, or the markers on the rim would be cut
        limits = predicted[axis].values if simulated is None else cell_edges(simulated[axis])
        scale = "log" if predicted[axis].attrs["log"] else "linear"
        label = predicted[axis].attrs["long_name"]
        ax.set(**{f"{name}scale": scale, f"{name}lim": (limits[0], limits[-1]), f"{name}label": label})
    ax.grid(False)
    return _legend(ax, handles, 3)


def _tell_areas(ax: Axes, predicted: xr.Dataset) -> None:
    """The predicted regime at places evenly spaced over both fields."""
    i, j = (np.unique(np.linspace(0, predicted.sizes[n] - 1, 14).astype(int)) for n in ("first", "second"))
    x, y = predicted["first"].values, predicted["second"].values
    codes = predicted["predicted"].transpose("second", "first").values
    names = [predicted[n].attrs["long_name"] for n in ("first", "second")]
    places = [(a, b) for a in i for b in j]
    style.tell(ax, x[[a for a, _ in places]], y[[b for _, b in places]], [
        f"{names[0]} = {x[a]:.4g}, {names[1]} = {y[b]:.4g}: predicted {REGIMES[codes[b, a]]}" for a, b in places
    ])  # fmt: skip


def _outcomes(ax: Axes, simulated: xr.Dataset) -> None:
    x, y = np.meshgrid(simulated["first"].values, simulated["second"].values)
    regime = simulated["regime"].values[..., 0]
    decided = simulated["decided"].values.astype(bool)
    for i, name in enumerate(REGIMES):
        colour, marker = LOOK[name]
        for chosen, size in (((regime == i) & decided, 6.0), ((regime == i) & ~decided, 3.5)):
            ax.plot(x[chosen], y[chosen], ls="", color=colour, marker=marker, ms=size, mec="white", mew=0.4)
    wrong = (simulated["wrong"].values[..., 0] != 0) & decided
    ax.plot(x[wrong], y[wrong], "x", color=BLACK, ms=9, mew=1.8)


@given(ds=SCAN, simulated=SCAN)
@style.styled
def plot_solvable_scan(
    ds: xr.Dataset,
    simulated: xr.Dataset | None = None,
    lines: dict[str, float] | None = None,
    ax: Axes | None = None,
    own: float | None = None,
) -> Axes:
    """Coverage of each feature and activity against one field: curves (``ds``), markers (``simulated``, mean over runs
    and its range); the background is the predicted regime; ``lines``: boundaries (label: value); ``own``: where the
    model itself is.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        ds and simulated: (first, run) and (first, run, feature) of ``solvable_phase`` with one axis.

    Units:
        x: the field in its unit; y: pure numbers.

    Raises: nothing of its own.

    Source:
        ``solvable_phase`` computes it.
    """
    ax = style.axes(ax, (7.6, 4.8))
    x, codes = ds["first"].values, ds["predicted"].values
    edges = np.concatenate([[x[0]], (x[1:] + x[:-1]) / 2, [x[-1]]])
    for left, right, code in zip(edges[:-1], edges[1:], codes, strict=True):
        ax.axvspan(left, right, **_filled(REGIMES[code]))
    looks = zip(range(ds.sizes["feature"]), cycle((BLUE, VERMILLION, PURPLE, ORANGE)), cycle("o^Dv"))
    curves = [(f"coverage of feature {i + 1}", "coverage", {"feature": i}, colour, dot) for i, colour, dot in looks]
    handles: list[Any] = []
    for label, name, place, colour, dot in [*curves, ("activity: rms of q and r", "activity", {}, BLACK, "s")]:
        mean = ds[name].isel(place).mean("run")
        handles += ax.plot(x, mean, color=colour, ls="-" if place else "--", label=label)
        every = max(1, -(-len(x) * (len(curves) + 1) // style.DENSE))
        style.tell(ax, x[::every], mean.values[::every], [
            f"{ds['first'].attrs['long_name']} = {a:.4g}: {label} {b:.3g}; predicted {REGIMES[code]}"
            for a, b, code in zip(x[::every], mean.values[::every], codes[::every], strict=True)
        ])  # fmt: skip
        if simulated is not None:
            values = simulated[name].isel(place)
            mean = values.mean("run")
            reach = [mean - values.min("run"), values.max("run") - mean]
            ax.errorbar(simulated["first"], mean, yerr=reach, color=colour, ls="", marker=dot, ms=4)
    for (label, value), dash in zip((lines or {}).items(), (":", "-.", "--", (0, (1, 3))), strict=False):
        handles.append(ax.axvline(value, color=BLACK, ls=dash, lw=1.2, label=label))
    if own is not None:
        handles.append(ax.axvline(own, color=VERMILLION, lw=2.4, label=f"this model: {own:.4g}"))
        style.tell(ax, [own], [0.5], [f"this model: {ds['first'].attrs['long_name']} = {own:.4g}"])
    for name in dict.fromkeys(REGIMES[code] for code in codes):
        handles.append(Patch(**_filled(name) | {"lw": 0.8}, label=f"predicted: {name}"))
    ax.grid(False)
    ax.set(xlabel=ds["first"].attrs["long_name"], ylabel="end of the run", xlim=(x[0], x[-1]), ylim=(-0.03, 1.05),
           xscale="log" if ds["first"].attrs["log"] else "linear")  # fmt: skip
    return _legend(ax, handles, 2)


#: area where nothing is predicted: white, and hatched where the figure has room for it
NOTHING, HATCH = "#FFFFFF", "///"


def _area(regime: str) -> str:
    """The colour of a predicted area."""
    return style.PALE.get(LOOK[regime][0], NOTHING)


def _filled(regime: str) -> dict[str, Any]:
    """How a predicted area of a scan, and its swatch, is filled."""
    known = LOOK[regime][0] in style.PALE
    return {"fc": _area(regime), "ec": GREY, "lw": 0, "hatch": None if known else HATCH}


def _legend(ax: Axes, handles: list[Any], columns: int) -> Axes:
    """The axes with a legend above them, where it covers no data."""
    panel.legend(ax, handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)
    return ax
