"""Whether particles that share a place merge or part on a small orbit: Eq. (110, transverse-exponent).

Displacements u with zero sum on one point are felt by nobody at first order: they are neutral at rest. On the orbit
Z exp(i theta t) + c.c. they grow by exp(E t) with E of second order in Z, per step (flow: per unit of time):

    E u = C(u, Z, Z*) + B(u, h) + B(Z, k*) + B(Z*, k),
    h = (1 - A)^-1 B(Z, Z*),    k = (lambda - A)^-1 B(u, Z)

(flow: -A and s - A; an orbit of period 2 along a real Z: half of C(u, Z, Z) + B(u, h) + 2 B(Z, k)), projected on the
neutral displacements. The largest growth rate decides: > 0 they part, < 0 they merge. Every point has its own d x d
block of E, so that one displacement of all points at once tells all of them.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from ..features import FeatureMap
from ..problem.condense import CondensedField, Groups
from ..problem.problem import Problem
from .differentials import Differentials
from .jet import Jet
from .point import Point
from .stepmap import StepMap

Array = np.ndarray
#: multipliers of the displacements at rest this close to 1 (flow: rates this close to 0) are neutral
NEUTRAL = 1e-9


class SplitMap(StepMap):
    """The step map with every position that has two or more particles in two halves, which may come apart.

    twins (G, 2): the two halves of those positions."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        counts = self.groups.counts
        halves = np.where(counts > 1, 2, 1)
        self.source = np.repeat(np.arange(len(counts)), halves)
        first = np.cumsum(halves) - halves
        self.twins = np.stack([first, first + 1], axis=1)[counts > 1]
        share = halves[self.source]
        self.groups = Groups(
            first[self.groups.of], self.groups.masses[self.source] / share, counts[self.source] / share
        )
        self.field = CondensedField(problem, self.groups, self.field.features)
        self.whole = list(self.shapes)
        self._x = self._x[self.source]
        for name in ("shapes", "ends", "rest"):
            self.__dict__.pop(name, None)
        self.shares = self.groups.shares

    def with_features(self, features: FeatureMap, weights: Array) -> Self:
        out = super().with_features(features, weights)
        out.whole = [(features.size,) if len(shape) == 1 else shape for shape in self.whole]
        return out

    def embedded(self, v: Array) -> Array:
        """(..., n) of the halves together from states of the step map."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.whole])[:-1]
        pieces = np.split(v, ends, axis=-1)
        out = []
        for piece, shape in zip(pieces, self.whole, strict=True):
            if len(shape) == 2:
                block = piece.reshape(*piece.shape[:-1], *shape)[..., self.source, :]
                piece = block.reshape(*piece.shape[:-1], -1)
            out.append(piece)
        return np.concatenate(out, axis=-1)

    def apart(self) -> Array:
        """(blocks, G, d, n) unit displacements of the halves against each other, of positions and of their memory."""
        starts = np.concatenate([[0], self.ends[:-1]])
        d, out = self._x.shape[1], []
        for start, shape in zip(starts, self.shapes, strict=True):
            if len(shape) != 2:
                continue
            block = np.zeros((len(self.twins), d, self.size))
            for g, (a, b) in enumerate(self.twins):
                for c in range(d):
                    block[g, c, start + a * d + c], block[g, c, start + b * d + c] = 1.0, -1.0
            out.append(block / np.sqrt(2))
        return np.array(out)


def transverse_rate(
    problem: Problem, point: Point, shape: Array, eigenvalue: complex, stepmap: StepMap | None = None
) -> float | None:
    """Largest growth rate of displacements within a point, per step (flow: per time) on the orbit of first harmonic
    ``shape`` (n,) (real: of period 2); point: the step map at rest; stepmap: that map, where its features are not the
    problem's own. None where no two particles share a place, or where such displacements are not neutral at rest."""
    split = SplitMap(problem)
    if stepmap is not None:
        split = split.with_features(stepmap.field.features, stepmap.weights_at_rest)
    if not len(split.twins):
        return None
    flow, z = split.continuous, split.rest
    apply = split.velocity if flow else split.step

    def jets(v: Array, order: int) -> Array:
        jet = apply(Jet.of([z[None], v, *(None,) * (order - 1)], v.shape))
        return np.moveaxis(jet.coefficients[1:], 0, 1)

    T = split.apart()
    blocks, G, d, n = T.shape
    flat = T.reshape(blocks, G * d, n)
    # at rest, of one displacement of all positions: the same for every one of them
    together = T.sum(1)  # (blocks, d, n)
    image = jets(together.reshape(blocks * d, n), 1)[:, 0]
    rest = np.einsum("rn,bgn->rbg", image, flat).reshape(blocks, d, blocks, G, d)  # from (block, c) to (block, g, c)
    own = np.transpose(rest, (3, 2, 4, 0, 1)).reshape(G, blocks * d, blocks * d)
    values, right = np.linalg.eig(own[0])
    if np.abs(own - own[0]).max() > NEUTRAL or len(split.twins) == 0:
        return None
    one = 0.0 if flow else 1.0
    neutral = np.abs(values - one) <= NEUTRAL
    if neutral.sum() != d:
        return None
    left = np.linalg.inv(right)[neutral].real  # (d, blocks * d)
    right = right[:, neutral].real.T  # (d, blocks * d)

    real = not np.iscomplexobj(shape)
    second = point.differentials.bilinear(shape[None].astype(complex), shape.conj()[None].astype(complex))[0].real
    h = split.embedded(point.resolvent(one, second))
    Z = split.embedded(shape)
    differentials = Differentials(jets)
    zeta = eigenvalue + one if flow else eigenvalue * one
    U = np.einsum("ir,rn->in", right, together.reshape(blocks * d, n))  # (d, n): all positions at once
    parts = [Z.real] if real else [Z.real, Z.imag]
    total = sum(_third(jets, U, part) for part in parts)
    total = total + differentials.bilinear(U + 0j, np.tile(h, (d, 1)) + 0j).real
    pushed = differentials.bilinear(U + 0j, np.tile(Z, (d, 1)) + 0j)
    k = np.zeros((d, n), dtype=complex)
    coefficients = np.einsum("in,bgn->ibg", pushed, flat).reshape(d, blocks, G, d)
    for g in range(G):
        vector = coefficients[:, :, g].reshape(d, blocks * d)
        solved = np.linalg.solve(zeta * np.eye(blocks * d) - own[g], vector.T).T.reshape(d, blocks, d)
        k += np.einsum("ibc,bcn->in", solved, T[:, g])
    through = differentials.bilinear(np.tile(Z.conj(), (d, 1)) + 0j, k)
    total = total + 2 * through.real
    total = total / 2 if real else total
    E = np.einsum("in,bgn->ibg", total, flat).reshape(d, blocks, G, d)
    matrices = np.einsum("jx,gxi->gji", left, np.transpose(E, (2, 1, 3, 0)).reshape(G, blocks * d, d))
    return float(np.linalg.eigvals(matrices).real.max())


def _third(jets: object, u: Array, e: Array) -> Array:
    """C(u_i, e, e) of real vectors u (k, n), e (n,)."""
    size = np.linalg.norm(e)
    if size == 0:
        return np.zeros(u.shape)
    length = np.linalg.norm(u, axis=1, keepdims=True)
    f, v = e / size, u / length
    plus, minus, alone = (jets(w, 3)[:, 2] for w in (f + v, f - v, v))  # type: ignore[operator]
    return (plus - minus - 2 * alone) * length * size**2


__all__ = ["SplitMap", "transverse_rate"]
