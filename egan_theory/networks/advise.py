"""The R1 strength for a practitioner's network: theory on its tangent features at mini-batches of its data.

A mini-batch of M points y_i stands for the data, with one particle on each (brief 2b). The discriminator enters through
the rows [psi(y_i); grad psi(y_i)], psi(x) = dD/dweights, or their Gram matrix; of H = B B^T, B = grad psi, the
eigenvalues beta of H/M. Alone (phi = 0, kappa = 0, flow; 3a) the best strength is

    r1* = 2 sqrt(G beta_max / (beta_min (2 beta_max - beta_min))) / eta_D,  G = eta_D eta_G b c (g1 - g2) omega / M

with omega = 1 for losses that are means over the batch; everything else is a scan of the exact spectrum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._arrays import numbers
from ..errors import InputError
from ..experiment import Experiment
from ..features.rows import RowFeatures
from .advice import Advice
from .batches import MAX_ROWS, batches_of, choices, from_products, ordered, samples_of
from .combine import combined
from .practice import practice, value_damping

Array = np.ndarray
Progress = Callable[[int, int], None]


def advise(
    D: Callable[[Any, Any], Any],
    params: Any,
    data: Array,
    training: Experiment | Mapping[str, Any] | None = None,
    *,
    batch_size: int = 16,
    batches: int = 4,
    initialisations: Sequence[Any] = (),
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """The R1 strength at which theory says a GAN with discriminator ``D`` converges fastest.

    D(params, x): JAX, a number for one sample x of the shape of ``data[0]``; all leaves of ``params`` are trained.
    data: (n, ...) samples; mini-batches of ``batch_size`` are drawn from its distinct rows with ``seed``.
    training: an experiment, or tables of one: generator (learning_rate, kernel, normalisation), discriminator
    (learning_rate), loss, penalty (r1 is what is advised), update. Default of a table: losses are means over the batch
    and particles independent, otherwise as in ``Experiment()``.
    initialisations: further trees of weights, each examined on the same batches.

    Raises MissingExtra without JAX, InputError, NotLinearizable. Not checked: that D is smooth at the data.
    """
    from .double import require_jax
    from .tangent import TangentFeatures

    samples, shape = samples_of(data)
    jax = require_jax()

    def flat(params: Any, x: Any) -> Any:
        return D(params, x.reshape(shape))

    try:
        size = jax.eval_shape(flat, params, jax.ShapeDtypeStruct(samples.shape[1:], float)).size
    except TypeError as error:
        raise InputError("D", "be a JAX function of (params, one sample)", str(error).split("\n")[0]) from None
    if size != 1:
        raise InputError("D", "give one number for one sample", f"{size} of a sample of shape {shape}")
    chosen = batches_of(samples, batch_size, batches, seed)
    trees = [params, *initialisations]
    total = len(trees) * len(chosen)
    rows = {}
    for i, tree in enumerate(trees):
        features = TangentFeatures(flat, tree)
        for k, Y in enumerate(chosen):
            rows[i, k] = RowFeatures(*ordered(features.seen_rows(Y), len(Y)))
            if progress is not None:
                progress(len(rows), 2 * total)
    return combined(rows, chosen, practice(training), variations, progress)


def advise_experiment(
    exp: Experiment,
    data: Array | None = None,
    *,
    batch_size: int = 16,
    batches: int = 4,
    initialisations: int = 4,
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """``advise`` for an experiment whose discriminator is a network: data in place of its target (default: the target's
    points), fresh networks from discriminator.seed, discriminator.seed + 1, ..."""
    from .mlp import draw
    from .tangent import network_function

    disc = exp.discriminator
    if not disc.finite_network or disc.architecture is None:
        rule = "be above 0 (a network; for any other discriminator give the Gram matrix of its features)"
        found = disc.architecture.width if disc.architecture is not None else "no network"
        raise InputError("discriminator.architecture.width", rule, found)
    if initialisations < 1:
        raise InputError("initialisations", "be at least 1", initialisations)
    samples = samples_of(exp.points.coordinates if data is None else data)[0]
    trees = [
        draw(disc.architecture, samples.shape[1], 1, np.random.default_rng([disc.seed + i, 4]))
        for i in range(initialisations)
    ]
    return advise(
        network_function(disc.architecture, disc.length_scale), trees[0], samples, exp, batch_size=batch_size,
        batches=batches, initialisations=trees[1:], variations=variations, seed=seed, progress=progress,
    )  # fmt: skip


def advise_from_gram(
    gram: Array,
    points: int,
    dimension: int,
    training: Experiment | Mapping[str, Any] | None = None,
    *,
    batch_size: int | None = None,
    batches: int = 4,
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """``advise`` from the products of the rows at M = ``points`` points, from any framework.

    gram: (M (1 + d), M (1 + d)) of [psi(y_1), ..., psi(y_M), d_1 psi(y_1), ..., d_d psi(y_1), d_1 psi(y_2), ...], or
    (M d, M d) of the gradients alone, H, which suffices where kappa = 0 (Wasserstein, hinge; no alpha): in other losses
    D's values at the data matter. batch_size: mini-batches are parts of the M points (default: all of them).
    """
    gram = numbers("gram", gram)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.dtype.kind != "f" or not np.all(np.isfinite(gram)):
        raise InputError("gram", "be a square matrix of finite numbers", f"{gram.dtype} of shape {gram.shape}")
    n, d = len(gram), dimension
    if points < 1 or d < 1 or n not in (points * d, points * (1 + d)):
        rule = "have points * dimension rows (gradients) or points * (1 + dimension) (values, then gradients)"
        raise InputError("gram", rule, f"{n} rows for {points} points in {d} dimensions")
    if n > MAX_ROWS:
        raise InputError("gram", f"have at most {MAX_ROWS} rows (fewer points)", n)
    difference, scale = np.abs(gram - gram.T).max(initial=0.0), np.abs(gram).max(initial=0.0)
    if difference > np.sqrt(np.finfo(gram.dtype).eps) * scale:
        raise InputError("gram", "be symmetric", f"differences up to {difference:.3g}")
    base, values = practice(training), n == points * (1 + d)
    kappa = value_damping(base)
    if kappa and not values:
        rule = f"hold D's values too, points * (1 + dimension) rows, in a loss with kappa = {kappa:g}"
        raise InputError("gram", rule, "those of the gradients alone")
    symmetric = (gram + gram.T) / 2
    size = points if batch_size is None else batch_size
    if not 1 <= size <= points:
        raise InputError("batch_size", f"be from 1 to the {points} points", size)
    chosen = choices(points, size, 1 if size == points else batches, seed)
    rows, marks = {}, []
    for k, index in enumerate(chosen):
        rows[0, k] = from_products(symmetric, points, index, values)
        marks.append(np.concatenate([index[:, None], np.zeros((size, d - 1))], axis=1).astype(float))  # distinct
    return combined(rows, marks, base, variations, progress, values)


__all__ = ["advise", "advise_experiment", "advise_from_gram"]
