"""Waves of the particles' density on any target: one oscillator for each wavenumber k, Eq. (16, dispersion).

Three ways to its damping and stiffness, each with its assumptions (``Waves``):

    box      uniform density on a periodic box: every wavevector is a mode of its own, exactly (linear.box)
    density  ring (one-dimensional, along it) and grid: the box's formulas with the target's mean density and the
             spectrum K_k of the kernel. Holds for waves that see many points and are short against the target's size
    sample   any points: the waves u_a = v cos(k v.y_a), v sin(k v.y_a) of their displacements (ring: along it, whole
             waves around), v the target's principal axes. Damping and stiffness are the means of those of the finite
             sample over these patterns, relative coupling alone, with y = sum_a p_a u_a . grad psi(y_a):

                 mu^2 = |y|^2 / Q,   Q = sum_a p_a^2 |u_a|^2 / s_a
                 A = nu + [kappa sum_a p_a (y . psi_a)^2 + lam sum_a p_a |y . grad psi_a|^2] / |y|^2

             exact for patterns that are modes (on the box they are; on a ring nearly so)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ..base.errors import InputError
from ..experiment.targets import Grid, Mixture, Ring
from ..linear import linearize
from ..linear.seen import features_of
from ..linear.system import Linearization
from ..problem.problem import Problem
from ..symbolic.linearize import mode_blocks, oscillator_blocks

#: wavenumbers of a target that has no modes of its own, and how far they go beyond that of neighbouring modes
COUNT, BEYOND = 41, 4.0
#: principal axes along which waves of a sample are looked at
MOST_AXES = 3
#: distances closer than this part are equal (neighbours on a lattice)
TIE = 1e-9

ASSUMPTIONS = {
    "box": ("uniform density on a periodic box", "small deviations"),
    "density": (
        "waves of the target's mean density, along the ring or in the space of the grid",
        "the kernel's own spectrum, of features without end: waves that see few points, or are no shorter than the "
        "target, are off (compare those of the finite sample)",
        "relative motion alone: what of a wave moves the whole cloud is coupled more strongly",
        "small deviations",
    ),
    "sample": (
        "waves of the target's own points, damping and stiffness averaged over principal axes and phases",
        "a wave is taken for a mode, which it is on a lattice; where the target is uneven it is a mean of several",
        "points further apart than the kernel's length hold their places each by itself: their waves are learnt alike; "
        "waves shorter than two distances of neighbouring points are not told apart by them at all",
        "small deviations",
    ),
}


class Modes(NamedTuple):
    """The modes of a target: the mode of every point (M,), the modes' masses and centres."""

    group: np.ndarray
    mass: np.ndarray
    centre: np.ndarray


@dataclass(frozen=True)
class Waves:
    """Oscillators by wavenumber (``lin.blocks``, ``lin.wavenumber``); way: "box", "density" or "sample"."""

    way: str
    lin: Linearization

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ASSUMPTIONS[self.way]

    @property
    def dimension(self) -> int:
        """Of the space in which the waves run: 1 along a ring."""
        return 1 if isinstance(self.lin.problem.exp.target, Ring) else self.lin.problem.d


def waves(problem: Problem, k: np.ndarray | None = None) -> Waves:
    """The waves of the target; ``k``: their wavenumbers (default: ``wavenumbers``; on the box always its own).

    Raises InputError: no stationary kernel, ratio = 1, a single point, remedies that waves are not derived for.
    """
    _check(problem)
    if problem.box is not None:
        return Waves("box", linearize(problem.exp))
    k = wavenumbers(problem) if k is None else np.asarray(k, dtype=float)
    blocks = local_blocks(problem, k)
    if blocks is None:
        return sample_waves(problem, k)
    how = "one oscillator for each wavenumber at the target's mean density, Eq. (12, mode-flow)"
    return Waves("density", _linearization(problem, "density", how, k, blocks))


