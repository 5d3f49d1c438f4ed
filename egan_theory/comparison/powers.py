"""Powers of time, predicted against runs: training in which a player faces a uniform average.

A mode's displacement and its average since the start are fitted with

    y(T) = T^p sum_j T^(-j/2) [A_j cos(2 c sqrt(T)) + B_j sin(2 c sqrt(T))]   (averages: + const/T, the start's share)

p and c free, A_j and B_j by linear least squares (variable projection). That runs of one experiment show the same
function of time to their rounding says nothing on the error of p: it is taken from the expansion, as the largest change
of p when one term less is fitted or the early part of the time is left out.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.integrate import cumulative_trapezoid
from scipy.optimize import least_squares

from ..experiment import Experiment
from ..linear.saddle import saddle
from ..predict.play import ASSUMPTIONS, laws, power_laws, without_memory
from ..problem.problem import Problem
from ..runs.positions import with_positions
from ..runs.schema import validate_runs
from .agreement import Agreement, Quantity
from .modes import ROUNDING, Matched
from .samples import near_equilibrium

#: samples from this many onsets on are fitted, and at least so many; the time they span, as a factor
LATE, SAMPLES, SPAN = 3.0, 40, 4.0
#: terms of the expansion, and part of the square root of the time that the third fit leaves out
TERMS, LATER = 3, 0.35
#: rounds of re-weighting; c is looked for within this part of the predicted one, on so many samples
ROUNDS, WIDE, FEW = 3, 0.3, 400
#: a fit that leaves more than this part of the signals is none
LEFT = 0.02
#: a and w2 of modes closer than this, relative, are those of one mode with several directions
SAME = 1e-7


def compare_powers(exp: Experiment, runs: xr.Dataset, modes: int) -> Agreement:
    """Exponents of last iterate and average of the ``modes`` slowest modes: "p1.last", "p1.average", ...

    ``runs``: a Dataset of the run schema, recorded from the start on. Modes that grow, or that turn in no phase
    sqrt(T), are listed in ``unmatched``. Raises as predict.play.power_laws does, InputError.
    """
    runs = with_positions(validate_runs(runs))
    power_laws(exp)  # raises the reason where there are none
    plain = without_memory(exp)
    reduced = Matched(Problem(plain))
    times, x, unmatched = near_equilibrium(Problem(exp), runs, reduced.x)
    a, d, c, directions = independent_modes(plain)
    signals = reduced.moved(x) @ directions
    predicted = laws(exp.update_rule, np.stack([np.stack([-a, -c], -1), np.stack([c, -d], -1)], -2))
    T = times + 1.0
    averages = running_average(T, signals)
    size = np.abs(signals[:, 0]).max(0)
    quantities: list[Quantity] = []
    index, done = 0, np.zeros(len(a), dtype=bool)
    for i in np.lexsort((predicted["stiffness"], -predicted["last"])):
        if done[i] or index >= modes:
            continue
        group = (np.abs(a - a[i]) <= SAME * np.abs(a).max()) & (np.abs(c**2 - c[i] ** 2) <= SAME * (c**2).max())
        done |= group
        law = {name: float(values[i]) for name, values in predicted.items()}
        unit = exp.update_rule.rate_unit
        name = f"mode of damping {law['damping']:.4g} {unit}, squared frequency {law['stiffness']:.4g} ({unit})²"
        reason = _unusable(law, T, float(size[group].max() / size.max()))
        if reason:
            unmatched.append({"name": name, "reason": reason})
            continue
        index += 1
        late = T >= LATE * law["onset"]
        for quantity, values in (("last", signals), ("average", averages)):
            if quantity == "average" and law["average"] > law["last"] - 0.5:
                unmatched.append({"name": f"p{index}.average", "reason": "the share of the start covers the wave"})
                continue
            columns = values[:, late][..., group].transpose(1, 0, 2).reshape(late.sum(), -1)
            measured, stderr, left = fit_power(T[late], columns, law["phase_rate"] / 2, constant=quantity == "average")
            note = f"exponent of time, {name}"
            if not left < LEFT:
                unmatched.append({"name": f"p{index}.{quantity}", "reason": f"no such wave: the fit leaves {left:.0%}"})
                continue
            quantities.append(Quantity(f"p{index}.{quantity}", law[quantity], measured, stderr, 1.0, "1", note))
    return Agreement(
        tuple(quantities), tuple(unmatched), "modal coordinates, variable projection of late powers of time",
        (*ASSUMPTIONS, "samples within the linear regime", "the runs are recorded from their start on"),
    )  # fmt: skip


def _unusable(law: dict[str, float], T: np.ndarray, share: float) -> str:
    if not np.isfinite(law["last"]):
        return f"grows like exp({law['growth_rate']:.3g} T^{law['growth_power']:.3g}): no exponent"
    if law["phase_power"] != 0.5:
        return f"no wave: the displacement goes as T^{law['last']:.3g}, the average as T^{law['average']:.3g}"
    if not share > ROUNDING:
        return f"amplitude {share:.1g} of the largest"
    late = T[T >= LATE * law["onset"]]
    if len(late) < SAMPLES or late[-1] < SPAN * late[0]:
        return (
            f"its law holds for times well beyond {law['onset']:.3g}; the runs have {len(late)} samples to {T[-1]:.4g}"
        )
    return ""


def independent_modes(exp: Experiment) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(a (K,), d (K,), c (K,), directions (n, K)) of an experiment without memory: blocks [[-a, -c], [c, -d]].

    directions: of the generator's coordinates v, those that single values of C belong to. Not checked: that A and E are
    diagonal there (``power_laws`` refuses what is not)."""
    sad, loss = saddle(Problem(exp)), exp.loss_object
    eta_D, eta_G = exp.discriminator.learning_rate, exp.generator.learning_rate
    left, sigma, right = np.linalg.svd(sad.C, full_matrices=False)
    kept = sigma > np.sqrt(np.finfo(float).eps) * sigma.max(initial=0.0)
    left, sigma, right = left[:, kept], sigma[kept], right[kept]
    a = eta_D * np.einsum("kr,rs,ks->k", right, sad.A, right)
    d = np.zeros(len(a)) if sad.E is None else eta_G * np.einsum("nk,nm,mk->k", left, sad.E, left)
    return a, d, sigma * np.sqrt(eta_D * eta_G * loss.b * loss.c), left


