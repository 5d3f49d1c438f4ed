"""From an experiment to its linearization, by the route with the most structure that is exact for it.

1. frequency modes (brief 2a): uniform periodic target, equal particles on its lattice: independent 2 x 2 blocks in
   closed form;
2. commuting finite samples (2b, symmetric reduction): kappa = 0, no instance noise, and either no gradient penalty or
   S proportional to the target's weights: one 2 x 2 block per singular value of C = S^(1/2) B;
3. saddle finite samples: the dense J of linear.system on the range of the features that are seen;
4. the same two for exact kernels in high dimension, the data's directions apart from the others (linear.separate);
5. general: particles off D = D* (masses that do not match, an exact score of the target): dense J at the equilibrium
   found by Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..experiment.targets import Uniform
from ..features import FeatureMap, PackedFeatures, box_modes, box_wavevectors
from ..problem.field import Field
from ..symbolic.linearize import mode_blocks, oscillator_blocks
from ..symbolic.remedies import score_damping
from .checks import assumptions_of, check_linearizable, packed_assumptions
from .coupling import coupling, coupling_ratio, damping
from .equilibrium import equilibrium, matched_masses
from .general import jacobian_at
from .packed import box_scalars, packed_scales
from .saddle import coupling_matrix, coupling_rank, saddle
from .seen import Setting, features_of, resolution, seen_features
from .system import Linearization, Scalars

#: a dense matrix larger than this is refused with a pointer to the matrix-free operators
MAX_DENSE = 8000


def linearize(exp: Experiment) -> Linearization:
    """The linearization of an experiment about its equilibrium.

    Raises NotLinearizable (no equilibrium, hinge at its kink, matrix too large) with the reason.
    """
    from .separate import linearize_split, separates

    check_linearizable(exp)
    if not matched_masses(exp):
        return _general(exp)
    if isinstance(exp.target, Uniform) and coupling_ratio(exp) is not None:
        return _frequency(exp, exp.target)
    if separates(exp):
        return linearize_split(exp)
    return _finite(exp, features_of(exp))


def _frequency(exp: Experiment, target: Uniform) -> Linearization:
    loss, disc, kernel = exp.loss_object, exp.discriminator, exp.discriminator.kernel_object
    nu, kappa, lam = damping(exp)
    wavevectors = box_wavevectors(target)
    # group by |n|^2, an exact integer
    squared = np.rint((wavevectors * target.length / (2 * np.pi)) ** 2).sum(-1).astype(int)
    squared, count = np.unique(squared, return_counts=True)
    k = 2 * np.pi / target.length * np.sqrt(squared)
    density = kernel.spectral_density(np.concatenate([[0.0], k]), target.dimension)
    if not np.isfinite(density[0]):
        box_modes(kernel, target)  # raises: the kernel is not integrable
    ratio = coupling_ratio(exp)
    assert ratio is not None
    felt, coupled = packed_scales(exp.packing, target.density * float(density[0]))
    blocks = mode_blocks(
        eta_D=disc.learning_rate, eta_G=exp.generator.learning_rate, c=coupled * loss.c, b=coupled * loss.b,
        kappa=loss.kappa, K=felt * density[1:], rho=target.density, k=k, nu=nu, lam=lam, value=kappa - loss.kappa,
        g1=ratio, g2=0.0, sigma=exp.penalty.instance_noise, gamma=exp.penalty.consensus,
    )  # fmt: skip
    blocks[:, 1, 1] -= (
        exp.generator.learning_rate * exp.likelihood.weight * ratio * score_damping(k, exp.likelihood.bandwidth)
    )
    constant: tuple[Scalars, ...]
    if exp.packing.degree == 1:
        A0 = nu + kappa * target.density * density[0]
        constant = (Scalars("w", float(-disc.learning_rate * (A0 + exp.penalty.consensus * A0**2)), 1),)
    else:
        rho = target.density
        rates = box_scalars(exp.packing, nu, kappa, lam, rho * density, rho * k**2 * density[1:], 2 * count)
        constant = tuple(Scalars("w", float(-disc.learning_rate * rate), int(n)) for rate, n in rates)
    frozen = exp.generator.particles * exp.dimension - 2 * int(count.sum())
    alone: tuple[Scalars, ...] = ()
    if ratio == 0:
        # phi = 1: no mode moves the particles, and each of the discriminator's decays by itself
        alone = tuple(Scalars("w", float(s), int(2 * n)) for s, n in zip(blocks[:, 0, 0], count, strict=True))
        blocks, count, k, frozen = blocks[:0], count[:0], k[:0], frozen + 2 * int(count.sum())
    return Linearization(
        exp,
        method="frequency modes, closed form",
        assumptions=(
            "uniform density on a periodic box",
            "modes below the Nyquist wavenumber of the lattice",
            "the collective part of Gamma does not act at k != 0",
            *packed_assumptions(exp),
        ),
        blocks=blocks,
        multiplicity=2 * count,
        wavenumber=k,
        scalars=(*constant, *alone, Scalars("x", 0.0, frozen)),
    )


@dataclass(frozen=True)
class _Coupled:
    """What determines C, compared by content: a scan over strengths takes its singular values once."""

    setting: Setting
    weights: bytes
    collective: float
    exp: Experiment = field(compare=False)

    @classmethod
    def of(cls, exp: Experiment) -> _Coupled:
        s, _, c = coupling(exp)
        return cls(Setting.of(exp), s.tobytes(), c, exp)


@lru_cache(maxsize=4)
def _singular_values(coupled: _Coupled) -> np.ndarray:
    mu = np.linalg.svd(coupling_matrix(coupled.exp, seen_features(coupled.exp)[2]), compute_uv=False)
    mu.flags.writeable = False
    return mu


def _finite(exp: Experiment, fm: FeatureMap) -> Linearization:
    nu, kappa, lam = damping(exp)
    N, d = exp.generator.particles, exp.dimension
    loss = exp.loss_object
    C = coupling_matrix(exp, seen_features(exp)[2])
    rank = coupling_rank(exp, fm)
    eta = {"eta_D": exp.discriminator.learning_rate, "eta_G": exp.generator.learning_rate}
    frozen = Scalars("x", 0.0, N * d - rank)
    ratio = coupling_ratio(exp)

    alone = not exp.likelihood.weight
    packed = isinstance(fm, PackedFeatures)
    commute = lam == 0 or (ratio is not None and not packed)
    if alone and kappa == 0 and exp.penalty.instance_noise == 0 and commute:
        mu = _singular_values(_Coupled.of(exp))[:rank]
        mu = np.pad(mu, (0, rank - len(mu)))  # features that rounding hid
        A = nu + (lam * mu**2 / ratio if lam and ratio else 0.0) * np.ones(len(mu))
        blocks = oscillator_blocks(A=A, mu=mu, c=loss.c, b=loss.b, gamma=exp.penalty.consensus, **eta)
        unseen = _distinct(fm) - rank
        return Linearization(
            exp,
            method="finite samples, symmetric reduction",
            assumptions=assumptions_of(exp),
            blocks=blocks,
            multiplicity=np.ones(len(mu), dtype=int),
            wavenumber=np.full(len(mu), np.nan),
            scalars=(frozen, *unseen_scalars(exp, nu, unseen)),
            unresolved=int(np.sum(mu <= resolution(exp) * max(C.shape) * mu.max(initial=0.0))),
        )

    reduced = saddle(exp)
    basis_size, moved = len(reduced.basis), len(reduced.C)
    if basis_size + moved > MAX_DENSE:
        raise NotLinearizable(
            "generator.particles", f"give a dense matrix of at most {MAX_DENSE} rows", basis_size + moved
        )
    J = reduced.jacobian(exp)
    frozen = Scalars("x", 0.0, N * d - moved)
    return Linearization(
        exp,
        method="finite samples, dense saddle on the seen features",
        assumptions=assumptions_of(exp),
        dense=J,
        nw=basis_size,
        dense_mixed=packed or kappa > 0 or exp.penalty.instance_noise > 0,  # D may change where no particle feels it
        scalars=(frozen, *unseen_scalars(exp, nu, _distinct(fm) - basis_size)),
        unresolved=reduced.unresolved,
    )


def _distinct(fm: FeatureMap) -> int:
    """Independent weights: of packed samples those of a symmetric discriminator."""
    return fm.distinct if isinstance(fm, PackedFeatures) else fm.size


def unseen_scalars(exp: Experiment, nu: float, count: int) -> tuple[Scalars, ...]:
    """Weights that no datum sees: they only decay."""
    s = -exp.discriminator.learning_rate * (nu + exp.penalty.consensus * nu**2)
    return (Scalars("w", s, count),) if count else ()


def _general(exp: Experiment) -> Linearization:
    k = exp.penalty.coefficients
    if exp.memory.generator and (exp.loss_object.df2.constant is None or k.value_q or k.grad_q):
        rule = "be 0 where D != D* at equilibrium, but for losses linear in D and no penalty on the particles"
        raise NotLinearizable("memory.generator", f"{rule} (averages are derived about D*)", exp.memory.generator)
    dynamics = Field(exp)
    size = dynamics.features.size + exp.generator.particles * exp.dimension
    if size > MAX_DENSE:
        raise NotLinearizable("generator.particles", f"give a dense matrix of at most {MAX_DENSE} rows", size)
    eq = equilibrium(exp, dynamics)
    J = jacobian_at(dynamics, eq.w, eq.x)
    if exp.update_rule.responds and np.linalg.matrix_rank(J[: len(eq.w), : len(eq.w)]) < len(eq.w):
        rule = f"bound every weight of the discriminator for update.rule {exp.update.rule!r}"
        raise NotLinearizable("penalty.weight_decay", rule, k.nu)
    # exact zero modes show as a numerical null space here: the reduction that counts them needs D = D*
    nullity = len(J) - int(np.linalg.matrix_rank(J))
    return Linearization(
        exp,
        method="finite samples, dense Jacobian at the equilibrium found by Newton's method",
        assumptions=("an equilibrium next to the data with D != D* there", "zero modes counted by numerical rank"),
        dense=J,
        nw=len(eq.w),
        dense_zero=nullity,
        dense_mixed=True,
        on_particles=True,
    )
