"""The advised R1 strength: what was found, on which draws, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base.table import Record
from ..predict.left import SAFETY, Choice, ForHorizon
from ..tables.penalties import strength_unit
from . import words
from .reach import Reach

if TYPE_CHECKING:
    import xarray as xr

#: how the advised strength enters the discriminator's objective, E_p f1(D) + E_q f2(D) - this
CONVENTION = "R1 = (strength / 2) E_data |grad_x D|^2 (Mescheder et al. 2018), added to the discriminator's loss"


@dataclass(frozen=True)
class Draw(Record):
    """One mini-batch at one initialisation.

    best, left: the strength that leaves least of what can move there (0: none helps), and what it leaves;
    left_at_advised: at the advised strength. asymptotic, rate: the strength of the fastest slowest mode and its decay
    rate; rate_at_advised: the slowest rate at the advised strength. beta_min, beta_max: smallest and largest resolved
    eigenvalue of H/M, H the matrix of grad_x grad_y K at the batch. modes, unresolved: its M d eigenvalues, and those
    of them that are zero or lost to rounding, and left out. stable: the strengths at which every mode decays, (lowest,
    highest); highest None if there is no limit. method, binding_modes: of ``asymptotic``.
    """

    initialisation: int
    batch: int
    best: float
    left: float
    left_at_advised: float
    asymptotic: float
    rate: float
    rate_at_advised: float
    beta_min: float
    beta_max: float
    modes: int
    unresolved: int
    stable: tuple[float | None, float | None]
    method: str
    binding_modes: tuple[dict[str, Any], ...] = field(repr=False)


@dataclass(frozen=True)
class Asymptotic(Record):
    """The advice for a training without end: all draws' slowest modes decay fast. rate: mean over draws."""

    best: float
    rate: float
    method: str


