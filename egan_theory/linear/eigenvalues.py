"""Eigenvalues of an update rule on a linearization, with damping ratios, and which of them the particles feel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..base.shown import Shown
from ..tables.updates import UpdateRule
from .modes import block_rows, scalar_rows, system_rows
from .system import Linearization

#: |zeta - 1| below which a mode is called critical, at least: rounding moves coalescing eigenvalues by about sqrt(eps)
CRITICAL_TOLERANCE = float(np.sqrt(np.finfo(float).eps))


class Verdict(NamedTuple):
    """What modes say together. stable: all resolved ones decay; None where none is resolved, or none that moves the
    particles though there are some, or there is none.
    slowest: the smallest decay rate of the resolved ones, NaN without any; unresolved: how many are not; below: no rate
    of those is above it. The rates per step (flow: per unit of time)."""

    stable: bool | None
    slowest: float
    unresolved: int
    below: float


@dataclass(frozen=True)
class Eigenvalues(Shown):
    """One row per distinct eigenvalue. ``s``: flow eigenvalue, or log z per step; ``z``: multiplier (exp s for flow).

    coupled: the mode moves the particles. carried: the particles converge by it. With kappa > 0 some modes are almost
    all discriminator, changes of D's values at the data that hardly tilt it there: they decay at eta_D kappa times a
    tiny number, whatever the penalty, and nobody waits for them. A mode is carried if, in the coordinates
    w / sqrt(eta_D c), v / sqrt(eta_G b), where the saddle is antisymmetric but for damping,

        |v|^2 / (|w|^2 + |v|^2) > 0.1

    (1/2 for every oscillating mode without kappa). Zero modes are not listed. error, rate_error: bounds on the rounding
    errors of s and of its real part (linear.rounding).
    """

    s: np.ndarray
    z: np.ndarray
    multiplicity: np.ndarray
    damping_ratio: np.ndarray
    coupled: np.ndarray
    wavenumber: np.ndarray
    carried: np.ndarray
    error: np.ndarray
    rate_error: np.ndarray

    TITLE: ClassVar[str] = "{0.s.size} eigenvalues, slowest first; per step (flows: per unit of time)"
    MORE: ClassVar[str] = ".s, .z, .damping_ratio, eg.spectrum(exp) with its assumptions"

    def grid(self) -> tuple[tuple[str, ...], list[list[Any]]]:
        parts = self.s.real, self.s.imag, np.abs(self.z), self.multiplicity, self.damping_ratio, self.regime
        head = ("real part", "imaginary part", "multiplier's modulus", "multiplicity", "damping ratio", "regime")
        return head, [[x.item() for x in row] for row in zip(*parts, strict=True)]

    def rows(self, index: np.ndarray) -> Eigenvalues:
        """Some of the rows, or all in another order."""
        return Eigenvalues(*(getattr(self, f.name)[index] for f in fields(self)))

    @property
    def regime(self) -> np.ndarray:
        return regimes(self.s, self.damping_ratio, self.error)

    @property
    def rates(self) -> np.ndarray:
        """Decay rates -Re s (inf for a multiplier of exactly 0)."""
        return 0.0 - self.s.real  # of 0 it is 0, not -0

    @property
    def resolved(self) -> np.ndarray:
        """Modes whose rate stands above its rounding error, or has none: those that undamped flows keep for ever."""
        return (np.abs(self.rates) > self.rate_error) | (self.rate_error == 0)

    @property
    def sized(self) -> np.ndarray:
        """Modes whose |s| stands above its rounding error: their frequency is known, if not whether they decay."""
        return np.abs(self.s) > self.error

    def verdict(self, among: np.ndarray | None = None) -> Verdict:
        """Whether the modes (``among``: those alone) decay, as far as rounding tells: what every verdict rests on."""
        chosen = np.ones(len(self.s), dtype=bool) if among is None else among
        known, left = chosen & self.resolved, chosen & ~self.resolved
        if (left & self.coupled).any() and not (known & self.coupled).any() and not (known & (self.rates <= 0)).any():
            known = np.zeros_like(known)  # that the discriminator's own modes decay says nothing of the particles
        slowest = float(self.rates[known].min()) if known.any() else float("nan")
        below = float((np.abs(self.rates) + self.rate_error)[left].max(initial=0.0))
        return Verdict(slowest > 0 if known.any() else None, slowest, int(self.multiplicity[left].sum()), below)

    def slowest(self, coupled_only: bool = False) -> float:
        """Smallest decay rate of the resolved non-zero modes; NaN if there is none."""
        return self.verdict(self.coupled if coupled_only else None).slowest

    @property
    def decisive(self) -> np.ndarray:
        """Resolved modes by which the particles converge, and those that move them and grow, whatever carries them."""
        return self.resolved & (self.carried | (self.coupled & (self.rates < 0)))

    def slowest_carried(self) -> float:
        """Smallest decay rate of the ``decisive`` modes; NaN if there is none."""
        return self.verdict(self.decisive).slowest


def regimes(s: np.ndarray, ratio: np.ndarray, error: np.ndarray) -> np.ndarray:
    """underdamped (oscillates), critical (zeta = 1 to rounding) or overdamped, per eigenvalue; unresolved: |s| is not
    above its rounding error."""
    out = np.where(np.abs(s.imag) > 0, "underdamped", "overdamped").astype("U11")
    with np.errstate(invalid="ignore", divide="ignore"):
        # s known to a part e, zeta is to e^2: near 1 it is quadratic in the distance of the two eigenvalues
        tolerance = np.maximum(CRITICAL_TOLERANCE, (error / np.abs(s)) ** 2)
        out[np.abs(ratio - 1) <= tolerance] = "critical"
    out[np.abs(s) <= error] = "unresolved"
    return out


def log_multiplier(z: np.ndarray) -> np.ndarray:
    """s = log z per step, principal branch; -inf for z = 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(z, dtype=complex))


def eigenvalues(lin: Linearization, rule: UpdateRule | None = None, ratios: bool = True) -> Eigenvalues:
    """Eigenvalues of the update rule on a linearization, zero modes left out.

    Args:
        rule: default: the experiment's own.
        ratios: False leaves the damping ratios of dense systems out.

    Returns:
        s, z, multiplicity, damping_ratio, coupled, wavenumber, carried, error, rate_error: arrays (modes,), by falling
            real part of s.

    Units:
        s, error and rate_error per step (flow: per unit of time), multipliers z pure numbers, wavenumbers in 1/length.

    Raises: nothing of its own.

    Source:
        Eq. (17, mode-roots), steps: Eq. (50, map-simultaneous) to Eq. (59, map-heavy-ball-both).

    Examples:
        >>> import egan_theory as eg
        >>> import numpy as np
        >>> found = eg.eigenvalues(eg.linearize(eg.Experiment(target=eg.Ring(modes=4))))
        >>> bool(np.allclose(found.z, np.exp(found.s)))
        True
    """
    rule = lin.problem.rule if rule is None else rule
    parts = [
        block_rows(lin, rule),
        *(system_rows(lin.problem, system, rule, ratios) for system in lin.systems),
        *(scalar_rows(scalar, rule) for scalar in lin.scalars),
    ]
    found = Eigenvalues(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return found.rows(np.lexsort((-found.s.imag, -found.s.real)))
