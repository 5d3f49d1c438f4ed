"""One particle in place of several that stay together, for any masses: the same dynamics in fewer coordinates.

n particles of mass m at one point feel the force m s each, and with Q = n m the mass of all of them

    dx/dt = eta_G omega [(g1 - g2) m s + g2 sum_b Q_b s_b],

that of one particle of mass Q with (g1 - g2)/n in place of g1 - g2 (Eq. (5, particle-flow)). Only sums over particles
weighted by mass reach the discriminator, the scores and the consensus term, so that this holds for every term of the
field, exactly and at any distance from equilibrium. Particles of different masses at one point have different
velocities: they are apart, but for g1 = g2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..features import FeatureMap
from .field import Field
from .problem import MASS_TOLERANCE, Problem
from .terms import coupled


@dataclass(frozen=True, eq=False)
class Groups:
    """``of`` (N,): the group of every particle; masses (G,) of all in it; counts (G,) of its particles."""

    of: np.ndarray
    masses: np.ndarray
    counts: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(G,) parts of all particles."""
        return self.counts / self.counts.sum()


def groups(problem: Problem, x: np.ndarray, tolerance: float) -> Groups:
    """The particles at x (N, d) that are there together, to ``tolerance`` in every coordinate, and stay together."""
    masses = problem.masses / problem.masses.max()
    same = np.zeros_like(masses) if problem.ratio == 1 else masses
    first: list[int] = []
    of = np.empty(len(x), dtype=int)
    for i in range(len(x)):
        known = np.array(first, dtype=int)
        near = np.abs(x[known] - x[i]).max(axis=1) <= tolerance
        near &= np.abs(same[known] - same[i]) <= MASS_TOLERANCE
        if not near.any():
            of[i] = len(first)
            first.append(i)
        else:
            of[i] = np.argmax(near)
    return Groups(of, np.bincount(of, weights=problem.masses), np.bincount(of))


class CondensedField(Field):
    """Velocities of one particle for each group, x (run, G, d); otherwise as Field."""

    def __init__(self, problem: Problem, groups: Groups, features: FeatureMap | None = None) -> None:
        super().__init__(problem, None, features)
        self.groups = groups
        self.masses = groups.masses
        self.q = (self.masses[:, None] * self.node_weights).ravel()
        self.each = (self.relative / groups.counts)[:, None]
        if self.score is not None:
            self.score.masses = self.masses

    def with_features(self, features: FeatureMap) -> Field:
        return self if features is self.features else CondensedField(self.problem, self.groups, features)

    def metric(self, F: np.ndarray) -> np.ndarray:
        return coupled(self.each, self.collective, F)
