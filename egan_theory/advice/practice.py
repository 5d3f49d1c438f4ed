"""A practitioner's data as mini-batches, settings as an experiment for each, and what of it a scan can afford."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.arrays import check_seed, numbers
from ..base.errors import InputError
from ..base.spelling import unknown
from ..experiment import Experiment
from ..features.given import FeatureKernel
from ..features.rows import RowFeatures
from ..problem.problem import Problem

Array = np.ndarray

#: most rows [psi; grad psi] of a batch, M (1 + d): they are decomposed
MAX_ROWS = 2600
#: rows of the dense matrix that a scan diagonalises some hundred times; beyond it kappa and the collective part are
#: left out of the scan, and up to CHECK_ROWS put back for a check of its result
SCAN_ROWS, CHECK_ROWS = 180, 1200
#: tables that the settings of a training may have
TABLES = ("generator", "discriminator", "loss", "penalty", "update", "run")


def samples_of(data: Array, field: str = "data") -> tuple[Array, tuple[int, ...]]:
    """(distinct samples (n, d) in their order, the shape of one)."""
    data = numbers(field, data)
    if data.ndim < 2 or 0 in data.shape or not np.all(np.isfinite(data)):
        raise InputError(field, "hold (M, ...) samples of finite numbers", f"{data.dtype} of shape {data.shape}")
    flat = data.reshape(len(data), -1).astype(float)
    first = np.sort(np.unique(flat, axis=0, return_index=True)[1])
    return flat[first], data.shape[1:]


def choices(total: int, size: int, count: int, seed: int) -> list[Array]:
    if count < 1:
        raise InputError("batches", "be at least 1", count)
    check_seed("seed", seed)
    rng = np.random.default_rng([seed, 6])
    return [rng.choice(total, size, replace=False) for _ in range(count)]


def batches_of(samples: Array, size: int, count: int, seed: int) -> list[Array]:
    n, d = samples.shape
    if size < 2:
        raise InputError("batch_size", "be at least 2", size)
    size = min(size, n)
    if size * (1 + d) > MAX_ROWS:
        rule = f"give at most {MAX_ROWS} rows, batch_size (1 + d): {MAX_ROWS // (1 + d)} samples here"
        raise InputError("batch_size", rule, f"{size} samples of {d} numbers")
    # all of the data is one batch, not several
    return [samples[index] for index in choices(n, size, 1 if size == n else count, seed)]


def practice(training: Experiment | Mapping[str, Any] | None) -> Experiment:
    """The settings of a user's own training: an experiment or tables of one, with the same defaults.

    The mini-batch stands for the data, with one particle on each of its points, and losses are means over it: of the
    generator, learning_rate and kernel (or architecture) count; particles, masses, per_point and normalisation, those
    of the experiment's own particles, do not.

    Raises InputError for what the advice would leave out: a likelihood term, averaged opponents, sums in tables."""
    if training is not None and not isinstance(training, Experiment | Mapping):
        rule = 'be an experiment, or tables of one, {"discriminator": {"learning_rate": 0.1}}'
        raise InputError("training", rule, type(training).__name__)
    if not isinstance(training, Experiment):
        training = _from_tables(dict(training or {}))
    for field, used, given in (
        ("likelihood.weight", training.likelihood.weight, training.likelihood.weight),
        ("memory", training.update_rule.averages, training.update_rule.averages),
        ("packing.degree", training.packing.degree > 1, training.packing.degree),
    ):
        if used:
            rule = "be left out (the advice is without likelihood, averages and packing)"
            raise InputError(f"training.{field}", rule, given)
    return training


def _from_tables(tables: dict[str, Any]) -> Experiment:
    for name in tables:
        if name not in TABLES:
            raise unknown(f"training.{name}", name, TABLES)
    generator = tables.get("generator")
    if isinstance(generator, Mapping) and generator.get("normalisation", "mean") != "mean":
        rule = (
            "be 'mean' or left out: losses are means over the mini-batch (of sums, multiply the learning rates by its "
        )
        raise InputError("training.generator.normalisation", rule + "size)", repr(generator["normalisation"]))
    return Experiment(**{k: dict(v) if isinstance(v, Mapping) else v for k, v in tables.items()})


def on(base: Experiment, Y: Array, features: RowFeatures, own: bool = False) -> Experiment:
    """The experiment on one batch, one particle per point and means over them; ``own``: the base's normalisation, and
    as many particles per point as it has on its own target."""
    g, k, penalty = base.generator, base.generator.kernel, base.penalty.model_dump()
    equal = g.normalisation == "mean" and g.masses == "equal"
    per_point = max(g.particles // len(base.points.coordinates), 1) if own and equal else 1
    return Experiment(
        target={"kind": "points", "values": Y.tolist()},
        generator={
            "particles": len(Y) * per_point, "learning_rate": g.learning_rate,
            "normalisation": g.normalisation if own else "mean", "kernel": {"diagonal": k.g1, "ratio": k.ratio},
        },
        discriminator={
            "kernel": FeatureKernel(features), "features": 0, "learning_rate": base.discriminator.learning_rate
        },
        loss=base.loss, penalty=penalty, update=base.update,
    )  # fmt: skip


def value_damping(exp: Experiment) -> float:
    """kappa: the loss's own and the penalty's."""
    k = exp.penalty.coefficients
    return float(exp.loss_object.kappa + k.value_p + k.value_q)


def dense_rows(exp: Experiment) -> int:
    """Rows of the dense matrix that its spectrum needs; 0 where closed-form blocks suffice."""
    if not value_damping(exp) and Problem(exp).coupling_ratio is not None:
        return 0
    M, d = exp.points.coordinates.shape
    return M * (1 + 2 * d)


def affordable(exp: Experiment) -> Experiment:
    """The experiment, without kappa and the collective part of Gamma if its spectrum is too large to scan.

    b and c act through b c alone, so that a Wasserstein loss with eta_G b c has the same modes; relative motion has
    g1 - g2. Raises NotLinearizable where only a loss with kappa exists."""
    if dense_rows(exp) <= SCAN_ROWS:
        return exp
    loss, kernel = exp.loss_object, exp.generator.kernel
    changes: dict[str, Any] = {"penalty.alpha": 0.0}
    if not loss.needs_multiplier:
        eta_G = exp.generator.learning_rate * loss.b * loss.c
        changes |= {"loss.kind": "wasserstein", "generator.learning_rate": eta_G}
    if kernel.ratio < 1:
        changes |= {"generator.kernel.diagonal": kernel.g1 - kernel.g2, "generator.kernel.ratio": 0.0}
    return exp.replace(changes)
