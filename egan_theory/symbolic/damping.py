"""Dispersion relation, damping ratio, critical damping and the best regularizer strengths in closed form.

    s^2 + a s + w^2 = 0
    a = eta_D [nu + (kappa + value) rho K_k + lam beta],   w^2 = eta_D eta_G b c (g1 - g2) chi^2 beta

Strengths per unit time: lam' = eta_D lam, nu' = eta_D nu; G = eta_D eta_G b c (g1 - g2), beta = rho k^2 K_k.
Rates are decay rates, min over modes of -max Re s. The closed forms need continuous time, one regularizer alone
(kappa = 0) and Gamma that commutes with H; otherwise minimize the exact spectrum numerically.

Source: Durr et al., Phys. Rev. X 13, 041004 (2023) (intermediate strength is best, by critical damping); the formulas
are derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from ..base.errors import InputError
from .linearize import linearize_field, symbols

#: Symbols of the closed forms: G, the strength per unit time, and the extreme stiffnesses.
G, beta, beta_min, beta_max, w_min, w_max = sp.symbols("G beta beta_min beta_max omega_min omega_max", positive=True)
lam_prime, nu_prime = sp.symbols("lambda' nu'", positive=True)
_gap, _ratio = sp.symbols("delta r", positive=True)  # beta_max = beta_min (1 + delta) = beta_min / r


class Best(NamedTuple):
    """A best strength (per unit time, learning rate folded in) and the decay rate it gives."""

    strength: Any
    rate: Any


@cache
def dispersion() -> sp.Expr:
    """s^2 + a s + w2 = det(s - J) of ``linearize_field``, as a polynomial in s."""
    s = symbols.s
    return _by_powers((s * sp.eye(2) - linearize_field(None)).det())


def _by_powers(expression: sp.Expr) -> sp.Expr:
    """A polynomial in s with factored coefficients."""
    s = symbols.s
    return sum(sp.factor(coefficient) * s**power for (power,), coefficient in sp.Poly(expression, s).terms())


@cache
def damping_and_frequency() -> tuple[sp.Expr, sp.Expr]:
    """(a, w^2) of a mode in the model's symbols: the coefficients of ``dispersion``."""
    polynomial = sp.Poly(dispersion(), symbols.s)
    return sp.factor(polynomial.coeff_monomial(symbols.s)), sp.factor(polynomial.coeff_monomial(1))


@cache
def damping_ratio() -> sp.Expr:
    """zeta = a/(2 w): the mode is under-, critically, over-damped at zeta <, =, > 1."""
    a, w2 = damping_and_frequency()
    return a / (2 * sp.sqrt(w2))


@cache
def critical_r1() -> sp.Expr:
    """lam' = eta_D lam at which a mode is critical (zeta = 1); 2 sqrt(G/beta) if R1 is the only damping.

    Where other damping exceeds the critical one the expression is negative: the mode is over-damped at any strength.
    """
    y = symbols
    (lam,) = sp.solve(sp.Eq(damping_and_frequency()[0], 2 * sp.sqrt(damping_and_frequency()[1])), y.lam)
    return sp.simplify(y.eta_D * lam)


def in_stiffness(expression: sp.Expr) -> sp.Expr:
    """Write an expression without noise in G and beta: eta_G -> G/(eta_D b c (g1 - g2)), K_k -> beta/(rho k^2)."""
    y = symbols
    relative = sp.Symbol("g", positive=True)
    out = expression.subs({y.sigma: 0, y.g1: y.g2 + relative, y.K: beta / (y.rho * y.k**2)})
    return sp.simplify(out.subs(y.eta_G, G / (y.eta_D * y.b * y.c * relative)))


@cache
def r1_dispersion() -> sp.Expr:
    """``dispersion`` with R1 alone, in G, beta and lam': s^2 + lam' beta s + G beta."""
    y = symbols
    alone = {y.nu: 0, y.kappa: 0, y.value: 0, y.lam: lam_prime / y.eta_D}
    return _by_powers(in_stiffness(dispersion().subs(alone)))


