"""The microscopic SDE: single weights in the limit n -> infinity, driven by the macroscopic state.

Rows u_i, v_i of sqrt(n) U, sqrt(n) V and entries w_i of sqrt(n) w obey, independently of each other at given G(t),

    dw_i = tau [ u_i.g - v_i.g~ + h w_i ] dt + tau sqrt(b) dB_i,     dv_i = taut [ w_i g~ - D v_i ] dt,     du_i = 0

(Wang, Hu, Lu, arXiv:1805.08349), with g, g~, h, D, b of the macroscopic ODE (``ode``). For the row vector
x_i = (u_i, v_i, w_i) this is dx = x M dt + tau sqrt(b) e_w dB: linear, so that between two samples

    x(t1) = x(t0) Phi + xi,  xi ~ N(0, Sigma),  dPhi/dt = Phi M,  dSigma/dt = M^T Sigma + Sigma M + tau^2 b e_w e_w^T

from Phi = I, Sigma = 0 is exact, without a time step. The Gram matrix of the rows, G = <x^T x>, obeys the equation of
Sigma from its start: that is the macroscopic ODE.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.integrate import solve_ivp

from ...base.dataset import shown
from ...base.errors import InputError
from ...base.signals import recorded
from ...base.terminal import check_memory
from .model import Solvable
from .ode import forces
from .records import Progress, random_stream, state_dataset, with_weights
from .state import gram, gram_root, gram_state

#: first number of the random streams
STREAM = 3
#: tolerances of the integrator of Phi, Sigma and G between samples
RTOL, ATOL = 1e-10, 1e-12
#: single weights are recorded up to so many numbers
KEPT = 5_000_000
#: overlaps beyond this have diverged
BEYOND = 1e6
METHOD = "microscopic SDE, exact Gaussian transitions between samples"


def generator_matrix(model: Solvable, G: np.ndarray) -> tuple[np.ndarray, float]:
    """(M (2d+1, 2d+1), tau^2 b) of the rows (u_i, v_i, w_i) at a Gram matrix G of (U, V, w)."""
    d, tau, taut = model.d, model.tau, model.taut
    now = forces(model, gram_state(G))
    M = np.zeros_like(G)
    fakes = np.arange(d, 2 * d)
    M[:d, -1], M[fakes, -1] = tau * now.real.g, -tau * now.fake.g
    M[-1, -1] = tau * now.h
    M[-1, fakes] = taut * now.fake.g
    M[fakes, fakes] = -taut * now.D
    return M, float(tau**2 * now.b)


def transition(model: Solvable, G: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(G, Phi, Sigma) after a time ``length`` from the Gram matrix G. NaN where the state diverges."""
    D = len(G)
    if not np.all(np.isfinite(G)):
        return tuple(np.full((3, D, D), np.nan))  # type: ignore[return-value]

    def right(_: float, y: np.ndarray) -> np.ndarray:
        now, phi, sigma = y.reshape(3, D, D)
        M, noise = generator_matrix(model, now)
        out = np.stack([M.T @ now + now @ M, phi @ M, M.T @ sigma + sigma @ M])
        out[0, -1, -1] += noise
        out[2, -1, -1] += noise
        return out.ravel()

    def escape(_: float, y: np.ndarray) -> float:
        return float(BEYOND - np.abs(y[: D * D]).max())

    escape.terminal = True  # type: ignore[attr-defined]
    start = np.concatenate([G.ravel(), np.eye(D).ravel(), np.zeros(D * D)])
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging course is a result
        out = solve_ivp(right, (0.0, length), start, "LSODA", rtol=RTOL, atol=ATOL, events=escape)
    if out.status != 0:
        return tuple(np.full((3, D, D), np.nan))  # type: ignore[return-value]
    now, phi, sigma = out.y[:, -1].reshape(3, D, D)
    return now, phi, (sigma + sigma.T) / 2


@shown
def simulate_sde(
    model: Solvable,
    weights: int = 10_000,
    progress: Progress | None = None,
    *,
    start: np.ndarray | None = None,
) -> xr.Dataset:
    """An ensemble of single weights, ``model.runs`` times, at ``model.times``.

    Overlaps are second moments of the ensemble, which scatter about the ODE by O(weights^-1/2). attrs: method, weights,
    status.

    Args:
        weights: rows of an ensemble.
        start: rows (u_i, v_i, w_i) to begin every run from; default N(0, G(0)) for each, the limit of vectors in random
            position.

    Returns:
        A Dataset of the shared form, with the rows themselves: the first ones where all would be too many numbers.

    Shapes:
        start (weights, 2d + 1); P (run, time, feature, fake), q (run, time, feature), r (run, time, fake),
        S (run, time, fake, fake2), z (run, time); u (run, weight, feature), v (run, time, weight, fake),
        w (run, time, weight).

    Units:
        Pure numbers, rows scaled by sqrt(n); time in steps/n.

    Raises:
        InputError: weights < 1, or ``start`` of another shape or not finite.

    Assumes:
        n -> infinity, so that rows are independent; the drift is that of ``model.start``: that the rows have its second
        moments is not checked.

    Source:
        Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349), microscopic SDE.
    """
    d, R, times = model.d, model.runs, model.times
    D, T = 2 * d + 1, len(times)
    if start is not None:
        start = np.asarray(start, dtype=float)
        if start.ndim != 2 or start.shape[1] != D or not len(start) or not np.all(np.isfinite(start)):
            raise InputError("start", f"hold finite rows of {D} numbers (u, v, w)", f"shape {start.shape}")
        weights = len(start)
    if weights < 1:
        raise InputError("weights", "be at least 1", weights)
    kept = min(weights, max(1, KEPT // (R * T * (d + 1))))
    check_memory("weights", 8 * (3 * weights * D + R * T * (kept * (d + 1) + D * D)))
    grams, u = np.full((R, T, D, D), np.nan), np.empty((R, kept, d))
    v, w = np.full((R, T, kept, d), np.nan), np.full((R, T, kept), np.nan)
    steps = _steps(model)
    run, interrupted = 0, False
    try:
        for run in range(R):
            rng = random_stream(model, STREAM, run)
            x = start if start is not None else rng.standard_normal((weights, D)) @ gram_root(gram(model.start))
            u[run] = x[:kept, :d]
            for i in range(T):
                if i > 0:
                    phi, sigma = steps[i - 1]
                    if not np.all(np.isfinite(phi)):
                        break
                    x = x @ phi + rng.standard_normal((weights, D)) @ gram_root(sigma)
                v[run, i], w[run, i] = x[:kept, d : 2 * d], x[:kept, -1]
                grams[run, i] = x.T @ x / weights
                if progress is not None:
                    progress(run * T + i + 1, R * T)
        recorded()
    except KeyboardInterrupt:
        interrupted = True
    status = "finished"
    if interrupted:
        status, R = "interrupted", run + 1
    elif not np.all(np.isfinite(grams[0, -1])):
        status = f"diverged at {times[np.isfinite(grams[0, :, -1, -1])].max():.6g}"
    ds = state_dataset(model, times, gram_state(grams[:R]), status=status, method=METHOD, weights=weights)
    return with_weights(ds, u[:R], v[:R], w[:R])


def _steps(model: Solvable) -> list[tuple[np.ndarray, np.ndarray]]:
    """(Phi, Sigma) of every interval between samples; NaN from a divergence on."""
    G, out = gram(model.start), []
    for length in np.diff(model.times):
        G, phi, sigma = transition(model, G, float(length))
        out.append((phi, sigma))
    return out
