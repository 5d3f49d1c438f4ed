"""The record of what is born at a threshold of an equilibrium."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..base.table import Record
from .amplitude import AmplitudeEquations

#: what it is called, by kind: of a map, of a flow
BIFURCATION = {"pair": ("neimark-sacker", "hopf"), "plus": ("pitchfork", "pitchfork"), "minus": ("flip", "flip")}


@dataclass(frozen=True)
class NormalForm(Record):
    """One branch of orbits (or equilibria) that is born at a threshold of the equilibrium.

    bifurcation: "neimark-sacker" (flow: "hopf"), "flip", "transcritical" or "pitchfork". criticality: "supercritical"
    (small orbits on the unstable side, modes kept) or "subcritical" (unstable orbits on the stable side, so that the
    cloud jumps beyond; of a transcritical bifurcation for kicks one way). rms_amplitude: displacement of the particles,
    root mean square over particles and one turn, over |value - threshold|^exponent (exponent 1/2; of a transcritical
    bifurcation 1), in length per that power of the
    parameter; centroid_amplitude: the largest excursion of the centroid, likewise. side: "above" or "below" the
    threshold the branch exists. angle: radians per step (flow: per unit of time); frequency_shift: what it changes by
    per unit of the parameter, along the branch. motion: "along lines" (every particle goes back and forth, a standing
    orbit), "circles" (a rotating one), "ellipses"; "" without motion. stable: against the modes that become unstable
    there. valid_to: value of the parameter up to which the cubic truncation is good to about 5 % and no other
    mode grows;
    relative_correction: c in amplitude (1 + c |value - threshold|), from which that follows. modes: how many
    eigenvalues (pairs) become unstable together; where they do so one after the other, ``at`` is the value of the
    parameter at which rms_amplitude and what goes with it were evaluated. points: "merge" or "part", what particles
    that share a place do on the orbit, transverse_rate: their separation's growth per step (flow: per time) and unit of
    the parameter; "" and None where no particles do or it was not looked for. reason: why there is none of it."""

    KEYS = (
        "bifurcation", "criticality", "rms_amplitude", "centroid_amplitude", "exponent", "side", "angle",
        "frequency_shift", "motion", "stable", "valid_to", "relative_correction", "modes", "at", "points",
        "transverse_rate", "reason",
    )  # fmt: skip
    TITLE: ClassVar[str] = "{0.bifurcation}"

    bifurcation: str
    criticality: str | None = None
    rms_amplitude: float | None = None
    centroid_amplitude: float | None = None
    exponent: float = 0.5
    side: str | None = None
    angle: float | None = None
    frequency_shift: float | None = None
    motion: str = ""
    stable: bool | None = None
    valid_to: float | None = None
    relative_correction: float | None = None
    modes: int = 1
    at: float | None = None
    points: str = ""
    transverse_rate: float | None = None
    reason: str = ""
    threshold: float = float("nan")
    #: the orbit's first harmonic per |value - threshold|^exponent, (n,), and the equations that it solves
    shape: Any = field(default=None, repr=False, compare=False)
    equations: AmplitudeEquations | None = field(default=None, repr=False, compare=False)

    def amplitude(self, value: float, *, next_term: bool = False) -> float | None:
        """rms displacement at a value of the parameter by the amplitude equations (of modes that cross one after the
        other: the first stable orbit there); 0 on the side where there is none. next_term: times
        1 + relative_correction |value - threshold|, where it is known."""
        delta = value - self.threshold
        if self.rms_amplitude is None:
            return None
        if (delta > 0) != (self.side == "above"):
            return 0.0
        if self.at is None or self.equations is None:
            more = 1 + self.relative_correction * abs(delta) if next_term and self.relative_correction else 1.0
            return self.rms_amplitude * abs(delta) ** self.exponent * more
        states = self.equations.states(delta)
        return float(np.sqrt(self.equations.mean_square(states[0].z))) if states else 0.0


__all__ = ["BIFURCATION", "NormalForm"]
