"""Positions of the particles with the features there, evaluated once however often they are asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from ..features import FeatureMap, FourierFeatures, FourierGrid, Located


class Placing(Protocol):
    """What positions are placed in: features, the nodes of instance noise, and where Fourier modes end."""

    features: FeatureMap

    @property
    def damped(self) -> FourierFeatures | None: ...

    def nodes(self, X: np.ndarray) -> np.ndarray: ...

    def outside(self, x: np.ndarray) -> np.ndarray: ...


class Cloud:
    """Positions ``x`` (..., N, d) in a field. Adding a displacement gives another cloud; multiples are plain arrays
    (a velocity, a momentum). So an update rule may hand the same positions to both players and pay for them once.

    left: for every evaluated cloud of one step, which runs had a particle outside the domain in which Fourier modes
    stand for the kernel; clouds that come from each other share it.
    """

    __array_ufunc__ = None  # array + cloud is no array of clouds

    def __init__(self, field: Placing, x: np.ndarray, left: list[np.ndarray] | None = None) -> None:
        self.field, self.x = field, x
        self.left: list[np.ndarray] = [] if left is None else left

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape

    @cached_property
    def outside(self) -> np.ndarray:
        """Which runs have a particle outside the domain of the Fourier modes: (run,), or () for one."""
        return self.field.outside(self.x)

    @cached_property
    def located(self) -> Located:
        features = self.field.features
        if isinstance(features, FourierGrid) and features.domain is not None:
            self.left.append(self.outside)
        return features.at(self.field.nodes(self.x))

    @cached_property
    def averaged(self) -> Located | None:
        """The features averaged over instance noise, at one point per particle, where that has a closed form."""
        damped = self.field.damped
        return None if damped is None else damped.at(self.x)

    def strayed(self) -> Any:
        """Which runs are outside the domain, here or at any cloud evaluated on the way: (run,), or () for one."""
        return np.any([self.outside, *self.left], axis=0) if self.left else self.outside

    def again(self) -> Self:
        """The same positions, at the beginning of another step."""
        out = type(self)(self.field, self.x)
        vars(out).update({key: value for key, value in vars(self).items() if key in ("outside", "located", "averaged")})
        return out

    def __add__(self, displacement: Any) -> Self:
        return type(self)(self.field, self.x + displacement, self.left)

    def __sub__(self, other: Any) -> Any:
        """Another cloud, or of two clouds the displacement between them, an array."""
        if isinstance(other, Cloud):
            return self.x - other.x
        return type(self)(self.field, self.x - other, self.left)

    def __mul__(self, factor: Any) -> np.ndarray:
        return factor * self.x

    __rmul__ = __mul__
