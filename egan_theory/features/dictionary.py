"""The exact kernel without random features: an orthonormal basis of the span of kernel functions."""

from __future__ import annotations

from copy import copy
from functools import cached_property

import numpy as np
import scipy.linalg as sla

from ..base.errors import InputError
from ..base.ram import check_size
from ..base.series import Series, order_of
from ..kernels import Kernel
from .base import Array, Located, LocatedDense, row_dot
from .near import Near

EPS = float(np.finfo(float).eps)
#: arrays of the size of the functions' Gram matrix that are held while a basis is made of it
PRODUCTS = 4


class DictionaryFeatures:
    """An orthonormal basis of the span of K(., z) and d_b K(., y): the exact kernel without random features.

    The functionals are K(., z_i) at ``points`` and d/dy_b K(., y) at ``gradient_points``; psi = L^-1 k with L L^T their
    Gram matrix (pivoted Cholesky, functionals whose squared residual is below ``tolerance`` of their own norm dropped).
    Within the span D = w . psi is exact. ``extended(X)`` adds points until every K(., x) is in the span up to
    ``growth_tolerance``, the squared norm of what is left over that of K(., x); old weights keep their meaning, new
    ones start at 0. Between points x, z that it was extended to, by the Cauchy-Schwarz inequality,

        |psi(x).psi(z) - K(x, z)| <= growth_tolerance sqrt(K(x, x) K(z, z))
        |d_a psi(x).psi(z) - d_a K(x, z)| <= sqrt(growth_tolerance d_a d_a K(x, x) K(z, z))

    A smaller tolerance would not be more exact: the functions become dependent to rounding.
    """

    #: polynomials in place of the kernel near some points (``near``)
    _near: Near | None = None

    def __init__(
        self,
        kernel: Kernel,
        points: Array,
        gradient_points: Array,
        *,
        tolerance: float = 1e-13,
        growth_tolerance: float = 1e-7,
        max_size: int = 4000,
    ) -> None:
        self.kernel, self.growth_tolerance, self.max_size = kernel, growth_tolerance, max_size
        d = points.shape[1]
        # candidate functionals: (location, component), component -1 is the value
        where = np.concatenate([points, np.repeat(gradient_points, d, axis=0)])
        which = np.concatenate([np.full(len(points), -1), np.tile(np.arange(d), len(gradient_points))])
        self._strictly_positive = kernel.kind == "stationary"
        rule = "be > 0, or the target have fewer points (the exact kernel needs all products of their functions)"
        check_size("discriminator.features", PRODUCTS * 8.0 * len(which) ** 2, rule, f"{len(which)} functions")
        gram = self._functionals(where, which, where, which)
        scale = np.sqrt(np.diag(gram))
        scaled = gram / scale[:, None] / scale
        factor, pivots, rank, _ = sla.lapack.dpstrf(scaled, tol=tolerance, lower=1)
        keep = pivots[:rank] - 1
        self.where, self.which = where[keep], which[keep]
        self.factor = np.tril(factor[:rank, :rank]) * scale[keep][:, None]
        self.size = rank
        self.left_out = _left_out(factor, rank)
        #: the same of the rows themselves, whose errors small pivots blow up, as eigenvalues feel them
        self.rows_known = min(tolerance, _rows_known(factor, rank) + self.left_out)
        self.layout = self._layout()

    @property
    def attrs(self) -> dict[str, float]:
        """What runs say about the kernel they were made with."""
        return {"kernel_error": self.growth_tolerance, "kernel_gradient_error": self.growth_tolerance**0.5}

    def _layout(self) -> tuple[Array, Array, Array, Array, Array]:
        """Which functionals are values, where; the components of the others and the distinct points they sit on."""
        values = self.which < 0
        return values, self.where[values], self.which[~values], *_distinct(self.where[~values])

    def _functionals(self, xw: Array, xc: Array, yw: Array, yc: Array) -> Array:
        """Gram matrix between two lists of functionals."""
        K = self.kernel
        out = np.empty((len(xw), len(yw)))
        xv, yv = xc < 0, yc < 0
        xg, yg = np.flatnonzero(~xv), np.flatnonzero(~yv)
        if xv.any() and yv.any():
            out[np.ix_(xv, yv)] = K.value(xw[xv], yw[yv])
        # all components of a point's gradient at once
        (xp, xi), (yp, yi) = _distinct(xw[xg]), _distinct(yw[yg])
        if len(xg) and yv.any():
            out[np.ix_(~xv, yv)] = K.gradient(xp, yw[yv])[xi, :, xc[xg]]
        if xv.any() and len(yg):
            out[np.ix_(xv, ~yv)] = K.gradient(yp, xw[xv])[yi, :, yc[yg]].T
        if len(xg) and len(yg):
            out[np.ix_(~xv, ~yv)] = K.mixed(xp, yp)[xi[:, None], yi, xc[xg][:, None], yc[yg]]
        return out

    def _raw(self, X: Array, order: int) -> Array:
        """d^order/dx of every functional at x: (n, P), (n, d, P) or (n, d, d, P)."""
        K = self.kernel
        v, Z, comp, Y, at = self.layout
        n, d = X.shape
        out = np.empty_like(X, shape=(n, *(d,) * order, self.size))
        if order == 0:
            out[:, v] = K.value(X, Z)
            if len(Y):
                out[:, ~v] = K.gradient(Y, X)[at, :, comp].T
        elif order == 1:
            out[:, :, v] = np.swapaxes(K.gradient(X, Z), 1, 2)
            if len(Y):
                out[:, :, ~v] = np.moveaxis(K.mixed(X, Y)[:, at, :, comp], 0, -1)
        else:
            out[..., v] = np.moveaxis(K.hessian(X, Z), 1, -1)
            if len(Y):
                out[..., ~v] = np.moveaxis(K.third(X, Y)[:, at, :, :, comp], 0, -1)
        return out

    def _orthonormal(self, raw: Array) -> Array:
        return self.solve(raw, transposed=False)

    def at(self, X: Array) -> Located:
        if self.kernel.kind == "stationary":
            return _LocatedStationary(self, X)
        if self._near is not None and X.dtype == float:
            found = self._near.at(X.reshape(-1, X.shape[-1]))
            if found is not None:
                psi, grad = (v.reshape(*X.shape[:-1], *v.shape[1:]) for v in found)
                return LocatedDense(psi, grad, lambda: self.dense(X).hessian_array())
        return self.dense(X)

    def near(self, centres: Array, length: float) -> DictionaryFeatures:
        """These features, faster near the rows of ``centres``: a kernel that is no function of a distance costs much at
        every point. ``length``: on which it varies."""
        if self.kernel.kind == "stationary":
            return self
        new = copy(self)
        new._near = Near.of(self._raw, self._orthonormal, np.unique(centres, axis=0), length)
        return new

    def dense(self, X: Array) -> LocatedDense:
        """psi and its derivatives as arrays: one triangular solve for every point."""
        batch, (n, d) = X.shape[:-2], X.shape[-2:]
        flat = X.reshape(-1, d)

        def shaped(order: int) -> Array:
            return self._orthonormal(self._raw(flat, order)).reshape(*batch, n, *(d,) * order, self.size)

        return LocatedDense(shaped(0), shaped(1), lambda: shaped(2))

    def solve(self, v: Array, transposed: bool) -> Array:
        """L^-1 v or L^-T v along the last axis; real or complex."""
        if isinstance(v, Series):
            return v.mapped(lambda c: self.solve(c, transposed), v.shape)
        flat = v.reshape(-1, self.size).T
        parts = (flat.real, flat.imag) if np.iscomplexobj(flat) else (flat,)
        trans = 1 if transposed else 0
        out = [sla.solve_triangular(self.factor, p, lower=True, trans=trans, check_finite=False) for p in parts]
        return (out[0] if len(out) == 1 else out[0] + 1j * out[1]).T.reshape(v.shape)

    def gradient_rank(self, X: Array) -> int:
        # distinct points and a strictly positive definite kernel: all gradients are independent
        if self._strictly_positive:
            return X.shape[0] * X.shape[1]
        return int(np.linalg.matrix_rank(self.at(X).grad().reshape(-1, self.size)))

    def extended(self, X: Array, gradients: bool = False) -> DictionaryFeatures:
        """A dictionary whose span also holds K(., x) (and d_b K(., x)) for the rows of X (n, d); self if it does."""
        X = X[np.all(np.isfinite(X), axis=-1)]
        if not len(X):
            return self
        d = X.shape[1]
        norm, psi = self.kernel.diagonal(X), self._orthonormal(self._raw(X, 0))
        where, which = X, np.full(len(X), -1)
        if gradients:
            diagonal = self.kernel.mixed_diagonal(X)
            norm = np.concatenate([norm, np.einsum("naa->na", diagonal).ravel()])
            psi = np.concatenate([psi, self._orthonormal(self._raw(X, 1)).reshape(-1, self.size)])
            where = np.concatenate([where, np.repeat(X, d, axis=0)])
            which = np.concatenate([which, np.tile(np.arange(d), len(X))])
        far = norm - np.einsum("np,np->n", psi, psi) > self.growth_tolerance * norm
        if not far.any():
            return self
        psi, where, which, scale = psi[far], where[far], which[far], np.sqrt(norm[far])
        gram = self._functionals(where, which, where, which) - psi @ psi.T
        # pivoted Cholesky of the residual Gram matrix: the functional furthest from the span comes first
        chol, pivots, rank, _ = sla.lapack.dpstrf(gram / scale[:, None] / scale, tol=self.growth_tolerance, lower=1)
        keep = pivots[:rank] - 1
        if self.size + rank > self.max_size:
            raise InputError(
                "discriminator.features", f"be > 0 (the exact kernel needs more than {self.max_size} functions here)", 0
            )
        new: DictionaryFeatures = object.__new__(DictionaryFeatures)
        new.__dict__.update(self.__dict__)
        corner = np.tril(chol[:rank, :rank]) * scale[keep][:, None]
        new.where, new.which = np.concatenate([self.where, where[keep]]), np.concatenate([self.which, which[keep]])
        new.factor = np.block([[self.factor, np.zeros((self.size, rank))], [psi[keep], corner]])
        new.size = self.size + rank
        new.layout, new._near = new._layout(), None
        return new

    def padded(self, w: Array, bigger: DictionaryFeatures) -> Array:
        """Weights of the same D on an extended dictionary."""
        return np.concatenate([w, np.zeros((*w.shape[:-1], bigger.size - self.size), dtype=w.dtype)], axis=-1)


