"""The exact Markov chain of the macroscopic state at finite n: cost per step independent of n.

One step of ``kernel``, where the derivation is, has the law of one step of stochastic gradient descent in R^n, for
Gaussian a, a~ and any latent law, nonlinearity and constraint.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import sympy as sp
import xarray as xr

from ...base.dataset import shown
from ...base.errors import InputError
from ...base.files import atomic, check_output, read_npz
from ...base.signals import recorded
from .model import CONSTRAINTS, Solvable
from .profile import PROFILES, Profile, X
from .records import Course, Progress, fill_latents, random_stream
from .state import gram

#: steps whose noise is drawn at once; checkpoints and interrupts fall between blocks. Part of what a seed means.
BLOCK = 4096
#: first number of the random streams of the chain
STREAM = 1
#: form of the checkpoint file
CHECKPOINT = "solvable chain 1"
METHOD = "exact Markov chain of the macroscopic state"


@shown
def simulate_chain(
    model: Solvable,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    *,
    every: float = 30.0,
) -> xr.Dataset:
    """Exact Markov chain of the overlaps: ``model.runs`` independent runs of round(time n) steps at finite n, in law
    those of direct SGD in R^n.

    A run depends on ``seed`` and its own number only. KeyboardInterrupt: what was recorded is returned with status
    "interrupted".

    Args:
        checkpoint: a file written whole every ``every`` seconds, on an interrupt and at the end. When it exists the
            simulation goes on from there, with the numbers it would have had without the break (same NumPy).

    Returns:
        A Dataset of the shared form, at the steps nearest to ``model.times``.

    Shapes:
        P (run, time, feature, fake), q (run, time, feature), r (run, time, fake), S (run, time, fake, fake2), z (run,
        time), diverged_at (run), NaN after it.

    Units:
        Overlaps are pure numbers, time in steps/n, diverged_at in steps, every in seconds.

    Raises:
        InputError: n < 2d + 1, no step, too many samples for the memory, a nonlinearity Numba cannot compile, a file
            that is no checkpoint of this model.

    Assumes:
        Gaussian a, a~ (the components along w, U, V and the remaining norm are then all that matters).

    Source:
        Updates of Wang, Hu, Lu (arXiv:1805.08349); the chain is derived in papers.solvable.kernel.
    """
    job = Chain(model)
    path = None if checkpoint is None else check_output(checkpoint, field="checkpoint")
    if path is not None and path.exists():
        job.load(path)
    advance = advance_of(model.profile)
    last, interrupted = monotonic(), False
    try:
        while job.run < model.runs:
            job.block(advance)
            if progress is not None:
                progress(job.done, job.total)
            if path is not None and monotonic() - last > every:
                _checkpoint(job, path)
                last = monotonic()
        recorded()
    except KeyboardInterrupt:
        interrupted = True
    if path is not None:
        _checkpoint(job, path)
    return job.dataset(interrupted, METHOD)


def _checkpoint(job: Chain, path: Path) -> None:
    """Where the disk is full, the runs are worth more than their checkpoint: a warning."""
    try:
        job.save(path)
    except OSError as error:
        said = f"{path}: the checkpoint could not be written ({error.strerror or error}), a former one stays"
        warnings.warn(said, stacklevel=2)


class Chain(Course):
    """The runs in turn, in blocks of steps. ``at`` changes once per block: an interrupt leaves it consistent."""

    def __init__(self, model: Solvable) -> None:
        super().__init__(model)
        self.length = int(self.steps[-1])
        self.start = gram(model.start)
        self.rng = random_stream(model, STREAM, 0)
        self.at = self._beginning(0)
        k, kind = 1 / model.n, CONSTRAINTS.index(model.constraint)
        self.rates = (
            k * model.tau, k * model.taut, float(np.sqrt(model.eta_T)), float(np.sqrt(model.eta_G)),
            model.strength, kind,
        )  # fmt: skip

    @property
    def run(self) -> int:
        return self.at[0]

    @property
    def total(self) -> int:
        return self.model.runs * self.length

    @property
    def done(self) -> int:
        return self.at[0] * self.length + self.at[1]

    def _beginning(self, run: int) -> tuple[int, int, np.ndarray, Any]:
        return run, 0, self.start, random_stream(self.model, STREAM, run).bit_generator.state

    def block(self, advance: Callable[..., int]) -> None:
        """The next BLOCK steps of the current run, or its rest."""
        model, (run, step, G, bits) = self.model, self.at
        if step == 0:
            self.grams[run, 0] = G
        end = min(step + BLOCK, self.length)
        self.rng.bit_generator.state = bits
        noise, chi2 = noise_rows(self.rng, model, end - step)
        G = G.copy()
        first, past = np.searchsorted(self.steps, [step, end], side="right")
        failed = advance(
            (0,) * model.d, G, model.linear, self.rates, np.sqrt(model.L), np.sqrt(model.Lt), noise, chi2, step,
            self.steps[first:past], self.grams[run, first:past],
        )  # fmt: skip
        if failed >= 0:
            self.diverged[run] = failed
        if failed >= 0 or end == self.length:
            self.at = self._beginning(run + 1)
        else:
            self.at = run, end, G, self.rng.bit_generator.state

    def save(self, path: Path) -> None:
        run, step, G, bits = self.at
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file, form=CHECKPOINT, model=repr(self.model), run=run, step=step, gram=G, grams=self.grams,
                diverged=self.diverged, bits=json.dumps(bits, default=np.ndarray.tolist),
            )  # fmt: skip

    def load(self, path: Path) -> None:
        try:
            wanted = dict.fromkeys(("form", "model", "run", "step", "bits"))
            data = read_npz(path, {**wanted, "gram": self.start, "grams": self.grams, "diverged": self.diverged})
            if str(data["form"]) != CHECKPOINT:
                raise InputError("checkpoint", f"be of the form {CHECKPOINT!r}", f"{path}: {data['form']}")
            if str(data["model"]) != repr(self.model):
                raise InputError("checkpoint", "be of the same model (remove the file to start anew)", path)
            run, step, G, bits = int(data["run"]), int(data["step"]), data["gram"], json.loads(str(data["bits"]))
            bits["state"]["state"] = np.array(bits["state"]["state"], dtype=np.uint64)
            self.rng.bit_generator.state = bits
            if not (np.isfinite(G).all() and 0 <= run <= self.model.runs and 0 <= step < self.length):
                raise ValueError("arrays that do not fit the model")
        except InputError:
            raise
        except Exception as error:  # archives and headers may hold anything
            raise InputError("checkpoint", "be a checkpoint of a chain", f"{path}: {error}") from None
        self.grams, self.diverged, self.at = data["grams"], data["diverged"], (run, step, G, bits)


def noise_rows(rng: np.random.Generator, model: Solvable, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """noise (steps, 4d + 3) and chi^2_{n - 2d - 1} (steps,) of ``kernel.advance``."""
    noise = rng.standard_normal((steps, 4 * model.d + 3))
    if model.law is not None:
        fill_latents(rng, model.law, noise[:, : 2 * model.d])
    rest = model.n - 2 * model.d - 1
    return noise, rng.chisquare(rest, steps) if rest else np.zeros(steps)


@cache
def advance_of(profile: Profile) -> Callable[..., int]:
    """The compiled loop for a nonlinearity."""
    from . import kernel

    if profile in (PROFILES["identity"], PROFILES["tanh"]):
        return kernel.advance
    from numba.core.errors import NumbaError

    function = sp.lambdify(X, profile.expression, "math")
    try:
        return kernel.profile_advance(function)
    except (NumbaError, NotImplementedError) as error:
        raise InputError(
            "solvable.nonlinearity", "be made of functions that Numba compiles", f"{profile.expression}: {error}"
        ) from None
