# %% [markdown]
# # Is the advised R1 strength right for training from scratch?
# Six set-ups: 8 points on a ring with fully connected networks, 8 x 8 digits with fully connected and with
# convolutional networks, each with SGD and with Adam; mini-batches of 32, leaky ReLU, alternating, non-saturating
# loss. Each is trained at nine R1 strengths over four decades, from `--draws` starts; what counts is the energy
# distance of 512 generated samples to the data at the end. A user trains at strength 1 for 2 % of the steps, asks
# `eg.advise` and goes on at the advice; with Adam, whose steps depend on the strength trained at, one asks again at
# 5 % and at 10 %. It passes where the geometric mean of the last advices is within a factor 3 of the best strength of
# the sweep, or where its energy distance is within 10 % of the least. When to ask was chosen on
# seed 1; others are tests.
# Run: python -m analyses.advise_training --seed 2 --draws 3 --output out/advise_training

# %%
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import made, options, redraws, sheet
from egan_theory.games.game import game
from egan_theory.games.optimizers import Optimizer
from egan_theory.show.style import BLUE, VERMILLION

BATCH, SAMPLES, WIDTH, CHANNELS, LEAK = 32, 512, 64, (8, 16), 0.2
BETA = (0.0, 0.99)
#: mini-batches that an advice sees, strength of the first steps, and when it is asked, in parts of the horizon
ASKED_WITH, FIRST, ASKED = 2, 1.0, (0.02, 0.05, 0.1)
FACTOR, QUALITY = 3.0, 1.1

Array = np.ndarray


class Setup(NamedTuple):
    """lowest: of the nine strengths."""

    name: str
    data: str
    networks: str
    optimizer: str
    rate: float
    steps: int
    lowest: float

    @property
    def strengths(self) -> Array:
        return self.lowest * np.geomspace(1, 1e4, 9)


SETUPS = (
    Setup("ring, MLP, SGD", "ring", "mlp", "sgd", 0.05, 3000, 0.01),
    Setup("ring, MLP, Adam", "ring", "mlp", "adam", 0.001, 3000, 0.01),
    Setup("digits, MLP, SGD", "digits", "mlp", "sgd", 0.05, 3000, 0.1),
    Setup("digits, MLP, Adam", "digits", "mlp", "adam", 0.001, 2000, 0.1),
    Setup("digits, convolutional, SGD", "digits", "conv", "sgd", 0.05, 3000, 0.1),
    Setup("digits, convolutional, Adam", "digits", "conv", "adam", 0.001, 2000, 0.1),
)


# %% Networks: functions of (weights, batch), and their starts
def active(x: Any) -> Any:
    return jax.nn.leaky_relu(x, LEAK)


def layer(key: Any, inputs: int, outputs: int) -> list[Any]:
    """Uniform within 1 / sqrt(inputs), PyTorch's default."""
    bound = inputs**-0.5
    shapes = ((inputs, outputs), (outputs,))
    return [
        jax.random.uniform(k, s, minval=-bound, maxval=bound)
        for k, s in zip(jax.random.split(key), shapes, strict=True)
    ]


def layers(sizes: list[tuple[int, int]], key: Any) -> list[Any]:
    return [layer(k, *size) for k, size in zip(jax.random.split(key, len(sizes)), sizes, strict=True)]


def mlp(p: Any, x: Any) -> Any:
    for weight, bias in p[:-1]:
        x = active(x @ weight + bias)
    return x @ p[-1][0] + p[-1][1]


