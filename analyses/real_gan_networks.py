"""What ``real_gan_collapse`` trains: generator networks side by side, clouds with a held coupling, runs of either."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.features.networks.double import double, require_jax
from egan_theory.simulation.networks.drift import kernel_drift
from egan_theory.simulation.networks.field import NetworkField, generator_draws
from egan_theory.simulation.networks.stepper import Stepper
from egan_theory.simulation.start import DIVERGENCE, size_of

BIAS, RATE = "generator.architecture.bias_variance", "generator.learning_rate"


class Networks(NetworkField):
    """Generator networks side by side, each with latents, weights, bias variance and rate of its own.

    A network of bias variance 1 whose biases are multiplied by sb is one of bias variance sb^2, gradients included, so
    that all run in one compiled step."""

    def __init__(self, exp: eg.Experiment, seeds: list[int]) -> None:
        unit = exp.replace({BIAS: 1.0, "run.runs": 1, "run.start": "kick"})
        super().__init__(unit, [unit] * len(seeds))
        self._separate(seeds)

    @double
    def _separate(self, seeds: list[int]) -> None:
        jnp = require_jax().numpy
        found = {s: generator_draws(self.exp.replace({"run.seed": s})) for s in set(seeds)}
        flat = {s: np.concatenate([np.ravel(v) for pair in draws[0] for v in pair]) for s, (_, draws) in found.items()}
        kinds = [np.full(int(np.prod(shape)), i % 2) for i, shape in enumerate(self.shapes)]
        self._is_bias = np.concatenate(kinds).astype(bool)
        self.data |= {
            "latents": jnp.asarray(np.stack([found[s][0] for s in seeds])),
            "phi0": jnp.asarray(np.stack([flat[s] for s in seeds])),
        }
        self.axes |= {"latents": 0, "phi0": 0, "bias": 0}
        self.set(np.ones(len(seeds)))

    @double
    def set(self, bias: np.ndarray, rate: np.ndarray | None = None) -> None:
        """Bias variances (run,), and rates of the generators."""
        jnp = require_jax().numpy
        self.data = self.data | {"bias": jnp.sqrt(jnp.asarray(bias))}
        if rate is not None:
            self.data["numbers"] = self.data["numbers"] | {"eta_G": jnp.asarray(rate)}

    def generate(self, data: dict[str, Any], g: Any) -> Any:
        jnp = require_jax().numpy
        phi = jnp.where(self._is_bias, data["bias"], 1.0) * (data["phi0"] + g)
        return super().generate(data | {"phi0": phi}, jnp.zeros_like(g))

    @double
    def outputs(self) -> np.ndarray:
        """G(z) at the start, (run, N, d)."""
        jax = require_jax()
        g = jax.numpy.zeros_like(self.data["phi0"])
        return np.asarray(self.mapped(self.generate, 0)(self.data, g))

    @double
    def theta(self) -> np.ndarray:
        """Theta at the start, (run, N d, N d)."""
        jax = require_jax()

        if not hasattr(self, "_theta"):
            self._theta = jax.jit(self.generator_kernel)
        g = jax.numpy.zeros_like(self.data["phi0"][0])
        return np.stack([np.asarray(self._theta(self.of_run(i), g)) for i in range(len(self.members))])


class Clouds(NetworkField):
    """Particles with a coupling Theta (run, N d, N d) of each run's own, held."""

    def __init__(self, exp: eg.Experiment, theta: np.ndarray, rate: np.ndarray) -> None:
        super().__init__(exp, [exp.replace({RATE: float(r)}) for r in rate])
        self._couple(theta)

    @double
    def _couple(self, theta: np.ndarray) -> None:
        self.data |= {"theta": require_jax().numpy.asarray(theta)}
        self.axes |= {"theta": 0}

    def metric(self, data: dict[str, Any], F: Any) -> Any:
        return self.exp.omega * (data["theta"] @ F.ravel()).reshape(F.shape)


class Runs:
    """Runs of one field, compiled once and started again as often as wanted."""

    def __init__(self, field: NetworkField) -> None:
        self.field = field
        self.stepper = Stepper(field, field.exp.update_rule, DIVERGENCE * size_of(field.exp))
        self.observe = field.mapped(field.forces, 0, 0)

    @double
    def kicked(self, x: np.ndarray) -> np.ndarray:
        """|force| (run, record) of generators moved to x (run, N, d); NaN where a run diverged."""
        jnp, field, run = require_jax().numpy, self.field, self.field.exp.run
        data = field.data | {"offset": jnp.asarray(x - field.outputs())}
        state, diverged = self._start(data, jnp.zeros_like(data["phi0"]))
        sizes = []
        for step in range(0, run.steps, run.record_every):
            state, diverged = self.stepper.advance(data, state, diverged, step, run.record_every)
            force = np.asarray(self.observe(data, state[0], state[1])[2])
            sizes.append(np.where(np.asarray(diverged) < 0, np.sqrt((force**2).sum((-2, -1))), np.nan))
        return np.stack(sizes, 1)

    @double
    def trained(self, steps: int, x: np.ndarray | None = None) -> tuple[xr.DataArray, np.ndarray]:
        """(final clouds (run, particle, component), drift of the generator's kernel (run,)); particles start at x."""
        jnp, field = require_jax().numpy, self.field
        g = jnp.zeros_like(field.data["phi0"]) if x is None else jnp.asarray(x)
        state, diverged = self._start(field.data, g)
        state, diverged = self.stepper.advance(field.data, state, diverged, 0, steps)
        alive = np.asarray(diverged) < 0
        cloud = np.array(self.observe(field.data, state[0], state[1])[0])
        cloud[~alive] = np.nan
        drift = np.full(len(alive), np.nan)
        if x is None:
            drift[alive] = kernel_drift(field)["generator_drift"](state[0], state[1])[alive]
        return xr.DataArray(cloud, dims=("run", "particle", "component")), drift

    def _start(self, data: dict[str, Any], g: Any) -> tuple[Any, np.ndarray]:
        w = require_jax().numpy.zeros((len(self.field.members), self.field.features.size))
        return self.stepper.start(data, w, g), np.full(len(w), -1)
