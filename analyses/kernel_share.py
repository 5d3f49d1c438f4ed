# %% [markdown]
# # How much of a generator's tangent kernel do two numbers hold?
# The effective model replaces a generator's kernel Theta = J P J^T by one number for a sample with itself and one for
# all pairs. Is what they hold, of |Theta|^2, more in wider networks? 1. Fully connected generators of width 64 to 4096
# at their start, in the tangent parametrisation and with PyTorch's default start, latents of 16 and of 256 dimensions,
# with what is missing by kind, and beside them the infinitely wide kernel at the same latents (its own recursion, no
# network). 2. A convolutional and a batch-normalised generator of 8 x 8 digits (batch statistics of the batch and
# running ones), at the start and after training as a GAN with Adam, under Adam's own preconditioner and without one.
# And what two matrices over the outputs would hold in place of two numbers: do latents fail to look alike, or outputs?
# Every number is the mean over draws of networks and latents, with one standard error.
# Run: python -m analyses.kernel_share --seed 1 --draws 4 --output out/kernel_share

# %%
from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import xarray as xr
from torch import nn

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.kernels.wide.recursion import tangent_kernel
from egan_theory.kernels.wide.universality import latents
from egan_theory.tables.architecture import GeneratorArchitecture

#: latents in a batch, outputs of the fully connected networks
SAMPLES, OUTPUTS = 16, 64
WIDTHS = tuple(2**k for k in range(6, 13))
DIMENSIONS = (16, 256)
STARTS = ("tangent", "default")
ARCH = GeneratorArchitecture(depth=2, activation="relu", weight_variance=2.0, bias_variance=0.1)
PARTS = ("share", "unequal_diagonal", "unequal_pairs", "not_identity")
#: of the trained generators
LATENT, RATE, BATCH, R1 = 16, 1e-3, 64, 1.0
KINDS = ("fully connected", "convolutional", "batch norm, training mode", "batch norm, evaluation mode")
TIMES = ("start", "trained")
PRECONDITIONERS = ("sgd", "adam")
#: what is drawn of the generators of digits
SHOWN = (("start", "sgd"), ("trained", "sgd"), ("trained", "adam"))
LABELS = {
    "share": "two numbers", "unequal_diagonal": "tr $\\Theta_{ii}$ differ", "unequal_pairs": "tr $\\Theta_{ij}$ differ",
    "not_identity": "not the identity over outputs",
}  # fmt: skip
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00")

Array = np.ndarray


