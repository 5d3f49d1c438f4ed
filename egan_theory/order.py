"""Order parameters: how a cloud of particles compares with its target, as functions on xarray with named dims.

A cloud has dims (particle, component), a target (point, component); further dims of the cloud (run, time, lrD, phi)
broadcast. Particles have equal masses; target points have ``weights`` (equal ones by default). A cloud with a
non-finite coordinate (a run that diverged) gives NaN. ``period``: side of a periodic box, for the measures that have a
meaning there; the cloud is then unwrapped about its circular mean, which needs a cloud that does not fill the box.

Each function states its value for the target itself (one particle on each point) and for a fresh draw (N particles
drawn from the target's M points). Definitions agree with the order parameters published with brief 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy.spatial.distance import cdist
from scipy.special import gammaln, xlogy

from .errors import InputError
from .targets import normalised_weights

Metric = Literal["euclidean", "cosine"]
#: cosine distance within which a published image counts as covered (brief 4)
COSINE = 0.10
#: numbers in the largest array held at once
CHUNK = 4_000_000
#: components up to which distances of many clouds are taken side by side; beyond, cloud by cloud
SIDE_BY_SIDE = 16


def modes_covered(
    cloud: xr.DataArray, target: xr.DataArray, *, radius: float | None = None, period: float | None = None
) -> xr.DataArray:
    """Number of target points with at least one particle within ``radius`` (length; both inclusive).

    Default radius: half the smallest distance between two target points, so that no particle covers two.
    Target itself: M. Fresh draw: M (1 - (1 - 1/M)^N) on average.
    """
    y, _ = _target(target)
    reach = _radius(y, radius, period)
    measure = lambda x: (_distances(x, y, period).min(-2) <= reach).sum(-1)  # noqa: E731
    return _apply(measure, cloud, y, "target points with a particle within the radius", "1")


def covered_share(cloud: xr.DataArray, target: xr.DataArray, *, cosine: float = COSINE) -> xr.DataArray:
    """Share of the target points with a particle within cosine distance 1 - cos <= ``cosine`` of them.

    Target itself: 1. Fresh draw: 1 - (1 - 1/M)^N on average, more where points lie that close to each other.
    A particle at the origin has no direction: its cosine with everything is taken as 0.
    """
    y, _ = _target(target)
    measure = lambda x: (_cosine_distances(x, y).min(-2) <= cosine).mean(-1)  # noqa: E731
    name = f"share of target points within cosine distance {cosine:g} of a particle"
    return _apply(measure, cloud, y, name, "1")


def entropy_deficit(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    weights: Any = None,
    metric: Metric = "euclidean",
    period: float | None = None,
) -> xr.DataArray:
    """Deficit of the nearest-image entropy: sum_i p_i ln(p_i / weight_i), nat; ln M + sum p ln p for equal weights.

    p_i: share of the particles whose nearest target point is i (of several equally near, the first).
    Target itself (its weights the particles' shares): 0, the least. Fresh draw: ``expected_entropy_deficit``.
    One point only: -ln of its weight (ln M), the most. The published "diversity" is this number with metric "cosine".
    """
    y, w = _target(target, weights)
    if metric not in ("euclidean", "cosine"):
        raise InputError("metric", "be 'euclidean' or 'cosine'", repr(metric))
    if metric == "cosine" and period is not None:
        raise InputError("metric", "be 'euclidean' in a periodic box: directions have no meaning there", repr(metric))

    def measure(x: np.ndarray) -> np.ndarray:
        distance = _cosine_distances(x, y) if metric == "cosine" else _distances(x, y, period)
        nearest = distance.argmin(-1)
        p = (nearest[..., None] == np.arange(len(y))).mean(-2)
        # adding 0 turns the -0 of rounding into 0
        return np.maximum(xlogy(p, p / w).sum(-1), 0.0) + 0.0

    return _apply(measure, cloud, y, "deficit of the nearest-image entropy", "nat")


def expected_entropy_deficit(particles: int, points: int) -> float:
    """Mean ``entropy_deficit`` of N particles drawn from M equally likely points: ln M + M E[(n/N) ln(n/N)].

    n is binomial(N, 1/M). Exact sum; about (M - 1)/(2N) when N >> M.
    """
    if particles < 1 or points < 1:
        raise InputError("particles and points", "be at least 1", (particles, points))
    N, M = particles, points
    if M == 1:
        return 0.0
    n = np.arange(1, N + 1)
    log_choose = gammaln(N + 1) - gammaln(n + 1) - gammaln(N - n + 1)
    probability = np.exp(log_choose - n * np.log(M) + (N - n) * np.log1p(-1 / M))
    return float(np.log(M) + M * np.sum(probability * xlogy(n / N, n / N)))


def mean_abs_cosine(cloud: xr.DataArray) -> xr.DataArray:
    """Mean |cos| of the angle between distinct particles, seen from the origin of coordinates.

    Target itself: its own mean over distinct pairs, c. Fresh draw: 1/M + (1 - 1/M) c on average (pairs drawn from the
    same point have cosine 1). Particles on one ray or line through the origin: 1. One particle: NaN. It depends on
    where the origin is: a centroid that runs away sends it to 1 without any contraction (brief 4).
    """

    def measure(x: np.ndarray) -> np.ndarray:
        N = x.shape[-2]
        unit = _directions(x)
        total = np.abs(unit @ np.swapaxes(unit, -1, -2))
        diagonal = np.trace(total, axis1=-2, axis2=-1)
        return (total.sum((-1, -2)) - diagonal) / (N * (N - 1)) if N > 1 else np.full(len(x), np.nan)

    return _apply(measure, cloud, None, "mean |cos| between distinct particles", "1")


def spread(cloud: xr.DataArray, *, period: float | None = None) -> xr.DataArray:
    """Rms distance of the particles from their centroid (length): 0 for a collapsed cloud.

    Target itself: the target's own, R. Fresh draw: R sqrt(1 - 1/N) (rms).
    """
    measure = lambda x: np.sqrt((_centred(x, period) ** 2).sum(-1).mean(-1))  # noqa: E731
    return _apply(measure, cloud, None, "rms distance from the centroid", "length")


def participation_ratio(cloud: xr.DataArray, *, period: float | None = None) -> xr.DataArray:
    """(sum ev)^2 / sum ev^2 over the eigenvalues of the cloud's covariance: how many directions it fills.

    Between 1 and min(N - 1, d). Target itself: the target's own, r. Fresh draw of a Gaussian target, n = N - 1, to
    leading order in its fluctuations: (n r + 2)/(n + 1 + r); white noise has r = d. No spread at all: NaN.
    """

    def measure(x: np.ndarray) -> np.ndarray:
        c = _centred(x, period)
        size = np.sqrt((c**2).sum((-1, -2), keepdims=True))
        with np.errstate(invalid="ignore", divide="ignore"):
            c = c / size  # scaled: squares of squares neither overflow nor underflow
        # the N x N and the d x d products have the same eigenvalues: take the smaller
        gram = c @ np.swapaxes(c, -1, -2) if c.shape[-2] <= c.shape[-1] else np.swapaxes(c, -1, -2) @ c
        return 1 / (gram**2).sum((-1, -2))

    return _apply(measure, cloud, None, "participation ratio of the covariance", "1")


def centroid_displacement(
    cloud: xr.DataArray, target: xr.DataArray, *, weights: Any = None, period: float | None = None
) -> xr.DataArray:
    """|centroid of the cloud - mean of the target| / R, in data radii: R is the target's own ``spread``.

    Target itself: 0. Fresh draw: 1/sqrt(N) (rms). A target of a single point has no radius: NaN, or inf off it.
    """
    y, w = _target(target, weights)
    centre, radius = _centre_and_radius(y, w, period)

    def measure(x: np.ndarray) -> np.ndarray:
        shift = _wrap(_centroid(x, period) - centre, period)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt((shift**2).sum(-1)) / radius

    return _apply(measure, cloud, y, "distance of the centroid from the target's mean, in data radii", "1")


def energy_distance(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    weights: Any = None,
    normalised: bool = False,
    period: float | None = None,
) -> xr.DataArray:
    """2 E|x - y| - E|x - x'| - E|y - y'| (length) over all pairs, a particle with itself included (V-statistic).

    ``normalised``: divided by 2 E|x - y|, between 0 and 1. Szekely and Rizzo, J. Stat. Plan. Inference 143, 1249
    (2013). Target itself: 0. Fresh draw: A/N on average, A = E|y - y'| of the target (normalised: about 1/(2N)).
    """
    y, w = _target(target, weights)
    own = w @ _distances(y[None], y, period)[0] @ w

    def measure(x: np.ndarray) -> np.ndarray:
        cross = 2 * (_distances(x, y, period).mean(-2) @ w)
        distance = cross - _self_distances(x, period).mean((-1, -2)) - own
        with np.errstate(invalid="ignore", divide="ignore"):
            return distance / cross if normalised else distance

    name = "energy distance to the target"
    return _apply(measure, cloud, y, name + " / 2E|x - y|" * normalised, "1" if normalised else "length")


def mmd2(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    length_scale: float | None = None,
    weights: Any = None,
    period: float | None = None,
) -> xr.DataArray:
    """Squared maximum mean discrepancy E k(x,x') + E k(y,y') - 2 E k(x,y), k = exp(-r^2/(2 l^2)), over all pairs.

    V-statistic, never negative; Gretton et al., JMLR 13, 723 (2012), equation (5). Default l: the median distance
    between two different target points. In a periodic box r is the distance to the nearest image.
    Target itself: 0. Fresh draw: (1 - E k(y,y'))/N on average. A cloud far away: 1/N to 1, plus E k(y,y').
    """
    y, w = _target(target, weights)
    between = _distances(y[None], y, period)[0]
    if length_scale is None:
        pairs = between[np.triu_indices(len(y), 1)]
        length_scale = float(np.median(pairs)) if len(pairs) else 1.0
    if not (np.isfinite(length_scale) and length_scale > 0):
        raise InputError("length_scale", "be finite and greater than 0", length_scale)
    kernel = lambda r: np.exp(-0.5 * (r / length_scale) ** 2)  # noqa: E731
    own = w @ kernel(between) @ w

    def measure(x: np.ndarray) -> np.ndarray:
        cross = kernel(_distances(x, y, period)).mean(-2) @ w
        return np.maximum(kernel(_self_distances(x, period)).mean((-1, -2)) + own - 2 * cross, 0.0)

    return _apply(measure, cloud, y, f"squared MMD, Gaussian kernel of length scale {length_scale:.6g}", "1")


def order_parameters(
    cloud: xr.DataArray,
    target: xr.DataArray,
    *,
    weights: Any = None,
    period: float | None = None,
    radius: float | None = None,
    metric: Metric = "euclidean",
    cosine: float = COSINE,
) -> xr.Dataset:
    """All of them, over the cloud's further dims; each variable with long_name, units and its value for the target.

    The value for the target itself (attribute ``target_value``) has one particle on each point, whatever the weights.
    Measures of direction (mean_abs_cosine, covered_share) are left out in a periodic box.
    Raises InputError for dims, shapes or numbers that do not fit.
    """

    def everything(x: xr.DataArray) -> dict[str, xr.DataArray]:
        out = {
            "modes_covered": modes_covered(x, target, radius=radius, period=period),
            "entropy_deficit": entropy_deficit(x, target, weights=weights, metric=metric, period=period),
            "spread": spread(x, period=period),
            "participation_ratio": participation_ratio(x, period=period),
            "centroid_displacement": centroid_displacement(x, target, weights=weights, period=period),
            "energy_distance": energy_distance(x, target, weights=weights, period=period),
            "mmd2": mmd2(x, target, weights=weights, period=period),
        }
        if period is None:
            out["mean_abs_cosine"] = mean_abs_cosine(x)
            out["covered_share"] = covered_share(x, target, cosine=cosine)
        return out

    itself = everything(target.rename(point="particle"))
    values = everything(cloud)
    for name, value in values.items():
        value.attrs["target_value"] = float(itself[name])
    return xr.Dataset(values)


# -- arrays ------------------------------------------------------------------------------------------------------


def _apply(
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


def _target(target: xr.DataArray, weights: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Points (M, d) and weights (M,), checked."""
    if set(map(str, target.dims)) != {"point", "component"}:
        raise InputError("target", "have dims point and component", target.dims)
    if 0 in target.shape or target.dtype.kind not in "fiu":
        raise InputError("target", "hold at least one real point", f"shape {target.shape}, dtype {target.dtype}")
    y = np.asarray(target.transpose("point", "component").values, dtype=float)
    if not np.all(np.isfinite(y)):
        raise InputError("target", "be finite", f"{(~np.isfinite(y)).sum()} coordinates that are not")
    return y, normalised_weights("weights", getattr(weights, "values", weights), len(y))


def _wrap(difference: np.ndarray, period: float | None) -> np.ndarray:
    """Differences to the nearest image."""
    return difference if period is None else difference - period * np.round(difference / period)


def _distances(x: np.ndarray, y: np.ndarray, period: float | None) -> np.ndarray:
    """(clouds, N, M) distances between particles and points, from differences: no cancellation far from the origin."""
    return _pairs(x, np.broadcast_to(y, (len(x), *y.shape)), period)


def _self_distances(x: np.ndarray, period: float | None) -> np.ndarray:
    return _pairs(x, x, period)


def _pairs(x: np.ndarray, y: np.ndarray, period: float | None) -> np.ndarray:
    if period is None and x.shape[-1] > SIDE_BY_SIDE:
        return np.stack([cdist(a, b) for a, b in zip(x, y, strict=True)])
    square = np.zeros((*x.shape[:-1], y.shape[-2]))
    for i in range(x.shape[-1]):
        square += _wrap(x[..., :, None, i] - y[..., None, :, i], period) ** 2
    return np.sqrt(square)


def _directions(x: np.ndarray) -> np.ndarray:
    """Unit vectors; the origin stays the origin."""
    largest = np.abs(x).max(-1, keepdims=True)
    x = x / np.where(largest > 0, largest, 1)
    norm = np.sqrt((x**2).sum(-1, keepdims=True))
    return x / np.where(norm > 0, norm, 1)


def _cosine_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1 - _directions(x) @ _directions(y).T


def _circular_mean(x: np.ndarray, weights: np.ndarray, period: float) -> np.ndarray:
    """(..., d) mean position on the circle of each component."""
    angle = 2 * np.pi * x / period
    return np.arctan2(weights @ np.sin(angle), weights @ np.cos(angle)) * period / (2 * np.pi)


def _centroid(x: np.ndarray, period: float | None, weights: np.ndarray | None = None) -> np.ndarray:
    w = np.full(x.shape[-2], 1 / x.shape[-2]) if weights is None else weights
    if period is None:
        return w @ x
    about = _circular_mean(x, w, period)
    return about + w @ _wrap(x - about[..., None, :], period)


def _centred(x: np.ndarray, period: float | None) -> np.ndarray:
    """Positions relative to the centroid, unwrapped in a periodic box."""
    if period is not None:
        x = _wrap(x - _circular_mean(x, np.full(x.shape[-2], 1 / x.shape[-2]), period)[..., None, :], period)
    # twice: the mean of a far cloud is rounded at its distance, that of the remainder is not
    x = x - x.mean(-2, keepdims=True)
    return x - x.mean(-2, keepdims=True)


def _centre_and_radius(y: np.ndarray, w: np.ndarray, period: float | None) -> tuple[np.ndarray, float]:
    centre = _centroid(y[None], period, w)[0]
    return centre, float(np.sqrt(w @ (_wrap(y - centre, period) ** 2).sum(-1)))


def _radius(y: np.ndarray, radius: float | None, period: float | None) -> float:
    if radius is not None:
        if not radius > 0:
            raise InputError("radius", "be greater than 0", radius)
        return radius
    between = _distances(y[None], y, period)[0]
    nearest = between[np.triu_indices(len(y), 1)]
    nearest = nearest[nearest > 0]
    return float(nearest.min()) / 2 if len(nearest) else np.inf
