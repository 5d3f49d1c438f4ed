"""The multipliers over a penalty's strength, from one basis.

The step's Jacobian is a polynomial in every strength: of degree 1 for simultaneous steps, 2 where the generator's step
sees the discriminator's (as far as its intermediate point moves little). Its products with an orthonormal basis V at
three strengths give those at all: A(s) V = sum of L_i(s) A(s_i) V with Lagrange's polynomials L_i. The Ritz values of
V^T A(s) V are its multipliers up to their residuals |A(s) V y - z V y|, which cost no further product; V holds leading
modes at each of the three strengths, so that it is no extrapolation. What is reported as a crossing of the unit circle
is checked by products of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from .leading import LISTED, ONE, Budget, Leading, Spent, leading
from .modes import kind, root

Array = np.ndarray
#: strengths of a scan; its range either side of the present strength
POINTS, RANGE = 61, 30.0
#: overlap of two Ritz vectors that are one mode at neighbouring strengths
SAME = 0.5
#: parts of the products for each of the two ends, and to check what is found; vectors of a basis at least
END, CHECK, SMALL = 0.15, 0.2, 3


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
    and above 1); inside: the range of strengths nearest to now in which that is below 1, None where it never is.
    checked: (strength, largest modulus but drift) in the middle of that range, from a search of its own; None where no
    products were left. curved: how far A is from a straight line in the strength, relative to its change. vectors: size
    of the basis.
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


def trusted(z: Array, residuals: Array) -> Array:
    """Whether each multiplier is worth listing."""
    with np.errstate(invalid="ignore"):
        return np.asarray(residuals <= LISTED * np.maximum(np.abs(z - 1), ONE))


def scan(
    at: Callable[[float], Step], penalty: str, now: float, found: Leading, budget: Budget, *,
    products: int | None = None, low: float | None = None, high: float | None = None, count: int = 4, seed: int = 0,
) -> Scan | None:  # fmt: skip
    """Follow the modes ``found`` at strength ``now`` from ``low`` to ``high`` (default a factor 30 either side).

    at: the map at a strength. None where the products do not do. Raises InputError for a range without ``now``.
    """
    if low is None or high is None:
        centre = now if now > 0 else 1.0
        low, high = centre / RANGE if low is None else low, centre * RANGE if high is None else high
    if not 0 < low < high or (now > 0 and not low <= now <= high):
        raise InputError("scan", f"be a range of strengths above 0 that holds the present one, {now:.4g}", (low, high))
    begin, limit = budget.used, min(budget.left, budget.left if products is None else products)
    inner = now if low < now < high else float(np.sqrt(low * high))
    nodes = (low, inner, high)
    maps = [at(s) for s in nodes]
    modes = _real(found.vectors)[:, : max(2 * count, SMALL)]
    most = int((1 - 2 * END - CHECK) * limit) // len(nodes)
    if not modes.size or most < SMALL:
        return None
    begun = modes.sum(1)
    ends = [
        leading(maps[i].product, maps[i].n, budget, int(END * limit), count=count, start=begun, seed=seed)
        for i in (0, 2)
    ]
    spans = [modes, *(_real(end.vectors[:, :count]) for end in ends)]
    V = _basis(spans, most)
    try:
        images = []
        for step in maps:
            product = budget.counted(step.product)
            images.append(np.stack([product(v) for v in V.T], axis=1))
    except Spent:
        return None
    run = _Followed(V, images, np.array(nodes), maps[0].steps)
    grid = np.unique(np.concatenate([np.geomspace(low, high, POINTS), [now] if now > 0 else []]))
    z, residuals, largest, Y = run.follow(grid, now if now > 0 else low, found)
    out = Scan(penalty, now, grid, z, residuals, largest, (), V.shape[1], run.curved(), 0.0)
    crossings = tuple(
        _crossing(run, out, j, Y, at, budget) for j in range(z.shape[1]) if _grows(z[:, j], grid, now, low)
    )
    left = limit - int(budget.used - begin)
    out = replace(out, crossings=crossings, checked=_inside(out, at, begun, min(left, budget.left), budget, seed))
    return replace(out, products=budget.used - begin)


def _inside(
    s: Scan, at: Callable[[float], Step], start: Array, products: int, budget: Budget, seed: int
) -> tuple[float, float] | None:
    """``Scan.checked``: leading modes in the middle of the range, begun with what grows now and some of all else."""
    if s.inside is None or products < 4:
        return None
    middle = float(np.sqrt(s.inside[0] * s.inside[1]))
    step = at(middle)
    noise = np.random.default_rng(seed).standard_normal(step.n)
    first = start / np.linalg.norm(start) + noise / np.linalg.norm(noise)
    found = leading(step.product, step.n, budget, products, count=2, start=first)
    z = found.values[~((found.values.imag == 0) & (found.values.real > 1))]
    return middle, float(np.abs(z).max() ** (1 / step.steps)) if len(z) else float("nan")


def _grows(z: Array, grid: Array, now: float, low: float) -> bool:
    value = z[np.searchsorted(grid, now if now > 0 else low)]
    return bool(abs(value) > 1 + 1e-9)


def _real(X: Array) -> Array:
    """Real and imaginary parts as columns, those of the first vector first."""
    if not X.size:
        return np.zeros((len(X), 0))
    columns = np.stack([X.real, X.imag], axis=2).reshape(len(X), -1)
    return columns[:, np.linalg.norm(columns, axis=0) > 1e-12]


def _basis(spans: Sequence[Array], most: int) -> Array:
    """(n, r <= most) orthonormal: columns of the spans by turns, without what the others hold."""
    columns = []
    for i in range(max(s.shape[1] for s in spans)):
        columns += [s[:, i] for s in spans if i < s.shape[1]]
    V: list[Array] = []
    for c in columns:
        w = c / np.linalg.norm(c)
        for _ in range(2):
            for v in V:
                w = w - (v @ w) * v
        if np.linalg.norm(w) > 1e-6 and len(V) < most:
            V.append(w / np.linalg.norm(w))
    return np.stack(V, axis=1)


class _Followed:
    """The projected map at every strength."""

    def __init__(self, V: Array, images: list[Array], nodes: Array, steps: int) -> None:
        self.V, self.images, self.nodes, self.steps = V, images, nodes, steps
        self.inner = [V.T @ W for W in images]
        self.gram = np.array([[W.T @ X for X in images] for W in images])

    def weights(self, s: float) -> Array:
        """Lagrange's polynomials at s."""
        out = np.ones(len(self.nodes))
        for i, a in enumerate(self.nodes):
            for j, b in enumerate(self.nodes):
                if i != j:
                    out[i] *= (s - b) / (a - b)
        return out

    def curved(self) -> float:
        a, b, c = self.nodes
        low, middle, high = self.images
        line = low + (high - low) * (b - a) / (c - a)
        change = np.linalg.norm(high - low)
        return float(np.linalg.norm(middle - line) / change) if change else 0.0

    def pairs(self, s: float) -> tuple[Array, Array, Array]:
        """Ritz values of the product of steps with im >= 0, residuals, vectors in V's coordinates (of norm 1)."""
        w = self.weights(s)
        H = sum(a * M for a, M in zip(w, self.inner, strict=True))
        z, Y = np.linalg.eig(np.asarray(H))
        gram = np.einsum("i,j,ijkl->kl", w, w, self.gram)
        square = np.real(np.einsum("km,kl,lm->m", Y.conj(), gram, Y)) - np.abs(z) ** 2
        half = z.imag >= 0
        return z[half].astype(complex), np.sqrt(np.maximum(square, 0.0))[half], Y[:, half].astype(complex)

    def follow(self, grid: Array, now: float, found: Leading) -> tuple[Array, Array, Array, list[Any]]:
        """(multipliers, residuals (g, m), largest (g,), Ritz vectors by strength) of the modes found."""
        start = int(np.searchsorted(grid, now))
        every = [self.pairs(s) for s in grid]
        _, _, Y0 = every[start]
        wanted = self.V.T @ found.vectors
        first = []
        for j in range(wanted.shape[1]):
            size = np.linalg.norm(wanted[:, j])
            if size < 0.99:  # not in the basis
                continue
            best = int(np.argmax(np.abs(Y0.conj().T @ wanted[:, j])))
            if best not in first:
                first.append(best)
        m = len(first)
        z, residuals = np.full((len(grid), m), np.nan, complex), np.full((len(grid), m), np.nan)
        vectors: list[Any] = [[None] * m for _ in grid]
        for way in (range(start, len(grid)), range(start, -1, -1)):
            last = [Y0[:, j] for j in first]
            alive = [True] * m
            for g in way:
                values, res, Y = every[g]
                for j in range(m):
                    if not alive[j]:
                        continue
                    overlap = np.maximum(np.abs(Y.conj().T @ last[j]), np.abs(Y.T @ last[j]))
                    best = int(np.argmax(overlap))
                    if overlap[best] < SAME:
                        alive[j] = False
                        continue
                    last[j] = Y[:, best]
                    z[g, j], residuals[g, j], vectors[g][j] = values[best], res[best], last[j]
        largest = np.array([self._largest(*pair[:2]) for pair in every])
        return root(z, self.steps), residuals / self.steps, largest, vectors

    def _largest(self, z: Array, residuals: Array) -> float:
        good = trusted(z, residuals) & ~((z.imag == 0) & (z.real > 1))
        return float(np.abs(z[good]).max() ** (1 / self.steps)) if good.any() else float("nan")


