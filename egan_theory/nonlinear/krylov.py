"""GMRES with a preconditioner on the right (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986)), and factors
for preconditioners."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg

Apply = Callable[[np.ndarray], np.ndarray]


def gmres(
    apply: Apply, right: np.ndarray, inverse: Apply, tolerance: float, most: int
) -> tuple[np.ndarray, int, float]:
    """(u, iterations, |right - apply(u)| / |right|) with u = inverse(y), the residual over all y of a Krylov space of
    apply(inverse(.)) made least; ends at the tolerance or after ``most`` iterations, without restart."""
    beta = float(np.linalg.norm(right))
    if beta == 0:
        return np.zeros_like(right), 0, 0.0
    basis = [right / beta]
    H = np.zeros((most + 1, most), dtype=right.dtype)
    y, left = np.zeros(0), 1.0
    for j in range(most):
        new = apply(inverse(basis[j]))
        for _ in range(2):  # twice is enough: rounding
            for i, b in enumerate(basis):
                h = np.vdot(b, new)
                H[i, j] += h
                new = new - h * b
        size = float(np.linalg.norm(new))
        H[j + 1, j] = size
        start = np.zeros(j + 2, dtype=right.dtype)
        start[0] = beta
        y = np.linalg.lstsq(H[: j + 2, : j + 1], start, rcond=None)[0]
        left = float(np.linalg.norm(start - H[: j + 2, : j + 1] @ y)) / beta
        if left <= tolerance or size <= np.finfo(float).eps * beta or not np.isfinite(left):
            break
        basis.append(new / size)
    return inverse(np.tensordot(y, np.array(basis[: len(y)]), axes=1)), len(y), left


def factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """LU factors; of a matrix that is singular, those of one next to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
        lu, pivots = scipy.linalg.lu_factor(matrix, check_finite=False)
    diagonal = np.abs(np.diagonal(lu))
    least = np.finfo(float).eps * diagonal.max(initial=1.0)
    if diagonal.min(initial=1.0) < least:
        at = np.flatnonzero(diagonal < least)
        lu[at, at] = least
    return lu, pivots
