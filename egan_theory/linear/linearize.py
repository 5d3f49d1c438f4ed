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

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..dynamics import Field
from ..errors import NotLinearizable
from ..experiment import Experiment
from ..features import (
    FeatureMap,
    PackedFeatures,
    PolynomialFeatures,
    ProjectedFeatures,
    box_modes,
    box_wavevectors,
    feature_map,
)
from ..features.choose import sample_features
from ..kernels.universality import kernel_numbers
from ..likelihood import Score
from ..noise import noise_nodes
from ..players import Discriminator
from ..settings import Packing
from ..symbolic.linearize import mode_blocks, oscillator_blocks
from ..symbolic.remedies import score_damping
from ..targets import Uniform
from ..updates import NETWORK_RULES, RESPONSES, STEPS
from .equilibrium import equilibrium, matched_masses
from .general import jacobian_at
from .packed import box_scalars, packed_rows, packed_scales, packed_weights
from .system import Linearization, Scalars

#: a dense matrix larger than this is refused with a pointer to the matrix-free operators
MAX_DENSE = 8000
#: the largest feature matrix (numbers) that is built
MAX_FEATURE_ENTRIES = 400_000_000

EPS = float(np.finfo(float).eps)
PACKED = "packed samples act to first order only: beyond it they see correlations of the deviations"
MATCHED = "particles sit on the target points with the target's weights, so D = D* there"


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


def check_linearizable(exp: Experiment) -> None:
    """Raise NotLinearizable for an update rule that is no linear map near equilibrium."""
    if exp.update.rule in NETWORK_RULES:
        raise NotLinearizable(
            "update.rule",
            f"be one of {', '.join((*STEPS, *RESPONSES))} (no theory covers other rules)",
            repr(exp.update.rule),
        )
    exp.update_rule.check_autonomous()
    if exp.packing.degree > 1 and not matched_masses(exp):
        raise NotLinearizable("generator.masses", "match the target's weights with packing.degree > 1")
    if exp.update_rule.responds and matched_masses(exp):
        nu, kappa, _ = _damping(exp)
        points = len(exp.points.weights)
        # the discriminator's objective has a maximum when every weight is damped
        if not nu and not (kappa and isinstance(exp.target, Uniform)):
            raise NotLinearizable(
                "penalty.weight_decay", f"be greater than 0 for update.rule {exp.update.rule!r} (nothing else bounds "
                f"every weight of the discriminator on {points} points)", nu
            )  # fmt: skip


def refuse_changed(exp: Experiment) -> None:
    """Raise NotLinearizable where a term changes the saddle of one sample's discriminator and the particles."""
    if exp.packing.degree > 1:
        raise NotLinearizable("packing.degree", "be 1 here", exp.packing.degree)
    if exp.likelihood.weight:
        raise NotLinearizable("likelihood.weight", "be 0 here", exp.likelihood.weight)


def _packed_assumptions(exp: Experiment) -> tuple[str, ...]:
    return (PACKED,) if exp.packing.degree > 1 else ()


def _assumptions(exp: Experiment) -> tuple[str, ...]:
    """What the linearization about D = D* takes for granted."""
    out = [MATCHED, *_packed_assumptions(exp)]
    if exp.discriminator.finite_network:
        out.append("the discriminator is a network at its start: tangent features there, exact at equilibrium")
    if exp.generator.architecture is not None:
        spread = kernel_numbers(exp.generator.architecture).relative_spread
        out.append(
            "the generator's tangent kernel is that of infinite width, the same for all pairs of latents "
            f"(its entries scatter by {spread:.2g} of g1)"
        )
    return tuple(out)


# -- the coupling S -------------------------------------------------------------------------------------------------


def coupling(exp: Experiment) -> tuple[np.ndarray, np.ndarray, float]:
    """S = diag(s) + c p p^T as (s (M,), p (M,), c): s_a = omega (g1 - g2) sum_(i on a) m_i^2, c = omega g2."""
    p, kernel = exp.points.weights, exp.generator.kernel
    squares = np.bincount(exp.assignment, weights=exp.masses**2, minlength=len(p))
    return exp.omega * (kernel.g1 - kernel.g2) * squares, p, exp.omega * kernel.g2


def coupling_root(exp: Experiment) -> np.ndarray:
    """S^(1/2), (M, M) symmetric positive semidefinite."""
    s, p, c = coupling(exp)
    values, vectors = np.linalg.eigh(np.diag(s) + c * np.outer(p, p))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def coupling_ratio(exp: Experiment) -> float | None:
    """r if S acts as r P on every mode that the discriminator separates, else None.

    On a periodic lattice the collective part of S does not act at k != 0 (brief 2a); elsewhere it must vanish.
    """
    s, p, c = coupling(exp)
    ratio = s / p
    proportional = np.ptp(ratio) <= 16 * EPS * ratio.max()
    if not proportional or (c != 0 and not isinstance(exp.target, Uniform)):
        return None
    return float(ratio.mean())


