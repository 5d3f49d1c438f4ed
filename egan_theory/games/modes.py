"""What one multiplier of a training step says: its kind, who carries it, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..base.table import Record
from .leading import CONVERGED, ONE

Array = np.ndarray

#: kinds, and what each means
KINDS = {
    "step too large": "overshoots: its sign turns at every step (angle above 90 degrees) and its size grows",
    "rotation, growing": "turns and grows; where both players carry it they chase each other in a widening circle",
    "drift": "grows without turning, or grows e-fold before it has turned by a radian: training is under way in this "
    "direction, or it is a saddle",
    "edge of stability": "overshoots: its sign turns at every step, and its size hardly changes",
    "rotation, damped": "turns and shrinks; where both players carry it they circle each other, ever closer",
    "decay": "shrinks without circling (where its multiplier is negative, its sign turns at every step)",
    "not resolved": "its multiplier is nearer to the unit circle than it is known: it may grow or shrink",
}
#: roundings that each number of a product with the step's Jacobian may have behind it; those of n numbers add up like
#: sqrt(n) (Higham and Mary, SIAM J. Sci. Comput. 41, A2815 (2019))
ROOM = 4.0
#: kinds that something should be changed for
TROUBLE = ("step too large", "rotation, growing")
#: modes that checks of up to four products each are made for
CHECKED = 5
#: what freezing second moments may neglect of |z - 1|
NEGLECTED = 0.1
#: an overshooting mode is at the edge of stability where its modulus lies between these
EDGE = (0.95, 1.05)


@dataclass(frozen=True)
class Mode(Record):
    """One multiplier of the training step with its mode, a conjugate pair counting as one.

    re, im: the multiplier z per training step (im >= 0): the mode's size is multiplied by |z| at every step and its
    phase turns by ``angle`` (rad). period: steps per turn (inf: none). growth: steps in which the size grows e-fold (<
    0: shrinks so). damping_ratio: -ln|z| / |ln z|: 1 no turning, 0 no change of size, below 0 growth.
    of_product: multiplier of the product of ``steps`` steps; z is its root of least angle, which is the true one as
    long as the mode turns by less than pi / steps per step.
    share_D, share_G: parts of |mode|^2 in each player's weights, together 1; share_moments: part of |mode|^2 in the
    optimisers' moments. carried_D, carried_G: the same with the adjoint mode (participation factors; Perez-Arriaga,
    Verghese and Schweppe, IEEE Trans. PAS 101, 3117 (1982)), which do not depend on units; nan without it.
    residual: |A x - z x| for |x| = 1; rounding: what rounding may make of it; condition: of the multiplier, |u| |x| /
    |u^T x| with the adjoint mode u (nan without it; ``assumed`` then stands for it, the largest of the others): the
    error of z is at most the product of condition and both to first order. converged: the residual is at most 1e-5 of
    |z - 1|; certain: the error leaves no doubt on which side of the unit circle z lies; kind "not resolved" otherwise.
    turnover: the mode's rate |ln z| over the rate at which the optimisers' second moments change along it (inf: they
    do not); neglected: what freezing them neglects to first order, over |z - 1| (see games.frozen); shift: how far the
    multiplier moves, to first order, while training goes on for the steps that were asked for, over |z - 1| (nan: not
    asked for); valid: each at most a tenth, of ``shift`` where it is known.
    distance: how far the point of rest along the mode is, over the norm of the weights; velocity: the part of the
    step F(z) - z along it, in weights.
    averaged: what remains of the mode in averaged weights of the generator, of 1.
    spread: standard deviation of z over mini-batches; floor: rms amplitude, in weights, at which the noise of
    mini-batches keeps it; floor_samples: that amplitude in generated samples. nan where not asked for.
    """

    KEYS: ClassVar[Sequence[str]] = (
        "re", "im", "modulus", "angle", "period", "growth", "damping_ratio", "kind", "pair", "residual", "condition",
        "converged", "certain", "valid", "share_D", "share_G", "share_moments", "carried_D", "carried_G", "turnover",
        "neglected", "shift", "velocity", "distance", "averaged", "spread", "floor", "floor_samples", "steps",
    )  # fmt: skip

    multiplier: complex
    of_product: complex
    steps: int
    residual: float
    share_D: float
    share_G: float
    share_moments: float
    converged: bool
    condition: float = float("nan")
    carried_D: float = float("nan")
    carried_G: float = float("nan")
    turnover: float = float("nan")
    neglected: float = float("nan")
    shift: float = float("nan")
    velocity: float = float("nan")
    distance: float = float("nan")
    averaged: float = float("nan")
    spread: float = float("nan")
    floor: float = float("nan")
    floor_samples: float = float("nan")
    rounding: float = 0.0
    assumed: float = 1.0

    @property
    def re(self) -> float:
        return self.multiplier.real

    @property
    def im(self) -> float:
        return self.multiplier.imag

    @property
    def modulus(self) -> float:
        return abs(self.multiplier)

    @property
    def angle(self) -> float:
        return float(np.angle(self.multiplier))

    @property
    def pair(self) -> bool:
        """Whether the conjugate is a multiplier, too."""
        return self.im != 0

    @property
    def period(self) -> float:
        return 2 * np.pi / self.angle if self.angle else float("inf")

    @property
    def growth(self) -> float:
        rate = np.log(self.modulus) if self.modulus > 0 else -np.inf
        return float(1 / rate) if rate else float("inf")

    @property
    def damping_ratio(self) -> float:
        return damping_ratio(self.multiplier)

    @property
    def error(self) -> float:
        """Bound of the multiplier's error to first order."""
        condition = self.condition if np.isfinite(self.condition) else self.assumed
        return (self.residual + self.rounding) * condition

    @property
    def certain(self) -> bool:
        return abs(self.modulus - 1) > self.error

    @property
    def valid(self) -> bool:
        """Whether second moments may be held fixed for this mode (False where that was not measured), and, where it was
        asked for, whether its multiplier stays while training goes on."""
        return self.neglected <= NEGLECTED and not self.shift > NEGLECTED

    @property
    def kind(self) -> str:
        found = kind(self.multiplier, self.residual)
        return found if self.certain or found == "edge of stability" else "not resolved"

    @property
    def mainly(self) -> str:
        """ "D" or "G", whoever carries three quarters of it, else "both"."""
        d = self.carried_D if np.isfinite(self.carried_D) else self.share_D
        return "D" if d >= 0.75 else "G" if d <= 0.25 else "both"

    def __repr__(self) -> str:
        sign = f" ± {self.im:.3g}i" if self.pair else ""
        return f"Mode({self.re:.4g}{sign}: {self.kind}, D's share {self.share_D:.0%}, residual {self.residual:.1g})"


