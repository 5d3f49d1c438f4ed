"""Clouds as arrays: checks, distances (also in a periodic box), centres. What the measures are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ...base.errors import InputError
from ...experiment.given import normalised_weights

#: numbers in the largest array held at once
CHUNK = 4_000_000
#: components up to which distances of many clouds are taken side by side; beyond, cloud by cloud
SIDE_BY_SIDE = 16


def over_clouds(
    measure: Callable[[np.ndarray], np.ndarray], cloud: xr.DataArray, y: np.ndarray | None, name: str, units: str
) -> xr.DataArray:
    """``measure`` of (clouds, N, d) arrays over the further dims of ``cloud``; NaN for clouds that are not finite."""
    missing = {"particle", "component"} - set(map(str, cloud.dims))
    if missing:
        raise InputError("cloud", "have dims particle and component", cloud.dims)
    if y is not None and cloud.sizes["component"] != y.shape[-1]:
        raise InputError("cloud", f"have the target's {y.shape[-1]} components", cloud.sizes["component"])
    if 0 in (cloud.sizes["particle"], cloud.sizes["component"]):
        raise InputError("cloud", "have at least one particle and one component", dict(cloud.sizes))
    if cloud.dtype.kind not in "fiu":
        raise InputError("cloud", "hold real numbers", f"dtype {cloud.dtype}")

    def core(a: np.ndarray) -> np.ndarray:
        shape, x = a.shape[:-2], a.reshape(-1, *a.shape[-2:])
        out = np.full(len(x), np.nan)
        size = x.shape[1] * max(x.shape[1], x.shape[2], 0 if y is None else len(y))
        step = max(1, CHUNK // size)
        for i in range(0, len(x), step):
            part = np.asarray(x[i : i + step], dtype=float)
            finite = np.isfinite(part).all((-1, -2))
            if finite.any():
                out[i : i + step][finite] = measure(part[finite])
        return out.reshape(shape)

    result = xr.apply_ufunc(core, cloud, input_core_dims=[["particle", "component"]])
    return result.assign_attrs(long_name=name, units=units).rename(None)


def checked_target(target: xr.DataArray, weights: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Points (M, d) and weights (M,), checked."""
    if set(map(str, target.dims)) != {"point", "component"}:
        raise InputError("target", "have dims point and component", target.dims)
    if 0 in target.shape or target.dtype.kind not in "fiu":
        raise InputError("target", "hold at least one real point", f"shape {target.shape}, dtype {target.dtype}")
    y = np.asarray(target.transpose("point", "component").values, dtype=float)
    if not np.all(np.isfinite(y)):
        raise InputError("target", "be finite", f"{(~np.isfinite(y)).sum()} coordinates that are not")
    return y, normalised_weights("weights", getattr(weights, "values", weights), len(y))


def wrapped(difference: np.ndarray, period: float | None) -> np.ndarray:
    """Differences to the nearest image."""
    return difference if period is None else difference - period * np.round(difference / period)


def distances(x: np.ndarray, y: np.ndarray, period: float | None) -> np.ndarray:
    """(clouds, N, M) distances between particles and points, from differences: no cancellation far from the origin."""
    return pairs(x, np.broadcast_to(y, (len(x), *y.shape)), period)


def pairs(x: np.ndarray, y: np.ndarray, period: float | None) -> np.ndarray:
    """The same between the particles of two clouds each."""
    if period is None and x.shape[-1] > SIDE_BY_SIDE:
        return np.stack([cdist(a, b) for a, b in zip(x, y, strict=True)])
    square = np.zeros((*x.shape[:-1], y.shape[-2]))
    for i in range(x.shape[-1]):
        square += wrapped(x[..., :, None, i] - y[..., None, :, i], period) ** 2
    return np.sqrt(square)


def directions(x: np.ndarray) -> np.ndarray:
    """Unit vectors; the origin stays the origin."""
    largest = np.abs(x).max(-1, keepdims=True)
    x = x / np.where(largest > 0, largest, 1)
    norm = np.sqrt((x**2).sum(-1, keepdims=True))
    return x / np.where(norm > 0, norm, 1)


def cosine_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1 - directions(x) @ directions(y).T


def circular_mean(x: np.ndarray, weights: np.ndarray, period: float) -> np.ndarray:
    """(..., d) mean position on the circle of each component."""
    angle = 2 * np.pi * x / period
    return np.arctan2(weights @ np.sin(angle), weights @ np.cos(angle)) * period / (2 * np.pi)


def centroid(x: np.ndarray, period: float | None, weights: np.ndarray | None = None) -> np.ndarray:
    w = np.full(x.shape[-2], 1 / x.shape[-2]) if weights is None else weights
    if period is None:
        return w @ x
    about = circular_mean(x, w, period)
    return about + w @ wrapped(x - about[..., None, :], period)


def centred(x: np.ndarray, period: float | None) -> np.ndarray:
    """Positions relative to the centroid, unwrapped in a periodic box."""
    if period is not None:
        x = wrapped(x - circular_mean(x, np.full(x.shape[-2], 1 / x.shape[-2]), period)[..., None, :], period)
    # twice: the mean of a far cloud is rounded at its distance, that of the remainder is not
    x = x - x.mean(-2, keepdims=True)
    return x - x.mean(-2, keepdims=True)


def centre_and_radius(y: np.ndarray, w: np.ndarray, period: float | None) -> tuple[np.ndarray, float]:
    centre = centroid(y[None], period, w)[0]
    return centre, float(np.sqrt(w @ (wrapped(y - centre, period) ** 2).sum(-1)))


def nearest_particle(x: np.ndarray, y: np.ndarray, period: float | None) -> np.ndarray:
    """(clouds, M) distance from each point to the nearest particle; large clouds by a tree, one after the other."""
    if x.shape[-2] * len(y) <= CHUNK:
        return distances(x, y, period).min(-2)
    box, at = _in_box(y, period), [_in_box(cloud, period) for cloud in x]
    return np.stack([cKDTree(cloud, boxsize=period).query(box)[0] for cloud in at])


def mode_radius(y: np.ndarray, radius: float | None, period: float | None) -> float:
    """The radius given, else half the smallest distance between two different points (inf for a single one)."""
    if radius is not None:
        if not radius > 0:
            raise InputError("radius", "be greater than 0", radius)
        return radius
    y = np.unique(_in_box(y, period), axis=0)
    if len(y) < 2:
        return np.inf
    if len(y) ** 2 <= CHUNK:
        between = distances(y[None], y, period)[0][np.triu_indices(len(y), 1)]
    else:
        between = cKDTree(y, boxsize=period).query(y, k=2)[0][:, 1]
    return float(between[between > 0].min(initial=np.inf)) / 2  # squares of tiny ones are 0


def _in_box(x: np.ndarray, period: float | None) -> np.ndarray:
    """Positions in [0, period)."""
    if period is None:
        return x
    x = np.mod(x, period)
    return np.where(x < period, x, 0.0)  # of a tiny negative number the remainder is rounded up
