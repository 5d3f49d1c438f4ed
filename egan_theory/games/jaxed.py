"""Two networks in JAX at one checkpoint: gradients, their derivatives along and across weights, in double precision.

A network is (function(params, batch), params), params any tree of arrays. At this module's border its trained weights
are one float64 vector, in the order of ``jax.flatten_util.ravel_pytree``: the leaves in the order of
``jax.tree.leaves`` (dictionaries by sorted keys), each in C order; what is not trained is left out.

Products of a player's gradient g(psi, theta) are those of forward over reverse differentiation: J v = jvp of g, and
J^T w = vjp of g (Pearlmutter 1994 for one network). Products with the rows B = (dD/dpsi, d(grad_x D)/dpsi) at M
points are jvp and vjp of psi -> (D, grad_x D): no array of (rows) x (weights) is ever built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..base.arrays import numbers
from ..base.errors import InputError
from ..features.networks.double import double, require_jax
from ..tables.penalties import PENALTIES, coefficients
from .refusals import check_alive, check_samples, running
from .scores import LABELS
from .trees import FlatNetwork, Network

Array = np.ndarray
#: penalties whose strength is all that they have
KEYS = tuple(p.key for p in PENALTIES.values() if p.terms is not None and not p.parameters)
#: of (scores at the data, scores at the generated samples), in JAX
Objective = Callable[[Any, Any], Any]


class JaxPlayers:
    """``Players`` of two JAX networks.

    D: (function(params, x (N, ...)) -> scores, a number for each point, params). G: (function(params, latents) ->
    samples, params). objectives: (loss_D, loss_G) of (real_scores (N,), fake_scores (N,)), numbers in JAX that each
    player minimises. data, latents: one array each, or a sequence of as many mini-batches. trained: of each player a
    tree like its params (or a prefix of it) of booleans, or of arrays of booleans, False where a weight is held; None:
    all. Leaves that are not floating-point numbers (counters, keys) are never trained.

    The functions run in double precision, with params, data and latents cast to it; JAX's own default stays as it is.
    They have to be pure, and D has to treat the points of a batch separately for ``rows_push`` and ``rows_pull``.

    strengths: of the penalties of the table without parameters of their own (r1, r2, weight_decay), which D minimises
    with its loss, R1 = (r1/2) E_data |grad_x D|^2; gradients are affine in them. Raises InputError, MissingExtra.
    """

    framework = "JAX"

    @double
    def __init__(
        self, D: Network, G: Network, objectives: tuple[Objective, Objective], data: Any, latents: Any, *,
        trained: tuple[Any, Any] = (None, None),
    ) -> None:  # fmt: skip
        jax = require_jax()
        self._nets = (FlatNetwork("D", D, trained[0]), FlatNetwork("G", G, trained[1]))
        self.sizes: tuple[int, int] = (self._nets[0].size, self._nets[1].size)
        self._data, self._latents = _batches("data", data), _batches("latents", latents)
        if len(self._data) != len(self._latents):
            rule = f"have as many mini-batches as data ({len(self._data)})"
            raise InputError("latents", rule, len(self._latents))
        self.batches = len(self._data)
        self.notes: tuple[str, ...] = ()
        if not all(callable(one) for one in objectives):
            raise InputError("loss", "be a name of the table or two functions", objectives)
        self._objectives = tuple(objectives)
        self._check_shapes(jax)
        self._do = _compiled(jax, self._nets[0].apply, self._nets[1].apply, self._objectives)

    def _check_shapes(self, jax: Any) -> None:
        """Shapes of samples, scores and losses from tracing alone; then one evaluation, whether gradients follow."""
        psi, theta = self._nets[0].flat, self._nets[1].flat
        x, z = self._data[0], self._latents[0]
        y = _traced(jax, "G", self._nets[1].apply, theta, z)
        self._sample_shape = tuple(x.shape[1:])
        if not hasattr(y, "shape") or tuple(y.shape[1:]) != self._sample_shape or y.ndim != x.ndim:
            rule = f"give samples of the shape of the data, {_words(self._sample_shape)} each"
            raise InputError("G", rule, f"found shape {getattr(y, 'shape', type(y).__name__)}")
        for name, points in (("the data", x), ("samples of G", y)):
            s = _traced(jax, "D", self._nets[0].apply, psi, points)
            if not hasattr(s, "shape") or s.size != points.shape[0]:
                rule = f"give one score for each of the {points.shape[0]} points of {name}"
                raise InputError("D", rule, f"found shape {getattr(s, 'shape', type(s).__name__)}")
        real, fake = (jax.ShapeDtypeStruct((n,), float) for n in (x.shape[0], y.shape[0]))
        for player, objective in zip("DG", self._objectives, strict=True):
            value = _traced(jax, f"loss of {player}", objective, real, fake)
            if not hasattr(value, "shape") or value.size != 1:
                found = f"found shape {getattr(value, 'shape', type(value).__name__)}"
                raise InputError(f"loss of {player}", "be one number of (real scores, fake scores)", found)
        check_alive(jax, self._nets, self._objectives, x, z)

    @property
    def weights(self) -> tuple[Array, Array]:
        """psi (n_D,) and theta (n_G,), copies."""
        return self._nets[0].flat.copy(), self._nets[1].flat.copy()

    def tree(self, player: int, flat: Array) -> Any:
        """The params of a player (0: D, 1: G) with these trained weights (n,), as a tree of float64 arrays."""
        net = self._nets[player]
        with require_jax().enable_x64(True):
            return require_jax().tree.map(
                np.asarray, net.unflatten(_vector(f"weights of {'DG'[player]}", flat, net.size))
            )

    def flat(self, player: int, tree: Any) -> Array:
        """Of a tree like the params of a player (an optimiser's moments), the entries of trained weights (n,)."""
        return self._nets[player].flatten(tree)

    def objective(self, player: int, psi: Array, theta: Array, strengths: Mapping[str, float], batch: int = 0) -> float:
        """What the player minimises."""
        return float(self._call("objective", player, psi, theta, (), strengths, batch))

    def gradient(self, player: int, psi: Array, theta: Array, strengths: Mapping[str, float], batch: int = 0) -> Array:
        """The gradient of the player's objective in its own weights, (n,)."""
        return self._call("gradient", player, psi, theta, (), strengths, batch)

    def push(
        self, player: int, psi: Array, theta: Array, d_psi: Array, d_theta: Array, strengths: Mapping[str, float],
        batch: int = 0,
    ) -> Array:  # fmt: skip
        """The derivative of ``gradient`` along (d_psi, d_theta), (n,)."""
        along = (_vector("d_psi", d_psi, self.sizes[0]), _vector("d_theta", d_theta, self.sizes[1]))
        return self._call("push", player, psi, theta, along, strengths, batch)

    def pull(
        self, player: int, psi: Array, theta: Array, w: Array, strengths: Mapping[str, float], batch: int = 0
    ) -> tuple[Array, Array]:
        """The gradient in (psi, theta) of w . ``gradient``: the transpose of ``push``."""
        return self._call("pull", player, psi, theta, (_vector("w", w, self.sizes[player]),), strengths, batch)

    def real(self, batch: int = 0) -> Array:
        """The data of a mini-batch, (N, ...)."""
        return np.asarray(self._data[self._index(batch)])

    @double
    def losses(self, real: Array, fake: Array) -> tuple[float, float]:
        """(loss of D, loss of G) of given scores at the data and at the generated samples, without penalties."""
        scores = [require_jax().numpy.asarray(s, dtype=float) for s in (real, fake)]
        loss_D, loss_G = (float(objective(*scores)) for objective in self._objectives)
        return loss_D, loss_G

    @double
    def generated(self, theta: Array, batch: int = 0) -> Array:
        """G(latents), (N, ...) in the shape of the data."""
        return np.asarray(self._do.generated(self._theta(theta), self._latents[self._index(batch)]))

    @double
    def generator_push(self, theta: Array, d_theta: Array, batch: int = 0) -> Array:
        """The derivative of the samples along d_theta, (N, d)."""
        z = self._latents[self._index(batch)]
        out = self._do.generator_push(self._theta(theta), _vector("d_theta", d_theta, self.sizes[1]), z)
        return np.asarray(out).reshape(len(out), -1)

    @double
    def generator_pull(self, theta: Array, u: Array, batch: int = 0) -> Array:
        """Its transpose: the gradient in theta of the sum of u (N, d) * samples, (n_G,)."""
        z = self._latents[self._index(batch)]
        u = np.reshape(np.asarray(u, dtype=float), (-1, *self._sample_shape))
        return np.asarray(self._do.generator_pull(self._theta(theta), u, z))

    @double
    def scores(self, psi: Array, X: Array) -> Array:
        """D at the points X (M, d) or (M, ...), (M,)."""
        return np.asarray(self._do.scores(self._psi(psi), self._points(X)))

    @double
    def slopes(self, psi: Array, X: Array) -> Array:
        """grad_x D at the points, (M, d)."""
        out = np.asarray(self._do.slopes(self._psi(psi), self._points(X)))
        return out.reshape(len(out), -1)

    @double
    def rows_push(self, psi: Array, X: Array, d_psi: Array) -> tuple[Array, Array]:
        """B d_psi: the derivatives of D (M,) and of grad_x D (M, d) along d_psi."""
        along = _vector("d_psi", d_psi, self.sizes[0])
        values, slopes = self._do.rows_push(self._psi(psi), self._points(X), along)
        return np.asarray(values), np.asarray(slopes).reshape(len(values), -1)

    @double
    def rows_pull(self, psi: Array, X: Array, a: Array, u: Array) -> Array:
        """B^T (a, u): the gradient in psi of sum_m a_m D(x_m) + u_m . grad_x D(x_m), (n_D,)."""
        points = self._points(X)
        u = np.reshape(np.asarray(u, dtype=float), points.shape)
        return np.asarray(self._do.rows_pull(self._psi(psi), points, _vector("a", a, len(points)), u))

    @double
    def _call(
        self, name: str, player: int, psi: Array, theta: Array, along: tuple[Any, ...],
        strengths: Mapping[str, float], batch: int,
    ) -> Any:  # fmt: skip
        if player not in (0, 1):
            raise InputError("player", "be 0 (the discriminator) or 1 (the generator)", player)
        i = self._index(batch)
        args = (self._psi(psi), self._theta(theta), _strengths(strengths), self._data[i], self._latents[i])
        out = getattr(self._do, name)[player](*args, *along)
        return tuple(map(np.asarray, out)) if isinstance(out, tuple) else np.asarray(out)

    def _psi(self, psi: Array) -> Array:
        return _vector("psi", psi, self.sizes[0])

    def _theta(self, theta: Array) -> Array:
        return _vector("theta", theta, self.sizes[1])

    def _points(self, X: Array) -> Array:
        X = np.asarray(X, dtype=float)
        if X.size != len(X) * int(np.prod(self._sample_shape)):
            raise InputError("X", f"be points of the shape of the data, {_words(self._sample_shape)} each", X.shape)
        return X.reshape(len(X), *self._sample_shape)

    def _index(self, batch: int) -> int:
        if not 0 <= batch < self.batches:
            raise InputError("batch", f"be a mini-batch, 0 to {self.batches - 1}", batch)
        return batch


def _strengths(strengths: Mapping[str, float]) -> dict[str, float]:
    """The coefficients of the penalties' terms that are there, by the names of ``tables.penalties.Coefficients``."""
    for key, value in strengths.items():
        if key not in KEYS:
            raise InputError("strengths", f"be of {', '.join(KEYS)}", repr(key))
        if not np.isfinite(value):
            raise InputError(key, "be a finite number", value)
    return {name: float(value) for name, value in coefficients(**strengths)._asdict().items() if value != 0}


def _vector(name: str, value: Array, size: int) -> Array:
    value = np.asarray(value, dtype=float)
    if value.shape != (size,):
        raise InputError(name, f"be a vector of {size} numbers", f"found shape {value.shape}")
    return value


def _batches(name: str, value: Any) -> list[Array]:
    given = value if isinstance(value, list | tuple) else [value]
    for one in given:
        check_samples(name, one)
    found = [numbers(name, one).astype(float) for one in given]
    if not found:
        raise InputError(name, "hold a mini-batch at least", "found none")
    if name == "data" and len(found) == 2 and found[0].ndim != found[1].ndim:
        raise InputError(name, "be samples, or a list of mini-batches of them", LABELS)
    for one in found:
        if one.ndim < 1 or not one.size or one.shape[1:] != found[0].shape[1:]:
            raise InputError(name, "be (N, ...), N > 0, points of one shape", f"found shape {one.shape}")
        if not np.all(np.isfinite(one)):
            raise InputError(name, "be finite", f"found {np.sum(~np.isfinite(one))} numbers that are not")
    return found


def _traced(jax: Any, name: str, function: Any, *args: Any) -> Any:
    """The shape of function(*args); its own error is told with the name of what was called."""
    with running(name, "what it is given, in JAX"):
        return jax.eval_shape(function, *args)


def _words(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})" if len(shape) != 1 else f"({shape[0]},)"


