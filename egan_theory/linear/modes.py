"""Eigenvalues of the parts of a linearization under an update rule, one row each: of blocks, dense systems, scalars."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..problem.problem import Problem
from ..symbolic.maps import update_decrements, update_matrices
from ..tables.updates import UpdateRule
from .rounding import EPS, ROOM, Roots, dense_roots, of_numbers, pair_roots, small_roots, spread
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
        roots = small_roots(update_matrices(rule, blocks), None)
        if rule.responds:  # without the one of each block that is 0 because its discriminator has no dynamics
            roots = roots.at(np.argsort(np.abs(roots.d), axis=-1, kind="stable")[:, 1:])
        s = roots.d
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(np.abs(s.imag) > 0, -s.real / np.abs(s), np.nan)
    else:
        decrements = update_decrements(rule, blocks)
        if decrements.shape[-1] == 2:
            known = spread(lambda J: update_decrements(rule, J), blocks, errors)
            roots = pair_roots(decrements, known, continuous)
        else:
            roots = small_roots(decrements, update_matrices(rule, blocks))
        s = roots.logarithms(continuous)[0]
        order = np.argsort(-s.real, axis=-1, kind="stable")
        roots, ratio = roots.at(order), discrete_ratio(np.take_along_axis(s, order, axis=-1))
    return _rows(roots, continuous, lin.multiplicity[:, None], ratio, True, lin.wavenumber[:, None])


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
    if alike(rule):
        roots, vectors = of_flow(rule, J, system.unit)
    else:
        roots, vectors = dense_roots(decrement_matrix(rule, J, nw), rule.continuous, system.unit)
    moves = np.ones(len(roots.d), dtype=bool)
    carried = moves
    if system.mixed:
        moves = np.linalg.norm(vectors[nw : len(J)], axis=0) > COUPLING_TOLERANCE * np.linalg.norm(vectors, axis=0)
        carried = moves & (_particles_share(problem, system, vectors) > CARRIED)
    s = roots.logarithms(rule.continuous)[0]
    ratio = np.full(s.shape, np.nan)
    if ratios and not rule.averages:
        ratio = np.where(moves, _rayleigh_ratio(J, nw, s, vectors), np.nan)  # D's modes alone are no oscillators
    rows = _rows(roots, rule.continuous, system.count, ratio, moves, np.nan, carried)
    kept = np.sort(np.argsort(np.abs(s), kind="stable")[system.zero :])
    return Rows(*(column[kept] for column in rows))


def alike(rule: UpdateRule) -> bool:
    """Whether a step does the same with both players, so that it is a function of the flow's J alone."""
    momenta = {rule.momentum_discriminator, rule.momentum_generator} if rule.momenta else set()
    return rule.entry.invariant and not rule.averages and len(momenta) < 2


def of_flow(rule: UpdateRule, J: Array, unit: float) -> tuple[Roots, Array]:
    """(roots, eigenvectors on (w, x)) of a step that is ``alike`` for both players: every eigenvalue of J gives those
    of a small matrix. J is as small as the learning rates are, the step's own matrix with its memory is not."""
    flow, vectors = dense_roots(J, True, unit)
    own = np.flatnonzero(np.array(["w", "x", *rule.blocks]) == "w")

    def at(s: Array) -> Roots:
        blocks = s[:, None, None] * np.eye(2)
        d, z = (f(rule, blocks)[:, own[:, None], own] for f in (update_decrements, update_matrices))
        return small_roots(d, z) if len(own) > 1 else of_numbers(d[:, :, 0], ROOM * EPS * np.abs(d[:, :, 0]), False)

    found, moved = at(flow.d), at(flow.d + flow.error)
    error = found.error + np.abs(moved.d - found.d)
    # a real eigenvalue has real roots, or a pair of them
    d, z = (np.where(np.abs(v.imag) <= error, v.real, v) for v in (found.d, found.z))
    roots = of_numbers(d.ravel(), error.ravel(), False)._replace(z=z.ravel())
    return roots, np.repeat(vectors, len(own), axis=1)


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
    nw, continuous = system.nw, rule.continuous
    roots, _ = dense_roots(decrement_matrix(rule, system.J, nw)[nw:, nw:], continuous, system.unit)
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
    if matrix.shape[-1] == 1:
        d = matrix[:, :, 0]
        roots = of_numbers(d, ROOM * EPS * np.abs(d), continuous)
    else:
        roots = small_roots(matrix, step)
    order = np.argsort(np.abs(roots.d), axis=-1, kind="stable")
    roots = roots.at(order[:, 1:] if scalar.s == 0 else order)
    return _rows(roots, continuous, scalar.count, coupled=False)


__all__ = ["Rows", "block_rows", "discrete_ratio", "scalar_rows", "system_rows"]
