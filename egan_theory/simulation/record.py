"""Samples of runs in arrays of the final size, and the dataset of the run schema made of them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..experiment import Experiment
from ..experiment.provenance import provenance
from ..problem.field import VARIABLE
from ..runs.outcome import outcomes
from ..runs.schema import variable

#: weights are recorded when they are at most this many numbers
MAX_WEIGHTS = 5_000_000


class Recorder:
    """Collects samples of runs with P weights in arrays of the final size."""

    def __init__(self, exp: Experiment, P: int, runs: int) -> None:
        self.exp = exp
        T, N, d = exp.run.steps // exp.run.record_every + 1, exp.generator.particles, exp.dimension
        self.time = np.zeros(T)
        self.particles = np.full((runs, T, N, d), np.nan)
        self.discriminator = np.full((runs, T, N), np.nan)
        self.force = np.full((runs, T, N, d), np.nan)
        self.weights = np.full((runs, T, P), np.nan) if runs * T * P <= MAX_WEIGHTS else None
        self.count = 0

    @property
    def keeps_weights(self) -> bool:
        return self.weights is not None

    def add(
        self, step: int, x: np.ndarray, f: np.ndarray, g: np.ndarray, w: np.ndarray | None, alive: np.ndarray
    ) -> None:
        """Positions, D and grad D at the particles, and the weights, of all runs; ``alive``: those that count."""
        i = self.count
        self.time[i] = step
        self.particles[alive, i], self.discriminator[alive, i], self.force[alive, i] = x[alive], f[alive], g[alive]
        if self.weights is not None and w is not None and self.weights.shape[-1] == w.shape[-1]:
            self.weights[alive, i] = w[alive]
        else:  # too large, or the exact kernel's dictionary has grown: no fixed set of features
            self.weights = None
        self.count += 1

    def dataset(self, members: list[Experiment], diverged: np.ndarray, status: str, start: str) -> xr.Dataset:
        exp, n = self.exp, self.count
        ds = xr.Dataset(
            {
                "particles": variable("particles", self.particles[:, :n]),
                "discriminator": variable("discriminator", self.discriminator[:, :n]),
                "force": variable("force", self.force[:, :n]),
                "target": variable("target", exp.points.coordinates),
                "target_weight": variable("target_weight", exp.points.weights),
                "mass": variable("mass", exp.masses),
                "diverged_at": variable("diverged_at", diverged),
            },
            attrs={**provenance(exp), "status": status, "start": start, "rule": exp.update.rule},
        )
        if self.weights is not None:
            ds["weights"] = variable("weights", self.weights[:, :n])
        if start == "kick":
            ds["assignment"] = variable("assignment", exp.assignment)
        unit = exp.update_rule.time_unit
        ds = ds.assign_coords(time=("time", self.time[:n], {"long_name": "training time", "units": unit}))
        ds["outcome"] = variable("outcome", outcomes(ds, exp))
        return with_parameters(ds, exp, members)


def with_parameters(ds: xr.Dataset, exp: Experiment, members: list[Experiment]) -> xr.Dataset:
    """Coordinates on the run axis for the fields that differ between the variants."""
    if len(members) > 1:
        for path in VARIABLE:
            values = [float(m.get(path)) for m in members]
            if len(set(values)) > 1:
                column = np.repeat(values, exp.run.runs)
                ds = ds.assign_coords({path.replace(".", "_"): ("run", column, {"long_name": path, "units": "1"})})
    return ds
