"""Feature maps psi: R^d -> R^P of a discriminator linear in its weights, D(x) - D* = w . psi(x).

A feature map is asked only for what the theory needs, at a set of points X (..., n, d): values, gradients and Hessians
of D, and the adjoint sum_n a_n psi(x_n) + b_n . grad psi(x_n). With B = stacked grad psi(x_n), ``gradient`` is B w and
``adjoint(0, b)`` is B^T b, so that products with H = B B^T never build H. All of it accepts complex points and weights
(complex-step differentiation) and, but for transforms and networks, power series of them (base.series).
"""

from __future__ import annotations

from .base import FeatureMap, Located
from .box import Box, BoxError, LeftBox, choose_box, experiment_grid, grid_features
from .choose import feature_map
from .dictionary import DictionaryFeatures
from .fourier import FourierFeatures, box_modes, box_wavevectors
from .grid import FourierGrid
from .packed import LocatedPacked, PackedFeatures
from .polynomial import PolynomialFeatures, ProjectedFeatures
from .random_network import NetworkFeatures

__all__ = [
    "Box",
    "BoxError",
    "DictionaryFeatures",
    "FeatureMap",
    "FourierFeatures",
    "FourierGrid",
    "LeftBox",
    "Located",
    "LocatedPacked",
    "NetworkFeatures",
    "PackedFeatures",
    "PolynomialFeatures",
    "ProjectedFeatures",
    "box_modes",
    "box_wavevectors",
    "choose_box",
    "experiment_grid",
    "feature_map",
    "grid_features",
]
