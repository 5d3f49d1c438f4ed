"""One step of stochastic gradient descent as a Markov chain of the Gram matrix, compiled by Numba.

G is the Gram matrix of X = (U, V, w), size D = 2d + 1. With a, a~ ~ N(0, I_n), k = tau/n, k~ = taut/n, one step is

    w' = (1 - k mu) w + k Delta,    Delta = U u - V v + e,    u = f(x) c,  v = f(x~) c~,  mu = lam H'(z)
    V' = V A + k~ w v^T,            e = f(x) sqrt(eta_T) a - f(x~) sqrt(eta_G) a~,  A = 1 - k~ lam diag H'(S_ll)

so G' is a function of G, u, v, eps = X^T e and |e|^2 (``update``). Their law at given G, for every n >= D:

    x = q.c + sqrt(eta_T z) g,   x~ = r.c~ + sqrt(eta_G z) g~                 g, g~ ~ N(0, 1): a, a~ along w
    eps = L h,  |e|^2 = |h|^2 + s^2 chi^2_{n-D},  L L^T = G                   s^2 = f(x)^2 eta_T + f(x~)^2 eta_G
    h = s (zeta - (zeta.om) om) + (f(x) sqrt(eta_T) g - f(x~) sqrt(eta_G) g~) om,   zeta ~ N(0, I_D),  om = w/|w|

for f(x), f(x~) depend on a, a~ through their components along w alone: at right angles to w, e is Gaussian with
variance s^2 per direction, in the span of X (coordinates h on an orthonormal basis, om = last row of L / |w|) or not.
The squared norms of the residuals of a and a~ and their inner product enter |e|^2 only, in just this combination, so
that one chi^2 draw stands for the three. Where G is singular L has zero columns; their h then stand for directions
outside the span, and |e|^2 keeps its law: nothing else changes.

With the hard constraint w' and the columns of V' are divided by their norms after the step.

The noise is drawn by NumPy and given in rows of 4d + 3: xi (d), xi~ (d) of the latents, g, g~, zeta. The compiled code
is deterministic, and Numba can keep it on disk. ``dims`` is a tuple of d zeros: its length is known to the compiler,
which unrolls the loops over features.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import sqrt, tanh
from typing import Any, TypeVar

import numpy as np

from ...base.errors import InputError
from .records import DIVERGENCE

try:
    import numba as nb
except ValueError as error:  # of the environment: no threads, more than there may be
    rule = "hold settings with which Numba can be imported, or none"
    raise InputError("environment variables NUMBA_...", rule, str(error)) from None

#: pivots of the Gram matrix below this times its diagonal count as zero. Rounding leaves 1e-16 there: an entry of L
#: would be off by 1e-16/sqrt(pivot); dropping the pivot changes the noise by sqrt(PIVOT). Both are below 2e-7.
PIVOT = 64 * float(np.finfo(float).eps)
#: H' of the constraint
HARD, LINEAR, TANH = 0, 1, 2


F = TypeVar("F", bound=Callable[..., Any])

Rates = tuple[float, float, float, float, float, int]


class _Kept:
    """Numba's cache of one function, except that a disk that fails (full, no longer writable) is none of our errors."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *key: Any) -> Any:
        with suppress(OSError):
            return self._cache.load_overload(*key)

    def save_overload(self, *entry: Any) -> None:
        with suppress(OSError):
            self._cache.save_overload(*entry)


def compiled(**options: Any) -> Callable[[F], F]:
    """``numba.njit``, kept on disk where there is a place for it: a folder that can be written to."""

    def decorate(function: F) -> F:
        try:
            made = nb.njit(cache=True, error_model="numpy", **options)(function)
            if made is not function:  # NUMBA_DISABLE_JIT
                made._cache = _Kept(made._cache)
            return made
        except (
            RuntimeError
        ):  # "no locator available": neither the package's folder, nor the user's, nor NUMBA_CACHE_DIR
            return nb.njit(error_model="numpy", **options)(function)

    return decorate


@compiled(inline="always")
def penalty(kind: int, x: float) -> float:
    """H'(x); 0 for the hard constraint, whose multiplier is the division by the norms."""
    if kind == LINEAR:
        return x - 1.0
    if kind == TANH:
        return tanh(x - 1.0)
    return 0.0


