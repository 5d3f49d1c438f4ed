"""The features that the data see: weighted rows at the target's nodes, kept for experiments with the same ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ..base.errors import NotLinearizable
from ..experiment import Experiment
from ..experiment.players import Discriminator
from ..experiment.settings import Packing
from ..features import FeatureMap, feature_map
from ..features.choose import sample_features
from ..features.noise import noise_nodes
from ..kernels.wide.tangent import TangentKernel
from .coupling import damping
from .packed import packed_rows, packed_weights

#: the largest feature matrix (numbers) that is built
MAX_FEATURE_ENTRIES = 400_000_000

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Setting:
    """What determines the features at the data, compared by content (a point file may change between experiments)."""

    points: bytes
    discriminator: Discriminator
    sigma: float
    periodic: bool
    start: tuple  # the box of Fourier modes holds the starts too
    packing: Packing
    damped: bool  # by values or gradients of D: packed samples then need more weights than particles feel
    exp: Experiment = field(compare=False)

    @classmethod
    def of(cls, exp: Experiment) -> Setting:
        Y, p, period = exp.points
        content = hashlib.sha256(repr((Y.shape, period)).encode() + Y.tobytes() + p.tobytes()).digest()
        fourier = exp.discriminator.evaluation == "fourier"
        start = (exp.run.start, exp.run.spread, exp.run.kick) if fourier else ()
        damped = bool(exp.packing.degree > 1 and any(damping(exp)[1:]))
        return cls(
            content, exp.discriminator, exp.penalty.instance_noise, period is not None, start, exp.packing, damped, exp
        )


def seen_features(exp: Experiment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted feature rows at the data's nodes: sqrt(p w) psi (MQ, P), sqrt(p w) grad psi (MQ d, P), and the
    noise-averaged gradients, unweighted, (M d, P). Read-only.

    Of a network with more weights than rows: in an orthonormal basis of the weights that the rows see, P' <= P of them
    (TangentFeatures.seen_rows), which leaves all products of rows as they are. Of packed samples: rows of tuples, in
    the coordinates of linear.packed, and the gradients along every sample of E D."""
    return _seen_features(Setting.of(exp))[:3]


def resolution(exp: Experiment) -> float:
    """Part of the largest singular value of ``seen_features`` to which the small ones are exact."""
    return _seen_features(Setting.of(exp))[3]


def features_of(exp: Experiment) -> FeatureMap:
    """``feature_map(exp)``, kept for the next experiment with the same points and discriminator."""
    return _features_of(Setting.of(exp))


@lru_cache(maxsize=4)
def _features_of(setting: Setting) -> FeatureMap:
    return feature_map(setting.exp)


def seen_weights(exp: Experiment, w: np.ndarray) -> np.ndarray | None:
    """Weights (..., P) of feature_map(exp) in the coordinates of ``seen_features``; None where they are of others."""
    setting = Setting.of(exp)
    if exp.packing.degree > 1 and exp.packing.kernel == "product":
        return packed_weights(_packed(setting), w)
    return w if w.shape[-1] == _seen_features(setting)[0].shape[-1] else None


@lru_cache(maxsize=4)
def _packed(setting: Setting) -> Any:
    """linear.packed.Rows of the setting."""
    Y, p, _ = setting.exp.points
    offsets, weights = noise_nodes(setting.sigma, Y.shape[1])
    fm = sample_features(setting.exp)
    return packed_rows(fm, Y, p, offsets, weights, setting.packing, setting.damped)


@lru_cache(maxsize=4)
def _seen_features(setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    if setting.packing.degree > 1:
        packed = _packed(setting)
        for array in packed[:3]:
            array.flags.writeable = False
        return (*packed[:3], EPS)
    fm, sigma = _features_of(setting), setting.sigma
    Y, p, _ = setting.exp.points
    offsets, weights = noise_nodes(sigma, Y.shape[1])
    (M, d), Q = Y.shape, len(weights)
    nodes, eps = (Y[:, None, :] + offsets).reshape(-1, d), EPS
    seen_rows = getattr(fm, "seen_rows", None)
    if seen_rows is not None:
        both, exact = seen_rows(nodes)
        values, grad = both[: M * Q], both[M * Q :].reshape(M * Q, d, -1)
        eps = EPS if exact else float(np.sqrt(EPS))
    elif M * Q * (d + 1) * fm.size > MAX_FEATURE_ENTRIES:
        raise NotLinearizable(
            "discriminator.features",
            f"give a feature matrix of at most {MAX_FEATURE_ENTRIES:.0e} numbers "
            "(use linear.extreme_stiffness for extreme eigenvalues)",
            f"{M * Q * (d + 1)} x {fm.size}",
        )
    else:
        at = fm.at(nodes)
        values, grad = at.psi(), at.grad()
        kernel = getattr(fm, "kernel", None)
        if isinstance(kernel, TangentKernel):  # of H, whose eigenvalues are squares
            eps = max(EPS, float(np.sqrt(kernel.rounding(Y))))
    P = values.shape[-1]
    root = np.sqrt(p[:, None] * weights).ravel()
    psi, rows = root[:, None] * values, (root[:, None, None] * grad).reshape(-1, P)
    mean = np.einsum("q,mqap->map", weights, grad.reshape(M, Q, d, P)).reshape(M * d, P)
    for array in (psi, rows, mean):
        array.flags.writeable = False
    return psi, rows, mean, eps
