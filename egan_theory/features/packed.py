"""A discriminator that judges m samples at once (PacGAN: Lin, Khetan, Fanti, Oh 2018), as features of m points.

product kernel K(x_1, y_1) ... K(x_m, y_m):   D(x_1, ..., x_m) = W . psi(x_1) (x) ... (x) psi(x_m)
additive kernel sum_ab K(x_a, y_b):           D(x_1, ..., x_m) = w . (psi(x_1) + ... + psi(x_m))

W (P, ..., P) is kept flattened, and symmetric: samples have no order, and training keeps it so. "Tuples" are all
n^m ordered choices of m of n points, the last index fastest; a product of weights u (x) ... (x) u is never formed where
the mean features suffice.
"""

from __future__ import annotations

from functools import cached_property
from math import comb
from typing import Any

import numpy as np

from ..base.errors import InputError
from .base import Array, FeatureMap, Located

#: most numbers of W, and most tuples of points
MAX_WEIGHTS, MAX_TUPLES = 2_000_000, 4_000_000


class PackedFeatures:
    """``degree`` samples through the features of one; ``size``: P^degree (product) or P (additive).

    Raises InputError (packing.degree) where W would hold more than MAX_WEIGHTS numbers.
    """

    def __init__(self, base: FeatureMap, degree: int, additive: bool = False) -> None:
        self.base, self.degree, self.additive = base, degree, additive
        if not additive and base.size**degree > MAX_WEIGHTS:
            raise InputError(
                "packing.degree",
                f"leave at most {MAX_WEIGHTS} weights (fewer features, or packing.kernel 'additive')",
                f"{base.size}^{degree}",
            )
        self.size = base.size if additive else base.size**degree

    @property
    def distinct(self) -> int:
        """Independent weights: those of a symmetric W."""
        return self.size if self.additive else comb(self.base.size + self.degree - 1, self.degree)

    def at(self, X: Array) -> LocatedPacked:
        return LocatedPacked(self, self.base.at(X), X.shape[-2])

    def gradient_rank(self, X: Array) -> int:
        # the m - 1 other samples, averaged, only rescale the gradients by an invertible map
        return self.base.gradient_rank(X)

    def extended(self, X: Array, gradients: bool = False) -> PackedFeatures:
        """With the base's dictionary extended to X; self if it holds X already. Only over a dictionary."""
        bigger = self.base.extended(X, gradients)  # type: ignore[attr-defined]
        return self if bigger is self.base else PackedFeatures(bigger, self.degree, self.additive)

    def padded(self, w: Array, bigger: FeatureMap) -> Array:
        """Weights of the same discriminator on an extended map."""
        assert isinstance(bigger, PackedFeatures)
        extra, old = bigger.base.size - self.base.size, self.base.size
        axes = 1 if self.additive else self.degree
        cube = w.reshape(*w.shape[:-1], *(old,) * axes)
        cube = np.pad(cube, [(0, 0)] * (w.ndim - 1) + [(0, extra)] * axes)
        return cube.reshape(*w.shape[:-1], -1)


