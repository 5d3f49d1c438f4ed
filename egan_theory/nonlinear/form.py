"""The record of what is born at a threshold of an equilibrium."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..base.table import Record
from .amplitude import AmplitudeEquations


@dataclass(frozen=True)
class NormalForm(Record):
    """One branch of orbits (or equilibria) that is born at a threshold of the equilibrium.

    Attributes:
        bifurcation: "neimark-sacker" (flow: "hopf"), "flip", "transcritical" or "pitchfork".
        criticality: "supercritical" (small orbits on the unstable side, modes kept) or "subcritical" (unstable orbits
            on the stable side, so that the cloud jumps beyond; of a transcritical bifurcation for kicks one way).
        rms_amplitude: [length per power of the parameter] displacement of the particles, root mean square over
            particles and one turn, over |value - threshold|^exponent.
        centroid_amplitude: [length per power of the parameter] the largest excursion of the centroid, likewise.
        exponent: [1] 1/2, of a transcritical bifurcation 1.
        side: "above" or "below" the threshold the branch exists.
        angle: [rad/step; flow: rad/time] of the orbit.
        frequency_shift: [rad/step per unit of the parameter] what ``angle`` changes by along the branch.
        motion: "along lines" (every particle goes back and forth, a standing orbit), "circles" (a rotating one),
            "ellipses"; "" without motion.
        stable: against the modes that become unstable there.
        valid_to: [unit of the parameter] up to which the cubic truncation is good to about 5 % and no other mode grows.
        relative_correction: [1/unit of the parameter] c in amplitude (1 + c |value - threshold|), from which that
            follows.
        modes: [1] how many eigenvalues (pairs) become unstable together.
        at: [unit of the parameter] where they do so one after the other, the value at which rms_amplitude was
            evaluated.
        points: "merge" or "part", what particles that share a place do on the orbit; "" where none do.
        transverse_rate: [1/step per unit of the parameter] growth of their separation; None where not looked for.
        reason: why there is none of it.
        threshold: [unit of the parameter] where it is born.
        shape: (n,) first harmonic of the orbit per |value - threshold|^exponent.
        equations: the amplitude equations that it solves.

    Source:
        Eq. (105, centre-coefficient) to Eq. (109, symmetric-pair), Eq. (110, transverse-exponent).
    """

    KEYS = (
        "bifurcation", "criticality", "rms_amplitude", "centroid_amplitude", "exponent", "side", "angle",
        "frequency_shift", "motion", "stable", "valid_to", "relative_correction", "modes", "at", "points",
        "transverse_rate", "reason",
    )  # fmt: skip
    SHOWN = ("criticality", "side", "rms_amplitude", "exponent", "angle", "motion", "stable", "valid_to")
    UNITS = (("rms_amplitude", "length over the distance to the exponent"), ("angle", "rad/step; flows: rad/time"))
    TITLE: ClassVar[str] = "{0.bifurcation} at {0.threshold:.4g}"

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
        """rms displacement at a value of the parameter by the amplitude equations [length]; of modes that cross one
        after the other: the first stable orbit there; 0 on the side where there is none. ``next_term``: times 1 +
        relative_correction |value - threshold|, where it is known.
        """
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


__all__ = ["NormalForm"]
