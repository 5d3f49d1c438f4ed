"""How far from the end of training, where the theory holds, an advice was taken.

The theory is that of small deviations: particles on the data, D = D* there, tangent kernels that stay as they are. Of
each of these assumptions one number says how well it holds where the weights were given; what cannot be known is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from .practice import samples_of

Array = np.ndarray

#: D's offset from D* that changes a loss's slope by about half; distances in units of that between neighbouring data;
#: relative changes of a kernel: beyond these the theory is a rough one
OFFSET, DISTANCE, DRIFT = 1.0, 0.5, 0.3
#: fewer e-folds than this within the horizon are no convergence
FOLDS = 1.0


class Surroundings(NamedTuple):
    """The part of ``Reach`` that does not depend on the strength."""

    value_offset: float | None = None
    slope: float | None = None
    particles: float | None = None
    drift: float | None = None


@dataclass(frozen=True)
class Reach(Record):
    """e_folds: -ln of what the advised strength leaves at the horizon, of what can move; slow: share of the modes by
    which the particles converge that lose less than 1/e in it.

    value_offset: rms of D - D* at the data (without its mean where only differences of D count); slope: rms of
    |grad D| there times the distance between neighbouring data points, the change of D that the theory takes for none;
    particles: rms distance of the generated samples to the nearest data point, in units of that between neighbouring
    data points; drift: |H' - H| / |H| (Frobenius) of the products of D's gradients at the data, between the weights
    given and those at the other time of training. None: not known.
    """

    KEYS = ("e_folds", "slow", "value_offset", "slope", "particles", "drift", "far")

    e_folds: float
    slow: float
    value_offset: float | None
    slope: float | None
    particles: float | None
    drift: float | None

    @property
    def far(self) -> tuple[str, ...]:
        """Which assumptions do not hold where the advice was taken, in words."""
        out = []
        if self.value_offset is not None and self.value_offset > OFFSET:
            out.append(f"D is {self.value_offset:.2g} (rms at the data) away from its equilibrium value")
        if self.slope is not None and self.slope > OFFSET:
            out.append(f"D's slope at the data changes it by {self.slope:.2g} from one data point to the next")
        if self.particles is not None and self.particles > DISTANCE:
            out.append(
                f"the generated samples are {self.particles:.2g} times as far from the data as neighbouring data "
                "points from each other"
            )
        if self.drift is not None and self.drift > DRIFT:
            out.append(f"D's tangent kernel moves by {self.drift:.0%} between the two times of training given")
        return tuple(out)

    def words(self, span: str) -> tuple[str, ...]:
        """For a reader; ``span``: the horizon with its unit."""
        out = []
        if np.isfinite(self.e_folds):
            rough = " (less than a factor e: no convergence within it)" if self.e_folds < FOLDS else ""
            out.append(
                f"within {span} the theory brings particles {np.exp(min(self.e_folds, 700)):.3g} times closer, "
                f"{self.e_folds:.2g} e-folds{rough}; {self.slow:.0%} of the modes lose less than 1/e"
            )
        known = [v for v in (self.value_offset, self.slope, self.particles, self.drift) if v is not None]
        if self.far:
            out.append(
                f"taken far from the end of training, where the theory holds: {'; '.join(self.far)}. Do not rely on "
                "the strength; ask again nearer the end"
            )
        elif known:
            out.append("nothing of what was given speaks against the theory where the advice was taken")
        unknown = [
            name
            for name, value in (
                ("D at the data", self.value_offset),
                ("the distance of generated samples from the data (generated)", self.particles),
                ("the drift of D's kernel (later)", self.drift),
            )
            if value is None
        ]
        if unknown:
            out.append(f"not known: {', '.join(unknown)}")
        return tuple(out)


def spacing(samples: Array) -> float:
    """rms distance of a data point to its nearest neighbour; nan of a single one."""
    from scipy.spatial import KDTree

    if len(samples) < 2:
        return float("nan")
    return float(np.sqrt((KDTree(samples).query(samples, 2)[0][:, 1] ** 2).mean()))


def distance(generated: Any, samples: Array, shape: tuple[int, ...]) -> float:
    """``Reach.particles`` of generated samples (n, *shape)."""
    from scipy.spatial import KDTree

    found, own = samples_of(generated, "generated")
    if own != shape:
        raise InputError("generated", f"hold samples of the data's shape {shape}", f"samples of shape {own}")
    return float(np.sqrt((KDTree(samples).query(found)[0] ** 2).mean()) / spacing(samples))


def drift(before: Array, after: Array) -> float:
    """|after - before| / |before|."""
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


__all__ = ["Reach", "Surroundings", "distance", "drift", "spacing"]
