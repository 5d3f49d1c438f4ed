"""When training is looked at: as often as a share of its time allows. Time is counted, not assumed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

#: training steps that are timed before the first analysis
WARM = 10
#: durations of steps that the present duration is the median of
WINDOW = 200
#: samples between two analyses, for the losses
SAMPLES = 10


def share_said(part: float) -> str:
    """Time spent looking over that of training, in words."""
    return f"{part:.2g} times the training time" if part > 1 else f"{part:.1%} of the training time"


class Pace:
    """Time of training and of looking at it, and what follows for the steps between two analyses.

    ``enter`` and ``leave`` enclose all that is not training. ``every`` None: the first analysis comes when WARM steps
    have been timed, the next ones so that all but the last of them together take at most ``share`` of the training
    time: at any moment

        looked <= share * trained + the last analysis and its samples        [s]

    (with the first: and what was done before it).

    ``every`` k: at the first step seen, and then whenever a multiple of k is reached, whatever it costs.

    trained, looked: seconds so far; timed: steps that were timed; spacing: steps between analyses, None before it is
    known; analysis_seconds: of the last one; ``clock``: seconds.
    """

    def __init__(self, share: float, every: int | None, record: int | None, clock: Callable[[], float]) -> None:
        self.share, self.every, self.record, self._clock = share, every, record, clock
        self.trained = self.looked = 0.0
        self.spacing = every
        self.analysis_seconds = math.nan
        self._each: deque[float] = deque(maxlen=WINDOW)
        self.timed = 0
        self._entered = self._left = None  # type: float | None
        self._step: float | None = None
        self._analysed: float | None = None
        self._sampled: float | None = None

    @property
    def step_seconds(self) -> float:
        """Median duration of the latest training steps; NaN before one was timed."""
        return float(np.median(self._each)) if self._each else math.nan

    @property
    def overhead(self) -> float:
        """Time looked over time trained, so far."""
        return self.looked / self.trained if self.trained else math.nan

    def enter(self, step: float) -> None:
        """Training has come to a step."""
        now = self._clock()
        if self._left is not None and self._step is not None and step > self._step:
            took = now - self._left
            self.trained += took
            self.timed += 1
            if self.timed > 1:  # the first step compiles, allocates, fills caches
                self._each.append(took / (step - self._step))
        self._entered, self._step = now, step

    def leave(self) -> None:
        """Training goes on."""
        self._left = self._clock()
        self.looked += self._left - (self._entered or self._left)
        self._entered = None

    @property
    def looked_now(self) -> float:
        """``looked``, with the time since ``enter``."""
        return self.looked + (0.0 if self._entered is None else self._clock() - self._entered)

    def due(self, step: float) -> bool:
        """Whether to analyse now."""
        if self.every is not None:
            return self._analysed is None or step // self.every > self._analysed // self.every
        if self._analysed is None:
            return self.timed > WARM
        assert self.spacing is not None
        return step >= self._analysed + self.spacing and self.looked <= self.share * self.trained

    def sample_due(self, step: float) -> bool:
        """Whether to record losses and particles now."""
        if self._sampled is None:
            return True
        if self.spacing is None and self.record is None:
            return False
        between = self.record or max(1, (self.spacing or 0) // SAMPLES)
        return step // between > self._sampled // between

    def sampled(self, step: float) -> None:
        """A sample was recorded."""
        self._sampled = step

    def expected(self, seconds: float) -> int:
        """Steps between analyses of that many seconds each that keep the share, to two digits, rounded up."""
        steps = max(1.0, seconds / (self.share * max(self.step_seconds, 1e-9)))
        unit = 10 ** max(0, math.floor(math.log10(steps)) - 1)
        return math.ceil(steps / unit * (1 - 1e-9)) * unit

    def analysed(self, step: float, seconds: float, sample_seconds: float = 0.0) -> None:
        """An analysis was made, with the sample that belongs to it; SAMPLES more come before the next one."""
        self._analysed, self.analysis_seconds = step, seconds
        if self.every is None:
            self.spacing = self.expected(seconds + SAMPLES * sample_seconds)


__all__ = ["SAMPLES", "WARM", "Pace", "share_said"]
