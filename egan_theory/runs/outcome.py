"""What becomes of a training run: exactly one outcome, judged from its recorded particles.

Lengths are counted in data radii R: the rms distance of the target's points (with their weights) from their mean; of a
periodic box that of its uniform density, L sqrt(d/12). A target that is a single point has none: R is then the
discriminator's length scale. By Chebyshev's inequality at most 1/9 of any target lies beyond 3 R of its mean. A mode
(``mode_centres``) is covered by a particle within half the smallest distance between two modes (a single mode: within
R). The first of these that holds, at the last sample:

    diverged                  a particle left every bound (of positions, of the kernel's Fourier box), or is not finite
    escaped                   the centroid, or more than half of the particles, is beyond 3 R of the target's mean
    circling with modes kept  every mode has a particle at each sample of the last fifth, and the particles move on
    settled                   every mode has a particle at each sample of the last fifth
    not settled               over the last fifth of the run an order parameter still changes (``drifts``)
    collapsed                 the cloud's rms width is below R/5; the target is no single point
    settled                   every mode has a particle at the last sample, and the particles do not move on
    part of the modes lost    some (all, of a wide cloud beside the target) have none, now and then at least

The particles move on (``moves_on``) when their rms displacement from their own mean places over the last fifth exceeds
R/200 and does not fade (its peak in the later half of that time is not below 3/4 of that in the earlier half), or, of
any size down to R/100,000, when it grows (that peak more than doubles). What comes to rest has settled; whatever else
keeps every mode, a slow drift as well, counts as circling.
A cloud narrower than R/5 keeps no modes, though single particles may sit on every one. Nothing escapes from a
periodic box. Fewer than 6 samples in the last fifth show no motion: such runs are judged by their last sample alone.
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..experiment.targets import Mixture
from .order import modes_covered, spread
from .positions import with_positions

#: centroid (or most particles) this many data radii from the target's mean: escaped
ESCAPE = 3.0
#: rms width of the cloud over the data radius below which it is collapsed
NARROW = 0.2
#: part of the run, at its end, over which order parameters must not change any more
LATE = 0.2
#: rms displacement of the particles over that time, in data radii, up to which they rest unless it grows
REST = 0.005
#: ... it fades when that of the later half is below this part of the earlier half's, grows when above DOUBLED times it
FADING = 0.75
#: ... and it is rounding, of single precision, up to this part of the data radius
UNSEEN = 1e-5
#: smallest change over that time that counts: share of the modes, or data radii
MOVED = 0.05
#: ... and it exceeds the rms of what a straight line leaves by this factor: one full period of a sine has 4.3
TREND = 4.5
#: a narrow cloud whose width grows by this factor over that time is spreading, motion that does so is none of rest
DOUBLED = 2.0
#: widths below this part of the data radius are rounding
ROUNDING = 1e-12
#: fewest samples of the last fifth that show a drift or motion, and the most that are looked at for either
FEWEST, MOST, MOST_MOTION = 6, 25, 200
#: the code of a run of which nothing is known (a cell of a sweep that failed, or is pending)
UNKNOWN = -1


class Outcome(IntEnum):
    """What became of a run, from best to worst; the values are what datasets hold.

    Attributes:
        word: the outcome in words, as tables show it.
        meaning: its criterion in one clause; lengths there are in data radii, times in parts of the run.

    Source:
        none, criteria of egan_theory.runs.outcome.
    """

    SETTLED = 0
    CIRCLING = 6
    PARTLY_LOST = 1
    NOT_SETTLED = 2
    COLLAPSED = 3
    ESCAPED = 4
    DIVERGED = 5

    @property
    def word(self) -> str:
        """The outcome in words, as tables show it."""
        return _LONGER.get(self, self.name.lower().replace("_", " "))

    @property
    def meaning(self) -> str:
        """The criterion in one clause."""
        return _MEANINGS[self]


_LONGER = {Outcome.CIRCLING: "circling with modes kept", Outcome.PARTLY_LOST: "part of the modes lost"}
_MEANINGS = {
    Outcome.SETTLED: "every mode of the target has a particle, and the particles rest or come to rest",
    Outcome.CIRCLING: "every mode of the target has a particle throughout the last fifth of the run, and the particles "
    f"move on (rms displacement above {REST:g} data radii, or growing)",
    Outcome.PARTLY_LOST: "some modes of the target have no particle",
    Outcome.NOT_SETTLED: "modes covered, width or centre of the cloud still change over the last fifth of the run",
    Outcome.COLLAPSED: f"the cloud's rms width is below {NARROW:g} data radii, its centre within {ESCAPE:g}",
    Outcome.ESCAPED: f"the centroid, or most particles, more than {ESCAPE:g} data radii from the target's mean",
    Outcome.DIVERGED: "a particle left every bound",
}
WORDS = tuple(o.word for o in Outcome)
#: kinds in which every mode keeps its particles, and those far from the target
KEPT, GONE = (Outcome.SETTLED, Outcome.CIRCLING), (Outcome.ESCAPED, Outcome.DIVERGED)
#: attributes of a variable of outcomes, after the CF conventions
FLAGS: dict[str, Any] = {
    "flag_values": np.array([int(o) for o in Outcome], dtype=np.int8),
    "flag_meanings": " ".join(w.replace(" ", "_") for w in WORDS),
}
#: words of earlier versions, which did not tell rest from motion where every mode is kept
_FORMER = {"covered": Outcome.SETTLED}


def current(stored: xr.DataArray) -> xr.DataArray:
    """Outcomes as a file holds them, by its own flag_meanings, in today's codes and words."""
    words = str(stored.attrs.get("flag_meanings", FLAGS["flag_meanings"])).split()
    values = np.ravel(stored.attrs.get("flag_values", FLAGS["flag_values"])).tolist()
    today = dict(zip(FLAGS["flag_meanings"].split(), Outcome, strict=True)) | _FORMER
    if len(words) != len(values) or not set(words) <= set(today):
        raise InputError("variable outcome", f"have flag_meanings of {', '.join(today)}", " ".join(words))
    codes = stored.values
    chosen = [codes == value for value in values]
    found = np.select(chosen, [np.int8(today[w]) for w in words], codes).astype(codes.dtype)
    return stored.copy(data=found).assign_attrs(FLAGS)


