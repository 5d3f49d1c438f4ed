"""Critical values in closed form: the update rule's Jury conditions along one parameter.

A mode of a commuting system is an oscillator with damping a and stiffness w^2, and decays while polynomials in both are
positive (symbolic.maps). Where a and w^2 of every mode are affine in the parameter, the critical values are the real
roots of every condition of every mode. With weight decay alone and the ratio phi as the parameter, a is one number, the
conditions give critical stiffnesses mu^2, and S affine in phi the pencil (mu^2 - R_0) v = phi (R_1 - R_0) v with
R_j = B^T S_j B.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ..linear import Linearization
from ..linear.routes import linearize
from ..linear.seen import seen
from ..problem.problem import EPS, Problem
from ..symbolic.linearize import symbols
from ..symbolic.maps import momentum_values, stability_conditions
from ..tables.penalties import PENALTIES, unit_coefficients
from ..tables.updates import UpdateRule
from .crossings import Axis

#: parameters in which trace and determinant of commuting modes may be affine (checked before use)
AFFINE = (
    "discriminator.learning_rate", "generator.learning_rate", "generator.kernel.diagonal", "generator.kernel.ratio",
    *(f"penalty.{key}" for key, penalty in PENALTIES.items() if penalty.terms is not None),
)  # fmt: skip
#: a quantity is affine when its second difference is below this part of it
AFFINE_TOLERANCE = 1e-11
#: candidates closer than this, relative, are one
SAME = 1e-10
#: an imaginary part below this part of the modulus is rounding: roots of a double root spread by sqrt(eps)
REAL = float(np.sqrt(EPS))
#: more critic steps than this make polynomials of a degree whose roots are not worth having
MAX_CRITIC_STEPS = 8


def critical_values(problem: Problem, axis: Axis) -> list[tuple[float, str]] | None:
    """[(threshold, unstable side)] ascending, or None where the modes do not commute along the axis."""
    loss, rule, path = problem.loss, problem.rule, axis.path
    if not problem.matched or problem.likelihood is not None or rule.averages:
        return None
    if rule.continuous:
        return [] if loss.b == loss.c else None
    if problem.gamma or rule.critic_steps > MAX_CRITIC_STEPS or path not in AFFINE:
        return None
    values = problem.damping.kappa
    if path.startswith("penalty."):  # along the axis there may be some where the experiment itself has none
        values += sum(unit_coefficients(path.removeprefix("penalty."), problem.exp.penalty)[2:4])
    if values or problem.exp.penalty.instance_noise:
        return None
    box = problem.box is not None and problem.coupling_ratio is not None
    if path == "generator.kernel.ratio" and not box:
        return None if problem.damping.lam else _critical_ratios(problem, axis)
    return _critical_affine(problem, axis)


class _Condition(NamedTuple):
    """A Jury condition sum_ij coefficients[i, j] a^i w2^j > 0."""

    coefficients: np.ndarray

    def __call__(self, a: np.ndarray, w2: np.ndarray) -> np.ndarray:
        return np.polynomial.polynomial.polyval2d(a, w2, self.coefficients)


def jury_polynomials(rule: UpdateRule) -> tuple[_Condition, ...]:
    """The rule's stability conditions with its momenta put in, in numbers; those that are constants left out.

    Every w2 > 0 is taken for granted: modes without stiffness are zero modes.
    """
    import sympy as sp

    y, out = symbols, []
    for condition in stability_conditions(rule):
        poly = sp.Poly(sp.expand(condition.subs(momentum_values(rule))), y.a, y.w2)
        if poly.is_ground or poly.as_expr() == y.w2:
            continue
        table = np.zeros((poly.degree(y.a) + 1, poly.degree(y.w2) + 1))
        for (i, j), value in poly.terms():
            table[i, j] = float(value)
        out.append(_Condition(table))
    return tuple(out)


def _real_roots(coefficients: np.ndarray) -> np.ndarray:
    """Real roots of a polynomial, lowest power first."""
    size = np.abs(coefficients).max()
    if size == 0:
        return np.empty(0)
    roots = np.polynomial.polynomial.polyroots(np.trim_zeros(coefficients / size, "b"))
    return roots[np.abs(roots.imag) <= REAL * np.abs(roots)].real


def _boundaries(candidates: np.ndarray, axis: Axis, stable: Any) -> list[tuple[float, str]]:
    """The candidates at which ``stable(value)`` changes."""
    inside = np.sort(candidates[(candidates > axis.low) & (candidates < axis.high)])
    if not inside.size:
        return []
    apart = np.concatenate([[True], np.diff(inside) > SAME * inside[1:]])
    inside = inside[apart]
    middles = (np.concatenate([[axis.low], inside]) + np.concatenate([inside, [axis.high]])) / 2
    verdict = [stable(float(m)) for m in middles]
    return [
        (float(value), "above" if before else "below")
        for value, before, after in zip(inside, verdict, verdict[1:], strict=False)
        if before != after
    ]


def _critical_ratios(problem: Problem, axis: Axis) -> list[tuple[float, str]] | None:
    """Weight decay alone: the critical stiffness from the Jury conditions, then the ratios from the pencil."""
    loss, conditions = problem.loss, jury_polynomials(problem.rule)
    per_stiffness = problem.eta_D * problem.eta_G * loss.b * loss.c
    a = problem.eta_D * problem.damping.nu
    roots = [_real_roots(np.polynomial.polynomial.polyval(a, c.coefficients)) for c in conditions]
    critical = np.concatenate(roots) / per_stiffness if roots else np.empty(0)
    R0, R1 = stiffness_ends(problem)

    def stable(ratio: float) -> bool:
        mu2 = np.linalg.eigvalsh((1 - ratio) * R0 + ratio * R1)
        w2 = per_stiffness * mu2[mu2 > EPS * len(mu2) * mu2.max(initial=0.0)]
        return all(bool(np.all(c(np.full_like(w2, a), w2) > 0)) for c in conditions)

    identity = np.eye(len(R0))
    found = [np.empty(0)]
    for mu2 in critical[critical > 0]:
        phi = scipy.linalg.eigvals(mu2 * identity - R0, R1 - R0)
        finite = np.isfinite(phi)
        phi = phi[finite]
        found.append(phi.real[np.abs(phi.imag) <= REAL * np.abs(phi)])
    return _boundaries(np.concatenate(found), axis, stable)


def stiffness_ends(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(R_0, R_1), (r, r): S^(1/2) H S^(1/2) has the non-zero eigenvalues of (1 - phi) R_0 + phi R_1.

    R_j = B^T S_j B on the range of B: S_0 = omega g1 diag(s_a) (phi = 0), S_1 = omega g1 p p^T (phi = 1).
    """
    M, d = problem.Y.shape
    ends = []
    U, sigma, _ = np.linalg.svd(seen(problem).mean, full_matrices=False)
    kept = sigma > EPS * max(U.shape) * sigma.max(initial=0.0)
    B = (U[:, kept] * sigma[kept]).reshape(M, d, -1)
    whole = problem.omega * problem.g1
    for s, c in ((whole * problem.squares, 0.0), (0.0 * problem.squares, whole)):
        collective = np.einsum("m,mdr->dr", problem.p, B)
        ends.append(np.einsum("mdr,m,mdq->rq", B, s, B, optimize=True) + c * collective.T @ collective)
    return ends[0], ends[1]


