"""The macroscopic ODE of the solvable model, n -> infinity with t = step/n.

    dP/dt = taut ( q g~^T - P D )
    dq/dt = tau ( g - P g~ + h q )
    dr/dt = tau ( P^T g - S g~ + h r ) + taut ( z g~ - D r )
    dS/dt = taut ( r g~^T + g~ r^T - S D - D S )
    dz/dt = 2 tau ( <x f> - <x~ f~> - mu z ) + tau^2 b

    g = <f c>,  f1 = <f'>,  f2 = <f^2>  under x = q.c + sqrt(eta_T z) N(0, 1)
    g~, f1~, f2~                        under x~ = r.c~ + sqrt(eta_G z) N(0, 1)
    b = eta_T f2 + eta_G f2~        h = eta_T f1 - eta_G f1~ - mu
    penalty: mu = lam H'(z), D = lam diag H'(S_ll)
    hard:    mu = [ <x f> - <x~ f~> + (tau/2) b ] / z,  D = diag( r_l g~_l / S_ll ), so that z and S_ll are conserved

For f(x) = x the averages are second moments (derivation.py); for Gaussian c and any f they are one sum over Gaussian
nodes, by Stein's lemma; for other c a sum over its nodes times that. Gaussian nodes: the trapezoidal rule, which
converges faster than Gauss-Hermite for profiles with poles (tanh over N(0, 8): 200 Gauss-Hermite nodes are off by 3e-6,
200 equal steps by rounding). Source of the model: Wang, Hu, Lu, arXiv:1805.08349.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.integrate import LSODA

from ...base.dataset import shown
from ...base.errors import InputError
from ...base.terminal import check_memory
from .model import Solvable
from .records import state_dataset
from .state import State, gram, unpack

#: equal steps over +-REACH standard deviations: averages of tanh over N(0, 100) are right to 1e-10
NODES, REACH = 401, 8.5
#: most product nodes of a latent law that is not Gaussian
MAX_NODES = 20_000
#: tolerances of the integrator, per step
RTOL, ATOL = 1e-9, 1e-11
#: an overlap beyond this has diverged (penalties only: hard constraints bound every overlap by 1)
BEYOND = 1e4
#: evaluations of the drift after which a run is given up: half a minute
MAX_EVALUATIONS = 500_000
#: after so many of them a run is given up that would need HOPELESS times MAX_EVALUATIONS at the pace until then
SOON, HOPELESS = 20_000, 10


class Averages(NamedTuple):
    """g = <f c> (..., d), f1 = <f'>, f2 = <f^2>, xf = <x f> (...)."""

    g: np.ndarray
    f1: np.ndarray
    f2: np.ndarray
    xf: np.ndarray


def averages(model: Solvable, overlap: np.ndarray, Lambda: np.ndarray, noise: float, z: np.ndarray) -> Averages:
    """Averages over one sample whose score is x = overlap.c + sqrt(noise z) N(0, 1); any leading axes."""
    if model.linear:
        variance = (overlap * Lambda * overlap).sum(-1) + noise * z
        return Averages(Lambda * overlap, np.ones_like(variance), variance, variance)
    f, df = model.profile.f, model.profile.df
    nodes, weights = _gaussian_nodes()
    if model.law is None:
        sigma = np.sqrt(np.maximum((overlap * Lambda * overlap).sum(-1) + noise * z, 0.0))
        x = sigma[..., None] * nodes
        value = f(x)
        f1 = df(x) @ weights
        return Averages(f1[..., None] * Lambda * overlap, f1, value**2 @ weights, (x * value) @ weights)
    c, p = _latent_nodes(model.law.nodes, model.law.weights, model.d)
    c = c * np.sqrt(Lambda)
    sigma = np.sqrt(np.maximum(noise * z, 0.0))
    x = (overlap @ c.T)[..., None] + sigma[..., None, None] * nodes
    value = f(x)
    inner = value @ weights * p
    return Averages(inner @ c, (df(x) @ weights) @ p, (value**2 @ weights) @ p, ((x * value) @ weights) @ p)


class Forces(NamedTuple):
    """What the two samples of a step push with: averages over real and fake ones, and mu, D, h, b of the module."""

    real: Averages
    fake: Averages
    mu: np.ndarray
    D: np.ndarray
    h: np.ndarray
    b: np.ndarray


def forces(model: Solvable, state: State, *, sampling_noise: bool = True) -> Forces:
    """The forces in a state, any leading axes; see ``drift``."""
    _, q, r, S, z = state
    real = averages(model, q, model.L, model.eta_T, z)
    fake = averages(model, r, model.Lt, model.eta_G, z)
    b = (model.eta_T * real.f2 + model.eta_G * fake.f2) * sampling_noise
    norms = np.diagonal(S, axis1=-2, axis2=-1)
    if model.hard:
        mu, D = (real.xf - fake.xf + model.tau / 2 * b) / z, r * fake.g / norms
    else:
        mu, D = model.strength * model.H1(z), model.strength * model.H1(norms)
    return Forces(real, fake, mu, D, model.eta_T * real.f1 - model.eta_G * fake.f1 - mu, b)


