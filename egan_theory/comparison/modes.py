"""What recorded runs show of each eigenmode of the prediction.

The prediction gives the right eigenvectors of one step, u(t) = sum_i c_i X_i exp(s_i t), u = (w, v) (learning rule
memory included). A recorded run shows v, the displacements in the generator's coordinates, and, where the gradient of D
at the particles (and, if that does not tell all weights, D itself) or the weights were recorded, w on the features that
the data see. So y(t) = sum_i O_i c_i exp(s_i t) with O_i what is observed of X_i, at whatever times were recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..base.errors import InputError, NotLinearizable
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
#: a step between two records that is longer than this many times every one of the NEIGHBOURS before and after it, per
#: unit of time, belongs to no trajectory
JUMP, NEIGHBOURS = 10.0, 3
#: imaginary parts below this part of the largest eigenvalue are rounding
ROUNDED_PAIR = 1e-13
#: fewest samples near equilibrium that are compared
SAMPLES = 8


@dataclass(frozen=True)
class Block:
    """One recorded kind of quantity: ``y`` (run, time, n) in coordinates in which noise of equal size on every recorded
    number is white, and ``modes`` (n, mode), what it shows of each eigenvector."""

    name: str
    y: np.ndarray
    modes: np.ndarray


@dataclass(frozen=True)
class Observation:
    """times (T,) of the samples near equilibrium; s (mode,) predicted exponents per unit of time, conjugates included;
    moves (mode,) whether a mode moves the particles; blocks, the displacements first; notes on what was left out."""

    times: np.ndarray
    s: np.ndarray
    moves: np.ndarray
    blocks: tuple[Block, ...]
    second_order: float  # largest displacement over the discriminator's length scale
    displacement: float  # rms over runs, particles and coordinates, at the first sample
    notes: tuple[dict[str, str], ...]


def observed_modes(exp: Experiment, runs: xr.Dataset, limit: float = LINEAR_LIMIT) -> Observation:
    """The modes of ``exp`` as recorded runs (validated schema) show them while all displacements are below ``limit``
    times the discriminator's length scale.

    Raises InputError if the runs have other particles or fewer than 8 samples near equilibrium, NotLinearizable if no
    run is near it."""
    reduced = _Matched(exp) if matched_masses(exp) else _General(exp)
    times, x, notes = _near_equilibrium(exp, runs, reduced.x, limit)
    used = runs.isel(run=x.kept, time=x.samples)
    v = reduced.moved(x)
    responds = exp.update_rule.responds  # its weights follow the particles: they show nothing more
    T = reduced.step_matrix()
    values, vectors = _real_where_real(*np.linalg.eig(T if reduced.flow is None else reduced.flow))
    s = values.astype(complex) if reduced.flow is not None else log_multiplier(values)
    nw = reduced.nw
    moving = vectors[nw : nw + reduced.nv]
    moves = np.linalg.norm(moving, axis=0) > COUPLING_TOLERANCE * np.linalg.norm(vectors, axis=0)
    white = reduced.white()
    blocks = [Block("particles", v @ white.T, white @ moving)]
    if not responds:
        for name, y, rows in reduced.shown(used):
            if np.isfinite(y).all():
                blocks.append(Block(name, y, rows @ vectors[:nw]))
            else:
                notes.append({"name": name, "reason": "not used: some of its numbers are not finite"})
    usable = np.isfinite(s) & (moves if responds else True)
    blocks = [Block(b.name, b.y, b.modes[:, usable]) for b in blocks]
    size = float(np.sqrt((x.dx[:, 0] ** 2).mean()))
    second_order = float(np.nanmax(np.abs(x.dx[:, 0]))) / exp.discriminator.length_scale
    return Observation(times, s[usable], moves[usable], tuple(blocks), second_order, size, tuple(notes))


def _real_where_real(values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues that are double and real come as a conjugate pair with an imaginary part of rounding size: real
    again, with the real and the imaginary part of their eigenvector, which span the same plane."""
    values, vectors = values.astype(complex), vectors.astype(complex)
    limit = ROUNDED_PAIR * np.abs(values).max(initial=0.0)
    for j in map(int, np.flatnonzero((values.imag > 0) & (values.imag < limit))):
        k = int(np.argmin(np.where(values.imag < 0, np.abs(values - values[j].conjugate()), np.inf)))
        v = vectors[:, j] * np.exp(-0.5j * np.angle((vectors[:, j] ** 2).sum()))
        if np.linalg.norm(v.imag) <= np.sqrt(ROUNDED_PAIR) * np.linalg.norm(v.real):
            continue  # one direction: about to coalesce, a pair that oscillates
        values[[j, k]] = values[j].real
        vectors[:, j], vectors[:, k] = v.real / np.linalg.norm(v.real), v.imag / np.linalg.norm(v.imag)
    return values, vectors


