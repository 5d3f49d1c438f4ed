"""Packed samples to first order (features.packed): what the discriminator of m samples adds to the linear system.

About q = p, with u = E psi, C = E psi psi^T, G = E grad psi grad psi^T of single samples (features.packed for D):

    E D moves a sample at y by m W . grad psi(y) (x) u^(x)(m-1),    charges act on the same weights
    A = nu + kappa C^(x)m + lambda sum_slots C (x) .. G .. (x) C                        (product kernel)
    A = nu + kappa [m C + m (m-1) u u^T] + lambda m G                                   (additive kernel)

Weight decay alone: only sym(v (x) u^(x)(m-1)) is ever charged, and the coupling of one sample becomes

    B_m = sqrt(m kappa0^(m-1)) B [1 + (sqrt m - 1) e e^T],   e = u/|u|, kappa0 = |u|^2       (additive: B_m = m B)

On the periodic box u is along the constant feature, C and G are diagonal, and with kappa0 = rho K_0 modes k != 0 have
K_k -> kappa0^(m-1) K_k (additive: m K_k) in A and sqrt(m) times the coupling on both sides.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb
from typing import NamedTuple

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment.settings import Packing
from ..features import FeatureMap
from ..features.packed import symmetric_basis, symmetric_rows

EPS = float(np.finfo(float).eps)
#: most numbers of a matrix of tuples' rows, and most rates of uncoupled weights that are listed
MAX_ENTRIES, MAX_RATES = 200_000_000, 5000


class Rows(NamedTuple):
    """Weighted rows at the tuples (values, gradients), and the gradients that particles feel (M d, S), all in S
    coordinates of the weights; ``basis`` (r, P) and ``mean`` (r,): those of single samples they are built on, u there
    (product kernel: mean None where the coordinates are all symmetric tensors)."""

    psi: np.ndarray
    gradients: np.ndarray
    felt: np.ndarray
    basis: np.ndarray
    mean: np.ndarray | None
    degree: int


def packed_scales(packing: Packing | None, kappa0: float) -> tuple[float, float]:
    """(factor of K_k in A, factor of both couplings) on the periodic box."""
    if packing is None:
        return 1.0, 1.0
    m = packing.degree
    return (kappa0 ** (m - 1) if packing.kernel == "product" else float(m)), float(np.sqrt(m))


def box_scalars(
    packing: Packing, nu: float, kappa: float, lam: float, C: np.ndarray, G: np.ndarray, count: np.ndarray
) -> list[tuple[float, int]]:
    """(rate, multiplicity) of the weights that move no particle on the box: C (1 + K,) of the constant and of K groups
    of ``count`` (K,) modes, G (K,) of the groups. More than MAX_RATES different ones: the fastest, for them all."""
    m = packing.degree
    if packing.kernel == "additive":
        return [(nu + kappa * C[0] * m**2, 1)]
    groups = np.concatenate([[1], count])
    G = np.concatenate([[0.0], G])
    # symmetric tensors without those of one mode and m - 1 constants, which the particles feel
    total = comb(int(groups.sum()) + m - 1, m) - int(count.sum())
    if not kappa and not lam:
        return [(nu, total)]
    if comb(len(groups) + m - 1, m) > MAX_RATES:
        return [(nu + kappa * C.max() ** m + lam * m * float(np.max(G)) * C.max() ** (m - 1), total)]
    out = []
    for chosen in combinations_with_replacement(range(len(groups)), m):
        if chosen.count(0) == m - 1:
            continue
        index, times = np.unique(chosen, return_counts=True)
        c, g = C[list(chosen)], G[list(chosen)]
        slots = sum(float(g[i] * np.prod(np.delete(c, i))) for i in range(m))
        size = int(np.prod([comb(int(groups[i]) + int(t) - 1, int(t)) for i, t in zip(index, times, strict=True)]))
        out.append((nu + kappa * float(np.prod(c)) + lam * slots, size))
    return out


def packed_rows(
    features: FeatureMap, Y: np.ndarray, p: np.ndarray, offsets: np.ndarray, weights: np.ndarray, packing: Packing,
    damped: bool,
) -> Rows:  # fmt: skip
    """Rows at the data's nodes; ``damped``: whether values or gradients of D are penalised, so that tuples matter.

    Raises NotLinearizable (packing.degree) where their matrix would be too large.
    """
    (M, d), Q, m = Y.shape, len(weights), packing.degree
    at = features.at((Y[:, None, :] + offsets).reshape(-1, d))
    psi, grad = at.psi(), at.grad()
    q = (p[:, None] * weights).ravel()
    P = psi.shape[-1]
    if packing.kernel == "additive":
        u = q @ psi
        root = np.sqrt(m * q)
        values = np.concatenate([root[:, None] * psi, np.sqrt(m * (m - 1)) * u[None]])
        felt = m * np.einsum("q,mqap->map", weights, grad.reshape(M, Q, d, P)).reshape(M * d, P)
        rows = (root[:, None, None] * grad).reshape(-1, P)
        return Rows(values, rows, felt, np.eye(0), None, m)
    both = np.concatenate([psi, grad.reshape(-1, P)])
    _, sigma, right = np.linalg.svd(both, full_matrices=False)
    basis = right[sigma > EPS * max(both.shape) * sigma[0]]
    r = len(basis)
    psi, grad = psi @ basis.T, grad @ basis.T
    u = q @ psi
    mean = np.einsum("q,mqap->map", weights, grad.reshape(M, Q, d, r)).reshape(M * d, r)
    if not damped:
        kappa0 = float(u @ u)
        e = u / np.sqrt(kappa0)
        felt = np.sqrt(m * kappa0 ** (m - 1)) * (mean + (np.sqrt(m) - 1) * (mean @ e)[:, None] * e)
        none = np.zeros((0, r))
        return Rows(none, none, felt, basis, u, m)
    tuples, size = comb(len(q) + m - 1, m), comb(r + m - 1, m)
    if max(tuples * (1 + m * d) * size, len(q) * r**m) > MAX_ENTRIES:
        rule = (
            f"leave rows of tuples of at most {MAX_ENTRIES:.0e} numbers (fewer points or features; weight decay alone "
            "with a linear loss needs none)"
        )
        raise NotLinearizable("packing.degree", rule, f"{tuples * (1 + m * d)} x {size}")
    # every set of m nodes once, with the number of its orders
    chosen = np.array(list(combinations_with_replacement(range(len(q)), m)))
    orders = _orders(chosen)
    root = np.sqrt(orders * np.prod(q[chosen], axis=1))[:, None]
    values = root * symmetric_rows([psi[chosen[:, i]] for i in range(m)])
    gradients = [
        root * symmetric_rows([grad[chosen[:, i], a] if i == slot else psi[chosen[:, i]] for i in range(m)])
        for slot in range(m)
        for a in range(d)
    ]
    felt = m * symmetric_rows([mean, *[np.tile(u, (len(mean), 1))] * (m - 1)])
    return Rows(values, np.concatenate(gradients), felt, basis, None, m)


def _orders(chosen: np.ndarray) -> np.ndarray:
    """(T,) how many different orders each row (sorted) has."""
    T, m = chosen.shape
    orders, run = np.ones(T), np.ones(T)
    for i in range(1, m):
        run = np.where(chosen[:, i] == chosen[:, i - 1], run + 1, 1.0)
        orders = orders * (i + 1) / run
    return orders


def packed_weights(rows: Rows, w: np.ndarray) -> np.ndarray:
    """Product kernel: symmetric W (..., P^m), flattened, in the coordinates of ``rows``."""
    m, P = rows.degree, rows.basis.shape[1]
    cube = w
    for _ in range(m):  # every axis onto the seen features
        flat = cube.reshape(*w.shape[:-1], -1, P)
        cube = np.swapaxes(flat @ rows.basis.T, -1, -2).reshape(*w.shape[:-1], -1)
    if rows.mean is None:
        flat = cube.reshape(-1, cube.shape[-1]) @ symmetric_basis(len(rows.basis), m)
        return np.asarray(flat).reshape(*w.shape[:-1], -1)
    e = rows.mean / np.linalg.norm(rows.mean)
    for _ in range(m - 1):
        cube = cube.reshape(*w.shape[:-1], -1, len(e)) @ e
    # isometry v -> sym(v e .. e): sqrt(m) across e, 1 along it
    return np.sqrt(m) * cube + (1 - np.sqrt(m)) * (cube @ e)[..., None] * e


__all__ = ["Rows", "box_scalars", "packed_rows", "packed_scales", "packed_weights"]
