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

from ..errors import InputError
from ..experiment import Experiment
from ..features.rows import RowFeatures
from .advice import Advice
from .batches import batches_of, choices, samples_of
from .combine import combined
from .gram import checked_gram
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
    training: an experiment, or tables of one with its defaults: generator (learning_rate, kernel or architecture),
    discriminator (learning_rate), loss, penalty (r1 is what is advised), update. There is one particle per point of a
    mini-batch and losses are means over it, whatever generator.particles, masses, per_point and normalisation say:
    they are about an experiment's own particles.
    initialisations: further trees of weights, each examined on the same batches.

    Raises MissingExtra without JAX, InputError, NotLinearizable. Not checked: that D is smooth at the data.
    """
    return _advise(
        D, [params, *initialisations], data, practice(training), batch_size, batches, variations, seed, progress
    )


def _advise(
    D: Callable[[Any, Any], Any], trees: Sequence[Any], data: Array, base: Experiment, batch_size: int, batches: int,
    variations: bool, seed: int, progress: Progress | None, own: bool = False,
) -> Advice:  # fmt: skip
    """``advise``; ``own``: with the particles of the experiment itself (practice.on)."""
    from .double import require_jax
    from .tangent import TangentFeatures

    samples, shape = samples_of(data)
    jax = require_jax()

    def flat(params: Any, x: Any) -> Any:
        return D(params, x.reshape(shape))

    try:
        size = jax.eval_shape(flat, trees[0], jax.ShapeDtypeStruct(samples.shape[1:], float)).size
    except TypeError as error:
        raise InputError("D", "be a JAX function of (params, one sample)", str(error).split("\n")[0]) from None
    if size != 1:
        raise InputError("D", "give one number for one sample", f"{size} of a sample of shape {shape}")
    chosen = batches_of(samples, batch_size, batches, seed)
    total = len(trees) * len(chosen)
    rows = {}
    for i, tree in enumerate(trees):
        features = TangentFeatures(flat, tree)
        for k, Y in enumerate(chosen):
            seen, exact = features.seen_rows(Y)
            rows[i, k] = RowFeatures(seen, len(Y), exact)
            if progress is not None:
                progress(len(rows), 2 * total)
    return combined(rows, chosen, base, variations, progress, own=own)


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
    points), fresh networks from discriminator.seed, discriminator.seed + 1, ...

    The generator's normalisation is the experiment's, and every point of a batch has as many particles as the target's
    have."""
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
    function = network_function(disc.architecture, disc.length_scale)
    return _advise(function, trees, samples, practice(exp), batch_size, batches, variations, seed, progress, own=True)


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
    training: as in ``advise``, and with the same meaning: the points are the Gram matrix's own, one particle on each.

    Raises InputError for a matrix that is no Gram matrix up to the rounding of its own precision (float16, float32,
    float64, or float64 that was stored as one of the others before). Modes lost in that rounding are counted and left
    out (``Draw.unresolved``).
    """
    checked = checked_gram(gram, points, dimension)
    base = practice(training)
    kappa = value_damping(base)
    if kappa and not checked.values:
        rule = f"hold D's values too, points * (1 + dimension) rows, in a loss with kappa = {kappa:g}"
        raise InputError("gram", rule, "those of the gradients alone")
    size = points if batch_size is None else batch_size
    if not 1 <= size <= points:
        raise InputError("batch_size", f"be from 1 to the {points} points", size)
    chosen = choices(points, size, 1 if size == points else batches, seed)
    rows = {(0, k): checked.part(index).rows() for k, index in enumerate(chosen)}
    # what stands for the points' coordinates, which nothing depends on: they have to differ
    marks = [np.concatenate([i[:, None], np.zeros((size, dimension - 1))], axis=1).astype(float) for i in chosen]
    return combined(rows, marks, base, variations, progress, checked.values, checked.precision)


__all__ = ["advise", "advise_experiment", "advise_from_gram"]
