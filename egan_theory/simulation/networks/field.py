"""The velocity field of networks in training: that of egan_theory.problem.field with D and G as they are.

The discriminator is f(x) = D - D* = f_theta(x) - f_theta0(x), w = theta - theta0 (centred, Chizat et al. 2019), or a
map of random features, f = w . psi(x). The generator is the particle model, or a network with weights phi = phi0 + g
and

    x_i = offset_i + G_phi(z_i),   dg/dt = eta_G omega F_g,   F_g = sum_i J_i^T F_xi

so that its particles move with dx_i/dt = eta_G omega sum_j Theta_ij F_xj, Theta_ij = J_i J_j^T. What the objectives
pull on D and x is that of problem.terms; JAX carries it to the weights, and differentiates R of consensus as it stands:
half the squared field in parameter space, |F_w|^2/2 + F_g . M F_g/2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...base.errors import InputError
from ...experiment import Experiment
from ...features import FeatureMap, FourierFeatures, NetworkFeatures, feature_map
from ...features.networks.double import double, require_jax
from ...features.networks.mlp import activation, draw, network
from ...features.networks.tangent import TangentFeatures
from ...features.noise import nodes, noise_nodes, sum_nodes
from ...problem.terms import coupled, generator_force, slope_pull, value_pull
from ...tables.losses import get_loss

jax = require_jax()
jnp = jax.numpy

Data = dict[str, Any]
Output = Callable[[Any, Any, Any], Any]

#: numbers that may differ between runs, beside the penalties' coefficients
NUMBERS = {
    "gamma": "penalty.consensus",
    "eta_D": "discriminator.learning_rate",
    "eta_G": "generator.learning_rate",
    "g1": "generator.kernel.diagonal",
    "ratio": "generator.kernel.ratio",
}


class NetworkField:
    """Velocities of one run as JAX functions of (data, w (P,), g), to be mapped over runs; g is x (N, d) for a particle
    generator and the change of the weights, flat, for a network.

    ``members``: the experiment of every run; they differ in problem.field.VARIABLE alone. ``data``: what the functions
    read, ``axes``: which of it differs between runs. ``output``: f(theta0, w, x) for one point, in place of the
    experiment's.
    """

    @double
    def __init__(self, exp: Experiment, members: Sequence[Experiment], output: Output | None = None) -> None:
        self.exp, self.members = exp, list(members)
        self.features: FeatureMap = feature_map(exp)
        self.output = _output(self.features) if output is None else output
        self.generator = exp.generator.architecture if exp.generator.finite_network else None
        self.offsets, self.node_weights = noise_nodes(exp.penalty.instance_noise, exp.dimension)
        each = [
            e.penalty.coefficients._asdict() | {n: e.get(path) for n, path in NUMBERS.items()} for e in self.members
        ]
        numbers = {name: np.array([float(one[name]) for one in each]) for name in each[0]}
        self.present = {name for name, values in numbers.items() if np.any(values)}
        weights = {"p": exp.points.weights, "q": exp.masses}
        self.data: Data = {
            "numbers": {name: jnp.asarray(values) for name, values in numbers.items()},
            "theta0": getattr(self.features, "theta", jnp.zeros(0)),
            "Y": jnp.asarray(nodes(exp.points.coordinates, self.offsets)),
            **{name: jnp.asarray((v[:, None] * self.node_weights).ravel()) for name, v in weights.items()},
        }
        self.axes: dict[str, Any] = dict.fromkeys(self.data) | {"numbers": 0}
        if self.generator is not None:
            self._forward = network(self.generator)
            self._add_generator()

    def _add_generator(self) -> None:
        """Latents (N, n0) of norm sqrt(n0) and phi0, from ``run.seed``: of a kick one network for all runs, so that
        they have one linearization; of random starts one per run."""
        exp, runs, random = self.exp, len(self.members), self.exp.run.start == "random"
        z, draws = generator_draws(exp)
        self.shapes = [np.shape(leaf) for leaf in jax.tree.leaves(draws[0])]
        phi0 = np.stack([np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(one)]) for one in draws])
        self.data |= {
            "latents": jnp.asarray(z),
            "phi0": jnp.asarray(np.tile(phi0, (runs // len(phi0), 1)) if random else phi0[0]),  # of variants the same
            "offset": jnp.zeros((runs, exp.generator.particles, exp.dimension)),
        }
        self.axes |= {"latents": None, "phi0": 0 if random else None, "offset": 0}

    def of_run(self, i: int) -> Data:
        """The data of one run."""
        return {k: v if self.axes[k] is None else jax.tree.map(lambda a: a[i], v) for k, v in self.data.items()}

    def mapped(self, function: Callable[..., Any], *axes: Any) -> Any:
        """A compiled function of (data, ...), mapped over the runs; axes: those of what follows data."""
        return jax.jit(jax.vmap(function, in_axes=(self.axes, *axes)))

    # -- pure functions of one run -------------------------------------------------------------------------------------

    def generate(self, data: Data, g: Any) -> Any:
        """G_phi(z_i), (N, d)."""
        phi, leaves, at = data["phi0"] + g, [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            leaves.append(jnp.reshape(phi[at : at + size], shape))
            at += size
        return self._forward(list(zip(leaves[::2], leaves[1::2], strict=True)), data["latents"])

    def generator_kernel(self, data: Data, g: Any) -> Any:
        """Theta, (N d, N d)."""
        rows = jax.jacrev(lambda g: self.generate(data, g))(g).reshape(-1, g.size)
        return rows @ rows.T

    def positions(self, data: Data, g: Any) -> Any:
        """x (N, d)."""
        return g if self.generator is None else data["offset"] + self.generate(data, g)

    def _f(self, data: Data, w: Any, X: Any) -> Any:
        return jax.vmap(lambda x: self.output(data["theta0"], w, x))(X)

    def _slopes(self, data: Data, w: Any, X: Any) -> tuple[Any, Any]:
        """(f (n,), grad f (n, d))."""
        f, back = jax.vjp(lambda Z: self._f(data, w, Z), X)
        return f, back(jnp.ones_like(f))[0]

    def forces(self, data: Data, w: Any, g: Any) -> tuple[Any, Any, Any]:
        """(x, f, grad f) at the particles, averaged over instance noise."""
        x, Q = self.positions(data, g), len(self.node_weights)
        f, slope = self._slopes(data, w, nodes(x, self.offsets))
        weight = np.tile(self.node_weights, len(x))
        return x, sum_nodes(weight * f, Q, -1), sum_nodes(weight[:, None] * slope, Q, -2)

    def discriminator_gradient(self, data: Data, w: Any, g: Any) -> Any:
        """F_w, (P,)."""
        n, loss, D0 = data["numbers"], _loss(self.exp.loss.kind), self.exp.loss_object.D0
        X, P = jnp.concatenate([data["Y"], nodes(self.positions(data, g), self.offsets)]), len(data["Y"])
        f, slope = self._slopes(data, w, X)
        sides = (("p", "df1", slice(P)), ("q", "df2", slice(P, None)))
        a = [value_pull(data[m], loss[df], D0 + f[at], f[at], n[f"value_{m}"]) for m, df, at in sides]
        a, b = jnp.concatenate(a), None
        if {"grad_p", "grad_q"} & self.present:
            b = slope_pull(jnp.concatenate([n[f"grad_{m}"] * data[m] for m, _, _ in sides]), slope)

        def total(w: Any) -> Any:
            if b is None:
                return a @ self._f(data, w, X)
            values, along = jax.jvp(lambda Z: self._f(data, w, Z), (X,), (b,))
            return a @ values + along.sum()

        return jax.grad(total)(w) - n["nu"] * w

    def generator_gradient(self, data: Data, w: Any, g: Any) -> Any:
        """F_g, of the shape of g: F_x of particles, masses included; sum_i J_i^T F_xi of a network."""
        x, back = jax.vjp(lambda g: self.positions(data, g), g)
        f, slope = self._slopes(data, w, nodes(x, self.offsets))
        F = generator_force(data["q"], _loss(self.exp.loss.kind)["dh"], self.exp.loss_object.D0 + f, slope)
        return back(sum_nodes(F, len(self.node_weights), -2))[0]

    def metric(self, data: Data, F: Any) -> Any:
        """M F: omega Gamma F of particles, omega F of a network."""
        n, omega = data["numbers"], self.exp.omega
        if self.generator is not None:
            return omega * F
        return coupled(omega * n["g1"] * (1 - n["ratio"]), omega * n["g1"] * n["ratio"], F)

    def consensus(self, data: Data, w: Any, g: Any) -> Any:
        """R."""
        Fw, Fg = self.discriminator_gradient(data, w, g), self.generator_gradient(data, w, g)
        return (Fw @ Fw + (Fg * self.metric(data, Fg)).sum()) / 2

    def Vw(self, data: Data, w: Any, g: Any) -> Any:
        """dw/dt."""
        F = self.discriminator_gradient(data, w, g)
        if "gamma" in self.present:
            F = F - data["numbers"]["gamma"] * jax.grad(self.consensus, argnums=1)(data, w, g)
        return data["numbers"]["eta_D"] * F

    def Vg(self, data: Data, w: Any, g: Any) -> Any:
        """dx/dt of particles, dg/dt of a network."""
        F = self.generator_gradient(data, w, g)
        if "gamma" in self.present:
            F = F - data["numbers"]["gamma"] * jax.grad(self.consensus, argnums=2)(data, w, g)
        return data["numbers"]["eta_G"] * self.metric(data, F)


def generator_draws(exp: Experiment) -> tuple[np.ndarray, list[list[tuple[np.ndarray, np.ndarray]]]]:
    """(latents (N, n0) of norm sqrt(n0), weights at the start: of one network, or of one per run for random starts)."""
    arch = exp.generator.architecture
    assert arch is not None
    rng = np.random.default_rng([exp.run.seed, 5])
    z = rng.standard_normal((exp.generator.particles, arch.latent_dimension))
    z *= np.sqrt(arch.latent_dimension) / np.linalg.norm(z, axis=1, keepdims=True)
    count = exp.run.runs if exp.run.start == "random" else 1
    return z, [draw(arch, arch.latent_dimension, exp.dimension, rng) for _ in range(count)]


def _output(features: FeatureMap) -> Output:
    """f(theta0, w, x) for one point."""
    if isinstance(features, TangentFeatures):
        D = features.output_function
        return lambda theta0, w, x: D(theta0 + w, x) - D(theta0, x)
    if isinstance(features, FourierFeatures):
        omega, amplitude, constant, F = features.omega, features.amplitude, features.constant, len(features.omega)

        def fourier(theta0: Any, w: Any, x: Any) -> Any:
            phase = omega @ x
            f = w[:F] @ (amplitude * jnp.cos(phase)) + w[F : 2 * F] @ (amplitude * jnp.sin(phase))
            return f if constant is None else f + constant * w[-1]

        return fourier
    if isinstance(features, NetworkFeatures):
        W, b, scale, act = features.weights, features.biases, features.amplitude, activation(features.activation.name)
        return lambda theta0, w, x: w @ (scale * act(W @ x + b))
    raise InputError(
        "discriminator",
        "be a network of finite width (architecture.width > 0) or random features (features > 0) when the generator "
        "is a network",
        "an exact kernel",
    )


@cache
def _loss(kind: str) -> dict[str, Callable[[Any], Any]]:
    """df1, df2, dh of the full value D, from the expressions of the table of losses."""
    import sympy as sp

    def lambdified(name: str) -> Callable[[Any], Any]:
        f = sp.lambdify(sp.Symbol("D", real=True), get_loss(kind).expressions[name], "jax")
        # a constant comes back as a Python number, or as an array of the wrong type
        return lambda x: jnp.asarray(f(x), dtype=x.dtype) + 0 * x

    return {name: lambdified(name) for name in ("df1", "df2", "dh")}


__all__ = ["NetworkField", "generator_draws"]