class LocatedPacked:
    """Packed features at all tuples of n points (..., n, d). Gradients are those with respect to the first sample of
    each tuple: for a symmetric D the others' are the same at the permuted tuple."""

    def __init__(self, features: PackedFeatures, one: Located, n: int) -> None:
        self.f, self.one, self.n = features, one, n
        self.m = features.degree

    @cached_property
    def _psi(self) -> Array:
        return self.one.psi()

    @cached_property
    def _grad(self) -> Array:
        """(..., n d, P)."""
        grad = self.one.grad()
        return grad.reshape(*grad.shape[:-3], -1, grad.shape[-1])

    def _tuples(self) -> None:
        if self.n**self.m > MAX_TUPLES:
            rule = (
                f"leave at most {MAX_TUPLES} tuples of points (only the Wasserstein loss without gradient or value "
                "penalties does without them)"
            )
            raise InputError("packing.degree", rule, f"{self.n}^{self.m}")

    def value(self, w: Array) -> Array:
        """(..., n^m)."""
        self._tuples()
        if self.f.additive:
            return _outer_sum(self.one.value(w), self.m)
        out = w
        for _ in range(self.m):
            out = _slot(out, self._psi)
        return out

    def gradient(self, w: Array) -> Array:
        """With respect to the first sample: (..., n^m, d)."""
        self._tuples()
        d = self._grad.shape[-2] // self.n
        if self.f.additive:
            g = self.one.gradient(w)[..., :, None, :]
            shape = (*g.shape[:-2], self.n ** (self.m - 1), d)
            return np.broadcast_to(g, shape).reshape(*g.shape[:-3], -1, d)
        out = w
        for _ in range(self.m - 1):
            out = _slot(out, self._psi)
        out = _slot(out, self._grad)  # (..., n d n^(m-1)), first sample first
        out = out.reshape(*out.shape[:-1], self.n, d, -1)
        return np.swapaxes(out, -1, -2).reshape(*out.shape[:-3], -1, d)

    def adjoint(self, a: Array, b: Array | None) -> Array:
        """sum over tuples t of a_t psi(t) + b_t . (gradients of psi(t) along every sample), for a and b symmetric: b
        (..., n^m, d) belongs to the first sample. (..., P^m)."""
        self._tuples()
        n, m = self.n, self.m
        if self.f.additive:  # every sample contributes alike
            one = m * a.reshape(*a.shape[:-1], n, -1).sum(-1)
            first = None if b is None else m * b.reshape(*b.shape[:-2], n, -1, b.shape[-1]).sum(-2)
            return self.one.adjoint(one, first)
        rows = np.swapaxes(self._psi, -1, -2)
        out = a
        for _ in range(m):
            out = _slot(out, rows)
        if b is None:
            return out
        d = b.shape[-1]
        first = np.swapaxes(b.reshape(*b.shape[:-2], n, -1, d), -1, -2)  # (..., n, d, n^(m-1))
        along = first.reshape(*first.shape[:-3], -1)
        for _ in range(m - 1):
            along = _slot(along, rows)
        along = _slot(along, np.swapaxes(self._grad, -1, -2))
        P = self._psi.shape[-1]
        cube = along.reshape(*along.shape[:-1], *(P,) * m)
        total: Any = sum(np.moveaxis(cube, -m, -m + slot) for slot in range(m))
        return out + total.reshape(along.shape)

    def mean(self, q: Array) -> Array:
        """The adjoint of q (x) ... (x) q, q (..., n) the weights of single samples, which sum to 1: u (x) ... (x) u,
        u = E psi (additive: m u)."""
        u = self.one.adjoint(q, None)
        return self.m * u if self.f.additive else power(u, self.m)

    def felt(self, w: Array, q: Array) -> tuple[Array, Array]:
        """(D_1, m grad D_1) at the points, D_1(x) = E D(x, x_2, ..., x_m) over samples of weights q that sum to 1:
        what one sample feels of E D. (..., n), (..., n, d)."""
        if self.f.additive:
            D = self.one.value(w)
            return D + (self.m - 1) * (q * D).sum(-1, keepdims=True), self.m * self.one.gradient(w)
        one = self.contracted(w, self.one.adjoint(q, None))
        return self.one.value(one), self.m * self.one.gradient(one)

    def contracted(self, w: Array, u: Array) -> Array:
        """W . u^(x)(m-1): (..., P), weights of D_1 on the features of one sample."""
        for _ in range(self.m - 1):
            w = (w.reshape(*w.shape[:-1], -1, u.shape[-1]) @ u[..., None])[..., 0]
        return w

    def pulled(self, weights: Array, w: Array) -> Array:
        """sum over tuples and samples of weights_t grad_(sample) D(t), gathered at the points: (..., n, d)."""
        g = weights[..., None] * self.gradient(w)
        return self.m * g.reshape(*g.shape[:-2], self.n, -1, g.shape[-1]).sum(-2)

    def hessian(self, w: Array) -> Array:
        raise InputError("packing.degree", "be 1 where second derivatives of D are asked for", self.m)

    def psi(self) -> Array:
        """(..., n^m, P^m)."""
        self._tuples()
        rows = self._psi
        if self.f.additive:
            return np.moveaxis(_outer_sum(np.swapaxes(rows, -1, -2), self.m), -2, -1)
        return _kron([rows] * self.m)

    def grad(self) -> Array:
        """Along every sample: (..., n^m, m d, P^m)."""
        self._tuples()
        n, m, d = self.n, self.m, self._grad.shape[-2] // self.n
        ones, slots = np.ones((n, 1)), []
        for slot in range(m):
            for a in range(d):
                own = self._grad.reshape(*self._grad.shape[:-2], n, d, -1)[..., a, :]
                other = ones if self.f.additive else self._psi
                slots.append(_kron([own if s == slot else other for s in range(m)]))
        return np.stack(slots, axis=-2)


