"""What a discriminator sees of m samples at once: bands of TV(P^m, Q^m) (PacGAN, Lin, Khetan, Fanti, Oh 2018,
arXiv:1712.04086).

A pair (P, Q) enters through its curve beta(x) = max P(S) over (randomised) tests S with Q(S) <= x: concave, from
beta(0) >= 0 to beta(1) = 1; TV = max (beta(x) - x). Blackwell's theorem: beta <= beta' everywhere implies
TV(P^m, Q^m) <= TV(P'^m, Q'^m) for every m. Extreme pairs are then extreme curves, and these are polygons:

    TV = t, upper: beta = min(1, x + t): outcomes P = (t, 1 - t, 0), Q = (0, 1 - t, t), TV^m = 1 - (1 - t)^m
    TV = t, lower: (0,0), (u, u + t), (1,1) for some u in [0, 1 - t]: two outcomes
    with (eps, delta)-collapse, beta(eps) >= delta: the lower polygon also has the corner (eps, delta): three outcomes
    without, beta(eps) <= delta and the reverse: the upper curve is also cut by a line through (eps, delta) and one
    through (1 - delta, 1 - eps): up to five outcomes

A polygon's outcomes are its edges: Q the width, P the height. So two to five outcomes suffice (the paper's theorems 3
to 5); what is left is to optimise over u or the slopes of the lines.
Mode collapse means here: some test has P >= delta, Q <= eps. For distributions with atoms a test may be randomised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln

from ..base.errors import InputError

#: points of the scan over a band's one free number, refined afterwards between the neighbours of the best
SCAN = 201
#: at most this many type classes times distributions at once
CHUNK = 4_000_000
#: angles of each supporting line in the scan; rounding of a curve's corners
ANGLES, ROUNDING = 40, 1e-11

#: outcomes (P, Q)
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Band:
    """The range of TV(P^m, Q^m), and pairs that attain its ends.

    Attributes:
        low: [1] smallest value.
        high: [1] largest value.
        low_pair: outcomes (P (k,), Q (k,)) with the smallest value, probabilities.
        high_pair: outcomes (P (k,), Q (k,)) with the largest value.

    Source:
        PacGAN (Lin, Khetan, Fanti, Oh 2018, arXiv:1712.04086), theorems 3 to 5.
    """

    low: float
    high: float
    low_pair: Pair
    high_pair: Pair


def product_total_variation(P: np.ndarray, Q: np.ndarray, m: int) -> np.ndarray:
    """TV(P^m, Q^m) of outcome probabilities P and Q, exact.

    Sequences of the same type (n_1, ..., n_k) have equal probability: C(m + k - 1, k - 1) classes instead of k^m.

    Returns:
        One value per pair.

    Shapes:
        P and Q (..., k), result (...).

    Units:
        Probabilities and total variations are pure numbers.

    Raises:
        InputError: P and Q of different shapes, or m that is no whole number of at least 1.

    Assumes:
        That P and Q are probabilities that sum to 1; not checked.

    Source:
        PacGAN (Lin et al. 2018, arXiv:1712.04086); method of types: Cover and Thomas, section 11.1.
    """
    P, Q = np.asarray(P, dtype=float), np.asarray(Q, dtype=float)
    if P.shape != Q.shape or P.ndim < 1:
        raise InputError("P", "have the shape of Q", f"{P.shape} and {Q.shape}")
    if isinstance(m, bool) or not isinstance(m, int | np.integer) or m < 1:
        raise InputError("m", "be a whole number of at least 1", repr(m))
    types, log_count = _types(int(m), P.shape[-1])
    flat_P, flat_Q = P.reshape(-1, P.shape[-1]), Q.reshape(-1, P.shape[-1])
    out = np.empty(len(flat_P))
    step = max(1, CHUNK // len(types))
    with np.errstate(divide="ignore"):
        logs = [np.maximum(np.log(v), -1e6) for v in (flat_P, flat_Q)]  # 0^0 = 1 without NaN
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        p, q = (np.exp(log[part] @ types.T + log_count) for log in logs)
        out[part] = np.abs(p - q).sum(-1) / 2
    return out.reshape(P.shape[:-1])


@lru_cache(maxsize=64)
def _types(m: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(classes, k) counts summing to m, and the logarithm of the number of sequences of each."""
    chosen = list(combinations(range(m + k - 1), k - 1))
    bars = np.array(chosen, dtype=float).reshape(len(chosen), k - 1)
    edges = np.concatenate([-np.ones((len(bars), 1)), bars, np.full((len(bars), 1), m + k - 1)], axis=1)
    types = np.diff(edges, axis=1) - 1
    return types, gammaln(m + 1) - gammaln(types + 1).sum(1)


