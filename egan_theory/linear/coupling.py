"""The coupling S of the particles on the target's points, and the discriminator's damping (linear.system)."""

from __future__ import annotations

import numpy as np

from ..experiment import Experiment
from ..experiment.targets import Uniform

EPS = float(np.finfo(float).eps)


def coupling(exp: Experiment) -> tuple[np.ndarray, np.ndarray, float]:
    """S = diag(s) + c p p^T as (s (M,), p (M,), c): s_a = omega (g1 - g2) sum_(i on a) m_i^2, c = omega g2."""
    p, kernel = exp.points.weights, exp.generator.kernel
    squares = np.bincount(exp.assignment, weights=exp.masses**2, minlength=len(p))
    return exp.omega * (kernel.g1 - kernel.g2) * squares, p, exp.omega * kernel.g2


def coupling_root(exp: Experiment) -> np.ndarray:
    """S^(1/2), (M, M) symmetric positive semidefinite."""
    s, p, c = coupling(exp)
    values, vectors = np.linalg.eigh(np.diag(s) + c * np.outer(p, p))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def coupling_ratio(exp: Experiment) -> float | None:
    """r if S acts as r P on every mode that the discriminator separates, else None.

    On a periodic lattice the collective part of S does not act at k != 0 (brief 2a); elsewhere it must vanish.
    """
    s, p, c = coupling(exp)
    ratio = s / p
    proportional = np.ptp(ratio) <= 16 * EPS * ratio.max()
    if not proportional or (c != 0 and not isinstance(exp.target, Uniform)):
        return None
    return float(ratio.mean())


def damping(exp: Experiment) -> tuple[float, float, float]:
    """(nu, kappa, lambda) at q = p: weight decay, total value curvature, total gradient penalty."""
    k = exp.penalty.coefficients
    return float(k.nu), float(exp.loss_object.kappa + k.value_p + k.value_q), float(k.grad_p + k.grad_q)
