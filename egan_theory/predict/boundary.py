"""Where boundaries of a diagram run between its cells: roots of the margin along the lines of the grid.

Between two values of opposite sign lies a crossing, but not where a straight line between them has its zero: below the
edge of stability the margin is the small decay rate of a slow mode, beyond it the fast growth of another one. So the
margin is evaluated inside of the interval, of all intervals at once, until each is narrower than TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from .phase import PhaseAxis

Array = np.ndarray
#: relative width of the interval that is left around a crossing, of which the middle is taken
TOLERANCE = 1e-3
#: part of what may be left by which a guess is moved past the root that it expects, so that both ends close in
NUDGE = 0.45
#: most evaluations of one crossing: more than halving takes from the widest cell
ROUNDS = 80


def boundary(
    margins: Array, known: Array, axes: Sequence[PhaseAxis], evaluate: Callable[[Array, Array], Array]
) -> tuple[Array, Array]:
    """(along first, along second), each of the diagram's shape (second, first): the value of the first axis at which
    the sign changes between a cell and the next one along it, likewise of the second; NaN where it does not, where one
    of the two was not evaluated, and along an axis of whole numbers.

    margins, known: of all cells, and whether they were evaluated. ``evaluate``: (n,) values of the first and of the
    second field -> (n,) margins, NaN where there is no statement (then the crossing is NaN).
    """
    return (
        _along(margins, known, axes, evaluate),
        _along(margins.T, known.T, axes[::-1], lambda second, first: evaluate(first, second)).T,
    )


def _along(margins: Array, known: Array, axes: Sequence[PhaseAxis], evaluate: Callable[[Array, Array], Array]) -> Array:
    """Of the lines (other, own), along the first of the axes (own, other)."""
    own, other = (np.array(axis.values) for axis in axes)
    out = np.full(margins.shape, np.nan)
    signs = np.where(np.isnan(margins), 0, np.where(margins > 0, 1, -1)) * known
    lines, cells = np.nonzero(signs[:, :-1] * signs[:, 1:] < 0)
    if not len(lines) or np.issubdtype(own.dtype, np.integer):
        return out
    to, back = (np.log, np.exp) if axes[0].log else (np.asarray, np.asarray)
    a, b, across = own[cells], own[cells + 1], other[lines]
    width = TOLERANCE * (np.ones(len(a)) if axes[0].log else np.maximum(np.abs(a), np.abs(b)))
    ends = margins[lines, cells], margins[lines, cells + 1]
    found = roots(lambda i, u: evaluate(back(u), across[i]), to(a), to(b), *ends, width)
    out[lines, cells] = np.clip(back(found), a, b)
    return out


def roots(margin: Callable[[Array, Array], Array], a: Array, b: Array, at_a: Array, at_b: Array, width: Array) -> Array:
    """(n,) places in [a, b] where functions of opposite sign at a and b change it, to within ``width``/2; 0 is not
    positive. ``margin``: ((m,) which of them, (m,) places) -> (m,) values; NaN ends the search with NaN.

    The next place is the first of these that lies inside: the zero of the line through the last two values > 0 (beyond
    a kink the mode that grows is one and the same), of that through the last two <= 0, the middle; the middle also
    where two guesses have not halved the interval.
    """
    up = at_b > at_a
    # the two newest places on either side, x[0] where the margin is > 0
    x = np.stack([np.where(up, b, a), np.where(up, a, b)]).astype(float)
    f = np.stack([np.where(up, at_b, at_a), np.where(up, at_a, at_b)]).astype(float)
    past_x, past_f = np.full_like(x, np.nan), np.full_like(f, np.nan)
    before = [np.full(len(a), np.inf), np.full(len(a), np.inf)]
    lost = np.zeros(len(a), dtype=bool)
    for _ in range(ROUNDS):
        size = np.abs(x[0] - x[1])
        left = np.flatnonzero((size > width) & ~lost)
        if not len(left):
            break
        guess = _guess(x[:, left], f[:, left], past_x[:, left], past_f[:, left], width[left])
        slow = size[left] > before[0][left] / 2
        guess = np.where(np.isfinite(guess) & ~slow, guess, x[:, left].mean(0))
        value = np.asarray(margin(left, guess), dtype=float)
        lost[left] = np.isnan(value)
        side = np.where(value > 0, 0, 1)
        past_x[side, left], past_f[side, left] = x[side, left], f[side, left]
        x[side, left], f[side, left] = guess, value
        before[0][left], before[1][left] = before[1][left], size[left]
    return np.where(lost, np.nan, x.mean(0))


def _guess(x: Array, f: Array, past_x: Array, past_f: Array, width: Array) -> Array:
    """(n,) next places, NaN where no line has its zero inside of the interval."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        zeros = x - f * (past_x - x) / (past_f - f)
    low, high = x.min(0), x.max(0)
    inside = (zeros > low) & (zeros < high)
    zero = np.where(inside[0], zeros[0], np.where(inside[1], zeros[1], np.nan))
    # past it, towards the farther end
    from_low, from_high = zero - low, high - zero
    return zero + np.where(from_low > from_high, -1, 1) * np.minimum(NUDGE * width, np.maximum(from_low, from_high) / 2)


def places(found: xr.Dataset, name: str) -> list[list[float]]:
    """[first, second] of every crossing of a mechanism's boundary in a diagram, along rows and then along columns."""
    part, out = found.sel(mechanism=name), []
    for own, other in (("first", "second"), ("second", "first")):
        crossing = part[f"crossing_{own}"].transpose(other, own).values
        lines, cells = np.nonzero(np.isfinite(crossing))
        pair = [crossing[lines, cells], found[other].values[lines]]
        out += np.stack(pair if own == "first" else pair[::-1], -1).astype(float).tolist()
    return out


__all__ = ["TOLERANCE", "boundary", "places", "roots"]
