"""Update rules as linear maps: update matrices, characteristic polynomials and Jury conditions.

A mode with Jacobian J (learning rates folded in, per update) becomes a map of (w, x, *memory), built by the rule's own
``step``: nothing is written down a second time. Polynomials are for the oscillator J = [[-a, -omega], [omega, 0]] with
a = -tr J, omega^2 = det J ("w2"). For rules that treat both blocks alike (simultaneous, extragradient, optimistic; no
momentum or equal momenta) they hold for every J with that trace and determinant; alternating steps and unequal momenta
also need J's lower right entry to be zero, so not with consensus optimization.

Sources: Mescheder et al. 2018 (maps); Jury 1964 (conditions; the table in its Schur-Cohn form).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from ..base.errors import InputError
from ..tables.updates import UpdateRule, linear_opponents, value_of
from .linearize import symbols

FLOW_REASON = (
    "be a discrete rule: the continuous flow has no update polynomial; its exact multipliers per unit of time are "
    "exp(s), s the eigenvalues of the Jacobian, and it is stable where every Re s < 0"
)


def _critic_steps(rule: UpdateRule) -> None:
    n = rule.critic_steps
    if "critic_steps" in rule.entry.parameters and not (isinstance(n, int | np.integer) and n >= 1):
        raise InputError("update.critic_steps", "be a whole number >= 1 (alternating_n has the general form)", repr(n))


def step_matrix(rule: UpdateRule, J: sp.Matrix) -> sp.Matrix:
    """m x m matrix of one generator step on (w, x, *memory), m = 2 + len(rule.blocks), for a 2x2 SymPy Jacobian.

    Raises InputError for the flow, whose map is exp(J): use the eigenvalues of J themselves.
    """
    if rule.continuous:
        raise InputError("update.rule", FLOW_REASON, repr(rule.rule))
    _critic_steps(rule)
    rule.check_autonomous()
    m = 2 + len(rule.blocks)
    identity = sp.eye(m)

    def row(i: int) -> Any:
        return lambda w, x: J[i, 0] * w + J[i, 1] * x

    others = linear_opponents(row(0), lambda v: v / J[0, 0])
    state = rule.step(tuple(identity[i, :] for i in range(m)), row(0), row(1), others)
    return sp.Matrix.vstack(*state)


def update_matrices(rule: UpdateRule, blocks: np.ndarray) -> np.ndarray:
    """The same matrices in numbers: blocks (..., 2, 2) real or complex -> (..., m, m).

    Flow: the Runge-Kutta map of one unit of time in ``rule.substeps`` steps, what the simulator does. The exact flow
    needs no map: its multipliers are exp(s) with s = ``numpy.linalg.eigvals(blocks)``. Flows with averages or best
    responses: the matrix of the time derivative of (w, x, *memory) itself.
    """
    derivative = rule.continuous and (rule.responds or rule.averages)
    return _matrices(rule, blocks, rule.velocity if derivative else rule.step)


def update_decrements(rule: UpdateRule, blocks: np.ndarray) -> np.ndarray:
    """Of a discrete rule, the same matrices less the identity, (..., m, m): eigenvalues z - 1 (UpdateRule.decrement).

    Small rates keep their digits in them: 1 - 1e-18 is 1.
    """
    return _matrices(rule, blocks, rule.decrement)


def volumes(rule: UpdateRule, blocks: np.ndarray) -> np.ndarray | None:
    """det(map) - 1 of blocks (..., 2, 2), (...,), without cancellation; None but for alternating steps alone.

    The critic's step [[1 + J11, J12], [0, 1]] and the generator's [[1, 0], [J21, 1 + J22]] are triangular, so that
    det = (1 + J11)^n (1 + J22): |z|^2 of a pair, and 1 without damping, for ever (Eq. (51, map-alternating)).
    """
    if rule.rule != "alternating" or rule.blocks:
        return None
    one, n = blocks[..., 0, 0], int(rule.critic_steps)
    found = blocks[..., 1, 1]
    while n:  # (1 + p)(1 + q) = 1 + p + q + p q
        if n % 2:
            found = found + one + found * one
        one, n = 2 * one + one**2, n // 2
    return np.asarray(found)


def _matrices(rule: UpdateRule, blocks: np.ndarray, advance: Any) -> np.ndarray:
    """What ``advance``, a method of the rule, makes of the columns of the identity, (..., m, m)."""
    blocks = np.asarray(blocks)
    _critic_steps(rule)
    rule.check_autonomous()
    m = 2 + len(rule.blocks)
    dtype = np.result_type(blocks.dtype, np.float64)
    rows = np.broadcast_to(np.eye(m, dtype=dtype), (*blocks.shape[:-2], m, m))

    def row(i: int) -> Any:
        return lambda w, x: blocks[..., i, 0, None] * value_of(w) + blocks[..., i, 1, None] * value_of(x)

    others = linear_opponents(row(0), lambda v: v / blocks[..., 0, 0, None])
    return np.stack(advance(tuple(rows[..., i, :] for i in range(m)), row(0), row(1), others), axis=-2)


def _with_symbols(rule: UpdateRule) -> UpdateRule:
    """The rule with every non-zero momentum replaced by its symbol."""
    y, moving = symbols, rule.momenta
    steps = int(rule.critic_steps) if "critic_steps" in rule.entry.parameters else 1
    if rule.averages:
        raise InputError("memory", "be unused here: averaged play has polynomials of its own", rule.averages)
    momenta = y.beta_D if "w" in moving else 0.0, y.beta_G if "x" in moving else 0.0
    return UpdateRule(rule.rule, steps, *momenta, own=tuple((name, sp.nsimplify(v)) for name, v in rule.own))


def momentum_values(rule: UpdateRule) -> dict[Any, Any]:
    """{beta_D: ..., beta_G: ...}: the rule's own momenta, to substitute into its polynomial or conditions."""
    return {symbols.beta_D: rule.momentum_discriminator, symbols.beta_G: rule.momentum_generator}


