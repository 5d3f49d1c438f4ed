"""The same eigenvalue from a graph Laplacian, a route without basis functions and without gradients.

    k_ij = exp(-|x_i - x_j|^2/(4 eps)),   q = k 1,   k'_ij = k_ij/sqrt(q_i q_j),   L = (1 - D^-1 k')/eps

With this normalisation (alpha = 1/2 of Coifman and Lafon 2006, section 3.3) L tends to -div(p grad .)/p as n -> inf,
then eps -> 0: bias of order eps, noise that grows as eps falls. Samples far from all others are nearly disconnected and
give small eigenvalues of their own; their eigenvectors live on a few points and are passed over.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import eigsh

from ...base.arrays import numbers
from ...base.errors import InputError

#: points beyond this need too large a matrix
MAX_POINTS = 6000
#: eigenvectors looked at, and the share of all points that one must live on to be a mode of the density
LOOKED_AT, SPREAD = 12, 0.05


def graph_laplacian(points: np.ndarray, epsilon: float) -> float:
    """xi_1 of samples at bandwidth ``epsilon``, from a graph Laplacian: no basis functions, no gradients.

    Returns:
        The smallest eigenvalue above 0 whose mode lives on more than a few points.

    Shapes:
        points (n, d) or (n,).

    Units:
        epsilon in length^2, the result in 1/length^2.

    Raises:
        InputError: epsilon that is not above 0 or does not connect the points, or more than 6000 points.

    Source:
        Coifman and Lafon 2006, section 3.3, with alpha = 1/2.
    """
    X = numbers("points", points).astype(float)
    X = X[:, None] if X.ndim == 1 else X
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise InputError("epsilon", "be greater than 0", epsilon)
    if len(X) > MAX_POINTS:
        raise InputError("points", f"be at most {MAX_POINTS} for the graph Laplacian", len(X))
    square = (X**2).sum(-1)
    k = np.exp(-np.maximum(square[:, None] + square - 2 * X @ X.T, 0) / (4 * epsilon))
    q = k.sum(1)
    k /= np.sqrt(q[:, None] * q)
    root = np.sqrt(k.sum(1))
    k /= root[:, None] * root
    v0 = np.random.default_rng(0).standard_normal(len(X))
    values, vectors = eigsh(k, k=LOOKED_AT, which="LA", v0=v0)
    for i in np.argsort(-values)[1:]:
        if 1 / (vectors[:, i] ** 4).sum() >= SPREAD * len(X):  # inverse participation ratio
            return float((1 - values[i]) / epsilon)
    raise InputError("epsilon", "connect the points (modes live on few of them only): give a larger one", epsilon)