def _damping(exp: Experiment) -> tuple[float, float, float]:
    """(nu, kappa, lambda) at q = p: weight decay, total value curvature, total gradient penalty."""
    k = exp.penalty.coefficients
    return float(k.nu), float(exp.loss_object.kappa + k.value_p + k.value_q), float(k.grad_p + k.grad_q)


# -- route 1 --------------------------------------------------------------------------------------------------------


def _frequency(exp: Experiment, target: Uniform) -> Linearization:
    loss, disc, kernel = exp.loss_object, exp.discriminator, exp.discriminator.kernel_object
    nu, kappa, lam = _damping(exp)
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
        method="frequency modes, closed form (2a)",
        assumptions=(
            "uniform density on a periodic box",
            "modes below the Nyquist wavenumber of the lattice",
            "the collective part of Gamma does not act at k != 0",
            *_packed_assumptions(exp),
        ),
        blocks=blocks,
        multiplicity=2 * count,
        wavenumber=k,
        scalars=(*constant, *alone, Scalars("x", 0.0, frozen)),
    )


# -- routes 2 and 3 -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Setting:
    """What determines the features at the data, compared by content (a point file may change between experiments)."""

    points: bytes
    discriminator: Discriminator
    sigma: float
    periodic: bool
    start: tuple  # the box of Fourier modes holds the starts too
    packing: Packing
    damped: bool  # by values or gradients of D: packed samples then need more weights than particles feel
    exp: Experiment = field(compare=False)

    @classmethod
    def of(cls, exp: Experiment) -> _Setting:
        Y, p, period = exp.points
        content = hashlib.sha256(repr((Y.shape, period)).encode() + Y.tobytes() + p.tobytes()).digest()
        fourier = exp.discriminator.evaluation == "fourier"
        start = (exp.run.start, exp.run.spread, exp.run.kick) if fourier else ()
        damped = bool(exp.packing.degree > 1 and any(_damping(exp)[1:]))
        return cls(
            content, exp.discriminator, exp.penalty.instance_noise, period is not None, start, exp.packing, damped, exp
        )


