"""The two kernel numbers of a real generator at its weights, and how much of its tangent kernel they hold.

A step of the generator's optimizer moves the outputs G(z_i) by Theta = J P J^T applied to the forces on them, with
J (N d, weights) the derivative of the N outputs and P the optimizer's diagonal preconditioner over its learning rate.
The effective model replaces Theta by two numbers,

    g1 = mean_i tr Theta_ii / d,   g2 = mean_(i != j) tr Theta_ij / d,   K = [(g1 - g2) 1 + g2 11^T] (x) 1_d,
    share = 1 - |Theta - K|_F^2 / |Theta|_F^2,

of all such kernels the nearest. Measured by products with Theta alone (one backward pass, one derivative forward each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..base.errors import InputError
from ..base.table import Record
from .generators import GeneratorMap, of_jax, of_players, of_torch
from .optimizers import Optimizer
from .probes import Numbers, Probed, estimated, over_latents, probed, whole
from .refusals import check_samples

Array = np.ndarray

CONVENTION = (
    "Theta = J P J^T with P the optimizer's preconditioner over its learning rate (SGD: 1; Adam: "
    "1 / (sqrt(v_hat) + eps)), so that diagonal = g1, ratio = g2/g1 and learning_rate are those of [generator] "
    'with normalisation = "mean"'
)
#: share below which the effective model is said to be a rough one
ROUGH = 0.5
#: share that two matrices have to explain beyond the two numbers to be spoken of
WORTH = 0.2
#: a ratio of this size is rounding
NO_RATIO = 1e-9
#: rows of Theta up to which all of it is taken where ``exact`` is not said, whatever probes would cost
FEW_ROWS = 256


@dataclass(frozen=True)
class Errors(Record):
    """Standard errors; NaN where not known."""

    g1: float
    g2: float
    ratio: float
    share: float


@dataclass(frozen=True)
class KernelNumbers(Record):
    """The two kernel numbers of a generator, and the share of |Theta|_F^2 that they explain.

    What the share is short of 1 by: ``unequal_diagonal``, ``unequal_pairs`` and ``not_identity``, estimates without
    bias, which noise may bring below 0. All depend on the number of latents in a batch: pairs are N (N - 1) of N^2
    blocks.

    Attributes:
        g1: [length^2 per squared preconditioned weight] mean of tr Theta_ii / d; the learning rate is not in it.
        g2: [length^2 per squared preconditioned weight] mean of tr Theta_ij / d over pairs.
        ratio: [1] g2/g1, in [-1/(N - 1), 1].
        share: [1] of |Theta|_F^2 that the two explain.
        over_probes: standard errors of the numbers at these very latents.
        over_latents: what other latents would change (independent draws; of the share only from several batches, or
            where exact).
        unequal_diagonal: [1] tr Theta_ii differs between latents.
        unequal_pairs: [1] tr Theta_ij differs between pairs.
        not_identity: [1] blocks Theta_ij that are no multiples of the identity over the output.
        two_matrices: [1] share of the nearest kernel with two d x d matrices in place of the two numbers: large where
            latents look alike, though outputs do not.
        latents: [1] in a batch, N.
        batches: [1] of latents.
        dimension: [1] d of an output.
        weights: [1] of the generator.
        products: [1] with the kernel that were made.
        exact: whether all of the kernel was taken.
        preconditioner: "sgd", or the optimizer whose preconditioner is in the kernel.
        learning_rate: [1/step] the optimizer's, which is not in g1.
        traces: [length^2 per squared preconditioned weight] (N, N) tr Theta_ij / d of the first batch, noisy where
            probed.
        coupled: a sample's output depends on the other latents of its batch (BatchNorm in training mode).
        notes: what the network holds that matters here, in words.

    Source:
        Eq. (1, generator-kernel), Eq. (97, kernel-numbers).
    """

    KEYS = (
        "g1", "g2", "ratio", "share", "stderr", "over_probes", "over_latents", "unequal_diagonal", "unequal_pairs",
        "not_identity", "two_matrices", "latents", "batches", "dimension", "weights", "products", "exact",
        "preconditioner", "learning_rate", "coupled", "convention", "remarks",
    )  # fmt: skip
    SHOWN = ("g1", "g2", "ratio", "share", "stderr", "latents", "batches", "products")
    TITLE = "two kernel numbers of a generator"
    convention: ClassVar[str] = CONVENTION

    g1: float
    g2: float
    ratio: float
    share: float
    over_probes: Errors
    over_latents: Errors
    unequal_diagonal: float
    unequal_pairs: float
    not_identity: float
    two_matrices: float
    latents: int
    batches: int
    dimension: int
    weights: int
    products: int
    exact: bool
    preconditioner: str
    learning_rate: float
    traces: Array = field(repr=False, compare=False)
    coupled: bool = False
    notes: tuple[str, ...] = ()

    @property
    def stderr(self) -> Errors:
        """Of probes and latents together."""
        pairs = [(getattr(self.over_probes, k), getattr(self.over_latents, k)) for k in ("g1", "g2", "ratio", "share")]
        return Errors(*(float(np.hypot(a, b)) for a, b in pairs))

    @property
    def kernel(self) -> dict[str, float]:
        """``[generator.kernel]`` of an experiment: its ratio cannot be negative."""
        return {"diagonal": self.g1, "ratio": max(self.ratio, 0.0)}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the numbers mean, in words."""
        what = f"the two numbers explain {self.share:.0%} of the kernel"
        if np.isnan(self.share):
            return ("the generator's output does not depend on its weights here", *self.notes)
        rough = ": the effective model is a rough one here" if self.share < ROUGH else ""
        out = [what + rough]
        names = {
            "tr Theta_ii differs between latents": self.unequal_diagonal,
            "tr Theta_ij differs between pairs": self.unequal_pairs,
            "outputs of one sample are not moved alike (no multiple of the identity)": self.not_identity,
        }
        if self.share < 0.99:
            parts = "; ".join(f"{name}: {max(value, 0):.0%}" for name, value in names.items())
            out.append(f"the rest of its square: {parts}")
        if self.two_matrices - self.share > WORTH:
            out.append(
                f"two matrices over the {self.dimension} outputs in place of the two numbers would explain "
                f"{min(self.two_matrices, 1):.0%}: latents look alike, outputs move at rates of their own"
            )
        if self.ratio < -2 * self.over_probes.ratio - NO_RATIO:
            out.append("the ratio is negative (outputs of different latents repel): an experiment's is taken as 0")
        if self.coupled:
            out.append(
                "batch statistics couple the samples: Theta_ij is how a force on sample j moves sample i within this "
                "batch, the way through the statistics included; it is not a function of the two latents alone and "
                "changes with the rest of the batch and its size"
            )
        return (*out, *self.notes)


