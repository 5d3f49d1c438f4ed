"""Eigenvalues of the parts of a linearization under an update rule, one row each: of blocks, dense systems, scalars."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..problem.problem import Problem
from ..symbolic.maps import update_decrements, update_matrices, volumes
from ..tables.updates import UpdateRule
from .rounding import (
    EPS,
    ROOM,
    ROOMY,
    Roots,
    balance,
    dense_roots,
    divided,
    multipliers,
    of_numbers,
    pair_roots,
    small_roots,
    spread,
    volume_errors,
)
from .system import Linearization, Scalars, System, decrement_matrix

Array = np.ndarray
#: part of an eigenvector on the particles below which the mode does not move them
COUPLING_TOLERANCE = float(np.sqrt(EPS))
#: part of a mode's motion that must be the particles' for them to converge by it
CARRIED = 0.1


class Rows(NamedTuple):
    """Columns of ``eigenvalues.Eigenvalues``, in its order."""

    s: Array
    z: Array
    multiplicity: Array
    damping_ratio: Array
    coupled: Array
    wavenumber: Array
    carried: Array
    error: Array
    rate_error: Array


def _rows(
    roots: Roots, continuous: bool, multiplicity: Any = 1, ratio: Any = np.nan, coupled: Any = True,
    wavenumber: Any = np.nan, carried: Any = None,
) -> Rows:  # fmt: skip
    s, error, rate_error = roots.logarithms(continuous)

    def full(v: Any, t: type) -> Array:
        return np.broadcast_to(np.asarray(v, dtype=t), s.shape).ravel()

    return Rows(
        s.ravel(), roots.z.ravel(), full(multiplicity, int), full(ratio, float), full(coupled, bool),
        full(wavenumber, float), full(coupled if carried is None else carried, bool), error.ravel(), rate_error.ravel(),
    )  # fmt: skip


def _none() -> Rows:
    return _rows(of_numbers(np.empty(0), np.empty(0), True), True)


# -- blocks ---------------------------------------------------------------------------------------------------------


def block_rows(lin: Linearization, rule: UpdateRule) -> Rows:
    """Of the independent oscillators."""
    blocks, errors = lin.blocks, lin.errors
    if not len(blocks):
        return _none()
    continuous = rule.continuous
    if rule.responds and not rule.averages:
        # the discriminator is slaved to the particles: one real eigenvalue, and a multiplier 0 per step
        rate = _slaved(blocks)[:, None]
        roots = of_numbers(rate, spread(_slaved, blocks, errors)[:, None], continuous)
        if not continuous:
            gone = of_numbers(np.full(rate.shape, -1.0), np.zeros(rate.shape), continuous)
            roots = Roots(*(np.concatenate(pair, axis=-1) for pair in zip(roots, gone, strict=True)))
        ratio: Array = np.full(roots.d.shape, np.nan)
    elif rule.plain_flow:
        roots = pair_roots(blocks, errors, continuous)
        trace, det = -np.trace(blocks, axis1=-2, axis2=-1), np.linalg.det(blocks)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(det > 0, trace / (2 * np.sqrt(np.abs(det))), np.nan)[:, None]
    elif continuous:
        roots = _remembered(rule, blocks, errors)
        s = roots.d
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(np.abs(s.imag) > 0, -s.real / np.abs(s), np.nan)
    else:
        decrements = update_decrements(rule, blocks)
        if decrements.shape[-1] == 2:
            known = spread(lambda J: update_decrements(rule, J), blocks, errors)
            roots = pair_roots(decrements, known, continuous, _volumes(rule, blocks, errors))
        else:
            roots = _remembered(rule, blocks, errors)
        s = roots.logarithms(continuous)[0]
        order = np.argsort(-s.real, axis=-1, kind="stable")
        roots, ratio = roots.at(order), discrete_ratio(np.take_along_axis(s, order, axis=-1))
    return _rows(roots, continuous, lin.multiplicity[:, None], ratio, True, lin.wavenumber[:, None])


def _volumes(rule: UpdateRule, blocks: Array, errors: Array) -> tuple[Array, Array] | None:
    """By how much one step changes areas, with a bound on its error, where the rule's structure says it."""
    found = volumes(rule, blocks)
    if found is None:
        return None

    def again(J: Array) -> Array:
        return np.asarray(volumes(rule, J))

    return found, volume_errors(again, blocks, errors, int(rule.critic_steps))