# %% [markdown]
# ## Fully connected generators at their start
# %%
class Tangent(nn.Module):
    """A layer in the tangent parametrisation: sw W x / sqrt(fan-in) + sb b with W, b ~ N(0, 1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.W, self.b = nn.Parameter(torch.randn(outputs, inputs)), nn.Parameter(torch.randn(outputs))
        self.scale = (ARCH.weight_variance / inputs) ** 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * (x @ self.W.T) + ARCH.bias_variance**0.5 * self.b


def fully_connected(start: str, dimension: int, width: int, outputs: int = OUTPUTS) -> nn.Module:
    layer = Tangent if start == "tangent" else nn.Linear
    sizes = (dimension, *(width,) * ARCH.depth, outputs)
    layers = [layer(*pair) for pair in pairwise(sizes)]
    return nn.Sequential(*(part for one in layers[:-1] for part in (one, nn.ReLU())), layers[-1])


def of_width(seed: int, draws: int, widths: tuple[int, ...], probes: int) -> xr.Dataset:
    """Of each (start, latent dimension, width, draw): the shares, the ratio and its stated error."""
    dims = ("start", "dimension", "width", "draw")
    names = (*PARTS, "two_matrices", "ratio", "ratio_stderr")
    found = {name: np.empty((len(STARTS), len(DIMENSIONS), len(widths), draws)) for name in names}
    limit = {name: np.empty((len(DIMENSIONS), draws)) for name in (*PARTS, "two_matrices", "ratio")}
    for k, n0 in enumerate(DIMENSIONS):
        for j in range(draws):
            z = latents(n0, SAMPLES, np.random.default_rng([seed, n0, j]))
            # the limit of infinite width: outputs are independent and alike, Theta = T (x) 1
            wide = two_number_parts(tangent_kernel(ARCH.model_copy(update={"latent_dimension": n0}), z))
            for name, values in limit.items():
                values[k, j] = wide[name]
            for i, start in enumerate(STARTS):
                for w, width in enumerate(widths):
                    torch.manual_seed(int(np.random.default_rng([seed, i, n0, width, j]).integers(2**31)))
                    G = fully_connected(start, n0, width)
                    numbers = eg.kernel_numbers(G, torch.as_tensor(z), probes=fewer(probes, width), exact=False, seed=j)
                    for name in (*PARTS, "two_matrices", "ratio"):
                        found[name][i, k, w, j] = getattr(numbers, name)
                    found["ratio_stderr"][i, k, w, j] = numbers.over_probes.ratio
    attrs = {name: {"units": "1", "long_name": name.replace("_", " ")} for name in names}
    ds = xr.Dataset(
        {name: (dims, values, attrs[name]) for name, values in found.items()},
        {"start": list(STARTS), "dimension": list(DIMENSIONS), "width": list(widths)},
    )
    for name, values in limit.items():
        ds[f"wide_{name}"] = (("dimension", "draw"), values, {**attrs[name], "long_name": f"{name}, infinite width"})
    return ds


def fewer(probes: int, width: int) -> int:
    """Wide networks cost more and scatter less."""
    return max(probes // max(width // 1024, 1), 6)


def two_number_parts(T: Array) -> dict[str, float]:
    """The shares of T (x) 1 for T (N, N), from the definitions."""
    N, off = len(T), ~np.eye(len(T), dtype=bool)
    g1, g2, square = np.diag(T).mean(), T[off].mean(), (T**2).sum()
    diagonal, pairs = ((np.diag(T) - g1) ** 2).sum() / square, ((T[off] - g2) ** 2).sum() / square
    share = (N * g1**2 + N * (N - 1) * g2**2) / square
    return {"share": share, "unequal_diagonal": diagonal, "unequal_pairs": pairs, "not_identity": 0.0,
            "two_matrices": share, "ratio": g2 / g1}  # fmt: skip


# %% [markdown]
# ## Generators of digits, at the start and trained with Adam
# %%
def generator(kind: str) -> nn.Module:
    if kind == "fully connected":
        return nn.Sequential(nn.Linear(LATENT, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64))
    norm = kind.startswith("batch norm")
    blocks: list[nn.Module] = [nn.Linear(LATENT, 4 * 32), nn.Unflatten(1, (32, 2, 2))]
    for inputs, outputs in ((32, 32), (32, 16)):
        blocks += [nn.BatchNorm2d(inputs)] if norm else []
        blocks += [nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1)]
    blocks += [nn.BatchNorm2d(16)] if norm else []
    return nn.Sequential(*blocks, nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1), nn.Flatten())


def discriminator() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 3, 2, 1),
        nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1),
    )  # fmt: skip


def digits() -> torch.Tensor:
    from sklearn.datasets import load_digits

    return torch.as_tensor(load_digits().data / 8 - 1, dtype=torch.float32)


def trained(G: nn.Module, steps: int, seed: int) -> torch.optim.Adam:
    """G after ``steps`` of a non-saturating GAN with R1 and Adam; its optimizer. G is in training mode."""
    data, rng = digits(), torch.Generator().manual_seed(seed)
    D = discriminator()
    of_D = torch.optim.Adam(D.parameters(), RATE, betas=(0.0, 0.99))
    of_G = torch.optim.Adam(G.parameters(), RATE, betas=(0.0, 0.99))
    soft = nn.functional.softplus
    for _ in range(steps):
        x = data[torch.randint(len(data), (BATCH,), generator=rng)].requires_grad_()
        z = torch.randn(BATCH, LATENT, generator=rng)
        real = D(x)
        slope = torch.autograd.grad(real.sum(), x, create_graph=True)[0]
        loss = soft(-real).mean() + soft(D(G(z).detach())).mean() + R1 / 2 * (slope**2).sum(1).mean()
        of_D.zero_grad()
        loss.backward()
        of_D.step()
        of_G.zero_grad()
        soft(-D(G(z))).mean().backward()
        of_G.step()
    return of_G


def of_kinds(seed: int, draws: int, steps: int, probes: int) -> xr.Dataset:
    """The shares of each (kind, time, preconditioner, draw). Adam's at the start are NaN: it has no second moment."""
    dims = ("kind", "time", "preconditioner", "draw")
    found = {name: np.full((len(KINDS), 2, 2, draws), np.nan) for name in (*PARTS, "two_matrices", "ratio")}
    for j in range(draws):
        z = torch.randn(SAMPLES, LATENT, generator=torch.Generator().manual_seed(j))
        for network in dict.fromkeys(kind.split(",")[0] for kind in KINDS):
            torch.manual_seed(1000 * seed + j)
            G, optimizers = generator(network), [None]
            for t in range(2):
                if t:
                    optimizers.append(trained(G.train(), steps, 10 * seed + j))
                for i, kind in enumerate(KINDS):
                    if not kind.startswith(network):
                        continue
                    G.train("evaluation" not in kind)
                    for p, optimizer in enumerate(optimizers):
                        numbers = eg.kernel_numbers(G, z, optimizer, probes=probes, exact=False, seed=j)
                        for name, values in found.items():
                            values[i, t, p, j] = getattr(numbers, name)
    return xr.Dataset(
        {f"kind_{n}": (dims, v, {"units": "1", "long_name": n.replace("_", " ")}) for n, v in found.items()},
        {"kind": list(KINDS), "time": list(TIMES), "preconditioner": list(PRECONDITIONERS)},
    )


