"""Fixed points of the macroscopic ODE, their Jacobians and the boundaries where stability changes.

Every (P, S) with q = r = 0 is a fixed point. Only (q, r) move to first order, by the block

    [ tau (Lambda - xi)    -tau P Lambda~                       ]
    [ tau P^T Lambda        taut Lambda~ - tau (S Lambda~ + xi) ]         xi = tau (eta_T^2 + eta_G^2) / 2

(f(x) = x, hard constraint). Where each true feature overlaps with at most one generated one and S = I the block falls
into 2 x 2 blocks, whose eigenvalues are closed forms at any d. One feature with Lambda~ = Lambda and equal noise has
three more kinds of fixed points; in units 1/(tau Lambda), alpha = taut/tau, k = tau eta^2/Lambda, s = tau eta/2:

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
from scipy.linalg import solve_continuous_lyapunov

from ...errors import InputError
from . import derivation
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
class FixedPoint:
    """One fixed point: kind, state, eigenvalues (1/time) of the moving directions; those along a line are left out."""

    kind: str
    state: State
    eigenvalues: np.ndarray
    method: str
    assumptions: tuple[str, ...]

    @property
    def growth(self) -> float:
        """Largest real part of the eigenvalues."""
        return float(self.eigenvalues.real.max())

    @property
    def stable(self) -> bool:
        return self.growth < 0

    def to_dict(self) -> dict[str, Any]:
        """The --json form."""
        return {
            "kind": self.kind,
            **{name: np.asarray(value).tolist() for name, value in self.state._asdict().items()},
            "eigenvalues": [{"re": float(e.real), "im": float(e.imag)} for e in self.eigenvalues],
            "stable": self.stable,
            "method": self.method,
            "assumptions": list(self.assumptions),
        }


# -- Jacobians ---------------------------------------------------------------------------------------------------


def coordinates(model: Solvable) -> list[tuple[int, ...]]:
    """Independent coordinates, as positions in State.pack: symmetric S counts once, conserved norms not at all."""
    d = model.d
    at = d * d + 2 * d
    out: list[tuple[int, ...]] = [(i,) for i in range(at)]
    for i in range(d):
        for j in range(i, d):
            if i != j:
                out.append((at + i * d + j, at + j * d + i))
            elif not model.hard:
                out.append((at + i * d + i,))
    return out if model.hard else [*out, (at + d * d,)]


def jacobian(model: Solvable, state: State) -> np.ndarray:
    """(m, m) Jacobian of the drift in the independent ``coordinates``, any d, f and latent law.

    Exact to rounding (complex step); central differences for profiles with |x| or cases.
    """
    d, y = model.d, state.pack()
    where = coordinates(model)
    directions = np.zeros((len(where), len(y)))
    for row, places in zip(directions, where, strict=True):
        row[list(places)] = 1.0
    first = [places[0] for places in where]
    if model.profile.expression.has(sp.Abs, sp.sign, sp.Piecewise, sp.Max, sp.Min):
        ahead, back = (drift(model, unpack(y + sign * DIFFERENCE * directions, d)).pack() for sign in (1, -1))
        rates = (ahead - back) / (2 * DIFFERENCE)
    else:
        rates = drift(model, unpack(y + 1j * STEP * directions, d)).pack().imag / STEP
    return rates[:, first].T


def line_block(model: Solvable, P: np.ndarray, S: np.ndarray | None = None) -> np.ndarray:
    """(2d, 2d) Jacobian of (q, r) at q = r = 0, z = 1: the block above.

    Raises InputError unless f(x) = x with the hard constraint.
    """
    _require_linear(model)
    P = np.asarray(P, dtype=float)
    S = np.eye(model.d) if S is None else np.asarray(S, dtype=float)
    xi, one = forgetting(model), np.eye(model.d)
    L, Lt = np.diag(model.L), np.diag(model.Lt)
    return np.block(
        [
            [model.tau * (L - xi * one), -model.tau * P @ Lt],
            [model.tau * P.T @ L, model.taut * Lt - model.tau * (S @ Lt + xi * one)],
        ]
    )


def line_drift(model: Solvable, P: np.ndarray, S: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(d, d) drift <dP/dt> and diffusion constant of P on the stable part of the line at finite ``model.n``.

        drift = taut ( <q r^T> Lambda~ - P diag <r_l Lambda~_l r_l> )
        diffusion_lm = (taut Lambda~_m)^2 ( <q_l q_l> <r_m r_m> + <q_l r_m>^2 ) / (2 rho)

    with the stationary fluctuations C = <(q, r)(q, r)^T>, J C + C J^T + (tau^2/n)(eta_T^2 + eta_G^2) G = 0, J the block
    of the line, rho its slowest decay rate, G the Gram matrix of (U, V). In a time T, P moves by drift T +-
    sqrt(2 diffusion T); the ODE does not move there. First orders, 1/n and 1/n^2; the diffusion is an estimate (one
    correlation time for all).
    Raises InputError where the line is not stable, unless f(x) = x, hard.
    """
    d, P = model.d, np.asarray(P, dtype=float)
    S = np.eye(d) if S is None else np.asarray(S, dtype=float)
    J = line_block(model, P, S)
    rho = -float(np.linalg.eigvals(J).real.max())
    if rho <= 0:
        raise InputError("P", "be a stable point of the line", P.tolist())
    G = np.block([[np.eye(d), P], [P.T, S]])
    C = solve_continuous_lyapunov(J, -(model.tau**2) * (model.eta_T**2 + model.eta_G**2) / model.n * G)
    qq, qr, rr = np.diag(C)[:d], C[:d, d:], np.diag(C)[d:]
    variance = qq[:, None] * rr + qr**2
    return model.taut * (qr - P * rr) * model.Lt, (model.taut * model.Lt) ** 2 * variance / (2 * rho)


