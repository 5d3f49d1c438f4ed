"""What a linearization is: blocks, scalars and a dense remainder, in the parameter coordinates of both players.

Near an equilibrium with D = D* on the data, w the discriminator's weights and theta the generator's parameters
(dx = M^(1/2) theta, M = omega Gamma), the field before learning rates is

    J = [[-A, -c C^T], [b C, 0]],   A = nu + kappa Psi^T P Psi + lambda B^T P B >= 0,   C = S^(1/2) B
    S_ab = omega [(g1 - g2) delta_ab sum_(i on a) m_i^2 + g2 p_a p_b]

(one row block of B, grad psi(y_a), per target point a; particles sharing a point contribute through S alone). Consensus
gives J - gamma J^T J; rows are then multiplied by the learning rates. Brief section 2b is the case S = Gamma/N.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..experiment import Experiment
from ..symbolic.maps import update_matrices
from ..tables.updates import UpdateRule, linear_opponents

#: |zeta - 1| below which a mode is called critical: rounding moves coalescing eigenvalues by about sqrt(eps)
CRITICAL_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
#: rounding error of an eigenvalue, in eps times the norm of its matrix: at least this, and this much per dimension
RESOLUTION, RESOLUTION_PER_DIMENSION = 64, 8
#: part of an eigenvector on the particles below which the mode does not move them
COUPLING_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
#: part of a mode's motion that must be the particles' for them to converge by it
CARRIED = 0.1


@dataclass(frozen=True)
class Scalars:
    """Modes of one player alone: dw/dt = s w (player "w") or dx/dt = s x (player "x"), ``count`` of them."""

    player: str
    s: float
    count: int


@dataclass(frozen=True)
class Copies:
    """``count`` independent systems with the same Jacobian J, its first ``nw`` coordinates the discriminator's.

    mixed: some of its modes may not move the particles. left (M e, n): its particle coordinates in those of the M
    target points, e components of each (``linear.saddle``)."""

    J: np.ndarray
    nw: int
    count: int
    mixed: bool = False
    left: np.ndarray | None = None


@dataclass(frozen=True)
class Linearization:
    """The flow Jacobian at equilibrium, as far as structure reduces it. Learning rates are folded in.

    blocks (K, 2, 2): independent oscillators (w_k, theta_k) with ``multiplicity`` (K,) and ``wavenumber`` (K,);
    dense (n, n) with the first ``nw`` coordinates the discriminator's and ``dense_zero`` zero modes
    (dense_mixed: some of its modes may not move the particles; on_particles: its others are positions, not parameters
    of the generator); copies: dense systems with a multiplicity; scalars:
    decoupled modes of one player.
    zero_modes: exact number of zero eigenvalues (multipliers 1). unresolved: modes whose stiffness is below the
    rounding error of the largest, so that their value is not known.
    """

    exp: Experiment
    method: str
    assumptions: tuple[str, ...]
    blocks: np.ndarray = field(default_factory=lambda: np.empty((0, 2, 2)))
    multiplicity: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    wavenumber: np.ndarray = field(default_factory=lambda: np.empty(0))
    dense: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    nw: int = 0
    dense_zero: int = 0
    dense_mixed: bool = False
    on_particles: bool = False
    copies: tuple[Copies, ...] = ()
    scalars: tuple[Scalars, ...] = ()
    unresolved: int = 0

    @property
    def zero_modes(self) -> int:
        return self.dense_zero + sum(s.count for s in self.scalars if s.s == 0)

    @property
    def size(self) -> int:
        """Number of coordinates (w, x) described, multiplicities and scalars counted, memory of the rule not."""
        copies = sum(c.count * len(c.J) for c in self.copies)
        return int(2 * self.multiplicity.sum()) + len(self.dense) + copies + sum(s.count for s in self.scalars)


@dataclass(frozen=True)
class Eigenvalues:
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
    """Eigenvalues of the update rule (default: the experiment's own) on a linearization, zero modes left out.

    ``ratios`` False: leave the damping ratios of dense systems out (they need eigenvectors)."""
    rule = lin.exp.update_rule if rule is None else rule
    parts = [
        _block_eigenvalues(lin, rule),
        _dense_eigenvalues(lin, rule, ratios),
        *(_copies_eigenvalues(lin, copies, rule, ratios) for copies in lin.copies),
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
    largest = max([len(lin.dense), *(len(copies.J) for copies in lin.copies)])
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


def _dense_eigenvalues(lin: Linearization, rule: UpdateRule, ratios: bool) -> tuple:
    J, nw = lin.dense, lin.nw
    if not len(J):
        return _no_row()
    if rule.responds:
        return _slaved_eigenvalues(J, nw, rule, lin.dense_zero)
    T = update_matrix(rule, J, nw)
    coupled: object = True
    carried: object = True
    vectors = None
    if ratios or lin.dense_mixed:
        values, vectors = np.linalg.eig(T)
        if lin.dense_mixed:
            moving = np.linalg.norm(vectors[nw : len(J)], axis=0) > COUPLING_TOLERANCE
            coupled, carried = moving, moving & (_particles_share(lin, vectors) > CARRIED)
    else:
        values = np.linalg.eigvals(T)
    values = values.astype(complex)
    s, z = (values, np.exp(values)) if rule.continuous else (log_multiplier(values), values)
    ratios = ratios and not rule.averages
    ratio = np.full(s.shape, np.nan) if vectors is None or not ratios else _rayleigh_ratio(J, nw, s, vectors)
    ratio = np.where(np.asarray(coupled), ratio, np.nan)  # a mode of the discriminator alone is no oscillator
    row = _row(s, z, 1, ratio, True, np.nan)
    row = (
        *row[:4],
        np.broadcast_to(np.asarray(coupled), s.shape),
        row[5],
        np.broadcast_to(np.asarray(carried), s.shape),
    )
    if lin.dense_zero:
        moving = np.sort(np.argsort(np.abs(s))[lin.dense_zero :])
        row = tuple(column[moving] for column in row)
    return row


def _particles_share(lin: Linearization, vectors: np.ndarray) -> np.ndarray:
    """|v|^2 / (|w|^2 + |v|^2) of every eigenvector, w and v scaled as in ``Eigenvalues``."""
    exp, nw = lin.exp, lin.nw
    w = (np.abs(vectors[:nw]) ** 2).sum(0) / (exp.discriminator.learning_rate * exp.loss_object.c)
    v = (np.abs(vectors[nw : len(lin.dense)]) ** 2).sum(0) / (exp.generator.learning_rate * exp.loss_object.b)
    if lin.on_particles:  # positions themselves: dx = sqrt(omega (g1 - g2)) theta for relative motion
        kernel = exp.generator.kernel
        v = v / (exp.omega * (kernel.g1 - kernel.g2 or kernel.g1))
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


def _copies_eigenvalues(lin: Linearization, copies: Copies, rule: UpdateRule, ratios: bool) -> tuple:
    one = replace(lin, dense=copies.J, nw=copies.nw, dense_mixed=copies.mixed, dense_zero=0)
    row = _dense_eigenvalues(one, rule, ratios)
    return (*row[:2], row[2] * copies.count, *row[3:])


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
    if scalar.count == 0 or (scalar.s == 0 and scalar.player not in rule.memory):
        return _no_row()  # nobody, or the zero mode alone (best responses: none in w)
    if rule.continuous and not rule.averages:
        if rule.responds and scalar.player == "w":
            return _no_row()
        s = np.array([scalar.s], dtype=complex)
        z = np.exp(s)
    else:
        # an average of the particles is one of what the discriminator sees: modes it does not see have none
        players = np.array(["w", "x", *rule.memory])
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


def update_matrix(rule: UpdateRule, J: np.ndarray, nw: int) -> np.ndarray:
    """The matrix of one step of a discrete rule on (w, x, memory), by applying the rule to identity columns; of a flow
    the matrix of its time derivative, J itself where nothing is averaged."""
    rule.check_autonomous()
    if rule.rule == "flow" and not rule.averages:
        return J
    sizes = [nw, len(J) - nw]
    sizes += [sizes[0] if block == "w" else sizes[1] for block in rule.memory]
    columns = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1])
    top, bottom = J[:nw], J[nw:]

    def Vw(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return top[:, :nw] @ w + top[:, nw:] @ x

    def Vx(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return bottom[:, :nw] @ w + bottom[:, nw:] @ x

    others = linear_opponents(Vw, lambda v: np.linalg.solve(top[:, :nw], v))
    advance = rule.velocity if rule.continuous else rule.step
    return np.concatenate(advance(tuple(columns), Vw, Vx, others))
