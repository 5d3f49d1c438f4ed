"""The mode that grows fastest, and whether it moves all particles together."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.json import number
from ..linear import Linearization, eigenvalues
from ..linear.equilibria import equilibrium
from ..linear.modes import COUPLING_TOLERANCE
from ..linear.rounding import dense_roots
from ..linear.routes import linearize
from ..linear.saddle import saddle
from ..linear.system import decrement_matrix
from ..problem.field import Field
from ..problem.jacobian import jacobian_at
from ..problem.problem import Problem
from .crossings import Axis

#: an eigenvector's part below this of the largest is rounding
REAL = float(np.sqrt(np.finfo(float).eps))
#: the unstable mode is looked at this part of the range beyond the threshold
BEYOND = 1e-6
#: larger systems are not searched for the eigenvector of the unstable mode
MAX_VECTORS = 1500
#: cosine^2 with a uniform translation from which a mode is called collective
COLLECTIVE = 0.5


def mode_beyond(problem: Problem, axis: Axis, value: float, side: str) -> dict[str, Any] | None:
    """What grows first just beyond the threshold."""
    offset = BEYOND * (axis.high - axis.low if not axis.log else value)
    beyond = value + offset if side == "above" else value - offset
    return fastest_mode(problem.replace({axis.path: float(np.clip(beyond, axis.low, axis.high))}))


def fastest_mode(problem: Problem) -> dict[str, Any] | None:
    """The fastest growing (or slowest decaying) mode that moves the particles: re, im of s; multiplier_re,
    multiplier_im; modes (how many grow as fast, conjugates counted once); translation (cosine^2); collective.

    None when no mode moves the particles or the system is too large to look for eigenvectors.
    """
    lin = linearize(problem)
    if problem.box is not None and len(lin.blocks):
        return _fastest_wave(lin)
    parts = _matched_modes(problem) if problem.matched else _general_modes(problem)
    if parts is None:
        return None
    J, nw, displacement = parts
    rule = problem.rule
    roots, vectors = dense_roots(decrement_matrix(rule, J, nw), rule.continuous)
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    s, _, error = roots.logarithms(rule.continuous)
    growth = s.real if rule.continuous else np.expm1(s.real)
    x = vectors[nw : len(J)]
    usable = (np.linalg.norm(x, axis=0) > COUPLING_TOLERANCE) & (np.abs(growth) > error) & (s.imag >= 0)
    if not usable.any():
        return None
    top = growth[usable].max()
    group = np.flatnonzero(usable & (growth >= top - 0.01 * abs(top) - error))
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


def _fastest_wave(lin: Linearization) -> dict[str, Any] | None:
    """On the periodic box: waves of k != 0, which move no centre of mass."""
    values = eigenvalues(lin, ratios=False)
    usable = np.flatnonzero(values.coupled & values.resolved & (values.s.imag >= 0))
    if not usable.size:
        return None
    i = usable[np.argmax(values.s.real[usable])]
    return _mode(values.s[i], values.z[i], int(values.multiplicity[i]), 0.0, values.wavenumber[i])


def _matched_modes(problem: Problem) -> Any:
    """(J, nw, map from the reduced generator coordinates (n, k) to particle displacements (N, d, k))."""
    reduced = saddle(problem)
    nw = len(reduced.basis)
    if nw + len(reduced.C) > MAX_VECTORS:
        return None
    J = reduced.jacobian(problem)
    M, d = problem.Y.shape
    inverse_root = np.linalg.pinv(problem.coupling_root, hermitian=True)

    def displacement(v: np.ndarray) -> np.ndarray:
        u = (reduced.left @ v).reshape(M, d, -1)
        force = np.einsum("ab,bdk->adk", inverse_root, u)  # dx summed with masses = S^(1/2) u = S force
        together = np.einsum("a,adk->dk", problem.p, force)
        relative = (problem.g1 - problem.g2) * problem.masses[:, None, None] * force[problem.assignment]
        return relative + problem.g2 * together

    return J, nw, displacement


def _general_modes(problem: Problem) -> Any:
    field = Field(problem)
    if field.features.size + problem.N * problem.d > MAX_VECTORS:
        return None
    eq = equilibrium(problem, field)
    shape = (problem.N, problem.d, -1)
    return jacobian_at(eq.field, eq.w, eq.x), len(eq.w), lambda v: v.reshape(shape)


def _translation(displacement: np.ndarray) -> float:
    """Cosine^2 of the smallest angle between the space of (N, d, k) complex displacements and uniform translations."""
    N, d, _ = displacement.shape
    flat = displacement.reshape(N * d, -1)
    flat = np.concatenate([flat.real, flat.imag], axis=1)
    U, sigma, _ = np.linalg.svd(flat, full_matrices=False)
    U = U[:, sigma > REAL * sigma[0]].reshape(N, d, -1)
    mean = U.sum(0) / np.sqrt(N)  # projection on the d orthonormal translations
    return min(float(np.linalg.norm(mean, 2)) ** 2, 1.0)


__all__ = ["fastest_mode", "mode_beyond"]
