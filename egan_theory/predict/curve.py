"""What is left of a kick as a curve over strengths of a penalty, and the largest strength that is stable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from .left import Left, left_over
from .margin import margin

#: around the least, where what is left may swing with the phase of the modes: decades either side, points per decade
CLOSE, PER_DECADE_CLOSE = 0.6, 50
#: minima of the scan within this factor of the least are refined, at most so many, to this relative accuracy
NEAR_LEAST, REFINED, TOLERANCE = 1.3, 6, 1e-4
#: the edge of stability is looked for at this many strengths per decade and then refined to this relative accuracy
EDGE_PER_DECADE, EDGE_TOLERANCE = 2, 1e-4


def least_of(moving: np.ndarray) -> int:
    return int(np.argmin(np.where(np.isfinite(moving), moving, np.inf)))


class Curve:
    """What is left at the strengths asked for so far."""

    def __init__(
        self, exp: Experiment, path: str, time: float, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.exp, self.path, self.time, self.progress = exp, path, time, progress
        self.found: dict[float, Left] = {}

    def at(self, strength: float) -> Left:
        """Of one strength, not kept; NaN where there is no equilibrium."""
        try:
            return left_over(self.exp.replace({self.path: float(strength)}), self.time)
        except NotLinearizable:
            return Left(*4 * (float("nan"),))

    def add(self, strengths: np.ndarray) -> None:
        for i, strength in enumerate(map(float, strengths)):
            if strength not in self.found:
                self.found[strength] = self.at(strength)
            if self.progress is not None:
                self.progress(i + 1, len(strengths))

    @property
    def resolution(self) -> float:
        return max((v.resolution for v in self.found.values() if np.isfinite(v.resolution)), default=0.0)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Strengths ascending, and what is left of the moving coordinates."""
        strengths = np.array(sorted(self.found))
        return strengths, np.array([self.found[s].moving for s in strengths])

    def refine(self, limit: float) -> None:
        """Add strengths around the least among those up to ``limit``, the limit itself, and the minima found there."""
        strengths, moving = self.arrays()
        inside = strengths <= limit
        if not inside.any():
            return
        middle = strengths[least_of(np.where(inside, moving, np.inf))]
        close = middle * 10 ** np.linspace(-CLOSE, CLOSE, int(2 * CLOSE * PER_DECADE_CLOSE) + 1)
        self.add(close[close < limit])
        if np.isfinite(limit):
            self.add(np.array([limit]))
        strengths, moving = self.arrays()
        value = np.where((strengths <= limit) & np.isfinite(moving), moving, np.inf)
        least = value.min()
        if not np.isfinite(least) or least == 0:
            return
        inner = np.arange(1, len(value) - 1)
        minima = inner[(value[inner] <= value[inner - 1]) & (value[inner] <= value[inner + 1])]
        minima = minima[value[minima] <= NEAR_LEAST * least]
        for j in minima[np.argsort(value[minima])][:REFINED]:
            seen: list[float] = []

            def objective(u: float, seen: list[float] = seen) -> float:
                seen.append(float(np.exp(u)))
                found = self.at(seen[-1]).moving
                return found if np.isfinite(found) else float(np.finfo(float).max)

            bounds = np.log(strengths[j - 1]), np.log(min(strengths[j + 1], limit))
            result = minimize_scalar(objective, bounds=bounds, method="bounded", options={"xatol": TOLERANCE})
            self.add(np.array([float(np.exp(result.x))]))


def stability_edge(exp: Experiment, path: str, strengths: np.ndarray) -> tuple[float | None, bool]:
    """(largest strength at which every mode decays, or None; whether any strength is stable)."""

    def stable(u: float) -> bool:
        try:
            return margin(exp.replace({path: float(np.exp(u))})) <= 0
        except NotLinearizable:
            return False

    decades = np.log10(strengths[-1] / strengths[0])
    u = np.linspace(np.log(strengths[0]), np.log(strengths[-1]), int(np.ceil(decades * EDGE_PER_DECADE)) + 1)
    verdict = np.array([stable(v) for v in u])
    if verdict[-1] or not verdict.any():
        return None, bool(verdict.any())
    last = int(np.flatnonzero(verdict)[-1])
    inside, outside = u[last], u[last + 1]
    while outside - inside > EDGE_TOLERANCE:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if stable(middle) else (inside, middle)
    return float(np.exp(inside)), True
