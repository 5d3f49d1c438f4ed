"""Figures of the solvable model: overlaps against time, phase diagrams over one and two fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...show import style
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
#: how much of a regime's colour a predicted area shows
TINT = 0.35


@style.styled
def plot_overlaps(ds: xr.Dataset, simulated: xr.Dataset | None = None, ax: Axes | None = None, run: int = 0) -> Axes:
    """Diagonal overlaps |P_ll| (full) and the size |q_l| (dashed) against time; dots: a finite-n run."""
    ax = style.axes(ax)
    colours = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
    for i in range(ds.sizes["feature"]):
        colour = colours[i % len(colours)]
        for data, line, dot in ((ds, True, ""), (simulated, False, "o")):
            if data is None:
                continue
            one = data.isel(run=run)
            P, q = np.abs(one["P"].isel(feature=i, fake=i)), np.abs(one["q"].isel(feature=i))
            kind = {"ls": "-"} if line else {"ls": "", "marker": dot, "ms": 3}
            ax.plot(one["time"], P, color=colour, label=f"|P{i + 1}{i + 1}|" if line else None, **kind)
            kind = {"ls": "--"} if line else {"ls": "", "marker": dot, "ms": 3, "mfc": "none"}
            ax.plot(one["time"], q, color=colour, lw=1, label=f"|q{i + 1}|" if line else None, **kind)
    ax.set(xlabel=ds["time"].attrs["long_name"], ylabel="overlap", ylim=(-0.03, 1.05))
    handles, labels = ax.get_legend_handles_labels()
    if simulated is not None:
        handles.append(Line2D([], [], color=GREY, ls="", marker="o", ms=3))
        labels.append("finite n")
    ax.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, frameon=False)
    return ax


@style.styled
def plot_solvable_phase(
    predicted: xr.Dataset,
    simulated: xr.Dataset | None = None,
    curves: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Areas: regimes predicted over two fields; markers: simulated outcomes (first run), a cross where they are wrong,
    smaller ones where a run of this length and n cannot show the prediction; ``curves``: boundaries (label: x, y)."""
    ax = style.axes(ax, (7.6, 6.0))
    colours = [_area(name) for name in REGIMES]
    x, y = predicted["first"].values, predicted["second"].values
    ax.pcolormesh(
        x, y, predicted["predicted"].values, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(REGIMES) - 0.5,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    handles: list[Line2D] = []
    shown = {REGIMES[i] for i in np.unique(predicted["predicted"].values)}
    if simulated is not None:
        _outcomes(ax, simulated)
        shown |= {REGIMES[i] for i in np.unique(simulated["regime"].values)}
    for name in REGIMES:
        if name in shown:
            colour, marker = LOOK[name]
            handles.append(Line2D([], [], ls="", color=colour, marker=marker, label=name))
    for (label, (cx, cy)), dash in zip((curves or {}).items(), ("-", "--", ":", "-."), strict=False):
        handles += ax.plot(cx, cy, color=BLACK, ls=dash, lw=1.4, label=label)
    if simulated is not None:
        handles.append(Line2D([], [], ls="", color=BLACK, marker="x", ms=9, mew=1.8, label="not as predicted"))
        handles.append(Line2D([], [], ls="", color=GREY, marker="o", ms=3, label="small: not decided by such a run"))
    for scale, name in ((ax.set_xscale, "first"), (ax.set_yscale, "second")):
        if predicted[name].attrs["log"]:
            scale("log")
    if simulated is None:
        ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    else:
        ax.set(xlim=_rim(simulated["first"]), ylim=_rim(simulated["second"]))
    ax.set(xlabel=predicted["first"].attrs["long_name"], ylabel=predicted["second"].attrs["long_name"])
    ax.grid(False)
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return ax


def _rim(coordinate: xr.DataArray) -> tuple[float, float]:
    """Limits half a cell beyond the first and last value, on the axis's own scale: markers there are not cut."""
    edges = cell_edges(coordinate)
    return float(edges[0]), float(edges[-1])


def _feature(values: xr.DataArray, i: int | None) -> xr.DataArray:
    return values if i is None else values.isel(feature=i)


def _area(regime: str) -> tuple[float, float, float]:
    """The colour of a predicted area; white where nothing is predicted."""
    if regime == "undecided":
        return (1.0, 1.0, 1.0)
    red, green, blue = (1 - TINT * (1 - c) for c in to_rgb(LOOK[regime][0]))
    return (red, green, blue)


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


@style.styled
def plot_solvable_scan(
    ds: xr.Dataset,
    simulated: xr.Dataset | None = None,
    lines: dict[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Coverage of each feature and activity against one field: curves (``ds``), markers (``simulated``, mean over runs
    and its range); the background is the predicted regime; ``lines``: boundaries (label: value)."""
    ax = style.axes(ax, (7.6, 4.8))
    x = ds["first"].values
    edges = np.concatenate([[x[0]], (x[1:] + x[:-1]) / 2, [x[-1]]])
    present = []
    for j, index in enumerate(ds["predicted"].values):
        ax.axvspan(edges[j], edges[j + 1], color=_area(REGIMES[index]), lw=0)
        if REGIMES[index] not in present:
            present.append(REGIMES[index])
    colours, markers = (BLUE, VERMILLION, PURPLE, ORANGE), ("o", "^", "D", "v")
    quantities: list[tuple[str, str, int | None]] = [
        (f"coverage of feature {i + 1}", "coverage", i) for i in range(ds.sizes["feature"])
    ]
    handles: list[Any] = []
    for (label, name, i), colour, marker in zip(
        [*quantities, ("activity: rms of q and r", "activity", None)], colours * 9, markers * 9, strict=False
    ):
        colour = BLACK if name == "activity" else colour
        handles += ax.plot(x, _feature(ds[name], i).mean("run"), color=colour, ls="--" if name == "activity" else "-",
                           label=label)  # fmt: skip
        if simulated is not None:
            values = _feature(simulated[name], i)
            mean, low, high = values.mean("run"), values.min("run"), values.max("run")
            ax.errorbar(
                simulated["first"], mean, yerr=[mean - low, high - mean], color=colour, ls="", marker=marker, ms=4
            )
    for (label, value), dash in zip((lines or {}).items(), (":", "-.", "--", (0, (1, 3))), strict=False):
        handles.append(ax.axvline(value, color=BLACK, ls=dash, lw=1.2, label=label))
    handles += [Patch(color=_area(n), lw=0, label=f"predicted: {n}") for n in present]
    if ds["first"].attrs["log"]:
        ax.set_xscale("log")
    ax.grid(False)
    ax.set(xlabel=ds["first"].attrs["long_name"], ylabel="end of the run", xlim=(x[0], x[-1]), ylim=(-0.03, 1.05))
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return ax
