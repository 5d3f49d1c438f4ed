"""What kind of orbit a recorded trajectory is, and the error bar of a time average along it."""

from __future__ import annotations

import numpy as np

#: an orbit that moves less than this part of the length scale over the last quarter of the window is a fixed point
FIXED = 1e-6
#: an orbit is periodic when it returns to within this part of its amplitude, every time in the window
PERIODIC = 1e-2
#: the mean position drifts if it moves one way all through the window, by more than this part of the amplitude
DRIFT = 0.05
#: a motion below this part of the length scale is due to the noise that is added to x0, not growth
FLOOR = 1e-7
#: returns and integer lags looked at
MAX_LAG = 16
#: fewest blocks that a standard error is taken from: two, so that a drift over the whole series shows in it
MIN_BLOCKS = 2


def block_stderr(samples: np.ndarray) -> np.ndarray:
    """Standard error of the mean of correlated samples (time, ...) by blocking: neighbours are averaged in pairs over
    and over and the largest naive error of all levels with at least MIN_BLOCKS blocks is taken (Flyvbjerg and Petersen
    1989). Assumes a stationary series longer than its correlation time; NaN for fewer than MIN_BLOCKS samples."""
    error = np.full(samples.shape[1:], np.nan)
    while len(samples) >= MIN_BLOCKS:
        n = len(samples)
        error = np.fmax(error, samples.std(axis=0, ddof=1) / np.sqrt(n))
        samples = (samples[: n - n % 2 : 2] + samples[1::2]) / 2
    return error


def classify(points: np.ndarray, forces: np.ndarray, length: float) -> tuple[str, float | None]:
    """(orbit, period in samples) of a window of samples x0 (time, m) and grad D there (time, d).

    "fixed point": x0 moves by less than FIXED length over the last quarter and does not move faster and faster;
    "periodic": (x0, grad D) repeats after an integer lag, or at every k-th crossing of the plane through its mean
    (period = mean time between them; k > 1 after period doubling); "wandering": bounded, of steady amplitude and
    neither (quasi-periodic or chaotic); "undecided": still drifting, relaxing, or too slow for the window.
    """
    sizes = np.array([np.ptp(part, axis=0).max() for part in np.array_split(points, 8)])
    last = np.ptp(points[-(len(points) // 4) :], axis=0).max()
    growing = bool(sizes[-1] > 2 * sizes[-3] and sizes[-1] > FLOOR * length)
    if last < FIXED * length:
        return ("undecided" if growing else "fixed point"), None
    if np.all(np.diff(sizes) < 0) and sizes[-1] < 0.9 * sizes[0]:
        return "undecided", None
    means = np.array([part.mean(axis=0) for part in np.array_split(points, 8)])
    steps = np.diff(means, axis=0)
    drifts = np.all(steps > 0, axis=0) | np.all(steps < 0, axis=0)
    if np.any(np.ptp(means, axis=0)[drifts] > DRIFT * np.ptp(points, axis=0).max()):
        return "undecided", None
    # the force by its size, not its variation: it hardly varies for a cluster that travels round a box
    scale = max(np.abs(forces).max(), np.finfo(float).tiny)
    state = np.concatenate([points / np.ptp(points, axis=0).max(), forces / scale], axis=-1)
    if np.abs(np.diff(state, axis=0)).max() > 0.5:  # jumps: a short cycle of a discrete rule, if any
        for lag in range(2, MAX_LAG + 1):
            if np.abs(state[lag:] - state[:-lag]).max() < PERIODIC:
                return "periodic", float(lag)
    times, returns = _crossings(state, points.shape[-1])
    if len(times) < 6:
        return "undecided", None
    for lag in range(1, min(MAX_LAG, len(times) // 3) + 1):
        durations = times[lag:] - times[:-lag]
        period = float(durations.mean())
        even = np.abs(durations - period).max() < PERIODIC * max(period, MAX_LAG)
        if even and np.abs(returns[lag:] - returns[:-lag]).max() < PERIODIC:
            return "periodic", period
    halves = [np.ptp(part, axis=0).max() for part in np.array_split(points, 2)]
    steady = max(halves) < 2 * min(halves) and np.ptp(points, axis=0).max() < 2 * max(halves)
    return ("wandering" if steady else "undecided"), None


def _crossings(state: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and places of upward crossings of the plane through the mean, across the positions' main direction; cubic
    interpolation between samples."""
    centred = state[:, :m] - state[:, :m].mean(0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    s = centred @ direction
    before = np.flatnonzero((s[1:-2] < 0) & (s[2:-1] >= 0)) + 1
    if not len(before):
        return np.empty(0), np.empty((0, state.shape[1]))
    t = s[before] / (s[before] - s[before + 1])
    for _ in range(3):  # Newton's iteration for the zero of the cubic
        w, dw = _cubic(t)
        near = s[before[:, None] + np.arange(-1, 3)]
        slope = (dw * near).sum(-1)
        t = np.clip(t - np.where(slope > 0, (w * near).sum(-1) / np.where(slope > 0, slope, 1.0), 0.0), 0.0, 1.0)
    weights = _cubic(t)[0]
    places = np.einsum("kj,kjm->km", weights, state[before[:, None] + np.arange(-1, 3)])
    return before + t, places


def _cubic(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lagrange weights on the nodes -1, 0, 1, 2 at t, and their derivatives."""
    w = [
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    ]
    dw = [
        -(3 * t**2 - 6 * t + 2) / 6,
        (3 * t**2 - 4 * t - 1) / 2,
        -(3 * t**2 - 2 * t - 2) / 2,
        (3 * t**2 - 1) / 6,
    ]
    return np.stack(w, axis=-1), np.stack(dw, axis=-1)
