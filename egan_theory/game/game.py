"""``game``: two networks, their objectives, data and optimisers at a checkpoint, whatever the framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .optimizers import Optimizer
from .protocol import Players, Strengths
from .stepmap import GameMap, Schedule

if TYPE_CHECKING:
    from .result import GameSpectrum


@dataclass(frozen=True)
class Game:
    """Two players at a checkpoint: a handle that costs nothing until something is asked of it."""

    players: Players
    optimizers: tuple[Optimizer, Optimizer]
    schedule: Schedule
    strengths: Strengths

    @cached_property
    def map(self) -> GameMap:
        """One training step as a map, second moments frozen, the mean over the batches held."""
        return GameMap(self.players, self.optimizers, self.schedule, self.strengths)

    def spectrum(self, products: int = 300, **settings: Any) -> GameSpectrum:
        """The leading multipliers of one training step, and what they say: see ``game.spectrum.spectrum_of``."""
        from .spectrum import spectrum_of

        return spectrum_of(self, products, **settings)

    def at(self, **strengths: float) -> Game:
        """The same game at other penalty strengths: ``game.at(r1=2.0)``."""
        return replace(self, strengths={**self.strengths, **strengths})


def game(
    D: Any,
    G: Any,
    *,
    loss: str | tuple[Callable[..., Any], Callable[..., Any]],
    data: Any,
    latents: Any,
    optimizers: tuple[Any, Any],
    penalty: Strengths | None = None,
    alternating: bool = True,
    critic_steps: int = 1,
    lazy: int = 1,
    precision: str | None = None,
) -> Game:
    """The game of discriminator D and generator G at this checkpoint.

    PyTorch: D, G are ``torch.nn.Module``, optimizers ``torch.optim`` objects. JAX: D, G are pairs (function(weights,
    batch), weights), optimizers ``Optimizer`` entries with the state of Optax. ``loss``: a name of the table of losses,
    "relativistic", or (loss_D(real_scores, fake_scores), loss_G(real_scores, fake_scores)), both minimised.
    ``penalty``: strengths, {"r1": s}: (s/2) mean |grad_x D|^2 over the data, "r2" over the generated samples.
    ``data``, ``latents``: an array or tensor, or a list of mini-batches.
    """
    raise NotImplementedError
