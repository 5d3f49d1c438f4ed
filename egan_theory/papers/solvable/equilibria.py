"""Fixed points of the macroscopic ODE and their Jacobians.

Every (P, S) with q = r = 0 is one (``line``). One feature with Lambda~ = Lambda and equal noise has three more kinds;
in units 1/(tau Lambda), alpha = taut/tau, k = tau eta^2/Lambda, s = tau eta/2:

    saddle        P = r = 0,  q^2 = (1 - k)/(1 + s)
    locked        q = P r,  P^2 = 1 - alpha (1 - X),  X = r^2,  X [alpha (1 + s)(1 - X) - 2 s] = k
    self-locked   P = q = 0,  X = (alpha - 1 - k)/(alpha + s - 1); stable for alpha > 2, X (1 - s) < k

There are no others: dP = alpha r (q - P r) asks for r = 0 or q = P r, and dq = (1 + h) q - P r then for h q = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from ...base.errors import InputError
from ...base.json import json_ready
from ...base.table import Record
from . import derivation
from .line import line_eigenvalues, require_linear
from .model import Solvable
from .ode import drift
from .state import State, unpack

#: complex step: the derivative is exact to rounding
STEP = 1e-30
#: central differences where the profile is not analytic
DIFFERENCE = np.finfo(float).eps ** (1 / 3)
#: growth rates within this part of the largest |eigenvalue| of zero are zero: the directions along the line
ZERO = 1e-9


@dataclass(frozen=True)
class FixedPoint(Record):
    """One fixed point of the macroscopic ODE.

    Attributes:
        kind: "perfect", "noninformative", "saddle", "locked", "self-locked" or "numerical".
        state: the overlaps there.
        eigenvalues: [1/time] (m,) rates of the moving directions; those along a line are left out.
        method: how it was found, in words.
        assumptions: what is taken for granted, in words.

    Source:
        Derived by SymPy (papers.solvable.derivation) from the ODE of Wang, Hu, Lu (arXiv:1805.08349).
    """

    KEYS = ("stable", "method", "assumptions")

    kind: str
    state: State
    eigenvalues: np.ndarray
    method: str
    assumptions: tuple[str, ...]

    @property
    def growth(self) -> float:
        """Largest real part of the eigenvalues [1/time]."""
        return float(self.eigenvalues.real.max())

    @property
    def stable(self) -> bool:
        """Whether every moving direction decays."""
        return self.growth < 0

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        eigenvalues = [{"re": float(e.real), "im": float(e.imag)} for e in self.eigenvalues]
        return {"kind": self.kind, **json_ready(self.state), "eigenvalues": eigenvalues, **super().to_dict()}


# -- Jacobians ---------------------------------------------------------------------------------------------------


def directions(model: Solvable) -> np.ndarray:
    """(m, 2 d^2 + 2 d + 1) independent changes of State.pack: symmetric S counts once, conserved norms not at all."""
    d = model.d
    each = np.eye(2 * d * d + 2 * d + 1)
    S = each[d * d + 2 * d : -1].reshape(d, d, -1)
    i, j = np.triu_indices(d, k=int(model.hard))
    both = S[i, j] + S[j, i] * (i != j)[:, None]
    return np.concatenate([each[: d * d + 2 * d], both, each[len(each) - (not model.hard) :]])


def jacobian(model: Solvable, state: State) -> np.ndarray:
    """(m, m) Jacobian of the drift in the independent ``directions``, any d, f and latent law.

    Exact to rounding (complex step); central differences for profiles with |x| or cases.
    """
    d, y, moves = model.d, state.pack(), directions(model)
    if model.profile.expression.has(sp.Abs, sp.sign, sp.Piecewise, sp.Max, sp.Min):
        ahead, back = (drift(model, unpack(y + sign * DIFFERENCE * moves, d)).pack() for sign in (1, -1))
        rates = (ahead - back) / (2 * DIFFERENCE)
    else:
        rates = drift(model, unpack(y + 1j * STEP * moves, d)).pack().imag / STEP
    return rates[:, moves.argmax(1)].T


# -- fixed points of one feature -----------------------------------------------------------------------------------


def one_feature_parameters(model: Solvable) -> tuple[float, float, float]:
    """alpha = taut/tau, k = tau eta^2/Lambda, s = tau eta/2. Raises InputError where the closed forms do not hold."""
    require_linear(model)
    if model.d != 1 or model.L[0] != model.Lt[0] or model.eta_T != model.eta_G:
        raise InputError(
            "solvable", "have one feature, fake_Lambda = Lambda and fake_noise = noise for these closed forms"
        )
    eta = model.eta_T
    return model.taut / model.tau, model.tau * eta**2 / model.L[0], model.tau * eta / 2


def fixed_points(model: Solvable) -> tuple[FixedPoint, ...]:
    """Perfect, noninformative, and (one feature, Lambda~ = Lambda, equal noise) saddle and locked states that exist.

    More features: perfect P = I and noninformative P = 0; the rest of the line by ``line_eigenvalues`` and others by
    ``newton``. Each has its mirror image under w -> -w or V -> -V.

    Returns:
        The fixed points with their eigenvalues.

    Units:
        Overlaps are pure numbers, eigenvalues per unit of time, steps/n.

    Raises:
        InputError: a nonlinearity that is not f(x) = x, or a constraint that is not "hard".

    Source:
        Derived by SymPy (papers.solvable.derivation) from the ODE of Wang, Hu, Lu (arXiv:1805.08349).
    """
    d = model.d
    zero = np.zeros(d)
    about = ("nonlinearity f(x) = x", "hard constraint on the norms", "dimension n -> infinity")
    out = []
    for kind, P in (("perfect", np.eye(d)), ("noninformative", np.zeros((d, d)))):
        state = State(P, zero, zero, np.eye(d), np.array(1.0))
        out.append(FixedPoint(kind, state, line_eigenvalues(model, P), "closed form, 2 x 2 blocks", about))
    try:
        alpha, k, s = one_feature_parameters(model)
    except InputError:
        return tuple(out)
    rate = model.tau * model.L[0]
    one = (*about, "one feature, Lambda~ = Lambda, equal noise")
    if k < 1:
        q2 = (1 - k) / (1 + s)
        pair = np.array([1, -1]) * np.sqrt((alpha - 2) ** 2 / 4 + alpha * q2) + (alpha - 2) / 2
        values = np.array([-2 * (1 - k), *pair], dtype=complex) * rate
        out.append(FixedPoint("saddle", _one(0.0, np.sqrt(q2), 0.0), values, "closed form", one))
    for X in locked_overlaps(alpha, k, s):
        P, r = np.sqrt(max(1 - alpha * (1 - X), 0.0)), np.sqrt(X)
        values = np.roots(np.array(_locked_cubic()(alpha, k, s, X), dtype=float)) * rate
        out.append(FixedPoint("locked", _one(P, P * r, r), values, "roots of the closed-form cubic", one))
    if alpha > 1 + k:
        X = (alpha - 1 - k) / (alpha + s - 1)
        h = X * (1 - s) - k
        trace, det = 2 - alpha, -alpha * X * h  # 1 + h - alpha X = 2 - alpha at this X
        root = np.sqrt(complex(trace**2 / 4 - det))
        radial = -2 * X * (alpha + s - 1)
        values = np.array([radial, trace / 2 + root, trace / 2 - root]) * rate
        out.append(FixedPoint("self-locked", _one(0.0, 0.0, np.sqrt(X)), values, "closed form", one))
    return tuple(out)


def _one(P: float, q: float, r: float) -> State:
    return State(np.array([[P]]), np.array([q]), np.array([r]), np.eye(1), np.array(1.0))


def locked_overlaps(alpha: float, k: float, s: float) -> tuple[float, ...]:
    """X = r^2 of the locked states that exist (0 <= P^2 <= 1), the larger first; from ``locked_onset`` on."""
    a = alpha * (1 + s)
    square = (a - 2 * s) ** 2 - 4 * a * k
    if square < 0 or a <= 2 * s:
        return ()
    large = (a - 2 * s + np.sqrt(square)) / (2 * a)
    roots = (large, k / (a * large))
    return tuple(X for X in roots if 0 < X < 1 and alpha * (1 - X) <= 1)


def locked_onset(k: float, s: float) -> float:
    """The smallest alpha at which X has a solution: [2 (s + k) + 2 sqrt(k^2 + 2 s k)]/(1 + s)."""
    return float((2 * (s + k) + 2 * np.sqrt(k**2 + 2 * s * k)) / (1 + s))


@cache
def _locked_cubic() -> Callable[..., Any]:
    """Coefficients, highest power first, of the characteristic polynomial at q = P r, P^2 = 1 - alpha (1 - X), in units
    tau Lambda; from SymPy."""
    lam, X = sp.Symbol("lambda"), sp.Symbol("X", positive=True)
    P, q, r = derivation.ONE
    at = derivation.one_feature_jacobian().subs(q, P * r)
    polynomial = sp.Poly(sp.expand(at.charpoly(lam).as_expr()), lam)
    # only even powers of P and r occur: the sign of either is a symmetry
    p2 = 1 - derivation.alpha * (1 - X)
    even = [sp.expand(sp.expand(c).subs({P: sp.sqrt(p2), r: sp.sqrt(X)})) for c in polynomial.all_coeffs()]
    return sp.lambdify((derivation.alpha, derivation.k, derivation.sigma, X), even)


def newton(model: Solvable, guess: State, *, steps: int = 100) -> FixedPoint:
    """The fixed point near ``guess`` for any model, by Newton's method (least squares: lines of them are no obstacle).

    Returns:
        The fixed point with the eigenvalues of its moving directions.

    Units:
        Overlaps are pure numbers, eigenvalues per unit of time, steps/n.

    Raises:
        InputError: the iteration does not converge.

    Source:
        The ODE of Wang, Hu, Lu (arXiv:1805.08349), Jacobian by complex steps.
    """
    moves, d = directions(model), model.d
    y = guess.pack().astype(float)
    scale = max(model.tau * model.L.max(), model.taut * model.Lt.max())
    for _ in range(steps):
        matrix = jacobian(model, unpack(y, d))
        rate = drift(model, unpack(y, d)).pack()[moves.argmax(1)]
        if not np.all(np.isfinite(matrix)):
            break
        move = np.linalg.lstsq(matrix, -rate, rcond=1e-10)[0]
        y += move @ moves
        if np.abs(move).max() < 1e-13:
            break
    state = unpack(y, d)
    rate = drift(model, state).pack()
    if not np.abs(rate).max() < 1e-10 * scale:
        raise InputError("guess", "lie near a fixed point", f"drift {np.abs(rate).max():.3g} after {steps} steps")
    values = np.linalg.eigvals(jacobian(model, state))
    moving = values[np.abs(values) > ZERO * np.abs(values).max(initial=0.0)]
    return FixedPoint("numerical", state, moving, "Newton's method", ("dimension n -> infinity",))
