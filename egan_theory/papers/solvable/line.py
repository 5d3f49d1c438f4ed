"""The line of fixed points q = r = 0 of the macroscopic ODE: every (P, S) on it is fixed.

Only (q, r) move to first order, by the block (f(x) = x, hard constraint)

    [ tau (Lambda - xi)    -tau P Lambda~                       ]
    [ tau P^T Lambda        taut Lambda~ - tau (S Lambda~ + xi) ]         xi = tau (eta_T^2 + eta_G^2) / 2

Where each true feature overlaps with at most one generated one and S = I it falls into 2 x 2 blocks, whose eigenvalues
are closed forms at any d. Its trace does not depend on P.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from ...base.errors import InputError
from .model import Solvable


def line_block(model: Solvable, P: np.ndarray, S: np.ndarray | None = None) -> np.ndarray:
    """(2d, 2d) Jacobian of (q, r) at q = r = 0, z = 1: the block above.

    Raises InputError unless f(x) = x with the hard constraint.
    """
    require_linear(model)
    P = np.asarray(P, dtype=float)
    S = np.eye(model.d) if S is None else np.asarray(S, dtype=float)
    xi, one = forgetting(model), np.eye(model.d)
    L, Lt = np.diag(model.L), np.diag(model.Lt)
    return np.block(
        [
            [model.tau * (L - xi * one), -model.tau * P @ Lt],
            [model.tau * P.T @ L, model.taut * Lt - model.tau * (S @ Lt + xi * one)],
        ]
    )


def line_drift(model: Solvable, P: np.ndarray, S: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(d, d) drift <dP/dt> and diffusion constant of P on the stable part of the line at finite ``model.n``.

        drift = taut ( <q r^T> Lambda~ - P diag <r_l Lambda~_l r_l> )
        diffusion_lm = (taut Lambda~_m)^2 ( <q_l q_l> <r_m r_m> + <q_l r_m>^2 ) / (2 rho)

    with the stationary fluctuations C = <(q, r)(q, r)^T>, J C + C J^T + (tau^2/n)(eta_T^2 + eta_G^2) G = 0, J the block
    of the line, rho its slowest decay rate, G the Gram matrix of (U, V). In a time T, P moves by drift T +-
    sqrt(2 diffusion T); the ODE does not move there. First orders, 1/n and 1/n^2; the diffusion is an estimate (one
    correlation time for all).
    Raises InputError where the line is not stable, unless f(x) = x, hard.
    """
    d, P = model.d, np.asarray(P, dtype=float)
    S = np.eye(d) if S is None else np.asarray(S, dtype=float)
    J = line_block(model, P, S)
    rho = -float(np.linalg.eigvals(J).real.max())
    if rho <= 0:
        raise InputError("P", "be a stable point of the line", P.tolist())
    G = np.block([[np.eye(d), P], [P.T, S]])
    C = solve_continuous_lyapunov(J, -(model.tau**2) * (model.eta_T**2 + model.eta_G**2) / model.n * G)
    qq, qr, rr = np.diag(C)[:d], C[:d, d:], np.diag(C)[d:]
    variance = qq[:, None] * rr + qr**2
    return model.taut * (qr - P * rr) * model.Lt, (model.taut * model.Lt) ** 2 * variance / (2 * rho)


def forgetting(model: Solvable) -> float:
    """xi = tau (eta_T^2 + eta_G^2)/2: single samples make the discriminator forget at the rate tau xi."""
    return model.tau * (model.eta_T**2 + model.eta_G**2) / 2


def block_eigenvalues(model: Solvable, feature: int, fake: int, overlap: Any) -> np.ndarray:
    """(..., 2) eigenvalues (1/time) of the 2 x 2 block of one true and one generated feature with that overlap."""
    require_linear(model)
    trace, det = block_trace(model, feature, fake), block_determinant(model, feature, fake, np.asarray(overlap))
    root = np.sqrt(np.asarray(trace**2 / 4 - det, dtype=complex))
    # the smaller root from the product: trace/2 and the root may cancel
    large = trace / 2 + np.where(trace >= 0, 1, -1) * root
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.where(large != 0, det / large, 0.0)
    return np.stack([large, small], axis=-1)


def block_trace(model: Solvable, feature: int, fake: int) -> float:
    """tau (Lambda_l - Lambda~_m) + taut Lambda~_m - 2 tau xi; the same for every overlap."""
    L, Lt = model.L[feature], model.Lt[fake]
    return float(model.tau * (L - Lt) + model.taut * Lt - 2 * model.tau * forgetting(model))


def block_determinant(model: Solvable, feature: int, fake: int, overlap: Any) -> Any:
    L, Lt, xi, tau = model.L[feature], model.Lt[fake], forgetting(model), model.tau
    return tau * (L - xi) * (model.taut * Lt - tau * (Lt + xi)) + tau**2 * L * Lt * overlap**2


def line_eigenvalues(model: Solvable, P: np.ndarray) -> np.ndarray:
    """(2d,) closed-form eigenvalues at q = r = 0, S = I, where no row or column of P has two entries other than 0.

    Covers the perfect state P = +-I and its permutations, the noninformative one P = 0, and everything between.
    """
    P = np.asarray(P, dtype=float)
    used = P != 0
    if used.sum(0).max() > 1 or used.sum(1).max() > 1:
        raise InputError("P", "have at most one entry other than 0 in each row and column for closed forms", P.tolist())
    partner = np.full(model.d, -1)
    partner[np.nonzero(used)[0]] = np.nonzero(used)[1]
    free = iter(sorted(set(range(model.d)) - set(partner[partner >= 0].tolist())))
    pairs = [(i, int(m) if m >= 0 else next(free)) for i, m in enumerate(partner)]
    return np.concatenate([block_eigenvalues(model, i, m, P[i, m]) for i, m in pairs])


# -- boundaries -------------------------------------------------------------------------------------------------------


def success_ratio(model: Solvable) -> float:
    """alpha = taut/tau above which the perfect state P = I oscillates: min over l of 2 xi/L~_l + 1 - L_l/L~_l.

    Equal Lambda and noise: taut = 2 tau^2 eta^2 / Lambda_1. A determinant may be lost first only where Lambda~ differs.
    """
    require_linear(model)
    return float(((2 * forgetting(model) - model.L) / model.Lt + 1).min())


def learnable(model: Solvable) -> np.ndarray:
    """(d,) whether the discriminator can hold feature l against forgetting: xi < Lambda_l (eta^2 < Lambda_l/tau)."""
    require_linear(model)
    return forgetting(model) < model.L


def trace_ratio(model: Solvable) -> float:
    """alpha above which no P at all is stable: the trace 2 tau d xi is then outweighed, whatever the rotation."""
    require_linear(model)
    total = model.Lt.sum()
    return float((2 * model.d * forgetting(model) - model.L.sum()) / total + 1)


def require_linear(model: Solvable) -> None:
    if not model.linear:
        raise InputError("solvable.nonlinearity", "be 'identity' for closed forms", repr(model.nonlinearity))
    if not model.hard:
        raise InputError("solvable.constraint", "be 'hard' for closed forms", repr(model.constraint))
