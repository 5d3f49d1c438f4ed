"""Where a real GAN lies on the effective model's phase diagram: its measured kernel ratio against the ratios at which
the spread state loses its stability.

The discriminator enters through its tangent features at a few points of the data, psi(x) = dD/dweights scaled by the
root of its optimizer's preconditioner over its learning rate, so that their products are those of a training step; the
generator through its two kernel numbers; losses are means over the points, with one sample on each. In more dimensions
than a scan can afford, samples move along those directions in which D's gradients change most, U (d, k): the leading
eigenvectors of the mean over the points of E[g g^T], g = d(grad_x D) along random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.arrays import check_seed
from ..base.errors import InputError
from ..base.table import Record
from ..experiment import Experiment
from ..features.rows import RowFeatures
from ..games.game import Game
from ..games.kernel import KernelNumbers, kernel_numbers, preconditioning
from ..predict.collective import CollectiveInstability, collective_instability
from ..predict.mechanism import MECHANISMS
from .gram import checked_gram
from .practice import on, practice, samples_of

Array = np.ndarray

VARY = "generator.kernel.ratio"
#: rows M (1 + 2 k) of the matrix that a scan of the ratio diagonalises a hundred times (some seconds)
PLACE_ROWS = 330
#: points taken where not said otherwise: with fewer, modes between neighbours are missing
POINTS = 8
#: random weights from which the directions of D's gradients are found, per direction
OVERSAMPLED = 2
#: standard errors from a threshold within which the side is not told
CERTAIN = 2.0


@dataclass(frozen=True)
class Place(Record):
    """The measured ratio of a GAN on the axis of kernel ratios.

    Attributes:
        ratio: [1] as measured (below 0 it is placed at 0).
        stderr: [1] its standard error.
        share: [1] of the generator's kernel in the two numbers.
        found: where the spread state loses its stability along the ratio, an eg.CollectiveInstability.
        numbers: the kernel numbers.
        experiment: what stands for the GAN.
        points: [1] M of the data.
        directions: [1] in which they move.
        dimension: [1] of a sample.
        captured: [1] part of the mean square of D's tangent gradients that these directions hold.
        notes: what the experiment leaves out of the game, in words.

    Source:
        Eq. (2, generator-eigenvalues), Eq. (69, coupling-affine), Eq. (70, ratio-pencil).
    """

    KEYS = (
        "ratio", "stderr", "thresholds", "unstable_side", "range", "margin", "meaning", "nearest", "apart", "share",
        "points", "directions", "dimension", "captured", "assumptions", "remarks",
    )  # fmt: skip
    SHOWN = ("ratio", "stderr", "thresholds", "meaning", "margin", "share")
    TITLE = "kernel ratio and where the spread state loses its stability"

    ratio: float
    stderr: float
    share: float
    found: CollectiveInstability = field(repr=False)
    numbers: KernelNumbers = field(repr=False)
    experiment: Experiment = field(repr=False)
    points: int
    directions: int
    dimension: int
    captured: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Ratios at which stability changes [1], ascending, all in ``range``."""
        return self.found.values

    @property
    def unstable_side(self) -> tuple[str, ...]:
        """ "above" or "below" each threshold."""
        return self.found.unstable_side

    @property
    def range(self) -> tuple[float, float]:
        """Ratios that were searched [1], lower and upper end."""
        return self.found.range

    @property
    def margin(self) -> float:
        """Growth of the fastest mode at the measured ratio [1/step], > 0: the spread state does not stay at rest."""
        return self.found.margin

    @property
    def meaning(self) -> str:
        """What the sign of the margin says, in words."""
        return MECHANISMS["collective instability"].meaning(self.margin)

    @property
    def nearest(self) -> float | None:
        """The threshold nearest to the ratio [1], None if there is none."""
        return min(self.thresholds, key=lambda v: abs(v - self.ratio), default=None)

    @property
    def apart(self) -> float | None:
        """Distance of the measured ratio from the nearest threshold [standard errors]; None without a threshold."""
        if self.nearest is None:
            return None
        distance = abs(self.nearest - self.ratio)
        return distance / self.stderr if self.stderr > 0 else float("inf")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is taken for granted, in words."""
        return (
            f"the generator's kernel is its two numbers, which hold {self.share:.0%} of it, and stays so",
            "samples are on the data and D is at its equilibrium there, with the tangent features it has now",
            *self.found.assumptions,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """In words: on which side the ratio lies, and what speaks against the statement."""
        measured = f"the measured ratio {self.ratio:.3g} ± {self.stderr:.1g}"
        low, high = self.range
        if self.nearest is None:
            out = [f"{measured}: no ratio from {low:g} to {high:g} is a threshold; at all of them {self.meaning}"]
        else:
            side = "below" if self.ratio < self.nearest else "above"
            out = [f"{measured} lies {side} the threshold {self.nearest:.3g}: {self.meaning}"]
            assert self.apart is not None
            if not self.apart >= CERTAIN:
                out.append(f"not certain: {self.apart:.2g} standard errors from the threshold")
        out.append(self.numbers.remarks[0])
        if self.numbers.coupled:
            out.append("batch statistics couple the generator's samples: its kernel is of this batch and its size")
        if self.directions < self.dimension:
            out.append(
                f"samples move along {self.directions} of {self.dimension} directions, which hold {self.captured:.0%} "
                "of D's tangent gradients"
            )
        if self.points < 2 * POINTS:
            out.append(f"{self.points} points stand for the data: modes between nearer neighbours are missing")
        return (*out, *self.notes)


def place(
    G: Game | KernelNumbers,
    training: Experiment | Mapping[str, Any] | None = None,
    data: Any = None,
    *,
    numbers: KernelNumbers | None = None,
    points: int | None = None,
    directions: int | None = None,
    seed: int = 0,
) -> Place:
    """Where the measured kernel ratio lies among the ratios at which the spread state loses its stability.

    Cost: some 2 ``points`` (1 + directions) passes of D, and a hundred eigenvalue problems of points (1 + 2 directions)
    rows.

    Args:
        G: a game with ``data``, or kernel numbers alone with an experiment, whose target and discriminator then stand
            for the data and D.
        training: of a game, tables of an experiment for what it does not say, {"loss": {"kind": ...}}; learning rates,
            momenta, penalties and order of the steps are the game's own, Adam with its present preconditioner.
        numbers: the game's kernel numbers, if they are known already.
        points: of the data at which D's tangent features are taken.
        directions: in which samples move; default: as many as can be afforded.

    Returns:
        The ratio, the thresholds and on which side of them it lies; ``eg.plot.place`` draws it.

    Shapes:
        data (M, ...).

    Units:
        Ratios are pure numbers, growth per training step.

    Raises:
        InputError: a game without data, kernel numbers without an experiment or with data, samples of another shape.
        NotLinearizable: no equilibrium at any ratio.

    Assumes:
        See ``Place.assumptions``.

    Source:
        Eq. (97, kernel-numbers), Eq. (69, coupling-affine), Eq. (70, ratio-pencil).
    """
    check_seed("seed", seed)
    if isinstance(G, KernelNumbers):
        if not isinstance(training, Experiment) or data is not None:
            raise InputError("training", "be an experiment, and data left out, for kernel numbers without a game")
        exp, M, d = training, *training.points.coordinates.shape
        return _located(G, _with(exp, G), M, d, d, 1.0, ())
    if not isinstance(G, Game):
        raise InputError("G", "be a game, eg.game(D, G, ...), or kernel numbers", type(G).__name__)
    if data is None:
        raise InputError("data", "be given: D's features at some of it are needed", "none")
    known = kernel_numbers(G, seed=seed) if numbers is None else numbers
    samples, shape = samples_of(data)
    d, base, notes = samples.shape[1], *_settings(G, training, known)
    M, k = _affordable(len(samples), d, points, directions)
    X = samples[np.random.default_rng([seed, 8]).choice(len(samples), M, replace=False)]
    features, U, captured = _rows(G, X.reshape(M, *shape), d, k, seed)
    Y = X if U is None else (X - X.mean(0)) @ U
    return _located(known, _with(on(base, Y, features), known), M, k, d, captured, notes)


def _with(exp: Experiment, numbers: KernelNumbers) -> Experiment:
    return exp.replace({"generator.kernel.diagonal": numbers.g1, "generator.kernel.ratio": max(numbers.ratio, 0.0)})


def _located(
    numbers: KernelNumbers, exp: Experiment, points: int, directions: int, dimension: int, captured: float,
    notes: tuple[str, ...],
) -> Place:  # fmt: skip
    stderr = numbers.stderr.ratio if np.isfinite(numbers.stderr.ratio) else numbers.over_probes.ratio
    return Place(
        ratio=numbers.ratio, stderr=stderr, share=numbers.share, found=collective_instability(exp, VARY),
        numbers=numbers, experiment=exp, points=points, directions=directions, dimension=dimension, captured=captured,
        notes=notes,
    )  # fmt: skip


def _settings(
    game: Game, training: Experiment | Mapping[str, Any] | None, numbers: KernelNumbers
) -> tuple[Experiment, tuple[str, ...]]:
    """The experiment of the game's optimizers, schedule and strengths, and what of them it leaves out."""
    if isinstance(training, Experiment):
        training = {name: getattr(training, name) for name in ("loss", "penalty")}
    tables = {**(training or {})}
    notes = []
    update: dict[str, Any] = {
        "rule": "alternating" if game.schedule.alternating else "simultaneous",
        "critic_steps": game.schedule.critic_steps,
    }
    rates = []
    for player, optimizer in zip(("discriminator", "generator"), game.optimizers, strict=True):
        settings = {name: float(np.mean(value)) for name, value in optimizer.settings.items()}
        momentum = settings.get("momentum", settings.get("beta1", 0.0))
        # Adam's average has a factor 1 - beta1, SGD's sum 1 - dampening
        own = momentum if "beta1" in settings else settings.get("dampening", 0.0) * (momentum > 0)
        rates.append(preconditioning(optimizer)[2] * (1 - own))
        update[f"momentum_{player}"] = momentum
        if settings.get("nesterov"):
            notes.append(f"Nesterov's form of the momentum of the {player} is taken as heavy ball")
        if settings.get("weight_decay"):
            notes.append(f"weight decay of the {player} is left out")
    if game.schedule.lazy > 1:
        notes.append(f"the penalty of every {game.schedule.lazy} steps is taken as one of every step")
    tables |= {
        "update": update, "penalty": dict(game.strengths), "discriminator": {"learning_rate": rates[0]},
        "generator": {"learning_rate": rates[1], "kernel": numbers.kernel},
    }  # fmt: skip
    if "loss" not in tables:
        raise InputError("training", 'name the loss, {"loss": {"kind": ...}}', "none")
    return practice(tables), tuple(notes)


