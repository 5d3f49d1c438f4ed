"""All predicted modes fitted to the recorded quantities at once, at whatever times they were recorded.

    y(t) = sum_i O_i c_i exp(s_i t)

with the shapes O_i predicted, the amplitudes c_i free in every run and the exponents s_i of chosen modes free: variable
projection (varpro), whose Jacobian for all runs is one projected matrix times their amplitudes. Nothing is assumed of
the times. A pair of exponents s = m +- q, conjugate or real, of shapes O = p +- q o enters through its real basis

    alpha (p phi_0 + q^2 o phi_1) + beta (p phi_1 + o phi_0),    phi_0 = e^(mt) cosh qt,  phi_1 = e^(mt) sinh(qt)/q

which is smooth in m and q^2 and stays so where the two coalesce (q = 0). All times here start at 0 and end at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from .varpro import LARGEST, Layout, basis, descend

#: exponents closer than this part of the largest are one exponent with several shapes
DEGENERACY = 1e-7
#: two real modes whose shapes overlap more than this, and whose exponents differ by less than their mean, are a pair
OVERLAP = 0.9999
#: relative singular value under which columns count as dependent, and size under which a column counts as none
RANK, NOTHING = 1e-12, 1e-10
#: steps of the iteration, and dampings tried in each
STEPS, DAMPINGS = 40, 20
#: decrease of the cost, in units of what it is per recorded number, that ends the iteration
STALL = 1e-4
#: largest growth over the whole time that is tried where none is predicted
GROWTH = 10.0


@dataclass(frozen=True)
class Unit:
    """Modes that share the parameters of a ``Layout``: one real exponent s = m, or two, s = m +- sqrt(d).

    predicted: (1,) or (2,) exponents over the whole time; plus, minus: (multiplicity, n) the shapes' p and o (minus
    without rows for one real exponent); moves: whether it moves the particles; spread: rms distance, Re and Im, of the
    exponents that are taken for one from their mean, ``predicted``."""

    predicted: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    moves: bool
    spread: complex = 0.0

    @property
    def pair(self) -> bool:
        return len(self.predicted) == 2

    @property
    def parameters(self) -> list[float]:
        s = self.predicted
        return [s.mean().real, ((s[0] - s[1]) ** 2 / 4).real] if self.pair else [s[0].real]

    @property
    def columns(self) -> int:
        return len(self.plus) * len(self.predicted)


def units(s: np.ndarray, shapes: np.ndarray, moves: np.ndarray) -> list[Unit]:
    """The modes (exponents s (mode,), shapes (n, mode), conjugates included) as units, pairs before single ones."""
    near = DEGENERACY * np.abs(s).max(initial=0.0)
    slow_first = [int(j) for j in np.argsort(-s.real, kind="stable")]
    pairs: list[Unit] = []
    singles: list[Unit] = []
    for j in (j for j in slow_first if s[j].imag > 0):
        O, value = _turned(shapes[:, [j]]), s[j]
        o = O.imag.T / value.imag
        pairs.append(Unit(np.array([value, value.conjugate()]), O.real.T, o, bool(moves[j])))
    for j in (j for j in slow_first if s[j].imag == 0):
        single = Unit(s[[j]].real, _turned(shapes[:, [j]]).real.T, np.empty((0, len(shapes))), bool(moves[j]))
        partner = next((i for i, other in enumerate(singles) if _coalescing(single, other)), None)
        if partner is None:
            singles.append(single)
        else:
            pairs.append(_paired(singles.pop(partner), single))
    return [*_joined(pairs, near), *_joined(singles, near)]


def _joined(found: list[Unit], near: float) -> list[Unit]:
    """Those of equal exponents as one with several shapes."""
    groups: list[list[Unit]] = []
    for unit in found:
        same = next((g for g in groups if np.abs(g[0].predicted - unit.predicted).max() <= near), None)
        if same is None:
            groups.append([unit])
        else:
            same.append(unit)
    return [g[0] if len(g) == 1 else _one(g) for g in groups]


def _one(group: list[Unit]) -> Unit:
    """At their mean exponents: which of them a run shows is up to their amplitudes."""
    exponents = np.array([u.predicted for u in group])
    mean = exponents.mean(0)
    apart = exponents - mean
    re, im = (float(np.sqrt((part**2).mean(0)).max()) for part in (apart.real, apart.imag))
    plus, minus = (np.concatenate([getattr(u, n) for u in group]) for n in ("plus", "minus"))
    return Unit(mean, plus, minus, any(u.moves for u in group), complex(re, im))


def _turned(O: np.ndarray) -> np.ndarray:
    """Shapes with the phase that leaves them the least imaginary part."""
    return O * np.exp(-0.5j * np.angle((O**2).sum(0)))


def _coalescing(a: Unit, b: Unit) -> bool:
    if a.predicted[0] * b.predicted[0] <= 0:
        return False
    norm = np.linalg.norm(a.plus) * np.linalg.norm(b.plus)
    close = abs(a.predicted[0] - b.predicted[0]) < abs(a.predicted[0] + b.predicted[0]) / 2
    return bool(close and abs(a.plus[0] @ b.plus[0]) > OVERLAP * norm)


def _paired(a: Unit, b: Unit) -> Unit:
    u, v = (x.plus / np.linalg.norm(x.plus) for x in (a, b))
    v = v * np.sign(u[0] @ v[0])
    s = np.concatenate([a.predicted, b.predicted])
    apart = s[0] - s[1] or np.sqrt(np.finfo(float).eps) * s[0]
    return Unit(s.astype(complex), (u + v) / 2, (u - v) / apart, a.moves or b.moves)


@dataclass(frozen=True)
class Series:
    """t (T,) scaled times, y (run, T, n) recorded, in coordinates that weigh alike; the units and their layout."""

    t: np.ndarray
    y: np.ndarray
    units: tuple[Unit, ...]

    @property
    def layout(self) -> Layout:
        pairs = sum(u.pair for u in self.units)
        return Layout(pairs, len(self.units) - pairs)

    @property
    def start(self) -> np.ndarray:
        return np.array([x for u in self.units for x in u.parameters])

    @property
    def rows(self) -> np.ndarray:
        """(T n, run) the recorded numbers, a column per run."""
        return self.y.reshape(len(self.y), -1).T

    def parameters_of(self, chosen: Sequence[int]) -> np.ndarray:
        """Places of the units' parameters."""
        first = np.concatenate([[0], np.cumsum([len(u.predicted) for u in self.units])])
        return np.concatenate([np.arange(first[i], first[i + 1]) for i in chosen] or [np.empty(0)]).astype(int)

    def columns_of(self, unit: int) -> slice:
        first = sum(u.columns for u in self.units[:unit])
        return slice(first, first + self.units[unit].columns)