def _remembered(rule: UpdateRule, blocks: Array, errors: Array) -> Roots:
    """Of a rule with memory: the players' own apart from those of what they remember, where they are slow."""
    scale = balance(blocks)
    units = scale[:, None, :] / scale[:, :, None]
    blocks, errors = blocks * units, errors * units
    # in flows a discriminator that responds has no dynamics; in steps it remembers nothing
    first = 1 if rule.responds and rule.continuous else 0
    players = [1 - first] if rule.responds else [0, 1]

    def ordered(found: Array) -> Array:
        found = found[..., first:, first:]
        order = np.array(players + [i for i in range(found.shape[-1]) if i not in players])
        return found[..., order[:, None], order]

    def matrices(J: Array) -> Array:
        return ordered(update_matrices(rule, J) if rule.continuous else update_decrements(rule, J))

    D, k = matrices(blocks), len(players)
    steps = None if rule.continuous else ordered(update_matrices(rule, blocks))
    roots, parts = small_roots(D, steps, spread(matrices, blocks, errors)), divided(D, k)
    if not parts.slow.any():
        return roots
    where = parts.slow
    own = spread(lambda J: divided(matrices(J), k).X, blocks[where], errors[where])
    X = parts.X[where]
    slow = of_numbers(X[:, :, 0], own[:, :, 0], rule.continuous) if k == 1 else pair_roots(X, own, rule.continuous)
    # what is left of them all, the nearest to the players' taken out
    fast = small_roots(parts.Y[where], None, spread(lambda J: divided(matrices(J), k).Y, blocks[where], errors[where]))
    fast = of_numbers(fast.d, fast.error, rule.continuous)
    if steps is not None:
        fast = fast._replace(z=multipliers(fast.d, steps[where]))
    both = (np.concatenate([a, b], axis=-1) for a, b in zip(slow, fast, strict=True))
    return Roots(*(_replaced(old, where, new) for old, new in zip(roots, both, strict=True)))


def _replaced(old: Array, where: Array, new: Array) -> Array:
    out = old.copy()
    out[where] = new
    return out


def _slaved(blocks: Array) -> Array:
    return blocks[:, 1, 1] - blocks[:, 1, 0] * blocks[:, 0, 1] / blocks[:, 0, 0]


