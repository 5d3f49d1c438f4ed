"""The two players of an experiment: the particles of the generator, and the discriminator."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from ..base.config import LARGEST, SMALLEST, Config, Integers, Numbers, Positive
from ..base.errors import InputError
from ..base.parameters import declares
from ..base.spelling import unknown, word
from ..kernels import KERNELS, PARAMETERS, Kernel, make_kernel
from ..tables.activations import ACTIVATIONS
from ..tables.architecture import Architecture, GeneratorArchitecture

#: what ``discriminator.kernel`` may name: a kernel, or the activation of random network features
DISCRIMINATORS = (*KERNELS, *ACTIVATIONS)
#: particles of a generator that does not say how many, at least
PARTICLES = 64
#: fields of the discriminator that a network does not have; its inputs are x / length_scale
OF_KERNELS = ("kernel", *(name for name in PARAMETERS if name != "length_scale"), "features", "evaluation", "tolerance")


class GeneratorKernel(Config):
    """Gamma_ij = g1 d_ij + g2 (1 - d_ij) with g1 = ``diagonal``, g2 = ``ratio`` * g1.

    Attributes:
        diagonal: [length^2] g1, what a particle's own sample moves it; > 0.
        ratio: [1] phi = g2/g1, what the sample of another moves it; 0 to 1.

    Source:
        Eq. (1, generator-kernel), Eq. (2, generator-eigenvalues).
    """

    table: ClassVar[str] = "generator.kernel"

    diagonal: Positive = 1.0
    ratio: float = Field(default=0.05, ge=0, le=1)

    @property
    def g1(self) -> float:
        """The diagonal of Gamma [length^2]."""
        return self.diagonal

    @property
    def g2(self) -> float:
        """Gamma off the diagonal [length^2]."""
        return self.ratio * self.diagonal


class Generator(Config):
    """The particles. Eq. (5, particle-flow): dx_i/dt = eta_G sum_j Gamma_ij omega m_j grad h(D)(x_j).

    Attributes:
        particles: [1] their number N; 0: as many as the target asks for, the multiple of its points that is at least 64
            (all target points alike then have particles enough for an equilibrium); an experiment holds the number
            itself.
        learning_rate: [1/time] eta_G, of steps [1/step]; > 0.
        normalisation: "sum" has omega = particles (equal masses then give the plain sum), "mean" omega = 1.
        masses: [1] "equal" (1/N each), "matched" (those at one target point share its weight) or N numbers summing to
            1.
        per_point: [1] how many particles sit on each target point at equilibrium (default: as even as possible).
        kernel: the two numbers of Gamma; not given beside ``architecture``.
        architecture: a network whose tangent kernel in the limit of infinite width gives ``kernel`` (see
            kernels.wide.universality); with a width, simulations train that network.

    Raises:
        ValidationError: a kernel beside an architecture, or an architecture whose g1 is outside 1e-20 to 1e20;
            ``Experiment`` says it as an InputError.

    Source:
        Eq. (5, particle-flow); of a network Eq. (97, kernel-numbers).
    """

    table: ClassVar[str] = "generator"

    particles: int = Field(default=0, ge=0, le=10_000_000)
    learning_rate: Positive = 0.01
    normalisation: Literal["sum", "mean"] = "sum"
    masses: Literal["equal", "matched"] | Numbers = "equal"
    per_point: Integers | None = None
    kernel: GeneratorKernel = GeneratorKernel()
    architecture: GeneratorArchitecture | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kernel(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("architecture") is not None and data.get("kernel") is not None:
            raise InputError("generator.kernel", "not be given beside generator.architecture, which determines it")
        return data

    @model_validator(mode="after")
    def _of_network(self) -> Generator:
        if self.architecture is not None:
            from ..kernels.wide.universality import kernel_numbers

            numbers = kernel_numbers(self.architecture)
            if not SMALLEST <= numbers.g1 <= LARGEST:
                rule = f"keep g1, the tangent kernel at x = y, from {SMALLEST:g} to {LARGEST:g}"
                found = f"{self.architecture.depth}, where g1 = {numbers.g1:g}"
                raise InputError("generator.architecture.depth", rule, found)
            self.__dict__["kernel"] = GeneratorKernel(diagonal=numbers.g1, ratio=numbers.ratio)
        return self

    #: whether ``particles`` was 0 and follows the target
    _follows: bool = PrivateAttr(False)

    @property
    def follows(self) -> bool:
        """Whether ``particles`` was 0 and follows the target."""
        return self._follows or self.particles == 0

    def following(self, points: int) -> Generator:
        """With the number of particles that a target of so many points asks for."""
        if self.per_point is not None:
            count = sum(self.per_point)
        elif isinstance(self.masses, tuple):
            count = len(self.masses)
        else:
            count = points * -(-PARTICLES // points)
        if self._follows and self.particles == count:
            return self
        out = self.model_copy(update={"particles": count})
        out._follows = True
        return out

    def to_change(self) -> dict[str, Any]:
        """The fields as a dictionary of dictionaries; ``particles`` is 0 where it follows the target."""
        return super().to_change() | ({"particles": 0} if self.follows else {})

    @property
    def finite_network(self) -> bool:
        """Whether the generator is a network of finite width."""
        return self.architecture is not None and self.architecture.width > 0

    def _derived(self) -> tuple[str, ...]:
        return () if self.architecture is None else ("kernel",)


@declares(PARAMETERS | {"length_scale": replace(PARAMETERS["length_scale"], default=0.5)})
class _KernelChoice(Config):
    """A kernel by name or as an object, with the parameters that the entries of kernels.KERNELS have."""

    kernel: str | Kernel = "gaussian"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Discriminator(_KernelChoice):
    """D(x) = D* + w.psi(x), with psi(x).psi(y) the kernel (features = 0) or a random-feature estimate of it.

    Attributes:
        kernel: by name, one of kernels.KERNELS; "relu", "tanh", "sine": random features of a one-hidden-layer network
            of width ``features`` (> 0) with inner weights N(0, 1/length_scale^2) (see features.random_network), which
            have no kernel of one scalar; or a Kernel object (eg.kernel_from_profile): such an experiment has no TOML
            form.
        features: [1] number of random features, even (cosine and sine of each frequency); 0 means the exact kernel.
        learning_rate: [1/time] eta_D, of steps [1/step]; > 0.
        seed: [1] of the random features, or of the network that is drawn; 0 to below 2^63.
        evaluation: "direct", or "fourier": the exact kernel (features = 0, stationary, d <= 3) by its Fourier modes in
            a periodic box around target and starts, at a cost of O(particles + modes log modes) a step; the modes and
            the box are chosen so that K, its gradient and its mixed derivative are right to ``tolerance`` (see
            features.box).
        tolerance: [1] of "fourier", in parts of the values at 0; 1e-12 to 0.1.
        architecture: a network instead, trained in all its weights, of the inputs x / length_scale; kernel, features
            and the kernel's parameters are then not given. Its kernel is the tangent kernel: in the limit of infinite
            width (width 0), or of the network drawn with ``seed``, whose output is D* + f(x) - f(x at the start).
        length_scale: [length] of the kernel or of a network's inputs; > 0.
        variance: [1] K at zero distance; > 0. Of kernels of x.y the factor in front.
        smoothness: [1] the order nu of "matern"; > 0.
        alpha: [1] of "rational_quadratic", whose tail falls as r^(-2 alpha); > 0.
        degree: [1] of "polynomial", 1 to 12, the power of x.y + offset.
        offset: [length^2] of "polynomial", added to x.y; >= 0.

    Raises:
        ValidationError: a kernel that is none, or a field of a kernel beside an architecture; ``Experiment`` says it as
            an InputError.

    Source:
        Eq. (3, discriminator), Eq. (4, discriminator-flow); random features: Rahimi and Recht 2007.
    """

    table: ClassVar[str] = "discriminator"

    features: int = Field(default=256, ge=0, le=1_000_000)
    learning_rate: Positive = 0.1
    seed: int = Field(default=0, ge=0, lt=2**63)
    evaluation: Literal["direct", "fourier"] = "direct"
    tolerance: float = Field(default=1e-6, ge=1e-12, le=0.1)
    architecture: Architecture | None = None

    @model_validator(mode="before")
    @classmethod
    def _network_alone(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("architecture") is None:
            return data
        for key in OF_KERNELS:
            if key in data:
                rule = "not be given beside discriminator.architecture (the network is the kernel)"
                raise InputError(f"discriminator.{key}", rule)
        return data | {"features": 0}  # nothing of a kernel is left but its exactness

    def _derived(self) -> tuple[str, ...]:
        return () if self.architecture is None else OF_KERNELS

    def to_change(self) -> dict[str, Any]:
        """The fields as a dictionary of dictionaries; a Kernel object stays one."""
        kernel = {} if self.architecture is not None else {"kernel": self.kernel}  # a Kernel object stays one
        return super().to_change() | kernel

    @field_validator("kernel")
    @classmethod
    def _known(cls, value: Any) -> Any:
        value = word(value)
        if isinstance(value, str) and value not in DISCRIMINATORS:
            raise unknown("discriminator.kernel", value, DISCRIMINATORS)
        return value

    @property
    def random_network(self) -> bool:
        """Whether the features are those of a random network with a trained readout."""
        return self.architecture is None and isinstance(self.kernel, str) and self.kernel in ACTIVATIONS

    @property
    def finite_network(self) -> bool:
        """Whether the discriminator is a network of finite width, trained in all its weights."""
        return self.architecture is not None and self.architecture.width > 0

    @property
    def network(self) -> bool:
        """Whether the discriminator is a network of finite width, random features included: no ``kernel_object``."""
        return self.random_network or self.finite_network

    @cached_property
    def kernel_object(self) -> Kernel:
        """The kernel as an object, which has its values and derivatives.

        Raises:
            InputError: the discriminator is a network of finite width, random features included: it has no such kernel.
        """
        if self.network:
            if self.architecture is not None:
                raise InputError("discriminator.architecture.width", "be 0 here (a kernel)", self.architecture.width)
            rule = f"be one of {', '.join(KERNELS)} (network features have no kernel of one scalar)"
            raise InputError("discriminator.kernel", rule, repr(self.kernel))
        if self.architecture is not None:
            from ..kernels.wide.images import ImageKernel
            from ..kernels.wide.tangent import TangentKernel

            if self.architecture.layers is not None:
                return ImageKernel(self.architecture, self.length_scale)
            return TangentKernel(self.architecture, self.length_scale)
        if isinstance(self.kernel, Kernel):
            return self.kernel
        return make_kernel(self.kernel, **{name: getattr(self, name) for name in PARAMETERS})
