"""Mechanism 3, too slow to split: how soon neighbouring target modes are told apart, against the time of training.

What separates two modes is D's content near k = pi/Delta. Here that content is taken from the finite samples, at finite
displacements (Eq. (77, splitting-oscillator)). Let the particles of two neighbouring modes A and B sit
merged at their common centre, a way h from their own modes along v:

    v = n/p_A on A, -n/p_B on B, 0 elsewhere,   n = (y_A - y_B)/Delta,   h = Delta p_A p_B / (p_A + p_B)
    y = sum_m p_m [psi(y_m) - psi(y_m - h v_m)] / h                                  (sum_m p_m v_m = 0)

At displacement X h (X = 1 merged, 0 split) the charge that drives D is c h y at X = 1, and the mean force of D = W y
along the way, projected on v, is b W |y|^2. Taking both as linear in X in between gives one oscillator in (W, X),

    s^2 + a s + w^2 = 0,   mu^2 = |y|^2 / Q,   Q = sum_m p_m^2 |v_m|^2 / s_m,   w^2 = eta_D eta_G b c mu^2
    a = eta_D [nu + kappa sum_m p_m (y . psi_m)^2 / |y|^2 + lam sum_m p_m |y . grad psi_m|^2 / |y|^2]

with s_m the relative part of S (g1 - g2, linear.system). As h -> 0, y is the tangent pattern B^T p v. For two
equal modes |y|^2 h^2 = int K_k (1 - cos(k Delta/2))^2 dk/(2 pi): the content that separates them is weighted towards
k = 2 pi/Delta, falls as k^4 below and is bounded above. So a smooth kernel of l >> Delta separates by its curvature at
k ~ 1/l, at a rate that falls as a power of Delta/l and not as its spectrum at pi/Delta, and the high frequencies of a
rough one, which only act on displacements far smaller than Delta, do not count. (``local_time``: one
wave, k = pi/Delta.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.targets import Grid, Mixture, Ring
from ..features import DictionaryFeatures
from ..linear.eigenvalues import pair_eigenvalues
from ..linear.seen import features_of, not_of_features
from ..problem.problem import Problem, kept
from ..symbolic.linearize import mode_blocks, oscillator_blocks
from .response import acting_times

#: at most this many pairs of neighbours are looked at, spread evenly over their distances
MAX_PAIRS = 64
#: distances closer than this part are equal (neighbours on a lattice)
TIE = 1e-9
#: longest time a margin knows
LONGEST_TIME = 1e18

ASSUMPTIONS = (
    "two neighbours merged at their centre separate as one oscillator, charge and mean force linear in between",
    "particles begin spread over the scale of the target, not at one point",
    "the other modes are in place; runs may still be caught in states where some mode has no particle",
    "median over the pairs of nearest modes",
)


@dataclass(frozen=True)
class Splitting(Record):
    """Time to separate neighbouring modes against the time of training; times in steps (flow: units of time).

    distance: Delta of the median pair; wavenumber pi/Delta. time: t_act of the separating pattern (predict.response),
    rate 1/time, decay_rate -max Re s of its oscillator (flow), frequency w, damping a, damping_ratio a/(2w).
    collective_time, collective_rate: the same for the translation of the whole cloud, with g1 + (N-1) g2.
    local_time: the mode of k = pi/Delta alone (ring and grid with a stationary kernel, else None).
    e_folds = steps/time; margin = log(time/steps): > 0 where the modes are not told apart in time.
    """

    TITLE = "too slow to split"

    distance: float
    wavenumber: float
    time: float
    rate: float
    decay_rate: float
    frequency: float
    damping: float
    damping_ratio: float
    collective_time: float
    collective_rate: float
    local_time: float | None
    steps: int
    e_folds: float
    margin: float
    pairs: int
    method: str
    assumptions: tuple[str, ...]


def splitting(exp: Experiment) -> Splitting:
    """How soon neighbouring modes of the target are separated.

    Modes are the target's points (ring, grid, points) or its components (mixture). Raises InputError for a target
    without distinct modes (uniform, one point).
    """
    problem = Problem(exp)
    patterns = _patterns_of(problem)
    blocks = _blocks(problem, patterns)
    times = acting_times(blocks, problem.rule)
    order = np.argsort(times[:-1], kind="stable")
    median = int(order[(len(order) - 1) // 2])
    block, time, together = blocks[median], float(times[median]), float(times[-1])
    a, w = float(-np.trace(block)), float(np.sqrt(max(np.linalg.det(block), 0.0)))
    distance = float(patterns.distance[median])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.divide(a, 2 * w))
    steps = exp.run.steps
    return Splitting(
        distance=distance,
        wavenumber=float(np.pi / distance),
        time=time,
        rate=1 / time,
        decay_rate=float(-pair_eigenvalues(block[None])[0].real.max()),
        frequency=w,
        damping=a,
        damping_ratio=ratio,
        collective_time=together,
        collective_rate=1 / together,
        local_time=_local_time(problem, distance),
        steps=steps,
        e_folds=steps / time,
        margin=float(np.log(time / steps)),
        pairs=len(order),
        method="finite sample, two neighbours merged at their centre, Eq. (77, splitting-oscillator)",
        assumptions=ASSUMPTIONS,
    )


def margin(exp: Experiment) -> float:
    """log(time to separate neighbours / steps of training): > 0 predicts failure to split, 0 at the boundary.

    Finite: times are taken to be at most LONGEST_TIME (never, for ratio = 1). Raises InputError as ``splitting`` does.
    """
    problem = Problem(exp)
    return float(_margins([problem], [_patterns_of(problem)])[0])


def margins(exps: Sequence[Experiment]) -> np.ndarray:
    """(len(exps),) ``margin`` of each, side by side; NaN for targets without distinct modes."""
    out = np.full(len(exps), np.nan)
    known: list[int] = []
    problems: list[Problem] = []
    patterns: list[_Patterns] = []
    for i, problem in enumerate(map(Problem, exps)):
        try:
            patterns.append(_patterns_of(problem))
        except InputError:
            continue
        known.append(i)
        problems.append(problem)
    if known:
        out[known] = _margins(problems, patterns)
    return out


def _margins(problems: Sequence[Problem], patterns: Sequence[_Patterns]) -> np.ndarray:
    """One call of ``acting_times`` for all pairs of all experiments with the same update rule."""
    blocks = [_blocks(problem, p)[:-1] for problem, p in zip(problems, patterns, strict=True)]
    out = np.empty(len(problems))
    for rule in {problem.rule for problem in problems}:
        own = [i for i, problem in enumerate(problems) if problem.rule == rule]
        times = acting_times(np.concatenate([blocks[i] for i in own]), rule)
        for i, part in zip(own, np.split(times, np.cumsum([len(blocks[i]) for i in own])[:-1]), strict=True):
            time = min(np.sort(part)[(len(part) - 1) // 2], LONGEST_TIME)
            out[i] = np.log(time / problems[i].exp.run.steps)
    return out


# -- patterns -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Patterns:
    """What the features make of the pairs' patterns and, last, of the collective one: |y|^2, and sums over the target
    of (y . psi)^2/|y|^2 and |y . grad psi|^2/|y|^2; shares (pair, point): p_m^2 |v_m|^2; distance per pair."""

    square: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    shares: np.ndarray
    distance: np.ndarray


def _labels(problem: Problem) -> np.ndarray:
    """(M,) mode of every target point: the nearest mean of a mixture, otherwise each its own."""
    Y = problem.Y
    if not isinstance(problem.exp.target, Mixture):
        return np.arange(len(Y))
    nearest = cKDTree(np.asarray(problem.exp.target.means)).query(Y)[1]
    return np.unique(nearest, return_inverse=True)[1]


def _patterns_of(problem: Problem) -> _Patterns:
    problem.exp.refuse_remedies("the splitting time")
    if problem.box is not None:
        raise InputError("target.kind", "have distinct modes to separate", "'uniform'")
    if _labels(problem).max() == 0:
        raise InputError("target", "have at least two modes to separate", "one")
    return _patterns(problem)


@kept(not_of_features, size=8)
def _patterns(problem: Problem) -> _Patterns:
    Y, p, (offsets, weights), group = problem.Y, problem.p, problem.noise, _labels(problem)
    fm = features_of(problem)
    mass = np.bincount(group, weights=p)
    centre = np.stack([np.bincount(group, weights=p * Y[:, a]) for a in range(Y.shape[1])], axis=-1) / mass[:, None]
    pairs = _neighbours(centre)
    separation = centre[pairs[:, 0]] - centre[pairs[:, 1]]
    distance = np.linalg.norm(separation, axis=-1)

    apart = separation / distance[:, None]
    way = distance * mass[pairs[:, 0]] * mass[pairs[:, 1]] / mass[pairs].sum(-1)
    vs = [
        ((group == a) / mass[a] - (group == b) / mass[b])[:, None] * n for (a, b), n in zip(pairs, apart, strict=True)
    ]
    nodes = (Y[:, None, :] + offsets).reshape(-1, Y.shape[1])
    node_weights = (p[:, None] * weights).ravel()
    moving = [np.repeat((v != 0).any(-1), len(weights)) for v in vs]
    merged = [
        nodes[own] - h * np.repeat(v, len(weights), axis=0)[own] for own, v, h in zip(moving, vs, way, strict=True)
    ]
    if isinstance(fm, DictionaryFeatures):  # its span holds K(., x) at the data only: add the pairs' centres
        fm = DictionaryFeatures(fm.kernel, np.unique(np.concatenate([nodes, *merged]), axis=0), nodes)
    at = fm.at(nodes)
    # the secant of psi from the pair's common centre to its own modes
    rows = [
        fm.at(nodes[own]).adjoint(node_weights[own] / h, None) - fm.at(x).adjoint(node_weights[own] / h, None)
        for own, x, h in zip(moving, merged, way, strict=True)
    ]
    shares = [p**2 * (v**2).sum(-1) for v in vs]
    zero = np.zeros(len(nodes))
    # the collective pattern, in the direction in which D answers most strongly
    axes = np.stack([at.adjoint(zero, node_weights[:, None] * e) for e in np.eye(Y.shape[1])])
    rows.append(np.linalg.eigh(axes @ axes.T)[1][:, -1] @ axes)
    shares.append(p**2)
    y = np.stack(rows)
    square = (y**2).sum(-1)
    unit = y / np.sqrt(np.where(square > 0, square, 1.0))[:, None]
    value = np.array([node_weights @ at.value(u) ** 2 for u in unit])
    gradient = np.array([node_weights @ (at.gradient(u) ** 2).sum(-1) for u in unit])
    return _Patterns(square, value, gradient, np.stack(shares), distance)


def _neighbours(centre: np.ndarray) -> np.ndarray:
    """(pair, 2) each mode with its nearest one (or ones), nearest first, without repetition; at most MAX_PAIRS."""
    modes, d = centre.shape
    distance, index = cKDTree(centre).query(centre, k=min(modes, max(2 * min(d, 8), 2) + 1))
    here, rank = np.nonzero(distance[:, 1:] <= distance[:, 1:2] * (1 + TIE))
    pairs = np.unique(np.sort(np.stack([here, index[here, rank + 1]], axis=-1), axis=-1), axis=0)
    length = np.linalg.norm(centre[pairs[:, 0]] - centre[pairs[:, 1]], axis=-1)
    pairs = pairs[np.argsort(length, kind="stable")]
    return pairs[np.unique(np.linspace(0, len(pairs) - 1, min(MAX_PAIRS, len(pairs))).astype(int))]


def _blocks(problem: Problem, patterns: _Patterns) -> np.ndarray:
    """(pairs + 1, 2, 2) oscillators of every pair's pattern and, last, of the collective one."""
    loss, (nu, kappa, lam) = problem.loss, problem.damping
    s = problem.coupling.s
    if not problem.matched:  # on average as many particles on a point as its weight asks for
        s = problem.omega * (problem.g1 - problem.g2) * problem.p * (problem.masses**2).sum()
    with np.errstate(divide="ignore"):
        inverse_Q = 1 / (patterns.shares / s).sum(-1) if np.all(s > 0) else np.zeros(len(patterns.shares))
    # Sherman-Morrison on S = diag(s) + omega g2 p p^T for v = 1
    inverse_Q[-1] += problem.coupling.c
    return oscillator_blocks(
        A=nu + kappa * patterns.value + lam * patterns.gradient, mu=np.sqrt(patterns.square * inverse_Q),
        c=loss.c, b=loss.b, gamma=problem.gamma, **problem.rates,
    )  # fmt: skip


def _local_time(problem: Problem, distance: float) -> float | None:
    """t_act of the mode of k = pi/Delta, on a ring (one-dimensional, along it) or a grid."""
    target, kernel = problem.exp.target, problem.kernel
    if isinstance(target, Ring):
        dimension, rho = 1, 1 / (2 * np.pi * target.radius)
    elif isinstance(target, Grid):
        dimension, rho = target.dimension, (target.side * target.spacing) ** -float(target.dimension)
    else:
        return None
    if kernel is None or kernel.kind != "stationary":
        return None
    k, loss, c = np.pi / distance, problem.loss, problem.coefficients
    blocks = mode_blocks(
        c=loss.c, b=loss.b, kappa=loss.kappa, K=kernel.spectral_density(k, dimension), rho=rho, k=k, nu=c.nu,
        lam=c.grad_p + c.grad_q, value=c.value_p + c.value_q,
        g1=(problem.g1 - problem.g2) * problem.omega / problem.N, g2=0.0,
        sigma=problem.exp.penalty.instance_noise, gamma=problem.gamma, **problem.rates,
    )  # fmt: skip
    return float(acting_times(blocks[None], problem.rule)[0])


__all__ = ["ASSUMPTIONS", "Splitting", "margin", "margins", "splitting"]
