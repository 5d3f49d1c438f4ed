# %% [markdown]
# # What does a product with the training step's Jacobian cost, for a network of a million weights?
# A convolutional pair in PyTorch on images of 3 x 32 x 32 pixels, about a million weights each, batch 64,
# non-saturating loss with R1, Adam, alternating steps. Time and peak memory of a training step (D with R1, then G), of
# a product A v and of A^T w with the step's Jacobian (eg.game), in single and in double precision, on one thread; time
# is processor time, which other processes disturb less.
#
# Every case runs in a process of its own, of which the system tells the largest resident memory: PyTorch's arrays are
# not Python's. What a process holds before, with the networks, Adam's state and the batch, is measured, too, and
# subtracted where memory is compared: "work" is what the step or the product needs besides. The optimisers' moments are
# filled by hand, so that no training step runs where a product is measured.
#
# Asked: a product takes at most SLOWER training steps of the same precision, and its process at most LARGER times the
# memory of training's.
# Run: python -m analyses.game_size --seed 1 --draws 3 --output out/game_size

# %%
from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import process_time
from typing import Any

import numpy as np
import xarray as xr

from analyses.script import above, made, options, redraws, sheet
from egan_theory.show.style import BLACK, BLUE, ORANGE

SLOWER, LARGER = 6.0, 2.0
PRECISIONS = ("single", "double")
CASES = ("nothing", "training step", "product", "transposed")
SIDE, BATCH, LATENTS, R1 = 32, 64, 64, 1.0
#: channels of D's three layers, and of G's
CHANNELS = ((80, 160, 320), (256, 128, 96))


