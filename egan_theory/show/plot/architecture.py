"""Figure of the kernel ratio of generator networks against their depth."""

from __future__ import annotations

from matplotlib.axes import Axes

from ...base.errors import InputError
from ...kernels.wide.depth import depth_limit
from ...kernels.wide.universality import every_activation, kernel_numbers
from ...tables.architecture import GeneratorArchitecture
from .. import given, panel, style
from ..style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

#: depths of the curve
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@given.given(arch=given.ARCHITECTURE)
@style.styled
def universality(arch: GeneratorArchitecture | None, ax: Axes | None = None) -> Axes:
    """Kernel ratio against depth for the architecture, or for every activation, with the limits as ticks at the right.

    Returns:
        The axes drawn on: ``ax``, or those of a new figure.

    Units:
        x: hidden layers; y: ratio g2/g1, a pure number.

    Raises:
        InputError: for anything but what it draws, or an ``ax`` that is no Axes.

    Source:
        Eq. (97, kernel-numbers), Eq. (98, depth-slope).
    """
    ax = style.axes(ax, (7.6, 4.6))
    chosen = GeneratorArchitecture() if arch is None else arch
    names = every_activation(chosen) if arch is None else {chosen.activation: chosen}
    colours = (BLUE, SKY, GREEN, ORANGE, PURPLE, VERMILLION, BLACK, GREY, "#8c6d31")
    for (name, a), colour, marker in zip(names.items(), colours, "os^vDPX<>", strict=False):
        depths, ratios = [], []
        for depth in DEPTHS:
            try:
                ratios.append(kernel_numbers(a.model_copy(update={"depth": depth})).ratio)
            except InputError:  # beyond the range of doubles
                break
            depths.append(depth)
        style.tell(ax, depths, ratios, [f"{name}, {n} hidden layers: kernel ratio {r:.4g}"
                                        for n, r in zip(depths, ratios, strict=True)])  # fmt: skip
        limit = depth_limit(a).ratio
        ax.plot(depths, ratios, marker=marker, ms=4, lw=1.3, color=colour, label=name)
        if limit is not None:
            ax.plot([DEPTHS[-1] * 1.25], [limit], marker="_", ms=12, mew=2, color=colour, clip_on=False)
            style.tell(ax, [DEPTHS[-1] * 1.25], [limit], [f"{name}, at great depth: {limit:.4g}"], ax.transData)
    ax.set(xscale="log", xlabel="hidden layers", ylabel="kernel ratio g2/g1", ylim=(-0.03, 1.03))
    ax.set_xticks(DEPTHS[::2], [str(d) for d in DEPTHS[::2]])
    ax.minorticks_off()
    ax.set_title("Kernel ratio against depth (bars at the right: limit)")
    panel.legend(
        ax, ax.get_legend_handles_labels()[0], ncols=1, loc="center left", bbox_to_anchor=(1.04, 0.5), frameon=False
    )
    return ax
