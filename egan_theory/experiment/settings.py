"""The tables of an experiment beside its target and players: loss, penalties, update rule, remedies, simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ..base.config import Config, NotNegative, Positive, Word
from ..base.errors import InputError
from ..base.parameters import declares
from ..base.spelling import unknown, word
from ..tables.losses import LOSSES
from ..tables.penalties import FUNCTIONAL, STRENGTHS, WGAN_GP, WGAN_GP_REASON, Coefficients, coefficients
from ..tables.updates import PARAMETERS, RULES, UNIFORM


class LossChoice(Config):
    """Which adversarial loss; see egan_theory.tables.losses.

    Attributes:
        kind: the loss by name, one of tables.losses.LOSSES ("wasserstein" by default); no unit.

    Source:
        Table of losses and Eq. (7, loss-numbers) of theory.md; each entry of tables.losses names its paper.
    """

    table: ClassVar[str] = "loss"

    kind: Word = "wasserstein"

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in LOSSES:
            raise unknown("loss.kind", value, LOSSES)
        return value


@declares(STRENGTHS)
class Penalties(Config):
    """Strengths of the penalties and what else they have; see egan_theory.tables.penalties, whose entries these are.

    Attributes:
        r1: [length^2] strength, (r1/2) |grad D|^2 on the data; >= 0.
        r2: [length^2] strength, (r2/2) |grad D|^2 on the particles; >= 0.
        weight_decay: [1] (weight_decay/2) |w|^2; >= 0.
        multiplier: [length^2] of the Fisher and Sobolev losses, mean over data and particles; >= 0.
        alpha: [1/length^2] weight of (D - D*)^2 beside |grad D|^2 in the multiplier's term; >= 0.
        instance_noise: [length] standard deviation of noise added to both sides; >= 0.
        consensus: [1] gamma, the field F becomes F - consensus grad |F|^2 / 2; >= 0.

    Raises:
        ValidationError: a strength below 0 or above 1e20, a name that is none, a penalty of WGAN-GP (it has no
            Jacobian); ``Experiment`` says it as an InputError.

    Source:
        Eq. (8, penalty-sums), Eq. (9, noise-factor), Eq. (10, consensus-field); Mescheder et al. 2017, 2018; Mroueh et
        al. 2017, 2018.
    """

    table: ClassVar[str] = "penalty"

    if TYPE_CHECKING:

        def __init__(self, **strengths: float) -> None: ...

        def __getattr__(self, name: str) -> float: ...

    @model_validator(mode="before")
    @classmethod
    def _refuse_wgan_gp(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if word(key) in WGAN_GP:
                raise InputError(f"penalty.{key}", WGAN_GP_REASON)
        return data

    @property
    def coefficients(self) -> Coefficients:
        """Coefficients of the discriminator's equation: grad_p, grad_q [length^2] and value_p, value_q, nu [1],
        numbers.
        """
        return coefficients(**{name: getattr(self, name) for name in FUNCTIONAL})


@declares(PARAMETERS)
class Update(Config):
    """How the two players move; see egan_theory.tables.updates, whose entries have these parameters.

    ``rule`` "best_response" (generator steps) and "best_response_flow": the discriminator is at its optimum for the
    present particles, which needs a penalty or loss that bounds it; its learning rate plays no part.

    Attributes:
        rule: by name, one of tables.updates.RULES ("simultaneous" by default). "adam" (both players networks of finite
            width; simulated, not linearized): momentum is its beta_1.
        critic_steps: [1] discriminator steps per generator step, 1 to 10000.
        momentum_discriminator: [1] heavy ball, 0 to below 1.
        momentum_generator: [1] heavy ball, 0 to below 1.
        substeps: [1/time] Runge-Kutta steps of the flow per unit of time, at least; the simulator takes more for stiff
            modes.

    Raises:
        ValidationError: a rule that is none, or a parameter that the rule has not; ``Experiment`` says it as an
            InputError.

    Source:
        Eq. (45, simultaneous) to Eq. (49, heavy-ball), Eq. (52, critic-steps), Eq. (60, best-response).
    """

    table: ClassVar[str] = "update"

    rule: Word = "simultaneous"

    if TYPE_CHECKING:

        def __init__(self, *, rule: str = "simultaneous", **parameters: float) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

    @model_validator(mode="after")
    def _consistent(self) -> Update:
        if self.rule not in RULES:
            raise unknown("update.rule", self.rule, RULES)
        for name, parameter in PARAMETERS.items():
            found = getattr(self, name)
            has = [rule.name for rule in RULES.values() if name in rule.parameters]
            if found != parameter.default and self.rule not in has and not parameter.idle:
                names = " or ".join(filter(None, [", ".join(map(repr, has[:-1])), repr(has[-1])]))
                raise InputError(f"update.{name}", f"be {parameter.default:g} unless update.rule is {names}", found)
        return self


def switched(rule: str, *, plain: bool = False) -> dict[str, Any]:
    """The changes of an experiment that give it another update rule: parameters that the rule has not are at their
    defaults, with ``plain`` its own as well."""
    kept = () if plain else RULES[rule].parameters
    others = {f"update.{name}": p.default for name, p in PARAMETERS.items() if name not in kept and not p.idle}
    return {"update.rule": rule, **others}


#: 0, a time, or "uniform"
AveragingTime = NotNegative | Literal["uniform"]


class Memory(Config):
    """Training against averages, over times in steps (flows: units of time).

    Attributes:
        generator: [steps] or [time] of flows: the discriminator sees the particles averaged exponentially over this
            time, through their mean features (exact for f2'(D) constant; for the other losses exact to first order
            about equilibrium). 0: the present opponent; of steps, at least 1. "uniform": the average since the start,
            all of the past weighing alike; such training has no spectrum but powers of time (eg.power_laws).
        discriminator: [steps] or [time] of flows: the generator follows D averaged over this time; values as above.

    Source:
        Fictitious GAN (Ge et al. 2018); Eq. (61, average-flow), Eq. (65, uniform-powers).
    """

    table: ClassVar[str] = "memory"

    generator: AveragingTime = 0.0
    discriminator: AveragingTime = 0.0

    @property
    def said(self) -> str:
        """Who is averaged over what, in words [steps, of flows time]."""
        times = {name: getattr(self, name) for name in ("generator", "discriminator")}
        over = {n: "all of the past" if t == UNIFORM else f"a time of {t:g}" for n, t in times.items() if t}
        return " and ".join(f"the {name} is averaged over {time}" for name, time in over.items())


class Likelihood(Config):
    """The likelihood term: the generator's force gets ``weight`` times the scores' difference, target minus particles.

    Attributes:
        weight: [1] alpha, the share of the term; 0 leaves it out.
        bandwidth: [length] width of the Gaussian kernel that estimates the particles' density; 0 on the periodic box
            only.
        score: of the target: "kernel" (estimated so, too) or "exact" (the density that a mixture's points are drawn
            from).
        target_bandwidth: [length] smoothing of the exact density, by default ``bandwidth``; 0 on the periodic box.

    Source:
        Eq. (86, score-rate), Eq. (87, likelihood-dispersion), Eq. (89, score-jacobian); egan_theory.problem.likelihood.
    """

    table: ClassVar[str] = "likelihood"

    weight: NotNegative = 0.0
    bandwidth: NotNegative = 0.0
    score: Literal["kernel", "exact"] = "kernel"
    target_bandwidth: NotNegative | None = None

    @property
    def target_width(self) -> float:
        """By what the target's exact density is smoothed [length]."""
        return self.bandwidth if self.target_bandwidth is None else self.target_bandwidth


