"""What every simulation of the solvable model shares: its samples, its random numbers, its Dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...base.errors import InputError
from ...base.terminal import check_memory
from .state import State, state_dataset

if TYPE_CHECKING:
    import xarray as xr

    from .model import Solvable
    from .profile import Quadrature

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


def latents(rng: np.random.Generator, law: Quadrature | None, out: np.ndarray) -> None:
    """Fill ``out`` with independent draws of the latent law, mean 0 and variance 1."""
    if law is None:
        out[...] = rng.standard_normal(out.shape)
        return
    levels = np.cumsum(law.weights)[:-1]
    out[...] = np.array(law.nodes)[np.searchsorted(levels, rng.random(out.shape), side="right")]


def gram_root(gram: np.ndarray) -> np.ndarray:
    """R with R^T R = G, for positive semidefinite G."""
    values, vectors = np.linalg.eigh(gram)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def gram_state(gram: np.ndarray) -> State:
    """The state of Gram matrices (..., 2d+1, 2d+1) of (U, V, w): the inverse of ``state.gram``."""
    d = (gram.shape[-1] - 1) // 2
    return State(
        gram[..., :d, d : 2 * d],
        gram[..., :d, -1],
        gram[..., d : 2 * d, -1],
        gram[..., d : 2 * d, d : 2 * d],
        gram[..., -1, -1],
    )


def grams_dataset(
    model: Solvable, steps: np.ndarray, grams: np.ndarray, diverged: np.ndarray, interrupted: bool, **attrs: Any
) -> xr.Dataset:
    """The Dataset of Gram matrices (run, time, 2d+1, 2d+1) at ``steps``; NaN where a run has not come.

    ``diverged`` (run,): step of divergence or -1. When interrupted, runs not begun and times not reached are left out.
    """
    if interrupted:
        begun = np.isfinite(grams[..., -1, -1]).any(axis=1)
        begun[0] = True
        grams, diverged = grams[begun], diverged[begun]
        reached = max(1, int(np.isfinite(grams[..., -1, -1]).any(axis=0).sum()))
        grams, steps = grams[:, :reached], steps[:reached]
    status = "finished"
    if interrupted:
        status = "interrupted"
    elif np.any(diverged >= 0):
        status = f"diverged at step {diverged[diverged >= 0].min()}"
    ds = state_dataset(model, steps / model.n, gram_state(grams), status=status, n=model.n, **attrs)
    ds["diverged_at"] = ("run", diverged, {"long_name": "step of divergence, -1 if none", "units": "step"})
    return ds
