"""`egan universality`: what it computes and prints. Nothing heavy is imported until it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.errors import InputError
from ..base.terminal import cell, table

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ..tables.architecture import GeneratorArchitecture


def universality(of: Experiment | GeneratorArchitecture | None = None) -> dict[str, Any]:
    """Kernel numbers g1, g2 of infinitely wide generators, and the limit with depth.

    Of a generator's architecture, which an experiment must then have, or without one of every activation in the default
    architecture.

    Returns:
        architecture, activations (a row each: g1, g2, ratio, spread, limit), method, assumptions.

    Units:
        g1, g2 and spread in length^2, as outputs are positions; ratios are pure numbers.

    Raises:
        InputError: an experiment without generator.architecture.

    Source:
        Eq. (93, covariance-recursion) to Eq. (98, depth-slope); Jacot, Gabriel and Hongler 2018.
    """
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
    a = data["architecture"]
    title = (
        f"Generator kernel of {a['depth']} hidden layers, weight variance {cell(a['weight_variance'])}, "
        f"bias variance {cell(a['bias_variance'])}, latents in {a['latent_dimension']} dimensions"
    )
    columns = ["activation", "g1", "g2", "ratio", "spread", "spread / g1", "ratio at great depth", "phase"]
    rows = [
        [*(r[k] for k in ("activation", "g1", "g2", "ratio", "spread", "relative_spread")),
         *(r["limit"][k] for k in ("ratio", "phase"))]
        for r in data["activations"]
    ]  # fmt: skip
    return [table(title, columns, rows), f"Assumed: {'; '.join(data['assumptions'])}."]


__all__ = ["universality", "universality_text"]
