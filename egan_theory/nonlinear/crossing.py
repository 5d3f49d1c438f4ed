"""Which eigenvalues cross at a threshold, how fast, and which others do so close by."""

from __future__ import annotations

import numpy as np

from .critical import CriticalSpace, Refused
from .point import Point

Array = np.ndarray
#: a threshold's multiplier may be this far from the unit circle
ON_CIRCLE = 1e-4
#: a second mode joins where it crosses within this part of the parameter, at an angle within this part of the first
GAP, DETUNING = 0.03, 0.1
#: an eigenvalue is real when its imaginary part is below this
REAL = 1e-6


def critical_modes(
    here: Point, before: Point, after: Point, step: float, target: complex, kind: str, value: float
) -> tuple[CriticalSpace, Array, Array]:
    """The eigenvalue that crosses at ``value``, nearest to ``target``, and those that cross close by: (space, slope
    (k, k) p_i^H (dA/dmu) q_j, distances (k,) in the parameter at which each crosses). before, after: the map at
    value -+ step."""
    values, right, left = here.nearby(target)
    growth = values.real if here.continuous else np.log(np.abs(values))

    def speed(right: Array, left: Array, values: Array) -> tuple[Array, Array]:
        D = left.conj().T @ ((after.product(right) - before.product(right)) / (2 * step))
        d = np.diag(D)
        return D, d.real if here.continuous else (d / values).real

    if kind != "pair":
        # an eigenvalue that stays (weights that nothing damps) may stand at the same place: told apart by its speed
        near = np.abs(values - values[0]) <= 1e-7
        D, _ = speed(right[:, near], left[:, near], values[near])
        _, turn = np.linalg.eig(D)
        moving = np.abs(np.linalg.eigvals(D)) > 1e-7 * max(np.abs(D).max(), 1e-300)
        right_near = right[:, near] @ turn
        left_near = left[:, near] @ np.linalg.inv(turn).conj().T
        order = np.argsort(~moving, kind="stable")
        right = np.concatenate([right_near[:, order], right[:, ~near]], axis=1)
        left = np.concatenate([left_near[:, order], left[:, ~near]], axis=1)
        values = np.concatenate([values[near], values[~near]])
        growth = values.real if here.continuous else np.log(np.abs(values))
        still = np.zeros(len(values), bool)
        still[int(moving.sum()) : int(near.sum())] = True
    else:
        still = values.imag <= 0
    _, rate = speed(right, left, values)
    if abs(growth[0]) > ON_CIRCLE or rate[0] == 0:
        raise Refused("no eigenvalue of the step crosses the unit circle where the linear theory has its threshold")
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -growth / rate
    space, which = _cluster(here, kind, values, right, left, crossing, still, value)
    return space, speed(space.right, space.left, space.values)[0], crossing[which]


def _cluster(
    here: Point, kind: str, values: Array, right: Array, left: Array, crossing: Array, still: Array,
    value: float,
) -> tuple[CriticalSpace, Array]:  # fmt: skip
    width = max(abs(values[0].imag) if here.continuous else abs(np.angle(values[0])), REAL) if kind == "pair" else 1.0
    near = np.abs(values - values[0]) <= DETUNING * width
    near &= ~still & (np.abs(crossing) <= GAP * (abs(value) or 1.0))
    near[0] = True
    which = np.flatnonzero(near)
    space = CriticalSpace(values[which], right[:, which], left[:, which], kind != "pair", here.continuous)
    if kind != "pair":
        space = _realigned(space)
    return space, which


def _realigned(space: CriticalSpace) -> CriticalSpace:
    """Real eigenvectors of real eigenvalues."""
    q, p = [], []
    if np.ptp(space.values.real) < 1e-9:  # a double one: any real basis
        both = np.concatenate([space.right.real, space.right.imag], axis=1)
        basis = np.linalg.svd(both, full_matrices=False)[0][:, : space.size]
        left = space.left @ np.linalg.inv(basis.T @ space.left)
        return CriticalSpace(space.values.real, basis, left.real, True, space.continuous)
    for right, left in zip(space.right.T, space.left.T, strict=True):
        turn = right[np.argmax(np.abs(right))]
        x = (right / turn).real
        y = (left * np.conj(turn)).real
        q.append(x)
        p.append(y / (y @ x))
    return CriticalSpace(space.values.real, np.stack(q, 1), np.stack(p, 1), True, space.continuous)


__all__ = ["REAL", "critical_modes"]
