"""One training step of both players as a map z -> F(z), with products of its derivative and of its transpose.

The step is a sequence of substeps, at each of which one player moves, or both do at once. The trajectory from the
checkpoint through them is computed once; a product follows a perturbation along it, so that off rest the map is
linearized about the actual trajectory. With dg_k = H_k (d psi, d theta) the perturbation of the gradient of substep k
(Players.push) and S_k the derivative of the optimiser's own step (optimizers.Slopes), it is the product of all
S_k (1, H_k); its transpose takes them in reverse.

A lazy penalty is one map of k training steps, of which the first has the penalty with k times its strength and the
others have none: its multipliers Z belong to k steps, and one step's is Z^(1/k).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.errors import InputError
from .optimizers import Optimizer, Slopes, cotangent, tangent
from .protocol import DISCRIMINATOR, GENERATOR, Players, Strengths

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Array = np.ndarray
NAMES = ("psi", "theta")


@dataclass(frozen=True)
class Schedule:
    """Who moves when. ``alternating``: the generator sees the new discriminator; ``critic_steps``: discriminator steps
    per generator step; ``lazy`` k: the penalty acts at every k-th training step only, with k times its strength.
    Raises InputError."""

    alternating: bool = True
    critic_steps: int = 1
    lazy: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.alternating, bool | np.bool_):
            raise InputError("alternating", "be True or False", repr(self.alternating))
        for name in ("critic_steps", "lazy"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise InputError(name, "be a whole number >= 1", repr(value))
        if self.critic_steps > 1 and not self.alternating:
            raise InputError("critic_steps", "be 1 unless steps alternate", self.critic_steps)

    @property
    def substeps(self) -> tuple[tuple[int, ...], ...]:
        """Who moves at each substep of one training step."""
        if not self.alternating:
            return ((DISCRIMINATOR, GENERATOR),)
        return ((DISCRIMINATOR,),) * self.critic_steps + ((GENERATOR,),)

    def strengths(self, strengths: Strengths, position: int) -> dict[str, float]:
        """What acts at the training step of this position since the last one with the penalty."""
        factor = self.lazy if position % self.lazy == 0 else 0
        return {name: factor * s for name, s in strengths.items()}


class _Move(NamedTuple):
    """One player's move on the trajectory: where, and the derivative of its optimiser's step there."""

    player: int
    psi: Array
    theta: Array
    strengths: Mapping[str, float]
    slopes: Slopes


class _State(NamedTuple):
    """Weights and all moments of both players, and the optimiser steps each has taken since the checkpoint."""

    blocks: tuple[dict[str, Array], dict[str, Array]]
    taken: tuple[int, int]


class GameMap:
    """One training step (of a lazy penalty k) as a map z -> F(z), z = (psi, theta, their moments), at a checkpoint.

    ``n``: size of z; ``parts``: slices of z by name ("psi", "theta", "m_psi", "m_theta"; live also "v_psi", ...), only
    those that there are; ``steps``: training steps that F spans: multipliers are to be taken to the power 1/steps;
    ``cost``: derivatives of a gradient that one product costs.
    ``batch`` None: the mean over all batches held; ``frozen``: second moments as on the steps from the checkpoint, bias
    correction included, else they are part of z and the derivative is that of the optimiser's own step.

    Raises InputError where a batch is not there or optimisers do not fit the weights.
    """

    def __init__(
        self,
        players: Players,
        optimizers: tuple[Optimizer, Optimizer],
        schedule: Schedule,
        strengths: Strengths,
        batch: int | None = None,
        frozen: bool = True,
    ) -> None:
        if batch is not None and not 0 <= batch < players.batches:
            raise InputError("batch", f"be one of the {players.batches} held, counted from 0", batch)
        self.players, self.optimizers, self.schedule = players, optimizers, schedule
        self.strengths, self.batch, self.frozen = dict(strengths), batch, frozen
        self.steps = schedule.lazy
        self._batches = range(players.batches) if batch is None else (batch,)
        blocks = [optimizer.start(w) for optimizer, w in zip(optimizers, players.weights, strict=True)]
        self._start = _State((blocks[0], blocks[1]), (0, 0))
        self.parts: dict[str, slice] = {}
        self.n = 0
        names = [("w", player) for player in (0, 1)]
        names += [(name, p) for p in (0, 1) for name in (optimizers[p].moving if frozen else optimizers[p].blocks)]
        self._names: dict[str, tuple[str, int]] = {}
        for name, player in names:
            key = NAMES[player] if name == "w" else f"{name}_{NAMES[player]}"
            self.parts[key] = slice(self.n, self.n + players.sizes[player])
            self._names[key] = (name, player)
            self.n += players.sizes[player]

    @property
    def cost(self) -> int:
        """Derivatives of a gradient that one product costs: one per player's move and batch."""
        return self.steps * sum(map(len, self.schedule.substeps)) * len(self._batches)

    # -- the step ------------------------------------------------------------------------------------------------------

    @cached_property
    def state(self) -> Array:
        """(n,) z at the checkpoint."""
        return self._packed(self._start)

    @cached_property
    def velocity(self) -> Array:
        """(n,) F(z) - z: how far from rest."""
        return self._packed(self._trajectory[1]) - self.state

    def step(self, z: Array) -> Array:
        """F(z): the real step, in which second moments move as well (frozen: they begin at the checkpoint's)."""
        return next(self.run(z))

    def run(self, z: Array) -> Iterator[Array]:
        """F(z), F(F(z)), ...: real training from z (n,) on, second moments and counts of steps carried along."""
        state = self._unpacked(z)
        while True:
            for position in range(self.steps):
                for movers in self.schedule.substeps:
                    state = self._advanced(state, movers, position)[0]
            yield self._packed(state)

    def _packed(self, state: _State) -> Array:
        return np.concatenate([state.blocks[player][name] for name, player in self._names.values()])

    def _unpacked(self, z: Array) -> _State:
        z = np.array(z, float)
        if z.shape != (self.n,):
            raise InputError("z", f"have the shape ({self.n},)", z.shape)
        blocks: tuple[dict[str, Array], dict[str, Array]] = (dict(self._start.blocks[0]), dict(self._start.blocks[1]))
        for key, (name, player) in self._names.items():
            blocks[player][name] = z[self.parts[key]]
        return _State(blocks, (0, 0))

    def _gradient(self, player: int, state: _State, strengths: Strengths) -> Array:
        psi, theta = (blocks["w"] for blocks in state.blocks)
        return _mean(self.players.gradient(player, psi, theta, strengths, b) for b in self._batches)

    def _advanced(self, state: _State, movers: tuple[int, ...], position: int) -> tuple[_State, dict[int, Array]]:
        """After a substep, with the gradients that made it."""
        strengths = self.schedule.strengths(self.strengths, position)
        gradients = {player: self._gradient(player, state, strengths) for player in movers}
        blocks, taken = list(state.blocks), list(state.taken)
        for player, g in gradients.items():
            blocks[player] = self.optimizers[player].advance(blocks[player], g, taken[player])
            taken[player] += 1
        return _State((blocks[0], blocks[1]), (taken[0], taken[1])), gradients

    def after(self, steps: int) -> GameMap:
        """The map about the state that ``steps`` more training steps on the batches held lead to, rounded up to whole
        maps of ``self.steps``; about a state that is not finite where training diverges."""
        state = self._start
        for _ in range(-(-steps // self.steps)):
            for position in range(self.steps):
                for movers in self.schedule.substeps:
                    state = self._advanced(state, movers, position)[0]
        out = copy(self)
        out._start = state
        for name in ("state", "velocity", "_trajectory"):
            out.__dict__.pop(name, None)
        return out

    # -- its derivative ------------------------------------------------------------------------------------------------

    @cached_property
    def _trajectory(self) -> tuple[list[list[_Move]], _State]:
        """The moves of each substep, and the state at the end."""
        state, found = self._start, []
        for position in range(self.steps):
            strengths = self.schedule.strengths(self.strengths, position)
            for movers in self.schedule.substeps:
                psi, theta = (blocks["w"] for blocks in state.blocks)
                after, gradients = self._advanced(state, movers, position)
                moves = []
                for player, g in gradients.items():
                    slopes = self.optimizers[player].slopes(state.blocks[player], g, state.taken[player], self.frozen)
                    moves.append(_Move(player, psi, theta, strengths, slopes))
                found.append(moves)
                state = after
                for blocks in state.blocks:
                    blocks["w"].flags.writeable = False  # a back end may keep what it built at these weights
        return found, state

    @property
    def preconditioners(self) -> tuple[Any, Any]:
        """(P_D, P_G): the step per unit of a gradient that stays, at the end of the training step; numbers or (n_D,),
        (n_G,)."""
        end = self._trajectory[1]
        return tuple(
            o.rule.preconditioner(o.settings, blocks, o.count + taken)
            for o, blocks, taken in zip(self.optimizers, end.blocks, end.taken, strict=True)
        )

    def at(self, **strengths: float) -> GameMap:
        """The map whose derivative has other penalty strengths along the trajectory and with the second moments of this
        one: ``product`` and ``transposed`` are polynomials in every strength, of degree ``critic_steps``."""
        out = copy(self)
        out.strengths = {**self.strengths, **strengths}
        substeps, (moves, end) = len(self.schedule.substeps), self._trajectory
        held = [
            [m._replace(strengths=self.schedule.strengths(out.strengths, i // substeps)) for m in group]
            for i, group in enumerate(moves)
        ]
        out.__dict__["_trajectory"] = held, end
        return out

    def product(self, v: Array) -> Array:
        """A v, A = dF/dz at the checkpoint: (n,) or columns (n, c); of a complex v both parts."""
        return self._apply(v, self._product)

    def transposed(self, w: Array) -> Array:
        """A^T w: (n,) or columns (n, c)."""
        return self._apply(w, self._transposed)

    def _apply(self, v: Any, function: Any) -> Array:
        v = np.asarray(v)
        if v.ndim not in (1, 2) or v.shape[0] != self.n:
            raise InputError("a vector", f"have the shape ({self.n},) or ({self.n}, c)", v.shape)
        if v.ndim == 2:
            return np.stack([self._apply(column, function) for column in v.T], axis=1) if v.shape[1] else 1.0 * v
        if np.iscomplexobj(v):
            return function(np.ascontiguousarray(v.real)) + 1j * function(np.ascontiguousarray(v.imag))
        return function(v.astype(float, copy=False))

    def _split(self, v: Array) -> list[dict[str, Array]]:
        blocks: list[dict[str, Array]] = [{}, {}]
        for key, (name, player) in self._names.items():
            blocks[player][name] = v[self.parts[key]]
        return blocks

    def _joined(self, blocks: list[dict[str, Array]]) -> Array:
        return np.concatenate([blocks[player][name] for name, player in self._names.values()])

    def _product(self, v: Array) -> Array:
        d = self._split(v)
        for moves in self._trajectory[0]:
            ahead = {
                m.player: _mean(
                    self.players.push(m.player, m.psi, m.theta, d[0]["w"], d[1]["w"], m.strengths, b)
                    for b in self._batches
                )
                for m in moves
            }
            for m in moves:
                d[m.player] = tangent(m.slopes, d[m.player], ahead[m.player])
        return self._joined(d)

    def _transposed(self, w: Array) -> Array:
        e = self._split(w)
        for moves in reversed(self._trajectory[0]):
            pulled = []
            for m in moves:
                e[m.player], dg = cotangent(m.slopes, e[m.player])
                pulled += [self.players.pull(m.player, m.psi, m.theta, dg, m.strengths, b) for b in self._batches]
            for i in (0, 1):  # the same gradient acts on every batch's mean
                e[i]["w"] = e[i]["w"] + sum(p[i] for p in pulled) / len(self._batches)
        return self._joined(e)

    @property
    def operator(self) -> LinearOperator:
        """A with ``matvec`` and ``rmatvec``."""
        from scipy.sparse.linalg import LinearOperator

        return LinearOperator(
            (self.n, self.n), matvec=lambda v: self.product(np.ravel(v)),
            rmatvec=lambda w: self.transposed(np.ravel(w)), dtype=np.dtype(float),
        )  # fmt: skip


def _mean(values: Iterator[Array]) -> Array:
    found = list(values)
    return found[0] if len(found) == 1 else sum(found[1:], found[0]) / len(found)
