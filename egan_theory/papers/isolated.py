"""Isolated points: several generated points on one true point (after Becker, Pandit, Rangan, Fletcher 2022,
arXiv:2208.09938). Approximate mode collapse: equilibria with unequal masses, where D != D*.

Gaussian kernel exp(-r^2/2 sigma^2), ridge (weight decay) nu, Wasserstein loss; a true point of mass p with generated
points of masses m_j on it, all others many sigma away; Delta = p - sum m_j, mu = eta_G/eta_D, time in units 1/eta_D. At
rest f = (Delta/nu) K(., y). With g the gradient of the discriminator's change at y and u_j the displacements,

    dg/dt = -nu g - sum_j m_j u_j/sigma^2,      du_j/dt = mu m_j [g - Delta u_j/(nu sigma^2)]

per component. ``symbolic_field`` derives it from the kernel. Equal masses m: relative modes and the centre of mass
separate, with the spectrum of ``local_modes``; unequal ones mix, and their spectrum is that of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment

#: distance between the true points, in widths of the kernel: K < 1e-300 beyond
SEPARATION = 40.0


@dataclass(frozen=True)
class LocalModes:
    """Eigenvalues of one true point's modes (per component), time in units of 1/eta_D.

    Attributes:
        delta: [1] p minus the sum of the masses.
        centre: [1/time] (2,) the pair of the centre of mass and g (equal masses only, else NaN).
        relative: [1/time] rate of the count - 1 relative modes (equal masses only, else NaN).
        all: [1/time] (count + 1,) every eigenvalue, by the matrix.

    Source:
        Derived from the kernel by ``symbolic_field``; after Becker et al. 2022 (arXiv:2208.09938).
    """

    delta: float
    centre: np.ndarray
    relative: float
    all: np.ndarray

    @property
    def stable(self) -> bool:
        """Whether every mode decays."""
        return bool(self.all.real.max() < 0)


def symbolic_field(count: int) -> tuple[Any, Any, dict[str, Any]]:
    """(field, state, symbols) by SymPy, for ``count`` generated points of masses m_1.. on one true point.

    f = (Delta/nu) K(x - y) + h, with h in the span of K: dh/dt = -nu h + (K * q at rest) - (K * q moved); its gradient
    at y, to first order in the displacements, is g.

    Returns:
        SymPy matrices of the field and the state (g, u_1, ...), and the symbols by name.

    Units:
        Time in units of 1/eta_D, displacements in lengths, g in 1/length.

    Raises: nothing of its own.

    Source:
        Gaussian kernel, ridge nu, Wasserstein loss; after Becker, Pandit, Rangan, Fletcher 2022 (arXiv:2208.09938).
    """
    import sympy as sp

    nu, mu, p, sigma, x, g = sp.symbols("nu mu p sigma x g", positive=True)
    masses, u = sp.symbols(f"m1:{count + 1}", positive=True), sp.symbols(f"u1:{count + 1}")
    K = lambda r: sp.exp(-(r**2) / (2 * sigma**2))  # noqa: E731
    delta = p - sum(masses)
    moved = sum(m * (K(x) - K(x - uj)) for m, uj in zip(masses, u, strict=True))
    change = sp.diff(moved, x).subs(x, 0)  # of grad f at y
    linear = sum(change.diff(uj).subs({v: 0 for v in u}) * uj for uj in u)
    slope = sp.diff(delta / nu * K(x), x, 2).subs(x, 0)
    field = [-nu * g + linear] + [mu * m * (g + slope * uj) for m, uj in zip(masses, u, strict=True)]
    symbols = {"nu": nu, "mu": mu, "p": p, "sigma": sigma, "masses": masses}
    return sp.Matrix(field), sp.Matrix([g, *u]), symbols


def local_modes(p: float, masses: Sequence[float], sigma: float, nu: float, mu: float = 1.0) -> LocalModes:
    """Modes of generated points of the given masses on one true point of mass p.

        equal masses m: relative -mu m Delta/(nu sigma^2), centre -h +- sqrt(h^2 - mu m p/sigma^2),
        h = (nu + mu m Delta/(nu sigma^2))/2

    Returns:
        Eigenvalues, and those of the separate modes where masses are equal.

    Units:
        sigma in lengths, nu, mu and masses pure numbers; rates in units of eta_D.

    Raises:
        InputError: masses, p, sigma, nu or mu that are not positive and finite.

    Source:
        ``symbolic_field``; after Becker, Pandit, Rangan, Fletcher 2022 (arXiv:2208.09938).
    """
    m = _positive(masses, p=p, sigma=sigma, nu=nu, mu=mu)
    delta = float(p - m.sum())
    rates = -mu * m * delta / (nu * sigma**2)
    J = np.diag(np.concatenate([[-nu], rates]))
    J[0, 1:], J[1:, 0] = -m / sigma**2, mu * m
    values = np.linalg.eigvals(J).astype(complex)
    centre, relative = np.full(2, np.nan, dtype=complex), float("nan")
    if np.all(m == m[0]):
        h = (nu - rates[0]) / 2
        root = np.sqrt(complex(h**2 - mu * m[0] * p / sigma**2))
        centre, relative = np.array([-h + root, -h - root]), float(rates[0])
    return LocalModes(delta, centre, relative, values[np.argsort(-values.real)])


def single_point_threshold(p: float, mass: float, sigma: float, mu: float = 1.0) -> float:
    """The ridge below which a single generated point of mass > p leaves its true point: sqrt(mu m |Delta|)/sigma
    (0 for mass <= p: it never does).

    Returns:
        The ridge nu.

    Units:
        nu as the weight decay of an experiment with lengths in units in which sigma is given; masses pure numbers.

    Raises:
        InputError: a number that is not positive and finite.

    Source:
        ``local_modes`` at a zero determinant; after Becker et al. 2022 (arXiv:2208.09938).
    """
    _positive([mass], p=p, sigma=sigma, mu=mu)
    return float(np.sqrt(mu * mass * max(mass - p, 0.0)) / sigma)


@dataclass(frozen=True)
class BestRidge:
    """The best ridge and what it gives.

    Attributes:
        nu: [1] the ridge, a weight decay.
        rate: [eta_D] decay rate of the slowest mode that counts.

    Source:
        ``local_modes``, optimised in closed form.
    """

    nu: float
    rate: float


def best_ridge(p: float, mass: float, count: int, sigma: float, mu: float = 1.0, *, values: bool = True) -> BestRidge:
    """The ridge at which the slowest mode of ``count`` generated points of equal mass m decays fastest (Delta > 0).

    values False: only modes that move the points. Their centre is critical at
    nu = sqrt(mu m) (sqrt p - sqrt(sum m))/sigma, where relative modes are faster still: rate sqrt(mu m p)/sigma.
    values True: the discriminator's values, which decay at rate nu, count as well. Several points: relative modes ask
    for a small ridge and values for a large one; nu = sqrt(mu m Delta)/sigma, the rate of every mode. A single
    point has no relative modes: the other critical ridge sqrt(mu m) (sqrt p + sqrt m)/sigma is best, with rate
    sqrt(mu m p)/sigma.

    Returns:
        The ridge and its rate.

    Units:
        sigma in lengths, masses pure numbers, rates in units of eta_D.

    Raises:
        InputError: Delta <= 0 (relative modes do not decay), or a number that is not positive and finite.

    Source:
        ``local_modes``; after Becker, Pandit, Rangan, Fletcher 2022 (arXiv:2208.09938).
    """
    _positive([mass], p=p, sigma=sigma, mu=mu, count=count)
    delta = p - count * mass
    if not delta > 0:
        raise InputError("mass", "leave Delta = p - count mass > 0", delta)
    scale = float(np.sqrt(mu * mass) / sigma)
    whole, made = float(np.sqrt(p)), float(np.sqrt(count * mass))
    if not values:
        return BestRidge(scale * (whole - made), scale * whole)
    if count == 1:
        return BestRidge(scale * (whole + made), scale * whole)
    return BestRidge(scale * float(np.sqrt(delta)), scale * float(np.sqrt(delta)))


def isolated_points(
    weights: Sequence[float], masses: Sequence[Sequence[float]], *, sigma: float, nu: float, mu: float = 1.0,
    rate: float = 1.0, update: dict[str, Any] | None = None, separation: float = SEPARATION,
) -> Experiment:  # fmt: skip
    """The experiment: true points of these weights ``separation`` widths apart in a row, with generated points of
    ``masses[a]`` (none: the point is missed) on point a; eta_D = rate, eta_G = mu rate. Weights and masses sum to 1.

        exp = eg.isolated.isolated_points((0.6, 0.4), ((0.35, 0.35), (0.3,)), sigma=0.5, nu=0.3)
        eg.spectrum(exp); eg.compare(exp, eg.simulate(exp))

    Returns:
        An experiment like any other, with a Gaussian kernel and weight decay nu.

    Units:
        sigma in lengths, separation in units of sigma, rate per time, the others pure numbers.

    Raises:
        InputError: not one list of masses per true point, or numbers that the experiment refuses.

    Assumes:
        That ``separation`` is large enough for the points not to see each other, as ``local_modes`` assumes (at 6 the
        kernel is 2e-8 there); not checked.

    Source:
        Becker, Pandit, Rangan, Fletcher 2022 (arXiv:2208.09938).
    """
    if len(weights) != len(masses) or len(weights) < 1:
        raise InputError("masses", f"hold one list per true point, {len(weights)}", len(masses))
    return Experiment(
        target={
            "kind": "grid", "side": len(weights), "dimension": 1, "spacing": separation * sigma,
            "weights": tuple(weights),
        },
        generator={
            "particles": sum(len(m) for m in masses), "per_point": tuple(len(m) for m in masses),
            "masses": tuple(float(v) for m in masses for v in m), "learning_rate": mu * rate, "normalisation": "mean",
            "kernel": {"ratio": 0.0},
        },
        discriminator={"kernel": "gaussian", "length_scale": sigma, "features": 0, "learning_rate": rate},
        penalty={"weight_decay": nu},
        update=update or {"rule": "flow"},
    )  # fmt: skip


def _positive(masses: Sequence[float], **numbers: float) -> np.ndarray:
    m = np.asarray(masses, dtype=float)
    if m.ndim != 1 or not len(m) or not np.all(np.isfinite(m)) or not np.all(m > 0):
        raise InputError("masses", "hold positive finite numbers", masses)
    for name, value in numbers.items():
        if not (np.isfinite(value) and value > 0):
            raise InputError(name, "be greater than 0", value)
    return m