def seen_features(exp: Experiment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted feature rows at the data's nodes: sqrt(p w) psi (MQ, P), sqrt(p w) grad psi (MQ d, P), and the
    noise-averaged gradients, unweighted, (M d, P). Read-only.

    Of a network with more weights than rows: in an orthonormal basis of the weights that the rows see, P' <= P of them
    (TangentFeatures.seen_rows), which leaves all products of rows as they are. Of packed samples: rows of tuples, in
    the coordinates of linear.packed, and the gradients along every sample of E D."""
    return _seen_features(_Setting.of(exp))[:3]


def resolution(exp: Experiment) -> float:
    """Part of the largest singular value of ``seen_features`` to which the small ones are exact."""
    return _seen_features(_Setting.of(exp))[3]


def features_of(exp: Experiment) -> FeatureMap:
    """``feature_map(exp)``, kept for the next experiment with the same points and discriminator."""
    return _features_of(_Setting.of(exp))


@lru_cache(maxsize=4)
def _features_of(setting: _Setting) -> FeatureMap:
    return feature_map(setting.exp)


def seen_weights(exp: Experiment, w: np.ndarray) -> np.ndarray | None:
    """Weights (..., P) of feature_map(exp) in the coordinates of ``seen_features``; None where they are of others."""
    setting = _Setting.of(exp)
    if exp.packing.degree > 1 and exp.packing.kernel == "product":
        return packed_weights(_packed(setting), w)
    return w if w.shape[-1] == _seen_features(setting)[0].shape[-1] else None


@lru_cache(maxsize=4)
def _packed(setting: _Setting) -> Any:
    """linear.packed.Rows of the setting."""
    Y, p, _ = setting.exp.points
    offsets, weights = noise_nodes(setting.sigma, Y.shape[1])
    fm = sample_features(setting.exp)
    return packed_rows(fm, Y, p, offsets, weights, setting.packing, setting.damped)


@lru_cache(maxsize=4)
def _seen_features(setting: _Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    if setting.packing.degree > 1:
        packed = _packed(setting)
        for array in packed[:3]:
            array.flags.writeable = False
        return (*packed[:3], EPS)
    fm, sigma = _features_of(setting), setting.sigma
    Y, p, _ = setting.exp.points
    offsets, weights = noise_nodes(sigma, Y.shape[1])
    (M, d), Q = Y.shape, len(weights)
    nodes, eps = (Y[:, None, :] + offsets).reshape(-1, d), EPS
    seen_rows = getattr(fm, "seen_rows", None)
    if seen_rows is not None:
        both, exact = seen_rows(nodes)
        values, grad = both[: M * Q], both[M * Q :].reshape(M * Q, d, -1)
        eps = EPS if exact else float(np.sqrt(EPS))
    elif M * Q * (d + 1) * fm.size > MAX_FEATURE_ENTRIES:
        raise NotLinearizable(
            "discriminator.features",
            f"give a feature matrix of at most {MAX_FEATURE_ENTRIES:.0e} numbers "
            "(use linear.extreme_stiffness for extreme eigenvalues)",
            f"{M * Q * (d + 1)} x {fm.size}",
        )
    else:
        at = fm.at(nodes)
        values, grad = at.psi(), at.grad()
    P = values.shape[-1]
    root = np.sqrt(p[:, None] * weights).ravel()
    psi, rows = root[:, None] * values, (root[:, None, None] * grad).reshape(-1, P)
    mean = np.einsum("q,mqap->map", weights, grad.reshape(M, Q, d, P)).reshape(M * d, P)
    for array in (psi, rows, mean):
        array.flags.writeable = False
    return psi, rows, mean, eps


def coupling_matrix(exp: Experiment, mean_gradients: np.ndarray) -> np.ndarray:
    """C = S^(1/2) B, (M d, P)."""
    M, d = len(exp.points.weights), exp.dimension
    B = mean_gradients.reshape(M, -1)
    return (coupling_root(exp) @ B).reshape(M * d, -1)


def coupling_rank(exp: Experiment, fm: FeatureMap) -> int:
    """Exact rank of C: that of the gradients; for phi = 1 only the collective motion is left."""
    (Y, p, _), rigid = exp.points, exp.generator.kernel.ratio == 1
    one = fm.base if isinstance(fm, PackedFeatures) else fm
    if isinstance(one, PolynomialFeatures | ProjectedFeatures):
        # few features: instance noise adds lower powers, and the mean gradient of a symmetric target may vanish
        mean = seen_features(exp)[2].reshape(len(Y), -1)
        rows = (p @ mean if rigid else mean).reshape(-1, seen_features(exp)[2].shape[-1])
        sigma = np.linalg.svd(rows, compute_uv=False)
        return int(np.sum(sigma > EPS * mean.size * np.abs(mean).max()))
    return fm.gradient_rank(Y[:1] if rigid else Y)


@dataclass(frozen=True)
class _Coupled:
    """What determines C, compared by content: a scan over strengths takes its singular values once."""

    setting: _Setting
    weights: bytes
    collective: float
    exp: Experiment = field(compare=False)

    @classmethod
    def of(cls, exp: Experiment) -> _Coupled:
        s, _, c = coupling(exp)
        return cls(_Setting.of(exp), s.tobytes(), c, exp)


@lru_cache(maxsize=4)
def _singular_values(coupled: _Coupled) -> np.ndarray:
    mu = np.linalg.svd(coupling_matrix(coupled.exp, seen_features(coupled.exp)[2]), compute_uv=False)
    mu.flags.writeable = False
    return mu


def _finite(exp: Experiment, fm: FeatureMap) -> Linearization:
    nu, kappa, lam = _damping(exp)
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
            method="finite samples, symmetric reduction (2b)",
            assumptions=_assumptions(exp),
            blocks=blocks,
            multiplicity=np.ones(len(mu), dtype=int),
            wavenumber=np.full(len(mu), np.nan),
            scalars=(frozen, *_unseen(exp, nu, unseen)),
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
        method="finite samples, dense saddle on the seen features (2b)",
        assumptions=_assumptions(exp),
        dense=J,
        nw=basis_size,
        dense_mixed=packed or kappa > 0 or exp.penalty.instance_noise > 0,  # D may change where no particle feels it
        scalars=(frozen, *_unseen(exp, nu, _distinct(fm) - basis_size)),
        unresolved=reduced.unresolved,
    )


def _distinct(fm: FeatureMap) -> int:
    """Independent weights: of packed samples those of a symmetric discriminator."""
    return fm.distinct if isinstance(fm, PackedFeatures) else fm.size


def _unseen(exp: Experiment, nu: float, count: int) -> tuple[Scalars, ...]:
    """Weights that no datum sees: they only decay."""
    s = -exp.discriminator.learning_rate * (nu + exp.penalty.consensus * nu**2)
    return (Scalars("w", s, count),) if count else ()


class Saddle(NamedTuple):
    """A (r, r), C (n, r) on reduced coordinates: w_r = basis w (basis (r, P) orthonormal rows), v = left^T u with u
    the generator's parameters per target point (dx summed with masses = S^(1/2) u), left (M d, n). E (n, n): damping
    of v by the likelihood term, weight included; None without it."""

    A: np.ndarray
    C: np.ndarray
    basis: np.ndarray
    left: np.ndarray
    unresolved: int
    E: np.ndarray | None = None

    def jacobian(self, exp: Experiment) -> np.ndarray:
        """The flow's J on (w_r, v), learning rates included."""
        loss, eta_G = exp.loss_object, exp.generator.learning_rate
        J = saddle_jacobian(
            self.A, self.C, loss.c, loss.b, exp.penalty.consensus, exp.discriminator.learning_rate, eta_G
        )
        if self.E is not None:
            J[len(self.A) :, len(self.A) :] -= eta_G * self.E
        return J


def saddle(exp: Experiment) -> Saddle:
    """The experiment's saddle on reduced coordinates (matched masses)."""
    check_linearizable(exp)
    nu, kappa, lam = _damping(exp)
    psi, gradients, mean = seen_features(exp)
    rank = coupling_rank(exp, features_of(exp))
    C = coupling_matrix(exp, mean)
    reduced = _saddle(psi, gradients, C, nu, kappa, lam, rank, resolution(exp))
    return _with_score(exp, reduced, C) if exp.likelihood.weight else reduced


def _with_score(exp: Experiment, reduced: Saddle, C: np.ndarray) -> Saddle:
    """The same with every direction that the generator can move, as the likelihood term sees more of them than D:

    E = -weight S^(1/2) L S^(1/2), L of ``likelihood.Score.jacobian``.
    """
    root, d = coupling_root(exp), exp.dimension
    values, vectors = np.linalg.eigh(root)
    moved = vectors[:, values > np.sqrt(EPS * len(root)) * values.max()] if exp.generator.kernel.ratio == 1 else vectors
    left = np.kron(moved, np.eye(d))
    L = np.einsum("ab,bcef,eg->acgf", root, Score(exp).jacobian(), root, optimize=True).reshape(len(C), len(C))
    E = -exp.likelihood.weight * left.T @ L @ left
    return reduced._replace(C=left.T @ C @ reduced.basis.T, left=left, E=E)


def reduce_saddle(
    psi: np.ndarray,
    gradients: np.ndarray,
    C: np.ndarray,
    nu: float,
    kappa: float,
    lam: float,
    rank: int,
    eps: float = EPS,
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """(A, C, r, unresolved) of ``Saddle``; eps: accuracy of the features' small singular values."""
    reduced = _saddle(psi, gradients, C, nu, kappa, lam, rank, eps)
    return reduced.A, reduced.C, len(reduced.basis), reduced.unresolved


def _saddle(
    psi: np.ndarray,
    gradients: np.ndarray,
    C: np.ndarray,
    nu: float,
    kappa: float,
    lam: float,
    rank: int,
    eps: float = EPS,
) -> Saddle:
    """An orthonormal basis of the features that enter (rows of C, of grad psi if lambda > 0, of psi if kappa > 0), and
    the ``rank`` directions of theta that C moves."""
    rows = [C]
    if lam:
        rows.append(gradients)
    if kappa:
        rows.append(psi)
    stacked = np.concatenate(rows)
    P = stacked.shape[1]
    if P > 1:
        _, sigma, Vt = np.linalg.svd(stacked / np.linalg.norm(stacked), full_matrices=False)
        basis = Vt[sigma > EPS * max(stacked.shape) * sigma[0]]
    else:
        basis = np.eye(P)
    left, sigma, right = np.linalg.svd(C @ basis.T, full_matrices=False)
    n = min(rank, len(sigma))
    reduced = np.zeros((rank, len(basis)))
    reduced[:n] = sigma[:n, None] * right[:n]
    directions = np.zeros((len(C), rank))
    directions[:, :n] = left[:, :n]
    A = nu * np.eye(len(basis))
    if lam:
        projected = gradients @ basis.T
        A += lam * projected.T @ projected
    if kappa:
        projected = psi @ basis.T
        A += kappa * projected.T @ projected
    unresolved = rank - int(np.sum(sigma[:n] > eps * max(C.shape) * sigma[0]))
    return Saddle(A, reduced, basis, directions, unresolved)


def saddle_jacobian(
    A: np.ndarray, C: np.ndarray, c: float, b: float, gamma: float, eta_D: float, eta_G: float
) -> np.ndarray:
    """diag(eta) (J - gamma J^T J), J = [[-A, -c C^T], [b C, 0]]."""
    r, n = len(A), len(C)
    J = np.block([[-A, -c * C.T], [b * C, np.zeros((n, n))]])
    if gamma:
        J = J - gamma * J.T @ J
    J[:r] *= eta_D
    J[r:] *= eta_G
    return J


# -- route 5 --------------------------------------------------------------------------------------------------------


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
    )
