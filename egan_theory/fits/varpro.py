"""Variable projection for sums of exponentials: Y(t) ~ sum_i c_i exp(s_i t), amplitudes c eliminated.

For fixed exponents the best amplitudes are a linear least-squares solve, C = Phi^+ Y, so only the r exponents are
iterated (Golub & Pereyra 1973; as "optimized DMD": Askham & Kutz 2018). The Jacobian is Kaufman's
J_k = -(1 - Phi Phi^+) (d Phi / d p_k) C, whose Gram matrix is the Schur complement of the full problem: its inverse
times the noise variance is the covariance of the exponents with the amplitudes marginalized.

Real signals are parametrized by real quadratic blocks with roots m +- sqrt(d) and the basis

    phi_0 = e^{mt} cosh(sqrt(d) t),    phi_1 = e^{mt} sinh(sqrt(d) t) / sqrt(d),

entire in (m, d): conjugate symmetry is exact and a pair passes smoothly through coalescence (critical damping).

All times here are scaled: t starts at 0 and the longest run ends at 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import factorial
from typing import Any

import numpy as np
import scipy.linalg
from numpy.linalg import LinAlgError

SERIES_BELOW = 0.5  # |d t^2| under which the cosh/sinh quotients lose digits and their series do not
RANK_TOL = 1e-14  # relative singular value under which basis columns count as dependent
LARGEST = 1e6  # largest exponent over the whole time: beyond, a mode is gone, or has grown past all numbers
STALL = 1e-13  # relative decrease of the cost that ends the iteration
MAX_JACKKNIFE = 20  # more runs than this are deleted in groups

_S = [1 / factorial(2 * k + 1) for k in range(8)]
_DS = [(k + 1) / factorial(2 * k + 3) for k in range(8)]


@dataclass(frozen=True)
class Layout:
    """How a parameter vector encodes exponents: ``pairs`` blocks (m, d), then ``singles`` plain exponents."""

    pairs: int
    singles: int

    @classmethod
    def of(cls, rank: int, real: bool) -> Layout:
        return cls(rank // 2, rank % 2) if real else cls(0, rank)

    def exponents(self, p: np.ndarray) -> np.ndarray:
        """Scaled exponents (r,) complex; block j gives entries 2j and 2j + 1."""
        m, d = p[0 : 2 * self.pairs : 2], p[1 : 2 * self.pairs : 2]
        q = np.sqrt(d.astype(complex))
        return np.concatenate([np.stack([m + q, m - q], axis=1).ravel(), p[2 * self.pairs :].astype(complex)])

    def stderr(self, p: np.ndarray, cov: np.ndarray) -> np.ndarray:
        """Standard errors (r,) of Re s + 1j Im s from the covariance of the (Re, Im)-stacked parameters.

        The error of sqrt(d) is that of the interval d +- sigma_d, which agrees with the delta method where
        sigma_d << |d| and stays finite at coalescence, where the interval reaches both real and complex pairs.
        """
        sd = np.sqrt(np.maximum(np.diag(cov), 0))
        out = np.zeros(p.size, dtype=complex)
        for j in range(self.pairs):
            m, d = 2 * j, 2 * j + 1
            size, sig = abs(p[d]), sd[d]
            along = max(np.sqrt(size + sig) - np.sqrt(size), np.sqrt(size) - np.sqrt(max(size - sig, 0.0)))
            across = np.sqrt(max(sig - size, 0.0))
            if p[d] < 0:
                out[[m, d]] = np.hypot(sd[m], across) + 1j * along
            else:
                rho = np.clip(cov[m, d] / (sd[m] * sig), -1, 1) if sd[m] * sig > 0 else 0.0
                for k, sign in ((m, 1), (d, -1)):
                    out[k] = np.sqrt(sd[m] ** 2 + along**2 + 2 * sign * rho * sd[m] * along) + 1j * across
        for i in range(2 * self.pairs, p.size):
            out[i] = sd[i] + (1j * sd[i + p.size] if cov.shape[0] > p.size else 0)
        return out


def basis(p: np.ndarray, layout: Layout, t: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, np.ndarray]]]:
    """Columns Phi (time, r), and for each parameter the columns it moves with their derivative.

    Growing columns are divided by their final size against overflow; a column's scale changes neither the projection
    nor, its derivative lying in the span of Phi, the Jacobian.
    """
    phi = np.empty((t.size, p.size), dtype=p.dtype)
    moves: list[tuple[slice, np.ndarray]] = []
    for j in range(0, 2 * layout.pairs, 2):
        m, d = p[j], p[j + 1]
        q = np.sqrt(complex(d))
        shift = max(0.0, (m + q.real) * t[-1])
        with np.errstate(under="ignore"):
            up, down = np.exp((m + q) * t - shift), np.exp((m - q) * t - shift)
            e = np.exp(m * t - shift)
        x = d * t * t
        near = np.abs(x) < SERIES_BELOW
        c = 0.5 * (up + down).real
        safe = np.where(near, 1.0, x)
        xs = np.where(near, x, 0.0)
        s = np.where(near, e * t * np.polyval(_S[::-1], xs), (0.5 * (up - down) / (q if q else 1.0)).real)
        ds = np.where(near, e * t**3 * np.polyval(_DS[::-1], xs), t * t * (t * c - s) / (2 * safe))
        phi[:, j], phi[:, j + 1] = c, s
        cols = slice(j, j + 2)
        moves += [(cols, np.stack([t * c, t * s], axis=1)), (cols, np.stack([0.5 * t * s, ds], axis=1))]
    for j in range(2 * layout.pairs, p.size):
        with np.errstate(under="ignore"):
            phi[:, j] = np.exp(p[j] * t - max(0.0, p[j].real * t[-1]))
        moves.append((slice(j, j + 1), (t * phi[:, j])[:, None]))
    return phi, moves


@dataclass(frozen=True)
class Group:
    """Runs that share their sample times: t (time,), y (time, column), and the column count before compression."""

    t: np.ndarray
    y: np.ndarray
    columns: int


def groups_of(t: np.ndarray, runs: list[np.ndarray], keep: np.ndarray | None = None) -> list[Group]:
    """Collect runs (time_i, channel), each a prefix of t, by length; ``keep`` restricts to these sample indices.

    More columns than samples are rotated onto their left singular vectors, which changes no residual norm.
    """
    groups = []
    for n in sorted({len(y) for y in runs}):
        y = np.concatenate([x for x in runs if len(x) == n], axis=1)
        index = np.arange(n) if keep is None else keep[keep < n]
        y, columns = y[index], y.shape[1]
        if columns > len(index) > 0:
            u, s, _ = np.linalg.svd(y, full_matrices=False)
            y = u * s
        groups.append(Group(t[index], y, columns))
    return groups


def project(p: np.ndarray, layout: Layout, groups: list[Group], jacobian: bool = True):
    """Residual y - Phi C per group and, if asked, Kaufman's Jacobian (sample * column, r)."""
    residuals, rows = [], []
    for g in groups:
        phi, moves = basis(p, layout, g.t)
        norm = np.linalg.norm(phi, axis=0)
        norm[norm == 0] = 1.0
        u, s, vh = np.linalg.svd(phi / norm, full_matrices=False)
        ok = s > RANK_TOL * s[0]
        u, s, vh = u[:, ok], s[ok], vh[ok]
        uy = u.conj().T @ g.y
        # Twice is enough: the second pass removes the rounding that the first leaves along u.
        r = g.y - u @ uy
        residuals.append(r - u @ (u.conj().T @ r))
        if jacobian:
            c = (vh.conj().T @ (uy / s[:, None])) / norm[:, None]
            jac = np.empty((r.size, p.size), dtype=np.result_type(r, p))
            for k, (cols, dphi) in enumerate(moves):
                jac[:, k] = -((dphi - u @ (u.conj().T @ dphi)) @ c[cols]).ravel()
            rows.append(jac)
    return residuals, (np.concatenate(rows) if jacobian else None)


