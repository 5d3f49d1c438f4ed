"""What a linearization is refused for, and what it takes for granted."""

from __future__ import annotations

import numpy as np

from ..base.errors import NotLinearizable
from ..features import DictionaryFeatures, PackedFeatures
from ..kernels.wide.universality import kernel_numbers
from ..problem.problem import Problem
from ..tables.updates import LINEAR_RULES
from .seen import features_of, seen

PACKED = "packed samples act to first order only: beyond it they see correlations of the deviations"
MATCHED = "particles sit on the target points with the target's weights, so D = D* there"


def check_linearizable(problem: Problem) -> None:
    """Raise NotLinearizable for an update rule that is no linear map near equilibrium."""
    if problem.rule.entry.networks:
        raise NotLinearizable(
            "update.rule",
            f"be one of {', '.join(LINEAR_RULES)} (no theory covers other rules)",
            repr(problem.exp.update.rule),
        )
    problem.rule.check_autonomous()
    if problem.packing and not problem.matched:
        raise NotLinearizable("generator.masses", "match the target's weights with packing.degree > 1")
    if problem.rule.responds and problem.matched:
        if not bounded(problem):
            rule = f"be greater than 0 for update.rule {problem.exp.update.rule!r} (nothing else bounds every weight "
            rule += f"of the discriminator on {problem.M} points)"
            raise NotLinearizable("penalty.weight_decay", rule, problem.damping.nu)


def bounded(problem: Problem) -> bool:
    """Whether the discriminator's objective has a maximum: every weight is damped, by weight decay or, of few weights,
    by the values and gradients that the loss and the penalties see (of an exact kernel there are always more)."""
    nu, kappa, lam = problem.damping
    if problem.loss.pairs and problem.box is not None:
        kappa -= problem.loss.kappa
    if nu or problem.box is not None:
        return bool(nu or kappa)  # no gradient damps the box's constant
    features = features_of(problem) if kappa or lam else None
    if features is None or isinstance(features, DictionaryFeatures | PackedFeatures):
        return False
    psi, gradients, *_ = seen(problem)
    rows = np.concatenate(([psi] if kappa else []) + ([gradients] if lam else []))
    return len(rows) >= features.size and int(np.linalg.matrix_rank(rows)) == features.size


def refuse_changed(problem: Problem) -> None:
    """Raise NotLinearizable where a term changes the saddle of one sample's discriminator and the particles."""
    if problem.packing:
        raise NotLinearizable("packing.degree", "be 1 here", problem.exp.packing.degree)
    if problem.likelihood:
        raise NotLinearizable("likelihood.weight", "be 0 here", problem.exp.likelihood.weight)


def packed_assumptions(problem: Problem) -> tuple[str, ...]:
    return (PACKED,) if problem.packing else ()


def assumptions_of(problem: Problem) -> tuple[str, ...]:
    """What the linearization about D = D* takes for granted."""
    out = [MATCHED, *packed_assumptions(problem)]
    if problem.exp.discriminator.finite_network:
        out.append("the discriminator is a network at its start: tangent features there, exact at equilibrium")
    if problem.exp.generator.architecture is not None:
        spread = kernel_numbers(problem.exp.generator.architecture).relative_spread
        out.append(
            "the generator's tangent kernel is that of infinite width, the same for all pairs of latents "
            f"(its entries scatter by {spread:.2g} of g1)"
        )
    return tuple(out)
