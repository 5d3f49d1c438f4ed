"""What a fit of modes leaves, and what that makes uncertain: noise, and terms of second order in the displacement.

The residual is taken as white noise of variance sigma^2 plus the second-order response: modes j and k drive mode i with
|s_i| a_j a_k exp((s_j + s_k) t) times a coefficient of unknown phase and of one size tau,

    cov(residual) = sigma^2 + tau^2 sum_i sum_jk |a_j a_k|^2 L_ijk L_ijk^H,
    L_ijk(t) = O_i |s_i| (exp((s_j + s_k) t) - exp(s_i t)) / (s_j + s_k - s_i)

sigma and tau follow from the energy left by the fit in the times that such products span, and beside them. Both parts
then go through the fit's own linear response to the exponents' errors. The second part is smooth in time, near
resonance with the modes themselves: taken for noise it would be underestimated several times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm
from scipy.stats import t as student

from .joint import GROWTH, Fit, Series

#: exponents, the largest, whose products drive the second order
DRIVING = 16
#: relative singular value to which the products' times are spanned, at most this part of all times
SPANNED, SHARE = 1e-3, 1 / 3
#: detuning, over the whole time, below which the response grows like t
RESONANT = 1e-6
#: standard deviations of the noise's energy above which what is left is more than noise
CLEAR = 5.0
#: chance at which runs of one distribution are said to differ by more than their errors
DIFFER = 0.005
#: the coefficients of the second order are not of one size: the largest matter more (analyses/comparison_calibration)
UNEVEN = 1.15
#: quantile at which the t distribution is compared with the normal
TWO_SIDED = 0.975


@dataclass(frozen=True)
class Scatter:
    """sigma2, tau2 as above, in the series's units; ``local``: variance per number in the times that second-order
    terms span; covariance (free, free) of the fit's free parameters; ``noise``, ``rest``: shares of the recorded energy
    that are noise, and neither noise nor the modes."""

    sigma2: float
    tau2: float
    local: float
    covariance: np.ndarray
    noise: float
    rest: float


def scatter(series: Series, fit: Fit, displacements: int, known: Scatter | None = None) -> Scatter:
    """Of a fit; the first ``displacements`` recorded numbers of each sample are the particles'. ``known``: take its
    sigma and tau."""
    T, n, runs, free = len(series.t), series.y.shape[2], len(series.y), len(fit.free)
    drive = _driven(series, fit, displacements)
    inside = _times(series.t, drive)
    residual = fit.residual.reshape(T, n * runs)
    left, within = float((residual**2).sum()), float(((inside.T @ residual) ** 2).sum())
    dof = max((T * n - fit.span.shape[1]) * runs - free, 1)
    dof_within = dof * inside.shape[1] / T
    sigma2 = (left - within) / max(dof - dof_within, 0.5)
    inverse = np.linalg.pinv(np.einsum("rqf,rqg->fg", fit.jacobian, fit.jacobian), hermitian=True)
    energy, taken = _through(series, fit, drive)
    energy_left = max(energy.sum() - np.trace(inverse @ taken.sum(0)), 1e-9 * energy.sum())
    tau2 = max(within - sigma2 * dof_within, 0.0) / energy_left if energy_left > 0 else 0.0
    # of few independent contributions the size is known badly: t quantiles
    number = energy.sum() ** 2 / max((energy**2).sum(), 1e-300)
    number = min(number, (inside.shape[1] * n - fit.span.shape[1]) * runs - free)
    tau2 *= (UNEVEN * few(max(number, 1.0))) ** 2
    if known is not None:
        sigma2, tau2 = known.sigma2, known.tau2
    covariance = sigma2 * inverse + tau2 * inverse @ taken.sum(0) @ inverse
    if free and runs > 1 and known is None:
        own = sigma2 * np.einsum("rqf,rqg->rfg", fit.jacobian, fit.jacobian) + tau2 * taken
        covariance = _between(fit, inverse, own, covariance)
    total, noise = float((series.y**2).sum()), min(sigma2 * dof, left)
    rest = max(within - sigma2 * (dof_within + CLEAR * np.sqrt(2 * dof_within)), 0.0)
    local = max(sigma2, within / max(dof_within, 1.0))
    return Scatter(sigma2, tau2, local, covariance, noise / total, rest / total)


@dataclass(frozen=True)
class Drive:
    """The second order's ingredients: ``sums`` (pair,) of the driving exponents, squared amplitudes ``weights`` (run,
    pair); exponents ``s`` (mode,) and shapes (n, mode) of the modes that respond, and how often each counts."""

    sums: np.ndarray
    weights: np.ndarray
    s: np.ndarray
    shapes: np.ndarray
    count: np.ndarray


def _times(t: np.ndarray, drive: Drive) -> np.ndarray:
    """(T, r) orthonormal functions of time that span the second-order terms."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        products = np.exp(np.outer(t, drive.sums)) * np.sqrt(drive.weights.mean(0))
        alone = np.exp(np.outer(t, drive.s) - np.maximum(drive.s.real, 0))
    products = np.where(np.isfinite(products), products, 0)
    products = products / np.maximum(np.linalg.norm(products, axis=0).max(), 1e-300)
    functions = np.concatenate([products.real, products.imag, alone.real, alone.imag], axis=1)
    u, sigma, _ = np.linalg.svd(functions, full_matrices=False)
    return u[:, : min(int((sigma > SPANNED * sigma[0]).sum()), int(SHARE * len(t)))]