def curve(P: np.ndarray, Q: np.ndarray, x: float) -> np.ndarray:
    """beta(x), the largest P(S) with Q(S) <= x over randomised tests S.

    Returns:
        One value per pair.

    Shapes:
        P and Q (..., k), result (...).

    Units:
        Probabilities, pure numbers.

    Raises: nothing of its own.

    Source:
        Neyman and Pearson 1933; PacGAN (Lin et al. 2018, arXiv:1712.04086), mode collapse region.
    """
    P, Q = np.asarray(P, dtype=float), np.asarray(Q, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.argsort(-np.where(P + Q > 0, P / (P + Q), 0), axis=-1, kind="stable")
    p, q = np.take_along_axis(P, order, -1), np.take_along_axis(Q, order, -1)
    before = np.cumsum(q, axis=-1) - q
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(q > 0, np.clip((x - before) / q, 0, 1), before <= x)
    return np.minimum((share * p).sum(-1), 1.0)


def band(t: float, m: int) -> Band:
    """The range of TV(P^m, Q^m) over all pairs with TV(P, Q) = t.

    Returns:
        Both ends with pairs that attain them.

    Units:
        Pure numbers.

    Raises:
        InputError: t outside of [0, 1], or m that is no whole number of at least 1.

    Source:
        PacGAN (Lin et al. 2018, arXiv:1712.04086), theorem 3.
    """
    _check(t=t)
    low_pair, low = _best(lambda u: _outcomes([(u, u + t)]), 0.0, 1 - t, m)
    high_pair = _outcomes([(0.0, t), (1 - t, 1.0)])
    return Band(low, float(product_total_variation(*high_pair, m)), low_pair, high_pair)


def band_with_collapse(t: float, eps: float, delta: float, m: int) -> Band | None:
    """The range over pairs with TV = t and beta(eps) >= delta.

    The upper edge is that of ``band``; the lower one is raised.

    Returns:
        Both ends with pairs that attain them; None if there are none (t < delta - eps).

    Units:
        Pure numbers.

    Raises:
        InputError: t, eps or delta outside of [0, 1], or eps > delta.

    Source:
        PacGAN (Lin et al. 2018, arXiv:1712.04086), theorem 4.
    """
    _check(t=t, eps=eps, delta=delta)
    if t < delta - eps:
        return None
    pair, low = _best(lambda u: _outcomes([(u, u + t), (eps, delta)]), 0.0, 1 - t, m)
    everything = band(t, m)
    return Band(low, everything.high, pair, everything.high_pair)


def band_without_collapse(t: float, eps: float, delta: float, m: int, *, augmentation: bool = False) -> Band | None:
    """The supremum and infimum over pairs with TV = t and beta(eps) <= delta.

    Unless ``augmentation`` is allowed, the same with P and Q exchanged is asked for too, beta(1 - delta) <= 1 - eps.
    A concave curve below a corner lies below a line through it: the upper edge is that of
    min(1, x + t, one line per corner), maximised over the lines' slopes.

    Returns:
        Both ends with pairs that attain them; None if there are none.

    Units:
        Pure numbers.

    Raises:
        InputError: t, eps or delta outside of [0, 1], or eps > delta.

    Source:
        PacGAN (Lin et al. 2018, arXiv:1712.04086), theorem 5.
    """
    _check(t=t, eps=eps, delta=delta)
    corners = [(eps, delta)] if augmentation else [(eps, delta), (1 - delta, 1 - eps)]
    ranges = _corners_below(t, eps, delta)
    if not augmentation:
        mirrored = [(1 - t - b, 1 - t - a) for a, b in ranges]
        ranges = [(max(a, c), min(b, d)) for a, b in ranges for c, d in mirrored if max(a, c) <= min(b, d)]
    if not ranges:
        return None
    found = [_best(lambda u: _outcomes([(u, u + t)]), a, b, m) for a, b in ranges]
    low_pair, low = min(found, key=lambda f: f[1])
    cutting = [(x, y) for x, y in corners if x + t > y]
    if not cutting:
        everything = band(t, m)
        return Band(low, everything.high, low_pair, everything.high_pair)
    high_pair, high = _best_lines(t, cutting, m)
    if high < low:  # the scan's own resolution: the lower pair is one of those allowed
        high_pair, high = low_pair, low
    return Band(low, high, low_pair, high_pair)


def _best_lines(t: float, corners: list[tuple[float, float]], m: int) -> tuple[Pair, float]:
    """The largest TV^m of min(1, x + t, lines through the corners), over the angles of the lines."""

    def value(angles: np.ndarray) -> float:
        pair = _envelope(t, corners, np.tan(angles))
        return -np.inf if pair is None else float(product_total_variation(*pair, m))

    axes = [_angles(t, x, y) for x, y in corners]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(corners))
    pairs = [(angles, _envelope(t, corners, np.tan(angles))) for angles in grid]
    allowed = [(angles, pair) for angles, pair in pairs if pair is not None]
    if not allowed:
        return _outcomes([]), -np.inf
    width = max(len(pair[0]) for _, pair in allowed)
    P, Q = (np.array([np.pad(pair[i], (0, width - len(pair[i]))) for _, pair in allowed]) for i in (0, 1))
    values = product_total_variation(P, Q, m)
    best = int(np.argmax(values))
    found = minimize(lambda v: -value(v), allowed[best][0], method="Nelder-Mead",
                     options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 400})  # fmt: skip
    if -found.fun > values[best]:
        pair = _envelope(t, corners, np.tan(found.x))
        assert pair is not None
        return pair, float(-found.fun)
    return allowed[best][1], float(values[best])


