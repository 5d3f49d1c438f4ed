"""The route of frequency modes: a uniform density on a periodic box, particles of equal mass on its lattice.

Independent 2 x 2 blocks, one per wavenumber, in closed form: Eq. (12, mode-flow)."""

from __future__ import annotations

import numpy as np

from ..features import box_modes, box_wavevectors
from ..problem.problem import Problem
from ..symbolic.linearize import mode_blocks
from ..symbolic.remedies import score_damping
from .checks import packed_assumptions
from .packed import box_scalars, packed_scales
from .rounding import EPS, LEAST, ROOM
from .system import Linearization, Scalars


def applies(problem: Problem) -> bool:
    return problem.box is not None and problem.coupling_ratio is not None


def linearize_box(problem: Problem) -> Linearization:
    target, loss, kernel, ratio = problem.box, problem.loss, problem.kernel, problem.coupling_ratio
    assert target is not None and kernel is not None and ratio is not None
    nu, kappa, lam = problem.damping
    wavevectors = box_wavevectors(target)
    # group by |n|^2, an exact integer
    squared = np.rint((wavevectors * target.length / (2 * np.pi)) ** 2).sum(-1).astype(int)
    squared, count = np.unique(squared, return_counts=True)
    k = 2 * np.pi / target.length * np.sqrt(squared)
    density = kernel.spectral_density(np.concatenate([[0.0], k]), target.dimension)
    if not np.isfinite(density[0]):
        box_modes(kernel, target)  # raises: the kernel is not integrable
    rho = target.density
    felt, coupled = packed_scales(problem.packing, rho * float(density[0]))
    blocks = mode_blocks(
        c=coupled * loss.c, b=coupled * loss.b, kappa=loss.kappa, K=felt * density[1:], rho=rho, k=k, nu=nu, lam=lam,
        value=kappa - loss.kappa, g1=ratio, g2=0.0, sigma=problem.exp.penalty.instance_noise, gamma=problem.gamma,
        **problem.rates,
    )  # fmt: skip
    if problem.likelihood is not None:
        drift = problem.eta_G * problem.likelihood.weight * ratio * score_damping(k, problem.likelihood.bandwidth)
        blocks[:, 1, 1] -= drift
    # a kernel that falls by exp(-y) is known to y eps
    with np.errstate(divide="ignore"):
        exponent = np.minimum(2 * np.abs(np.log(density[1:] / density[0])), 1e4)
        known = EPS * (ROOM + exponent) + np.minimum(LEAST / density[1:], 1)
    errors = known[:, None, None] * np.abs(blocks) + LEAST * (blocks != 0)
    constant: tuple[Scalars, ...]
    if problem.packing is None:
        # only differences count to a loss of pairs: its own kappa does not hold the constant
        A0 = nu + (kappa - loss.kappa * loss.pairs) * rho * density[0]
        constant = (Scalars("w", float(-problem.eta_D * (A0 + problem.gamma * A0**2)), 1),)
    else:
        rates = box_scalars(problem.packing, nu, kappa, lam, rho * density, rho * k**2 * density[1:], 2 * count)
        constant = tuple(Scalars("w", float(-problem.eta_D * rate), int(n)) for rate, n in rates)
    frozen = problem.N * problem.d - 2 * int(count.sum())
    alone: tuple[Scalars, ...] = ()
    if ratio == 0:
        # phi = 1: no mode moves the particles, and each of the discriminator's decays by itself
        each = zip(blocks[:, 0, 0], count, errors[:, 0, 0], strict=True)
        alone = tuple(Scalars("w", float(s), int(2 * n), float(e)) for s, n, e in each)
        blocks, errors, count, k = blocks[:0], errors[:0], count[:0], k[:0]
        frozen = problem.N * problem.d
    return Linearization(
        problem,
        method="one oscillator for each frequency of the box, closed form, Eq. (12, mode-flow)",
        assumptions=(
            "uniform density on a periodic box",
            "modes below the Nyquist wavenumber of the lattice",
            "the motion of the whole cloud acts on no frequency of the box",
            *packed_assumptions(problem),
        ),
        blocks=blocks,
        multiplicity=2 * count,
        wavenumber=k,
        scalars=(*constant, *alone, Scalars("x", 0.0, frozen)),
        block_errors=errors,
    )