def conv(x: Any, weight: Any, bias: Any, stride: int = 1) -> Any:
    """3 x 3, (n, height, width, channels), as a product with patches: fast for many networks at once."""
    _, height, width, _ = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = [x[:, i : i + height : stride, j : j + width : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate(patches, -1) @ weight + bias


def conv_D(p: Any, x: Any) -> Any:
    x = active(conv(active(conv(x.reshape(-1, 8, 8, 1), *p[0], 2)), *p[1], 2))
    return x.reshape(len(x), -1) @ p[2][0] + p[2][1]


def conv_G(p: Any, z: Any) -> Any:
    def doubled(x: Any) -> Any:
        return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)

    x = active(z @ p[0][0] + p[0][1]).reshape(-1, 2, 2, CHANNELS[1])
    return conv(doubled(active(conv(doubled(x), *p[1]))), *p[2]).reshape(len(z), 64)


def networks(of: Setup) -> tuple[Callable[..., Any], Callable[..., Any], list, list, int]:
    """(D, G, layers of D, layers of G, dimension of the latents)."""
    few, many = CHANNELS
    if of.networks == "conv":
        inner = [(16, 4 * many), (9 * many, few), (9 * few, 1)]
        return conv_D, conv_G, [(9, few), (9 * few, many), (4 * many, 1)], inner, 16
    d, latents = (2, 4) if of.data == "ring" else (64, 16)
    hidden = (WIDTH, WIDTH)
    return mlp, mlp, [(d, WIDTH), hidden, (WIDTH, 1)], [(latents, WIDTH), hidden, (WIDTH, d)], latents


def data_of(of: Setup) -> Array:
    if of.data == "ring":
        angle = 2 * np.pi * np.arange(8) / 8
        return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    from sklearn.datasets import load_digits

    return (load_digits().data / 8 - 1).astype(np.float32)


# %% Training, of many networks at many strengths at once
class Training:
    """``start``, ``run`` and ``generate`` of one set-up; states are dictionaries of arrays, one row per run."""

    def __init__(self, of: Setup) -> None:
        self.of, self.Y = of, data_of(of)
        self.D, self.G, self.layers_D, self.layers_G, self.latents = networks(of)
        self.start = jax.jit(jax.vmap(self._start))
        self.run = jax.jit(jax.vmap(self._run, (0, 0, 0, None)))

    def _start(self, seed: Any) -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(seed))
        weights = layers(self.layers_D, keys[0]), layers(self.layers_G, keys[1])
        zero = jax.tree.map(jnp.zeros_like, weights)
        return {"D": weights[0], "G": weights[1], "m": zero, "v": zero, "t": jnp.float32(0)}

    def _loss_D(self, D: Any, G: Any, y: Any, z: Any, r1: Any) -> Any:
        slope = jax.grad(lambda y: self.D(D, y).sum())(y)
        losses = jax.nn.softplus(-self.D(D, y)).mean() + jax.nn.softplus(self.D(D, self.G(G, z))).mean()
        return losses + r1 / 2 * (slope**2).sum(1).mean()

    def _loss_G(self, G: Any, D: Any, z: Any) -> Any:
        return jax.nn.softplus(-self.D(D, self.G(G, z))).mean()

    def _moved(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
        if self.of.optimizer == "sgd":
            return jax.tree.map(lambda a, b: a - self.of.rate * b, p, g), m, v
        m = jax.tree.map(lambda a, b: BETA[0] * a + (1 - BETA[0]) * b, m, g)
        v = jax.tree.map(lambda a, b: BETA[1] * a + (1 - BETA[1]) * b * b, v, g)
        step = partial(jax.tree.map, lambda a, m, v: a - self.of.rate * m / (1 - BETA[0] ** t)
                       / (jnp.sqrt(v / (1 - BETA[1] ** t)) + 1e-8))  # fmt: skip
        return step(p, m, v), m, v

    def _step(self, s: dict[str, Any], key: Any, r1: Any) -> dict[str, Any]:
        keys = jax.random.split(key, 3)
        y = jnp.asarray(self.Y)
        if len(y) > BATCH:
            y = y[jax.random.randint(keys[0], (BATCH,), 0, len(y))]
        z, other = (jax.random.normal(k, (BATCH, self.latents)) for k in keys[1:])
        t = s["t"] + 1
        D, m_D, v_D = self._moved(s["D"], jax.grad(self._loss_D)(s["D"], s["G"], y, z, r1), s["m"][0], s["v"][0], t)
        G, m_G, v_G = self._moved(s["G"], jax.grad(self._loss_G)(s["G"], D, other), s["m"][1], s["v"][1], t)
        return {"D": D, "G": G, "m": (m_D, m_G), "v": (v_D, v_G), "t": t}

    def _run(self, s: dict[str, Any], seed: Any, r1: Any, steps: Any) -> dict[str, Any]:
        key = jax.random.fold_in(jax.random.key(seed), 77)

        def one(_: Any, s: dict[str, Any]) -> dict[str, Any]:
            return self._step(s, jax.random.fold_in(key, s["t"].astype(int)), r1)

        return jax.lax.fori_loop(0, steps, one, s)

    def energies(self, s: dict[str, Any]) -> Array:
        """Energy distance of generated samples to the data, one per run; nan where training diverged."""
        z = jax.random.normal(jax.random.key(999), (SAMPLES, self.latents))
        made = np.asarray(jax.vmap(lambda G: self.G(G, z))(s["G"]), dtype=float)
        Y = self.Y.astype(float)
        own = distances(Y, Y).mean()
        return np.array([
            2 * distances(x, Y).mean() - distances(x, x).sum() / (SAMPLES * (SAMPLES - 1)) - own
            if np.isfinite(x).all() else np.nan
            for x in made
        ])  # fmt: skip

    def advice(self, s: dict[str, Any], r1: float, steps: int, seed: int) -> eg.Advice:
        """`eg.advise` as a user asks it, of one run's state."""
        rng, of = np.random.default_rng([seed, 3]), self.of
        data, latents = [], []
        for _ in range(ASKED_WITH):
            data.append(self.Y if len(self.Y) <= BATCH else self.Y[rng.choice(len(self.Y), BATCH, replace=False)])
            latents.append(rng.standard_normal((BATCH, self.latents)))
        adam = {"learning_rate": of.rate, "beta1": BETA[0], "beta2": BETA[1], "eps": 1e-8}
        players = [jax.tree.map(np.asarray, s[player]) for player in "DG"]
        optimizers = [
            Optimizer("adam", adam, {name: flat(s[name][i]) for name in "mv"}, int(s["t"]))
            if of.optimizer == "adam" else Optimizer("sgd", {"learning_rate": of.rate})
            for i in range(2)
        ]  # fmt: skip
        at = game(
            (lambda p, x: self.D(p, x)[:, 0], players[0]), (self.G, players[1]), loss="non_saturating", data=data,
            latents=latents, optimizers=(optimizers[0], optimizers[1]), penalty={"r1": r1},
        )  # fmt: skip
        return eg.advise(at, horizon=steps, fresh=len(self.Y) > BATCH)


def flat(tree: Any) -> Array:
    return np.concatenate([np.asarray(leaf, dtype=float).ravel() for leaf in jax.tree.leaves(tree)])


def distances(a: Array, b: Array) -> Array:
    return np.sqrt(np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0))


