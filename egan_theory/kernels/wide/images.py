"""The kernel of a wide convolutional discriminator: the recursion over pairs of positions, and its derivatives.

With C_l(p, p') the covariance of a layer's preactivations at position p of x and p' of y, T_l the map of pairs of
positions (see ``pairs``), pooling included, and (u, v) Gaussian with C_l(p, p) at x, C_l(p', p') at y and C_l(p, p'),

    C_1 = sw^2 T_1 [x_p . y_p' / channels] + sb^2,    C_(l+1) = sw^2 T_(l+1) E act(u) act(v) + sb^2
    Theta_1 = C_1,    Theta_(l+1) = C_(l+1) + sw^2 T_(l+1) [Theta_l E act'(u) act'(v)]

(Novak et al. 2019, arXiv:1810.05148; Arora et al. 2019, arXiv:1904.11955). The readout's pair is the only one left.

Derivatives along coordinates of x and y are carried forward (see ``several``), but for d_x d_y K of all pairs of
coordinates, which would be held at every pair of positions: there, with the derivatives g of K by what a layer puts
out, found backwards once,

    d_s d_t K = sum over layers and pairs of  g_V V''[u_s, u_t] + g_W (Theta W)''[u_s, u_t]  +  g_0 . d_s d_t (x . y)

with V = E act(u) act(v), W = E act'(u) act'(v), and u_s, u_t the first derivatives of (C(p, p), C(p', p'), C(p, p'),
Theta): products of matrices (pairs of positions, d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, ClassVar

import numpy as np

from ...base.errors import InputError
from ..base import _inexact
from . import pixels
from .dual import Dual, dual_activation
from .jets import Jet
from .network import WideKernel
from .pairs import Step, steps
from .several import Several, composed

Array = np.ndarray
Changed = Callable[[Array], Array]

#: numbers of one array of a block of points
BLOCK = 2_000_000
#: directions of Several: two in x and one in y
X1, Y1, X2 = 1, 2, 4


@dataclass(frozen=True)
class ImageKernel(WideKernel):
    """The kernel of ``architecture.layers`` on images, points being their pixels."""

    name: ClassVar[str] = "images"

    # -- values -------------------------------------------------------------------------------------------------------

    def value(self, X: Any, Y: Any) -> Array:
        return self._forward(*self._points(X, Y), 0)

    def diagonal(self, X: Any) -> Array:
        X = _inexact(X)
        flat = self._images(X)
        out = [self._alone(flat[rows]) for rows, _ in self._blocks(len(flat), 1, 1)]
        return np.concatenate(out).reshape(X.shape[:-1]) if out else np.zeros(X.shape[:-1])

    def _alone(self, x: Array) -> Array:
        """K(x, x), where a position is its own partner exactly."""
        dual, (first, *rest) = dual_activation(self.architecture), self._steps
        sw, sb = self._variances
        c = sw * first(pixels.products(x, x, first)) + sb
        theta = c
        for step in rest:
            own, slope = _own(dual, step, c, slopes=True)
            c, theta = sw * step(own) + sb, sw * step(theta * slope)
            theta = c + theta
        return (c if self.readout_only else theta)[0]

    # -- derivatives --------------------------------------------------------------------------------------------------

    def gradient(self, X: Any, Y: Any) -> Array:
        return self._forward(*self._points(X, Y), X1)

    def hessian(self, X: Any, Y: Any) -> Array:
        return self._forward(*self._points(X, Y), X1 | X2)

    def third(self, X: Any, Y: Any) -> Array:
        """Axes a and c of the Hessian in x, then b of y."""
        return self._forward(*self._points(X, Y), X1 | X2 | Y1)

    def mixed(self, X: Any, Y: Any) -> Array:
        X, Y = self._points(X, Y)
        return self._all_mixed(X, Y, lambda t: t)

    def mixed_diagonal(self, X: Any) -> Array:
        X = _inexact(X)
        flat = X.reshape(-1, X.shape[-1])
        out = np.stack([self.mixed(x[None], x[None])[0, 0] for x in flat])
        return out.reshape(*X.shape, X.shape[-1])

    def _mixed_disturbed(self, X: Array, changed: Changed) -> Array:
        return self._all_mixed(X, X, changed)

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _steps(self) -> tuple[Step, ...]:
        return steps(self.architecture)

    @property
    def _variances(self) -> tuple[float, float]:
        return self.architecture.weight_variance, self.architecture.bias_variance

    def _images(self, X: Array) -> Array:
        """(n, channels, positions) of points (..., d)."""
        channels, height, width = self.architecture.image or (1, 1, 1)
        if X.shape[-1] != channels * height * width:
            rule = f"be images of {channels} x {height} x {width} = {channels * height * width} pixels"
            raise InputError("points", rule, f"{X.shape[-1]} coordinates")
        return X.reshape(-1, channels, height * width) / self.length_scale

    def _blocks(self, n: int, m: int, each: int) -> Iterator[tuple[slice, slice]]:
        """Slices of n and m points, ``each`` numbers of a pair of points at every pair of positions."""
        pairs = max(step.matrix.shape[1] for step in self._steps)
        room = max(1, BLOCK // (pairs * each))
        columns = min(m, room)
        rows = max(1, room // max(columns, 1))
        for i in range(0, n, rows):
            for j in range(0, m, max(columns, 1)):
                yield slice(i, min(i + rows, n)), slice(j, min(j + columns, m))

    def _forward(self, X: Array, Y: Array, directions: int) -> Array:
        """The derivative of K along ``directions``, of which every one has an axis: (..., n, m, d, ...)."""
        x, y, d = self._images(X), self._images(Y), X.shape[-1]
        axes = (d,) * directions.bit_count()
        out = np.empty((len(x), len(y), *axes), np.result_type(X, Y))
        for rows, columns in self._blocks(len(x), len(y), d ** len(axes)):
            a, b, c = self._start(x[rows], y[columns], directions)
            theta: Several | None = None
            for layer in range(len(self._steps)):
                a, b, c, theta = self._layer(layer, a, b, c, theta)
            kernel = c if self.readout_only or theta is None else theta
            found = kernel.terms.get(directions)
            shape = (*out[rows, columns].shape[:2], *axes)
            out[rows, columns] = (
                0 if found is None else np.broadcast_to(found[0].reshape(found.shape[1:3] + axes), shape)
            )
        out /= self.length_scale ** len(axes)
        return out.reshape(*X.shape[:-1], len(y), *axes)

    def _start(
        self, x: Array, y: Array, directions: int, kept: frozenset[int] | None = None
    ) -> tuple[Several, Several, Several]:
        """x_p . x_q / channels, y_p . y_q / channels and x_p . y_q / channels of the first layer's pairs of positions:
        (S, n, 1), (S, 1, m) and (S, n, m), with an axis per direction, X1, X2, Y1 in this order."""
        first, along = self._steps[0], [s for s in (X1, X2, Y1) if s & directions]
        size = x.shape[1] * x.shape[2]
        kept = frozenset(s for s in range(8) if s & directions == s) if kept is None else kept

        def shaped(values: Array, of: int, leading: tuple[int, ...]) -> Array:
            """The axes of ``of`` put among those of all directions."""
            tail = tuple(size if s & of else 1 for s in along)
            return values.reshape(len(first.pairs), *leading, *tail)

        n, m = len(x), len(y)
        squares = []
        for z, own, leading in ((x, [s for s in along if s != Y1], (n, 1)), (y, [s for s in along if s == Y1], (1, m))):
            terms = {0: shaped(pixels.products(z, z, first), 0, leading)}
            for s in own:
                terms[s] = shaped(pixels.by_first(z, first) + pixels.by_second(z, first), s, leading)
            if len(own) == 2:
                both = pixels.by_both(z.shape[1], z.shape[2], first)
                both = both + both.swapaxes(-1, -2)
                terms[X1 | X2] = shaped(np.broadcast_to(both[:, None], (len(both), len(z), size, size)), 5, leading)
            squares.append(Several(terms, kept))
        cross = {0: shaped(pixels.cross(x, y, first), 0, (n, m))}
        for s in along:
            if s == Y1:
                cross[s] = shaped(pixels.by_second(x, first), s, (n, 1))
            else:
                cross[s] = shaped(pixels.by_first(y, first), s, (1, m))
                if s | Y1 in kept:
                    cross[s | Y1] = shaped(pixels.by_both(x.shape[1], x.shape[2], first), s | Y1, (1, 1))
        return (*squares, Several(cross, kept))  # type: ignore[return-value]

    def _layer(
        self, layer: int, a: Several, b: Several, c: Several, theta: Several | None, duals: Any = None
    ) -> tuple[Several, Several, Several, Several]:
        """The preactivations' (a, b, c, Theta) of a layer with weights, from those of the one before (of the first,
        the products of the pixels). ``duals``: known jets of (c's activation, slope)."""
        step, (sw, sb) = self._steps[layer], self._variances
        if layer > 0:
            dual, order = dual_activation(self.architecture), _order(c.kept)
            left, right = _gathered(step, a, b)
            if layer == 1 and len(c.kept) > 1:
                self._check_apart(*(v.terms[0].reshape(v.terms[0].shape[:3]) for v in (left, right, c)))
            value, slope = _jets(dual, left, right, c, order) if duals is None else duals
            assert theta is not None
            theta = composed(slope, left, right, c) * theta
            c = composed(value, left, right, c)
            a, b = (_side(dual, step, v, (count, count)) for v, count in zip((a, b), order, strict=True))
        a, b, c = (v.mapped(lambda t: sw * step(t)) + sb for v in (a, b, c))
        return a, b, c, c if theta is None else c + theta.mapped(lambda t: sw * step(t))

    # -- d_x d_y K ----------------------------------------------------------------------------------------------------

    def _all_mixed(self, X: Array, Y: Array, changed: Changed) -> Array:
        x, y, d = self._images(X), self._images(Y), X.shape[-1]
        out = np.empty((len(x), len(y), d, d), np.result_type(X, Y))
        for rows, columns in self._blocks(len(x), len(y), 4 * d):
            out[rows, columns] = self._mixed_block(x[rows], y[columns], changed)
        out /= self.length_scale**2
        return out.reshape(*X.shape[:-1], len(y), d, d)

    def _mixed_block(self, x: Array, y: Array, changed: Changed) -> Array:
        (n, channels, positions), m, sw = x.shape, len(y), self._variances[0]
        dual, first, last = dual_activation(self.architecture), self._steps[0], len(self._steps)
        # values, layer by layer
        state: tuple[Any, ...] = (*self._start(x, y, 0), None)
        jets, thetas = [], []
        for layer in range(last):
            if layer:
                a, b, c = (v.mapped(changed) for v in state[:3])
                left, right = _gathered(self._steps[layer], a, b)
                if layer == 1:
                    self._check_apart(left.terms[0], right.terms[0], c.terms[0])
                jets.append(_jets(dual, left, right, c, (1, 1)))
                thetas.append(state[3].terms[0])
                state = self._layer(layer, a, b, c, state[3], jets[-1])
            else:
                state = self._layer(layer, *state)
        # what K changes by with every layer's c and Theta
        by_c = np.ones((1, n, m)) if self.readout_only else np.zeros((1, n, m))
        by_theta = np.zeros((1, n, m)) if self.readout_only else np.ones((1, n, m))
        pulls = []
        for layer in range(last - 1, 0, -1):
            step, (value, slope), theta = self._steps[layer], jets[layer - 1], thetas[layer - 1]
            to_value, to_slope = (sw * step.transposed(g) for g in (by_c + by_theta, by_theta))
            pulls.append((to_value, to_slope))
            by_theta = to_slope * slope.constant
            by_c = to_value * value.derivative(0, 0, 1)
            if not self.readout_only:
                by_c = by_c + to_slope * theta * slope.derivative(0, 0, 1)
        to_first = sw * first.transposed(by_c + by_theta)
        # second derivatives of every layer between first ones
        first_layer = np.zeros((n, m, channels, positions, channels, positions), to_first.dtype)
        p, q = first.pairs.T
        for ch in range(channels):  # every pair of positions stands once
            first_layer[:, :, ch, p, ch, q] = np.moveaxis(to_first, 0, -1) / channels
        out = first_layer.reshape(n, m, channels * positions, channels * positions)
        state = (*self._start(x, y, X1 | Y1, frozenset({0, X1, Y1})), None)
        for layer in range(last):
            if layer:
                a, b, c, theta = [v.mapped(changed) for v in state if v is not None]
                left, right = _gathered(self._steps[layer], a, b)
                known = pulls[-layer], jets[layer - 1], thetas[layer - 1]
                out += self._between(*known, (left, right, c, theta), (n, m, channels * positions))
                state = self._layer(layer, a, b, c, theta, jets[layer - 1])
            else:
                state = self._layer(layer, *state)
        return out

    def _between(self, pulls: Any, jets: Any, theta: Array, tangents: Any, shape: tuple[int, int, int]) -> Array:
        """sum over pairs of g_V V''[u_s, u_t] + g_W (Theta W)''[u_s, u_t], (n, m, d, d)."""
        (n, m, d), (left, right, c, theta_by), (value, slope) = shape, tangents, jets
        a_s, c_s, theta_s = (v.terms[X1][..., 0] for v in (left, c, theta_by))
        b_t, c_t, theta_t = (v.terms[Y1][..., 0, :] for v in (right, c, theta_by))

        def second(i: int, j: int, k: int) -> Array:
            found = pulls[0] * value.derivative(i, j, k)
            if not self.readout_only:
                found = found + pulls[1] * theta * slope.derivative(i, j, k)
            return found[..., None]

        by_a = second(1, 1, 0) * b_t + second(1, 0, 1) * c_t
        by_c = second(0, 1, 1) * b_t + second(0, 0, 2) * c_t
        pairs = [(a_s, by_a), (c_s, by_c)]
        if not self.readout_only:
            first = [(pulls[1] * slope.derivative(*i))[..., None] for i in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
            pairs = [(a_s, by_a + first[0] * theta_t), (c_s, by_c + first[2] * theta_t)]
            pairs.append((theta_s, first[1] * b_t + first[2] * c_t))
        out = np.zeros((n, m, d, d), by_a.dtype)
        for s, t in pairs:
            s, t = (np.broadcast_to(v, (len(v), n, m, d)) for v in (s, t))
            out += np.moveaxis(s, 0, -1) @ np.moveaxis(t, 0, -2)
        return out


# -- pieces -----------------------------------------------------------------------------------------------------------


def _order(kept: frozenset[int]) -> tuple[int, int]:
    """How many derivatives in x and in y."""
    directions = reduce(or_, kept)
    return (directions & (X1 | X2)).bit_count(), (directions & Y1).bit_count()


def _jets(dual: Dual, a: Several, b: Several, c: Several, order: tuple[int, int]) -> tuple[Jet, Jet]:
    """The dual's Taylor coefficients at the values of (a, b, c), without their axes of directions."""
    a0, b0, c0 = (v.terms[0].reshape(v.terms[0].shape[:3]) for v in (a, b, c))
    m, n = order
    with np.errstate(divide="ignore", invalid="ignore"):
        return dual(
            Jet({(0, 0, 0): a0} | ({(1, 0, 0): 1.0} if m else {}), order),
            Jet({(0, 0, 0): b0} | ({(0, 1, 0): 1.0} if n else {}), order),
            Jet({(0, 0, 0): c0} | ({(0, 0, 1): 1.0} if m + n else {}), order),
        )


def _gathered(step: Step, a: Several, b: Several) -> tuple[Several, Several]:
    """Of every pair of positions the variances at its first and at its second."""
    return a.mapped(lambda t: t[step.left]), b.mapped(lambda t: t[step.right])


def _own(dual: Dual, step: Step, c: Array, slopes: bool = False) -> tuple[Array, Array]:
    """(E act(u) act(v), E act'(u) act'(v)) of pairs of positions of one image, each with itself exactly."""
    same = step.pairs[:, 0] == step.pairs[:, 1]
    if same.all():
        return dual.variance(c), dual.slope(c) if slopes else c
    value, slope = dual(c[step.left], c[step.right], c)
    value[same] = dual.variance(c[same])
    if slopes:
        slope[same] = dual.slope(c[same])
    return value, slope


def _side(dual: Dual, step: Step, v: Several, order: tuple[int, int]) -> Several:
    """E act(u) act(v) of pairs of positions of one image, with its derivatives."""
    if not any(order) or len(v.terms) == 1:
        return Several({0: _own(dual, step, v.terms[0])[0]}, v.kept)
    left, right = _gathered(step, v, v)
    return composed(_jets(dual, left, right, v, order)[0], left, right, v)


__all__ = ["ImageKernel"]
