"""An experiment's dynamics as the orbits' equations take it: its step map, or of a flow its velocity."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..base.errors import InputError
from ..problem.condense import CondensedField, Groups
from ..problem.problem import Problem
from .stepmap import StepMap

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


def family(problem: Problem, path: str, kept: int = 8) -> Callable[[float], Dynamics]:
    """The dynamics at values of a field of the experiment; the last few are kept."""

    @lru_cache(maxsize=kept)
    def at(value: float) -> Dynamics:
        return Dynamics(problem.replace({path: value}))

    return at


class Parted(StepMap):
    """The step map with every position taken twice, half of its particles on each: what moves the halves apart.

    By the symmetry of exchange a displacement +u of one half and -u of the other changes neither the discriminator nor
    other positions at first order: it moves by a linear map of its own. Any displacements of zero sum of the particles
    on one point move so, for every loss, penalty and update rule.
    """

    def __init__(self, steps: StepMap) -> None:
        self.problem, self.rule, self.equilibrium = steps.problem, steps.rule, steps.equilibrium
        one = steps.groups
        self.groups = Groups(one.of, np.repeat(one.masses / 2, 2), np.repeat(one.counts / 2, 2))
        self.field = CondensedField(steps.problem, self.groups, steps.field.features)
        self._x, self._w = np.repeat(steps._x, 2, axis=0), steps._w
        self.shares = self.groups.shares
        self.shared = np.flatnonzero(one.counts > 1)

    def doubled(self, steps: StepMap, z: Array) -> Array:
        """The states z (k, n) of ``steps`` as states of this map."""
        return self.flatten(tuple(np.repeat(b, 2, axis=-2) if self._placed(b, steps) else b for b in steps.state(z)))

    @staticmethod
    def _placed(block: Array, steps: StepMap) -> bool:
        return block.shape[-2:] == steps._x.shape and block.ndim > 2

    def parting(self, steps: StepMap, z: Array) -> Array:
        """(k, S, p, p): at every state z (k, n), for each of the S positions with several particles (``shared``), the
        map of their displacements of zero sum, p = d times the blocks of the state that are positions."""
        at = self.doubled(steps, z)
        flags = [self._placed(b, steps) for b in steps.state(z)]
        count, d = sum(flags), steps._x.shape[1]
        apply = self.velocity_products if self.continuous else self.products
        out = np.empty((len(z), len(steps._x), count * d, count * d))
        for column in range(count * d):
            blocks, seen = [], 0
            for block, placed in zip(self.state(at), flags, strict=True):
                new = np.zeros(block.shape)
                if placed:
                    if seen == column // d:
                        new[..., ::2, column % d], new[..., 1::2, column % d] = 1.0, -1.0
                    seen += 1
                blocks.append(new)
            moved = self.state(apply(at, self.flatten(tuple(blocks))))
            rows = [(b[..., ::2, :] - b[..., 1::2, :]) / 2 for b, placed in zip(moved, flags, strict=True) if placed]
            out[..., column] = np.concatenate(rows, axis=-1)
        return out[:, self.shared]
