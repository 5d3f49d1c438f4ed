"""All eigenvalues of a large dense symmetric matrix, in place, with eigenvectors of a few of them.

Two stages (Bischof, Lang and Sun, ACM TOMS 26, 581 (2000)): blocks of Householder reflections to a band matrix, all of
it in matrix-matrix products, then LAPACK's band solver. The one-stage reduction of LAPACK does half of its work in
matrix-vector products, which the memory bus limits. The reflectors stay below the band, so that eigenvectors of single
eigenvalues come from inverse iteration on the band and one pass over the reflectors.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.linalg as sla

#: half bandwidth: a wider band costs the second stage what it gains the first
BANDWIDTH = 32
#: steps of inverse iteration from a random vector; the first one already reaches rounding for a separate eigenvalue
INVERSE_STEPS = 3


@dataclass(frozen=True)
class Banded:
    """A = Q B Q^T: eigenvalues ``values`` (n,) ascending; ``band`` (BANDWIDTH + 1, n) lower storage of B; ``store``
    (n, n) holds the reflectors below the band and ``tau`` their scales, one row per panel."""

    values: np.ndarray
    band: np.ndarray
    store: np.ndarray
    tau: tuple[np.ndarray, ...]

    def vectors(self, chosen: np.ndarray, seed: int = 0) -> np.ndarray:
        """(n, k) unit eigenvectors of the eigenvalues with these indices."""
        n, b = len(self.values), len(self.band) - 1
        rng = np.random.default_rng(seed)
        full = np.zeros((2 * b + 1, n))
        full[b:] = self.band
        for j in range(1, b + 1):
            full[b - j, j:] = self.band[j, : n - j]
        out = np.empty((n, len(chosen)))
        # a shift off the eigenvalue by a few roundings of the norm, so that the factors are not singular
        offset = 4 * np.finfo(float).eps * max(np.abs(self.values).max(), np.finfo(float).tiny)
        for i, value in enumerate(self.values[chosen]):
            shifted = full.copy()
            shifted[b] -= value + offset
            v = rng.standard_normal(n)
            for _ in range(INVERSE_STEPS):
                v = sla.solve_banded((b, b), shifted, v, check_finite=False)
                v /= np.linalg.norm(v)
            out[:, i] = v
        for p in reversed(range(len(self.tau))):
            V = _reflectors(self.store, p, b)
            rows = slice((p + 1) * b, n)
            out[rows] -= V @ (_triangle(V, self.tau[p]) @ (V.T @ out[rows]))
        return out


def eigenvalues_in_place(a: np.ndarray, progress: Callable[[int, int], None] | None = None) -> Banded:
    """Eigenvalues of the symmetric matrix whose lower triangle is in ``a`` (n, n), Fortran order, float64; destroys it.

    Memory beyond ``a``: O(n BANDWIDTH). Not checked: symmetry (the upper triangle is never read), finite entries.
    """
    n, b = len(a), min(BANDWIDTH, max(len(a) - 1, 1))
    tau = []
    panels = max(0, -(-(n - b) // b) if n > b + 1 else 0)
    for p in range(panels):
        first = (p + 1) * b
        if n - first < 2:
            break
        factor, scale, _, _ = sla.lapack.dgeqrf(a[first:, p * b : first])
        a[first:, p * b : first] = factor
        scale = np.concatenate([scale, np.zeros(b - len(scale))])
        tau.append(scale)
        V = _reflectors(a, p, b)
        X = _symmetric_times(a, first, V @ _triangle(V, scale))
        # Q = I - V T V^T:  Q^T A Q = A - V W^T - W V^T,  X = A V T,  W = X - V T^T V^T X / 2
        W = X - V @ (_triangle(V, scale).T @ (V.T @ X)) / 2
        _subtract_rank_two(a, first, V, np.asfortranarray(W))
        if progress is not None:
            progress(p + 1, panels)
    band = np.zeros((b + 1, n))
    for j in range(b + 1):
        band[j, : n - j] = np.diagonal(a, -j)
    values = sla.eig_banded(band, lower=True, eigvals_only=True, check_finite=False) if n > 1 else band[0].copy()
    return Banded(values, band, a, tuple(tau))


def _reflectors(store: np.ndarray, panel: int, b: int) -> np.ndarray:
    """Unit lower trapezoidal V of a panel."""
    V = np.asfortranarray(np.tril(store[(panel + 1) * b :, panel * b : (panel + 1) * b], -1))
    np.fill_diagonal(V, 1.0)
    return V


def _triangle(V: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """T of the compact form H_1 ... H_b = I - V T V^T (LAPACK dlarft)."""
    gram = V.T @ V
    T = np.zeros((len(tau), len(tau)))
    for j, t in enumerate(tau):
        T[:j, j] = -t * (T[:j, :j] @ gram[:j, j])
        T[j, j] = t
    return T


# -- BLAS on a trailing block of a larger matrix, which f2py would copy -----------------------------------------------


@cache
def _blas(name: str) -> Any:
    from numba.extending import get_cython_function_address

    pointer = ctypes.c_void_p
    count = {"dsymm": 12, "dsyr2k": 12}[name]
    return ctypes.CFUNCTYPE(None, *[pointer] * count)(get_cython_function_address("scipy.linalg.cython_blas", name))


def _arguments(*values: Any) -> list[Any]:
    """Fortran passes everything by address: letters, ints and doubles are boxed, arrays give their own."""
    boxed: dict[type, Any] = {str: lambda v: ctypes.c_char(v.encode()), int: ctypes.c_int, float: ctypes.c_double}
    return [v if type(v) is ctypes.c_void_p else ctypes.byref(boxed[type(v)](v)) for v in values]


def _at(a: np.ndarray, first: int = 0) -> ctypes.c_void_p:
    """Address of a[first, first] of a Fortran-ordered array."""
    return ctypes.c_void_p(a.ctypes.data + first * (a.strides[0] + a.strides[1]))


def _symmetric_times(a: np.ndarray, first: int, V: np.ndarray) -> np.ndarray:
    """A22 V with A22 = a[first:, first:] held in its lower triangle."""
    n, b = V.shape
    V, out = np.asfortranarray(V), np.empty((n, b), order="F")
    _blas("dsymm")(*_arguments("L", "L", n, b, 1.0, _at(a, first), len(a), _at(V), n, 0.0, _at(out), n))
    return out


def _subtract_rank_two(a: np.ndarray, first: int, V: np.ndarray, W: np.ndarray) -> None:
    """Lower triangle of A22 -= V W^T + W V^T."""
    n, b = V.shape
    _blas("dsyr2k")(*_arguments("L", "N", n, b, -1.0, _at(V), n, _at(W), n, 1.0, _at(a, first), len(a)))
