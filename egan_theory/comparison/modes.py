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

from ..linear.equilibria import equilibrium
from ..linear.modes import COUPLING_TOLERANCE
from ..linear.rounding import balance, of_numbers
from ..linear.saddle import saddle
from ..linear.seen import seen, seen_weights, values_seen
from ..linear.system import decrement_matrix
from ..problem.jacobian import jacobian_at
from ..problem.problem import Problem
from .samples import LINEAR_LIMIT, Displacement, near_equilibrium

#: rms of a coordinate, as a part of the largest, below which it may be rounding of the recorded positions
ROUNDING = 1e-6
#: imaginary parts below this part of the largest eigenvalue are rounding
ROUNDED_PAIR = 1e-13


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
    unit: str  # of s


def named(s: complex, unit: str) -> str:
    """An exponent as tables and figures write it, with its unit; of a pair both: "s = -0.002 ± 0.02i 1/step"."""
    turns = f" ± {abs(s.imag):.4g}i" if s.imag else ""
    return f"s = {s.real:.4g}{turns} {unit}"


def observed_modes(problem: Problem, runs: xr.Dataset, limit: float = LINEAR_LIMIT) -> Observation:
    """The problem's modes as recorded runs (validated schema) show them while all displacements are below ``limit``
    times the discriminator's length scale.

    Raises InputError if the runs have other particles or fewer than 8 samples near equilibrium, NotLinearizable if no
    run is near it."""
    reduced = Matched(problem) if problem.matched else General(problem)
    times, x, notes = near_equilibrium(problem, runs, reduced.x, limit)
    used = runs.isel(run=x.kept, time=x.samples)
    v = reduced.moved(x)
    rule, nw = problem.rule, reduced.nw
    responds = rule.responds  # its weights follow the particles: they show nothing more
    values, vectors = _real_where_real(*_modes(decrement_matrix(rule, reduced.J, nw)))
    s = of_numbers(values, np.zeros(len(values)), rule.continuous).logarithms(rule.continuous)[0]
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
    second_order = float(np.nanmax(np.abs(x.dx[:, 0]))) / problem.exp.discriminator.length_scale
    return Observation(times, s[usable], moves[usable], tuple(blocks), second_order, size, tuple(notes), rule.rate_unit)


def _modes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(eigenvalues, vectors of length 1), both players and their memory first brought to like units."""
    scale = balance(matrix)
    values, vectors = np.linalg.eig(matrix * (scale / scale[:, None]))
    vectors = scale[:, None] * vectors
    return values, vectors / np.linalg.norm(vectors, axis=0)


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


def deviation_norms(problem: Problem, runs: xr.Dataset) -> np.ndarray:
    """(run, time) size of the deviation from equilibrium in recorded runs: w and v together, each relative to its
    largest. Runs must start near equilibrium."""
    reduced = Matched(problem) if problem.matched else General(problem)
    dx = runs["particles"].values - reduced.x
    v = reduced.moved(
        Displacement(dx, np.tile(problem.assignment, (len(dx), 1)), list(range(len(dx))), np.arange(dx.shape[1]))
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


class Matched:
    """Particles on the data with D = D*: reduced saddle coordinates."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.saddle = problem, saddle(problem)
        self.J = self.saddle.jacobian(problem)
        self.nw, self.nv = len(self.saddle.basis), len(self.saddle.C)
        self.x = problem.home

    def moved(self, x: Displacement) -> np.ndarray:
        """(run, time, n) generator coordinates v of the displacements."""
        M, d = self.problem.Y.shape
        xi = np.zeros((*x.dx.shape[:2], M, d))
        for r, assignment in enumerate(x.assignment):
            for a in range(M):
                on = assignment == a
                xi[r, :, a] = np.einsum("j,tjd->td", self.problem.masses[on], x.dx[r][:, on])
        root = np.linalg.pinv(self.problem.coupling_root, hermitian=True)
        u = np.einsum("ab,rtbd->rtad", root, xi).reshape(*xi.shape[:2], M * d)
        return u @ self.saddle.left

    def white(self) -> np.ndarray:
        """(n, n) that makes noise of one size on every particle white in v."""
        root = np.linalg.pinv(self.problem.coupling_root, hermitian=True)
        noise = np.kron((root * self.problem.squares) @ root, np.eye(self.problem.d))
        values, vectors = np.linalg.eigh(self.saddle.left.T @ noise @ self.saddle.left)
        values = np.maximum(values, np.finfo(float).eps * values.max(initial=0.0))
        return (vectors / np.sqrt(values)).T

    def shown(self, runs: xr.Dataset) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """What is recorded of the discriminator: (name, (run, time, n), rows (n, r) on the reduced weights)."""
        if "weights" in runs:
            shown = seen_weights(self.problem, runs["weights"].values)
            if shown is not None:
                return [("weights", shown @ self.saddle.basis.T, np.eye(len(self.saddle.basis)))]
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
        if "force" not in runs or "discriminator" not in runs or self.problem.exp.penalty.instance_noise:
            return []
        problem, (M, d) = self.problem, self.problem.Y.shape
        mean = seen(problem).mean
        count = np.sqrt(np.bincount(problem.assignment, minlength=M))
        rows = mean @ self.saddle.basis.T
        f = np.zeros((runs.sizes["run"], runs.sizes["time"], M))
        g = np.zeros((*f.shape, d))
        for a in range(M):
            on = problem.assignment == a
            f[..., a] = runs["discriminator"].values[..., on].sum(-1) / count[a]
            g[..., a, :] = runs["force"].values[..., on, :].sum(-2) / count[a]
        out = [("force", g.reshape(*f.shape[:2], M * d), np.repeat(count, d)[:, None] * rows)]
        # D also shows weights that the linear dynamics leaves frozen (kappa = 0): only where grad D does not suffice
        if np.linalg.matrix_rank(rows, tol=1e-12 * np.linalg.norm(rows, 2)) < rows.shape[1] and problem.packing is None:
            values = values_seen(problem) / np.sqrt(problem.p)[:, None] @ self.saddle.basis.T
            out.append(("discriminator", f, count[:, None] * values))
        return out


class General:
    """Particles off D = D*: full (w, x) coordinates at the equilibrium found by Newton's method."""

    def __init__(self, problem: Problem) -> None:
        eq = equilibrium(problem)
        self.x, self.w, self.nw, self.nv = eq.x, eq.w, len(eq.w), eq.x.size
        self.J = jacobian_at(eq.field, eq.w, eq.x)

    def moved(self, x: Displacement) -> np.ndarray:
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
