"""Linearizations of exact kernels in high dimension, through the split of ``structured``.

Every direction across the data carries the same M-dimensional system, decoupled from the others: there D of the data
points does not change (d K(y_i, y_j) / d x = 0 across the data), so that kappa does not act, and the features are the
square root of A. In the data's directions it is the same experiment with the points' coordinates there.

commuting (kappa = 0 and either no gradient penalty or S proportional to the target's weights): closed-form oscillator
blocks from mu^2; otherwise dense saddles, one of 2 M rows for all directions across the data, one for the data's own.
"""

from __future__ import annotations

import numpy as np

from ..base.errors import NotLinearizable
from ..features import DictionaryFeatures, PolynomialFeatures
from ..problem.problem import EPS, Problem
from ..symbolic.linearize import oscillator_blocks
from ..tables.updates import rules_with
from .checks import assumptions_of, check_linearizable
from .eigenvalues import eigenvalues
from .extreme import extremes
from .limits import MAX_DENSE, Estimate
from .rounding import ROOMY, moved, root_errors
from .saddle import on_seen_features
from .seen import centred
from .structured import INSTEAD, Split, applies, split, stiffness
from .system import Linearization, Scalars, System, frozen_particles, unseen_weights

#: coordinates of the target above which the split is used even where no direction lies across the data
LARGE = 2000
FLAT = "the kernel is exact, and a direction belongs to the data if its extent exceeds rounding"


def separates(problem: Problem) -> bool:
    """Whether ``linearize_split`` is the route: exact kernel, and directions across the data or a large problem."""
    if not applies(problem):
        return False
    M, d = problem.Y.shape
    return (d > 1 and split(problem).complement > 0) or M * d > LARGE


def commuting_ratio(problem: Problem, parts: Split) -> float | None:
    """r of lambda B^T P B = (lambda / r) C^T C; None unless kappa = 0 and S = r P (anything where lambda = 0)."""

    _, kappa, lam = problem.damping
    if kappa:
        return None
    if not lam:
        return 1.0
    ratio = parts.s / parts.p
    return float(ratio.mean()) if parts.c == 0 and np.ptp(ratio) <= 16 * EPS * ratio.max() else None


def cost(problem: Problem) -> Estimate | None:
    """What all eigenvalues of the stiffness will need, before any is computed; None on routes without it."""

    if not (problem.matched and separates(problem)):
        return None
    parts = split(problem)
    return None if commuting_ratio(problem, parts) is None else parts.estimate()


def linearize_split(problem: Problem) -> Linearization:
    """All modes. Raises NotLinearizable when memory, or the size of a dense saddle, does not suffice."""
    parts = split(problem)
    ratio = commuting_ratio(problem, parts)
    return _dense(problem, parts) if ratio is None else _closed(problem, parts, ratio)


def linearize_extreme(problem: Problem, count: int) -> tuple[Linearization, float]:
    """(the modes of the ``count`` smallest and largest mu^2, the largest residual of their eigenpairs), matrix-free.

    Raises NotLinearizable unless the kernel is exact and the damping commutes with the stiffness.
    """

    check_linearizable(problem)
    if not applies(problem):
        rule = "be left out unless the discriminator is an exact radial or dot-product kernel in open space, no noise, "
        rule += "likelihood or packing"
        raise NotLinearizable("extreme", rule)
    if not problem.matched:
        raise NotLinearizable("generator.masses", "match the target's weights for extreme modes")
    parts = split(problem)
    ratio = commuting_ratio(problem, parts)
    if ratio is None:
        raise NotLinearizable(
            "extreme",
            "be left out unless the damping commutes with the stiffness: kappa = 0 and, with a gradient penalty, "
            "generator.kernel.ratio = 0 and masses in one proportion to the weights",
        )
    found = extremes(problem, count)
    blocks = _blocks(problem, found.mu2, ratio)
    ends = "every mode between the listed ones decays at least as fast as the slower end: "
    if _affine(problem):
        bound = ends + "trace and determinant of its block are linear in mu^2"
    else:
        bound = "of the modes between the listed ones nothing is said: this update rule is not linear in mu^2"
    names = [name for name, cut in zip(("smallest", "largest"), found.cut, strict=True) if cut]
    if names:
        bound += f"; of the last of the {' and of the '.join(names)} there are more copies than are counted here"
    alone: tuple[Scalars, ...] = ()
    if parts.radial:  # the gradients at distinct points are independent: every count is known
        rank = parts.columns * problem.d
        alone = (frozen_particles(problem, rank), *unseen_weights(problem, _feature_count(problem, parts) - rank))
    else:
        bound += "; zero modes and weights that nobody sees are not counted"
    return Linearization(
        problem,
        method=f"finite sample, {found.smallest} smallest and {len(found.mu2) - found.smallest} largest stiffnesses "
        "from products with the matrix alone, Eq. (37, finite-modes)",
        assumptions=(*_assumed(problem), bound),
        blocks=blocks,
        block_errors=_errors(problem, found.mu2, ratio, float(found.residual.max() * found.mu2.max(initial=0.0))),
        multiplicity=found.multiplicity,
        wavenumber=np.full(len(found.mu2), np.nan),
        scalars=alone,
    ), float(found.residual.max())


