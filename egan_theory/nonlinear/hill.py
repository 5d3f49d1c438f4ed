"""Hill's method: multipliers of an orbit from a few directions and harmonics, and what it preconditions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from .circle import Array, Orbit, System, jacobians, resampled, symbol
from .krylov import factors
from .orbits import NoOrbit

#: directions and harmonics of the reduced problem, at most
DIRECTIONS, ORDERS = 40, 3
#: of these directions, those whose answers from the others are included; angles that the derivative's first harmonic is
#: taken from
LEADING, FIRST = 6, 5
#: singular values of the answers below this part of the largest are left out
ANSWERS = 1e-6
#: why an orbit's multipliers are not found
UNSORTED = "the slowest directions of an orbit could not be told from the others: their decay rates are too close"
EQUAL = (
    "more directions than can be told apart decay equally slowly (weights that hardly anything but weight decay "
    "moves), so that the orbit's multipliers are not found"
)
#: growth factors closer than this, relative to the largest, are one
TIED = 1e-10


class Reduced:
    """The problem between a few directions, for the harmonics |k| <= ORDERS: the slowest of the mean derivative, and
    how the others answer to the LEADING ones of these by way of the derivative's first harmonic. (Without the answers
    multipliers would be wrong in the second power of the orbit's size, which is the first that counts.)

    ``basis`` (n, p) and ``dual`` (p, n), dual @ basis = 1."""

    def __init__(self, system: System, orbit: Orbit) -> None:
        m, n = orbit.points.shape
        self.m, self.orbit = m, orbit
        first = np.fft.fft(jacobians(system, resampled(orbit.points, FIRST)), axis=0) / FIRST
        self.mean = first[0].real
        self.schur = scipy.linalg.schur(self.mean.astype(complex), output="complex")
        slow, left = slowest(self.mean, orbit.continuous)
        self.basis, self.dual = _with_answers(slow, left, self.mean, first[1], orbit)
        orders = min(ORDERS, orbit.harmonics)
        few, p = 4 * orders + 1, self.basis.shape[1]
        columns = [
            system.products(np.broadcast_to(z, (p, n)), self.basis.T) @ self.dual.T
            for z in resampled(orbit.points, few)
        ]
        small = np.fft.fft(np.swapaxes(columns, 1, 2), axis=0) / few
        self.k = np.concatenate([np.arange(orders + 1), np.arange(-orders, 0)])
        s = symbol(m, orbit.angle, orbit.continuous)[self.k]
        matrix = np.zeros((len(self.k), p, len(self.k), p), dtype=complex)
        for i, a in enumerate(self.k):
            for j, b in enumerate(self.k):
                matrix[i, :, j, :] = small[(a - b) % few]
            if orbit.continuous:
                matrix[i, :, i, :] -= s[i] * np.eye(p)
            else:
                matrix[i] /= s[i]
        self.matrix = matrix.reshape(len(self.k) * p, -1)

    def pairs(self) -> tuple[Array, Array]:
        """(values, vectors (., m, n)): eigenvalues, from the real matrix on values at equidistant angles."""
        q, p = len(self.k), self.basis.shape[1]
        blocks = self.matrix.reshape(q, p, q, p)
        real = np.fft.ifft(np.fft.fft(blocks, axis=2), axis=0).real.reshape(q * p, q * p)
        values, vectors = np.linalg.eig(real)
        return values, self.lifted(np.fft.fft(vectors.T.reshape(-1, q, p), axis=1).reshape(-1, q * p))

    def lifted(self, u: Array) -> Array:
        """(..., m, n) coefficients of vectors of the reduced problem, of norm 1."""
        p = self.basis.shape[1]
        out = np.zeros((*u.shape[:-1], self.m, len(self.basis)), dtype=complex)
        out[..., self.k, :] = u.reshape(*u.shape[:-1], len(self.k), p) @ self.basis.T
        return out / np.linalg.norm(out, axis=(-2, -1), keepdims=True)

    def inverse(self, value: complex, column: Array, row: Array) -> Callable[[Array], Array]:
        """Of the bordered operator (T - value, column; row, 0), nearly: the reduced problem with the border, and
        the mean derivative on the rest."""
        p, size = self.basis.shape[1], len(self.matrix)
        T, Q = self.schur
        big = np.zeros((size + 1, size + 1), dtype=complex)
        big[:size, :size] = self.matrix - value * np.eye(size)
        big[:size, size] = (column[self.k] @ self.dual.T).ravel()
        big[size, :size] = (row[self.k].conj() @ self.basis).ravel()
        known = factors(big)
        s = symbol(self.m, self.orbit.angle, self.orbit.continuous)
        eye = np.eye(len(T))
        triangles = [(T - (q + value) * eye) if self.orbit.continuous else (T / q - value * eye) for q in s]
        shape = (self.m, len(T))

        def apply(u: Array) -> Array:
            r, last = u[:-1].reshape(shape), u[-1]
            kept = np.zeros(shape, dtype=complex)
            reduced = r[self.k] @ self.dual.T
            kept[self.k] = reduced @ self.basis.T
            small = scipy.linalg.lu_solve(known, np.append(reduced.ravel(), last), check_finite=False)
            out = np.zeros(shape, dtype=complex)
            rest = (r - kept) @ Q.conj()
            for i, triangle in enumerate(triangles):
                out[i] = scipy.linalg.solve_triangular(triangle, rest[i], check_finite=False)
            out = out @ Q.T
            out[self.k] += small[:-1].reshape(-1, p) @ self.basis.T
            return np.append(out.ravel(), small[-1])

        return apply


def slowest(mean: Array, continuous: bool, most: int = DIRECTIONS) -> tuple[Array, Array]:
    """(basis (n, p), dual (p, n)), real, of the invariant subspace of the eigenvalues that decay slowest, p where they
    are followed by the widest gap."""
    n = len(mean)
    if n <= most:
        return np.eye(n), np.eye(n)
    growth = lambda values: values.real if continuous else np.abs(values)  # noqa: E731
    size = np.sort(growth(np.linalg.eigvals(mean)))[::-1]
    gaps = size[: most + 1] - size[1 : most + 2]
    p = most // 4 + int(np.argmax(gaps[most // 4 : most])) + 1
    if gaps[p - 1] <= TIED * np.abs(size).max():
        raise NoOrbit(EQUAL)
    cut = (size[p - 1] + size[p]) / 2
    spaces = []
    for matrix in (mean, mean.T):
        try:
            _, Q, count = scipy.linalg.schur(
                matrix,
                output="real",
                sort=(lambda re, im: re > cut) if continuous else (lambda re, im: np.hypot(re, im) > cut),
            )
        except np.linalg.LinAlgError:  # rounding moves an eigenvalue over the gap
            raise NoOrbit(UNSORTED) from None
        spaces.append(Q[:, :count])
    if spaces[0].shape != spaces[1].shape:
        raise NoOrbit(UNSORTED)
    right, left = spaces
    return right, np.linalg.solve(left.T @ right, left.T)


def _with_answers(slow: Array, left: Array, mean: Array, first: Array, orbit: Orbit) -> tuple[Array, Array]:
    """(basis, dual) with, for every leading direction u of eigenvalue l, (s - mean)^-1 (1 - slow left) J u where
    s = l e^(+-i theta) and J the derivative's harmonics +-1 (flow: s = l +- i omega)."""
    if len(slow) == slow.shape[1]:
        return slow, left
    values, vectors = np.linalg.eig(left @ mean @ slow)
    growth = values.real if orbit.continuous else np.abs(values)
    turn = symbol(3, orbit.angle, orbit.continuous)
    eye, found = np.eye(len(mean)), []
    for i in np.argsort(-growth, kind="stable")[:LEADING]:
        u = slow @ vectors[:, i]
        for harmonic, t in ((first, turn[1]), (first.conj(), turn[-1])):
            force = harmonic @ u
            force = force - slow @ (left @ force)
            s = values[i] + t if orbit.continuous else values[i] * t
            answer = np.linalg.solve(s * eye - mean, force)
            found += [answer.real, answer.imag]
    extra = np.stack(found, axis=1)
    extra = extra - slow @ (left @ extra)
    U, size, _ = np.linalg.svd(extra / np.maximum(np.linalg.norm(extra, axis=0), 1e-300), full_matrices=False)
    extra = U[:, size > ANSWERS * size[0]]
    extra = extra - slow @ (left @ extra)
    dual = np.linalg.pinv(extra)
    return np.hstack([slow, extra]), np.vstack([left, dual - (dual @ slow) @ left])