# %% One set-up
def examine(of: Setup, seed: int, draws: int) -> xr.Dataset:
    """The sweep, the advices, and what they lead to."""
    began = time.perf_counter()
    training, n = Training(of), len(of.strengths)
    seeds = 1000 * seed + np.arange(draws)
    rows = jnp.asarray(np.repeat(seeds, n))
    s = training.run(training.start(rows), rows, jnp.asarray(np.tile(of.strengths, draws), jnp.float32), of.steps)
    energy = training.energies(s).reshape(draws, n)
    s = training.start(jnp.asarray(seeds))
    strength, done = np.full(draws, FIRST), 0
    asked: list[Array] = []
    said: list[eg.Advice] = []
    for part in ASKED:
        at = int(part * of.steps)
        s = training.run(s, jnp.asarray(seeds), jnp.asarray(strength, jnp.float32), at - done)
        done = at
        if part == ASKED[0] or of.optimizer == "adam":
            states = [jax.tree.map(lambda a, i=i: a[i], s) for i in range(draws)]
            said = [
                training.advice(one, float(strength[i]), of.steps - at, int(seeds[i])) for i, one in enumerate(states)
            ]
        strength = np.array([a.best for a in said])
        asked.append(strength)
    s = training.run(s, jnp.asarray(seeds), jnp.asarray(strength, jnp.float32), of.steps - done)
    reached = training.energies(s)
    predicted = np.array(
        [np.interp(np.log(of.strengths), np.log(a.strengths), a.lefts.max(0), right=np.nan) for a in said]
    )
    mean = energy.mean(0)
    best = int(np.nanargmin(mean))
    advised = float(np.exp(np.log(np.maximum(strength, 1e-300)).mean()))
    factor = float(max(advised / of.strengths[best], of.strengths[best] / advised))
    excess = float(reached.mean() / mean[best])
    passed = factor <= FACTOR or excess <= QUALITY
    before = "; ".join(str(np.round(a, 3)) for a in asked[:-1])
    print(
        f"{of.name:28s} best {of.strengths[best]:.3g} ({mean[best]:.4f}), advised {np.round(strength, 3)} (before: "
        f"{before}): {'passes' if passed else 'FAILS'}, a factor {factor:.2f} from it, {excess:.2f} times its "
        f"distance; {time.perf_counter() - began:.0f} s",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    length = {"units": "length"}
    return xr.Dataset(
        {
            "strength": ("point", of.strengths, {"long_name": "R1 strength", "units": "1"}),
            "energy": (("draw", "point"), energy, {"long_name": "energy distance to the data at the end", **length}),
            "advised": (("time", "draw"), np.array(asked), {"long_name": "advised R1 strength", "units": "1"}),
            "reached": ("draw", reached, {"long_name": "energy distance at the end, at the advice", **length}),
            "left": (("draw", "point"), predicted, {"long_name": "predicted: left of what D sees", "units": "1"}),
            "edge": ("draw", [a.edge for a in said], {"long_name": "edge of stability at the last", "units": "1"}),
            "factor": ((), factor, {"long_name": "factor between advice and best", "units": "1"}),
            "excess": ((), excess, {"long_name": "energy distance at the advice over the least", "units": "1"}),
            "passed": ((), passed),
        },
        coords={"time": list(ASKED)},
    )


def study(seed: int, draws: int, setups: tuple[Setup, ...] = SETUPS) -> xr.Dataset:
    """One row per set-up."""
    parts = [examine(of, seed, draws) for of in setups]
    ds = xr.concat(parts, "setup", combine_attrs="drop", data_vars="all")
    return ds.assign_coords(setup=[of.name for of in setups]).assign_attrs(seed=seed, draws=draws)


def figure(ds: xr.Dataset) -> Any:
    """Every set-up: energy distance against strength, and the advice."""
    fig, axes = sheet(2, -(-ds.sizes["setup"] // 2), 6.0, squeeze=False)
    axes = axes.T.ravel()
    for i, ax in enumerate(axes[: ds.sizes["setup"]]):
        row = ds.isel(setup=i)
        x, mean = row["strength"].values, row["energy"].values.mean(0)
        best = int(np.nanargmin(mean))
        ax.axvspan(x[best] / FACTOR, x[best] * FACTOR, color=BLUE, alpha=0.12, lw=0, label="factor 3 around the best")
        ax.loglog(x, row["energy"].values.T, "o", color=BLUE, ms=3, alpha=0.5)
        ax.loglog(x, mean, "-", color=BLUE, label="trained at one strength: each start, mean")
        ax.loglog(np.clip(row["advised"].values[-1], x[0], x[-1]), row["reached"], "D", color=VERMILLION, ms=7,
                  label="at the advice")  # fmt: skip
        word = "" if bool(row["passed"]) else "fails: "
        ax.set_title(f"{word}{row['setup'].values}:\nfactor {float(row['factor']):.2g}, "
                     f"{float(row['excess']):.2f} of the least", fontsize=9.5)  # fmt: skip
    for unused in axes[ds.sizes["setup"] :]:
        unused.set_visible(False)
    fig.supxlabel("R1 strength (length²)", fontsize=11)
    fig.supylabel("energy distance to the data (units of the data)", fontsize=11)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("advise_training", draws=3, help_seed="of starts and batches", help_draws="starts")
    parser.add_argument("--setups", type=int, default=len(SETUPS), help="how many of the set-ups, from the first on")
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, SETUPS[: args.setups]), figure)
    print(f"{int(ds['passed'].sum())} of {ds.sizes['setup']} set-ups pass")
    return ds


# %%
if __name__ == "__main__":
    main()
