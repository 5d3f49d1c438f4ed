"""Figures of a real generator: its measured kernel beside the two-number one, and its ratio among the thresholds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from ...advice.place import Place
from ...games.kernel import KernelNumbers
from .. import given, style
from ..style import BLACK, BLUE, GREEN, ORANGE, VERMILLION

#: columns between the two kernels, of their number of latents
GAP = 0.12


@given.given(numbers=given.NUMBERS)
@style.styled
def kernel(numbers: KernelNumbers, ax: Axes | None = None) -> Axes:
    """tr Theta_ij / d over pairs of latents as measured (left) and by the two numbers (right).

    The title says how much of the whole kernel, blocks included, these hold.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        Colours in units of g1; rows and columns are latents.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.kernel_numbers`` computes it; Eq. (1, generator-kernel).
    """
    ax = style.axes(ax, (7.6, 4.0))
    T, N = numbers.traces / numbers.g1, numbers.latents
    two = np.where(np.eye(N, dtype=bool), 1.0, numbers.ratio)
    between = np.full((N, max(1, round(GAP * N))), np.nan)
    size = max(1.0, float(np.nanquantile(np.abs(T), 0.995)))
    low = -size if min(T.min(), numbers.ratio) < 0 else 0.0
    colours = "RdBu_r" if low < 0 else "viridis"
    shown = ax.imshow(np.concatenate([T, between, two], axis=1), vmin=low, vmax=size, cmap=colours, aspect="equal")
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(shown, ax=ax, label="tr Theta / (d g1)", shrink=0.8)
    _tell_traces(ax, T, numbers, N + between.shape[1])
    ax.grid(False)
    ax.set_xticks([(N - 1) / 2, N + between.shape[1] + (N - 1) / 2], ["measured", "two numbers"])
    ax.set_yticks([])
    ax.set_ylabel(f"{N} latents")
    rest = f"{max(numbers.not_identity, 0):.0%} in blocks that are no multiples of the identity over the output"
    return style.finish(
        ax, f"ratio {numbers.ratio:.3g}; {numbers.share:.0%} of the whole kernel in two numbers, {rest}"
    )


def _tell_traces(ax: Axes, T: np.ndarray, numbers: KernelNumbers, offset: int) -> None:
    """What evenly spaced pairs of latents have, in both halves."""
    N = numbers.latents
    some = np.unique(np.linspace(0, N - 1, min(N, 10)).astype(int))
    i, j = (axis.ravel() for axis in np.meshgrid(some, some, indexing="ij"))
    said = [f"latents {a} and {b}: measured {T[a, b]:.3g}, by two numbers {1.0 if a == b else numbers.ratio:.3g}, in "
            f"units of g1" for a, b in zip(i, j, strict=True)]  # fmt: skip
    style.tell(ax, j, i, said)
    style.tell(ax, j + offset, i, said)


@given.given(found=given.PLACE)
@style.styled
def place(found: Place, ax: Axes | None = None) -> Axes:
    """The measured ratio with one standard error on the axis of kernel ratios, with the thresholds and what holds
    between them.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: ratio g2/g1, a pure number.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        ``eg.place`` computes it; Eq. (70, ratio-pencil).
    """
    ax = style.axes(ax, (7.6, 2.6))
    low, high = found.range
    edges = [low, *found.thresholds, high]
    stable = _stable_below(found)
    labels = {True: "stays at rest", False: "does not stay at rest"}
    for left, right in pairwise(edges):
        colour, hatch = (GREEN, None) if stable else (VERMILLION, "//")
        ax.axvspan(left, right, color=colour, alpha=0.22, lw=0, hatch=hatch, label=labels.pop(stable, None))
        stable = not stable
    for value in found.thresholds:
        ax.axvline(value, color=BLACK, lw=1.4)
        style.tell(ax, [value], [0.9], [f"threshold: kernel ratio {value:.4g}"])
        ax.annotate(f"{value:.3g}", (value, 0.93), xycoords=("data", "axes fraction"), ha="left", va="top",
                    xytext=(4, 0), textcoords="offset points")  # fmt: skip
    colour = BLUE if found.share >= 0.5 else ORANGE
    label = f"measured, {found.share:.0%} of the kernel in two numbers"
    ax.errorbar(max(found.ratio, low), 0.5, xerr=found.stderr, fmt="D", ms=8, capsize=4, color=colour, label=label)
    said = (
        f"measured kernel ratio {found.ratio:.4g} ± {found.stderr:.1g}; {found.share:.0%} of the kernel in two numbers"
    )
    style.tell(ax, [max(found.ratio, low)], [0.5], [said])
    ax.set(xlim=(low, high), ylim=(0, 1), xlabel="kernel ratio g2/g1", yticks=[])
    return style.finish(ax, "The spread state of the effective model")


def _stable_below(found: Place) -> bool:
    """Whether the spread state rests at the lower end of the range."""
    if not found.thresholds:
        return not found.margin > 0
    return found.unstable_side[0] == "above"


__all__ = ["kernel", "place"]