# %%
def study(seed: int, draws: int, widths: tuple[int, ...] = WIDTHS, steps: int = 1000, probes: int = 16) -> xr.Dataset:
    torch.set_num_threads(1)
    ds = of_width(seed, draws, widths, probes).merge(of_kinds(seed, draws, steps, probes))
    return ds.assign_attrs(seed=seed, draws=draws, steps=steps, probes=probes, samples=SAMPLES)


def mean_and_error(values: xr.DataArray) -> tuple[Array, Array]:
    n = values.sizes["draw"]
    return values.mean("draw").values, values.std("draw", ddof=1).values / np.sqrt(n)


def stacked(ax, x: Array, ds: xr.Dataset, prefix: str = "") -> None:
    """The four shares of |Theta|^2 as bars on each other, with the error of the first."""
    bottom, first = np.zeros(len(x)), None
    for name, colour in zip(PARTS, COLOURS, strict=True):
        middle, error = mean_and_error(ds[f"{prefix}{name}"])
        ax.bar(x, middle, 0.62, bottom, color=colour, label=LABELS[name])
        bottom = bottom + middle
        if first is None:
            first = ax.errorbar(x, middle, error, fmt="none", ecolor="black", capsize=3)
    middle, error = mean_and_error(ds[f"{prefix}two_matrices"])
    label = "two matrices over the outputs would hold"
    ax.errorbar(x, middle, error, fmt="_", ms=15, mew=2.2, color="black", capsize=0, elinewidth=1, label=label)
    ax.set(ylim=(0, 1.02))


