"""The weights that matter near an equilibrium: as few as the features have derivatives at the points at rest.

Positions x = y + u near rest see psi by its Taylor polynomial in u alone. To fifth order in the displacement (what
normal forms and their next term take) D and its gradient need derivatives of psi up to order K = 5 (6 where D != D* at
rest), and weights are pushed along those up to K - 1: every term of F_w is psi or grad psi at a point, times something
that vanishes at rest where w does. Weights orthogonal to these decay on their own (weight decay), pushed by nothing and
felt by nobody, to that order. With tau_a(y) = s^|a| d^a psi(y)/a! and the Gram matrix G of all of them, that of those
up to K - 1 being V diag(sigma) V^T,

    w = Q v,   Q = tau^T V sigma^(-1/2) (orthonormal),   Q^T tau_a(y) = (G V sigma^(-1/2))_(a, y):

the expansion of the map is the same in v, whose size does not grow with the number of features. One more weight that
nothing pushes stands for all that were left out, with the eigenvalue that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..base.series import first_of
from ..features import PackedFeatures, PolynomialFeatures
from .jet import Jet
from .stepmap import BLOCK, StepMap, smooth

Array = np.ndarray
#: orders in the displacement
ORDER = 5
#: fewer features are taken as they are; more derivatives than this are not looked at
FEW, MOST_ROWS = 150, 6000
#: eigenvalues of the Gram matrix below this part of the largest are its rounding; weights at rest outside of the span
ROUNDING, OUTSIDE = 1e-14, 1e-7


class LocalFeatures:
    """Taylor polynomials of features about points: ``at`` any X (..., n, d) whose value is next to ``points`` (J, d).

    exponents (A, d); table (J, A, r): coefficients of prod_c ((x - y)_c / scale)^e_c."""

    def __init__(self, points: Array, exponents: Array, scale: float, table: Array) -> None:
        self.points, self.scale, self.table = points, scale, table
        self.monomials = PolynomialFeatures(exponents, np.ones(len(exponents)))
        self.size = table.shape[-1]

    def at(self, X: Any) -> _LocatedLocal:
        return _LocatedLocal(self, X)

    def gradient_rank(self, X: Array) -> int:
        return int(np.linalg.matrix_rank(self.at(X).grad().reshape(-1, self.size)))


class _LocatedLocal:
    def __init__(self, features: LocalFeatures, X: Any) -> None:
        n, d = X.shape[-2:]
        here = np.real(first_of(X)).reshape(-1, n, d)[0]
        nearest = np.square(here[:, None] - features.points).sum(-1).argmin(1)
        self.scale, self.table = features.scale, features.table[nearest]
        self.rows = self.table.reshape(-1, features.size)
        self.at = features.monomials.at((X - features.points[nearest]) / features.scale)

    def _coefficients(self, w: Any) -> Any:
        """(..., n, A) of D about every point."""
        return (w @ self.rows.T).reshape(*w.shape[:-1], *self.table.shape[:-1])

    def value(self, w: Any) -> Any:
        return (self._coefficients(w) * self.at.psi()).sum(-1)

    def gradient(self, w: Any) -> Any:
        return (self._coefficients(w)[..., None, :] * self.at.grad()).sum(-1) / self.scale

    def hessian(self, w: Any) -> Any:
        return (self._coefficients(w)[..., None, None, :] * self.at._hessian).sum(-1) / self.scale**2

    def adjoint(self, a: Any, b: Any) -> Any:
        s = a[..., None] * self.at.psi()
        if b is not None:
            s = s + (b[..., None] * self.at.grad()).sum(-2) / self.scale
        return s.reshape(*s.shape[:-2], len(self.rows)) @ self.rows

    def psi(self) -> Any:
        return (self.at.psi()[..., None, :] @ self.table)[..., 0, :]

    def grad(self) -> Any:
        return self.at.grad() @ self.table / self.scale


@lru_cache(maxsize=16)
def exponents_of(d: int, degree: int) -> Array:
    """(A, d) of all monomials up to the degree, lowest first."""
    sets = [s for j in range(degree + 1) for s in combinations_with_replacement(range(d), j)]
    return np.array([[s.count(c) for c in range(d)] for s in sets])


def taylor(features: Any, points: Array, degree: int, scale: float) -> Array:
    """(J, A, P): Taylor coefficients of psi about the points in (x - y)/scale, from series along lines: the terms of
    degree j along the directions e/j of its exponents, which tell them apart."""
    J, d = points.shape
    e = exponents_of(d, degree)
    out = np.empty((J, len(e), features.size))
    out[:, 0] = features.at(points).psi()
    for j in range(1, degree + 1):
        which = np.flatnonzero(e.sum(1) == j)
        lines = e[which] / j
        inverse = np.linalg.inv(np.prod(lines[:, None, :] ** e[which][None], axis=-1))
        rows = max(1, BLOCK // ((j + 1) * len(which) * features.size))
        for start in range(0, J, rows):
            part = points[start : start + rows]
            shape = (len(which), *part.shape)
            moved = Jet.of([part[None], np.broadcast_to(scale * lines[:, None], shape), *(None,) * (j - 1)], shape)
            out[start : start + rows, which] = np.einsum("ab,bjp->jap", inverse, features.at(moved).psi().full(j))
    return out


class Basis:
    """The weights v of several step maps that differ in a parameter, Q (P, r) from their Taylor coefficients.

    ``maps``: the same step maps on v."""

    def __init__(self, maps: Sequence[StepMap], tables: list[Array], spans: list[Array], places: list[tuple]) -> None:
        """tables: (J, A, P) of every map; spans (J, A): which of them weights are pushed along; places: (points,
        exponents, scale)."""
        flat = [t.reshape(-1, t.shape[-1]) for t in tables]
        once = flat[:1] if all(np.array_equal(t, flat[0]) for t in flat) else flat
        self.pushed = np.concatenate([t[s.ravel()] for t, s in zip(once, spans, strict=False)])
        sigma, V = np.linalg.eigh(self.pushed @ self.pushed.T)
        kept = sigma > ROUNDING * len(sigma) * sigma[-1]
        self.turn = V[:, kept] / np.sqrt(sigma[kept])
        self.whole = tables[0].shape[-1]
        self.left_out = int(kept.sum()) < self.whole
        self.size = int(kept.sum()) + self.left_out
        self.maps: list[StepMap] = []
        for stepmap, table, place in zip(maps, tables, places, strict=True):
            reduced = self.seen(table)
            self.maps.append(stepmap.with_features(LocalFeatures(*place, reduced), self.seen(stepmap.weights_at_rest)))

    def seen(self, w: Array) -> Array:
        """v of weights (..., P) in the span."""
        v = w @ self.pushed.T @ self.turn
        return np.concatenate([v, np.zeros((*v.shape[:-1], 1))], axis=-1) if self.left_out else v

    def lifted(self, z: Array) -> Array:
        """Small states (..., n) of the reduced maps as those of the maps themselves."""
        stepmap = self.maps[0]
        out = []
        for block, shape in zip(np.split(z, stepmap.ends[:-1], axis=-1), stepmap.shapes, strict=True):
            if len(shape) == 1:
                block = block[..., : self.turn.shape[1]] @ self.turn.T @ self.pushed
            out.append(block)
        return np.concatenate(out, axis=-1)


def local_basis(maps: Sequence[StepMap]) -> Basis | None:
    """The basis that serves the expansions of all of these step maps about their rest; None where it would be no
    smaller than the features (few of them, or many points), and for an exact kernel's, which is such a basis itself."""
    first = maps[0].field.features
    for stepmap in maps:
        features = stepmap.field.features
        if isinstance(features, PackedFeatures) or stepmap.field.grows or not smooth(features):
            return None
        if features.size != first.size or features.size <= FEW:
            return None
    tables, spans, places = [], [], []
    for stepmap in maps:
        field, scale = stepmap.field, stepmap.problem.exp.discriminator.length_scale
        moving = field.nodes(stepmap.positions(stepmap.rest))
        order = ORDER if stepmap.equilibrium.matched else ORDER + 1
        e = exponents_of(moving.shape[1], order)
        away = np.abs(field.Y[:, None] - moving).max(-1).min(1) > 1e-12 * scale
        points = np.concatenate([moving, field.Y[away]])
        if len(moving) * (e.sum(1) < order).sum() + away.sum() * (1 + moving.shape[1]) > MOST_ROWS:
            return None
        still = np.arange(len(points)) >= len(moving)
        table = taylor(field.features, points, order, scale)
        span = np.where(still[:, None], e.sum(1) <= 1, e.sum(1) < order)
        tables.append(table)
        spans.append(span)
        places.append((points, e, scale))
    basis = Basis(maps, tables, spans, places)
    if basis.size >= basis.whole:
        return None
    for stepmap, reduced in zip(maps, basis.maps, strict=True):
        w, v = (np.linalg.norm(m.weights_at_rest) for m in (stepmap, reduced))
        if w**2 - v**2 > OUTSIDE * w**2:
            return None
    return basis


__all__ = ["Basis", "LocalFeatures", "local_basis"]
