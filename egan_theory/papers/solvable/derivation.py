"""SymPy derivation of the macroscopic ODE for f(x) = x, from one step of the updates and Gaussian moments.

The components of y = U c + sqrt(eta_T) a that matter are c, U^T a, V^T a, w.a: jointly Gaussian, with the Gram matrix
of (U, V, w) as their covariance; |y|^2 / n -> eta_T. Expected changes times n, as n -> infinity, are the drift. The
multipliers of the hard constraint follow from d z/dt = 0 and d S_ll/dt = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import sympy as sp

tau, taut = sp.symbols("tau tau_t", positive=True)
eta_T, eta_G = sp.symbols("eta_T eta_G", positive=True)


@dataclass(frozen=True)
class Symbols:
    """Symbols of the state of d features, and of Lambda, Lambda~; mu and D are the multipliers."""

    d: int
    P: sp.Matrix
    q: sp.Matrix
    r: sp.Matrix
    S: sp.Matrix
    z: sp.Symbol
    L: sp.Matrix
    Lt: sp.Matrix
    mu: sp.Symbol
    D: tuple[sp.Symbol, ...]

    @property
    def state(self) -> tuple[sp.Symbol, ...]:
        """P, q, r, S, z in the order of State.pack (S_lm and S_ml are one symbol)."""
        return (*self.P, *self.q, *self.r, *self.S, self.z)


@cache
def symbols(d: int) -> Symbols:
    def vector(name: str, **kind: bool) -> sp.Matrix:
        return sp.Matrix([sp.Symbol(f"{name}{i + 1}" if d > 1 else name, **kind) for i in range(d)])

    def entry(name: str, i: int, j: int) -> sp.Symbol:
        return sp.Symbol(f"{name}{i + 1}{j + 1}" if d > 1 else name, real=True)

    return Symbols(
        d,
        sp.Matrix(d, d, lambda i, j: entry("P", i, j)),
        vector("q", real=True),
        vector("r", real=True),
        sp.Matrix(d, d, lambda i, j: entry("S", min(i, j), max(i, j))),
        sp.Symbol("z", positive=True),
        vector("Lambda", positive=True),
        vector("Lambdat", positive=True),
        sp.Symbol("mu", real=True),
        tuple(sp.Symbol(f"D{i + 1}", real=True) for i in range(d)),
    )


def gaussian_expectation(expression: sp.Expr, covariance: dict[tuple[sp.Symbol, sp.Symbol], Any]) -> sp.Expr:
    """Expectation of a polynomial of degree 2 in centred Gaussian symbols.

    ``covariance``: pairs (both orders need not be given; what is missing is 0). Symbols without an entry are constants.
    """
    names = sorted({s for pair in covariance for s in pair}, key=str)
    polynomial = sp.Poly(sp.expand(expression), *names)
    assert polynomial.total_degree() <= 2, "second moments do not suffice"
    total: sp.Expr = sp.S.Zero
    for powers, coefficient in polynomial.terms():
        match [s for s, k in zip(names, powers, strict=True) for _ in range(k)]:
            case []:
                total += coefficient
            case [a, b]:
                total += coefficient * covariance.get((a, b), covariance.get((b, a), sp.S.Zero))
    return sp.expand(total)


@cache
def drift(d: int, constraint: str = "hard", sampling_noise: bool = True) -> sp.Matrix:
    """Drift of (P, q, r, S, z), in the order of ``Symbols.state``, for f(x) = x.

    "hard": multipliers eliminated, valid on z = S_ll = 1. "penalty": symbols mu and D_l stand for lam H'.
    """
    s = symbols(d)
    real, fake = _side(s, "", s.L, eta_T), _side(s, "t", s.Lt, eta_G)
    c, on_u, on_v, on_w, cov = real
    ct, fake_u, fake_v, fake_w, covt = fake
    # scores and overlaps of y with U, V; of y~ = V c~ + sqrt(eta_G) a~ likewise
    x = (s.q.T * c)[0] + sp.sqrt(eta_T) * on_w
    xt = (s.r.T * ct)[0] + sp.sqrt(eta_G) * fake_w
    Uy, Vy = c + sp.sqrt(eta_T) * on_u, s.P.T * c + sp.sqrt(eta_T) * on_v
    Uyt, Vyt = s.P * ct + sp.sqrt(eta_G) * fake_u, s.S * ct + sp.sqrt(eta_G) * fake_v
    D = sp.diag(*s.D)

    def mean(matrix: Any) -> sp.Matrix:
        return sp.Matrix(matrix).applyfunc(lambda e: gaussian_expectation(e, cov | covt))

    # n times the expected first-order changes: n dw = tau (...), n dV = taut (...)
    xct = mean(xt * ct)
    dP = taut * (s.q * xct.T - s.P * D)
    dq = tau * (mean(x * Uy) - mean(xt * Uyt) - s.mu * s.q)
    dr = tau * (mean(x * Vy) - mean(xt * Vyt) - s.mu * s.r) + taut * (s.z * xct - D * s.r)
    dS = taut * (s.r * xct.T + xct * s.r.T - s.S * D - D * s.S)
    # n |dw|^2: y and y~ have squared norms n eta_T, n eta_G and are nearly orthogonal
    noise = tau**2 * (eta_T * mean([x**2])[0] + eta_G * mean([xt**2])[0]) if sampling_noise else sp.S.Zero
    dz = 2 * tau * (mean([x**2])[0] - mean([xt**2])[0] - s.mu * s.z) + noise
    rates = sp.Matrix([*dP, *dq, *dr, *dS, dz])
    if constraint == "hard":
        unit = {s.z: 1, **{s.S[i, i]: 1 for i in range(d)}}
        equations = [dz.subs(unit), *(dS[i, i].subs(unit) for i in range(d))]
        rates = rates.subs(unit).subs(sp.solve(equations, [s.mu, *s.D], dict=True)[0])
    return rates.applyfunc(sp.expand)


def _side(s: Symbols, mark: str, Lambda: sp.Matrix, noise: sp.Symbol) -> tuple[Any, ...]:
    """Gaussian symbols of one sample: c and the noise's overlaps with U, V, w; and their covariances."""
    d = s.d
    c, u, v = (sp.Matrix([sp.Symbol(f"{n}{mark}_{i}", real=True) for i in range(d)]) for n in "cuv")
    w = sp.Symbol(f"omega{mark}", real=True)
    cov: dict[tuple[sp.Symbol, sp.Symbol], Any] = {(c[i], c[i]): Lambda[i] for i in range(d)}
    parts = [*u, *v, w]
    gram = sp.Matrix(sp.BlockMatrix([[sp.eye(d), s.P, s.q], [s.P.T, s.S, s.r], [s.q.T, s.r.T, sp.Matrix([s.z])]]))
    for i, j in [*combinations(range(2 * d + 1), 2), *((k, k) for k in range(2 * d + 1))]:
        cov[parts[i], parts[j]] = gram[i, j]
    return c, u, v, w, cov


