"""Figures of a monitored training: its losses, and beside them what analyses found, over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...base.spelling import unknown
from ...games.modes import KINDS, kind
from .. import given, style
from ..style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from .runs import losses

#: colour and marker of each kind of multiplier
MARKS = dict(zip(KINDS, (
    (VERMILLION, "v"), (PURPLE, "D"), (ORANGE, "^"), (SKY, "P"), (BLUE, "o"), (GREY, "s"), (GREY, "x"),
), strict=True))  # fmt: skip
#: height of one panel
HEIGHT = 2.5
#: angles that are all below this, in degrees, have an axis of their own length
SMALL = 30.0


@given.given(runs=given.RUNS)
@style.styled
def monitor(runs: xr.Dataset, ax: Axes | None = None, what: str | None = None, run: int = 0) -> Axes:
    """What a Monitor recorded over the training.

    Args:
        what: one of PANELS, "losses", "moduli", "angles" (of the multipliers, by kind), "path", "kernel", "strengths";
            on ``ax`` the moduli by default. Without both all of them that there is something of, below each other with
            one axis of time; returned are the axes of the first.
        run: which of the runs.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        runs: the run schema with dimensions (run, time, multiplier).

    Units:
        x: training steps; moduli and cosines are pure numbers, angles degrees per step, losses as logged.

    Raises:
        InputError: ``what`` is no panel.

    Source:
        ``eg.Monitor`` recorded it; path angle: Berard et al. 2020.
    """
    if what is not None and what not in PANELS:
        raise unknown("what", what, PANELS)
    if ax is not None or what is not None:
        what = what or "moduli"
        return _panel(what, runs, run, style.axes(ax, (7.6, 3.4)))
    shown = panels(runs, run) or ["losses"]
    figure = style.axes(None, (7.6, HEIGHT * len(shown) + 0.6)).get_figure()
    assert isinstance(figure, Figure)
    figure.clear()
    column = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for each, name in zip(column, shown, strict=True):
        _panel(name, runs, run, each)
        if each is not column[-1]:
            each.set_xlabel("")
    first: Axes = column[0]
    return first


def panels(runs: xr.Dataset, run: int = 0) -> list[str]:
    """Those of PANELS that there is something of."""
    return [name for name, (_, needs) in PANELS.items() if any(known(runs, n, run)[1].size for n in needs)]


def _panel(name: str, runs: xr.Dataset, run: int, ax: Axes) -> Axes:
    draw, needs = PANELS[name]
    if not any(known(runs, n, run)[1].size for n in needs):
        return style.note(ax, "nothing of this was recorded")
    draw(runs, run, ax)
    unit = runs["time"].attrs.get("units", "step")
    ax.set_xlabel(style.per(unit))
    time = runs["time"].values
    if len(time) > 1:
        margin = 0.015 * (time[-1] - time[0])  # marks at the ends are seen whole
        ax.set_xlim(time[0] - margin, time[-1] + margin)
    return style.finish(ax, columns=3)


def known(runs: xr.Dataset, name: str, run: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(time, value) of the samples where a scalar was measured; of several numbers, flat."""
    if name not in runs:
        return np.empty(0), np.empty(0)
    dims = ("run", "time", *[d for d in runs[name].dims if d not in ("run", "time")])
    values = runs[name].transpose(*dims).values[run]
    time = np.broadcast_to(runs["time"].values.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    finite = np.isfinite(values)
    return time[finite], values[finite]


def multipliers(runs: xr.Dataset, run: int = 0) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(kind, time, multipliers) of each kind there is."""
    if not {"multiplier_re", "multiplier_im"} <= runs.keys():
        return []
    re, im = (runs[f"multiplier_{part}"].transpose("run", "time", "multiplier").values[run] for part in ("re", "im"))
    there = np.isfinite(re) & np.isfinite(im)
    time, z = np.broadcast_to(runs["time"].values[:, None], re.shape)[there], re[there] + 1j * im[there]
    rest = runs.get("multiplier_residual")
    residual = np.zeros(len(z)) if rest is None else rest.transpose("run", "time", "multiplier").values[run][there]
    kinds = np.array(
        [kind(complex(v), float(np.nan_to_num(r))) for v, r in zip(z, residual, strict=True)], dtype=object
    )
    return [(name, time[kinds == name], z[kinds == name]) for name in KINDS if np.any(kinds == name)]


def _losses(runs: xr.Dataset, run: int, ax: Axes) -> None:
    losses(runs.isel(run=[run]), ax)


def _moduli(runs: xr.Dataset, run: int, ax: Axes) -> None:
    ax.axhline(1, color=BLACK, lw=0.8)
    for name, time, z in multipliers(runs, run):
        colour, marker = MARKS[name]
        ax.plot(time, np.abs(z), marker, color=colour, mec=BLACK, mew=0.3, ms=5, label=name)
        _tell(ax, runs, time, np.abs(z), [f"{name}: {_said(v)}" for v in z])
    ax.set_ylabel("|multiplier| (1)")
    style.log_if_wide(ax, "y", _moduli_of(runs, run))


def _said(z: complex) -> str:
    return f"|z| = {abs(z):.6g} per step, turned by {np.degrees(abs(np.angle(z))):.4g} degrees"


def _tell(ax: Axes, runs: xr.Dataset, time: np.ndarray, values: np.ndarray, texts: list[str]) -> None:
    """What the points say, after their step."""
    unit = runs["time"].attrs.get("units", "step")
    style.tell(ax, time, values, [f"{unit} {t:g}, {text}" for t, text in zip(time, texts, strict=True)])


def _moduli_of(runs: xr.Dataset, run: int) -> np.ndarray:
    return np.concatenate([np.abs(z) for _, _, z in multipliers(runs, run)])


def _angles(runs: xr.Dataset, run: int, ax: Axes) -> None:
    for name, time, z in multipliers(runs, run):
        colour, marker = MARKS[name]
        ax.plot(time, np.degrees(np.abs(np.angle(z))), marker, color=colour, mec=BLACK, mew=0.3, ms=5, label=name)
        _tell(ax, runs, time, np.degrees(np.abs(np.angle(z))), [f"{name}: {_said(v)}" for v in z])
    ax.set(ylabel="angle per step (degrees)")
    most = max(
        (float(np.degrees(np.abs(np.angle(z))).max(initial=0.0)) for _, _, z in multipliers(runs, run)), default=0
    )
    if 0 < most < SMALL:  # or all would lie on the axis
        ax.set_ylim(-0.05 * most, 1.15 * most)
    else:
        ax.set(ylim=(-8, 188), yticks=[0, 45, 90, 135, 180])


def _path(runs: xr.Dataset, run: int, ax: Axes) -> None:
    ax.axhline(0, color=BLACK, lw=0.8)
    for name, label, colour, mark in (
        ("path_angle_start", "at the weights before", GREY, "s:"),
        ("path_angle", "at the present weights", BLUE, "o-"),
        ("path_angle_beyond", "a quarter beyond", ORANGE, "^--"),
    ):
        time, values = known(runs, name, run)
        if not len(values):
            continue
        ax.plot(time, values, mark, color=colour, ms=4, lw=1.2, label=label)
        _tell(ax, runs, time, values, [f"{label}: cosine {v:.3g}" for v in values])
    ax.set(ylabel="cosine of field and path (1)", ylim=(-1.08, 1.08))


def _kernel(runs: xr.Dataset, run: int, ax: Axes) -> None:
    time, g1 = known(runs, "kernel_g1", run)
    g2 = known(runs, "kernel_g2", run)[1]
    if len(g1) == len(g2) and len(g1):
        with np.errstate(divide="ignore", invalid="ignore"):
            ax.plot(time, g2 / g1, "^--", color=ORANGE, ms=4, lw=1.2, label="g2/g1")
            _tell(ax, runs, time, g2 / g1, [f"kernel ratio g2/g1 = {v:.3g}" for v in g2 / g1])
    at, shares = known(runs, "kernel_share", run)
    if len(shares):
        ax.plot(at, shares, "o-", color=BLUE, ms=4, lw=1.2, label="share explained by two numbers")
        _tell(ax, runs, at, shares, [f"share explained by two numbers: {v:.3g}" for v in shares])
    if len(g1) and g1[0] > 0:
        label = f"g1 over its first value, {g1[0]:.3g} length²"
        ax.plot(time, g1 / g1[0], "s:", color=GREEN, ms=4, lw=1.2, label=label)
        _tell(ax, runs, time, g1 / g1[0], [f"g1 = {v:.4g} length², {v / g1[0]:.3g} times its first value" for v in g1])
        style.log_if_wide(ax, "y", g1 / g1[0])
    ax.set_ylabel("kernel numbers (1)")


def _strengths(runs: xr.Dataset, run: int, ax: Axes) -> None:
    drawn = []
    for name, label, colour, mark in (
        ("strength_r1", "set", BLACK, "-"),
        ("strength_advised", "advised", GREEN, "o--"),
        ("strength_edge", "edge of D's own steps", VERMILLION, "v:"),
    ):
        time, values = known(runs, name, run)
        if len(values):
            ax.plot(time, values, mark, color=colour, ms=4, lw=1.5, label=label)
            _tell(ax, runs, time, values, [f"R1 strength, {label}: {v:.4g} length²" for v in values])
            drawn.append(values)
    ax.set_ylabel("R1 strength (length²)")
    values = np.concatenate([*drawn, np.empty(0)])
    if not style.log_if_wide(ax, "y", values) and values.size:
        ax.set_ylim(0, 1.25 * values.max() or 1)


#: of each panel: what draws it, and the variables of which one must have been measured
PANELS: dict[str, tuple[Callable[[xr.Dataset, int, Axes], None], tuple[str, ...]]] = {
    "losses": (_losses, ("loss_discriminator", "loss_generator")),
    "moduli": (_moduli, ("multiplier_re",)),
    "angles": (_angles, ("multiplier_re",)),
    "path": (_path, ("path_angle",)),
    "kernel": (_kernel, ("kernel_g1", "kernel_share")),
    "strengths": (_strengths, ("strength_r1", "strength_advised")),
}
