"""Targets: the data distribution p as M weighted points in R^d (a lattice for the periodic box)."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from ..base.arrays import numbers
from ..base.config import LARGEST, Config, Numbers, Positive, Vectors
from ..base.errors import InputError, check_file
from ..base.files import read_npy

if TYPE_CHECKING:
    import xarray as xr

#: a target of more coordinates than this is refused: every route holds at least a few copies of it
MAX_COORDINATES = 20_000_000


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
        if self._points is None:
            self._points = self._made()
        return self._points

    def _made(self) -> Points:
        Y = self.coordinates()
        weights = getattr(self, "weights", None)
        return Points(Y, normalised_weights("target.weights", weights, len(Y)), None)

    def coordinates(self) -> np.ndarray:
        raise NotImplementedError


class Ring(_Target):
    """``modes`` points at equal angles on a circle of radius ``radius`` in d = 2."""

    title: ClassVar[str] = "ring"
    kind: Literal["ring"] = "ring"
    modes: int = Field(default=8, ge=1, le=100_000)
    radius: Positive = 1.0
    weights: Numbers | None = None

    @property
    def dimension(self) -> int:
        return 2

    def coordinates(self) -> np.ndarray:
        angle = 2 * np.pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class Grid(_Target):
    """``side``^``dimension`` points on a cubic grid of the given spacing, centred at 0."""

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
        return self.spacing * lattice(self.side, self.dimension, centre=True)


class Mixture(_Target):
    """``samples`` draws from sum_c weight_c N(mean_c, std_c^2 I), drawn once with ``seed``."""

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
        return len(self.means[0])

    def coordinates(self) -> np.ndarray:
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
    ``side`` must be odd: the lattice then has no mode at Nyquist itself.
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
        return self.length**-self.dimension

    def coordinates(self) -> np.ndarray:
        return self.length / self.side * lattice(self.side, self.dimension)

    def _made(self) -> Points:
        Y = self.coordinates()
        return Points(Y, np.full(len(Y), 1 / len(Y)), self.length)


class PointSet(_Target):
    """(M, d) coordinates from a .npy file, or variable ``points`` (or the only 2-D one) of a .nc file; or, in place of
    ``path``, the rows of ``values`` themselves.

    Weights come from ``weights``, from a 1-D variable ``weights`` of the .nc file, or are equal. The file is read when
    the target is made, and never again: targets are equal if their fields and their points are.
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
        return self.points().coordinates.shape[1]

    def coordinates(self) -> np.ndarray:
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


def normalised_weights(field: str, weights: object, count: int) -> np.ndarray:
    """Weights scaled to sum 1; equal ones for None."""
    if weights is None:
        return np.full(count, 1 / count)
    w = numbers(field, weights).astype(float)
    if w.shape != (count,):
        raise InputError(field, f"have one weight for each of the {count} points", f"shape {w.shape}")
    if not np.all(np.isfinite(w)) or np.any(w <= 0):
        raise InputError(field, "be positive and finite", w[~(w > 0) | ~np.isfinite(w)][0])
    share = w / w.max()
    share /= share.sum()
    if np.any(share == 0):
        raise InputError(field, "not differ by more than a double can hold", f"{w.min():g} and {w.max():g}")
    return share


def read_points(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Coordinates (M, d) float64 and weights or None. Never unpickles. InputError names what is wrong."""
    field = "target.path"
    file = Path(path)
    check_file(field, file, "be an existing .npy or .nc file")
    weights = None
    if file.suffix == ".npy":
        data = read_npy(field, file, lambda shape, dtype: check_form(field, shape, dtype, path))
    elif file.suffix == ".nc":
        data, weights = _read_netcdf(field, path)
    else:
        raise InputError(field, "end in .npy or .nc", path)
    return checked_points(field, data, str(path)), weights


def check_form(field: str, shape: tuple[int, ...], dtype: np.dtype, source: str) -> None:
    """Raise InputError for what can be no coordinates, known from shape and type alone."""
    if len(shape) != 2 or 0 in shape:
        raise InputError(field, "hold (M, d) coordinates with M, d >= 1", f"shape {shape} in {source}")
    if dtype.kind not in "fiu":
        raise InputError(field, "hold real numbers", f"dtype {dtype} in {source}")
    if math.prod(shape) > MAX_COORDINATES:
        size = f"{math.prod(shape)} ({math.prod(shape) * dtype.itemsize / 1e9:.3g} GB), shape {shape} in {source}"
        raise InputError(field, f"hold at most {MAX_COORDINATES} coordinates", size)


def checked_points(field: str, data: np.ndarray, source: str) -> np.ndarray:
    """The array as (M, d) float64 coordinates of distinct points. Raises InputError."""
    check_form(field, data.shape, data.dtype, source)
    data = data.astype(float)
    if not np.all(np.abs(data) <= LARGEST):
        row, column = np.argwhere(~(np.abs(data) <= LARGEST))[0]
        raise InputError(
            field,
            f"hold finite numbers of at most {LARGEST:g}",
            f"{data[row, column]} at row {row}, column {column}",
        )
    if len(np.unique(data, axis=0)) < len(data):
        raise InputError(field, "hold distinct points (give repeated points a weight)", f"repeated rows in {source}")
    return data


def _read_netcdf(field: str, path: str) -> tuple[np.ndarray, np.ndarray | None]:
    def points_of(ds: xr.Dataset) -> str:
        two = [str(n) for n, v in ds.data_vars.items() if v.ndim == 2]
        name = "points" if "points" in ds else two[0] if len(two) == 1 else None
        if name is None:
            raise InputError(field, "hold a 2-D variable named 'points'", f"variables {list(ds.data_vars)}")
        check_form(field, ds[name].shape, ds[name].dtype, path)
        return name

    def choose(ds: xr.Dataset) -> list[str]:
        name = points_of(ds)
        if "weights" not in ds or ds["weights"].ndim != 1:
            return [name]
        if ds["weights"].size > MAX_COORDINATES:
            raise InputError(
                "target.weights", f"have one weight for each of the {len(ds[name])} points", len(ds["weights"])
            )
        return [name, "weights"]

    from ..base.netcdf import read_netcdf  # loads xarray

    ds = read_netcdf(field, path, choose)
    return ds[points_of(ds)].values, ds["weights"].values if "weights" in ds and ds["weights"].ndim == 1 else None
