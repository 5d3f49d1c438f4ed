"""From an experiment to the feature map of its discriminator."""

from __future__ import annotations

import numpy as np

from ..base.errors import InputError
from ..experiment import Experiment
from ..experiment.targets import Uniform
from ..kernels.base import FORCE_AT_DATA, check_range
from ..kernels.wide.network import WideKernel
from .base import FeatureMap
from .box import experiment_grid
from .dictionary import DictionaryFeatures
from .fourier import FourierFeatures, box_modes
from .given import FeatureKernel
from .noise import noise_nodes
from .packed import PackedFeatures
from .polynomial import PolynomialFeatures, ProjectedFeatures
from .random_network import NetworkFeatures


def feature_map(exp: Experiment) -> FeatureMap:
    """The feature map of an experiment's discriminator; the same one every time (seeded). Of packed samples: of tuples.

    A network with a width has the tangent features at its start. Raises MissingExtra (a network needs JAX), and
    InputError when the exact kernel has no gradient at its own centre (Laplace, Matern nu <= 1) or packed weights are
    too many.
    """
    one = sample_features(exp)
    packing = exp.packing
    return one if packing.degree == 1 else PackedFeatures(one, packing.degree, packing.kernel == "additive")


def sample_features(exp: Experiment) -> FeatureMap:
    """The feature map of a single sample, whatever ``packing``."""
    disc = exp.discriminator
    if disc.random_network:
        assert isinstance(disc.kernel, str)
        rng = np.random.default_rng([disc.seed, 3])
        return NetworkFeatures.drawn(disc.kernel, disc.features, exp.dimension, disc.length_scale, disc.variance, rng)
    if disc.finite_network:
        from .networks.tangent import tangent_features

        return tangent_features(exp)
    if disc.evaluation == "fourier":
        return experiment_grid(exp)
    kernel = disc.kernel_object
    if isinstance(kernel, FeatureKernel):
        return kernel.features
    if isinstance(exp.target, Uniform):
        return box_modes(kernel, exp.target)
    Y = exp.points.coordinates
    d = Y.shape[1]
    rng = np.random.default_rng([disc.seed, 1])
    check_range(kernel, Y)
    polynomial = kernel.polynomial_features(d)
    if polynomial is not None:
        base = PolynomialFeatures(*polynomial)
        if disc.features == 0:
            return base
        return ProjectedFeatures(base, rng.standard_normal((disc.features, base.size)) / np.sqrt(disc.features))
    if disc.features == 0:
        if not kernel.differentiable:
            if isinstance(kernel, WideKernel):
                raise kernel.no_force()
            raise InputError("discriminator.kernel", FORCE_AT_DATA, repr(kernel.name))
        if isinstance(kernel, WideKernel):
            kernel.rounding(Y)  # refuses what rounding spoils
        nodes = (Y[:, None, :] + noise_nodes(exp.penalty.instance_noise, d)[0]).reshape(-1, d)
        return DictionaryFeatures(kernel, nodes, nodes)
    if kernel.kind != "stationary":
        raise InputError(
            "discriminator.features", f"be 0 for kernel '{kernel.name}' (no random features)", disc.features
        )
    F = disc.features // 2
    omega = kernel.sample_frequencies(F, d, rng)
    K0 = float(kernel.diagonal(np.zeros((1, d)))[0])
    return FourierFeatures(omega, np.full(F, np.sqrt(K0 / F)))
