"""Figures over the strength of a penalty: what is left of what can move at the horizon, and the slowest decay rate."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ...predict.asymptotic import Fastest
from ...predict.left import WIDE, measured_part, part
from ...predict.regularizer import Regularizer
from ...tables.penalties import strength_field, strength_label
from .. import given, style
from ..style import BLACK, BLUE, GREEN, ORANGE, VERMILLION

#: the rate curve is drawn this far either side of the best strength
CURVE = 30.0
#: the curve of what is left at least this far; less than the smallest number is drawn as that
LEFT_SPAN, LEAST_SHOWN = 100.0, 1e-8


@given.given(regularizer=given.REGULARIZER, measured=given.LEFTS)
@style.styled
def left(
    regularizer: Regularizer,
    measured: xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    present: tuple[float, float] | None = None,
) -> Axes:
    """What training of the stated length leaves of what can move of a kick, against the strength of the penalty.

    Args:
        measured: ``moving`` and ``moving_stderr`` over ``strength``, from ``eg.sweep_left``.
        present: strength of the experiment as it is, and what is left there of what can move.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        measured: variables (strength).

    Units:
        x: strength in the unit of the penalty; y: rms displacement over the kick's, of what can move; a pure number.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.best_regularizer`` computes it; Eq. (27, left).
    """
    ax, r = style.axes(ax), regularizer
    span = r.span
    best = r.best if np.isfinite(r.best) else r.optimum
    centre = best or r.optimum or float(np.sqrt(r.strengths[0] * r.strengths[-1]))
    shown = [centre / LEFT_SPAN, centre * LEFT_SPAN]
    others = [*(measured["strength"].values if measured is not None else ()), *((present[0],) if present else ())]
    others = [x for x in others if x > 0]
    if r.edge is not None:  # what grows leaves the figure there
        shown[1] = min(shown[1], 1.5 * r.edge)
    shown = [min([shown[0], *others]), max([shown[1], *others])]
    drawn = shown[1] if r.edge is None else min(shown[1], r.edge)
    near = (r.strengths >= shown[0]) & (r.strengths <= drawn) & np.isfinite(r.movings)
    curve = np.maximum(r.movings[near], np.finfo(float).tiny)
    ax.plot(r.strengths[near], curve, "-", color=BLUE, lw=1.8, label="predicted (linear theory)")
    what, of = strength_field(r.penalty)[1], f"of what can move after {span}"
    said = [f"{what} = {s:.4g}: {part(m)} left {of} (predicted)" for s, m in zip(r.strengths[near], curve, strict=True)]
    style.tell(ax, r.strengths[near], curve, said)
    values = [*curve, r.moving]
    if np.isfinite(r.moving_without):
        values.append(r.moving_without)
        ax.axhline(r.moving_without, color=BLACK, lw=1, ls=":", label=f"without: {part(r.moving_without)} is left")
    if r.helps and r.high > r.low * WIDE:
        ax.axvspan(r.low, r.high, color=GREEN, alpha=0.18, lw=0, label="at most 1 % more is left")
    if r.helps and best > 0:
        ax.axvline(best, color=BLUE, ls="--", lw=1)
        ax.plot([best], [r.moving], "D", color=BLUE, ms=10, label=f"advice: {best:.3g}, {part(r.moving)} is left")
        style.tell(ax, [best], [r.moving], [f"advice: {what} = {best:.4g} leaves {part(r.moving)} after {span}"])
    if r.edge is not None and r.edge <= shown[1]:
        ax.axvline(r.edge, color=VERMILLION, lw=1.2, ls="-.", label=f"edge of stability: {r.edge:.3g}")
    if r.asymptotic.best and shown[0] <= r.asymptotic.best <= shown[1]:
        ax.axvline(r.asymptotic.best, color=BLACK, lw=0.8, ls=(0, (1, 3)),
                   label=f"best for a training without end: {r.asymptotic.best:.3g}")  # fmt: skip
    if measured is not None:
        x, y, error = (measured[n].values.astype(float) for n in ("strength", "moving", "moving_stderr"))
        good = np.isfinite(y) & (x > 0) & (y > 0)
        values += list(y[good])
        _points(ax, x[good], y[good], np.minimum(error, 0.9 * y)[good])
        style.tell(ax, x[good], y[good], [f"{what} = {a:.4g}: {measured_part(b, e)} left {of} (simulated)"
                                          for a, b, e in zip(x[good], y[good], error[good], strict=True)])  # fmt: skip
        _lost(ax, x[~np.isfinite(y) & (x > 0)], 0.97, "diverged or left equilibrium", what)
    if present is not None and present[0] > 0 and np.isfinite(present[1]):
        values.append(present[1])
        _present(ax, present, f"{part(present[1])} is left", what)
    known = [v for v in values if np.isfinite(v)] or [1.0]  # growth may be beyond all numbers
    top, low = min(max(known), 10.0), max(min(known), LEAST_SHOWN)
    ax.set(xscale="log", xlim=shown, xlabel=strength_label(r.penalty))
    ax.set(yscale="log", ylim=(low / 1.5, max(top, 1.0) * 1.6), ylabel=f"left {of}")
    return style.finish(ax)


@given.given(fastest=given.FASTEST, measured=given.RATES)
@style.styled
def rate_curve(
    fastest: Fastest,
    measured: xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    unit: str | None = None,
    present: tuple[float, float] | None = None,
) -> Axes:
    """Slowest decay rate against the strength of the penalty: predicted curve and best, simulated points.

    Args:
        measured: ``rate`` and ``rate_stderr`` over ``strength``, from ``eg.sweep_strength``.
        unit: of the rate; default: that of ``measured``.
        present: strength and rate of the experiment as it is.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        measured: variables (strength).

    Units:
        x: strength in the unit of the penalty; y: 1/time, of steps 1/step.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.fastest_strength`` computes it; Eq. (23, best-r1).
    """
    ax = style.axes(ax)
    unit = unit or (measured["rate"].attrs.get("units") if measured is not None else None) or "1/step or 1/time"
    best, rate = fastest.best or 0.0, fastest.rate
    strength, rates = _curve(fastest, measured)
    centre = best if best > 0 else float(np.sqrt(strength[0] * strength[-1]))
    ends = [centre / CURVE, centre * CURVE]
    if measured is not None and measured.sizes["strength"]:
        swept = np.append(measured["strength"].values, centre if present is None else present[0])
        ends = [swept[swept > 0].min(initial=centre) / 1.5, swept.max(initial=centre) * 1.5]
    near = (strength >= ends[0]) & (strength <= ends[1]) & np.isfinite(rates)
    ax.plot(strength[near], rates[near], "-", color=BLUE, lw=1.8, label="predicted (linear theory)")
    what = strength_field(fastest.penalty)[1]
    said = [f"{what} = {s:.4g}: slowest decay rate {v:.3g} {unit} (predicted)"
            for s, v in zip(strength[near], rates[near], strict=True)]  # fmt: skip
    style.tell(ax, strength[near], rates[near], said)
    if best > 0:
        ax.axvline(best, color=BLUE, ls="--", lw=1)
        ax.plot([best], [rate], "D", color=BLUE, ms=10, label=f"predicted best: {best:.4g}, rate {rate:.3g}")
        style.tell(ax, [best], [rate], [f"predicted best: {what} = {best:.4g}, rate {rate:.3g} {unit}"])
    else:
        ax.axhline(rate, color=BLUE, ls="--", lw=1, label=f"predicted best: strength 0, rate {rate:.3g}")
    top, low = rate, 0.0
    if measured is not None:
        x, y, error = (measured[n].values.astype(float) for n in ("strength", "rate", "rate_stderr"))
        good = np.isfinite(y) & (x > 0)
        error = np.nan_to_num(error)
        top = (y + error)[good].max(initial=top)
        low = y[good].min(initial=low)
        _points(ax, x[good], y[good], error[good])
        style.tell(ax, x[good], y[good], [f"{what} = {a:.4g}: rate {b:.3g} ± {e:.1g} {unit} (simulated)"
                                          for a, b, e in zip(x[good], y[good], error[good], strict=True)])  # fmt: skip
        _lost(ax, x[~good & (x > 0)], 0.03, "escaped, diverged or too short", what)
    if present is not None and present[0] > 0:
        low = min(low, present[1])
        outside = " (off scale)" if present[1] < -abs(top) / 3 else ""
        _present(ax, present, f"rate {present[1]:.3g}{outside}", what)
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set(xscale="log", xlim=ends, xlabel=strength_label(fastest.penalty))
    span = max(top, 0.0) - max(low, -abs(top) / 3) or 1.0
    ax.set_ylim(max(low, -abs(top) / 3) - 0.1 * span, max(top, 0.0) + 0.12 * span)
    ax.set_ylabel(f"slowest decay rate ({unit})")
    return style.finish(ax)


def _curve(fastest: Fastest, measured: xr.Dataset | None) -> tuple[np.ndarray, np.ndarray]:
    """Every predicted point there is, by strength: the scan, the best, the sweep's own."""
    strength, rates = list(fastest.strengths), list(fastest.rates)
    if fastest.best:
        strength.append(fastest.best)
        rates.append(fastest.rate)
    if measured is not None and "predicted_rate" in measured:
        strength += list(measured["strength"].values)
        rates += list(measured["predicted_rate"].values)
    x, y = np.array(strength, dtype=float), np.array(rates, dtype=float)
    x, first = np.unique(x, return_index=True)
    return x[x > 0], y[first][x > 0]


