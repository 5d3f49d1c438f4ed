"""What a discriminator sees of the error of a real generator, in training of a stated length: a small linear game.

About data y_i with one generated sample each, x_i = y_i + e_i, and a discriminator that tells nothing apart, B psi
being grad_x D at the data and Psi psi its values, J the generator's derivative, P_D and P_G what the optimisers make
of a gradient, the linear game of M samples is

    psi' = -P_D (lam B^T B psi + kappa Psi^T Psi psi + c B^T e) / M,    e' = b J P_G J^T B psi / M

Of it only r = P_D^(1/2) B^T e / M acts on D: what it sees of the error. With w = P_D^(-1/2) psi,

    w' = -(lam A + kappa C) w - c r,    r' = b S w,
    A = R R^T / M, R = P_D^(1/2) B^T;  C = P_D^(1/2) Psi^T Psi P_D^(1/2) / M;  S = R J P_G J^T R^T / M^2

all symmetric and positive, from products with the networks alone: nothing of M d rows times weights is stored. They are
projected onto a space that is built from r at the start (and, for noise, from what a mini-batch adds) by products with
each in turn: small matrices, exact where the space closes. If J P_G J^T = g, S = g A commutes with A, and the space is
that of Lanczos: nodes beta_j of A with weights w_j of the start, each an oscillator of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..base.errors import InputError

Array = np.ndarray

#: a direction that is this small after what is known of it is taken out adds nothing
CLOSED = 1e-9
#: random mini-batches that stand for the noise
PROBES = 4


@dataclass(frozen=True)
class Seen:
    """The game on an orthonormal space (k,): A, C, S of the module's text, ``start`` r, ``noise`` (k, probes): columns
    n with E[step of w by the noise of one step of D] = mean of n n^T. products: with each of the networks' rows; exact:
    the space is closed under all three; samples: M; weight: |r|."""

    A: Array
    C: Array
    S: Array
    start: Array
    noise: Array
    products: int
    exact: bool
    samples: int

    @property
    def weight(self) -> float:
        return float(np.linalg.norm(self.start))

    def nodes(self) -> tuple[Array, Array]:
        """(beta_j, w_j): eigenvalues of A, largest first, and the start's share in each."""
        beta, V = np.linalg.eigh(self.A)
        shares = (V.T @ self.start) ** 2 / float(self.start @ self.start)
        return beta[::-1], shares[::-1]


Products = Callable[[Array], tuple[Array, Array, Array]]


def seen(products: Products, start: Array, noise: Array, most: int, samples: int) -> Seen:
    """Galerkin projection: ``products(w)`` gives (A w, C w, S w); start (n,), noise (n, probes); at most ``most``
    products. Directions are taken up breadth first, so that powers of each operator and their mixtures come in order of
    degree."""
    if not (np.all(np.isfinite(start)) and np.linalg.norm(start) > 0):
        raise InputError("D", "see an error of the generated samples (its gradient in x changes with its weights)", "0")
    basis: list[Array] = []
    images: list[tuple[Array, Array, Array]] = []
    queue: list[Array] = [start, *noise.T]
    exact = False
    scale = 0.0
    while len(images) < most:
        while queue and len(basis) <= len(images):
            v = _left(queue.pop(0), basis)
            if v is not None:
                basis.append(v)
        if len(basis) <= len(images):
            exact = True
            break
        found = products(basis[len(images)])
        images.append(found)
        scale = max(scale, *(float(np.linalg.norm(f)) for f in found))
        queue += [f for f in found if np.linalg.norm(f) > 1e-14 * scale]
    U = np.array(basis[: len(images)])
    A, C, S = (_symmetric(U @ np.array([image[i] for image in images]).T) for i in range(3))
    return Seen(A, C, S, U @ start, U @ noise, len(images), exact, samples)


def _left(v: Array, basis: list[Array]) -> Array | None:
    """v without its part in the basis, of length 1; None where nothing is left. Twice is enough (Kahan, Parlett)."""
    length = float(np.linalg.norm(v))
    if not length > 0 or not np.isfinite(length):
        return None
    v = v / length
    if basis:
        U = np.array(basis)
        for _ in range(2):
            v = v - U.T @ (U @ v)
    left = float(np.linalg.norm(v))
    return v / left if left > CLOSED else None


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2


