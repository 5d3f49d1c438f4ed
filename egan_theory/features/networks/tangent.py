"""Tangent features of a network at given weights: psi(x) = d D(x; theta) / d theta, never built unless asked for.

With D linearised in its weights, D(x; theta + w) = D(x; theta) + w . psi(x), values of w . psi are directional
derivatives (forward mode), the adjoint is a backward pass, and gradients and Hessians in x are forward over these.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...base.errors import InputError
from ...base.ram import check_size
from ...tables.architecture import Architecture
from .double import double, require_jax
from .mlp import draw, network

if TYPE_CHECKING:
    from ...experiment import Experiment

Array = np.ndarray
Compiled = Callable[..., Any]

#: the largest (rows, weights) matrix of feature rows that is built; beyond it their Gram matrix is, from products
MAX_DENSE_ROWS = 40_000_000
#: copies of them (or of their Gram matrix) held at once, and arrays of the weights beside it
COPIES, WEIGHTS = 3, 6
#: activations of which the gradients of D at distinct points are independent, as far as there are weights for them
GENERIC = ("erf", "tanh", "gelu", "sine", "softplus")

EPS = float(np.finfo(float).eps)


class TangentFeatures:
    """Features psi(x) = d D / d theta of ``function(params, x)``, a number for one point x (d,), at ``params``.

    ``function``: JAX; ``params``: any tree of arrays (all of them count as weights; close over what is not trained).
    w (P,) is flat in the order of jax.tree.leaves. ``generic``: the gradients at distinct points are known to be
    independent.

    A function of a batch is given as ``lambda params, x: D(params, x[None])[0]``. Everything is evaluated in double
    precision and for real arguments. Assumption not checked: D is twice differentiable at the points (of a ReLU network
    almost everywhere, but its curvature, all of it in the kinks, is not seen).
    """

    def __init__(self, function: Callable[[Any, Any], Any], params: Any, *, generic: bool = False) -> None:
        self._function, self._generic = function, generic
        self._set(params)

    @double
    def _set(self, params: Any) -> None:
        jax = require_jax()
        leaves, tree = jax.tree.flatten(params)
        shapes = tuple(np.shape(leaf) for leaf in leaves)
        self.size = sum(int(np.prod(shape)) for shape in shapes)
        flat = [jax.numpy.ravel(jax.numpy.asarray(leaf, dtype=float)) for leaf in leaves]
        self.theta = jax.numpy.concatenate(flat)
        self._do = _derivatives(self._function, tree, shapes)

    @property
    def output_function(self) -> Compiled:
        """D(theta, x) for one point, theta flat, to be differentiated or compiled further."""
        return self._do.D

    def moved(self, w: Array) -> TangentFeatures:
        """The tangent features at theta + w."""
        other = copy(self)
        with require_jax().enable_x64(True):
            other.theta = self.theta + require_jax().numpy.asarray(w)
        return other

    def at(self, X: Array) -> _LocatedTangent:
        return _LocatedTangent(self, np.asarray(X, dtype=float))

    def output(self, X: Array) -> Array:
        """D(x; theta) itself, (..., n) for X (..., n, d)."""
        return self._do.output(self.theta, X)

    def output_slope(self, X: Array) -> Array:
        """grad D(x; theta), (..., n, d) for X (..., n, d)."""
        return self._do.slope(self.theta, X)

    def gradient_rank(self, X: Array) -> int:
        """Independent gradients at distinct points; where no theorem says, the numerical rank of their Gram matrix's
        root."""
        if self._generic:
            return min(self.size, X.shape[0] * X.shape[1])
        rows, exact = self.seen_rows(X)
        gradients = rows[len(X) :]
        sigma = np.linalg.svd(gradients, compute_uv=False)
        tolerance = EPS if exact else np.sqrt(EPS)
        return int(np.sum(sigma > tolerance * max(gradients.shape) * sigma.max(initial=0.0)))

    def seen_rows(self, X: Array) -> tuple[Array, bool]:
        """[psi(x_n); grad psi(x_n)] in an orthonormal basis of what the points see: (n (1 + d), r), r <= P, and whether
        its small singular values are exact to eps (else to sqrt(eps) of the largest: they come from the Gram matrix).

        Rows n + d i + a are d_a psi(x_i). All products with the rows are those of the P weights; the rest of the
        weights is seen by no point.
        """
        n, d = X.shape
        rows = n * (1 + d)
        dense = rows * self.size <= MAX_DENSE_ROWS
        held = COPIES * rows * self.size if dense else COPIES * rows**2 + WEIGHTS * self.size
        must = "have few enough weights, at few enough points, for its tangent kernel to fit in memory"
        check_size("D", 8.0 * held, must, f"{self.size} weights at {n} points")
        if dense:
            at = self.at(X)
            all_rows = np.concatenate([at.psi(), at.grad().reshape(n * d, self.size)])
            self._check(X, np.abs(all_rows).max(1, initial=0.0))
            if self.size <= rows:
                return all_rows, True
            return np.asarray(np.linalg.qr(all_rows.T, mode="r")).T, True
        gram = self.gram(X)
        self._check(X, np.diag(gram))
        values, vectors = np.linalg.eigh(gram)
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > EPS * rows * values[0]
        return vectors[:, kept] * np.sqrt(values[kept]), False

    def _check(self, X: Array, size: Array) -> None:
        """Raise InputError where rows of these sizes, (n (1 + d),) in the order of ``seen_rows``, cannot be used."""
        n, d = X.shape
        if np.any(size[n:] > 0) and np.all(np.isfinite(size)):
            return
        each = np.column_stack([size[:n], size[n:].reshape(n, d)])
        bad = np.flatnonzero(~np.isfinite(each).all(1))
        if len(bad):
            rule = "be finite at the data, and so its derivatives in the weights and in x"
            where = f"NaN or infinity at {len(bad)} of {n} points, the first {X[bad[0], :4].tolist()}"
            raise InputError("D", rule, where + ("..." if d > 4 else ""))
        rule = "have a gradient in x at the data that depends on its weights (no dead units, not constant)"
        raise InputError("D", rule, f"zeros at all {n} points")

    def gram(self, X: Array) -> Array:
        """Products of the rows of ``seen_rows``, (n (1 + d), n (1 + d)): one backward pass per row, each followed by
        the directional derivatives at all points; the rows themselves are never held together."""
        n, d = X.shape
        at = self.at(X)
        columns = []
        for i in range(n * (1 + d)):
            a, b = np.zeros(n), np.zeros((n, d))
            if i < n:
                a[i] = 1
            else:
                b.flat[i - n] = 1
            w = at.adjoint(a, b if i >= n else None)
            columns.append(np.concatenate([at.value(w), at.gradient(w).ravel()]))
        out = np.stack(columns, axis=1)
        return (out + out.T) / 2


class _LocatedTangent:
    def __init__(self, features: TangentFeatures, X: Array) -> None:
        self._do, self._theta, self.X = features._do, features.theta, X

    def value(self, w: Array) -> Array:
        return self._do.value(self._theta, w, self.X)

    def gradient(self, w: Array) -> Array:
        return self._do.gradient(self._theta, w, self.X)

    def hessian(self, w: Array) -> Array:
        return self._do.hessian(self._theta, w, self.X)

    def adjoint(self, a: Array, b: Array | None) -> Array:
        a = np.broadcast_to(a, (*np.shape(a)[:-1], self.X.shape[-2]))
        if b is None:
            return self._do.adjoint_values(self._theta, self.X, a)
        return self._do.adjoint(self._theta, self.X, a, b)

    def psi(self) -> Array:
        return self._do.psi(self._theta, self.X)

    def grad(self) -> Array:
        return self._do.grad(self._theta, self.X)


@lru_cache(maxsize=8)
def _derivatives(function: Callable[[Any, Any], Any], tree: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The derivatives of function(params, x), params unflattened from theta: compiled functions of (theta (P,), ...),
    mapped over leading dimensions of what follows, that give NumPy's arrays; ``D``: D(theta, x) for one point as it is.
    """
    jax = require_jax()
    jnp, vmap = jax.numpy, jax.vmap
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def D(theta: Any, x: Any) -> Any:
        leaves = [jnp.reshape(part, shape) for part, shape in zip(jnp.split(theta, ends[:-1]), shapes, strict=True)]
        return jnp.reshape(function(jax.tree.unflatten(tree, leaves), x), ())

    def value(theta: Any, w: Any, x: Any) -> Any:
        return jax.jvp(lambda t: D(t, x), (theta,), (w,))[1]

    gradient = jax.jacfwd(value, argnums=2)
    hessian = jax.jacfwd(gradient, argnums=2)

    def adjoint(theta: Any, X: Any, a: Any, b: Any) -> Any:
        def total(t: Any) -> Any:  # b . grad D is the derivative along b: one backward pass for both sums
            values, along = vmap(lambda x, v: jax.jvp(lambda z: D(t, z), (x,), (v,)))(X, b)
            return a @ values + along.sum()

        return jax.grad(total)(theta)

    def adjoint_values(theta: Any, X: Any, a: Any) -> Any:
        return jax.grad(lambda t: a @ vmap(lambda x: D(t, x))(X))(theta)

    row = jax.grad(D)

    def row_slopes(theta: Any, x: Any) -> Any:
        return jax.lax.map(lambda e: jax.jvp(lambda z: row(theta, z), (x,), (e,))[1], jnp.eye(x.size))

    def compiled(of_points: Callable[..., Any], signature: str) -> Compiled:
        function = jax.jit(jnp.vectorize(of_points, excluded={0}, signature=signature))
        return double(lambda *args: np.asarray(function(*args)))

    def each(one: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: vmap(one, (*(None,) * (len(args) - 1), 0))(*args)

    return SimpleNamespace(
        D=D,
        output=compiled(each(D), "(n,d)->(n)"),
        slope=compiled(each(jax.grad(D, argnums=1)), "(n,d)->(n,d)"),
        value=compiled(each(value), "(p),(n,d)->(n)"),
        gradient=compiled(each(gradient), "(p),(n,d)->(n,d)"),
        hessian=compiled(each(hessian), "(p),(n,d)->(n,d,d)"),
        adjoint=compiled(adjoint, "(n,d),(n),(n,d)->(p)"),
        adjoint_values=compiled(adjoint_values, "(n,d),(n)->(p)"),
        psi=compiled(each(row), "(n,d)->(n,p)"),
        grad=compiled(each(row_slopes), "(n,d)->(n,d,p)"),
    )


def tangent_features(exp: Experiment) -> TangentFeatures:
    """The tangent features of an experiment's discriminator network at its start."""
    disc = exp.discriminator
    assert disc.architecture is not None
    arch = disc.architecture
    function, params = network_of(exp)
    generic = arch.layers is None and arch.activation in GENERIC and arch.bias_variance > 0
    return TangentFeatures(function, params, generic=generic)


def network_of(exp: Experiment) -> tuple[Callable[[Any, Any], Any], Any]:
    """(f(params, x), params at the start) with f the network's output at x / length_scale; the draw is that of
    ``discriminator.seed``."""
    disc = exp.discriminator
    assert disc.architecture is not None
    params = draw(disc.architecture, exp.dimension, 1, np.random.default_rng([disc.seed, 4]))
    return network_function(disc.architecture, disc.length_scale), params


@lru_cache(maxsize=32)
def network_function(arch: Architecture, length: float) -> Callable[[Any, Any], Any]:
    """One function object per network, so that what is compiled for it is found again."""
    forward = network(arch)
    return lambda params, x: forward(params, x / length)[..., 0]


__all__ = ["TangentFeatures", "network_function", "network_of", "tangent_features"]