@compiled(forceinline=True)
def cholesky(dims: tuple[int, ...], G: np.ndarray, L: np.ndarray) -> None:
    """Lower-triangular L with L L^T = G, a zero column for every pivot that is zero to rounding. U^T U = I is used."""
    d = len(dims)
    for i in range(d + 1):  # rows of V, then w
        for j in range(d):
            L[d + i, j] = G[d + i, j]
    for j in range(d + 1):
        pivot = G[d + j, d + j]
        for k in range(d + j):
            pivot -= L[d + j, k] * L[d + j, k]
        zero = pivot <= PIVOT * G[d + j, d + j]
        root = 0.0 if zero else sqrt(pivot)
        inverse = 0.0 if zero else 1.0 / root
        L[d + j, d + j] = root
        for i in range(j + 1, d + 1):
            value = G[d + i, d + j]
            for k in range(d + j):
                value -= L[d + i, k] * L[d + j, k]
            L[d + i, d + j] = value * inverse


@compiled(forceinline=True)
def update(
    dims: tuple[int, ...], G: np.ndarray, u: np.ndarray, v: np.ndarray, eps: np.ndarray, norm2: float,
    k: float, kt: float, kind: int, lam: float, work: np.ndarray,
) -> None:  # fmt: skip
    """G -> G' in place. u, v (d,), eps (D,) = X^T e, norm2 = |e|^2; work (3, d) is overwritten."""
    d = len(dims)
    w = 2 * d
    z = G[w, w]
    om = 1.0 - k * lam * penalty(kind, z)
    wd, dd = eps[w], norm2  # w.Delta, |Delta|^2
    for i in range(d):
        a, b = u[i] + eps[i], eps[d + i]  # U^T Delta, V^T Delta
        for j in range(d):
            a -= G[i, d + j] * v[j]
            b += G[j, d + i] * u[j] - G[d + i, d + j] * v[j]
        work[0, i], work[1, i] = a, b
        wd += u[i] * G[i, w] - v[i] * G[d + i, w]
        dd += u[i] * (a + eps[i]) - v[i] * (b + eps[d + i])
        work[2, i] = 1.0 - kt * lam * penalty(kind, G[d + i, d + i])  # A
    ww = om * z + k * wd  # w.w'
    # S and P first: they use the old r and q
    for i in range(d):
        Ai, vi = work[2, i], kt * v[i]
        for j in range(i + 1):
            Aj, vj = work[2, j], kt * v[j]
            new = Ai * Aj * G[d + i, d + j] + Ai * G[d + i, w] * vj + Aj * G[d + j, w] * vi + z * vi * vj
            G[d + i, d + j] = new
            G[d + j, d + i] = new
        for j in range(d):
            new = Ai * G[j, d + i] + vi * G[j, w]
            G[j, d + i] = new
            G[d + i, j] = new
    for i in range(d):
        r = work[2, i] * (om * G[d + i, w] + k * work[1, i]) + kt * v[i] * ww
        q = om * G[i, w] + k * work[0, i]
        G[d + i, w] = r
        G[w, d + i] = r
        G[i, w] = q
        G[w, i] = q
    G[w, w] = om * om * z + 2.0 * om * k * wd + k * k * dd
    if kind == HARD:
        normalise(dims, G, work)


@compiled(forceinline=True)
def normalise(dims: tuple[int, ...], G: np.ndarray, work: np.ndarray) -> None:
    """w and the columns of V divided by their norms; U has unit columns."""
    d = len(dims)
    w = 2 * d
    sw = 1.0 / sqrt(G[w, w])
    for i in range(d):
        work[0, i] = 1.0 / sqrt(G[d + i, d + i])
    for i in range(d):
        si = work[0, i]
        for j in range(d):
            G[j, d + i] *= si
            G[d + i, j] = G[j, d + i]
        for j in range(i):
            G[d + i, d + j] *= si * work[0, j]
            G[d + j, d + i] = G[d + i, d + j]
        G[d + i, d + i] = 1.0
        G[d + i, w] *= si * sw
        G[w, d + i] = G[d + i, w]
        G[i, w] *= sw
        G[w, i] = G[i, w]
    G[w, w] = 1.0


@compiled(forceinline=True)
def scores(
    dims: tuple[int, ...], G: np.ndarray, root_T: float, root_G: float, scale: np.ndarray, scale_fake: np.ndarray,
    xi: np.ndarray,
) -> tuple[float, float]:  # fmt: skip
    """x, x~ of a row of noise."""
    d = len(dims)
    length = sqrt(G[2 * d, 2 * d])
    x, xt = root_T * length * xi[2 * d], root_G * length * xi[2 * d + 1]
    for i in range(d):
        x += G[i, 2 * d] * scale[i] * xi[i]
        xt += G[d + i, 2 * d] * scale_fake[i] * xi[d + i]
    return x, xt