def power(u: Array, count: int) -> Array:
    """u (x) ... (x) u, flattened: (..., P^count)."""
    out = u
    for _ in range(count - 1):
        out = (out[..., :, None] * u[..., None, :]).reshape(*u.shape[:-1], -1)
    return out


def _slot(flat: Array, rows: Array) -> Array:
    """Contract the last of several flattened axes with ``rows`` (..., n, P) -> n, which becomes the first of them."""
    P = rows.shape[-1]
    cube = flat.reshape(*flat.shape[:-1], -1, P) @ np.swapaxes(rows, -1, -2)
    return np.swapaxes(cube, -1, -2).reshape(*cube.shape[:-2], -1)


def _kron(rows: list[Array]) -> Array:
    """Rows of all tuples: (..., n^m, product of the P)."""
    out = rows[0]
    for other in rows[1:]:
        lead = np.broadcast_shapes(out.shape[:-2], other.shape[:-2])
        joined = out[..., :, None, :, None] * other[..., None, :, None, :]
        out = joined.reshape(*lead, out.shape[-2] * other.shape[-2], -1)
    return out


def _outer_sum(v: Array, count: int) -> Array:
    """v_i1 + ... + v_im over all tuples: (..., n^m)."""
    out = v
    for _ in range(count - 1):
        out = (out[..., :, None] + v[..., None, :]).reshape(*v.shape[:-1], -1)
    return out


def symmetric_rows(rows: list[Array]) -> Array:
    """<s_alpha, r_1 (x) ... (x) r_m> for r_i the rows (T, P) of the i-th sample, s_alpha an orthonormal basis of the
    symmetric tensors, alpha sorted: (T, comb(P + m - 1, m))."""
    m, P = len(rows), rows[0].shape[-1]
    product = rows[0]
    for other in rows[1:]:
        product = (product[:, :, None] * other[:, None, :]).reshape(len(other), -1)
    return product @ symmetric_basis(P, m)


def symmetric_basis(P: int, m: int) -> Any:
    """Sparse (P^m, comb(P + m - 1, m)): orthonormal columns s_alpha that span the symmetric tensors."""
    from scipy.sparse import csr_matrix

    index = np.sort(np.stack(np.unravel_index(np.arange(P**m), (P,) * m), axis=-1), axis=-1)
    flat = np.ravel_multi_index(tuple(index.T), (P,) * m)
    _, column, count = np.unique(flat, return_inverse=True, return_counts=True)
    return csr_matrix((1 / np.sqrt(count[column]), (np.arange(P**m), column.ravel())))


__all__ = ["LocatedPacked", "PackedFeatures", "power", "symmetric_basis", "symmetric_rows"]