# %%
def pair(seed: int, channels: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[Any, Any]:
    """D and G, strided convolutions."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    (a, b, c), (d, e, f) = channels
    small = SIDE // 8
    D = nn.Sequential(
        nn.Conv2d(3, a, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(b, c, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(c * small**2, 1),
    )  # fmt: skip
    G = nn.Sequential(
        nn.Linear(LATENTS, d * small**2), nn.Unflatten(1, (d, small, small)), nn.ReLU(),
        nn.ConvTranspose2d(d, e, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(e, f, 4, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(f, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    return D, G


def checkpoint(seed: int, channels: Any, double: bool) -> tuple[Any, ...]:
    """(D, G, optimisers, data, latents), with moments as if training had gone on for a while."""
    import torch

    D, G = pair(seed, channels)
    x, z = torch.rand(BATCH, 3, SIDE, SIDE) * 2 - 1, torch.randn(BATCH, LATENTS)
    if double:
        D, G, x, z = D.double(), G.double(), x.double(), z.double()
    optimizers = tuple(torch.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.99)) for m in (D, G))
    for optimizer in optimizers:
        for p in optimizer.param_groups[0]["params"]:
            optimizer.state[p] = {
                "step": torch.tensor(1000.0),
                "exp_avg": 1e-4 * torch.randn_like(p),
                "exp_avg_sq": 1e-6 * (0.5 + torch.rand_like(p)),
            }
    return D, G, optimizers, x, z


def training_step(D: Any, G: Any, optimizers: Any, x: Any, z: Any) -> None:
    """As people write it."""
    import torch
    from torch.nn.functional import softplus

    x = x.detach().requires_grad_()
    real, fake = D(x), D(G(z).detach())
    slope = torch.autograd.grad(real.sum(), x, create_graph=True)[0]
    loss = softplus(-real).mean() + softplus(fake).mean() + R1 / 2 * slope.pow(2).flatten(1).sum(1).mean()
    optimizers[0].zero_grad()
    loss.backward()
    optimizers[0].step()
    loss = softplus(-D(G(z))).mean()
    optimizers[1].zero_grad()
    loss.backward()
    optimizers[1].step()


def peak() -> float:
    """Largest resident memory of this process so far, bytes."""
    try:
        with open("/proc/self/status") as file:
            return 1024.0 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def measured(case: str, precision: str, seed: int, draws: int, channels: Any) -> dict[str, float]:
    """{weights of D and G, median and least time (s), peak memory (bytes)} of one case, in this process."""
    import torch

    from egan_theory.games.game import game

    torch.set_num_threads(1)
    # products of either precision are those of single-precision networks, as a user has them
    D, G, optimizers, x, z = checkpoint(seed, channels, precision == "double" and case in ("nothing", "training step"))
    weights = [sum(p.numel() for p in m.parameters()) for m in (D, G)]
    times = [np.nan]
    if case == "training step":
        times = timed(lambda: training_step(D, G, optimizers, x, z), draws)
    elif case != "nothing":
        found = game(
            D, G, loss="non_saturating", penalty={"r1": R1}, data=x, latents=z, optimizers=optimizers,
            precision="double" if precision == "double" else "own",
        ).map  # fmt: skip
        v = np.random.default_rng(seed).standard_normal(found.n)
        act = found.product if case == "product" else found.transposed
        times = timed(lambda: act(v), draws)
    return {
        "weights_D": weights[0], "weights_G": weights[1], "memory": peak(),
        "time": float(np.median(times)), "least": float(np.min(times)),
    }  # fmt: skip


def timed(act: Any, draws: int) -> list[float]:
    act()  # what is prepared once
    out = []
    for _ in range(draws):
        start = process_time()
        act()
        out.append(process_time() - start)
    return out


# %%
def study(seed: int, draws: int, channels: Any = CHANNELS) -> xr.Dataset:
    """Time and memory (case, precision)."""
    found = {}
    for precision in PRECISIONS:
        for case in CASES:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                print(f"{precision}, {case} ...", file=sys.stderr)
                found[case, precision] = process.submit(measured, case, precision, seed, draws, channels).result()
    texts = {
        "time": ("processor time, median of the draws", "s"),
        "least": ("processor time, least of the draws", "s"),
        "memory": ("largest resident memory of the process", "byte"),
    }
    data = {
        key: (("case", "precision"), [[found[c, p][key] for p in PRECISIONS] for c in CASES],
              {"long_name": text, "units": units})
        for key, (text, units) in texts.items()
    }  # fmt: skip
    one = found[CASES[0], PRECISIONS[0]]
    attrs = {"seed": seed, "draws": draws, "batch": BATCH, "weights_D": one["weights_D"], "weights_G": one["weights_G"]}
    return xr.Dataset(data, coords={"case": list(CASES), "precision": list(PRECISIONS)}, attrs=attrs)


def ratios(ds: xr.Dataset) -> xr.Dataset:
    """Products against training steps of the same precision: time, memory, memory besides what is held before."""
    step, base = ds.sel(case="training step"), ds["memory"].sel(case="nothing")
    out = ds.sel(case=["product", "transposed"])
    return xr.Dataset(
        {
            "time": out["least"] / step["least"],
            "memory": out["memory"] / step["memory"],
            "work": (out["memory"] - base) / (step["memory"] - base),
        }
    )


# %%
def figure(ds: xr.Dataset):
    """Time and memory of each case."""
    fig, (left, right) = sheet(1, 2, 4.4)
    for ax, values, what, most in (
        (left, ds["least"], "processor time (s)", SLOWER),
        (right, ds["memory"] / 2**20, "memory (MiB)", LARGER),
    ):
        for i, (precision, colour) in enumerate(zip(PRECISIONS, (BLUE, ORANGE), strict=True)):
            here = values.sel(precision=precision)
            at = np.arange(len(CASES)) + 0.4 * i - 0.2
            ax.bar(at, np.nan_to_num(here.values), 0.36, color=colour, label=f"{precision} precision")
            limit = most * float(here.sel(case="training step"))
            ax.hlines(limit, at[2] - 0.2, at[3] + 0.2, color=BLACK, ls="--", lw=1.2,
                      label=f"{most:g} times a training step" if i == 0 else None)  # fmt: skip
        ax.set_xticks(np.arange(len(CASES)), CASES, rotation=15)
        ax.set_ylabel(what)
        above(ax)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("game_size", draws=3, help_draws="repetitions of each measurement").parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    print(f"{ds.attrs['weights_D']:,} weights of D, {ds.attrs['weights_G']:,} of G, batch {BATCH}")
    for precision in PRECISIONS:
        for case in CASES:
            here = ds.sel(precision=precision, case=case)
            print(f"{precision}, {case}: {float(here['least']):.2f} s, {float(here['memory']) / 2**20:.0f} MiB")
        for case in ("product", "transposed"):
            r = ratios(ds).sel(precision=precision, case=case)
            print(
                f"{precision}, {case}: {float(r['time']):.1f} steps' time (asked {SLOWER:g}), "
                f"{float(r['memory']):.2f} of a step's memory (asked {LARGER:g}), {float(r['work']):.2f} of its work's"
            )
    return ds


# %%
if __name__ == "__main__":
    main()
