"""The outputs of a generator and their derivatives in its weights: of a player of a game, or of a generator alone, a
PyTorch module or a JAX function. Double precision throughout, and nothing of the user's is changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import InputError, MissingExtra
from .optimizers import Optimizer
from .protocol import GENERATOR, Players

Array = np.ndarray
#: outputs of a part of a batch that differ by more than this part of their size from those in the batch are coupled
COUPLED = 1e-9


@dataclass(frozen=True)
class GeneratorMap:
    """The derivative of N outputs in the generator's weights: push (weights,) -> (N, d), pull its transpose."""

    latents: int
    dimension: int
    weights: int
    push: Callable[[Array], Array]
    pull: Callable[[Array], Array]
    notes: tuple[str, ...] = ()
    coupled: bool = False

    def product(self, scale: Array | float) -> Callable[[Array], Array]:
        """u (N, d) -> J diag(scale) J^T u."""
        return lambda u: self.push(scale * self.pull(u))


def of_players(players: Players) -> list[GeneratorMap]:
    """One map for each batch of latents that the players hold, at their checkpoint."""
    theta, maps = players.weights[GENERATOR], []
    for b in range(players.batches):
        shape = players.generated(theta, b).shape

        def push(v: Array, b: int = b) -> Array:
            return players.generator_push(theta, v, b)

        def pull(u: Array, b: int = b) -> Array:
            return players.generator_pull(theta, u, b)

        maps.append(GeneratorMap(shape[0], int(np.prod(shape[1:])), players.sizes[GENERATOR], push, pull))
    return maps


def of_jax(network: Any, batches: list[Array]) -> list[GeneratorMap]:
    """``network``: (function(params, latents) -> (N, ...), params); every leaf of params is trained, flat in the order
    of jax.tree.leaves. Raises MissingExtra, InputError."""
    from ..features.networks.double import double, require_jax

    jax = require_jax()
    jnp = jax.numpy
    function, params = network
    leaves, tree = jax.tree.flatten(params)
    shapes = [np.shape(leaf) for leaf in leaves]
    ends = np.cumsum([int(np.prod(s)) for s in shapes])
    theta = np.concatenate([np.asarray(leaf, dtype=float).ravel() for leaf in leaves])

    def value(t: Any, z: Any) -> Any:
        parts = [jnp.reshape(p, s) for p, s in zip(jnp.split(t, ends[:-1]), shapes, strict=True)]
        return jnp.reshape(function(jax.tree.unflatten(tree, parts), z), (len(z), -1))

    forward = jax.jit(lambda z: value(jnp.asarray(theta), z))
    push = jax.jit(lambda z, v: jax.jvp(lambda t: value(t, z), (theta,), (v,))[1])
    pull = jax.jit(lambda z, u: jax.vjp(lambda t: value(t, z), theta)[1](u)[0])

    @double
    def arrays(f: Callable[..., Any], *args: Any) -> Array:
        return np.asarray(f(*args), dtype=float)

    def at(z: Array) -> GeneratorMap:
        out = arrays(forward, z)
        return GeneratorMap(
            len(z), out.shape[1], len(theta), lambda v: arrays(push, z, v), lambda u: arrays(pull, z, u),
            coupled=_coupled(out, lambda part: arrays(forward, part), z),
        )  # fmt: skip

    return [at(np.asarray(z, dtype=float)) for z in batches]


