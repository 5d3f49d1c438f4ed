"""The Gram matrix of a user's network, checked: numbers, their precision, symmetry, sign, and what rounding left of it.

The rows' products are right to about eps sqrt(G_ii G_jj), eps that of the numbers they were computed in, so that

    |error|_2 <= ROUNDING eps tr G

(the Frobenius norm of sqrt(G_ii G_jj) is the trace). Eigenvalues below that are not known; negative ones beyond it are
no rounding, and the matrix none of products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.arrays import numbers
from ..base.errors import InputError
from ..features.rows import RowFeatures
from .practice import MAX_ROWS

Array = np.ndarray

#: rounding error of a product of two rows, in eps of the product of their lengths: storage, sums in blocks
ROUNDING = 4
#: entries outside this range would overflow or vanish in squares
SMALLEST, LARGEST = 1e-100, 1e100
#: precisions that a float64 matrix may have been stored in before, coarsest first
STORED = (np.float16, np.float32)


@dataclass(frozen=True)
class Gram:
    """``matrix``: float64, symmetric, of [psi; grad psi] (``values``) or grad psi alone at ``points`` points.

    eps: of the precision it was computed in, named ``precision``; noise: eigenvalues up to this are rounding."""

    matrix: Array
    points: int
    values: bool
    eps: float
    precision: str

    @property
    def gradients(self) -> Array:
        """H, (M d, M d)."""
        return self.matrix[self.points :, self.points :] if self.values else self.matrix

    def noise(self, matrix: Array) -> float:
        """Largest eigenvalue of the rounding error of a principal part."""
        return ROUNDING * self.eps * float(np.trace(matrix))

    def part(self, index: Array) -> Gram:
        """That of the chosen points."""
        M, d = self.points, len(self.gradients) // self.points
        rows = (M * self.values + d * index[:, None] + np.arange(d)).ravel()
        chosen = np.concatenate([index, rows]) if self.values else rows
        return Gram(self.matrix[np.ix_(chosen, chosen)], len(index), self.values, self.eps, self.precision)

    def rows(self) -> RowFeatures:
        """Rows that have these products, as far as rounding leaves them."""
        return RowFeatures.from_gram(self.matrix, self.points, self.noise(self.matrix), self.values)


def checked_gram(gram: Any, points: int, dimension: int, field: str = "gram") -> Gram:
    """The matrix of ``points`` points in ``dimension`` dimensions. Raises InputError for what is not finite, not
    symmetric, not positive semidefinite up to the rounding of its own precision, zero, or of another size."""
    array = numbers(field, gram)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise InputError(field, "be a square matrix of finite numbers", f"shape {array.shape}")
    n = len(array)
    if points < 1 or dimension < 1 or n not in (points * dimension, points * (1 + dimension)):
        rule = "have points * dimension rows (gradients) or points * (1 + dimension) (values, then gradients)"
        raise InputError(field, rule, f"{n} rows for {points} points in {dimension} dimensions")
    if n > MAX_ROWS:
        raise InputError(field, f"have at most {MAX_ROWS} rows (fewer points)", n)
    eps, precision = _precision(array)
    matrix = array.astype(float)
    if not np.all(np.isfinite(matrix)):
        i, j = np.argwhere(~np.isfinite(matrix))[0]
        raise InputError(field, "be a square matrix of finite numbers", f"{matrix[i, j]} at row {i}, column {j}")
    found = Gram((matrix + matrix.T) / 2, points, n == points * (1 + dimension), eps, precision)
    size = float(np.abs(matrix).max())
    if size == 0 or not np.any(found.gradients):
        raise InputError(field, "not be zero: D's gradient at the points has to depend on its weights", "zeros")
    if not SMALLEST <= size <= LARGEST:
        rule = f"have entries of a size between {SMALLEST:g} and {LARGEST:g} (change the unit of D or of the data)"
        raise InputError(field, rule, f"{size:.3g}")
    diagonal = np.diag(matrix)
    if diagonal.min() < 0:
        i = int(np.argmin(diagonal))
        raise InputError(field, "be positive semidefinite (products of rows)", f"{diagonal[i]:.3g} on its diagonal")
    error = 2 * found.noise(found.matrix)
    difference = float(np.abs(matrix - matrix.T).max())
    if difference > error:
        raise InputError(field, "be symmetric", f"differences up to {difference:.3g}, entries up to {size:.3g}")
    lowest, highest = np.linalg.eigvalsh(found.matrix)[[0, -1]]
    if -lowest > error:
        rule = f"be positive semidefinite up to the rounding of {precision}"
        raise InputError(field, rule, f"an eigenvalue of {lowest:.3g} beside the largest, {highest:.3g}")
    return found


def _precision(array: Array) -> tuple[float, str]:
    """(eps, name) of the numbers: of their type, or of a shorter one that holds them all. Integers are exact."""
    if array.dtype.kind != "f" or np.array_equal(array, np.rint(array)):
        return float(np.finfo(float).eps), "float64"
    dtype = np.dtype(array.dtype)
    for short in STORED:
        if dtype.itemsize > np.dtype(short).itemsize:
            with np.errstate(over="ignore", under="ignore"):
                if np.array_equal(array.astype(short).astype(dtype), array):
                    return float(np.finfo(short).eps), f"{np.dtype(short)} (stored as {dtype})"
    return max(float(np.finfo(dtype).eps), float(np.finfo(float).eps)), str(dtype)


__all__ = ["Gram", "checked_gram"]
