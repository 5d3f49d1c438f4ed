"""The terms of the players' gradients, each written once, for arrays of NumPy and of JAX alike.

With f = D - D* at points of weights p (target) or q (particles, instance noise included), and variations of the
discriminator through f and grad f,

    dL_D = sum a df + b . d(grad f),   a = p (f1'(D) - value_p f),   b = -grad_p p grad f     (same with f2', q)
    dL_G = sum_i F_i . dx_i,           F_i = q_i h'(D) grad f

A loss of pairs (tables.losses) has, in place of f1', f2' and h',

    p_i sum_j q_j f'(D_i - D'_j),   -q_j sum_i p_i f'(D_i - D'_j),   q_j sum_i p_i f'(D'_j - D_i)

Strengths are numbers, or arrays that broadcast over f.
"""

from __future__ import annotations

from typing import Any


def value_pull(weight: Any, df: Any, D: Any, f: Any, value: Any) -> Any:
    """a (..., n) of one side; ``df``: f1' or f2', a function of D = D* + f."""
    return weight * (df(D) - value * f)


def pair_pulls(p: Any, q: Any, df: Any, at_p: Any, at_q: Any) -> tuple[Any, Any]:
    """(n,) on the target and (m,) on the particles, of the scores (..., n) and (..., m)."""
    each = df(at_p[..., :, None] - at_q[..., None, :])
    return p * (each @ q), -q * (p @ each)


def pair_force(p: Any, q: Any, df: Any, at_p: Any, at_q: Any, slope: Any) -> Any:
    """F (..., m, d) of a loss of pairs; slope: grad D at the particles."""
    return (q * (df(at_q[..., :, None] - at_p[..., None, :]) @ p))[..., None] * slope


def slope_pull(strength: Any, slope: Any) -> Any:
    """b (..., n, d) of one side or both; strength: grad_p p or grad_q q; slope: grad f."""
    return -strength[..., None] * slope


def generator_force(weight: Any, dh: Any, D: Any, slope: Any) -> Any:
    """F (..., n, d)."""
    return (weight * dh(D))[..., None] * slope


def coupled(relative: Any, collective: Any, F: Any) -> Any:
    """M F = omega Gamma F, (..., N, d), without building Gamma: relative = omega (g1 - g2), collective = omega g2."""
    return relative * F + collective * F.sum(-2, keepdims=True)
