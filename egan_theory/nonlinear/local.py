"""The weights that matter near an equilibrium: as few as the features have derivatives at the points at rest.

Positions x = y + u near rest see psi by its Taylor polynomial in u alone. To fifth order in the displacement (what
normal forms and their next term take) D and its gradient need derivatives of psi up to order K = 5 (6 where D != D* at
rest), and weights are pushed along those up to K - 1: of the last order in the displacement only what it does to the
critical modes counts, which see first derivatives alone, and every term of F_w with grad psi has a factor that vanishes
at rest where w does. Weights orthogonal to these decay on their own (weight decay), pushed by nothing and felt by
nobody, to that order. With Q an orthonormal basis of the rest, w = Q v and

    D(y + u) = sum_a v . (Q^T tau_a(y)) (u/s)^a,   tau_a(y) = s^|a| d^a psi(y)/a!

the expansion of the map is the same in v, whose size does not grow with the number of features. Only products of the
tau count, so that those which products cannot tell from others are left out. One more weight that nothing pushes stands
for all that were left out, with the eigenvalue that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import numpy as np
import scipy.linalg

from ..base.series import first_of
from ..features import PackedFeatures, PolynomialFeatures
from .critical import EPS
from .jet import Jet
from .point import Point
from .stepmap import BLOCK, StepMap, smooth

Array = np.ndarray
#: orders in the displacement
ORDER = 5
#: fewer features are taken as they are; no more derivatives than this are looked at at every point
FEW, MOST_DERIVATIVES = 150, 500
#: what is left of derivatives below this part of all of them (squared lengths) is rounding; so are weights at rest
#: outside of the span (squared lengths), and distances between points as a part of the length scale
ROUNDING, OUTSIDE, SAME = 1e-15, 1e-7, 1e-12


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
    """The weights v of several step maps that differ in a parameter: w = Q v, Q (P, r) orthonormal.

    ``maps``: the same step maps on v; ``whole``: P; ``core``: the first so many of v hold all that psi and grad psi at
    the points do, so that the others act on nothing, and nothing on them, at first order."""

    def __init__(self, maps: Sequence[StepMap]) -> None:
        here = [Around(m) for m in maps]
        self._first = first = here[0]
        alike = [one.like(first) for one in here]
        self.whole = first.features.size
        apart = [one for one, same in zip(here, alike, strict=True) if one is first or not same]
        self.Q = spanned(np.concatenate([one.table(slice(None), 1).reshape(-1, self.whole) for one in apart]))
        self.core, self._largest = self.Q.shape[1], 0.0
        for one in apart:
            for part in one.parts():
                self._extend(one.table(part)[one.pushed[part]])
        self.left_out = self.Q.shape[1] < self.whole
        self.size = self.Q.shape[1] + self.left_out
        seen = [first.seen(self.seen)]
        seen += [seen[0] if same else one.seen(self.seen) for one, same in zip(here[1:], alike[1:], strict=True)]
        self.maps = [m.with_features(f, self.seen(m.weights_at_rest)) for m, f in zip(maps, seen, strict=True)]

    def _extend(self, rows: Array) -> None:
        """Q spans these rows, too, to the rounding of their products."""
        self._largest = max(self._largest, float(np.square(rows).sum()))
        for _ in range(2):
            rows = rows - (rows @ self.Q) @ self.Q.T
        sigma, V = np.linalg.eigh(rows @ rows.T)
        kept = sigma > ROUNDING * self._largest
        new = rows.T @ (V[:, kept] / np.sqrt(sigma[kept]))
        new = np.linalg.qr(new - self.Q @ (self.Q.T @ new))[0]
        self.Q = np.concatenate([self.Q, new], axis=1)

    def seen(self, w: Array) -> Array:
        """v of weights (..., P), or features on v of features."""
        v = w @ self.Q
        return np.concatenate([v, np.zeros((*v.shape[:-1], 1))], axis=-1) if self.left_out else v

    @property
    def points(self) -> list[Point]:
        """About the equilibria of the reduced maps."""
        return [Point.of(stepmap, self.core) for stepmap in self.maps]

    def point(self, stepmap: StepMap) -> Point:
        """About the equilibrium at another value of the parameter."""
        if stepmap.equilibrium.matched and Around(stepmap).like(self._first):
            reduced = stepmap.with_features(self.maps[0].field.features, self.seen(stepmap.weights_at_rest))
            return Point.of(reduced, self.core)
        own = local_basis([stepmap])
        return Point.of(stepmap) if own is None else own.points[0]

    def lifted(self, z: Array) -> Array:
        """States of the maps themselves from those of the reduced maps, (..., n)."""
        stepmap = self.maps[0]
        out = []
        for block, shape in zip(np.split(z, stepmap.ends[:-1], axis=-1), stepmap.shapes, strict=True):
            out.append(block[..., : self.Q.shape[1]] @ self.Q.T if len(shape) == 1 else block)
        return np.concatenate(out, axis=-1)


def spanned(rows: Array) -> Array:
    """(P, r) orthonormal: the span of rows (K, P) to the rounding of the longest."""
    Q, R, _ = scipy.linalg.qr(rows.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(R))
    return Q[:, size > 4 * EPS * size[0]]


class Around:
    """The points that a step map at rest evaluates features at: those that move first, then the other data.

    pushed (J, A): the Taylor coefficients along which weights are pushed."""

    def __init__(self, stepmap: StepMap) -> None:
        field = stepmap.field
        self.features, self.scale = field.features, stepmap.problem.exp.discriminator.length_scale
        moving = field.nodes(stepmap.positions(stepmap.rest))
        still = field.Y[[np.abs(y - moving).max(-1).min() > SAME * self.scale for y in field.Y]]
        self.points = np.concatenate([moving, still])
        self.order = ORDER if stepmap.equilibrium.matched else ORDER + 1
        self.exponents = exponents_of(moving.shape[1], self.order)
        degree = self.exponents.sum(1)
        self.pushed = np.where(np.arange(len(self.points))[:, None] < len(moving), degree < self.order, degree <= 1)

    def parts(self) -> list[slice]:
        """Of the points, so many at once as memory has room for."""
        count = max(1, BLOCK // (self.features.size * len(self.exponents)))
        return [slice(start, start + count) for start in range(0, len(self.points), count)]

    def table(self, part: slice, order: int | None = None) -> Array:
        """Taylor coefficients (part of J, A, P), up to the order if given."""
        return taylor(self.features, self.points[part], order or self.order, self.scale)

    def like(self, other: Around) -> bool:
        """Whether the features at these points are the same (the parameter acts on none of them)."""
        if self is other or not np.array_equal(self.points, other.points) or self.scale != other.scale:
            return self is other
        return bool(np.array_equal(self.table(slice(0, 1)), other.table(slice(0, 1))))

    def seen(self, seen: Callable[[Array], Array]) -> LocalFeatures:
        """On the reduced weights."""
        table = np.concatenate([seen(self.table(part)) for part in self.parts()])
        return LocalFeatures(self.points, self.exponents, self.scale, table)


def local_basis(maps: Sequence[StepMap]) -> Basis | None:
    """The basis that serves the expansions of all of these step maps about their rest; None where it would be no
    smaller than the features (few of them, or many dimensions), and for an exact kernel's, which is such a basis
    itself."""
    sizes = {m.field.features.size for m in maps}
    if len(sizes) > 1 or min(sizes) <= FEW:
        return None
    if any(isinstance(m.field.features, PackedFeatures) or m.field.grows or not smooth(m.field.features) for m in maps):
        return None
    if comb(maps[0].problem.d + ORDER + 1, ORDER + 1) > MOST_DERIVATIVES:
        return None
    basis = Basis(maps)
    for stepmap, reduced in zip(maps, basis.maps, strict=True):
        w, v = (np.linalg.norm(m.weights_at_rest) for m in (stepmap, reduced))
        if w**2 - v**2 > OUTSIDE * w**2:
            return None
    return basis if basis.size < basis.whole or 2 * basis.core < basis.whole else None


__all__ = ["Basis", "LocalFeatures", "local_basis"]