class Packing(Config):
    """A discriminator that judges several samples at once, all from the target or all from the generator,
    independently.

    Attributes:
        degree: [1] samples that are judged at once, 1 to 8.
        kernel: "product": K(x_1, y_1) ... K(x_m, y_m); "additive": sum_ab K(x_a, y_b), that of a sum over the samples.

    Source:
        PacGAN (Lin et al. 2018); Eq. (90, packed-kernel), Eq. (92, packed-additive); features.packed.
    """

    table: ClassVar[str] = "packing"

    degree: int = Field(default=1, ge=1, le=8)
    kernel: Literal["product", "additive"] = "product"


class Run(Config):
    """A simulation: ``runs`` independent ones of ``steps`` steps, recorded every ``record_every``.

    Attributes:
        steps: [steps] of training, in flows units of time; 1 to 1e9.
        seed: [1] of all random numbers, 0 to below 2^63.
        record_every: [steps] between two records, at least 1, at most ``steps``.
        runs: [1] independent runs, 1 to 100000.
        start: "kick": equilibrium plus Gaussian displacements; particles that share a target point with q = p move
            together (their relative motion is a zero mode). "random": particles from N(mean of the target, spread^2),
            uniform in the box for the periodic target. With ``generator.architecture`` they are what that network puts
            out at its start: in the limit of infinite width a Gaussian displacement common to all and one of each
            particle's own, from the two numbers of its output covariance (kernels.wide.universality.output_covariance).
        kick: [length] rms displacement per coordinate, > 0.
        spread: [length] of random starts; 0 means the target's own, and must be 0 with ``generator.architecture``.

    Source:
        none, settings of the simulator (egan_theory.simulation).
    """

    table: ClassVar[str] = "run"

    steps: int = Field(default=3000, ge=1, le=1_000_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    record_every: int = Field(default=10, ge=1)
    runs: int = Field(default=8, ge=1, le=100_000)
    start: Literal["kick", "random"] = "kick"
    kick: Positive = 1e-5
    spread: NotNegative = 0.0
