"""Feature maps psi: R^d -> R^P of a discriminator linear in its weights, D(x) - D* = w . psi(x).

A feature map is asked only for what the theory needs, at a set of points X (..., n, d): values, gradients and Hessians
of D, and the adjoint sum_n a_n psi(x_n) + b_n . grad psi(x_n). With B = stacked grad psi(x_n), ``gradient`` is B w and
``adjoint(0, b)`` is B^T b, so that products with H = B B^T never build H. All of it accepts complex points and weights
(complex-step differentiation).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.linalg as sla

from .errors import InputError
from .experiment import Experiment
from .kernels import Kernel
from .noise import noise_nodes
from .targets import Uniform

Array = np.ndarray


class Located(Protocol):
    """A feature map evaluated at points X (..., n, d)."""

    def value(self, w: Array) -> Array:
        """w . psi(x_n): (..., n) for w (..., P)."""

    def gradient(self, w: Array) -> Array:
        """w . grad psi(x_n): (..., n, d)."""

    def hessian(self, w: Array) -> Array:
        """w . Hess psi(x_n): (..., n, d, d)."""

    def adjoint(self, a: Array, b: Array | None) -> Array:
        """sum_n a_n psi(x_n) + b_n . grad psi(x_n): (..., P) for a (..., n), b (..., n, d) or None for 0."""

    def psi(self) -> Array:
        """(..., n, P)."""

    def grad(self) -> Array:
        """(..., n, d, P)."""


class FeatureMap(Protocol):
    """size P; ``at(X)`` evaluates; ``gradient_rank`` counts independent gradients at given distinct points."""

    size: int

    def at(self, X: Array) -> Located: ...

    def gradient_rank(self, X: Array) -> int: ...


def _dot(rows: Array, w: Array) -> Array:
    """sum_p rows[..., p] w[..., p] over stacked rows (..., n, P)."""
    return (rows @ w[..., None])[..., 0]


class FourierFeatures:
    """psi = amplitude [cos(Omega x), sin(Omega x)] and, where given, one constant feature.

    Random Fourier features (Rahimi and Recht 2007) and the Fourier modes of a periodic box are both of this form.
    """

    def __init__(self, omega: Array, amplitude: Array, constant: float | None = None) -> None:
        self.omega, self.amplitude, self.constant = omega, amplitude, constant
        self.size = 2 * len(omega) + (constant is not None)

    def at(self, X: Array) -> _LocatedFourier:
        return _LocatedFourier(self, X)

    def gradient_rank(self, X: Array) -> int:
        # generic frequencies at distinct points, or orthogonal modes below Nyquist on the lattice; at a single point
        # the gradients of cosine and sine are parallel
        return min(min(2, len(X)) * len(self.omega), X.shape[0] * X.shape[1])


class _LocatedFourier:
    def __init__(self, features: FourierFeatures, X: Array) -> None:
        self.f = features
        phase = X @ features.omega.T
        self.cos = np.cos(phase) * features.amplitude
        self.sin = np.sin(phase) * features.amplitude

    def _split(self, w: Array) -> tuple[Array, Array]:
        F = len(self.f.omega)
        return w[..., :F], w[..., F : 2 * F]

    def value(self, w: Array) -> Array:
        wc, ws = self._split(w)
        D = _dot(self.cos, wc) + _dot(self.sin, ws)
        return D if self.f.constant is None else D + self.f.constant * w[..., -1:]

    def gradient(self, w: Array) -> Array:
        wc, ws = self._split(w)
        return (self.cos * ws[..., None, :] - self.sin * wc[..., None, :]) @ self.f.omega

    def hessian(self, w: Array) -> Array:
        wc, ws = self._split(w)
        u = self.cos * wc[..., None, :] + self.sin * ws[..., None, :]
        return -((u[..., None, :] * self.f.omega.T) @ self.f.omega)

    def adjoint(self, a: Array, b: Array | None) -> Array:
        a = np.asarray(a)[..., None, :]
        parts = [(a @ self.cos)[..., 0, :], (a @ self.sin)[..., 0, :]]
        if b is not None:
            along = b @ self.f.omega.T
            parts = [parts[0] - (along * self.sin).sum(-2), parts[1] + (along * self.cos).sum(-2)]
        if self.f.constant is not None:
            total = self.f.constant * a.sum(-1)
            parts.append(np.broadcast_to(total, (*parts[0].shape[:-1], 1)))
        return np.concatenate(parts, axis=-1)

    def psi(self) -> Array:
        parts = [self.cos, self.sin]
        if self.f.constant is not None:
            parts.append(np.full((*self.cos.shape[:-1], 1), self.f.constant))
        return np.concatenate(parts, axis=-1)

    def grad(self) -> Array:
        omega = self.f.omega.T
        parts = [-self.sin[..., None, :] * omega, self.cos[..., None, :] * omega]
        if self.f.constant is not None:
            parts.append(np.zeros((*parts[0].shape[:-1], 1)))
        return np.concatenate(parts, axis=-1)


class _LocatedDense:
    """Points where psi (..., n, P), grad (..., n, d, P) are held as arrays and the Hessian is built when asked."""

    def __init__(self, psi: Array, grad: Array, hess: Any) -> None:
        self._psi, self._grad, self._hess = psi, grad, hess

    @cached_property
    def _hessian(self) -> Array:
        return self._hess()

    def value(self, w: Array) -> Array:
        return _dot(self._psi, w)

    def gradient(self, w: Array) -> Array:
        return (self._grad @ w[..., None, :, None])[..., 0]

    def hessian(self, w: Array) -> Array:
        return (self._hessian @ w[..., None, None, :, None])[..., 0]

    def adjoint(self, a: Array, b: Array | None) -> Array:
        out = (np.asarray(a)[..., None, :] @ self._psi)[..., 0, :]
        return out if b is None else out + np.einsum("...na,...nap->...p", b, self._grad)

    def psi(self) -> Array:
        return self._psi

    def grad(self) -> Array:
        return self._grad


class PolynomialFeatures:
    """Monomials psi_p(x) = coefficient_p prod_a x_a^e_pa: the exact map of a linear or polynomial kernel."""

    def __init__(self, exponents: Array, coefficients: Array) -> None:
        self.exponents, self.coefficients = np.asarray(exponents), np.asarray(coefficients, dtype=float)
        self.size = len(self.coefficients)

    def _monomials(self, X: Array, lowered: tuple[int, ...]) -> Array:
        """Derivative of every monomial once in each coordinate of ``lowered``."""
        e, factor = self.exponents.copy(), self.coefficients.copy()
        for a in lowered:
            factor = factor * e[:, a]
            e[:, a] = np.maximum(e[:, a] - 1, 0)
        out = factor * np.ones((*X.shape[:-1], 1), dtype=X.dtype)
        for a in range(X.shape[-1]):
            powers = np.stack([X[..., a] ** n for n in range(e[:, a].max(initial=0) + 1)], axis=-1)
            out = out * powers[..., e[:, a]]
        return out

    def at(self, X: Array) -> _LocatedDense:
        d = range(X.shape[-1])
        return _LocatedDense(
            self._monomials(X, ()),
            np.stack([self._monomials(X, (a,)) for a in d], axis=-2),
            lambda: np.stack([np.stack([self._monomials(X, (a, c)) for c in d], axis=-2) for a in d], axis=-3),
        )

    def gradient_rank(self, X: Array) -> int:
        return int(np.linalg.matrix_rank(self.at(X).grad().reshape(-1, self.size)))


class ProjectedFeatures:
    """psi'(x) = R psi(x) with R Gaussian of variance 1/P': a random estimate of a finite-dimensional kernel."""

    def __init__(self, base: PolynomialFeatures, projection: Array) -> None:
        self.base, self.projection = base, projection
        self.size = len(projection)

    def at(self, X: Array) -> _LocatedDense:
        R, at = self.projection, self.base.at(X)
        return _LocatedDense(at.psi() @ R.T, at.grad() @ R.T, lambda: at._hessian @ R.T)

    def gradient_rank(self, X: Array) -> int:
        return int(np.linalg.matrix_rank(self.at(X).grad().reshape(-1, self.size)))


class DictionaryFeatures:
    """An orthonormal basis of the span of K(., z) and d_b K(., y): the exact kernel without random features.

    The functionals are K(., z_i) at ``points`` and d/dy_b K(., y) at ``gradient_points``; psi = L^-1 k with L L^T their
    Gram matrix (pivoted Cholesky, functionals whose squared residual is below ``tolerance`` of their own norm dropped).
    Within the span D = w . psi is exact. ``extended(X)`` adds points until every K(., x) is in the span up to
    ``growth_tolerance``; old weights keep their meaning, new ones start at 0.
    """

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
        gram = self._functionals(where, which, where, which)
        scale = np.sqrt(np.diag(gram))
        scaled = gram / scale[:, None] / scale
        factor, pivots, rank, _ = sla.lapack.dpstrf(scaled, tol=tolerance, lower=1)
        keep = pivots[:rank] - 1
        self.where, self.which = where[keep], which[keep]
        self.factor = np.tril(factor[:rank, :rank]) * scale[keep][:, None]
        self.size = rank
        self.layout = self._layout()

    def _layout(self) -> tuple[Array, Array, Array, Array, Array]:
        """Which functionals are values, where; the components of the others and the distinct points they sit on."""
        values = self.which < 0
        centres, centre = np.unique(self.where[~values], axis=0, return_inverse=True)
        return values, self.where[values], self.which[~values], centres, centre.ravel()

    def _functionals(self, xw: Array, xc: Array, yw: Array, yc: Array) -> Array:
        """Gram matrix between two lists of functionals."""
        K = self.kernel
        out = np.empty((len(xw), len(yw)))
        xv, yv = xc < 0, yc < 0
        xg, yg = np.flatnonzero(~xv), np.flatnonzero(~yv)
        if xv.any() and yv.any():
            out[np.ix_(xv, yv)] = K.value(xw[xv], yw[yv])
        if len(xg) and yv.any():
            out[np.ix_(~xv, yv)] = K.gradient(xw[xg], yw[yv])[np.arange(len(xg)), :, xc[xg]]
        if xv.any() and len(yg):
            out[np.ix_(xv, ~yv)] = K.gradient(yw[yg], xw[xv])[np.arange(len(yg)), :, yc[yg]].T
        if len(xg) and len(yg):
            mixed = K.mixed(xw[xg], yw[yg])
            out[np.ix_(~xv, ~yv)] = mixed[np.arange(len(xg))[:, None], np.arange(len(yg)), xc[xg][:, None], yc[yg]]
        return out

    def _raw(self, X: Array, order: int) -> Array:
        """d^order/dx of every functional at x: (n, P), (n, d, P) or (n, d, d, P)."""
        K, v = self.kernel, self.which < 0
        Z, Y, comp = self.where[v], self.where[~v], self.which[~v]
        at = np.arange(len(Y))
        n, d = X.shape
        out = np.empty((n, *(d,) * order, self.size), dtype=X.dtype)
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
        return self.dense(X)

    def dense(self, X: Array) -> _LocatedDense:
        """psi and its derivatives as arrays: one triangular solve for every point."""
        batch, (n, d) = X.shape[:-2], X.shape[-2:]
        flat = X.reshape(-1, d)

        def shaped(order: int) -> Array:
            return self._orthonormal(self._raw(flat, order)).reshape(*batch, n, *(d,) * order, self.size)

        return _LocatedDense(shaped(0), shaped(1), lambda: shaped(2))

    def solve(self, v: Array, transposed: bool) -> Array:
        """L^-1 v or L^-T v along the last axis; real or complex."""
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
        new.layout = new._layout()
        return new


class _LocatedStationary:
    """A dictionary of a stationary kernel at points X, from the (..., n, m) arrays of k, k', k'' alone.

    D = sum_z alpha_z K(., z) + sum_y beta_y . grad_y K(., y) with (alpha, beta) = L^-T w, r = x - y, u = r^2:

        D = alpha k - 2 k' (r . beta),   grad D = 2 r k' alpha - 2 beta k' - 4 r k'' (r . beta)
    """

    def __init__(self, features: DictionaryFeatures, X: Array) -> None:
        self.f, self.X = features, X
        self.is_value, self.values, self.component, self.centres, self.centre = features.layout
        self.rz, self.kz, self.dkz, _ = self._profiles(self.values, 1)
        self.ry, _, self.dky, self.ddky = self._profiles(self.centres, 2)

    def _profiles(self, Y: Array, order: int) -> tuple[Array, Array, Array, Array]:
        """r (..., n, m, d) and k, k', k'' of r^2. Where r = 0 exactly, k'' only ever multiplies r and is set to 0."""
        r = self.X[..., :, None, :] - Y
        u = (r * r).sum(-1)
        if not len(Y):
            empty = np.zeros(u.shape, dtype=u.dtype)
            return r, empty, empty, empty
        k = self.f.kernel.derivatives(u, 1)
        second = np.zeros(u.shape, dtype=u.dtype)
        if order == 2:
            apart = u != 0
            second[apart] = self.f.kernel.derivatives(u[apart], 2)[2]
        return r, k[0], k[1], second

    def _coefficients(self, w: Array) -> tuple[Array, Array]:
        """alpha (..., m_values) and beta (..., m_centres, d)."""
        c = self.f.solve(w, transposed=True)
        beta = np.zeros((*c.shape[:-1], *self.centres.shape), dtype=c.dtype)
        beta[..., self.centre, self.component] = c[..., ~self.is_value]
        return c[..., self.is_value], beta

    def value(self, w: Array) -> Array:
        alpha, beta = self._coefficients(w)
        along = np.einsum("...nma,...ma->...nm", self.ry, beta)
        return _dot(self.kz, alpha) - 2 * (self.dky * along).sum(-1)

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
        a = np.asarray(a)[..., None, :]
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
        out = np.empty((*on_centres.shape[:-2], self.f.size), dtype=np.result_type(on_values, on_centres))
        out[..., self.is_value] = on_values
        out[..., ~self.is_value] = on_centres[..., self.centre, self.component]
        return self.f.solve(out, transposed=False)

    @cached_property
    def _dense(self) -> _LocatedDense:
        return self.f.dense(self.X)

    def psi(self) -> Array:
        return self._dense.psi()

    def grad(self) -> Array:
        return self._dense.grad()


