"""Targets: the data distribution p as M weighted points in R^d (a lattice for the periodic box)."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from ..base.config import LARGEST, Config, Numbers, Positive, Vectors
from ..base.errors import InputError
from .given import MAX_COORDINATES, checked_points, normalised_weights, read_points


class Points(NamedTuple):
    """The sampled target: coordinates (M, d), weights (M,) summing to 1, side of the periodic box or None."""

    coordinates: np.ndarray
    weights: np.ndarray
    period: float | None


class _Target(Config):
    """A target makes its points once; experiments that share it share them."""

    table: ClassVar[str] = "target"
    #: in words
    title: ClassVar[str]

    _points: Points | None = PrivateAttr(None)

    @property
    def content(self) -> bytes:
        """What a target is besides its fields: of points from elsewhere a digest of them, else nothing."""
        return b""

    def points(self) -> Points:
        """The points, made once: coordinates (M, d) [length], weights (M,) [1], side of the periodic box [length] or
        None.
        """
        if self._points is None:
            self._points = self._made()
        return self._points

    def _made(self) -> Points:
        Y = self.coordinates()
        weights = getattr(self, "weights", None)
        return Points(Y, normalised_weights("target.weights", weights, len(Y)), None)

    def coordinates(self) -> np.ndarray:
        """(M, d) coordinates of the points [length]."""
        raise NotImplementedError


class Ring(_Target):
    """``modes`` points at equal angles on a circle of radius ``radius`` in d = 2.

    Attributes:
        kind: "ring", its word in files.
        modes: [1] number of points M, 1 to 100000.
        radius: [length] of the circle, > 0.
        weights: [1] one per point, > 0, scaled to sum 1; equal if not given.

    Source:
        none, a test distribution; its length is the unit of all lengths.

    Examples:
        >>> import egan_theory as eg
        >>> import numpy as np
        >>> points = eg.Experiment(target=eg.Ring(modes=4, radius=2.0)).points.coordinates
        >>> points.shape, bool(np.allclose(np.hypot(*points.T), 2.0))
        ((4, 2), True)
    """

    title: ClassVar[str] = "ring"
    kind: Literal["ring"] = "ring"
    modes: int = Field(default=8, ge=1, le=100_000)
    radius: Positive = 1.0
    weights: Numbers | None = None

    @property
    def dimension(self) -> int:
        """d, the number of coordinates of a point [1]."""
        return 2

    def coordinates(self) -> np.ndarray:
        """(M, d) coordinates of the points [length]."""
        angle = 2 * np.pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class Grid(_Target):
    """``side``^``dimension`` points on a cubic grid of the given spacing, centred at 0.

    Attributes:
        kind: "grid", its word in files.
        side: [1] points along each axis, 1 to 10000.
        spacing: [length] between neighbours, > 0.
        dimension: [1] number of coordinates, 1 to 64.
        weights: [1] one per point, > 0, scaled to sum 1; equal if not given.

    Raises:
        ValidationError: more than 2e7 coordinates in all; ``Experiment`` says it as an InputError.

    Source:
        none, a test distribution.
    """

    title: ClassVar[str] = "grid"
    kind: Literal["grid"] = "grid"
    side: int = Field(default=5, ge=1, le=10_000)
    spacing: Positive = 1.0
    dimension: int = Field(default=2, ge=1, le=64)
    weights: Numbers | None = None

    @model_validator(mode="after")
    def _size(self) -> Grid:
        check_size("target.side", self.side, self.dimension)
        return self

    def coordinates(self) -> np.ndarray:
        """(M, d) coordinates of the points [length]."""
        return self.spacing * lattice(self.side, self.dimension, centre=True)


class Mixture(_Target):
    """``samples`` draws from sum_c weight_c N(mean_c, std_c^2 I), drawn once with ``seed``.

    Attributes:
        means: [length] of the components, rows of d coordinates.
        weights: [1] of the components, > 0, scaled to sum 1; equal if not given.
        std: [length] of all components, or one number for each; >= 0.
        samples: [1] number of points M, 1 to 1e6.
        seed: [1] of the draws, 0 to below 2^63.
        kind: "mixture", its word in files.

    Raises:
        ValidationError: no mean, means of different lengths, or weights or deviations that do not go with them;
            ``Experiment`` says it as an InputError.

    Source:
        none, a test distribution.
    """

    title: ClassVar[str] = "mixture of Gaussians"
    kind: Literal["mixture"] = "mixture"
    means: Vectors
    weights: Numbers | None = None
    std: float | Numbers = 0.1
    samples: int = Field(default=64, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _components(self) -> Mixture:
        if not self.means or not self.means[0]:
            raise InputError("target.means", "hold at least one mean of at least one coordinate", self.means)
        if len({len(m) for m in self.means}) != 1:
            raise InputError("target.means", "all have the same number of coordinates", self.means)
        if not all(abs(c) <= LARGEST for mean in self.means for c in mean):
            raise InputError("target.means", f"hold numbers of size at most {LARGEST:g}", self.means)
        stds = self.std if isinstance(self.std, tuple) else (self.std,) * len(self.means)
        if len(stds) != len(self.means):
            raise InputError("target.std", f"be one number or {len(self.means)}, one per mean", len(stds))
        if min(stds) < 0:
            raise InputError("target.std", "be at least 0", min(stds))
        if max(stds) > LARGEST:
            raise InputError("target.std", f"be at most {LARGEST:g}", max(stds))
        normalised_weights("target.weights", self.weights, len(self.means))
        return self

    @property
    def dimension(self) -> int:
        """d, the number of coordinates of a point [1]."""
        return len(self.means[0])

    def coordinates(self) -> np.ndarray:
        """(M, d) coordinates of the points [length]."""
        rng = np.random.default_rng(self.seed)
        weights = normalised_weights("target.weights", self.weights, len(self.means))
        component = rng.choice(len(self.means), size=self.samples, p=weights)
        std = np.broadcast_to(np.asarray(self.std, dtype=float), (len(self.means),))
        noise = rng.standard_normal((self.samples, self.dimension))
        return np.asarray(self.means)[component] + std[component, None] * noise

    def _made(self) -> Points:
        Y = self.coordinates()
        return Points(Y, np.full(len(Y), 1 / len(Y)), None)


class Uniform(_Target):
    """The uniform density on a periodic box [0, length)^dimension, held on a lattice of ``side``^dimension points.

    The lattice integrates every Fourier mode below its Nyquist wavenumber exactly, so these modes obey the
    continuum's Eq. (16, dispersion) without error.

    Attributes:
        kind: "uniform", its word in files.
        length: [length] side of the box, > 0.
        dimension: [1] number of coordinates, 1 to 3.
        side: [1] lattice points along each axis, 3 to 10000, odd: the lattice then has no mode at Nyquist itself.

    Raises:
        ValidationError: an even side, or more than 2e7 coordinates in all; ``Experiment`` says it as an InputError.

    Source:
        The periodic box of theory.md, Eq. (11, kernel-transform) to Eq. (16, dispersion).
    """

    title: ClassVar[str] = "uniform periodic box"
    kind: Literal["uniform"] = "uniform"
    length: Positive = 1.0
    dimension: int = Field(default=1, ge=1, le=3)
    side: int = Field(default=15, ge=3, le=10_000)

    @model_validator(mode="after")
    def _odd(self) -> Uniform:
        if self.side % 2 == 0:
            raise InputError("target.side", "be odd (no mode may sit at the Nyquist wavenumber)", self.side)
        check_size("target.side", self.side, self.dimension)
        return self

    @property
    def density(self) -> float:
        """One over the volume of the box [1/length^d]."""
        return self.length**-self.dimension

    def coordinates(self) -> np.ndarray:
        """(M, d) coordinates of the points [length]."""
        return self.length / self.side * lattice(self.side, self.dimension)

    def _made(self) -> Points:
        Y = self.coordinates()
        return Points(Y, np.full(len(Y), 1 / len(Y)), self.length)


class PointSet(_Target):
    """(M, d) coordinates from a file, or the rows of ``values`` themselves.

    The file is read when the target is made, and never again: targets are equal if their fields and their points are.

    Attributes:
        kind: "points", its word in files.
        path: of a .npy file, or of a .nc file with variable ``points`` (or one 2-D variable only).
        values: [length] rows of coordinates, in place of ``path``.
        weights: [1] one per point, > 0, scaled to sum 1; else from a 1-D variable ``weights`` of the .nc file, or
            equal.

    Raises:
        ValidationError: neither or both of path and values, a file that does not hold (M, d) finite distinct points, or
            weights that are not one for each; ``Experiment`` says it as an InputError.

    Source:
        none, the user's data.
    """

    title: ClassVar[str] = "points from `.npy` or `.nc`"
    kind: Literal["points"] = "points"
    path: str | None = Field(default=None, min_length=1)
    values: Vectors | None = None
    weights: Numbers | None = None

    @model_validator(mode="after")
    def _readable(self) -> PointSet:
        self.points()
        return self

    @property
    def dimension(self) -> int:
        """d, the number of coordinates of a point [1]."""
        return self.points().coordinates.shape[1]

    def coordinates(self) -> np.ndarray:
        """(M, d) coordinates of the points [length]."""
        return self.points().coordinates

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PointSet) or not super().__eq__(other):
            return False
        mine, others = self.points(), other.points()
        return mine is others or all(map(np.array_equal, mine[:2], others[:2]))

    __hash__ = Config.__hash__

    @cached_property
    def content(self) -> bytes:
        """A digest of the points and their weights."""
        Y, weights, _ = self.points()
        return hashlib.sha256(repr(Y.shape).encode() + Y.tobytes() + weights.tobytes()).digest()

    def _made(self) -> Points:
        if self.values is not None:
            if self.path is not None:
                raise InputError("target.values", "not be given beside target.path")
            lengths = {len(row) for row in self.values}
            if len(lengths) > 1:
                raise InputError("target.values", "hold rows of one length", f"rows of {sorted(lengths)}")
            Y, weights = checked_points("target.values", np.array(self.values), "the array"), None
        elif self.path is None:
            raise InputError("target.path", "be given")
        else:
            Y, weights = read_points(self.path)
        if self.weights is not None:
            weights = np.asarray(self.weights)
        return Points(Y, normalised_weights("target.weights", weights, len(Y)), None)


Target = Annotated[Ring | Grid | Mixture | Uniform | PointSet, Field(discriminator="kind")]
TARGETS: dict[str, type[_Target]] = {
    "ring": Ring,
    "grid": Grid,
    "mixture": Mixture,
    "uniform": Uniform,
    "points": PointSet,
}


def check_size(field: str, side: int, dimension: int) -> None:
    if dimension * side**dimension > MAX_COORDINATES:
        raise InputError(field, f"give at most {MAX_COORDINATES} coordinates", f"{side}^{dimension} points")


def lattice(side: int, dimension: int, centre: bool = False) -> np.ndarray:
    """(side^dimension, dimension) integer lattice, from 0 or centred at 0."""
    axis = np.arange(side, dtype=float) - ((side - 1) / 2 if centre else 0)
    return np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
