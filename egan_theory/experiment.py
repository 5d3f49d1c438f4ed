"""The one description of an experiment: what drives derivation, numerics, simulation and comparison.

Frozen and validated once, here. The TOML form and the Python names are identical:

    exp = Experiment.from_toml("e.toml")
    exp = Experiment(target=Ring(modes=8), penalty=Penalties(r1=0.1))
    exp.replace({"penalty.r1": 0.2})
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_serializer, model_validator

from ._config import Config, Integers, Numbers
from .activations import ACTIVATIONS
from .architecture import Architecture, GeneratorArchitecture
from .errors import InputError, check_file
from .kernels import KERNELS, Kernel, make_kernel
from .losses import LOSSES, Loss, get_loss
from .penalties import WGAN_GP_REASON, Coefficients, coefficients
from .targets import TARGETS, Mixture, Points, Ring, Target, Uniform
from .updates import NETWORK_RULES, RESPONSES, RICH_STEPS, STEPS, UNIFORM, UpdateRule

#: rates, strengths and lengths beyond this are refused, and length scales below its inverse root: doubles overflow
LARGEST = 1e100
#: what ``discriminator.kernel`` may name: a kernel, or the activation of random network features
DISCRIMINATORS = (*KERNELS, *ACTIVATIONS)
#: fields of the discriminator that a network does not have
OF_KERNELS = (
    "kernel", "smoothness", "alpha", "variance", "degree", "offset", "features", "evaluation", "tolerance",
)  # fmt: skip


class GeneratorKernel(Config):
    """Gamma_ij = g1 d_ij + g2 (1 - d_ij) with g1 = ``diagonal``, g2 = ``ratio`` * g1 (ratio = phi in [0, 1])."""

    diagonal: float = Field(1.0, gt=0, le=LARGEST)
    ratio: float = Field(0.05, ge=0, le=1)

    @property
    def g1(self) -> float:
        return self.diagonal

    @property
    def g2(self) -> float:
        return self.ratio * self.diagonal


class Generator(Config):
    """The particles. Equation (1): dx_i/dt = eta_G sum_j Gamma_ij omega m_j grad h(D)(x_j).

    ``normalisation``: "sum" has omega = particles (equal masses then give the plain sum of (1)), "mean" omega = 1.
    ``masses``: "equal" (1/N each), "matched" (those at one target point share its weight) or N numbers summing to 1.
    ``per_point``: how many particles sit on each target point at equilibrium (default: as even as possible).
    ``architecture``: a network whose tangent kernel in the limit of infinite width gives ``kernel`` (see
    kernels.universality), which is then not given; with a width, simulations train that network.
    """

    particles: int = Field(64, ge=1, le=10_000_000)
    learning_rate: float = Field(0.01, gt=0, le=LARGEST)
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
    def _derived(self) -> Generator:
        if self.architecture is not None:
            from .kernels.universality import kernel_numbers

            numbers = kernel_numbers(self.architecture)
            self.__dict__["kernel"] = GeneratorKernel(diagonal=numbers.g1, ratio=numbers.ratio)
        return self

    @property
    def finite_network(self) -> bool:
        """Whether the generator is a network of finite width."""
        return self.architecture is not None and self.architecture.width > 0

    def _given(self) -> set[str]:
        return super()._given() - (set() if self.architecture is None else {"kernel"})

    @model_serializer(mode="wrap")
    def _without_derived(self, handler: Any) -> dict[str, Any]:
        data = handler(self)
        if self.architecture is not None:
            del data["kernel"]
        return data


class Discriminator(Config):
    """D(x) = D* + w.psi(x), with psi(x).psi(y) the kernel (features = 0) or a random-feature estimate of it.

    ``features``: number of random features, even (cosine and sine of each frequency); 0 means the exact kernel.
    ``kernel`` "relu", "tanh", "sine": random features of a one-hidden-layer network of width ``features`` (> 0) with
    inner weights N(0, 1/length_scale^2) (see features.network); they have no kernel of one scalar.
    ``kernel`` may also be a Kernel object (see kernels.kernel_from_profile); such an experiment has no TOML form.
    ``evaluation`` "fourier": the exact kernel (features = 0, stationary, d <= 3) by its Fourier modes in a periodic box
    around target and starts, at a cost of O(particles + modes log modes) a step; the modes and the box are chosen so
    that K, its gradient and its mixed derivative are right to ``tolerance`` of their values at 0 (see features.box).
    ``architecture``: a network instead, trained in all its weights, of the inputs x / length_scale; kernel, features
    and the kernel's parameters are then not given. Its kernel is the tangent kernel: in the limit of infinite width
    (width 0), or of the network drawn with ``seed``, whose output is D* + f(x) - f(x at the start).
    """

    kernel: str | Kernel = "gaussian"
    length_scale: float = Field(0.5, gt=0, ge=LARGEST**-0.5, le=LARGEST**0.5)
    smoothness: float = Field(1.5, gt=0, le=LARGEST)
    alpha: float = Field(1.0, gt=0, le=LARGEST)
    variance: float = Field(1.0, gt=0, le=LARGEST)
    degree: int = Field(2, ge=1, le=12)
    offset: float = Field(1.0, ge=0, le=LARGEST)
    features: int = Field(256, ge=0, le=1_000_000)
    learning_rate: float = Field(0.1, gt=0, le=LARGEST)
    seed: int = Field(0, ge=0, lt=2**63)
    evaluation: Literal["direct", "fourier"] = "direct"
    tolerance: float = Field(1e-6, ge=1e-12, le=0.1)
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

    @model_serializer(mode="wrap")
    def _without_kernel(self, handler: Any) -> dict[str, Any]:
        data = handler(self)
        return data if self.architecture is None else {k: v for k, v in data.items() if k not in OF_KERNELS}

    def _given(self) -> set[str]:
        return super()._given() - (set() if self.architecture is None else set(OF_KERNELS))

    @field_validator("kernel")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in DISCRIMINATORS:
            raise InputError("discriminator.kernel", f"be one of {', '.join(DISCRIMINATORS)}", repr(value))
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
        if self.network:
            if self.architecture is not None:
                raise InputError("discriminator.architecture.width", "be 0 here (a kernel)", self.architecture.width)
            rule = f"be one of {', '.join(KERNELS)} (network features have no kernel of one scalar)"
            raise InputError("discriminator.kernel", rule, repr(self.kernel))
        if self.architecture is not None:
            from .kernels.tangent import TangentKernel

            return TangentKernel(self.architecture, self.length_scale)
        if isinstance(self.kernel, Kernel):
            return self.kernel
        return make_kernel(
            self.kernel,
            length_scale=self.length_scale,
            smoothness=self.smoothness,
            alpha=self.alpha,
            variance=self.variance,
            degree=self.degree,
            offset=self.offset,
        )


class LossChoice(Config):
    """Which adversarial loss; see egan_theory.losses."""

    kind: str = "wasserstein"

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in LOSSES:
            raise InputError("loss.kind", f"be one of {', '.join(LOSSES)}", repr(value))
        return value


class Penalties(Config):
    """Strengths of the penalties; see egan_theory.penalties. ``alpha`` belongs to ``multiplier``."""

    r1: float = Field(0.0, ge=0, le=LARGEST)
    r2: float = Field(0.0, ge=0, le=LARGEST)
    weight_decay: float = Field(0.0, ge=0, le=LARGEST)
    multiplier: float = Field(0.0, ge=0, le=LARGEST)
    alpha: float = Field(0.0, ge=0, le=LARGEST)
    instance_noise: float = Field(0.0, ge=0, le=LARGEST)
    consensus: float = Field(0.0, ge=0, le=LARGEST)

    @model_validator(mode="before")
    @classmethod
    def _refuse_wgan_gp(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in ("wgan_gp", "wgan-gp", "gradient_penalty"):
                if key in data:
                    raise InputError(f"penalty.{key}", WGAN_GP_REASON)
        return data

    @property
    def coefficients(self) -> Coefficients:
        return coefficients(
            r1=self.r1, r2=self.r2, weight_decay=self.weight_decay, multiplier=self.multiplier, alpha=self.alpha
        )


class Update(Config):
    """How the two players move; see egan_theory.updates. Momentum and critic steps need a rule that has them.

    ``rule`` "best-response" (generator steps) and "best-response-flow": the discriminator is at its optimum for the
    present particles, which needs a penalty or loss that bounds it; its learning rate plays no part.

    ``rule`` "adam" (both players networks of finite width; simulated, not linearized): momentum is its beta_1.

    ``substeps``: Runge-Kutta steps of the flow per unit of time, at least; the simulator takes more for stiff modes.
    """

    rule: str = "simultaneous"
    critic_steps: int = Field(1, ge=1, le=10_000)
    momentum_discriminator: float = Field(0.0, ge=0, lt=1)
    momentum_generator: float = Field(0.0, ge=0, lt=1)
    substeps: int = Field(4, ge=1, le=10_000)

    @model_validator(mode="after")
    def _consistent(self) -> Update:
        known = (*STEPS, *RESPONSES, *NETWORK_RULES)
        if self.rule not in known:
            raise InputError("update.rule", f"be one of {', '.join(known)}", repr(self.rule))
        if self.critic_steps != 1 and self.rule != "alternating":
            raise InputError("update.critic_steps", "be 1 unless update.rule is 'alternating'", self.critic_steps)
        for name in ("momentum_discriminator", "momentum_generator"):
            if getattr(self, name) != 0 and self.rule not in ("simultaneous", "alternating", "adam"):
                rule = "be 0 unless update.rule is 'simultaneous', 'alternating' or 'adam'"
                raise InputError(f"update.{name}", rule, getattr(self, name))
        return self


#: 0, a time, or "uniform"
AveragingTime = Annotated[float, Field(ge=0, le=LARGEST)] | Literal["uniform"]


class Memory(Config):
    """Training against averages (Fictitious GAN, Ge et al. 2018), over times in steps (flows: units of time).

    generator: the discriminator sees the particles averaged exponentially over this time, through their mean features
    (exact for f2'(D) constant; for the other losses exact to first order about equilibrium); discriminator: the
    generator follows D averaged over this time. 0: the present opponent. Of steps, at least 1. "uniform": the average
    since the start, all of the past weighing alike; such training has no spectrum but powers of time (eg.power_laws).
    """

    generator: AveragingTime = 0.0
    discriminator: AveragingTime = 0.0


class Likelihood(Config):
    """The likelihood term: the generator's force gets ``weight`` times the difference of the scores of target and
    particles. That of the particles is estimated with a Gaussian kernel of width ``bandwidth`` (length; 0 on the
    periodic box only), that of the target so, too (``score`` "kernel"), or known ("exact": the density that a mixture's
    points are drawn from, smoothed by ``target_bandwidth``, by default ``bandwidth``; 0 on the periodic box). See
    egan_theory.likelihood."""

    weight: float = Field(0.0, ge=0, le=LARGEST)
    bandwidth: float = Field(0.0, ge=0, le=LARGEST**0.5)
    score: Literal["kernel", "exact"] = "kernel"
    target_bandwidth: float | None = Field(None, ge=0, le=LARGEST**0.5)

    @property
    def target_width(self) -> float:
        """By what the target's exact density is smoothed."""
        return self.bandwidth if self.target_bandwidth is None else self.target_bandwidth


class Packing(Config):
    """A discriminator that judges ``degree`` samples at once (PacGAN, Lin et al. 2018), all from the target or all from
    the generator, independently. kernel "product": K(x_1, y_1) ... K(x_m, y_m); "additive": sum_ab K(x_a, y_b), that of
    a sum over the samples. See features.packed."""

    degree: int = Field(1, ge=1, le=8)
    kernel: Literal["product", "additive"] = "product"


class Run(Config):
    """A simulation: ``runs`` independent ones of ``steps`` steps, recorded every ``record_every``.

    start "kick": equilibrium plus Gaussian displacements of rms ``kick`` (length units) per coordinate; particles that
    share a target point with q = p move together (their relative motion is a zero mode). "random": particles from
    N(mean of the target, spread^2), uniform in the box for the periodic target. ``spread`` 0 means the target's own.
    With ``generator.architecture`` random particles are what that network puts out at its start: in the limit of
    infinite width a Gaussian displacement common to all and one of each particle's own, from the two numbers of its
    output covariance (kernels.universality.output_covariance); ``spread`` is then 0.
    """

    steps: int = Field(3000, ge=1, le=1_000_000_000)
    seed: int = Field(0, ge=0, lt=2**63)
    record_every: int = Field(10, ge=1)
    runs: int = Field(8, ge=1, le=100_000)
    start: Literal["kick", "random"] = "kick"
    kick: float = Field(1e-5, gt=0, le=LARGEST)
    spread: float = Field(0.0, ge=0, le=LARGEST)


class Experiment(Config):
    """One GAN experiment. All parts have defaults: ``Experiment()`` is the built-in ring."""

    target: Target = Ring()
    generator: Generator = Generator()
    discriminator: Discriminator = Discriminator()
    loss: LossChoice = LossChoice()
    penalty: Penalties = Penalties(r1=0.1)
    update: Update = Update()
    memory: Memory = Memory()
    likelihood: Likelihood = Likelihood()
    packing: Packing = Packing()
    run: Run = Run()

    def __init__(self, /, **data: Any) -> None:  # "/": a key "self" in a file is an unknown key like any other
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _input_error(error) from None

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        M, N = len(self.points.coordinates), self.generator.particles
        g, d = self.generator, self.discriminator
        kernel = None if d.network else d.kernel_object
        if g.per_point is not None:
            if len(g.per_point) != M or min(g.per_point) < 0:
                raise InputError("generator.per_point", f"have {M} entries >= 0, one per target point", g.per_point)
            if sum(g.per_point) != N:
                raise InputError("generator.per_point", f"sum to generator.particles = {N}", sum(g.per_point))
        if isinstance(g.masses, tuple):
            if len(g.masses) != N or min(g.masses) <= 0:
                raise InputError("generator.masses", f"have {N} positive entries, one per particle", g.masses)
            if abs(sum(g.masses) - 1) > 1e-9:
                raise InputError("generator.masses", "sum to 1", sum(g.masses))
        if d.evaluation == "fourier":
            if kernel is None or kernel.kind != "stationary" or (d.features != 0):
                rule = "be 'direct' unless the kernel is stationary and features = 0 (the exact kernel)"
                raise InputError("discriminator.evaluation", rule, d.evaluation)
            if self.dimension > 3:
                raise InputError("discriminator.evaluation", "be 'direct' in more than 3 dimensions", d.evaluation)
        if isinstance(self.target, Uniform):
            if kernel is None or kernel.kind != "stationary":
                name = kernel.name if kernel is not None else "network" if d.architecture else d.kernel
                raise InputError("discriminator.kernel", "be stationary on the periodic box", repr(name))
            if d.features != 0:
                raise InputError(
                    "discriminator.features",
                    "be 0 for target.kind 'uniform' (its features are the box's Fourier modes)",
                    d.features,
                )
        elif d.random_network:
            if d.features == 0:
                raise InputError("discriminator.features", f"be > 0 for kernel {d.kernel!r} (a network's width)", 0)
        elif d.features % 2:
            raise InputError("discriminator.features", "be even (cosine and sine of each frequency)", d.features)
        if self.loss_object.needs_multiplier and self.penalty.multiplier == 0:
            raise InputError("penalty.multiplier", "be greater than 0 for loss.kind 'sobolev'", 0.0)
        if self.update.rule in NETWORK_RULES and not (g.finite_network and d.finite_network):
            rule = "be one of " + ", ".join(STEPS) + " unless both players are networks with architecture.width > 0"
            raise InputError("update.rule", rule, repr(self.update.rule))
        self._check_remedies()
        if g.architecture is not None and self.run.spread != 0:
            raise InputError("run.spread", "be 0 with generator.architecture, whose outputs are the start")
        if self.run.record_every > self.run.steps:
            raise InputError("run.record_every", f"be at most run.steps = {self.run.steps}", self.run.record_every)
        return self

    def _check_remedies(self) -> None:
        """Refuse what best responses, averages, packing and the likelihood term are not defined or not derived for."""
        averaged = bool(self.update_rule.averages)
        networks = self.generator.finite_network or self.discriminator.finite_network
        for field, used in (
            ("update.rule", self.update.rule in RESPONSES),
            ("memory", averaged),
            ("likelihood.weight", self.likelihood.weight > 0),
            ("packing.degree", self.packing.degree > 1),
        ):
            if used and networks:
                raise InputError(field, "not be used with a network of finite width", "one with architecture.width > 0")
            if used and self.penalty.consensus:
                raise InputError("penalty.consensus", f"be 0 together with {field}", self.penalty.consensus)
        if self.packing.degree > 1 and self.discriminator.evaluation == "fourier":
            raise InputError("discriminator.evaluation", "be 'direct' with packing.degree > 1", "'fourier'")
        if averaged:
            if self.update.rule not in RICH_STEPS:
                raise InputError("update.rule", f"be one of {', '.join(RICH_STEPS)} with memory", self.update.rule)
            for name in ("generator", "discriminator"):
                time = getattr(self.memory, name)
                if not self.update_rule.continuous and time != UNIFORM and 0 < time < 1:
                    raise InputError(f"memory.{name}", "be 0 or at least 1 step", time)
        self._check_scores()

    def _check_scores(self) -> None:
        like, target = self.likelihood, self.target
        if like.weight and not like.bandwidth and not isinstance(target, Uniform):
            raise InputError("likelihood.bandwidth", "be greater than 0 unless target.kind is 'uniform'", 0.0)
        if like.score == "exact" and not isinstance(target, Uniform | Mixture):
            rule = "be 'kernel' unless the target has a density (target.kind 'mixture' or 'uniform')"
            raise InputError("likelihood.score", rule, f"'exact' with target.kind {target.kind!r}")
        if like.target_bandwidth is None:
            return
        if like.score != "exact" or isinstance(target, Uniform):
            rule = "not be given unless likelihood.score is 'exact' and target.kind 'mixture'"
            raise InputError("likelihood.target_bandwidth", rule, like.target_bandwidth)
        if not like.target_bandwidth and np.min(target.std) == 0:  # type: ignore[union-attr]
            raise InputError("likelihood.target_bandwidth", "be greater than 0 unless every target.std is", 0.0)

    def refuse_remedies(self, what: str) -> None:
        """Raise InputError where best responses, averages, the likelihood term or packing are used: ``what`` is not
        derived."""
        if self.update.rule in RESPONSES:
            raise InputError("update.rule", f"be another one for {what}", repr(self.update.rule))
        if self.update_rule.averages:
            raise InputError("memory", f"be 0 for {what}", self.memory)
        if self.likelihood.weight:
            raise InputError("likelihood.weight", f"be 0 for {what}", self.likelihood.weight)
        if self.packing.degree > 1:
            raise InputError("packing.degree", f"be 1 for {what}", self.packing.degree)

    # -- derived quantities ------------------------------------------------------------------------------------

    @cached_property
    def points(self) -> Points:
        """Target points (M, d), their weights and the box."""
        return self.target.points()

    @property
    def dimension(self) -> int:
        return self.points.coordinates.shape[1]

    @property
    def loss_object(self) -> Loss:
        return get_loss(self.loss.kind)

    @cached_property
    def update_rule(self) -> UpdateRule:
        u, m = self.update, self.memory
        return UpdateRule(
            u.rule, u.critic_steps, u.momentum_discriminator, u.momentum_generator, u.substeps,
            m.generator, m.discriminator,
        )  # fmt: skip

    @cached_property
    def assignment(self) -> np.ndarray:
        """(N,) index of the target point that each particle sits on at equilibrium."""
        M, N = len(self.points.weights), self.generator.particles
        counts = self.generator.per_point
        if counts is None:
            counts = tuple(N // M + (i < N % M) for i in range(M))
        return np.repeat(np.arange(M), counts)

    @cached_property
    def masses(self) -> np.ndarray:
        """(N,) masses of the particles, sum 1."""
        N, masses = self.generator.particles, self.generator.masses
        if masses == "equal":
            return np.full(N, 1 / N)
        if masses == "matched":
            count = np.bincount(self.assignment, minlength=len(self.points.weights))
            if np.any(count == 0):
                raise InputError(
                    "generator.masses",
                    "not be 'matched' when a target point has no particle",
                    f"point {int(np.flatnonzero(count == 0)[0])} without particles",
                )
            return (self.points.weights / count)[self.assignment]
        return np.asarray(masses)

    @property
    def omega(self) -> float:
        """Normalisation of Gamma: N for "sum", 1 for "mean"."""
        return float(self.generator.particles) if self.generator.normalisation == "sum" else 1.0

    # -- change and exchange -----------------------------------------------------------------------------------

    def replace(self, changes: Mapping[str, Any]) -> Experiment:
        """A copy with dotted fields changed, e.g. ``{"penalty.r1": 0.2}``; validated again."""
        data = self.model_dump()
        if self.discriminator.architecture is None:
            data["discriminator"]["kernel"] = self.discriminator.kernel  # a Kernel object stays one
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            if path.startswith("generator.kernel") and self.generator.architecture is not None:
                raise InputError(path, "not be changed: generator.architecture determines it (vary one of its fields)")
            node = data
            for i, part in enumerate(parents):
                if not isinstance(node.get(part), dict):
                    raise InputError(".".join(parents[: i + 1]), "be a table of the experiment", part)
                node = node[part]
            if leaf not in node or isinstance(node[leaf], dict):
                raise InputError(path, f"be one of {', '.join(k for k in node)}", repr(leaf))
            current = node[leaf]
            # a parameter scan hands over floats; integer fields take them when they are whole
            if type(current) is int and isinstance(value, float) and value.is_integer():
                value = int(value)
            node[leaf] = value
        return type(self)(**data)

    def get(self, path: str) -> Any:
        """The value of a dotted field."""
        node: Any = self
        for part in path.split("."):
            if not isinstance(node, Config) or part not in type(node).model_fields:
                raise InputError(path, "be a field of the experiment", repr(part))
            node = getattr(node, part)
        return node

    @classmethod
    def from_toml(cls, source: str | Path) -> Experiment:
        """Read a TOML file. Relative paths in it are relative to the file's folder."""
        path = Path(source)
        check_file(str(source) or "experiment", path, "be an existing experiment file")
        try:
            text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
        except UnicodeDecodeError as error:
            raise InputError(str(source), "be a UTF-8 text file", f"byte {error.start} that is not") from None
        except OSError as error:
            raise InputError(str(source), "be a readable file", error.strerror) from None
        return cls.from_toml_string(text, str(source), path.parent)

    @classmethod
    def from_toml_string(cls, text: str, name: str = "experiment", folder: Path | None = None) -> Experiment:
        try:
            data = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: numbers of 5000 digits, deep nesting
            raise InputError(name, "be valid TOML", f"the error: {error}") from None
        target = data.get("target")
        if folder is not None and isinstance(target, dict) and isinstance(target.get("path"), str):
            if target["path"] and not Path(target["path"]).is_absolute():
                data["target"] = target | {"path": str(folder / target["path"])}
        for table in cls.model_fields:
            if table in data and not isinstance(data[table], dict):
                raise InputError(table, "be a table", data[table])
        if isinstance(target, dict) and "kind" not in target:
            raise InputError("target.kind", f"be given, one of {', '.join(TARGETS)}")
        return cls(**data)

    def to_toml(self) -> str:
        """The experiment as TOML; reading it back gives an equal experiment."""
        import tomli_w

        if isinstance(self.discriminator.kernel, Kernel):
            raise InputError("discriminator.kernel", "be a named kernel to be written as TOML", "a Kernel object")
        data = _without_none(self.model_dump(mode="json"))
        for table, plain in (("memory", Memory()), ("likelihood", Likelihood()), ("packing", Packing())):
            if getattr(self, table) == plain:  # not used
                del data[table]
        return tomli_w.dumps(data)


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in data.items() if v is not None}


_TIME_RULE = f"be a number from 0 to {LARGEST:g} (an averaging time, 0: none) or 'uniform'"
#: rules of the fields that take more than one type, which pydantic words type by type
_UNION_RULES = {
    "generator.masses": "be 'equal', 'matched' or an array of one positive number per particle",
    "discriminator.kernel": f"be one of {', '.join(DISCRIMINATORS)}",
    "memory.generator": _TIME_RULE,
    "memory.discriminator": _TIME_RULE,
    "target.std": "be a finite number >= 0 or an array with one per mean",
}
#: rules in the words of the file format, by pydantic's type of error
_TYPE_RULES = {
    "int_type": "be a whole number",
    "int_parsing_size": "be a whole number of moderate size",
    "float_type": "be a number",
    "finite_number": "be finite",
    "string_type": "be a string",
    "string_too_short": "not be empty",
    "tuple_type": "be an array",
    "literal_error": "be {expected}",
    "greater_than": "be greater than {gt}",
    "greater_than_equal": "be at least {ge}",
    "less_than": "be less than {lt}",
    "less_than_equal": "be at most {le}",
    "model_type": "be a table",
    "missing": "be given",
}


def _is_union_tag(part: str) -> bool:
    return "[" in part or part in ("float", "constrained-float", "int", "str", "tuple", "Kernel")


def _field_path(first: Any) -> tuple[str, ...]:
    """The field's path in the file: pydantic adds the tag of a union's member, "target.ring.modes", "std.float"."""
    *parents, leaf = (str(p) for p in first["loc"]) if first["loc"] else ("experiment",)
    kept = [
        p
        for i, p in enumerate(parents)
        if not (i == 1 and parents[0] == "target" and p in TARGETS) and not _is_union_tag(p)
    ]
    # an unknown key may be called anything; "target.ring" is the table itself
    if first["type"] != "extra_forbidden" and (
        _is_union_tag(leaf) or (kept == ["target"] == parents and leaf in TARGETS)
    ):
        return tuple(kept)
    return (*kept, leaf)


def _known_keys(table: tuple[str, ...], kind: Any) -> list[str]:
    """The keys a table may have."""
    model: Any = Experiment
    for part in table:
        model = TARGETS.get(kind, Ring) if part == "target" else model.model_fields[part].annotation
        model = next((m for m in get_args(model) if m is not type(None)), model)  # of an optional table
    return list(model.model_fields)


def _input_error(error: ValidationError) -> InputError:
    """The first validation failure as one line: field path, rule, value found."""
    errors = error.errors(include_url=False)
    first = errors[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, InputError):
        if inner.field.startswith("architecture."):  # which of the two players' it is, only the path says
            return InputError(f"{first['loc'][0]}.{inner.field}", inner.must, inner.found)
        return inner
    path = _field_path(first)
    # of a union's complaints the one that got furthest into the value says most
    first = max((e for e in errors if _field_path(e)[: len(path)] == path), key=lambda e: len(_field_path(e)))
    path = _field_path(first)
    field, kind, found = ".".join(path), first["type"], first.get("input")
    if kind == "extra_forbidden":
        # the tag of the target's kind stands at loc[1]
        keys = _known_keys(path[:-1], first["loc"][1] if len(first["loc"]) > 1 else None)
        return InputError(field, f"be one of the known keys ({', '.join(keys)})", repr(path[-1]))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = found.get("kind") if isinstance(found, dict) else found
        return InputError("target.kind", f"be one of {', '.join(TARGETS)}", repr(tag))
    if field in _UNION_RULES:
        return InputError(field, _UNION_RULES[field], repr(found))
    rule = _TYPE_RULES.get(kind)
    if rule is None:
        rule = "satisfy: " + first["msg"].removeprefix("Input should ").removeprefix("Value error, ")
    return InputError(field, rule.format(**first.get("ctx", {})), None if kind == "missing" else repr(found))