def feature_map(exp: Experiment) -> FeatureMap:
    """The feature map of an experiment's discriminator; the same one every time (seeded).

    Raises InputError when the exact kernel has no gradient at its own centre (Laplace, Matern nu <= 1).
    """
    disc, kernel = exp.discriminator, exp.discriminator.kernel_object
    if isinstance(exp.target, Uniform):
        return box_modes(kernel, exp.target)
    Y = exp.points.coordinates
    d = Y.shape[1]
    rng = np.random.default_rng([disc.seed, 1])
    polynomial = kernel.polynomial_features(d)
    if polynomial is not None:
        base = PolynomialFeatures(*polynomial)
        if disc.features == 0:
            return base
        return ProjectedFeatures(base, rng.standard_normal((disc.features, base.size)) / np.sqrt(disc.features))
    if disc.features == 0:
        if not kernel.differentiable:
            raise InputError(
                "discriminator.kernel",
                "have a second derivative at coincident points when features = 0 (the force at the data would be "
                "infinite): give features > 0 or a smoother kernel",
                repr(kernel.name),
            )
        nodes = (Y[:, None, :] + noise_nodes(exp.penalty.instance_noise, d)[0]).reshape(-1, d)
        return DictionaryFeatures(kernel, nodes, nodes)
    if kernel.kind != "stationary":
        raise InputError(
            "discriminator.features", f"be 0 for kernel '{kernel.name}' (no random features)", disc.features
        )
    F = disc.features // 2
    omega = kernel.sample_frequencies(F, d, rng)
    K0 = float(kernel.diagonal(np.zeros((1, d)))[0])
    return FourierFeatures(omega, np.full(F, np.sqrt(K0 / F)))


def box_modes(kernel: Kernel, target: Uniform) -> FourierFeatures:
    """The kernel made periodic: sqrt(2 K_k / V) cos(k.x), sqrt(2 K_k / V) sin(k.x), one of each pair +-k below Nyquist,
    and the constant sqrt(K_0 / V)."""
    k = box_wavevectors(target)
    modulus = np.linalg.norm(k, axis=-1)
    density = kernel.spectral_density(np.concatenate([[0.0], modulus]), target.dimension)
    if not np.isfinite(density[0]):
        raise InputError(
            "discriminator.alpha", "be > d/2 on the periodic box (the kernel is not integrable)", "K_0 = inf"
        )
    V = target.length**target.dimension
    return FourierFeatures(k, np.sqrt(2 * density[1:] / V), float(np.sqrt(density[0] / V)))


def box_wavevectors(target: Uniform) -> Array:
    """(F, d) wavevectors 2 pi n / length with |n_a| <= (side - 1)/2, one of each pair +-n, without n = 0."""
    from .targets import lattice

    n = lattice(target.side, target.dimension, centre=True)
    first = np.array([next((c for c in row if c != 0), 0) for row in n])
    return 2 * np.pi / target.length * n[first > 0]