def _affine(problem: Problem) -> bool:
    """Whether trace and determinant of a mode's map are affine in mu^2, so that {mu^2: |z| <= r} is an interval for
    every r (Jury's conditions are affine in them) and the slowest of an interval of modes sits at one of its ends."""
    u = problem.exp.update
    plain = not u.momentum_discriminator and not u.momentum_generator and u.critic_steps == 1
    return plain and not problem.gamma and problem.rule.entry.affine


def _assumed(problem: Problem) -> tuple[str, ...]:

    return (*assumptions_of(problem), FLAT)


def commuting_blocks(problem: Problem, mu2: np.ndarray) -> np.ndarray:
    """The oscillator of every mu^2 where damping and stiffness commute."""
    ratio = commuting_ratio(problem, split(problem))
    assert ratio is not None
    return _blocks(problem, mu2, ratio)


def _blocks(problem: Problem, mu2: np.ndarray, ratio: float) -> np.ndarray:

    nu, _, lam = problem.damping
    mu2 = np.maximum(mu2, 0)
    A, c, b = nu + lam / ratio * mu2, problem.loss.c, problem.loss.b
    return oscillator_blocks(A=A, mu=np.sqrt(mu2), c=c, b=b, gamma=problem.gamma, **problem.rates)


def _errors(problem: Problem, mu2: np.ndarray, ratio: float, error: float) -> np.ndarray:
    """Bounds on the errors of the entries of ``_blocks`` of mu^2 that are known to ``error``."""
    mu = np.sqrt(np.maximum(mu2, 0))
    return moved(lambda at: _blocks(problem, at**2, ratio), mu, root_errors(mu2, error))


def _closed(problem: Problem, parts: Split, ratio: float) -> Linearization:

    found = stiffness(problem)
    threshold = EPS * (parts.size + parts.columns) * found.mu2.max(initial=0.0)
    # gradients of a radial kernel at distinct points are independent; those of a polynomial need not be
    kept = np.ones(len(found.mu2), dtype=bool) if parts.radial else found.mu2 > threshold
    mu2, multiplicity = found.mu2[kept], found.multiplicity[kept]
    rank = int(multiplicity.sum())
    return Linearization(
        problem,
        method="finite sample, the data's directions and those across them apart, one oscillator for each eigenvalue "
        "of a symmetric matrix (symmetric reduction), Eq. (37, finite-modes); "
        f"largest residual of {found.checked} eigenpairs {found.residual:.1g}, "
        f"of the trace {abs(found.trace_error):.1g}, of the Frobenius norm {abs(found.norm_error):.1g}",
        assumptions=_assumed(problem),
        blocks=_blocks(problem, mu2, ratio),
        block_errors=_errors(problem, mu2, ratio, ROOMY * EPS * float(np.sqrt((found.mu2**2).sum()))),
        multiplicity=multiplicity,
        wavenumber=np.full(len(mu2), np.nan),
        scalars=(frozen_particles(problem, rank), *unseen_weights(problem, _feature_count(problem, parts) - rank)),
        unresolved=int(multiplicity[mu2 <= threshold].sum()),
    )