def kind(z: complex, residual: float = 0.0) -> str:
    """The multiplier's kind, a key of KINDS. It turns where its angle is no smaller than its growth ln |z| (else it is
    gone before it is seen to turn) and its imaginary part no smaller than its residual."""
    size = abs(z)
    if z.real < 0 and size >= EDGE[0]:
        return "edge of stability" if size <= EDGE[1] else "step too large"
    if z.imag and not abs(z.imag) < residual:
        if size <= 1:
            return "rotation, damped"
        if abs(np.angle(z)) >= np.log(size):
            return "rotation, growing"
    return "drift" if z.real > 1 + ONE else "decay"


def unresolved(modes: Sequence[Mode]) -> list[str]:
    """A sentence on multipliers on whose side of the unit circle there is no verdict; none without any."""
    found = [m for m in modes if m.kind == "not resolved"]
    if not found:
        return []
    m = max(found, key=lambda m: m.error)
    many = f"{len(found)} mode{'s' * (len(found) != 1)}"
    return [
        f"Not resolved: {many} nearer to the unit circle than the multipliers are known (one of modulus "
        f"{m.modulus:.4g} to {m.error:.1g}): growth or decay cannot be said. More products know them better, down to "
        "rounding."
    ]


def damping_ratio(z: complex) -> float:
    """-ln|z| / |ln z|; nan for z = 0 and z = 1."""
    if z in (0, 1):
        return float("nan")
    s = np.log(complex(z))
    return float(-s.real / abs(s))