def _rates(polynomial: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(decay rate while under-damped, decay rate of the slow root while over-damped) of s^2 + a s + w2."""
    a, w2 = (sp.Poly(polynomial, symbols.s).coeff_monomial(m) for m in (symbols.s, 1))
    return a / 2, (a - sp.sqrt(a**2 - 4 * w2)) / 2


@cache
def best_r1_formula() -> Best:
    """Best lam' and its rate over modes with beta in [beta_min, beta_max], R1 alone, in G, beta_min, beta_max.

    At fixed lam' the rate lam' beta/2 of under-damped modes grows with beta, the slow rate of over-damped modes falls
    towards G/lam': the slowest mode is the softest or the stiffest. In lam' the first rises and the second falls, so
    the best strength is where both are equal; solved here and put back into the equation that is not squared.
    """
    under, slow = _rates(r1_dispersion())
    soft, stiff = under.subs(beta, beta_min), slow.subs(beta, beta_max)
    damping = under.subs(beta, beta_max)  # stiff = damping - root, so soft = stiff <=> damping - soft = root
    squared = sp.Eq(sp.expand((damping - soft) ** 2), sp.expand((damping - stiff) ** 2))
    (strength,) = (u for u in sp.solve(squared, lam_prime) if u.subs({G: 1, beta_min: 1, beta_max: 2}) > 0)
    spread = {beta_max: beta_min * (1 + _gap)}
    if sp.simplify((soft - stiff).subs(lam_prime, strength).subs(spread)) != 0:
        raise ArithmeticError("the best strength does not equalize the two slowest rates")
    rate = sp.sqrt(sp.factor(sp.simplify(soft.subs(lam_prime, strength) ** 2)))
    return Best(2 * sp.sqrt(sp.factor(sp.simplify(strength**2 / 4))), rate)


def _is_root(u: Any) -> bool:
    return bool(u.is_Pow and u.exp == sp.S.Half)


@cache
def best_weight_decay_formula() -> Best:
    """Best nu' = eta_D nu alone (kappa = lam = 0): the slowest mode critical, nu' = 2 w_min, rate w_min.

    Weight decay damps all modes alike. Below 2 w_min every mode has the rate nu'/2, which grows; above, the slow root
    of the softest mode falls.
    """
    polynomial = symbols.s**2 + nu_prime * symbols.s + w_min**2
    under, slow = _rates(polynomial)
    (strength,) = sp.solve(sp.discriminant(polynomial, symbols.s), nu_prime)
    # above it: nu' = w_min (t + 1/t) with t = 1 + delta > 1, where the slow rate is w_min / t
    t = 1 + _gap
    above = slow.subs(nu_prime, w_min * (t + 1 / t)).replace(_is_root, lambda u: sp.sqrt(sp.factor(u.base)))
    if sp.simplify(above - w_min / t) != 0:
        raise ArithmeticError("the over-damped rate must fall with the weight decay")
    return Best(strength, under.subs(nu_prime, strength))


@cache
def _best_r1_function() -> Callable[..., list[Any]]:
    # In r = beta_min/beta_max, so that an unbounded spectrum (r = 0) is a value like any other.
    formulas = [sp.simplify(f.subs(beta_max, beta_min / _ratio)) for f in best_r1_formula()]
    return sp.lambdify([G, beta_min, _ratio], formulas, "numpy")


def best_r1(G: Any, beta_min: Any, beta_max: Any) -> Best:
    """Best R1 strength lam' = eta_D lam and its decay rate; arguments broadcast. beta_max may be infinite.

        lam'* = 2 sqrt(G beta_max / (beta_min (2 beta_max - beta_min))),  rate* = lam'* beta_min / 2

    G = eta_D eta_G b c (g1 - g2) chi^2, beta the stiffness of the slowest and the fastest mode that moves: leave exact
    zero modes out, no strength damps them. R1 alone, continuous time.
    """
    low, high = np.asarray(beta_min, dtype=float), np.asarray(beta_max, dtype=float)
    if not np.all((low > 0) & np.isfinite(low)):
        raise InputError("beta_min", "be > 0 and finite (zero modes are not damped by R1)", np.min(low))
    if not np.all(high >= low):
        raise InputError("beta_max", "be at least beta_min", np.min(high))
    strength, rate = _best_r1_function()(np.asarray(G, dtype=float), low, low / high)
    return Best(strength[()], rate[()])


def best_weight_decay(w_min: Any) -> Best:
    """Best weight decay nu' = eta_D nu = 2 w_min and its rate w_min; w_min = sqrt of the smallest non-zero w^2."""
    low = np.asarray(w_min, dtype=float)
    if not np.all((low > 0) & np.isfinite(low)):
        raise InputError("w_min", "be > 0 and finite (zero modes excluded)", np.min(low))
    strength, rate = _best_weight_decay_function()(low)
    return Best(strength[()], rate[()])


@cache
def _best_weight_decay_function() -> Callable[..., list[Any]]:
    return sp.lambdify([w_min], list(best_weight_decay_formula()), "numpy")