def _through(series: Series, fit: Fit, drive: Drive) -> tuple[np.ndarray, np.ndarray]:
    """For tau = 1: the energy of each contribution (run, mode * pair) that no amplitudes take, and the second moment
    (run, free, free) of J^T (second order)."""
    T, n, runs = len(series.t), series.y.shape[2], len(series.y)
    span = np.tensordot(fit.span.reshape(T, n, -1), drive.shapes, (1, 0))  # (T, rank, mode)
    across = np.tensordot(fit.across.reshape(T, n, -1), drive.shapes, (1, 0))
    energy = np.empty((runs, len(drive.s), len(drive.sums)))
    taken = np.zeros((runs, len(fit.free), len(fit.free)))
    for i, (s, count) in enumerate(zip(drive.s, drive.count, strict=True)):
        L = _response(series.t, drive.sums, s)
        size = float((np.abs(drive.shapes[:, i]) ** 2).sum())
        left = size * (np.abs(L) ** 2).sum(0) - (np.abs(span[..., i].T @ L) ** 2).sum(0)
        energy[:, i] = count * drive.weights * np.maximum(left, 0.0)
        if len(fit.free):
            X = across[..., i].T @ L
            for r in range(runs):
                g = fit.jacobian[r].T @ (X * np.sqrt(count * drive.weights[r]))
                taken[r] += (g @ g.conj().T).real
    return energy.reshape(runs, -1), taken


def _driven(series: Series, fit: Fit, displacements: int) -> Drive:
    """From a fit's exponents and amplitudes."""
    exponents, sizes, shapes = [], [], []
    k = 0
    for i, unit in enumerate(series.units):
        a = fit.amplitudes[series.columns_of(i)]
        if unit.pair:
            m, d = fit.p[k], fit.p[k + 1]
            q = np.sqrt(complex(d))
            alpha, beta = a[: len(unit.plus)], a[len(unit.plus) :]
            floor = q if abs(q) > 1 else 1.0  # over one unit of time, closer exponents act as one
            parts = [(m + q, unit.plus + q * unit.minus, (alpha + beta / floor) / 2)]
            parts.append((m - q, unit.plus - q * unit.minus, (alpha - beta / floor) / 2))
        else:
            parts = [(complex(fit.p[k]), unit.plus.astype(complex), a)]
        for s, O, c in parts:
            exponents.append(s)
            sizes.append((np.abs(O[:, :displacements].T @ c) ** 2).sum(0))
            shapes.append(O.sum(0) / np.sqrt(len(O)))
        k += len(unit.predicted)
    s, a2 = np.array(exponents), np.array(sizes)
    s = np.minimum(s.real, GROWTH) + 1j * s.imag
    top = np.argsort(-a2.mean(1), kind="stable")[:DRIVING]
    one, other = np.triu_indices(len(top))
    responds = np.flatnonzero((np.abs(s) > 0) & (s.imag >= 0))
    shape = np.array([shapes[i] / max(np.linalg.norm(shapes[i]), 1e-300) for i in responds])
    shape = shape.reshape(len(responds), series.y.shape[2]).T
    count = np.where(s[responds].imag > 0, 2.0, 1.0)
    s_top, a_top = s[top], a2[top]
    return Drive(s_top[one] + s_top[other], (a_top[one] * a_top[other]).T, s[responds], shape, count)


def _response(t: np.ndarray, sums: np.ndarray, s: complex) -> np.ndarray:
    """(T, pair) response of a mode of exponent s to drives exp(sums t) of size |s|."""
    detuning = sums - s
    near = np.abs(detuning) < RESONANT
    safe = np.where(near, 1.0, detuning)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        L = (np.exp(np.outer(t, sums)) - np.exp(s * t)[:, None]) / safe
        L[:, near] = (t * np.exp(s * t))[:, None]
    return np.where(np.isfinite(L), L, 0)


def few(number: float) -> float:
    """What makes a standard error known from so many degrees of freedom one of a normal distribution, at 95 %."""
    return float(student.ppf(TWO_SIDED, number) / norm.ppf(TWO_SIDED))


def _between(fit: Fit, inverse: np.ndarray, own: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The covariance, widened where runs differ by more than their own errors ``own`` (run, free, free) say.

    A run's pull on a parameter is H^-1 J_r^T residual_r. Few runs know their scatter badly: t quantiles."""
    runs = len(own)
    pull = np.einsum("fg,rqg,qr->rf", inverse, fit.jacobian, fit.across.T @ fit.residual)
    expected = np.einsum("fg,rgh,hf->rf", inverse, own, inverse)
    ratio = (pull**2).sum(0) / np.maximum(expected.mean(0), 1e-300)
    widen = ratio / (runs - 1) * few(runs - 1) ** 2
    factor = np.sqrt(np.where(ratio > chi2.ppf(1 - DIFFER, runs - 1), np.maximum(widen, 1.0), 1.0))
    return covariance * np.outer(factor, factor)
