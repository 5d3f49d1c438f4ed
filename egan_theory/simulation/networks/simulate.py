"""Simulation of networks in training: compiled steps, mapped over runs and variants, recorded in the run schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ...base.signals import recorded
from ...experiment import Experiment
from ...features.networks.double import double
from ...linear.resolved import resolved_rule
from ...problem.problem import Problem
from ...runs.schema import finished_status, variable
from ..record import Recorder
from ..start import DIVERGENCE, size_of, starts
from .drift import generator_kernel_error, kernel_drift
from .field import Data, NetworkField, jnp
from .stepper import State, Stepper

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
    members = [exp] if variants is None else list(variants)
    each = [member for member in members for _ in range(exp.run.runs)]
    field = NetworkField(exp, each, output)
    x, w, _, note = starts(Problem(exp), field.features, kicks)
    w = jnp.asarray(np.tile(w, (len(members), 1)))
    data, g = _placed(field, np.tile(x, (len(members), 1, 1)))
    rule = max((resolved_rule(member) for member in members), key=lambda r: r.substeps)
    stepper, observe = Stepper(field, rule, DIVERGENCE * size_of(exp)), field.mapped(field.forces, 0, 0)
    drifts = kernel_drift(field)
    recorder = Recorder(exp, field.features.size, len(each))
    total = exp.run.steps // exp.run.record_every
    chosen = {round(total * i / (DRIFT_SAMPLES - 1)) for i in range(DRIFT_SAMPLES)}
    drift = {name: np.full((len(each), total + 1), np.nan) for name in drifts}
    diverged = np.full(len(each), -1)

    def record(step: int, state: State) -> None:
        alive = diverged < 0
        if recorder.count in chosen:
            for name, function in drifts.items():
                drift[name][alive, recorder.count] = function(state[0], state[1])[alive]
        positions, f, slope = (np.asarray(v) for v in observe(data, state[0], state[1]))
        recorder.add(step, positions, f, slope, np.asarray(state[0]) if recorder.keeps_weights else None, alive)

    state, status, step = stepper.start(data, w, g), "finished", 0
    record(0, state)
    try:
        while step < exp.run.steps and np.any(diverged < 0):
            length = min(exp.run.record_every, exp.run.steps - step)
            state, when = stepper.advance(data, state, diverged, step, length)
            step, diverged = step + length, np.asarray(when)
            if step % exp.run.record_every == 0:
                record(step, state)
                if progress is not None:
                    progress(step, exp.run.steps)
        recorded()
    except KeyboardInterrupt:
        status = "interrupted"
    ds = recorder.dataset(members, diverged, finished_status(diverged, status), note)
    for name, values in drift.items():
        ds[name] = variable(name, values[:, : ds.sizes["time"]])
    if field.generator is not None:
        ds.attrs["generator_kernel_error"] = generator_kernel_error(field)
    return ds


def _placed(field: NetworkField, x: np.ndarray) -> tuple[Data, Any]:
    """(data, g (run, ...)) at step 0, with the offsets of a generator network set so that a kicked one starts at x."""
    if field.generator is None:
        return field.data, jnp.asarray(x)
    g = jnp.zeros((len(x), field.data["phi0"].shape[-1]))
    if field.exp.run.start != "kick":
        return field.data, g
    return field.data | {"offset": jnp.asarray(x) - field.mapped(field.generate, 0)(field.data, g)}, g


__all__ = ["simulate_networks"]
