"""Two PyTorch networks at a checkpoint: gradients, their derivatives along and across weights.

Second derivatives are symmetric, so that plain reverse differentiation, twice, gives all products: with the player's
objective L and s = <grad_psi L, d_psi> + <grad_theta L, d_theta>, the derivative of its gradient along (d_psi, d_theta)
is the gradient of s with respect to its own weights; the transpose along w is the gradient of <grad L, w> with respect
to all (Pearlmutter 1994 for one network). This asks of an operation only what training with R1 asks of it.

Graphs of first gradients are kept where they are small (KEPT): a product is one backward pass then. Large ones are
built anew, and in parts of the batch where samples do not see each other, so that memory stays near that of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import InputError
from ..tables.penalties import Coefficients, coefficients
from .autograd import Linear, gradients, product, to_array
from .checkpoint import batched, checked, coarse, loss_of, told
from .kept import Kept
from .modules import Apart, Network, apart, notes, require_torch, unwrapped
from .protocol import DISCRIMINATOR, Strengths
from .refusals import check_devices
from .scores import KEYS, Functions, objectives

Array = np.ndarray
#: weights of both players up to which the default is double precision
AFFORDABLE = 200_000
#: bytes of graphs that are kept between products, and of one part of a batch
KEPT, PART = 2**26, 2**30
#: bytes that a forward pass saves up to which one thread is as fast as several (measured at 0.1 and at 1 MB)
SMALL = 2**20
#: memory of a graph of first gradients, in that of what the forward pass saves
GROWTH = 3


class _Graph(NamedTuple):
    """Weights as leaves, (psi, theta), and gradients of a part of an objective with respect to them, or None."""

    leaves: tuple[list[Any], list[Any]]
    gradients: tuple[list[Any], list[Any]]


class TorchPlayers:
    """``Players`` of two ``torch.nn.Module``.

    D (N, ...) -> scores (N,), (N, 1) or several for a sample; G latents -> samples (N, ...). ``loss``: see
    ``scores.objectives``. ``data``, ``latents``: one tensor or array each, or lists of as many mini-batches. ``held``:
    ids of the parameters that each player's optimiser has. ``precision``: "double", or "own", the modules' (single at
    least); None: double up to AFFORDABLE weights where the modules run in it.

    Raises InputError, MissingExtra.
    """

    framework = "PyTorch"

    def __init__(
        self,
        D: Any,
        G: Any,
        loss: Any,
        data: Any,
        latents: Any,
        held: tuple[set[int], set[int]],
        precision: str | None = None,
    ) -> None:
        torch = require_torch()
        if precision not in (None, "double", "own"):
            raise InputError("precision", 'be "double", "own" or None', repr(precision))
        self.modules = D, G = unwrapped(D), unwrapped(G)
        self._objectives = objectives(loss, Functions(torch, lambda u: torch.nn.functional.softplus(u, threshold=50)))
        self._given = data, latents, held
        check_devices(D, G)
        small = sum(p.numel() for m in (D, G) for p in m.parameters()) <= AFFORDABLE
        self.notes: tuple[str, ...] = (*notes("The discriminator", D), *notes("The generator", G))
        if any(torch.is_autocast_enabled(p.device.type) for p in D.parameters()):
            self.notes += ("Mixed precision is on here: everything is computed without it.",)
        own, double = coarse(D, G), torch.float64
        kinds = {"double": (double,), "own": (own,), None: (double, own) if small else (own,)}[precision]
        for dtype in kinds:
            try:
                self._prepare(dtype)
                break
            except RuntimeError as error:  # modules that cast to single precision themselves run in their own only
                if dtype == kinds[-1]:
                    raise told(error) from error
        self.precision = str(self.dtype).removeprefix("torch.")
        if self.dtype != torch.float64:
            self.notes += (
                "Products are in single precision: multipliers are right to about 1e-4 of the largest. "
                'precision="double" computes in double, at twice the memory and more than twice the time.',
            )
        for net in self.nets:
            if net.untrained:
                self.notes += (f"{net.untrained} weights of {net.name} are in no optimiser: they are held.",)

    def _prepare(self, dtype: Any) -> None:
        (D, G), (data, latents, held) = self.modules, self._given
        self.dtype = dtype
        self.nets = Network("D", D, held[0], dtype), Network("G", G, held[1], dtype)
        if set(map(id, self.nets[0].parameters)) & set(map(id, self.nets[1].parameters)):
            raise InputError("D, G", "share no weights that are trained")
        self.device = self.nets[0].device
        self.apart = Apart(self.device, D, G)
        self.sizes: tuple[int, int] = (self.nets[0].size, self.nets[1].size)
        self.weights: tuple[Array, Array] = (self.nets[0].flat, self.nets[1].flat)
        self._data, self._latents = batched(data, latents, self.device, dtype)
        self.batches = len(self._data)
        self._kept = Kept(KEPT)
        with self.apart():
            large = KEPT // GROWTH
            found = checked(self.nets, self._objectives, self._data[0], self._latents[0], self.apart, large)
        self.apart.alone = self.device.type == "cpu" and found.saved < SMALL
        self._saved, self._real_counts, self.notes = found.saved, found.real_counts, (*self.notes, *found.notes)
        self._parts = 1
        if found.separate:
            least = 4 if self.device.type == "cpu" else 2  # launches of small kernels take time of their own elsewhere
            self._parts = min(found.samples, max(least, -(-GROWTH * self._saved // PART)))

    # -- objectives ----------------------------------------------------------------------------------------------------

    def _pieces(self, player: int, leaves: Any, c: Coefficients, batch: int, scores: Any) -> Iterator[Any]:
        """Terms of the objective, one for each part of the batch, whose gradients sum to its gradient; in each the
        scores of other parts are constants."""
        torch, (D, G), (psi, theta) = require_torch(), self.nets, leaves
        x, z = self._data[batch], self._latents[batch]
        real_counts = player == DISCRIMINATOR or self._real_counts
        for i in range(self._parts):
            at_x, at_z = (slice(i * len(t) // self._parts, (i + 1) * len(t) // self._parts) for t in (x, z))
            self.apart.reseed()
            points = x[at_x].clone().requires_grad_(bool(player == DISCRIMINATOR and c.grad_p))
            if real_counts:
                real = D(psi, points)
            else:
                with torch.no_grad():
                    real = D(psi, points)
            made = G(theta, z[at_z])
            if not made.requires_grad:  # R2 has a slope there, too
                made = made.detach().requires_grad_(bool(player == DISCRIMINATOR and c.grad_q))
            fake = D(psi, made)
            if scores is None:
                value = loss_of(self._objectives[player], real, fake)
            else:
                mixed = (torch.cat([s[: t.start], own, s[t.stop :]]) for s, own, t in
                         zip(scores, (real, fake), (at_x, at_z), strict=True))  # fmt: skip
                value = loss_of(self._objectives[player], *mixed)
            if player == DISCRIMINATOR:
                for strength, score, y, n in ((c.grad_p, real, points, len(x)), (c.grad_q, fake, made, len(z))):
                    if strength:
                        (slope,) = torch.autograd.grad(score.sum(), y, create_graph=True)
                        value = value + strength / 2 * slope.square().sum() / n
                if c.nu:
                    value = value + c.nu / (2 * self._parts) * sum(p.square().sum() for p in psi)
            yield value

    def _scores(self, psi: Array, theta: Array, batch: int) -> Any:
        """All scores at these weights, for parts of a batch (None where it is whole)."""
        if self._parts == 1:
            return None
        torch, (D, G) = require_torch(), self.nets
        found = self._kept.get(("scores", batch), psi, theta)
        if found is None:
            with torch.no_grad():
                w, t, x, z = D.scattered(psi), G.scattered(theta), self._data[batch], self._latents[batch]
                parts = self._parts
                found = (
                    torch.cat([D(w, part) for part in x.tensor_split(parts)]),
                    torch.cat([D(w, G(t, part)) for part in z.tensor_split(parts)]),
                )
            self._kept.put(("scores", batch), found, 8 * sum(s.numel() for s in found), psi, theta)
        return found

    def _leaves(self, psi: Array, theta: Array) -> tuple[list[Any], list[Any]]:
        return self.nets[0].scattered(psi, leaves=True), self.nets[1].scattered(theta, leaves=True)

    def _graphs(
        self, player: int, psi: Array, theta: Array, strengths: Strengths, batch: int, of: tuple[int, ...]
    ) -> Iterator[tuple[_Graph, bool]]:
        """Graphs of the first gradients with respect to the weights of the players ``of``, and whether each is kept."""
        c, scores = self._asked(player, strengths, batch), self._scores(psi, theta, batch)
        size = GROWTH * self._saved
        key = (player, batch, tuple(float(v) for v in c))
        kept = self._kept.get(key, psi, theta)
        if kept is not None:
            yield kept, True
            return
        keep = self._parts == 1 and size <= KEPT
        of = (0, 1) if keep else of
        leaves = self._leaves(psi, theta)
        for value in self._pieces(player, leaves, c, batch, scores):
            flat = [p for i in of for p in leaves[i]]
            found = iter(gradients(value, flat, create_graph=True))
            first = [[next(found) for _ in leaves[i]] if i in of else [] for i in (0, 1)]
            graph = _Graph(leaves, (first[0], first[1]))
            yield graph, keep and self._kept.put(key, graph, size, psi, theta)

    def _asked(self, player: int, strengths: Strengths, batch: int) -> Coefficients:
        if player not in (0, 1):
            raise InputError("player", "be 0 (the discriminator) or 1 (the generator)", player)
        if not 0 <= batch < self.batches:
            raise InputError("batch", f"be one of the {self.batches} held, counted from 0", batch)
        for name, value in strengths.items():
            if name not in KEYS:
                raise InputError("penalty", f"be of {', '.join(KEYS)}", repr(name))
            if not np.isfinite(value):
                raise InputError(f"penalty.{name}", "be a finite number", value)
        return coefficients(**strengths)

    @apart
    def gradient(self, player: int, psi: Array, theta: Array, strengths: Strengths, batch: int = 0) -> Array:
        """Gradient of the player's own objective with respect to its own weights."""
        c, leaves = self._asked(player, strengths, batch), self._leaves(psi, theta)
        leaves[1 - player][:] = [t.detach() for t in leaves[1 - player]]
        pieces = self._pieces(player, leaves, c, batch, self._scores(psi, theta, batch))
        return self._summed(player, (gradients(value, leaves[player]) for value in pieces))

    @apart
    def push(
        self, player: int, psi: Array, theta: Array, d_psi: Array, d_theta: Array, strengths: Strengths, batch: int = 0
    ) -> Array:
        """The derivative of ``gradient`` along (d_psi, d_theta)."""
        d = self.nets[0].scattered(d_psi), self.nets[1].scattered(d_theta)

        def parts() -> Iterator[list[Any]]:
            for graph, kept in self._graphs(player, psi, theta, strengths, batch, (0, 1)):
                s = product([*graph.gradients[0], *graph.gradients[1]], [*d[0], *d[1]])
                yield gradients(s, graph.leaves[player], retain_graph=kept)

        return self._summed(player, parts())

    @apart
    def pull(
        self, player: int, psi: Array, theta: Array, w: Array, strengths: Strengths, batch: int = 0
    ) -> tuple[Array, Array]:
        """The transpose of ``push``: the derivatives of w . gradient with respect to psi and to theta."""
        along = self.nets[player].scattered(w)
        sums: list[Array] = [np.zeros(self.sizes[0]), np.zeros(self.sizes[1])]
        for graph, kept in self._graphs(player, psi, theta, strengths, batch, (player,)):
            s = product(graph.gradients[player], along)
            found = gradients(s, [*graph.leaves[0], *graph.leaves[1]], retain_graph=kept)
            n = len(graph.leaves[0])
            for i, part in enumerate((found[:n], found[n:])):
                sums[i] += self._gathered(i, part)
        return sums[0], sums[1]

    def _summed(self, player: int, parts: Iterator[list[Any]]) -> Array:
        return sum((self._gathered(player, part) for part in parts), np.zeros(self.sizes[player]))

    def _gathered(self, player: int, found: list[Any]) -> Array:
        torch, net = require_torch(), self.nets[player]
        return net.gathered([torch.zeros(s) if g is None else g for g, s in zip(found, net.shapes, strict=True)])

    # -- samples -------------------------------------------------------------------------------------------------------

    def _linear(self, key: Any, player: int, outputs: Callable[[list[Any]], list[Any]], size: float, *at: Array) -> Any:
        """The linearization of functions of one player's weights at[0] (and of the other arrays ``at``)."""
        found = self._kept.get(key, *at)
        if found is None:
            self.apart.reseed()
            leaves = self.nets[player].scattered(at[0], leaves=True)
            found = Linear(leaves, outputs(leaves))
            self._kept.put(key, found, int(GROWTH * size), *at)
        return found

    def _generator(self, theta: Array, batch: int) -> Linear:
        z = self._latents[batch]
        return self._linear(("G", batch), 1, lambda leaves: [self.nets[1](leaves, z)], self._saved, theta)

    def real(self, batch: int = 0) -> Array:
        """The data of a mini-batch: (N, ...)."""
        return to_array(self._data[batch])

    def losses(self, real: Array, fake: Array) -> tuple[float, float]:
        """(loss of D, loss of G) of given scores at the data and at the generated samples, without penalties."""
        torch = require_torch()
        scores = [torch.as_tensor(np.array(s, dtype=float), device=self.device) for s in (real, fake)]
        with torch.no_grad():
            found = [float(objective(*scores)) for objective in self._objectives]
        return found[0], found[1]

    @apart
    def generated(self, theta: Array, batch: int = 0) -> Array:
        """G(latents): (N, ...)."""
        with require_torch().no_grad():
            return to_array(self.nets[1](self.nets[1].scattered(theta), self._latents[batch]))

    @apart
    def generator_push(self, theta: Array, d_theta: Array, batch: int = 0) -> Array:
        """The derivative of ``generated`` along d_theta: (N, d)."""
        (out,) = self._generator(theta, batch).push(self.nets[1].scattered(d_theta))
        return to_array(out.flatten(1))

    @apart
    def generator_pull(self, theta: Array, u: Array, batch: int = 0) -> Array:
        """The transpose of ``generator_push``: u (N, d) to (n_G,)."""
        return self._gathered(1, self._generator(theta, batch).pull([self._tensor(u)]))

    def _tensor(self, value: Array) -> Any:
        return require_torch().from_numpy(np.array(value, dtype=np.float64)).to(self.device, self.dtype)

    def _rows(self, psi: Array, X: Array) -> Iterator[tuple[slice, Linear]]:
        """Scores and slopes at samples, as many at a time as a batch has."""
        torch, n = require_torch(), len(self._data[0])
        shape = tuple(self._data[0].shape[1:])
        if np.size(X) != len(X) * int(np.prod(shape)):
            raise InputError("samples", f"be rows of the shape {shape}", np.shape(X))

        for start in range(0, len(X), n):
            at = slice(start, min(start + n, len(X)))
            x = self._tensor(X[at]).reshape(-1, *shape)

            def outputs(leaves: list[Any], x: Any = x) -> list[Any]:
                points = x.clone().requires_grad_()
                scores = self.nets[0](leaves, points).reshape(len(x), -1).sum(1)
                (slopes,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
                return [scores, slopes]

            yield at, self._linear("rows", 0, outputs, self._saved * len(x) / n, psi, X[at])

    @apart
    def scores(self, psi: Array, X: Array) -> Array:
        """D at the rows of X: (M,)."""
        return np.concatenate([to_array(found.values[0]) for _, found in self._rows(psi, X)])

    @apart
    def slopes(self, psi: Array, X: Array) -> Array:
        """grad_x D at the rows of X: (M, d)."""
        return np.concatenate([to_array(found.values[1].flatten(1)) for _, found in self._rows(psi, X)])

    @apart
    def rows_push(self, psi: Array, X: Array, d_psi: Array) -> tuple[Array, Array]:
        """B d_psi: the derivatives of ``scores`` (M,) and ``slopes`` (M, d) along d_psi."""
        d = self.nets[0].scattered(d_psi)
        found = [rows.push(d) for _, rows in self._rows(psi, X)]
        return np.concatenate([to_array(a) for a, _ in found]), np.concatenate(
            [to_array(u.flatten(1)) for _, u in found]
        )

    @apart
    def rows_pull(self, psi: Array, X: Array, a: Array, u: Array) -> Array:
        """B^T (a, u): the transpose of ``rows_push``, a (M,) and u (M, d) to (n_D,)."""
        return self._summed(
            0, (rows.pull([self._tensor(a[at]), self._tensor(u[at])]) for at, rows in self._rows(psi, X))
        )
