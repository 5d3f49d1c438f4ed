"""How far second moments may be held fixed: the map in which they move, along each mode.

To first order a mode x with A x = z x, A with the second moments v held, goes with moments that move as it does: z v =
beta2 v + B x, where B x is what x adds to them in one step. What they do to the weights, C v, is what holding them
neglects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .leading import Budget, Spent
from .stepmap import GameMap

if TYPE_CHECKING:
    from .game import Game

Array = np.ndarray


class Frozen:
    """Measures it, two products of a real mode, four of a pair."""

    def __init__(self, game: Game, budget: Budget) -> None:
        self.game, self.budget, self.A = game, budget, game.map
        self.live: GameMap | None = None
        if any(o.kind.startswith("adam") for o in game.optimizers):
            self.live = GameMap(game.players, game.optimizers, game.schedule, game.strengths, frozen=False)
            self.rate = self._rates(self.live)
            self.slow = {name: part for name, part in self.live.parts.items() if name not in self.A.parts}

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
            first = self._product(self._with(x))
            # the second moments that go with the mode: value v = keeps v + (what x adds to them)
            moments = {name: first[part] / self._apart(value, name) for name, part in self.slow.items()}
            image = first + self._product(self._with(np.zeros_like(x), moments))
        except Spent:
            return turnover, float("nan")
        own = np.concatenate([image[self.live.parts[name]] for name in self.A.parts])
        frozen = value * x + tail * following
        return turnover, float(np.linalg.norm(own - frozen) / max(abs(value - 1), 1e-300))

    def _apart(self, value: complex, name: str) -> Array:
        """value - what a second moment keeps over all moves of its player in the map; not nearer to 0 than a tenth of
        what it forgets."""
        player = 0 if name.endswith("psi") else 1
        moves = self.A.steps * sum(player in movers for movers in self.game.schedule.substeps)
        keeps = np.asarray(self.game.optimizers[player].settings["beta2"]) ** moves
        apart = value - keeps
        least = 0.1 * (1 - keeps)
        return np.where(np.abs(apart) < least, least, apart)

    def _with(self, x: Array, moments: dict[str, Array] | None = None) -> Array:
        """A vector of the map with moving second moments."""
        assert self.live is not None
        w = np.zeros(self.live.n, dtype=complex)
        for name, part in self.A.parts.items():
            w[self.live.parts[name]] = x[part]
        for name, values in (moments or {}).items():
            w[self.live.parts[name]] = values
        return w

    def _product(self, w: Array) -> Array:
        """Of a real vector one product, of a complex one two."""
        assert self.live is not None
        product = self.budget.counted(self.live.product)
        real = product(w.real).astype(complex)
        return real + 1j * product(w.imag) if np.any(w.imag) else real


__all__ = ["Frozen"]
