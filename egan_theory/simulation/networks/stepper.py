"""Compiled steps of networks in training, mapped over runs: the rules of tables.updates, and Adam.

Adam (Kingma and Ba 2015), a rule for simulations of networks alone, is Optax's on both players' own gradients at once.
Its step is not a linear map of the gradients near equilibrium, so no linearization of it exists. beta_1 is the player's
momentum in ``[update]``; beta_2 = 0.999 and epsilon = 1e-8 are the usual ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ...features.networks.double import require_jax, require_optax
from ...tables.updates import UpdateRule
from .field import Data, NetworkField

jax = require_jax()
jnp = jax.numpy

State = tuple[Any, ...]


class Stepper:
    """Steps of all runs at once. A run that leaves every bound (or turns into NaN) is put back to rest and stays.

    States are (w, g, *memory), each with the runs first; ``data`` is the field's, or one of that form.
    """

    def __init__(self, field: NetworkField, rule: UpdateRule, bound: float) -> None:
        self.field, self.rule = field, rule
        self.centre, self.bound = field.exp.points.coordinates.mean(0), bound
        self._adam: tuple[Any, Any] | None = None
        if rule.rule == "adam":
            adam, update = require_optax().scale_by_adam, field.exp.update
            self._adam = adam(b1=update.momentum_discriminator), adam(b1=update.momentum_generator)

        def several(data: Data, home: Any, state: State, diverged: Any, step: Any, length: Any) -> Any:
            one = jax.vmap(self._one, in_axes=(field.axes, 0, 0, 0, None))
            return jax.lax.fori_loop(
                0, length, lambda i, carry: one(data, home, carry[0], carry[1], step + i + 1), (state, diverged)
            )

        self._several = jax.jit(several, donate_argnums=2)
        self._home: Any = None  # where the particles of a run that diverged rest

    def start(self, data: Data, w: Any, g: Any) -> State:
        """The state at step 0."""
        self._home = g if self.field.generator is None else jnp.zeros(len(w))

        def one(data: Data, w: Any, g: Any) -> State:
            if self._adam is not None:
                return (w, g, *(rule.init(v) for rule, v in zip(self._adam, (w, g), strict=True)))
            return self.rule.start(w, g, *self._velocities(data))

        return self.field.mapped(one, 0, 0)(data, w, g)

    def advance(self, data: Data, state: State, diverged: np.ndarray, step: int, length: int) -> Any:
        """(state, diverged) after ``length`` steps; diverged holds the step at which a run did, or -1."""
        return self._several(data, self._home, state, jnp.asarray(diverged), step, length)

    def _velocities(self, data: Data) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
        return (lambda w, g: self.field.Vw(data, w, g)), (lambda w, g: self.field.Vg(data, w, g))

    def _one(self, data: Data, home: Any, state: State, diverged: Any, step: Any) -> Any:
        new = self.stepped(data, state)
        x = self.field.positions(data, new[1])
        bad = ~(jnp.abs(x - self.centre).max() < self.bound) | ~jnp.isfinite(new[0]).all()
        out = bad | (diverged >= 0)
        rest = jax.tree.map(jnp.zeros_like, new)
        if self.field.generator is None:
            rest = (rest[0], home, *rest[2:])
        new = jax.tree.map(lambda r, v: jnp.where(out, r, v), rest, new)
        return new, jnp.where(bad & (diverged < 0), step, diverged)

    def stepped(self, data: Data, state: State) -> State:
        """One step of one run."""
        Vw, Vg = self._velocities(data)
        if self._adam is not None:
            w, g, *memory = state
            n, steps = data["numbers"], []
            for i, (rule, V, eta) in enumerate(zip(self._adam, (Vw, Vg), (n["eta_D"], n["eta_G"]), strict=True)):
                step, memory[i] = rule.update(V(w, g) / eta, memory[i])
                steps.append(eta * step)
            return (w + steps[0], g + steps[1], *memory)
        if not self.rule.continuous:
            return self.rule.step(state, Vw, Vg)
        # the substeps of the flow as a compiled loop: one of them is the flow over its time h
        h, one = 1 / self.rule.substeps, dataclasses.replace(self.rule, substeps=1)
        return jax.lax.fori_loop(
            0,
            self.rule.substeps,
            lambda i, s: one.step(s, lambda w, g: h * Vw(w, g), lambda w, g: h * Vg(w, g)),
            tuple(state),
        )