def sample_waves(problem: Problem, k: np.ndarray | None = None) -> Waves:
    """The waves of a finite sample. Default wavenumbers: on a ring those that go round it whole (any others are
    refused there), up to half its points; elsewhere ``wavenumbers`` up to pi/Delta."""
    _check(problem)
    target, end = problem.exp.target, np.pi / separation(problem)
    if isinstance(target, Ring):
        whole = np.arange(1, target.modes // 2 + 1) / target.radius
        if k is not None and not np.allclose(np.asarray(k) * target.radius, np.rint(np.asarray(k) * target.radius)):
            raise InputError("k", "be whole waves around the ring, multiples of 1/radius", list(k))
        k = whole if k is None else np.asarray(k, dtype=float)
    elif k is None:
        k = wavenumbers(problem)
        k = k[k <= end * (1 + TIE)]
    k = np.asarray(k, dtype=float)
    how = "waves of the finite sample's displacements, mean damping and stiffness, Eq. (37, finite-modes)"
    return Waves("sample", _linearization(problem, "sample", how, k, _sample_blocks(problem, k)))


def separating_wave(problem: Problem) -> Waves:
    """The wave of the finite sample that moves neighbouring modes against each other: k = pi/Delta, on a ring the whole
    number of waves next to it."""
    target = problem.exp.target
    end = target.modes // 2 / target.radius if isinstance(target, Ring) else np.pi / separation(problem)
    return sample_waves(problem, np.array([end]))


def _linearization(problem: Problem, way: str, how: str, k: np.ndarray, blocks: np.ndarray) -> Linearization:
    return Linearization(
        problem, method=how, assumptions=ASSUMPTIONS[way], blocks=blocks,
        multiplicity=np.ones(len(k), dtype=int), wavenumber=k,
    )  # fmt: skip


def _check(problem: Problem) -> None:
    kernel = problem.kernel
    if kernel is None or kernel.kind != "stationary":
        name = problem.exp.discriminator.kernel if problem.exp.discriminator.architecture is None else "network"
        raise InputError("discriminator.kernel", "be stationary, to have a spectrum of wavenumbers", repr(name))
    if problem.ratio == 1:
        raise InputError("generator.kernel.ratio", "be less than 1 (a rigid cloud learns no frequency)", 1.0)
    if problem.box is None:
        what = "learning times of wavenumbers, unless target.kind is 'uniform'"
        problem.exp.refuse_remedies(what)
        problem.loss.refuse_pairs(what)
        if len(modes(problem).mass) == 1:
            raise InputError("target", "have at least two modes to have waves", "one")


# -- the target ------------------------------------------------------------------------------------------------------


def modes(problem: Problem) -> Modes:
    """The means of a mixture, each with the points nearest to it; otherwise every point."""
    Y, p = problem.Y, problem.p
    group = np.arange(len(Y))
    if isinstance(problem.exp.target, Mixture):
        nearest = cKDTree(np.asarray(problem.exp.target.means)).query(Y)[1]
        group = np.unique(nearest, return_inverse=True)[1]
    mass = np.bincount(group, weights=p)
    centre = np.stack([np.bincount(group, weights=p * Y[:, a]) for a in range(Y.shape[1])], axis=-1) / mass[:, None]
    return Modes(group, mass, centre)


def neighbours(centre: np.ndarray) -> np.ndarray:
    """(pair, 2) each mode with its nearest one (or ones), nearest first, without repetition."""
    count, d = centre.shape
    distance, index = cKDTree(centre).query(centre, k=min(count, max(2 * min(d, 8), 2) + 1))
    here, rank = np.nonzero(distance[:, 1:] <= distance[:, 1:2] * (1 + TIE))
    pairs = np.unique(np.sort(np.stack([here, index[here, rank + 1]], axis=-1), axis=-1), axis=0)
    length = np.linalg.norm(centre[pairs[:, 0]] - centre[pairs[:, 1]], axis=-1)
    return pairs[np.argsort(length, kind="stable")]


def separation(problem: Problem) -> float:
    """Delta: the median distance of a mode from its nearest one."""
    centre = modes(problem).centre
    pairs = neighbours(centre)
    length = np.linalg.norm(centre[pairs[:, 0]] - centre[pairs[:, 1]], axis=-1)
    return float(length[(len(length) - 1) // 2])


def wavenumbers(problem: Problem) -> np.ndarray:
    """From one wave over the target (ring: around it) to BEYOND pi/Delta, evenly in the logarithm; pi/Delta is one."""
    target, end = problem.exp.target, np.pi / separation(problem)
    if isinstance(target, Ring):
        low = 1 / target.radius
    elif isinstance(target, Grid):
        low = 2 * np.pi / (target.side * target.spacing)
    else:
        along = problem.Y @ _axes(problem)[0]
        low = 2 * np.pi / float(np.ptp(along))
    return np.unique(np.append(np.geomspace(min(low, end), BEYOND * end, COUNT), end))


def _axes(problem: Problem) -> np.ndarray:
    """(axis, d) the principal axes of the target along which it extends, widest first."""
    away = np.sqrt(problem.p)[:, None] * (problem.Y - problem.p @ problem.Y)
    _, size, axes = np.linalg.svd(away, full_matrices=False)
    return axes[:MOST_AXES][size[:MOST_AXES] > TIE * size[0]]


# -- oscillators -----------------------------------------------------------------------------------------------------


def local_blocks(problem: Problem, k: np.ndarray) -> np.ndarray | None:
    """(K, 2, 2) the oscillators of ``k`` (K,) at the mean density of a ring or grid, Eq. (13, mode-damping), Eq. (14,
    mode-frequency); None for another target, or a kernel that is not stationary."""
    target, kernel = problem.exp.target, problem.kernel
    if isinstance(target, Ring):
        dimension, rho = 1, 1 / (2 * np.pi * target.radius)
    elif isinstance(target, Grid):
        dimension, rho = target.dimension, (target.side * target.spacing) ** -float(target.dimension)
    else:
        return None
    if kernel is None or kernel.kind != "stationary":
        return None
    loss, c = problem.loss, problem.coefficients
    return mode_blocks(
        c=loss.c, b=loss.b, kappa=loss.kappa, K=kernel.spectral_density(k, dimension), rho=rho, k=k, nu=c.nu,
        lam=c.grad_p + c.grad_q, value=c.value_p + c.value_q,
        g1=(problem.g1 - problem.g2) * problem.omega / problem.N, g2=0.0,
        sigma=problem.exp.penalty.instance_noise, gamma=problem.gamma, **problem.rates,
    )  # fmt: skip


def relative_coupling(problem: Problem) -> np.ndarray:
    """(M,) the relative part s_a of the coupling S; where q != p, as if each point had as many particles as its weight
    asks for."""
    if problem.matched:
        return problem.coupling.s
    return problem.omega * (problem.g1 - problem.g2) * problem.p * (problem.masses**2).sum()


def _sample_blocks(problem: Problem, k: np.ndarray) -> np.ndarray:
    """(K, 2, 2) mean oscillators of the patterns of each wavenumber."""
    problem.loss.refuse_pairs("the waves of a finite sample")
    Y, p, (offsets, weights) = problem.Y, problem.p, problem.noise
    fm, s = features_of(problem), relative_coupling(problem)
    nodes = (Y[:, None, :] + offsets).reshape(-1, Y.shape[1])
    node_weights = (p[:, None] * weights).ravel()
    at, zero = fm.at(nodes), np.zeros(len(nodes))
    loss, (nu, kappa, lam) = problem.loss, problem.damping
    mu2, A = np.empty(len(k)), np.empty(len(k))
    for i, one in enumerate(k):
        stiffness, damping, weight = [], [], []
        for u in _patterns(problem, float(one)):
            y = at.adjoint(zero, node_weights[:, None] * np.repeat(u, len(weights), axis=0))
            square = float(y @ y)
            unit = y / np.sqrt(square or 1.0)
            stiffness.append(square / float((p**2 * (u**2).sum(-1) / s).sum()))
            value = node_weights @ at.value(unit) ** 2
            damping.append(kappa * value + lam * (node_weights @ (at.gradient(unit) ** 2).sum(-1)))
            weight.append(square)
        mu2[i] = np.mean(stiffness)
        A[i] = nu + np.average(damping, weights=weight if np.sum(weight) > 0 else None)
    return oscillator_blocks(A=A, mu=np.sqrt(mu2), c=loss.c, b=loss.b, gamma=problem.gamma, **problem.rates)


def _patterns(problem: Problem, k: float) -> list[np.ndarray]:
    """Displacements (M, d) of the target's points in the waves of wavenumber k, longitudinal ones."""
    Y, target = problem.Y, problem.exp.target
    if isinstance(target, Ring):
        phases = [k * target.radius * np.arctan2(Y[:, 1], Y[:, 0])]
        ways = [np.stack([-Y[:, 1], Y[:, 0]], axis=-1) / target.radius]
    else:
        axes = _axes(problem)
        phases = [k * (Y @ axis) for axis in axes]
        ways = [np.broadcast_to(axis, Y.shape) for axis in axes]
    found = [wave(phase)[:, None] * way for phase, way in zip(phases, ways, strict=True) for wave in (np.cos, np.sin)]
    size = [float(np.sqrt((u**2).sum())) for u in found]
    return [u for u, length in zip(found, size, strict=True) if length > TIE * max(size)]


__all__ = [
    "Modes",
    "Waves",
    "local_blocks",
    "modes",
    "neighbours",
    "relative_coupling",
    "sample_waves",
    "separating_wave",
    "separation",
    "wavenumbers",
    "waves",
]
