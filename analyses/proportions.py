"""Confidence intervals of counts, for every analysis that counts successes."""

from __future__ import annotations

from scipy.stats import binomtest


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) for no trials."""
    if not count:
        return 0.0, 1.0
    found = binomtest(int(successes), int(count)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
