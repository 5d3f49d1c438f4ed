"""Normal forms of one mode at its thresholds, derived: what theory.md states and nonlinear.reduced computes.

Sources: Kuznetsov, Elements of Applied Bifurcation Theory, chs. 4.7, 5.4; Golubitsky, Stewart, Schaeffer, Singularities
and Groups in Bifurcation Theory II, ch. XVII.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

lam, lam_c = sp.symbols("lambda lambda_c")
g20, g11, g02, g21 = sp.symbols("g20 g11 g02 g21")
g20_c, g11_c, g02_c = sp.symbols("g20_c g11_c g02_c")
a, w2, chi = sp.symbols("a w2 chi", positive=True)


@cache
def resonant_coefficient() -> sp.Expr:
    """g in z -> lambda z + g |z|^2 z + ..., for z -> lambda z + g20 z^2/2 + g11 z z* + g02 z*^2/2 + g21 z^2 z*/2.

    By the change z = u + h20 u^2/2 + h11 u u* + h02 u*^2/2 that removes what is quadratic; conjugates of the
    coefficients are symbols of their own (lambda_c = 1/lambda on the unit circle is not used)."""
    u, v, h20, h11, h02, h20_c, h11_c, h02_c = sp.symbols("u v h20 h11 h02 h20_c h11_c h02_c")
    eps = sp.Symbol("epsilon")
    z = u * eps + eps**2 * (h20 * u**2 / 2 + h11 * u * v + h02 * v**2 / 2)
    z_c = v * eps + eps**2 * (h20_c * v**2 / 2 + h11_c * u * v + h02_c * u**2 / 2)
    image = lam * z + g20 * z**2 / 2 + g11 * z * z_c + g02 * z_c**2 / 2 + g21 * z**2 * z_c / 2
    g = sp.Symbol("g")
    u_new, v_new = lam * u * eps + g * u**2 * v * eps**3, lam_c * v * eps
    changed = u_new + h20 * u_new**2 / 2 + h11 * u_new * v_new + h02 * v_new**2 / 2
    difference = sp.expand(image - changed)
    second = sp.Poly(difference.coeff(eps, 2), u, v)
    solved = sp.solve(second.coeffs(), [h20, h11, h02], dict=True)[0]
    conjugate = {lam: lam_c, lam_c: lam, g20: g20_c, g11: g11_c, g02: g02_c}
    solved |= {c: solved[h].subs(conjugate, simultaneous=True) for c, h in ((h20_c, h20), (h11_c, h11), (h02_c, h02))}
    third = sp.Poly(difference.coeff(eps, 3), u, v).coeff_monomial(u**2 * v)
    return sp.simplify(sp.solve(third, g)[0].subs(solved))


def one_mode(rule: str) -> tuple[list[sp.Expr], list[sp.Symbol]]:
    """One step of a mode w, x whose feature psi = omega (x - chi x^3) saturates, and its variables: the velocities are
    -a w - psi(x) and psi'(x) w, put through the update rule itself."""
    from ..tables.updates import UpdateRule

    w, x = sp.symbols("w x", real=True)
    omega = sp.sqrt(w2)
    state = UpdateRule(rule).step(
        (w, x),
        lambda w, x: -a * w - omega * (x - chi * x**3),
        lambda w, x: omega * (1 - 3 * chi * x**2) * w,
    )
    return [sp.expand(s) for s in state], [w, x]


@cache
def circling_mode() -> tuple[sp.Expr, sp.Expr]:
    """(d|lambda|/d omega^2, Re g/lambda) of a mode under simultaneous steps at omega^2 = a, x = z + z* + ...

    On the unit circle cos(theta) = 1 - a/2; the cubic terms are odd, so that g is the projected one alone."""
    (f_w, f_x), (w, x) = one_mode("simultaneous")
    theta = sp.Symbol("theta", positive=True)
    l = sp.cos(theta) + sp.I * sp.sin(theta)
    at = {w2: a}
    A = sp.Matrix([f_w, f_x]).jacobian([w, x]).subs({w: 0, x: 0}).subs(at)
    omega = sp.sqrt(a)
    q_w = (l - 1) / omega  # from the second row of A q = lambda q
    row = sp.Matrix([[(1 - l) / omega, 1]])  # from the second column of p^H A = lambda p^H
    z, z_c = sp.symbols("z z_c")
    q_w_c = (sp.conjugate(l) - 1) / omega
    orbit = {w: q_w * z + q_w_c * z_c, x: z + z_c}
    cubic = [sp.Poly(sp.expand((f.subs(at) - sum(A[i, j] * v for j, v in enumerate((w, x)))).subs(orbit)), z, z_c)
             for i, f in enumerate((f_w, f_x))]  # fmt: skip
    projected = sum(row[i] * c.coeff_monomial(z**2 * z_c) for i, c in enumerate(cubic))
    g = projected / (row[0] * q_w + row[1])
    value = sp.re(sp.expand_complex(sp.simplify(sp.conjugate(l) * g)))
    value = sp.simplify(value.rewrite(sp.cos).subs(a, 2 - 2 * sp.cos(theta)))
    value = sp.simplify(sp.trigsimp(value))
    back = sp.factor(sp.simplify(value.subs(theta, sp.acos(1 - a / 2))))
    modulus = sp.sqrt(sp.Matrix([f_w, f_x]).jacobian([w, x]).subs({w: 0, x: 0}).det())
    return sp.diff(modulus, w2).subs(at), back


@cache
def flipping_mode() -> tuple[sp.Expr, sp.Expr]:
    """(-d lambda/d omega^2, -g) under alternating steps at the multiplier -1, omega^2 = 4 - 2 a, x = y + ..."""
    (f_w, f_x), (w, x) = one_mode("alternating")
    J = sp.Matrix([f_w, f_x]).jacobian([w, x]).subs({w: 0, x: 0})
    z, y = sp.symbols("z y")
    P = (z * sp.eye(2) - J).det()
    slope = sp.simplify((-sp.diff(P, w2) / sp.diff(P, z)).subs(z, -1).subs(w2, 4 - 2 * a))
    at = {w2: 4 - 2 * a}
    A = J.subs(at)
    q = sp.Matrix([sp.simplify(-A[0, 1] / (A[0, 0] + 1)), 1])
    row = sp.Matrix([[sp.simplify(-A[1, 0] / (A[0, 0] + 1)), 1]])
    third = [sp.expand(f.subs(at).subs({w: q[0] * y, x: y})).coeff(y, 3) for f in (f_w, f_x)]
    g = sp.simplify((row[0] * third[0] + row[1] * third[1]) / (row * q)[0])
    return sp.factor(-slope), sp.factor(-g)


__all__ = ["circling_mode", "flipping_mode", "one_mode", "resonant_coefficient"]