def cost_of(residuals: list[np.ndarray]) -> float:
    return float(sum(np.vdot(r, r).real for r in residuals))


@dataclass(frozen=True)
class Solution:
    """Exponents at parameters p with the best amplitudes; whether the iteration that led there settled."""

    p: np.ndarray
    layout: Layout
    groups: list[Group]
    converged: bool = True

    @cached_property
    def residuals(self) -> list[np.ndarray]:
        return project(self.p, self.layout, self.groups, jacobian=False)[0]

    @cached_property
    def jacobian(self) -> np.ndarray:
        return project(self.p, self.layout, self.groups)[1]

    @cached_property
    def cost(self) -> float:
        """Squared residual norm."""
        return cost_of(self.residuals)


def solve(
    p: np.ndarray, layout: Layout, groups: list[Group], max_iter: int = 100, free: np.ndarray | None = None
) -> Solution:
    """Levenberg-Marquardt from p; ``free`` selects the parameters that move. Raises LinAlgError if p is hopeless."""
    free = np.arange(p.size) if free is None else free
    first = Solution(p, layout, groups)
    if not np.isfinite(first.cost):
        raise LinAlgError("start gives no finite residual")

    def system(sol: Solution) -> tuple[np.ndarray, np.ndarray]:
        # One QR serves every damping tried: R and Q^H r carry all that the step needs.
        residual = np.concatenate([r.ravel() for r in sol.residuals])
        rr = scipy.linalg.qr(np.column_stack([sol.jacobian[:, free], residual]), mode="economic")[1]
        return rr[: free.size, : free.size], rr[: free.size, -1]

    def at(trial: np.ndarray) -> Solution | None:
        allowed = np.isfinite(trial).all() and np.abs(layout.exponents(trial)).max(initial=0) < LARGEST
        return Solution(trial, layout, groups) if allowed else None

    total = cost_of([g.y for g in groups])
    sol, converged = descend(first, free, system, at, total, steps=max_iter, dampings=25, factor=5.0, stall=STALL)
    return sol if converged else replace(sol, converged=False)


