"""What training of a stated length leaves of a kick: simulated against predicted, over strengths of a penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ..base.dataset import shown
from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..experiment.taken import takes_experiment
from ..predict.left import RESOLVED, horizon_of, left_over, plain
from ..simulation.condense import condensed
from .agreement import Agreement, Quantity
from .along import left_along
from .variants import SEPARATE, simulated, sweep_axis

#: kick in length scales: second-order effects are this part of what is measured, rounding 1e-10 of the kick
KICK = 1e-6
#: with more coordinates than this, orthonormal directions of kicks are drawn at random instead of all being simulated
DIRECTIONS = 64
#: what is left of less than this part of a kick is rounding
LEAST = 1e-8
#: displacements of more than this many length scales are no small ones any more
SMALL = 1e-3


@takes_experiment
@shown
def sweep_left(
    exp: Experiment,
    penalty: str,
    strengths: Sequence[float] | np.ndarray,
    horizon: float | None = None,
    *,
    directions: int = DIRECTIONS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """What is left of kicks of 1e-6 length scales after ``horizon`` whole steps of the nonlinear model, per strength.

    One run per orthonormal direction of the particles' coordinates; more than ``directions`` of them: so many drawn at
    random with ``seed``, the others taken as the theory has them: what was simulated less what is predicted along the
    drawn ones, over all, is added to the prediction. Particles that share a point move as one (simulation.condensed).

    Returns:
        A Dataset; ``eg.compare_left`` and ``eg.plot.left`` take it.

    Shapes:
        - moving (strength), moving_stderr (strength) [1]: rms displacement of the coordinates that can move over that
          of the kick, and its error from second-order effects and, of drawn directions, from the scatter of that
          difference (without equilibrium on the data: of the runs themselves); NaN where a run diverged or left the
          linear regime
        - left (strength) [1]: that of all coordinates
        - predicted_moving (strength), predicted_left (strength) [1]

    Units:
        In brackets above; strengths in the unit of the penalty, horizon in steps (flows: time).

    Raises:
        InputError: a penalty that is none, strengths below 0, a horizon that is no whole number > 0.
        NotLinearizable: no equilibrium to be kicked from.

    Source:
        Eq. (27, left).
    """
    key, path, strengths = sweep_axis(penalty, strengths)
    time = horizon_of(exp, horizon)
    if not time.is_integer():
        raise InputError("horizon", "be a whole number for a simulation", time)
    small = condensed(exp)
    N, d, length = small.generator.particles, exp.dimension, exp.discriminator.length_scale
    count = min(N * d, directions)
    basis = np.eye(N * d)
    if count < N * d:
        basis = np.linalg.qr(np.random.default_rng([seed, 11]).standard_normal((N * d, count)))[0].T
    steps = int(time)
    changes = {"run.steps": steps, "run.record_every": steps, "run.runs": count, "run.start": "kick"}
    base = small.replace(changes)
    variants = [base.replace({path: float(s)}) for s in strengths]
    kicks = KICK * length * basis.reshape(count, N, d)
    own = [left_over(variant, time) for variant in variants]
    # what is predicted to leave the linear regime does; an exact kernel would grow with it beyond bounds
    stays = np.array([one.moving * KICK <= SMALL for one in own])
    chosen = [int(i) for i in np.flatnonzero(stays)]
    found = simulated([variants[i] for i in chosen], [key in SEPARATE] * len(chosen), progress, kicks)
    parts = dict(zip(chosen, found, strict=True))
    rows = []
    for i, strength in enumerate(strengths):
        of_all = left_over(exp.replace({path: float(strength)}), time)
        moving, error = float("nan"), float("nan")
        if i in parts:
            alone = left_along(variants[i], kicks, time) if count < N * d else None
            expected = None if alone is None else (alone, own[i].total ** 2)
            moving, error = _measured(parts[i], kicks, N * d * own[i].frozen ** 2, length, expected)
        total = np.sqrt(of_all.frozen**2 + (1 - of_all.frozen**2) * moving**2)
        rows.append((moving, error, total, of_all.moving, of_all.total))
    names = ("moving", "moving_stderr", "left", "predicted_moving", "predicted_left")
    texts = (
        "simulated: what is left of what can move", "its standard error", "simulated: what is left of the kick",
        "predicted: what is left of what can move", "predicted: what is left of the kick",
    )  # fmt: skip
    columns = np.array(rows).T
    return xr.Dataset(
        {n: ("strength", c, {"long_name": t, "units": "1"}) for n, c, t in zip(names, columns, texts, strict=True)},
        coords={"strength": ("strength", strengths, {"long_name": path, "units": "1"})},
        attrs={**provenance(base), "penalty": key, "horizon": time, "directions": count},
    )


def _measured(
    part: xr.Dataset, kicks: np.ndarray, frozen: float, length: float, expected: tuple[np.ndarray, float] | None
) -> tuple[float, float]:
    """(rms displacement of the moving coordinates over that of the kick, its error) of one strength's runs; ``frozen``
    coordinates never move. ``expected``: squares along the kicks and their mean over all directions as predicted: few
    drawn directions may miss the few along which something is left, and then neither mean nor scatter tell it."""
    x = part["particles"].values
    size = np.linalg.norm(kicks[0])
    if x.shape[1] < 2 or not np.all(np.isfinite(x[:, -1])):
        return float("nan"), float("nan")
    dx = x[:, -1] - (x[:, 0] - kicks)
    if np.abs(dx).max() > SMALL * length:
        return float("nan"), float("nan")
    squares = (dx**2).sum((1, 2)) / size**2
    total, count = kicks[0].size, len(squares)
    if expected is not None:
        squares = squares - expected[0] + expected[1]
    moving = max((squares.mean() * total - frozen) / (total - frozen), 0.0)
    value = float(np.sqrt(moving))
    # of its square: what never moves is taken off, and moves in second order
    blur = KICK * frozen / (total - frozen)
    if count < total:  # directions are drawn without replacement
        scatter = squares.std(ddof=1) * np.sqrt((1 - count / total) / count) * total / (total - frozen)
        blur = float(np.hypot(blur, scatter))
    # of a root: by its derivative, but near 0 no more than the root of the error
    rooted = blur / (2 * max(value, np.sqrt(blur) / 2)) if blur else 0.0
    error = float(np.hypot(KICK * value + LEAST, rooted))
    return value, error


def compare_left(swept: xr.Dataset) -> Agreement:
    """What is left at every simulated strength, against the prediction.

    Returns:
        One quantity per strength; those that diverged or are all rounding are in ``unmatched``.

    Shapes:
        swept: the Dataset of ``eg.sweep_left`` over (strength).

    Units:
        Pure numbers: rms displacement over that of the kick.

    Raises: nothing of its own.

    Source:
        Eq. (27, left).
    """
    quantities, unmatched = [], []
    for i, strength in enumerate(swept["strength"].values):
        name = f"left of what can move at {strength:.4g}"
        moving, error, predicted = (float(swept[n].values[i]) for n in ("moving", "moving_stderr", "predicted_moving"))
        if not np.isfinite(moving):
            unmatched.append({"name": name, "reason": "a run diverged or left the neighbourhood of equilibrium"})
        elif max(moving, predicted) < LEAST:
            unmatched.append({"name": name, "reason": f"less than {plain(LEAST)} of the kick is left: rounding"})
        elif error >= max(moving, predicted):
            reason = f"less is left than the simulated kicks resolve, {error:.2g} of them"
            unmatched.append({"name": name, "reason": reason})
        elif predicted < RESOLVED and moving <= KICK:  # more than that would be a disagreement
            reason = (
                f"less than {plain(RESOLVED)} of the kick is predicted, below the second order of the simulated kick"
            )
            unmatched.append({"name": name, "reason": reason})
        else:
            quantities.append(Quantity(name, predicted, moving, error, abs(predicted), "1", ""))
    return Agreement(tuple(quantities), tuple(unmatched), "kicks in orthonormal directions", ())


__all__ = ["compare_left", "sweep_left"]
