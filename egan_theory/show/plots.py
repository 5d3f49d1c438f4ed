"""Figures of predictions: eigenvalues, dispersion, damping, best strength; and the agreement table's rows.

Each function takes computed data and, optionally, axes, and returns the axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..comparison.agreement import Agreement, Quantity
from ..predict.asymptotic import Fastest
from ..predict.left import WIDE
from ..predict.regularizer import Regularizer
from ..tables.penalties import strength_field
from . import style
from .clouds import plot_cloud, plot_relaxation
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, REGIMES, VERMILLION
from .training import plot_losses

#: a quantity agrees within this many standard errors, or within this relative error
STANDARD_ERRORS, RELATIVE = 3.0, 0.01
#: the rate curve is drawn this far either side of the best strength
CURVE = 30.0
#: the curve of what is left at least this far; less than the smallest number is drawn as that
LEFT_SPAN, LEAST_SHOWN = 100.0, 1e-8
#: imaginary parts below this part of the largest real one are drawn as zero
FLAT = 1e-6


@style.styled
def plot_eigenvalues(spectrum: xr.Dataset, agreement: Agreement | None = None, ax: Axes | None = None) -> Axes:
    """Predicted eigenvalues in the complex plane, measured ones with error bars, and the boundary of stability.

    Area grows with multiplicity; colour and marker tell the regime; modes that do not move the particles are faint.
    """
    ax = style.axes(ax)
    re, im, count, regime, coupled = (
        spectrum[n].values for n in ("eigenvalue_re", "eigenvalue_im", "multiplicity", "regime", "coupled")
    )
    unit = spectrum["eigenvalue_re"].attrs["units"]
    shown = np.isfinite(re) & np.isfinite(im)
    area = 45.0 * (1 + np.log2(np.maximum(count, 1)) / 2)
    for name, (colour, marker) in REGIMES.items():
        here = shown & (regime == name)
        for mask, alpha, label in (
            (here & (coupled != 0), 0.85, f"predicted, {name}"),
            (here & (coupled == 0), 0.3, f"{name}, particles at rest"),
        ):
            if mask.any():
                ax.scatter(re[mask], im[mask], s=area[mask], c=colour, marker=marker, alpha=alpha, lw=0, label=label)
    measured = _measured(agreement)
    if measured:
        x, dx, y, dy = np.array(measured).T
        ax.errorbar(
            x, y, xerr=dx, yerr=dy, fmt="x", color=BLACK, ms=9, mew=1.2, elinewidth=1, capsize=2, capthick=1, zorder=4,
            label="measured, 1 standard error",
        )  # fmt: skip
        re, im = np.append(re, x), np.append(im, y)
    drawn = np.isfinite(re) & np.isfinite(im)
    style.signed_scale(ax, "x", re[drawn])
    if np.abs(im[drawn]).max(initial=0) < FLAT * np.abs(re[drawn]).max(initial=0):
        ax.set_ylim(*(np.abs(re[drawn]).max() * np.array([-0.5, 0.5])))  # all real: error bars must not set the scale
    else:
        style.signed_scale(ax, "y", im[drawn])
    ax.axvline(0, color=BLACK, lw=1.2, ls="--", label="boundary of stability")
    ax.axhline(0, color=GREY, lw=0.6)
    ax.margins(0.08)
    left, right = ax.get_xlim()
    if right > 0:
        ax.axvspan(0, right, color=VERMILLION, alpha=0.08, lw=0, label="unstable")
        ax.set_xlim(left, right)
    hidden = int((~shown).sum())
    ax.set_xlabel(f"Re s ({unit})" + (f"; {hidden} modes at minus infinity are not shown" if hidden else ""))
    ax.set_ylabel(f"Im s ({unit})")
    if count[shown].max(initial=1) > 1:
        ax.scatter([], [], s=area[shown].max(), c=GREY, lw=0, label=f"largest area: multiplicity {count[shown].max()}")
    if not shown.any():
        style.note(ax, "no modes other than zero modes")
    style.finish(ax)
    return ax


def _measured(agreement: Agreement | None) -> list[tuple[float, float, float, float]]:
    """(re, its error, im, its error) of the quantities named s<k>.re, s<k>.im."""
    if agreement is None:
        return []
    named = {q.name: q for q in agreement.quantities}
    pairs = [(q, named.get(f"{name[:-3]}.im")) for name, q in named.items() if name.endswith(".re")]
    rows = [(q.measured, q.stderr, i.measured, i.stderr) for q, i in pairs if i is not None]
    return [tuple(float(v) for v in row) for row in np.nan_to_num(rows)] if rows else []  # type: ignore[misc]


@style.styled
def plot_dispersion(spectrum: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Decay rate -Re s and frequency |Im s| against wavenumber, for targets whose modes have one (periodic box)."""
    ax = style.axes(ax)
    k, re = spectrum["wavenumber"].values, spectrum["eigenvalue_re"].values
    frequency = np.abs(spectrum["eigenvalue_im"].values)
    unit = spectrum["eigenvalue_re"].attrs["units"]
    seen = np.isfinite(k) & np.isfinite(re)
    decays, grows, turns = seen & (re < 0), seen & (re > 0), seen & (frequency > 0)
    for mask, values, colour, marker, label in (
        (decays, -re, BLUE, "o", "decay rate, −Re s"),
        (turns, frequency, ORANGE, "s", "frequency, |Im s|"),
    ):
        x, y = _unique(k[mask], values[mask])
        ax.plot(x, y, marker, color=colour, ms=6, label=label)
    if grows.any():
        ax.plot(*_unique(k[grows], re[grows]), "P", color=VERMILLION, ms=9, label="growth rate, Re s > 0: unstable")
    style.log_if_wide(ax, "y", np.concatenate([-re[decays], re[grows], frequency[turns]]))
    ax.set_xlabel("wavenumber k (1/length)")
    ax.set_ylabel(f"rate and angular frequency ({unit})")
    if seen.any():
        style.finish(ax)
    else:
        style.note(ax, "the modes of this target have no wavenumber")
    return ax


