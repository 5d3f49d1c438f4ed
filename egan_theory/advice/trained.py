"""Advice on a real game: the strength that leaves least of what D sees of the error, after the steps that remain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..base.errors import InputError
from ..predict.left import SAFETY
from .seen import PROBES, Rates, Seen, left_of, seen

if TYPE_CHECKING:
    from ..game.game import Game
    from ..game.protocol import Players

Array = np.ndarray

#: strengths scanned: this far below D's edge of stability, and, for optimisers that hold themselves at it, above
BELOW, ABOVE, PER_DECADE = 1e-5, 1e3, 6
#: of the largest stable step, what Adam settles at where the strength asks for more
AT_EDGE = 0.9
#: steps of the fixed point for the size of Adam's steps, and bounds of it
SETTLED, SCALE = 6, 1e3


@dataclass(frozen=True)
class Batch:
    """The game about one mini-batch of data, each with the generated sample that is nearest in an assignment."""

    players: Players
    X: Array
    errors: Array
    D: Array
    G: Array
    centred: bool
    batch: int
    kappa: float

    def pulled(self, values: Array, slopes: Array) -> Array:
        return self.D * self.players.rows_pull(self.players.weights[0], self.X, values, slopes) / len(self.X)

    def products(self, w: Array) -> tuple[Array, Array, Array]:
        """(A w, C w, S w)."""
        psi, theta = self.players.weights
        M = len(self.X)
        values, slopes = self.players.rows_push(psi, self.X, self.D * w)
        if self.centred:
            values = values - values.mean()
        none, still = np.zeros(M), np.zeros_like(slopes)
        C = self.pulled(values, still) if self.kappa else np.zeros_like(w)
        pulled = self.G * self.players.generator_pull(theta, slopes, self.batch)
        moved = self.players.generator_push(theta, pulled, self.batch)
        return self.pulled(none, slopes), C, self.pulled(none, moved) / M

    def seen(self, c: float, noise: float, most: int, rng: np.random.Generator) -> Seen:
        """``noise``: 1/m_data + 1/m_latents: each of M points has a mass 1/M, in a batch of m of variance 1/(m M)."""
        M = len(self.X)
        start = self.pulled(np.zeros(M), self.errors)
        still, kicks = np.zeros_like(self.errors), []
        for _ in range(PROBES):
            masses = rng.standard_normal(M)
            kicks.append(c * np.sqrt(noise * M) * self.pulled(masses - masses.mean(), still))
        return seen(self.products, start, np.array(kicks).T, most, M)


def matched(data: Array, generated: Array) -> tuple[Array, Array]:
    """(X, errors (M, d)): a data point for each generated sample, at the least sum of squared distances, every one
    taken as often as any other up to once."""
    N = len(generated)
    X = np.concatenate([data] * -(-N // len(data)))[:N]
    x, y = (a.reshape(N, -1).astype(float) for a in (generated, X))
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    _, order = linear_sum_assignment(square)
    return X[order], x - y[order]


@dataclass(frozen=True)
class Curve:
    """What is left of one batch's error against the strength. adaptive: (D, G) divide their gradients by a running
    size; pilot: the strength at which these sizes were measured."""

    seen: Seen
    rates: Rates
    steps: int
    adaptive: tuple[bool, bool]
    pilot: float

    @cached_property
    def edge(self) -> float:
        """The strength beyond which a step of D is too large for its stiffest mode; inf: none."""
        low, high = 0.0, self.rates.limit / max(float(np.linalg.eigvalsh(self.seen.A)[-1]), 1e-300)
        if self._stiffness(low) >= self.rates.limit:
            return 0.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self._stiffness(middle) < self.rates.limit else (low, middle)
        return low

    def _stiffness(self, strength: float) -> float:
        return float(np.linalg.eigvalsh(strength * self.seen.A + self.rates.kappa * self.seen.C)[-1])

    @cached_property
    def _measured(self) -> float:
        """The generator's rms gradient at the pilot's strength."""
        return self._left(self.pilot, 1.0)[1].gradient

    def _left(self, strength: float, faster: float) -> tuple[float, Any]:
        slower = 1.0
        if self.adaptive[0]:
            slower = min(1.0, AT_EDGE * self.rates.limit / max(self._stiffness(strength), 1e-300))
        return slower, left_of(self.seen, self.rates, strength, self.steps, slower, faster)

    def scales(self, strength: float) -> tuple[float, float]:
        """(of D's steps, of the generator's), relative to those at the checkpoint."""
        faster = 1.0
        if self.adaptive[1] and self.pilot > 0 and np.isfinite(self._measured):
            for _ in range(SETTLED):
                found = self._left(strength, faster)[1].gradient
                wanted = self._measured / found if 0 < found < np.inf else 1 / SCALE
                faster = float(np.clip(np.sqrt(faster * wanted), 1 / SCALE, SCALE))
        return self._left(strength, faster)[0], faster

    def __call__(self, strength: float) -> float:
        """Left over, noise included."""
        return self._left(strength, self.scales(strength)[1])[1].total