def deviation_norms(exp: Experiment, runs: xr.Dataset) -> np.ndarray:
    """(run, time) size of the deviation from equilibrium in recorded runs: w and v together, each relative to its
    largest. Runs must start near equilibrium."""
    reduced = _Matched(exp) if matched_masses(exp) else _General(exp)
    dx = runs["particles"].values - reduced.x
    v = reduced.moved(
        _Displacement(dx, np.tile(exp.assignment, (len(dx), 1)), list(range(len(dx))), np.arange(dx.shape[1]))
    )
    return _norms(v, reduced.weights(runs))


def _norms(v: np.ndarray, w: np.ndarray | None) -> np.ndarray:
    total = np.zeros(v.shape[:2])
    for part in (v, w):
        if part is not None:
            size = np.linalg.norm(part, axis=-1)
            largest = np.nanmax(size)
            total += (size / largest) ** 2 if largest > 0 else 0.0
    return np.sqrt(total)


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

    def white(self) -> np.ndarray:
        """(n, n) that makes noise of one size on every particle white in v."""
        root = np.linalg.pinv(coupling_root(self.exp), hermitian=True)
        squares = np.bincount(self.exp.assignment, weights=self.exp.masses**2, minlength=len(root))
        noise = np.kron((root * squares) @ root, np.eye(self.exp.dimension))
        values, vectors = np.linalg.eigh(self.saddle.left.T @ noise @ self.saddle.left)
        values = np.maximum(values, np.finfo(float).eps * values.max(initial=0.0))
        return (vectors / np.sqrt(values)).T

    def shown(self, runs: xr.Dataset) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """What is recorded of the discriminator: (name, (run, time, n), rows (n, r) on the reduced weights)."""
        if "weights" in runs:
            from ..linear.seen import seen_weights

            seen = seen_weights(self.exp, runs["weights"].values)
            if seen is not None:
                return [("weights", seen @ self.saddle.basis.T, np.eye(len(self.saddle.basis)))]
        return self._at_points(runs)

    def weights(self, runs: xr.Dataset) -> np.ndarray | None:
        """(run, time, r) seen weights, as recorded or from D and grad D at the particles; None if neither tells."""
        shown = self.shown(runs)
        if not shown:
            return None
        rows = np.concatenate([rows for _, _, rows in shown])
        if np.linalg.matrix_rank(rows, tol=1e-12 * np.linalg.norm(rows, 2)) < rows.shape[1]:
            return None
        return np.concatenate([y for _, y, _ in shown], axis=-1) @ np.linalg.pinv(rows, rcond=1e-12).T

    def _at_points(self, runs: xr.Dataset) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """grad D at the target's points and, where that does not tell all weights, D: names, means over the particles
        there times the square root of their number, and the rows that give them from the reduced weights."""
        from ..linear.seen import seen_features

        if "force" not in runs or "discriminator" not in runs or self.exp.penalty.instance_noise:
            return []
        exp, (M, d) = self.exp, self.exp.points.coordinates.shape
        psi, _, mean = seen_features(exp)
        count = np.sqrt(np.bincount(exp.assignment, minlength=M))
        rows = mean @ self.saddle.basis.T
        f = np.zeros((runs.sizes["run"], runs.sizes["time"], M))
        g = np.zeros((*f.shape, d))
        for a in range(M):
            on = exp.assignment == a
            f[..., a] = runs["discriminator"].values[..., on].sum(-1) / count[a]
            g[..., a, :] = runs["force"].values[..., on, :].sum(-2) / count[a]
        out = [("force", g.reshape(*f.shape[:2], M * d), np.repeat(count, d)[:, None] * rows)]
        # D also shows weights that the linear dynamics leaves frozen (kappa = 0): only where grad D does not suffice
        if np.linalg.matrix_rank(rows, tol=1e-12 * np.linalg.norm(rows, 2)) < rows.shape[1] and exp.packing.degree == 1:
            values = psi / np.sqrt(exp.points.weights)[:, None] @ self.saddle.basis.T
            out.append(("discriminator", f, count[:, None] * values))
        return out