def characteristic_polynomial(rule: UpdateRule) -> sp.Poly:
    """det(z - map) as a monic polynomial in z; coefficients in a, w2 and, where momentum is not zero, beta_D, beta_G.

    The map of ``step_matrix`` for J = [[-a, -omega], [omega, 0]]; only omega^2 = w2 appears.
    """
    if rule.continuous:
        raise InputError("update.rule", FLOW_REASON, repr(rule.rule))
    _critic_steps(rule)
    return _polynomial(_with_symbols(rule))


@cache
def _polynomial(rule: UpdateRule) -> sp.Poly:
    y, omega = symbols, sp.Symbol("omega", positive=True)
    matrix = step_matrix(rule, sp.Matrix([[-y.a, -omega], [omega, 0]]))
    return _even(matrix.charpoly(y.z).as_expr(), omega)


def _even(expression: sp.Expr, omega: sp.Symbol) -> sp.Poly:
    """Write a polynomial in omega^2 with w2 = omega^2."""
    expression = sp.expand(expression).subs(omega, sp.sqrt(symbols.w2))
    return sp.Poly(sp.expand(expression), symbols.z)


@cache
def alternating_n() -> sp.Poly:
    """Alternating steps with n critic steps, closed form: z^2 - (1 + r - w2 S) z + r, r = (1-a)^n, S = (1-r)/a.

    The critic's step T has T^n = [[r, -omega S], [0, 1]]; this is proved by induction (n = 0, and n -> n + 1) before it
    is used. S is the geometric sum 1 + (1-a) + ... + (1-a)^(n-1), so a = 0 is the limit S = n.
    """
    y, omega = symbols, sp.Symbol("omega", positive=True)
    critic = sp.Matrix([[1 - y.a, -omega], [0, 1]])

    def power(n: Any) -> sp.Matrix:
        r = (1 - y.a) ** n
        return sp.Matrix([[r, -omega * (1 - r) / y.a], [0, 1]])

    induction = critic * power(y.n) - power(y.n + 1)
    if power(0) != sp.eye(2) or not induction.applyfunc(sp.simplify).is_zero_matrix:
        raise ArithmeticError("the closed form of n critic steps fails its induction")
    generator = sp.Matrix([[1, 0], [omega, 1]])
    matrix = generator * power(y.n)
    determinant = sp.simplify(matrix.det())
    trace = 1 + power(y.n)[0, 0] - y.w2 * (1 - power(y.n)[0, 0]) / y.a
    if sp.simplify(trace.subs(y.w2, omega**2) - matrix.trace()) != 0:
        raise ArithmeticError("the trace of the alternating map does not match its closed form")
    return sp.Poly(y.z**2 - trace * y.z + determinant, y.z)


