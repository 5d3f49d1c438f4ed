# %% [markdown]
# # What does the game's spectrum say of a convolutional GAN on digits, while it trains, at three R1 strengths?
# 64 of the bundled 8 x 8 digits, one latent each, full batch, in PyTorch and float64: a convolutional discriminator and
# generator (8,625 and 10,641 weights), the non-saturating loss, Adam (learning rate 1e-3, beta 0 and 0.99), alternating
# steps. At twelve checkpoints on the way the leading multipliers of the training step are taken by products of its
# Jacobian, at the last one with everything that `game.spectrum()` says; training itself is not touched by it. Beside
# them: the energy distance of the generated images to the data, and the norm of the gradients.
# Run: python -m analyses.game_digits --seed 1 --draws 64 --output out/game_digits

# %%
from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from analyses.script import made, options, redraws, sheet
from egan_theory.games.game import Game, game
from egan_theory.games.result import GameSpectrum
from egan_theory.show.plot.games import KINDS

LATENT, CHANNELS = 16, (16, 32)
RATE, BETAS, STEPS = 1e-3, (0.0, 0.99), 1500
STRENGTHS = (0.1, 1.0, 10.0)
#: parts of the training after which multipliers are taken, and products at the end
CHECKPOINTS, PRODUCTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), 300

#: sentences of the reading that the figure has no room for
LEFT_OUT = ("Averaging", "One step", "The generator")

Array = np.ndarray


# %% The data and the two networks
def digits(seed: int, count: int) -> Array:
    """(count, 1, 8, 8) images, pixels from -1 to 1."""
    from sklearn.datasets import load_digits

    every = load_digits().images / 8 - 1
    return every[np.random.default_rng(seed).choice(len(every), count, replace=False)][:, None]


