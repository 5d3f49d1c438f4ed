"""The macroscopic state of the solvable model.

    P = U^T V (d, d)    q = U^T w (d,)    r = V^T w (d,)    S = V^T V (d, d)    z = w.w

U the true features, V the generator's, w the discriminator's weights; U^T U = I.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """The macroscopic state, with any leading axes: U the true features, V the generator's, w the discriminator's
    weights.

    Attributes:
        P: [1] (..., d, d) overlap U^T V.
        q: [1] (..., d) overlap U^T w.
        r: [1] (..., d) overlap V^T w.
        S: [1] (..., d, d) overlap V^T V.
        z: [1] (...) squared norm w.w.

    Source:
        Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
    """

    P: np.ndarray
    q: np.ndarray
    r: np.ndarray
    S: np.ndarray
    z: np.ndarray

    def pack(self) -> np.ndarray:
        """All of it as one array (..., 2 d^2 + 2 d + 1) [1]."""
        lead = self.q.shape[:-1]
        return np.concatenate(
            [self.P.reshape(*lead, -1), self.q, self.r, self.S.reshape(*lead, -1), self.z[..., None]], axis=-1
        )


def unpack(y: np.ndarray, d: int) -> State:
    """The inverse of ``State.pack``; views of y."""
    lead, n = y.shape[:-1], d * d
    return State(
        y[..., :n].reshape(*lead, d, d),
        y[..., n : n + d],
        y[..., n + d : n + 2 * d],
        y[..., n + 2 * d : 2 * n + 2 * d].reshape(*lead, d, d),
        y[..., -1],
    )


def gram(state: State) -> np.ndarray:
    """(..., 2d+1, 2d+1) Gram matrix of (U, V, w); positive semidefinite for every state that vectors can have."""
    lead, d = state.q.shape[:-1], state.q.shape[-1]
    out = np.zeros((*lead, 2 * d + 1, 2 * d + 1))
    u, v = slice(0, d), slice(d, 2 * d)
    out[..., u, u] = np.eye(d)
    out[..., u, v], out[..., v, u] = state.P, np.swapaxes(state.P, -1, -2)
    out[..., u, -1] = out[..., -1, u] = state.q
    out[..., v, v] = state.S
    out[..., v, -1] = out[..., -1, v] = state.r
    out[..., -1, -1] = state.z
    return out


def gram_state(gram: np.ndarray) -> State:
    """The state of Gram matrices (..., 2d+1, 2d+1) of (U, V, w): the inverse of ``gram``."""
    d = (gram.shape[-1] - 1) // 2
    u, v = slice(0, d), slice(d, 2 * d)
    return State(gram[..., u, v], gram[..., u, -1], gram[..., v, -1], gram[..., v, v], gram[..., -1, -1])


def gram_root(gram: np.ndarray) -> np.ndarray:
    """R with R^T R = G, for positive semidefinite G."""
    values, vectors = np.linalg.eigh(gram)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
