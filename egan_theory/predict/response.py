"""How soon a mode acts: the time after which a displaced mode has lost all but 1/e of its displacement.

A mode is a 2 x 2 block (discriminator, particles). It starts displaced by x(0) = 1 with the discriminator at D*, as at
the start of training, so its decay rate alone does not say how soon it acts: an undamped mode acts within a quarter
period and never decays. For s^2 + a s + w^2 = 0 in continuous time (Eq. (82, response))

    x(t) = [s1 exp(s2 t) - s2 exp(s1 t)] / (s1 - s2);   t_act = arccos(1/e)/w for a = 0,   -> a/w^2 for a >> w

Discrete rules are iterated with their own matrices and memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import expm

from ..base.errors import InputError
from ..symbolic.maps import update_matrices
from ..tables.updates import UpdateRule, linear_opponents

#: part of the displacement left when the mode is said to have acted
LEVEL = float(np.exp(-1))
#: times are bracketed by repeated doubling: up to 2^LONGEST steps (flow: of 1/|J|), down to 2^-SHORTEST of one
LONGEST, SHORTEST = 60, 24


def acting_times(blocks: Any, rule: UpdateRule) -> np.ndarray:
    """(K,) first times at which x has fallen to 1/e, for blocks (K, 2, 2) with learning rates folded in.

    In steps (flow: units of time); linear between steps. inf where it never happens within 2^LONGEST steps (uncoupled
    or frozen modes). Not checked: that the block's first crossing is the one found by doubling, which holds for
    oscillators (the part of a period below 1/e is longer than the way to it).
    """
    blocks = np.asarray(blocks, dtype=float)
    if not len(blocks):
        return np.empty(0)
    if rule.continuous and (rule.responds or rule.averages):
        raise InputError("update.rule", "be a discrete rule or the plain flow here", rule.rule)
    start = _start(blocks, rule)
    if rule.continuous:
        size = np.abs(blocks).max(axis=(-2, -1))
        unit = 1 / np.where(size > 0, size, 1.0)
        fine = [expm(blocks * (unit / 2.0**j)[:, None, None]) for j in range(SHORTEST, 0, -1)]
        step = expm(blocks * unit[:, None, None])
    else:
        unit, fine, step = np.ones(len(blocks)), [], update_matrices(rule, blocks)
    powers = [*fine, step]  # powers[j] advances by 2^(j - len(fine)) units
    top = np.full(len(blocks), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(LONGEST):
            crossed = (top < 0) & (_advance(powers[-1], start)[:, 1] <= LEVEL)
            top[crossed] = len(powers) - 1
            if np.all(top >= 0):
                break
            powers.append(powers[-1] @ powers[-1])
        # the longest time before the crossing, from the coarsest power down
        state, elapsed = start, np.zeros(len(blocks))
        for j in range(len(powers) - 1, -1, -1):
            ahead = _advance(powers[j], state)
            take = (j < top) & (ahead[:, 1] > LEVEL)
            state = np.where(take[:, None], ahead, state)
            elapsed += np.where(take, 2.0 ** (j - len(fine)), 0.0)
        last, after = state[:, 1], _advance(powers[0], state)[:, 1]
    found = top >= 0
    moves = found & (last > after)  # else slower than rounding
    share = np.divide(last - LEVEL, last - after, out=np.zeros(len(blocks)), where=moves)
    return np.where(found, unit * (elapsed + 2.0 ** -len(fine) * share), np.inf)


def _advance(powers: np.ndarray, state: np.ndarray) -> np.ndarray:
    return (powers @ state[..., None])[..., 0]


def _start(blocks: np.ndarray, rule: UpdateRule) -> np.ndarray:
    """(K, n) states with w = 0, x = 1 and the rule's memory as at step 0."""
    if rule.continuous:
        return np.tile([0.0, 1.0], (len(blocks), 1))

    def Vw(w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return blocks[:, 0, 0] * w + blocks[:, 0, 1] * x

    others = linear_opponents(Vw, lambda v: v / blocks[:, 0, 0])
    state = rule.start(
        np.zeros(len(blocks)),
        np.ones(len(blocks)),
        Vw,
        lambda w, x: blocks[:, 1, 0] * w + blocks[:, 1, 1] * x,
        others,
    )
    return np.stack(state, axis=-1)
