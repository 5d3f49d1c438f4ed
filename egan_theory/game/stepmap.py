"""One training step of both players as a map z -> F(z), with products of its derivative and of its transpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .optimizers import Optimizer
from .protocol import Players, Strengths

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Array = np.ndarray


@dataclass(frozen=True)
class Schedule:
    """Who moves when. ``alternating``: the generator sees the new discriminator; ``critic_steps``: discriminator steps
    per generator step; ``lazy`` k: the penalty acts at every k-th training step only, with k times its strength."""

    alternating: bool = True
    critic_steps: int = 1
    lazy: int = 1


class GameMap:
    """One training step (with a lazy penalty: k of them) z -> F(z), z = (psi, theta, their moments), about a checkpoint.

    ``n``: size of z; ``parts``: slices of z by name ("psi", "theta", "m_psi", "m_theta"; live also "v_psi", ...);
    ``state`` (n,): z at the checkpoint; ``velocity`` (n,): F(z) - z; ``steps``: training steps that F spans: multipliers
    are to be taken to the power 1/steps; ``cost``: gradient evaluations that one product costs.
    ``batch`` None: the mean over all batches held; ``frozen``: second moments as on the step from the checkpoint, else
    they are part of z.
    """

    n: int
    parts: dict[str, slice]
    state: Array
    velocity: Array
    steps: int
    cost: int

    def __init__(
        self,
        players: Players,
        optimizers: tuple[Optimizer, Optimizer],
        schedule: Schedule,
        strengths: Strengths,
        batch: int | None = None,
        frozen: bool = True,
    ) -> None:
        self.players, self.optimizers, self.schedule = players, optimizers, schedule
        self.strengths, self.batch, self.frozen = dict(strengths), batch, frozen

    def step(self, z: Array) -> Array:
        """F(z): the real step (Adam's own second moment moves)."""
        raise NotImplementedError

    def product(self, v: Array) -> Array:
        """A v, A = dF/dz at the checkpoint: (n,) or columns (n, c)."""
        raise NotImplementedError

    def transposed(self, w: Array) -> Array:
        """A^T w: (n,) or columns (n, c)."""
        raise NotImplementedError

    @property
    def operator(self) -> LinearOperator:
        """A with ``matvec`` and ``rmatvec``."""
        raise NotImplementedError