def _dense(problem: Problem, parts: Split) -> Linearization:

    kernel = problem.exp.discriminator.kernel_object
    M, m = parts.Y.shape
    rows = M * (m + 1) + parts.size
    if rows > MAX_DENSE:
        raise NotLinearizable(
            "generator.particles",
            f"give a dense matrix of at most {MAX_DENSE} rows where damping and stiffness do not commute ({INSTEAD}, "
            "or generator.kernel.ratio = 0)",
            rows,
        )
    known = None if parts.radial else kernel.polynomial_features(m)
    fm = DictionaryFeatures(kernel, parts.Y, parts.Y) if known is None else PolynomialFeatures(*known)
    at, root = fm.at(parts.Y), np.sqrt(parts.p)
    sets = [(centred(problem, root[:, None] * at.psi(), root), at.grad(), 1)]
    if parts.complement:
        half = _across_features(parts)
        sets.append((np.zeros((0, half.shape[1])), half[:, None, :], parts.complement))
    systems, rank, seen, unresolved = [], 0, 0, 0
    for psi, gradients, count in sets:
        C = parts.root_transposed(gradients).reshape(-1, gradients.shape[-1])
        own = len(C) if parts.radial else int(np.linalg.matrix_rank(C))
        weighted = (root[:, None, None] * gradients).reshape(-1, gradients.shape[-1])
        reduced = on_seen_features(psi, weighted, C, problem.damping, own)
        size, mixed = len(reduced.basis), bool(problem.damping.kappa) and len(psi) > 0
        unit = max(fm.rows_known, EPS) if len(psi) and isinstance(fm, DictionaryFeatures) else EPS
        systems.append(System(reduced.jacobian(problem), size, count, mixed=mixed, left=reduced.left, unit=unit))
        rank, seen = rank + count * own, seen + count * size
        unresolved += count * reduced.unresolved
    return Linearization(
        problem,
        method="finite sample, the data's directions and those across them apart, dense saddles, Eq. (35, saddle)",
        assumptions=_assumed(problem),
        systems=tuple(systems),
        scalars=(frozen_particles(problem, rank), *unseen_weights(problem, _feature_count(problem, parts) - seen)),
        unresolved=unresolved,
    )


def _across_features(parts: Split) -> np.ndarray:
    """(M, r) with A = half half^T: the gradients on a direction across the data."""
    values, vectors = np.linalg.eigh(parts.first)
    # a square root blows rounding up: what of a polynomial's A is zero must not become a feature
    kept = values > (0.0 if parts.radial else EPS * len(values) * values[-1])
    return vectors[:, kept] * np.sqrt(values[kept])


def rate_bounds(problem: Problem) -> tuple[float, float]:
    """(low, high): the slowest decay rate of the modes that move the particles lies between, also where R1 and the
    coupling do not commute; without a matrix. Growth is a negative rate.

    A mode with weights w, |w| = 1, obeys the scalar oscillator with damping w^* A w = nu + lambda t mu^2 and stiffness
    mu^2 = w^* C^T C w, where mu^2 lies between its extremes and t between those of the pencil (P, S). Jury's conditions
    of an affine rule are linear in both numbers, so that the slowest is at a corner: ``low``. ``high`` is attained by a
    direction across the data (inf if there is none). Equal where they commute, up to the softest mode.
    Raises NotLinearizable for kappa > 0, a rigid cloud, or a rule that is not affine.
    """
    parts, (nu, kappa, lam), loss = split(problem), problem.damping, problem.loss
    if kappa or parts.rigid or not _affine(problem):
        names = " or ".join(rules_with(lambda rule: rule.affine))
        rule = f"be {names} with one critic step, without momentum, consensus, kappa or phi = 1"
        raise NotLinearizable("update.rule", f"{rule}, for bounds")
    ends = extremes(problem, 1).mu2[[0, -1]]
    pencil = parts.root_inverse(np.ascontiguousarray(parts.root_inverse(np.diag(parts.p)).T))
    t = np.linalg.eigvalsh((pencil + pencil.T) / 2)[[0, -1]]
    mu2, t = (grid.ravel() for grid in np.meshgrid(ends, t))
    corners = Linearization(
        problem,
        method="the four corners of the region that all modes lie in",
        assumptions=(),
        blocks=oscillator_blocks(A=nu + lam * t * mu2, mu=np.sqrt(mu2), c=loss.c, b=loss.b, **problem.rates),
        multiplicity=np.ones(4, dtype=int),
        wavenumber=np.full(4, np.nan),
    )
    low, high = eigenvalues(corners).slowest(), np.inf
    if parts.complement:
        half = _across_features(parts)
        C = parts.root_transposed(half)
        none = np.zeros((0, half.shape[1]))
        reduced = on_seen_features(none, np.sqrt(parts.p)[:, None] * half, C, problem.damping, len(C))
        across = System(reduced.jacobian(problem), len(reduced.basis), parts.complement)
        high = eigenvalues(Linearization(problem, "across", (), systems=(across,)), ratios=False).slowest()
    return low, high


def _feature_count(problem: Problem, parts: Split) -> int:
    """Size of the discriminator's weights: all features of a polynomial; of other kernels, one per value and gradient
    component at the data, which span everything that is ever seen."""
    known = problem.exp.discriminator.kernel_object.feature_count(problem.d)
    return len(parts.p) * (problem.d + 1) if known is None else known