def measured(
    maps: Sequence[GeneratorMap], scale: Array | float = 1.0, *, probes: int = 32, exact: bool | None = None,
    seed: int = 0, preconditioner: str = "SGD", learning_rate: float = 1.0, coupled: bool = False,
    notes: tuple[str, ...] = (),
) -> KernelNumbers:  # fmt: skip
    """The numbers of ``maps``, one per batch of latents, under the diagonal preconditioner ``scale`` (weights,)."""
    if not maps:
        raise InputError("latents", "hold at least one batch")
    if not isinstance(probes, int | np.integer) or probes < 2:
        raise InputError("probes", "be a whole number of at least 2, for standard errors", repr(probes))
    if min(m.latents for m in maps) < 2:
        raise InputError("latents", "be at least 2 in a batch (g2 is of pairs)", min(m.latents for m in maps))
    if not np.all(np.isfinite(scale)) or np.any(np.asarray(scale) < 0):
        raise InputError("optimizer", "have a preconditioner of finite numbers not below 0", "NaN, infinity or less")
    rows = max(m.latents * m.dimension for m in maps)
    take = rows <= max(FEW_ROWS, 2 * probes) if exact is None else exact
    found: list[Probed] = []
    for m, rng in zip(maps, np.random.default_rng([seed, 7]).spawn(len(maps)), strict=True):
        product, shape = m.product(scale), (m.latents, m.dimension)
        found.append(whole(product, *shape) if take else probed(product, *shape, probes, rng))
    if not all(np.isfinite(p.square).all() for p in found):
        raise InputError("generator", "have finite derivatives in its weights at these latents", "NaN or infinity")
    values, error = estimated(found)
    latents = over_latents(found, error)
    first = Numbers._fields.index("share") + 1
    return KernelNumbers(
        **values._asdict(),
        over_probes=Errors(*(float(v) for v in error[:first])),
        over_latents=Errors(*(float(v) for v in latents[:first])),
        latents=maps[0].latents, batches=len(maps), dimension=maps[0].dimension, weights=maps[0].weights,
        products=sum(m.latents * m.dimension if take else 2 * probes for m in maps), exact=bool(take),
        preconditioner=preconditioner, learning_rate=float(learning_rate), traces=found[0].traces.mean(0),
        coupled=coupled, notes=notes,
    )  # fmt: skip


