"""Figures of phase diagrams: predicted boundaries over simulated outcomes, disagreements drawn."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from ...runs.outcome import UNKNOWN, Outcome, counts, modes_are_lost
from .. import fields, given, panel, style
from ..style import BLACK, BLUE, GREEN, GREY, OUTCOMES, VERMILLION
from .placed import LEGEND, birth_places, own_place
from .sides import sides

if TYPE_CHECKING:
    from ...predict.curves import Curves

#: colour, line and hatch of each mechanism
LOOK = {
    "collective instability": (VERMILLION, "-", "//"),
    "too slow to split": (BLUE, "--", "\\\\"),
    "collapsed state": (GREEN, "-.", ".."),
    "state reached from the start": (BLACK, ":", "||"),
}
#: outcomes are also marked in diagrams of at most this many cells along an axis, where they have this share of a cell's
#: runs, at this part of its height (the cross of a wrong prediction is in the middle); size in points
MARKED, MARKER_SHARE, MARKER_HEIGHT, MARKER = 24, 0.2, 0.8, 4.0
MARKER_COLOUR = "#5A5A5A"


@given.given(predicted=given.PREDICTED, simulated=given.SIMULATED, compared=given.COMPARED, curves=given.CURVES)
@style.styled
def phase(
    predicted: xr.Dataset,
    simulated: xr.Dataset | None = None,
    compared: xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    curves: Curves | None = None,
    place: tuple[float, float, str] | None = None,
) -> Axes:
    """Boundary of each mechanism (``eg.phase``), hatched beyond it; the legend says what holds there.

    Below it what became of the simulated runs (``eg.simulate_phase``): each cell is divided among the outcomes of its
    runs in proportion, by colour and marker. On cells of another kind than predicted (``eg.compare_phase``) the
    predicted one's marker, a cross where modes were predicted to be kept and are not, or the reverse. ``curves``
    (``eg.curves``): thresholds of the spread equilibrium where small orbits are born and where the cloud jumps, changes
    between them, and folds of orbits. ``place``: values of both fields that are marked, and what the legend calls them;
    what lies beyond the axes is marked at their rim, and said to be beyond.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        predicted: margin (mechanism, second, first); simulated: outcome (second, first, run); compared: kinds (second,
        first).

    Units:
        Both axes in the unit of their field.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.phase`` computes it; see ``eg.thresholds``.
    """
    ax = style.axes(ax, (8.6, 6.2))
    if simulated is not None:
        _outcomes(ax, simulated)
        _tell_cells(ax, simulated, compared)
    handles: list[Line2D | Patch] = []
    for name in predicted["mechanism"].values:
        colour, line, hatch = LOOK.get(str(name), (GREY, ":", ""))
        beyond = predicted["beyond"].sel(mechanism=name).item()
        label = f"{name}:\n{fill(beyond, LEGEND)}"
        triangles, height = sides(predicted, str(name))
        if height.min() < 0 < height.max():
            drawn = ax.tricontour(triangles, height, levels=[0.0], colors=[colour], linestyles=[line], linewidths=2)
            _tell_boundary(ax, predicted, str(name), np.asarray(drawn.get_paths()[0].vertices))
        if height.max() > 0:
            filled = ax.tricontourf(triangles, height, levels=[0.0, 2.0], colors="none", hatches=[hatch])
            filled.set_edgecolor(colour)
            filled.set_linewidth(0)
            handles.append(Patch(facecolor="none", edgecolor=colour, hatch=hatch, ls=line, label=label))
        else:
            handles.append(Line2D([], [], color=colour, ls=line, label=f"{label} (nowhere here)"))
    if compared is not None:
        handles += _wrong(ax, compared)
    if curves is not None:
        handles += birth_places(ax, curves)
    for which, name in (("x", "first"), ("y", "second")):
        about = predicted[name].attrs
        # whole cells, or the crosses on the rim would be cut
        edges = predicted[name].values if simulated is None else cell_edges(simulated[name])
        scale = {f"{which}scale": "log"} if about["log"] else {}
        ax.set(**scale, **{f"{which}lim": edges[[0, -1]], f"{which}label": fields.label(about["long_name"])})
    if place is not None:
        handles.append(own_place(ax, predicted, place))
    ax.grid(False)
    hatched = "hatched: beyond the boundary of"
    if simulated is not None and not panel.alone(ax):
        outcomes = _outcome_handles(simulated)
        panel.legend(ax, [*handles, *outcomes], title=f"{hatched}; {_outcome_title(simulated)}".replace("\n", " "))
        return ax
    above = panel.legend(
        ax, handles, title=hatched, loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False, alignment="left"
    )
    if simulated is not None:
        ax.add_artist(above)
        above.set_clip_on(False)  # it lies outside of the axes, and is part of their size
        panel.legend(
            ax, _outcome_handles(simulated), title=_outcome_title(simulated), loc="center left",
            bbox_to_anchor=(1.0, 0.5), frameon=False, alignment="left",
        )  # fmt: skip
    return ax


def _tell_boundary(ax: Axes, predicted: xr.Dataset, name: str, at: np.ndarray) -> None:
    """Where the boundary of a mechanism runs, a few dozen points."""
    x, y = at[:: max(1, len(at) // 40)].T
    style.tell(ax, x, y, [f"boundary of {name}: {_place(predicted, *xy)}" for xy in zip(x, y, strict=True)])


def _place(diagram: xr.Dataset, first: float, second: float) -> str:
    return ", ".join(f"{diagram[n].attrs['long_name']} = {v:.4g}" for n, v in (("first", first), ("second", second)))


def _tell_cells(ax: Axes, simulated: xr.Dataset, compared: xr.Dataset | None) -> None:
    """What became of the runs of each cell, and what was predicted, at its middle."""
    codes = simulated["outcome"].transpose("second", "first", "run").values
    first, second = (simulated[n].values.astype(float).tolist() for n in ("first", "second"))
    every = max(1, int(np.ceil(np.sqrt(codes[..., 0].size / (2 * style.DENSE)))))
    texts, x, y = [], [], []
    for j, i in np.ndindex(codes.shape[:2]):
        if j % every or i % every:
            continue
        said = ", ".join(f"{n} {word}" for word, n in counts(codes[j, i]).items()) or "no run"
        if compared is not None and (kind := int(compared["predicted_kind"].values[j, i])) != UNKNOWN:
            said += f"; predicted: {Outcome(kind).word}"
        texts.append(f"{_place(simulated, first[i], second[j])}: {said}")
        x.append(first[i])
        y.append(second[j])
    for k in range(0, len(texts), style.DENSE):
        part = slice(k, k + style.DENSE)
        style.tell(ax, x[part], y[part], texts[part])


def _outcomes(ax: Axes, simulated: xr.Dataset) -> None:
    """Every cell, framed, in strips, one per run, sorted by outcome; a marker on each outcome's part of the cell."""
    codes = simulated["outcome"].transpose("second", "first", "run").values
    ranks = np.sort(np.select([codes == o for o in OUTCOMES], range(len(OUTCOMES)), np.nan), axis=-1)  # best first
    runs = ranks.shape[-1]
    strips = _divided(simulated["first"], np.arange(runs) / runs)
    ax.pcolormesh(
        np.append(strips.ravel(), cell_edges(simulated["first"])[-1]), cell_edges(simulated["second"]),
        ranks.reshape(len(ranks), -1), cmap=ListedColormap([colour for colour, _ in OUTCOMES.values()]),
        vmin=-0.5, vmax=len(OUTCOMES) - 0.5, rasterized=True,
    )  # fmt: skip
    for draw, name in ((ax.axvline, "first"), (ax.axhline, "second")):
        for edge in cell_edges(simulated[name])[1:-1]:
            draw(edge, color=MARKER_COLOUR, lw=0.5)
    if max(ranks.shape[:2]) > MARKED:
        return
    height = _divided(simulated["second"], np.array([MARKER_HEIGHT]))[:, 0]
    for rank, (outcome, (_, marker)) in enumerate(OUTCOMES.items()):
        here = ranks == rank
        share = here.mean(-1)
        rows, columns = np.nonzero(share >= MARKER_SHARE)
        middle = (here.argmax(-1) / runs + share / 2)[rows, columns]
        x = _divided(simulated["first"], middle)[columns, np.arange(len(columns))]
        dark = outcome is Outcome.DIVERGED
        ax.plot(
            x, height[rows], marker, ls="", ms=MARKER, mfc="none", mec="white" if dark else MARKER_COLOUR, mew=0.7,
        )  # fmt: skip