@dataclass(frozen=True)
class Advice(ForHorizon):
    """The R1 strength for training of a stated length with mini-batches of ``batch_size``; see ``ForHorizon``, too.

    Attributes:
        best: [length^2] the strength at which the draw that fares worst leaves the smallest multiple of its own least
            (1/``share``), by the rules of ``predict.left.choose``: at most half of the smallest stability edge, the
            draws' scatter counted; the gentlest where a decade of strengths is as good; 0 where none helps.
        low: [length^2] geometric mean of the draws' own best strengths, less one standard deviation (of a draw, not of
            the mean; nan of a single draw).
        high: [length^2] likewise, one standard deviation more.
        strengths: [length^2] (strength,) those of the curves.
        lefts: [1] (draw, strength) what is left of what can move.
        unit: of times and rates, "steps" or "units of time".
        asymptotic: what would be best for a training without end.
        choice: what the rules found.
        spread_batches: [1] standard deviation of log best over the batches of one initialisation (nan where there is
            one).
        spread_initialisations: [1] over initialisations, beyond what the batches explain (nan where there is one).
        batch_size: [1] points of a mini-batch.
        draws: one row per mini-batch and initialisation.
        stable: [length^2] lowest and highest strength at which every draw is stable.
        sizes: [mixed] rows of (points, best, left, asymptotic, rate, beta_min, beta_max), geometric means over nested
            subsets of the batches.
        exponents: [1] of their powers of the number of points.
        variations: the first draw, one setting changed.
        check: [1] left of the first draw with nothing neglected, or None.
        reach: how far from the end of training all this was taken.
        precision: of the products that the modes are from.
        convention: how the strength enters the discriminator's loss.
        left_of: what all "left" is part of: a small isotropic kick, or for a real game what D sees of its samples'
            error.
        notes: of a real game, in words.
        safety: [1] smallest factor between ``best`` and the edge.

    Source:
        Eq. (102, gram-matrix), Eq. (103, advice-gain), Eq. (104, regret); R1 as in Mescheder et al. 2018.
    """

    KEYS = (
        "best", "horizon", "left", "left_without", "left_at_half", "left_at_double", "moving", "moving_without",
        "moving_at_half", "moving_at_double", "frozen", "low", "high", "rate", "rate_at_half", "rate_at_double",
        "spread_batches", "spread_initialisations", "share", "penalty", "range", "edge", "share_of_edge", "asymptotic",
        "reach", "remarks", "convention", "unit", "precision", "batch_size", "stable", "binding_modes", "beta_min",
        "beta_max", "draws", "sizes", "exponents", "variations", "check", "assumptions",
    )  # fmt: skip
    TITLE = "R1 strength for {0.span}"
    UNITS = (
        *((name, strength_unit("r1")) for name in ("best", "low", "high", "edge")),
        ("rate", "{0.rate_unit}"),
    )
    penalty: ClassVar[str] = "r1"

    asymptotic: Asymptotic
    choice: Choice
    spread_batches: float
    spread_initialisations: float
    batch_size: int
    draws: tuple[Draw, ...]
    stable: tuple[float | None, float | None]
    sizes: tuple[dict[str, float], ...]
    exponents: Mapping[str, float]
    variations: tuple[dict[str, Any], ...]
    check: Mapping[str, float] | None
    reach: Reach
    precision: str
    convention: str = CONVENTION
    left_of: str = "a small kick"
    notes: tuple[str, ...] = ()
    safety: float = SAFETY

    @property
    def edge_name(self) -> str:
        """What the edge is: of a game that of D's own steps, else that of the linear dynamics of both players."""
        return "edge of D's own steps" if self.notes else "stable up to"

    @property
    def share(self) -> float:
        """Least over draws of what the draw's own best strength leaves over what the advised one does, at most 1
        [1].
        """
        return min(
            min(draw.left / draw.left_at_advised, 1.0) if draw.left_at_advised > 0 else 1.0 for draw in self.draws
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the numbers mean, in words."""
        return words.remarks(self)

    @property
    def range(self) -> tuple[float, float]:
        """Strengths that serve as well [length^2] (``predict.left.choose``)."""
        return self.choice.low, self.choice.high

    @property
    def binding_modes(self) -> tuple[dict[str, Any], ...]:
        """The slowest eigenvalues of the first draw."""
        return self.draws[0].binding_modes

    @property
    def beta_min(self) -> float:
        """Smallest resolved eigenvalue of H/M [1/length^2], the draws' geometric mean."""
        return _mean([d.beta_min for d in self.draws])

    @property
    def beta_max(self) -> float:
        """Largest resolved eigenvalue of H/M [1/length^2], the draws' geometric mean."""
        return _mean([d.beta_max for d in self.draws])

    def to_dataset(self) -> xr.Dataset:
        """``predicted_left`` (draw, strength) [1], and each draw's own ``best`` (draw) with its initialisation and
        batch.
        """
        from ..base.dataset import ShownDataset

        left = {
            "long_name": f"rms displacement after {self.span} over that of the kick, of what can move",
            "units": "1",
        }
        return ShownDataset(
            {
                "predicted_left": (("draw", "strength"), self.lefts, left),
                "best": ("draw", [d.best for d in self.draws], {"long_name": "best R1 strength", "units": "1"}),
                "initialisation": ("draw", [d.initialisation for d in self.draws], {"units": "1"}),
                "batch": ("draw", [d.batch for d in self.draws], {"units": "1"}),
            },
            coords={"strength": ("strength", self.strengths, {"long_name": "penalty.r1", "units": "1"})},
            attrs={"advised": self.best, "horizon": self.horizon, "low": self.low, "high": self.high,
                   "remarks": "; ".join(self.remarks), "assumptions": "; ".join(self.assumptions),
                   "convention": self.convention},
        )  # fmt: skip

    def grid(self) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        return (), words.headline(self)


def _mean(values: list[float]) -> float:
    """Geometric mean of positive values."""
    return float(np.exp(np.mean(np.log(values))))


__all__ = ["CONVENTION", "Advice", "Asymptotic", "Draw"]