def forgetting(model: Solvable) -> float:
    """xi = tau (eta_T^2 + eta_G^2)/2: single samples make the discriminator forget at the rate tau xi."""
    return model.tau * (model.eta_T**2 + model.eta_G**2) / 2


def pair_eigenvalues(model: Solvable, feature: int, fake: int, overlap: Any) -> np.ndarray:
    """(..., 2) eigenvalues (1/time) of the 2 x 2 block of one true and one generated feature with that overlap."""
    _require_linear(model)
    trace, det = pair_trace(model, feature, fake), pair_determinant(model, feature, fake, np.asarray(overlap))
    root = np.sqrt(np.asarray(trace**2 / 4 - det, dtype=complex))
    # the smaller root from the product: trace/2 and the root may cancel
    large = trace / 2 + np.where(trace >= 0, 1, -1) * root
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.where(large != 0, det / large, 0.0)
    return np.stack([large, small], axis=-1)


def pair_trace(model: Solvable, feature: int, fake: int) -> float:
    """tau (Lambda_l - Lambda~_m) + taut Lambda~_m - 2 tau xi; the same for every overlap."""
    L, Lt = model.L[feature], model.Lt[fake]
    return float(model.tau * (L - Lt) + model.taut * Lt - 2 * model.tau * forgetting(model))


def pair_determinant(model: Solvable, feature: int, fake: int, overlap: Any) -> Any:
    L, Lt, xi, tau = model.L[feature], model.Lt[fake], forgetting(model), model.tau
    return tau * (L - xi) * (model.taut * Lt - tau * (Lt + xi)) + tau**2 * L * Lt * overlap**2


def line_eigenvalues(model: Solvable, P: np.ndarray) -> np.ndarray:
    """(2d,) closed-form eigenvalues at q = r = 0, S = I, where no row or column of P has two entries other than 0.

    Covers the perfect state P = +-I and its permutations, the noninformative one P = 0, and everything between.
    """
    P = np.asarray(P, dtype=float)
    used = P != 0
    if used.sum(0).max() > 1 or used.sum(1).max() > 1:
        raise InputError("P", "have at most one entry other than 0 in each row and column for closed forms", P.tolist())
    partner = np.full(model.d, -1)
    partner[np.nonzero(used)[0]] = np.nonzero(used)[1]
    free = iter(sorted(set(range(model.d)) - set(partner[partner >= 0].tolist())))
    pairs = [(i, int(m) if m >= 0 else next(free)) for i, m in enumerate(partner)]
    return np.concatenate([pair_eigenvalues(model, i, m, P[i, m]) for i, m in pairs])


@cache
def _quartic() -> Callable[..., Any]:
    """Coefficients of the characteristic polynomial of the line's block, d = 2, S = I, over tau^4; from SymPy."""
    s = derivation.symbols(2)
    lam = sp.Symbol("lambda")
    block = derivation.line_block(2).subs(s.S[0, 1], 0)
    coefficients = sp.Poly(block.charpoly(lam).as_expr(), lam).all_coeffs()
    arguments = (*s.P, *s.L, *s.Lt, derivation.tau, derivation.taut, derivation.eta_T, derivation.eta_G)
    return sp.lambdify(arguments, coefficients)