def _unique(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points without the repeats that conjugate pairs make."""
    points = np.unique(np.stack([x, y]), axis=1)
    return points[0], points[1]


@style.styled
def plot_damping_ratio(spectrum: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Damping ratio zeta of the coupled modes against wavenumber, or against |s| where modes have none."""
    ax = style.axes(ax)
    k, zeta, regime = (spectrum[n].values for n in ("wavenumber", "damping_ratio", "regime"))
    unit = spectrum["eigenvalue_re"].attrs["units"]
    chosen = np.isfinite(zeta) & (spectrum["coupled"].values != 0)
    if np.isfinite(k[chosen]).any():
        x, label = k, "wavenumber k (1/length)"
    else:
        x = np.hypot(spectrum["eigenvalue_re"].values, spectrum["eigenvalue_im"].values)
        label = f"|s| ({unit}), the natural frequency of an oscillating mode"
    chosen &= np.isfinite(x)
    for name, (colour, marker) in REGIMES.items():
        here = chosen & (regime == name)
        if here.any():
            ax.plot(*_unique(x[here], zeta[here]), marker, color=colour, ms=7, label=name)
    ax.axhline(1, color=BLACK, ls="--", lw=1.2, label="critical damping, ζ = 1")
    style.log_if_wide(ax, "x", x[chosen])
    style.log_if_wide(ax, "y", np.append(zeta[chosen], 1.0))
    ax.set_xlabel(label)
    ax.set_ylabel("damping ratio ζ (1)")
    if not chosen.any():
        style.note(ax, "no mode has a damping ratio")
    style.finish(ax)
    return ax


@style.styled
def plot_left(
    regularizer: Regularizer,
    measured: xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    present: tuple[float, float] | None = None,
) -> Axes:
    """What training of the stated length leaves of a kick, against the strength of the penalty.

    measured: ``moving`` and ``moving_stderr`` over ``strength``. present: strength of the experiment as it is, and what
    is left there of what can move.
    """
    ax, r = style.axes(ax), regularizer
    span = f"{r.horizon:g} {r.unit}"
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
    values = [*curve, r.moving]
    if np.isfinite(r.moving_without):
        values.append(r.moving_without)
        ax.axhline(r.moving_without, color=BLACK, lw=1, ls=":", label=f"without: {r.moving_without:.3g} is left")
    if r.helps and r.high > r.low * WIDE:
        ax.axvspan(r.low, r.high, color=GREEN, alpha=0.18, lw=0, label="at most 1 % more is left")
    if r.helps and best > 0:
        ax.axvline(best, color=BLUE, ls="--", lw=1)
        ax.plot([best], [r.moving], "D", color=BLUE, ms=10, label=f"advice: {best:.3g}, {r.moving:.3g} is left")
    if r.edge is not None and r.edge <= shown[1]:
        ax.axvline(r.edge, color=VERMILLION, lw=1.2, ls="-.", label=f"edge of stability: {r.edge:.3g}")
    if r.asymptotic.best and shown[0] <= r.asymptotic.best <= shown[1]:
        ax.axvline(r.asymptotic.best, color=BLACK, lw=0.8, ls=(0, (1, 3)),
                   label=f"best for a training without end: {r.asymptotic.best:.3g}")  # fmt: skip
    if measured is not None:
        x, y, error = (measured[n].values.astype(float) for n in ("strength", "moving", "moving_stderr"))
        good = np.isfinite(y) & (x > 0) & (y > 0)
        if good.any():
            values += list(y[good])
            ax.errorbar(x[good], y[good], yerr=np.minimum(error, 0.9 * y)[good], fmt="o", color=VERMILLION, mfc="white",
                        mew=1.5, ms=6, capsize=3, elinewidth=1.2, label="simulated, 1 standard error")  # fmt: skip
        lost = x[~np.isfinite(y) & (x > 0)]
        if len(lost):
            ax.plot(lost, np.full(len(lost), 0.97), "x", color=VERMILLION, ms=8, mew=2, clip_on=False,
                    transform=ax.get_xaxis_transform(), label="simulated: diverged or left equilibrium")  # fmt: skip
    if present is not None and present[0] > 0 and np.isfinite(present[1]):
        values.append(present[1])
        ax.plot(*[[v] for v in present], "s", color=ORANGE, mec=BLACK, ms=8,
                label=f"the experiment: {present[0]:.4g}, {present[1]:.3g} is left")  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(shown[0], shown[1])
    top, low = min(max(values), 10.0), max(min(values), LEAST_SHOWN)
    ax.set_yscale("log")
    ax.set_ylim(low / 1.5, max(top, 1.0) * 1.6)
    ax.set_xlabel(f"strength of {strength_field(r.penalty)[1]}")
    ax.set_ylabel(f"part of a kick left after {span}")
    style.finish(ax)
    return ax


@style.styled
def plot_rate_curve(
    fastest: Fastest,
    measured: xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    unit: str | None = None,
    present: tuple[float, float] | None = None,
) -> Axes:
    """Slowest decay rate against the strength of the penalty: predicted curve and best, simulated points.

    measured: ``rate`` and ``rate_stderr`` over ``strength``. present: strength and rate of the experiment as it is.
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
    if best > 0:
        ax.axvline(best, color=BLUE, ls="--", lw=1)
        ax.plot([best], [rate], "D", color=BLUE, ms=10, label=f"predicted best: {best:.4g}, rate {rate:.3g}")
    else:
        ax.axhline(rate, color=BLUE, ls="--", lw=1, label=f"predicted best: strength 0, rate {rate:.3g}")
    top, low = rate, 0.0
    if measured is not None:
        x, y, error = (measured[n].values.astype(float) for n in ("strength", "rate", "rate_stderr"))
        good = np.isfinite(y) & (x > 0)
        if good.any():
            ax.errorbar(
                x[good], y[good], yerr=np.nan_to_num(error[good]), fmt="o", color=VERMILLION, mfc="white", mew=1.5,
                ms=6, capsize=3, elinewidth=1.2, label="simulated, 1 standard error",
            )  # fmt: skip
            top = max(top, (y + np.nan_to_num(error))[good].max())
            low = min(low, y[good].min())
        if np.any(~good & (x > 0)):
            lost = x[~good & (x > 0)]
            ax.plot(lost, np.full(len(lost), 0.03), "x", color=VERMILLION, ms=8, mew=2, clip_on=False,
                    transform=ax.get_xaxis_transform(), label="simulated: escaped, diverged or too short")  # fmt: skip
    if present is not None and present[0] > 0:
        low = min(low, present[1])
        outside = " (off scale)" if present[1] < -abs(top) / 3 else ""
        ax.plot(*[[v] for v in present], "s", color=ORANGE, mec=BLACK, ms=8,
                label=f"the experiment: {present[0]:.4g}, rate {present[1]:.3g}{outside}")  # fmt: skip
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_xscale("log")
    ax.set_xlim(ends[0], ends[1])
    span = max(top, 0.0) - max(low, -abs(top) / 3) or 1.0
    ax.set_ylim(max(low, -abs(top) / 3) - 0.1 * span, max(top, 0.0) + 0.12 * span)
    ax.set_xlabel(f"strength of {strength_field(fastest.penalty)[1]}")
    ax.set_ylabel(f"slowest decay rate ({unit})")
    style.finish(ax)
    return ax


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


def agrees(quantity: Quantity) -> bool:
    """Whether prediction and measurement agree within 3 standard errors or 1 %."""
    return bool(abs(quantity.z) <= STANDARD_ERRORS or quantity.relative_error <= RELATIVE)


def agreement_table(agreement: Agreement) -> list[dict[str, Any]]:
    """Rows for a page: name, units, note, the numbers as text, and ``agrees``."""
    formats = {"predicted": ".6g", "measured": ".6g", "stderr": ".2g", "z": ".2f", "relative_error": ".2g"}
    rows = []
    for q in agreement.quantities:
        row: dict[str, Any] = {"name": q.name, "units": q.units, "note": q.note, "agrees": agrees(q)}
        for name, form in formats.items():
            value = float(getattr(q, name))
            row[name] = format(value, form) if np.isfinite(value) else "none"
        rows.append(row)
    return rows


__all__ = [
    "agreement_table",
    "agrees",
    "plot_cloud",
    "plot_damping_ratio",
    "plot_dispersion",
    "plot_eigenvalues",
    "plot_left",
    "plot_losses",
    "plot_rate_curve",
    "plot_relaxation",
]