# -- one feature, f(x) = x, hard constraint, Lambda~ = Lambda, equal noise, in units of time 1/(tau Lambda) ---------

P, q, r = sp.symbols("P q r", real=True)
alpha, k, sigma = sp.symbols("alpha k s", positive=True)
ONE = (P, q, r)


@cache
def one_feature() -> sp.Matrix:
    """d(P, q, r)/dt / (tau Lambda) with alpha = taut/tau, k = tau eta^2/Lambda, s = tau eta/2."""
    s = symbols(1)
    Lambda, eta = s.L[0], sp.Symbol("eta", positive=True)
    full = drift(1).subs({s.Lt[0]: Lambda, eta_T: eta, eta_G: eta})
    rates = (sp.Matrix(full[:3]) / (tau * Lambda)).subs(dict(zip(s.state[:3], ONE, strict=True)))
    rates = rates.subs({taut: alpha * tau, Lambda: tau * eta**2 / k}).subs(eta, 2 * sigma / tau)
    return rates.applyfunc(lambda e: sp.factor(sp.simplify(e)))


@cache
def one_feature_jacobian() -> sp.Matrix:
    """(3, 3) Jacobian of ``one_feature`` in (P, q, r)."""
    return one_feature().jacobian(sp.Matrix(ONE)).applyfunc(sp.expand)


# -- any d at q = r = 0: the block is linear in (q, r) ---------------------------------------------------------------


@cache
def line_block(d: int) -> sp.Matrix:
    """(2d, 2d) block of (q, r) at q = r = 0, hard constraint, S off-diagonal kept, f(x) = x."""
    s = symbols(d)
    moving = [*s.q, *s.r]
    rates = sp.Matrix(drift(d)[d * d : d * d + 2 * d])
    return rates.jacobian(sp.Matrix(moving)).subs(dict.fromkeys(moving, 0)).applyfunc(sp.expand)
