# %% [markdown]
# # How far does the advice reach on a GAN that people train?
# Eight 8 x 8 images of digits, one latent each, a convolutional discriminator and generator (leaky ReLU, PyTorch's
# default initialisation, no dropout, no batch statistics), full batch, SGD, non-saturating loss with R1. Every network
# is trained from its start at nine R1 strengths and at the strengths that `eg.advise` gives for this length of
# training, once at the start and once at the checkpoint where training at that first advice ended; and from where the
# best strength of the sweep led it is trained on for as long, at the nine and at the advice of that checkpoint. An
# advice is good where its energy distance to the images at the end is at most 1.2 times the least of the sweep. Beside
# it stands how far from its assumptions the theory was asked: distance from equilibrium, drift of both kernels, and how
# much of the generator's own kernel its two numbers hold, with the linear theory of that whole kernel (and kappa) for
# comparison.
# Run: python -m analyses.fixed_images --seed 1 --draws 3 --output out/fixed_images

# %%
from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import egan_theory as eg
from analyses.script import made, options, redraws, sheet
from egan_theory.advice.reach import drift
from egan_theory.advice.result import Advice
from egan_theory.features.networks.tangent import TangentFeatures
from egan_theory.linear.kick import dense_answer
from egan_theory.show.style import BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from egan_theory.tables.losses import get_loss
from egan_theory.tables.updates import UpdateRule

IMAGES, SIDE, LATENT, CHANNELS = 8, 8, 16, (16, 32)
RATE, STEPS, RECORDS = 0.05, 6000, 12
STRENGTHS = np.array([0.0, *np.geomspace(0.01, 144, 8)])
#: the advised strength may leave at most this many times the least of the sweep
ALLOWED = 1.2
#: strengths that differ by more than this factor are different ones: the sweep's are 4 apart
FAR = 5.0
LEAK = 0.2

Array = np.ndarray
Params = dict[str, Any]


# %% The two networks
def conv(x: Any, weight: Any, bias: Any, stride: int = 1) -> Any:
    """3 x 3 convolution, (n, channels, height, width)."""
    return jax.lax.conv_general_dilated(x, weight, (stride, stride), ((1, 1), (1, 1))) + bias[:, None, None]


def active(x: Any) -> Any:
    return jax.nn.leaky_relu(x, LEAK)


def discriminate(p: Params, x: Any) -> Any:
    """D(x), (n,) of images (n, 8, 8)."""
    x = active(conv(x[:, None], p["k1"], p["b1"], 2))
    x = active(conv(x, p["k2"], p["b2"], 2))
    return x.reshape(len(x), -1) @ p["w"] + p["b"]


def generate(p: Params, z: Any) -> Any:
    """Images (n, 8, 8) of latents."""
    x = active(z @ p["w"] + p["b"]).reshape(len(z), CHANNELS[1], 2, 2)
    x = active(conv(doubled(x), p["k1"], p["b1"]))
    return conv(doubled(x), p["k2"], p["b2"])[:, 0]


def doubled(x: Any) -> Any:
    return jnp.repeat(jnp.repeat(x, 2, -1), 2, -2)


def start(seed: int) -> tuple[Params, Params, Array]:
    """(D's weights, G's weights, latents): uniform within 1 / sqrt(fan-in); latents of norm sqrt(dimension)."""
    rng = np.random.default_rng([seed, 1])
    few, many = CHANNELS

    def layer(weight: str, bias: str, shape: tuple[int, ...], fan: int, outputs: tuple[int, ...]) -> Params:
        bound = fan**-0.5
        return {weight: rng.uniform(-bound, bound, shape), bias: rng.uniform(-bound, bound, outputs)}

    D = (
        layer("k1", "b1", (few, 1, 3, 3), 9, (few,))
        | layer("k2", "b2", (many, few, 3, 3), 9 * few, (many,))
        | layer("w", "b", (4 * many,), 4 * many, ())
    )
    G = (
        layer("w", "b", (LATENT, 4 * many), LATENT, (4 * many,))
        | layer("k1", "b1", (few, many, 3, 3), 9 * many, (few,))
        | layer("k2", "b2", (1, few, 3, 3), 9 * few, (1,))
    )
    z = rng.standard_normal((IMAGES, LATENT))
    single = partial(np.asarray, dtype=np.float32)
    z *= LATENT**0.5 / np.linalg.norm(z, axis=1)[:, None]
    return jax.tree.map(single, D), jax.tree.map(single, G), single(z)


