"""Figures of a spectrum: eigenvalues in the complex plane, dispersion, damping ratios."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ...comparison.agreement import Agreement
from .. import given, style
from ..style import BLACK, BLUE, GREY, ORANGE, REGIMES, VERMILLION

#: imaginary parts below this part of the largest real one are drawn as zero
FLAT = 1e-6


@given.given(spectrum=given.SPECTRUM, agreement=given.AGREEMENT)
@style.styled
def eigenvalues(spectrum: xr.Dataset, agreement: Agreement | None = None, ax: Axes | None = None) -> Axes:
    """Predicted eigenvalues in the complex plane, measured ones with error bars, and the boundary of stability.

    Area grows with multiplicity; colour and marker tell the regime; modes that do not move the particles are hollow.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        spectrum: variables (mode) of ``eg.spectrum``.

    Units:
        Both axes in the unit of s: 1/time, of steps 1/step.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.spectrum`` and ``eg.compare`` compute it; Eq. (17, mode-roots).

    Examples:
        >>> import egan_theory as eg
        >>> ax = eg.plot.eigenvalues(eg.spectrum(eg.Experiment(target=eg.Ring(modes=4))))
        >>> len(ax.collections) > 0
        True
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
        for mask, face, label in (
            (here & (coupled != 0), colour, f"predicted, {name}"),
            (here & (coupled == 0), "none", f"{name}, particles at rest"),
        ):
            if mask.any():
                ax.scatter(re[mask], im[mask], s=area[mask], fc=face, ec=colour, marker=marker, lw=1, label=label)
    style.tell(ax, re[shown], im[shown], [_mode(spectrum, int(i)) for i in np.flatnonzero(shown)])
    measured = _measured(agreement)
    if measured:
        x, dx, y, dy = np.array([row for _, row in measured]).T
        texts = [f"measured {n}: s = {a:.4g} ± {da:.2g} {'+' if b >= 0 else '−'} {abs(b):.4g}i ± {db:.2g} {unit}"
                 for n, (a, da, b, db) in measured]  # fmt: skip
        style.tell(ax, x, y, texts)
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
    return style.finish(ax)


def _mode(spectrum: xr.Dataset, i: int) -> str:
    """What an eigenvalue is, in one line."""
    re, im, zeta, k = (
        float(spectrum[n].values[i]) for n in ("eigenvalue_re", "eigenvalue_im", "damping_ratio", "wavenumber")
    )
    count, unit = int(spectrum["multiplicity"].values[i]), spectrum["eigenvalue_re"].attrs["units"]
    parts = [f"{spectrum['regime'].values[i]}: s = {_complex(re, im)} {unit}"]
    parts += [f"damping ratio {zeta:.4g}"] if np.isfinite(zeta) else []
    parts += [f"wavenumber {k:.4g} per length"] if np.isfinite(k) else []
    parts += [f"multiplicity {count}"] if count > 1 else []
    parts += ["particles at rest"] if spectrum["coupled"].values[i] == 0 else []
    return ", ".join(parts)


def _complex(re: float, im: float) -> str:
    return f"{re:.4g}" if im == 0 else f"{re:.4g} {'+' if im > 0 else '−'} {abs(im):.4g}i"


def _measured(agreement: Agreement | None) -> list[tuple[str, tuple[float, float, float, float]]]:
    """(mode, (re, its error, im, its error)) of the quantities named s<k>.re, s<k>.im."""
    if agreement is None:
        return []
    named = {q.name: q for q in agreement.quantities}
    pairs = [(q, named.get(f"{name[:-3]}.im")) for name, q in named.items() if name.endswith(".re")]
    rows = [(q.name[:-3], (q.measured, q.stderr, i.measured, i.stderr)) for q, i in pairs if i is not None]
    return [(name, tuple(float(v) for v in np.nan_to_num(row))) for name, row in rows]  # type: ignore[misc]


@given.given(spectrum=given.SPECTRUM)
@style.styled
def dispersion(spectrum: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Decay rate -Re s and frequency |Im s| against wavenumber, for targets whose modes have one (periodic box).

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        spectrum: variables (mode) of ``eg.spectrum``.

    Units:
        x: 1/length; y: 1/time, of steps 1/step.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.spectrum`` computes it; Eq. (16, dispersion).
    """
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
        style.tell(ax, x, y, [f"k = {a:.4g} per length: {label} = {b:.4g} {unit}" for a, b in zip(x, y, strict=True)])
    if grows.any():
        x, y = _unique(k[grows], re[grows])
        ax.plot(x, y, "P", color=VERMILLION, ms=9, label="growth rate, Re s > 0: unstable")
        texts = [f"k = {a:.4g} per length: grows at {b:.4g} {unit}" for a, b in zip(x, y, strict=True)]
        style.tell(ax, x, y, texts)
    style.log_if_wide(ax, "y", np.concatenate([-re[decays], re[grows], frequency[turns]]))
    ax.set(xlabel="wavenumber k (1/length)", ylabel=f"rate and angular frequency ({unit})")
    return style.finish(ax) if seen.any() else style.note(ax, "the modes of this target have no wavenumber")


def _unique(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points without the repeats that conjugate pairs make."""
    points = np.unique(np.stack([x, y]), axis=1)
    return points[0], points[1]


@given.given(spectrum=given.SPECTRUM)
@style.styled
def damping_ratio(spectrum: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Damping ratio zeta of the coupled modes against wavenumber, or against |s| where modes have none.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Shapes:
        spectrum: variables (mode) of ``eg.spectrum``.

    Units:
        x: 1/length, or |s| in 1/time (1/step); y: a pure number.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.spectrum`` computes it; Eq. (18, damping-ratio).
    """
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
            at = np.flatnonzero(here)[np.unique(np.stack([x[here], zeta[here]]), axis=1, return_index=True)[1]]
            style.tell(ax, x[at], zeta[at], [f"damping ratio {zeta[i]:.4g}; {_mode(spectrum, int(i))}" for i in at])
    ax.axhline(1, color=BLACK, ls="--", lw=1.2, label="critical damping, ζ = 1")
    style.log_if_wide(ax, "x", x[chosen])
    style.log_if_wide(ax, "y", np.append(zeta[chosen], 1.0))
    ax.set(xlabel=label, ylabel="damping ratio ζ (1)")
    if not chosen.any():
        style.note(ax, "no mode has a damping ratio")
    return style.finish(ax)
