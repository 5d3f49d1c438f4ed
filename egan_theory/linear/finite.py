"""The routes of finite samples about D = D*: one 2 x 2 block per singular value where damping and stiffness commute, a
dense saddle on the features that are seen otherwise."""

from __future__ import annotations

import numpy as np

from ..base.errors import NotLinearizable
from ..features import FeatureMap, PackedFeatures
from ..problem.problem import Problem, frozen, kept
from ..symbolic.linearize import oscillator_blocks
from .checks import assumptions_of
from .limits import MAX_DENSE
from .rounding import moved, singular_errors
from .saddle import coupling_matrix, coupling_rank, saddle
from .seen import features_of, not_of_features, seen
from .system import Linearization, System, frozen_particles, unseen_weights


def commutes(problem: Problem) -> bool:
    """No value curvature or likelihood term, and either no gradient penalty or S proportional to the target's weights,
    no instance noise (packed samples: no gradient penalty)."""
    _, kappa, lam = problem.damping
    if problem.likelihood is not None or kappa:
        return False
    alike = problem.coupling_ratio is not None and not problem.exp.penalty.instance_noise
    return lam == 0 or (alike and problem.packing is None)


def _not_of_coupling(problem: Problem) -> tuple[str, ...]:
    """Fields on which C does not depend: those of the features but for the generator's kernel and masses."""
    particles = ("generator.learning_rate",) if "generator" in not_of_features(problem) else ()
    return (*(field for field in not_of_features(problem) if field != "generator"), *particles)


@kept(_not_of_coupling)
def _singular_values(problem: Problem) -> np.ndarray:
    """Of C, largest first: a scan over strengths takes them once."""
    mu = np.linalg.svd(coupling_matrix(problem, seen(problem).mean), compute_uv=False)
    frozen(mu)
    return mu


def linearize_commuting(problem: Problem) -> Linearization:
    fm, loss, lam = features_of(problem), problem.loss, problem.damping.lam
    rank, ratio = coupling_rank(problem, fm), problem.coupling_ratio
    mu = _singular_values(problem)[:rank]
    mu = np.pad(mu, (0, rank - len(mu)))  # features that rounding hid
    strength = lam / ratio if lam and ratio else 0.0

    def blocks(mu: np.ndarray) -> np.ndarray:
        A = problem.damping.nu + strength * mu**2
        return oscillator_blocks(A=A, mu=mu, c=loss.c, b=loss.b, gamma=problem.gamma, **problem.rates)

    errors = moved(blocks, mu, singular_errors(mu, seen(problem).squares))
    rounding = seen(problem).resolution * max(seen(problem).mean.shape)
    return Linearization(
        problem,
        method="finite sample, one oscillator for each eigenvalue of a symmetric matrix (symmetric reduction), "
        "Eq. (37, finite-modes)",
        assumptions=assumptions_of(problem),
        blocks=blocks(mu),
        multiplicity=np.ones(len(mu), dtype=int),
        wavenumber=np.full(len(mu), np.nan),
        scalars=(frozen_particles(problem, rank), *unseen_weights(problem, _distinct(fm) - rank)),
        unresolved=int(np.sum(mu <= rounding * mu.max(initial=0.0))),
        block_errors=errors,
    )


def linearize_saddle(problem: Problem) -> Linearization:
    reduced = saddle(problem)
    size, steered = len(reduced.basis), len(reduced.C)
    if size + steered > MAX_DENSE:
        rule = f"give a dense matrix of at most {MAX_DENSE} rows"
        raise NotLinearizable("generator.particles", rule, size + steered)
    # D may change where no particle feels it
    mixed = problem.packing is not None or problem.damping.kappa > 0 or problem.exp.penalty.instance_noise > 0
    return Linearization(
        problem,
        method="finite sample, one dense matrix on the features that the data see, Eq. (35, saddle)",
        assumptions=assumptions_of(problem),
        systems=(System(reduced.jacobian(problem), size, mixed=mixed, left=reduced.left, unit=seen(problem).rows),),
        scalars=(
            frozen_particles(problem, steered),
            *unseen_weights(problem, _distinct(features_of(problem)) - size),
        ),
        unresolved=reduced.unresolved,
    )


def _distinct(fm: FeatureMap) -> int:
    """Independent weights: of packed samples those of a symmetric discriminator."""
    return fm.distinct if isinstance(fm, PackedFeatures) else fm.size
