"""Figures of a real game: multipliers of a training step in the complex plane, and over a penalty's strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ...base.errors import InputError
from ...tables.penalties import strength_label
from .. import given, style
from ..style import BLACK, BLUE, FAINT, GREEN, GREY, ORANGE, PURPLE, VERMILLION

if TYPE_CHECKING:
    from ...games.density import Density
    from ...games.modes import Mode
    from ...games.result import GameSpectrum
    from ...games.scan import Scan

#: colour and marker of each kind of mode
KINDS = {
    "step too large": (VERMILLION, "X"),
    "edge of stability": (ORANGE, "P"),
    "rotation, growing": (PURPLE, "s"),
    "drift": (BLACK, "^"),
    "rotation, damped": (BLUE, "o"),
    "decay": (GREEN, "v"),
    "not resolved": (GREY, "D"),
}
#: area of a marker: of a mode all in the generator, and what the discriminator's share adds
AREA, MORE = 25.0, 110.0
#: smallest and largest part of all multipliers that a dot of the density stands for, and its areas
PARTS, DOTS = (1e-4, 0.1), (2.0, 60.0)
#: where all multipliers are as close to 1 as this, the plane is drawn around 1
CLOSE = 0.3


def check_spectrum(spectrum: object) -> None:
    """Raise InputError where it is something else, as the game itself."""
    from ...games.result import GameSpectrum

    if not isinstance(spectrum, GameSpectrum):
        raise InputError("spectrum", "be that of a game, game.spectrum()", type(spectrum).__name__)


@given.given(spectrum=given.GAME)
@style.styled
def game(spectrum: GameSpectrum, ax: Axes | None = None) -> Axes:
    """Multipliers per training step in the complex plane with the unit circle, in colours and markers by kind.

    Area: the discriminator's share of the mode. Hollow: not converged. Grey dots: where all multipliers lie, area by
    the part of them (quadrature). Outside the shaded disc modes grow.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        Real and imaginary part of a multiplier per training step, pure numbers.

    Raises:
        InputError: no spectrum of a game.

    Source:
        ``eg.Game.spectrum`` computes it; Eq. (114, frozen-adam).
    """
    check_spectrum(spectrum)
    ax = style.axes(ax, (6.4, 5.6))
    turn = np.linspace(0, 2 * np.pi, 400)
    ax.fill(np.cos(turn), np.sin(turn), color="#f1f5f9", zorder=0)
    ax.plot(np.cos(turn), np.sin(turn), color=BLACK, lw=1.2, ls="--")
    handles = [Line2D([], [], color=BLACK, lw=1.2, ls="--", label="unit circle: beyond it modes grow")]
    if (d := spectrum.density) is not None:
        weight = np.real(d.weights)
        shown = weight > PARTS[0]
        part = np.log(np.clip(weight[shown], *PARTS) / PARTS[0]) / np.log(PARTS[1] / PARTS[0])
        ax.scatter(d.re[shown], d.im[shown], s=DOTS[0] + (DOTS[1] - DOTS[0]) * part, c=GREY, lw=0, zorder=1)
        handles.append(Line2D([], [], color=GREY, marker="o", ls="", ms=5, label="all multipliers (quadrature)"))
    for name, (colour, marker) in KINDS.items():
        found = spectrum.of_kind(name)
        if not found:
            continue
        share = np.array([m.carried_D if np.isfinite(m.carried_D) else m.share_D for m in found])
        z = np.array([m.multiplier for m in found])
        rough = [not m.converged for m in found]
        faces = ["none" if r else colour for r in rough]
        area = AREA + MORE * np.nan_to_num(share, nan=0.5)
        texts = [_said(m, name) for m in found]
        for y in (z.imag, -z.imag):
            style.tell(ax, z.real, y, texts)
            ax.scatter(z.real, y, s=area, c=faces, edgecolors=colour, marker=marker, linewidths=1.2, zorder=3)
        label = f"{name} ({len(found)})"
        handles.append(Line2D([], [], color=colour, marker=marker, ls="", ms=7, label=label))
    ax.axhline(0, color=GREY, lw=0.6)
    ax.axvline(0, color=GREY, lw=0.6)
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlabel="Re z per training step", ylabel="Im z per training step")
    _frame(ax, spectrum.multipliers)
    if any(not m.converged for m in spectrum.modes):
        handles.append(Line2D([], [], color=GREY, marker="o", mfc="none", ls="", ms=7, label="hollow: not converged"))
    title = "larger marker: more of the mode in the discriminator" if spectrum.modes else ""
    return style.finish(ax, title, 2, handles)


def _said(m: Mode, name: str) -> str:
    """What a mode is, in one line."""
    z, share = m.multiplier, m.carried_D if np.isfinite(m.carried_D) else m.share_D
    turn = "" if z.imag == 0 else f", turned by {np.degrees(abs(np.angle(z))):.3g} degrees"
    part = f"; {100 * share:.3g} % in the discriminator" if np.isfinite(share) else ""
    return f"{name}: |z| = {abs(z):.6g} per training step{turn}{part}{'' if m.converged else '; not converged'}"


def _frame(ax: Axes, z: np.ndarray) -> None:
    """The unit circle and all modes; the part of it at 1 where all are so close to 1 that they would overlap."""
    far = float(np.abs(z - 1).max(initial=0.0))
    if 0 < far < CLOSE:
        ax.set(xlim=(1 - 1.25 * far, 1 + 1.25 * far), ylim=(-1.25 * far, 1.25 * far))
        return
    reach = max(1.1, float(np.abs(z.imag).max(initial=0.0)) * 1.1)
    left, right = (float(f(z.real, initial=b)) for f, b in ((np.min, -1.05), (np.max, 1.05)))
    pad = 0.06 * (right - left)
    ax.set_xlim(left - pad, right + pad)
    ax.set_ylim(-reach, reach)


@given.given(spectrum=given.SCAN)
@style.styled
def game_scan(spectrum: GameSpectrum | Scan, ax: Axes | None = None) -> Axes:
    """Modulus of the followed modes against the strength of a penalty, drawn where it can be trusted.

    Thick grey: the largest modulus of all multipliers seen, drift left out. Vertical: the present strength. Diamonds:
    where a mode comes into the unit circle, confirmed by products.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: strength in the unit of the penalty; y: factor per training step.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.Game.spectrum`` with ``scan`` computes it.
    """
    from ...games.scan import Scan

    s = spectrum if isinstance(spectrum, Scan) else spectrum.scan
    ax = style.axes(ax)
    if s is None:
        return style.note(ax, 'no scan over strengths was made (scan="r1")')
    ax.plot(s.strengths, s.largest, color=FAINT, lw=5, solid_capstyle="round", label="largest seen, without drift")
    from ...games.modes import kind

    start = int(np.searchsorted(s.strengths, s.now if s.now > 0 else s.strengths[0]))
    named: set[str] = set()
    for j in range(s.multipliers.shape[1]):
        z = np.where(s.trusted[:, j], s.multipliers[:, j], np.nan)
        if not np.isfinite(s.multipliers[start, j]):
            continue
        name = kind(complex(s.multipliers[start, j]))
        ax.plot(s.strengths, np.abs(z), color=KINDS[name][0], lw=1.6, label=None if name in named else f"{name}, now")
        named.add(name)
        _tell_scan(ax, s, np.flatnonzero(np.isfinite(z)), np.abs(z), name)
    ax.axhline(1, color=BLACK, ls="--", lw=1.2, label="unit circle: above it modes grow")
    if s.now > 0:
        ax.axvline(s.now, color=GREY, lw=1.0, ls=":", label="now")
    told = [c.strength for c in s.crossings if c.strength is not None]
    if told:
        ax.plot(told, [1.0] * len(told), "D", color=BLACK, ms=6, label="comes into the circle")
        said = [
            f"a mode comes into the unit circle at {s.penalty.upper()} = {v:.4g}, confirmed by products" for v in told
        ]
        style.tell(ax, told, [1.0] * len(told), said)
    style.log_if_wide(ax, "x", s.strengths)
    ax.set(xlabel=strength_label(s.penalty), ylabel="factor per training step, |z|")
    return style.finish(ax)


def _tell_scan(ax: Axes, s: Scan, at: np.ndarray, size: np.ndarray, name: str) -> None:
    at = at[:: max(1, -(-len(at) * s.multipliers.shape[1] // style.DENSE))]
    texts = [
        f"{s.penalty.upper()} = {s.strengths[i]:.4g}: |z| = {size[i]:.6g} per training step ({name}, now)" for i in at
    ]
    style.tell(ax, s.strengths[at], size[at], texts)


@given.given(spectrum=given.GAME)
@style.styled
def game_curvature(spectrum: GameSpectrum, ax: Axes | None = None) -> Axes:
    """Density of each player's own step times its curvature (P^1/2 H P^1/2), and from where on a step is too large.

    The horizontal axis is linear up to its first power of ten, some hundredth of the largest curvature, and logarithmic
    beyond; the vertical one is logarithmic.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: step times curvature, a pure number; y: part of all directions.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.Game.spectrum`` computes it; Eq. (115, step-edge).
    """
    ax = style.axes(ax)
    drawn = False
    for d, name, colour in (
        (spectrum.curvature_D, "discriminator", BLUE),
        (spectrum.curvature_G, "generator", ORANGE),
    ):
        if d is not None:
            _stems(ax, d, name, colour)
            drawn = True
    if not drawn:
        return style.note(ax, "no curvature was asked for")
    values = np.concatenate([d.re for d in (spectrum.curvature_D, spectrum.curvature_G) if d is not None])
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    low, high = int(np.floor(np.log10(top / 100))), int(np.ceil(np.log10(top)))
    ax.set_xscale("symlog", linthresh=10.0**low)
    right = 10.0 ** np.arange(low, high + 1)  # none within the linear part, where labels would meet
    ax.xaxis.set_major_locator(FixedLocator([*(-right[right <= -values.min(initial=0.0)]), 0.0, *right]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yscale("log")
    ax.set(xlabel="step times curvature (1)", ylabel="part of all directions")
    return style.finish(ax)


def _stems(ax: Axes, d: Density, name: str, colour: str) -> None:
    weights = np.maximum(np.real(d.weights), 1e-16)
    kept = weights > 1e-12
    ax.vlines(d.re[kept], weights[kept].min(initial=1.0) / 2, weights[kept], color=colour, lw=1.2, alpha=0.7)
    ax.plot(d.re[kept], weights[kept], "o", color=colour, ms=4.5, label=f"{name} ({d.probes} probe)")
    style.tell(ax, d.re[kept], weights[kept], [f"{name}: step times curvature {a:.4g}, part of all directions {b:.2g}"
                                               for a, b in zip(d.re[kept], weights[kept], strict=True)])  # fmt: skip
    if d.edge is not None and d.re.max() > d.edge / 5:
        ax.axvline(d.edge, color=colour, ls="--", lw=1.2, label=f"{name}: too large beyond {d.edge:.3g}")


__all__ = ["game", "game_curvature", "game_scan"]