def kernel_numbers(
    G: Any, latents: Any = None, optimizer: Any = None, *, probes: int = 32, exact: bool | None = None, seed: int = 0
) -> KernelNumbers:
    """The two kernel numbers of a generator with its share, at its weights. Nothing of G is changed.

    Args:
        G: a game (``eg.game``; latents and optimizer are its own); a torch.nn.Module, in the mode it is in; or for JAX
            (function(params, latents) -> (N, ...), params).
        latents: an array, or a list of such batches: g2 is of pairs within a batch, and only several independent
            batches give the error over latents of everything.
        optimizer: that of the generator, a torch.optim object, for JAX an ``Optimizer`` or a pair of it and its Optax
            state; None: SGD.
        probes: pairs of random vectors for each batch, 4 passes a pair.
        exact: all of the kernel is taken; default: where it has at most 256 rows N d, or no more than the probes cost.

    Returns:
        g1, g2, ratio and share with standard errors; ``eg.plot.kernel`` draws them.

    Shapes:
        latents (N, ...) or a list of them; outputs (N, ...) are taken as (N, d).

    Units:
        g1, g2 in squared output (length^2) per squared weight, preconditioned; ratio and share are pure numbers.

    Raises:
        InputError: a game with latents or optimizer, no latents, fewer than 2 in a batch, fewer than 2 probes, a
            preconditioner or derivatives that are not finite.
        MissingExtra: the framework is not installed.

    Assumes:
        G is differentiable in its weights there.

    Source:
        Eq. (1, generator-kernel), Eq. (97, kernel-numbers).
    """
    if hasattr(G, "players"):
        if latents is not None or optimizer is not None:
            raise InputError("latents, optimizer", "be left out for a game, which has its own")
        optimizer, maps = G.optimizers[1], of_players(G.players)
    else:
        if not (isinstance(G, tuple) or hasattr(G, "named_parameters")):
            rule = "be a game, a torch.nn.Module, or (function(weights, latents), weights) in JAX"
            raise InputError("G", rule, type(G).__name__)
        batches = list(latents) if isinstance(latents, list | tuple) else [latents]
        if latents is None or not batches:
            raise InputError("latents", "be given for a generator without a game", "none")
        for batch in batches:
            check_samples("latents", batch)
            if len(np.shape(batch)) < 1 or 0 in np.shape(batch):
                raise InputError("latents", "hold samples (first axis)", f"shape {np.shape(batch)}")
        maps, optimizer = (of_jax if isinstance(G, tuple) else of_torch)(G, batches, optimizer)
    kind, scale, rate = preconditioning(optimizer)
    return measured(
        maps, scale, probes=probes, exact=exact, seed=seed, preconditioner=kind, learning_rate=rate,
        coupled=any(m.coupled for m in maps), notes=maps[0].notes,
    )  # fmt: skip


def preconditioning(optimizer: Optimizer | None) -> tuple[str, Array | float, float]:
    """(kind, P over the learning rate, the learning rate: its mean over weights where groups differ).

    Momentum of SGD is the update rule's, not the kernel's; Adam's averages and leaves a lasting step as it is."""
    if optimizer is None:
        return "sgd", 1.0, float("nan")
    if not isinstance(optimizer, Optimizer):
        raise InputError("optimizer", "be an Optimizer", type(optimizer).__name__)
    rates = np.asarray(optimizer.settings["learning_rate"], dtype=float)
    rate = float(rates.mean())
    if not rate > 0:
        raise InputError("optimizer", "have a learning rate above 0", rate)
    scale = rates if optimizer.kind == "sgd" else optimizer.preconditioner
    scale = np.asarray(scale, dtype=float) / rate
    return optimizer.kind, scale if scale.ndim else float(scale), rate


__all__ = ["CONVENTION", "Errors", "KernelNumbers", "kernel_numbers", "measured", "preconditioning"]
