"""Modal coordinates of recorded runs: what each eigenmode of the prediction does in the data.

The prediction gives the right eigenvectors of one step, u(t) = sum_i c_i X_i z_i^t, u = (w, v) (learning rule memory
included). Of u a recorded run shows v (the displacements, in the generator's coordinates) and, where the discriminator
and its gradient at the particles were recorded, w on the features that the data see. With delays q_1 < q_2 < ... the
stacked observation is y(t) = O c(t), O = [X_obs; X_obs z^q_1; ...], and c(t) = O^+ y(t): each c_i is a single
exponential if the theory is right, and how it really moves is left to the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ..errors import InputError, NotLinearizable
from ..experiment import Experiment
from ..linear import equilibrium, update_matrix
from ..linear.coupling import coupling_root
from ..linear.equilibrium import matched_masses
from ..linear.general import jacobian_at
from ..linear.saddle import saddle
from ..linear.system import COUPLING_TOLERANCE, log_multiplier

#: a displacement above this part of the discriminator's length scale is not linear any more
LINEAR_LIMIT = 0.1
#: rms of a coordinate, as a part of the largest, below which it may be rounding of the recorded positions
ROUNDING = 1e-6
#: largest condition number of O that is trusted to separate the modes
MAX_CONDITION = 1e9
#: delays tried, in records
DELAYS = (1, 2, 4, 8, 16, 32, 64)
#: modes whose observed eigenvectors overlap more than this are fitted together: near coalescence neither has its own
OVERLAP = 0.9999
#: eigenvalues closer than this part of the largest are one eigenvalue with several eigenvectors
DEGENERACY = 1e-7


@dataclass(frozen=True)
class ModalSignals:
    """One cluster of close modes: predicted s (r,) distinct, signals (run, time, channel) complex, and its share of the
    observation, rms over runs and the first samples."""

    predicted: np.ndarray
    signals: np.ndarray
    amplitude: float


@dataclass(frozen=True)
class Modes:
    """times (T,), clusters sorted by predicted decay rate, runs used, and notes on what could not be used."""

    times: np.ndarray
    clusters: tuple[ModalSignals, ...]
    displacement: np.ndarray  # (run, T, n) moved coordinates, for fits without the prediction's eigenvectors
    norms: np.ndarray  # (run, T) size of the deviation
    condition: float
    second_order: float  # largest displacement over the discriminator's length scale
    notes: tuple[dict[str, str], ...]


def modal_coordinates(exp: Experiment, runs: xr.Dataset) -> Modes:
    """The modes of ``exp`` in recorded runs (validated schema). Raises InputError if no run is near equilibrium."""
    matched = matched_masses(exp)
    reduced = _Matched(exp) if matched else _General(exp)
    times, x, notes = _near_equilibrium(exp, runs, reduced.x)
    v = reduced.moved(x)
    responds = exp.update_rule.responds  # its weights follow the particles: they show nothing more
    w = None if responds else reduced.weights(runs.isel(run=x.kept, time=slice(x.first, x.last)))
    T = reduced.step_matrix()
    values, vectors = np.linalg.eig(T) if reduced.flow is None else np.linalg.eig(reduced.flow)
    s = values.astype(complex) if reduced.flow is not None else log_multiplier(values)
    nw = reduced.nw
    observed = vectors[nw : nw + reduced.nv]
    moves = np.linalg.norm(observed, axis=0) > COUPLING_TOLERANCE * np.linalg.norm(vectors, axis=0)
    y = v
    if w is not None:
        observed = np.concatenate([vectors[:nw], observed])
        y = np.concatenate([w, v], axis=-1)
    usable = np.isfinite(s) & (moves if responds else True)
    s, observed, moves = s[usable], observed[:, usable], moves[usable]
    observed = observed / np.maximum(np.linalg.norm(observed, axis=0), np.finfo(float).tiny)
    signals, times_used, condition, O = _separate(times, y, s, observed)
    norms = _norms(v, w)
    second_order = float(np.nanmax(np.abs(x.dx[:, 0]))) / exp.discriminator.length_scale
    if signals is None:
        reason = f"observations do not tell the modes apart (condition {condition:.1g})"
        notes.append({"name": "modal separation", "reason": reason})
        return Modes(times, (), v, norms, condition, second_order, tuple(notes))
    return Modes(times_used, _clusters(s, signals, O, moves), v, norms, condition, second_order, tuple(notes))


def deviation_norms(exp: Experiment, runs: xr.Dataset) -> np.ndarray:
    """(run, time) size of the deviation from equilibrium in recorded runs: w and v together, each relative to its
    largest. Runs must start near equilibrium."""
    reduced = _Matched(exp) if matched_masses(exp) else _General(exp)
    dx = runs["particles"].values - reduced.x
    v = reduced.moved(_Displacement(dx, np.tile(exp.assignment, (len(dx), 1)), list(range(len(dx))), 0, dx.shape[1]))
    return _norms(v, reduced.weights(runs))


def _norms(v: np.ndarray, w: np.ndarray | None) -> np.ndarray:
    total = np.zeros(v.shape[:2])
    for part in (v, w):
        if part is not None:
            size = np.linalg.norm(part, axis=-1)
            largest = np.nanmax(size)
            total += (size / largest) ** 2 if largest > 0 else 0.0
    return np.sqrt(total)


def _scale(y: np.ndarray) -> np.ndarray:
    """rms of every coordinate at its largest time, so that w and v weigh alike."""
    size = np.sqrt(np.nanmean(np.abs(y) ** 2, axis=0)).max(axis=0)
    # a coordinate that only rounding moves must not be blown up to the size of the others
    size = np.maximum(size, ROUNDING * size.max(initial=0.0))
    return np.where(size > 0, size, 1.0)


# -- states ---------------------------------------------------------------------------------------------------------


class _Matched:
    """Particles on the data with D = D*: reduced saddle coordinates."""

    def __init__(self, exp: Experiment) -> None:
        self.exp, self.saddle = exp, saddle(exp)
        self.J = self.saddle.jacobian(exp)
        self.nw, self.nv = len(self.saddle.basis), len(self.saddle.C)
        self.x = exp.points.coordinates[exp.assignment]
        rule = exp.update_rule
        self.flow = update_matrix(rule, self.J, self.nw) if rule.continuous else None

    def step_matrix(self) -> np.ndarray:
        rule = self.exp.update_rule
        return update_matrix(rule, self.J, self.nw)

    def moved(self, x: _Displacement) -> np.ndarray:
        """(run, time, n) generator coordinates v of the displacements."""
        M, d = self.exp.points.coordinates.shape
        xi = np.zeros((*x.dx.shape[:2], M, d))
        for r, assignment in enumerate(x.assignment):
            for a in range(M):
                on = assignment == a
                xi[r, :, a] = np.einsum("j,tjd->td", self.exp.masses[on], x.dx[r][:, on])
        root = np.linalg.pinv(coupling_root(self.exp), hermitian=True)
        u = np.einsum("ab,rtbd->rtad", root, xi).reshape(*xi.shape[:2], M * d)
        return u @ self.saddle.left

    def weights(self, runs: xr.Dataset) -> np.ndarray | None:
        """(run, time, r) seen weights, as recorded or from D and grad D at the particles; None if neither tells."""
        from ..linear.seen import seen_features, seen_weights

        seen = seen_weights(self.exp, runs["weights"].values) if "weights" in runs else None
        if seen is not None:
            return seen @ self.saddle.basis.T
        if "force" not in runs or "discriminator" not in runs or self.exp.penalty.instance_noise:
            return None
        exp, (M, d) = self.exp, self.exp.points.coordinates.shape
        psi, _, mean = seen_features(exp)
        size = self.saddle.basis.shape[0]
        # grad D alone where it suffices: D also shows weights that the linear dynamics leaves frozen (kappa = 0)
        rows = mean @ self.saddle.basis.T
        only_force = np.linalg.matrix_rank(rows, tol=1e-12 * np.linalg.norm(rows, 2)) == size
        if not only_force:
            if exp.packing.degree > 1:  # D at tuples, of which its mean over the other samples shows a part
                return None
            rows = np.concatenate([psi / np.sqrt(exp.points.weights)[:, None] @ self.saddle.basis.T, rows])
            if np.linalg.matrix_rank(rows, tol=1e-12 * np.linalg.norm(rows, 2)) < size:
                return None
        inverse = np.linalg.pinv(rows, rcond=1e-12)
        count = np.bincount(exp.assignment, minlength=M)
        f = np.zeros((runs.sizes["run"], runs.sizes["time"], M))
        g = np.zeros((*f.shape, d))
        for a in range(M):
            on = exp.assignment == a
            f[..., a] = runs["discriminator"].values[..., on].sum(-1) / count[a]
            g[..., a, :] = runs["force"].values[..., on, :].sum(-2) / count[a]
        flat = g.reshape(*f.shape[:2], M * d)
        return (flat if only_force else np.concatenate([f, flat], axis=-1)) @ inverse.T


class _General:
    """Particles off D = D*: full (w, x) coordinates at the equilibrium found by Newton's method."""

    def __init__(self, exp: Experiment) -> None:
        from ..dynamics import Field

        self.exp = exp
        field = Field(exp)
        eq = equilibrium(exp, field)
        self.x, self.w, self.nw, self.nv = eq.x, eq.w, len(eq.w), eq.x.size
        self.J = jacobian_at(field, eq.w, eq.x)
        rule = exp.update_rule
        self.flow = update_matrix(rule, self.J, self.nw) if rule.continuous else None

    def step_matrix(self) -> np.ndarray:
        rule = self.exp.update_rule
        return update_matrix(rule, self.J, self.nw)

    def moved(self, x: _Displacement) -> np.ndarray:
        return x.dx.reshape(*x.dx.shape[:2], -1)

    def weights(self, runs: xr.Dataset) -> np.ndarray | None:
        if "weights" in runs and runs.sizes["feature"] == self.nw:
            return runs["weights"].values - self.w
        return None


