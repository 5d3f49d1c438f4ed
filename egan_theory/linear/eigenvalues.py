"""Eigenvalues of an update rule on a linearization, with damping ratios, and which of them the particles feel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..base.shown import Shown
from ..problem.problem import Problem
from ..symbolic.maps import update_matrices
from ..tables.updates import UpdateRule
from .system import Linearization, Scalars, System, update_matrix

#: |zeta - 1| below which a mode is called critical: rounding moves coalescing eigenvalues by about sqrt(eps)
CRITICAL_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
#: rounding error of an eigenvalue, in eps times the norm of its matrix: at least this, and this much per dimension
RESOLUTION, RESOLUTION_PER_DIMENSION = 64, 8
#: part of an eigenvector on the particles below which the mode does not move them
COUPLING_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
#: part of a mode's motion that must be the particles' for them to converge by it
CARRIED = 0.1


@dataclass(frozen=True)
class Eigenvalues(Shown):
    """One row per distinct eigenvalue. ``s``: flow eigenvalue, or log z per step; ``z``: multiplier (exp s for flow).

    coupled: the mode moves the particles. carried: the particles converge by it. With kappa > 0 some modes are almost
    all discriminator, changes of D's values at the data that hardly tilt it there: they decay at eta_D kappa times a
    tiny number, whatever the penalty, and nobody waits for them. A mode is carried if, in the coordinates
    w / sqrt(eta_D c), v / sqrt(eta_G b), where the saddle is antisymmetric but for damping,

        |v|^2 / (|w|^2 + |v|^2) > 0.1

    (1/2 for every oscillating mode without kappa). Zero modes are not listed. noise: the rounding error of s.
    """

    s: np.ndarray
    z: np.ndarray
    multiplicity: np.ndarray
    damping_ratio: np.ndarray
    coupled: np.ndarray
    wavenumber: np.ndarray
    carried: np.ndarray
    noise: float

    TITLE: ClassVar[str] = "{0.s.size} eigenvalues, slowest first; per step (flows: per unit of time)"
    MORE: ClassVar[str] = ".s, .z, .damping_ratio, eg.spectrum(exp) with its assumptions"

    def grid(self) -> tuple[tuple[str, ...], list[list[Any]]]:
        parts = self.s.real, self.s.imag, np.abs(self.z), self.multiplicity, self.damping_ratio, self.regime
        head = ("real part", "imaginary part", "multiplier's modulus", "multiplicity", "damping ratio", "regime")
        return head, [[x.item() for x in row] for row in zip(*parts, strict=True)]

    @property
    def regime(self) -> np.ndarray:
        return regimes(self.s, self.damping_ratio)

    @property
    def rates(self) -> np.ndarray:
        """Decay rates -Re s (inf for a multiplier of exactly 0)."""
        return -self.s.real

    @property
    def resolved(self) -> np.ndarray:
        """Modes whose |s| stands above the rounding error."""
        return np.abs(self.s) > self.noise

    def slowest(self, coupled_only: bool = False) -> float:
        """Smallest decay rate of the resolved non-zero modes; NaN if there is none."""
        chosen = self.resolved & (self.coupled if coupled_only else True)
        return float(self.rates[chosen].min()) if chosen.any() else float("nan")

    @property
    def decisive(self) -> np.ndarray:
        """Resolved modes by which the particles converge, and those that move them and grow, whatever carries them."""
        size = np.abs(self.s[np.isfinite(self.s)]).max(initial=0.0)
        growing = self.coupled & (self.rates < -np.sqrt(np.finfo(float).eps) * size)
        return self.resolved & (self.carried | growing)

    def slowest_carried(self) -> float:
        """Smallest decay rate of the ``decisive`` modes; NaN if there is none."""
        return float(self.rates[self.decisive].min()) if self.decisive.any() else float("nan")


def regimes(s: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """underdamped (oscillates), critical (zeta = 1 to rounding) or overdamped, per eigenvalue."""
    out = np.where(np.abs(s.imag) > 0, "underdamped", "overdamped").astype("U11")
    critical = np.abs(ratio - 1) <= CRITICAL_TOLERANCE
    out[critical] = "critical"
    return out


def log_multiplier(z: np.ndarray) -> np.ndarray:
    """s = log z per step, principal branch; -inf for z = 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(z, dtype=complex))


