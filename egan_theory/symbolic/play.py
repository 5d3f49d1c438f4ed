"""Play against uniform averages: its powers of time, by WKB on the slow equation of one mode.

A uniform average is an exponential one whose time tau is the elapsed time T. With tau fixed a mode has a characteristic
polynomial, chi(s; g) with g = 1/tau; with r = T times the average the same loop, opened at the averages, reads

    D(d/dT) r + N(d/dT) (r/T^u) = 0,   D = chi(s; 0),   N = chi(s; 1) - D ((1 + s)/s)^u,   u = 1 or 2 uniform averages

in leading order of 1/T (steps: d/dT stands for z - 1). D has a factor s for every uniform average and for every player
that nothing damps; the slow solutions follow from its lowest terms. Sources: Ge et al. 2018, arXiv:1803.08647 (play);
Bender and Orszag 1978, chapter 3 (local analysis at an irregular singular point). The formulas are derived here.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import sympy as sp

from ..tables.updates import UNIFORM, UpdateRule, linear_opponents
from .linearize import symbols

#: elapsed time (steps), the start counted as one; lowest coefficients of D = p2 s^2 + p3 s^3 + ..., N = n0 + n1 s + ...
T, p2, p3, n0 = sp.symbols("T p_2 p_3 n_0", positive=True)
n1 = sp.Symbol("n_1", real=True)


class Wave(NamedTuple):
    """r ~ T^power cos(2 rate sqrt(T) + phase)."""

    rate: sp.Expr
    power: sp.Expr


@cache
def slow_wave() -> Wave:
    """rate = sqrt(n0/p2), power = 1/4 + (p3 n0 - p2 n1)/(2 p2^2), of p2 r'' + p3 r''' + n0 (r/T) + n1 (r/T)' = 0.

    r = exp(int s dT) with s = c0 T^(-1/2) + c1/T + ...: terms 1/T of the equation give c0, terms T^(-3/2) give c1.
    """
    c0, c1 = sp.symbols("c_0 c_1")
    s = c0 / sp.sqrt(T) + c1 / T
    second = sp.diff(s, T) + s**2
    third = sp.diff(second, T) + s * second
    equation = p2 * second + p3 * third + n0 / T + n1 * (s / T - 1 / T**2)
    x = sp.Symbol("x", positive=True)  # T^(-1/2)
    orders = sp.Poly(sp.expand(equation.subs(T, x**-2)), x)
    (square,) = sp.solve(orders.coeff_monomial(x**2), c0**2)
    power = sp.solve(orders.coeff_monomial(x**3), c1)[0]
    return Wave(sp.sqrt(-square), sp.simplify(sp.expand(power).subs(c0**2, square)))


def step(rule: UpdateRule, gain: Any, damping: Any = 0) -> sp.Matrix:
    """The map of one mode whose uniform averages are exponential ones with 1/tau = ``gain``, less the identity (flows:
    its time derivative), from updates.UpdateRule itself; ``damping``: of the generator's side."""
    y, omega = symbols, sp.sqrt(symbols.w2)
    fixed = rule.with_time(1 / gain)
    m = 2 + len(fixed.blocks)
    rows = tuple(sp.eye(m)[i, :] for i in range(m))

    def Vw(w: Any, x: Any) -> Any:
        return -y.a * w - omega * x

    advance = fixed.velocity if rule.continuous else fixed.step
    state = advance(rows, Vw, lambda w, x: omega * w - damping * x, linear_opponents(Vw, lambda v: -v / y.a))
    matrix = sp.Matrix.vstack(*state) - (sp.zeros(m) if rule.continuous else sp.eye(m))
    return matrix[1:, 1:] if rule.responds and rule.continuous else matrix


def slow_equation(rule: UpdateRule, damping: Any = 0) -> tuple[sp.Expr, sp.Expr]:
    """(D, N) of the module's docstring in s, discrete rules with z = exp(s) to the first two orders."""
    s, g, delta = symbols.s, sp.Symbol("g", positive=True), sp.Symbol("delta")
    u = len(rule.uniform)
    chi = sp.expand(sp.cancel(step(rule, g, damping).charpoly(delta).as_expr()))
    D = sp.expand(chi.subs(g, 0))
    N = sp.expand(sp.cancel(chi.subs(g, 1) - D * ((1 + delta) / delta) ** u))
    grown = s if rule.continuous else s + s**2 / 2
    return sp.expand(D.subs(delta, grown)), sp.expand(N.subs(delta, grown))


class Powers(NamedTuple):
    """Exponents of the last iterate and of its uniform average since the start."""

    last: sp.Expr
    average: sp.Expr


@cache
def powers(rule: UpdateRule) -> Powers:
    """Exponents of one damped mode (a > 0) against one uniform average, in a, w2 and the rule's own numbers.

    Particles are r' (the discriminator's average: proportional to it), their average is r/T. Flow, simultaneous steps:
    -1/4 + w2/(2 a^2) and -3/4 + w2/(2 a^2); best responses: -1/4 and -3/4.
    """
    if len(rule.uniform) != 1:
        raise ArithmeticError("powers of time need exactly one uniform average")
    s, (D, N) = symbols.s, slow_equation(rule)
    values = {p2: D.coeff(s, 2), p3: D.coeff(s, 3), n0: N.coeff(s, 0), n1: N.coeff(s, 1)}
    power = sp.simplify(slow_wave().power.subs(values))
    return Powers(sp.simplify(power - sp.Rational(1, 2)), sp.simplify(power - 1))


@cache
def thresholds() -> tuple[sp.Expr, sp.Expr]:
    """w2 below which the last iterate, and below which the average, converges: a^2/2 and 3 a^2/2 (flow)."""
    found = powers(UpdateRule("flow", average_generator=UNIFORM))
    last, average = (sp.solve(power, symbols.w2)[0] for power in found)
    return last, average


@cache
def growth(m: int, u: int) -> tuple[sp.Expr, sp.Expr]:
    """(power, exponent) of r ~ exp(exponent), exponent ~ T^power, of p s^m + n0/T^u = 0: the root that grows fastest.

    s = c exp(i pi/m) T^(-u/m) with c = (n0/p)^(1/m), integrated; m > 2, where its real part is positive, and m > u.
    """
    p = sp.Symbol("p", positive=True)
    c = (n0 / p) ** sp.Rational(1, m)
    rate = c * sp.cos(sp.pi / m) * T ** sp.Rational(-u, m)
    return 1 - sp.Rational(u, m), sp.simplify(sp.integrate(rate, T))
