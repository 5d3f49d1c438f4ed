"""Strengths and rates of a batch of runs: one number for all of them, or one per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

EPS = float(np.finfo(float).eps)


def merged(values: Sequence[Any]) -> Any:
    """One number where all are equal, else an array (run,)."""
    array = np.array(values, dtype=float)
    return array[0] if np.all(array == array[0]) else array


def present(value: Any) -> bool:
    """Whether a strength is not zero everywhere; called many times a step."""
    return value != 0 if isinstance(value, float) else bool(np.any(value))


def over(value: Any, axes: int) -> Any:
    """A number, or one per run with ``axes`` axes appended so that it broadcasts over the rest."""
    return value if np.ndim(value) == 0 else np.asarray(value).reshape(-1, *(1,) * axes)


def inverse_or_nan(H: np.ndarray) -> np.ndarray:
    """H^-1 (..., P, P) where -H is positive definite, NaN elsewhere."""
    ok = definite(H)[..., None, None]
    return np.where(ok, np.linalg.inv(np.where(ok, H, np.eye(H.shape[-1]))), np.nan)


def definite(H: np.ndarray) -> np.ndarray:
    """Whether each -H (..., P, P) is positive definite to rounding."""
    H = np.where(np.isfinite(H).all((-2, -1))[..., None, None], H, 0.0)
    try:
        # a pivot of Cholesky's factorization is at most the diagonal entry, and small for a singular matrix
        pivots = np.diagonal(np.linalg.cholesky(-H), axis1=-2, axis2=-1) ** 2
    except np.linalg.LinAlgError:
        low = -np.linalg.eigvalsh(H)
        return low.min(-1) > EPS * H.shape[-1] * np.abs(low).max(-1)
    return pivots.min(-1) > EPS * H.shape[-1] * pivots.max(-1)