def jury_conditions(poly: sp.Poly) -> list[sp.Expr]:
    """Expressions that are all > 0 if and only if every root of the monic real polynomial has modulus < 1.

    Jury's table: P(1) > 0, (-1)^n P(-1) > 0; for degree n > 2 also |a_0| < a_n, and then the polynomial
    (a_n P(z) - a_0 z^n P(1/z))/z of degree n - 1, whose leading coefficient a_n^2 - a_0^2 is positive by then and whose
    values at z = +-1 have the required signs already; at degree 2 the condition left is a_0 < a_2. Each is factored,
    and a factor that is a condition of its own is left out. Degree >= 1.
    """
    coefficients = poly.all_coeffs()  # highest first
    n = len(coefficients) - 1
    found = [poly.eval(1), (-1) ** n * poly.eval(-1)]
    while n > 2:
        leading, last = coefficients[0], coefficients[-1]
        found += [leading - last, leading + last]
        pairs = zip(coefficients[:-1], coefficients[:0:-1], strict=True)
        coefficients, n = [sp.expand(leading * u - last * v) for u, v in pairs], n - 1
    if n == 2:
        found.append(coefficients[0] - coefficients[2])
    return _distinct(found)


def _distinct(found: list[Any]) -> list[sp.Expr]:
    """Factor each condition; divide out factors that are conditions themselves; drop those that become numbers."""
    kept: list[sp.Expr] = []
    for condition in found:
        number, factors = sp.factor_list(condition) if condition.is_polynomial() else (sp.S(1), [(condition, 1)])
        sign, rest = (1 if number > 0 else -1), []
        for factor, power in factors:
            if sp.expand(-factor) in kept or all(term.could_extract_minus_sign() for term in sp.Add.make_args(factor)):
                factor, sign = sp.expand(-factor), sign * (-1) ** power
            if factor not in kept:
                rest.append((factor, power))
        if sign < 0:
            odd = max((i for i, (factor, power) in enumerate(rest) if power == 1 and factor.is_Add), default=None)
            rest = [(sp.expand(-f) if i == odd else f, power) for i, (f, power) in enumerate(rest)]
            sign = sign if odd is None else 1
        expression = sign * sp.prod([factor**power for factor, power in rest])
        if expression != 1 and expression not in kept:
            kept.append(expression)
    return kept


def stability_conditions(rule: UpdateRule) -> list[sp.Expr]:
    """Jury conditions of the rule, each > 0 where it is stable, in a, w2 and the symbols of non-zero momenta.

    Simultaneous: w2 > 0, 4 - 2a + w2 > 0, a - w2 > 0. Alternating: w2 > 0, 4 - 2a - w2 > 0, a > 0.
    """
    if rule.continuous:
        raise InputError("update.rule", FLOW_REASON, repr(rule.rule))
    _critic_steps(rule)
    return list(_conditions(_with_symbols(rule)))


@cache
def _conditions(rule: UpdateRule) -> tuple[sp.Expr, ...]:
    found = jury_conditions(_polynomial(rule))
    if rule.responds:  # best responses exist for a > 0 only, so that a condition may be multiplied by a
        found = [sp.expand(sp.together(condition) * symbols.a) for condition in found if not condition.is_number]
    return tuple(found)


def continuous_limit(rule: UpdateRule) -> sp.Expr:
    """The quadratic in s that z = 1 + s h + O(h^2) solves as a -> a h, w2 -> w2 h^2, h -> 0; monic.

    s^2 + a s + w2 for plain rules, s + w2/a for best responses. n critic steps multiply the discriminator's rate by
    n, heavy ball each side's rate by 1/(1 - beta), so a and w2 change accordingly.
    """
    y, h = symbols, sp.Symbol("h", positive=True)
    scaled = characteristic_polynomial(rule).as_expr().subs({y.a: y.a * h, y.w2: y.w2 * h**2}, simultaneous=True)
    lowest = sp.Poly(sp.expand(scaled.subs(y.z, 1 + y.s * h)), h).terms()[-1]
    if lowest[0] != ((1,) if rule.responds else (2,)):
        raise ArithmeticError("the update map does not reduce to an oscillator for small steps")
    quadratic = sp.Poly(lowest[1], y.s)
    return sum(sp.factor(coefficient / quadratic.LC()) * y.s**power for (power,), coefficient in quadratic.terms())
