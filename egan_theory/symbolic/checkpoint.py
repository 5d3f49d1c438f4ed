"""Multipliers of a training step at a checkpoint: optimisers as maps of one weight, by SymPy.

A weight w of a quadratic objective has the gradient g + h (w - w0), g at the checkpoint w0. Every map here is
differentiated at the checkpoint itself, at rest (g = 0) or not. Adam is that of Kingma and Ba without eps and bias
correction, which a late step does not have (arXiv:1412.6980, algorithm 1).
"""

from __future__ import annotations

from functools import cache

import sympy as sp

z = sp.Symbol("z")
h, P = sp.symbols("h P", positive=True)
beta, beta2 = sp.symbols("beta beta_2", positive=True)
#: gradient and first moment after the step, over the second moment after it: r = m g/v
g, m, v = sp.symbols("g m v", real=True)
r = sp.Symbol("r", real=True)


def heavy_ball() -> sp.Poly:
    """Characteristic polynomial of m+ = beta m + h w, w+ = w - P m+ (beta = 0: gradient descent)."""
    return _polynomial(sp.Matrix([[1 - P * h, -P * beta], [h, beta]]))


def frozen() -> sp.Poly:
    """That of Adam with its second moment held: m+ = beta m + (1 - beta) h w, w+ = w - P m+."""
    return _polynomial(sp.Matrix([[1 - P * (1 - beta) * h, -P * beta], [(1 - beta) * h, beta]]))


@cache
def live() -> sp.Poly:
    """That of Adam's own step, the derivative of (w, m, v) -> (w, m, v)+ at a checkpoint with gradient g.

    P = rate/sqrt(v+) and r = m+ g/v+ stand for what the step has afterwards.
    """
    w, m0, v0, rate, g0 = sp.symbols("w m_0 v_0 eta g_0", positive=True)
    slope = g0 + h * w  # w = 0 at the checkpoint
    m1, v1 = beta * m0 + (1 - beta) * slope, beta2 * v0 + (1 - beta2) * slope**2
    after = sp.Matrix([w - rate * m1 / sp.sqrt(v1), m1, v1])
    jacobian = after.jacobian([w, m0, v0]).subs(w, 0)
    # in the moments after the step
    at = {m0: (m - (1 - beta) * g0) / beta, v0: (v - (1 - beta2) * g0**2) / beta2}
    positive = {v: sp.Symbol("v_1", positive=True)}
    jacobian = jacobian.subs(at).subs(positive).subs(rate, P * sp.sqrt(positive[v])).applyfunc(sp.simplify)
    characteristic = sp.expand(jacobian.charpoly(z).as_expr())
    return sp.Poly(sp.simplify(characteristic.subs(m, r * positive[v] / g0)), z)


def lazy(k: int) -> sp.Expr:
    """Z of k gradient steps of which the first has a penalty of curvature s, with k times its strength."""
    s = sp.Symbol("s", positive=True)
    out = sp.S(1)
    for position in range(k):
        out *= 1 - P * (h + (k * s if position % k == 0 else 0))
    return sp.factor(out)


def averaging() -> sp.Expr:
    """Complex amplitude of the average e+ = b e + (1 - b) x+ of x = exp(i omega n), once it is periodic."""
    b, omega = sp.symbols("b omega", positive=True)
    turn, e = sp.exp(sp.I * omega), sp.Symbol("e")
    (steady,) = sp.solve(sp.Eq(e * turn, b * e + (1 - b) * turn), e)
    return steady


def _polynomial(matrix: sp.Matrix) -> sp.Poly:
    return sp.Poly(sp.expand(matrix.charpoly(z).as_expr()), z)