def _points(ax: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray) -> None:
    """Simulated points with their standard errors."""
    if len(x):
        ax.errorbar(x, y, yerr=error, fmt="o", color=VERMILLION, mfc="white", mew=1.5, ms=6, capsize=3, elinewidth=1.2,
                    label="simulated, 1 standard error")  # fmt: skip


def _lost(ax: Axes, x: np.ndarray, height: float, why: str, what: str) -> None:
    """Crosses at the strengths whose simulations measured nothing, at this part of the axes' height."""
    if len(x):
        ax.plot(x, np.full(len(x), height), "x", color=VERMILLION, ms=8, mew=2, clip_on=False,
                transform=ax.get_xaxis_transform(), label=f"simulated: {why}")  # fmt: skip
        texts = [f"{what} = {a:.4g}: simulated, {why}" for a in x]
        style.tell(ax, x, np.full(len(x), height), texts, ax.get_xaxis_transform())


def _present(ax: Axes, at: tuple[float, float], said: str, what: str) -> None:
    """The experiment as it is."""
    label = f"the experiment: {at[0]:.4g}, {said}"
    style.tell(ax, [at[0]], [at[1]], [f"the experiment as it is: {what} = {at[0]:.4g}, {said}"])
    ax.plot(*[[v] for v in at], "s", color=ORANGE, mec=BLACK, ms=8, label=label)
