"""Figures of recorded runs: the particles against their target, how far from it they are over time, and the losses
that a training loop logged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from scipy.spatial import cKDTree

from ...comparison.agreement import Agreement
from ...runs.outcome import UNKNOWN, Outcome, have_left, known_outcomes
from ...runs.positions import with_positions
from .. import given, style
from ..own import origin
from ..style import BLACK, BLUE, GREEN, ORANGE, OUTCOME_LINES, PURPLE, SKY

#: displacements below this part of the target's size are magnified to be seen
SMALL = 0.02
#: ... until the largest is this part of the smallest distance between target points
SHOWN = 0.45
#: trajectories drawn in one dimension
TRAJECTORIES = 64
#: drawn for each snapshot, in order: colour and marker
SNAPSHOTS = ((ORANGE, "o"), (BLUE, "^"), (GREEN, "s"), (PURPLE, "v"), (SKY, "D"))
#: losses this many times larger than nine tenths of them need a logarithmic axis
BURST = 1e3
PLAYERS = (("discriminator", BLUE, "-"), ("generator", ORANGE, "--"))


@given.given(runs=given.RUNS)
@style.styled
def cloud(runs: xr.Dataset, ax: Axes | None = None, run: int = 0, times: Sequence[float] | None = None) -> Axes:
    """Particles of one run against the target.

    One coordinate: trajectories. More: snapshots of the first two. Displacements from the target points too small to be
    seen are magnified; the title states the factor, and the run's outcome.

    Args:
        run: which of the runs.
        times: of the snapshots (default: first and last finite sample).

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        runs: particles (run, time, particle, component), target (point, component) of the run schema.

    Units:
        Positions in lengths; times in steps, of flows in units of time.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.simulate`` computes it, or what a training loop recorded.
    """
    x = with_positions(runs)["particles"].transpose("run", "time", "particle", "component").values[run]
    time, unit = runs["time"].values, runs["time"].attrs.get("units", "step")
    finite = np.flatnonzero(np.isfinite(x).all(axis=(1, 2)))
    one = x.shape[2] == 1
    ax = style.axes(ax, style.SIZE if one else (6.4, 6.0))
    if not len(finite):
        return style.note(ax, "no finite sample")
    shown = finite if one else _nearest(time, finite, times)
    x, factor = _magnified(runs, x[shown])
    code = known_outcomes(runs)[run]
    notes = [f"run {run}" + ("" if code in (UNKNOWN, Outcome.DIVERGED) else f": {Outcome(code).word}")]
    if factor != 1:
        notes.append(f"displacements from the target points magnified {factor:g} times")
    if code == Outcome.DIVERGED:
        notes.append(f"diverged after {unit} {time[finite[-1]]:g}")
    if one:
        _trajectories(ax, runs, time[shown], x[:, :TRAJECTORIES, 0], unit)
        if x.shape[1] > TRAJECTORIES:
            notes.append(f"{TRAJECTORIES} of {x.shape[1]} particles")
    else:
        _snapshots(ax, runs, time[shown], x[..., :2], unit)
        if factor != 1:  # the ticks hold for target points alone
            for axis, i in ((ax.set_xlabel, 1), (ax.set_ylabel, 2)):
                axis(f"coordinate {i} of target points (length)")
        if x.shape[2] > 2:
            notes.append(f"first two of {x.shape[2]} coordinates")
    return style.finish(ax, "; ".join(notes), columns=3)


def _nearest(time: np.ndarray, finite: np.ndarray, times: Sequence[float] | None) -> np.ndarray:
    if times is None:
        return np.unique(finite[[0, -1]])
    return np.unique([finite[np.argmin(np.abs(time[finite] - t))] for t in times])


def _magnified(runs: xr.Dataset, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Positions with displacements from the target points times 1, 2 or 5 x 10^n, and that factor."""
    if "assignment" not in runs or "target" not in runs:
        return x, 1.0
    target = runs["target"].transpose("point", "component").values
    home = target[runs["assignment"].values]
    largest = float(np.sqrt(((x - home) ** 2).sum(-1)).max())
    distance = _spacing(target)
    if not 0 < largest < SMALL * distance:
        return x, 1.0
    wanted = SHOWN * distance / largest
    decade = 10.0 ** np.floor(np.log10(wanted))
    factor = max(m for m in (1, 2, 5) if m <= wanted / decade * (1 + 1e-9)) * decade
    return home + factor * (x - home), float(factor)


def _spacing(target: np.ndarray) -> float:
    """Smallest distance between two target points; 1 for a single one."""
    if len(target) < 2:
        return 1.0
    return float(cKDTree(target).query(target, k=2)[0][:, 1].min()) or 1.0


