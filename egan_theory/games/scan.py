"""The multipliers over a penalty's strength, from one basis.

Every gradient is affine in every strength. With the weights, the optimisers' second moments and the intermediate points
of the step held as they are at the checkpoint (``GameMap.at``), the step's Jacobian A(s) is a polynomial, of degree 1,
or of the number of the discriminator's steps where the players alternate. Its products with an orthonormal basis V at
enough strengths s_i give those at all: A(s) V = sum of L_i(s) A(s_i) V with Lagrange's polynomials L_i. The Ritz values
of V^T A(s) V are its multipliers up to their residuals |A(s) V y - z V y|, which cost no further product; V holds
leading modes of both ends and of the present strength, so that it is no extrapolation. What is reported as a crossing
of the unit circle is checked by products of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from .followed import SMALL, Followed, basis, real, trusted
from .leading import LISTED, ONE, Budget, Leading, Spent, leading
from .modes import kind, root

Array = np.ndarray
#: strengths of a scan; its range either side of the present strength
POINTS, RANGE = 61, 10.0
#: parts of the products for each of the two ends, and to check what is found
END, CHECK = 0.15, 0.2


class Step(Protocol):
    """What a scan needs of a map (``GameMap``)."""

    n: int
    steps: int

    def product(self, v: Array) -> Array: ...


@dataclass(frozen=True)
class Crossing(Record):
    """Where a mode that grows comes into the unit circle.

    at: its multiplier now (re, im); strength: of the crossing nearest to now, None where there is none in the range
    that can be trusted; change: "raise" or "lower"; angle: of the multiplier there; residual: |A x - z x| there, by
    products; others: the largest modulus of the other modes seen there,
    drift left out; reason: why there is none.
    """

    at: tuple[float, float]
    kind: str
    strength: float | None
    change: str | None
    angle: float
    residual: float
    others: float
    reason: str


@dataclass(frozen=True)
class Scan(Record):
    """Multipliers over the strength of one penalty, those of the modes found now followed.

    strengths (g,); multipliers, residuals (g, m) of the followed modes, nan where one is lost; trusted (g, m): its
    residual is at most a tenth of |z - 1|. largest (g,): largest modulus of all multipliers seen there but drift (real
    and above 1), nan where a mode that grows now is lost; inside: the range of strengths nearest to now in which that
    is below 1, None where it never is. checked: (strength, largest modulus but drift) in the middle of that range, from
    a search of its own, which may refute the range and does not prove it; None where no products were left. curved: how
    far A is from a straight line in the strength, relative to its change. vectors: size of the basis.
    """

    KEYS: ClassVar[Sequence[str]] = (
        "penalty", "now", "strengths", "re", "im", "residuals", "largest", "inside", "checked", "crossings", "vectors",
        "curved", "products",
    )  # fmt: skip

    penalty: str
    now: float
    strengths: Array
    multipliers: Array
    residuals: Array
    largest: Array
    crossings: tuple[Crossing, ...]
    vectors: int
    curved: float
    products: float
    checked: tuple[float, float] | None = None

    @property
    def re(self) -> Array:
        return np.real(self.multipliers)

    @property
    def im(self) -> Array:
        return np.imag(self.multipliers)

    @property
    def trusted(self) -> Array:
        return trusted(self.multipliers, self.residuals)

    @property
    def inside(self) -> tuple[float, float] | None:
        with np.errstate(invalid="ignore"):
            good = np.flatnonzero(self.largest < 1)
        if not len(good):
            return None
        start = int(np.searchsorted(self.strengths, self.now))
        at = int(good[np.argmin(np.abs(good - start))])
        low = high = at
        while low - 1 in good:
            low -= 1
        while high + 1 in good:
            high += 1
        return float(self.strengths[low]), float(self.strengths[high])

    def __repr__(self) -> str:
        low, high = self.strengths[[0, -1]]
        return f"Scan({self.penalty} from {low:.3g} to {high:.3g}: {len(self.crossings)} crossings)"


def scan(
    at: Callable[[float], Step], penalty: str, now: float, found: Leading, budget: Budget, *,
    products: int | None = None, low: float | None = None, high: float | None = None, degree: int = 1, count: int = 4,
    seed: int = 0,
) -> Scan | None:  # fmt: skip
    """Follow the modes ``found`` at strength ``now`` from ``low`` to ``high`` (default a factor 10 either side).

    at: the map at a strength, a polynomial of that ``degree`` in it. None where the products do not do. Raises
    InputError for a range without ``now``.
    """
    if low is None or high is None:
        centre = now if now > 0 else 1.0
        low, high = centre / RANGE if low is None else low, centre * RANGE if high is None else high
    if not 0 < low < high or (now > 0 and not low <= now <= high):
        raise InputError("scan", f"be a range of strengths above 0 that holds the present one, {now:.4g}", (low, high))
    begin, limit = budget.used, min(budget.left, budget.left if products is None else products)
    inner = now if low < now < high else float(np.sqrt(low * high))
    nodes = [low, inner, high]
    while len(nodes) <= degree:  # halve the widest gap
        gap = int(np.argmax(np.diff(np.log(nodes))))
        nodes.insert(gap + 1, float(np.sqrt(nodes[gap] * nodes[gap + 1])))
    maps = [at(s) for s in nodes]
    modes = real(found.vectors)[:, : max(2 * count, SMALL)]
    most = int((1 - 2 * END - CHECK) * limit) // len(nodes)
    if not modes.size or most < SMALL:
        return None
    begun = modes.sum(1)
    ends = [
        leading(maps[i].product, maps[i].n, budget, int(END * limit), count=count, start=begun, seed=seed)
        for i in (0, -1)
    ]
    spans = [modes, *(real(end.vectors[:, :count]) for end in ends)]
    V = basis(spans, most)
    try:
        images = []
        for step in maps:
            product = budget.counted(step.product)
            images.append(np.stack([product(v) for v in V.T], axis=1))
    except Spent:
        return None
    run = Followed(V, images, np.array(nodes), maps[0].steps)
    grid = np.unique(np.concatenate([np.geomspace(low, high, POINTS), [now] if now > 0 else []]))
    z, residuals, largest, Y = run.follow(grid, now if now > 0 else low, found)
    growing = [j for j in range(z.shape[1]) if _grows(z[:, j], grid, now, low)]
    largest = known(largest, z[:, growing], residuals[:, growing])
    out = Scan(penalty, now, grid, z, residuals, largest, (), V.shape[1], run.curved(), 0.0)
    crossings = tuple(_crossing(run, out, j, Y, at, budget) for j in growing)
    left = limit - int(budget.used - begin)
    out = replace(out, crossings=crossings, checked=_inside(out, run, at, min(left, budget.left), budget, seed))
    return replace(out, products=budget.used - begin)


def _inside(
    s: Scan, run: Followed, at: Callable[[float], Step], products: int, budget: Budget, seed: int
) -> tuple[float, float] | None:
    """``Scan.checked``: leading modes in the middle of the range, begun with the largest that the scan sees there and
    some of all else."""
    if s.inside is None or products < 4:
        return None
    middle = float(np.sqrt(s.inside[0] * s.inside[1]))
    step = at(middle)
    values, _, vectors = run.pairs(middle)
    y = run.V @ vectors[:, int(np.argmax(np.where(_drifts(values), 0.0, np.abs(values))))]
    noise = np.random.default_rng(seed).standard_normal(step.n)
    first = (y.real + y.imag) / np.linalg.norm(y.real + y.imag) + 0.1 * noise / np.linalg.norm(noise)
    found = leading(step.product, step.n, budget, products, count=2, start=first)
    z = np.concatenate([found.values, found.nodes])  # Ritz values that are not yet modes count, too
    z = z[~_drifts(z)]
    return middle, float(np.abs(z).max() ** (1 / step.steps)) if len(z) else float("nan")


def known(largest: Array, growing: Array, residuals: Array) -> Array:
    """``largest`` (g,), nan where one of the modes (g, m) that grow now is lost: nothing says that it has ended."""
    return np.where(trusted(growing, residuals).all(axis=1), largest, np.nan)


def _drifts(z: Array) -> Array:
    """Those that grow without turning, as ``kind`` has it."""
    z = np.where(np.abs(z.imag) < 1e-12, z.real, z)
    size = np.maximum(np.abs(z), 1.0)
    return np.asarray((z.real > 0) & (size > 1) & (np.abs(np.angle(z)) < np.log(size)))


def _grows(z: Array, grid: Array, now: float, low: float) -> bool:
    value = z[np.searchsorted(grid, now if now > 0 else low)]
    return bool(abs(value) > 1 + 1e-9)


def _crossing(run: Followed, s: Scan, j: int, Y: list[Any], at: Callable[[float], Step], budget: Budget) -> Crossing:
    """The crossing of mode j nearest to the present strength."""
    grid, z, good = s.strengths, s.multipliers[:, j], s.trusted[:, j]
    now = s.now if s.now > 0 else grid[0]
    start = int(np.searchsorted(grid, now))
    with np.errstate(invalid="ignore"):
        inside = np.abs(z) < 1
    candidates = []
    for way, change in ((range(start, len(grid)), "raise"), (range(start, -1, -1), "lower")):
        previous = start
        for g in way:
            if not good[g]:
                break
            if inside[g]:
                a, b = np.log(np.abs(z[[previous, g]]))
                where = float(np.exp(np.interp(0.0, [b, a], np.log(grid[[g, previous]]))))
                candidates.append((abs(np.log(where / now)), where, change, g))
                break
            previous = g
    value = z[start]
    pair = (float(value.real), float(value.imag))
    nan = float("nan")
    if not candidates:
        reach = grid[np.flatnonzero(good)] if good.any() else grid[[start]]
        whole = bool(good.all())
        reason = (
            f"none from {grid[0]:.3g} to {grid[-1]:.3g}"
            if whole
            else f"none as far as it can be trusted, from {reach.min():.3g} to {reach.max():.3g}"
        )
        return Crossing(pair, kind(value), None, None, nan, nan, nan, reason)
    _, where, change, g = min(candidates)
    values, residuals, vectors = run.pairs(where)
    near = int(np.argmax(np.abs(vectors.conj().T @ Y[g][j])))
    others = np.delete(values, near)[np.delete(trusted(values, residuals) & ~_drifts(values), near)]
    largest = float(np.abs(others).max() ** (1 / run.steps)) if len(others) else nan
    angle = float(np.angle(root(values[near : near + 1], run.steps)[0]))
    true = _checked(run, where, values[near], vectors[:, near], at, budget)
    if np.isfinite(true) and true > LISTED * max(abs(values[near] - 1), ONE):
        reason = f"products at {where:.3g} do not confirm it (residual {true:.2g})"
        return Crossing(pair, kind(value), None, None, angle, true / run.steps, largest, reason)
    return Crossing(pair, kind(value), where, change, angle, true / run.steps, largest, "")


def _checked(run: Followed, where: float, z: complex, y: Array, at: Callable[[float], Step], budget: Budget) -> float:
    """|A x - z x| at a strength, by products; nan where none are left."""
    x = run.V @ y
    product = budget.counted(at(where).product)
    try:
        image = product(x.real) + (1j * product(x.imag) if np.abs(x.imag).max() > 0 else 0)
    except Spent:
        return float("nan")
    return float(np.linalg.norm(image - z * x))


__all__ = ["Crossing", "Scan", "scan"]