def mode_centres(exp: Experiment) -> xr.DataArray:
    """(point, component): the modes of the target: a mixture's means, else its points."""
    target = exp.target
    centres = np.atleast_2d(np.array(target.means)) if isinstance(target, Mixture) else exp.points.coordinates
    return xr.DataArray(centres.reshape(-1, exp.dimension), dims=("point", "component"))


def data_radius(exp: Experiment) -> float:
    """R: rms distance of the target's points from their mean; of a periodic box, L sqrt(d/12). 0 for a single point."""
    points = exp.points
    if points.period is not None:
        return points.period * float(np.sqrt(exp.dimension / 12))
    if not np.ptp(points.coordinates, axis=0).any():  # exactly: a mean is rounded
        return 0.0
    return float(np.sqrt(points.weights @ ((points.coordinates - _mean(exp)) ** 2).sum(-1)))


def covered_modes(exp: Experiment, cloud: xr.DataArray) -> xr.DataArray:
    """Share of the target's modes with a particle; a cloud that is not finite covers nothing."""
    modes, radius = mode_centres(exp), None
    if modes.sizes["point"] == 1:
        radius = data_radius(exp) or exp.discriminator.length_scale
    return (modes_covered(cloud, modes, radius=radius, period=exp.points.period) / modes.sizes["point"]).fillna(0.0)