def eigenvalues(lin: Linearization, rule: UpdateRule | None = None, ratios: bool = True) -> Eigenvalues:
    """Eigenvalues of the update rule on a linearization, zero modes left out.

    Args:
        rule: default: the experiment's own.
        ratios: False leaves the damping ratios of dense systems out (they need eigenvectors).

    Returns:
        s, z, multiplicity, damping_ratio, coupled, wavenumber, carried: arrays (modes,), by falling real part of s.

    Units:
        s per step (flow: per unit of time), multipliers z pure numbers, wavenumbers in 1/length.

    Raises: nothing of its own.

    Source:
        Eq. (17, mode-roots), steps: Eq. (50, map-simultaneous) to Eq. (59, map-heavy-ball-both).

    Examples:
        >>> import egan_theory as eg
        >>> import numpy as np
        >>> found = eg.eigenvalues(eg.linearize(eg.Experiment(target=eg.Ring(modes=4))))
        >>> bool(np.allclose(found.z, np.exp(found.s)))
        True
    """
    rule = lin.problem.rule if rule is None else rule
    parts = [
        _block_eigenvalues(lin, rule),
        *(_system_eigenvalues(lin.problem, system, rule, ratios) for system in lin.systems),
        *(_scalar_eigenvalues(scalar, rule) for scalar in lin.scalars),
    ]
    rows = [np.concatenate(column) for column in zip(*parts, strict=True)]
    s, z, multiplicity, ratio, coupled, wavenumber, carried = rows
    order = np.lexsort((-s.imag, -s.real))
    return Eigenvalues(
        s[order], z[order], multiplicity[order].astype(int), ratio[order], coupled[order].astype(bool),
        wavenumber[order], carried[order].astype(bool), _noise(lin, rule, s),
    )  # fmt: skip


def _noise(lin: Linearization, rule: UpdateRule, s: np.ndarray) -> float:
    """eps times the norm of the matrix (the largest |s|, or 1 for multipliers near the unit circle) times its size."""
    scale = np.abs(s[np.isfinite(s)]).max(initial=0.0) if rule.continuous else 1.0
    largest = max((len(system.J) for system in lin.systems), default=0)
    return float(np.finfo(float).eps * max(RESOLUTION, RESOLUTION_PER_DIMENSION * largest) * scale)


def _row(s: np.ndarray, z: np.ndarray, multiplicity: object, ratio: object, coupled: bool, k: object) -> tuple:
    full = lambda v, t: np.broadcast_to(np.asarray(v, dtype=t), s.shape).ravel()  # noqa: E731
    counted = full(coupled, bool)
    return s.ravel(), z.ravel(), full(multiplicity, int), full(ratio, float), counted, full(k, float), counted


def _no_row() -> tuple:
    empty = np.empty(0, dtype=complex)
    return _row(empty, empty, 1, np.nan, True, np.nan)


def _block_eigenvalues(lin: Linearization, rule: UpdateRule) -> tuple:
    blocks = lin.blocks
    if not len(blocks):
        return _no_row()
    if rule.responds and not rule.averages:
        # the discriminator is slaved to the particles: one real eigenvalue, and a multiplier 0 per step
        rate = blocks[:, 1, 1] - blocks[:, 1, 0] * blocks[:, 0, 1] / blocks[:, 0, 0]
        if rule.continuous:
            s = rate[:, None].astype(complex)
            z = np.exp(s)
        else:
            z = np.stack([1 + rate, np.zeros(len(rate))], axis=-1).astype(complex)
            s = log_multiplier(z)
        ratio = np.full(s.shape, np.nan)
    elif rule.continuous and rule.averages:
        s = np.linalg.eigvals(update_matrices(rule, blocks)).astype(complex)
        if rule.responds:
            s = _without_slaved(s)
        z, ratio = np.exp(s), np.where(np.abs(s.imag) > 0, -s.real / np.abs(s), np.nan)
    elif rule.continuous:
        s = pair_eigenvalues(blocks)
        z = np.exp(s)
        trace, det = -np.trace(blocks, axis1=-2, axis2=-1), np.linalg.det(blocks)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(det > 0, trace / (2 * np.sqrt(np.abs(det))), np.nan)[:, None]
    else:
        T = update_matrices(rule, blocks)
        z = pair_eigenvalues(T) if T.shape[-1] == 2 else np.linalg.eigvals(T).astype(complex)
        z = np.take_along_axis(z, np.argsort(-np.abs(z), axis=-1, kind="stable"), axis=-1)
        s = log_multiplier(z)
        ratio = _discrete_ratio(s)
    return _row(s, z, lin.multiplicity[:, None], ratio, True, lin.wavenumber[:, None])


