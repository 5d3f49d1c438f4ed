"""The R1 strength for a practitioner's network: theory on its tangent features at mini-batches of its data.

A mini-batch of M points y_i stands for the data, with one particle on each. The discriminator enters through the rows
[psi(y_i); grad psi(y_i)], psi(x) = dD/dweights, or their Gram matrix; of H = B B^T, B = grad psi, the eigenvalues beta
of H/M. The strength is that which leaves least of a kick of the particles after the horizon (predict.left), in the draw
that fares worst (advice.strengths). For a training without end it tends to that of the fastest slowest mode; alone
(phi = 0, kappa = 0, flow; symbolic.damping) that is

    r1* = 2 sqrt(G beta_max / (beta_min (2 beta_max - beta_min))) / eta_D,  G = eta_D eta_G b c (g1 - g2) omega / M

with omega = 1 for losses that are means over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.arrays import check_seed
from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.taken import takes_experiment
from ..features.rows import RowFeatures
from ..games.refusals import running
from ..predict.left import horizon_of
from .combine import combined
from .gram import checked_gram
from .practice import batches_of, choices, practice, samples_of, value_damping
from .reach import Surroundings, distance, drift, spacing
from .result import Advice
from .trained import PRODUCTS, advise_game

if TYPE_CHECKING:
    from ..games.game import Game

Array = np.ndarray
Progress = Callable[[int, int], None]


def advise(
    D: Callable[[Any, Any], Any] | Game,
    params: Any = None,
    data: Array | None = None,
    training: Experiment | Mapping[str, Any] | None = None,
    *,
    horizon: float | None = None,
    batch_size: int = 16,
    batches: int = 4,
    initialisations: Sequence[Any] = (),
    generated: Array | None = None,
    later: Any = None,
    variations: bool = True,
    products: int = PRODUCTS,
    fresh: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """The R1 strength that theory advises to a GAN for training of ``horizon`` steps.

    A real game at a checkpoint, PyTorch or JAX, of any size: ``advise(game, horizon=steps that remain)`` with the
    ``game`` of ``egan_theory.games``: both networks, loss, optimisers with their state, schedule, mini-batches.
    The strength leaves least of what D sees of the error of the generated samples, each assigned to a data
    point (trained.py); ``products`` with both networks per mini-batch (as many modes are told apart);
    ``fresh`` False: every mini-batch of training is all of the data. Ask after a short pilot: Adam has no
    preconditioner before it, and that of the first steps is not the later one. ``later``: not of a game.

    One discriminator ``D`` in JAX alone, its generator given by two kernel numbers, near the end of training: D(params,
    x) is a number for one sample x of the shape of ``data[0]``; all leaves of ``params`` are trained.

    Args:
        data: samples; mini-batches of ``batch_size`` are drawn from its distinct rows with ``seed``.
        training: an experiment, or tables of one with its defaults: generator (learning_rate, kernel or architecture),
            discriminator (learning_rate), loss, penalty (r1 is what is advised), update, run (steps). There is one
            particle per point of a mini-batch and losses are means over it, whatever generator.particles, masses,
            per_point and normalisation say: they are about an experiment's own particles.
        horizon: steps of training (flows: units of time); default run.steps, of a game none.
        initialisations: further trees of weights, each examined on the same batches.
        generated: samples of the generator with these weights.
        later: the weights at another time of the same training (the start, if params are those of the end). With these
            two the advice says how far from the end of training, where the theory holds, it was taken
            (``Advice.reach``).

    Returns:
        The strength, what it leaves, the edge of stability and what the advice rests on; ``eg.plot.advice`` draws it.

    Shapes:
        data (n, ...), generated (n, ...) of the same sample shape, params any tree.

    Units:
        Strengths in length^2 of the samples (R1 = strength/2 mean |grad_x D|^2), horizon in steps, what is left: 1.

    Raises:
        MissingExtra: JAX is needed and not installed.
        InputError: a game with params, data, training, generated or later, or without horizon; data that are no
            samples, D that is no function of them.
        NotLinearizable: a loss without a Jacobian at equilibrium.

    Assumes:
        That D is smooth at the data; not checked.

    Source:
        Eq. (102, gram-matrix), Eq. (103, advice-gain), Eq. (104, regret); of Adam Eq. (114, frozen-adam).
    """
    from ..games.game import Game

    check_seed("seed", seed)
    if isinstance(D, Game):
        given = {"params": params, "data": data, "training": training, "generated": generated, "later": later}
        for name, value in given.items():
            if value is not None:
                raise InputError(name, "be left out for a game, which holds its own", type(value).__name__)
        if horizon is None:
            raise InputError("horizon", "be given for a game: the steps of training that remain", "none")
        _whole("products", products, 1)
        return advise_game(D, horizon, products=products, fresh=fresh, seed=seed, progress=progress)
    if not callable(D) or hasattr(D, "named_parameters"):  # a network of PyTorch is none by itself
        rule = "be a game, eg.game(D, G, ...), or a function of (params, one sample) in JAX"
        raise InputError("D", rule, type(D).__name__)
    if data is None:
        raise InputError("data", "be given (or a game in place of D)", "none")
    for name, value in (("batch_size", batch_size), ("batches", batches)):
        _whole(name, value, 1)
    samples, shape = samples_of(data)
    settings = _Settings(practice(training), horizon, batch_size, batches, variations, seed, progress)
    around = {"generated": generated, "later": later}
    return _advise(D, [params, *initialisations], samples, shape, settings, **around)


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(name, f"be a whole number of at least {least}", repr(value))


class _Settings(NamedTuple):
    base: Experiment
    horizon: float | None
    batch_size: int
    batches: int
    variations: bool
    seed: int
    progress: Progress | None


def _advise(
    D: Callable[[Any, Any], Any], trees: Sequence[Any], samples: Array, shape: tuple[int, ...], of: _Settings, *,
    generated: Array | None = None, later: Any = None, own: bool = False,
) -> Advice:  # fmt: skip
    """``advise``; ``own``: D - D* is the change from the start, the particles are the experiment's (practice.on)."""
    from ..features.networks.double import require_jax
    from ..features.networks.tangent import TangentFeatures

    jax = require_jax()

    def flat(params: Any, x: Any) -> Any:
        return D(params, x.reshape(shape))

    if not jax.tree.leaves(trees[0]):
        raise InputError("params", "hold the weights of D, a tree of arrays", repr(trees[0]))
    with running("D", f"(params, one sample of shape {shape}), in JAX"), jax.enable_x64(True):
        doubles = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), float), trees[0])  # as they are used
        size = jax.eval_shape(flat, doubles, jax.ShapeDtypeStruct(samples.shape[1:], float)).size
    if size != 1:
        raise InputError("D", "give one number for one sample", f"{size} of a sample of shape {shape}")
    time = horizon_of(of.base, of.horizon)
    chosen = batches_of(samples, of.batch_size, of.batches, of.seed)
    near = None if generated is None else distance(generated, samples, shape)
    rows = {}
    for i, tree in enumerate(trees):
        features = TangentFeatures(flat, tree)
        for k, Y in enumerate(chosen):
            rows[i, k] = RowFeatures(*_seen(features, Y))
            if of.progress is not None:
                of.progress(len(rows), 2 * len(trees) * len(chosen))
    around = Surroundings(0.0, 0.0, near) if own else _surroundings(TangentFeatures(flat, trees[0]), samples, of.base)
    if later is not None:
        if jax.tree.map(np.shape, later) != jax.tree.map(np.shape, trees[0]):
            raise InputError("later", "be weights of the shapes of params", str(jax.tree.map(np.shape, later)))
        moved = TangentFeatures(flat, later)
        changes = [drift(rows[0, k].products, RowFeatures(*_seen(moved, Y)).products) for k, Y in enumerate(chosen)]
        around = around._replace(drift=float(np.mean(changes)))
    around = around._replace(particles=near)
    return combined(rows, chosen, of.base, time, of.variations, of.progress, around, own=own)


