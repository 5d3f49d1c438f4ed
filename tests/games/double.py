"""A quadratic game of explicit matrices, and one step of it as a matrix: what products are tested against."""

from dataclasses import dataclass, field

import numpy as np

from egan_theory.games.game import Game
from egan_theory.games.stepmap import Schedule


class Quadratic:
    """Gradients D: (H + r1 R) psi + B theta + a, G: K theta - B^T psi + c, each matrix and vector scattered over
    batches."""

    framework = "NumPy"
    notes = ("a game of matrices",)

    def __init__(self, n=12, batches=1, seed=0, scatter=0.0, rotation=1.0, stiffness=1.0):
        rng = np.random.default_rng(seed)
        self.sizes, self.batches = (n, n - 2), batches
        m = self.sizes[1]

        def positive(k):
            X = rng.standard_normal((k, k))
            return X @ X.T / k

        def drawn():
            out = [scatter * rng.standard_normal((k, k)) / np.sqrt(8 * k) for k in (n, m)]
            return [*(X + X.T for X in out), scatter * rng.standard_normal(n), scatter * rng.standard_normal(m)]

        self.H, self.R, self.K = stiffness * positive(n), positive(n), 0.3 * positive(m)
        self.B = rotation * rng.standard_normal((n, m)) / np.sqrt(n)
        self.a, self.c = 0.1 * rng.standard_normal(n), 0.1 * rng.standard_normal(m)
        draws = [drawn() for _ in range(batches)]
        mean = [np.mean(part, axis=0) for part in zip(*draws, strict=True)]
        self.extra = [[x - m for x, m in zip(d, mean, strict=True)] for d in draws]
        self.weights = rng.standard_normal(n), rng.standard_normal(m)

    def blocks(self, strengths, batch):
        """((dD/dpsi, dD/dtheta), (dG/dpsi, dG/dtheta)); batch None: the mean."""
        h, k = (0.0, 0.0) if batch is None else self.extra[batch][:2]
        return (self.H + strengths.get("r1", 0.0) * self.R + h, self.B), (-self.B.T, self.K + k)

    def gradient(self, player, psi, theta, strengths, batch=0):
        a, b = self.blocks(strengths, batch)[player]
        shift = (self.a, self.c)[player] + (0.0 if batch is None else self.extra[batch][2 + player])
        return a @ psi + b @ theta + shift

    def push(self, player, psi, theta, d_psi, d_theta, strengths, batch=0):
        a, b = self.blocks(strengths, batch)[player]
        return a @ d_psi + b @ d_theta

    def pull(self, player, psi, theta, w, strengths, batch=0):
        a, b = self.blocks(strengths, batch)[player]
        return a.T @ w, b.T @ w

    def generated(self, theta, batch=0):
        return np.stack([theta, 2 * theta])

    def generator_push(self, theta, d_theta, batch=0):
        return np.stack([d_theta, 2 * d_theta])

    def generator_pull(self, theta, u, batch=0):
        return u[0] + 2 * u[1]

    def jacobian(self, rates, strengths, batch=None):
        """dF/dz of a simultaneous step of gradient descent."""
        (dd, dg), (gd, gg) = self.blocks(strengths, batch)
        field = np.block([[rates[0] * dd, rates[0] * dg], [rates[1] * gd, rates[1] * gg]])
        return np.eye(sum(self.sizes)) - field


@dataclass
class Matrix:
    """A map z -> A z + b as a GameMap."""

    A: np.ndarray
    state: np.ndarray = None
    velocity: np.ndarray = None
    parts: dict = field(default_factory=dict)
    steps: int = 1
    cost: int = 2
    made: int = 0

    def __post_init__(self):
        self.n = len(self.A)

    def product(self, v):
        self.made += 1
        return self.A @ v

    def transposed(self, w):
        self.made += 1
        return self.A.T @ w

    def step(self, z):
        return z + self.velocity + self.A @ (z - self.state)


def descent(players, rates, strengths, alternating=False):
    """The game with gradient descent at these learning rates."""
    from egan_theory.games.optimizers import Optimizer

    optimizers = tuple(Optimizer("sgd", {"learning_rate": r, "momentum": 0.0}) for r in rates)
    return Game(players, optimizers, Schedule(alternating=alternating), strengths)


def spread(values, n, seed=0, condition=0.3):
    """A random real (n, n) matrix with the given multipliers (im >= 0, conjugates added), the rest from 0 to 0.9."""
    rng = np.random.default_rng(seed)
    D = np.diag(rng.uniform(0.0, 0.9, n))
    at = 0
    for z in values:
        if np.imag(z):
            D[at : at + 2, at : at + 2] = [[z.real, z.imag], [-z.imag, z.real]]
        else:
            D[at, at] = np.real(z)
        at += 2 if np.imag(z) else 1
    S = np.eye(n) + condition * rng.standard_normal((n, n)) / np.sqrt(n)
    return S @ D @ np.linalg.inv(S)