def pair_eigenvalues(blocks: np.ndarray) -> np.ndarray:
    """(K, 2) complex eigenvalues of (K, 2, 2) real blocks, without cancellation in the small root."""
    half = (blocks[:, 0, 0] + blocks[:, 1, 1]) / 2
    difference = (blocks[:, 0, 0] - blocks[:, 1, 1]) / 2
    product = blocks[:, 0, 1] * blocks[:, 1, 0]
    # (tr/2)^2 - det = ((J11 - J22)/2)^2 + J12 J21, formed without the large det
    discriminant = difference**2 + product
    root = np.sqrt(discriminant.astype(complex))
    large = np.where(half >= 0, half + root, half - root)
    det = blocks[:, 0, 0] * blocks[:, 1, 1] - product
    with np.errstate(invalid="ignore", divide="ignore"):
        small = np.where(discriminant >= 0, det / large, np.conj(large))
    small = np.where(large == 0, 0, small)
    return np.stack([large, small], axis=-1)


def _discrete_ratio(s: np.ndarray) -> np.ndarray:
    """zeta from log z: -Re s/|s| for oscillating modes; from the pair of slowest real ones otherwise (memory: NaN)."""
    ratio = np.full(s.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        oscillating = np.abs(s.imag) > 0
        ratio[oscillating] = (-s.real / np.abs(s))[oscillating]
        if s.shape[-1] >= 2:
            first, second = s[..., 0].real, s[..., 1].real
            both = ~oscillating[..., 0] & ~oscillating[..., 1] & (first * second > 0) & np.isfinite(first * second)
            value = -(first + second) / (2 * np.sqrt(np.abs(first * second)))
            for column in (0, 1):
                ratio[..., column] = np.where(both, value, ratio[..., column])
    return ratio


def _system_eigenvalues(problem: Problem, system: System, rule: UpdateRule, ratios: bool) -> tuple:
    J, nw = system.J, system.nw
    if not len(J):
        return _no_row()
    if rule.responds:
        row = _slaved_eigenvalues(J, nw, rule, system.zero)
        return (*row[:2], row[2] * system.count, *row[3:])
    T = update_matrix(rule, J, nw)
    vectors, moves = None, np.ones(len(T), dtype=bool)
    carried = moves
    if ratios or system.mixed:
        values, vectors = np.linalg.eig(T)
        if system.mixed:
            moves = np.linalg.norm(vectors[nw : len(J)], axis=0) > COUPLING_TOLERANCE
            carried = moves & (_particles_share(problem, system, vectors) > CARRIED)
    else:
        values = np.linalg.eigvals(T)
    values = values.astype(complex)
    s, z = (values, np.exp(values)) if rule.continuous else (log_multiplier(values), values)
    ratio = np.full(s.shape, np.nan)
    if vectors is not None and ratios and not rule.averages:
        ratio = np.where(moves, _rayleigh_ratio(J, nw, s, vectors), np.nan)  # D's modes alone are no oscillators
    count, none = np.full(len(s), system.count), np.full(len(s), np.nan)
    kept = np.sort(np.argsort(np.abs(s))[system.zero :]) if system.zero else slice(None)
    return tuple(column[kept] for column in (s, z, count, ratio, moves, none, carried))


def _particles_share(problem: Problem, system: System, vectors: np.ndarray) -> np.ndarray:
    """|v|^2 / (|w|^2 + |v|^2) of every eigenvector, w and v scaled as in ``Eigenvalues``."""
    nw = system.nw
    w = (np.abs(vectors[:nw]) ** 2).sum(0) / (problem.eta_D * problem.loss.c)
    v = (np.abs(vectors[nw : len(system.J)]) ** 2).sum(0) / (problem.eta_G * problem.loss.b)
    if system.positions:  # dx = sqrt(omega (g1 - g2)) theta for relative motion
        v = v / (problem.omega * (problem.g1 - problem.g2 or problem.g1))
    with np.errstate(invalid="ignore"):
        return v / (w + v)


def _without_slaved(s: np.ndarray) -> np.ndarray:
    """(K, m) eigenvalues without the one of each block that is 0 because its discriminator has no dynamics."""
    order = np.argsort(np.abs(s), axis=-1)[:, 1:]
    return np.take_along_axis(s, order, axis=-1)


def _slaved_eigenvalues(J: np.ndarray, nw: int, rule: UpdateRule, zero: int) -> tuple:
    """Those of a discriminator at its optimum, of J_xx - J_xw J_ww^-1 J_wx where nothing is averaged: nothing depends
    on its old weights. Per step also a multiplier 0 for every weight."""
    values = np.linalg.eigvals(update_matrix(rule, J, nw)[nw:, nw:]).astype(complex)
    growth = values if rule.continuous else values - 1
    values = values[np.sort(np.argsort(np.abs(growth))[zero:])]
    if rule.continuous:
        return _row(values, np.exp(values), 1, np.nan, True, np.nan)
    gone = np.zeros(1, dtype=complex)
    rows = (
        _row(log_multiplier(values), values, 1, np.nan, True, np.nan),
        _row(log_multiplier(gone), gone, nw, np.nan, False, np.nan),
    )
    return tuple(np.concatenate(pair) for pair in zip(*rows, strict=True))


def _rayleigh_ratio(J: np.ndarray, nw: int, s: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """zeta = -(Re s)/|s| for oscillating modes; for real ones that of the mode's own oscillator: the flow's J on the
    plane of (w, 0) and (0, x) of its eigenvector has trace -a and determinant omega^2 (exact where J is a saddle)."""
    real = s.imag == 0
    w, x = vectors[:nw, real].real, vectors[nw : len(J), real].real
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ww, xx = (w * w).sum(0), (x * x).sum(0)
        a, d = (w * (J[:nw, :nw] @ w)).sum(0) / ww, (x * (J[nw:, nw:] @ x)).sum(0) / xx
        cross = (w * (J[:nw, nw:] @ x)).sum(0) / ww * (x * (J[nw:, :nw] @ w)).sum(0) / xx
        det = a * d - cross
        ratio = -s.real / np.abs(s)
        ratio[real] = np.where(det > 0, -(a + d) / (2 * np.sqrt(np.abs(det))), np.nan)
    return ratio


def _scalar_eigenvalues(scalar: Scalars, rule: UpdateRule) -> tuple:
    if scalar.count == 0 or (scalar.s == 0 and scalar.player not in rule.blocks):
        return _no_row()  # nobody, or the zero mode alone (best responses: none in w)
    if rule.continuous and not rule.averages:
        if rule.responds and scalar.player == "w":
            return _no_row()
        s = np.array([scalar.s], dtype=complex)
        z = np.exp(s)
    else:
        # an average of the particles is one of what the discriminator sees: modes it does not see have none
        players = np.array(["w", "x", *rule.blocks])
        own = np.flatnonzero(players == scalar.player)
        block = np.zeros((1, 2, 2))
        at = 0 if scalar.player == "w" else 1
        block[0, at, at] = scalar.s
        if rule.responds and scalar.player == "x":
            block[0, 0, 0] = -1.0  # any: the optimum has to exist
        matrix = update_matrices(rule, block)[0][np.ix_(own, own)]
        if rule.responds and rule.continuous and scalar.player == "w":
            matrix = matrix[1:, 1:]  # w itself has no dynamics
        values = np.linalg.eigvals(matrix).astype(complex)
        if rule.continuous:
            s = values[np.argsort(np.abs(values))]
            z = np.exp(s)
        else:
            z = values[np.argsort(-np.abs(values))]
            s = log_multiplier(z)
    if scalar.s == 0:
        s, z = s[1:], z[1:]
    return _row(s, z, scalar.count, np.nan, False, np.nan)
