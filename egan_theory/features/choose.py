"""From an experiment to the feature map of its discriminator."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..experiment import Experiment
from ..noise import noise_nodes
from ..targets import Uniform
from .base import FeatureMap
from .dictionary import DictionaryFeatures
from .fourier import FourierFeatures, box_modes
from .network import NetworkFeatures
from .polynomial import PolynomialFeatures, ProjectedFeatures


def feature_map(exp: Experiment) -> FeatureMap:
    """The feature map of an experiment's discriminator; the same one every time (seeded).

    Raises InputError when the exact kernel has no gradient at its own centre (Laplace, Matern nu <= 1).
    """
    disc = exp.discriminator
    if disc.network:
        assert isinstance(disc.kernel, str)
        rng = np.random.default_rng([disc.seed, 3])
        return NetworkFeatures.drawn(disc.kernel, disc.features, exp.dimension, disc.length_scale, disc.variance, rng)
    kernel = disc.kernel_object
    if isinstance(exp.target, Uniform):
        return box_modes(kernel, exp.target)
    Y = exp.points.coordinates
    d = Y.shape[1]
    rng = np.random.default_rng([disc.seed, 1])
    polynomial = kernel.polynomial_features(d)
    if polynomial is not None:
        base = PolynomialFeatures(*polynomial)
        if disc.features == 0:
            return base
        return ProjectedFeatures(base, rng.standard_normal((disc.features, base.size)) / np.sqrt(disc.features))
    if disc.features == 0:
        if not kernel.differentiable:
            raise InputError(
                "discriminator.kernel",
                "have a second derivative at coincident points when features = 0 (the force at the data would be "
                "infinite): give features > 0 or a smoother kernel",
                repr(kernel.name),
            )
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
