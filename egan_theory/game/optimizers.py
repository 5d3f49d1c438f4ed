"""The optimisers of real training, one entry of OPTIMIZERS each: the step, and its derivative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Optimizer:
    """One player's optimiser at a checkpoint.

    ``kind``: a key of OPTIMIZERS ("sgd", "adam", "adamw"); ``settings``: its numbers by name (learning_rate, momentum,
    dampening, nesterov, weight_decay; beta1, beta2, eps, amsgrad), each one number or, where groups of weights differ,
    an array (n,); ``moments``: its state by name ("m", "v"), arrays (n,), none at the start; ``count``: steps taken.
    """

    kind: str
    settings: Mapping[str, float | Array] = field(default_factory=dict)
    moments: Mapping[str, Array] = field(default_factory=dict)
    count: int | Array = 0

    @property
    def preconditioner(self) -> float | Array:
        """P: the step per unit of a gradient that stays, lr (1 - dampening)/(1 - momentum) of SGD, lr/(sqrt(v-hat) +
        eps) of Adam by its own state, bias correction included; one number or (n,)."""
        raise NotImplementedError
