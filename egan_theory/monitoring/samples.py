"""The samples that a monitor records: losses over the steps since the last one, particles, what was measured."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..runs.recording import RunWriter, WriteError
from ..runs.sample import check_scalar_name
from ..runs.schema import MONITOR_VERSION

#: numbers of one sample's particles where it is not said how many to record
NUMBERS = 2**14
LOSSES = ("loss_discriminator", "loss_generator")


class Samples:
    """A run file fed by a training loop that must not be disturbed: what cannot be recorded is said, and left out.

    ``particles``: generated samples recorded; None: as many as make NUMBERS numbers, with an experiment all.
    """

    def __init__(
        self, path: Path, asked: Mapping[str, Any], particles: int | None, say: Callable[[str], None], **settings: Any
    ) -> None:
        attrs = {"monitor_version": MONITOR_VERSION, "monitor": json.dumps(asked)}
        self.writer = RunWriter(path, attrs=attrs, **settings)
        self._whole = settings.get("experiment") is not None
        self._particles, self._say = particles, say
        self._sums: dict[str, tuple[Any, int]] = {}
        self._said: set[str] = set()

    @property
    def last(self) -> float | None:
        return self.writer.last

    @property
    def pending(self) -> bool:
        """Whether there are losses that no sample holds."""
        return bool(self._sums)

    def add(self, scalars: Mapping[str, Any]) -> None:
        """Losses and scalars of one step; tensors stay on their device, so that nothing waits for it. InputError."""
        for name, value in scalars.items():
            if value is None:
                continue
            if name not in LOSSES:
                check_scalar_name(name)
            if hasattr(value, "detach"):
                value = value.detach().float()  # sums of half precision would not be means
            total, n = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + value, n + 1

    def drop(self) -> None:
        """Forget the losses of steps that are recorded already."""
        self._sums = {}

    def write(self, step: float, game: Callable[[], Any], values: Mapping[str, Any]) -> bool:
        """One sample; whether it was recorded."""
        try:
            made = game()
            x = np.asarray(made.players.generated(made.players.weights[1]))
            x = x.reshape(len(x), -1)
            if self._particles is not None or not self._whole:
                x = x[: self._particles or max(1, NUMBERS // x.shape[1])]
            means = {name: np.asarray(_number(total), dtype=float) / n for name, (total, n) in self._sums.items()}
            set_r1 = {"strength_r1": float(made.strengths["r1"])} if "r1" in made.strengths else {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as many samples as dimensions: they are rows, whatever they look like
                self.writer.log(step, x, **(means | set_r1 | dict(values)))
        except WriteError as error:
            self._complain(f"{error}; training goes on")
        except Exception as error:
            if self.writer.last is None and isinstance(error, InputError) and not _not_finite(error):
                raise  # of what the user gave, before training has begun
            self.note(step, f"sample: {reason(error)}")
            return False
        self._sums = {}
        return True

    def note(self, step: float, text: str) -> None:
        """A remark on a step, kept in the file; said when it is the first of its kind."""
        self.writer.note(step, text)
        self._complain(f"step {step:g}: {text}; training goes on", kind=text)

    def _complain(self, line: str, kind: str | None = None) -> None:
        if (kind or line) not in self._said:
            self._said.add(kind or line)
            self._say(line)


def _number(value: Any) -> Any:
    return value.cpu() if hasattr(value, "cpu") else value


def _not_finite(error: InputError) -> bool:
    return "finite" in error.must


def reason(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


__all__ = ["NUMBERS", "Samples", "reason"]
