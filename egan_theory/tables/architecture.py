"""Networks, as the experiment file describes them: ``[generator.architecture]`` and ``[discriminator.architecture]``.

In the tangent parametrisation (NTK; Jacot, Gabriel and Hongler 2018) a network of ``depth`` hidden layers of n neurons
on inputs x of dimension n_0 is

    u_1 = sw W_1 x / sqrt(n_0) + sb b_1,   u_(l+1) = sw W_(l+1) act(u_l) / sqrt(n) + sb b_(l+1),   f(x) = u_(depth+1)

with sw^2 = ``weight_variance``, sb^2 = ``bias_variance`` and all W, b drawn from N(0, 1) and trained. A discriminator
may instead have ``layers`` (tables.layers) on images; the same holds of each of its trained layers, and the readout.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from ..base.config import Config, Integers, Numbers, Word
from ..base.errors import InputError
from ..base.spelling import unknown
from .activations import NETWORK_ACTIVATIONS
from .layers import LAYERS, Layer, made

#: of a polynomial activation
LARGEST_DEGREE = 12


def _layers(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise InputError("architecture.layers", "be an array of tables with a kind each", repr(value))
    out = []
    for i, one in enumerate(value):
        try:
            out.append(made(one))
        except InputError as error:
            rule = f"be a layer: {error.field} must {error.must}"
            raise InputError(f"architecture.layers[{i}]", rule, error.found) from None
    return tuple(out)


#: of an image, first to last
Layers = Annotated[
    tuple[Any, ...], BeforeValidator(_layers), PlainSerializer(lambda layers: [one.written() for one in layers])
]


class Architecture(Config):
    """A network. ``width`` 0 is the limit of infinite width, where only its kernel is left.

    Fully connected, of ``depth`` hidden layers; or, with ``layers``, of these on images: an input x is then the pixels
    of an ``image`` (channels, height, width), the last index fastest. Every trained layer of ``layers`` (convolution,
    dense) has ``width`` channels or neurons and is followed by the activation; the linear readout comes last and is not
    listed. ``depth`` is then their number, and not given.

    ``trained``: "all" weights, or the "readout" alone (of infinite width: the kernel is then the covariance of the
    outputs at the start). ``leak``: slope of leaky_relu below 0. ``coefficients``: of the polynomial activation, lowest
    power first.
    """

    table: ClassVar[str] = "discriminator.architecture"

    layers: Layers | None = None
    image: Integers | None = None
    depth: int = Field(default=2, ge=1, le=1000)
    width: int = Field(default=0, ge=0, le=65_536)
    activation: Word = "tanh"
    weight_variance: float = Field(default=1.0, gt=0, le=1e6)
    bias_variance: float = Field(default=0.1, ge=0, le=1e6)
    trained: Literal["all", "readout"] = "all"
    leak: float = Field(default=0.2, ge=0, lt=1)
    coefficients: Numbers = (0.0, 1.0)

    @field_validator("activation")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in NETWORK_ACTIVATIONS:
            raise unknown("architecture.activation", value, NETWORK_ACTIVATIONS)
        return value

    @model_validator(mode="before")
    @classmethod
    def _depth_of_layers(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("layers") is not None and "depth" in data:
            raise InputError("architecture.depth", "not be given beside architecture.layers, which determine it")
        return data

    def _derived(self) -> tuple[str, ...]:
        return () if self.layers is None else ("depth",)

    @model_validator(mode="after")
    def _consistent(self) -> Architecture:
        if self.trained == "readout" and self.width:
            raise InputError("architecture.trained", "be 'all' of a finite width", repr(self.trained))
        if (self.layers is None) != (self.image is None):
            raise InputError("architecture.image", "be given with architecture.layers, and only then", self.image)
        if self.layers is not None:
            if len(self.image or ()) != 3 or min(self.image or (0,)) < 1:
                rule = "be [channels, height, width], whole numbers > 0"
                raise InputError("architecture.image", rule, self.image)
            self.__dict__["depth"] = sum(layer.trained for layer in self.layers)
            if not self.depth:
                rule = f"hold a layer with weights ({', '.join(k for k, entry in LAYERS.items() if entry.trained)})"
                raise InputError("architecture.layers", rule, self.layers)
            self.taps  # noqa: B018  (refuses layers that do not fit)
        if self.activation == "polynomial" and not any(self.coefficients[1:]):
            raise InputError("architecture.coefficients", "hold a power above 0 that is not zero", self.coefficients)
        if len(self.coefficients) > LARGEST_DEGREE + 1:
            rule = f"be of degree at most {LARGEST_DEGREE}"
            raise InputError("architecture.coefficients", rule, len(self.coefficients) - 1)
        return self

    @cached_property
    def taps(self) -> tuple[tuple[Layer, Any], ...]:
        """Every layer and the readout with its taps (see tables.layers). Raises InputError."""
        assert self.layers is not None and self.image is not None
        (_, height, width), out = self.image, []
        for i, layer in enumerate((*self.layers, LAYERS["dense"]())):
            try:
                height, width, taps = layer.taps(height, width)
            except InputError as error:
                where = f"layers[{i}]" if i < len(self.layers) else "layers"
                what = "" if i < len(self.layers) else " (here the readout)"
                rule = f"fit the image: {error.field}{what} must {error.must}"
                raise InputError(f"architecture.{where}", rule, error.found) from None
            out.append((layer, taps))
        return tuple(out)


class GeneratorArchitecture(Architecture):
    """A generator network: latents z of norm sqrt(n_0) in n_0 = ``latent_dimension`` dimensions."""

    table: ClassVar[str] = "generator.architecture"

    latent_dimension: int = Field(default=64, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _connected(self) -> GeneratorArchitecture:
        if self.layers is not None:
            raise InputError("architecture.layers", "be left to a discriminator (a generator is fully connected)")
        if self.trained != "all":
            raise InputError("architecture.trained", "be 'all' of a generator", repr(self.trained))
        return self