def networks(seed: int) -> tuple[Any, Any]:
    """(D, G) with PyTorch's default initialisation, 4 x 4 convolutions of stride 2."""
    import torch
    from torch import nn

    few, many = CHANNELS
    torch.manual_seed(seed)
    D = nn.Sequential(
        nn.Conv2d(1, few, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(few, many, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * many, 1),
    )  # fmt: skip
    G = nn.Sequential(
        nn.Linear(LATENT, 4 * many), nn.LeakyReLU(0.2), nn.Unflatten(1, (many, 2, 2)),
        nn.ConvTranspose2d(many, few, 4, 2, 1), nn.LeakyReLU(0.2), nn.ConvTranspose2d(few, 1, 4, 2, 1),
    )  # fmt: skip
    return D.double(), G.double()


def energy_distance(x: Array, y: Array) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| of flattened images."""
    x, y = (v.reshape(len(v), -1) for v in (x, y))
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


# %% Training, with a look at the game now and then
class Training:
    """Plain PyTorch: nothing in it knows of the game."""

    def __init__(self, seed: int, count: int, r1: float) -> None:
        import torch

        self.D, self.G = networks(seed)
        self.data = torch.tensor(digits(seed, count))
        self.latents = torch.randn(count, LATENT, dtype=torch.float64)
        self.optimizers = tuple(
            torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS) for network in (self.D, self.G)
        )
        self.r1, self.steps = r1, 0

    def advance(self, steps: int) -> None:
        import torch
        from torch.nn.functional import softplus

        opt_D, opt_G = self.optimizers
        for _ in range(steps):
            real = self.data.clone().requires_grad_(True)
            scores = self.D(real)
            (slope,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
            penalty = self.r1 / 2 * slope.square().sum((1, 2, 3)).mean()
            loss_D = softplus(-scores).mean() + softplus(self.D(self.G(self.latents).detach())).mean() + penalty
            opt_D.zero_grad()
            loss_D.backward()
            opt_D.step()
            loss_G = softplus(-self.D(self.G(self.latents))).mean()
            opt_G.zero_grad()
            loss_G.backward()
            opt_G.step()
        self.steps += steps

    def images(self) -> Array:
        import torch

        with torch.no_grad():
            return np.asarray(self.G(self.latents).numpy())

    def game(self) -> Game:
        return game(
            self.D, self.G, loss="non_saturating", penalty={"r1": self.r1}, data=self.data, latents=self.latents,
            optimizers=self.optimizers,
        )  # fmt: skip

    def spectrum(self, products: int, seed: int, **settings: Any) -> GameSpectrum:
        return self.game().spectrum(products, seed=seed, progress=False, **settings)


def study(seed: int, count: int, steps: int, on_the_way: int, at_the_end: int) -> tuple[xr.Dataset, list[GameSpectrum]]:
    """Numbers over (strength, checkpoint, mode), and the last spectrum of each strength."""
    import torch

    torch.set_num_threads(1)  # of networks this small, more cost more than they bring
    at = [max(1, round(part * steps)) for part in CHECKPOINTS]
    rows, last = [], []
    for r1 in STRENGTHS:
        training = Training(seed, count, r1)
        for step in at:
            training.advance(step - training.steps)
            if step == at[-1]:
                spectrum = training.spectrum(at_the_end, seed)
                last.append(spectrum)
            else:
                spectrum = training.spectrum(on_the_way, seed, adjoints=False, scan=None, curvature=False)
            away = energy_distance(training.images(), training.data.numpy())
            rows.append((r1, step, away, float(np.hypot(*spectrum.gradients)), spectrum))
    return _dataset(rows, at, last), last


def _dataset(rows: list[tuple[Any, ...]], at: list[int], last: list[GameSpectrum]) -> xr.Dataset:
    shape = (len(STRENGTHS), len(at))
    most = max(len(r[-1].modes) for r in rows)
    names = ("re", "im", "modulus", "residual", "share_D", "neglected", "turnover")
    modes = {name: np.full((len(rows), most), np.nan) for name in names}
    kinds = np.full((len(rows), most), "", dtype="U20")
    for i, row in enumerate(rows):
        for j, mode in enumerate(row[-1].modes):
            kinds[i, j] = mode.kind
            for name in names:
                modes[name][i, j] = getattr(mode, name)
    dims = ("strength", "step", "mode")
    long = {c.name: c.attrs for c in last[0].columns()}
    data: dict[str, Any] = {name: (dims, modes[name].reshape(*shape, most), long[name]) for name in names}
    data["kind"] = (dims, kinds.reshape(*shape, most))
    for k, (name, what, unit) in enumerate(
        [("energy_distance", "energy distance of generated images to the data", "norm of an image"),
         ("gradient", "norm of both players' gradients", "1")], start=2
    ):  # fmt: skip
        data[name] = (dims[:2], np.array([row[k] for row in rows]).reshape(shape), {"long_name": what, "units": unit})
    data["reading"] = ("strength", ["\n".join(s.reading) for s in last])
    coords = {
        "strength": ("strength", list(STRENGTHS), {"long_name": "strength of R1", "units": "1"}),
        "step": ("step", at, {"long_name": "training steps", "units": "1"}),
    }
    return xr.Dataset(data, coords=coords, attrs={"products": [s.products for s in last]})


# %% Figure: modulus by kind over training, and the multipliers at its end
def figure(ds: xr.Dataset) -> Figure:
    """Above: modulus of the leading modes over training. Below: the multipliers at its end."""
    fig, grid = sheet(2, len(STRENGTHS), 6.6, sharey="row", height_ratios=(1, 1.15))
    told: dict[str, Any] = {}
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 400))
    for i, r1 in enumerate(STRENGTHS):
        here, (over, plane) = ds.isel(strength=i), grid[:, i]
        steps = np.broadcast_to(here["step"].values[:, None], here["modulus"].shape)
        plane.plot(circle.real, circle.imag, color="0.2", lw=1, ls="--")
        last = here.isel(step=-1)
        for kind, (colour, marker) in KINDS.items():
            chosen = here["kind"].values == kind
            if chosen.any():
                style = {"ls": "none", "marker": marker, "color": colour, "ms": 6}
                (told[kind],) = over.plot(steps[chosen], here["modulus"].values[chosen], label=kind, **style)
                end = chosen[-1]
                re, im = last["re"].values[end], last["im"].values[end]
                plane.plot(np.r_[re, re], np.r_[im, -im], **style)
        over.axhline(1, color="0.2", ls="--", lw=1)
        over.set(xlabel="training time (steps)", ylim=(0.5, 1.45))
        over.set_title(
            f"R1 = {r1:g}, energy distance\n{float(here['energy_distance'][-1]):.3f} at the end", fontsize=10
        )
        plane.set(xlabel="Re of the multiplier (1)", xlim=(-1.5, 1.5), ylim=(-1.25, 1.25), aspect="equal")
    grid[0, 0].set_ylabel("|multiplier| (1/step)")
    grid[1, 0].set_ylabel("Im, at the end (1)")
    fig.legend(told.values(), told.keys(), loc="outside upper center", ncols=4, frameon=False)
    return fig


# %%
@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("game_digits", draws=64, help_seed="of images, latents and networks", help_draws="images")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--products", type=int, default=PRODUCTS, help="at the end; an eighth of them on the way")
    args = parser.parse_args(argv)
    few = max(2, args.products // 8)
    ds = made(args, lambda: study(args.seed, args.draws, args.steps, few, args.products)[0], figure)
    for i, r1 in enumerate(STRENGTHS):
        here = ds.isel(strength=i, step=-1)
        print(f"R1 = {r1:g}: energy distance {float(here.energy_distance):.3f}, gradients {float(here.gradient):.2g}")
        for j in np.flatnonzero(np.isfinite(here["modulus"].values)):
            mode = here.isel(mode=j)
            print(f"    {mode['kind'].values}: {float(mode.re):.6g} {float(mode.im):+.6g}i, residual "
                  f"{float(mode.residual):.1g}")  # fmt: skip
        print(*(f"  {line}" for line in str(here["reading"].values).split("\n")), sep="\n")
    return ds


# %%
if __name__ == "__main__":
    main()
