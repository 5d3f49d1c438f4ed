"""A map or flow about its equilibrium: what normal forms need of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .critical import Resolvent
from .differentials import Differentials

Array = np.ndarray


@dataclass(frozen=True)
class Point:
    """``size`` n; ``curve``: (K, k, n) Taylor coefficients of t^1 ... t^K of k curves through the equilibrium -> those
    of their images F (flow: of the velocity along them); displacement: (..., n) to what it does to the particles,
    (..., M, d), linear; shares (M,): of the particles at each position; matrix: gives A, where it is to be had more
    cheaply than from curves."""

    size: int
    curve: Callable[[Array], Array]
    displacement: Callable[[Array], Array]
    shares: Array
    continuous: bool
    matrix: Callable[[], Array] | None = None

    @classmethod
    def of(cls, stepmap: Any) -> Point:
        """Of a StepMap, at its rest."""
        from .jet import Jet

        z, flow = stepmap.rest, stepmap.continuous

        def curve(coefficients: Array) -> Array:
            start = np.broadcast_to(z, coefficients.shape[1:])[None]
            moved = Jet(np.concatenate([start, coefficients]))
            out = stepmap.velocity(moved) if flow else stepmap.step(moved)
            return out.coefficients[1:]

        matrix = stepmap.velocity_jacobian if flow else stepmap.jacobian
        return cls(stepmap.size, curve, stepmap.positions, stepmap.shares, flow, matrix)

    @cached_property
    def A(self) -> Array:
        """(n, n) dF/dz there (flow: of the velocity)."""
        return self.jets(np.eye(self.size), 1)[:, 0].T if self.matrix is None else self.matrix()

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
    def resolvent(self) -> Resolvent:
        return Resolvent(self.A)

    def gram(self, right: Array) -> Array:
        """(k, k) mean over particles of conj(x_i) . x_j for what the columns of (n, k) do to them."""
        x = np.sqrt(self.shares)[:, None] * self.displacement(right.T)
        flat = x.reshape(len(x), -1)
        return flat.conj() @ flat.T


__all__ = ["Point"]
