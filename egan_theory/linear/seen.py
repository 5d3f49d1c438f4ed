"""The features that the data see: weighted rows at the target's nodes, kept for problems with the same ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.errors import NotLinearizable
from ..features import DictionaryFeatures, FeatureMap, feature_map
from ..features.choose import sample_features
from ..kernels.wide.network import WideKernel
from ..problem.problem import EPS, Problem, frozen, kept
from .packed import Rows, packed_rows, packed_weights

#: the largest feature matrix (numbers) that is built
MAX_FEATURE_ENTRIES = 400_000_000


class Seen(NamedTuple):
    """Weighted feature rows at the data's nodes, read-only: psi, sqrt(p w) psi (MQ, P), and gradients, sqrt(p w) grad
    psi (MQ d, P); mean, the noise-averaged gradients, unweighted, (M d, P). resolution: part of the largest singular
    value to which the small ones are exact; squares: the same of their squares, the eigenvalues of products of rows;
    rows: part of their norm to which matrices made of rows are known.

    Of a network with more weights than rows: in an orthonormal basis of the weights that the rows see, P' <= P of them
    (TangentFeatures.seen_rows), which leaves all products of rows as they are. Of packed samples: rows of tuples, in
    the coordinates of linear.packed, and the gradients along every sample of E D."""

    psi: np.ndarray
    gradients: np.ndarray
    mean: np.ndarray
    resolution: float
    squares: float = EPS
    rows: float = EPS


def not_of_features(problem: Problem) -> tuple[str, ...]:
    """Fields on which the features at the data do not depend (the box of Fourier modes holds the starts, too)."""
    exp = problem.exp
    penalties = tuple(f"penalty.{name}" for name in type(exp.penalty).model_fields if name != "instance_noise")
    starts = () if exp.discriminator.evaluation == "fourier" else ("run", "generator")
    return ("loss", "update", "memory", "likelihood", "discriminator.learning_rate", *penalties, *starts)


@kept(not_of_features)
def features_of(problem: Problem) -> FeatureMap:
    """``feature_map`` of the experiment, kept for the next one with the same points and discriminator."""
    return feature_map(problem.exp)


def seen(problem: Problem) -> Seen:
    """The features that the data see."""
    if problem.packing is None:
        found = _of_samples(problem)
        root = np.sqrt(problem.p[:, None] * problem.noise[1]).ravel()
        return found._replace(psi=centred(problem, found.psi, root))
    rows = _packed(problem, _damped(problem))
    return Seen(rows.psi, rows.gradients, rows.felt, EPS)


def values_seen(problem: Problem) -> np.ndarray:
    """Weighted rows sqrt(p w) psi (MQ, P) of D itself at the data's nodes, one sample at a time, in the basis of
    ``seen``."""
    return _of_samples(problem).psi


def centred(problem: Problem, psi: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Weighted rows psi (n, P) as values damp them: psi^T psi with kappa, or, of a loss of pairs, whose part s of
    kappa acts on D minus its mean alone, Eq. (121, pair-damping), psi^T (1 - s u u^T) psi; u = root = sqrt(weights),
    |u| = 1.
    """
    if not problem.loss.pairs or not len(psi):
        return psi
    left = problem.damping.kappa - problem.loss.kappa
    return psi - (1 - np.sqrt(left / problem.damping.kappa)) * np.outer(root, root @ psi)


def seen_weights(problem: Problem, w: np.ndarray) -> np.ndarray | None:
    """Weights (..., P) of feature_map in the coordinates of ``seen``; None where they are of others."""
    if problem.packing is not None and problem.packing.kernel == "product":
        rows = _packed(problem, _damped(problem))
        return packed_weights(rows, w) if w.shape[-1] == rows.basis.shape[1] ** rows.degree else None
    return w if w.shape[-1] == seen(problem).psi.shape[-1] else None


def _damped(problem: Problem) -> bool:
    """By values or gradients of D: packed samples then need more weights than particles feel."""
    return any(problem.damping[1:])


@kept(not_of_features)
def _packed(problem: Problem, damped: bool) -> Rows:
    assert problem.packing is not None
    rows = packed_rows(sample_features(problem.exp), problem.Y, problem.p, *problem.noise, problem.packing, damped)
    frozen(rows.psi, rows.gradients, rows.felt)
    return rows


@kept(not_of_features)
def _of_samples(problem: Problem) -> Seen:
    fm, Y, p, (offsets, weights) = features_of(problem), problem.Y, problem.p, problem.noise
    (M, d), Q = Y.shape, len(weights)
    nodes, eps = (Y[:, None, :] + offsets).reshape(-1, d), EPS
    seen_rows = getattr(fm, "seen_rows", None)
    if seen_rows is not None:
        both, exact = seen_rows(nodes)
        values, grad = both[: M * Q], both[M * Q :].reshape(M * Q, d, -1)
        eps = EPS if exact else float(np.sqrt(EPS))
    elif M * Q * (d + 1) * fm.size > MAX_FEATURE_ENTRIES:
        raise NotLinearizable(
            "discriminator.features",
            f"give a feature matrix of at most {MAX_FEATURE_ENTRIES:.0e} numbers "
            "(egan spectrum --extreme K needs none, for exact kernels)",
            f"{M * Q * (d + 1)} x {fm.size}",
        )
    else:
        at = fm.at(nodes)
        values, grad = at.psi(), at.grad()
        kernel = getattr(fm, "kernel", None)
        if isinstance(kernel, WideKernel):  # of H, whose eigenvalues are squares
            eps = max(EPS, float(np.sqrt(kernel.rounding(Y))))
    P = values.shape[-1]
    root = np.sqrt(p[:, None] * weights).ravel()
    psi, rows = root[:, None] * values, (root[:, None, None] * grad).reshape(-1, P)
    mean = np.einsum("q,mqap->map", weights, grad.reshape(M, Q, d, P)).reshape(M * d, P)
    frozen(psi, rows, mean)
    squares, known = max(eps**2, EPS), max(eps**2, EPS)
    if isinstance(fm, DictionaryFeatures):
        squares, known = max(squares, fm.left_out), max(known, fm.rows_known)
    return Seen(psi, rows, mean, eps, squares, known)
