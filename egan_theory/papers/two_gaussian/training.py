"""Training of the interval GAN from many starts at once, with five kinds of discriminator.

Gradients, with s = (-1, 1, -1, 1) for the ends (l_1, r_1, l_2, r_2):

    dL/de_k = s_k (p - q)(e_k),   -dL/dmu_j = dQ(S)/dmu_j = -1/2 sum_k s_k phi(e_k - mu_j)

Every discriminator step is followed by the Euclidean projection on l_1 <= r_1 <= l_2 <= r_2 (isotonic regression of
four numbers). An interval that has shrunk to nothing where p < q stays so: its ends are pushed against each other.
Units: means and ends in standard deviations of the components; rates per step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...base.errors import InputError
from ...base.spelling import unknown
from .intervals import best_intervals, excess, excess_slope, normal, total_variation

SIGNS = np.array([-1.0, 1.0, -1.0, 1.0])
DISCRIMINATORS = ("optimal", "simultaneous", "steps", "unrolled")
#: starts: means and interval ends from U[-3, 3]
SPREAD = 3.0


@dataclass(frozen=True)
class Training:
    """How the two players move.

    Attributes:
        discriminator: "optimal" (the best intervals at every step), "simultaneous" (one gradient step of both players
            from the same state), "steps" (``inner`` gradient steps, then the generator: alternating), "unrolled" (Metz
            et al. 2017, arXiv:1611.02163: the generator descends L(mu, e_n(mu)) with e_n the ends after ``inner``
            steps, differentiated through them; the ends themselves then move by one step, both from the same state).
        inner: [1] discriminator steps per generator step.
        rate: [1/step] eta of the means, which are in standard deviations.
        rate_discriminator: [1/step] eta_D of the ends.
        steps: [steps] of the generator.
        record_every: [steps] between two records.

    Raises:
        InputError: values outside their ranges.

    Source:
        Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884).
    """

    discriminator: str = "optimal"
    inner: int = 1
    rate: float = 0.3
    rate_discriminator: float = 0.3
    steps: int = 400
    record_every: int = 10

    def __post_init__(self) -> None:
        if self.discriminator not in DISCRIMINATORS:
            raise unknown("discriminator", self.discriminator, DISCRIMINATORS)
        for name in ("inner", "steps", "record_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(name, "be a whole number of at least 1", repr(value))
        for name in ("rate", "rate_discriminator"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(name, "be greater than 0 and finite", getattr(self, name))


@dataclass(frozen=True)
class Trajectories:
    """Recorded training.

    Attributes:
        time: [steps] (T,) of the generator.
        means: [standard deviations] (R, T, 2) of the generator's components.
        ends: [standard deviations] (R, T, 4) of the intervals.
        tv: [1] (R, T) total variation between data and generator.

    Source:
        Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884).
    """

    time: np.ndarray
    means: np.ndarray
    ends: np.ndarray
    tv: np.ndarray

    @property
    def empty(self) -> np.ndarray:
        """(R,) number of intervals without length at the end of training [1]."""
        length = self._lengths()
        return (length[:, 0] <= 0).astype(int) + (length[:, 2] <= 0)

    @property
    def merged(self) -> np.ndarray:
        """(R,) whether two intervals of positive length have become one at the end of training [0 or 1]."""
        length = self._lengths()
        return (length[:, 1] <= 0) & (length[:, 0] > 0) & (length[:, 2] > 0)

    def _lengths(self) -> np.ndarray:
        """First interval, gap, second interval; rounding of pooled ends counts as none."""
        last = self.ends[:, -1]
        length = np.diff(last, axis=-1)
        return np.where(length <= 8 * np.finfo(float).eps * np.abs(last).max(-1, keepdims=True), 0.0, length)


def random_starts(seed: int, count: int, spread: float = SPREAD) -> tuple[np.ndarray, np.ndarray]:
    """Means and sorted interval ends, all uniform in [-spread, spread].

    Returns:
        Means and ends.

    Shapes:
        (count, 2) and (count, 4).

    Units:
        Standard deviations of the components.

    Raises: nothing of its own.

    Source:
        Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884).
    """
    rng = np.random.default_rng(seed)
    return rng.uniform(-spread, spread, (count, 2)), np.sort(rng.uniform(-spread, spread, (count, 4)), axis=-1)


def train(
    training: Training, starts: tuple[np.ndarray, np.ndarray], rates: np.ndarray | None = None
) -> Trajectories:  # fmt: skip
    """Train from every start, side by side.

    Args:
        starts: means and ends, from ``random_starts``.
        rates: a discriminator's rate for each run in place of the one of ``training``.

    Returns:
        Means, ends and total variation at the recorded steps.

    Shapes:
        starts (R, 2) and (R, 4), rates (R,); results over (R, T).

    Units:
        Means and ends in standard deviations of the components, rates per step.

    Raises:
        InputError: starts or rates of another shape, or rates that are not positive.

    Source:
        Li, Madry, Peebles, Schmidt 2018 (arXiv:1706.09884); unrolling: Metz et al. 2017 (arXiv:1611.02163).
    """
    means, ends = (np.array(v, dtype=float) for v in starts)
    if means.ndim != 2 or means.shape[1:] != (2,) or ends.shape != (len(means), 4):
        raise InputError("starts", "be means (R, 2) and interval ends (R, 4)", f"{means.shape} and {ends.shape}")
    eta_D: float | np.ndarray = training.rate_discriminator
    if rates is not None:
        rates = np.asarray(rates, dtype=float)
        if rates.shape != (len(means),) or not np.all((rates > 0) & np.isfinite(rates)):
            raise InputError("rates", f"be {len(means)} positive finite numbers", rates.shape)
        eta_D = rates[:, None]
    time, kept = [], []
    for step in range(training.steps + 1):
        if step % training.record_every == 0 or step == training.steps:
            time.append(step)
            shown = best_intervals(means) if training.discriminator == "optimal" else ends
            kept.append((means, shown))
        if step < training.steps:
            means, ends = one_step(training, means, ends, eta_D)
    M, E = (np.stack(column, axis=1) for column in zip(*kept, strict=True))
    return Trajectories(np.array(time), M, E, total_variation(M))


def one_step(
    training: Training, means: np.ndarray, ends: np.ndarray, eta_D: float | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One generator step with its discriminator steps, (R, 2) and (R, 4) -> the same; eta_D: one rate, or (R, 1)."""
    eta = training.rate
    eta_D = training.rate_discriminator if eta_D is None else eta_D
    if training.discriminator == "optimal":
        return means + eta * generator_force(best_intervals(means), means), ends
    if training.discriminator == "simultaneous":
        return means + eta * generator_force(ends, means), _ascend(ends, means, eta_D)
    if training.discriminator == "steps":
        for _ in range(training.inner):
            ends = _ascend(ends, means, eta_D)
        return means + eta * generator_force(ends, means), ends
    last, sensitivity = ends, np.zeros((*ends.shape, 2))
    for i in range(training.inner):
        last, sensitivity = _ascend_with_sensitivity(last, sensitivity, means, eta_D)
        if i == 0:
            following = last
    through = np.einsum("...kj,...k->...j", sensitivity, SIGNS * excess(last, means))
    return means + eta * (generator_force(last, means) - through), following


