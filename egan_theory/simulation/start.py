"""Before the first step: where runs start, the update rule as it is stepped, and what is far away."""

from __future__ import annotations

import numpy as np

from ..experiment import Experiment
from ..features import FeatureMap
from ..kernels.wide.universality import output_covariance
from ..linear.equilibria import equilibrium
from ..linear.resolved import resolved_rule
from ..problem.field import Field
from ..problem.problem import Problem

#: a run has diverged when a particle is this many times the size of the problem away from the target's centre
DIVERGENCE = 1e6
#: Runge-Kutta steps from which on a simulation is announced
WORTH_SAYING = 100_000


def announced(exp: Experiment) -> str | None:
    """What to say before a simulation whose modes need many Runge-Kutta steps; None for others. Raises InputError."""
    rule = resolved_rule(exp)
    total = exp.run.steps * rule.substeps
    if not rule.continuous or total < WORTH_SAYING:
        return None
    return f"this needs {total:.3g} Runge-Kutta steps, {rule.substeps} per unit of time; a million take minutes"


def starts(
    problem: Problem, features: FeatureMap, kicks: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, FeatureMap, str]:
    """(x (R, N, d), w (R, P), features, note): the starts of the runs, from ``run.seed``, or equilibrium and ``kicks``;
    w on the features given, or on those that the equilibrium needs."""
    R = problem.exp.run.runs
    if problem.exp.run.start != "kick":
        return random_starts(problem), np.zeros((R, features.size)), features, "random"
    eq = equilibrium(problem, Field(problem, features=features))
    kick = kicked(problem) if kicks is None else kicks
    return eq.x + kick, np.tile(eq.w, (R, 1)), eq.field.features, "kick"


def kicked(problem: Problem) -> np.ndarray:
    """(R, N, d) displacements of the runs from equilibrium: particles on a point with q = p move together."""
    run, d = problem.exp.run, problem.d
    rng = np.random.default_rng([run.seed, 2])
    if problem.matched:
        return run.kick * rng.standard_normal((run.runs, problem.M, d))[:, problem.assignment]
    return run.kick * rng.standard_normal((run.runs, problem.N, d))


def random_starts(problem: Problem) -> np.ndarray:
    """(R, N, d) positions of run.start "random"."""
    exp, R, N, d = problem.exp, problem.exp.run.runs, problem.N, problem.d
    rng = np.random.default_rng([exp.run.seed, 2])
    if problem.box is not None:
        return rng.uniform(0, problem.box.length, (R, N, d))
    if exp.generator.architecture is not None:  # what a wide network puts out: a part common to all, and one of each
        variance, common = output_covariance(exp.generator.architecture)
        shared = np.sqrt(common) * rng.standard_normal((R, 1, d))
        return shared + np.sqrt(variance - common) * rng.standard_normal((R, N, d))
    mean = problem.p @ problem.Y
    spread = exp.run.spread or float(np.sqrt((problem.p @ (problem.Y - mean) ** 2).mean())) or 1.0
    return mean + spread * rng.standard_normal((R, N, d))


def size_of(exp: Experiment) -> float:
    """The length that "far away" is measured in."""
    extent = float(np.ptp(exp.points.coordinates, axis=0).max(initial=0.0))
    return max(extent, exp.discriminator.length_scale, exp.run.kick)
