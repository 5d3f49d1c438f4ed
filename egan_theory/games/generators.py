"""The outputs of a generator and their derivatives in its weights: of a player of a game, or of a generator alone, a
PyTorch module or a JAX function. Double precision throughout, and nothing of the user's is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from .optimizers import Optimizer
from .protocol import GENERATOR, Players
from .refusals import running

Array = np.ndarray
#: the word of the notes on modules that says that batch statistics couple samples
BATCHNORM = "BatchNorm"
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
    own = tuple(note for note in players.notes if note.startswith("The generator"))
    coupled = any(BATCHNORM in note for note in own)
    said = tuple(note for note in own if BATCHNORM not in note)
    for b in range(players.batches):
        shape = players.generated(theta, b).shape

        def push(v: Array, b: int = b) -> Array:
            return players.generator_push(theta, v, b)

        def pull(u: Array, b: int = b) -> Array:
            return players.generator_pull(theta, u, b)

        maps.append(
            GeneratorMap(shape[0], int(np.prod(shape[1:])), players.sizes[GENERATOR], push, pull, said, coupled)
        )
    return maps


def of_jax(network: Any, batches: list[Array], optimizer: Any = None) -> tuple[list[GeneratorMap], Optimizer | None]:
    """``network``: (function(params, latents) -> (N, ...), params); floating-point leaves of params are trained,
    flat in the order of jax.tree.leaves. ``optimizer``: an Optimizer, or a pair of it and its Optax state. The maps,
    and the optimizer with that state. Raises MissingExtra, InputError."""
    from ..features.networks.double import double, require_jax
    from .trees import FlatNetwork

    jax = require_jax()
    with jax.enable_x64(True):
        net = FlatNetwork("G", network, None)
    theta = net.flat

    def value(t: Any, z: Any) -> Any:
        return jax.numpy.reshape(net.apply(t, z), (len(z), -1))

    forward = jax.jit(value)
    push = jax.jit(lambda z, v: jax.jvp(lambda t: value(t, z), (theta,), (v,))[1])
    pull = jax.jit(lambda z, u: jax.vjp(lambda t: value(t, z), theta)[1](u)[0])

    @double
    def arrays(f: Callable[..., Any], *args: Any) -> Array:
        return np.asarray(f(*args), dtype=float)

    def at(z: Array) -> GeneratorMap:
        with running("G", f"the latents, of shape {z.shape}, in JAX"):
            out = arrays(forward, theta, z)
        coupled = _coupled(out, lambda part: arrays(forward, theta, part), z)
        return GeneratorMap(
            len(z), out.shape[1], net.size, lambda v: arrays(push, z, v), lambda u: arrays(pull, z, u), coupled=coupled
        )

    if isinstance(optimizer, tuple):
        from .optax_states import with_state

        trees: Any = SimpleNamespace(flat=lambda player, tree: net.flatten(tree))
        optimizer = with_state(trees, 1, *optimizer)
    return [at(np.asarray(z, dtype=float)) for z in batches], optimizer


def of_torch(module: Any, batches: list[Any], optimizer: Any = None) -> tuple[list[GeneratorMap], Optimizer | None]:
    """``module``: a torch.nn.Module, in the mode it is in; weights that require gradients, and that ``optimizer`` (a
    torch.optim object) has, count. The maps, and the optimizer's state. Raises MissingExtra, InputError."""
    from . import torchoptim
    from .autograd import Linear, to_array
    from .modules import Apart, Network, notes, require_torch

    torch = require_torch()
    held = {id(p) for p in module.parameters()} if optimizer is None else torchoptim.held("G", optimizer)
    net = Network("G", module, held, torch.float64)
    apart = Apart(net.device, module)
    said = tuple(note for note in notes("The generator", module) if BATCHNORM not in note)

    def outputs(z: Any) -> Array:
        with apart(), torch.no_grad():
            return to_array(net(net.scattered(net.flat), z).reshape(len(z), -1))

    kept: dict[int, Linear] = {}  # the graph of one batch at a time

    def graph(i: int, z: Any) -> Linear:
        if i not in kept:
            kept.clear()
            leaves = net.scattered(net.flat, leaves=True)
            kept[i] = Linear(leaves, [net(leaves, z).reshape(len(z), -1)])
        return kept[i]

    def at(i: int, latents: Any) -> GeneratorMap:
        z = torch.as_tensor(latents).detach().to(net.device)
        z = z.to(net.dtype) if z.is_floating_point() else z
        with running("G", f"the latents, of shape {tuple(z.shape)}"):
            out = outputs(z)

        def push(v: Array) -> Array:
            with apart():
                return to_array(graph(i, z).push(net.scattered(v))[0])

        def pull(u: Array) -> Array:
            with apart():
                found = graph(i, z).pull([torch.from_numpy(np.array(u)).to(net.device)])
                return net.gathered(
                    [torch.zeros(s) if g is None else g for g, s in zip(found, net.shapes, strict=True)]
                )

        return GeneratorMap(len(z), out.shape[1], net.size, push, pull, said, _coupled(out, outputs, z))

    found = [at(i, z) for i, z in enumerate(batches)]
    return found, None if optimizer is None else torchoptim.read("G", optimizer, net)


def _coupled(out: Array, outputs: Callable[[Any], Array], z: Any) -> bool:
    """Whether the first outputs depend on the latents after them."""
    half = len(out) // 2
    if half < 2:  # batch statistics of a single latent do not exist
        return False
    return bool(np.abs(outputs(z[:half]) - out[:half]).max() > COUPLED * np.abs(out).max())


__all__ = ["GeneratorMap", "of_jax", "of_players", "of_torch"]
