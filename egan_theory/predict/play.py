"""Training against uniform averages: the powers of time with which the last iterate and the average move.

The equations of every mode change as training goes on, so that it has no eigenvalues; see symbolic.play for what it has
instead. With T the elapsed time (the start counts as one step or unit of time) the slow part of a mode is

    p s^m + n0/T^u = 0  to leading order,   u: uniform averages,   m = u + players that nothing damps

m = 2, u = 1  a wave cos(2 sqrt(n0 T/p)) times a power of T: -1/4 + w2/(2 a^2) for the flow, its average -3/4 + ...
m = u = 2     particles and average as cos(sqrt(n0/p) log T)/T   (both players damped)
m = u = 1     T^(-1 - n0/p), no oscillation                      (both players damped)
m > 2         grows like exp(const T^(1 - u/m))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError, NotLinearizable
from ..base.json import number
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..linear import linearize
from ..symbolic.maps import update_matrices
from ..tables.updates import UNIFORM, UpdateRule

#: multipliers that move fast: how far beyond the unit circle (flows: rates beyond 0) a growing one is
GROWING = 1e-7
ASSUMPTIONS = (
    "times long after the onset: the laws are those of late times",
    "averages weigh all of the past alike, the start as one step (flows: as one unit of time)",
)
UNITS = {"wavenumber": "1/length", "onset": "time"}
NAMES = {
    "last": "exponent of the last iterate",
    "average": "exponent of the particles' average since the start",
    "growth_power": "power of time in the exponent of growth",
    "growth_rate": "its factor",
    "phase_power": "power of time in the phase of the oscillation (0: logarithm)",
    "phase_rate": "its factor",
    "onset": "time after which the law holds",
    "multiplicity": "multiplicity",
    "damping": "damping a of the mode",
    "stiffness": "squared frequency w2 of the mode",
    "wavenumber": "wavenumber",
}


@takes_experiment
@shown
def power_laws(exp: Experiment) -> xr.Dataset:
    """Per mode, the powers of time T of play against uniform averages, slowest (or fastest growing) first.

    A mode converges where its exponents are < 0. Discrete rules: exact for any step, not to leading order in it. attrs:
    converges and average_converges (0 or 1, all modes), zero_modes (they stay), still (modes without coupling, left
    out), assumptions.

    Returns:
        A Dataset of the modes that move.

    Shapes:
        - last (mode), average (mode) [1]: exponents of the displacement and of its average since the start; inf: it
          grows
        - growth_power (mode), growth_rate (mode) [1]: it grows like exp(growth_rate T^growth_power)
        - phase_power (mode), phase_rate (mode) [1]: phase_rate T^phase_power, or phase_rate log T where the power is 0
        - onset (mode) [time]: the laws hold for times well beyond it
        - damping (mode), stiffness (mode) [1]: a and w2 of the mode without memory, per step (flow: unit of time)
        - multiplicity (mode) [1], wavenumber (mode) [1/length]

    Units:
        In brackets above; T in steps (flow: units of time).

    Raises:
        InputError: no player is averaged uniformly (``spectrum`` has the rates then).
        NotLinearizable: no equilibrium, or modes that are not independent of each other.

    Source:
        Eq. (64, slow-wave), Eq. (65, uniform-powers), Eq. (66, uniform-thresholds).
    """
    rule = exp.update_rule
    if not rule.uniform:
        raise InputError(
            "memory", f"have a player averaged over all of the past ({UNIFORM!r}) for powers of time (else there are "
            "eigenvalues: eg.spectrum)"
        )  # fmt: skip
    lin = linearize(without_memory(exp))
    if lin.systems:
        raise NotLinearizable(
            "memory", "be a time here: powers of time are known for modes that are independent of each other "
            "(weight decay or, at ratio 0, R1, with losses without curvature; the periodic box)", repr(UNIFORM)
        )  # fmt: skip
    blocks = lin.blocks
    moving = blocks[:, 0, 1] * blocks[:, 1, 0] != 0
    values = laws(rule, blocks[moving])
    values["multiplicity"], values["wavenumber"] = lin.multiplicity[moving], lin.wavenumber[moving]
    order = np.lexsort((-values["growth_rate"], -values["growth_power"], -values["last"]))
    data = {
        name: ("mode", values[name][order], {"long_name": text, "units": UNITS.get(name, "1")})
        for name, text in NAMES.items()
    }
    attrs = {
        "converges": int(bool(np.all(values["last"] < 0))),
        "average_converges": int(bool(np.all(values["average"] < 0))),
        "zero_modes": lin.zero_modes,
        "still": int((~moving).sum()),
        "method": f"powers of time from the slow waves at late times, Eq. (64, slow-wave); {lin.method}",
        "assumptions": "; ".join((*lin.assumptions, *ASSUMPTIONS)),
        **provenance(exp),
    }
    return xr.Dataset(data, attrs=attrs)


def power_laws_json(ds: xr.Dataset) -> dict[str, Any]:
    """The --json form of ``power_laws``; null for NaN, and for exponents of modes that grow faster than a power."""
    rows = range(ds.sizes["mode"])
    modes: list[dict[str, Any]] = [{name: number(ds[name].values[i]) for name in NAMES} for i in rows]
    for mode in modes:
        mode["multiplicity"] = int(mode["multiplicity"])
    keys = ("converges", "average_converges")
    return {
        "modes": modes,
        **{key: bool(ds.attrs[key]) for key in keys},
        "zero_modes": int(ds.attrs["zero_modes"]),
        "method": ds.attrs["method"],
        "assumptions": ds.attrs["assumptions"],
    }


def without_memory(exp: Experiment) -> Experiment:
    """The experiment with both players facing the present opponent."""
    return exp.replace({"memory.generator": 0.0, "memory.discriminator": 0.0})


def laws(rule: UpdateRule, blocks: np.ndarray) -> dict[str, np.ndarray]:
    """``power_laws`` of blocks (K, 2, 2) [[-a, -c], [b, -d]] with a, d >= 0, b c > 0, learning rates folded in."""
    u, K = len(rule.uniform), len(blocks)
    D, N, fast = _slow(rule, blocks)
    a, d = -blocks[:, 0, 0], -blocks[:, 1, 1]
    free = np.zeros(K, dtype=bool) if rule.responds else a == 0  # a best response has no equation of its own
    m = u + free + (d == 0)
    at = np.arange(K)
    p, ahead, n0, n1 = D[at, m], D[at, m + 1], N[:, 0], N[:, 1]
    if not rule.continuous:  # z = exp(s): (z - 1)^m = s^m + m/2 s^(m + 1)
        ahead = ahead + m / 2 * p
    out = {name: np.full(K, np.nan) for name in NAMES}
    out["damping"], out["stiffness"] = a + d, a * d - blocks[:, 0, 1] * blocks[:, 1, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        root = (n0 / p) ** (1 / m)
        wave = 0.25 + (ahead * n0 - p * n1) / (2 * p**2)
        # of T times the average
        power = np.select([m != u, m == 1], [wave, -n0 / p], 0.0)
    order = u / m  # s ~ T^-order
    # the particles are d/dT of it; of the discriminator's average, as many derivatives as nothing damps it
    late = free if "q" not in rule.uniform else np.zeros(K)
    # a sum over time keeps the constant of its start; best responses of a flow start without one
    constant = "q" not in rule.uniform and not (rule.responds and rule.continuous)
    out["last"] = power - order * (1 + late)
    out["average"] = power - 1 - order * late
    if constant:
        out["average"] = np.maximum(out["average"], -1.0)
    grows = m > 2
    angle = root * np.cos(np.pi / m)
    out["growth_power"] = np.where(grows, 1 - order, np.nan)
    out["growth_rate"] = np.where(grows, angle / (1 - order + ~grows), np.nan)
    out["phase_power"] = np.where(m == 1, np.nan, 1 - order)
    out["phase_rate"] = np.where(m == 1, np.nan, root * np.sin(np.pi / m) / np.where(order == 1, 1.0, 1 - order))
    with np.errstate(invalid="ignore", divide="ignore"):
        # where the next term is as large as the first one, and where the mode has turned once
        turned = np.where(m == u, 1.0, np.abs(p / n0) ** (1 / np.maximum(m - u, 1)))
        next_term = np.where(ahead == 0, 0.0, np.abs(n0 * ahead**m / p ** (m + 1)) ** (1 / u))
    out["onset"] = np.maximum(turned, next_term)
    unstable = _growing(fast, m, rule)
    grows = grows | unstable
    out["last"], out["average"] = (np.where(grows, np.inf, out[name]) for name in ("last", "average"))
    out["growth_power"] = np.where(unstable, 1.0, out["growth_power"])
    speed = (fast.real if rule.continuous else np.log(np.maximum(np.abs(fast + 1), 1e-300))).max(-1)
    out["growth_rate"] = np.where(unstable, speed, out["growth_rate"])
    return out


def _slow(rule: UpdateRule, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, lowest first, of D (K, n) and N (K, n) of symbolic.play in s (steps: z - 1), and the roots of D."""
    steps = []
    for time in (np.inf, 1.0):  # 1/tau = 0 and 1
        matrix = update_matrices(rule.with_time(time), blocks)
        if rule.continuous:
            steps.append(matrix[:, 1:, 1:] if rule.responds else matrix)
        else:
            steps.append(matrix - np.eye(matrix.shape[-1]))
    D, one = (_characteristic(matrix) for matrix in steps)
    u = len(rule.uniform)
    # D ((1 + s)/s)^u: D has u factors s
    shifted = np.pad(D[:, u:], ((0, 0), (0, u)))
    for _ in range(u):
        shifted = shifted + np.pad(shifted[:, :-1], ((0, 0), (1, 0)))
    return np.pad(D, ((0, 0), (0, 2))), one - shifted, np.linalg.eigvals(steps[0])


def _characteristic(M: np.ndarray) -> np.ndarray:
    """(K, n + 1) coefficients of det(s - M), lowest first, by Faddeev and LeVerrier."""
    K, n, _ = M.shape
    out = np.zeros((K, n + 1))
    out[:, n] = 1
    power = np.zeros_like(M)
    for k in range(1, n + 1):
        power = M @ power + out[:, n - k + 1, None, None] * np.eye(n)
        out[:, n - k] = -np.trace(M @ power, axis1=-2, axis2=-1) / k
    return out


def _growing(fast: np.ndarray, m: np.ndarray, rule: UpdateRule) -> np.ndarray:
    """(K,) whether a root of D other than its m zeros grows."""
    order = np.argsort(np.abs(fast), axis=-1)
    others = np.arange(fast.shape[-1]) >= m[:, None]
    roots = np.take_along_axis(fast, order, axis=-1)
    size = roots.real if rule.continuous else np.abs(1 + roots) - 1
    return np.any(others & (size > GROWING), axis=-1)