def _left_out(factor: Array, rank: int) -> float:
    """Part of their norm to which products of rows at the candidates are known, from their pivoted Cholesky factor.

    K = L L^T + R, R positive: what is left of the functionals dropped, no more than the largest of its diagonal. Rows
    are solutions of L x = k, whose errors -L^-1 F x (F of the roundings of L) are large where a pivot is small, but
    those of products are x^T L^-1 F x with x^T L^-1 a row of the identity: of F alone, sqrt(rank) roundings (Higham and
    Mary, SIAM J. Sci. Comput. 41, A2815 (2019)).
    """
    rest = np.tril(factor)[rank:, :rank]
    return float(np.sqrt(rank) * EPS + np.max(1 - (rest**2).sum(1), initial=0.0))


def _rows_known(factor: Array, rank: int) -> float:
    """Part of their norm to which solutions x of L x = k are known: roundings times |L^-1|, L of rows of length 1."""
    L = np.tril(factor[:rank, :rank])
    inverse = sla.solve_triangular(L, np.eye(rank), lower=True, check_finite=False)
    return float(np.sqrt(rank) * EPS * np.linalg.norm(inverse, 2))


def _distinct(points: Array) -> tuple[Array, Array]:
    """(the distinct ones, which of them every point is)."""
    found, index = np.unique(points, axis=0, return_inverse=True)
    return found, index.ravel()