def two_feature_polynomial(model: Solvable, P: np.ndarray) -> np.ndarray:
    """(5,) characteristic polynomial at q = r = 0, S = I for two features and any P, highest power first."""
    _require_linear(model)
    if model.d != 2:
        raise InputError("solvable.Lambda", "have 2 entries", model.Lambda)
    args = (*np.ravel(P), *model.L, *model.Lt, model.tau, model.taut, model.eta_T, model.eta_G)
    return np.array(_quartic()(*args), dtype=float)


# -- fixed points of one feature -----------------------------------------------------------------------------------


def one_feature_parameters(model: Solvable) -> tuple[float, float, float]:
    """alpha = taut/tau, k = tau eta^2/Lambda, s = tau eta/2. Raises InputError where the closed forms do not hold."""
    _require_linear(model)
    if model.d != 1 or model.L[0] != model.Lt[0] or model.eta_T != model.eta_G:
        raise InputError(
            "solvable", "have one feature, fake_Lambda = Lambda and fake_noise = noise for these closed forms"
        )
    eta = model.eta_T
    return model.taut / model.tau, model.tau * eta**2 / model.L[0], model.tau * eta / 2


def fixed_points(model: Solvable) -> tuple[FixedPoint, ...]:
    """Perfect, noninformative, and (one feature, Lambda~ = Lambda, equal noise) saddle and locked states that exist.

    More features: perfect P = I and noninformative P = 0; the rest of the line by ``line_eigenvalues`` and others by
    ``newton``. Each has its mirror image under w -> -w or V -> -V. Raises InputError unless f(x) = x, hard.
    """
    d = model.d
    zero = np.zeros(d)
    about = ("f(x) = x", "hard constraint", "n -> infinity")
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
        values = np.roots(locked_polynomial(alpha, k, s, X)) * rate
        out.append(FixedPoint("locked", _one(P, P * r, r), values, "roots of the closed-form cubic", one))
    fed = self_locked_overlap(alpha, k, s)
    if fed is not None:
        X = fed
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


def self_locked_overlap(alpha: float, k: float, s: float) -> float | None:
    """X = r^2 of the state in which generator and discriminator hold each other far from the data; None: no such."""
    if alpha <= 1 + k:
        return None
    return (alpha - 1 - k) / (alpha + s - 1)


@cache
def _locked_cubic() -> Callable[..., Any]:
    """Characteristic polynomial at q = P r, with P^2 = 1 - alpha (1 - X) put in; from SymPy."""
    lam, X = sp.Symbol("lambda"), sp.Symbol("X", positive=True)
    P, q, r = derivation.ONE
    at = derivation.one_feature_jacobian().subs(q, P * r)
    polynomial = sp.Poly(sp.expand(at.charpoly(lam).as_expr()), lam)
    # only even powers of P and r occur: the sign of either is a symmetry
    p2 = 1 - derivation.alpha * (1 - X)
    even = [sp.expand(sp.expand(c).subs({P: sp.sqrt(p2), r: sp.sqrt(X)})) for c in polynomial.all_coeffs()]
    return sp.lambdify((derivation.alpha, derivation.k, derivation.sigma, X), even)


def locked_polynomial(alpha: float, k: float, s: float, X: float) -> np.ndarray:
    """(4,) characteristic polynomial of the locked state with r^2 = X in units tau Lambda, highest power first."""
    return np.array(_locked_cubic()(alpha, k, s, X), dtype=float)


