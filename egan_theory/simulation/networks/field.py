"""The velocity field of networks in training: that of egan_theory.problem.field with D and G as they are.

The discriminator is f(x) = D - D* = f_theta(x) - f_theta0(x), w = theta - theta0 (centred, Chizat et al. 2019), or a
map of random features, f = w . psi(x). The generator is the particle model, or a network with weights phi = phi0 + g
and

    x_i = offset_i + G_phi(z_i),   dg/dt = eta_G omega F_g,   F_g = sum_i J_i^T F_xi,   F_xi = m_i h'(D) grad D(x_i)

so that its particles move with dx_i/dt = eta_G omega sum_j Theta_ij F_xj, Theta_ij = J_i J_j^T. R of consensus is half
the squared field in parameter space, |F_w|^2/2 + omega |F_g|^2/2, and is differentiated as it stands.
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
from ...features.networks.mlp import draw, network
from ...features.networks.tangent import TangentFeatures
from ...features.noise import noise_nodes
from ...tables.losses import get_loss

Output = Callable[[Any, Any, Any], Any]


class NetworkField:
    """Velocities of one run as JAX functions of (data, w (P,), g), to be mapped over runs; g is x (N, d) for a particle
    generator and the change of the weights, flat, for a network.

    ``members``: the experiment of every run; they differ in dynamics.VARIABLE alone. ``data``: what the functions read,
    ``axes``: which of it differs between runs. ``output``: f(theta0, w, x) for one point, in place of the experiment's.
    """

    def __init__(self, exp: Experiment, members: Sequence[Experiment], output: Output | None = None) -> None:
        self.exp, self.members = exp, list(members)
        self.features: FeatureMap = feature_map(exp)
        self.output = _output(self.features) if output is None else output
        self.generator = exp.generator.architecture if exp.generator.finite_network else None
        self._build()

    @double
    def _build(self) -> None:
        exp, jnp = self.exp, require_jax().numpy
        coefficients = [e.penalty.coefficients for e in self.members]
        numbers = {
            name: np.array([float(getattr(c, name)) for c in coefficients])
            for name in ("grad_p", "grad_q", "value_p", "value_q", "nu")
        }
        numbers |= {
            name: np.array([float(e.get(path)) for e in self.members])
            for name, path in (
                ("gamma", "penalty.consensus"),
                ("eta_D", "discriminator.learning_rate"),
                ("eta_G", "generator.learning_rate"),
                ("g1", "generator.kernel.diagonal"),
                ("phi", "generator.kernel.ratio"),
            )
        }
        self.penalised = {name: bool(np.any(values)) for name, values in numbers.items()}
        offsets, node_weights = noise_nodes(exp.penalty.instance_noise, exp.dimension)
        Y = (exp.points.coordinates[:, None, :] + offsets).reshape(-1, exp.dimension)
        self.node_offsets, self.node_weights = offsets, node_weights
        data: dict[str, Any] = {
            "numbers": {name: jnp.asarray(values) for name, values in numbers.items()},
            "theta0": getattr(self.features, "theta", jnp.zeros(0)),
            "Y": jnp.asarray(Y),
            "p": jnp.asarray((exp.points.weights[:, None] * node_weights).ravel()),
            "q": jnp.asarray((exp.masses[:, None] * node_weights).ravel()),
        }
        axes: dict[str, Any] = {key: None for key in data} | {"numbers": 0}
        if self.generator is not None:
            data |= self._generator_data()
            axes |= {"latents": None, "phi0": 0 if data["phi0"].ndim == 2 else None, "offset": 0}
        self.data, self.axes = data, axes

    def _generator_data(self) -> dict[str, Any]:
        """Latents (N, n0) of norm sqrt(n0) and phi0, from ``run.seed``: of a kick one network for all runs, so that
        they have one linearization; of random starts one per run."""
        exp, arch, jax = self.exp, self.generator, require_jax()
        assert arch is not None
        z, draws = generator_draws(exp)
        self._shapes = [np.shape(leaf) for leaf in jax.tree.leaves(draws[0])]
        flat = np.stack([np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(one)]) for one in draws])
        if exp.run.start == "random":  # variants share their starts
            flat = np.tile(flat, (len(self.members) // len(flat), 1))
        phi0 = jax.numpy.asarray(flat if exp.run.start == "random" else flat[0])
        runs = len(self.members)
        offset = jax.numpy.zeros((runs, exp.generator.particles, exp.dimension))
        return {"latents": jax.numpy.asarray(z), "phi0": phi0, "offset": offset}

    # -- pure functions of one run -------------------------------------------------------------------------------------

    def generate(self, data: dict[str, Any], g: Any) -> Any:
        """G_phi(z_i), (N, d)."""
        jnp = require_jax().numpy
        assert self.generator is not None
        phi, leaves, at = data["phi0"] + g, [], 0
        for shape in self._shapes:
            size = int(np.prod(shape))
            leaves.append(jnp.reshape(phi[at : at + size], shape))
            at += size
        return network(self.generator)(list(zip(leaves[::2], leaves[1::2], strict=True)), data["latents"])

    def positions(self, data: dict[str, Any], g: Any) -> Any:
        """x (N, d)."""
        return g if self.generator is None else data["offset"] + self.generate(data, g)

    def _nodes(self, x: Any) -> Any:
        jnp = require_jax().numpy
        return jnp.reshape(x[:, None, :] + self.node_offsets, (-1, x.shape[-1]))

    def _f(self, data: dict[str, Any], w: Any, X: Any) -> Any:
        return require_jax().vmap(lambda x: self.output(data["theta0"], w, x))(X)

    def _slopes(self, data: dict[str, Any], w: Any, X: Any) -> Any:
        """(f (n,), grad f (n, d))."""
        jax = require_jax()
        f, back = jax.vjp(lambda Z: self._f(data, w, Z), X)
        return f, back(jax.numpy.ones_like(f))[0]

    def forces(self, data: dict[str, Any], w: Any, g: Any) -> tuple[Any, Any, Any]:
        """(x, f, grad f) at the particles, averaged over instance noise."""
        x, jnp = self.positions(data, g), require_jax().numpy
        f, slope = self._slopes(data, w, self._nodes(x))
        f, slope = jnp.reshape(f, (len(x), -1)), jnp.reshape(slope, (len(x), -1, x.shape[-1]))
        return x, f @ self.node_weights, jnp.einsum("nqd,q->nd", slope, self.node_weights)

    def discriminator_gradient(self, data: dict[str, Any], w: Any, x: Any) -> Any:
        """F_w, (P,)."""
        jax, n = require_jax(), data["numbers"]
        jnp = jax.numpy
        loss, D0 = _loss(self.exp.loss.kind), self.exp.loss_object.D0
        X = jnp.concatenate([data["Y"], self._nodes(x)])
        P = len(data["Y"])
        f, slope = self._slopes(data, w, X)
        fp, fq = f[:P], f[P:]
        a = jnp.concatenate(
            [
                data["p"] * (loss["df1"](D0 + fp) - n["value_p"] * fp),
                data["q"] * (loss["df2"](D0 + fq) - n["value_q"] * fq),
            ]
        )
        b = None
        if self.penalised["grad_p"] or self.penalised["grad_q"]:
            strength = jnp.concatenate([n["grad_p"] * data["p"], n["grad_q"] * data["q"]])
            b = -strength[:, None] * slope

        def total(w: Any) -> Any:
            if b is None:
                return a @ self._f(data, w, X)
            values, along = jax.jvp(lambda Z: self._f(data, w, Z), (X,), (b,))
            return a @ values + along.sum()

        return jax.grad(total)(w) - n["nu"] * w

    def generator_gradient(self, data: dict[str, Any], w: Any, x: Any) -> Any:
        """F_x, (N, d), masses included."""
        jnp = require_jax().numpy
        f, slope = self._slopes(data, w, self._nodes(x))
        dh = _loss(self.exp.loss.kind)["dh"](self.exp.loss_object.D0 + f)
        weighted = (data["q"] * dh)[:, None] * slope
        return jnp.reshape(weighted, (len(x), -1, x.shape[-1])).sum(1)

    def player_gradient(self, data: dict[str, Any], w: Any, g: Any) -> Any:
        """F_g: F_x of particles, sum_i J_i^T F_xi of a network."""
        x, back = require_jax().vjp(lambda g: self.positions(data, g), g)
        return back(self.generator_gradient(data, w, x))[0]

    def metric(self, data: dict[str, Any], F: Any) -> Any:
        """M F: omega Gamma F of particles, omega F of a network."""
        n, omega = data["numbers"], self.exp.omega
        if self.generator is not None:
            return omega * F
        return omega * n["g1"] * ((1 - n["phi"]) * F + n["phi"] * F.sum(0, keepdims=True))

    def _squared(self, data: dict[str, Any], w: Any, g: Any) -> Any:
        """R."""
        Fw = self.discriminator_gradient(data, w, self.positions(data, g))
        Fg = self.player_gradient(data, w, g)
        return (Fw @ Fw + (Fg * self.metric(data, Fg)).sum()) / 2

    def Vw(self, data: dict[str, Any], w: Any, g: Any) -> Any:
        """dw/dt."""
        F = self.discriminator_gradient(data, w, self.positions(data, g))
        if self.penalised["gamma"]:
            F = F - data["numbers"]["gamma"] * require_jax().grad(self._squared, argnums=1)(data, w, g)
        return data["numbers"]["eta_D"] * F

    def Vg(self, data: dict[str, Any], w: Any, g: Any) -> Any:
        """dx/dt of particles, dg/dt of a network."""
        F = self.player_gradient(data, w, g)
        if self.penalised["gamma"]:
            F = F - data["numbers"]["gamma"] * require_jax().grad(self._squared, argnums=2)(data, w, g)
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
    jnp = require_jax().numpy
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
        W, b, scale = features.weights, features.biases, features.amplitude
        act = {"relu": lambda u: jnp.where(u > 0, u, 0.0), "tanh": jnp.tanh, "sine": jnp.sin}[features.activation.name]
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

    expressions = get_loss(kind).expressions
    D = sp.Symbol("D", real=True)
    functions = {name: sp.lambdify(D, expressions[name], "jax") for name in ("df1", "df2", "dh")}
    jnp = require_jax().numpy
    # a constant comes back as a Python number, or as an array of the wrong type

    def like_argument(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jnp.asarray(f(x), dtype=x.dtype) + 0 * x

    return {name: like_argument(f) for name, f in functions.items()}


__all__ = ["NetworkField", "generator_draws"]
