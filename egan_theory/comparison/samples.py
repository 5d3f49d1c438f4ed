"""Which samples of recorded runs are near equilibrium, and the particles' displacements there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..base.errors import InputError, NotLinearizable
from ..problem.problem import Problem

#: a displacement above this part of the discriminator's length scale is not linear any more
LINEAR_LIMIT = 0.1
#: a step between two records that is longer than this many times every one of the NEIGHBOURS before and after it, per
#: unit of time, belongs to no trajectory
JUMP, NEIGHBOURS = 10.0, 3
#: fewest samples near equilibrium that are compared
SAMPLES = 8


@dataclass(frozen=True)
class Displacement:
    """dx (run, time, N, d) from each particle's own point; the runs and the samples that were kept."""

    dx: np.ndarray
    assignment: np.ndarray
    kept: list[int]
    samples: np.ndarray


def near_equilibrium(
    problem: Problem, runs: xr.Dataset, x_eq: np.ndarray, linear: float = LINEAR_LIMIT
) -> tuple[np.ndarray, Displacement, list[dict[str, str]]]:
    particles, times = runs["particles"].values, runs["time"].values.astype(float)
    N, d = problem.N, problem.d
    if particles.shape[2] != N:
        g = problem.exp.generator
        follows = ", which follows from the target's points" if g.follows else ""
        raise InputError("runs: dimension particle", f"be generator.particles = {N}{follows}", particles.shape[2])
    if particles.shape[3] != d:
        raise InputError("runs: dimension component", f"be the target's dimension {d}", particles.shape[3])
    limit = linear * problem.exp.discriminator.length_scale
    period = problem.exp.points.period
    notes: list[dict[str, str]] = []
    own = bool("assignment" in runs and np.array_equal(runs["assignment"].values, problem.assignment))
    kept, dxs, assignments, windows = [], [], [], []
    for r in range(particles.shape[0]):
        if own or not problem.matched:
            assignment, dx = problem.assignment, particles[r] - x_eq
        else:
            found = _assign(problem, particles[r])
            if found is None:
                reason = "a run that does not end with the target's mass on every target point"
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
            reason = f"a run never within {limit:.3g} of equilibrium (largest displacement)"
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
    return times[samples], Displacement(dx[:, samples], np.stack(assignments), kept, samples), notes


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


def _assign(problem: Problem, x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Nearest target point of every particle at the last finite time, if the masses match; x (time, N, d)."""
    Y, period = problem.Y, problem.exp.points.period
    finite = np.flatnonzero(np.isfinite(x).all(axis=(-2, -1)))
    offset = x[finite[-1]][:, None, :] - Y
    if period is not None:
        offset = (offset + period / 2) % period - period / 2
    assignment = (offset**2).sum(-1).argmin(-1)
    same_s = np.allclose(
        np.bincount(assignment, weights=problem.masses**2, minlength=len(Y)),
        problem.squares,
    )
    same_q = np.allclose(np.bincount(assignment, weights=problem.masses, minlength=len(Y)), problem.p)
    return (assignment, x - Y[assignment]) if same_s and same_q else None
