"""Four remedies as linear response of one mode: likelihood term, best response, averages of play, packed samples.

A mode is the oscillator s^2 + a s + w2 = 0 of ``linearize``; each remedy changes it in one place.

Sources: best response: Li, Madry, Peebles, Schmidt 2018, arXiv:1706.09884; averages: Ge, Xia, Chen, Berry, Wu 2018,
arXiv:1803.08647; packing: Lin, Khetan, Fanti, Oh 2018, arXiv:1712.04086. The formulas are derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from ..base.errors import InputError
from .damping import Best
from .linearize import _order, collective_velocity, symbols

#: strength alpha of the likelihood term, before eta_G (g1 - g2); x = eta_G (g1 - g2) alpha f_k its damping of a mode
alpha = sp.Symbol("alpha", nonnegative=True)
#: f_k: what the likelihood term damps a mode by, per unit of eta_G (g1 - g2) alpha
f = sp.Symbol("f_k", positive=True)
#: times over which the generator's and the discriminator's play is averaged
tau_q, tau_D = sp.symbols("tau_q tau_D", positive=True)


# -- likelihood -----------------------------------------------------------------------------------------------------


@cache
def score_rate() -> sp.Expr:
    """f_k = k^2 exp(-s^2 k^2/2) (bandwidth s = ``symbols.sigma``): dq_k/dt = -eta_G (g1 - g2) alpha f_k q_k.

    The drift alpha grad(log p_s - log q_s) with q = rho + eps q_k cos(kx), p = rho, on the continuity equation of
    the particles, to first order in eps; the estimate multiplies a mode by exp(-s^2 k^2/2), as noise does.
    """
    from .linearize import noise_factor

    y = symbols
    x, eps, q_k = sp.symbols("x epsilon q_k", real=True)
    wave = sp.cos(y.k * x)
    q, seen = y.rho + eps * q_k * wave, y.rho + eps * noise_factor() * q_k * wave
    drift = alpha * sp.diff(sp.log(y.rho) - sp.log(seen), x)
    # Gamma adds g2 times the sum of the drift over the particles, which vanishes as that of grad h does
    velocity = (y.g1 - y.g2) * drift + y.g2 * collective_velocity() / y.b
    rate = sp.simplify(_order(-sp.diff(q * velocity, x), eps, 1) / (q_k * wave))
    return sp.simplify(-rate / (alpha * (y.g1 - y.g2)))


@cache
def _score_function() -> Callable[..., Any]:
    return sp.lambdify([symbols.k, symbols.sigma], score_rate(), "numpy")


def score_damping(k: Any, bandwidth: Any) -> np.ndarray:
    """f_k in numbers; k and bandwidth broadcast."""
    return np.asarray(_score_function()(np.asarray(k, dtype=float), bandwidth))


@cache
def likelihood_dispersion() -> sp.Expr:
    """s^2 + (a + x) s + w2 + a x, x the likelihood's damping of the mode: from the Jacobian's determinant."""
    y, x, omega = symbols, sp.Symbol("x", nonnegative=True), sp.Symbol("omega", positive=True)
    J = sp.Matrix([[-y.a, -omega], [omega, -x]])
    return sp.collect(sp.expand((y.s * sp.eye(2) - J).det()).subs(omega**2, y.w2), y.s)


class Pair(NamedTuple):
    """Best strength and rate where mode i (slowest under-damped) and mode j (over-damped) bind; f_i <= f_j."""

    strength: sp.Expr
    rate: sp.Expr


@cache
def best_likelihood_formula() -> Pair:
    """alpha = 2 w_j / sqrt(f_i (2 f_j - f_i)), rate alpha f_i / 2, in f_i, f_j, w_j; a = 0.

    Under-damped modes decay at alpha f/2, the slowest one is that of the smallest f; an over-damped mode j decays at
    the slow root of s^2 + alpha f_j s + w_j^2. Equal, solved for alpha; i = j is critical damping of the mode alone.
    """
    y = symbols
    f_i, gap, w_j = sp.symbols("f_i g w_j", positive=True)
    f_j = f_i + gap
    u = alpha * f_i / 2
    root = sp.solve(likelihood_dispersion().subs({y.a: 0, y.s: -u, y.w2: w_j**2, sp.Symbol("x", nonnegative=True):
                                                  alpha * f_j}), alpha)  # fmt: skip
    (strength,) = (r for r in root if r.is_nonnegative or r.subs({f_i: 1, gap: 1, w_j: 1}) > 0)
    F_j = sp.Symbol("f_j", positive=True)
    strength = sp.simplify(strength.subs(gap, F_j - f_i))
    return Pair(strength, sp.simplify(strength * f_i / 2))


def best_likelihood(f_k: Any, w: Any) -> Best:
    """Best eta_G (g1 - g2) alpha and its rate over modes with likelihood damping f_k (K,) and frequencies w (K,).

        alpha* = min_j 2 w_j / sqrt(f_min (2 f_j - f_min)),   rate* = alpha* f_min / 2

    Continuous time, the likelihood alone (a_k = 0). Each mode's rate rises with alpha to w_k and then falls, so the
    smallest of them has one maximum: below alpha* the mode of f_min is the slowest, above it one of the over-damped.
    Raises InputError unless every f_k and w_k is positive.
    """
    f_k, w = np.asarray(f_k, dtype=float), np.asarray(w, dtype=float)
    if not (len(f_k) and np.all(f_k > 0) and np.all(w > 0)):
        raise InputError("f_k, w", "be > 0 for every mode (others are not damped by the likelihood)")
    lowest = f_k.min()
    strength = float((2 * w / np.sqrt(lowest * (2 * f_k - lowest))).min())
    return Best(strength, strength * lowest / 2)


# -- averages and best responses ------------------------------------------------------------------------------------


@cache
def averaged(generator: bool, discriminator: bool, best_response: bool = False) -> sp.Poly:
    """Characteristic polynomial in s of one mode whose players answer to averages, from updates.UpdateRule itself.

    generator: the discriminator sees averaged particles (tau_q); discriminator: the generator follows the averaged
    discriminator (tau_D). Both, first-order play: s (s + a)(1 + tau_q s)(1 + tau_D s) + w2, times 1/(tau_q tau_D).
    """
    from ..tables.updates import UpdateRule, linear_opponents

    y, omega = symbols, sp.Symbol("omega", positive=True)
    rule = UpdateRule(
        "best_response_flow" if best_response else "flow",
        average_generator=tau_q if generator else 0.0,
        average_discriminator=tau_D if discriminator else 0.0,
    )
    m = 2 + len(rule.averages)
    rows = tuple(sp.eye(m)[i, :] for i in range(m))

    def Vw(w: Any, x: Any) -> Any:
        return -y.a * w - omega * x

    state = rule.velocity(rows, Vw, lambda w, x: omega * w, linear_opponents(Vw, lambda v: -v / y.a))
    matrix = sp.Matrix.vstack(*state)
    if best_response:  # w has no dynamics: its row is 0 and no other row needs it
        matrix = matrix[1:, 1:]
    polynomial = sp.expand(matrix.charpoly(y.s).as_expr()).subs(omega, sp.sqrt(y.w2))
    return sp.Poly(sp.expand(polynomial), y.s)


def routh_conditions(poly: sp.Poly) -> list[sp.Expr]:
    """Hurwitz determinants, all > 0 if and only if every root of the polynomial (leading term > 0) has Re < 0."""
    c = poly.all_coeffs()
    n = len(c) - 1
    H = sp.Matrix(n, n, lambda i, j: c[2 * j - i + 1] if 0 <= 2 * j - i + 1 <= n else 0)
    return [sp.factor(H[:i, :i].det()) for i in range(1, n + 1)]


# -- packing --------------------------------------------------------------------------------------------------------


def _power(factors: list[sp.Matrix]) -> sp.Matrix:
    """The Kronecker product of all factors."""
    out = sp.Matrix([1])
    for factor in factors:
        out = sp.kronecker_product(out, factor)
    return out


@cache
def packed_kernel(m: int) -> sp.Expr:
    """The kernel that m packed samples act through to first order, features of two dimensions.

    Product kernel: the discriminator of m samples has features psi(x_1) (x) ... (x) psi(x_m); with u = E psi its
    charge is u_p^(x)m - u_q^(x)m and a particle at x feels m psi(x) (x) u^(x)(m-1).
    """
    u, a, b = (sp.Matrix(sp.symbols(f"{name}_1:3", real=True)) for name in ("u", "psi", "phi"))
    eps = sp.Symbol("epsilon")
    charge, force = (_power([u + eps * v] * m).diff(eps).subs(eps, 0) for v in (a, b))
    return sp.expand(charge.dot(force))


@cache
def packed_mode(m: int) -> sp.Matrix:
    """Numbers of a mode of packed samples on a uniform target: its parts of E psi psi^T and of E grad psi grad psi^T,
    and its coupling, for W along sym(e_k (x) e_0 .. e_0), of unit length: what linear.packed.packed_scales has.

    Single samples: E psi psi^T = diag(kappa0, C_k), E grad psi grad psi^T = diag(0, G_k) on the constant feature and
    the mode, E psi = sqrt(kappa0) e_0, coupling mu_k.
    """
    kappa0, C_k, G_k, mu = sp.symbols("kappa_0 C_k G_k mu_k", positive=True)
    C, G, one = sp.diag(kappa0, C_k), sp.diag(0, G_k), sp.eye(2)

    def slots(special: sp.Matrix, other: sp.Matrix) -> sp.Matrix:
        terms = [_power([special if i == slot else other for i in range(m)]) for slot in range(m)]
        return sum(terms[1:], terms[0])

    W = slots(one[:, 1], one[:, 0]) / sp.sqrt(m)
    felt = m * mu * _power([one[1, :], *[sp.sqrt(kappa0) * one[0, :]] * (m - 1)])  # m W . grad psi (x) u .. u
    return sp.Matrix([W.dot(_power([C] * m) * W), W.dot(slots(G, C) * W), (felt * W)[0]])