def drift(model: Solvable, state: State, *, sampling_noise: bool = True) -> State:
    """Time derivative of a macroscopic state, any leading axes.

    ``sampling_noise`` False drops tau^2 b, the variance that single samples add to the discriminator.
    """
    P, q, r, S, z = state
    tau, taut = model.tau, model.taut
    real, fake, mu, D, h, b = forces(model, state, sampling_noise=sampling_noise)
    g, gt, h = real.g, fake.g, h[..., None]
    rg, SD = _outer(r, gt), S * D[..., None, :]
    return State(
        taut * (_outer(q, gt) - P * D[..., None, :]),
        tau * (g - _apply(P, gt) + h * q),
        tau * (_apply(np.swapaxes(P, -1, -2), g) - _apply(S, gt) + h * r) + taut * (z[..., None] * gt - D * r),
        taut * (rg + np.swapaxes(rg, -1, -2) - (SD + np.swapaxes(SD, -1, -2))),
        2 * tau * (real.xf - fake.xf - mu * z) + tau**2 * b,
    )


@shown
def solve_ode(
    model: Solvable,
    times: np.ndarray | None = None,
    *,
    sampling_noise: bool = True,
    rtol: float = RTOL,
    atol: float = ATOL,
) -> xr.Dataset:
    """The macroscopic course from ``model.start``, at ``model.times``.

    Adaptive, stiff or not (LSODA); samples from its dense output. attrs: method; status ("finished", or "diverged at t"
    or "stopped at t: ...": then NaN follows); conservation: largest |z - 1| and |S_ll - 1| (hard); gram_minimum: least
    eigenvalue of the Gram matrix of (U, V, w), negative only by rounding.

    Args:
        sampling_noise: with the term tau^2 b of single samples.

    Returns:
        A Dataset of the shared form with one run.

    Shapes:
        times (T,); P (run, time, feature, fake), q (run, time, feature), r (run, time, fake), S (run, time, fake,
        fake2), z (run, time).

    Units:
        Overlaps are pure numbers, time in steps/n.

    Raises:
        InputError: times that do not increase from 0 on, or a latent law with too many nodes.

    Assumes:
        n -> infinity at fixed time: finite-n noise that decides a sign or leaves an unstable point is not in it.

    Source:
        Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349), macroscopic ODE.

    Examples:
        >>> import egan_theory as eg
        >>> found = eg.solvable.solve_ode(eg.solvable.SETTING_R)
        >>> "time" in found.sizes
        True
    """
    t = model.times if times is None else np.asarray(times, dtype=float)
    if t.ndim != 1 or not len(t) or not np.all(np.isfinite(t)) or t[0] < 0 or np.any(np.diff(t) <= 0):
        raise InputError("times", "be increasing numbers >= 0")
    d, start = model.d, model.start.pack()
    check_memory("solvable.record", 8 * len(t) * (4 * len(start) + 4 * (2 * d + 1) ** 2))

    def right(_: float, y: np.ndarray) -> np.ndarray:
        return drift(model, unpack(y, d), sampling_noise=sampling_noise).pack()

    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is a result
        y, status = _integrate(right, start, t, rtol, atol)
    state = unpack(y[None], d)
    attrs: dict[str, Any] = {"method": "macroscopic ODE, LSODA", "status": status, "rtol": rtol, "atol": atol}
    return state_dataset(model, t, state, **attrs, **conservation(model, state))


def _integrate(
    right: Callable[[float, np.ndarray], np.ndarray], start: np.ndarray, t: np.ndarray, rtol: float, atol: float
) -> tuple[np.ndarray, str]:
    """Samples at t from the dense output, NaN after a divergence, and the status."""
    y = np.full((len(t), len(start)), np.nan)
    done = int(t[0] == 0)
    y[:done] = start
    if done == len(t):
        return y, "finished"
    solver = LSODA(right, 0.0, start, t[-1], rtol=rtol, atol=atol)
    while solver.status == "running":
        solver.step()
        if solver.status == "failed" or not np.abs(solver.y).max() < BEYOND:
            return y, f"diverged at {solver.t:.6g}"
        reached = int(np.searchsorted(t, solver.t, side="right"))
        if reached > done:
            y[done:reached] = solver.dense_output()(t[done:reached]).T
            done = reached
        if solver.nfev > SOON and solver.nfev * t[-1] > HOPELESS * MAX_EVALUATIONS * solver.t:
            needed = solver.nfev * t[-1] / solver.t if solver.t else np.inf
            return y, f"stopped at {solver.t:.6g}: it would need {needed:.1g} evaluations"
        if solver.nfev > MAX_EVALUATIONS:
            return y, f"stopped at {solver.t:.6g}: {MAX_EVALUATIONS} evaluations were not enough"
    return y, "finished"


def conservation(model: Solvable, state: State) -> dict[str, float]:
    """What must hold along every course: see ``solve_ode``."""
    finite = np.isfinite(state.z)
    out = {"gram_minimum": float(np.linalg.eigvalsh(gram(state)[finite]).min())}
    if model.hard:
        norms = np.diagonal(state.S, axis1=-2, axis2=-1)[finite]
        out["conservation"] = float(max(np.abs(state.z[finite] - 1).max(), np.abs(norms - 1).max()))
    return out


@cache
def _gaussian_nodes() -> tuple[np.ndarray, np.ndarray]:
    nodes = np.linspace(-REACH, REACH, NODES)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


@cache
def _latent_nodes(nodes: tuple[float, ...], weights: tuple[float, ...], d: int) -> tuple[np.ndarray, np.ndarray]:
    """(K, d) and (K,): the product law of d independent coordinates."""
    if len(nodes) ** d > MAX_NODES:
        raise InputError("solvable.latent", f"have at most {MAX_NODES} nodes to the power d", f"{len(nodes)}^{d}")
    return np.array(list(product(nodes, repeat=d))), np.array([prod(p) for p in product(weights, repeat=d)])


def _apply(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]


def _outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., :, None] * b[..., None, :]
