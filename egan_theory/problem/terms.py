"""The terms of the players' gradients, each written once, for arrays of NumPy and of JAX alike.

With f = D - D* at points of weights p (target) or q (particles, instance noise included), and variations of the
discriminator through f and grad f,

    dL_D = sum a df + b . d(grad f),   a = p (f1'(D) - value_p f),   b = -grad_p p grad f     (same with f2', q)
    dL_G = sum_i F_i . dx_i,           F_i = q_i h'(D) grad f

Strengths are numbers, or arrays that broadcast over f.
"""

from __future__ import annotations

from typing import Any


def value_pull(weight: Any, df: Any, D: Any, f: Any, value: Any) -> Any:
    """a (..., n) of one side; ``df``: f1' or f2', a function of D = D* + f."""
    return weight * (df(D) - value * f)


def slope_pull(strength: Any, slope: Any) -> Any:
    """b (..., n, d) of one side or both; strength: grad_p p or grad_q q; slope: grad f."""
    return -strength[..., None] * slope


def generator_force(weight: Any, dh: Any, D: Any, slope: Any) -> Any:
    """F (..., n, d)."""
    return (weight * dh(D))[..., None] * slope


def coupled(relative: Any, collective: Any, F: Any) -> Any:
    """M F = omega Gamma F, (..., N, d), without building Gamma: relative = omega (g1 - g2), collective = omega g2."""
    return relative * F + collective * F.sum(-2, keepdims=True)
