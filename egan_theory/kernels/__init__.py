"""Discriminator kernels: values, derivatives in both arguments, spectra, random frequencies, finite feature maps.

Layers, lowest first: ``bessel`` and ``tensors`` and ``spectral`` (plain functions), ``base`` (the contract),
``stationary``, ``dot`` and ``profile`` (the kernels). Of wide networks: ``jets``, ``mixture``, ``dual``, ``recursion``,
``pairs``, ``pixels``, ``several`` and ``network``, then ``tangent`` and ``images`` (the kernels of fully connected and
of convolutional discriminators), ``universality`` and ``depth`` (the numbers of a generator); these are imported where
an architecture asks for them.
"""

from __future__ import annotations

from typing import Any

from ..base.parameters import collected, parameters_of
from ..base.spelling import unknown
from .base import KERNELS, Kernel
from .dot import Linear, Polynomial
from .profile import ProfileKernel, kernel_from_profile
from .spectral import radial_fourier
from .stationary import Gaussian, Laplace, Matern, RationalQuadratic

__all__ = [
    "KERNELS",
    "PARAMETERS",
    "Gaussian",
    "Kernel",
    "Laplace",
    "Linear",
    "Matern",
    "Polynomial",
    "ProfileKernel",
    "RationalQuadratic",
    "kernel_from_profile",
    "make_kernel",
    "radial_fourier",
]

#: the fields of [discriminator] that the kernels of KERNELS have
PARAMETERS = collected(parameters_of(kernel) for kernel in KERNELS.values())


def make_kernel(name: str, **parameters: Any) -> Kernel:
    """The kernel of this name in KERNELS; parameters that another one has are ignored, those not given at its defaults.

    Raises InputError for an unknown name, a parameter that no kernel has, or one out of range.
    """
    if not isinstance(name, str) or name not in KERNELS:
        raise unknown("discriminator.kernel", name, KERNELS)
    for other in parameters.keys() - PARAMETERS.keys():
        raise unknown(f"discriminator.{other}", other, PARAMETERS, "be one of the parameters ({})")
    own = parameters_of(KERNELS[name])
    return KERNELS[name](**{key: value for key, value in parameters.items() if key in own})