# -- which samples are near equilibrium -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Displacement:
    """dx (run, time, N, d) from each particle's own point; the runs and the times [first, last) that were kept."""

    dx: np.ndarray
    assignment: np.ndarray
    kept: list[int]
    first: int
    last: int


def _near_equilibrium(
    exp: Experiment, runs: xr.Dataset, x_eq: np.ndarray
) -> tuple[np.ndarray, _Displacement, list[dict[str, str]]]:
    particles, times = runs["particles"].values, runs["time"].values.astype(float)
    N, d = exp.generator.particles, exp.dimension
    if particles.shape[2] != N:
        raise InputError("runs: dimension particle", f"be generator.particles = {N}", particles.shape[2])
    if particles.shape[3] != d:
        raise InputError("runs: dimension component", f"be the target's dimension {d}", particles.shape[3])
    limit = LINEAR_LIMIT * exp.discriminator.length_scale
    period = exp.points.period
    notes: list[dict[str, str]] = []
    own = bool("assignment" in runs and np.array_equal(runs["assignment"].values, exp.assignment))
    kept, dxs, assignments, windows = [], [], [], []
    for r in range(particles.shape[0]):
        if own or not matched_masses(exp):
            assignment, dx = exp.assignment, particles[r] - x_eq
        else:
            found = _assign(exp, particles[r])
            if found is None:
                reason = "does not end with the target's mass on every target point"
                notes.append({"name": f"run {r}", "reason": reason})
                continue
            assignment, dx = found
        if period is not None:
            dx = (dx + period / 2) % period - period / 2
        with np.errstate(invalid="ignore"):
            size = np.sqrt((dx**2).sum(-1)).max(-1)
        near = np.isfinite(size) & (size < limit)
        if not near.any():
            reason = f"never within {limit:.3g} of equilibrium (largest displacement)"
            notes.append({"name": f"run {r}", "reason": reason})
            continue
        # a kicked run is near from the start on, a random one from the last time it enters
        start = int(np.flatnonzero(near)[0])
        stop = start + int(np.argmin(near[start:])) if not near[start:].all() else len(near)
        if stop < len(near) and near[-1]:
            far = np.flatnonzero(~near)
            start, stop = int(far[-1]) + 1, len(near)
        windows.append((start, stop))
        kept.append(r)
        dxs.append(dx)
        assignments.append(assignment)
    if not kept:
        raise NotLinearizable(
            "runs", "come near the equilibrium of the experiment in at least one run", _reasons(notes)
        )
    first, last = max(a for a, _ in windows), min(b for _, b in windows)
    if last - first < 8:
        raise InputError(
            "runs: dimension time", "hold at least 8 samples near equilibrium, common to all runs", max(last - first, 0)
        )
    if last < len(times):
        notes.append(
            {"name": "late samples", "reason": f"after time {times[last]:g} a run is beyond the linear regime"}
        )
    dx = np.stack(dxs)[:, first:last]
    return times[first:last], _Displacement(dx, np.stack(assignments), kept, first, last), notes


