"""The figure of training against averages over all of the past: powers of time, mode by mode."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from .. import given, style
from ..style import BLACK, BLUE, ORANGE, VERMILLION


@given.given(laws=given.POWERS)
@style.styled
def power_laws(laws: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Exponents of the elapsed time T with which each mode of the particles, and its average since the start, goes,
    against its squared frequency. Below 0 it shrinks; modes that grow faster than any power stand at the top.

    Where all of them do, exp(c T^power), the factor c is drawn instead.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        laws: variables (mode) of ``eg.power_laws``.

    Units:
        x: 1/step^2, of flows 1/time^2; y: a pure number (c: 1/step^power).

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.power_laws`` computes it; Eq. (65, uniform-powers).
    """
    ax = style.axes(ax)
    x, last = laws["stiffness"].values, laws["last"].values
    finite, unit = np.isfinite(last), laws["stiffness"].attrs.get("per", "step")
    if finite.any():
        for name, colour, marker, label in (
            ("last", BLUE, "o", "particles"), ("average", ORANGE, "s", "their average since the start"),
        ):  # fmt: skip
            y = laws[name].values
            ax.plot(x[finite], y[finite], marker, color=colour, ms=6, label=label)
            style.tell(ax, x[finite], y[finite], [f"squared frequency {a:.4g} per {unit}²: {label} go as T^{b:.4g}"
                                                  for a, b in zip(x[finite], y[finite], strict=True)])  # fmt: skip
        ax.axhline(0, color=BLACK, lw=1.2, ls="--", label="shrinks below, grows above")
        style.signed_scale(ax, "y", np.concatenate([last[finite], laws["average"].values[finite]]))
    if (~finite).any():
        rate, power = laws["growth_rate"].values, laws["growth_power"].values
        top = np.full(len(x), ax.get_ylim()[1]) if finite.any() else rate
        label = "grows faster than any power" if finite.any() else f"grows as exp(c T^{np.nanmax(power):.3g})"
        ax.plot(x[~finite], top[~finite], "^", color=VERMILLION, ms=8, label=label, clip_on=False)
        style.tell(ax, x[~finite], top[~finite], [
            f"squared frequency {a:.4g} per {unit}²: grows as exp({c:.4g} T^{p:.4g})"
            for a, c, p in zip(x[~finite], rate[~finite], power[~finite], strict=True)
        ])  # fmt: skip
    style.log_if_wide(ax, "x", x)
    what = "power of the elapsed time T (1)" if finite.any() else "factor c of the growth (1/step^power)"
    ax.set(xlabel=f"squared frequency (1/{unit}²)", ylabel=what)
    return style.finish(ax) if len(x) else style.note(ax, "no mode moves the particles")