def _crossing(run: _Followed, s: Scan, j: int, Y: list[Any], at: Callable[[float], Step], budget: Budget) -> Crossing:
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
    drift = (values.imag == 0) & (values.real > 1)
    others = np.delete(values, near)[np.delete(trusted(values, residuals) & ~drift, near)]
    largest = float(np.abs(others).max() ** (1 / run.steps)) if len(others) else nan
    angle = float(np.angle(root(values[near : near + 1], run.steps)[0]))
    true = _checked(run, where, values[near], vectors[:, near], at, budget)
    if np.isfinite(true) and true > LISTED * max(abs(values[near] - 1), ONE):
        reason = f"products at {where:.3g} do not confirm it (residual {true:.2g})"
        return Crossing(pair, kind(value), None, None, angle, true / run.steps, largest, reason)
    return Crossing(pair, kind(value), where, change, angle, true / run.steps, largest, "")


def _checked(run: _Followed, where: float, z: complex, y: Array, at: Callable[[float], Step], budget: Budget) -> float:
    """|A x - z x| at a strength, by products; nan where none are left."""
    x = run.V @ y
    product = budget.counted(at(where).product)
    try:
        image = product(x.real) + (1j * product(x.imag) if np.abs(x.imag).max() > 0 else 0)
    except Spent:
        return float("nan")
    return float(np.linalg.norm(image - z * x))


__all__ = ["Crossing", "Scan", "scan"]
