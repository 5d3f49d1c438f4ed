"""Where the ratio g2/g1 of a generator tends as its depth grows: order, chaos and the edge between them.

The variance map V(q) = sw^2 E act(sqrt(q) z)^2 + sb^2 has the fixed point q* and the map of covariances at it the slope
chi = sw^2 E act'(sqrt(q*) z)^2 at c = q* (Poole et al. 2016; Schoenholz et al. 2017). The map is convex in c >= 0 (its
Taylor coefficients in c are nonnegative), so that chi alone decides; with delta = q* - c and Theta' = c' + chi_c Theta:

    chi < 1   ordered: c -> q*, both Theta -> q*/(1 - chi): ratio -> 1; 1 - ratio ~ depth chi^depth
    chi > 1   chaotic: c -> c* < q* of slope < 1, Theta(0) -> c*/(1 - chi_c*), Theta(1) ~ chi^depth: ratio ~ chi^-depth
    chi = 1   edge: Theta(1) ~ q* L. A smooth activation has delta' = delta - k delta^2 / 2 with k = sw^2 E act''^2, so
              delta ~ 2/(k L), chi_c = 1 - k delta = 1 - 2/L and Theta(0) ~ q* L / 3: ratio -> 1/3, up to O(log L / L)

Piecewise linear activations map correlations the same at every scale (delta here relative to q), with
delta' = delta - s delta^(3/2), so delta ~ 4/(s L)^2 and the slope 1 - (3/2) s sqrt(delta) = 1 - 3/L:
Theta(0) ~ q L / 4.
In the ordered phase delta ~ chi^L then moves Theta by sqrt(delta): 1 - ratio ~ chi^(L/2), slower than a smooth one's.
1/4 is their limit wherever the bias is negligible in the end: sb = 0 with any sw, or chi = sw^2 (1 + leak^2)/2 > 1.
At chi = 1 with sb > 0, q ~ sb^2 L grows, delta ~ 1/(s L)^2, slope 1 - 3/(2L): Theta(0) ~ sb^2 L^2 / (7/2) against
Theta(1) ~ sb^2 L^2 / 2, ratio -> 4/7. The identity has c and q exactly: see ``_identity``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ...base.table import Record
from ...tables.activations import get_activation
from ...tables.architecture import Architecture
from .dual import Dual, LeakyRelu, dual_activation

#: |chi - 1| below which an architecture counts as on the edge
EDGE = 1e-9
#: variances beyond these have no fixed point between
LOWEST, HIGHEST = 1e-12, 1e8


@dataclass(frozen=True)
class DepthLimit(Record):
    """Where g2/g1 tends as depth -> infinity.

    ``ratio``: the limit, None where it depends on more than the phase. ``rate``: factor per layer of the distance from
    it (up to powers of the depth), None where it falls as a power of the depth or is not known. ``variance``: q*, None
    if there is no positive one. ``slope``: chi there.
    """

    phase: str
    ratio: float | None
    rate: float | None = None
    variance: float | None = None
    slope: float | None = None


def depth_limit(arch: Architecture) -> DepthLimit:
    """The limit of the ratio of this architecture as its own depth is raised; closed form but for q*, by bisection."""
    dual = dual_activation(arch)
    sw, sb = arch.weight_variance, arch.bias_variance
    if arch.activation == "identity":
        return _identity(sw, sb)
    if isinstance(dual, LeakyRelu):
        return _piecewise_linear(sw * dual.slope(1.0), sw, sb, dual)
    if sb == 0 and get_activation(arch.activation, arch.leak, arch.coefficients).odd:
        return DepthLimit("orthogonal latents stay orthogonal (odd, no bias)", 0.0, rate=0.0)
    q = _fixed_point(dual, sw, sb)
    if q is None:
        if arch.activation in ("gelu", "softplus") and sw > 2:  # ReLU from afar, with chi = sw^2 / 2
            return DepthLimit("growing variance", 0.25)
        return DepthLimit("growing variance", None)
    if q == 0:
        return DepthLimit("vanishing variance", None)
    chi = sw * float(dual.slope(np.float64(q)))
    if abs(chi - 1) <= EDGE:
        return DepthLimit("edge of chaos", 1 / 3, None, q, chi)
    return DepthLimit("ordered", 1.0, chi, q, chi) if chi < 1 else DepthLimit("chaotic", 0.0, 1 / chi, q, chi)


def _piecewise_linear(chi: float, sw: float, sb: float, dual: LeakyRelu) -> DepthLimit:
    if sb == 0:
        return DepthLimit("edge of chaos at every weight variance", 0.25, slope=chi)
    if abs(chi - 1) <= EDGE:
        return DepthLimit("growing variance at the edge of chaos", 4 / 7, slope=chi)
    if chi < 1:
        return DepthLimit("ordered", 1.0, math.sqrt(chi), sb / (1 - chi), chi)
    return DepthLimit("growing variance", 0.25, slope=chi)


def _identity(sw: float, sb: float) -> DepthLimit:
    """c_L = sb^2 (1 + sw^2 + ...), q_L = c_L + sw^2L: for chi = sw^2 > 1 the ratio tends to sb^2 / (sb^2 + chi - 1)."""
    if sb == 0:
        return DepthLimit("orthogonal latents stay orthogonal (odd, no bias)", 0.0, rate=0.0, slope=sw)
    if abs(sw - 1) <= EDGE:
        return DepthLimit("growing variance", 1.0, slope=sw)
    if sw < 1:
        return DepthLimit("ordered", 1.0, sw, sb / (1 - sw), sw)
    return DepthLimit("growing variance", sb / (sb + sw - 1), slope=sw)


def _fixed_point(dual: Dual, sw: float, sb: float) -> float | None:
    """The fixed point of the variance map next to its start, in the direction in which it moves; None if it grows
    without bound, 0 if it vanishes. Assumes that the map increases, so that no iterate jumps across a fixed point."""

    def excess(q: float) -> float:
        return sw * float(dual.variance(np.float64(q))) + sb - q

    q = sw + sb
    start = excess(q)
    if start == 0:
        return q
    factor = 1.25 if start > 0 else 0.8
    while LOWEST < q < HIGHEST:
        after = q * factor
        value = excess(after)
        if not math.isfinite(value):
            return None
        if (value > 0) != (start > 0):
            return float(brentq(excess, min(q, after), max(q, after), xtol=1e-300, rtol=8.9e-16))
        q = after
    return None if start > 0 else 0.0


__all__ = ["DepthLimit", "depth_limit"]
