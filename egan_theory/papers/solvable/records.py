"""What every simulation of the solvable model shares: its samples, its random numbers, the Dataset of its course."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from ...base.errors import InputError
from ...base.terminal import check_memory
from ...runs.schema import finished_status
from .model import Solvable
from .profile import Quadrature
from .state import State, gram_state

#: dims after (run, time), long_name
VARIABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "P": (("feature", "fake"), "overlap of true and generated features, U^T V"),
    "q": (("feature",), "overlap of true features and discriminator, U^T w"),
    "r": (("fake",), "overlap of generated features and discriminator, V^T w"),
    "S": (("fake", "fake2"), "overlaps of the generated features, V^T V"),
    "z": ((), "squared norm of the discriminator, w.w"),
}
#: ``progress(done, total)``
Progress = Callable[[int, int], None]
#: a run has diverged when z or some S_ll passes this (penalties that are too weak)
DIVERGENCE = 1e12


def record_steps(model: Solvable) -> np.ndarray:
    """Steps of the samples, from 0 to round(time n): those nearest to ``model.times``, each once.

    Raises InputError: n below 2d + 1 (no room for U, V, w in general position), less than one step, samples that do
    not fit in memory.
    """
    size = 2 * model.d + 1
    if model.n < size:
        raise InputError("solvable.n", f"be at least 2 d + 1 = {size}", model.n)
    total = model.time * model.n
    if not 1 <= round(total) <= 2**62:
        raise InputError("solvable.time", "hold at least one step and at most 2^62 (steps = time * n)", f"{total:.3g}")
    check_memory("solvable.record", 3 * 8 * model.runs * int(min(model.record, total + 1)) * size**2)
    return np.unique(np.rint(model.times * model.n).astype(np.int64))


def random_stream(model: Solvable, *stream: int) -> np.random.Generator:
    """A generator of its own for each stream of the model's seed: runs do not depend on how many there are."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([model.seed, *stream])))


def fill_latents(rng: np.random.Generator, law: Quadrature | None, out: np.ndarray) -> None:
    """Fill ``out`` with independent draws of the latent law, mean 0 and variance 1."""
    if law is None:
        out[...] = rng.standard_normal(out.shape)
        return
    levels = np.cumsum(law.weights)[:-1]
    out[...] = np.array(law.nodes)[np.searchsorted(levels, rng.random(out.shape), side="right")]


def state_dataset(model: Solvable, time: np.ndarray, state: State, **attrs: Any) -> xr.Dataset:
    """A Dataset (run, time, ...) of states with leading axes (run, time); attrs model, seed, versions and those given.

    ``status`` is "finished" unless given.
    """
    data = {
        name: (("run", "time", *dims), values, {"long_name": text, "units": "1"})
        for (name, (dims, text)), values in zip(VARIABLES.items(), state, strict=True)
    }
    coords = {
        "time": ("time", np.asarray(time, dtype=float), {"long_name": "training time, steps/n", "units": "1"}),
        **{n: (n, np.arange(model.d)) for n in ("feature", "fake", "fake2")},
        "run": ("run", np.arange(state.z.shape[0])),
    }
    return xr.Dataset(data, coords=coords, attrs={**model.provenance(), "status": "finished", **attrs})


def dataset_state(ds: xr.Dataset) -> State:
    """The State with leading axes (run, time) of a Dataset in this form."""
    return State(*(ds[name].transpose("run", "time", *dims).values for name, (dims, _) in VARIABLES.items()))


def with_weights(ds: xr.Dataset, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> xr.Dataset:
    """The Dataset with rows u (run, weight, feature), v (run, time, weight, fake), w (run, time, weight)."""
    ds["u"] = ("run", "weight", "feature"), u, {"long_name": "rows of sqrt(n) U", "units": "1"}
    ds["v"] = ("run", "time", "weight", "fake"), v, {"long_name": "rows of sqrt(n) V", "units": "1"}
    ds["w"] = ("run", "time", "weight"), w, {"long_name": "entries of sqrt(n) w", "units": "1"}
    return ds


class Course:
    """Samples of finite-n runs as they are simulated.

    steps (T,): those of the samples; grams (run, T, 2d+1, 2d+1): Gram matrices, NaN where a run has not come; diverged
    (run,): step of divergence or -1. Raises InputError as ``record_steps``.
    """

    def __init__(self, model: Solvable) -> None:
        self.model, self.steps = model, record_steps(model)
        size = 2 * model.d + 1
        self.grams = np.full((model.runs, len(self.steps), size, size), np.nan)
        self.diverged = np.full(model.runs, -1)

    def dataset(self, interrupted: bool, method: str) -> xr.Dataset:
        """The Dataset. When interrupted, runs not begun and times not reached are left out."""
        steps, grams, diverged = self.steps, self.grams, self.diverged
        status = finished_status(diverged)
        if interrupted:
            status = "interrupted"
            begun = np.isfinite(grams[..., -1, -1]).any(axis=1)
            begun[0] = True
            grams, diverged = grams[begun], diverged[begun]
            reached = max(1, int(np.isfinite(grams[..., -1, -1]).any(axis=0).sum()))
            grams, steps = grams[:, :reached], steps[:reached]
        n = self.model.n
        ds = state_dataset(self.model, steps / n, gram_state(grams), status=status, n=n, method=method)
        ds["diverged_at"] = ("run", diverged, {"long_name": "step of divergence, -1 if none", "units": "step"})
        return ds
