"""What a linearization is refused for, and what it takes for granted."""

from __future__ import annotations

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..experiment.targets import Uniform
from ..kernels.wide.universality import kernel_numbers
from ..tables.updates import NETWORK_RULES, RESPONSES, STEPS
from .coupling import damping
from .equilibrium import matched_masses

PACKED = "packed samples act to first order only: beyond it they see correlations of the deviations"
MATCHED = "particles sit on the target points with the target's weights, so D = D* there"


def check_linearizable(exp: Experiment) -> None:
    """Raise NotLinearizable for an update rule that is no linear map near equilibrium."""
    if exp.update.rule in NETWORK_RULES:
        raise NotLinearizable(
            "update.rule",
            f"be one of {', '.join((*STEPS, *RESPONSES))} (no theory covers other rules)",
            repr(exp.update.rule),
        )
    exp.update_rule.check_autonomous()
    if exp.packing.degree > 1 and not matched_masses(exp):
        raise NotLinearizable("generator.masses", "match the target's weights with packing.degree > 1")
    if exp.update_rule.responds and matched_masses(exp):
        nu, points = damping(exp)[0], len(exp.points.weights)
        if not bounded(exp):
            raise NotLinearizable(
                "penalty.weight_decay", f"be greater than 0 for update.rule {exp.update.rule!r} (nothing else bounds "
                f"every weight of the discriminator on {points} points)", nu
            )  # fmt: skip


def bounded(exp: Experiment) -> bool:
    """Whether the discriminator's objective has a maximum: every weight is damped, by weight decay or, of few weights,
    by the values and gradients that the loss and the penalties see (of an exact kernel there are always more)."""
    from ..features import DictionaryFeatures, PackedFeatures
    from .seen import features_of, seen_features

    nu, kappa, lam = damping(exp)
    if nu or isinstance(exp.target, Uniform):
        return bool(nu or kappa)  # no gradient damps the box's constant
    features = features_of(exp) if kappa or lam else None
    if features is None or isinstance(features, DictionaryFeatures | PackedFeatures):
        return False
    psi, gradients, _ = seen_features(exp)
    rows = np.concatenate(([psi] if kappa else []) + ([gradients] if lam else []))
    return len(rows) >= features.size and int(np.linalg.matrix_rank(rows)) == features.size


def refuse_changed(exp: Experiment) -> None:
    """Raise NotLinearizable where a term changes the saddle of one sample's discriminator and the particles."""
    if exp.packing.degree > 1:
        raise NotLinearizable("packing.degree", "be 1 here", exp.packing.degree)
    if exp.likelihood.weight:
        raise NotLinearizable("likelihood.weight", "be 0 here", exp.likelihood.weight)


def packed_assumptions(exp: Experiment) -> tuple[str, ...]:
    return (PACKED,) if exp.packing.degree > 1 else ()


def assumptions_of(exp: Experiment) -> tuple[str, ...]:
    """What the linearization about D = D* takes for granted."""
    out = [MATCHED, *packed_assumptions(exp)]
    if exp.discriminator.finite_network:
        out.append("the discriminator is a network at its start: tangent features there, exact at equilibrium")
    if exp.generator.architecture is not None:
        spread = kernel_numbers(exp.generator.architecture).relative_spread
        out.append(
            "the generator's tangent kernel is that of infinite width, the same for all pairs of latents "
            f"(its entries scatter by {spread:.2g} of g1)"
        )
    return tuple(out)