def _angles(t: float, x: float, y: float) -> np.ndarray:
    """Angles of lines through (x, y) that are >= 0 at 0, >= 1 at 1 and reach x + t somewhere in [0, 1 - t]; the ends of
    these ranges are among them, so that two lines that fit together at all are found."""
    low, high = (1 - y) / (1 - x) if x < 1 else 0.0, y / x if x > 0 else np.inf
    ranges = []
    if x > 0:  # above x + t at 0
        ranges.append((low, min(high, (y - t) / x)))
    elif y >= t:
        ranges.append((low, high))
    if x < 1 - t:  # above x + t at 1 - t
        ranges.append((max(low, (1 - y) / (1 - t - x)), high))
    parts = [np.linspace(np.arctan(a), min(np.arctan(b), np.pi / 2 - 1e-12), ANGLES) for a, b in ranges if a <= b]
    return np.concatenate(parts) if parts else np.empty(0)


def _envelope(t: float, corners: list[tuple[float, float]], slopes: np.ndarray) -> Pair | None:
    """Outcomes of min(1, x + t, lines); None unless it starts at or above 0, ends at 1 and touches x + t."""
    slope = np.array([0.0, 1.0, *slopes])
    start = np.array([1.0, t, *(y - k * x for (x, y), k in zip(corners, slopes, strict=True))])
    with np.errstate(divide="ignore", invalid="ignore"):
        meet = -(start[:, None] - start) / (slope[:, None] - slope)
    x = np.concatenate([[0.0, 1.0], meet[np.isfinite(meet) & (meet > 0) & (meet < 1)]])
    y = (start + slope * x[:, None]).min(-1)
    if y[0] < -ROUNDING or y[1] < 1 - ROUNDING or (y - x).max() < t - ROUNDING:
        return None
    return _outcomes(list(zip(x, y, strict=True)))


def _corners_below(t: float, eps: float, delta: float) -> list[tuple[float, float]]:
    """Ranges of u in [0, 1 - t] where the polygon (0,0), (u, u + t), (1,1) has beta(eps) <= delta.

    u >= eps: eps (u + t)/u <= delta; u <= eps: 1 - (1 - eps) (1 - u - t)/(1 - u) <= delta.
    """
    if t == 0:
        return [(0.0, 1.0)]
    if delta <= eps:
        return []  # the polygon lies above the diagonal everywhere inside
    ranges = []
    # at eps = 0 any u > 0 does, and u = 0 if t <= delta: the infimum is the same
    start = max(eps, eps * t / (delta - eps))
    if start <= 1 - t:
        ranges.append((start, 1 - t))
    end = min(eps, 1 - t, 1 - t * (1 - eps) / (delta - eps))
    if end >= 0:
        ranges.append((0.0, end))
    return ranges


def _outcomes(corners: list[tuple[float, float]]) -> Pair:
    """(P, Q) of the least concave curve through (0, 0), the corners and (1, 1): heights and widths of its edges."""
    points = sorted({(0.0, 0.0), (1.0, 1.0), *((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)) for x, y in corners)})
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while hull and hull[-1][0] == x:  # a vertical start: the higher point counts, from (0, 0)
            if len(hull) == 1 and hull[0] == (0.0, 0.0):
                break
            hull.pop()
        while len(hull) >= 2 and _turns_up(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    edges = np.diff(np.array(hull), axis=0)
    return edges[:, 1], edges[:, 0]


def _turns_up(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def _best(pair: Callable[[float], Pair], low: float, high: float, m: int) -> tuple[Pair, float]:
    """The pair of outcomes with the smallest TV^m over one number in [low, high], and that TV^m."""

    def value(u: float) -> float:
        return float(product_total_variation(*pair(float(u)), m))

    grid = np.linspace(low, high, SCAN) if high > low else np.array([low])
    values = np.array([value(u) for u in grid])
    i = int(np.argmin(values))
    best, least = float(grid[i]), float(values[i])
    if 0 < i < len(grid) - 1:
        found = minimize_scalar(value, bounds=(grid[i - 1], grid[i + 1]), method="bounded", options={"xatol": 1e-12})
        if found.fun < least:
            best, least = float(found.x), float(found.fun)
    return pair(best), least


def _check(t: float, eps: float = 0.0, delta: float = 1.0) -> None:
    for name, number in (("t", t), ("eps", eps), ("delta", delta)):
        if not 0 <= number <= 1:
            raise InputError(name, "lie in [0, 1]", number)
    if eps > delta:
        raise InputError("eps", "be at most delta", f"{eps} > {delta}")
