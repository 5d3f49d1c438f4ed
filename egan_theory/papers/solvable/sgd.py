"""Direct stochastic gradient descent in dimension n: vectors, not overlaps. What ``chain`` must equal in law.

Runs are trained side by side (arrays (run, n)), in batches that stay in the cache; each has its own random numbers.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...base.dataset import shown
from ...base.signals import recorded
from ...base.terminal import check_memory
from .model import Solvable
from .records import DIVERGENCE, Course, Progress, fill_latents, random_stream, with_weights
from .state import gram, gram_root

#: numbers (runs x n) trained side by side
BATCH = 1 << 15
#: steps between two calls of ``progress``, and looks at divergence
STRIDE = 256
#: first number of the random streams
STREAM = 2
METHOD = "stochastic gradient descent in R^n"


@shown
def simulate_sgd(model: Solvable, progress: Progress | None = None, *, weights: bool = False) -> xr.Dataset:
    """Direct SGD in R^n: ``model.runs`` independent runs of round(time n) steps of the updates on U, V (n, d), w (n,).

    All runs start from the same vectors, in random position, with the overlaps of ``model.start``.
    KeyboardInterrupt: what was recorded is returned with status "interrupted".

    Args:
        weights: also the rows scaled by sqrt(n), as ``simulate_sde`` has them.

    Returns:
        A Dataset of the shared form, at the steps nearest to ``model.times``.

    Shapes:
        P (run, time, feature, fake), q (run, time, feature), r (run, time, fake), S (run, time, fake, fake2), z (run,
        time), diverged_at (run), NaN after it; u (run, weight, feature), v (run, time, weight, fake), w (run, time,
        weight).

    Units:
        Overlaps are pure numbers, time in steps/n, diverged_at in steps.

    Raises:
        InputError: n < 2d + 1, no step, or too many samples for the memory.

    Source:
        Updates of Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
    """
    course = Course(model)
    steps, R, d = course.steps, model.runs, model.d
    if weights:
        check_memory("solvable.record", 2 * 8 * R * len(steps) * model.n * (d + 1))
    X = start_vectors(model)
    kept = np.full((R, len(steps), d + 1, model.n), np.nan) if weights else None
    size, interrupted = max(1, min(R, BATCH // model.n)), False
    total = R * int(steps[-1])
    try:
        for first in range(0, R, size):
            batch = slice(first, min(first + size, R))
            count = batch.stop - first
            sgd = Sgd(model, X, range(first, batch.stop))

            def record(i: int, batch: slice = batch, sgd: Sgd = sgd) -> None:
                course.grams[batch, i] = sgd.gram()
                if kept is not None:
                    kept[batch, i, :d], kept[batch, i, d] = sgd.V, sgd.w

            record(0)
            mark = 1
            with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is a result
                for step in range(1, int(steps[-1]) + 1):
                    sgd.step()
                    if step == steps[mark] or step % STRIDE == 0:
                        sgd.freeze(step)
                    if step == steps[mark]:
                        record(mark)
                        mark += 1
                    if progress is not None and step % STRIDE == 0:
                        progress(first * int(steps[-1]) + step * count, total)
            course.diverged[batch] = sgd.diverged
        recorded()
    except KeyboardInterrupt:
        interrupted = True
    ds = course.dataset(interrupted, METHOD)
    if kept is not None:
        root, (R, T) = np.sqrt(model.n), (ds.sizes["run"], ds.sizes["time"])
        u = np.broadcast_to(root * X[:, :d], (R, *X[:, :d].shape))
        v, w = root * np.moveaxis(kept[:R, :T, :d], 2, 3), root * kept[:R, :T, d]
        ds = with_weights(ds, u, v, w)
    return ds


def start_vectors(model: Solvable) -> np.ndarray:
    """(n, 2d+1): the columns of U, V, w in random position, with the Gram matrix of ``model.start``."""
    normal = random_stream(model, STREAM, 0).standard_normal((model.n, 2 * model.d + 1))
    return np.linalg.qr(normal)[0] @ gram_root(gram(model.start))


class Sgd:
    """A batch of runs: U (d, n) common, V (run, d, n), w (run, n); ``step`` applies one update to all."""

    def __init__(self, model: Solvable, X: np.ndarray, runs: range) -> None:
        d, n, R = model.d, len(X), len(runs)
        self.model, self.runs = model, runs
        self.rngs = [random_stream(model, STREAM, 1 + r) for r in runs]
        self.U = np.ascontiguousarray(X[:, :d].T)
        self.V = np.tile(X[:, d : 2 * d].T, (R, 1, 1))
        self.w = np.tile(X[:, -1], (R, 1))
        self.k, self.kt = model.tau / n, model.taut / n
        self.a, self.at, self.c = np.empty((R, n)), np.empty((R, n)), np.empty((R, 2, d))
        self.scale = np.sqrt(np.stack([model.L, model.Lt]))
        self.roots = np.sqrt([model.eta_T, model.eta_G])
        self.diverged = np.full(R, -1)

    def step(self) -> None:
        model, V, w, k, kt = self.model, self.V, self.w, self.k, self.kt
        for r, rng in enumerate(self.rngs):
            fill_latents(rng, model.law, self.c[r])
            rng.standard_normal(out=self.a[r])
            rng.standard_normal(out=self.at[r])
        c, ct = self.scale[0] * self.c[:, 0], self.scale[1] * self.c[:, 1]
        y, yt = self.a, self.at  # in place: y = U c + sqrt(eta_T) a, y~ = V c~ + sqrt(eta_G) a~
        y *= self.roots[0]
        y += c @ self.U
        yt *= self.roots[1]
        yt += (ct[:, None] @ V)[:, 0]
        x, xt = _dot(y, w), _dot(yt, w)
        fx, ft = (x, xt) if model.linear else (model.profile.f(x), model.profile.f(xt))
        y *= (k * fx)[:, None]
        yt *= (k * ft)[:, None]
        push = kt * ft[:, None] * ct
        if not model.hard:
            z, S = _dot(w, w), _dot(V, V)
            V *= (1 - kt * model.strength * model.H1(S))[:, :, None]
        V += push[:, :, None] * w[:, None]
        if not model.hard:
            w *= (1 - k * model.strength * model.H1(z))[:, None]
        w += y
        w -= yt
        if model.hard:
            w *= 1 / np.sqrt(_dot(w, w))[:, None]
            V *= 1 / np.sqrt(_dot(V, V))[:, :, None]

    def gram(self) -> np.ndarray:
        """(run, 2d+1, 2d+1) Gram matrices of (U, V, w)."""
        X = np.concatenate([np.broadcast_to(self.U, (len(self.w), *self.U.shape)), self.V, self.w[:, None]], axis=1)
        return X @ np.swapaxes(X, 1, 2)

    def freeze(self, step: int) -> None:
        """Runs found to have diverged become NaN."""
        largest = np.maximum(_dot(self.w, self.w), _dot(self.V, self.V).max(axis=-1))
        new = ~(largest < DIVERGENCE) & (self.diverged < 0)
        self.diverged[new] = step
        self.w[new], self.V[new] = np.nan, np.nan


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a[..., None, :] @ b[..., :, None])[..., 0, 0]  # BLAS
