"""How far the spread equilibrium is from losing its stability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..linear import eigenvalues, linearize


def margin(exp: Experiment) -> float:
    """Largest growth over the modes that move the particles: max |z| - 1 per step, or max Re s for the flow.

    > 0: the spread equilibrium is unstable. Zero modes (multiplier exactly 1) and modes whose growth is below rounding
    are no evidence either way and left out; 0.0 when no other mode is left. Raises NotLinearizable.
    """
    values = eigenvalues(linearize(exp), ratios=False)
    growth = values.s.real if exp.update_rule.continuous else np.abs(values.z) - 1
    chosen = growth[values.coupled & values.resolved & (np.abs(growth) > values.noise)]
    return float(chosen.max()) if chosen.size else 0.0


def margins(exps: Sequence[Experiment]) -> np.ndarray:
    """``margin`` of each; NaN where there is no equilibrium to linearize about."""
    out = np.full(len(exps), np.nan)
    for i, exp in enumerate(exps):
        try:
            out[i] = margin(exp)
        except NotLinearizable:
            continue
    return out


__all__ = ["margin", "margins"]