def descend(
    fit: Any, free: np.ndarray, system: Callable, at: Callable, total: float, *,
    steps: int, dampings: int, factor: float, stall: float,
) -> tuple[Any, bool]:  # fmt: skip
    """Levenberg-Marquardt in the parameters ``free`` from a fit, with p and cost: (fit, whether it settled).

    system(fit): (J, r) with cost |r + J dp|^2 to first order, but for a constant; at(p): the fit there, None where that
    is not allowed; total: the cost of no fit at all. It settles where a step lowers the cost by at most ``stall`` of
    it, or where none of the ``dampings`` tried, each ``factor`` times the last, lowers it: no descent left at rounding.
    """
    damping = 1e-3
    for _ in range(steps):
        J, r = system(fit)
        scale = np.linalg.norm(J, axis=0)
        scale[scale == 0] = 1.0
        better = None
        for _ in range(dampings):
            a = np.concatenate([J / scale, np.sqrt(damping) * np.eye(len(scale))])
            step = -np.linalg.lstsq(a, np.concatenate([r, np.zeros(len(scale), r.dtype)]), rcond=None)[0] / scale
            trial = fit.p.copy()
            trial[free] += step
            found = at(trial)
            if found is not None and found.cost < fit.cost:
                better = found
                break
            if np.all(np.abs(step) <= 1e-15 * np.abs(fit.p[free])):
                break
            damping = max(damping, 1e-12) * factor
        if better is None:
            return fit, True
        gain, fit, damping = fit.cost - better.cost, better, damping / factor
        if gain <= stall * fit.cost or fit.cost <= 1e-31 * total:
            return fit, True
    return fit, False


def degrees_of_freedom(rank: int, groups: list[Group]) -> int:
    """Samples less amplitudes less exponents."""
    return sum((g.t.size - rank) * g.columns for g in groups) - rank


def stack(p: np.ndarray) -> np.ndarray:
    """Parameters as real numbers: themselves, or (Re, Im) stacked."""
    return np.concatenate([p.real, p.imag]) if np.iscomplexobj(p) else p


def covariance(sol: Solution) -> np.ndarray:
    """Covariance of ``stack(p)`` from the residuals: sigma^2 f (J^H J)^-1.

    f = 1 + 2 sum_k rho_k, summed over lags up to the first whose autocorrelation is not significant, widens the error
    where the misfit is smooth in time (model error) and the samples are not independent.
    """
    jac = sol.jacobian
    scale = np.linalg.norm(jac, axis=0)
    scale[scale == 0] = 1.0
    inv = np.linalg.pinv((jac / scale).conj().T @ (jac / scale), hermitian=True) / np.outer(scale, scale)
    var = sol.cost / max(degrees_of_freedom(sol.p.size, sol.groups), 1) * correlation_factor(sol.residuals)
    if not np.iscomplexobj(sol.p):
        return var * inv
    return 0.5 * var * np.block([[inv.real, -inv.imag], [inv.imag, inv.real]])


def correlation_factor(residuals: list[np.ndarray]) -> float:
    """1 + 2 sum of significant leading autocorrelations along time, at least 1."""
    total, count = cost_of(residuals), sum(r.size for r in residuals)
    factor = 1.0
    for lag in range(1, max(r.shape[0] for r in residuals) // 2):
        rho = sum(np.vdot(r[:-lag], r[lag:]).real for r in residuals if r.shape[0] > lag) / max(total, 1e-300)
        if rho <= 2 / np.sqrt(count):
            break
        factor += 2 * rho
    return factor


def jackknife(sol: Solution, t: np.ndarray, runs: list[np.ndarray], free: np.ndarray | None = None) -> np.ndarray:
    """Delete-one-run covariance of ``stack(p)``, (G - 1)/G sum_g (p_g - mean)^2; delete-a-group beyond 20 runs."""
    parts = np.array_split(np.arange(len(runs)), min(len(runs), MAX_JACKKNIFE))
    ps = []
    for part in parts:
        rest = [y for i, y in enumerate(runs) if i not in set(part.tolist())]
        ps.append(stack(solve(sol.p, sol.layout, groups_of(t, rest), 30, free).p))
    dev = np.array(ps) - np.mean(ps, axis=0)
    return (len(parts) - 1) / len(parts) * dev.T @ dev