@takes_experiment
def outcomes(runs: xr.Dataset, exp: Experiment | None = None) -> np.ndarray:
    """The outcome of each run of a Dataset in the run schema, as the integers of ``Outcome``.

    Runs that were interrupted are judged at their last sample. A run with missing samples is judged by the others,
    unless its last is missing.

    Args:
        exp: what was trained; by default the experiment that the runs' attributes hold.

    Returns:
        Integers, one per run.

    Shapes:
        runs with particles (run, time, particle, component) [length]; result (run,).

    Units:
        Codes of ``eg.Outcome``, pure numbers.

    Raises:
        InputError: no experiment, or particles of another dimension than its target's.

    Source:
        none, the criteria that ``Outcome.meaning`` states.

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), run=eg.Run(steps=100, runs=2, record_every=50))
        >>> len(eg.outcomes(eg.simulate(exp)))
        2
    """
    exp = _experiment(runs) if exp is None else exp
    x = with_positions(runs)["particles"].transpose("run", "time", "particle", "component")
    if x.sizes["component"] != exp.dimension:
        raise InputError("particles", f"have the target's {exp.dimension} components", x.sizes["component"])
    late = _late(runs["time"].values.astype(float))
    path = x.isel(time=_scattered(runs["time"].values.astype(float))).values
    x = x.isel(time=late)
    finite = np.isfinite(x.values).all((-2, -1))
    lost = ~finite[:, -1]
    if "diverged_at" in runs:
        lost |= runs["diverged_at"].values >= 0
    radius = data_radius(exp)
    size = radius or exp.discriminator.length_scale
    covered = np.where(finite, covered_modes(exp, x).transpose("run", "time").values, np.nan)
    width = spread(x, period=exp.points.period).transpose("run", "time").values / size
    away = np.zeros_like(width)
    far = np.zeros(len(width), dtype=bool)
    if exp.points.period is None:
        mean = _mean(exp)
        away = np.sqrt(((x.mean("particle").values - mean) ** 2).sum(-1)) / size
        last = np.sqrt(((x.values[:, -1] - mean) ** 2).sum(-1))
        far = (away[:, -1] > ESCAPE) | ((last > ESCAPE * size).mean(-1) > 0.5)
    time = runs["time"].values[late].astype(float)
    narrow = (width[:, -1] < NARROW) & (radius > 0)
    changing = np.logical_or.reduce([drifts(time, v) for v in (covered, width, away)])
    growing = narrow & drifts(time, np.log(np.maximum(width, ROUNDING)), np.log(DOUBLED)) & (width[:, -1] > width[:, 0])
    kept = np.where(finite, covered == 1, True).all(-1)
    moving = moves_on(path, size, exp.points.period)
    return classify(lost, far, narrow, covered[:, -1] == 1, changing | growing, kept, moving)


def known_outcomes(runs: xr.Dataset) -> np.ndarray:
    """(run,) the outcomes that follow from the experiment that the runs hold; without one, those they hold; without
    both, "diverged" of those whose last sample is not finite, -1 of the others."""
    if "experiment" in runs.attrs:
        with suppress(InputError):  # of another version, or of a target whose file is not here
            return outcomes(runs)
    if "outcome" in runs:
        return runs["outcome"].values
    lost = np.zeros(runs.sizes["run"], bool)
    if "particles" in runs:
        lost = ~np.isfinite(runs["particles"].isel(time=-1).transpose("run", ...).values).all((-2, -1))
    if "diverged_at" in runs:
        lost |= runs["diverged_at"].values >= 0
    return np.where(lost, Outcome.DIVERGED, UNKNOWN).astype(np.int8)


def classify(
    diverged: np.ndarray, escaped: np.ndarray, narrow: np.ndarray, covered: np.ndarray, changing: Any,
    kept: Any = False, moving: Any = False,
) -> np.ndarray:  # fmt: skip
    """The outcome that follows from each run's criteria (arrays of booleans of one shape)."""
    whole, changing, moving = (np.broadcast_to(v, diverged.shape) for v in (kept & ~narrow, changing, moving))
    conditions = [diverged, escaped, whole & moving, whole, changing, narrow, covered & ~moving]
    chosen = [Outcome.DIVERGED, Outcome.ESCAPED, Outcome.CIRCLING, Outcome.SETTLED, Outcome.NOT_SETTLED,
              Outcome.COLLAPSED, Outcome.SETTLED]  # fmt: skip
    return np.select(conditions, [int(o) for o in chosen], int(Outcome.PARTLY_LOST)).astype(np.int8)