def _columns(unit: Unit, d: float, phi: np.ndarray, moved: np.ndarray | None = None, of_d: bool = False) -> np.ndarray:
    """(T n, columns) of a unit: alpha of every shape, then beta; ``moved``: the derivative of phi (T, r) by m or d."""
    f = phi if moved is None else moved
    if not unit.pair:
        return np.einsum("t,an->tna", f[:, 0], unit.plus).reshape(-1, len(unit.plus))
    alpha = np.einsum("t,an->tna", f[:, 0], unit.plus) + d * np.einsum("t,an->tna", f[:, 1], unit.minus)
    if of_d:
        alpha += np.einsum("t,an->tna", phi[:, 1], unit.minus)
    beta = np.einsum("t,an->tna", f[:, 1], unit.plus) + np.einsum("t,an->tna", f[:, 0], unit.minus)
    return np.concatenate([alpha, beta], axis=-1).reshape(-1, 2 * len(unit.plus))


@dataclass(frozen=True)
class Fit:
    """At parameters p: orthonormal ``span`` (T n, rank) of all columns; amplitudes (columns, run) of the columns;
    residual (T n, run); and, of the free parameters, ``across`` (T n, q) orthonormal and ``jacobian`` (run, q, free):
    a change dp of the free parameters changes run r's residual by across @ jacobian[r] @ dp."""

    p: np.ndarray
    free: np.ndarray
    span: np.ndarray
    amplitudes: np.ndarray
    inverse: np.ndarray  # (columns, columns): covariance of the amplitudes for unit noise
    residual: np.ndarray
    across: np.ndarray
    jacobian: np.ndarray
    converged: bool = True

    @property
    def cost(self) -> float:
        return float((self.residual**2).sum())