def generator_force(ends: np.ndarray, means: np.ndarray) -> np.ndarray:
    """-dL/dmu, (..., 2)."""
    return -(SIGNS[:, None] * normal(ends[..., :, None] - means[..., None, :])).sum(-2) / 2


def force_on_ends_by_means(ends: np.ndarray, means: np.ndarray) -> np.ndarray:
    """d(dL/de_k)/dmu_j = -s_k (e_k - mu_j) phi(e_k - mu_j)/2, (..., 4, 2)."""
    u = ends[..., :, None] - means[..., None, :]
    return -SIGNS[:, None] * u * normal(u) / 2


def isotonic(ends: np.ndarray) -> np.ndarray:
    """The nearest sorted ends, (R, 4): isotonic regression by its max-min formula,
    y_k = max_(a<=k) min_(b>=k) mean(e_a..e_b)."""
    wrong = np.flatnonzero((np.diff(ends, axis=-1) < 0).any(-1))
    if not len(wrong):
        return ends
    rows, out = ends[wrong], ends.copy()  # sorted rows stay as they are, to the last digit
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=-1)], axis=-1)
    for k in range(4):
        levels = [
            np.min([(sums[:, b + 1] - sums[:, a]) / (b + 1 - a) for b in range(k, 4)], axis=0) for a in range(k + 1)
        ]
        out[wrong, k] = np.max(levels, axis=0)
    return out


def _ascend(ends: np.ndarray, means: np.ndarray, eta: float | np.ndarray) -> np.ndarray:
    return isotonic(ends + eta * SIGNS * excess(ends, means))


def _ascend_with_sensitivity(
    ends: np.ndarray, sensitivity: np.ndarray, means: np.ndarray, eta: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step of the ends and of de/dmu, (R, 4, 2). Where the projection merges ends it averages their derivatives."""
    free = ends + eta * SIGNS * excess(ends, means)
    curvature = (SIGNS * excess_slope(ends, means))[..., None]
    moved = sensitivity + np.asarray(eta)[..., None] * (curvature * sensitivity + force_on_ends_by_means(ends, means))
    ends = isotonic(free)
    merged = np.abs(np.diff(ends, axis=-1)) <= 4 * np.finfo(float).eps * np.abs(ends).max(-1, keepdims=True)
    if merged.any():
        block = np.concatenate([np.zeros((len(ends), 1), int), np.cumsum(~merged, axis=-1)], axis=-1)
        same = (block[:, :, None] == block[:, None, :]).astype(float)
        moved = (same / same.sum(-1, keepdims=True)) @ moved
    return ends, moved
