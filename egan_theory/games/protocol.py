"""What the theory asks of a framework: both networks at one checkpoint, their objectives and derivatives.

Numbers cross this line as flat float64 NumPy vectors; tensors stay behind it. Player 0 is the discriminator D with
weights psi (n_D,), player 1 the generator G with weights theta (n_G,). Both objectives are minimised. Samples x are
rows: (N, ...) in the data's own shape where they are values, (N, d) flattened where they are directions.

A vector that cannot be written (``flags.writeable`` False) keeps its value: a back end may keep what it built at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

Array = np.ndarray
#: penalty strengths by name ("r1", "r2"); every objective is affine in each of them
Strengths = Mapping[str, float]

DISCRIMINATOR, GENERATOR = 0, 1


@runtime_checkable
class Players(Protocol):
    """Both networks at a checkpoint, their losses, data and latents, in one framework.

    ``framework``: its name; ``sizes`` (n_D, n_G): numbers of trained weights; ``weights`` (psi, theta): copies;
    ``batches``: number of (data, latents) mini-batches held, counted from 0; ``notes``: what was found in the modules
    that the theory has something to say about, in plain words.
    """

    framework: str
    sizes: tuple[int, int]
    batches: int
    notes: tuple[str, ...]

    @property
    def weights(self) -> tuple[Array, Array]:
        """(psi, theta), copies."""
        ...

    def gradient(self, player: int, psi: Array, theta: Array, strengths: Strengths, batch: int = 0) -> Array:
        """Gradient of the player's own objective with respect to its own weights: (n_D,) or (n_G,)."""
        ...

    def push(
        self, player: int, psi: Array, theta: Array, d_psi: Array, d_theta: Array, strengths: Strengths, batch: int = 0
    ) -> Array:
        """The derivative of ``gradient`` along (d_psi, d_theta)."""
        ...

    def pull(
        self, player: int, psi: Array, theta: Array, w: Array, strengths: Strengths, batch: int = 0
    ) -> tuple[Array, Array]:
        """The transpose of ``push``: the derivatives of w . gradient with respect to psi and to theta."""
        ...

    def real(self, batch: int = 0) -> Array:
        """The data of a mini-batch: (N, ...)."""
        ...

    def losses(self, real: Array, fake: Array) -> tuple[float, float]:
        """(loss of D, loss of G) of given scores at the data and at the generated samples, without penalties."""
        ...

    def generated(self, theta: Array, batch: int = 0) -> Array:
        """G(latents): (N, ...)."""
        ...

    def generator_push(self, theta: Array, d_theta: Array, batch: int = 0) -> Array:
        """The derivative of ``generated`` along d_theta: (N, d)."""
        ...

    def generator_pull(self, theta: Array, u: Array, batch: int = 0) -> Array:
        """The transpose of ``generator_push``: u (N, d) to (n_G,)."""
        ...

    def scores(self, psi: Array, X: Array) -> Array:
        """D at the rows of X: (M,)."""
        ...

    def slopes(self, psi: Array, X: Array) -> Array:
        """grad_x D at the rows of X: (M, d)."""
        ...

    def rows_push(self, psi: Array, X: Array, d_psi: Array) -> tuple[Array, Array]:
        """B d_psi: the derivatives of ``scores`` (M,) and ``slopes`` (M, d) along d_psi."""
        ...

    def rows_pull(self, psi: Array, X: Array, a: Array, u: Array) -> Array:
        """B^T (a, u): the transpose of ``rows_push``, a (M,) and u (M, d) to (n_D,)."""
        ...
