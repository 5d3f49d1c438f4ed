"""`egan universality`: what it computes, prints and draws. Nothing heavy is imported until it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..experiment import Experiment
    from ..tables.architecture import GeneratorArchitecture

#: depths of the figure's curve
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def universality(of: Experiment | GeneratorArchitecture | None = None) -> dict[str, Any]:
    """Kernel numbers and the limit with depth: of a generator's architecture, which an experiment must then have, or
    without one of every activation in the default architecture. Raises InputError."""
    from ..experiment import Experiment
    from ..tables.architecture import GeneratorArchitecture

    arch = of.generator.architecture if isinstance(of, Experiment) else of
    if isinstance(of, Experiment) and arch is None:
        raise InputError("generator.architecture", "be given")
    from ..kernels.wide.depth import depth_limit
    from ..kernels.wide.universality import every_activation, kernel_numbers

    chosen = GeneratorArchitecture() if arch is None else arch
    names = every_activation(chosen) if arch is None else {chosen.activation: chosen}
    rows = [
        {"activation": name} | kernel_numbers(a).to_dict() | {"limit": depth_limit(a).to_dict()}
        for name, a in names.items()
    ]
    shared = {"method": rows[0]["method"], "assumptions": rows[0]["assumptions"]}
    described = chosen.model_dump(exclude={"activation", "leak", "coefficients", "width"})
    kept = [{k: v for k, v in row.items() if k not in shared} for row in rows]
    return {"architecture": described, "activations": kept} | shared


def universality_text(data: dict[str, Any]) -> list[Any]:
    """A table and what it takes for granted."""

    def phase(limit: dict[str, Any]) -> tuple[float | None, str]:
        return limit["ratio"], limit["phase"]

    from ..base.terminal import cell, table

    a = data["architecture"]
    title = (
        f"Generator kernel of {a['depth']} hidden layers, weight variance {cell(a['weight_variance'])}, "
        f"bias variance {cell(a['bias_variance'])}, latents in {a['latent_dimension']} dimensions"
    )
    columns = ["activation", "g1", "g2", "ratio", "spread", "spread / g1", "ratio at great depth", "phase"]
    rows = [
        [*(r[k] for k in ("activation", "g1", "g2", "ratio", "spread", "relative_spread")), *phase(r["limit"])]
        for r in data["activations"]
    ]
    return [table(title, columns, rows), f"Assumed: {'; '.join(data['assumptions'])}."]


def plot_universality(arch: GeneratorArchitecture | None, ax: Axes | None = None) -> Axes:
    """Ratio against depth for the architecture, or for every activation, with the limits as ticks at the right."""
    from ..kernels.wide.depth import depth_limit
    from ..kernels.wide.universality import every_activation, kernel_numbers
    from ..tables.architecture import GeneratorArchitecture
    from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, axes

    ax = axes(ax, (7.6, 4.6))
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
        limit = depth_limit(a).ratio
        ax.plot(depths, ratios, marker=marker, ms=4, lw=1.3, color=colour, label=name)
        if limit is not None:
            ax.plot([DEPTHS[-1] * 1.25], [limit], marker="_", ms=12, mew=2, color=colour, clip_on=False)
    ax.set(xscale="log", xlabel="hidden layers", ylabel="kernel ratio g2/g1", ylim=(-0.03, 1.03))
    ax.set_xticks(DEPTHS[::2], [str(d) for d in DEPTHS[::2]])
    ax.minorticks_off()
    ax.set_title("Kernel ratio against depth (bars at the right: limit)")
    ax.legend(ncols=1, loc="center left", bbox_to_anchor=(1.04, 0.5), frameon=False)
    return ax


__all__ = ["plot_universality", "universality", "universality_text"]
