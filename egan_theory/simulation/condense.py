"""One particle in place of several that move together: the same dynamics at a fraction of the cost."""

from __future__ import annotations

import numpy as np

from ..base.config import LARGEST, SMALLEST
from ..experiment import Experiment
from ..experiment.players import GeneratorKernel
from ..problem.problem import Problem


def condensed(exp: Experiment) -> Experiment:
    """An experiment with one particle per target point whose kicked runs are those of ``exp``.

    n = N/M particles of equal mass on every one of M equally weighted points, displaced together, feel the same force
    and stay together. With M particles in their place Eq. (5, particle-flow) is unchanged if

        sum:  g1' - g2' = g1 - g2,        g2' = g2 N/M
        mean: g1' - g2' = (g1 - g2) M/N,  g2' = g2

    (also beyond the linear regime). Experiments of another form (unequal masses or weights, a generator
    network; a kernel that would leave the range of an experiment's numbers) are returned as they are.
    """
    M, N = len(exp.points.weights), exp.generator.particles
    counts = np.bincount(exp.assignment, minlength=M)
    masses = exp.masses
    weights = exp.points.weights
    if exp.generator.finite_network:
        return exp
    if N == M or not Problem(exp).matched or np.ptp(counts) or np.ptp(masses) > 1e-12 * masses[0]:
        return exp
    if np.ptp(weights) > 1e-12 * weights[0]:
        return exp
    kernel = exp.generator.kernel
    relative, collective = kernel.g1 - kernel.g2, kernel.g2
    if exp.generator.normalisation == "sum":
        collective *= N / M
    else:
        relative *= M / N
    diagonal = relative + collective
    if not SMALLEST <= diagonal <= LARGEST:
        return exp
    changes = {
        "particles": M,
        "per_point": None,
        "masses": "equal",
        "architecture": None,
        "kernel": GeneratorKernel(diagonal=diagonal, ratio=min(collective / diagonal, 1.0)),
    }
    return exp.model_copy(update={"generator": exp.generator.model_copy(update=changes)})
