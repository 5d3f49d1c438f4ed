"""``game``: two networks, their objectives, data and optimisers at a checkpoint, whatever the framework."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base.errors import InputError
from ..base.shown import Shown
from .optimizers import Optimizer
from .protocol import Players, Strengths
from .scores import KEYS
from .stepmap import GameMap, Schedule

if TYPE_CHECKING:
    from .kernel import KernelNumbers
    from .result import GameSpectrum

Loss = str | tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Game(Shown):
    """Two players at a checkpoint: a handle on weights and optimisers as they were when it was made.

    Nothing is computed until something is asked of it, but for one evaluation that checks the input.

    Attributes:
        players: networks, data and losses.
        optimizers: of D and of G.
        schedule: who moves when.
        strengths: of the penalties by name, in their units (r1 and r2: length^2 of the samples).

    Source:
        none, the user's own networks; what is computed: Eq. (114, frozen-adam), Eq. (117, lazy-penalty).
    """

    players: Players
    optimizers: tuple[Optimizer, Optimizer]
    schedule: Schedule
    strengths: Strengths

    @cached_property
    def map(self) -> GameMap:
        """One training step as a map, second moments as they are on it, the mean over the batches held."""
        return GameMap(self.players, self.optimizers, self.schedule, self.strengths)

    def at(self, **strengths: float) -> Game:
        """The same game at other penalty strengths: ``game.at(r1=2.0)``."""
        return replace(self, strengths=_strengths({**self.strengths, **strengths}))

    def spectrum(self, products: int = 300, **options: Any) -> GameSpectrum:
        """The leading multipliers of the training step and what they say; options of ``spectrum.spectrum_of``."""
        from .spectrum import spectrum_of

        return spectrum_of(self, products, **options)

    def kernel(self, **options: Any) -> KernelNumbers:
        """The two kernel numbers of the generator, with the share that they explain; options of
        ``kernel.kernel_numbers``."""
        from .kernel import kernel_numbers

        return kernel_numbers(self, **options)

    MORE: ClassVar[str] = ".spectrum(), .kernel(), .at(r1=...)"

    def headline(self) -> str:
        return f"two networks in {self.players.framework} ({getattr(self.players, 'precision', 'float64')})"

    def grid(self) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        n_D, n_G = self.players.sizes
        batches = self.players.batches
        strengths = ", ".join(f"{name} {value:g}" for name, value in self.strengths.items()) or "no penalty"
        s = self.schedule
        steps = "alternating" if s.alternating else "simultaneous"
        steps += f" steps, {s.critic_steps} of D" if s.critic_steps > 1 else " steps"
        steps += f", penalty every {s.lazy} steps with {s.lazy} times its strength" if s.lazy > 1 else ""
        cost = self.map.cost
        return (), [
            ("discriminator", f"{n_D:,} weights, {_named(self.optimizers[0])}"),
            ("generator", f"{n_G:,} weights, {_named(self.optimizers[1])}"),
            ("penalties", strengths),
            ("steps", steps),
            ("mini-batches", f"{batches}"),
            ("a product", f"{cost} derivatives of a gradient, the time of {_times(cost)} gradients"),
        ]


def _times(cost: int) -> str:
    return f"{2 * cost} to {4 * cost}"


def _named(optimizer: Optimizer) -> str:
    rate = np.asarray(optimizer.settings["learning_rate"])
    rates = f"{rate.min():g}" if rate.min() == rate.max() else f"{rate.min():g} to {rate.max():g}"
    return f"{optimizer.kind} (learning rate {rates}, step {int(np.max(optimizer.count))})"


def _strengths(penalty: Mapping[str, float] | None) -> dict[str, float]:
    if penalty is not None and not isinstance(penalty, Mapping):
        raise InputError("penalty", 'be strengths by name, {"r1": 1.0}', repr(penalty))
    found = {}
    for name, value in (penalty or {}).items():
        if name not in KEYS:
            raise InputError("penalty", f"be of {', '.join(KEYS)}", repr(name))
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
            raise InputError(f"penalty.{name}", "be a finite number of at least 0", repr(value))
        found[name] = float(value)
    return found


def game(
    D: Any,
    G: Any,
    *,
    loss: Loss,
    data: Any,
    latents: Any,
    optimizers: tuple[Any, Any],
    penalty: Strengths | None = None,
    alternating: bool = True,
    critic_steps: int = 1,
    lazy: int = 1,
    precision: str | None = None,
) -> Game:
    """The game of discriminator D and generator G at this checkpoint; networks and optimisers stay as they are.

    PyTorch: D, G are ``torch.nn.Module``, optimizers (opt_D, opt_G) ``torch.optim`` objects (SGD, Adam, AdamW), whose
    settings and state are read. JAX: D, G are (function(weights, batch), weights), each optimiser an ``Optimizer`` or
    (Optimizer, its Optax state).

    Not seen, since they are parts of the loop: clipping of gradients, accumulation, learning rates that change.

    Args:
        loss: one of the table by name ("non_saturating", "hinge", "least_squares", "wasserstein", "relativistic", ...),
            or (loss_D(real_scores, fake_scores), loss_G(real_scores, fake_scores)), both minimised and one number for a
            batch.
        penalty: strengths by name, of what D minimises besides: {"r1": s} is (s/2) mean |grad_x D|^2 over the data,
            "r2" the same over the generated samples.
        data: an array or tensor, or a list of mini-batches, over which derivatives are averaged.
        latents: likewise, as many mini-batches.
        alternating: the generator sees the new discriminator, as in most training loops, else both move at once.
        critic_steps: discriminator steps per generator step.
        lazy: k: the penalty acts at every k-th step, with k times its strength.
        precision: of PyTorch: "double", "own", or None: double for networks of up to 200,000 weights.

    Returns:
        A handle: ``.spectrum()``, ``.kernel()``, ``.at(r1=...)``; eg.advise, eg.place and eg.game_page take it.

    Shapes:
        data (N, ...), latents (N, ...), or lists of such arrays.

    Units:
        Strengths r1, r2 in length^2 of the samples; learning rates as the optimisers have them, per step.

    Raises:
        InputError: no samples, optimisers that are not two or do not fit, a penalty or loss that is none, networks of
            neither framework.
        MissingExtra: JAX is asked for and not installed.

    Source:
        none, the user's own networks; penalties: Mescheder et al. 2018.
    """
    for name, value in (("data", data), ("latents", latents)):
        if value is None:
            raise InputError(name, "be given: samples (N, ...), or a list of mini-batches of them", "none")
    schedule = Schedule(alternating, critic_steps, lazy)
    strengths = _strengths(penalty)
    if not (isinstance(optimizers, tuple | list) and len(optimizers) == 2):
        raise InputError("optimizers", "be those of D and of G, (opt_D, opt_G)", type(optimizers).__name__)
    torch = sys.modules.get("torch")  # whoever has a module of it has imported it
    if torch is not None and isinstance(D, torch.nn.Module) and isinstance(G, torch.nn.Module):
        players, found = _torch_game(D, G, loss, data, latents, optimizers, precision)
    elif all(isinstance(net, tuple) and len(net) == 2 and callable(net[0]) for net in (D, G)):
        players, found = _jax_game(D, G, loss, data, latents, optimizers)
    else:
        rule = "be two torch.nn.Module, or two pairs (function(weights, batch), weights) in JAX"
        raise InputError("D, G", rule, f"{type(D).__name__} and {type(G).__name__}")
    made = Game(players, found, schedule, strengths)
    _ = made.map  # optimisers that do not fit
    return made


def _torch_game(
    D: Any, G: Any, loss: Any, data: Any, latents: Any, optimizers: Any, precision: str | None
) -> tuple[Players, tuple[Optimizer, Optimizer]]:
    from . import torchoptim
    from .pytorch import TorchPlayers

    held = torchoptim.held("D", optimizers[0]), torchoptim.held("G", optimizers[1])
    players = TorchPlayers(D, G, loss, data, latents, held, precision)
    of_D, of_G = (torchoptim.read(net.name, o, net) for net, o in zip(players.nets, optimizers, strict=True))
    return players, (of_D, of_G)


def _jax_game(
    D: Any, G: Any, loss: Any, data: Any, latents: Any, optimizers: Any
) -> tuple[Players, tuple[Optimizer, Optimizer]]:
    from ..features.networks.double import require_jax
    from .jaxed import JaxPlayers
    from .optax_states import with_state
    from .scores import Functions, objectives

    jax = require_jax()
    players = JaxPlayers(D, G, objectives(loss, Functions(jax.numpy, jax.nn.softplus)), data, latents)
    found = []
    for i, given in enumerate(optimizers):
        own, state = given if isinstance(given, tuple | list) and len(given) == 2 else (given, None)
        if not isinstance(own, Optimizer):
            rule = "be an egan_theory.Optimizer, or a pair of it and its Optax state"
            raise InputError(f"optimizers ({'DG'[i]})", rule, type(given).__name__)
        found.append(with_state(players, i, own, state))
    return players, (found[0], found[1])
