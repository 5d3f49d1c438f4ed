"""An experiment's dynamics as the orbits' equations take it: its step map, or of a flow its velocity."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..base.errors import InputError
from ..problem.problem import Problem
from .stepmap import StepMap
from .transverse import SplitMap

Array = np.ndarray


class Dynamics:
    """``steps`` with ``advance`` and ``products`` (orbits.System). Raises InputError as StepMap does, and for an exact
    kernel whose functions are taken where the particles are at rest."""

    def __init__(self, problem: Problem) -> None:
        self.steps = StepMap(problem)
        if self.steps.field.grows:
            rule = "be a number of features, or discriminator.evaluation 'fourier', for orbits away from equilibrium"
            raise InputError("discriminator.features", rule, problem.exp.discriminator.features)
        self.size, self.continuous, self.rest = self.steps.size, self.steps.continuous, self.steps.rest

    def advance(self, z: Array) -> Array:
        """(k, n): one step, of a flow the velocity."""
        return self.steps.velocity(z) if self.continuous else self.steps.step(z)

    def products(self, z: Array, v: Array) -> Array:
        """(k, n): derivatives of ``advance`` at z (k, n) times v (k, n)."""
        return self.steps.velocity_products(z, v) if self.continuous else self.steps.products(z, v)

    @property
    def weights(self) -> Array:
        """(n,) W with sum W dz^2 the mean square displacement of the particles."""
        x = np.zeros(self.steps.positions(self.rest).shape) + self.steps.shares[:, None]
        blocks = [0 * block for block in self.steps.state(self.rest)]
        blocks[1] = x
        return np.array(self.steps.flatten(tuple(blocks)))


def family(
    problem: Problem, path: str, of: Callable[[float], float] = float, kept: int = 8
) -> Callable[[float], Dynamics]:
    """The dynamics where a field of the experiment is ``of(u)``, as a function of u; the last few are kept."""

    @lru_cache(maxsize=kept)
    def at(u: float) -> Dynamics:
        return Dynamics(problem.replace({path: of(u)}))

    return at


def parting(split: SplitMap, z: Array) -> Array:
    """(k, G, p, p): at every state z (k, n) of the step map, for each of the G positions with several particles, the
    map (flow: velocity) of their displacements of zero sum, p = d times the blocks of the state that are positions.

    By the symmetry of exchange a displacement +u of one half of a position's particles and -u of the other changes
    neither the discriminator nor other positions at first order; any displacements of zero sum move so, for every
    loss, penalty and update rule."""
    T = split.apart()
    blocks, G, d, n = T.shape
    apply = split.velocity_products if split.continuous else split.products
    at, out = split.embedded(z), np.empty((len(z), G, blocks * d, blocks * d))
    for column, u in enumerate(T.sum(1).reshape(blocks * d, n)):  # all positions at once: none feels the others
        moved = apply(at, np.broadcast_to(u, at.shape))
        out[..., column] = np.moveaxis(np.tensordot(moved, T, axes=(1, 3)), 2, 1).reshape(len(z), G, -1)
    return out
