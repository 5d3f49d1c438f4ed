"""Optimisers of Optax at a checkpoint: their state, a tree, beside their numbers, which Optax does not keep in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..features.networks.double import double, require_optax
from .optimizers import Optimizer

if TYPE_CHECKING:
    from .jaxed import JaxPlayers


@double
def with_state(players: JaxPlayers, player: int, optimizer: Optimizer, state: Any) -> Optimizer:
    """The optimiser with the moments and the count found in a state of Optax, however deep in a chain.

    ``ScaleByAdamState`` (optax.adam, optax.adamw): moments m = mu, v = nu and the count; ``TraceState`` (optax.sgd with
    momentum): m = trace. None, or of SGD without momentum none of these: the optimiser as it was given. The step
    is that of torch.optim's rule of the same name: optax.sgd's trace begins at 0, so that its ``dampening`` is 0.

    Raises InputError where there are several such states, none where moments are needed, or one of another kind of
    optimiser.
    """
    name = f"state of {optimizer.kind} of {'DG'[player]}"
    found = [] if state is None else list(_states(require_optax(), state))
    if not found:
        adam = optimizer.kind in ("adam", "adamw")
        if state is not None and (adam or np.any(optimizer.settings.get("momentum", 0.0))):
            rule = "hold moments (leave the state out where no step was made)"
            raise InputError(name, rule, "a state without any, of another optimiser?")
        return optimizer
    if len(found) > 1:
        raise InputError(name, "hold one state of moments", f"found {len(found)}")
    (state,) = found
    is_adam = hasattr(state, "nu")
    if is_adam != (optimizer.kind in ("adam", "adamw")):
        raise InputError(name, f"be one of {optimizer.kind}", type(state).__name__)
    if not is_adam:
        # from the second step on, the first gradient has entered; Optax does not count these
        return replace(optimizer, moments={"m": players.flat(player, state.trace)}, count=max(optimizer.count, 1))
    moments = {"m": players.flat(player, state.mu), "v": players.flat(player, state.nu)}
    return replace(optimizer, moments=moments, count=int(np.asarray(state.count)))


def _states(optax: Any, state: Any) -> Iterator[Any]:
    """The states of moments in a nest of tuples and dictionaries."""
    if isinstance(state, optax.ScaleByAdamState | optax.TraceState):
        yield state
    elif hasattr(state, "nu") or hasattr(state, "trace"):
        raise InputError("optimizer", "be sgd, adam or adamw of Optax", type(state).__name__)
    elif isinstance(state, tuple | list):
        for part in state:
            yield from _states(optax, part)
    elif isinstance(state, dict):
        for part in state.values():
            yield from _states(optax, part)


__all__ = ["with_state"]