def _critical_affine(problem: Problem, axis: Axis) -> list[tuple[float, str]] | None:
    """Commuting modes whose a_k and w_k^2 are affine in the parameter: the real roots of every condition of every
    mode."""
    # not beyond the middle: at a ratio of 1 the box's modes are frozen and there are none to compare
    step = (axis.high - axis.low) / 4
    lins = [linearize(problem.replace({axis.path: axis.low + i * step})) for i in range(3)]
    if not all(_oscillators(lin) and len(lin.blocks) == len(lins[0].blocks) for lin in lins):
        return None
    pairs = [(-lin.blocks[:, 0, 0], -lin.blocks[:, 0, 1] * lin.blocks[:, 1, 0]) for lin in lins]
    lines = []
    for low, middle, high in zip(*pairs, strict=True):
        if np.any(np.abs(low - 2 * middle + high) > AFFINE_TOLERANCE * np.maximum(np.abs(low), np.abs(high))):
            return None
        slope = (high - low) / (2 * step)
        lines.append(np.stack([low - slope * axis.low, slope], axis=-1))
    (a, w2), moving = lines, pairs[1][1] > EPS * pairs[1][1].max(initial=0.0)
    a, w2 = a[moving], w2[moving]
    conditions = jury_polynomials(problem.rule)

    def stable(x: float) -> bool:
        values = a @ [1.0, x], w2 @ [1.0, x]
        return all(bool(np.all(c(*values) > 0)) for c in conditions)

    found = [np.empty(0)]
    found += [_real_roots(_composed(c.coefficients, a[k], w2[k])) for c in conditions for k in range(len(a))]
    return _boundaries(np.concatenate(found), axis, stable)


def _oscillators(lin: Linearization) -> bool:
    return len(lin.blocks) > 0 and not lin.systems and bool(np.all(lin.blocks[:, 1, 1] == 0))


def _composed(coefficients: np.ndarray, a: np.ndarray, w2: np.ndarray) -> np.ndarray:
    """sum_ij c_ij a(x)^i w2(x)^j as a polynomial in x, lowest power first; a, w2 (2,)."""
    P = np.polynomial.Polynomial
    total = P([0.0])
    for row in coefficients[::-1]:  # Horner in a, then in w2
        inner = P([0.0])
        for value in row[::-1]:
            inner = inner * P(w2) + value
        total = total * P(a) + inner
    return total.coef


__all__ = ["critical_values", "jury_polynomials", "stiffness_ends"]
