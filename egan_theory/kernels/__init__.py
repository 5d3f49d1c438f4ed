"""Discriminator kernels: values, derivatives in both arguments, spectra, random frequencies, finite feature maps.

Layers, lowest first: ``bessel`` and ``tensors`` and ``spectral`` (plain functions), ``base`` (the contract),
``stationary``, ``dot`` and ``profile`` (the kernels). Of wide networks: ``jets``, ``mixture``, ``dual``, ``recursion``,
then ``tangent`` (the kernel of a discriminator), ``universality`` and ``depth`` (the numbers of a generator); these are
imported where an architecture asks for them.
"""

from __future__ import annotations

from dataclasses import fields

from ..base.errors import InputError
from .base import Kernel
from .dot import Linear, Polynomial
from .profile import ProfileKernel, kernel_from_profile
from .spectral import radial_fourier
from .stationary import Gaussian, Laplace, Matern, RationalQuadratic

__all__ = [
    "KERNELS",
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

KERNELS: dict[str, type[Kernel]] = {
    kernel.name: kernel for kernel in (Gaussian, Matern, Laplace, RationalQuadratic, Linear, Polynomial)
}


def make_kernel(
    name: str,
    *,
    length_scale: float = 1.0,
    smoothness: float = 1.5,
    alpha: float = 1.0,
    variance: float = 1.0,
    degree: int = 2,
    offset: float = 1.0,
) -> Kernel:
    """The built-in kernel of this name; parameters it does not have are ignored.

    Names are the keys of KERNELS.  Raises InputError for an unknown name or a parameter out of range.
    """
    if not isinstance(name, str) or name not in KERNELS:
        raise InputError("discriminator.kernel", f"be one of {', '.join(KERNELS)}", repr(name))
    given = {
        "length_scale": length_scale,
        "smoothness": smoothness,
        "alpha": alpha,
        "variance": variance,
        "degree": degree,
        "offset": offset,
    }
    kernel = KERNELS[name]
    return kernel(**{field.name: given[field.name] for field in fields(kernel)})
