"""The one description of an experiment: what drives derivation, numerics, simulation and comparison.

Frozen and validated once, here. The TOML form and the Python names are identical:

    exp = Experiment.from_toml("e.toml")
    exp = Experiment(target=Ring(modes=8), penalty=Penalties(r1=0.1))
    exp.replace({"penalty.r1": 0.2})
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError, model_validator

from ..base.config import Config
from ..base.errors import InputError
from ..base.files import read_text
from ..base.spelling import unknown
from ..base.toml import changed_tables, parsed
from ..kernels import Kernel
from ..tables.losses import Loss, get_loss
from ..tables.updates import LINEAR_RULES, PARAMETERS, UpdateRule
from .players import Discriminator, Generator
from .settings import Likelihood, LossChoice, Memory, Packing, Penalties, Run, Update
from .shown import ShownExperiment
from .targets import TARGETS, Points, Ring, Target, Uniform
from .together import check_together, remedies
from .wording import input_error


class Experiment(ShownExperiment, Config):
    """One GAN experiment. All parts have defaults: ``Experiment()`` is the built-in ring.

    Attributes:
        target: the distribution that is learnt: Ring, Grid, Mixture, Uniform or PointSet.
        generator: the particles, their kernel and learning rate.
        discriminator: its kernel or network, and learning rate.
        loss: the adversarial loss.
        penalty: strengths of the penalties, R1 of 0.1 by default.
        update: how the players move.
        memory: times of averaging, off by default.
        likelihood: the likelihood term, off by default.
        packing: samples judged at once, one by default.
        run: what a simulation does.

    Raises:
        InputError: a field out of its range, or parts that do not fit together; names field, rule and what was found.

    Source:
        The model of theory.md, Eq. (3, discriminator) to Eq. (6, function-space).

    Examples:
        >>> import egan_theory as eg
        >>> exp = eg.Experiment(target=eg.Ring(modes=4), penalty=eg.Penalties(r1=0.3))
        >>> exp.generator.particles
        64
        >>> exp.replace({"penalty.r1": 1.0}).penalty.r1
        1.0
    """

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
            raise input_error(error, Experiment) from None

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        M = len(self.points.coordinates)
        if self.generator.follows:
            self.__dict__["generator"] = self.generator.following(M)
        N = self.generator.particles
        g, d = self.generator, self.discriminator
        kernel = None if d.network else d.kernel_object
        if d.architecture is not None and d.architecture.image is not None:
            pixels = int(np.prod(d.architecture.image))
            if pixels != self.dimension:
                rule = f"have as many pixels as the target has coordinates, {self.dimension}"
                raise InputError("discriminator.architecture.image", rule, f"{d.architecture.image}, {pixels} of them")
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
                rule = "be 0 for target.kind 'uniform' (its features are the box's Fourier modes)"
                raise InputError("discriminator.features", rule, d.features)
        elif d.random_network:
            if d.features == 0:
                raise InputError("discriminator.features", f"be > 0 for kernel {d.kernel!r} (a network's width)", 0)
        elif d.features % 2:
            raise InputError("discriminator.features", "be even (cosine and sine of each frequency)", d.features)
        if self.loss_object.needs_multiplier and self.penalty.multiplier == 0:
            raise InputError("penalty.multiplier", f"be greater than 0 for loss.kind {self.loss.kind!r}", 0.0)
        if self.update_rule.entry.networks and not (g.finite_network and d.finite_network):
            unless = "unless both players are networks with architecture.width > 0"
            raise InputError("update.rule", f"be one of {', '.join(LINEAR_RULES)} {unless}", repr(self.update.rule))
        check_together(self)
        if g.architecture is not None and self.run.spread != 0:
            raise InputError("run.spread", "be 0 with generator.architecture, whose outputs are the start")
        if self.run.record_every > self.run.steps:
            raise InputError("run.record_every", f"be at most run.steps = {self.run.steps}", self.run.record_every)
        return self

    def refuse_remedies(self, what: str) -> None:
        """Refuse best responses, averages, the likelihood term and packing: ``what`` is not derived with them.

        Raises:
            InputError: one of them is used.
        """
        for field, (rule, found) in remedies(self).items():
            raise InputError(field, f"{rule} for {what}", found)

    # -- derived quantities ------------------------------------------------------------------------------------

    @cached_property
    def points(self) -> Points:
        """Target points (M, d) [length], their weights (M,) [1] and the side of the periodic box [length] or None."""
        return self.target.points()

    @property
    def dimension(self) -> int:
        """d, the number of coordinates of a point [1]."""
        return self.points.coordinates.shape[1]

    @property
    def loss_object(self) -> Loss:
        """The loss as an object, which has its functions and numbers."""
        return get_loss(self.loss.kind)

    @cached_property
    def update_rule(self) -> UpdateRule:
        """The update rule with its parameters and memory, which has its step and its multipliers."""
        numbers = {name: getattr(self.update, name) for name in PARAMETERS}
        return UpdateRule.of(self.update.rule, numbers, self.memory.generator, self.memory.discriminator)

    @cached_property
    def assignment(self) -> np.ndarray:
        """(N,) index [1] of the target point that each particle sits on at equilibrium."""
        M, N = len(self.points.weights), self.generator.particles
        counts = self.generator.per_point
        if counts is None:
            counts = tuple(N // M + (i < N % M) for i in range(M))
        return np.repeat(np.arange(M), counts)

    @cached_property
    def masses(self) -> np.ndarray:
        """(N,) masses [1] of the particles, sum 1.

        Raises:
            InputError: "matched" masses where a target point has no particle.
        """
        N, masses = self.generator.particles, self.generator.masses
        if masses == "equal":
            return np.full(N, 1 / N)
        if masses == "matched":
            count = np.bincount(self.assignment, minlength=len(self.points.weights))
            if np.any(count == 0):
                found = f"point {int(np.flatnonzero(count == 0)[0])} without particles"
                raise InputError("generator.masses", "not be 'matched' when a target point has no particle", found)
            return (self.points.weights / count)[self.assignment]
        return np.asarray(masses)

    @property
    def omega(self) -> float:
        """Normalisation of Gamma [1]: N for "sum", 1 for "mean"."""
        return float(self.generator.particles) if self.generator.normalisation == "sum" else 1.0

    # -- change and exchange -----------------------------------------------------------------------------------

    def replace(self, changes: Mapping[str, Any]) -> Experiment:
        """A copy with dotted fields changed, e.g. ``{"penalty.r1": 0.2}``. Tables that change are validated again, and
        how all of them fit; the others are the same objects.

        Raises:
            InputError: a path that is no field, a value that its field refuses, or a kernel that an architecture
                determines.
        """
        data: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            if path.startswith("generator.kernel") and self.generator.architecture is not None:
                raise InputError(path, "not be changed: generator.architecture determines it (vary one of its fields)")
            if parents and isinstance(data.get(parents[0]), Config):
                data[parents[0]] = data[parents[0]].to_change()
            node = data
            for i, part in enumerate(parents):
                if not isinstance(node.get(part), dict):
                    raise InputError(".".join(parents[: i + 1]), "be a table of the experiment", part)
                node = node[part]
            if isinstance(table := node.get(leaf), dict | Config):
                field = next(iter(table if isinstance(table, dict) else type(table).model_fields))
                raise InputError(path, f"be a dotted field, e.g. {path}.{field}", "a whole table")
            if leaf not in node:
                raise unknown(path, leaf, node)
            current = node[leaf]
            # a parameter scan hands over floats; integer fields take them when they are whole
            if type(current) is int and isinstance(value, float) and value.is_integer():
                value = int(value)
            node[leaf] = value
        return type(self)(**data)

    def get(self, path: str) -> Any:
        """The value of a dotted field, e.g. "penalty.r1", in the unit of the field.

        Raises:
            InputError: the path is no field of the experiment.
        """
        node: Any = self
        for part in path.split("."):
            known = type(node).model_fields if isinstance(node, Config) else {}
            if part not in known:
                raise unknown(path, part, known, "be a field of the experiment")
            node = getattr(node, part)
        return node

    @classmethod
    def from_toml(cls, source: str | Path, changes: Mapping[str, Any] | None = None) -> Experiment:
        """Read a TOML file (UTF-8, or what its byte order mark says). Relative paths in it are relative to the file's
        folder. ``changes``: dotted fields set before anything is checked, e.g. ``{"penalty.r1": 0.2}``; unlike
        ``replace`` they may name tables, and fields of tables that the file does not have.

        Raises:
            InputError: a file that cannot be read or is no TOML, and what ``Experiment`` refuses.
        """
        text = read_text(source, "experiment", "be an existing experiment file")
        return cls.from_toml_string(text, str(source), Path(source).parent, changes)

    @classmethod
    def from_toml_string(
        cls,
        text: str,
        name: str = "experiment",
        folder: Path | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Experiment:
        """``from_toml`` of a text.

        Raises:
            InputError: no TOML, no table, a table that is none, and what ``Experiment`` refuses.
        """
        data = parsed(text, name)
        target = data.get("target")
        if folder is not None and isinstance(target, dict) and isinstance(target.get("path"), str):
            if target["path"] and not Path(target["path"]).is_absolute():
                data["target"] = target | {"path": str(folder / target["path"])}
        data = changed_tables(data, changes or {})
        target = data.get("target")
        for table in cls.model_fields:
            if table in data and not isinstance(data[table], dict):
                raise InputError(table, "be a table", data[table])
        if isinstance(target, dict) and "kind" not in target:
            raise InputError("target.kind", f"be given, one of {', '.join(TARGETS)}")
        return cls(**data)

    def to_toml(self) -> str:
        """The experiment as TOML; reading it back gives an equal experiment.

        Raises:
            InputError: the kernel is an object, which has no name to write.
        """
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