class _LocatedStationary:
    """A dictionary of a stationary kernel at points X, from the (..., n, m) arrays of k, k', k'' alone.

    D = sum_z alpha_z K(., z) + sum_y beta_y . grad_y K(., y) with (alpha, beta) = L^-T w, r = x - y, u = r^2:

        D = alpha k - 2 k' (r . beta),   grad D = 2 r k' alpha - 2 beta k' - 4 r k'' (r . beta)
    """

    def __init__(self, features: DictionaryFeatures, X: Array) -> None:
        self.f, self.X = features, X
        self.is_value, self.values, self.component, self.centres, self.centre = features.layout
        self.place = np.argsort(np.argsort(~self.is_value, kind="stable"))  # of every functional, values first
        self.rz, self.kz, self.dkz, _ = self._profiles(self.values, 1)
        self.ry, _, self.dky, self.ddky = self._profiles(self.centres, 2)

    def _profiles(self, Y: Array, order: int) -> tuple[Array, Array, Array, Array]:
        """r (..., n, m, d) and k, k', k'' of r^2. Where r = 0 exactly, k'' only ever multiplies r and is set to 0."""
        r = self.X[..., :, None, :] - Y
        u = (r * r).sum(-1)
        if not len(Y):
            empty = np.zeros_like(u)
            return r, empty, empty, empty
        k = self.f.kernel.derivatives(u, 1)
        if order == 2 and order_of(u) > 1:  # further terms of the series see k'' itself
            return r, *self.f.kernel.derivatives(u, 2)
        second = np.zeros_like(u)
        if order == 2:
            apart = u != 0
            second[apart] = self.f.kernel.derivatives(u[apart], 2)[2]
        return r, k[0], k[1], second

    def _coefficients(self, w: Array) -> tuple[Array, Array]:
        """alpha (..., m_values) and beta (..., m_centres, d)."""
        c = self.f.solve(w, transposed=True)
        beta = np.zeros_like(c, shape=(*c.shape[:-1], *self.centres.shape))
        beta[..., self.centre, self.component] = c[..., ~self.is_value]
        return c[..., self.is_value], beta

    def value(self, w: Array) -> Array:
        alpha, beta = self._coefficients(w)
        along = np.einsum("...nma,...ma->...nm", self.ry, beta)
        return row_dot(self.kz, alpha) - 2 * (self.dky * along).sum(-1)

    def gradient(self, w: Array) -> Array:
        alpha, beta = self._coefficients(w)
        along = np.einsum("...nma,...ma->...nm", self.ry, beta)
        return (
            2 * np.einsum("...nm,...nma->...na", self.dkz * alpha[..., None, :], self.rz)
            - 2 * self.dky @ beta
            - 4 * np.einsum("...nm,...nma->...na", self.ddky * along, self.ry)
        )

    def hessian(self, w: Array) -> Array:
        return self._dense.hessian(w)

    def adjoint(self, a: Array, b: Array | None) -> Array:
        a = a[..., None, :]
        on_values = a @ self.kz
        on_centres = -2 * np.einsum("...nm,...nma->...ma", np.swapaxes(a, -1, -2) * self.dky, self.ry)
        if b is not None:
            along_z = np.einsum("...nma,...na->...nm", self.rz, b)
            on_values = on_values + 2 * (self.dkz * along_z).sum(-2)[..., None, :]
            along = np.einsum("...nma,...na->...nm", self.ry, b)
            on_centres = (
                on_centres
                - 2 * np.swapaxes(self.dky, -1, -2) @ b
                - 4 * np.einsum("...nm,...nma->...ma", self.ddky * along, self.ry)
            )
        on_values = on_values[..., 0, :]
        joined = np.concatenate([on_values, on_centres[..., self.centre, self.component]], axis=-1)
        return self.f.solve(joined[..., self.place], transposed=False)

    @cached_property
    def _dense(self) -> LocatedDense:
        return self.f.dense(self.X)

    def psi(self) -> Array:
        return self._dense.psi()

    def grad(self) -> Array:
        return self._dense.grad()