def project(series: Series, p: np.ndarray, chosen: Sequence[int]) -> Fit:
    """The best amplitudes at parameters p, and what the parameters of the ``chosen`` units change."""
    layout, k = series.layout, 0
    phi, moves = basis(p, layout, series.t)
    columns: list[np.ndarray] = []
    changes: list[tuple[int, np.ndarray]] = []
    for i, unit in enumerate(series.units):
        r = len(unit.predicted)
        own, d = phi[:, k : k + r], p[k + 1] if unit.pair else 0.0
        columns.append(_columns(unit, d, own))
        if i in chosen:
            changes += [(i, _columns(unit, d, own, moves[k + j][1], of_d=j == 1)) for j in range(r)]
        k += r
    A = np.concatenate(columns, axis=1)
    norm = np.linalg.norm(A, axis=0)
    norm[norm <= NOTHING * norm.max(initial=0.0)] = np.inf  # as good as not there
    Q, R = scipy.linalg.qr(A / norm, mode="economic")
    u, sigma, vh = np.linalg.svd(R)
    kept = sigma > RANK * sigma[0]
    span = Q @ u[:, kept]
    Y = series.rows
    seen = span.T @ Y
    residual = Y - span @ seen
    residual -= span @ (span.T @ residual)  # what rounding left along the span
    back = (vh[kept].T / sigma[kept]) / norm[:, None]
    amplitudes = back @ seen
    if not changes:
        nothing = np.empty((len(Y), 0))
        return Fit(
            p, np.empty(0, int), span, amplitudes, back @ back.T, residual, nothing, np.empty((Y.shape[1], 0, 0))
        )
    Z = np.concatenate([z for _, z in changes], axis=1)
    Z -= span @ (span.T @ Z)
    across, R = scipy.linalg.qr(Z, mode="economic")
    jacobian = np.empty((Y.shape[1], R.shape[0], len(changes)))
    at = 0
    for j, (i, z) in enumerate(changes):
        jacobian[:, :, j] = -(R[:, at : at + z.shape[1]] @ amplitudes[series.columns_of(i)]).T
        at += z.shape[1]
    free = series.parameters_of(chosen)
    return Fit(p, free, span, amplitudes, back @ back.T, residual, across, jacobian)


def solve(series: Series, p: np.ndarray, chosen: Sequence[int]) -> Fit:
    """Levenberg-Marquardt in the parameters of the ``chosen`` units, from p."""
    first = project(series, p, chosen)
    if not len(first.free):
        return first
    growth = max(GROWTH, 2 * series.layout.exponents(p).real.max())

    def system(fit: Fit) -> tuple[np.ndarray, np.ndarray]:
        return fit.jacobian.reshape(-1, len(fit.free)), (fit.across.T @ fit.residual).T.ravel()

    def at(trial: np.ndarray) -> Fit | None:
        s = series.layout.exponents(trial)
        allowed = np.isfinite(trial).all() and np.abs(s).max() < LARGEST and s.real.max() < growth
        return project(series, trial, chosen) if allowed else None

    total, stall = float((series.y**2).sum()), STALL / series.y.size
    fit, converged = descend(
        first, first.free, system, at, total, steps=STEPS, dampings=DAMPINGS, factor=6.0, stall=stall
    )
    return fit if converged else replace(fit, converged=False)
