"""The kernels of a wide network, layer by layer.

    Sigma_1 = sw^2 x.y / n_0 + sb^2,   Sigma_(l+1) = sw^2 E act(u) act(v) + sb^2,   Theta_1 = Sigma_1,
    Theta_(l+1) = Sigma_(l+1) + Theta_l sw^2 E act'(u) act'(v),   (u, v) Gaussian with the covariances of Sigma_l

Sigma is the covariance of the network's output at its start (NNGP; Lee et al. 2018), Theta its tangent kernel (NTK;
Jacot, Gabriel and Hongler 2018), both in the limit of infinite width and in the tangent parametrisation of
egan_theory.tables.architecture. Both count the ``depth`` hidden layers and the linear readout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...base.arrays import numbers
from ...base.errors import InputError
from ...tables.architecture import Architecture
from .dual import dual_activation

Array = np.ndarray

#: entries of a block of a kernel matrix: the layers run in the processor's cache
BLOCK = 40_000


def propagate(
    arch: Architecture, a: Any, b: Any, c: Any, disturbed: Callable[[Any], Any] = lambda sigma: sigma
) -> tuple[Any, Any]:
    """(Sigma, Theta) of the output, from the first layer's Sigma at (x, x), (y, y) and (x, y): arrays or jets.
    ``disturbed`` is applied to what every layer is given (TangentKernel.rounding)."""
    dual, sw, sb = dual_activation(arch), arch.weight_variance, arch.bias_variance
    theta = c
    for _ in range(arch.depth):
        a, b, c = disturbed(a), disturbed(b), disturbed(c)
        value, slope = dual(a, b, c)
        a, b, c = sw * dual.variance(a) + sb, sw * dual.variance(b) + sb, sw * value + sb
        theta = c + theta * (sw * slope)
    return c, theta


def propagate_diagonal(arch: Architecture, a: Any) -> tuple[Any, Any]:
    """(Sigma, Theta) at x = y from the first layer's Sigma(x, x)."""
    dual, sw, sb = dual_activation(arch), arch.weight_variance, arch.bias_variance
    theta = a
    for _ in range(arch.depth):
        slope = dual.slope(a)
        a = sw * dual.variance(a) + sb
        theta = a + theta * (sw * slope)
    return a, theta


def tangent_kernel(arch: Architecture, X: Any, Y: Any = None) -> Array:
    """Theta(x, y) (n, m) of one output, for X (n, d) and Y (m, d), by default X. Equal to neural_tangents'
    stax.serial(Dense(W_std=sw, b_std=sb), act, ..., Dense) in the parametrisation "ntk"; of ``layers`` see ``images``.
    Raises InputError."""
    return _gram(arch, X, Y, 1)


def gp_kernel(arch: Architecture, X: Any, Y: Any = None) -> Array:
    """Sigma(x, y) (n, m) of the output; see ``tangent_kernel``."""
    return _gram(arch, X, Y, 0)


def _gram(arch: Architecture, X: Any, Y: Any, which: int) -> Array:
    X = _points("X", X)
    other = X if Y is None else _points("Y", Y)
    if X.shape[1] != other.shape[1]:
        raise InputError("Y", f"have points of {X.shape[1]} dimensions, as X", other.shape[1])
    if arch.layers is not None:
        return _images(arch, X, None if Y is None else other, which)
    scale, sb = arch.weight_variance / X.shape[1], arch.bias_variance
    a, b = (scale * np.einsum("na,na->n", Z, Z) + sb for Z in (X, other))
    n, m = len(X), len(other)
    out = np.empty((n, m))
    rows = max(1, BLOCK // max(m, 1))
    for i in range(0, n, rows):
        j = i if Y is None else 0
        end = min(i + rows, n)
        c = X[i:end] @ other[j:].T
        c *= scale
        c += sb
        out[i:end, j:] = propagate(arch, a[i:end, None], b[None, j:], c)[which]
    if Y is None:
        for i in range(0, n, rows):
            end = min(i + rows, n)
            out[end:, i:end] = out[i:end, end:].T
            block = out[i:end, i:end]
            block[...] = np.triu(block) + np.triu(block, 1).T
        np.fill_diagonal(out, propagate_diagonal(arch, a)[which])
    return out


def _images(arch: Architecture, X: Array, Y: Array | None, which: int) -> Array:
    from .images import ImageKernel

    kernel = ImageKernel(arch.model_copy(update={"trained": ("readout", "all")[which], "width": 0}))
    out = kernel.value(X, X if Y is None else Y)
    if Y is None:
        np.fill_diagonal(out, kernel.diagonal(X))
    return out


def _points(field: str, X: Any) -> Array:
    X = numbers(field, X).astype(float)
    if X.ndim != 2 or 0 in X.shape or not np.all(np.isfinite(X)):
        raise InputError(field, "be finite points (n, d)", f"shape {X.shape}")
    return X


__all__ = ["gp_kernel", "propagate", "propagate_diagonal", "tangent_kernel"]