def _reasons(notes: list[dict[str, str]]) -> str:
    return "; ".join(sorted({n["reason"] for n in notes})) or "no runs"


def _assign(exp: Experiment, x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Nearest target point of every particle at the last finite time, if the masses match; x (time, N, d)."""
    Y, period = exp.points.coordinates, exp.points.period
    finite = np.flatnonzero(np.isfinite(x).all(axis=(-2, -1)))
    offset = x[finite[-1]][:, None, :] - Y
    if period is not None:
        offset = (offset + period / 2) % period - period / 2
    assignment = (offset**2).sum(-1).argmin(-1)
    same_s = np.allclose(
        np.bincount(assignment, weights=exp.masses**2, minlength=len(Y)),
        np.bincount(exp.assignment, weights=exp.masses**2, minlength=len(Y)),
    )
    same_q = np.allclose(np.bincount(assignment, weights=exp.masses, minlength=len(Y)), exp.points.weights)
    return (assignment, x - Y[assignment]) if same_s and same_q else None


# -- separation -----------------------------------------------------------------------------------------------------


def _separate(
    times: np.ndarray, y: np.ndarray, s: np.ndarray, observed: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray, float, np.ndarray]:
    """c(t) = O^+ y(t) with as few delays as give a well-conditioned O; signals (run, time, mode), and O
    with normalised columns."""
    modes, rows = observed.shape[1], observed.shape[0]
    even = len(times) > 1 and np.ptp(np.diff(times)) <= 1e-9 * (times[-1] - times[0])
    dt = (times[-1] - times[0]) / max(len(times) - 1, 1)
    weight = 1 / _scale(y)
    candidates: list[tuple[int, ...]] = [()] if rows >= modes else []
    if even:
        need = max(-(-modes // rows) - 1, 1)
        for count in (need, need + 1):
            candidates += [tuple(q * (i + 1) for i in range(count)) for q in DELAYS if q * count < len(times) // 3]
    best: tuple[float, tuple[int, ...], np.ndarray] | None = None
    for delays in candidates:
        with np.errstate(over="ignore", under="ignore"):
            O = np.concatenate([weight[:, None] * observed * np.exp(s * dt * q) for q in (0, *delays)])
        if not np.all(np.isfinite(O)):
            continue
        norm = np.linalg.norm(O, axis=0)
        if np.any(norm == 0):
            continue
        singular = np.linalg.svd(O / norm, compute_uv=False)
        condition = singular[0] / singular[-1] if len(singular) == modes and singular[-1] > 0 else np.inf
        if best is None or condition < best[0]:
            best = (float(condition), delays, O)
        if condition < 1e4:
            break
    if best is None or best[0] > MAX_CONDITION:
        return None, times, best[0] if best is not None else np.inf, np.empty((0, 0))
    condition, delays, O = best
    last = max(delays, default=0)
    T = len(times) - last
    stacked = np.concatenate([(weight * y)[:, q : q + T] for q in (0, *delays)], axis=-1)
    O = O / np.linalg.norm(O, axis=0)
    return stacked @ np.linalg.pinv(O).T, times[:T], condition, O


def _clusters(s: np.ndarray, signals: np.ndarray, O: np.ndarray, moves: np.ndarray) -> tuple[ModalSignals, ...]:
    """Groups of modes: equal eigenvalues (symmetry) as channels of one, overlapping eigenvectors (near-critical
    oscillators, with the conjugate below the axis) as several; slowest first."""
    largest = np.abs(s).max(initial=0.0)
    moving = np.flatnonzero(moves & (np.abs(s) > 64 * np.finfo(float).eps * largest))
    same = np.abs(s[moving][:, None] - s[moving]) <= DEGENERACY * largest
    linked = same | (np.abs(np.conj(O[:, moving]).T @ O[:, moving]) > OVERLAP)
    count, label = connected_components(csr_matrix(linked), directed=False)
    out = []
    for group in range(count):
        members = moving[label == group]
        if s[members].imag.max() < 0:
            continue  # its conjugate is its own group
        distinct: list[complex] = []
        for j in members[np.argsort(-s[members].real, kind="stable")]:
            if all(abs(s[j] - e) > DEGENERACY * largest for e in distinct):
                distinct.append(s[j])
        # what the members and their conjugates add up to: nearly parallel ones may have coordinates that cancel
        own = signals[..., members]
        part = own[:, : max(own.shape[1] // 20, 1)] @ O[:, members].T
        part = part.real * (2 if s[members].imag.min() > 0 else 1)
        out.append(ModalSignals(np.array(distinct), own, float(np.sqrt((part**2).sum(-1).mean()))))
    out.sort(key=lambda c: -c.predicted.real.max())
    return tuple(out)
