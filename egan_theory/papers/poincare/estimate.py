"""The smallest nonzero eigenvalue of the weighted Laplacian from samples, with an error estimate.

Variational form: xi_1 = min over f of E_p|grad f|^2 / Var_p f (Rayleigh's quotient). On a basis and the same samples
the minimum is too low (it fits noise); on samples that f has not seen its expectation is never below xi_1. So

    upper    quotient on held-out folds, f fitted on the others: the estimate ``xi``
    lower    quotient of f fitted on all samples, on these samples: biased low by fitting, high by the basis

Bases are tried in order of size; the smallest one is taken whose held-out quotient is within one standard error (of the
difference, sample by sample) of the best. ``converged``: no larger basis does surely better (SURE standard errors), and
the one taken is not the last of a sequence that still falls surely.
Source of the kernel form: Pillaud-Vivien, Bach, Lelievre, Rudi, Stoltz 2020 (arXiv:1910.14564); the choice by
held-out samples is not theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...base.arrays import numbers
from ...base.errors import InputError
from ...base.table import Record
from .bases import Basis, Bumps, Polynomials

FOLDS = 5
#: at least this many samples per function of the basis
SAMPLES_PER_FUNCTION = 20
MAX_DEGREE, MAX_SIZE = 9, 150
#: standard errors of a difference that make it sure: many bases are compared
SURE = 3.0
COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
SCALES, RIDGES = (0.5, 1.0), (1e-2, 1e-4)


class Trial(NamedTuple):
    """One basis: held-out quotient and its standard error, and the quotient on the samples it was fitted to."""

    basis: str
    size: int
    upper: float
    stderr: float
    lower: float


@dataclass(frozen=True)
class Poincare(Record):
    """xi_1 of the data, its standard error, and how it was found.

    Attributes:
        xi: [1/length^2] smallest nonzero eigenvalue of -div(p grad .)/p, held-out quotient.
        stderr: [1/length^2] its standard error.
        lower: [1/length^2] quotient on the samples that it was fitted to, see the module.
        basis: the one that was taken, in words.
        converged: whether no larger basis does surely better.
        samples: [1] their number n.
        dimension: [1] of a sample.
        trials: every basis tried, in order of size.
        assumptions: what is taken for granted, in words.

    Source:
        Khrulkov et al. 2021 (arXiv:2102.04448); Pillaud-Vivien et al. 2020 (arXiv:1910.14564).
    """

    KEYS = ("xi", "stderr", "constant", "lower", "basis", "converged", "samples", "dimension", "trials", "assumptions")

    xi: float
    stderr: float
    lower: float
    basis: str
    converged: bool
    samples: int
    dimension: int
    trials: tuple[Trial, ...]
    assumptions: tuple[str, ...]

    @property
    def constant(self) -> float:
        """The Poincare constant 1/xi_1 [length^2]."""
        return 1 / self.xi


def poincare(points: np.ndarray, weights: np.ndarray | None = None, *, bases: list[Basis] | None = None,
             seed: int = 0) -> Poincare:  # fmt: skip
    """Estimate xi_1 from independent samples of a density; see the module docstring.

    Args:
        weights: positive, any sum.
        bases: default: polynomials and Gaussian bumps, as many as the samples allow.
        seed: of folds and landmarks.

    Returns:
        The estimate with its standard error and all bases that were tried.

    Shapes:
        points (n, d) or (n,), weights (n,).

    Units:
        Points in lengths, xi_1 in 1/length^2.

    Raises:
        InputError: fewer than 40 samples, not finite, all equal, weights that are not one positive number each, no
            basis.

    Assumes:
        Independent samples of a density with finite Poincare constant; not checked: repeated points (atoms) make xi_1 =
        0.

    Source:
        Khrulkov, Babenko, Oseledets 2021 (arXiv:2102.04448); kernel form: Pillaud-Vivien et al. 2020
        (arXiv:1910.14564).
    """
    X, w = _checked(points, weights)
    n, d = X.shape
    chosen = default_bases(n, d, seed) if bases is None else sorted(bases, key=lambda b: b.size)
    if not chosen:
        raise InputError("bases", "hold at least one basis")
    fold = np.random.default_rng([seed, 1]).permutation(n) % FOLDS
    trials, influence = [], []
    for basis in chosen:
        upper, terms = _held_out(basis, X, w, fold)
        value, energy = basis.fit(X, w)(X)
        lower = float(w @ energy / (w @ (value - w @ value) ** 2))
        trials.append(Trial(basis.name, basis.size, upper, _stderr(terms, w), lower))
        influence.append(terms)
    quotient = np.array([t.upper for t in trials])
    rounding = n * float(np.finfo(float).eps) * quotient.min()  # of sums over samples: below it bases are alike
    best = int(np.argmin(quotient))
    pick = best
    for i in range(len(trials)):
        if quotient[i] - quotient[best] <= _stderr(influence[i] - influence[best], w) + rounding:
            pick = i
            break
    trial = trials[pick]

    def beats(i: int, j: int) -> bool:
        """Whether basis i is better than basis j by more than SURE standard errors of the difference."""
        return quotient[j] - quotient[i] > SURE * _stderr(influence[i] - influence[j], w) + rounding

    larger = any(beats(i, pick) for i in range(pick + 1, len(trials)) if trials[i].size > trial.size)
    still_falling = pick == len(trials) - 1 and pick > 0 and beats(pick, pick - 1)
    return Poincare(
        xi=trial.upper, stderr=trial.stderr, lower=trial.lower, basis=trial.basis,
        converged=not larger and not still_falling,
        samples=n, dimension=d, trials=tuple(trials),
        assumptions=(
            "independent samples of a density with a finite Poincare constant",
            f"held-out Rayleigh quotient over {FOLDS} folds: its expectation is at or above xi_1",
        ),
    )  # fmt: skip


def default_bases(n: int, d: int, seed: int = 0) -> list[Basis]:
    """Polynomials and Gaussian bumps with at least SAMPLES_PER_FUNCTION samples per function, smallest first."""
    room = min(max(n // SAMPLES_PER_FUNCTION, 1), MAX_SIZE)
    components = [k for k in COMPONENTS if k < d] + ([d] if d <= COMPONENTS[-1] else [])
    polynomials = [Polynomials(k, degree) for k in components for degree in range(1, MAX_DEGREE + 1)]
    kept: list[Basis] = [b for b in polynomials if b.size <= room] or [Polynomials(1, 1)]
    bumps: list[Basis] = [
        Bumps(count, scale, ridge, seed)
        for count in (20, 60) if count <= room for scale in SCALES for ridge in RIDGES
    ]  # fmt: skip
    return sorted(kept + bumps, key=lambda b: b.size)


def _held_out(basis: Basis, X: np.ndarray, w: np.ndarray, fold: np.ndarray) -> tuple[float, np.ndarray]:
    """The pooled held-out quotient, and its influence terms (n,): their weighted mean is 0."""
    value, energy, square = np.empty(len(X)), np.empty(len(X)), np.empty(len(X))
    for k in range(FOLDS):
        inside, out = fold != k, fold == k
        function = basis.fit(X[inside], w[inside] / w[inside].sum())
        f, value_energy = function(X[out])
        g, _ = function(X[inside])
        weight = w[inside] / w[inside].sum()
        scale = weight @ (g - weight @ g) ** 2
        # the fold's own mean costs one degree of freedom
        part = w[out] / w[out].sum()
        centred = f - part @ f
        value[out] = centred / np.sqrt(scale * (1 - part @ part))
        energy[out] = value_energy / scale
    square = value**2
    quotient = float(w @ energy / (w @ square))
    return quotient, (energy - quotient * square) / float(w @ square)


def _stderr(terms: np.ndarray, w: np.ndarray) -> float:
    """Standard error of a weighted mean of terms with mean zero."""
    return float(np.sqrt(w**2 @ (terms - w @ terms) ** 2))


def _checked(points: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    X = numbers("points", points).astype(float)
    if X.ndim == 1:
        X = X[:, None]
    if X.ndim != 2 or len(X) < 40 or X.shape[1] < 1:
        raise InputError("points", "be (n, d) with n >= 40 samples", X.shape)
    if not np.all(np.isfinite(X)):
        raise InputError("points", "be finite", "values that are not")
    if not np.ptp(X, axis=0).max() > 0:
        raise InputError("points", "not all be equal")
    if weights is None:
        return X, np.full(len(X), 1 / len(X))
    w = numbers("weights", weights).astype(float)
    if w.shape != (len(X),) or not np.all(np.isfinite(w)) or not np.all(w > 0):
        raise InputError("weights", f"be {len(X)} positive finite numbers", w.shape)
    return X, w / w.sum()