def moves_on(x: np.ndarray, size: float, period: float | None = None) -> np.ndarray:
    """(run,) whether particles x (run, time, particle, component) keep moving about their mean places: their rms
    displacement exceeds REST times ``size`` and does not fade, or UNSEEN times ``size`` and grows. NaN (missing) is
    left out."""
    seen = np.isfinite(x).all((2, 3))
    if not (enough := seen.sum(1) >= FEWEST).any():
        return enough
    x = np.where(seen[..., None, None], x, np.nan)
    if period is not None:  # from the first sample seen, on the shortest way
        first = np.take_along_axis(x, seen.argmax(1)[:, None, None, None], 1)
        x = first + (x - first) - period * np.round((x - first) / period)
    middle = x.shape[1] // 2
    with catch_warnings():
        simplefilter("ignore", RuntimeWarning)  # a half, or a run, without a finite sample
        square = ((x - np.nanmean(x, 1, keepdims=True)) ** 2).sum(-1).mean(-1)  # over the particles
        whole = np.sqrt(np.nanmean(square, 1))
        # peaks, of which an oscillation that is seen a few times a turn has as high ones in either half
        early, late = (np.sqrt(np.nanmax(half, 1)) for half in (square[:, :middle], square[:, middle:]))
    large, grows = (whole > REST * size) & ~(late < FADING * early), (whole > UNSEEN * size) & (late > DOUBLED * early)
    return enough & (large | grows)


def drifts(time: np.ndarray, values: np.ndarray, least: float = MOVED) -> np.ndarray:
    """(run,) whether ``values`` (run, time) still change: a straight line through them rises or falls by more than
    ``least``, and by more than TREND times the rms of what it leaves. NaN (missing) is left out."""
    good = np.isfinite(values)
    count = good.sum(-1)
    n = np.maximum(count, 1)[:, None]
    span = float(time[-1] - time[0]) or 1.0
    t = np.where(good, (time - time[0]) / span, 0.0)
    y = np.where(good, values, 0.0)
    t = np.where(good, t - t.sum(-1, keepdims=True) / n, 0.0)
    y = np.where(good, y - y.sum(-1, keepdims=True) / n, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = (t * y).sum(-1) / (t**2).sum(-1)
        rest = np.sqrt(((y - change[:, None] * t) ** 2).sum(-1) / n[:, 0])
    return (count >= FEWEST) & (np.abs(change) > least) & (np.abs(change) > TREND * rest)


def modes_are_lost(codes: Any) -> np.ndarray:
    """Whether runs of these outcomes end otherwise than with every mode kept, at rest or circling."""
    return ~np.isin(codes, [*KEPT, UNKNOWN])


def have_left(codes: Any) -> np.ndarray:
    """Whether runs of these outcomes are far from the target: escaped, or diverged."""
    return np.isin(codes, GONE)


def shares(codes: np.ndarray) -> np.ndarray:
    """(outcome, ...) share of the runs (last axis of ``codes``) with each outcome; NaN where none is known."""
    known = (codes != UNKNOWN).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([(codes == o).sum(-1) / known for o in Outcome])


def counts(codes: ArrayLike) -> dict[str, int]:
    """How many runs had each outcome that occurs, best first."""
    found = np.ravel(codes)
    return {o.word: int((found == o).sum()) for o in Outcome if (found == o).any()}


def tally(codes: ArrayLike) -> str:
    """ "6 settled, 2 escaped"."""
    return ", ".join(f"{n} {word}" for word, n in counts(codes).items()) or "none"


def _mean(exp: Experiment) -> np.ndarray:
    return exp.points.weights @ exp.points.coordinates


def _fifth(time: np.ndarray) -> np.ndarray:
    return np.flatnonzero(time >= time[-1] - LATE * (time[-1] - time[0]) * (1 + 1e-9))


def _late(time: np.ndarray) -> np.ndarray:
    """Indices of at most MOST samples of the last fifth, evenly spread, the last among them."""
    found = _fifth(time)
    return found[np.unique(np.rint(np.linspace(0, len(found) - 1, MOST)).astype(int))]


def _scattered(time: np.ndarray) -> np.ndarray:
    """Indices of at most MOST_MOTION samples of the last fifth, one in each of so many equal parts of it, at no equal
    distances (the golden ratio's multiples), which no oscillation is in step with."""
    found, k = _fifth(time), np.arange(MOST_MOTION)
    if len(found) <= MOST_MOTION:
        return found
    return found[((k + k * (np.sqrt(5) - 1) / 2 % 1) * len(found) / MOST_MOTION).astype(int)]


def _experiment(runs: xr.Dataset) -> Experiment:
    text = runs.attrs.get("experiment")
    if not isinstance(text, str):
        raise InputError("exp", "be given for runs that do not hold their experiment")
    return Experiment.from_toml_string(text)