def root(z: Array, steps: int) -> Array:
    """z^(1/steps), of least angle; im >= 0."""
    if steps == 1:
        return z
    w = np.abs(z) ** (1 / steps) * np.exp(1j * np.angle(z) / steps)
    return np.where(z.imag == 0, np.where(z.real < 0, w, w.real), w)


def shares(x: Array, parts: Mapping[str, slice]) -> tuple[float, float, float]:
    """(D's, G's, moments') parts of |x|^2: the players' of their weights together, the moments' of all."""
    square = {name: float((np.abs(x[part]) ** 2).sum()) for name, part in parts.items()}
    weights = square["psi"] + square["theta"]
    total = sum(square.values())
    if not weights:
        return float("nan"), float("nan"), 1.0
    return square["psi"] / weights, square["theta"] / weights, 1 - weights / total


def carried(u: Array, x: Array, parts: Mapping[str, slice]) -> tuple[float, float]:
    """Participation of D and of G, each with its moments: |sum of u_i x_i| over their parts, together 1."""
    sums = {"D": 0j, "G": 0j}
    for name, part in parts.items():
        sums["D" if name.endswith("psi") else "G"] += complex(u[part] @ x[part])
    d, g = abs(sums["D"]), abs(sums["G"])
    return (d / (d + g), g / (d + g)) if d + g else (float("nan"), float("nan"))


def averaged(z: complex, factor: float) -> float:
    """|(1 - b) / (e^iw - b)|: what an exponential moving average w+ = b w + (1 - b) weights with ``factor`` b leaves of
    a mode that turns by w = arg z per step, Eq. (119, averaged-weights)."""
    return float(abs((1 - factor) / (np.exp(1j * np.angle(z)) - factor)))


def rate_factor(z: complex, momentum: float) -> float | None:
    """Largest factor f < 1 of the learning rate that brings the multiplier z to the unit circle, None where none does.

    By Eq. (114, frozen-adam) (z - 1)(z - b)/z is proportional to the rate. Exact for a mode of
    one player.
    """
    pull = (z - 1) * (z - momentum) / z

    def size(f: float) -> float:
        return float(np.abs(np.roots([1.0, -(1 + momentum + f * pull), momentum])).max())

    grid = np.linspace(1.0, 0.0, 201)[:-1]
    inside = [f for f in grid if size(f) <= 1]
    if not inside or inside[0] == 1.0:
        return None
    low, high = inside[0], inside[0] + 0.005
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if size(middle) <= 1 else (low, middle)
    return low


def adjoint(values: Array, left: Array, tails: Array, left_tails: Array) -> Array:
    """(m,) for each multiplier the row of ``left`` that is the same one, -1 where none is: nearest, one to one, and
    nearer than a tenth of |z - 1| or ten times both residuals."""
    out = np.full(len(values), -1)
    if not len(left):
        return out
    gap = np.abs(values[:, None] - left[None, :])
    allowed = np.maximum(0.1 * np.abs(values - 1)[:, None], 10 * (np.abs(tails)[:, None] + np.abs(left_tails)[None, :]))
    gap = np.where(gap <= allowed, gap, np.inf)
    for _ in range(len(values)):
        i, j = np.unravel_index(np.argmin(gap), gap.shape)
        if not np.isfinite(gap[i, j]):
            break
        out[i] = j
        gap[i, :], gap[:, j] = np.inf, np.inf
    return out


__all__ = [
    "CHECKED",
    "CONVERGED",
    "KINDS",
    "TROUBLE",
    "Mode",
    "adjoint",
    "averaged",
    "carried",
    "kind",
    "rate_factor",
    "root",
    "shares",
]
