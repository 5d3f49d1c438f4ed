"""The update rule as it is stepped: a flow in Runge-Kutta steps that resolve its fastest mode."""

from __future__ import annotations

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..problem.problem import Problem
from ..tables.updates import UpdateRule
from .eigenvalues import eigenvalues
from .routes import linearize


def resolved_rule(exp: Experiment) -> UpdateRule:
    """The update rule; for the flow with enough Runge-Kutta substeps to resolve the fastest mode at equilibrium."""
    rule = exp.update_rule
    if not rule.continuous:
        return rule
    try:
        # a uniform average starts at the present opponent and changes ever more slowly
        plain = {f"memory.{name}": 0.0 for name in ("generator", "discriminator")} if rule.uniform else {}
        s = eigenvalues(linearize(Problem(exp.replace(plain)))).s
    except NotLinearizable:
        return rule
    fastest = np.abs(s[np.isfinite(s)]).max(initial=0.0)
    return rule.resolving(fastest)
