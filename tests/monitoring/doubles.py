"""A game of NumPy arrays that stands in for two networks in training, and a clock that only tests move."""

from types import SimpleNamespace

import numpy as np

from egan_theory.games.optimizers import Optimizer


class Clock:
    """Seconds since the start; ``pass_`` moves it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


class Network:
    """Weights that a loop changes."""

    def __init__(self, *weights):
        self.weights = np.array(weights, dtype=float)


class Double:
    """A bilinear game, D psi.theta with R1 strength s on psi: v = -(s psi - theta, psi), stepped by ``rate``.

    Its multipliers are those of [[1 - rate s, rate], [-rate, 1]], each as often as a network has weights. All samples
    move together, G(latents) = latents + theta: g1 = g2 = 1, and these explain all of the kernel.
    """

    def __init__(self, D, G, *, data, latents, optimizers, loss, penalty=None, clock=None, cost=0.0, **_):
        self.strengths = {"r1": 0.0} | dict(penalty or {})
        self.rate = optimizers[0]
        self.optimizers = tuple(Optimizer("sgd", {"learning_rate": rate}) for rate in optimizers)
        n, s = len(D.weights), self.strengths["r1"]
        one = np.eye(n)
        self.matrix = np.block([[(1 - self.rate * s) * one, self.rate * one], [-self.rate * one, one]])
        self.latents, self.clock, self.cost, self.made = np.asarray(latents, dtype=float), clock, cost, 0
        self.players = SimpleNamespace(
            framework="NumPy", sizes=(n, n), weights=(D.weights.copy(), G.weights.copy()), batches=1, notes=(),
            gradient=self.gradient, generated=self.generated, generator_push=self.push, generator_pull=self.pull,
        )  # fmt: skip
        z = np.concatenate(self.players.weights)
        self.map = SimpleNamespace(
            n=2 * n, steps=1, state=z, parts={"psi": slice(0, n), "theta": slice(n, 2 * n)}, product=self.product,
            velocity=self.matrix @ z - z,
        )  # fmt: skip

    def product(self, v):
        if self.clock is not None:
            self.clock.pass_(self.cost)
        self.made += 1
        return self.matrix @ v

    def gradient(self, player, psi, theta, strengths, batch=0):
        return psi if player else strengths["r1"] * psi - theta

    def generated(self, theta, batch=0):
        return self.latents + theta[: self.latents.shape[1]]

    def push(self, theta, d_theta, batch=0):
        return np.tile(d_theta[: self.latents.shape[1]], (len(self.latents), 1))

    def pull(self, theta, u, batch=0):
        return np.concatenate([u.sum(0), np.zeros(len(theta) - u.shape[1])])

    def eigenvalues(self):
        s = self.strengths["r1"]
        return np.linalg.eigvals(np.array([[1 - self.rate * s, self.rate], [-self.rate, 1.0]]))
