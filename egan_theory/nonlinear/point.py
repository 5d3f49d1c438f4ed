"""A map or flow about its equilibrium: what normal forms need of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .critical import Resolvent, Split, SplitResolvent, nearby
from .differentials import Differentials

Array = np.ndarray
#: directions whose products with A are taken together
AT_ONCE = 256


@dataclass(frozen=True)
class Point:
    """``size`` n; ``curve``: (K, k, n) Taylor coefficients of t^1 ... t^K of k curves through the equilibrium -> those
    of their images F (flow: of the velocity along them); displacement: (..., n) to what it does to the particles,
    (..., M, d), linear; shares (M,): of the particles at each position; matrix: gives A, where it is to be had more
    cheaply than from curves; split: how A falls apart, where it does."""

    size: int
    curve: Callable[[Array], Array]
    displacement: Callable[[Array], Array]
    shares: Array
    continuous: bool
    matrix: Callable[[], Array] | None = None
    split: Split | None = None

    @classmethod
    def of(cls, stepmap: Any, core: int | None = None) -> Point:
        """Of a StepMap, at its rest; core: so many weights alone are tied to others at first order (local.Basis)."""
        from .jet import Jet

        z, flow = stepmap.rest, stepmap.continuous

        def curve(coefficients: Array) -> Array:
            start = np.broadcast_to(z, coefficients.shape[1:])[None]
            moved = Jet(np.concatenate([start, coefficients]))
            out = stepmap.velocity(moved) if flow else stepmap.step(moved)
            return out.coefficients[1:]

        matrix = stepmap.velocity_jacobian if flow else stepmap.jacobian
        split = None if core is None else _split(stepmap, core)
        return cls(stepmap.size, curve, stepmap.positions, stepmap.shares, flow, matrix, split)

    @cached_property
    def A(self) -> Array:
        """(n, n) dF/dz there (flow: of the velocity)."""
        return self.jets(np.eye(self.size), 1)[:, 0].T if self.matrix is None else self.matrix()

    @property
    def largest(self) -> int:
        """Rows of the largest matrix that is factored."""
        return self.size if self.split is None else len(self.split.core)

    @property
    def block(self) -> Array:
        """That matrix: all eigenvalues of A, those of groups that are alike once."""
        return self.A if self.split is None else self.core

    @cached_property
    def core(self) -> Array:
        """A on the core of ``split``, to which one of the other groups is added so that its eigenvalues are there."""
        assert self.split is not None
        unit = np.zeros((len(self.split.core), self.size))
        unit[np.arange(len(unit)), self.split.core] = 1.0
        parts = [self.jets(unit[i : i + AT_ONCE], 1)[:, 0, self.split.core] for i in range(0, len(unit), AT_ONCE)]
        return np.concatenate(parts).T

    def nearby(self, target: complex) -> tuple[Array, Array, Array]:
        """critical.nearby of A."""
        values, right, left = nearby(self.block, target)
        if self.split is None:
            return values, right, left
        return values, self.split.embedded(right), self.split.embedded(left)

    def product(self, v: Array) -> Array:
        """A v of complex columns v (n, k)."""
        real = self.jets(np.concatenate([v.real, v.imag], axis=1).T, 1)[:, 0].T
        return real[:, : v.shape[1]] + 1j * real[:, v.shape[1] :]

    def jets(self, v: Array, order: int) -> Array:
        """(k, order, n): along lines."""
        line = np.zeros((order, *v.shape))
        line[0] = v
        return np.moveaxis(self.curve(line), 0, 1)

    @cached_property
    def differentials(self) -> Differentials:
        return Differentials(self.jets)

    @cached_property
    def resolvent(self) -> Resolvent | SplitResolvent:
        if self.split is None:
            return Resolvent(self.A)
        k = self.split.others.shape[1]
        return SplitResolvent(self.split, self.core, self.core[-k:, -k:])

    def gram(self, right: Array) -> Array:
        """(k, k) mean over particles of conj(x_i) . x_j for what the columns of (n, k) do to them."""
        x = np.sqrt(self.shares)[:, None] * self.displacement(right.T)
        flat = x.reshape(len(x), -1)
        return flat.conj() @ flat.T


def _split(stepmap: Any, core: int) -> Split | None:
    """The first ``core`` of all weights (and of what is remembered of them) with the positions, and every other one."""
    starts = np.concatenate([[0], stepmap.ends[:-1]])
    within, others = [], []
    for start, end, shape in zip(starts, stepmap.ends, stepmap.shapes, strict=True):
        middle = start + core if len(shape) == 1 else end
        within.append(np.arange(start, middle))
        if len(shape) == 1:
            others.append(np.arange(middle, end))
    if not others or len(others[0]) < 2:
        return None
    groups = np.stack(others, axis=1)
    return Split(np.concatenate([*within, groups[-1]]), groups[:-1], stepmap.size)


__all__ = ["Point"]
