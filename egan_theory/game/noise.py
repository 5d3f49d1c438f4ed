"""What mini-batches do to the modes: the scatter of their multipliers, and the size at which noise keeps them.

At every step z+ = F(z) + xi, with xi the difference between the step on a mini-batch and the mean step. Along a mode x
with adjoint u (A x = lambda x, A^T u = lambda u) the amplitude is a = u^T z / u^T x, and a+ = lambda a + q with
q = u^T xi / u^T x. Where all |lambda| < 1 the covariance S = E a a^H obeys S = Lambda S Lambda^H + Q, that is
S_jk = Q_jk / (1 - lambda_j conj(lambda_k)): the Lyapunov equation S = A S A^T + Q in the modes' coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base.table import Record

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


__all__ = ["Noise", "both", "floors", "stationary"]
