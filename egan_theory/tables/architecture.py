"""Fully connected networks, as the experiment file describes them: ``[generator.architecture]`` and
``[discriminator.architecture]``.

In the tangent parametrisation (NTK; Jacot, Gabriel and Hongler 2018) a network of ``depth`` hidden layers of n neurons
on inputs x of dimension n_0 is

    u_1 = sw W_1 x / sqrt(n_0) + sb b_1,   u_(l+1) = sw W_(l+1) act(u_l) / sqrt(n) + sb b_(l+1),   f(x) = u_(depth+1)

with sw^2 = ``weight_variance``, sb^2 = ``bias_variance`` and all W, b drawn from N(0, 1) and trained.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from ..base.config import Config, Numbers, Word
from ..base.errors import InputError
from .activations import NETWORK_ACTIVATIONS

#: of a polynomial activation
LARGEST_DEGREE = 12


class Architecture(Config):
    """A fully connected network. ``width`` 0 is the limit of infinite width, where only its kernel is left.

    ``leak``: slope of leaky_relu below 0. ``coefficients``: of the polynomial activation, lowest power first.
    """

    table: ClassVar[str] = "discriminator.architecture"

    depth: int = Field(default=2, ge=1, le=1000)
    width: int = Field(default=0, ge=0, le=65_536)
    activation: Word = "tanh"
    weight_variance: float = Field(default=1.0, gt=0, le=1e6)
    bias_variance: float = Field(default=0.1, ge=0, le=1e6)
    leak: float = Field(default=0.2, ge=0, lt=1)
    coefficients: Numbers = (0.0, 1.0)

    @field_validator("activation")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in NETWORK_ACTIVATIONS:
            raise InputError("architecture.activation", f"be one of {', '.join(NETWORK_ACTIVATIONS)}", repr(value))
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Architecture:
        if self.activation == "polynomial" and not any(self.coefficients[1:]):
            raise InputError("architecture.coefficients", "hold a power above 0 that is not zero", self.coefficients)
        if len(self.coefficients) > LARGEST_DEGREE + 1:
            rule = f"be of degree at most {LARGEST_DEGREE}"
            raise InputError("architecture.coefficients", rule, len(self.coefficients) - 1)
        return self


class GeneratorArchitecture(Architecture):
    """A generator network: latents z of norm sqrt(n_0) in n_0 = ``latent_dimension`` dimensions."""

    table: ClassVar[str] = "generator.architecture"

    latent_dimension: int = Field(default=64, ge=1, le=1_000_000)
