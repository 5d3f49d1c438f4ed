"""Collective instability (brief 3b.1): where the spread equilibrium stops being stable.

The equilibrium is stable while every mode of one step decays, |z| < 1 (flow: Re s < 0). With A = nu for every mode
(weight decay alone) or at phi = 0, a mode is an oscillator with a_k = eta_D A_k and
w_k^2 = eta_D eta_G b c mu_k^2, mu_k^2 the eigenvalues of S^(1/2) H S^(1/2) (brief: Gamma^(1/2) H Gamma^(1/2) / N), and
the update rule's Jury conditions (symbolic.maps) are polynomials in a and w^2. Simultaneous steps with weight decay:

    max_k mu_k^2 = nu / (eta_G b c)      while eta_D nu < 2: independent of eta_D
    S = omega g1 [(1 - phi) diag(s_a) + phi p p^T],   s_a = sum_(i on a) m_i^2

S is affine in phi, so the critical ratios are eigenvalues of the pencil (mu^2 - R_0) v = phi (R_1 - R_0) v with
R_j = B^T S_j B. The flow has no threshold: with b = c, |w|^2/eta_D + |theta|^2/eta_G never grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ..dynamics import Field
from ..errors import NotLinearizable
from ..experiment import Experiment
from ..linear import Linearization, eigenvalues, equilibrium, linearize, update_matrix
from ..linear.equilibrium import matched_masses
from ..linear.general import jacobian_at
from ..linear.linearize import coupling, coupling_ratio, coupling_root, saddle, seen_features
from ..linear.system import COUPLING_TOLERANCE, log_multiplier
from ..symbolic.linearize import symbols
from ..symbolic.maps import momentum_values, stability_conditions
from ..targets import Uniform
from ..updates import UpdateRule
from .crossings import Axis, axis_of, sign_changes
from .spectrum import number

EPS = float(np.finfo(float).eps)
CLOSED, NUMERICAL = "closed-form", "root of the exact spectrum"
ASSUMPTIONS = ("kicks are small: linear stability is necessary for a spread cloud to stay, not sufficient to reach it",)
#: parameters in which trace and determinant of commuting modes may be affine (checked before use)
AFFINE = (
    "discriminator.learning_rate", "generator.learning_rate", "generator.kernel.diagonal", "generator.kernel.ratio",
    "penalty.weight_decay", "penalty.r1", "penalty.r2", "penalty.multiplier",
)  # fmt: skip
#: a quantity is affine when its second difference is below this part of it
AFFINE_TOLERANCE = 1e-11
#: candidates closer than this, relative, are one
SAME = 1e-10
#: an imaginary part below this part of the modulus is rounding: roots of a double root spread by sqrt(eps)
REAL = float(np.sqrt(EPS))
#: more critic steps than this make polynomials of a degree whose roots are not worth having
MAX_CRITIC_STEPS = 8
#: the unstable mode is looked at this part of the range beyond the threshold
BEYOND = 1e-6
#: larger systems are not searched for the eigenvector of the unstable mode
MAX_VECTORS = 1500
#: cosine^2 with a uniform translation from which a mode is called collective
COLLECTIVE = 0.5


# -- the margin ----------------------------------------------------------------------------------------------------


def margin(exp: Experiment) -> float:
    """Largest growth over the modes that move the particles: max |z| - 1 per step, or max Re s for the flow.

    > 0: the spread equilibrium is unstable. Zero modes (multiplier exactly 1) and modes whose growth is below rounding
    are no evidence either way and left out; 0.0 when no other mode is left. Raises NotLinearizable.
    """
    values = eigenvalues(linearize(exp), ratios=False)
    growth = values.s.real if exp.update_rule.continuous else np.abs(values.z) - 1
    chosen = growth[values.coupled & values.resolved & (np.abs(growth) > values.noise)]
    return float(chosen.max()) if chosen.size else 0.0


def margins(exps: Sequence[Experiment]) -> np.ndarray:
    """``margin`` of each; NaN where there is no equilibrium to linearize about."""
    out = np.full(len(exps), np.nan)
    for i, exp in enumerate(exps):
        try:
            out[i] = margin(exp)
        except NotLinearizable:
            continue
    return out


# -- the threshold -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CollectiveInstability:
    """Where the spread equilibrium loses stability as ``vary`` changes over ``range`` (low, high).

    value: the smallest threshold, None if there is none in the range; values: all, ascending; unstable_side: "above" or
    "below" each of them. method: "closed-form" or "root of the exact spectrum". margin: growth at the experiment's own
    value (> 0: unstable). mode: the mode that becomes unstable at ``value``: its eigenvalue s = log z per step (flow:
    per time) and multiplier z there, how many modes share it, and ``translation``, the cosine^2 between what it does
    to the particles and a uniform translation (collective: above 1/2); None where it was not looked for.
    """

    vary: str
    range: tuple[float, float]
    values: tuple[float, ...]
    unstable_side: tuple[str, ...]
    method: str
    margin: float
    mode: dict[str, Any] | None
    assumptions: tuple[str, ...]

    @property
    def value(self) -> float | None:
        return self.values[0] if self.values else None

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        return {
            "mechanism": "collective instability",
            "value": self.value,
            "range": list(self.range),
            "values": list(self.values),
            "unstable_side": list(self.unstable_side),
            "method": self.method,
            "margin": number(self.margin),
            "mode": self.mode,
            "assumptions": list(self.assumptions),
        }

    def _repr_html_(self) -> str:
        found = ", ".join(f"{v:.6g} (unstable {s})" for v, s in zip(self.values, self.unstable_side, strict=True))
        rows = (("threshold", found or "none in range"), ("method", self.method), ("margin", f"{self.margin:.6g}"))
        body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
        return f"<table><caption>collective instability in {self.vary}</caption>{body}</table>"


def collective_instability(
    exp: Experiment,
    vary: str = "generator.kernel.ratio",
    low: float | None = None,
    high: float | None = None,
    *,
    closed_form: bool = True,
) -> CollectiveInstability:
    """All values of ``vary`` in [low, high] at which the spread equilibrium gains or loses linear stability.

    Closed form where the modes commute (module docstring), otherwise a scan of ``margin`` over 101 values refined by
    Brent's method; ``closed_form=False`` takes the second route always. Default range: see ``crossings.axis_of``.

    Raises InputError (vary, its range), NotLinearizable when there is no equilibrium anywhere in the range.
    Assumes small deviations; not checked: whether runs from elsewhere reach the equilibrium.
    """
    axis = axis_of(exp, vary, low, high)
    notes = list(ASSUMPTIONS)
    found = _closed_form(exp, axis) if closed_form else None
    if found is not None:
        method, lin_notes = CLOSED, linearize(exp).assumptions
    else:
        method = NUMERICAL

        def at(value: float) -> float:
            return float(margins([exp.replace({vary: value})])[0])

        crossings, missing = sign_changes(at, axis)
        grid = axis.grid()
        if missing == len(grid):
            margin(exp.replace({vary: float(grid[0])}))  # raises the reason
        found = [(c.value, c.unstable_side) for c in crossings]
        if missing:
            notes.append(f"no equilibrium to linearize about at {missing} of {len(grid)} scanned values")
        notes.append(f"stability windows narrower than the scan ({len(grid)} values) may be missed")
        try:
            lin_notes = linearize(exp).assumptions
        except NotLinearizable:
            lin_notes = ()
    if exp.update_rule.rule == "flow" and matched_masses(exp) and not exp.update_rule.averages:
        notes.append("the flow about D = D* never gains energy: no threshold at any parameter")
    return CollectiveInstability(
        vary=vary,
        range=(axis.low, axis.high),
        values=tuple(value for value, _ in found),
        unstable_side=tuple(side for _, side in found),
        method=method,
        margin=float(margins([exp])[0]),
        mode=_unstable_mode(exp, axis, *found[0]) if found else None,
        assumptions=(*lin_notes, *notes),
    )


# -- closed form ---------------------------------------------------------------------------------------------------


def _closed_form(exp: Experiment, axis: Axis) -> list[tuple[float, str]] | None:
    """[(threshold, unstable side)] ascending, or None where the modes do not commute along the axis."""
    loss, rule, path = exp.loss_object, exp.update_rule, axis.path
    if not matched_masses(exp) or exp.likelihood.weight or rule.averages:
        return None
    if rule.continuous:
        return [] if loss.b == loss.c else None
    if exp.penalty.consensus or rule.critic_steps > MAX_CRITIC_STEPS or path not in AFFINE:
        return None
    k = exp.penalty.coefficients
    if loss.kappa + k.value_p + k.value_q or exp.penalty.instance_noise:
        return None
    box = isinstance(exp.target, Uniform) and coupling_ratio(exp) is not None
    if path == "generator.kernel.ratio" and not box:
        return None if k.grad_p + k.grad_q else _critical_ratios(exp, axis)
    return _critical_affine(exp, axis)


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


def _critical_ratios(exp: Experiment, axis: Axis) -> list[tuple[float, str]] | None:
    """Weight decay alone: the critical stiffness from the Jury conditions, then the ratios from the pencil."""
    loss, conditions = exp.loss_object, jury_polynomials(exp.update_rule)
    per_stiffness = exp.discriminator.learning_rate * exp.generator.learning_rate * loss.b * loss.c
    a = exp.discriminator.learning_rate * exp.penalty.coefficients.nu
    roots = [_real_roots(np.polynomial.polynomial.polyval(a, c.coefficients)) for c in conditions]
    critical = np.concatenate(roots) / per_stiffness if roots else np.empty(0)
    R0, R1 = stiffness_ends(exp)

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


def stiffness_ends(exp: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """(R_0, R_1), (r, r): S^(1/2) H S^(1/2) has the non-zero eigenvalues of (1 - phi) R_0 + phi R_1.

    R_j = B^T S_j B on the range of B: S_0 = omega g1 diag(s_a) (phi = 0), S_1 = omega g1 p p^T (phi = 1).
    """
    M, d = exp.points.coordinates.shape
    ends = []
    U, sigma, _ = np.linalg.svd(seen_features(exp)[2], full_matrices=False)
    kept = sigma > EPS * max(U.shape) * sigma.max(initial=0.0)
    B = (U[:, kept] * sigma[kept]).reshape(M, d, -1)
    for ratio in (0.0, 1.0):
        s, p, c = coupling(exp.replace({"generator.kernel.ratio": ratio}))
        collective = np.einsum("m,mdr->dr", p, B)
        ends.append(np.einsum("mdr,m,mdq->rq", B, s, B, optimize=True) + c * collective.T @ collective)
    return ends[0], ends[1]


def _critical_affine(exp: Experiment, axis: Axis) -> list[tuple[float, str]] | None:
    """Commuting modes whose a_k and w_k^2 are affine in the parameter: the real roots of every condition of every
    mode."""
    # not beyond the middle: at a ratio of 1 the box's modes are frozen and there are none to compare
    step = (axis.high - axis.low) / 4
    lins = [linearize(exp.replace({axis.path: axis.low + i * step})) for i in range(3)]
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
    conditions = jury_polynomials(exp.update_rule)

    def stable(x: float) -> bool:
        values = a @ [1.0, x], w2 @ [1.0, x]
        return all(bool(np.all(c(*values) > 0)) for c in conditions)

    found = [np.empty(0)]
    found += [_real_roots(_composed(c.coefficients, a[k], w2[k])) for c in conditions for k in range(len(a))]
    return _boundaries(np.concatenate(found), axis, stable)


def _oscillators(lin: Linearization) -> bool:
    return len(lin.blocks) > 0 and not len(lin.dense) and bool(np.all(lin.blocks[:, 1, 1] == 0))


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


# -- the mode that goes unstable -----------------------------------------------------------------------------------


def _unstable_mode(exp: Experiment, axis: Axis, value: float, side: str) -> dict[str, Any] | None:
    """What grows first just beyond the threshold."""
    offset = BEYOND * (axis.high - axis.low if not axis.log else value)
    beyond = value + offset if side == "above" else value - offset
    return fastest_mode(exp.replace({axis.path: float(np.clip(beyond, axis.low, axis.high))}))


def fastest_mode(exp: Experiment) -> dict[str, Any] | None:
    """The fastest growing (or slowest decaying) mode that moves the particles: re, im of s; multiplier_re,
    multiplier_im; modes (how many grow as fast, conjugates counted once); translation (cosine^2); collective.

    None when no mode moves the particles or the system is too large to look for eigenvectors.
    """
    lin = linearize(exp)
    if isinstance(exp.target, Uniform) and len(lin.blocks):
        return _fastest_wave(exp, lin)
    parts = _matched_modes(exp) if matched_masses(exp) else _general_modes(exp)
    if parts is None:
        return None
    J, nw, displacement = parts
    rule = exp.update_rule
    values, vectors = np.linalg.eig(update_matrix(rule, J, nw))
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    values = values.astype(complex)
    s = values if rule.continuous else log_multiplier(values)
    growth = s.real if rule.continuous else np.abs(values) - 1
    noise = eigenvalues(lin, ratios=False).noise
    x = vectors[nw : len(J)]
    usable = (np.linalg.norm(x, axis=0) > COUPLING_TOLERANCE) & (np.abs(s) > noise) & (np.abs(growth) > noise)
    usable &= s.imag >= 0
    if not usable.any():
        return None
    top = growth[usable].max()
    group = np.flatnonzero(usable & (growth >= top - 0.01 * abs(top) - noise))
    first = group[np.argmax(growth[group])]
    return _mode(s[first], np.exp(s[first]), len(group), _translation(displacement(x[:, group])))


def _mode(s: complex, z: complex, count: int, translation: float, wavenumber: float = float("nan")) -> dict[str, Any]:
    return {
        "re": number(s.real),
        "im": number(s.imag),
        "multiplier_re": number(z.real),
        "multiplier_im": number(z.imag),
        "modes": count,
        "translation": translation,
        "collective": translation > COLLECTIVE,
        "wavenumber": number(wavenumber),
    }


def _fastest_wave(exp: Experiment, lin: Linearization) -> dict[str, Any] | None:
    """On the periodic box: waves of k != 0, which move no centre of mass."""
    values = eigenvalues(lin, ratios=False)
    usable = np.flatnonzero(values.coupled & values.resolved & (values.s.imag >= 0))
    if not usable.size:
        return None
    i = usable[np.argmax(values.s.real[usable])]
    return _mode(values.s[i], values.z[i], int(values.multiplicity[i]), 0.0, values.wavenumber[i])


def _matched_modes(exp: Experiment) -> Any:
    """(J, nw, map from the reduced generator coordinates (n, k) to particle displacements (N, d, k))."""
    reduced = saddle(exp)
    nw = len(reduced.basis)
    if nw + len(reduced.C) > MAX_VECTORS:
        return None
    J = reduced.jacobian(exp)
    (M, d), kernel = exp.points.coordinates.shape, exp.generator.kernel
    inverse_root = np.linalg.pinv(coupling_root(exp), hermitian=True)

    def displacement(v: np.ndarray) -> np.ndarray:
        u = (reduced.left @ v).reshape(M, d, -1)
        force = np.einsum("ab,bdk->adk", inverse_root, u)  # dx summed with masses = S^(1/2) u = S force
        together = np.einsum("a,adk->dk", exp.points.weights, force)
        relative = (kernel.g1 - kernel.g2) * exp.masses[:, None, None] * force[exp.assignment]
        return relative + kernel.g2 * together

    return J, nw, displacement


def _general_modes(exp: Experiment) -> Any:
    field = Field(exp)
    if field.features.size + exp.generator.particles * exp.dimension > MAX_VECTORS:
        return None
    eq = equilibrium(exp, field)
    shape = (exp.generator.particles, exp.dimension, -1)
    return jacobian_at(field, eq.w, eq.x), len(eq.w), lambda v: v.reshape(shape)


def _translation(displacement: np.ndarray) -> float:
    """Cosine^2 of the smallest angle between the space of (N, d, k) complex displacements and uniform translations."""
    N, d, _ = displacement.shape
    flat = displacement.reshape(N * d, -1)
    flat = np.concatenate([flat.real, flat.imag], axis=1)
    U, sigma, _ = np.linalg.svd(flat, full_matrices=False)
    U = U[:, sigma > REAL * sigma[0]].reshape(N, d, -1)
    mean = U.sum(0) / np.sqrt(N)  # projection on the d orthonormal translations
    return min(float(np.linalg.norm(mean, 2)) ** 2, 1.0)


__all__ = ["CollectiveInstability", "collective_instability", "fastest_mode", "margin", "margins"]