def _trajectories(ax: Axes, runs: xr.Dataset, time: np.ndarray, x: np.ndarray, unit: str) -> None:
    if "target" in runs:
        for i, level in enumerate(runs["target"].values[:, 0]):
            ax.axhline(level, color=BLACK, lw=0.8, ls=":", label=None if i else "target points", zorder=1)
    lines = LineCollection(
        [np.stack([time, column], axis=1) for column in x.T],
        colors=BLUE, lw=1.0, alpha=0.7, label="particles",
    )  # fmt: skip
    ax.add_collection(lines)
    every = max(1, -(-x.size // style.DENSE))
    for i, column in enumerate(x.T):
        texts = [f"particle {i} at {unit} {t:g}: x = {v:.4g} (length)" for t, v in zip(time, column, strict=True)]
        style.tell(ax, time[::every], column[::every], texts[::every])
    ax.plot(np.full(x.shape[1], time[0]), x[0], "o", color=ORANGE, mec=BLACK, mew=0.5, ms=5, label="start", zorder=4)
    ax.autoscale_view()
    ax.set(xlabel=style.per(unit), ylabel="position x (length)")


def _snapshots(ax: Axes, runs: xr.Dataset, time: np.ndarray, x: np.ndarray, unit: str) -> None:
    for i, (t, points) in enumerate(zip(time, x, strict=True)):
        colour, marker = SNAPSHOTS[i % len(SNAPSHOTS)]
        name = "start, " if i == 0 else "end, " if i == len(time) - 1 else ""
        ax.plot(points[:, 0], points[:, 1], marker, color=colour, mec=BLACK, mew=0.3, ms=6, alpha=0.75,
                label=f"particles, {name}{unit} {t:g}")  # fmt: skip
        style.tell(ax, points[:, 0], points[:, 1], [f"particle {p} at {unit} {t:g}: ({a:.4g}, {b:.4g}) as drawn"
                                                    for p, (a, b) in enumerate(points)])  # fmt: skip
    if "target" in runs:
        target = runs["target"].values
        ax.plot(target[:, 0], target[:, 1], "+", color=BLACK, ms=13, mew=1.8, label="target points", zorder=4)
        style.tell(ax, target[:, 0], target[:, 1], [f"target point {p}: ({v[0]:.4g}, {v[1]:.4g}) (length)"
                                                    for p, v in enumerate(target)])  # fmt: skip
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xlabel="coordinate 1 (length)", ylabel="coordinate 2 (length)")


@given.given(runs=given.RUNS, agreement=given.AGREEMENT, laws=given.POWERS)
@style.styled
def relaxation(
    runs: xr.Dataset, ax: Axes | None = None, agreement: Agreement | None = None, laws: xr.Dataset | None = None
) -> Axes:
    """Rms distance from equilibrium against time, one line per run, on a logarithmic scale.

    Kicked runs: of the centre of mass of each target point's particles, because how particles that share a point are
    spread about it has no first-order effect on the discriminator, and does not decay. Otherwise: of every particle
    from the nearest target point. Colour and dashes tell what became of a run; a line ends where its run diverged. The
    slope drawn is the predicted rate of the slowest visible mode, from the agreement; with ``laws`` (powers of time, of
    training against averages over all of the past) the time is elapsed time on a logarithmic scale, and what is drawn
    is the law of the slowest mode, or the fastest growing one, from its onset on.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        runs: particles (run, time, particle, component), target (point, component) of the run schema.

    Units:
        x: steps, or time of flows; y: length.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.simulate`` and ``eg.compare`` compute it; Eq. (37, finite-modes).
    """
    ax = style.axes(ax)
    time, unit = runs["time"].values, runs["time"].attrs.get("units", "step")
    if laws is not None:
        time = time + 1.0  # the start counts as one
    distance, label = distance_of(with_positions(runs))
    codes = known_outcomes(runs)
    for i, row in enumerate(distance):
        good = np.isfinite(row) & (row > 0)
        code = codes[i]
        colour, dash = (BLUE, "-") if code == UNKNOWN else OUTCOME_LINES[Outcome(code)]
        first = i == np.flatnonzero(codes == code)[0]
        count = int((codes == code).sum())
        what = "" if code == UNKNOWN else f", {Outcome(code).word}"
        ends = " (cross: last finite sample)" if code == Outcome.DIVERGED else ""
        name = f"{count} {origin(runs)} run{'s' * (count != 1)}{what}{ends}" if first else None
        ax.plot(time[good], row[good], ls=dash, color=colour, lw=1.2, alpha=0.9, label=name)
        at = np.flatnonzero(good)[:: max(1, -(-int(good.sum()) * len(distance) // style.DENSE))]
        style.tell(ax, time[at], row[at], [f"run {i}{what}: {unit} {t:g}, rms distance {v:.3g} (length)"
                                           for t, v in zip(time[at], row[at], strict=True)])  # fmt: skip
        if ends and good.any():
            last = np.flatnonzero(good)[-1]
            ax.plot(time[last], row[last], "x", color=colour, ms=8, mew=2)
    whole = distance[~have_left(codes)]
    if laws is not None:
        _law(ax, laws, time, whole)
        ax.set(xscale="log", yscale="log", xlabel=f"elapsed {style.per(unit)}", ylabel="rms distance (length)")
        return style.finish(ax, label)
    rate = _slowest(agreement)
    if rate is not None and len(whole):
        # a guide for the eye: over the highest late sample, falling at the predicted rate
        half = time >= (time[0] + time[-1]) / 2
        late = time[half]
        height = np.max(np.log(np.maximum(whole[:, half], 1e-300)) + rate[0] * late) - rate[0] * late
        ax.plot(late, np.exp(height), color=BLACK, ls="--", lw=2, label=f"predicted slope, {rate[0]:.4g} {rate[1]}")
    ax.set(yscale="log", xlabel=style.per(unit), ylabel="rms distance (length)")
    return style.finish(ax, label)


def _law(ax: Axes, laws: xr.Dataset, time: np.ndarray, distance: np.ndarray) -> None:
    """The law of the first mode, over the highest late sample."""
    if not laws.sizes["mode"] or not len(distance):
        return
    law = {n: float(laws[n].values[0]) for n in ("last", "onset", "growth_rate", "growth_power")}
    late = time >= law["onset"]
    if late.sum() < 2:
        return
    grows = not np.isfinite(law["last"])
    with np.errstate(invalid="ignore"):
        shape = law["growth_rate"] * time ** law["growth_power"] if grows else law["last"] * np.log(time)
        half = time >= np.sqrt(time[late][0] * time[-1])
        seen = np.log(np.where(distance[:, half] > 0, distance[:, half], np.nan))
    name = f"exp({law['growth_rate']:.3g} T^{law['growth_power']:.3g})" if grows else f"T^{law['last']:.3g}"
    if np.isfinite(seen).any():
        height = np.nanmax(seen - shape[half])
        ax.plot(time[late], np.exp(height + shape[late]), color=BLACK, ls="--", lw=2, label=f"predicted, {name}")


def _slowest(agreement: Agreement | None) -> tuple[float, str] | None:
    """Predicted decay rate of the slowest visible mode, and its unit."""
    for q in agreement.quantities if agreement is not None else ():
        if q.name in ("rate", "s1.re"):
            return q.predicted if q.name == "rate" else -q.predicted, q.units
    return None


def distance_of(runs: xr.Dataset) -> tuple[np.ndarray, str]:
    """(run, time) rms distance, and of what."""
    x = runs["particles"].transpose("run", "time", "particle", "component").values
    if "target" not in runs:
        return np.sqrt(((x - x[:, -1:]) ** 2).sum(-1).mean(-1)), "particles from where they end"
    target = runs["target"].transpose("point", "component").values
    if "assignment" not in runs:
        tree, out = cKDTree(target), np.full(x.shape[:2], np.nan)
        for at in np.argwhere(np.isfinite(x).all(axis=(2, 3))):
            out[tuple(at)] = np.sqrt(np.mean(tree.query(x[tuple(at)])[0] ** 2))
        return out, "particles from the nearest target point"
    home = runs["assignment"].values
    mass = runs["mass"].values if "mass" in runs else np.ones(len(home))
    held = np.unique(home)
    share = np.where(home == held[:, None], mass, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    moved = np.einsum("pn,rtnc->rtpc", share, x - target[home])
    alone = len(held) == len(home)
    what = "particles" if alone else "centre of mass of the particles at each target point,"
    return np.sqrt((moved**2).sum(-1).mean(-1)), f"{what} from {'their target points' if alone else 'that point'}"


def has_losses(runs: xr.Dataset) -> bool:
    """Whether a loss of either player was recorded at some sample."""
    names = [f"loss_{player}" for player, *_ in PLAYERS]
    return any(name in runs and bool(np.isfinite(runs[name].values).any()) for name in names)


@given.given(runs=given.RUNS)
@style.styled
def losses(runs: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Recorded losses against time, one line per run and player; samples without a loss are bridged.

    Where a few are far larger than the rest, the axis is logarithmic beyond the rest, on both sides of zero.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        runs: loss_discriminator (run, time), loss_generator (run, time) of the run schema.

    Units:
        x: steps, or what the log counts; y: losses as logged.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        none, it draws what was logged.
    """
    ax = style.axes(ax)
    time, unit = runs["time"].values, runs["time"].attrs.get("units", "step")
    drawn = []
    for player, colour, dash in PLAYERS:
        name = f"loss_{player}"
        if name not in runs:
            continue
        rows = runs[name].transpose("run", "time").values
        for i, row in enumerate(rows):
            known = np.isfinite(row)
            label = None if i else f"{player}, {len(rows)} run{'s' * (len(rows) != 1)}"
            ax.plot(time[known], row[known], dash, color=colour, lw=1.2, alpha=0.9, label=label)
            at = np.flatnonzero(known)[:: max(1, -(-2 * int(known.sum()) * len(rows) // style.DENSE))]
            texts = [f"{player}, run {i}: {unit} {t:g}, loss {v:.4g}" for t, v in zip(time[at], row[at], strict=True)]
            style.tell(ax, time[at], row[at], texts)
            drawn.append(row[known])
    values = np.concatenate([*drawn, np.empty(0)])
    size = np.abs(values)
    if len(size) and size.max() > BURST * (most := np.quantile(size, 0.9)):
        style.signed_scale(ax, "y", values[size >= most])
    ax.set(xlabel=style.per(unit), ylabel="loss (1)")
    return style.finish(ax) if has_losses(runs) else style.note(ax, "no losses were recorded")