def discrete_ratio(s: Array) -> Array:
    """zeta from log z: -Re s/|s| for oscillating modes; from the pair of slowest real ones otherwise (memory: NaN)."""
    ratio = np.full(s.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        oscillating = np.abs(s.imag) > 0
        ratio[oscillating] = (-s.real / np.abs(s))[oscillating]
        if s.shape[-1] >= 2:
            first, second = s[..., 0].real, s[..., 1].real
            both = ~oscillating[..., 0] & ~oscillating[..., 1] & (first * second > 0) & np.isfinite(first * second)
            value = -(first + second) / (2 * np.sqrt(np.abs(first * second)))
            for column in (0, 1):
                ratio[..., column] = np.where(both, value, ratio[..., column])
    return ratio


# -- dense systems --------------------------------------------------------------------------------------------------


def system_rows(problem: Problem, system: System, rule: UpdateRule, ratios: bool) -> Rows:
    """Of ``count`` dense systems; ``ratios`` False: without damping ratios."""
    J, nw = system.J, system.nw
    if not len(J):
        return _none()
    if rule.responds:
        return _response_rows(system, rule)
    D = decrement_matrix(rule, J, nw)
    if len(D) > len(J):
        roots, vectors = _with_memory(rule, D, system)
    else:
        roots, vectors = dense_roots(D, rule.continuous, system.unit)
    moves = np.ones(len(roots.d), dtype=bool)
    carried = moves
    if system.mixed:
        lengths = np.linalg.norm(vectors, axis=0)
        moves = np.linalg.norm(vectors[nw : len(J)], axis=0) > COUPLING_TOLERANCE * lengths
        carried = moves & (_particles_share(problem, system, vectors) > CARRIED)
    s = roots.logarithms(rule.continuous)[0]
    ratio = np.full(s.shape, np.nan)
    if ratios and not rule.averages:
        ratio = np.where(moves, _rayleigh_ratio(J, nw, s, vectors), np.nan)  # D's modes alone are no oscillators
    rows = _rows(roots, rule.continuous, system.count, ratio, moves, np.nan, carried)
    kept = np.sort(np.argsort(np.abs(s), kind="stable")[system.zero :])
    return Rows(*(column[kept] for column in rows))


def _with_memory(rule: UpdateRule, D: Array, system: System) -> tuple[Roots, Array]:
    """(roots, eigenvectors on (w, x, memory)): the players' own apart from those of what they remember, where they are
    slow. Memory that forgets by itself moves no player but by rounding: it counts in the length of its vectors."""
    k, continuous = len(system.J), rule.continuous
    # every memory in the units of its player, both players in such that rows and columns are of one length
    scale = balance(system.J)
    names = ["w", "x", *rule.blocks]
    scale = np.concatenate([scale[: system.nw] if name == "w" else scale[system.nw :] for name in names])
    parts = divided(D * (scale / scale[:, None]), k)
    if not parts.slow:
        return dense_roots(D, continuous, system.unit)
    slow, mine = dense_roots(parts.X, continuous, system.unit)
    fast, others = dense_roots(parts.Y, continuous, system.unit)
    moved = parts.K @ others
    vectors = scale[:, None] * np.block([[mine, moved], [parts.L @ mine, others + parts.L @ moved]])
    return Roots(*(np.concatenate(pair) for pair in zip(slow, fast, strict=True))), vectors


def _particles_share(problem: Problem, system: System, vectors: Array) -> Array:
    """|v|^2 / (|w|^2 + |v|^2) of every eigenvector, w and v scaled as in ``Eigenvalues``."""
    nw = system.nw
    w = (np.abs(vectors[:nw]) ** 2).sum(0) / (problem.eta_D * problem.loss.c)
    v = (np.abs(vectors[nw : len(system.J)]) ** 2).sum(0) / (problem.eta_G * problem.loss.b)
    if system.positions:  # dx = sqrt(omega (g1 - g2)) theta for relative motion
        v = v / (problem.omega * (problem.g1 - problem.g2 or problem.g1))
    with np.errstate(invalid="ignore"):
        return v / (w + v)


def _response_rows(system: System, rule: UpdateRule) -> Rows:
    """Those of a discriminator at its optimum, of J_xx - J_xw J_ww^-1 J_wx where nothing is averaged: nothing depends
    on its old weights. Per step also a multiplier 0 for every weight."""
    nw, continuous, J = system.nw, rule.continuous, system.J
    # what an error of J_ww makes of J_xw J_ww^-1 J_wx
    inverse = np.linalg.inv(J[:nw, :nw])
    into, out = (np.linalg.norm(m) for m in (J[nw:, :nw] @ inverse, inverse @ J[:nw, nw:]))
    e = ROOMY * system.unit * float(into * np.linalg.norm(J[:nw, :nw]) * out)
    D = decrement_matrix(rule, J, nw)[nw:, nw:]
    parts = divided(D, len(J) - nw) if rule.averages else None
    if parts is not None and parts.slow:
        pair = (dense_roots(m, continuous, system.unit, e)[0] for m in (parts.X, parts.Y))
        roots = Roots(*(np.concatenate(columns) for columns in zip(*pair, strict=True)))
    else:
        roots, _ = dense_roots(D, continuous, system.unit, e)
    kept = roots.at(np.sort(np.argsort(np.abs(roots.d), kind="stable")[system.zero :]))
    rows = _rows(kept, continuous, system.count)
    if continuous:
        return rows
    gone = of_numbers(np.full(1, -1.0), np.zeros(1), continuous)
    weights = _rows(gone, continuous, nw * system.count, coupled=False)
    return Rows(*(np.concatenate(pair) for pair in zip(rows, weights, strict=True)))


def _rayleigh_ratio(J: Array, nw: int, s: Array, vectors: Array) -> Array:
    """zeta = -(Re s)/|s| for oscillating modes; for real ones that of the mode's own oscillator: the flow's J on the
    plane of (w, 0) and (0, x) of its eigenvector has trace -a and determinant omega^2 (exact where J is a saddle)."""
    real = s.imag == 0
    w, x = vectors[:nw, real], vectors[nw : len(J), real]

    def form(u: Array, block: Array, v: Array) -> Array:
        return np.asarray((np.conj(u) * (block @ v)).sum(0))

    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ww, xx = (np.abs(w) ** 2).sum(0), (np.abs(x) ** 2).sum(0)
        a, d = form(w, J[:nw, :nw], w).real / ww, form(x, J[nw:, nw:], x).real / xx
        cross = (form(w, J[:nw, nw:], x) / ww * (form(x, J[nw:, :nw], w) / xx)).real
        det = a * d - cross
        ratio = -s.real / np.abs(s)
        ratio[real] = np.where(det > 0, -(a + d) / (2 * np.sqrt(np.abs(det))), np.nan)
    return ratio


# -- one player alone -----------------------------------------------------------------------------------------------


def scalar_rows(scalar: Scalars, rule: UpdateRule) -> Rows:
    """Of modes of one player alone."""
    if scalar.count == 0 or (scalar.s == 0 and scalar.player not in rule.blocks):
        return _none()  # nobody, or the zero mode alone (best responses: none in w)
    continuous = rule.continuous
    if rule.responds and continuous and not rule.averages and scalar.player == "w":
        return _none()
    # an average of the particles is one of what the discriminator sees: modes it does not see have none
    players = np.array(["w", "x", *rule.blocks])
    mine = np.flatnonzero(players == scalar.player)
    own = np.ix_(np.zeros(1, dtype=int), mine, mine)
    block = np.zeros((1, 2, 2))
    at = 0 if scalar.player == "w" else 1
    block[0, at, at] = scalar.s
    if rule.responds and scalar.player == "x":
        block[0, 0, 0] = -1.0  # any: the optimum has to exist
    if rule.plain_flow or (continuous and not rule.averages):
        matrix, step = block[own], None
    else:
        matrix = update_matrices(rule, block)[own] if continuous else update_decrements(rule, block)[own]
        step = None if continuous else update_matrices(rule, block)[own]
    if rule.responds and continuous and scalar.player == "w":
        matrix = matrix[:, 1:, 1:]  # w itself has no dynamics
    part = scalar.error / abs(scalar.s) if scalar.s else 0.0
    if matrix.shape[-1] == 1:
        d = matrix[:, :, 0]
        roots = of_numbers(d, (ROOM * EPS + part) * np.abs(d), continuous)
    else:
        roots = small_roots(matrix, step, part * np.abs(matrix))
    order = np.argsort(np.abs(roots.d), axis=-1, kind="stable")
    roots = roots.at(order[:, 1:] if scalar.s == 0 else order)
    return _rows(roots, continuous, scalar.count, coupled=False)


__all__ = ["Rows", "block_rows", "discrete_ratio", "scalar_rows", "system_rows"]
