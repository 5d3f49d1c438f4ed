"""What a simulation will hold at its peak, said before its first step: samples, and the features at the particles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.errors import EganError
from ..base.ram import check_size
from ..experiment import Experiment
from ..features import DictionaryFeatures, FeatureMap, FourierFeatures, FourierGrid, PackedFeatures, feature_map
from ..features.networks.mlp import sizes
from ..features.networks.tangent import MAX_DENSE_ROWS
from ..features.noise import noise_nodes
from ..features.random_network import NetworkFeatures
from ..problem.objectives import LARGEST, Objectives
from ..problem.problem import Problem
from ..runs.interval import recording_interval
from ..tables.architecture import Architecture
from ..tables.updates import RULES
from .condense import condensed
from .record import MAX_WEIGHTS

#: bytes of a number
NUMBER = 8
#: what a step holds of the features at all nodes, in units of what one cloud keeps of them: the cloud itself and the
#: arrays it is made of; rules that may look at a second cloud; Runge-Kutta steps, whose stages stay until the step ends
ONE, TWO, STAGES = 2, 3, 4
#: arrays of the discriminator's weights, of all runs
WEIGHTS = 8
#: matrices of all features, where the penalty on a target with noise is one
FORMS = 3
#: arrays (node, node) that an exact kernel's basis is extended with to a random start
GROWTH = 4
#: of networks: arrays of the neurons of all layers at all points, of the rows of a tangent kernel (JAX: measured)
NEURONS, ROWS = 12, 3
#: numbers per node and component of the Fourier modes on a grid, which are evaluated there without a matrix
GRID = 16
#: arrays (particle, particle) of the likelihood term's kernel
PAIRS = 3
#: arrays (particle, point) of the distances that say what became of one run
DISTANCES = 3


def samples(exp: Experiment, runs: int) -> int:
    """Bytes of all samples of ``runs`` runs."""
    T = exp.run.steps // exp.run.record_every + 1
    return NUMBER * (runs * T * exp.generator.particles * (2 * exp.dimension + 1) + T)


def stepping(exp: Experiment, runs: int, features: FeatureMap | None = None) -> int:
    """Bytes at the peak of a step of ``runs`` runs side by side, the discriminator on ``features`` (default: those it
    begins with: an exact kernel's basis grows)."""
    N, d, M = exp.generator.particles, exp.dimension, len(exp.points.weights)
    if exp.generator.finite_network or exp.discriminator.finite_network:
        return _networks(exp, runs, M)
    features = feature_map(exp) if features is None else features
    field = Objectives(Problem(exp)) if exp.penalty.instance_noise else None
    Q, of_target = (1, 1) if field is None else (field.nodes_per_step, len(field.node_weights))
    rule = exp.update_rule
    one = RULES[exp.update.rule].affine and not rule.averages
    clouds = STAGES if rule.continuous else ONE if one else TWO
    kept, weights = _kept(features, d), runs * features.size
    own = runs * N * Q * kept * clouds + M * of_target * kept * ONE + WEIGHTS * weights
    if field is not None and field.damped is not None and features.size <= LARGEST:
        own += FORMS * features.size**2
    if exp.likelihood.weight and exp.points.period is None:
        own += PAIRS * runs * N * max(N, M)
    if isinstance(features, DictionaryFeatures) and exp.run.start == "random":
        own += GROWTH * (runs * N * Q) ** 2
    recorded = weights * (exp.run.steps // exp.run.record_every + 1)
    return NUMBER * (own + DISTANCES * N * M + (recorded if recorded <= MAX_WEIGHTS else 0))


def _networks(exp: Experiment, runs: int, M: int) -> int:
    """``stepping`` of networks of finite width, trained in JAX: weights, the neurons at all points, and the rows of the
    tangent kernels whose drift is recorded, of one run at a time."""
    N, d, Q = exp.generator.particles, exp.dimension, len(noise_nodes(exp.penalty.instance_noise, exp.dimension)[1])
    own, rows = 4 * runs * N * d + DISTANCES * N * M, 0
    steps = exp.run.steps // exp.run.record_every + 1
    if exp.discriminator.finite_network:
        P, neurons = _network(exp.discriminator.architecture, d, 1)
        rows = (1 + d) * P * max(min(M, MAX_DENSE_ROWS // ((1 + d) * P)), 1)
        own += runs * (WEIGHTS * P + NEURONS * Q * (M + N) * neurons)
    else:
        P = exp.discriminator.features
        own += runs * (WEIGHTS * P + NEURONS * Q * (M + N) * P)
    own += runs * P * steps if runs * P * steps <= MAX_WEIGHTS else 0
    if exp.generator.finite_network and exp.generator.architecture is not None:
        P, neurons = _network(exp.generator.architecture, exp.generator.architecture.latent_dimension, d)
        rows = max(rows, d * P * max(min(N, MAX_DENSE_ROWS // (d * P)), 1))
        own += runs * (WEIGHTS * P + NEURONS * N * neurons)
    return NUMBER * (own + ROWS * rows)


def _network(arch: Architecture | None, inputs: int, outputs: int) -> tuple[int, int]:
    """(weights, neurons at a point) of a network of finite width."""
    assert arch is not None
    layers = sizes(arch, inputs, outputs)
    places = 1 if arch.image is None else arch.image[1] * arch.image[2]  # no layer has more positions than the image
    return sum(rows * (columns + 1) for rows, columns in layers), places * sum(rows for rows, _ in layers)


def check_memory(exp: Experiment, runs: int | None = None, features: FeatureMap | None = None, times: int = 1) -> None:
    """Raise InputError where samples and steps of ``runs`` runs (default: the experiment's), ``times`` at once in
    processes of their own, need more than may be used."""
    R = exp.run.runs if runs is None else runs
    check_samples(exp, R, times)
    rule = "be small enough for a step to fit in memory (or lower run.runs, discriminator.features, a network's width)"
    what = f"{R} runs side by side" + (f" in each of {times} processes" if times > 1 else "")
    check_size("generator.particles", times * (samples(exp, R) + stepping(exp, R, features)), rule, what)


def check_samples(exp: Experiment, runs: int, times: int = 1) -> None:
    """``check_memory``, of the samples alone, which needs no features."""
    rule = "be large enough for the recording to fit in memory (or lower run.runs, run.steps, generator.particles)"
    check_size("run.record_every", times * samples(exp, runs), rule, "the recording")


def check_cell(exp: Experiment, changes: Mapping[str, Any], recorded: bool, times: int = 1) -> None:
    """``check_memory`` of the experiment with these fields changed, as a cell of a diagram or sweep, ``times`` at once;
    ``recorded``: with every sample. What cannot be simulated says so itself, when it is."""
    try:
        exp = exp.replace(changes)
        if not recorded:
            exp = exp.replace({"run.record_every": recording_interval(exp)})
        small = condensed(exp) if exp.run.start == "kick" else exp
        network = exp.generator.finite_network or exp.discriminator.finite_network
        found = None if network else feature_map(small)
    except EganError:
        return
    check_samples(exp, exp.run.runs, times)
    check_memory(small, None, found, times)


def _kept(features: FeatureMap, d: int) -> int:
    """Numbers that a cloud keeps per node."""
    if isinstance(features, PackedFeatures):
        return _kept(features.base, d)
    if isinstance(features, FourierGrid):
        return GRID * d
    if isinstance(features, FourierFeatures):
        return features.size
    return features.size * (2 if isinstance(features, NetworkFeatures) else 1 + d)


__all__ = ["check_cell", "check_memory", "check_samples", "samples", "stepping"]
