"""The advised R1 strength: what was found, on which draws, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..predict.spectrum import number

if TYPE_CHECKING:
    import xarray as xr

#: how the advised strength enters the discriminator's objective, E_p f1(D) + E_q f2(D) - this
CONVENTION = "R1 = (strength / 2) E_data |grad_x D|^2 (Mescheder et al. 2018), added to the discriminator's loss"


@dataclass(frozen=True)
class Draw:
    """One mini-batch at one initialisation.

    best, rate: its own best strength and the slowest decay rate there; rate_at_advised: at the advised strength.
    beta_min, beta_max: smallest and largest resolved eigenvalue of H/M, H the matrix of grad_x grad_y K at the batch.
    modes, unresolved: its M d eigenvalues, and those of them that are zero or lost to rounding, and left out.
    stable: the strengths at which every mode decays, (lowest, highest); highest None if there is no limit.
    """

    initialisation: int
    batch: int
    best: float
    rate: float
    rate_at_advised: float
    beta_min: float
    beta_max: float
    modes: int
    unresolved: int
    stable: tuple[float | None, float | None]
    method: str
    binding_modes: tuple[dict[str, Any], ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        data = {name: getattr(self, name) for name in type(self).__dataclass_fields__}
        numbers = ("best", "rate", "rate_at_advised", "beta_min", "beta_max")
        out = {name: number(value) if name in numbers else value for name, value in data.items()}
        return out | {"stable": list(self.stable), "binding_modes": list(self.binding_modes)}


@dataclass(frozen=True)
class Advice:
    """The R1 strength predicted to converge fastest, for mini-batches of ``batch_size`` points.

    best: of all strengths the one at which the draw that fares worst keeps the largest share of its own best rate
    (``share``). low, high: geometric mean of the draws' own best strengths, one standard deviation either side (of a
    draw, not of the mean; nan of a single draw). spread_batches, spread_initialisations: standard deviations of log
    best over the batches of one initialisation, and over initialisations beyond what the batches explain (nan where
    there is one).
    rate, rate_at_half, rate_at_double: mean over draws at best, best/2 and 2 best, per step (per time for a flow).
    sizes: rows of (points, best, rate, beta_min, beta_max), geometric means over nested subsets of the batches;
    exponents: of their powers of the number of points. variations: the first draw with one setting changed.
    stable: strengths at which every draw is stable. check: rates of the first draw with nothing neglected, or None.
    strengths, rates (draw, strength): the curves. unit: of rates.
    """

    best: float
    low: float
    high: float
    rate: float
    rate_at_half: float
    rate_at_double: float
    spread_batches: float
    spread_initialisations: float
    batch_size: int
    draws: tuple[Draw, ...]
    stable: tuple[float | None, float | None]
    sizes: tuple[dict[str, float], ...]
    exponents: Mapping[str, float]
    variations: tuple[dict[str, Any], ...]
    check: Mapping[str, float] | None
    assumptions: tuple[str, ...]
    unit: str
    strengths: np.ndarray = field(repr=False, compare=False)
    rates: np.ndarray = field(repr=False, compare=False)
    convention: str = CONVENTION

    @property
    def share(self) -> float:
        """Smallest part of its own best rate that a draw keeps at the advised strength."""
        return min(draw.rate_at_advised / draw.rate if draw.rate > 0 else float("nan") for draw in self.draws)

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        plain = (
            "best", "low", "high", "rate", "rate_at_half", "rate_at_double", "spread_batches",
            "spread_initialisations", "share",
        )  # fmt: skip
        return {name: number(getattr(self, name)) for name in plain} | {
            "penalty": "r1",
            "convention": self.convention,
            "unit": self.unit,
            "batch_size": self.batch_size,
            "stable": list(self.stable),
            "binding_modes": list(self.draws[0].binding_modes),
            "beta_min": number(_mean([d.beta_min for d in self.draws])),
            "beta_max": number(_mean([d.beta_max for d in self.draws])),
            "draws": [draw.to_dict() for draw in self.draws],
            "sizes": [{k: number(v) for k, v in row.items()} for row in self.sizes],
            "exponents": {k: number(v) for k, v in self.exponents.items()},
            "variations": list(self.variations),
            "check": None if self.check is None else {k: number(v) for k, v in self.check.items()},
            "assumptions": list(self.assumptions),
        }

    def to_dataset(self) -> xr.Dataset:
        """Rates over (draw, strength), and each draw's own best."""
        import xarray as xr

        return xr.Dataset(
            {
                "predicted_rate": (("draw", "strength"), self.rates, {"long_name": "predicted convergence rate",
                                                                      "units": self.unit}),
                "best": ("draw", [d.best for d in self.draws], {"long_name": "best R1 strength", "units": "1"}),
                "initialisation": ("draw", [d.initialisation for d in self.draws], {"units": "1"}),
                "batch": ("draw", [d.batch for d in self.draws], {"units": "1"}),
            },
            coords={"strength": ("strength", self.strengths, {"long_name": "penalty.r1", "units": "1"})},
            attrs={"advised": self.best, "low": self.low, "high": self.high, "assumptions": "; ".join(self.assumptions),
                   "convention": self.convention},
        )  # fmt: skip

    def __repr__(self) -> str:
        return (
            f"Advice(best={self.best:.4g} [{self.low:.3g}, {self.high:.3g}], rate={self.rate:.3g} {self.unit}, "
            f"{len(self.draws)} draws of {self.batch_size} points)"
        )

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in headline(self))
        return f"<table><caption>R1 strength</caption>{rows}</table>"


