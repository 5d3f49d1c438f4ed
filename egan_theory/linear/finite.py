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
from .saddle import coupling_matrix, coupling_rank, saddle
from .seen import features_of, not_of_features, seen
from .system import Linearization, System, frozen_particles, unseen_weights


def commutes(problem: Problem) -> bool:
    """No value curvature, instance noise or likelihood term, and either no gradient penalty or S proportional to the
    target's weights (packed samples: no gradient penalty)."""
    _, kappa, lam = problem.damping
    if problem.likelihood is not None or kappa or problem.exp.penalty.instance_noise:
        return False
    return lam == 0 or (problem.coupling_ratio is not None and problem.packing is None)


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
    A = problem.damping.nu + (lam * mu**2 / ratio if lam and ratio else 0.0) * np.ones(len(mu))
    rounding = seen(problem).resolution * max(seen(problem).mean.shape)
    return Linearization(
        problem,
        method="finite sample, one oscillator for each eigenvalue of a symmetric matrix (symmetric reduction), "
        "Eq. (37, finite-modes)",
        assumptions=assumptions_of(problem),
        blocks=oscillator_blocks(A=A, mu=mu, c=loss.c, b=loss.b, gamma=problem.gamma, **problem.rates),
        multiplicity=np.ones(len(mu), dtype=int),
        wavenumber=np.full(len(mu), np.nan),
        scalars=(frozen_particles(problem, rank), *unseen_weights(problem, _distinct(fm) - rank)),
        unresolved=int(np.sum(mu <= rounding * mu.max(initial=0.0))),
    )


def linearize_saddle(problem: Problem) -> Linearization:
    reduced = saddle(problem)
    size, moved = len(reduced.basis), len(reduced.C)
    if size + moved > MAX_DENSE:
        rule = f"give a dense matrix of at most {MAX_DENSE} rows"
        raise NotLinearizable("generator.particles", rule, size + moved)
    # D may change where no particle feels it
    mixed = problem.packing is not None or problem.damping.kappa > 0 or problem.exp.penalty.instance_noise > 0
    return Linearization(
        problem,
        method="finite sample, one dense matrix on the features that the data see, Eq. (35, saddle)",
        assumptions=assumptions_of(problem),
        systems=(System(reduced.jacobian(problem), size, mixed=mixed, left=reduced.left),),
        scalars=(
            frozen_particles(problem, moved),
            *unseen_weights(problem, _distinct(features_of(problem)) - size),
        ),
        unresolved=reduced.unresolved,
    )


def _distinct(fm: FeatureMap) -> int:
    """Independent weights: of packed samples those of a symmetric discriminator."""
    return fm.distinct if isinstance(fm, PackedFeatures) else fm.size
