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

from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..features import DictionaryFeatures
from ..linear.rounding import pair_eigenvalues
from ..linear.seen import features_of, not_of_features
from ..problem.problem import Problem, kept
from ..symbolic.linearize import oscillator_blocks
from .response import acting_times
from .waves import local_blocks, modes, neighbours, relative_coupling

#: at most this many pairs of neighbours are looked at, spread evenly over their distances
MAX_PAIRS = 64
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
    """Time to separate neighbouring modes against the time of training.

    Attributes:
        distance: [length] Delta of the median pair of neighbours.
        wavenumber: [1/length] pi/Delta.
        time: [steps; flow: time] t_act of the separating pattern (predict.response).
        rate: [1/step; flow: 1/time] one over it.
        decay_rate: [1/time] -max Re s of its oscillator, of the flow.
        frequency: [1/time] w of it.
        damping: [1/time] a of it.
        damping_ratio: [1] of it, a/(2w).
        collective_time: [steps; flow: time] the same for the translation of the whole cloud, with g1 + (N-1) g2.
        collective_rate: [1/step; flow: 1/time] one over it.
        local_time: [steps; flow: time] of k = pi/Delta alone (ring and grid with a stationary kernel, else None).
        steps: [steps; flow: time] of training.
        e_folds: [1] steps/time.
        margin: [1] log(time/steps): > 0 where the modes are not told apart in time.
        pairs: [1] of neighbours looked at.
        method: how it was found, in words.
        assumptions: what is taken for granted, in words.

    Source:
        Eq. (75, splitting-pattern) to Eq. (78, splitting-damping), Eq. (82, response).
    """

    TITLE = "time to tell neighbouring modes apart, in steps (flows: units of time)"
    SHOWN = ("distance", "time", "steps", "e_folds", "margin", "damping_ratio", "collective_time")
    UNITS = (("distance", "length"), ("margin", "log of time over steps"))

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


@takes_experiment
def splitting(exp: Experiment) -> Splitting:
    """How soon neighbouring modes of the target are separated.

    Modes are the target's points (ring, grid, points) or its components (mixture).

    Returns:
        The time of the median pair of neighbours, beside that of the whole cloud.

    Units:
        Times in steps (flow: units of time).

    Raises:
        InputError: a target without distinct modes (uniform, one point).

    Source:
        Eq. (75, splitting-pattern) to Eq. (78, splitting-damping), Eq. (82, response).

    Examples:
        >>> import egan_theory as eg
        >>> near, far = (eg.splitting(eg.Experiment(target=eg.Ring(modes=4, radius=r))) for r in (0.5, 1.0))
        >>> near.distance < far.distance and near.time > far.time
        True
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
    local, steps = local_blocks(problem, np.array([np.pi / distance])), exp.run.steps
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
        local_time=None if local is None else float(acting_times(local, problem.rule)[0]),
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


def _patterns_of(problem: Problem) -> _Patterns:
    problem.exp.refuse_remedies("the splitting time")
    if problem.box is not None:
        raise InputError("target.kind", "have distinct modes to separate", "'uniform'")
    if problem.N == 1:
        raise InputError("generator.particles", "be at least 2 for modes to be told apart", 1)
    if len(modes(problem).mass) == 1:
        raise InputError("target", "have at least two modes to separate", "one")
    return _patterns(problem)


@kept(not_of_features, size=8)
def _patterns(problem: Problem) -> _Patterns:
    Y, p, (offsets, weights) = problem.Y, problem.p, problem.noise
    fm = features_of(problem)
    group, mass, centre = modes(problem)
    pairs = neighbours(centre)
    pairs = pairs[np.unique(np.linspace(0, len(pairs) - 1, min(MAX_PAIRS, len(pairs))).astype(int))]
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


def _blocks(problem: Problem, patterns: _Patterns) -> np.ndarray:
    """(pairs + 1, 2, 2) oscillators of every pair's pattern and, last, of the collective one."""
    problem.loss.refuse_pairs("the modes of a pair of points")
    loss, (nu, kappa, lam) = problem.loss, problem.damping
    s = relative_coupling(problem)
    with np.errstate(divide="ignore"):
        inverse_Q = 1 / (patterns.shares / s).sum(-1) if np.all(s > 0) else np.zeros(len(patterns.shares))
    # Sherman-Morrison on S = diag(s) + omega g2 p p^T for v = 1
    inverse_Q[-1] += problem.coupling.c
    return oscillator_blocks(
        A=nu + kappa * patterns.value + lam * patterns.gradient, mu=np.sqrt(patterns.square * inverse_Q),
        c=loss.c, b=loss.b, gamma=problem.gamma, **problem.rates,
    )  # fmt: skip


__all__ = ["ASSUMPTIONS", "Splitting", "margin", "margins", "splitting"]