def headline(advice: Advice) -> list[tuple[str, str]]:
    """What a reader needs first, (name, text)."""
    low, high = (("none" if v is None else f"{v:.4g}") for v in advice.stable)
    return [
        ("R1 strength", f"{advice.best:.4g}"),
        ("best of a draw, one standard deviation", f"{advice.low:.4g} to {advice.high:.4g}"),
        ("least share of its best rate that a draw keeps", f"{advice.share:.3g}"),
        (f"slowest rate, mean over draws ({advice.unit})", f"{advice.rate:.4g}"),
        ("at half and at twice the strength", f"{advice.rate_at_half:.4g}, {advice.rate_at_double:.4g}"),
        ("stable in every draw from, to", f"{low}, {high}"),
        ("points per batch, draws", f"{advice.batch_size}, {len(advice.draws)}"),
    ]


def advice_text(advice: Advice) -> list[Any]:
    """The printed form: strings and rich tables."""
    from .._terminal import cell, table

    draws = [
        [d.initialisation, d.batch, d.best, d.rate, d.rate_at_advised, d.beta_min, d.beta_max] for d in advice.draws
    ]
    lines: list[Any] = [
        table("R1 strength that converges fastest", ["", ""], [list(row) for row in headline(advice)]),
        table("Draws", ["initialisation", "batch", "best", "rate", "rate at advice", "beta_min", "beta_max"], draws),
    ]
    if advice.sizes:
        keys = ("points", "best", "rate", "beta_min", "beta_max")
        lines.append(table("Batch size", list(keys), [[row[k] for k in keys] for row in advice.sizes]))
        powers = ", ".join(f"{k} as M^{v:.2f}" for k, v in advice.exponents.items())
        lines.append(f"More points M make the slowest mode slower, and all data are more than a batch: {powers}.")
    if advice.variations:
        rows = [[v["setting"], v["best"], v["rate"], v["reason"]] for v in advice.variations]
        lines.append(table("One setting changed (first draw)", ["setting", "best", "rate", ""], rows))
    if advice.check is not None:
        c = advice.check
        lines.append(
            "Nothing neglected, first draw: rate " + ", ".join(f"{cell(v)} at {k}" for k, v in c.items()) + "."
        )
    spread = {"mini-batches": advice.spread_batches, "initialisations": advice.spread_initialisations}
    known = [f"{100 * v:.0f} % over {k}" for k, v in spread.items() if np.isfinite(v)]
    if known:
        lines.append(f"The best strength scatters by {' and '.join(known)}.")
    return [*lines, f"Convention: {advice.convention}.", f"Assumptions: {'; '.join(advice.assumptions)}."]


def _mean(values: list[float]) -> float:
    """Geometric mean of positive values."""
    return float(np.exp(np.mean(np.log(values))))


__all__ = ["CONVENTION", "Advice", "Draw", "advice_text", "headline"]