def _outcome_handles(simulated: xr.Dataset) -> list[Line2D]:
    """One entry per outcome that occurs, with its share of all runs."""
    found = counts(simulated["outcome"].values)
    total = sum(found.values())
    return [
        Line2D([], [], marker=marker, ls="", ms=13, mfc=colour, mec="#3B3B3B", mew=0.8,
               label=f"{outcome.word}: {100 * found[outcome.word] / total:.3g} %")
        for outcome, (colour, marker) in OUTCOMES.items() if outcome.word in found
    ]  # fmt: skip


def _outcome_title(simulated: xr.Dataset) -> str:
    runs = simulated.sizes["run"]
    steps = f" of {simulated.attrs['steps']} steps" if "steps" in simulated.attrs else ""
    what = f"outcome of {runs} simulated run{'s' * (runs > 1)}{steps}"
    starts = "kicks off equilibrium" if simulated.attrs.get("start") == "kick" else "random starts"
    return f"{what}\nper cell, from {starts}\n(share of all runs)"


def _wrong(ax: Axes, compared: xr.Dataset) -> list[Line2D | Patch]:
    """Where another kind was predicted its marker; a cross where modes are kept and predicted lost, or the reverse."""
    observed, predicted = compared["simulated_kind"].values, compared["predicted_kind"].values
    known = observed != UNKNOWN
    wrong = known & (modes_are_lost(observed) != modes_are_lost(predicted))
    other = known & ~wrong & (observed != predicted) & (predicted != UNKNOWN)
    style_of: dict[str, Any] = dict(
        ls="", color=BLACK, mew=1.2, path_effects=[withStroke(linewidth=3.0, foreground="white")]
    )
    for kind, (_, marker) in OUTCOMES.items():
        rows, columns = np.nonzero(other & (predicted == kind))
        x, y = compared["first"].values[columns], compared["second"].values[rows]
        ax.plot(x, y, marker, ms=5, mfc="none", **style_of)
    rows, columns = np.nonzero(wrong)
    ax.plot(compared["first"].values[columns], compared["second"].values[rows], "x", ms=6, **style_of)
    score, error = float(compared["balanced_accuracy"]), float(compared["stderr"])
    right = "" if np.isnan(score) else f" (balanced accuracy {score:.2f} ± {error:.2f})"
    return [
        Line2D([], [], color=BLACK, marker="x", ls="",
               label=f"kept or lost predicted wrongly: {wrong.sum()} of {known.sum()} cells{right}"),
        Line2D([], [], color=BLACK, marker="o", mfc="none", ls="",
               label=f"another kind predicted, by its marker: {other.sum()} cells"),
    ]  # fmt: skip


