"""Figures of phase diagrams: predicted boundaries over simulated outcomes, disagreements drawn."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..comparison.phase import UNION
from . import style
from .style import BLACK, BLUE, GREEN, GREY, VERMILLION

#: colour, line and hatch of each mechanism
LOOK = {
    "collective instability": (VERMILLION, "-", "////"),
    "too slow to split": (BLUE, "--", "\\\\\\\\"),
    "collapsed state": (GREEN, "-.", "...."),
}


@style.styled
def plot_phase(
    predicted: xr.Dataset,
    simulated: xr.Dataset | None = None,
    compared: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Boundary of each mechanism (``predict.phase``), hatched where it predicts collapse; below it the share of modes
    that the simulation covers (``simulate_phase``); a cross on cells where the union of mechanisms is wrong and the
    balanced accuracies in the legend (``compare_phase``)."""
    ax = style.axes(ax, (7.6, 5.6))
    if simulated is not None:
        x, y = simulated["first"].values, simulated["second"].values
        covered = simulated["covered"].mean("run").values
        mesh = ax.pcolormesh(
            _edges(x, simulated["first"]), _edges(y, simulated["second"]), covered, cmap="Greys_r", vmin=-0.6, vmax=1,
        )  # fmt: skip
        figure = ax.get_figure()
        assert figure is not None
        bar = figure.colorbar(mesh, ax=ax, boundaries=np.linspace(0, 1, 101), ticks=np.linspace(0, 1, 6))
        bar.set_label(f"simulated: {simulated['covered'].attrs['long_name']}")
    first, second = predicted["first"].values, predicted["second"].values
    handles: list[Line2D | Patch] = []
    for name in predicted["mechanism"].values:
        colour, line, hatch = LOOK.get(str(name), (GREY, ":", ""))
        margin = predicted["margin"].sel(mechanism=name).values
        level = np.where(np.isnan(margin), -1.0, np.sign(margin))
        label = f"{name}{_accuracy(compared, str(name))}"
        if (level > 0).any() and (level <= 0).any():
            ax.contour(first, second, _signed(margin), levels=[0.0], colors=[colour], linestyles=[line], linewidths=2)
        if (level > 0).any():
            signed = _signed(margin)
            filled = ax.contourf(first, second, signed, levels=[0.0, 2 * signed.max()], colors="none", hatches=[hatch])
            filled.set_edgecolor(colour)
            filled.set_linewidth(0)
            handles.append(Patch(facecolor="none", edgecolor=colour, hatch=hatch, ls=line, label=label))
        else:
            handles.append(Line2D([], [], color=colour, ls=line, label=f"{label}: nowhere here"))
    if compared is not None:
        known = np.ones(compared["collapsed"].shape, bool) if simulated is None else np.isfinite(covered)
        wrong = known & (compared["collapsed"].values != compared["predicted"].sel(mechanism=UNION).values)
        rows, columns = np.nonzero(wrong)
        ax.plot(
            compared["first"].values[columns], compared["second"].values[rows], "x", color=BLACK, ms=6, mew=1.6,
        )  # fmt: skip
        label = f"{UNION} wrong: {wrong.sum()} of {known.sum()} cells{_accuracy(compared, UNION)}"
        handles.append(Line2D([], [], color=BLACK, marker="x", ls="", label=label))
    for set_scale, name in ((ax.set_xscale, "first"), (ax.set_yscale, "second")):
        if predicted[name].attrs["log"]:
            set_scale("log")
    # whole cells, or the crosses on the rim would be cut
    for limits, name, values in ((ax.set_xlim, "first", first), (ax.set_ylim, "second", second)):
        edges = values if simulated is None else _edges(simulated[name].values, simulated[name])
        limits(edges[0], edges[-1])
    ax.set_xlabel(predicted["first"].attrs["long_name"])
    ax.set_ylabel(predicted["second"].attrs["long_name"])
    ax.grid(False)
    ax.legend(
        handles=handles, title="predicted collapse", loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False,
    )  # fmt: skip
    return ax


def _accuracy(compared: xr.Dataset | None, name: str) -> str:
    if compared is None or name not in compared["mechanism"].values:
        return ""
    row = compared.sel(mechanism=name)
    return f" (balanced accuracy {float(row['balanced_accuracy']):.2f} ± {float(row['stderr']):.2f})"


def _signed(margin: np.ndarray) -> np.ndarray:
    """The margin with what contour lines cannot take replaced: its sign and the place of its zero stay."""
    finite = margin[np.isfinite(margin)]
    scale = np.abs(finite).max(initial=0.0) or 1.0
    return np.nan_to_num(margin, nan=-scale, posinf=scale, neginf=-scale)


def _edges(values: np.ndarray, coordinate: xr.DataArray) -> np.ndarray:
    """Cell boundaries half-way between the values, on the axis's own scale."""
    u = np.log(values) if coordinate.attrs["log"] else values.astype(float)
    middle = (u[1:] + u[:-1]) / 2
    edges = np.concatenate([[2 * u[0] - middle[0]], middle, [2 * u[-1] - middle[-1]]])
    return np.exp(edges) if coordinate.attrs["log"] else edges
