"""What mini-batches do to the modes: the scatter of their multipliers, and the size at which noise keeps them.

At every step z+ = F(z) + xi, with xi the difference between the step on a mini-batch and the mean step. Along a mode x
with adjoint u (A x = lambda x, A^T u = lambda u) the amplitude is a = u^T z / u^T x, and a+ = lambda a + q with
q = u^T xi / u^T x. Where all |lambda| < 1 the covariance S = E a a^H obeys S = Lambda S Lambda^H + Q, that is
S_jk = Q_jk / (1 - lambda_j conj(lambda_k)), Eq. (118, noise-floor): the Lyapunov equation S = A S A^T + Q in the modes'
coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..base.table import Record
from .leading import Budget, Leading, Spent
from .modes import CHECKED, Mode
from .stepmap import GameMap

if TYPE_CHECKING:
    from .game import Game

Array = np.ndarray


@dataclass(frozen=True)
class Noise(Record):
    """Of ``batches`` mini-batches: step, rms over batches of the weights' step beside the mean one; of the modes that
    decay, all together: floor, rms amplitude in weights, and floor_samples in generated samples (nan where unknown);
    modes: how many modes are in it; growing: those that have no floor, since they grow."""

    batches: int
    step: float
    floor: float
    floor_samples: float
    modes: int
    growing: int


def both(values: Array, vectors: Array) -> tuple[Array, Array, list[Array]]:
    """(multipliers, vectors, rows of each) with the conjugates beside them, after all others."""
    pairs = np.flatnonzero(values.imag != 0)
    rows = [np.array([j]) for j in range(len(values))]
    for k, j in enumerate(pairs):
        rows[j] = np.array([j, len(values) + k])
    full = np.concatenate([values, np.conj(values[pairs])])
    return full, np.concatenate([vectors, np.conj(vectors[:, pairs])], axis=1), rows


def stationary(values: Array, amplitudes: Array) -> Array:
    """S_jk = Q_jk / (1 - z_j conj(z_k)), (m, m), for multipliers inside the unit circle and the noise's amplitudes q
    (B, m) of B batches; Q is their covariance, with B - 1."""
    q = amplitudes - amplitudes.mean(0)
    Q = q.T @ np.conj(q) / max(len(q) - 1, 1)
    return np.asarray(Q / (1 - values[:, None] * np.conj(values[None, :])))


def floors(
    values: Array, noise: Array, adjoints: Array, vectors: Array, parts: Sequence[Array]
) -> tuple[Array, Array, int]:
    """(rms of each mode, rms of all that decay together, number of those) for every array of ``parts``.

    values (m,), one of each conjugate pair; noise (B, n) of each batch; adjoints (n, m) with u^T x = 1; vectors (n, m);
    parts: (k, m) images of the modes whose rms (root of the summed mean squares) is asked for, such as their weights.
    Each result: (parts, m) and (parts,); nan of modes that grow.
    """
    decays = np.abs(values) < 1
    one, everything = np.full((len(parts), len(values)), np.nan), np.full(len(parts), np.nan)
    if not decays.any() or len(noise) < 2:
        return one, everything, int(decays.sum())
    z, u, rows = both(values[decays], adjoints[:, decays])
    S = stationary(z, noise @ u)
    for i, part in enumerate(parts):
        _, image, _ = both(values[decays], part[:, decays])
        inner = S * (image.T @ np.conj(image))  # E |sum a_j x_j|^2 = sum_jk S_jk x_j . conj(x_k)
        one[i, decays] = [np.sqrt(max(float(np.real(inner[np.ix_(r, r)].sum())), 0.0)) for r in rows]
        everything[i] = np.sqrt(max(float(np.real(inner.sum())), 0.0))
    return one, everything, int(decays.sum())


def over_batches(
    game: Game, right: Leading, adjoints: Array, modes: list[Mode], budget: Budget
) -> tuple[Noise | None, list[Mode]]:
    """Scatter of the multipliers over mini-batches, and the floor of the modes that decay, of those with an adjoint."""
    A, players = game.map, game.players
    B = players.batches
    known = np.isfinite(adjoints[0]) if len(right.values) else np.zeros(0, dtype=bool)
    if B < 2 or budget.left < 2:
        return None, modes
    maps = [GameMap(players, game.optimizers, game.schedule, game.strengths, batch=b) for b in range(B)]
    try:
        steps = np.stack([budget.counted(step.step, 1 / B)(A.state) for step in maps])
    except Spent:
        return None, modes
    own = [p for name, p in A.parts.items() if name in ("psi", "theta")]
    noise = steps - steps.mean(0)
    step = float(np.sqrt((np.concatenate([noise[:, p] for p in own], axis=1) ** 2).sum() / (B - 1)))
    rows = np.flatnonzero(known)
    X, U, z = right.vectors[:, rows], adjoints[:, rows], right.values[rows]
    weights = np.concatenate([X[p] for p in own])
    samples = _samples(game, X[A.parts["theta"]], budget)
    each, total, decaying = floors(z, noise, U, X, [weights, samples] if samples is not None else [weights])
    for i, j in enumerate(rows):
        modes[j] = replace(
            modes[j], floor=float(each[0, i]), floor_samples=float(each[1, i]) if samples is not None else np.nan,
            spread=_spread(maps, U[:, i], X[:, i], modes[j], budget) if j < CHECKED else np.nan,
        )  # fmt: skip
    in_samples = float(total[1]) if samples is not None else float("nan")
    return Noise(B, step, float(total[0]), in_samples, decaying, len(rows) - decaying), modes


def _samples(game: Game, directions: Array, budget: Budget) -> Array | None:
    """(N d, m) images of the generator's parts of modes, over sqrt(N), so that norms are rms over samples."""
    theta = game.players.weights[1]
    push = budget.counted(lambda v: game.players.generator_push(theta, v))
    images = []
    try:
        for x in directions.T:
            image = push(x.real) + (1j * push(x.imag) if np.abs(x.imag).max(initial=0.0) > 0 else 0)
            images.append(np.asarray(image).ravel() / np.sqrt(len(image)))
    except Spent:
        return None
    return np.stack(images, axis=1) if images else None


def _spread(maps: list[GameMap], u: Array, x: Array, mode: Mode, budget: Budget) -> float:
    """Standard deviation over batches of u^T A_b x, per training step; nan where no products are left."""
    values = []
    try:
        for step in maps:
            product = budget.counted(step.product, 1 / len(maps))
            values.append(u @ product(x.real) + (1j * (u @ product(x.imag)) if mode.of_product.imag else 0))
    except Spent:
        return float("nan")
    scale = abs(mode.multiplier) / (mode.steps * abs(mode.of_product)) if mode.of_product else 1.0
    return float(np.std(values, ddof=1)) * scale


__all__ = ["Noise", "both", "floors", "over_batches", "stationary"]