@dataclass(frozen=True)
class Rates:
    """How the reduced game steps. c, b, kappa: of the loss; momenta of both players, as averages of gradients
    (1 - beta) g (``averaged``) or sums; critic: steps of D per step of G; alternating: G sees the new D."""

    c: float
    b: float
    kappa: float
    momenta: tuple[float, float] = (0.0, 0.0)
    critic: int = 1
    alternating: bool = True

    @property
    def limit(self) -> float:
        """Largest curvature times step at which gradient steps with an average of gradients are stable."""
        return 2 * (1 + self.momenta[0]) / (1 - self.momenta[0])


def step_map(game: Seen, rates: Rates, strength: float, slower: float = 1.0, faster: float = 1.0) -> Array:
    """The matrix of one training step on (w, r, m_D, m_G), momenta as averages of gradients; D's preconditioner times
    ``slower``, the generator's times ``faster``."""
    k = len(game.start)
    one, zero = np.eye(k), np.zeros((k, k))
    H = strength * game.A + rates.kappa * game.C
    beta_D, beta_G = rates.momenta
    D = np.block(
        [
            [one - slower * (1 - beta_D) * H, -slower * (1 - beta_D) * rates.c * one, -slower * beta_D * one, zero],
            [zero, one, zero, zero],
            [(1 - beta_D) * H, (1 - beta_D) * rates.c * one, beta_D * one, zero],
            [zero, zero, zero, one],
        ]
    )
    S = faster * rates.b * game.S
    G = np.block(
        [
            [one, zero, zero, zero],
            [(1 - beta_G) * S, one, zero, beta_G * one],
            [zero, zero, one, zero],
            [(1 - beta_G) * S, zero, zero, beta_G * one],
        ]
    )
    several = np.linalg.matrix_power(D, rates.critic)
    if rates.alternating:
        return G @ several
    return several + G - np.eye(4 * k)


def left_of(game: Seen, rates: Rates, strength: float, steps: int, slower: float = 1.0, faster: float = 1.0) -> Left:
    """What ``steps`` of training leave."""
    k = len(game.start)
    F = step_map(game, rates, strength, slower, faster)
    keep = np.r_[0 : 2 * k] if rates.momenta == (0.0, 0.0) else np.r_[0 : 4 * k]
    F = F[np.ix_(keep, keep)]
    n = len(keep)
    state = np.zeros(n)
    state[k : 2 * k] = game.start
    entering = np.zeros((n, game.noise.shape[1]))
    entering[:k] = -slower * (1 - rates.momenta[0]) * game.noise
    if n > 2 * k:
        entering[2 * k : 3 * k] = (1 - rates.momenta[0]) * game.noise
    one = entering @ entering.T / max(game.noise.shape[1], 1) * rates.critic
    # sums over n steps by doubling: E of the start's own z z^T, N of one step's noise; X_2n = X_n + F^n X_n F^n^T
    power, left = F, int(steps)
    own, kicked = np.outer(state, state), one
    sums, noise, z = np.zeros((n, n)), np.zeros((n, n)), state
    w, r = slice(0, k), slice(k, 2 * k)
    with np.errstate(over="ignore", invalid="ignore"):
        while left:
            if left & 1:
                sums = own + power @ sums @ power.T
                noise = kicked + power @ noise @ power.T
                z = power @ z
            left >>= 1
            if left:
                own, kicked = (x + power @ x @ power.T for x in (own, kicked))
                power = power @ power
        square = float(z[r] @ z[r])
        jitter = max(float(np.trace(noise[r, r])), 0.0)
        size = float(np.trace(game.S @ (sums[w, w] / steps + noise[w, w])))
    return Left(*(_root(v) for v in (square / game.weight**2, (square + jitter) / game.weight**2, size)))


class Left(NamedTuple):
    """|r| at the end over |r| at the start: of the ``start`` alone, and with the noise, ``total``; ``gradient``: rms of
    the generator's over the training, in its optimiser's measure. inf where they overflow."""

    start: float
    total: float
    gradient: float


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0.0))) if np.isfinite(square) else float("inf")
