"""How the parts of an experiment fit together that are no numbers of the model alone: remedies, losses of pairs and
scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..tables.updates import UNIFORM, rules_with
from .targets import Mixture, Uniform

if TYPE_CHECKING:
    from .experiment import Experiment


def check_together(exp: Experiment) -> None:
    """Raise InputError where remedies, the loss or the scores do not go with the rest."""
    _check_remedies(exp)
    _check_pairs(exp)


def _check_remedies(exp: Experiment) -> None:
    """Refuse what best responses, averages, packing and the likelihood term are not defined or not derived for."""
    networks = exp.generator.finite_network or exp.discriminator.finite_network
    for field in remedies(exp):
        if networks:
            raise InputError(field, "not be used with a network of finite width", "one with architecture.width > 0")
        if exp.penalty.consensus:
            raise InputError("penalty.consensus", f"be 0 together with {field}", exp.penalty.consensus)
    if exp.packing.degree > 1 and exp.discriminator.evaluation == "fourier":
        raise InputError("discriminator.evaluation", "be 'direct' with packing.degree > 1", "'fourier'")
    if exp.update_rule.averages:
        if not exp.update_rule.entry.averages:
            names = ", ".join(rules_with(lambda rule: rule.averages))
            raise InputError("update.rule", f"be one of {names} with memory", exp.update.rule)
        for name in ("generator", "discriminator"):
            time = getattr(exp.memory, name)
            if not exp.update_rule.continuous and time != UNIFORM and 0 < time < 1:
                raise InputError(f"memory.{name}", "be 0 or at least 1 step", time)
    _check_scores(exp)


def _check_pairs(exp: Experiment) -> None:
    """Refuse what is not derived for a loss of pairs."""
    if not exp.loss_object.pairs:
        return
    what = f"loss.kind {exp.loss.kind!r} (a loss of pairs)"
    exp.refuse_remedies(what)
    if exp.penalty.consensus:
        raise InputError("penalty.consensus", f"be 0 for {what}", exp.penalty.consensus)
    for name in ("generator", "discriminator"):
        if getattr(exp, name).finite_network:
            raise InputError(f"{name}.architecture.width", f"be left out for {what}", "a network of finite width")


def _check_scores(exp: Experiment) -> None:
    like, target = exp.likelihood, exp.target
    if like.weight and not like.bandwidth and not isinstance(target, Uniform):
        raise InputError("likelihood.bandwidth", "be greater than 0 unless target.kind is 'uniform'", 0.0)
    if like.score == "exact" and not isinstance(target, Uniform | Mixture):
        rule = "be 'kernel' unless the target has a density (target.kind 'mixture' or 'uniform')"
        raise InputError("likelihood.score", rule, f"'exact' with target.kind {target.kind!r}")
    if like.target_bandwidth is None:
        return
    if like.score != "exact" or isinstance(target, Uniform):
        rule = "not be given unless likelihood.score is 'exact' and target.kind 'mixture'"
        raise InputError("likelihood.target_bandwidth", rule, like.target_bandwidth)
    if not like.target_bandwidth and np.min(target.std) == 0:  # type: ignore[union-attr]
        raise InputError("likelihood.target_bandwidth", "be greater than 0 unless every target.std is", 0.0)


def remedies(exp: Experiment) -> dict[str, tuple[str, Any]]:
    """Those in use, by their fields: (the rule of an experiment without it, what is found)."""
    every = {
        "update.rule": ("be another one", repr(exp.update.rule), exp.update_rule.responds),
        "memory": ("be 0", exp.memory.said, bool(exp.update_rule.averages)),
        "likelihood.weight": ("be 0", exp.likelihood.weight, exp.likelihood.weight > 0),
        "packing.degree": ("be 1", exp.packing.degree, exp.packing.degree > 1),
    }
    return {field: (rule, found) for field, (rule, found, used) in every.items() if used}


__all__ = ["check_together", "remedies"]