def running_average(T: np.ndarray, signals: np.ndarray) -> np.ndarray:
    """Averages since the start, T = 1, which counts as one, of signals (run, time, ...) at elapsed times T."""
    if np.all(np.diff(T) == 1):  # every step
        total = np.cumsum(signals, axis=1)
    else:
        total = signals[:, :1] + cumulative_trapezoid(signals, T, axis=1, initial=0.0)
    return total / T.reshape(1, -1, *(1,) * (signals.ndim - 2))


def fit_power(T: np.ndarray, signals: np.ndarray, rate: float, constant: bool = False) -> tuple[float, float, float]:
    """(p, its error, part of the signals left) of the module's form in signals (time, channel) at late times T;
    ``rate``: about what c is."""
    norms = np.linalg.norm(signals, axis=0)
    signals = signals[:, norms > 0] / norms[norms > 0]
    later = np.sqrt(T) >= (1 - LATER) * np.sqrt(T[0]) + LATER * np.sqrt(T[-1])
    values = [
        _fit(T[rows], signals[rows], rate, terms, constant)
        for rows, terms in ((slice(None), TERMS), (slice(None), TERMS - 1), (later, TERMS))
    ]
    powers = np.array([p for p, _ in values])
    return values[0][0], float(np.abs(powers[1:] - powers[0]).max()), values[0][1]


def _fit(T: np.ndarray, signals: np.ndarray, rate: float, terms: int, constant: bool) -> tuple[float, float]:
    """(p, part left) of one fit; residuals are weighted by the power of the round before."""
    scale, root = T / T[-1], np.sqrt(T)

    def left(u: np.ndarray, weight: float, rows: slice = slice(None)) -> np.ndarray:
        """Signals less their best combination of waves, both times T^-weight."""
        (p, c), t = u, scale[rows]
        turns = [wave(2 * c * root[rows]) for wave in (np.cos, np.sin)]
        columns = [t ** (p - weight - j / 2) * turn for j in range(terms) for turn in turns]
        B = np.stack([*columns, t ** (-1 - weight)] if constant else columns, axis=-1)
        Y = t[:, None] ** -weight * signals[rows]
        return (Y - B @ np.linalg.lstsq(B, Y, rcond=None)[0]).ravel()

    p = _envelope(T, signals)
    # least squares finds the c next to where it starts, closer than a turn over all of the time
    turns = 2 * WIDE * rate * (root[-1] - root[0])
    rates = rate * np.linspace(1 - WIDE, 1 + WIDE, 2 * int(np.ceil(2 * turns)) + 1)
    few = slice(None, None, max(len(T) // FEW, 1))
    found = np.array([p, rates[np.argmin([(left(np.array([p, c]), p, few) ** 2).sum() for c in rates])]])
    for _ in range(ROUNDS):
        found = least_squares(left, found, x_scale=[0.1, 0.01 * rate], args=(found[0],)).x
    p = float(found[0])
    return p, float(np.linalg.norm(left(found, p)) / np.linalg.norm(scale[:, None] ** -p * signals))


def _envelope(T: np.ndarray, signals: np.ndarray) -> float:
    """Slope of the logarithm of the size between the halves of log T."""
    size, half = (signals**2).sum(-1), np.sqrt(T[0] * T[-1])
    early, late = T < half, T >= half
    ratio = np.log(size[late].mean() / size[early].mean()) / 2
    return float(ratio / (np.log(T[late]).mean() - np.log(T[early]).mean()))