def images(seed: int) -> Array:
    """Eight digits, pixels from -1 to 1."""
    from sklearn.datasets import load_digits

    every = load_digits().images / 8 - 1
    return np.asarray(every[np.random.default_rng(seed).choice(len(every), IMAGES, replace=False)], dtype=np.float32)


# %% Training: D, then G against the new D
def loss_of_D(D: Params, G: Params, z: Any, y: Any, r1: Any) -> Any:
    slope = jax.grad(lambda y: discriminate(D, y).sum())(y)
    penalty = r1 / 2 * (slope**2).sum((1, 2)).mean()
    on_data, on_generated = discriminate(D, y), discriminate(D, generate(G, z))
    return jax.nn.softplus(-on_data).mean() + jax.nn.softplus(on_generated).mean() + penalty


def loss_of_G(G: Params, D: Params, z: Any) -> Any:
    return jax.nn.softplus(-discriminate(D, generate(G, z))).mean()


@lru_cache(maxsize=4)
def trainer(steps: int) -> Callable[..., Any]:
    """``steps`` steps of both players, compiled once for all networks and strengths."""

    def down(p: Params, gradient: Params) -> Params:
        return jax.tree.map(lambda a, b: a - RATE * b, p, gradient)

    def one(_: Any, state: Any) -> Any:
        D, G, z, y, r1 = state
        D = down(D, jax.grad(loss_of_D)(D, G, z, y, r1))
        return D, down(G, jax.grad(loss_of_G)(G, D, z)), z, y, r1

    return jax.jit(lambda state: jax.lax.fori_loop(0, steps, one, state))