def _affordable(available: int, d: int, points: int | None, directions: int | None) -> tuple[int, int]:
    """(points, directions) within PLACE_ROWS where not given."""
    if points is not None and not (_is_whole(points) and 2 <= points <= available):
        raise InputError("points", f"be a whole number from 2 to the {available} samples of data", repr(points))
    if directions is not None and not (_is_whole(directions) and 1 <= directions <= d):
        raise InputError("directions", f"be a whole number from 1 to the {d} dimensions of a sample", repr(directions))
    if directions is None:
        directions = min(d, max((PLACE_ROWS // (points or min(POINTS, available)) - 1) // 2, 1))
    if points is None:
        points = min(available, max(PLACE_ROWS // (1 + 2 * directions), 2))
    return points, directions


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _rows(game: Game, X: Array, d: int, k: int, seed: int) -> tuple[RowFeatures, Array | None, float]:
    """(features of D at X along k directions, these (d, k) or None for all, the part of its gradients they hold)."""
    players, psi = game.players, game.players.weights[0]
    scale = preconditioning(game.optimizers[0])[1]
    M, U, captured = len(X), None, 1.0
    if k < d:
        rng = np.random.default_rng([seed, 9])
        count = -(-OVERSAMPLED * k // M) + 1
        draws = [np.sqrt(scale) * rng.standard_normal(len(psi)) for _ in range(count)]
        slopes = np.concatenate([players.rows_push(psi, X, w)[1] for w in draws])
        _, sigma, Vt = np.linalg.svd(slopes, full_matrices=False)
        U, captured = Vt[:k].T, float((sigma[:k] ** 2).sum() / (sigma**2).sum())
    along = np.eye(d) if U is None else U

    def products(a: Array, u: Array) -> Array:
        values, slopes = players.rows_push(psi, X, scale * players.rows_pull(psi, X, a, u @ along.T))
        return np.concatenate([values, (slopes @ along).ravel()])

    gram = np.empty((M * (1 + k), M * (1 + k)))
    for i, one in enumerate(np.eye(len(gram))):
        gram[i] = products(one[:M], one[M:].reshape(M, k))
    gram = (gram + gram.T) / 2
    if getattr(players, "precision", "float64") != "float64":  # its rounding is that of the products
        gram = gram.astype(np.float32)
    np.fill_diagonal(gram, np.maximum(np.diag(gram), 0))  # of rows that are zero rounding may leave less
    return checked_gram(gram, M, k).rows(), U, captured


__all__ = ["Place", "place"]