@compiled(forceinline=True)
def step(
    dims: tuple[int, ...], G: np.ndarray, rates: Rates, scale: np.ndarray, scale_fake: np.ndarray, xi: np.ndarray,
    chi2: float, fx: float, ft: float, work: np.ndarray,
) -> bool:  # fmt: skip
    """One step of G in place, with a row of noise and f(x), f(x~). Returns False on divergence.

    rates (k, k~, sqrt(eta_T), sqrt(eta_G), lam, kind); work (7 + D, D) is overwritten.
    """
    k, kt, root_T, root_G, lam, kind = rates
    d = len(dims)
    w = 2 * d
    u, v, h, eps, L = work[0], work[1], work[2], work[3], work[7:]
    for i in range(d):
        u[i] = fx * scale[i] * xi[i]
        v[i] = ft * scale_fake[i] * xi[d + i]
    cholesky(dims, G, L)
    noise, noise_fake = fx * root_T, ft * root_G
    s2 = noise * noise + noise_fake * noise_fake
    s = sqrt(s2)
    # h: isotropic, its component along w replaced by the one that x and x~ have seen
    dot, om2, norm2 = 0.0, 0.0, s2 * chi2
    for i in range(w + 1):
        h[i] = s * xi[w + 2 + i]
        dot += L[w, i] * h[i]
        om2 += L[w, i] * L[w, i]
    seen = noise * xi[w] - noise_fake * xi[w + 1]
    shift = (seen * sqrt(om2) - dot) / om2 if om2 > 0.0 else 0.0
    for i in range(w + 1):
        h[i] += shift * L[w, i]
        norm2 += h[i] * h[i]
    for i in range(d):
        eps[i] = h[i]
    for i in range(d, w + 1):
        value = 0.0
        for j in range(i + 1):
            value += L[i, j] * h[j]
        eps[i] = value
    update(dims, G, u, v, eps, norm2, k, kt, kind, lam, work[4:7])
    largest = G[w, w]
    for i in range(d):
        largest = max(largest, G[d + i, d + i])
    return largest < DIVERGENCE


@compiled(forceinline=True)
def advance(dims, G, linear, rates, scale, scale_fake, noise, chi2, start, marks, out):
    """A step of G in place for every row of noise, f(x) = x if ``linear`` else tanh(x).

    rates (k, k~, sqrt(eta_T), sqrt(eta_G), lam, kind); scale, scale_fake (d,) square roots of the latent variances;
    noise (steps, 4d + 3), chi2 (steps,); start: steps done before. G at the steps ``marks`` goes to ``out``.
    Returns the step of divergence, or -1.
    """
    work = np.empty((8 + 2 * len(dims), 1 + 2 * len(dims)))
    mark = 0
    for t in range(noise.shape[0]):
        x, xt = scores(dims, G, rates[2], rates[3], scale, scale_fake, noise[t])
        fx, ft = (x, xt) if linear else (tanh(x), tanh(xt))
        if not step(dims, G, rates, scale, scale_fake, noise[t], chi2[t], fx, ft, work):
            return start + t + 1
        if mark < marks.shape[0] and marks[mark] == start + t + 1:
            out[mark] = G
            mark += 1
    return -1


def profile_advance(function: Callable[[float], float]) -> Callable[..., int]:
    """``advance`` for any scalar function that Numba can compile (else NumbaError); compiled anew in every session.

    A function given to a compiled one cannot be kept on disk: hence two loops.
    """
    f = nb.njit("float64(float64)")(function)

    @nb.njit(error_model="numpy")
    def advance(dims, G, linear, rates, scale, scale_fake, noise, chi2, start, marks, out):
        work = np.empty((8 + 2 * len(dims), 1 + 2 * len(dims)))
        mark = 0
        for t in range(noise.shape[0]):
            x, xt = scores(dims, G, rates[2], rates[3], scale, scale_fake, noise[t])
            if not step(dims, G, rates, scale, scale_fake, noise[t], chi2[t], f(x), f(xt), work):
                return start + t + 1
            if mark < marks.shape[0] and marks[mark] == start + t + 1:
                out[mark] = G
                mark += 1
        return -1

    return advance
