"""Simulation of networks in training: compiled steps, mapped over runs and variants, recorded in the run schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ...experiment import Experiment
from ...features.networks.double import double, require_jax
from ...problem.problem import Problem
from ...runs.schema import variable
from ...tables.updates import UpdateRule
from ..record import Recorder, finished_status
from ..start import DIVERGENCE, resolved_rule, size_of, starts
from .adam import adam_start, adam_step
from .drift import generator_kernel_error, kernel_drift
from .field import NetworkField

Progress = Callable[[int, int], None]

#: samples at which the drift of the kernels is measured, the first included
DRIFT_SAMPLES = 5


@double
def simulate_networks(
    exp: Experiment,
    variants: Sequence[Experiment] | None,
    progress: Progress | None,
    output: Any = None,
    kicks: np.ndarray | None = None,
) -> xr.Dataset:
    """``simulation.run.simulate`` for an experiment with a network, particle by particle.

    Starts: those of the particle model, with every particle of a generator network moved onto its start by a constant
    offset. start "random": the particles are the network's own outputs, x_i = G_phi(z_i), as in practice;
    ``run.spread`` does not apply, and every run draws a network of its own.

    The drift of the tangent kernels is recorded at a few samples. KeyboardInterrupt is noticed between two records.
    """
    jax = require_jax()
    members = [exp] if variants is None else list(variants)
    each = [member for member in members for _ in range(exp.run.runs)]
    field = NetworkField(exp, each, output)
    x, w, _, note = starts(Problem(exp), field.features, kicks)
    w = jax.numpy.asarray(np.tile(w, (len(members), 1)))
    g = _generator_start(field, np.tile(x, (len(members), 1, 1)))
    rule = max((resolved_rule(member) for member in members), key=lambda r: r.substeps)
    stepper = Stepper(field, rule, DIVERGENCE * size_of(exp))
    observe = jax.jit(jax.vmap(field.forces, in_axes=(field.axes, 0, 0)))
    drifts = kernel_drift(field)
    recorder = Recorder(exp, field.features.size, len(each))
    total = exp.run.steps // exp.run.record_every
    chosen = {round(total * i / (DRIFT_SAMPLES - 1)) for i in range(DRIFT_SAMPLES)}
    drift = {name: np.full((len(each), total + 1), np.nan) for name in drifts}
    diverged = np.full(len(each), -1)

    def record(step: int, state: tuple[Any, ...]) -> None:
        alive = diverged < 0
        if recorder.count in chosen:
            for name, function in drifts.items():
                drift[name][alive, recorder.count] = function(state[0], state[1])[alive]
        positions, f, slope = (np.asarray(v) for v in observe(field.data, state[0], state[1]))
        recorder.add(step, positions, f, slope, np.asarray(state[0]) if recorder.keeps_weights else None, alive)

    state, status, step = stepper.start(w, g), "finished", 0
    record(0, state)
    try:
        while step < exp.run.steps and np.any(diverged < 0):
            length = min(exp.run.record_every, exp.run.steps - step)
            state, when = stepper.advance(state, diverged, step, length)
            step, diverged = step + length, np.asarray(when)
            if step % exp.run.record_every == 0:
                record(step, state)
                if progress is not None:
                    progress(step, exp.run.steps)
    except KeyboardInterrupt:
        status = "interrupted"
    ds = recorder.dataset(members, diverged, finished_status(status, diverged), note)
    for name, values in drift.items():
        ds[name] = variable(name, values[:, : ds.sizes["time"]])
    if field.generator is not None:
        ds.attrs["generator_kernel_error"] = generator_kernel_error(field)
    return ds


def _generator_start(field: NetworkField, x: np.ndarray) -> Any:
    """g (run, ...) at step 0, with the offsets of a generator network set so that a kicked one starts at x."""
    jax = require_jax()
    jnp = jax.numpy
    if field.generator is None:
        return jnp.asarray(x)
    g = jnp.zeros((len(x), field.data["phi0"].shape[-1]))
    if field.exp.run.start == "kick":
        generated = jax.jit(jax.vmap(field.generate, in_axes=(field.axes, 0)))(field.data, g)
        field.data = field.data | {"offset": jnp.asarray(x) - generated}
    return g


class Stepper:
    """Steps of all runs at once. A run that leaves every bound (or turns into NaN) is put back to rest and stays."""

    def __init__(self, field: NetworkField, rule: UpdateRule, bound: float) -> None:
        self.field, self.rule = field, rule
        self.centre, self.bound = field.exp.points.coordinates.mean(0), bound
        jax = require_jax()

        def several(data: Any, home: Any, state: Any, diverged: Any, step: Any, length: Any) -> Any:
            one = jax.vmap(self._one, in_axes=(field.axes, 0, 0, 0, None))
            return jax.lax.fori_loop(
                0, length, lambda i, carry: one(data, home, carry[0], carry[1], step + i + 1), (state, diverged)
            )

        self._several = jax.jit(several, donate_argnums=2)
        self._home: Any = None  # where the particles of a run that diverged rest

    def start(self, w: Any, g: Any) -> tuple[Any, ...]:
        jax = require_jax()
        self._home = g if self.field.generator is None else jax.numpy.zeros(len(w))
        if self.rule.rule == "adam":
            return adam_start(w, g)

        def one(data: Any, w: Any, g: Any) -> Any:
            Vw, Vg = self._velocities(data)
            return self.rule.start(w, g, Vw, Vg)

        return jax.jit(jax.vmap(one, in_axes=(self.field.axes, 0, 0)))(self.field.data, w, g)

    def advance(self, state: tuple[Any, ...], diverged: np.ndarray, step: int, length: int) -> Any:
        """(state, diverged) after ``length`` steps; diverged holds the step at which a run did, or -1."""
        jnp = require_jax().numpy
        return self._several(self.field.data, self._home, state, jnp.asarray(diverged), step, length)

    def _velocities(self, data: Any) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
        return (lambda w, g: self.field.Vw(data, w, g)), (lambda w, g: self.field.Vg(data, w, g))

    def _one(self, data: Any, home: Any, state: Any, diverged: Any, step: Any) -> Any:
        jax = require_jax()
        jnp = jax.numpy
        new = self.stepped(data, state)
        x = self.field.positions(data, new[1])
        bad = ~(jnp.abs(x - self.centre).max() < self.bound) | ~jnp.isfinite(new[0]).all()
        out = bad | (diverged >= 0)
        rest = [jnp.zeros_like(v) for v in new]
        if self.field.generator is None:
            rest[1] = home
        new = tuple(jnp.where(out, r, v) for r, v in zip(rest, new, strict=True))
        return new, jnp.where(bad & (diverged < 0), step, diverged)

    def stepped(self, data: Any, state: Any) -> tuple[Any, ...]:
        """One step of one run."""
        Vw, Vg = self._velocities(data)
        if self.rule.rule == "adam":
            n = data["numbers"]
            eta_D, eta_G = n["eta_D"], n["eta_G"]
            return adam_step(
                self.field.exp, state, lambda w, g: Vw(w, g) / eta_D, lambda w, g: Vg(w, g) / eta_G, eta_D, eta_G
            )
        if not self.rule.continuous:
            return self.rule.step(state, Vw, Vg)
        # the substeps of the flow as a compiled loop: one of them is the flow over its time h
        h, one = 1 / self.rule.substeps, dataclasses.replace(self.rule, substeps=1)
        return require_jax().lax.fori_loop(
            0,
            self.rule.substeps,
            lambda i, s: one.step(s, lambda w, g: h * Vw(w, g), lambda w, g: h * Vg(w, g)),
            tuple(state),
        )


__all__ = ["simulate_networks"]
