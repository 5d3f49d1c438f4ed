"""A kernel that is known through its features alone: K(x, y) = psi(x).psi(y), psi any feature map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..kernels.base import Kernel

if TYPE_CHECKING:
    from .base import FeatureMap


@dataclass(frozen=True, eq=False)
class FeatureKernel(Kernel):
    """The kernel of ``features``, to stand in ``discriminator.kernel``; equal to itself alone, and without TOML form.

    It has no profile: whatever needs one (spectra, high-dimensional splits) is not available.
    """

    features: FeatureMap
    name: ClassVar[str] = "features"
    kind: ClassVar[str] = "features"

    # not the parent's, which compares fields of its own alone
    __eq__ = object.__eq__
    __hash__ = object.__hash__


__all__ = ["FeatureKernel"]