def newton(model: Solvable, guess: State, *, steps: int = 100) -> FixedPoint:
    """The fixed point near ``guess`` for any model, by Newton's method (least squares: lines of them are no obstacle).

    Raises InputError when the iteration does not converge.
    """
    where, d = coordinates(model), model.d
    first = [places[0] for places in where]
    y = guess.pack().astype(float)
    scale = max(model.tau * model.L.max(), model.taut * model.Lt.max())
    for _ in range(steps):
        matrix = jacobian(model, unpack(y, d))
        rate = drift(model, unpack(y, d)).pack()[first]
        if not np.all(np.isfinite(matrix)):
            break
        move = np.linalg.lstsq(matrix, -rate, rcond=1e-10)[0]
        for places, change in zip(where, move, strict=True):
            y[list(places)] += change
        if np.abs(move).max() < 1e-13:
            break
    state = unpack(y, d)
    rate = drift(model, state).pack()
    if not np.abs(rate).max() < 1e-10 * scale:
        raise InputError("guess", "lie near a fixed point", f"drift {np.abs(rate).max():.3g} after {steps} steps")
    values = np.linalg.eigvals(jacobian(model, state))
    moving = values[np.abs(values) > ZERO * np.abs(values).max(initial=0.0)]
    return FixedPoint("numerical", state, moving, "Newton, complex-step Jacobian", ("n -> infinity",))


# -- boundaries ---------------------------------------------------------------------------------------------------


def success_ratio(model: Solvable) -> float:
    """alpha = taut/tau above which the perfect state P = I oscillates: min over l of 2 xi/L~_l + 1 - L_l/L~_l.

    Equal Lambda and noise: taut = 2 tau^2 eta^2 / Lambda_1. A determinant may be lost first only where Lambda~ differs.
    """
    _require_linear(model)
    return float(((2 * forgetting(model) - model.L) / model.Lt + 1).min())


def learnable(model: Solvable) -> np.ndarray:
    """(d,) whether the discriminator can hold feature l against forgetting: xi < Lambda_l (eta^2 < Lambda_l/tau)."""
    _require_linear(model)
    return forgetting(model) < model.L


def trace_ratio(model: Solvable) -> float:
    """alpha above which no P at all is stable: the trace 2 tau d xi is then outweighed, whatever the rotation."""
    _require_linear(model)
    total = model.Lt.sum()
    return float((2 * model.d * forgetting(model) - model.L.sum()) / total + 1)


def trace_boundary(
    margin: Callable[[float, float], float],
    start: tuple[float, float],
    box: tuple[float, float, float, float],
    *,
    step: float = 0.02,
    points: int = 400,
) -> np.ndarray:
    """(m, 2) points of the curve margin(x, y) = 0 through (near) ``start``, by pseudo-arclength continuation.

    ``box``: x and y limits, (x0, x1, y0, y1); lengths are measured in its sides, ``step`` too. The curve is followed
    both ways until it leaves the box, closes or the margin is not finite. Raises InputError if no zero is near.
    """
    low = np.array([box[0], box[2]], dtype=float)
    size = np.array([box[1] - box[0], box[3] - box[2]], dtype=float)

    def value(u: np.ndarray) -> float:
        return float(margin(*(low + size * u)))

    def gradient(u: np.ndarray) -> np.ndarray:
        shift = 1e-6 * np.eye(2)
        return np.array([(value(u + e) - value(u - e)) / 2e-6 for e in shift])

    def corrected(u: np.ndarray) -> np.ndarray | None:
        for _ in range(20):
            f, g = value(u), gradient(u)
            if not (np.isfinite(f) and np.all(np.isfinite(g)) and g @ g > 0):
                return None
            move = -f * g / (g @ g)
            u = u + move
            if np.linalg.norm(move) < 1e-10:
                return u
        return None

    first = corrected((np.array(start) - low) / size)
    if first is None:
        raise InputError("start", "lie near a zero of the margin", start)
    halves = []
    for sense in (1.0, -1.0):
        path: list[np.ndarray] = []
        u, length = first, step
        while len(path) < points and length > step / 64:
            g = gradient(u)
            tangent = np.array([-g[1], g[0]]) / np.linalg.norm(g)
            tangent *= sense  # the gradient turns with the curve: no reversals
            following = corrected(u + length * tangent)
            if following is None or np.linalg.norm(following - u) > 2 * length:
                length /= 2
                continue
            if np.any(following < 0) or np.any(following > 1):
                if length < step / 8:
                    break
                length /= 2
                continue
            u, length = following, step
            path.append(u)
            if len(path) > 3 and np.linalg.norm(u - first) < step / 2:
                break
        halves.append(path)
    return low + size * np.array([*halves[1][::-1], first, *halves[0]])


def _require_linear(model: Solvable) -> None:
    if not model.linear:
        raise InputError("solvable.nonlinearity", "be 'identity' for closed forms", repr(model.nonlinearity))
    if not model.hard:
        raise InputError("solvable.constraint", "be 'hard' for closed forms", repr(model.constraint))
