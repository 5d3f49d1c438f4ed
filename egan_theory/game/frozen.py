"""How far second moments may be held fixed: the map in which they move, along each mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .leading import Budget, Spent
from .stepmap import GameMap

if TYPE_CHECKING:
    from .game import Game

Array = np.ndarray


class Frozen:
    """Measures it, one or two products a mode."""

    def __init__(self, game: Game, budget: Budget) -> None:
        self.game, self.budget, self.A = game, budget, game.map
        self.live: GameMap | None = None
        if any(o.kind.startswith("adam") for o in game.optimizers):
            self.live = GameMap(game.players, game.optimizers, game.schedule, game.strengths, frozen=False)
            self.rate = self._rates(self.live)

    def _rates(self, live: GameMap) -> Array:
        """(n,) of the weights: relative change of the preconditioner per step, half that of the second moment."""
        out = np.zeros(self.A.n)
        for name in ("psi", "theta"):
            if (part := live.parts.get(f"v_{name}")) is not None:
                v, change = live.state[part], live.velocity[part] / live.steps
                out[self.A.parts[name]] = np.where(v > 0, np.abs(change) / (2 * np.where(v > 0, v, 1.0)), 0.0)
        return out

    def __call__(self, x: Array, following: Array, tail: complex, value: complex) -> tuple[float, float]:
        """(turnover, neglected) of a mode with A x = value x + tail following."""
        if self.live is None:
            return float("inf"), 0.0
        here = np.abs(x) ** 2
        rate = float((here * self.rate).sum() / here.sum())
        s = abs(np.log(value)) / self.A.steps if value else float("inf")
        turnover = s / rate if rate else float("inf")
        try:
            image = self._product(x.real) + (1j * self._product(x.imag) if value.imag else 0)
        except Spent:
            return turnover, float("nan")
        frozen = value * x + tail * following
        return turnover, float(np.linalg.norm(image - frozen) / max(abs(value - 1), 1e-300))

    def _product(self, v: Array) -> Array:
        live = self.live
        assert live is not None
        w = np.zeros(live.n)
        for name, part in self.A.parts.items():
            w[live.parts[name]] = v[part]
        image = self.budget.counted(live.product)(w)
        out = np.empty(self.A.n)
        for name, part in self.A.parts.items():
            out[part] = image[live.parts[name]]
        return out


__all__ = ["Frozen"]