def figure(ds: xr.Dataset):
    """Share of the kernel in two numbers by width, and of generators of digits by kind."""
    fig, (wide, kinds) = sheet(1, 2, 5.4, width_ratios=(1, 1.25))
    for i, (start, line) in enumerate(zip(STARTS, ("o-", "s--"), strict=True)):
        for k, n0 in enumerate(DIMENSIONS):
            middle, error = mean_and_error(ds["share"].isel(start=i, dimension=k))
            wide.errorbar(ds["width"], middle, error, fmt=line, ms=5, color=COLOURS[k], capsize=2,
                          label=f"{start} start, {n0} latents", mfc="white" if i else None)  # fmt: skip
    for k, n0 in enumerate(DIMENSIONS):
        limit = float(ds["wide_share"].isel(dimension=k).mean())
        wide.axhline(limit, color=COLOURS[k], ls=":", lw=1.3, label=f"infinite width, {n0}")
    wide.set(xscale="log", xlabel="width (neurons)", ylabel="|kernel|² in two numbers (share)", ylim=(0.3, 1.01))
    widths = ds["width"].values
    wide.set_xticks(widths[::2], widths[::2])
    wide.minorticks_off()
    above(wide, "Fully connected, at their start")
    cases = [(kind, time, used) for kind in KINDS for time, used in SHOWN]
    every = ds[[f"kind_{name}" for name in (*PARTS, "two_matrices")]]
    shown = every.stack(case=("kind", "time", "preconditioner")).sel(case=cases).transpose("case", "draw")
    x = np.concatenate([np.arange(len(SHOWN)) + i * (len(SHOWN) + 0.7) for i in range(len(KINDS))])
    stacked(kinds, x, shown, "kind_")
    words = {"sgd": "P = 1", "adam": "Adam's P"}
    kinds.set_xticks(x, [f"{time}, {words[used]}" for _, time, used in cases], rotation=70, ha="right", fontsize=8)
    for i, kind in enumerate(KINDS):
        kinds.text(x[i * len(SHOWN) + 1], 1.03, kind.replace(", ", ",\n"), ha="center", va="bottom", fontsize=8)
    handles, labels = kinds.get_legend_handles_labels()
    kinds.set_ylabel("|kernel|² (share)")
    kinds.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.1), ncols=2, frameon=False, fontsize=8,
                 title="Generators of digits", alignment="left")  # fmt: skip
    return fig


# %%
def verdict(ds: xr.Dataset) -> str:
    """What came out, in words with numbers."""
    lines = []
    for start in STARTS:
        for n0 in DIMENSIONS:
            one = ds.sel(start=start, dimension=n0)
            middle, error = mean_and_error(one["share"])
            steps = np.diff(middle) / np.hypot(error[1:], error[:-1])
            limit = float(one["wide_share"].mean())
            lines.append(
                f"{start} start, {n0} latent dimensions: share {middle[0]:.3f} +- {error[0]:.3f} at width "
                f"{int(one['width'][0])} to {middle[-1]:.4f} +- {error[-1]:.4f} at {int(one['width'][-1])}, "
                f"{'growing at every step' if np.all(steps > 0) else 'not growing at every step'}; infinite width "
                + (f"{limit:.4f}" if start == "tangent" else f"(tangent start) {limit:.4f}")
            )
    for kind in KINDS:
        for time in TIMES:
            for used in PRECONDITIONERS[: 1 + TIMES.index(time)]:
                at = ds.sel(kind=kind, time=time, preconditioner=used)
                (share, error), ratio = mean_and_error(at["kind_share"]), float(at["kind_ratio"].mean())
                rest = float(at["kind_not_identity"].mean())
                lines.append(
                    f"{kind}, {time}, P of {used}: share {share:.3f} +- {error:.3f}, ratio {ratio:.2f}, not the "
                    f"identity over the output {rest:.3f}; two matrices would hold "
                    f"{float(at['kind_two_matrices'].mean()):.3f}"
                )
    return "\n".join(lines)


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("kernel_share", draws=4, help_draws="networks, each with latents of its own, per setting")
    parser.add_argument("--steps", type=int, default=1000, help="of training of the generators of digits")
    args = parser.parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws, steps=args.steps), figure)
    print(verdict(ds))
    return ds


# %%
if __name__ == "__main__":
    main()
