"""Points and weights that users give, as arrays or files: read, checked, scaled. Nothing is ever unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..base.arrays import numbers
from ..base.config import LARGEST
from ..base.errors import InputError, check_file
from ..base.files import read_npy

if TYPE_CHECKING:
    import xarray as xr

#: a target of more coordinates than this is refused: every route holds at least a few copies of it
MAX_COORDINATES = 20_000_000


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