def _compiled(jax: Any, D: Any, G: Any, objectives: tuple[Any, ...]) -> Any:
    """All derivatives as compiled functions of flat weights."""
    jnp, jit = jax.numpy, jax.jit

    def scores(psi: Any, X: Any) -> Any:
        return jnp.reshape(D(psi, X), (X.shape[0],))

    def slopes(psi: Any, X: Any) -> Any:  # points do not see each other: the gradient of the sum is that of each
        return jax.grad(lambda x: scores(psi, x).sum())(X)

    def penalty(psi: Any, x: Any, y: Any, of: Mapping[str, Any]) -> Any:
        total = 0.0
        for name, points in (("grad_p", x), ("grad_q", y)):
            if name in of:
                total += of[name] / 2 * (slopes(psi, points) ** 2).sum() / points.shape[0]
        return total + of.get("nu", 0.0) / 2 * (psi**2).sum()

    def objective(player: int, own: Any, other: Any, strengths: Mapping[str, Any], x: Any, z: Any) -> Any:
        psi, theta = (own, other) if player == 0 else (other, own)
        y = G(theta, z)
        value = jnp.reshape(objectives[player](scores(psi, x), scores(psi, y)), ())
        return value + penalty(psi, x, y, strengths) if player == 0 else value

    def gradient(player: int, psi: Any, theta: Any, strengths: Mapping[str, Any], x: Any, z: Any) -> Any:
        own, other = (psi, theta) if player == 0 else (theta, psi)
        return jax.grad(partial(objective, player))(own, other, strengths, x, z)

    def value(player: int, psi: Any, theta: Any, *rest: Any) -> Any:
        own, other = (psi, theta) if player == 0 else (theta, psi)
        return objective(player, own, other, *rest)

    def push(player: int, psi: Any, theta: Any, strengths: Any, x: Any, z: Any, d_psi: Any, d_theta: Any) -> Any:
        return jax.jvp(lambda p, t: gradient(player, p, t, strengths, x, z), (psi, theta), (d_psi, d_theta))[1]

    def pull(player: int, psi: Any, theta: Any, strengths: Any, x: Any, z: Any, w: Any) -> Any:
        return jax.vjp(lambda p, t: gradient(player, p, t, strengths, x, z), psi, theta)[1](w)

    def rows_push(psi: Any, X: Any, d_psi: Any) -> Any:
        return jax.jvp(lambda p: (scores(p, X), slopes(p, X)), (psi,), (d_psi,))[1]

    def rows_pull(psi: Any, X: Any, a: Any, u: Any) -> Any:
        def total(p: Any) -> Any:  # u . grad_x D is the derivative along u: one backward pass for both sums
            values, along = jax.jvp(lambda x: scores(p, x), (X,), (u,))
            return a @ values + along.sum()

        return jax.grad(total)(psi)

    def of_each(function: Any) -> Any:
        return tuple(jit(partial(function, player)) for player in (0, 1))

    return SimpleNamespace(
        objective=of_each(value),
        gradient=of_each(gradient),
        push=of_each(push),
        pull=of_each(pull),
        generated=jit(G),
        generator_push=jit(lambda theta, d, z: jax.jvp(lambda t: G(t, z), (theta,), (d,))[1]),
        generator_pull=jit(lambda theta, u, z: jax.vjp(lambda t: G(t, z), theta)[1](u)[0]),
        scores=jit(scores),
        slopes=jit(slopes),
        rows_push=jit(rows_push),
        rows_pull=jit(rows_pull),
    )


__all__ = ["JaxPlayers"]