@given.given(compared=given.COMPARED)
@style.styled
def confusion(compared: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Cells by simulated (rows) and predicted kind (columns) of ``eg.compare_phase``.

    Numbers, shaded by their share of the row; kinds that do not occur are left out. At the right recall, at the top
    precision, of each kind.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        compared: confusion (kind, predicted), recall (kind), precision (kind).

    Units:
        Numbers of cells; recall and precision are pure numbers.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.compare_phase`` computes it.
    """
    ax = style.axes(ax, (7.2, 4.8))
    counts = compared["confusion"].values
    rows, columns = counts.sum(1) > 0, counts.sum(0) > 0
    columns[: len(rows)] |= rows
    shown = counts[rows][:, columns]
    share = shown / shown.sum(1, keepdims=True)
    ax.imshow(share, cmap=LinearSegmentedColormap.from_list("share", ["white", BLUE]), vmin=0, vmax=1.15, aspect="auto")
    for r, c in np.ndindex(shown.shape):
        if shown[r, c]:
            kinds = compared["kind"].values[rows][r], compared["predicted"].values[columns][c]
            said = (
                f"simulated {kinds[0]}, predicted {kinds[1]}: {shown[r, c]} cells, {100 * share[r, c]:.0f} % of the row"
            )
            style.tell(ax, [c], [r], [said])
            ax.text(c, r, f"{shown[r, c]}\n{100 * share[r, c]:.0f} %", ha="center", va="center",
                    color="white" if share[r, c] > 0.6 else BLACK)  # fmt: skip
    own = [fill(w, 14) for w in compared["kind"].values[rows]]
    ax.set_yticks(range(len(own)), own)
    ax.set_xticks(range(shown.shape[1]), [fill(w, 10) for w in compared["predicted"].values[columns]])
    recall = compared["recall"].values[rows]
    right, top = ax.secondary_yaxis("right"), ax.secondary_xaxis("top")
    right.set_yticks(range(len(own)), [f"{v:.2f}" for v in recall])
    right.set_ylabel("recall")
    precision = np.append(compared["precision"].values, np.nan)[columns]
    top.set_xticks(range(shown.shape[1]), ["" if np.isnan(v) else f"{v:.2f}" for v in precision])
    top.set_xlabel("precision")
    ax.set(xlabel="predicted kind (cells, share of the row)", ylabel="simulated kind")
    ax.grid(False)
    return ax


def cell_edges(coordinate: xr.DataArray) -> np.ndarray:
    """Cell boundaries half-way between the values, on the axis's own scale."""
    u = np.log(coordinate.values) if coordinate.attrs["log"] else coordinate.values.astype(float)
    middle = (u[1:] + u[:-1]) / 2
    edges = np.concatenate([[2 * u[0] - middle[0]], middle, [2 * u[-1] - middle[-1]]])
    return np.exp(edges) if coordinate.attrs["log"] else edges


def _divided(coordinate: xr.DataArray, parts: np.ndarray) -> np.ndarray:
    """(cell, part) places at these parts of every cell's width, on the axis's own scale."""
    log = bool(coordinate.attrs["log"])
    u = np.log(cell_edges(coordinate)) if log else cell_edges(coordinate)
    places = u[:-1, None] + np.diff(u)[:, None] * parts
    return np.exp(places) if log else places
