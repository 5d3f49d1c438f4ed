"""Targets: the data distribution p as M weighted points in R^d (a lattice for the periodic box)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from ._config import Config, Numbers, Vectors
from ._files import read_netcdf
from .errors import InputError, check_file

#: lengths beyond this are refused: their squares would overflow
MAX_LENGTH = 1e100
#: a target of more coordinates than this is refused: every route holds at least a few copies of it
MAX_COORDINATES = 20_000_000


class Points(NamedTuple):
    """The sampled target: coordinates (M, d), weights (M,) summing to 1, side of the periodic box or None."""

    coordinates: np.ndarray
    weights: np.ndarray
    period: float | None


class _Target(Config):
    table: ClassVar[str] = "target"

    def coordinates(self) -> np.ndarray:
        raise NotImplementedError

    def points(self) -> Points:
        Y = self.coordinates()
        weights = getattr(self, "weights", None)
        return Points(Y, normalised_weights("target.weights", weights, len(Y)), None)


class Ring(_Target):
    """``modes`` points at equal angles on a circle of radius ``radius`` in d = 2."""

    kind: Literal["ring"] = "ring"
    modes: int = Field(8, ge=1, le=100_000)
    radius: float = Field(1.0, gt=0, le=MAX_LENGTH)
    weights: Numbers | None = None

    @property
    def dimension(self) -> int:
        return 2

    def coordinates(self) -> np.ndarray:
        angle = 2 * np.pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class Grid(_Target):
    """``side``^``dimension`` points on a cubic grid of the given spacing, centred at 0."""

    kind: Literal["grid"] = "grid"
    side: int = Field(5, ge=1, le=10_000)
    spacing: float = Field(1.0, gt=0, le=MAX_LENGTH)
    dimension: int = Field(2, ge=1, le=64)
    weights: Numbers | None = None

    @model_validator(mode="after")
    def _size(self) -> Grid:
        check_size("target.side", self.side, self.dimension)
        return self

    def coordinates(self) -> np.ndarray:
        return self.spacing * lattice(self.side, self.dimension, centre=True)


class Mixture(_Target):
    """``samples`` draws from sum_c weight_c N(mean_c, std_c^2 I), drawn once with ``seed``."""

    kind: Literal["mixture"] = "mixture"
    means: Vectors
    weights: Numbers | None = None
    std: float | Numbers = 0.1
    samples: int = Field(64, ge=1, le=1_000_000)
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _components(self) -> Mixture:
        if not self.means or not self.means[0]:
            raise InputError("target.means", "hold at least one mean of at least one coordinate", self.means)
        if len({len(m) for m in self.means}) != 1:
            raise InputError("target.means", "all have the same number of coordinates", self.means)
        if not all(abs(c) <= MAX_LENGTH for mean in self.means for c in mean):
            raise InputError("target.means", f"hold numbers of size at most {MAX_LENGTH:g}", self.means)
        stds = self.std if isinstance(self.std, tuple) else (self.std,) * len(self.means)
        if len(stds) != len(self.means):
            raise InputError("target.std", f"be one number or {len(self.means)}, one per mean", len(stds))
        if min(stds) < 0:
            raise InputError("target.std", "be at least 0", min(stds))
        if max(stds) > MAX_LENGTH:
            raise InputError("target.std", f"be at most {MAX_LENGTH:g}", max(stds))
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

    def points(self) -> Points:
        Y = self.coordinates()
        return Points(Y, np.full(len(Y), 1 / len(Y)), None)


class Uniform(_Target):
    """The uniform density on a periodic box [0, length)^dimension, held on a lattice of ``side``^dimension points.

    The lattice integrates every Fourier mode below its Nyquist wavenumber exactly, so these modes obey the
    continuum's equation (3) without error. ``side`` must be odd: the lattice then has no mode at Nyquist itself.
    """

    kind: Literal["uniform"] = "uniform"
    length: float = Field(1.0, gt=0, le=MAX_LENGTH)
    dimension: int = Field(1, ge=1, le=3)
    side: int = Field(15, ge=3, le=10_000)

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

    def points(self) -> Points:
        Y = self.coordinates()
        return Points(Y, np.full(len(Y), 1 / len(Y)), self.length)


class PointSet(_Target):
    """(M, d) coordinates from a .npy file, or variable ``points`` (or the only 2-D one) of a .nc file; or, in place of
    ``path``, the rows of ``values`` themselves.

    Weights come from ``weights``, from a 1-D variable ``weights`` of the .nc file, or are equal.
    """

    kind: Literal["points"] = "points"
    path: str | None = Field(None, min_length=1)
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

    def points(self) -> Points:
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
TARGETS = {"ring": Ring, "grid": Grid, "mixture": Mixture, "uniform": Uniform, "points": PointSet}


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
    try:
        w = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise InputError(field, "hold real numbers", weights) from None
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
        try:
            data = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(field, "be a readable .npy array of numbers", f"{path}: {error}") from None
        if not isinstance(data, np.ndarray):
            data.close()
            raise InputError(field, "be a readable .npy array of numbers", f"an archive of several: {path}")
    elif file.suffix == ".nc":
        data, weights = _read_netcdf(field, path)
    else:
        raise InputError(field, "end in .npy or .nc", path)
    return checked_points(field, data, str(path)), weights


def checked_points(field: str, data: np.ndarray, source: str) -> np.ndarray:
    """The array as (M, d) float64 coordinates of distinct points. Raises InputError."""
    if data.ndim != 2 or 0 in data.shape:
        raise InputError(field, "hold (M, d) coordinates with M, d >= 1", f"shape {data.shape} in {source}")
    if data.dtype.kind not in "fiu":
        raise InputError(field, "hold real numbers", f"dtype {data.dtype} in {source}")
    data = data.astype(float)
    if not np.all(np.abs(data) <= MAX_LENGTH):
        row, column = np.argwhere(~(np.abs(data) <= MAX_LENGTH))[0]
        raise InputError(
            field,
            f"hold finite numbers of at most {MAX_LENGTH:g}",
            f"{data[row, column]} at row {row}, column {column}",
        )
    if len(np.unique(data, axis=0)) < len(data):
        raise InputError(field, "hold distinct points (give repeated points a weight)", f"repeated rows in {source}")
    return data


def _read_netcdf(field: str, path: str) -> tuple[np.ndarray, np.ndarray | None]:
    ds = read_netcdf(field, path)
    two = [str(n) for n, v in ds.data_vars.items() if v.ndim == 2]
    name = "points" if "points" in ds else two[0] if len(two) == 1 else None
    if name is None:
        raise InputError(field, "hold a 2-D variable named 'points'", f"variables {list(ds.data_vars)}")
    weights = ds["weights"].values if "weights" in ds and ds["weights"].ndim == 1 else None
    return ds[name].values, weights
