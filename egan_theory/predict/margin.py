"""How far the spread equilibrium is from losing its stability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..linear import eigenvalues, linearize


def margin(exp: Experiment) -> float:
    """Largest growth over the modes that move the particles: max |z| - 1 per step, or max Re s for the flow.

    > 0: the spread equilibrium is unstable. Zero modes (multiplier exactly 1) and modes whose rate is below its
    rounding error are no evidence either way and left out; NaN when none is resolved, 0.0 when there are zero modes
    alone. Raises NotLinearizable.
    """
    values = eigenvalues(linearize(exp), ratios=False)
    said = values.verdict(values.coupled)
    if np.isnan(said.slowest):
        return float("nan") if said.unresolved else 0.0
    growth = 0.0 - said.slowest  # of 0 it is 0, not -0
    return growth if exp.update_rule.continuous else float(np.expm1(growth))


def growth(exp: Experiment) -> float:
    """``margin``, 0 where no mode is resolved: nothing is seen to grow. Between such parameters and others a scan finds
    the threshold."""
    return float(np.nan_to_num(margin(exp)))


def margins(exps: Sequence[Experiment]) -> np.ndarray:
    """``margin`` of each; NaN where there is no equilibrium to linearize about."""
    out = np.full(len(exps), np.nan)
    for i, exp in enumerate(exps):
        try:
            out[i] = margin(exp)
        except NotLinearizable:
            continue
    return out


__all__ = ["growth", "margin", "margins"]
