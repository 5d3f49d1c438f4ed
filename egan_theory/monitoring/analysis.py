"""What is measured of the game at a checkpoint: a few numbers of each part, with a bounded number of products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..games.kernel import kernel_numbers
from ..games.leading import Budget, leading
from ..games.modes import root, shares
from ..games.protocol import DISCRIMINATOR, GENERATOR
from .samples import reason

Array = np.ndarray
#: places on the straight path from the weights before (0) to the present ones (1) at which the angle is taken
PLACES = {"path_angle_start": 0.0, "path_angle": 1.0, "path_angle_beyond": 1.25}
#: random probes of the generator's kernel
PROBES = 8


@dataclass
class Memory:
    """What one analysis leaves to the next: the weights of both players."""

    weights: tuple[Array, Array] | None = None


@dataclass(frozen=True)
class Request:
    """What is asked for: products with the step's Jacobian at most, multipliers kept, steps of the whole training."""

    products: int
    count: int
    horizon: float | None = None
    seed: int = 0


@dataclass
class Found:
    """Values at a step by the names of the run schema, what failed and why, seconds by part, and products."""

    step: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    products: float = 0.0


def multipliers(game: Any, memory: Memory, asked: Request, found: Found) -> dict[str, Any]:
    """The ``count`` most telling multipliers of one training step by Krylov-Schur iteration, from a random vector: the
    modes of the analysis before would save one or two products of thirty."""
    step = game.map
    budget = Budget(asked.products)
    try:
        led = leading(step.product, step.n, budget, count=asked.count, seed=asked.seed)
    finally:
        found.products = budget.used
    if not len(led.values):
        raise InputError("products", "be enough for one multiplier to be seen", asked.products)
    k = min(asked.count, len(led.values))
    x = led.vectors[:, :k]
    z = root(led.values[:k], step.steps)
    at = {
        "multiplier_re": z.real,
        "multiplier_im": z.imag,
        "multiplier_residual": led.residuals[:k] / step.steps,
        "multiplier_share": np.array([shares(x[:, i], step.parts)[0] for i in range(k)]),
    }
    padded = {name: np.concatenate([values, np.full(asked.count - k, np.nan)]) for name, values in at.items()}
    psi, theta = game.players.weights
    moved = np.concatenate([step.velocity[step.parts[name]] for name in ("psi", "theta")]) / step.steps
    size = float(np.sqrt(psi @ psi + theta @ theta))
    return {**padded, "velocity": float(np.linalg.norm(moved)) / size if size else np.nan}


def path(game: Any, memory: Memory, asked: Request, found: Found) -> dict[str, Any]:
    """Cosine between the game's vector field and the straight path from the weights before, at either end and a
    quarter beyond (the path-angle of Berard, Gidel, Almahairi, Vincent and Lacoste-Julien, ICLR 2020, arXiv:1906.04848,
    who take it along all of the path).

    c = w.v(place) / (|w| |v(place)|), v = -(grad_psi L_D, grad_theta L_G), w = present - before. 1: training goes
    straight on; about 0: it turns, or the batch's noise hides where it goes; from positive to negative on the way
    beyond: it is about to come to rest. Nothing where the weights before are not known, NaN where they are the same.
    """
    if memory.weights is None:
        return {}
    (psi0, theta0), (psi, theta) = memory.weights, game.players.weights
    if psi0.shape != psi.shape or theta0.shape != theta.shape:
        return {}
    w = np.concatenate([psi - psi0, theta - theta0])
    out = {}
    for name, place in PLACES.items():
        at = psi0 + place * (psi - psi0), theta0 + place * (theta - theta0)
        v = -np.concatenate([_gradient(game, player, *at) for player in (DISCRIMINATOR, GENERATOR)])
        size = float(np.linalg.norm(w) * np.linalg.norm(v))
        if not np.isfinite(size):
            raise InputError("game", "have finite gradients on the path", f"others at {place:g} of it")
        out[name] = float(w @ v) / size if size else np.nan
    return out


def _gradient(game: Any, player: int, psi: Array, theta: Array) -> Array:
    players = game.players
    return np.mean([players.gradient(player, psi, theta, game.strengths, b) for b in range(players.batches)], axis=0)


def kernel(game: Any, memory: Memory, asked: Request, found: Found) -> dict[str, Any]:
    """The generator's two kernel numbers, and the share of its tangent kernel that they explain."""
    numbers = kernel_numbers(game, probes=PROBES, exact=False, seed=asked.seed)
    return {"kernel_g1": numbers.g1, "kernel_g2": numbers.g2, "kernel_share": numbers.share}


def advice(game: Any, memory: Memory, asked: Request, found: Found) -> dict[str, Any]:
    """The R1 strength that theory advises for the steps that remain, and the edge of D's own steps; nothing where the
    length of the training is not known."""
    if asked.horizon is None:
        return {}
    from ..advice import advise as module

    advise: Any = module.advise
    said = advise(game, horizon=max(asked.horizon - found.step, 1.0))
    edge = np.nan if said.edge is None else said.edge
    return {"strength_advised": said.best, "strength_edge": edge if np.isfinite(edge) else np.nan}


PARTS: Mapping[str, Callable[[Any, Memory, Request, Found], dict[str, Any]]] = {
    "multipliers": multipliers,
    "path": path,
    "kernel": kernel,
    "advice": advice,
}


def analyse(
    game: Callable[[], Any], step: float, memory: Memory, asked: Request, parts: tuple[str, ...],
    clock: Callable[[], float],
) -> Found:  # fmt: skip
    """All parts at one checkpoint. What fails is kept with its reason; nothing is raised but KeyboardInterrupt."""
    found = Found(step)
    begin = clock()
    try:
        made = game()
        psi, theta = made.players.weights
        for name, weights in (("D", psi), ("G", theta)):
            if not np.isfinite(weights).all():
                raise InputError(name, "have finite weights", f"{(~np.isfinite(weights)).sum()} that are not")
    except Exception as error:  # whatever it is, training is more important
        found.failures["game"] = reason(error)
        found.seconds["game"] = clock() - begin
        return found
    found.seconds["game"] = clock() - begin
    for part in parts:
        begin = clock()
        try:
            found.values |= PARTS[part](made, memory, asked, found)
        except Exception as error:
            found.failures[part] = reason(error)
        found.seconds[part] = clock() - begin
    memory.weights = psi, theta
    return found


__all__ = ["PARTS", "Found", "Memory", "Request", "analyse"]