class _General:
    """Particles off D = D*: full (w, x) coordinates at the equilibrium found by Newton's method."""

    def __init__(self, exp: Experiment) -> None:
        from ..problem.field import Field

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

    def white(self) -> np.ndarray:
        return np.eye(self.nv)

    def shown(self, runs: xr.Dataset) -> list[tuple[str, np.ndarray, np.ndarray]]:
        w = self.weights(runs)
        return [] if w is None else [("weights", w, np.eye(self.nw))]

    def weights(self, runs: xr.Dataset) -> np.ndarray | None:
        if "weights" in runs and runs.sizes["feature"] == self.nw:
            return runs["weights"].values - self.w
        return None


# -- which samples are near equilibrium -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Displacement:
    """dx (run, time, N, d) from each particle's own point; the runs and the samples that were kept."""

    dx: np.ndarray
    assignment: np.ndarray
    kept: list[int]
    samples: np.ndarray


def _near_equilibrium(
    exp: Experiment, runs: xr.Dataset, x_eq: np.ndarray, linear: float = LINEAR_LIMIT
) -> tuple[np.ndarray, _Displacement, list[dict[str, str]]]:
    particles, times = runs["particles"].values, runs["time"].values.astype(float)
    N, d = exp.generator.particles, exp.dimension
    if particles.shape[2] != N:
        raise InputError("runs: dimension particle", f"be generator.particles = {N}", particles.shape[2])
    if particles.shape[3] != d:
        raise InputError("runs: dimension component", f"be the target's dimension {d}", particles.shape[3])
    limit = linear * exp.discriminator.length_scale
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
        seen = np.isfinite(size)
        near = np.where(seen, size < limit, seen[::-1].cumsum()[::-1] > 0)  # what is missing in between says nothing
        if not (near & seen).any():
            reason = f"never within {limit:.3g} of equilibrium (largest displacement)"
            notes.append({"name": f"run {r}", "reason": reason})
            continue
        # a kicked run is near from the start on, a random one from the last time it enters
        start = int(np.flatnonzero(near & seen)[0])
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
    dx = np.stack(dxs)
    samples = np.arange(first, last)
    whole = np.isfinite(dx[:, samples]).all((0, 2, 3))
    if not whole.all():
        reason = f"{np.sum(~whole)} of {len(samples)} records hold positions that are not finite"
        notes.append({"name": "incomplete records", "reason": reason})
    samples = samples[whole]
    if (jump := _jump(times[samples], dx[:, samples])) is not None:
        before, after = (f"{times[samples[k]]:g}" for k in (jump - 1, jump))
        reason = f"positions jump between {before} and {after}, as where training went on from an earlier checkpoint"
        if len(samples) - jump >= SAMPLES:
            samples, reason = samples[jump:], f"{reason}: the records from {after} on are used"
        notes.append({"name": "records", "reason": reason})
    if len(samples) < SAMPLES:
        rule = f"hold at least {SAMPLES} samples near equilibrium, common to all runs"
        raise InputError("runs: dimension time", rule, len(samples))
    if last < len(times):
        notes.append(
            {"name": "late samples", "reason": f"after time {times[last]:g} a run is beyond the linear regime"}
        )
    return times[samples], _Displacement(dx[:, samples], np.stack(assignments), kept, samples), notes


def _jump(times: np.ndarray, dx: np.ndarray) -> int | None:
    """The first sample after the last jump of dx (run, time, N, d); None without one."""
    speed = np.sqrt((np.diff(dx, axis=1) ** 2).sum((0, 2, 3))) / np.diff(times)
    for k in range(len(speed) - 3, 1, -1):
        around = np.r_[speed[max(k - NEIGHBOURS, 0) : k], speed[k + 1 : k + 1 + NEIGHBOURS]]
        if speed[k] > JUMP * around.max() > 0:
            return k + 1
    return None


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