def of_torch(module: Any, batches: list[Any]) -> list[GeneratorMap]:
    """``module``: a torch.nn.Module, in the mode it is in; its weights that require gradients count, flat in the order
    of ``parameters()``. A copy in double precision is used; buffers (batch statistics, power iterations) are as at the
    start at every call, and random numbers (dropout) the same. Raises MissingExtra."""
    try:
        import torch
        from torch.func import functional_call, jvp, vjp
    except ImportError as error:
        raise MissingExtra(
            f"PyTorch modules need the extra 'torch' (pip install 'egan-theory[torch]'); {error}"
        ) from None
    from copy import deepcopy

    copy = deepcopy(module).double()
    trained = {name: p.detach().clone() for name, p in copy.named_parameters() if p.requires_grad}
    held = {name: p.detach() for name, p in copy.named_parameters() if not p.requires_grad}
    sizes = [p.numel() for p in trained.values()]
    if not sizes:
        raise InputError("generator", "have weights that are trained (requires_grad)", "none")

    def tree(flat: Any) -> dict[str, Any]:
        parts = torch.split(torch.as_tensor(flat), sizes)
        return {name: part.reshape(p.shape) for (name, p), part in zip(trained.items(), parts, strict=True)}

    def value(weights: dict[str, Any], z: Any) -> Any:
        buffers = {name: b.clone() for name, b in copy.named_buffers()}
        out = functional_call(copy, (weights, held, buffers), (z,))
        return out.reshape(len(z), -1)

    def fixed(function: Callable[..., Array]) -> Callable[..., Array]:
        def inside(*args: Any) -> Array:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                # PyTorch's forward mode warns of its own use of torch.jit
                warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
                torch.manual_seed(0)
                return function(*args)

        return inside

    def outputs(z: Any) -> Array:
        with torch.no_grad():
            return np.asarray(value(trained, z).numpy())

    def at(latents: Any) -> GeneratorMap:
        z = torch.as_tensor(latents).detach().cpu()
        z = z.double() if z.is_floating_point() else z
        out = fixed(outputs)(z)

        def push(v: Array) -> Array:
            return np.asarray(jvp(lambda w: value(w, z), (trained,), (tree(v),))[1].detach().numpy())

        def pull(u: Array) -> Array:
            found = vjp(lambda w: value(w, z), trained)[1](torch.as_tensor(u))[0]
            return np.concatenate([found[name].detach().numpy().ravel() for name in trained])

        coupled = _coupled(out, fixed(outputs), z)
        return GeneratorMap(len(z), out.shape[1], sum(sizes), fixed(push), fixed(pull), coupled=coupled)

    return [at(z) for z in batches]


def torch_optimizer(optimizer: Any, module: Any) -> Optimizer:
    """The state of a torch.optim SGD, Adam or AdamW for the trained weights of ``module``, in their order."""
    kind = type(optimizer).__name__.lower()
    if kind not in ("sgd", "adam", "adamw"):
        raise InputError("optimizer", "be SGD, Adam or AdamW of torch.optim", type(optimizer).__name__)
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    weights = [p for p in module.parameters() if p.requires_grad]
    if any(id(p) not in groups for p in weights):
        raise InputError("optimizer", "be that of the generator", "weights of it that the optimizer does not have")

    def each(value: Callable[[Any], Any]) -> Array:
        parts = [np.broadcast_to(np.asarray(value(p), dtype=float).ravel(), p.numel()) for p in weights]
        return np.concatenate(parts)

    rate = each(lambda p: groups[id(p)]["lr"])
    if kind == "sgd":
        return Optimizer(kind, {"learning_rate": rate})
    if any("exp_avg_sq" not in optimizer.state.get(p, {}) for p in weights):
        raise InputError("optimizer", "have taken a step (Adam's second moment is in its state)", "none")
    second = {"v_max": "max_exp_avg_sq", "v": "exp_avg_sq"}
    amsgrad = any(group.get("amsgrad") for group in optimizer.param_groups)
    moments = {
        name: each(lambda p, key=key: optimizer.state[p][key].detach().cpu().double())
        for name, key in second.items() if name == "v" or amsgrad
    }  # fmt: skip
    settings = {
        "learning_rate": rate, "beta1": each(lambda p: groups[id(p)]["betas"][0]),
        "beta2": each(lambda p: groups[id(p)]["betas"][1]), "eps": each(lambda p: groups[id(p)]["eps"]),
    }  # fmt: skip
    return Optimizer(kind, settings, moments, each(lambda p: float(optimizer.state[p]["step"])))


def _coupled(out: Array, outputs: Callable[[Any], Array], z: Any) -> bool:
    """Whether the first outputs depend on the latents after them."""
    half = len(out) // 2
    if half < 2:  # batch statistics of a single latent do not exist
        return False
    return bool(np.abs(outputs(z[:half]) - out[:half]).max() > COUPLED * np.abs(out).max())


__all__ = ["GeneratorMap", "of_jax", "of_players", "of_torch"]