def trained(
    seed: int, y: Array, r1: float, steps: int, weights: tuple[Params, Params] | None = None
) -> tuple[Array, Params, Params]:
    """(images generated at the RECORDS + 1 times (time, n, 64), D, G at the end), from ``weights`` or the start."""
    D, G, z = start(seed)
    D, G = (D, G) if weights is None else weights
    state, advance = (D, G, z, y, np.float32(r1)), trainer(steps // RECORDS)
    seen = [generate(G, z)]
    for _ in range(RECORDS):
        state = advance(state)
        seen.append(generate(state[1], z))
    return np.asarray(seen, dtype=float).reshape(len(seen), IMAGES, -1), state[0], state[1]


# %% Distances
def energy_distance(x: Array, y: Array) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|; nan where training diverged."""
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()) if np.isfinite(x).all() else np.nan


def displacement(x: Array, y: Array) -> float:
    """rms distance from the images, each generated one matched with one of them."""
    if not np.isfinite(x).all():
        return np.nan
    square = cdist(x, y, "sqeuclidean")
    return float(np.sqrt(square[linear_sum_assignment(square)].mean()))


# %% What theory says at one checkpoint
def one_image(p: Params, x: Any) -> Any:
    return discriminate(p, x[None])[0]


def generator_kernel(G: Params, z: Array) -> tuple[Array, float, float, float]:
    """(Theta (n d, n d), g1, g2, share of |Theta|^2 that g1 and g2 hold)."""
    with jax.enable_x64(True):
        G64 = jax.tree.map(lambda a: jnp.asarray(a, dtype=float), G)
        J = jax.jacrev(lambda p: generate(p, jnp.asarray(z, dtype=float)).reshape(IMAGES, -1))(G64)
        rows = np.concatenate([np.asarray(leaf).reshape(IMAGES * SIDE**2, -1) for leaf in jax.tree.leaves(J)], axis=1)
    theta = rows @ rows.T
    traces = np.einsum("iaja->ij", theta.reshape(IMAGES, SIDE**2, IMAGES, SIDE**2)) / SIDE**2
    g1 = float(np.trace(traces)) / IMAGES
    g2 = (float(traces.sum()) - IMAGES * g1) / (IMAGES * (IMAGES - 1))
    two = np.kron((g1 - g2) * np.eye(IMAGES) + g2, np.eye(SIDE**2))
    return theta, g1, g2, float(1 - np.linalg.norm(theta - two) ** 2 / np.linalg.norm(theta) ** 2)


def advised(D: Params, G: Params, z: Array, y: Array, steps: int, later: Params | None) -> Advice:
    """`eg.advise` as a user would ask it at these weights."""
    _, g1, g2, _ = generator_kernel(G, z)
    training = {
        "loss": {"kind": "non_saturating"},
        "discriminator": {"learning_rate": RATE},
        "generator": {"learning_rate": RATE, "kernel": {"diagonal": g1, "ratio": max(g2 / g1, 0.0)}},
        "update": {"rule": "alternating"},
    }
    return eg.advise(
        one_image, D, y, training, horizon=steps, batch_size=IMAGES, variations=False, later=later,
        generated=np.asarray(generate(G, z)),
    )  # fmt: skip


def left_with_whole_kernel(D: Params, G: Params, z: Array, y: Array, steps: int, strengths: Array) -> Array:
    """What the linear theory leaves with the generator's whole tangent kernel and with kappa, nothing left out: J on
    (w, x), dw = -eta (A w + c B^T x / n), dx = eta b Theta B w / n, A = (kappa Psi^T Psi + r1 B^T B) / n."""
    theta, loss = generator_kernel(G, z)[0], get_loss("non_saturating")
    flat = lambda p, x: one_image(p, x.reshape(SIDE, SIDE))  # noqa: E731
    rows = TangentFeatures(flat, D).seen_rows(np.asarray(y, dtype=float).reshape(IMAGES, -1))[0]
    psi, B = rows[:IMAGES], rows[IMAGES:]
    out = []
    for strength in strengths:
        A = (loss.kappa * psi.T @ psi + strength * B.T @ B) / IMAGES
        J = RATE * np.block([[-A, -loss.c * B.T / IMAGES], [loss.b * theta @ B / IMAGES, np.zeros((len(B), len(B)))]])
        with np.errstate(over="ignore", invalid="ignore"):
            P = dense_answer(J, len(A), UpdateRule("alternating"), steps)
            out.append(float(np.sqrt((P**2).mean() * len(P))))
    return np.array(out)


# %% The study
def examine(seed: int, index: int, y: Array, steps: int, whole: bool) -> xr.Dataset:
    """One network: the sweep, both advices and their trainings; points[:9] are the sweep's strengths."""
    Y = np.asarray(y, dtype=float).reshape(IMAGES, -1)
    own = 1000 * seed + index
    D0, G0, z = start(own)
    first = advised(D0, G0, z, y, steps, None)
    x, D1, G1 = trained(own, y, first.best, steps)
    last = advised(D1, G1, z, y, steps, D0)
    points = np.append(STRENGTHS, [first.best, last.best])
    swept = [trained(own, y, s, steps) for s in STRENGTHS]
    runs = [*(run[0] for run in swept), x, trained(own, y, last.best, steps)[0]]
    energy = np.array([[energy_distance(v, Y) for v in run] for run in runs])
    away = np.array([[displacement(v, Y) for v in run] for run in runs])
    kernels = [generator_kernel(G, z) for G in (G0, G1)]
    nothing = np.full(len(STRENGTHS), np.nan)
    theory = [left_with_whole_kernel(*at, z, y, steps, STRENGTHS) if whole else nothing for at in ((D0, G0), (D1, G1))]
    best = int(np.nanargmin(energy[: len(STRENGTHS), -1]))
    least = float(energy[best, -1])
    near, further = continued(own, y, swept[best][1:], steps)
    curve = np.geomspace(STRENGTHS[1], STRENGTHS[-1], 60)
    predicted = [np.interp(np.log(curve), np.log(a.strengths), np.log(a.lefts[0])) for a in (first, last)]

    def named(value: Any, name: str, units: str = "1") -> tuple[Any, Any, dict[str, str]]:
        dims = {0: (), 1: "checkpoint"}
        return dims[np.ndim(value)], value, {"long_name": name, "units": units}

    reaches = [a.reach for a in (first, last)]
    return xr.Dataset(
        {
            "strength": ("point", points, {"long_name": "R1 strength", "units": "1"}),
            "energy": (("point", "time"), energy, {"long_name": "energy distance to the images", "units": "length"}),
            "displacement": (("point", "time"), away, {"long_name": "rms distance from matched images",
                                                       "units": "length"}),
            "predicted_left": (("checkpoint", "line"), np.exp(predicted),
                               {"long_name": "predicted left of a kick, two kernel numbers", "units": "1"}),
            "predicted_left_whole": (("checkpoint", "swept"), np.array(theory),
                                     {"long_name": "predicted left of a kick, whole kernels", "units": "1"}),
            "advised": named(points[-2:], "advised R1 strength"),
            "excess": named(energy[-2:, -1] / least, "energy distance at the advice over the least of the sweep"),
            "continued_strength": ("further", np.append(STRENGTHS, near.best),
                                   {"long_name": "R1 strength after the best run of the sweep", "units": "1"}),
            "continued_energy": ("further", further, {"long_name": "energy distance after as many steps more",
                                                      "units": "length"}),
            "continued_excess": named(further[-1] / float(np.nanmin(further[:-1])),
                                      "energy distance at the advice over the least, continued"),
            "least": named(least, "least energy distance of the sweep", "length"),
            "e_folds": named([r.e_folds for r in reaches], "e-folds that theory predicts within the training"),
            "particles": named([r.particles for r in reaches], "distance from the data over that between data points"),
            "value_offset": named([r.value_offset for r in reaches], "rms of D - D* at the data"),
            "kernel_drift": named(reaches[1].drift, "change of D's kernel over the training, relative to the end"),
            "generator_drift": named(drift(kernels[0][0], kernels[1][0]),
                                     "change of the generator's kernel over the training, relative to the start"),
            "kernel_share": named([k[3] for k in kernels], "share of the generator's kernel in its two numbers"),
            "g1": named([k[1] for k in kernels], "g1"),
        },
        coords={"time": ("time", steps // RECORDS * np.arange(RECORDS + 1), {"units": "steps"}),
                "curve": ("line", curve, {"long_name": "R1 strength", "units": "1"}),
                "checkpoint": ["start", "end"], "swept": STRENGTHS},
    )  # fmt: skip


def continued(own: int, y: Array, weights: tuple[Params, Params], steps: int) -> tuple[Advice, Array]:
    """(the advice at these weights, energy distances after as many steps more at the sweep's strengths and at it)."""
    D0, _, z = start(own)
    advice = advised(*weights, z, y, steps, D0)
    Y = np.asarray(y, dtype=float).reshape(IMAGES, -1)
    ends = [trained(own, y, s, steps, weights)[0][-1] for s in (*STRENGTHS, advice.best)]
    return advice, np.array([energy_distance(end, Y) for end in ends])


def study(seed: int, draws: int, steps: int = STEPS, whole: bool = True) -> xr.Dataset:
    """One row per network, all on the same images; ``whole``: with the linear theory of whole kernels."""
    y, parts = images(seed), []
    for i in range(draws):
        parts.append(examine(seed, i, y, steps, whole))
        print(says(parts[-1], i), file=sys.stderr, flush=True)
    ds = xr.concat(parts, "draw", combine_attrs="drop", data_vars="all", coords="minimal")
    return ds.assign_attrs(seed=seed, draws=draws, steps=steps, allowed=ALLOWED)


def says(row: xr.Dataset, index: int) -> str:
    """One network's findings in words."""
    best, swept = row["energy"].values[: len(STRENGTHS), -1], row["strength"].values[: len(STRENGTHS)]
    one = lambda name, k: float(row[name].values[k])  # noqa: E731
    return (
        f"network {index}: advised {one('advised', 0):.3g} at the start, {one('advised', 1):.3g} at the end of the run "
        f"there; energy distance {one('excess', 0):.2f} and {one('excess', 1):.2f} times the least of the sweep, "
        f"{float(row['least']):.3g} at strength {swept[np.nanargmin(best)]:.3g}. Generated samples "
        f"{one('particles', 0):.2g} and {one('particles', 1):.2g} spacings from the data, |D - D*| "
        f"{one('value_offset', 0):.2g} and {one('value_offset', 1):.2g}, {one('e_folds', 0):.2g} and "
        f"{one('e_folds', 1):.2g} e-folds predicted; kernels of D and G move by {float(row['kernel_drift']):.0%} and "
        f"{float(row['generator_drift']):.0%}, two numbers hold {one('kernel_share', 0):.0%} and "
        f"{one('kernel_share', 1):.0%} of the generator's. Trained on from the best of the sweep: advised "
        f"{float(row['continued_strength'][-1]):.3g}, {float(row['continued_excess']):.2f} times the least."
    )


def verdict(ds: xr.Dataset) -> str:
    """Whether theory reaches this far, and if not, the measured reason."""
    excess = ds["excess"].values
    if np.all(excess <= ds.attrs["allowed"]):
        return f"The advice is within {ds.attrs['allowed']:g} times the least of the sweep for all networks."
    good = [int((excess[:, k] <= ds.attrs["allowed"]).sum()) for k in (0, 1)]
    middle = lambda name: np.median(ds[name].values, axis=0)  # noqa: E731
    spacings, share = middle("particles"), middle("kernel_share")
    text = (
        f"Theory does not reach that far: {good[0]} (asked at the start) and {good[1]} (at the end) of {len(excess)} "
        f"advices are within {ds.attrs['allowed']:g} times the least of the sweep. Measured, medians: training starts "
        f"{spacings[0]:.2g} spacings of the data away from them, the generator's kernel changes by "
        f"{middle('generator_drift'):.0%} of what it was and D's by {middle('kernel_drift'):.0%}; the two numbers that "
        f"stand for the generator's kernel hold {share[0]:.0%} of it at the start, {share[1]:.0%} at the end."
    )
    whole = ds["predicted_left_whole"].values
    if np.isfinite(whole).any():
        swept = ds["swept"].values
        at = [np.median(swept[np.argmin(np.nan_to_num(whole[:, k], nan=np.inf), axis=1)]) for k in (0, 1)]
        best = np.median(swept[np.nanargmin(ds["energy"].values[:, : len(swept), -1], axis=1)])
        text += (
            f" The linear theory of the whole kernels, with nothing left out, has its least at {at[0]:.3g} (start) and "
            f"{at[1]:.3g} (end), training at {best:.3g}."
        )
        if min(at) > FAR * best or max(at) < best / FAR:
            text += " So it is not the two numbers: there remain the distance from equilibrium and the moving kernels."
    further = ds["continued_excess"].values
    text += (
        f" Nearer the end it does better: trained on for as long from where the best strength led, the advice leaves "
        f"{further.min():.2f} to {further.max():.2f} times the least."
        if np.median(further) < np.median(excess)
        else ""
    )
    return text


def figure(ds: xr.Dataset):
    """Per network: energy distance at the end of training against strength, and at the advised ones."""
    n, count = len(STRENGTHS), ds.sizes["draw"]
    fig, axes = sheet(1, count, 5.2, sharey=True, squeeze=False)
    shown = lambda s: np.where(s > 0, s, STRENGTHS[1] / 4)  # noqa: E731
    for i, ax in enumerate(axes[0]):
        row = ds.isel(draw=i)
        swept, energy = row["strength"].values[:n], row["energy"].values[:, -1]
        ax.plot(shown(swept), energy[:n], "o-", color=BLUE, label="trained from scratch (leftmost: 0)")
        for k, (name, colour) in enumerate((("start", GREEN), ("end", PURPLE))):
            ax.plot(shown(np.array([float(row["advised"][k])])), [energy[n + k]], "Ds"[k], color=colour, ms=9,
                    label=f"advice asked at the {name} of training")  # fmt: skip
        more, at = row["continued_energy"].values, row["continued_strength"].values
        ax.plot(shown(at[:n]), more[:n], ".--", color=ORANGE, label="trained on from the best of these")
        ax.plot(shown(at[n:]), more[n:], "*", color=VERMILLION, ms=13, label="advice there")
        lost = ~np.isfinite(energy[:n])
        if lost.any():
            ax.plot(shown(swept[lost]), np.full(lost.sum(), 0.04), "x", color=VERMILLION, ms=8, mew=2,
                    transform=ax.get_xaxis_transform(), label="diverged")  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="R1 strength (length²)")
        ratios = ", ".join(f"{float(v):.2f}" for v in row["excess"])
        ax.set_title(f"network {i}: advice leaves\n{ratios} times the least;\ntrained on "
                     f"{float(row['continued_excess']):.2f} times", fontsize=9.5)  # fmt: skip
    axes[0, 0].set_ylabel("energy distance to the images (norm of an image)")
    told = {k: h for ax in axes[0] for h, k in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(told.values(), told.keys(), loc="outside upper left", ncols=2, frameon=False)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("fixed_images", draws=3, help_seed="of images and networks", help_draws="networks")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, args.steps), figure)
    for i in range(args.draws):
        print(says(ds.isel(draw=i), i))
    print(verdict(ds))
    return ds


# %%
if __name__ == "__main__":
    main()