def _seen(features: Any, Y: Array) -> tuple[Array, int, bool]:
    rows, exact = features.seen_rows(Y)
    return rows, len(Y), exact


def _surroundings(features: Any, samples: Array, base: Experiment) -> Surroundings:
    """D - D* and its slope at the data."""
    offset = features.output(samples) - float(base.loss_object.equilibrium)
    loss = base.loss_object
    if value_damping(base) == loss.kappa * loss.pairs:  # only differences of D count
        offset = offset - offset.mean()
    slope = features.output_slope(samples)
    return Surroundings(
        float(np.sqrt((offset**2).mean())), float(np.sqrt((slope**2).sum(-1).mean()) * spacing(samples))
    )


@takes_experiment
def advise_experiment(
    exp: Experiment,
    data: Array | None = None,
    *,
    horizon: float | None = None,
    batch_size: int = 16,
    batches: int = 4,
    initialisations: int = 4,
    generated: Array | None = None,
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """``advise`` for an experiment whose discriminator is a network: data in place of its target (default: the target's
    points), fresh networks from discriminator.seed, discriminator.seed + 1, ...

    The generator's normalisation is the experiment's, and every point of a batch has as many particles as the target's
    have.

    Args:
        initialisations: networks drawn.

    Returns:
        As ``advise``.

    Shapes:
        data (n, d), generated (n, d).

    Units:
        Strengths in length^2, horizon in steps (flows: units of time).

    Raises:
        InputError: a discriminator that is no network of finite width, fewer than one initialisation, and what
            ``advise`` refuses.
        MissingExtra: JAX is not installed.

    Source:
        Eq. (102, gram-matrix), Eq. (103, advice-gain), Eq. (104, regret).
    """
    from ..features.networks.mlp import draw
    from ..features.networks.tangent import network_function

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
    settings = _Settings(practice(exp), horizon, batch_size, batches, variations, seed, progress)
    function = network_function(disc.architecture, disc.length_scale)
    return _advise(function, trees, samples, samples.shape[1:], settings, generated=generated, own=True)


def advise_from_gram(
    gram: Array,
    points: int,
    dimension: int,
    training: Experiment | Mapping[str, Any] | None = None,
    *,
    horizon: float | None = None,
    batch_size: int | None = None,
    batches: int = 4,
    later: Array | None = None,
    variations: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Advice:
    """``advise`` from the products of the rows at M = ``points`` points, from any framework.

    Args:
        gram: of the rows [psi(y_1), ..., psi(y_M), d_1 psi(y_1), ..., d_d psi(y_1), d_1 psi(y_2), ...], or of the
            gradients alone, H, which suffices where kappa = 0 (Wasserstein, hinge; no alpha): in other losses D's
            values at the data matter.
        batch_size: mini-batches are parts of the M points (default: all of them).
        training: as in ``advise``; the points are the Gram matrix's own, one particle on each.
        later: the matrix of the same points at another time of training.

    Returns:
        As ``advise``; modes lost in the matrix's rounding are counted and left out (``Draw.unresolved``).

    Shapes:
        gram and later (M (1 + d), M (1 + d)), or (M d, M d) of the gradients alone.

    Units:
        Entries psi.psi [1], d psi.psi [1/length], d psi.d psi [1/length^2]; strengths in length^2, horizon in steps.

    Raises:
        InputError: no Gram matrix up to the rounding of its own precision (float16, float32, float64, or float64 that
            was stored as one of the others before), one without values where the loss needs them, or a bad batch size.

    Source:
        Eq. (102, gram-matrix), Eq. (103, advice-gain), Eq. (104, regret).
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
    around = Surroundings()
    if later is not None:
        around = Surroundings(drift=drift(checked.gradients, checked_gram(later, points, dimension, "later").gradients))
    # what stands for the points' coordinates, which nothing depends on: they have to differ
    marks = [np.concatenate([i[:, None], np.zeros((size, dimension - 1))], axis=1).astype(float) for i in chosen]
    return combined(
        rows, marks, base, horizon_of(base, horizon), variations, progress, around, values=checked.values,
        precision=checked.precision,
    )  # fmt: skip


__all__ = ["advise", "advise_experiment", "advise_from_gram"]
