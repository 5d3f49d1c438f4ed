"""Macro-particles: starts of a few particles that share what decides the fate of a start of many, and their verdict.

A start of N particles is cut into clusters, and each is filled again with particles drawn from a normal distribution of
the cluster's mean and covariance, as many as its share. One cluster keeps the mean and the width of the whole start.
"""

from __future__ import annotations

import zlib

import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import fcluster, linkage

from ..experiment import Experiment
from ..features import feature_map
from ..problem.field import VARIABLE
from ..problem.problem import Problem
from ..runs.interval import recording_interval
from ..runs.order import spread
from ..runs.outcome import ESCAPE, LATE, MOST, NARROW, Outcome, data_radius, outcomes
from .start import random_starts, starts

#: starts of more particles than this are clustered by a sample of them
SAMPLE = 1000
#: intervals before the last fifth of a run at whose ends it is looked at
EARLY = 40


def kicked_starts(problem: Problem, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """(x (draw, n, d), w (draw, P)): equilibrium and kicks of the experiment's size, not those of its own seed."""
    run = problem.exp.run
    other = problem.replace({"run.runs": draws, "run.seed": (run.seed + 1) % 2**31})
    x, w, _, _ = starts(other, feature_map(other.exp))
    return x, w


def filled_starts(exp: Experiment, n: int, clusters: int, draws: int) -> np.ndarray:
    """(draw, n, d) macro-particles that fill as many ``clusters`` of the experiment's random starts, its runs in turn.

    Drawn from ``run.seed`` and the experiment's strengths and rates, so that neighbours in a diagram draw apart. In a
    periodic box uniform as starts are there, without clusters."""
    problem = Problem(exp)
    values = repr([exp.get(path) for path in VARIABLE]).encode()
    rng = np.random.default_rng([exp.run.seed, 6, zlib.crc32(values)])
    if problem.box is not None:
        return rng.uniform(0, problem.box.length, (draws, n, problem.d))
    own = random_starts(problem)
    labelled = [(x, labels(x, clusters)) for x in own[:draws]]
    return np.stack([filled(*labelled[i % len(labelled)], n, rng) for i in range(draws)])


def labels(x: np.ndarray, clusters: int) -> np.ndarray:
    """(N,) the cluster of each particle of x (N, d), by Ward's method; of more than SAMPLE the nearest mean of those of
    a sample."""
    if clusters == 1 or len(x) == 1:
        return np.zeros(len(x), dtype=int)
    few = x[:SAMPLE]
    found = fcluster(linkage(few, "ward"), clusters, "maxclust") - 1
    if len(few) == len(x):
        return found
    means = np.stack([few[found == i].mean(0) for i in range(found.max() + 1)])
    return np.argmin(((x[:, None] - means) ** 2).sum(-1), axis=-1)


def filled(x: np.ndarray, label: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, d) particles drawn from normal distributions of the clusters' means and covariances, as many of each as its
    share (largest remainders), the mean of each exactly that of the cluster; all moved by what rounded shares leave of
    the difference of the means."""
    count = np.bincount(label)
    share = count * (n / len(x))
    own = np.floor(share).astype(int)
    own[np.argsort(own - share, kind="stable")[: n - own.sum()]] += 1
    out = []
    for i, m in enumerate(own):
        member = x[label == i]
        z = rng.standard_normal((m, x.shape[1]))
        if m > 1:  # the mean taken off takes 1/m of the variance
            z = (z - z.mean(0)) * np.sqrt(m / (m - 1))
        else:
            z = 0 * z
        values, axes = np.linalg.eigh(np.atleast_2d(np.cov(member.T, bias=True)))
        out.append(member.mean(0) + (z * np.sqrt(np.maximum(values, 0))) @ axes.T)
    drawn = np.concatenate(out)
    return drawn + (x.mean(0) - drawn.mean(0))


def verdict_times(exp: Experiment, motion: bool = False) -> np.ndarray:
    """Steps at which runs are looked at whose verdict is wanted: EARLY intervals, and of the last fifth as many samples
    as outcomes look at; ``motion``: as many as tell rest from circling (interval.recording_interval)."""
    steps = exp.run.steps
    late = round((1 - LATE) * steps)
    every = recording_interval(exp) if motion else max(round((steps - late) / MOST), 1)
    early = np.rint(np.linspace(0, late, EARLY + 1)).astype(int)
    return np.unique(np.concatenate([early, np.arange(steps, late, -every)]))


def judged(exp: Experiment, x: np.ndarray, time: np.ndarray, diverged_at: np.ndarray | None = None) -> np.ndarray:
    """(run,) outcomes of particles x (run, time, n, d), as the integers of outcome.Outcome."""
    return outcomes(_runs(x, time, diverged_at), exp)


def _runs(x: np.ndarray, time: np.ndarray, diverged_at: np.ndarray | None = None) -> xr.Dataset:
    """What ``outcomes`` judges."""
    ds = xr.Dataset(
        {"particles": (("run", "time", "particle", "component"), x.astype(float))}, coords={"time": time.astype(float)}
    )
    return ds if diverged_at is None else ds.assign(diverged_at=("run", diverged_at))


def decided(exp: Experiment, x: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Which runs so far have escaped (and did not begin so), or are narrow and have halved their width since half of
    the time: neither was ever seen to come back (analyses.phase_diagrams)."""
    ds = _runs(x, time)
    radius = data_radius(exp)
    far = np.zeros(len(x), dtype=bool)
    if exp.points.period is None:
        mean, size = exp.points.weights @ exp.points.coordinates, radius or exp.discriminator.length_scale
        codes = outcomes(ds, exp)
        began = np.sqrt(((x[:, 0].mean(1) - mean) ** 2).sum(-1)) > ESCAPE * size
        far = (codes == Outcome.ESCAPED) & ~began
    half = len(time) // 2
    some = ds["particles"].isel(time=[0, half, -1])
    width = spread(some, period=exp.points.period).transpose("run", "time").values
    return far | ((width[:, 2] < NARROW * radius) & (width[:, 2] < width[:, 1:2].min(-1) / 2))


__all__ = ["decided", "filled", "filled_starts", "judged", "kicked_starts", "labels", "verdict_times"]
